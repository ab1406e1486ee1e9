"""The U-Net of "Learning to See in the Dark" (Chen et al., CVPR 2018): to reproduce, and the yardstick."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scotopic.train.blocks import core, cut
from scotopic.train.fade import WayBack
from scotopic.train.filters import PACKINGS, unpack
from scotopic.train.networks import PackedGraph, Seen, in_precision

WIDTHS = (32, 64, 128, 256, 512)
SLOPE = 0.2


def _two_convolutions(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.LeakyReLU(SLOPE),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.LeakyReLU(SLOPE),
    )


class PaperUNet(nn.Module):
    """Packed, amplified Bayer planes (B, 4, H/2, W/2), H and W multiples of 32, to RGB (B, 3, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            _two_convolutions(i, o) for i, o in zip((4, *WIDTHS[:-1]), WIDTHS, strict=True)
        )
        rising = list(zip(WIDTHS[:0:-1], WIDTHS[-2::-1], strict=True))
        self.widen = nn.ModuleList(nn.ConvTranspose2d(i, o, 2, stride=2, bias=False) for i, o in rising)
        self.up = nn.ModuleList(_two_convolutions(2 * o, o) for _, o in rising)
        self.last = nn.Conv2d(WIDTHS[0], 12, 1)

    def forward(self, packed: Tensor) -> tuple[Tensor]:
        """As the class says."""
        skips = []
        x = packed
        for i, level in enumerate(self.down):
            x = level(F.max_pool2d(x, 2) if i else x)
            skips.append(x)
        skips.pop()
        for widen, level in zip(self.widen, self.up, strict=True):
            x = level(torch.cat([widen(x), skips.pop()], dim=1))
        return (F.pixel_shuffle(self.last(x), 2),)


class PaperGraph(nn.Module):
    """The graph of kind `srgb`: amplified, clipped to 0..1, packed, and through the network to display sRGB.

    Inputs as `networks.MosaicGraph`; `wb`, `shot` and `read` are taken and not used. Output `rgb`
    (B, 3, H, W), display sRGB, not clipped.
    """

    autocast: torch.dtype | None = None
    """What the network calculates in while it is trained; None for float32."""

    def __init__(self) -> None:
        super().__init__()
        self.net = PaperUNet()

    def forward(
        self,
        mosaic: Tensor,
        black: Tensor,
        white: Tensor,
        wb: Tensor,
        shot: Tensor,
        read: Tensor,
        ratio: Tensor,
    ) -> tuple[Tensor, ...]:
        """As the class says."""
        black, white, ratio = (v[:, :, None, None] for v in (black, white, ratio))
        y = ratio * (F.pixel_unshuffle(mosaic, 2) - black) / (white - black)
        return in_precision(self.net, (y.clamp(0, 1),), self.autocast)


class PaperLinearGraph(PackedGraph):
    """The paper's network to linear light, by the contract of kind `linear`: the yardstick for ours.

    It sees amplified and balanced light up to display white, as the paper's, and nothing of the noise. Lamps
    fade to the plain demosaic, as in ours.
    """

    def __init__(self) -> None:
        super().__init__(PACKINGS["bayer"])
        self.net = PaperUNet()

    def _enhanced(self, seen: Seen) -> tuple[Tensor, WayBack]:
        cell = self.packing.cell
        planes = F.pixel_unshuffle(unpack(core(seen.light) * (4 * seen.knee), cell), 2).clamp(0, 1)
        # Packed by columns and rows as the plain demosaic is.
        light = F.pixel_unshuffle(in_precision(self.net, (planes,), self.autocast)[0], cell)
        return cut(light, seen.places), (None, None)
