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

from scotopic.sensor.pattern import BAYER
from scotopic.train.blocks import (
    MEAN_SCALES,
    Architecture,
    ConvolutionInParts,
    ResidualBlock,
    core,
    cut,
    enlarge,
    replicate,
    shared,
    times_plus,
)
from scotopic.train.demosaic import BENT, LINEAR, demosaic_weights
from scotopic.train.fade import LAMP_LIGHT, WayBack, faded, faded_if_need_be, lamp_threshold, straightened
from scotopic.train.filters import (
    Packing,
    binomial_weights,
    cell_mean_weights,
    pack,
    unpack,
    upsample_weights,
)

GRAPH = 3
"""Number of the form of the arithmetic around our network: weights learnt in another are a start and no result."""

EDGE = 4
"""Packed places at the edge of a trimmed result that are not as in the whole picture: the finest level's filters see
three, the enlarged means half of one more. Even, as the middle level counts in pairs."""

GREEN = 1
"""Index of the plane (G1, or G) whose noise sets the curve in which the network sees and works."""

LAMP_SIGMAS = 2.0
"""Noise, in standard deviations of a pixel, by which a packed place's mean lies above what passes for a lamp, from
which on its light is left out of the local means around it: it is no surroundings of others."""

LEAST_WEIGHT = 1e-3
"""Weight of a lamp in the local means of the light: where there is nothing else, they are the lamp's own."""

STRAIGHT_ELECTRONS = 2.0
"""Electrons below which the curve does not bend. The mean of bent noise is too dark, by a quarter of an electron at
most; without read noise, where it would bend at once, by an eighth of the light at most with this. 16 costs 0.2 dB with
sensors of little read noise (experiments.md, 2026-11-28)."""

FLOOR_ELECTRONS = 1e6
"""No picture is treated as cleaner than this many electrons at white: keeps the encoding finite."""


def encode(light: Tensor, knee: Tensor) -> Tensor:
    """Light, in units of four times its `knee`, as the network sees it: bent, 0 at 0, 1 at display white.

    A root with a straight line below 0, a curve of even noise.

    Above 0 it is the generalised Anscombe transform up to scale, so noise of variance a*v + b has the
    same spread everywhere when knee = 3/8 a + b/a; below 0 it goes on as a straight line, so the
    mean of noise around black is not bent. In these units the way back needs no root, which saves passes over the
    pixels.
    """
    per_one = 1 / bend_of_one(knee)
    return times_plus((light.relu() + 0.25).sqrt() + light.clamp_max(0), per_one, -0.5 * per_one)


def bend_of_one(knee: Tensor) -> Tensor:
    """What the curve gives for display white before it is made 1 there."""
    # sqrt(1/(4 knee) + 1/4) - 1/2, without the difference that cancels where the knee is large.
    root = knee.sqrt()
    return 0.5 / (root * ((1 + knee).sqrt() + root))


def decode(encoded: Tensor, knee: Tensor) -> Tensor:
    """The inverse of `encode`, but in units of display white."""
    return straightened(encoded, *way_back(knee))


def way_back(knee: Tensor) -> tuple[Tensor, Tensor]:
    """What `straightened` makes light in units of display white with, of what is encoded."""
    one, unit = bend_of_one(knee), 4 * knee
    return one.square() * unit, one * unit


