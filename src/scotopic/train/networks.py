"""The network and the graph around it: mosaic in DN to white-balanced linear RGB.

The graph carries its own arithmetic (scaling, white balance, packing, noise map, demosaic), so that
Python and the page call the same file and repeat nothing. Colours of a Bayer cell are numbered R, G1,
G2, B in reading order of an RGGB mosaic.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scotopic.errors import SettingsError
from scotopic.train.filters import (
    CELL,
    PLACES,
    PLANE_OF_PLACE,
    binomial_weights,
    cell_mean_weights,
    malvar_weights,
    pack,
    unpack,
    upsample_weights,
)

SIZE_MULTIPLE = 32
"""Mosaic height and width must be multiples of this: the coarsest local mean is of 32x32 pixels."""

GREEN = 1
"""Index of the colour whose noise sets the encoding of the output."""

FLOOR_ELECTRONS = 1e6
"""No picture is treated as cleaner than this many electrons at white: keeps the encoding finite."""


@dataclass(frozen=True)
class Architecture:
    """The sizes that define a network; stored in the card and the checkpoint.

    Channels at a quarter, an eighth and a sixteenth of the mosaic's resolution; `bottom_blocks` residual
    blocks stand at the last.
    """

    quarter: int = 48
    eighth: int = 64
    sixteenth: int = 128
    bottom_blocks: int = 2

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 1:
                raise SettingsError(f"{name} {value} must be at least 1")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Architecture:
        """Rebuild from `asdict`; unknown keys are an error (TypeError)."""
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The inverse of `from_dict`."""
        return asdict(self)


def bend(light: Tensor) -> Tensor:
    """A root with a straight line below 0: light in units of four knees to a curve of even noise.

    Above 0 it is the generalised Anscombe transform up to scale, so noise of variance a*v + b has the
    same spread everywhere when knee = 3/8 a + b/a; below 0 it goes on as a straight line, so the
    mean of noise around black is not bent. In these units neither way needs a constant, which saves
    passes over the pixels.
    """
    above = light.relu()
    return (above + 0.25).sqrt() + (light - above) - 0.5


def unbend(bent: Tensor) -> Tensor:
    """The inverse of `bend`."""
    return bent.relu().square() + bent


def bend_of_one(knee: Tensor) -> Tensor:
    """What `bend` gives for display white."""
    root = knee.sqrt()
    return ((1 + knee).sqrt() - root) / (2 * root)


def encode(linear: Tensor, knee: Tensor) -> Tensor:
    """Light as the network sees it: bent by the noise, 0 at 0, 1 at 1, at most ENCODED_MAX."""
    return (bend(linear * (0.25 / knee)) / bend_of_one(knee)).clamp_max(ENCODED_MAX)


