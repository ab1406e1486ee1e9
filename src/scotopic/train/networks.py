"""The network and the graph around it: mosaic in DN to white-balanced linear RGB.

The graph carries its own arithmetic (scaling, white balance, packing, noise map, demosaic), so that
Python and the page call the same file and repeat nothing. What is given by colour comes in planes: R, G1,
G2, B for Bayer, R, G, B for X-Trans.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scotopic.pattern import BAYER
from scotopic.train.blocks import (
    MEAN_SCALES,
    Architecture,
    ResidualBlock,
    by_colour,
    core,
    enlarge,
    replicate,
    shared,
)
from scotopic.train.demosaic import demosaic_weights
from scotopic.train.filters import (
    Packing,
    binomial_weights,
    cell_mean_weights,
    pack,
    unpack,
    upsample_weights,
)

GREEN = 1
"""Index of the plane (G1, or G) whose noise sets the encoding of the output."""

FLOOR_ELECTRONS = 1e6
"""No picture is treated as cleaner than this many electrons at white: keeps the encoding finite."""


def bend(light: Tensor) -> Tensor:
    """A root with a straight line below 0: light in units of four knees to a curve of even noise.

    Above 0 it is the generalised Anscombe transform up to scale, so noise of variance a*v + b has the
    same spread everywhere when knee = 3/8 a + b/a; below 0 it goes on as a straight line, so the
    mean of noise around black is not bent. In these units neither way needs a constant, which saves
    passes over the pixels.
    """
    return (light.relu() + 0.25).sqrt() + light.clamp_max(0) - 0.5


def unbend(bent: Tensor) -> Tensor:
    """The inverse of `bend`."""
    return bent.relu().square() + bent


def bend_of_one(knee: Tensor) -> Tensor:
    """What `bend` gives for display white."""
    # sqrt(1/(4 knee) + 1/4) - 1/2, without the difference that cancels where the knee is large.
    root = knee.sqrt()
    return 0.5 / (root * ((1 + knee).sqrt() + root))


def encode(light: Tensor, knee: Tensor) -> Tensor:
    """Light as the network sees it: bent by the noise, 0 at 0, 1 at display white, at most ENCODED_MAX.

    `light` in units of four times its `knee`.
    """
    return (bend(light) / bend_of_one(knee)).clamp_max(ENCODED_MAX)


def smooth(t: Tensor) -> Tensor:
    """A cubic from 0 at 0 to 1 at 1, even at both ends."""
    return t * t * (3 - 2 * t)


class PackedUNet(nn.Module):
    """A U-Net on packed places, its levels joined by addition."""

    def __init__(self, inputs: int, outputs: int, architecture: Architecture) -> None:
        super().__init__()
        fine, middle, coarse = architecture.fine, architecture.middle, architecture.coarse
        self.stem = nn.Conv2d(inputs, fine, 3, padding=1)
        encoder = architecture.fine_encoder
        self.encode_fine = ResidualBlock(fine, encoder) if encoder else nn.Identity()
        self.down_middle = nn.Conv2d(fine, middle, 2, stride=2)
        first, *bottom, last, finest = architecture.inside
        self.encode_middle = ResidualBlock(middle, first)
        self.down_coarse = nn.Conv2d(middle, coarse, 2, stride=2)
        self.bottom = nn.Sequential(*[ResidualBlock(coarse, inner) for inner in bottom])
        self.up_middle = nn.ConvTranspose2d(coarse, middle, 2, stride=2)
        self.decode_middle = ResidualBlock(middle, last)
        self.up_fine = nn.ConvTranspose2d(middle, fine, 2, stride=2)
        self.decode_fine = ResidualBlock(fine, finest)
        self.head = nn.Conv2d(fine, outputs, architecture.head, padding=architecture.head // 2)
        with torch.no_grad():
            self.head.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.encode_fine(self.stem(x))
        middle = self.encode_middle(self.down_middle(F.relu(fine)))
        bottom = self.bottom(self.down_coarse(F.relu(middle)))
        middle = self.decode_middle(middle + self.up_middle(F.relu(bottom)))
        fine = self.decode_fine(fine + self.up_fine(F.relu(middle)))
        out: Tensor = self.head(F.relu(fine))
        return out


@dataclass(frozen=True)
class Seen:
    """A packed mosaic as a network sees it.

    All light is amplified and balanced, in units of four knees of `green_knee`, which `bend` takes; `light` and
    `tame` have a margin of one place all around.
    """

    light: Tensor
    """(B, P, h + 2, w + 2)."""
    tame: Tensor
    """The same with hot pixels held down."""
    plain: Tensor
    """The fixed demosaic, (B, 3*P, h, w)."""
    keep: Tensor
    """How much of the network's work to keep, (B, P, h, w) in 0..1."""
    slope: Tensor
    """Of the noise: the variance of light y, 1 at display white, is slope * y + offset; by plane, (B, planes, 1, 1)."""
    knee: Tensor
    """Where noise turns from read to shot noise, by plane."""

    @property
    def green_knee(self) -> Tensor:
        """Of the plane whose noise sets the encoding."""
        return self.knee[:, GREEN : GREEN + 1]

    @property
    def unit(self) -> Tensor:
        """What `light` counts in, 1 at display white."""
        return 4 * self.green_knee


