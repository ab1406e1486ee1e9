"""DNG files of every kind, made for tests: tags by number, pictures by tifffile."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import tifffile

CFA, LINEAR = 32803, 34892
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SRATIONAL, DOUBLE = 1, 2, 3, 4, 5, 7, 10, 12

COLOR_MATRIX = np.array([[0.6640, -0.1847, -0.0503], [-0.5238, 1.3010, 0.2474], [-0.0993, 0.1673, 0.6527]])
NEUTRAL = (0.5, 1.0, 0.625)

_TYPES = {
    33421: SHORT,
    33422: BYTE,
    34665: LONG,
    50706: BYTE,
    50708: ASCII,
    50711: SHORT,
    33434: RATIONAL,
    34855: SHORT,
    37380: SRATIONAL,
    50712: SHORT,
    50713: SHORT,
    50714: RATIONAL,
    50715: SRATIONAL,
    50716: SRATIONAL,
    50717: LONG,
    50718: RATIONAL,
    50719: RATIONAL,
    50720: RATIONAL,
    50721: SRATIONAL,
    50722: SRATIONAL,
    50723: SRATIONAL,
    50727: RATIONAL,
    50728: RATIONAL,
    50729: RATIONAL,
    50778: SHORT,
    50779: SHORT,
    50829: LONG,
    50830: LONG,
    50975: LONG,
    50730: SRATIONAL,
    51009: UNDEFINED,
    51022: UNDEFINED,
    51041: DOUBLE,
    52547: LONG,
    274: SHORT,
    271: ASCII,
    272: ASCII,
    50710: BYTE,
    50724: SRATIONAL,
}


def tag(code: int, values) -> tuple:
    """A tag for tifffile's `extratags`."""
    kind = _TYPES[code]
    if kind == ASCII:
        return (code, kind, 0, values, True)
    if kind in (BYTE, UNDEFINED):
        return (code, kind, len(values), bytes(values), True)
    flat = np.atleast_1d(np.asarray(values, dtype=np.float64)).ravel().tolist()
    if kind in (RATIONAL, SRATIONAL):
        parts = [Fraction(v).limit_denominator(1_000_000) for v in flat]
        whole = tuple(n for f in parts for n in (f.numerator, f.denominator))
        return (code, kind, len(flat), whole, True)
    if kind != DOUBLE:
        flat = [int(v) for v in flat]
    return (code, kind, len(flat), tuple(flat) if len(flat) > 1 else flat[0], True)


COMMON = {
    50706: b"\1\7\1\0",
    50708: "Test Camera",
    271: "Test",
    272: "Camera",
    50721: COLOR_MATRIX,
    50778: 21,
    50728: NEUTRAL,
    274: 1,
}
"""What every DNG here says of itself; None for a tag leaves it out."""


def mosaic_tags(cell=((0, 1), (1, 2)), **more) -> dict:
    """The tags that make a picture a mosaic."""
    rows, columns = len(cell), len(cell[0])
    return {33421: (rows, columns), 33422: bytes(c for row in cell for c in row)}


def extratags(tags: dict) -> list[tuple]:
    return [tag(code, values) for code, values in sorted(tags.items()) if values is not None]


def write(path: Path, data, *, cell=((0, 1), (1, 2)), tags=None, kind=None, **options) -> Path:
    """A DNG whose first page is the raw picture: a mosaic (H, W), or linear with `cell` None."""
    kind = kind or (LINEAR if cell is None else CFA)
    own = COMMON | ({} if cell is None else mosaic_tags(cell)) | (tags or {})
    tifffile.imwrite(
        path, data, photometric=kind, metadata=None, software=False, extratags=extratags(own), **options
    )
    return path


def polynomial(coefficients, height: int, width: int, plane: int = 0, planes: int = 1) -> bytes:
    """The body of an opcode MapPolynomial over the whole picture."""
    where = struct.pack(">8I", 0, 0, height, width, plane, planes, 1, 1)
    body = where + struct.pack(f">I{len(coefficients)}d", len(coefficients) - 1, *coefficients)
    return struct.pack(">4I", 8, 0x01030000, 0, len(body)) + body


def gain_map(
    grid, area, *, pitch=(1, 1), planes=(0, 1), origin=(0.0, 0.0), spacing=None, code: int = 9
) -> bytes:
    """The opcode GainMap: `grid` (V, H, P) over the whole picture unless `spacing` and `origin` say otherwise."""
    down, across, deep = grid.shape
    spacing = spacing or tuple(1 / max(1, n - 1) for n in (down, across))
    head = struct.pack(">10I4dI", *area, *planes, *pitch, down, across, *spacing, *origin, deep)
    body = head + np.asarray(grid, ">f4").tobytes()
    return struct.pack(">4I", code, 0x01030000, 0, len(body)) + body


def warp(planes, tail: bytes, code: int = 1) -> bytes:
    """An opcode that warps each colour by coefficients of its own: WarpRectilinear, or another of the kind."""
    body = struct.pack(">I", len(planes)) + b"".join(struct.pack(f">{len(p)}d", *p) for p in planes) + tail
    return struct.pack(">4I", code, 0x01030000, 0, len(body)) + body


def vignette() -> bytes:
    """The opcode FixVignetteRadial."""
    body = struct.pack(">7d", 0.3, 0.1, 0, 0, 0, 0.5, 0.5)
    return struct.pack(">4I", 3, 0x01030000, 0, len(body)) + body


def opcode_list(*opcodes: bytes) -> bytes:
    return struct.pack(">I", len(opcodes)) + b"".join(opcodes)


def patched(path: Path, code: int, value: int) -> Path:
    """The first page's tag `code` changed in place; for what tifffile would not write."""
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        found = tiff.pages[0].tags[code]
        struct.pack_into("<H" if int(found.dtype) == SHORT else "<I", content, found.valueoffset, value)
    path.write_bytes(content)
    return path


def put_into_jpeg(path: Path, before: bytes) -> None:
    """Put bytes behind the first marker of the JPEG that is a DNG's only strip, which is written anew at the end."""
    content = path.read_bytes()
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        page = tiff.pages[0]
        (start,), (count,) = page.dataoffsets, page.databytecounts
        strip = content[start : start + count]
        page.tags[273].overwrite(len(content))
        page.tags[279].overwrite(count + len(before))
    with path.open("ab") as file:
        file.write(strip[:2] + before + strip[2:])
