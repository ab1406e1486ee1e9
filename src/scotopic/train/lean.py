"""The form of the network at half the cost: few convolutions on packed places, and light mixed as light."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scotopic.train.blocks import Architecture, ResidualBlock, by_colour, enlarge, replicate, shared

NOISE_FEATURES = 4


class LeanUNet(nn.Module):
    """A U-Net whose finest level has one convolution on the way in and one on the way out.

    The local means come in at their own levels, so that the finest reads few channels.
    """

    def __init__(self, pixels: int, outputs: int, architecture: Architecture) -> None:
        super().__init__()
        fine, middle, coarse = architecture.fine, architecture.middle, architecture.coarse
        self.stem = nn.Conv2d(pixels + NOISE_FEATURES + 3, fine, 3, padding=1)
        self.down_middle = nn.Conv2d(fine, middle, 2, stride=2)
        self.means_middle = nn.Conv2d(3, middle, 1, bias=False)
        self.encode_middle = ResidualBlock(middle)
        self.down_coarse = nn.Conv2d(middle, coarse, 2, stride=2)
        self.means_coarse = nn.Conv2d(6, coarse, 1, bias=False)
        self.bottom = nn.Sequential(*[ResidualBlock(coarse) for _ in range(architecture.bottom_blocks)])
        self.up_middle = nn.ConvTranspose2d(coarse, middle, 2, stride=2)
        self.decode_middle = ResidualBlock(middle)
        self.up_fine = nn.ConvTranspose2d(middle, fine, 2, stride=2)
        self.decode_fine = nn.Conv2d(fine, fine, 3, padding=1)
        self.head = nn.Conv2d(fine, outputs, 1)
        with torch.no_grad():
            self.decode_fine.weight.mul_(0.3)
            self.head.weight.mul_(0.1)

    def forward(self, x: Tensor, twice: Tensor, fourfold: Tensor, eightfold: Tensor) -> Tensor:
        """The packed places with noise and finest means, and the means over 2, 4 and 8 places."""
        fine = self.stem(x)
        middle = self.encode_middle(self.down_middle(F.relu(fine)) + self.means_middle(twice))
        wide = self.means_coarse(torch.cat([fourfold, enlarge(eightfold, 2)], dim=1))
        bottom = self.bottom(self.down_coarse(F.relu(middle)) + wide)
        middle = self.decode_middle(middle + self.up_middle(F.relu(bottom)))
        fine = fine + self.up_fine(F.relu(middle))
        out: Tensor = self.head(F.relu(fine + self.decode_fine(F.relu(fine))))
        return out


def mix(
    plain: Tensor,
    pooled: list[Tensor],
    parts: tuple[Tensor, ...],
    keep: Tensor,
    knee: Tensor,
    upsample: Tensor,
) -> Tensor:
    """plain + keep * (share * (mean - plain) + value * spread), all in light: (B, 3, P, h, w).

    `parts` are the network's values, shares (before the sigmoid) and scores of the means. The spread is what
    one step of the bent scale (networks.bend) is worth where the light is: it grows with the root of the
    brightest mean around. Six passes over the pixels, where mixing bent light takes twenty.
    """
    values, shares, scores = parts
    means = [pooled[0], *(enlarge(m, 2**i) for i, m in enumerate(pooled[1:], start=1))]
    mean = F.conv2d(replicate(shared(means, scores)), upsample)
    around = means[0].maximum(means[2]).relu()
    spread = 2 * (around + knee).sqrt() / ((1 + knee).sqrt() + knee.sqrt())
    own = by_colour(plain)
    towards = torch.sigmoid(shares)[:, None] * (by_colour(mean) - own)
    return own + keep[:, None] * (towards + by_colour(values) * spread[:, :, None])
