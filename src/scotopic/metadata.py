"""EXIF and XMP carried along: read from any RAW file, made ready for every format written."""

from __future__ import annotations

import logging
import mmap
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import exifread
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

from scotopic import xmp
from scotopic.exifplaces import Sparing, exif_places
from scotopic.files import opened
from scotopic.version import SOFTWARE as TOOL
from scotopic.xmp import ENHANCED_MARK, Words

__all__ = ["ENHANCED_MARK", "Exif", "Words", "filled_in", "is_enhanced", "read_exif", "xmp_packet"]

EXIF_IFD, GPS_IFD, NOISE_PROFILE, XMP = 0x8769, 0x8825, 51041, 700
ORIENTATION, SOFTWARE, EXPOSURE_TIME, RATING = 0x0112, 0x0131, 0x829A, 0x4746
EXIF_VERSION = 0x9000

_MAIN_KEPT = {
    0x010E,  # ImageDescription
    0x010F,  # Make
    0x0110,  # Model
    0x0132,  # DateTime
    0x013B,  # Artist
    RATING,
    0x8298,  # Copyright
}
_EXIF_DROPPED = {
    0x927C,  # MakerNote: its offsets hold only inside the file it came from
    0xA002,  # PixelXDimension, PixelYDimension: of the RAW, not of the result
    0xA003,
    0xA005,  # Interoperability pointer
    0xA500,  # Gamma: of the source's values; the profile tells the result's
    0x9101,  # ComponentsConfiguration, CompressedBitsPerPixel: of a JPEG
    0x9102,
    0xA001,  # ColorSpace: ours is set on writing
}
_RATIONALS = {5, 10}
_BYTES = {1, 6, 7}
_ASCII, _LONG = 2, 4
_SRGB, _UNCALIBRATED = 1, 0xFFFF
"""EXIF ColorSpace: sRGB, and any other."""

_TAKEN, _TAKEN_PART = 0x9003, 0x9291
"""EXIF DateTimeOriginal and SubSecTimeOriginal."""

_MODEL, _SERIAL = 0x0110, 0xA431
"""EXIF Model and BodySerialNumber."""

LONGEST_TEXT = 2000
"""Characters of a text carried along, IPTC's limit: a JPEG has room for 64 kB of EXIF in all."""


@dataclass(frozen=True)
class Exif:
    """Tags by number for the main, EXIF and GPS directories; values as Pillow writes them.

    `words` are those of the file's XMP, `enhanced` says whether scotopic has enhanced the picture.
    """

    main: dict[int, Any] = field(default_factory=dict)
    exif: dict[int, Any] = field(default_factory=dict)
    gps: dict[int, Any] = field(default_factory=dict)
    words: Words = field(default_factory=Words)
    enhanced: bool = False

    @property
    def taken(self) -> str:
        """When the picture was taken, as EXIF writes it, to the part of a second that is known; else empty."""
        when, part = (str(self.exif.get(tag) or "").strip() for tag in (_TAKEN, _TAKEN_PART))
        # A clock that was never set says zeros or nothing.
        return "" if not re.search("[1-9]", when) else f"{when}.{part}" if part else when

    @property
    def camera(self) -> tuple[str, str]:
        """Its model and serial number; empty where they are not known."""
        model, serial = (
            str(value or "").strip() for value in (self.main.get(_MODEL), self.exif.get(_SERIAL))
        )
        return model, serial

    def without_gps(self) -> Exif:
        """The same without the place."""
        return replace(self, gps={})

    def marked(self) -> Exif:
        """The same, of a picture that scotopic has enhanced."""
        return replace(self, enhanced=True)

    def to_bytes(
        self, width: int, height: int, software: str, *, srgb: bool = True, oriented: bool = True
    ) -> bytes:
        """An EXIF block (a TIFF without pictures); the picture is upright, so orientation is 1.

        `srgb` False for pictures in another colour space: the ICC profile says which. `oriented` False
        leaves the orientation to the format.
        """
        own = {ORIENTATION: 1, SOFTWARE: software} if oriented else {SOFTWARE: software}
        main = _directory({**self.main, **own})
        inner = dict(zip((EXIF_IFD, GPS_IFD), self.directories(width, height, srgb=srgb), strict=True))
        for pointer, directory in inner.items():
            if len(directory):
                main[pointer] = 0
        block = b"II*\0\x08\0\0\0"
        end = len(block) + len(main.tobytes(len(block)))
        behind = b""
        for pointer, directory in inner.items():
            if len(directory):
                behind += b"\0" * (end % 2)
                end += end % 2
                main[pointer] = end
                written = directory.tobytes(end)
                behind += written
                end += len(written)
        return block + main.tobytes(len(block)) + behind

    def texts(self) -> list[tuple[int, int, int, Any, bool]]:
        """The main directory's texts as tifffile's extra tags; in UTF-8."""
        return [
            (tag, _ASCII, 0, value.encode(), True)
            for tag, value in sorted(self.main.items())
            if isinstance(value, str) and tag not in (ORIENTATION, SOFTWARE)
        ]

    def directories(
        self, width: int, height: int, *, srgb: bool = True
    ) -> tuple[ImageFileDirectory_v2, ImageFileDirectory_v2]:
        """The EXIF and GPS directories ready to be placed into a TIFF file."""
        space = _SRGB if srgb else _UNCALIBRATED
        own = {0xA001: space, 0xA002: width, 0xA003: height}
        return _directory({EXIF_VERSION: b"0232", **self.exif, **own}), _directory(self.gps)


