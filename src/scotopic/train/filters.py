"""The fixed convolutions of the graph, all on the packed mosaic: 4x4 pixels are 16 channels of one place.

Everything the graph does beside the network stays in this packing and is unpacked once at the end, which
is what makes it cheap: shuffling full-resolution planes cost as much as half the network did.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

CELL = 4
"""Side of the packing in mosaic pixels: two cells of a Bayer pattern."""

PLACES = CELL * CELL
"""Pixels of one packed place, in reading order."""

PLANE_OF_PLACE = tuple((p // CELL % 2) * 2 + p % 2 for p in range(PLACES))
"""Which of R, G1, G2, B stands at each pixel of the packing of an RGGB mosaic."""

# Malvar, He and Cutler 2004, "High-quality linear interpolation for demosaicing": the filters, times 8.
_KEEP = [
    [0.0, 0.0, 0.0, 0.0, 0.0],
    [0.0, 0.0, 0.0, 0.0, 0.0],
    [0.0, 0.0, 8.0, 0.0, 0.0],
    [0.0, 0.0, 0.0, 0.0, 0.0],
    [0.0, 0.0, 0.0, 0.0, 0.0],
]
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


def pack(mosaic: Tensor) -> Tensor:
    """(B, 1, H, W) to (B, 16, H/4, W/4). A convolution: six times as fast as a pixel unshuffle in ORT."""
    return F.conv2d(
        mosaic, torch.eye(PLACES, device=mosaic.device).view(PLACES, 1, CELL, CELL), stride=CELL
    )


def unpack(packed: Tensor) -> Tensor:
    """(B, C*16, h, w) to (B, C, h*4, w*4), columns first: a quarter faster than a pixel shuffle in ORT."""
    batch, channels, height, width = packed.shape
    rows = packed.reshape(batch, channels // CELL, CELL, height, width).permute(0, 1, 3, 4, 2)
    rows = rows.reshape(batch, channels // PLACES, CELL, height, width * CELL).permute(0, 1, 3, 2, 4)
    return rows.reshape(batch, channels // PLACES, height * CELL, width * CELL)


def malvar_weights() -> Tensor:
    """Malvar's demosaic of a packed RGGB mosaic: (3*16, 16, 3, 3)."""
    keep, same_row, green, opposite = (
        torch.tensor(k) / 8 for k in (_KEEP, _AT_GREEN_SAME_ROW, _GREEN_AT_COLOUR, _COLOUR_AT_OPPOSITE)
    )
    kernels = [
        [keep, green, opposite],
        [same_row, keep, same_row.T],
        [same_row.T, keep, same_row],
        [opposite, green, keep],
    ]
    return _packed(lambda place: kernels[PLANE_OF_PLACE[place]])


def binomial_weights() -> Tensor:
    """A 5x5 binomial blur of packed pixels: (16, 16, 3, 3)."""
    row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    return _packed(lambda _: [torch.outer(row, row)])


def cell_mean_weights() -> Tensor:
    """The mean R, G and B of each packed place of an RGGB mosaic: (3, 16, 1, 1)."""
    colour_of_plane = (0, 1, 1, 2)
    weights = torch.zeros(3, PLACES, 1, 1)
    for place, plane in enumerate(PLANE_OF_PLACE):
        weights[colour_of_plane[plane], place] = 1
    return weights / weights.sum(1, keepdim=True)


def upsample_weights() -> Tensor:
    """Bilinear enlargement by 4 of three colours, from a plane to packed pixels: (3*16, 3, 3, 3)."""
    taps = torch.zeros(CELL, 3)
    for pixel in range(CELL):
        off_centre = (pixel + 0.5) / CELL - 0.5
        taps[pixel, 1] = 1 - abs(off_centre)
        taps[pixel, 0 if off_centre < 0 else 2] = abs(off_centre)
    weights = torch.zeros(3, PLACES, 3, 3, 3)
    for place in range(PLACES):
        for colour in range(3):
            weights[colour, place, colour] = torch.outer(taps[place // CELL], taps[place % CELL])
    return weights.flatten(0, 1)


def _packed(kernels_at: Callable[[int], list[Tensor]]) -> Tensor:
    """Kernels (at most 9x9) that differ by place, as one 3x3 convolution of packed pixels."""
    kernels = [kernels_at(place) for place in range(PLACES)]
    weights = torch.zeros(len(kernels[0]) * PLACES, PLACES, 3, 3)
    for place in range(PLACES):
        for output, kernel in enumerate(kernels[place]):
            reach = kernel.shape[0] // 2
            for (dy, dx), weight in (
                (divmod(i, kernel.shape[1]), w) for i, w in enumerate(kernel.flatten())
            ):
                y, x = place // CELL + dy - reach, place % CELL + dx - reach
                source = y % CELL * CELL + x % CELL
                weights[output * PLACES + place, source, y // CELL + 1, x // CELL + 1] += weight
    return weights
