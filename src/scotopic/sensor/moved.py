"""Colours moved by parts of a pixel, as a lens with lateral colour does: back behind a network, and green on the way.

What comes of a network that has seen red and blue upon green (`scotopic.sensor.laid`) is moved back, unless fringes are
to go: the picture stays the one that the lens has drawn, and editors have profiles of lenses of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from scotopic.frame import BLUE, RED, Linear32
from scotopic.sensor.lateral import Lateral, Shift

TAPS = 4
"""Values, along a row and along a column, that a moved one is made of."""

STEADY, STEADY_HALF = 0.02, 2000.0
"""Pixels by which colours may be moved wrongly, so that neighbouring rows can be moved alike, in a picture whose
diagonal is twice the second or more; in smaller ones, which have the time, so much less."""

PARTS = 1024
"""Places between two values for which the weights are known."""


def _weights_of(part: Floats) -> Linear32:
    """Of the values before, at, after and two after a place between two (Keys 1981, a = -1/2)."""
    square, cube = part**2, part**3
    weights = [
        -0.5 * cube + square - 0.5 * part,
        1.5 * cube - 2.5 * square + 1,
        -1.5 * cube + 2 * square + 0.5 * part,
        0.5 * cube - 0.5 * square,
    ]
    return np.array(weights, np.float32)


WEIGHTS = _weights_of(np.arange(PARTS + 1) / PARTS)
"""What a value takes of the four around its place (4, PARTS + 1), for places from the second to the third of them."""

ROWS_LEAST, ROWS_MOST = 8, 64
"""Rows moved alike, if any: with fewer no time is gained, and more no longer stay in a processor's cache."""

Floats = npt.NDArray[np.float64]


def moving_back(lateral: Lateral | None, shape: tuple[int, ...]) -> dict[str, Any]:
    """What brings colours back in a picture of that `shape`, piece by piece, as arguments of `Model.run`."""
    if lateral is None:
        return {}
    height, width = shape

    def change(top: int, left: int, light: Linear32, own: tuple[slice, slice]) -> Linear32:
        return moved_back(light, lateral, (top, left), own, (height, width))

    return {"change": change, "margin": lateral.margin}


def moved_back(
    light: Linear32,
    lateral: Lateral,
    corner: tuple[int, int],
    own: tuple[slice, slice],
    shape: tuple[int, int],
) -> Linear32:
    """The `own` rows and columns of a piece (3, h, w), whose first pixel is the picture's at `corner`, with red and
    blue back where the lens has drawn them.

    The piece has `lateral.margin` pixels around its own wherever the picture, of that `shape`, goes on.
    """
    height, width = (s.stop - s.start for s in own)
    back = np.empty((3, height, width), np.float32)
    back[1] = light[1, own[0], own[1]]
    reach = lateral.margin + 1
    for colour in (RED, BLUE):
        shift = lateral.of(colour)
        if not any(shift):
            back[colour] = light[colour, own[0], own[1]]
            continue
        inside = [slice(max(0, s.start - reach), s.stop + reach) for s in own]
        plane = light[colour, inside[0], inside[1]]
        short = [
            (reach - (s.start - i.start), reach - (min(i.stop, n) - s.stop))
            for s, i, n in zip(own, inside, light.shape[1:], strict=True)
        ]
        edges = np.pad(plane, short, mode="edge")
        first = corner[0] + own[0].start, corner[1] + own[1].start
        rows_into(back[colour], edges, (reach, reach), Path(shift, shape, first, width))
    return back


