"""Where EXIF stands in a file: most RAW files are TIFFs, Fujifilm's hold a JPEG, Canon's CR3 are boxes."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO, Literal

Section = Literal["Image", "EXIF", "GPS"]

_RAF_HEAD = b"FUJIFILMCCD-RAW "
_RAF_JPEG = 84
"""Where a RAF file says offset and length of its JPEG, which holds the EXIF."""

_EXIF_HEAD, _SEGMENTS_MAX = b"Exif\0\0", 1 << 17
"""What stands before the EXIF's TIFF in a JPEG, in one of its first segments."""

_CANON_BOX = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
"""The uuid box in a CR3's moov box, with a TIFF for each directory; CMT3 is the MakerNote."""

_CANON_DIRECTORIES: dict[bytes, Section] = {b"CMT1": "Image", b"CMT2": "EXIF", b"CMT4": "GPS"}

_LARGEST_BLOCK = 1 << 26
"""Bytes of EXIF looked at, at most; no EXIF is larger, with its preview."""

BYTE_ORDERS: dict[bytes, Literal["little", "big"]] = {b"II": "little", b"MM": "big"}
"""How a TIFF begins."""

READS_MAX = 20_000
"""Reads of one file, at most: real files take a thousand; a directory that claims 65535 entries takes minutes."""


class Sparing:
    """A file that can be read so often and no more: then EOFError."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._left, self._bytes = file, READS_MAX, _LARGEST_BLOCK
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """As a file does."""
        content = self._file.read(size)
        self._left -= 1
        self._bytes -= len(content)
        if min(self._left, self._bytes) < 0:
            raise EOFError("the directories of this file do not end")
        return content


def exif_places(file: BinaryIO) -> list[tuple[BinaryIO, Section | None]]:
    """What an EXIF reader can open, and which directory it is where it is a single one.

    `file` itself where it is of a common kind; it is left at its beginning.
    """
    file.seek(0)
    head = file.read(16)
    if head == _RAF_HEAD:
        file.seek(_RAF_JPEG)
        offset, length = struct.unpack(">II", file.read(8))
        file.seek(offset)
        jpeg = file.read(min(length, _LARGEST_BLOCK))
        begin = jpeg.find(_EXIF_HEAD, 0, _SEGMENTS_MAX)
        return [(io.BytesIO(jpeg[begin + len(_EXIF_HEAD) :] if begin >= 0 else jpeg), None)]
    if head[4:12] == b"ftypcrx ":
        return [
            (io.BytesIO(block), _CANON_DIRECTORIES[kind])
            for kind, block in _canon_blocks(file)
            if kind in _CANON_DIRECTORIES
        ]
    file.seek(0)
    return [(file, None)]


def tag_bytes(file: BinaryIO, wanted: int, at_most: int) -> bytes:
    """The bytes of a tag of single ones in the first directory of a TIFF-like file; nothing where it has none.

    Nor where they are more than `at_most`.
    """
    file.seek(0)
    head = file.read(8)
    order = BYTE_ORDERS.get(head[:2])
    if order is None:
        return b""
    file.seek(int.from_bytes(head[4:], order))
    for _ in range(int.from_bytes(file.read(2), order)):
        entry = file.read(12)
        if len(entry) < 12:
            break
        if int.from_bytes(entry[:2], order) == wanted:
            length, offset = int.from_bytes(entry[4:8], order), int.from_bytes(entry[8:], order)
            if length > at_most:
                return b""
            if length <= 4:
                return entry[8 : 8 + length]
            file.seek(offset)
            return file.read(length)
    return b""


def _canon_blocks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The boxes in a CR3's own box."""
    for kind, moov in _boxes(file, only=b"moov"):
        if kind != b"moov":
            continue
        for inner, content in _boxes(io.BytesIO(moov)):
            if inner == b"uuid" and content[:16] == _CANON_BOX:
                yield from _boxes(io.BytesIO(content[16:]))


def _boxes(file: BinaryIO, only: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
    """ISO base media boxes from the file's beginning: kind and content; only those of one kind are read."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return
        length, kind, used = int.from_bytes(head[:4]), head[4:], 8
        if length == 1:
            length, used = int.from_bytes(file.read(8)), 16
        if length < used:
            # 0 means to the end of the file; less is broken.
            return
        wanted = only in (None, kind) and length <= _LARGEST_BLOCK
        yield kind, file.read(length - used) if wanted else b""
        at += length
