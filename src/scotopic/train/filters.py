"""The fixed convolutions of the graph, all on the packed mosaic: a square of pixels is the channels of one place.

Everything the graph does beside the network stays in this packing and is unpacked once at the end, which
is what makes it cheap: shuffling full-resolution planes cost as much as half the network did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from scotopic.sensor.pattern import BAYER, XTRANS, Pattern, SensorKind


@dataclass(frozen=True)
class Packing:
    """How a mosaic is packed: `cell` x `cell` pixels, whole cells of `pattern`, are the channels of a place."""

    pattern: Pattern
    cell: int

    @property
    def pixels(self) -> int:
        """Pixels of a packed place."""
        return self.cell * self.cell

    @property
    def planes(self) -> int:
        """Values that each input by colour has."""
        return len(self.pattern.colour_of_plane)

    @property
    def plane_of_pixel(self) -> tuple[int, ...]:
        """For each pixel of the packing, in reading order, which of these values belongs to it."""
        size = self.pattern.cell
        return tuple(
            self.pattern.plane_of_place[p // self.cell % size * size + p % self.cell % size]
            for p in range(self.pixels)
        )

    @property
    def colour_of_pixel(self) -> tuple[int, ...]:
        """The colour (0 R, 1 G, 2 B) of each pixel of the packing."""
        return tuple(self.pattern.colour_of_plane[plane] for plane in self.plane_of_pixel)


PACKINGS: dict[SensorKind, Packing] = {"bayer": Packing(BAYER, 4), "xtrans": Packing(XTRANS, 6)}
"""Two by two cells of a Bayer pattern, one of X-Trans."""


def pack(mosaic: Tensor, cell: int) -> Tensor:
    """(B, 1, H, W) to (B, cell*cell, H/cell, W/cell). Six times as fast as a pixel unshuffle in ORT."""
    pixels = cell * cell
    return F.conv2d(
        mosaic, torch.eye(pixels, device=mosaic.device).view(pixels, 1, cell, cell), stride=cell
    )


def unpack(packed: Tensor, cell: int) -> Tensor:
    """(B, C*cell*cell, h, w) to (B, C, h*cell, w*cell), columns first: faster than a pixel shuffle in ORT."""
    batch, channels, height, width = packed.shape
    colours = channels // (cell * cell)
    rows = packed.reshape(batch, channels // cell, cell, height, width).permute(0, 1, 3, 4, 2)
    rows = rows.reshape(batch, colours, cell, height, width * cell).permute(0, 1, 3, 2, 4)
    return rows.reshape(batch, colours, height * cell, width * cell)


def binomial_weights(packing: Packing) -> Tensor:
    """A 5x5 binomial blur of packed pixels: (P, P, 3, 3) for P pixels of a place."""
    row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    return packed_weights(packing.cell, lambda _y, _x: [torch.outer(row, row)])


def cell_mean_weights(packing: Packing) -> Tensor:
    """The mean R, G and B of each packed place: (3, P, 1, 1)."""
    weights = torch.zeros(3, packing.pixels, 1, 1)
    for pixel, colour in enumerate(packing.colour_of_pixel):
        weights[colour, pixel] = 1
    return weights / weights.sum(1, keepdim=True)


def upsample_weights(packing: Packing) -> Tensor:
    """Bilinear enlargement by the cell of three colours, from a plane to packed pixels: (3*P, 3, 3, 3)."""
    cell = packing.cell
    taps = torch.zeros(cell, 3)
    for pixel in range(cell):
        off_centre = (pixel + 0.5) / cell - 0.5
        taps[pixel, 1] = 1 - abs(off_centre)
        taps[pixel, 0 if off_centre < 0 else 2] = abs(off_centre)
    weights = torch.zeros(3, packing.pixels, 3, 3, 3)
    for pixel in range(packing.pixels):
        for colour in range(3):
            weights[colour, pixel, colour] = torch.outer(taps[pixel // cell], taps[pixel % cell])
    return weights.flatten(0, 1)


def packed_weights(cell: int, kernels_at: Callable[[int, int], list[Tensor]]) -> Tensor:
    """Kernels that differ by pixel, as one 3x3 convolution of packed pixels: (N*P, P, 3, 3).

    `kernels_at` gives for a pixel (row, column) of the cell N kernels of odd size, at most 2 * cell + 1.
    """
    pixels = cell * cell
    kernels = [kernels_at(*divmod(p, cell)) for p in range(pixels)]
    weights = torch.zeros(len(kernels[0]) * pixels, pixels, 3, 3)
    for pixel in range(pixels):
        for output, kernel in enumerate(kernels[pixel]):
            reach = kernel.shape[0] // 2
            for (dy, dx), weight in (
                (divmod(i, kernel.shape[1]), w) for i, w in enumerate(kernel.flatten())
            ):
                y, x = pixel // cell + dy - reach, pixel % cell + dx - reach
                source = y % cell * cell + x % cell
                weights[output * pixels + pixel, source, y // cell + 1, x // cell + 1] += weight
    return weights


def sampled(rgb: Tensor, packing: Packing) -> Tensor:
    """What the sensor's filters let through of (B, 3, H, W), whole cells: (B, 1, H, W)."""
    colours = _tiled(packing.colour_of_pixel, packing, rgb.shape[2:], rgb.device)
    return rgb.gather(1, colours.expand(len(rgb), 1, -1, -1))


def laid_out(values: Tensor, packing: Packing, height: int, width: int) -> Tensor:
    """Values by plane (B, planes) laid out as a mosaic (B, 1, H, W)."""
    return values[:, _tiled(packing.plane_of_pixel, packing, (height, width), values.device)][:, 0]


def _tiled(numbers: tuple[int, ...], packing: Packing, size: Sequence[int], device: torch.device) -> Tensor:
    """Numbers by pixel of the cell, repeated to (1, 1, H, W)."""
    cell = torch.tensor(numbers, device=device).view(packing.cell, packing.cell)
    return cell.repeat(-(-size[0] // packing.cell), -(-size[1] // packing.cell))[
        None, None, : size[0], : size[1]
    ]
