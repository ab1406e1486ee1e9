"""JPEG on all cores: strips are encoded apart and joined by restart markers, which every decoder knows.

libjpeg-turbo by `imagecodecs`, with the standard's own Huffman tables, so that all strips share them. A strip begins
as after a restart (ITU-T T.81, F.1.1.5.1): what comes out is byte for byte a JPEG with a restart interval.
"""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor

import imagecodecs
import numpy as np
import numpy.typing as npt

from scotopic.cores import usable_cores
from scotopic.metadata.exiftags import DPI

BLOCK = 8
"""Side of a block; without colour subsampling a restart interval is counted in these."""

STRIP_BLOCKS = 32
"""Rows of blocks in a strip, where the row is not so long that the interval would not fit 16 bits."""

SIDE_MAX = 65500
"""The longest side that libjpeg writes."""

SEGMENT_MAX = 65533
"""Bytes of a segment, at most, beside its length."""

_SOF0, _SOS, _APP0, _APP1, _APP2, _DRI, _RST0, _EOI = 0xC0, 0xDA, 0xE0, 0xE1, 0xE2, 0xDD, 0xD0, 0xD9
_EXIF, _XMP, _ICC = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"

EXIF_MAX = SEGMENT_MAX - len(_EXIF)
PACKET_MAX = 65502
"""Bytes of EXIF and of XMP that fit into a segment (XMP specification, part 3: a little less than there is room)."""

_INCH = 1
"""JFIF's unit of density."""


def encode(picture: npt.NDArray[np.uint8], quality: int, *, exif: bytes, icc: bytes, xmp: bytes) -> bytes:
    """A picture (H, W, 3) as JPEG (baseline, 4:4:4), with its EXIF (a TIFF structure), profile and XMP packet.

    Raises ValueError for a picture or metadata too large for the format.
    """
    height, width, _ = picture.shape
    if max(height, width) > SIDE_MAX:
        raise ValueError(f"{width}x{height} pixels are too many for JPEG, which ends at {SIDE_MAX} a side")
    across = -(-width // BLOCK)
    rows = min(STRIP_BLOCKS, 0xFFFF // across) * BLOCK

    def strip(top: int) -> bytes:
        part = np.ascontiguousarray(picture[top : top + rows])
        return bytes(imagecodecs.jpeg8_encode(part, level=quality, subsampling="444", optimize=False))

    with ThreadPoolExecutor(usable_cores()) as threads:
        strips = list(threads.map(strip, range(0, height, rows)))
    tables, scan = _taken_apart(strips[0], height)
    interval = _segment(_DRI, struct.pack(">H", rows // BLOCK * across)) if len(strips) > 1 else b""
    pieces = [b"\xff\xd8", *_described(exif, icc, xmp), tables, interval, scan]
    for place, encoded in enumerate(strips[1:]):
        pieces += [bytes((0xFF, _RST0 + place % 8)), _entropy_coded(encoded)]
    return b"".join([*pieces, bytes((0xFF, _EOI))])


def _described(exif: bytes, icc: bytes, xmp: bytes) -> list[bytes]:
    """The segments before the tables: JFIF, EXIF, XMP, ICC profile."""
    jfif = struct.pack(">5sHBHHBB", b"JFIF\0", 0x0101, _INCH, DPI, DPI, 0, 0)
    room = SEGMENT_MAX - len(_ICC) - 2
    chunks = [icc[start : start + room] for start in range(0, len(icc), room)]
    return [
        _segment(_APP0, jfif),
        _segment(_APP1, _EXIF + exif),
        _segment(_APP1, _XMP + xmp),
        *(
            _segment(_APP2, _ICC + bytes((number, len(chunks))) + chunk)
            for number, chunk in enumerate(chunks, 1)
        ),
    ]


def _segment(marker: int, content: bytes) -> bytes:
    if len(content) > SEGMENT_MAX:
        raise ValueError(f"{len(content)} bytes of metadata are too many for JPEG: {SEGMENT_MAX} fit")
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _taken_apart(encoded: bytes, height: int) -> tuple[bytes, bytes]:
    """A strip's tables, with the whole picture's height, and its scan from the scan's header on."""
    tables: list[bytes] = []
    for marker, start, stop in _segments(encoded):
        content = encoded[start:stop]
        if marker == _SOS:
            return b"".join(tables), encoded[start - 4 : -2]
        if marker == _SOF0:
            content = content[:1] + struct.pack(">H", height) + content[3:]
        if marker < _APP0:
            tables.append(_segment(marker, content))
    raise ValueError("the encoder wrote no scan")


def _entropy_coded(encoded: bytes) -> bytes:
    """What follows the header of a strip's scan."""
    return next(encoded[stop:-2] for marker, _, stop in _segments(encoded) if marker == _SOS)


def _segments(encoded: bytes) -> list[tuple[int, int, int]]:
    """Marker, first and last place of the content of each segment up to the scan."""
    found: list[tuple[int, int, int]] = []
    place = 2
    while not found or found[-1][0] != _SOS:
        marker, length = struct.unpack_from(">xBH", encoded, place)
        found.append((marker, place + 4, place + 2 + length))
        place += 2 + length
    return found
