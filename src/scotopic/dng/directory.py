"""What a DNG says of its main raw picture: which of its pages that is, and all that its tags tell."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from scotopic.dng import tags as dngtags
from scotopic.dng.opcodes import ToneMap, corrects_lens, gain_maps, leading_gains, split, tone_maps
from scotopic.dng.tags import Area, Tags
from scotopic.errors import DamagedFileError, ReadError, UnsupportedRawError
from scotopic.frame import NoiseProfile
from scotopic.identify import DNG_VERSION, TIFF_HEADS, all_pages
from scotopic.metadata import NOISE_PROFILE, ORIENTATION
from scotopic.sensor.pattern import Cell
from scotopic.sensor.shading import GainMap

CFA, LINEAR_RAW = 32803, 34892
"""The photometric interpretations of raw pictures: a mosaic, and all colours at a pixel."""

DEFLATE, LOSSLESS_JPEG, LOSSY_JPEG, JPEG_XL = (8, 32946), 7, 34892, 52546
"""Numbers of compressions in TIFF's tag Compression."""

_SEGMENTS = 64
"""Segments of a JPEG among which its frame header is looked for."""

_FRAMES, _LOSSLESS_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}, 0xC3
"""Markers of JPEG's frame headers, each a way of coding; and the one of the lossless way that DNG has."""

_REDUCED, _ENHANCED = 1, 16
"""NewSubFileType: a smaller copy; Adobe's denoised or upscaled picture beside the original."""

SIDE_MAX, PIXELS_MAX = 65535, 500_000_000
"""Largest side and number of pixels: a camera's largest picture is a sensor-shift one of 400 million pixels; more is a
broken file or one made to fill the memory."""

FIELDS_MAX = 16
"""Fields in which a file may store its rows or columns in turn; Adobe uses two."""

LENS_NOTE = "its lens correction (OpcodeList3) is not applied; a DNG made of it hands it on to editors"

