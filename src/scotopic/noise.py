"""How noisy a picture is: from the file if it says so, else from the picture itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scotopic.frame import BLUE, GREEN, RED, Counts, Mosaic, NoiseProfile

BLOCK = 16
"""Blocks of this many values of one colour, squared, are looked at for flatness."""

FLAT_QUANTILE = 0.02
"""Share of blocks of like brightness that are taken to be flat: experiments.md, 2026-11-22."""

CLIPPED_MAX = 0.01
"""A block with more clipped values than this share tells nothing of its noise."""

BLOCKS_MIN = 8
"""Fewer blocks than this measure nothing; one DN of rounding noise is then assumed."""

BINS = 12
"""Groups of like brightness into which the blocks are sorted."""

SHOT_MIN = 1e-7
"""No sensor holds ten million electrons a pixel."""

DISAGREEMENT = 2.5
"""A stated profile whose variance is off by more than this factor is overruled."""


@dataclass(frozen=True)
class NoiseEstimate:
    """The profile to work with and, where the file's own was overruled, a word why."""

    profile: NoiseProfile
    warning: str = ""


def estimate(mosaic: Mosaic) -> NoiseEstimate:
    """The noise of a picture: the file's NoiseProfile if the picture bears it out, else the blind fit."""
    fit = blind_fit(mosaic)
    stated = mosaic.noise
    if stated is None:
        return NoiseEstimate(fit)
    level = typical_level(mosaic)
    factor = float(
        np.mean([stated.variance(level, c) for c in (RED, GREEN, BLUE)])
        / np.mean([fit.variance(level, c) for c in (RED, GREEN, BLUE)])
    )
    if 1 / DISAGREEMENT <= factor <= DISAGREEMENT:
        return NoiseEstimate(stated)
    return NoiseEstimate(
        fit,
        f"the file's NoiseProfile gives {factor:.2g} times the variance that the picture shows; "
        "measured noise is used",
    )


def typical_level(mosaic: Mosaic) -> npt.NDArray[np.floating]:
    """The median x of the picture, where its noise is compared: a 0-dimensional array."""
    greens = [plane for colour, plane in mosaic.colour_planes() if colour == GREEN]
    median = np.median(np.concatenate([g[::4, ::4].ravel() for g in greens]))
    return np.array(max(float(median), 0.0))


def blind_fit(mosaic: Mosaic) -> NoiseProfile:
    """Fit variance = shot * x + read to the flattest blocks of the picture, all colours alike.

    Second differences along a row of one colour are free of row noise and of slopes. In each group
    of blocks of like brightness the lower tail of their variances is what flat blocks give; its
    place in the distribution is known, so the level is corrected for having chosen the lowest.
    """
    means, variances = [], []
    size = len(mosaic.cfa)
    for place, (_, plane) in enumerate(mosaic.colour_planes()):
        dy, dx = divmod(place, size)
        counted = mosaic.data[dy::size, dx::size]
        m, v = _block_statistics(plane, counted, mosaic.saturation)
        means.append(m)
        variances.append(v)
    mean, variance = np.concatenate(means), np.concatenate(variances)
    span = mosaic.white - float(np.mean(mosaic.black))
    quantum = 1 / 12 / span**2
    if mean.size < BLOCKS_MIN:
        return _profile(1 / span, quantum)
    points = _flat_points(mean, variance)
    shot, read = _fit_line(*points)
    return _profile(max(shot, SHOT_MIN), max(read, quantum))


def _profile(shot: float, read: float) -> NoiseProfile:
    return NoiseProfile((shot,) * 3, (read,) * 3, "measured on the picture")


def _block_statistics(
    plane: npt.NDArray[np.float32], counted: Counts, saturation: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and noise variance of each block that is clipped neither at 0 DN nor at saturation."""
    height, width = (n - n % BLOCK for n in plane.shape)
    if not height or not width:
        return np.empty(0), np.empty(0)

    def blocks(array: Counts) -> npt.NDArray[Any]:
        cut = array[:height, :width].reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK)
        return cut.transpose(0, 2, 1, 3).reshape(-1, BLOCK, BLOCK)

    values, dn = blocks(plane), blocks(counted)
    unclipped = ((dn == 0) | (dn >= saturation)).mean(axis=(1, 2)) < CLIPPED_MAX
    values = values[unclipped]
    second = values[:, :, :-2] - 2 * values[:, :, 1:-1] + values[:, :, 2:]
    variance = np.square(second).mean(axis=(1, 2), dtype=np.float64) / 6
    return values.mean(axis=(1, 2), dtype=np.float64), variance


def _flat_points(
    mean: npt.NDArray[np.float64], variance: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """For each group of like brightness: its mean, the variance of its flat blocks, and a weight."""
    order = np.argsort(mean)
    groups = np.array_split(order, max(2, min(BINS, mean.size // 12)))
    xs, vs, ws = [], [], []
    for group in groups:
        low = float(np.quantile(variance[group], FLAT_QUANTILE))
        xs.append(float(np.median(mean[group])))
        vs.append(low / _FLAT_FACTOR)
        ws.append(np.sqrt(group.size))
    return np.array(xs), np.array(vs), np.array(ws)


def _fit_line(
    x: npt.NDArray[np.float64], v: npt.NDArray[np.float64], weight: npt.NDArray[np.float64]
) -> tuple[float, float]:
    """Non-negative weighted least squares of v = shot * x + read in relative error."""
    x = np.maximum(x, 0)
    shot, read = 0.0, float(np.median(v))
    for _ in range(8):
        w = weight / np.maximum(shot * x + read, 1e-14)
        design = np.stack([x * w, w], axis=1)
        (shot, read), *_ = np.linalg.lstsq(design, v * w, rcond=None)
        if shot < 0:
            shot, read = 0.0, float(np.average(v * w, weights=w) / np.average(w, weights=w))
        if read < 0:
            shot, read = float(np.sum(v * x * w * w) / np.sum(x * x * w * w)), 0.0
    return float(shot), float(read)


def _flat_factor() -> float:
    """What quantile FLAT_QUANTILE of a flat block's variance estimate is, for variance 1."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(4000, BLOCK, BLOCK))
    second = noise[:, :, :-2] - 2 * noise[:, :, 1:-1] + noise[:, :, 2:]
    return float(np.quantile(np.square(second).mean(axis=(1, 2)) / 6, FLAT_QUANTILE))


_FLAT_FACTOR = 0.762
"""`_flat_factor()`, drawn once; a test draws it again."""