class PackedUNet(nn.Module):
    """A U-Net on packed places, its levels joined by addition; gives tensors of so many channels as `parts` say."""

    def __init__(self, inputs: int, parts: tuple[int, ...], architecture: Architecture) -> None:
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
        self.head = ConvolutionInParts(fine, parts, architecture.head)
        with torch.no_grad():
            self.head.weight.mul_(0.1)

    def forward(self, x: Tensor, places: Tensor | None = None) -> tuple[Tensor, ...]:
        """Of inputs (B, C, h, w), a tensor (B, N, h, w) for each of the parts.

        Without the `places` that are told: each level leaves out on the way back what nobody looks at.
        """
        fine = self.encode_fine(self.stem(x))
        middle = self.encode_middle(self.down_middle(F.relu(fine)))
        bottom = self.bottom(self.down_coarse(F.relu(middle)))
        of_middle = rest = None
        if places is not None:
            # The middle level first leaves out EDGE less than the finest, which is a multiple of it.
            of_middle = (places - EDGE).clamp_min(0) // 2
            rest = places // 2 - of_middle
        middle, up = cut(middle, of_middle), cut(self.up_middle(F.relu(bottom)), of_middle)
        middle = self.decode_middle(middle + up)
        fine = cut(fine, places) + self.up_fine(cut(F.relu(middle), rest))
        fine = F.relu(self.decode_fine(fine))
        given: tuple[Tensor, ...] = self.head(fine)
        return given


@dataclass(frozen=True)
class Seen:
    """A packed mosaic as a network sees it: amplified and balanced, in units of four times `knee`."""

    light: Tensor
    """Light with a margin of one place all around, (B, P, h + 2, w + 2)."""
    tame: Tensor
    """Light with hot pixels held down, (B, P, h + 2, w + 2)."""
    slope: Tensor
    """Slope of the noise: the variance of light y, 1 at display white, is slope * y + offset; by plane, (B, planes, 1,
    1)."""
    knees: Tensor
    """Light at which noise turns from read to shot noise, by plane, (B, planes, 1, 1)."""
    knee: Tensor
    """Light at which the curve bends in which the network sees and works, (B, 1, 1, 1)."""
    lamp: Tensor
    """The mean light of a place from which on it is a lamp and none of its surroundings, (B, 1, 1, 1)."""
    places: Tensor | None
    """Packed places that the result leaves out at the top, left, bottom and right, (4,); None for none."""


