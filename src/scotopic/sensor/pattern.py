"""Colour patterns: which sensors there are models for, and how any phase of them becomes the one they know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from scotopic.errors import UnsupportedRawError
from scotopic.frame import BLUE, GREEN, RED, RGGB, X_TRANS, Counts, Mosaic

Cell = tuple[tuple[int, ...], ...]

SensorKind = Literal["bayer", "xtrans"]

Plane = TypeVar("Plane", bound=npt.NDArray[Any])


@dataclass(frozen=True)
class Pattern:
    """A kind of sensor as its models know it.

    `cfa` is the phase they see, `plane_of_place` for each place of the cell in reading order which value of
    the graph's inputs belongs to it, `colour_of_plane` the colour of each of these.
    """

    sensor: SensorKind
    cfa: Cell
    plane_of_place: tuple[int, ...]
    colour_of_plane: tuple[int, ...]

    @property
    def cell(self) -> int:
        """Side of the repeating cell in pixels."""
        return len(self.cfa)


BAYER = Pattern("bayer", RGGB, (0, 1, 2, 3), (RED, GREEN, GREEN, BLUE))
XTRANS = Pattern("xtrans", X_TRANS, tuple(c for row in X_TRANS for c in row), (RED, GREEN, BLUE))
PATTERNS = (BAYER, XTRANS)


def offset(found: Cell, wanted: Cell) -> tuple[int, int] | None:
    """Rows and columns to cut off a mosaic of pattern `found` so that it begins with `wanted`.

    None where that is another pattern.

    >>> offset(((2, 1), (1, 0)), RGGB)
    (1, 1)
    """
    if len(found) != len(wanted):
        return None
    size = len(found)
    for top in range(size):
        for left in range(size):
            if np.array_equal(np.roll(np.array(found), (-top, -left), axis=(0, 1)), np.array(wanted)):
                return top, left
    return None


def pattern_of(cfa: Cell) -> Pattern:
    """The pattern that a mosaic has in some phase. Raises UnsupportedRawError where no model knows it.

    >>> pattern_of(((1, 0), (2, 1))).sensor
    'bayer'
    """
    for pattern in PATTERNS:
        if offset(cfa, pattern.cfa) is not None:
            return pattern
    letters = "/".join("".join("RGB"[c] for c in row) for row in cfa)
    raise UnsupportedRawError(
        f"this picture's colour pattern is {letters}; the models know Bayer patterns and X-Trans only"
    )


def missing(cfa: Cell) -> tuple[int, int]:
    """Rows and columns to put before a mosaic so that it begins as its pattern's models want.

    >>> missing(((2, 1), (1, 0)))
    (1, 1)
    """
    pattern = pattern_of(cfa)
    cut = offset(cfa, pattern.cfa) or (0, 0)
    return -cut[0] % pattern.cell, -cut[1] % pattern.cell


def of_even_black(mosaic: Mosaic) -> Counts:
    """The data with one black level a plane, as the graph takes it: X-Trans cells may have more."""
    black = black_of_places(mosaic)
    if np.array_equal(black, mosaic.black):
        return mosaic.data
    data = mosaic.data.astype(np.float32)
    size = len(mosaic.cfa)
    for y in range(size):
        for x in range(size):
            data[y::size, x::size] -= np.float32(mosaic.black[y, x] - black[y, x])
    return data


def black_of_places(mosaic: Mosaic) -> npt.NDArray[np.float64]:
    """For each place of the mosaic's own cell the mean black level of its plane, in DN."""
    pattern = pattern_of(mosaic.cfa)
    planes = np.roll(
        np.array(pattern.plane_of_place).reshape(pattern.cell, pattern.cell),
        [-n for n in missing(mosaic.cfa)],
        axis=(0, 1),
    )
    means = [mosaic.black[planes == p].mean() for p in range(len(pattern.colour_of_plane))]
    black: npt.NDArray[np.float64] = np.array(means)[planes]
    return black


def extended(mosaic: Plane, margins: list[tuple[int, int]], cell: int) -> Plane:
    """A mosaic (H, W) with `margins` (before, after) of rows and columns more; the pattern goes on.

    Bayer patterns are mirrored about the edge pixels. Others (`cell` above 2) do not bear it: there the
    outermost whole cells come again, unflipped.
    """
    for axis, (before, after) in enumerate(margins):
        if not before and not after:
            continue
        length = mosaic.shape[axis]
        wanted = np.arange(-before, length + after)
        period = cell if cell > 2 else 2 * (length - 1)
        if cell > 2:
            source = np.where(wanted < 0, wanted % period, wanted)
            over = np.maximum(wanted - length + 1, 0)
            source = np.where(over > 0, wanted - -(-over // period) * period, source)
        else:
            source = wanted % period
            source = np.minimum(source, period - source)
        mosaic = np.take(mosaic, source, axis=axis)  # type: ignore[assignment]
    return mosaic
