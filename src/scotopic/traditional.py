"""The traditional way: LibRaw's own development, brightened. The baseline to beat."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from scotopic.develop import srgb_profile
from scotopic.errors import SettingsError
from scotopic.frame import Mosaic, Rendered
from scotopic.read import libraw_develop


def develop_traditional(
    path: Path,
    mosaic: Mosaic,
    *,
    ratio: float = 1.0,
    fbdd: bool = False,
    srgb_curve: bool = False,
    bits: Literal[8, 16] = 8,
) -> Rendered:
    """Let LibRaw develop `path`, amplified by `ratio`; `mosaic` is the same file as read.

    LibRaw amplifies by a lower white point (its `user_sat`), a whole number of DN above black, so the
    remainder goes into `bright`. `fbdd` switches its noise reduction on.
    Raises SettingsError for a ratio below 1/8, where that would no longer be brightening.
    """
    if not ratio > 0.125:
        raise SettingsError(f"ratio {ratio:g} is out of range: above 0.125")
    black = float(mosaic.black.min())
    wanted = (mosaic.white - black) / ratio
    whole = max(1, math.ceil(wanted))
    picture = libraw_develop(
        path,
        user_black=ratio != 1,
        user_sat=whole if ratio != 1 else None,
        bright=whole / wanted,
        fbdd=fbdd,
        srgb_curve=srgb_curve,
        bits=bits,
    )
    return Rendered(data=picture, icc=srgb_profile(), exif=mosaic.exif)