def smoothstep(value: Tensor, low: float | Tensor, high: float | Tensor) -> Tensor:
    """0 below `low`, 1 above `high`, a smooth cubic between."""
    t = ((value - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            self.second.weight.mul_(0.3)

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.second(F.relu(self.first(F.relu(x))))
        return added


class QuarterUNet(nn.Module):
    """A U-Net at a quarter of the mosaic's resolution, its levels joined by addition."""

    def __init__(self, inputs: int, outputs: int, architecture: Architecture) -> None:
        super().__init__()
        quarter, eighth, sixteenth = (
            architecture.quarter,
            architecture.eighth,
            architecture.sixteenth,
        )
        self.stem = nn.Conv2d(inputs, quarter, 3, padding=1)
        self.down_eighth = nn.Conv2d(quarter, eighth, 2, stride=2)
        self.encode_eighth = ResidualBlock(eighth)
        self.down_sixteenth = nn.Conv2d(eighth, sixteenth, 2, stride=2)
        self.bottom = nn.Sequential(*[ResidualBlock(sixteenth) for _ in range(architecture.bottom_blocks)])
        self.up_eighth = nn.ConvTranspose2d(sixteenth, eighth, 2, stride=2)
        self.decode_eighth = ResidualBlock(eighth)
        self.up_quarter = nn.ConvTranspose2d(eighth, quarter, 2, stride=2)
        self.decode_quarter = ResidualBlock(quarter)
        self.head = nn.Conv2d(quarter, outputs, 3, padding=1)
        with torch.no_grad():
            self.head.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        quarter = self.stem(x)
        eighth = self.encode_eighth(self.down_eighth(F.relu(quarter)))
        bottom = self.bottom(self.down_sixteenth(F.relu(eighth)))
        eighth = self.decode_eighth(eighth + self.up_eighth(F.relu(bottom)))
        quarter = self.decode_quarter(quarter + self.up_quarter(F.relu(eighth)))
        out: Tensor = self.head(F.relu(quarter))
        return out


class BayerGraph(nn.Module):
    """The whole graph of the contract for RGGB mosaics.

    Inputs: `mosaic` (B, 1, H, W) in DN, H and W multiples of SIZE_MULTIPLE; `black`, `white`, `wb`, `shot`,
    `read` (B, 4) for R, G1, G2, B; `ratio` (B, 1). Outputs `rgb` and `plain`, both (B, 3, H, W),
    linear, white-balanced, amplified, 1.0 = display white.

    For each pixel the network mixes the plain demosaic with local means of the light over 4 to 32
    pixels, and adds what neither holds. The means are taken in linear light, so where little is to be
    seen the colour is right by construction, however short the training.

    All of it happens on packed pixels (see `filters`): a tensor of 48 channels at a quarter of the
    resolution is three colours of 16 places.
    """

    malvar: Tensor
    binomial: Tensor
    cell_mean: Tensor
    upsample: Tensor
    autocast: torch.dtype | None = None
    """What the network alone calculates in while it is trained; None for float32."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        means = 3 * len(MEAN_SCALES)
        self.net = QuarterUNet(PLACES + 4 + means, 4 * PLACES + len(MEAN_SCALES), architecture)
        self.register_buffer("malvar", malvar_weights(), persistent=False)
        self.register_buffer("binomial", binomial_weights(), persistent=False)
        self.register_buffer("cell_mean", cell_mean_weights(), persistent=False)
        self.register_buffer("upsample", upsample_weights(), persistent=False)

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
        def spread_out(values: Tensor) -> Tensor:
            return values[:, :, None, None]

        black, white, wb, shot, read, ratio = map(spread_out, (black, white, wb, shot, read, ratio))
        gain = ratio * wb
        # Noise of y: variance = slope * y + offset.
        slope = (gain * shot).clamp_min(1 / FLOOR_ELECTRONS)
        offset = gain.square() * read
        knee = 0.375 * slope + offset / slope
        green_knee = knee[:, GREEN : GREEN + 1]

        # One packed place of margin all around, for the 3x3 filters.
        x = (pack(_reflect(mosaic, CELL)) - by_place(black)) * by_place(1 / (white - black))
        y = x * by_place(gain)
        plain = F.conv2d(y, self.malvar)

        lamp_starts = lamp_threshold(slope[:, GREEN : GREEN + 1], offset[:, GREEN : GREEN + 1])
        # Hot pixels must not pass for light.
        tame = y.minimum(5 * lamp_starts)
        keep = self._keep(x, tame, lamp_starts)

        means = [encode(m, green_knee) for m in self._local_means(_core(tame))]
        quarter = encode(_core(y), by_place(knee))
        noise = noise_features(slope, knee).expand(-1, -1, quarter.shape[2], quarter.shape[3])
        out = in_precision(self.net, torch.cat([quarter, noise, *means], dim=1), self.autocast)

        values, gates, scores = torch.split(out, [3 * PLACES, PLACES, len(MEAN_SCALES)], dim=1)
        clean = self._mix(plain, means, values, gates, scores, green_knee)
        rgb = _by_colour(plain) + keep[:, None] * (clean - _by_colour(plain))
        return unpack(rgb.flatten(1, 2)), unpack(plain)

    def _mix(
        self,
        plain: Tensor,
        means: list[Tensor],
        values: Tensor,
        gates: Tensor,
        scores: Tensor,
        knee: Tensor,
    ) -> Tensor:
        """mean + gate * (plain - mean) + value, all bent; returns light, (B, 3, 16, h, w)."""
        one = bend_of_one(knee)
        # A softmax over four channels, without the transposes that ORT's brings.
        shares = (scores - scores.amax(1, keepdim=True)).exp()
        weighed = shares[:, :1] * means[0]
        for i in range(1, len(means)):
            weighed = weighed + shares[:, i : i + 1] * means[i]
        mean = F.conv2d(_replicate(weighed * (one / shares.sum(1, keepdim=True))), self.upsample)
        detail = bend(plain * (0.25 / knee))
        # v - relu(v - most) is a minimum; ORT's own takes twice as long.
        detail = detail - (detail - ENCODED_MAX * one).relu()
        base, step = _by_colour(values * one + mean), _by_colour(detail - mean)
        return unbend(base + torch.sigmoid(gates)[:, None] * step) * (4 * knee[..., None])

    def _keep(self, x: Tensor, tame: Tensor, lamp_starts: Tensor) -> Tensor:
        """How much of the network's work to keep, (B, 16, h, w) in 0..1.

        None where the sensor is at or near saturation, and none where the light is far above display
        white with the noise far below it: lamps are not the network's business. A hot pixel alone
        weighs 0.14 in the 5x5 binomial and so passes for no lamp.
        """
        lamp = smoothstep(F.conv2d(tame, self.binomial), lamp_starts, 2 * lamp_starts)
        saturated = F.conv2d(smoothstep(x, *NEAR_SATURATION), self.binomial)
        return (1 - lamp) * (1 - smoothstep(saturated, *SATURATED_SHARE))

    def _local_means(self, y: Tensor) -> list[Tensor]:
        """Means of the light over squares of MEAN_SCALES packed places: (B, 16, h, w) to (B, 3, h, w)."""
        finest = F.conv2d(y, self.cell_mean)
        return [
            finest
            if scale == 1
            else F.interpolate(
                F.avg_pool2d(finest, scale), scale_factor=scale, mode="bilinear", align_corners=False
            )
            for scale in MEAN_SCALES
        ]


def in_precision(net: nn.Module, x: Tensor, dtype: torch.dtype | None) -> Tensor:
    """A network's float32 output, calculated in `dtype` inside; None for float32 throughout."""
    if dtype is None:
        plain: Tensor = net(x)
        return plain
    with torch.autocast(x.device.type, dtype=dtype):
        mixed: Tensor = net(x)
    return mixed.float()


def by_place(planes: Tensor) -> Tensor:
    """Values of R, G1, G2, B to the 16 pixels of the packing: (B, 4, 1, 1) to (B, 16, 1, 1)."""
    return planes[:, PLANE_OF_PLACE]


def lamp_threshold(slope: Tensor, offset: Tensor) -> Tensor:
    """The light from which on a picture of that noise is left to the plain demosaic."""
    return LAMP_LIGHT + 5 * BINOMIAL_NOISE * (slope * LAMP_LIGHT + offset).sqrt()


def noise_features(slope: Tensor, knee: Tensor) -> Tensor:
    """What the network is told of the noise, about -1..1: three spreads and the knee, (B, 4, 1, 1)."""
    spread = slope.sqrt() / (2 * ((1 + knee).sqrt() - knee.sqrt()))
    of_colours = torch.cat([spread[:, :2], spread[:, 3:]], dim=1)
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

MEAN_SCALES = (1, 2, 4, 8)
"""Sides of the squares of local means, in packed places of 4x4 mosaic pixels."""

ENCODED_MAX = 4.0
"""The network sees light up to about 16 times display white; above, only the plain demosaic speaks."""


def _by_colour(packed: Tensor) -> Tensor:
    """(B, 48, h, w) to (B, 3, 16, h, w)."""
    batch, channels, height, width = packed.shape
    return packed.reshape(batch, channels // PLACES, PLACES, height, width)


def _core(packed: Tensor) -> Tensor:
    """Without the margin of one packed place."""
    return packed[:, :, 1:-1, 1:-1]


def _reflect(x: Tensor, pixels: int) -> Tensor:
    return F.pad(x, (pixels, pixels, pixels, pixels), mode="reflect")


def _replicate(x: Tensor) -> Tensor:
    """One pixel more on each side. By hand, since torch.compile trips over its own padding's backward."""
    tall = torch.cat([x[:, :, :1], x, x[:, :, -1:]], dim=2)
    return torch.cat([tall[..., :1], tall, tall[..., -1:]], dim=3)
