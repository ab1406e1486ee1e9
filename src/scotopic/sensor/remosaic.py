"""Pictures that hold finished colours a pixel: sampled back to a mosaic that the models know, and what of the
models' work on it becomes of the finished colours."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from scotopic.errors import SettingsError
from scotopic.frame import GREEN, RGGB, Capture, Captured, Counts, Linear, Linear32, Mosaic, NoiseProfile
from scotopic.sensor.box_sums import square_sums
from scotopic.sensor.levels import COUNTS, COUNTS_FROM

WHITE_DN = 65535.0
"""The white level that the samples are given."""

EXPLAINED = 2.0
"""Noise explains a change whose mean square is up to so many times its variance. Chosen, experiments.md, 2026-11-28: 1
leaves noise behind where the noise is told too low, 4 loses detail."""

REACH = 2
"""Pixels each way in the squares, 5x5, over which changes are judged."""

DEFECT, ISOLATED = 4.0, 0.05
"""A change is of a hot or dead pixel, which demosaicing has spread over 3x3, where its mean square there is above the
first number of variances, and around them explained, or below that share of it; wholly so from twice the number on,
not at all where there is twice as much around. Soft, since a difference in the last bit must not decide."""

LITTLE_NOISE = 0.005
"""Noise on 18% grey, as a share of display white, below which most of what a network would change is left out."""

MARGIN = 3 * REACH + 1
"""Pixels around one on which it hangs how much of its change is made."""

TINY = 1e-20
"""Least variance that is divided by: a file may have no noise at all."""


def as_mosaic(captured: Captured) -> Mosaic:
    """A mosaic in DN (`in_counts`); a linear picture sampled back to one, of the Bayer phase that kept most noise.

    A demosaicking program keeps the samples it found and makes up the others from their neighbours, which
    evens out their noise. So the pixels that are noisiest were counted, and the noise on them is again
    that of a sensor: independent from pixel to pixel, which is what the models have learnt.

    The data are float32 in DN, 0 to WHITE_DN for 0 to 1. Raises SettingsError for less than one cell.
    """
    if isinstance(captured, Mosaic):
        return in_counts(captured)
    if min(captured.data.shape[:2]) < len(RGGB):
        raise SettingsError(
            f"a picture of {captured.data.shape[1]}x{captured.data.shape[0]} pixels is too small for a mosaic; "
            "2x2 are needed"
        )
    top, left = _noisiest_phase(captured)
    cfa = tuple(tuple(RGGB[(y + top) % 2][(x + left) % 2] for x in (0, 1)) for y in (0, 1))
    height, width, _ = captured.data.shape
    data = np.empty((height, width), np.float32)
    for y in (0, 1):
        for x in (0, 1):
            data[y::2, x::2] = captured.data[y::2, x::2, cfa[y][x]]
    data *= np.float32(WHITE_DN / captured.ratio)
    return Mosaic(
        data=data,
        cfa=cfa,
        black=np.zeros((2, 2)),
        white=WHITE_DN,
        saturation=captured.clip / captured.ratio * WHITE_DN,
        **{f: getattr(captured, f) for f in Capture.__dataclass_fields__},
    )


def in_counts(mosaic: Mosaic, done: Counts | None = None) -> Mosaic:
    """The mosaic in DN, whose steps are 1: one of floats whose range is less than COUNTS_FROM, such as 0 to 1, is
    multiplied by a power of two, that it comes to COUNTS or half of it; others, and whole numbers, are as they are.

    `done` is what has been made of such data already, and is taken in their place.
    """
    span, data = mosaic.white - float(np.max(mosaic.black)), mosaic.data
    is_counted = data.dtype.kind != "f" or span >= COUNTS_FROM or (span >= 2 and _is_whole(data))
    if is_counted:
        return mosaic if done is None else mosaic.with_changes(data=done)
    factor = COUNTS * 2.0 ** -math.ceil(math.log2(span))
    return mosaic.with_changes(
        data=data * np.float32(factor) if done is None else done,
        black=mosaic.black * factor,
        white=mosaic.white * factor,
        saturation=mosaic.saturation * factor,
    )


def _is_whole(data: Counts) -> bool:
    """Whether all values are whole numbers; the first rows that hold others end the search."""
    return all(
        np.array_equal(rows, np.rint(rows)) for rows in np.array_split(data, max(1, len(data) // 64))
    )


def _noisiest_phase(linear: Linear) -> tuple[int, int]:
    """Rows and columns by which RGGB is shifted; 0, 0 where all phases are alike."""
    if linear.monochrome:
        return 0, 0
    noise = {}
    for top in (0, 1):
        for left in (0, 1):
            total = 0.0
            for y in (0, 1):
                for x in (0, 1):
                    colour = RGGB[(y + top) % 2][(x + left) % 2]
                    weight = 0.5 if colour == GREEN else 1.0
                    total += weight * _noise(linear.data[y::2, x::2, colour])
            noise[top, left] = total
    first = noise[0, 0]
    best = max(noise, key=lambda phase: noise[phase])
    return best if noise[best] > 1.02 * first else (0, 0)


def _noise(plane: npt.NDArray[np.float32]) -> float:
    """A measure of the finest detail that edges do not sway: the median of squared second differences."""
    thin = plane[:: max(1, plane.shape[0] // 512)]
    second = thin[:, :-2] - 2 * thin[:, 1:-1] + thin[:, 2:]
    return float(np.median(np.square(second))) if second.size else 0.0


def hardly_noisy(noise: NoiseProfile, ratio: float) -> bool:
    """Whether finished colours of that noise, amplified so, will hardly be changed."""
    grey = np.array(0.18 / ratio)
    return float(np.sqrt(noise.variance(grey, GREEN))) * ratio < LITTLE_NOISE


def with_noise_taken(
    own: Linear32,
    cleaned: Linear32,
    wanted: tuple[slice, slice],
    noise: NoiseProfile,
    ratio: float,
    strength: float,
) -> Linear32:
    """Finished colours, changed towards `cleaned` as far as their noise explains: the `wanted` rows and columns.

    Both (3, h, w), amplified by `ratio`, with MARGIN pixels around what is wanted, or as many as the picture has. Two
    thirds of what a file of finished colours holds is not in the mosaic sampled back from it. Where a network takes
    more out of a square of pixels than there is noise, it has taken detail, and that share of the change is left out:
    of a file without noise all of it, in the dark none. Hot and dead pixels are taken as the network takes them.
    `strength` 0..1 is how much of the rest is done. The noise is that of the samples, x = value / ratio.
    """
    lengths = own.shape[1:]
    near = [
        slice(max(0, s.start - MARGIN), min(n, s.stop + MARGIN))
        for s, n in zip(wanted, lengths, strict=True)
    ]
    # Beyond the edges the picture goes on as it ends.
    short = [
        (n.start - s.start + MARGIN, s.stop + MARGIN - n.stop) for s, n in zip(wanted, near, strict=True)
    ]
    own, cleaned = own[:, near[0], near[1]], cleaned[:, near[0], near[1]]
    change = np.pad(cleaned - own, ((0, 0), *short), mode="edge")
    share = _share(np.pad(own, ((0, 0), *short), mode="edge"), change, noise, ratio)
    share *= np.float32(strength)
    rows, columns = (slice(s.start - n.start, s.stop - n.start) for s, n in zip(wanted, near, strict=True))
    changed: Linear32 = own[:, rows, columns] + share * _inside(change, MARGIN)
    return changed


def _share(own: Linear32, change: Linear32, noise: NoiseProfile, ratio: float) -> Linear32:
    """How much of the change noise explains, 0..1: (3, h, w) to (h - 2 * MARGIN, w - 2 * MARGIN)."""
    # The mean square in variances, pixel by pixel.
    excess = np.zeros([n - 2 * REACH for n in own.shape[1:]], np.float32)
    for colour, (before, taken) in enumerate(zip(own, change, strict=True)):
        light = _means(before + taken, REACH)
        variance = noise.variance(light / np.float32(ratio), colour) * ratio**2
        excess += np.square(_inside(taken, REACH)) / np.maximum(3 * variance, TINY).astype(np.float32)
    defect = _defects(excess)
    judged = _inside(excess, REACH + 1)
    judged = judged - defect * np.maximum(judged - 1, 0)
    share: Linear32 = np.float32(1) / np.maximum(_means(judged, REACH) / np.float32(EXPLAINED), 1)
    share += _inside(defect, REACH) * (1 - share)
    return share


def _defects(excess: Linear32) -> Linear32:
    """How surely hot and dead pixels have spread there, 0..1: (h, w) to (h - 6, w - 6)."""
    near, wide = _inside(_means(excess, 1), 1), _means(excess, 2)
    ring = (25 * wide - 9 * near) / 16
    strong = (near / np.float32(DEFECT) - 1).clip(0, 1)
    alone = (2 - ring / np.maximum(np.float32(EXPLAINED), np.float32(ISOLATED) * near)).clip(0, 1)
    found: Linear32 = strong * alone
    height, width = found.shape
    row = np.maximum(np.maximum(found[:, : width - 2], found[:, 1 : width - 1]), found[:, 2:])
    spread: Linear32 = np.maximum(np.maximum(row[: height - 2], row[1 : height - 1]), row[2:])
    return spread


def _means(values: Linear32, reach: int) -> Linear32:
    """Means over the squares that lie within: (h, w) to (h - 2 * reach, w - 2 * reach)."""
    means = square_sums(values, reach)
    means *= np.float32(1 / (2 * reach + 1) ** 2)
    return means


def _inside(values: npt.NDArray[Any], margin: int) -> npt.NDArray[Any]:
    return values[..., margin:-margin, margin:-margin]