_TYPES = {
    **dict.fromkeys((0x8831, 0x8832, 0x8833, 0x8834, 0x8835), 4),
    **dict.fromkeys((0x9101, 0xA300, 0xA301, 0xA302), 7),
    **dict.fromkeys((0x9201, 0x9203, 0x9204), 10),
}
"""Types that EXIF asks for where Pillow would take another by the value: ISO and its kin are LONG, what components,
file and scene are UNDEFINED, what may be negative is SRATIONAL."""


def writes(tag: int, value: Any) -> bool:
    """Whether a value can be written under its tag: a broken file may hold a number where a text belongs."""
    try:
        _directory({tag: value}).tobytes()
    except Exception:
        # Whatever Pillow raises on packing it.
        return False
    return True


def _directory(tags: dict[int, Any]) -> ImageFileDirectory_v2:
    directory = ImageFileDirectory_v2()
    for tag, value in tags.items():
        if isinstance(value, str):
            # Pillow would put question marks for letters beyond ASCII; bytes it leaves alone.
            directory.tagtype[tag] = _ASCII
            value = value.encode()
        elif tag in _TYPES:
            directory.tagtype[tag] = _TYPES[tag]
        directory[tag] = value
    return directory


def xmp_packet(exif: Exif, *, enhanced: bool | None = None) -> bytes:
    """The XMP packet of a result: the photographer's words, what made it, and the mark if enhanced.

    For TIFF's and DNG's tag 700 (`XMP`, type BYTE) and every other format's place for it. Without
    `enhanced`, `exif` says it. Holds no place.
    """
    rating = exif.main.get(RATING)
    words = exif.words.over(Words(rating=rating if isinstance(rating, int) else None))
    return xmp.build(words, enhanced=exif.enhanced if enhanced is None else enhanced, tool=TOOL)


def is_enhanced(path: Path | str) -> bool:
    """Whether scotopic has enhanced this picture: the mark in a DNG, TIFF, JPEG, PNG, AVIF or JPEG XL.

    False for files that hold no mark, whatever they are; raises OSError where there is no file to read.
    """
    return xmp.parse(_packet(Path(path)))[1]


def read_exif(path: Path) -> Exif:
    """All that can be carried along from `path`; empty where the file holds no EXIF we can read."""
    found = read_tags(path)
    if found is None:
        return Exif()
    words, enhanced = xmp.parse(_packet(path))
    words = xmp.sidecar(path).over(words)
    if words.rating is not None and words.rating >= 0:
        found.main[RATING] = words.rating
    return replace(found, words=words, enhanced=enhanced)


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


def read_tags(path: Path) -> Exif | None:
    """The same without XMP, for which some files are looked through; None where nothing can be read."""
    try:
        with _silence(), opened(path) as file:
            content = _ciff_content(file)
            found = [
                (section or name.split(" ", 1)[0], tag)
                for place, section in exif_places(file)
                for name, tag in exifread.process_file(
                    cast(BinaryIO, Sparing(place)), details=False
                ).items()
            ]
    except Exception:
        # The photo is worth more than its tags: whatever a broken directory raises, go on without.
        return None
    main: dict[int, Any] = _ciff_names(content)
    exif: dict[int, Any] = {}
    gps: dict[int, Any] = {}
    for section, tag in found:
        number = getattr(tag, "tag", None)
        if number is None:
            continue
        value = _plain(tag)
        if value is None or not writes(number, value):
            continue
        if section == "Image" and number in _MAIN_KEPT:
            main[number] = value
        elif section == "EXIF" and number not in _EXIF_DROPPED:
            exif[number] = value
        elif section == "GPS":
            gps[number] = value
    return Exif(main, exif, gps)


SEARCHED = 1 << 26
"""Bytes of a file that is no TIFF in which its XMP packet may begin: ours stand before the pixels. A copy whose place
was reserved may be gigabytes of nothing."""


def _packet(path: Path) -> bytes:
    """The XMP packet of a file: TIFF's tag 700, or the first that stands in any other file; or nothing."""
    with opened(path) as file:
        head = file.read(8)
        if head[:2] in _BYTE_ORDERS and len(head) == 8:
            return _tag_bytes(file, XMP)
        if not head:
            return b""
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            start = content.find(_PACKET_OPENS, 0, SEARCHED)
            stop = content.find(_PACKET_CLOSES, start, start + xmp.LARGEST_PACKET) if start >= 0 else -1
            return bytes(content[start : stop + len(_PACKET_CLOSES)]) if stop >= 0 else b""


