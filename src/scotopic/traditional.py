"""The traditional way: LibRaw's own development, brightened. The baseline to beat."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from scotopic.colour import XYZ_FROM_SRGB
from scotopic.develop import develop, srgb_profile
from scotopic.dng.write import write_mosaic
from scotopic.errors import SettingsError, UnsupportedRawError
from scotopic.frame import Captured, Mosaic, Rendered, Shown
from scotopic.read import libraw_develop, libraw_truth, read_mosaic
from scotopic.sandbox import libraw_develop_sandboxed

PEDESTAL_DN, TOP_DN = 4096.0, 65535.0
"""Black and white of a mosaic that is made whole numbers: there is room for noise below black."""


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
    only amplified, and given LibRaw's colours and curve; mosaics that LibRaw cannot decode, or reads otherwise than
    their tags say, are handed to it as plain DNGs, the lens's shading evened out. With `sandboxed` LibRaw works in a
    child of limited means.
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
    developed: Callable[..., Shown] = libraw_develop_sandboxed if sandboxed else libraw_develop

    def by_libraw(file: Path, mosaic: Mosaic) -> Rendered:
        wanted = (mosaic.white - float(mosaic.black.min())) / ratio
        whole = max(1, math.ceil(wanted))
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
        return Rendered(data=picture, icc=srgb_profile(), exif=captured.exif_upright)

    if captured.data.dtype == np.uint16:
        try:
            return by_libraw(path, captured)
        except UnsupportedRawError:
            pass
    with _plain_dng(captured, path.stem) as (file, mosaic):
        return by_libraw(file, mosaic)


def truth_of(path: Path, kind: Literal["srgb", "linear"], *, evened: bool = True) -> npt.NDArray[np.uint16]:
    """`libraw_truth`, of mosaics that LibRaw cannot decode, or reads otherwise than their tags say, as well.

    The lens's shading is evened out by the file's maps, as in what `enhance` gives; not `evened`: it lies over the
    mosaic as it was counted.
    """
    try:
        return libraw_truth(path, kind, evened=evened)
    except UnsupportedRawError:
        pass
    mosaic = read_mosaic(path)
    with _plain_dng(mosaic if evened else mosaic.with_changes(shading=None), path.stem) as (file, _):
        return libraw_truth(file, kind)


@contextmanager
def _plain_dng(mosaic: Mosaic, name: str) -> Iterator[tuple[Path, Mosaic]]:
    """A file that LibRaw decodes as this mosaic, and the mosaic as it stands there, evened and in whole numbers."""
    mosaic = _in_whole_numbers(mosaic.evened())
    if mosaic.xyz_to_camera is None:
        # LibRaw takes the camera's colours for those of sRGB where it knows none.
        mosaic = mosaic.with_changes(xyz_to_camera=np.linalg.inv(XYZ_FROM_SRGB))
    with tempfile.TemporaryDirectory(prefix="scotopic-") as folder:
        file = Path(folder) / f"{name}.dng"
        write_mosaic(file, mosaic)
        yield file, mosaic


def _in_whole_numbers(mosaic: Mosaic) -> Mosaic:
    """A mosaic in finer steps than any sensor counts, its black one number, as LibRaw knows one for a colour."""
    span, size = TOP_DN - PEDESTAL_DN, len(mosaic.cfa)
    data = np.empty(mosaic.data.shape, np.uint16)
    for place, (_, light) in enumerate(mosaic.colour_planes()):
        dy, dx = divmod(place, size)
        data[dy::size, dx::size] = np.rint(light * np.float32(span) + PEDESTAL_DN).clip(0, TOP_DN)
    highest = float(mosaic.black.max())
    saturated = (mosaic.saturation - highest) / (mosaic.white - highest)
    return mosaic.with_changes(
        data=data,
        black=np.full((size, size), PEDESTAL_DN),
        white=TOP_DN,
        saturation=min(TOP_DN, PEDESTAL_DN + saturated * span),
    )