SIDE_MIN = 22
"""Smallest side in pixels; smaller pictures are damage or thumbnails. LibRaw's limit (identify.cpp)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Dng:
    """A raw picture's tags. Black and CFA cell begin at the active area's top-left corner.

    `area` is (top, left, bottom, right) in the stored picture; `black` (rows, columns, samples) repeats
    over the area, to which `row_delta` and `column_delta` add; `white` holds one value a sample.
    `black_is_stated` is False where the file is silent and masked pixels must tell (`masked`).
    `beyond_libraw` says in words why LibRaw must not be asked first; empty where it may. `gains` are those
    of lists 2 and 3 against shading; `baseline_ev` the stops by which finished colours are to be brightened, 0 for
    mosaics; `notes` what of it all was left out.
    """

    width: int
    height: int
    samples: int
    is_float: bool
    cell: Cell | None
    area: Area
    masked: tuple[Area, ...]
    black: npt.NDArray[np.float64]
    black_is_stated: bool
    row_delta: npt.NDArray[np.float64] | None
    column_delta: npt.NDArray[np.float64] | None
    white: npt.NDArray[np.float64]
    table: npt.NDArray[np.uint16] | None
    maps: tuple[ToneMap, ...]
    gains: tuple[GainMap, ...]
    baseline_ev: float
    notes: tuple[str, ...]
    interleave: tuple[int, int]
    wb: tuple[float, float, float] | None
    xyz_to_camera: npt.NDArray[np.float64] | None
    orientation: int
    pixel_aspect: float
    noise: NoiseProfile | None
    beyond_libraw: str
    make: str
    model: str
    exposure_s: float | None
    iso: float | None


def read_dng_tags(path: Path) -> Dng | None:
    """The tags of a DNG's main raw picture; None for other files and for directories beyond reading.

    Raises UnsupportedRawError for sensors that cannot be enhanced, DamagedFileError for tags that
    contradict themselves.
    """
    with path.open("rb") as file:
        if file.read(4) not in TIFF_HEADS:
            return None
    try:
        with tifffile.TiffFile(path) as tiff:
            page = main_page(tiff)
            return None if page is None else _described(tiff, page, path.name)
    except ReadError:
        raise
    except Exception:
        # A directory that tifffile cannot read is no reason to refuse a picture that LibRaw can.
        return None


def main_page(tiff: Any) -> Any | None:
    """The page of the picture as shot: full size before smaller copies, mosaic before Adobe's enhanced
    one, the first of several frames. None where the file is no DNG."""
    if not any(DNG_VERSION in page.tags for page in all_pages(tiff)):
        return None
    pages = _raw_pages(tiff)
    return min(pages, key=_rank) if pages else None


def is_lossy(page: Any, tiff: Any) -> bool:
    """Whether a page's picture is in JPEG's lossy way (DCT), whatever number its compression bears.

    Some files of 12 bits give it the lossless one's. LibRaw then decodes nothing, without an error, and what it gives
    is whatever lay in its memory.
    """
    if int(page.compression) != LOSSLESS_JPEG or not page.dataoffsets:
        return int(page.compression) == LOSSY_JPEG
    frame = _frame(tiff.filehandle, page.dataoffsets[0])
    return frame is not None and frame != _LOSSLESS_FRAME


def _frame(file: Any, at: int) -> int | None:
    """The marker of the frame header of a JPEG that begins there; None where there is none."""
    file.seek(at)
    if file.read(2) != b"\xff\xd8":
        return None
    for _ in range(_SEGMENTS):
        if file.read(1) != b"\xff":
            return None
        # Any number of fill bytes may stand before a marker (JPEG, B.1.1.2).
        while (marker := file.read(1)) == b"\xff":
            pass
        if not marker or marker[0] in _FRAMES:
            return marker[0] if marker else None
        file.seek(max(int.from_bytes(file.read(2), "big") - 2, 0), os.SEEK_CUR)
    return None


def _raw_pages(tiff: Any) -> list[Any]:
    return [page for page in all_pages(tiff) if int(page.photometric) in (CFA, LINEAR_RAW)]


def _rank(page: Any) -> tuple[bool, bool, int, bool]:
    kind = int(page.subfiletype)
    area = int(page.imagewidth) * int(page.imagelength)
    return bool(kind & _REDUCED), kind == _ENHANCED, -area, int(page.photometric) != CFA


def _described(tiff: Any, page: Any, name: str) -> Dng:
    tags = Tags(page, tiff.pages[0])
    width, height, samples = int(page.imagewidth), int(page.imagelength), int(page.samplesperpixel)
    _check_size(page, name)
    is_mosaic = int(page.photometric) == CFA
    if samples not in ((1,) if is_mosaic else (1, 3)):
        raise UnsupportedRawError(
            f"{name}: holds {samples} values a pixel; mosaics of one, and pictures of one or three are known"
        )
    cell = dngtags.cell(tags, name) if is_mosaic else None
    area = dngtags.active_area(tags, width, height, name)
    bits = int(np.max(page.bitspersample))
    is_float = int(page.sampleformat) == 3
    table = tags.numbers(dngtags.LINEARIZATION_TABLE)
    black, stated = dngtags.black(tags, samples, cell)
    matrix = dngtags.matrix(tags) if is_mosaic or samples == 3 else None
    interleave = (dngtags.fields(page, dngtags.ROW_FIELDS), dngtags.fields(page, dngtags.COLUMN_FIELDS))
    if max(interleave) > FIELDS_MAX:
        raise DamagedFileError(
            f"{name}: claims that its rows and columns lie in {interleave[0]} and {interleave[1]} fields, at most "
            f"{FIELDS_MAX} make sense; copy the file from the card again"
        )
    maps, gains, notes = _opcodes(page, None if cell is None else len(cell))
    baseline_ev, note = dngtags.baseline_ev(tags) if cell is None else (0.0, "")
    others = [p for p in _raw_pages(tiff) if p is not page and _rank(p)[2] <= _rank(page)[2]]
    reasons = {
        "JPEG XL": int(page.compression) == JPEG_XL,
        "lossy JPEG": is_lossy(page, tiff),
        "floats, which LibRaw rounds": is_float,
        "more than 16 bits": bits > 16,
        "stored in several fields": interleave != (1, 1),
        "integers in deflate": int(page.compression) in DEFLATE,
        "a curve in its opcodes": bool(maps),
        "an active area beyond the picture": dngtags.states_other_area(tags, area),
        "BigTIFF": bool(tiff.is_bigtiff),
        "several raw pictures": bool(others),
    }
    exposure_s, iso = dngtags.shot(tags)
    return Dng(
        width=width,
        height=height,
        samples=samples,
        is_float=is_float,
        cell=cell,
        area=area,
        masked=dngtags.masked_areas(tags, width, height),
        black=black,
        black_is_stated=stated,
        row_delta=dngtags.delta(tags, dngtags.BLACK_DELTA_V, area[2] - area[0]),
        column_delta=dngtags.delta(tags, dngtags.BLACK_DELTA_H, area[3] - area[1]),
        white=dngtags.white(tags, samples, bits, is_float, table),
        table=None if table is None or is_float else table.astype(np.uint16),
        maps=maps,
        gains=gains,
        baseline_ev=baseline_ev,
        notes=tuple(filter(None, (*notes, note))),
        interleave=interleave,
        wb=dngtags.white_balance(tags, matrix),
        xyz_to_camera=matrix,
        orientation=dngtags.orientation(tags.numbers(ORIENTATION)),
        pixel_aspect=dngtags.pixel_aspect(tags),
        noise=dngtags.noise_profile(tags.numbers(NOISE_PROFILE)),
        beyond_libraw=", ".join(words for words, holds in reasons.items() if holds),
        make=tags.text(271),
        model=tags.text(272) or tags.text(50708),
        exposure_s=exposure_s,
        iso=iso,
    )


def _opcodes(page: Any, cell: int | None) -> tuple[tuple[ToneMap, ...], tuple[GainMap, ...], list[str]]:
    """Curves and gains of the opcodes; a word on what is broken or not followed."""
    maps: tuple[ToneMap, ...] = ()
    gains: tuple[GainMap, ...] = ()
    notes = []
    for code, name in ((dngtags.OPCODE_LIST_2, "OpcodeList2"), (dngtags.OPCODE_LIST_3, "OpcodeList3")):
        if code not in page.tags:
            continue
        try:
            opcodes = split(bytes(page.tags[code].value))
            if code == dngtags.OPCODE_LIST_2:
                maps = tone_maps(opcodes)
                gains += gain_maps(opcodes, cell)
            else:
                # Of demosaiced pixels, whatever they come from.
                gains += gain_maps(leading_gains(opcodes), None)
                if corrects_lens(opcodes):
                    notes.append(LENS_NOTE)
        except (ValueError, TypeError) as error:
            notes.append(f"its corrections in {name} are broken ({error}) and left out")
    return maps, gains, notes


def _check_size(page: Any, name: str) -> None:
    """Refuse what no camera makes before memory is asked for."""
    width, height = int(page.imagewidth), int(page.imagelength)
    tile = max(1, int(page.tilewidth or 0)) * max(1, int(page.tilelength or 0))
    sides_fit = min(width, height) > 0 and max(width, height) <= SIDE_MAX
    if not sides_fit or max(width * height, tile) > PIXELS_MAX:
        raise DamagedFileError(
            f"{name}: claims to be {width}x{height} pixels, no camera's picture (at most {SIDE_MAX} a side, "
            f"{PIXELS_MAX // 1_000_000} million in all); copy the file from the card again"
        )
