"""Black that is stated too high, told by the picture: light is never negative.

Long and warm exposures, and cameras whose black is only known as a constant, have a black that lies below the one
stated. Then dark parts are below zero on the average, come out black, and in blotches of colour where each colour is
off by its own: at x300 0.3 of the read noise costs 4 dB (experiments.md, 2026-11-30). Where it lies above the one
stated no picture tells it from light.
"""

from __future__ import annotations

from functools import cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from scotopic.frame import Mosaic, NoiseProfile

BLOCK = 32
"""Side of the squares of values of one place of the cell whose means are looked at."""

LINES_LEAST = 4
"""A picture of fewer squares along one of its sides tells nothing."""

VALUES = 300_000
"""Values of each place of the cell that are looked at, about: of larger pictures a part of each square's rows."""

STEP_MAX = 8
"""Every eighth row of a square is looked at, at least."""

DARK_SHARE = 0.3
"""Share of the rows, and of the columns, of squares that tell black, by the median of their darkest squares: a dark
band or corner alone tells nothing."""

ERRORS = 2.5
"""Black is lowered where it lies lower by so many times what the estimate may be off by, which is told twice too high
(experiments.md, 2026-12-01)."""

LEAST_SIGMAS = 0.05
"""Black is lowered where it lies lower by this share of the read noise at least: less is not to be seen."""

WHOLE_FROM = 1.8
"""From so many times the limit on black is lowered by all that was found, from the limit on by a share that grows from
nothing: of frames alike some lie beyond a limit by chance, and a step there flickers (experiments.md, 2026-12-01)."""

VOID_SIGMAS = 6.0
"""A square with a value so far below black holds dead pixels, and tells nothing."""

ERROR_OF_MEDIAN = 1.25
"""The standard error of a median over that of the mean."""

COUNT_MAX = 512
"""Squares in a line up to which it is counted how low the darkest of them lies by chance."""


def lowered(mosaic: Mosaic, noise: NoiseProfile) -> npt.NDArray[np.float64]:
    """By how much black lies below the one stated at each place of a Bayer mosaic's cell, in DN, (2, 2); 0 where the
    picture does not prove it, and for other patterns."""
    lower, share = np.zeros_like(mosaic.black, np.float64), 0.0
    if not mosaic.is_bayer:
        return lower
    for y in range(2):
        for x in range(2):
            black = float(mosaic.black[y, x])
            sigma = noise.read[mosaic.cfa[y][x]] ** 0.5 * (mosaic.white - black)
            depth, limit = _depth(mosaic.data[y::2, x::2], black, sigma)
            lower[y, x] = max(0.0, depth)
            # What one place proves is believed of all, so that those alike, as the two greens, are treated alike.
            share = max(share, _share(depth, limit))
    return lower * share


def with_black_lowered(mosaic: Mosaic, by: npt.NDArray[np.float64] | None) -> Mosaic:
    """The mosaic with its black lower by so many DN at each place of the cell; itself where that is nothing."""
    return mosaic if by is None or not by.any() else mosaic.with_changes(black=mosaic.black - by)


def _share(depth: float, limit: float) -> float:
    """The share of a depth by which black is lowered."""
    return min((1 - limit / depth) / (1 - 1 / WHOLE_FROM), 1.0) if depth > limit else 0.0


def _depth(values: npt.NDArray[np.generic], black: float, sigma: float) -> tuple[float, float]:
    """By how much the black of the values (h, w) of one place seems to lie below the one stated, and what it has to
    exceed as proof."""
    height, width = (n // BLOCK for n in values.shape)
    if min(height, width) < LINES_LEAST:
        return 0.0, 0.0
    step = 1
    while step < STEP_MAX and values.size > VALUES * step:
        step *= 2
    looked_at = np.ascontiguousarray(values[: height * BLOCK : step, : width * BLOCK], np.float32)
    squares = looked_at.reshape(height, BLOCK // step, width, BLOCK)
    # Along whole rows first, which is several times as fast.
    lines = looked_at.reshape(height, BLOCK // step, width * BLOCK)
    means = lines.mean(axis=1, dtype=np.float64).reshape(height, width, BLOCK).mean(axis=2) - black
    least = lines.min(axis=1).reshape(height, width, BLOCK).min(axis=2)
    means[least < black - VOID_SIGMAS * sigma] = np.inf
    low, error = max(_lowest(means, squares, axis) for axis in (0, 1))
    return -low, max(ERRORS * error, LEAST_SIGMAS * sigma)


def _lowest(
    means: npt.NDArray[np.float64], squares: npt.NDArray[np.float32], axis: int
) -> tuple[float, float]:
    """The mean of black by the darkest square of each line across `axis`, less what the least of so many is lower than
    their mean if all are black; and its standard error."""
    places = means.argmin(axis=axis)
    lines = np.arange(len(places))
    lowest = means[places, lines] if axis == 0 else means[lines, places]
    darkest = np.argsort(lowest, kind="stable")[: max(3, round(DARK_SHARE * len(lowest)))]
    middle = float(np.median(lowest[darkest]))
    if middle >= 0:
        return middle, 0.0
    errors = []
    for line in darkest:
        row, column = (places[line], line) if axis == 0 else (line, places[line])
        square = squares[row, :, column].astype(np.float64)
        # The noise of rows and columns does not average out along them; each mean of theirs holds that of its pixels.
        of_rows, of_columns = square.mean(axis=1).var(), square.mean(axis=0).var()
        pixels = square.var() / square.size
        errors.append(max(of_rows / square.shape[0] + of_columns / square.shape[1] - pixels, pixels) ** 0.5)
    error = float(np.median(errors))
    least = least_of_normal()[min(means.shape[axis], COUNT_MAX)]
    return middle - least * error, ERROR_OF_MEDIAN * error / len(darkest) ** 0.5


@cache
def least_of_normal() -> tuple[float, ...]:
    """The mean of the least of n normal values, in standard deviations, by n up to COUNT_MAX (Blom, 1958)."""
    return (0.0, *(NormalDist().inv_cdf((1 - 0.375) / (n + 0.25)) for n in range(1, COUNT_MAX + 1)))
