"""The traditional way: LibRaw's own development, brightened. The baseline to beat."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from scotopic.develop import develop, srgb_profile
from scotopic.dng.write import write_mosaic
from scotopic.errors import SettingsError, UnsupportedRawError
from scotopic.frame import Captured, Mosaic, Rendered, Shown
from scotopic.read import libraw_develop
from scotopic.sandbox import libraw_develop_sandboxed


def develop_traditional(
    path: Path,
    captured: Captured,
    *,
    ratio: float = 1.0,
    fbdd: bool = False,
    dht: bool = False,
    srgb_curve: bool = False,
    bits: Literal[8, 16] = 8,
    sandboxed: bool = False,
) -> Rendered:
    """Let LibRaw develop `path`, amplified by `ratio`; `captured` is the same file as read.

    LibRaw amplifies by a lower white point (its `user_sat`), a whole number of DN above black, so the
    remainder goes into `bright`. `fbdd` switches its noise reduction on, `dht`
    its sharpest demosaic (Bayer only) in place of AHD. Files of finished colours are
    only amplified, and given LibRaw's colours and curve; mosaics that LibRaw cannot decode are handed to it
    as plain DNGs. With `sandboxed` LibRaw works in a child of limited means.
    Raises SettingsError for a ratio below 1/8, where that would no longer be brightening.
    """
    if not ratio > 0.125:
        raise SettingsError(f"ratio {ratio:g} is out of range: above 0.125")
    if not isinstance(captured, Mosaic):
        gain = np.float32(ratio / captured.ratio)
        brighter = captured.with_changes(
            data=captured.data * gain, clip=captured.clip * float(gain), ratio=ratio
        )
        return develop(brighter, look="libraw", bits=bits)
    black = float(captured.black.min())
    wanted = (captured.white - black) / ratio
    whole = max(1, math.ceil(wanted))

    developed: Callable[..., Shown] = libraw_develop_sandboxed if sandboxed else libraw_develop

    def by_libraw(file: Path) -> Rendered:
        picture = developed(
            file,
            user_black=ratio != 1,
            user_sat=whole if ratio != 1 else None,
            bright=whole / wanted,
            fbdd=fbdd,
            dht=dht,
            srgb_curve=srgb_curve,
            bits=bits,
        )
        return Rendered(data=picture, icc=srgb_profile(), exif=captured.exif.upright(captured.orientation))

    try:
        return by_libraw(path)
    except UnsupportedRawError:
        if captured.data.dtype != np.uint16:
            raise
        with tempfile.TemporaryDirectory(prefix="scotopic-") as folder:
            write_mosaic(Path(folder) / "mosaic.dng", captured)
            return by_libraw(Path(folder) / "mosaic.dng")
