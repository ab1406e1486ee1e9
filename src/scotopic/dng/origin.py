"""What a DNG says of its camera and lens that still holds of the light enhanced from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from scotopic.dng.opcodes import split, without_leading_gains
from scotopic.identify import DNG_VERSION, TIFF_HEADS, all_pages

Tag = tuple[int, int, int, Any, bool]
"""Number, type, count, value and True, as tifffile wants a tag that it does not know."""

UNIQUE_CAMERA_MODEL, COLOR_MATRIX_1 = 50708, 50721
ACTIVE_AREA, OPCODE_LIST_3 = 50829, 51022

_COLOUR = {
    COLOR_MATRIX_1,
    50722,  # ColorMatrix2
    50723,  # CameraCalibration1, CameraCalibration2
    50724,
    50727,  # AnalogBalance
    50778,  # CalibrationIlluminant1, CalibrationIlluminant2
    50779,
    50931,  # CameraCalibrationSignature
    50932,  # ProfileCalibrationSignature
    50936,  # ProfileName, ProfileHueSatMapDims, ...Data1, ...Data2, ProfileToneCurve
    50937,
    50938,
    50939,
    50940,
    50941,  # ProfileEmbedPolicy, ProfileCopyright
    50942,
    50964,  # ForwardMatrix1, ForwardMatrix2
    50965,
    50981,  # ProfileLookTableDims, ...Data
    50982,
    51107,  # ProfileHueSatMapEncoding, ProfileLookTableEncoding
    51108,
    51110,  # DefaultBlackRender
}
"""The camera's colour: it belongs to the sensor and is the same before and after enhancing. Not among them:
ProfileGainTableMap, which brightens parts of one dark picture, and BaselineExposure with
BaselineExposureOffset, which brighten all of it: that is what the amplification is for."""


@dataclass(frozen=True)
class Origin:
    """What is carried over from a source DNG; empty for other files.

    `tags` describe the camera's colour; `lens` is OpcodeList3 without the gain maps it begins with, which
    enhancing has applied: warps and vignetting, made for demosaiced pixels and not applied yet.
    """

    file_name: str = ""
    camera: str = ""
    tags: tuple[Tag, ...] = ()
    lens: bytes = b""


def read_origin(path: Path | str, height: int, width: int) -> Origin:
    """Carry over from `path` what holds of a demosaiced picture of that size.

    OpcodeList1 and OpcodeList2 stay behind: they mend and scale the undemosaiced values (bad pixels, shading
    by colour of the mosaic), of which the picture holds none any more. OpcodeList3 stays behind too where
    the picture is not the source's active area pixel by pixel, since its centres would be off.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            if file.read(4) not in TIFF_HEADS:
                return Origin(path.name)
        with tifffile.TiffFile(path) as tiff:
            pages = all_pages(tiff)
            first = pages[0].tags
            if DNG_VERSION not in first:
                return Origin(path.name)
            known = COLOR_MATRIX_1 in first
            return Origin(
                file_name=path.name,
                camera=str(first[UNIQUE_CAMERA_MODEL].value) if UNIQUE_CAMERA_MODEL in first else "",
                tags=tuple(_copied(tag) for tag in first if known and tag.code in _COLOUR),
                lens=_lens(pages, height, width),
            )
    except Exception:
        # The light is worth more than its labels: whatever a broken directory raises, go on without.
        return Origin(path.name)


def _copied(tag: Any) -> Tag:
    value = tag.value
    if isinstance(value, np.ndarray):
        value = tuple(value.ravel().tolist())
    if isinstance(value, str):
        # tifffile writes texts beyond ASCII only as bytes.
        return int(tag.code), int(tag.dtype), 0, value.encode(errors="replace"), True
    return int(tag.code), int(tag.dtype), int(tag.count), value, True


def _lens(pages: list[Any], height: int, width: int) -> bytes:
    for page in pages:
        if OPCODE_LIST_3 not in page.tags:
            continue
        if ACTIVE_AREA in page.tags:
            top, left, bottom, right = page.tags[ACTIVE_AREA].value
            size = (bottom - top, right - left)
        else:
            size = (page.imagelength, page.imagewidth)
        listed = bytes(page.tags[OPCODE_LIST_3].value)
        if size == (height, width) and is_opcode_list(listed):
            return without_leading_gains(listed)
    return b""


def is_opcode_list(listed: bytes) -> bool:
    """Whether the bytes are a whole list of DNG opcodes: a count, then number, version, flags, size, data.

    >>> is_opcode_list(bytes([0, 0, 0, 0])), is_opcode_list(bytes([0, 0, 0, 1]))
    (True, False)
    """
    try:
        split(listed)
    except ValueError:
        return False
    return True
