"""What a picture itself tells where its file is silent: where the sensor saturates, where it is black, what is grey."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from scotopic.frame import BLUE, GREEN, RED, Counts

SATURATION_FROM = 0.85
"""A sensor that clips below its white level does so above this share of its range."""

SATURATION_PIXELS = 64
"""Pixels of one value that are a sign of clipping, at least."""

SATURATION_PEAK = 10
"""Pixels of the clipped value over those of the values below, at least: a pile, not the top of a bright patch."""

SATURATION_ABOVE = 0.05
"""Share of the bright pixels that may lie above the clipped value: hot ones, and other colours' clipped values."""

MASKED_SKIPPED = 4
"""Columns at either edge of a masked margin that may not be like the others."""

MASKED_LEAST = 8
"""A place of the cell with fewer masked columns tells less of black than what is stated."""

MASKED_ROWS_LEAST = 100

MASKED_ABOVE_STATED = (-0.5, 1.5)
"""DN by which masked columns may be above the black stated, their mean without its fraction: others are none."""

MASKED_APART = 0.5
"""DN by which the means of the left and the right masked columns may differ: light that falls on some does that."""

RAISED_FROM, RAISED_TO = 0.01, 0.125
"""Shares of white between which cameras' black levels lie."""

RAISED_ALIKE = 1.15
"""So alike are the darkest values of all colours where black alone is in them. Of fog they lie as far apart as the
gains of the white balance."""

DARKEST_SHARE = 1e-4
"""Of a colour's values, so many may be darker: dead pixels."""

DARKEST_OF = 1_000_000
"""About so many values show it."""

COUNTS_FROM, COUNTS = 256, 65536
"""Floats with a white level below the one become counts by the other, a power of two, so that no bit is
lost: what follows takes a mosaic's values for DN, whose steps are 1."""

GREY_WORLD = "grey world (the file gives none)"
"""Where a white balance comes from that the picture had to tell."""

FLOAT_STEPS = 2047
"""Floats, and integers of more than 16 bits, are told apart as finely as a half float tells them near 1."""


def saturation(data: Counts, black: float, white: float) -> float:
    """Where this sensor stops counting, in DN: the pile of equal values near the top, else `white`.

    `data` of any shape; `black` the highest black level. Many cameras clip below the white level they
    state; without this, lamps would turn violet.
    """
    bright = data[data >= black + SATURATION_FROM * (white - black)]
    if bright.size < SATURATION_PIXELS:
        return white
    if bright.dtype.kind == "f" or bright.dtype.itemsize > 2:
        step = (white - black) / FLOAT_STEPS
        counted = np.rint((np.minimum(bright, 2 * white - black) - black) / step).astype(np.int64)
        pile = _pile(counted)
        return white if pile is None else float(min(black + pile * step, white))
    pile = _pile(bright)
    return white if pile is None else float(min(pile, white))


def _pile(bright: npt.NDArray[Any]) -> int | None:
    """The value that stands out, as clipping makes it."""
    counts = np.bincount(bright)
    peak = int(counts.argmax())
    below = counts[max(int(bright.min()), peak - 200) : max(0, peak - 3)]
    usual = float(below.mean()) if below.size else 0.0
    stands_out = counts[peak] >= max(SATURATION_PIXELS, SATURATION_PEAK * usual)
    tops = np.count_nonzero(bright > peak + 2) <= SATURATION_ABOVE * bright.size
    return peak if stands_out and tops else None


def black_of_margin(
    margin: Counts, black: npt.NDArray[np.float64], white: float
) -> npt.NDArray[np.float64]:
    """The black of each place of the cell, in DN, by the masked columns left of the picture, as far as they are.

    `margin` (H, M) are the columns before the picture's first, in its rows; `black` is what LibRaw says, of each place
    of the cell at the picture's corner. Where it measures the same columns it cuts the fractions of their means off:
    amplified 250 times, half a DN of 14 bits is a tint. The median of the columns' means, as single columns are off.

    >>> margin = np.full((200, 40), 128)
    >>> margin[::2, ::2] += np.arange(100)[:, np.newaxis] % 2
    >>> black_of_margin(margin, np.full((2, 2), 128.0), 4095).tolist()
    [[128.5, 128.0], [128.0, 128.0]]
    """
    size = len(black)
    rows, columns = margin.shape
    if rows < max(size, MASKED_ROWS_LEAST):
        return black
    measured = np.empty_like(black)
    for y in range(size):
        means = margin[y::size].mean(axis=0, dtype=np.float64)
        for x in range(size):
            first = MASKED_SKIPPED + (columns + x - MASKED_SKIPPED) % size
            of_place = means[first : columns - MASKED_SKIPPED : size]
            if of_place.size < MASKED_LEAST:
                return black
            half = of_place.size // 2
            if abs(np.median(of_place[:half]) - np.median(of_place[-half:])) > MASKED_APART:
                return black
            measured[y, x] = np.median(of_place)
    least, most = MASKED_ABOVE_STATED
    above = measured - black
    agrees = above.min() >= least and above.max() <= most and measured.max() < white
    return measured if agrees else black