class PackedGraph(nn.Module):
    """What all graphs of kind `linear` share: the contract's arithmetic up to the network, on packed pixels.

    Inputs: `mosaic` (B, 1, H, W) in DN, H and W multiples of `size_multiple`; `black`, `white`, `wb`,
    `shot`, `read` (B, 4) for R, G1, G2, B, or (B, 3) for R, G, B; `ratio` (B, 1). Outputs `rgb` and
    `plain`, both (B, 3, H, W), linear, white-balanced, amplified, 1.0 = display white.

    Of a single picture also with both of `models.OPTIONAL`: `trim` (4,) and `with_plain` (). The same to the last bits,
    but where `trim` says that nobody looks, and a plain demosaic that nobody asked for may be empty.
    """

    demosaic: Tensor
    binomial: Tensor
    autocast: torch.dtype | None = None
    """What the network alone calculates in while it is trained; None for float32."""

    def __init__(self, packing: Packing) -> None:
        super().__init__()
        self.packing = packing
        self.register_buffer("demosaic", demosaic_weights(packing, LINEAR), persistent=False)
        self.register_buffer("binomial", binomial_weights(packing), persistent=False)

    @property
    def size_multiple(self) -> int:
        """Mosaic height and width must be multiples of this: the side of the coarsest local mean."""
        return size_multiple(self.packing)

    @property
    def edge(self) -> int:
        """EDGE in mosaic pixels, of which `trim` takes multiples."""
        return EDGE * self.packing.cell

    def forward(
        self,
        mosaic: Tensor,
        black: Tensor,
        white: Tensor,
        wb: Tensor,
        shot: Tensor,
        read: Tensor,
        ratio: Tensor,
        trim: Tensor | None = None,
        with_plain: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """As the class says."""

        def spread_out(values: Tensor) -> Tensor:
            return values[:, :, None, None]

        black, white, wb, shot, read, ratio = map(spread_out, (black, white, wb, shot, read, ratio))
        gain = ratio * wb
        slope = (gain * shot).clamp_min(1 / FLOOR_ELECTRONS)
        offset = gain.square() * read
        knees = 0.375 * slope + offset / slope
        green = slice(GREEN, GREEN + 1)

        # One packed place of margin all around, for the 3x3 filters.
        packed = self._packed(mosaic)
        dark, per_dn, gains = map(self._by_pixel, (black, 1 / (white - black), gain))
        knee = knees[:, green].maximum(STRAIGHT_ELECTRONS * slope[:, green])
        per_knee = per_dn * gains / (4 * knee)
        light = times_plus(packed, per_knee, -dark * per_knee)
        lamp_starts = lamp_threshold(slope[:, green], offset[:, green]) / (4 * knee)
        # Hot pixels must not pass for light.
        tame = light.minimum(5 * lamp_starts)
        spread = (slope * LAMP_LIGHT + offset).amax(1, keepdim=True).sqrt()
        lamp = (LAMP_LIGHT + LAMP_SIGMAS * spread) / (4 * knee)
        places = None if trim is None else trim // self.packing.cell
        enhanced, back = self._enhanced(Seen(light, tame, slope, knees, knee, lamp, places))
        if trim is None or with_plain is None:
            own, lamps = straightened(enhanced, *back), tame * (1 / lamp_starts)
            x = (packed - dark) * per_dn
            rgb, plain = faded(own, x, x * gains, lamps, self.demosaic, self.binomial)
            return unpack(rgb, self.packing.cell), unpack(plain, self.packing.cell)
        both: tuple[Tensor, Tensor] = faded_if_need_be(
            enhanced,
            *back,
            packed,
            dark,
            per_dn,
            gains,
            tame,
            lamp_starts,
            self.demosaic,
            self.binomial,
            places,
            with_plain,
            self.packing.cell,
        )
        return both

    def _enhanced(self, seen: Seen) -> tuple[Tensor, WayBack]:
        """The network's result, (B, 3*P, h, w), which `straightened` is still to make light of, 1 = display white;
        fades to the plain demosaic where it is not kept."""
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


class Mix(nn.Module):
    """What the network says of each pixel, its fixed demosaic and the mean around it, in one.

    Each operation is a pass over three values a pixel, which is what the graph's time goes into beside the
    convolutions: here additions go into the convolutions before them, and nothing is reordered in between.
    """

    detail: Tensor
    minus_mean: Tensor
    thrice: Tensor
    less_one: Tensor

    def __init__(self, packing: Packing) -> None:
        super().__init__()
        pixels = packing.pixels
        self.register_buffer("detail", demosaic_weights(packing, BENT), persistent=False)
        self.register_buffer("minus_mean", -upsample_weights(packing), persistent=False)
        self.register_buffer("thrice", torch.eye(pixels).repeat(3, 1)[..., None, None], persistent=False)
        self.register_buffer("less_one", -torch.ones(3 * pixels), persistent=False)

    def forward(self, values: Tensor, gates: Tensor, bent: Tensor, mean: Tensor) -> Tensor:
        """Of `values` (B, 3*P, h, w) the network's and `gates` (B, P, h, w), of bent light (B, P, h + 2, w + 2) and of
        its mean (B, 3, h + 2, w + 2): (B, 3*P, h, w). A gate of 0 pulls the detail half the way to the mean, a low one
        all of it."""
        detail = F.conv2d(bent, self.detail)
        off = F.conv2d(mean, self.minus_mean) + detail
        pull = F.conv2d(torch.sigmoid(gates), self.thrice, self.less_one)
        return (values + detail) + pull * off


class MosaicGraph(PackedGraph):
    """Ours, for mosaics of one packing: RGGB, or X-Trans in our phase.

    All of it happens in the curve of `encode`. For each pixel the network mixes a fixed demosaic with local means of
    the light over 1 to 8 places, and adds what neither holds. By daylight that demosaic is 2.7 dB better than `plain`,
    since it is ratios of colours that stay along edges, not differences. The means are taken in linear light, so where
    little is to be seen the colour is right by construction, however short the training.

    It happens on packed pixels (see `filters`): for Bayer, a tensor of 48 channels at a quarter of the resolution is
    three colours of 16 pixels.
    """

    cell_mean: Tensor

    def __init__(self, packing: Packing, architecture: Architecture) -> None:
        super().__init__(packing)
        self.architecture = architecture
        pixels, scales = packing.pixels, len(MEAN_SCALES)
        self.net = PackedUNet(pixels + 4 + 3 * scales, (3 * pixels, pixels + scales), architecture)
        self.mix = Mix(packing)
        self.register_buffer("cell_mean", cell_mean_weights(packing), persistent=False)

    def _enhanced(self, seen: Seen) -> tuple[Tensor, WayBack]:
        bent = encode(seen.light, seen.knee)
        lights = self._local_means(core(seen.tame), seen.lamp)
        shown = [core(bent), *(encode(light, seen.knee) for light in lights)]
        own, *means = (values.clamp_max(ENCODED_MAX) for values in shown)
        noise = noise_features(seen.slope, seen.knees).expand(-1, -1, *own.shape[2:])
        inputs = torch.cat([own, noise, *means], dim=1)
        values, choices = in_precision(self.net, (inputs, seen.places), self.autocast)
        gates, scores = torch.split(choices, [self.packing.pixels, len(MEAN_SCALES)], dim=1)
        lights = [cut(light, seen.places) for light in lights]
        mean = replicate(encode(shared(lights, scores), seen.knee))
        return self.mix(values, gates, cut(bent, seen.places), mean), way_back(seen.knee)

    def _local_means(self, light: Tensor, lamp: Tensor) -> list[Tensor]:
        """Means of the light over squares of MEAN_SCALES packed places: (B, P, h, w) to (B, 3, h, w).

        Without the lamps among these, whose light would hide what is around them.
        """
        finest = F.conv2d(light, self.cell_mean)
        # From half of what is a lamp on ever less.
        weight = (2 - finest.amax(1, keepdim=True) * (2 / lamp)).clamp(0, 1) + LEAST_WEIGHT
        weighed = torch.cat([finest * weight, weight], dim=1)

        def mean(scale: int) -> Tensor:
            sums = F.avg_pool2d(weighed, scale)
            return enlarge(sums[:, :3] * (1 / sums[:, 3:]), scale)

        return [finest if scale == 1 else mean(scale) for scale in MEAN_SCALES]


def in_precision(
    net: nn.Module, inputs: tuple[Tensor | None, ...], dtype: torch.dtype | None
) -> tuple[Tensor, ...]:
    """What a network gives, in float32, calculated in `dtype` inside; None for float32 throughout."""
    if dtype is None:
        plain: tuple[Tensor, ...] = net(*inputs)
        return plain
    with torch.autocast(next(net.parameters()).device.type, dtype=dtype):
        mixed: tuple[Tensor, ...] = net(*inputs)
    return tuple(given.float() for given in mixed)


def noise_features(slope: Tensor, knee: Tensor) -> Tensor:
    """What the network is told of the noise, about -1..1: three spreads and the knee, (B, 4, 1, 1).

    `slope` and `knee` by plane; of two greens the first speaks.
    """
    spread = slope.sqrt() * ((1 + knee).sqrt() + knee.sqrt()) / 2
    of_colours = torch.cat([spread[:, :2], spread[:, -1:]], dim=1)
    return torch.cat([of_colours.log2() / 4 + 0.75, knee[:, GREEN : GREEN + 1].log2() / 8], dim=1)


ENCODED_MAX = 4.0
"""Largest encoded light that the network sees, about 16 times display white; above, only the plain demosaic speaks."""


def size_multiple(packing: Packing) -> int:
    """What height and width of a mosaic must be multiples of, in pixels."""
    return packing.cell * MEAN_SCALES[-1]
