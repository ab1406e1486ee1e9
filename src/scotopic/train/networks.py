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

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Architecture:
        """Rebuild from `asdict`; unknown keys are an error (TypeError)."""
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The inverse of `from_dict`."""
        return asdict(self)


# Malvar, He and Cutler 2004, "High-quality linear interpolation for demosaicing": the four filters.
_AT_GREEN_SAME_ROW = [
    [0.0, 0.0, 0.5, 0.0, 0.0],
    [0.0, -1.0, 0.0, -1.0, 0.0],
    [-1.0, 4.0, 5.0, 4.0, -1.0],
    [0.0, -1.0, 0.0, -1.0, 0.0],
    [0.0, 0.0, 0.5, 0.0, 0.0],
]
_GREEN_AT_COLOUR = [
    [0.0, 0.0, -1.0, 0.0, 0.0],
    [0.0, 0.0, 2.0, 0.0, 0.0],
    [-1.0, 2.0, 4.0, 2.0, -1.0],
    [0.0, 0.0, 2.0, 0.0, 0.0],
    [0.0, 0.0, -1.0, 0.0, 0.0],
]
_COLOUR_AT_OPPOSITE = [
    [0.0, 0.0, -1.5, 0.0, 0.0],
    [0.0, 2.0, 0.0, 2.0, 0.0],
    [-1.5, 0.0, 6.0, 0.0, -1.5],
    [0.0, 2.0, 0.0, 2.0, 0.0],
    [0.0, 0.0, -1.5, 0.0, 0.0],
]


def malvar_weights() -> Tensor:
    """Malvar's demosaic as one 3x3 convolution on the packed mosaic.

    Returns (12, 4, 3, 3): from planes R, G1, G2, B at half resolution to the 3 colours at each of the
    4 places of the cell, in the order that `pixel_shuffle(2)` unpacks.
    """
    identity = torch.zeros(5, 5)
    identity[2, 2] = 8.0
    same_row = torch.tensor(_AT_GREEN_SAME_ROW)
    green = torch.tensor(_GREEN_AT_COLOUR)
    opposite = torch.tensor(_COLOUR_AT_OPPOSITE)
    # filters[place][colour], places R, G1, G2, B
    filters = [
        [identity, green, opposite],
        [same_row, identity, same_row.T],
        [same_row.T, identity, same_row],
        [opposite, green, identity],
    ]
    weights = torch.zeros(12, 4, 3, 3)
    for place, by_colour in enumerate(filters):
        place_y, place_x = divmod(place, 2)
        for colour, kernel in enumerate(by_colour):
            for dy in range(-2, 3):
                for dx in range(-2, 3):
                    y, x = place_y + dy, place_x + dx
                    plane = (y % 2) * 2 + x % 2
                    weights[colour * 4 + place, plane, y // 2 + 1, x // 2 + 1] += (
                        kernel[dy + 2, dx + 2] / 8.0
                    )
    return weights


def encode(linear: Tensor, knee: Tensor) -> Tensor:
    """Square-root encoding with a knee set by the noise; 0 stays 0 and 1 stays 1.

    Above 0 it is the generalised Anscombe transform up to scale, so noise of variance a*v + b has the
    same spread everywhere when knee = 3/8 a + b/a; below 0 it goes on as a straight line, so the
    mean of noise around black is not bent.
    """
    root = knee.sqrt()
    span = (1 + knee).sqrt() - root
    above = (linear.clamp_min(0) + knee).sqrt() - root
    below = linear.clamp_max(0) / (2 * root)
    return (above + below) / span


def decode(encoded: Tensor, knee: Tensor) -> Tensor:
    """The inverse of `encode`."""
    root = knee.sqrt()
    span = (1 + knee).sqrt() - root
    scaled = encoded * span
    above = (scaled.clamp_min(0) + root).square() - knee
    below = scaled.clamp_max(0) * (2 * root)
    return above + below


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
    """

    malvar: Tensor
    binomial: Tensor

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        means = 3 * len(MEAN_SCALES)
        self.net = QuarterUNet(16 + 4 + means, 48 + 16 + len(MEAN_SCALES), architecture)
        self.register_buffer("malvar", malvar_weights(), persistent=False)
        row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
        self.register_buffer("binomial", torch.outer(row, row)[None, None], persistent=False)

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
        def per_plane(values: Tensor) -> Tensor:
            return values[:, :, None, None]

        black, white, wb, shot, read, ratio = map(per_plane, (black, white, wb, shot, read, ratio))
        gain = ratio * wb
        x = (F.pixel_unshuffle(mosaic, 2) - black) / (white - black)
        y = gain * x
        # Noise of y: variance = slope * y + offset.
        slope = (gain * shot).clamp_min(1 / FLOOR_ELECTRONS)
        offset = gain.square() * read
        knee = 0.375 * slope + offset / slope
        spread = slope.sqrt() / (2 * ((1 + knee).sqrt() - knee.sqrt()))

        plain = F.pixel_shuffle(F.conv2d(_reflect(y, 1), self.malvar), 2)

        green_slope, green_offset = slope[:, GREEN : GREEN + 1], offset[:, GREEN : GREEN + 1]
        lamp_noise = BINOMIAL_NOISE * (green_slope * LAMP_LIGHT + green_offset).sqrt()
        lamp_starts = LAMP_LIGHT + 5 * lamp_noise
        # Hot pixels must not pass for light.
        tame = y.minimum(5 * lamp_starts)

        green_knee = knee[:, GREEN : GREEN + 1]
        means = [encode(m, green_knee).clamp_max(ENCODED_MAX) for m in local_means(tame)]
        quarter = F.pixel_unshuffle(encode(y, knee).clamp_max(ENCODED_MAX), 2)
        noise = torch.cat(
            [
                spread[:, :1].log2() / 4 + 0.75,
                spread[:, 1:2].log2() / 4 + 0.75,
                spread[:, 3:].log2() / 4 + 0.75,
                knee[:, 1:2].log2() / 8,
            ],
            dim=1,
        ).expand(-1, -1, quarter.shape[2], quarter.shape[3])
        out = self.net(torch.cat([quarter, noise, *means], dim=1))

        values = F.pixel_shuffle(out[:, :48], 4)
        gates = F.pixel_shuffle(torch.sigmoid(out[:, 48:64]), 4)
        shares = torch.softmax(out[:, 64:], dim=1)
        mean = shares[:, :1] * means[0]
        for i in range(1, len(means)):
            mean = mean + shares[:, i : i + 1] * means[i]
        mean = F.interpolate(mean, scale_factor=4, mode="bilinear", align_corners=False)
        detail = encode(plain, green_knee).clamp_max(ENCODED_MAX)
        clean = decode(mean + gates * (detail - mean) + values, green_knee)

        keep = self._keep(x, tame, lamp_starts)
        return plain + keep * (clean - plain), plain

    def _keep(self, x: Tensor, tame: Tensor, lamp_starts: Tensor) -> Tensor:
        """How much of the network's work to keep, (B, 1, H, W) in 0..1.

        None where the sensor is at or near saturation, and none where the light is far above display
        white with the noise far below it: lamps are not the network's business.
        """
        light = self._blur(F.pixel_shuffle(tame, 2))
        lamp = smoothstep(light, lamp_starts, 2 * lamp_starts)
        saturated = self._blur(smoothstep(F.pixel_shuffle(x, 2), *NEAR_SATURATION))
        return (1 - lamp) * (1 - smoothstep(saturated, *SATURATED_SHARE))

    def _blur(self, full: Tensor) -> Tensor:
        """A 5x5 binomial: one hot pixel alone weighs 0.14 in it and so passes for no lamp."""
        return F.conv2d(_reflect(full, 2), self.binomial)


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
"""Sides of the squares of local means, in packed positions of 4x4 mosaic pixels."""

ENCODED_MAX = 4.0
"""The network sees light up to about 16 times display white; above, only the plain demosaic speaks."""


def local_means(y: Tensor) -> list[Tensor]:
    """Means of the light over squares of MEAN_SCALES, from planes (B, 4, H, W): each (B, 3, H/2, W/2)."""
    cells = F.avg_pool2d(y, 2)
    finest = torch.cat([cells[:, :1], 0.5 * (cells[:, 1:2] + cells[:, 2:3]), cells[:, 3:]], dim=1)
    return [
        finest
        if scale == 1
        else F.interpolate(
            F.avg_pool2d(finest, scale), scale_factor=scale, mode="bilinear", align_corners=False
        )
        for scale in MEAN_SCALES
    ]


def _reflect(x: Tensor, pixels: int) -> Tensor:
    return F.pad(x, (pixels, pixels, pixels, pixels), mode="reflect")
