"""EXIF read from a photo's file, by exifread and where that keeps something back."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, BinaryIO, cast

import exifread
from PIL.TiffImagePlugin import IFDRational

from scotopic.disk.files import opened
from scotopic.metadata.exifplaces import Sparing, exif_places, tag_bytes
from scotopic.metadata.exiftags import (
    COPYRIGHT,
    EXIF_DROPPED,
    MAIN_KEPT,
    OF_THE_SHOT,
    RATING,
    iso_of,
    of_shot,
    with_iso,
    writes,
)

Tags = dict[int, Any]

BODY_SERIAL, CAMERA_SERIAL = 0xA431, 50735
"""EXIF BodySerialNumber, and CameraSerialNumber in a DNG's main directory, which stands in for it."""

_RATIONALS = {5, 10}
_BYTES = {1, 6, 7}
_ASCII = 2

LONGEST_TEXT = 2000
"""Characters of a text carried along, IPTC's limit: a JPEG has room for 64 kB of EXIF in all."""

_LETTER_BYTES = 4
"""Bytes of a letter in UTF-8, at most."""


class _Silence(logging.Filter):
    """Keeps to itself what exifread says of the files that are read here; what others ask of it is told as ever."""

    def __init__(self) -> None:
        super().__init__()
        self._kept = ContextVar("kept", default=False)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is told."""
        return not self._kept.get()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Silence for the time of a call; other threads are not concerned."""
        before = self._kept.set(True)
        try:
            yield
        finally:
            self._kept.reset(before)


_silence = _Silence()
logging.getLogger("exifread").addFilter(_silence)


def directories_of(path: Path) -> tuple[Tags, Tags, Tags] | None:
    """What is carried of the main, EXIF and GPS directories of a file; None where nothing can be read.

    With fractions that are no numbers, as the file has them.
    """
    copyright_notice = ""
    try:
        with _silence(), opened(path) as file:
            content = _ciff_content(file)
            found: list[tuple[str, Any]] = []
            for place, only in exif_places(file):
                tags = exifread.process_file(cast(BinaryIO, Sparing(place)), details=False)
                found += [(only or name.split(" ", 1)[0], tag) for name, tag in tags.items()]
                if only in (None, "Image"):
                    copyright_notice = copyright_notice or _copyright(place)
    except Exception:
        # The photo is worth more than its tags: whatever a broken directory raises, go on without.
        return None
    serial = None
    main: Tags = _ciff_names(content)
    exif: Tags = {}
    gps: Tags = {}
    shot: Tags = {}
    for section, tag in found:
        number = getattr(tag, "tag", None)
        if section == "Image" and number == CAMERA_SERIAL:
            serial = _plain(tag)
        kept = (
            (section == "Image" and number in MAIN_KEPT, main),
            (section == "Image" and number in OF_THE_SHOT, shot),
            (section == "EXIF" and number not in EXIF_DROPPED, exif),
            (section == "GPS", gps),
        )
        target = next((tags for wanted, tags in kept if wanted), None)
        if number is None or target is None:
            continue
        value = _plain(tag)
        if value is not None and writes(number, value):
            target[number] = value
    if copyright_notice:
        main[COPYRIGHT] = copyright_notice
    if isinstance(serial, str):
        exif.setdefault(BODY_SERIAL, serial)
    if main.get(RATING) not in range(6):
        main.pop(RATING, None)
    exif = of_shot(exif, shot)
    return main, with_iso(exif, iso_of(exif)), gps


def is_ciff(path: Path) -> bool:
    """Whether a file is a CIFF file (Canon's CRW)."""
    try:
        with opened(path) as file:
            return file.read(14)[6:] == _CIFF
    except OSError:
        return False


_CIFF = b"HEAPCCDR"


def _ciff_content(file: BinaryIO) -> bytes:
    """The whole file if it is a CIFF file, else nothing; the file is left at its beginning."""
    head = file.read(14)
    content = head + file.read() if head[6:] == _CIFF else b""
    file.seek(0)
    return content


def _ciff_names(content: bytes) -> Tags:
    """Maker and model from Canon's CIFF files (CRW), which hold no EXIF: two strings side by side."""
    found = re.search(rb"(Canon)\0(Canon [ -~]{2,30})\0", content)
    return {0x010F: found[1].decode(), 0x0110: found[2].decode()} if found else {}


def _copyright(place: BinaryIO) -> str:
    """The photographer's and the editor's copyright with a zero between them; nothing where there is no editor's.

    exifread stops at the zero. A photographer's that is missing is a space (EXIF, Copyright).
    """
    written = tag_bytes(place, COPYRIGHT, 2 * _LETTER_BYTES * LONGEST_TEXT)
    photographer, _, rest = written.partition(b"\0")
    editor = _text(rest.partition(b"\0")[0])
    return f"{_text(photographer) or ' '}\0{editor}" if editor else ""


def _text(written: bytes) -> str:
    """UTF-8, be it cut in the midst of a letter; else Latin 1."""
    try:
        text = written.decode()
    except UnicodeDecodeError as error:
        text = written.decode("latin-1")
        if error.reason == "unexpected end of data":
            whole = written[: error.start].decode()
            # A single byte at the end of plain ASCII is a letter of Latin 1 rather than the begin of one of UTF-8.
            text = text if whole.isascii() and error.start == len(written) - 1 else whole
    return text.rstrip("\0 ")[:LONGEST_TEXT]


def _plain(tag: Any) -> Any:
    """An exifread tag's value as Pillow wants it; None for what cannot be written back."""
    values = tag.values
    kind = int(tag.field_type)
    if kind == _ASCII:
        return _text(values if isinstance(values, bytes) else str(values).encode()) or None
    if isinstance(values, str):
        return values.encode("latin-1", "replace")
    if not values:
        return None
    if kind in _RATIONALS:
        rationals = tuple(IFDRational(v.num, v.den) for v in values)
        return rationals[0] if len(rationals) == 1 else rationals
    if kind in _BYTES:
        try:
            return bytes(v & 0xFF for v in values)
        except TypeError:
            return None
    flat = [v[0] if isinstance(v, tuple) else v for v in values]
    return flat[0] if len(flat) == 1 else tuple(flat)
