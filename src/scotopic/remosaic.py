"""Pictures that hold finished colours a pixel, sampled back to a mosaic that the models know."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scotopic.errors import SettingsError
from scotopic.frame import GREEN, RGGB, Capture, Captured, Linear, Mosaic

WHITE_DN = 65535.0
"""The white level that the samples are given."""


def as_mosaic(captured: Captured) -> Mosaic:
    """A mosaic as it is; a linear picture sampled back to one, of the Bayer phase that kept most noise.

    A demosaicking program keeps the samples it found and makes up the others from their neighbours, which
    evens out their noise. So the pixels that are noisiest were counted, and the noise on them is again
    that of a sensor: independent from pixel to pixel, which is what the models have learnt.

    The data are float32 in DN, 0 to WHITE_DN for 0 to 1. Raises SettingsError for less than one cell.
    """
    if isinstance(captured, Mosaic):
        return captured
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