_BYTE_ORDERS: dict[bytes, Literal["little", "big"]] = {b"II": "little", b"MM": "big"}
_PACKET_OPENS, _PACKET_CLOSES = b"<x:xmpmeta", b"</x:xmpmeta>"


def _tag_bytes(file: BinaryIO, wanted: int) -> bytes:
    """The bytes of a BYTE tag in the first directory of a TIFF-like file; nothing where it is not."""
    file.seek(0)
    head = file.read(8)
    order = _BYTE_ORDERS[head[:2]]
    file.seek(int.from_bytes(head[4:], order))
    for _ in range(int.from_bytes(file.read(2), order)):
        entry = file.read(12)
        if len(entry) == 12 and int.from_bytes(entry[:2], order) == wanted:
            length, offset = int.from_bytes(entry[4:8], order), int.from_bytes(entry[8:], order)
            if length > xmp.LARGEST_PACKET:
                return b""
            file.seek(offset)
            return file.read(length)
    return b""


def _ciff_content(file: BinaryIO) -> bytes:
    """The whole file if it is a CIFF file, else nothing; the file is left at its beginning."""
    head = file.read(14)
    content = head + file.read() if head[6:] == b"HEAPCCDR" else b""
    file.seek(0)
    return content


def _ciff_names(content: bytes) -> dict[int, Any]:
    """Maker and model from Canon's CIFF files (CRW), which hold no EXIF: two strings side by side."""
    found = re.search(rb"(Canon)\0(Canon [ -~]{2,30})\0", content)
    return {0x010F: found[1].decode(), 0x0110: found[2].decode()} if found else {}


def _plain(tag: Any) -> Any:
    """An exifread tag's value as Pillow wants it; None for what cannot be written back."""
    values = tag.values
    kind = int(tag.field_type)
    if kind == _ASCII:
        text = values.decode("latin-1") if isinstance(values, bytes) else str(values)
        return text.rstrip("\0 ")[:LONGEST_TEXT] or None
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


def filled_in(
    exif: Exif,
    *,
    make: str = "",
    model: str = "",
    exposure_s: float | None = None,
    iso: float | None = None,
    aperture: float | None = None,
    focal_mm: float | None = None,
    lens: str = "",
    taken: datetime | None = None,
) -> Exif:
    """Add what LibRaw knows where the file's own EXIF is silent (CRW and other old kinds)."""
    main, inner = dict(exif.main), dict(exif.exif)

    def fill(target: dict[int, Any], tag: int, value: Any) -> None:
        if value:
            target.setdefault(tag, value)

    stamp = taken.strftime("%Y:%m:%d %H:%M:%S") if taken and taken.year > 1980 else ""
    fill(main, 0x010F, make)
    fill(main, 0x0110, model)
    fill(main, 0x0132, stamp)
    fill(inner, EXPOSURE_TIME, _rational(exposure_s))
    fill(inner, 0x8827, int(iso) if iso and 0 < iso < 65536 else None)
    fill(inner, 0x829D, _rational(aperture))
    fill(inner, 0x920A, _rational(focal_mm))
    fill(inner, 0xA434, lens)
    fill(inner, 0x9003, stamp)
    return replace(exif, main=main, exif=inner)


def _rational(value: float | None) -> IFDRational | None:
    if not value or value <= 0:
        return None
    if value < 1 and abs(round(1 / value) * value - 1) < 0.02:
        return IFDRational(1, round(1 / value))
    return IFDRational(round(value * 1000), 1000)


def attach_to_tiff(path: Path, exif: ImageFileDirectory_v2, gps: ImageFileDirectory_v2) -> None:
    """Add EXIF and GPS directories to a little-endian classic TIFF.

    They are appended, and IFD0 is written anew behind them with pointers to them.
    """
    with path.open("r+b") as file:
        head = file.read(8)
        if head[:4] != b"II*\0":
            raise ValueError(f"{path} is no little-endian classic TIFF")
        file.seek(int.from_bytes(head[4:], "little"))
        count = int.from_bytes(file.read(2), "little")
        entries = [file.read(12) for _ in range(count)]
        following = file.read(4)
        for pointer, directory in ((EXIF_IFD, exif), (GPS_IFD, gps)):
            if len(directory):
                offset = _to_even_end(file)
                file.write(directory.tobytes(offset))
                entries.append(struct.pack("<HHII", pointer, _LONG, 1, offset))
        entries.sort(key=lambda entry: int.from_bytes(entry[:2], "little"))
        offset = _to_even_end(file)
        file.write(struct.pack("<H", len(entries)) + b"".join(entries) + following)
        file.seek(4)
        file.write(offset.to_bytes(4, "little"))


def _to_even_end(file: BinaryIO) -> int:
    """Move to the end of the file, padded to an even offset as TIFF wants it; returns the offset."""
    end = file.seek(0, 2)
    if end % 2:
        file.write(b"\0")
    return end + end % 2