class Path:
    """By how many pixels values are taken from elsewhere, to lie where a lens has drawn their colour.

    The first value is the picture's at `first`, and they lie `step` pixels apart.
    """

    def __init__(
        self,
        shift: Shift,
        shape: tuple[int, ...],
        first: tuple[int, int],
        width: int,
        *,
        step: int = 1,
    ) -> None:
        self.shift, self.first, self.step = tuple(-s for s in shift), first, step
        self.half = math.hypot(*shape) / 2
        self.middle = [(n - 1) / 2 for n in shape]
        self.across = (first[1] + step * np.arange(width) - self.middle[1]) / self.half
        self.bent = self.shift[3] * self.across**2
        steep = _steepest(shift, self.middle[0] / self.half, self.middle[1] / self.half)
        steady = STEADY * min(1.0, self.half / STEADY_HALF)
        rows = int(2 * steady * self.half / step / steep) if steep else ROWS_MOST
        self.rows = min(rows, ROWS_MOST) if rows >= ROWS_LEAST else 1
        """Rows that can be moved alike."""

    def strips(self, height: int) -> Iterator[tuple[int, int, float]]:
        """Rows that are moved alike, from where to where, and the row that stands for them: the same rows of the
        picture however it is cut."""
        start, past = 0, self.first[0] // self.step % self.rows
        while start < height:
            stop = min(start - past + self.rows, height)
            yield start, stop, start - past + (self.rows - 1) / 2
            start, past = stop, 0

    def at(self, row: float) -> Floats:
        """Down and right (2, width), for all values of a row (a place between two will do)."""
        down, right, along, cubed = self.shift
        y = (self.first[0] + self.step * row - self.middle[0]) / self.half
        shifts = np.empty((2, len(self.across)))
        shifts[:] = self.bent + (along + cubed * y * y)
        shifts[0] *= y
        shifts[1] *= self.across
        shifts += [[down], [right]]
        return shifts


def _steepest(shift: Shift, down: float, right: float) -> float:
    """How fast a shift changes down a column at most: in a corner, which lies so far from the middle, in the middle, or
    at an edge between."""
    _, _, along, cubed = shift
    outwards = max(abs(along + cubed * (3 * y * y + x * x)) for y in (0, down) for x in (0, right))
    return max(outwards, abs(2 * cubed * down * right))


def rows_into(out: Linear32, source: Linear32, corner: tuple[int, int], path: Path) -> None:
    """Values of a plane moved: the first of them lies at `corner` of the source, which goes on all around as far as the
    path reaches, and three values more."""
    height, step = len(out), path.step
    top, left = corner
    for start, stop, middle in path.strips(height):
        shifts = path.at(middle)
        whole = np.floor(shifts)
        weights = WEIGHTS[:, np.rint((shifts - whole) * PARTS).astype(np.intp)]
        # Moved right first, in as many rows as moving down asks for.
        low, high = int(whole[0].min()), int(whole[0].max())
        first, last = top + step * start + low - 1, top + step * (stop - 1) + high + 2
        rows = source[first : last + 1]
        moved = np.empty((len(rows), out.shape[1]), np.float32)
        for run, by in _runs(whole[1]):
            begin, end = (left + by - 1 + step * at for at in (run.start, run.stop))
            taps = [rows[:, begin + tap : end + tap : step] for tap in range(TAPS)]
            _mixed(taps, weights[:, 1, run], moved[:, run])
        for run, by in _runs(whole[0]):
            begin, end = by - low, by - low + step * (stop - start)
            taps = [moved[begin + tap : end + tap : step, run] for tap in range(TAPS)]
            _mixed(taps, weights[:, 0, run], out[start:stop, run])


def _runs(whole: Floats) -> Iterator[tuple[slice, int]]:
    """Values next to each other that are taken from as many whole steps away, and how many."""
    ends = [0, *(np.flatnonzero(whole[1:] != whole[:-1]) + 1).tolist(), len(whole)]
    for start, stop in pairwise(ends):
        yield slice(start, stop), int(whole[start])


def _mixed(taps: list[Linear32], weights: Linear32, out: Linear32) -> None:
    """The sum of four values by their weights, between the two in the middle: around a lamp nothing becomes darker than
    what there is."""
    total = taps[0] * weights[0]
    part = np.empty_like(total)
    for tap, weight in zip(taps[1:], weights[1:], strict=True):
        np.multiply(tap, weight, out=part)
        total += part
    np.maximum(total, np.minimum(taps[1], taps[2], out=part), out=total)
    np.minimum(total, np.maximum(taps[1], taps[2], out=part), out=out)
