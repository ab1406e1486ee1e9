"""Rendered pictures as AVIF: of 8 bits by Pillow, of 10 bits by imagecodecs in a container of our own.

imagecodecs codes 10 bits but writes neither profile nor EXIF nor XMP; so its AV1 picture is put into a new file
beside them. The boxes are those of ISO/IEC 14496-12 and 23008-12 (HEIF) as AVIF 1.1 uses them, in the order in
which libavif writes them.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import imagecodecs
import numpy as np
from PIL import Image

from scotopic.cores import usable_cores
from scotopic.frame import Rendered

QUALITY, SPEED = 90, 8
"""Quality and speed that the encoder is asked for, chosen: experiments.md; slower speeds make files hardly smaller."""

DEEP = 10
"""Bits a colour that a 16-bit picture is written with."""

FEWEST_THREADS = 2
"""Threads of libaom, at least: a single one codes the same picture into other bytes than two or more, which all code it
alike (libavif tiles by the picture's size alone)."""

_PICTURE, _EXIF, _XMP = 1, 2, 3
"""Numbers of the items in a file."""

_ESSENTIAL = 0x80
"""Flag of a property: a reader that does not know it must not show the picture."""


def encode(picture: Rendered, exif: bytes, packet: bytes) -> bytes:
    """An AVIF file, of 10 bits if the picture has 16, with ICC profile, EXIF (a TIFF header and what follows) and XMP.

    Raises ValueError where libavif's file is not what is expected.
    """
    threads = max(FEWEST_THREADS, usable_cores())
    if picture.data.dtype == np.uint8:
        buffer = io.BytesIO()
        Image.fromarray(picture.data).save(
            buffer,
            "AVIF",
            quality=QUALITY,
            subsampling="4:4:4",
            speed=SPEED,
            max_threads=threads,
            exif=exif,
            icc_profile=picture.icc,
            xmp=packet,
        )
        return buffer.getvalue()
    top = 2**DEEP - 1
    # As a table, since the picture is large and its values few.
    fewer = np.rint(np.arange(65536) * (top / 65535)).astype(np.uint16)
    coded = imagecodecs.avif_encode(
        fewer[picture.data],
        QUALITY,
        speed=SPEED,
        bitspersample=DEEP,
        pixelformat="444",
        numthreads=threads,
    )
    return with_metadata(bytes(coded), picture.icc, exif, packet)


def with_metadata(coded: bytes, icc: bytes, exif: bytes, packet: bytes) -> bytes:
    """The picture of an AVIF file that holds nothing else, in a new one with profile, EXIF and XMP."""
    boxes = dict(_boxes(coded))
    if not {b"ftyp", b"meta", b"mdat"} <= set(boxes):
        raise ValueError("libavif's file has not the boxes expected")
    meta = dict(_boxes(boxes[b"meta"][4:]))
    properties = list(_boxes(dict(_boxes(meta[b"iprp"]))[b"ipco"]))
    names = [name for name, _ in properties]
    if sorted(names) != [b"av1C", b"colr", b"ispe", b"pixi"]:
        raise ValueError(f"libavif's picture has the properties {names}")
    if icc:
        properties.insert(names.index(b"colr"), (b"colr", b"prof" + icc))
    links = [
        number | (_ESSENTIAL if name == b"av1C" else 0)
        for number, (name, _) in enumerate(properties, start=1)
    ]
    # HEIF's Exif items begin with the offset of their TIFF header.
    items = [(_PICTURE, boxes[b"mdat"]), (_EXIF, bytes(4) + exif), (_XMP, packet)]
    entries = [
        _entry(_PICTURE, b"av01", b"\0"),
        _entry(_EXIF, b"Exif", b"\0"),
        _entry(_XMP, b"mime", b"\0application/rdf+xml\0"),
    ]
    told = [_box(b"cdsc", struct.pack(">HHH", item, 1, _PICTURE)) for item in (_EXIF, _XMP)]
    linked = struct.pack(">IIHB", 0, 1, _PICTURE, len(links)) + bytes(links)

    def head(begin: int) -> bytes:
        """Everything before the items, which lie one after the other from `begin` on."""
        places = b""
        for item, content in items:
            places += struct.pack(">HHHII", item, 0, 1, begin, len(content))
            begin += len(content)
        inner = [
            _box(b"hdlr", meta[b"hdlr"]),
            _box(b"pitm", meta[b"pitm"]),
            # Offsets and lengths of four bytes each.
            _box(b"iloc", struct.pack(">IHH", 0, 0x4400, len(items)) + places),
            _box(b"iinf", struct.pack(">IH", 0, len(entries)) + b"".join(entries)),
            _box(b"iref", bytes(4) + b"".join(told)),
            _box(b"iprp", _box(b"ipco", b"".join(_box(*p) for p in properties)) + _box(b"ipma", linked)),
        ]
        return _box(b"ftyp", boxes[b"ftyp"]) + _box(b"meta", bytes(4) + b"".join(inner))

    length = len(head(0)) + 8
    return head(length) + _box(b"mdat", b"".join(content for _, content in items))


def _entry(item: int, kind: bytes, rest: bytes) -> bytes:
    """An item's entry in the list: version 2, number, no protection, kind, no name."""
    return _box(b"infe", struct.pack(">IHH4s", 2 << 24, item, 0, kind) + rest)


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The boxes in `content`: kind and what they hold."""
    at = 0
    while at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        if length < 8:
            raise ValueError(f"libavif's box {kind!r} has no length")
        yield kind, content[at + 8 : at + length]
        at += length
