"""Whether a camera has smoothed its noise before it wrote the file, and how much of it that hides.

Values smoothed with their neighbours of the same colour differ little from these, and noise that is looked for in such
differences seems less than a network finds: its slow part is as strong as ever. White noise varies alike whatever
the distance of what is compared; smoothed noise varies more over three values than over one. So does texture, but that
is seen by all colours, and noise by each alone.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from scotopic.frame import Mosaic
from scotopic.sensor.simulated import QUANTISATION_VARIANCE_DN2

BLOCK = 16
"""Side of the blocks, in values of one colour."""

BLOCKS_MAX = 1000
"""Blocks of all colours that are looked at, about: of more, every second, third, ... in a row, in every such row."""

BLOCKS_MIN = 96
"""Blocks that show something, at least."""

BINS = 5
"""Groups of like brightness into which blocks are sorted."""

NOISY_LEAST = 2
"""Groups that have to show noise rather than texture; one may be of what one colour alone shows."""

LAGS = (1, 2, 3, 5)
"""Distances, in values of one colour along a row, over which second differences are taken."""

FLAT_QUANTILE = 0.05
"""Share of blocks of like brightness that are taken to be flat."""

RED_LEAST = 1.3
"""Mean square of second differences over three values in units of that over one, from which on noise is smoothed; of
white noise it is 0.9 to 1.1 in flat blocks: experiments.md, 2026-11-30."""

LEVEL_MAX = 1.3
"""Mean square of second differences over five values in units of that over three, up to which it is noise; texture
varies more."""

QUIET_SHARE = 0.2
"""Share of blocks of like brightness, those that vary least, that tell whether they show texture."""

SHARED_MAX = 0.15
"""Correlation of what places of different colours show, from which on it is texture, slightly blurred: experiments.md,
2026-11-30."""

SHARED_LAG = 3
"""Distance over which that is asked: what smoothing leaves of noise is strongest there, and texture as well."""

ROUNDED = 6 * QUANTISATION_VARIANCE_DN2
"""Mean square of second differences, in DN², below which rounding to whole DN leaves no noise to look at."""

SLOW_SHARE = 0.5
"""Share of the slow part of smoothed noise that a network is told, found best; the fine part, which is gone, would want
less."""

Floats = npt.NDArray[np.float64]


def smoothing(mosaic: Mosaic) -> float:
    """The slow part of the noise over what second differences of neighbours show of it, as variances.

    1 for white noise, for X-Trans, and where a picture has too few blocks to tell or more texture than noise.

    >>> rng = np.random.default_rng(0)
    >>> levels = {"black": np.full((2, 2), 512.0), "white": 16383.0, "saturation": 16383.0, "wb": (2.0, 1.0, 1.5)}
    >>> noise = rng.normal(600, 20, (512, 512))
    >>> smoothing(Mosaic(data=noise.astype(np.uint16), cfa=((0, 1), (1, 2)), **levels))
    1.0
    >>> smoothed = (noise[:-2, :-2] + noise[2:, :-2] + noise[:-2, 2:] + noise[2:, 2:]) / 4
    >>> smoothing(Mosaic(data=smoothed.astype(np.uint16), cfa=((0, 1), (1, 2)), **levels)) > 3
    True
    """
    if len(mosaic.cfa) > 2:
        return 1.0
    mean, squares, shared = _blocks(mosaic)
    if mean.size < BLOCKS_MIN:
        return 1.0
    noisy = []
    for group in np.array_split(np.argsort(mean, kind="stable"), BINS):
        low = np.quantile(squares[:, group], FLAT_QUANTILE, axis=1)
        quiet = squares[0, group] <= np.quantile(squares[0, group], QUIET_SHARE)
        if low[0] >= ROUNDED and shared[group][quiet].mean() <= SHARED_MAX:
            noisy.append(low)
    if len(noisy) < NOISY_LEAST:
        return 1.0
    # Texture makes red what is white, and never the other way: the group that is least so counts.
    near, farther, far, farthest = min(noisy, key=lambda low: float(low[2] / low[0]))
    if far < RED_LEAST * near or farthest > LEVEL_MAX * far:
        return 1.0
    return max(1.0, _slow_part(near, farther, far))


def _slow_part(near: float, farther: float, far: float) -> float:
    """The slow part of noise over what second differences show, by their mean squares over 1, 2 and 3 values.

    A second difference over k values has 6 - 8 r(k) + 2 r(2k) times a value's variance, r the correlation
    of values so far apart along a row, taken to be 0 from three on, and as along columns.
    """
    variance = far / 6
    second = (6 - farther / variance) / 8
    first = (6 + 2 * second - near / variance) / 8
    along = 1 + 2 * max(first, 0) + 2 * max(second, 0)
    return float(far / near * along**2)


def _blocks(mosaic: Mosaic) -> tuple[Floats, Floats, Floats]:
    """Of blocks of single colours, cut nowhere: mean above black (N,), by lag the mean square of second differences
    (lags, N), and their mean correlation with those of the places of other colours in the cell (N,): the two greens may
    share what a camera has smoothed, as remosaiced quad sensors do.
    """
    size = len(mosaic.cfa)
    step = max(1, round(math.sqrt(mosaic.data.size / BLOCK**2 / BLOCKS_MAX)))
    down, across = (n // size // BLOCK for n in mosaic.data.shape)
    values = []
    for dy in range(size):
        for dx in range(size):
            plane = mosaic.data[dy::size, dx::size][: down * BLOCK, : across * BLOCK]
            cut = plane.reshape(down, BLOCK, across, BLOCK)
            blocks = cut[::step, :, ::step].swapaxes(1, 2)
            values.append(blocks.reshape(-1, BLOCK, BLOCK).astype(np.float32))
    places = np.array(values)
    whole = ~((places <= 0) | (places >= mosaic.saturation)).any(axis=(2, 3))
    # What is cut in one place is left out in all, so that they can be held against each other.
    places = places[:, whole.all(axis=0)]
    means = places.mean(axis=(2, 3), dtype=np.float64) - mosaic.black.reshape(-1, 1)
    squares = np.array(
        [np.square(second_differences(places, lag)).mean(axis=(2, 3), dtype=np.float64) for lag in LAGS]
    )
    over = second_differences(places, SHARED_LAG)
    over /= np.sqrt(np.square(over).mean(axis=(2, 3), keepdims=True) + np.float32(1e-9))
    colours = np.array(mosaic.cfa).ravel()
    shared = np.array(
        [
            (seen * over[colours != colour].mean(axis=0)).mean(axis=(1, 2), dtype=np.float64)
            for seen, colour in zip(over, colours, strict=True)
        ]
    )
    return means.ravel(), squares.reshape(len(LAGS), -1), shared.ravel()


def second_differences(values: npt.NDArray[np.float32], lag: int = 1) -> npt.NDArray[np.float32]:
    """Second differences along rows, the last axis, of values so many apart."""
    found: npt.NDArray[np.float32] = values[..., 2 * lag :] - 2 * values[..., lag:-lag]
    found += values[..., : -2 * lag]
    return found
