"""ICC profiles of the colour spaces that pictures are written in, as ICC.1:2022 (version 4) lays them out.

Little CMS, by way of Pillow, makes an sRGB profile only; the others are matrix profiles of a kilobyte.
"""

from __future__ import annotations

import struct
from functools import cache

import numpy as np
from PIL import ImageCms

from scotopic.colour import (
    D65_XYZ,
    FloatArray,
    Primaries,
    xyz_from_rgb,
)

_D50_XYZ = (0.9642, 1.0, 0.8249)
"""The profile connection space's white."""

_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""g, a, b, c, d of ICC's parametric curve 3, as IEC 61966-2-1 has them."""

_DATE = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)

_NAMES: dict[Primaries, str] = {"srgb": "sRGB", "p3": "Display P3", "rec2020": "Rec. 2020"}


@cache
def profile(primaries: Primaries, *, linear: bool = False) -> bytes:
    """The profile of RGB with these primaries and a D65 white; its curve is sRGB's, or none if `linear`.

    >>> profile("p3")[36:40]
    b'acsp'
    """
    if primaries == "srgb" and not linear:
        made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        # Little CMS writes the time of day into it; the same picture makes the same file.
        return made[:24] + _DATE + made[36:]
    name = _NAMES[primaries] + (" (linear)" if linear else "")
    adaptation = _adaptation()
    columns = (adaptation @ xyz_from_rgb(primaries)).T
    # A "curv" of no entries is the identity.
    curve = (
        b"curv" + struct.pack(">II", 0, 0)
        if linear
        else b"para" + struct.pack(">IHH", 0, 3, 0) + _fixed(*_SRGB_CURVE)
    )
    tags: list[tuple[bytes, bytes]] = [
        (b"desc", _text(name)),
        (b"cprt", _text("CC0")),
        (b"wtpt", _xyz(_D50_XYZ)),
        (b"chad", b"sf32" + bytes(4) + _fixed(*adaptation.ravel())),
        *((tag, _xyz(column)) for tag, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)),
        *((tag, curve) for tag in (b"rTRC", b"gTRC", b"bTRC")),
    ]
    offset = 128 + 4 + 12 * len(tags)
    table, body, placed = b"", b"", dict[bytes, int]()
    for tag, data in tags:
        if data not in placed:
            placed[data] = offset + len(body)
            body += data + bytes(-len(data) % 4)
        table += tag + struct.pack(">II", placed[data], len(data))
    head = struct.pack(
        ">I4sI4s4s4s12s4s4sIIIQI12s4s44s",
        offset + len(body),
        b"\0\0\0\0",
        0x04400000,
        b"mntr",
        b"RGB ",
        b"XYZ ",
        _DATE,
        b"acsp",
        b"\0\0\0\0",
        *(0, 0, 0, 0),
        0,
        _fixed(*_D50_XYZ),
        b"\0\0\0\0",
        bytes(44),
    )
    return head + struct.pack(">I", len(tags)) + table + body


@cache
def space_of(icc: bytes) -> tuple[Primaries, bool] | None:
    """Of a profile that `profile` made, its primaries and whether it is linear; None for any other.

    >>> space_of(profile("rec2020", linear=True))
    ('rec2020', True)
    """
    for primaries in _NAMES:
        for linear in (False, True):
            if icc == profile(primaries, linear=linear):
                return primaries, linear
    return None


def _adaptation() -> FloatArray:
    """Bradford's matrix from a D65 white to D50, (3, 3)."""
    there, here = _BRADFORD @ D65_XYZ, _BRADFORD @ np.array(_D50_XYZ)
    matrix: FloatArray = np.linalg.inv(_BRADFORD) @ np.diag(here / there) @ _BRADFORD
    return matrix


def _fixed(*values: float) -> bytes:
    """s15Fixed16Numbers."""
    return struct.pack(f">{len(values)}i", *(round(float(v) * 65536) for v in values))


def _xyz(values: FloatArray | tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(*values)


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">III2s2sII", 0, 1, 12, b"en", b"US", len(encoded), 28) + encoded