def raised(
    data: Counts,
    cfa: tuple[tuple[int, ...], ...],
    black: npt.NDArray[np.float64],
    white: float,
) -> float | None:
    """The DN from which the values of a file begin that states no black, where that seems to be its black; else None.

    Experiments.md, 2026-11-30.

    >>> counts = np.random.default_rng(0).normal(520, 4, (200, 300)).astype(np.uint16)
    >>> raised(counts, ((0, 1), (1, 2)), np.zeros((2, 2)), 16383)
    504.0
    >>> raised(counts, ((0, 1), (1, 2)), np.full((2, 2), 512.0), 16383) is None
    True
    """
    size = len(cfa)
    if black.max() > 0 or min(data.shape) < size:
        return None
    step = size * max(1, data.size // DARKEST_OF)
    lows = []
    for colour in (RED, GREEN, BLUE):
        places = np.argwhere(np.array(cfa) == colour)
        values = np.concatenate([data[y::step, x::size].ravel() for y, x in places])
        at = int(DARKEST_SHARE * values.size)
        lows.append(float(np.partition(values, at)[at]))
    low, high = min(lows), max(lows)
    alike = high <= RAISED_ALIKE * low
    return low if alike and RAISED_FROM * white <= low <= RAISED_TO * white else None


def grey_world(
    data: Counts,
    cfa: tuple[tuple[int, ...], ...],
    black: npt.NDArray[np.float64],
    white: float,
) -> tuple[float, float, float]:
    """Gains for R, G, B that make the mean of all unclipped 8x8 blocks grey; green = 1.

    The estimate of dcraw and LibRaw for files without a white balance.
    """
    size = 8 * len(cfa) // np.gcd(8, len(cfa))
    height, width = (n - n % size for n in data.shape)
    if not height or not width:
        return (1.0, 1.0, 1.0)
    blocks = data[:height, :width].reshape(height // size, size, width // size, size)
    # LibRaw's margin of 25 DN, where the white level is a number of counts and not 1.
    fits = blocks.max(axis=(1, 3)) <= (white - 25 if white > 255 else 0.99 * white)
    if not fits.any():
        return (1.0, 1.0, 1.0)
    sums, counts = np.zeros(3), np.zeros(3)
    mean = blocks.transpose(0, 2, 1, 3)[fits].astype(np.float64).mean(axis=0)
    repeat = size // len(cfa)
    colours = np.tile(np.array(cfa), (repeat, repeat))
    light = np.maximum(mean - np.tile(black, (repeat, repeat)), 0)
    for colour in (RED, GREEN, BLUE):
        sums[colour] = light[colours == colour].sum()
        counts[colour] = (colours == colour).sum()
    if (sums <= 0).any():
        return (1.0, 1.0, 1.0)
    gains = counts / sums
    return (float(gains[0] / gains[1]), 1.0, float(gains[2] / gains[1]))


def grey_world_of_light(light: npt.NDArray[np.float32]) -> tuple[float, float, float]:
    """`grey_world` of pictures with all colours at a pixel: `light` (H, W, 3), 1 where it clips."""
    fits = light.max(axis=2) < 0.99
    if not fits.any():
        return (1.0, 1.0, 1.0)
    mean = [max(0.0, float(light[..., colour][fits].mean(dtype=np.float64))) for colour in range(3)]
    if min(mean) <= 0:
        return (1.0, 1.0, 1.0)
    return (mean[1] / mean[0], 1.0, mean[1] / mean[2])
