"""Pairs of flat frames to the gain, by the photon transfer method (Janesick 2007; EMVA 1288)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from scotopic.calibration.frames import FLAT_LEVELS, Frame, above_black, by_setting, words_of
from scotopic.calibration.profile import Floats, Setting
from scotopic.frame import Mosaic
from scotopic.read import read_mosaic
from scotopic.sensor import QUANTISATION_VARIANCE_DN2

FLAT_STEADY = 0.1
"""Two flats make a pair if their light is equal to this share."""

FLAT_BLOCK = 16
"""Side of the blocks of one place of the cell."""

FLAT_BLOCKS_MIN = 8

Points = npt.NDArray[np.float64]


def transfer_points(frames: list[Frame], dark: Setting | None, notes: list[str]) -> Points:
    """Mean above true black and variance from frame to frame of blocks, (n, 2) in DN."""
    found: list[Points] = []
    for group in by_setting(frames):
        unsteady, pairs = 0, 0
        before: Mosaic | None = None
        for (a, b), fresh in zip(pairwise(group), range(len(group)), strict=False):
            first = before if before is not None and fresh else read_mosaic(a.path)
            second = read_mosaic(b.path)
            before = second
            if abs(a.level_dn / b.level_dn - 1) > FLAT_STEADY:
                unsteady += 1
                continue
            found.append(_pair_points(first, second, dark))
            pairs += 1
        if not pairs:
            why = "their light differs too much" if unsteady else "one flat only: two alike are needed"
            notes.append(f"{words_of(group[0])}: flats left out, {why}")
    points = np.concatenate(found) if found else np.empty((0, 2))
    if found and len(points) < FLAT_BLOCKS_MIN:
        notes.append(f"ISO {frames[0].iso:g}: flats left out, nowhere exposed to the middle")
        return np.empty((0, 2))
    return points


def _pair_points(first: Mosaic, second: Mosaic, dark: Setting | None) -> Points:
    size = len(first.cfa)
    error = np.array(dark.black_error_dn if dark else [0.0] * size * size).reshape(size, size)
    planes = [above_black(m) for m in (first, second)]
    points = []
    for dy in range(size):
        for dx in range(size):
            top = min(first.saturation, second.saturation) - float(first.black[dy, dx])
            a, b = (_blocks(p[dy::size, dx::size]) for p in planes)
            highest = np.maximum(a, b).max(axis=(1, 2))
            mean = (a.mean(axis=(1, 2)) + b.mean(axis=(1, 2))) / 2 - error[dy, dx]
            d = (a - b).astype(np.float64)
            # Row noise and flickering light go with the mean of each row.
            d -= d.mean(axis=2, keepdims=True)
            variance = np.square(d).sum(axis=(1, 2)) / (FLAT_BLOCK * (FLAT_BLOCK - 1)) / 2
            fits = (highest < FLAT_LEVELS[1] * top) & (mean > FLAT_LEVELS[0] * top)
            points.append(np.stack([mean[fits], variance[fits]], axis=1))
    return np.concatenate(points).astype(np.float64)


def _blocks(plane: Floats) -> Floats:
    n = FLAT_BLOCK
    height, width = (side - side % n for side in plane.shape)
    cut = plane[:height, :width].reshape(height // n, n, width // n, n)
    return cut.transpose(0, 2, 1, 3).reshape(-1, n, n)


def gain_of(points: Points, dark: Setting | None) -> float:
    """DN per electron: the slope of variance over mean, read noise known from the dark frames or fitted."""
    mean, variance = points.T
    if dark is not None:
        ground = dark.read_std_dn**2 + QUANTISATION_VARIANCE_DN2
        return float(np.median((variance - ground) / mean))
    slope, _ = np.polyfit(mean, variance, 1, w=1 / np.maximum(variance, 1e-6))
    return float(slope)
