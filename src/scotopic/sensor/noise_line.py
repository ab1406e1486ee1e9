"""The line through the noise of groups of like brightness, variance = shot * x + read, and what sensors have of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FIT_ROUNDS = 16

ABOVE_WEIGHT = 0.1
"""Weight, in the fit, of a group above the line against one below: texture only ever adds."""

FAR_ABOVE = 2.0
"""Times the line's variance above which a group weighs less still (ABOVE_WEIGHT), by how far it is above: else a few
that are texture all over outweigh those that lie on the line. Experiments.md, 2026-12-01."""

SHOT_MAX_PER_ISO = 1.5e-6
"""No camera with 14 bits or more has fewer than 6,700 electrons at ISO 100: one-inch sensors are said to
have 9,000 or more, the worst of the published calibrations (calibrations.toml) has 32,000."""

ISO_LEAST = 25
"""Cameras' own scales begin here or higher; a lower one, such as 1, is a gain or nothing, and tells no noise."""

DEEP_WHITE_DN = 8192
"""A white level above this is of 14 bits or more."""

SHOT_MIN = 1e-7
"""Slope of variance over light of a sensor of ten million electrons a pixel, of which there is none."""

SHOT_LEAST_PER_ISO = 5e-8
"""No sensor holds more than 200,000 electrons a pixel at ISO 100; the deepest of the published calibrations
(calibrations.toml) holds 166,000. What is averaged or merged of several frames has less shot noise."""

EVEN = 1.2
"""Three quarters up the groups of an even picture it is brighter by at most this factor than a quarter up. Of X-Trans,
whose greens alone are looked at, the shot part is then told as none in a third of the frames; from here on it is right
within 0.4 to 1.4 times (a ramp at x64 ISO 3200)."""

Floats = npt.NDArray[np.float64]


def fit_line(x: Floats, v: Floats, weight: Floats) -> tuple[float, float]:
    """Non-negative weighted least squares of v = shot * x + read in relative error, near the lower edge."""
    x = np.maximum(x, 0)
    shot, read = 0.0, float(np.median(v))
    for _ in range(FIT_ROUNDS):
        line = np.maximum(shot * x + read, 1e-14)
        far = np.minimum(1.0, FAR_ABOVE * line / np.maximum(v, line))
        w = weight * np.where(v > line, ABOVE_WEIGHT**0.5 * far, 1.0) / line
        design = np.stack([x * w, w], axis=1)
        (shot, read), *_ = np.linalg.lstsq(design, v * w, rcond=None)
        if shot < 0:
            shot, read = 0.0, float(np.average(v * w, weights=w) / np.average(w, weights=w))
        if read < 0:
            shot, read = float(np.sum(v * x * w * w) / np.sum(x * x * w * w)), 0.0
    return float(shot), float(read)


def with_least_shot(levels: Floats, shot: float, read: float, iso: float) -> tuple[float, float]:
    """A fitted line, in an even picture, where levels are too much alike to tell its slope, no flatter than sensors
    are; its variance at the picture's own level, which is known, stays.

    `levels` in order. What several frames were averaged to may have less: all it has is shot noise then.

    >>> with_least_shot(np.array([0.010, 0.0101, 0.0102, 0.0103]), 0.0, 1e-5, 3200)
    (0.00015999999999999999, 8.368e-06)
    >>> with_least_shot(np.array([0.010, 0.012, 0.015, 0.02]), 0.0, 1e-5, 3200)
    (0.0, 1e-05)
    """
    quarter, middle, three_quarters = (float(levels[n * levels.size // 4]) for n in (1, 2, 3))
    if not 0 < three_quarters <= EVEN * quarter:
        return shot, read
    variance = shot * middle + read
    least = min(SHOT_LEAST_PER_ISO * iso, variance / middle)
    return (shot, read) if shot >= least else (least, variance - least * middle)