class PackedGraph(nn.Module):
    """What all graphs of kind `linear` share: the contract's arithmetic up to the network, on packed pixels.

    Inputs: `mosaic` (B, 1, H, W) in DN, H and W multiples of `size_multiple`; `black`, `white`, `wb`,
    `shot`, `read` (B, 4) for R, G1, G2, B, or (B, 3) for R, G, B; `ratio` (B, 1). Outputs `rgb` and
    `plain`, both (B, 3, H, W), linear, white-balanced, amplified, 1.0 = display white.
    """

    demosaic: Tensor
    binomial: Tensor
    autocast: torch.dtype | None = None
    """What the network alone calculates in while it is trained; None for float32."""

    def __init__(self, packing: Packing) -> None:
        super().__init__()
        self.packing = packing
        self.register_buffer("demosaic", demosaic_weights(packing), persistent=False)
        self.register_buffer("binomial", binomial_weights(packing), persistent=False)

    @property
    def size_multiple(self) -> int:
        """Mosaic height and width must be multiples of this: the side of the coarsest local mean."""
        return size_multiple(self.packing)

    def forward(
        self,
        mosaic: Tensor,
        black: Tensor,
        white: Tensor,
        wb: Tensor,
        shot: Tensor,
        read: Tensor,
        ratio: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """As the class says."""

        def spread_out(values: Tensor) -> Tensor:
            return values[:, :, None, None]

        black, white, wb, shot, read, ratio = map(spread_out, (black, white, wb, shot, read, ratio))
        gain = ratio * wb
        slope = (gain * shot).clamp_min(1 / FLOOR_ELECTRONS)
        offset = gain.square() * read
        knee = 0.375 * slope + offset / slope

        unit = 4 * knee[:, GREEN : GREEN + 1]
        # One packed place of margin all around, for the 3x3 filters.
        x = (self._packed(mosaic) - self._by_pixel(black)) * self._by_pixel(1 / (white - black))
        light = x * self._by_pixel(gain / unit)
        lamp_starts = lamp_threshold(slope[:, GREEN : GREEN + 1], offset[:, GREEN : GREEN + 1]) / unit
        # Hot pixels must not pass for light.
        tame = light.minimum(5 * lamp_starts)
        keep = self._keep(x, tame * (1 / lamp_starts))
        seen = Seen(light, tame, F.conv2d(light, self.demosaic), keep, slope, knee)
        cell = self.packing.cell
        return unpack(self._enhanced(seen) * unit, cell), unpack(seen.plain * unit, cell)

    def _enhanced(self, seen: Seen) -> Tensor:
        """The result in units of four knees, (B, 3*P, h, w): the plain demosaic where `keep` is 0."""
        raise NotImplementedError

    def _by_pixel(self, planes: Tensor) -> Tensor:
        """Values of the planes to the pixels of the packing: (B, planes, 1, 1) to (B, P, 1, 1)."""
        return planes[:, self.packing.plane_of_pixel]

    def _packed(self, mosaic: Tensor) -> Tensor:
        """Packed, with one place more on each side: mirrored about the edge pixels where that keeps the
        pattern, else the outermost places once more."""
        cell = self.packing.cell
        if self.packing.pattern == BAYER:
            return pack(F.pad(mosaic, (cell, cell, cell, cell), mode="reflect"), cell)
        return replicate(pack(mosaic, cell))

    def _keep(self, x: Tensor, lamps: Tensor) -> Tensor:
        """How much of the network's work to keep, (B, P, h, w) in 0..1; `lamps` is light of which lamps begin at 1.

        None where the sensor is at or near saturation, and none where the light is far above display
        white with the noise far below it: lamps are not the network's business. A hot pixel alone
        weighs 0.14 in the 5x5 binomial and so passes for no lamp. The filters themselves do what they can, as each
        operation beside them is a pass over all pixels.
        """
        below_lamps = self._blurred(lamps, -1.0, 2.0)
        low, high = NEAR_SATURATION
        near = ((x - low) * (1 / (high - low))).clamp(0, 1)
        some, many = SATURATED_SHARE
        below_saturation = self._blurred(near, -1 / (many - some), many / (many - some))
        return smooth(below_lamps.minimum(below_saturation))

    def _blurred(self, values: Tensor, factor: float, offset: float) -> Tensor:
        """factor * (values in the 5x5 binomial) + offset, held in 0..1."""
        bias = values.new_full((self.packing.pixels,), offset)
        return F.conv2d(values, self.binomial * factor, bias).clamp(0, 1)


class MosaicGraph(PackedGraph):
    """Ours, for mosaics of one packing: RGGB, or X-Trans in our phase.

    For each pixel the network mixes the plain demosaic with local means of the light over 1 to 8
    places, and adds what neither holds. The means are taken in linear light, so where little is to be
    seen the colour is right by construction, however short the training.

    All of it happens on packed pixels (see `filters`): for Bayer, a tensor of 48 channels at a quarter of
    the resolution is three colours of 16 pixels.
    """

    cell_mean: Tensor
    upsample: Tensor

    def __init__(self, packing: Packing, architecture: Architecture) -> None:
        super().__init__(packing)
        self.architecture = architecture
        outputs = 4 * packing.pixels + len(MEAN_SCALES)
        self.net = PackedUNet(packing.pixels + 4 + 3 * len(MEAN_SCALES), outputs, architecture)
        self.register_buffer("cell_mean", cell_mean_weights(packing), persistent=False)
        self.register_buffer("upsample", upsample_weights(packing), persistent=False)

    def _enhanced(self, seen: Seen) -> Tensor:
        own_units = self._by_pixel(seen.green_knee / seen.knee)
        own = encode(core(seen.light) * own_units, self._by_pixel(seen.knee))
        noise = noise_features(seen.slope, seen.knee).expand(-1, -1, own.shape[2], own.shape[3])
        means = [encode(m, seen.green_knee) for m in self._local_means(core(seen.tame))]
        out = in_precision(self.net, (torch.cat([own, noise, *means], dim=1),), self.autocast)
        pixels = self.packing.pixels
        values, gates, scores = torch.split(out, [3 * pixels, pixels, len(MEAN_SCALES)], dim=1)
        return self._mix(seen, means, values, gates, scores)

    def _mix(
        self, seen: Seen, means: list[Tensor], values: Tensor, gates: Tensor, scores: Tensor
    ) -> Tensor:
        """plain + keep * (gate * (mean - plain) + value), all bent.

        Each operation here is a pass over three values a pixel, which is what the graph's time goes into
        beside the convolutions.
        """
        one = bend_of_one(seen.green_knee)
        mean = F.conv2d(replicate(shared(means, scores) * one), self.upsample)
        detail = bend(seen.plain)
        pull = (seen.keep * torch.sigmoid(-gates))[:, None] * by_colour(mean - detail)
        added = (seen.keep * one)[:, None] * by_colour(values)
        return unbend(detail + (pull + added).flatten(1, 2))

    def _local_means(self, light: Tensor) -> list[Tensor]:
        """Means of the light over squares of MEAN_SCALES packed places: (B, P, h, w) to (B, 3, h, w)."""
        finest = F.conv2d(light, self.cell_mean)
        return [
            finest if scale == 1 else enlarge(F.avg_pool2d(finest, scale), scale) for scale in MEAN_SCALES
        ]


def in_precision(net: nn.Module, inputs: tuple[Tensor, ...], dtype: torch.dtype | None) -> Tensor:
    """A network's float32 output, calculated in `dtype` inside; None for float32 throughout."""
    if dtype is None:
        plain: Tensor = net(*inputs)
        return plain
    with torch.autocast(inputs[0].device.type, dtype=dtype):
        mixed: Tensor = net(*inputs)
    return mixed.float()


def lamp_threshold(slope: Tensor, offset: Tensor) -> Tensor:
    """The light from which on a picture of that noise is left to the plain demosaic."""
    return LAMP_LIGHT + 5 * BINOMIAL_NOISE * (slope * LAMP_LIGHT + offset).sqrt()


def noise_features(slope: Tensor, knee: Tensor) -> Tensor:
    """What the network is told of the noise, about -1..1: three spreads and the knee, (B, 4, 1, 1).

    `slope` and `knee` by plane; of two greens the first speaks.
    """
    spread = slope.sqrt() * ((1 + knee).sqrt() + knee.sqrt()) / 2
    of_colours = torch.cat([spread[:, :2], spread[:, -1:]], dim=1)
    return torch.cat([of_colours.log2() / 4 + 0.75, knee[:, GREEN : GREEN + 1].log2() / 8], dim=1)


LAMP_LIGHT = 2.0
"""Light, in units of display white, from which on a clean picture is left to the plain demosaic."""

BINOMIAL_NOISE = 0.273
"""Share of a pixel's noise that the 5x5 binomial leaves: sqrt(sum of squared weights)."""

NEAR_SATURATION = (0.92, 0.98)
"""Share of the sensor's range over which a pixel comes to count as saturated."""

SATURATED_SHARE = (0.16, 0.32)
"""Weight of saturated pixels in the 5x5 binomial over which the network's work fades: one pixel weighs
0.14, two by two 0.39."""

ENCODED_MAX = 4.0
"""The network sees light up to about 16 times display white; above, only the plain demosaic speaks."""


def size_multiple(packing: Packing) -> int:
    """What height and width of a mosaic must be multiples of, in pixels."""
    return packing.cell * MEAN_SCALES[-1]
