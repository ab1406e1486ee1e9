"""DNG files written: so far mosaics, which is how simulated photos come to be read like real ones."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from scotopic.frame import Mosaic
from scotopic.metadata import NOISE_PROFILE, attach_to_tiff, filled_in
from scotopic.version import SOFTWARE

_ASCII, _SHORT, _LONG, _RATIONAL, _BYTE, _SRATIONAL, _DOUBLE = 2, 3, 4, 5, 1, 10, 12
_CFA, _D65 = 32803, 21


def write_mosaic(path: Path, mosaic: Mosaic) -> None:
    """Write a Bayer or X-Trans mosaic as an uncompressed DNG; `read` gives the same mosaic back.

    `mosaic.data` must be uint16. The file is written in place: give a name that nobody reads yet.
    """
    cell = len(mosaic.cfa)
    matrix = mosaic.xyz_to_camera if mosaic.xyz_to_camera is not None else np.eye(3)
    known = filled_in(
        mosaic.exif,
        make=mosaic.make,
        model=mosaic.model,
        exposure_s=mosaic.exposure_s,
        iso=mosaic.iso,
    )
    height, width = mosaic.data.shape
    exif, gps = known.directories(width, height)
    tags: list[tuple[int, int, int, Any, bool]] = [
        (274, _SHORT, 1, mosaic.orientation, True),
        (33421, _SHORT, 2, (cell, cell), True),
        (33422, _BYTE, cell * cell, bytes(c for row in mosaic.cfa for c in row), True),
        (50706, _BYTE, 4, b"\1\4\0\0", True),
        (50707, _BYTE, 4, b"\1\1\0\0", True),
        (50708, _ASCII, 0, f"{mosaic.make} {mosaic.model}".strip() or "unknown", True),
        (50713, _SHORT, 2, (cell, cell), True),
        (50714, _RATIONAL, cell * cell, _rationals(mosaic.black.ravel()), True),
        (50717, _LONG, 1, round(mosaic.white), True),
        (50721, _SRATIONAL, 9, _rationals(np.asarray(matrix).ravel()), True),
        (50728, _RATIONAL, 3, _rationals([1 / gain for gain in mosaic.wb]), True),
        (50778, _SHORT, 1, _D65, True),
    ]
    tags += known.texts()
    if mosaic.noise is not None:
        pairs = [v for pair in zip(mosaic.noise.shot, mosaic.noise.read, strict=True) for v in pair]
        tags.append((NOISE_PROFILE, _DOUBLE, 6, tuple(pairs), True))
    tifffile.imwrite(
        path,
        mosaic.data,
        byteorder="<",
        photometric=_CFA,
        software=SOFTWARE,
        metadata=None,
        extratags=tags,
    )
    attach_to_tiff(path, exif, gps)


def _rationals(values: Any) -> tuple[int, ...]:
    flat: list[int] = []
    for value in values:
        fraction = Fraction(float(value)).limit_denominator(10_000_000)
        flat += [fraction.numerator, fraction.denominator]
    return tuple(flat)
