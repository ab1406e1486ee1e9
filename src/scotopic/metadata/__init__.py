"""EXIF and XMP carried along: read from any RAW file, made ready for every format written."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

from scotopic.disk.sidecars import words_beside
from scotopic.metadata import xmp
from scotopic.metadata.exifsource import BODY_SERIAL, LONGEST_TEXT, directories_of, is_ciff
from scotopic.metadata.exiftags import (
    ARTIST,
    COLOR_SPACE,
    COPYRIGHT,
    DESCRIPTION,
    EXIF_IFD,
    EXIF_VERSION,
    EXPOSURE_TIME,
    FLASHPIX_VERSION,
    GPS_IFD,
    HEIGHT,
    MOST,
    OF_JPEG,
    ORIENTATION,
    RATING,
    SOFTWARE,
    WIDTH,
    attach_to_tiff,
    directory,
    fitting,
    iso_of,
    sound,
    turned,
    version_for,
    with_iso,
    writes,
)
from scotopic.metadata.xmp import ENHANCED_MARK, XMP, Words
from scotopic.version import SOFTWARE as TOOL

__all__ = [
    "ENHANCED_MARK",
    "EXIF_IFD",
    "EXPOSURE_TIME",
    "GPS_IFD",
    "NOISE_PROFILE",
    "ORIENTATION",
    "RATING",
    "SOFTWARE",
    "XMP",
    "Exif",
    "Words",
    "attach_to_tiff",
    "filled_in",
    "is_ciff",
    "is_enhanced",
    "iso_of",
    "read_exif",
    "read_tags",
    "writes",
    "xmp_packet",
]

NOISE_PROFILE = 51041
_ASCII = 2
_SRGB, _UNCALIBRATED = 1, 0xFFFF
"""Values of EXIF's ColorSpace: sRGB, and any other."""

_TAKEN, _TAKEN_PART = 0x9003, 0x9291
"""The tags DateTimeOriginal and SubSecTimeOriginal of EXIF."""

_MODEL = 0x0110


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
            str(value or "").strip() for value in (self.main.get(_MODEL), self.exif.get(BODY_SERIAL))
        )
        return model, serial

    def without_gps(self) -> Exif:
        """This EXIF without the place."""
        return replace(self, gps={}, words=self.words.without_place())

    def marked(self) -> Exif:
        """This EXIF with the mark that scotopic has enhanced the picture."""
        return replace(self, enhanced=True)

    def upright(self, orientation: int) -> Exif:
        """This EXIF for the picture turned upright from that EXIF orientation."""
        return replace(self, exif=turned(self.exif, orientation))

    def sound(self) -> Exif:
        """This EXIF without fractions that are no numbers, and without places of which a part is none."""
        return replace(self, exif=sound(self.exif), gps=sound(self.gps, gps=True))

    def to_bytes(
        self,
        width: int,
        height: int,
        software: str,
        *,
        srgb: bool = True,
        oriented: bool = True,
        jpeg: bool = False,
        at_most: int = MOST,
    ) -> bytes:
        """An EXIF block (a TIFF without pictures); the picture is upright, so orientation is 1.

        `srgb` False for pictures in another colour space: the ICC profile says which. `oriented` False
        leaves the orientation to the format. `jpeg` adds what EXIF asks for in a JPEG. Of what does not fit into
        `at_most` bytes the longest values stay out.
        """
        main_of_jpeg, exif_of_jpeg = OF_JPEG if jpeg else ({}, {})
        main = {**self.main, **main_of_jpeg, SOFTWARE: software, **({ORIENTATION: 1} if oriented else {})}
        exif = {**self._exif_of(srgb), WIDTH: width, HEIGHT: height, **exif_of_jpeg}
        directories = (main, exif, dict(self.gps))
        return _block(*fitting(directories, at_most - _FRAME))

    def texts(self) -> list[tuple[int, int, int, Any, bool]]:
        """The main directory's texts as tifffile's extra tags; in UTF-8."""
        return [
            (tag, _ASCII, 0, value.encode(), True)
            for tag, value in sorted(self.main.items())
            if isinstance(value, str) and tag not in (ORIENTATION, SOFTWARE)
        ]

    def directories(self, *, srgb: bool = True) -> tuple[ImageFileDirectory_v2, ImageFileDirectory_v2]:
        """The EXIF and GPS directories ready to be placed into a TIFF file, which tells the size itself."""
        exif, gps = fitting((self._exif_of(srgb), self.gps), MOST)
        return directory(exif), directory(gps)

    def _exif_of(self, srgb: bool) -> dict[int, Any]:
        """The EXIF directory of a picture, but for its size."""
        exif = {FLASHPIX_VERSION: b"0100", **self.exif, COLOR_SPACE: _SRGB if srgb else _UNCALIBRATED}
        return {**exif, EXIF_VERSION: version_for(exif)}


_FRAME = 8 + 3 * 6 + 2 * 12
"""Bytes of a block besides its tags: its head, three directories' own, two pointers."""


def camera_in_words(make: str, model: str, unknown: str = "") -> str:
    """A camera's name; many models' begin with their maker's. `unknown` stands for what the file does not say.

    >>> camera_in_words("NIKON CORPORATION", "NIKON D850"), camera_in_words("SONY", "ILCE-7SM2")
    ('NIKON D850', 'SONY ILCE-7SM2')
    >>> camera_in_words(" ", "X", "?")
    '? X'
    """
    maker, model = make.strip() or unknown, model.strip() or unknown
    said_twice = maker and model.casefold().startswith(maker.split()[0].casefold())
    return model if said_twice else f"{maker} {model}".strip()


def _block(main: dict[int, Any], exif: dict[int, Any], gps: dict[int, Any]) -> bytes:
    """A TIFF of these directories and nothing else."""
    first = directory(main)
    inner = {EXIF_IFD: directory(exif), GPS_IFD: directory(gps)}
    for pointer, made in inner.items():
        if len(made):
            first[pointer] = 0
    block = b"II*\0\x08\0\0\0"
    end = len(block) + len(first.tobytes(len(block)))
    behind = b""
    for pointer, made in inner.items():
        if len(made):
            behind += b"\0" * (end % 2)
            end += end % 2
            first[pointer] = end
            written = made.tobytes(end)
            behind += written
            end += len(written)
    return block + first.tobytes(len(block)) + behind


def xmp_packet(exif: Exif, *, enhanced: bool | None = None, at_most: int | None = None) -> bytes:
    """The XMP packet of a result: the photographer's words, what made it, and the mark if enhanced.

    For TIFF's and DNG's tag 700 (`XMP`, type BYTE) and every other format's place for it. Without
    `enhanced`, `exif` says it. Holds no coordinates. Of words that do not fit into `at_most` bytes the longest stay
    out.
    """
    rating = exif.main.get(RATING)
    words = exif.words.over(Words(rating=rating if isinstance(rating, int) and 0 <= rating <= 5 else None))
    marked = exif.enhanced if enhanced is None else enhanced
    return xmp.build(words, enhanced=marked, tool=TOOL, at_most=at_most)


def is_enhanced(path: Path | str) -> bool:
    """Whether scotopic has enhanced this picture: the mark in a DNG, TIFF, JPEG, PNG, AVIF or JPEG XL.

    False for files that hold no mark, whatever they are; raises OSError where there is no file to read.
    """
    return xmp.parse(xmp.packet_of(Path(path)))[1]


def read_exif(path: Path, *, with_broken: bool = False) -> Exif:
    """All that can be carried along from `path`: of EXIF, XMP and sidecars what can be read, be it nothing.

    `with_broken` for who asks which tags the file has, be they of use or not: the rest as `Exif.sound` has it.
    """
    # EXIF that cannot be read takes neither our mark nor the words with it.
    found = read_tags(path) or Exif()
    try:
        packet = xmp.packet_of(path)
    except OSError:
        packet = b""
    words, enhanced = xmp.parse(packet)
    words = words_beside(path).over(words)
    found = found if with_broken else found.sound()
    return replace(found, main=_following(found.main, words), words=words, enhanced=enhanced)


def _following(main: dict[int, Any], words: Words) -> dict[int, Any]:
    """The main directory saying what the words say: readers ask it before XMP (Metadata Working Group, 2010)."""
    told = {DESCRIPTION: words.description, ARTIST: "; ".join(words.creators), COPYRIGHT: words.rights}
    if str(main.get(COPYRIGHT, "")).partition("\0")[0] == words.rights:
        # The same, with the editor's beside it.
        del told[COPYRIGHT]
    followed = main | {tag: text[:LONGEST_TEXT] for tag, text in told.items() if text}
    if words.rating is not None:
        followed[RATING] = words.rating
    if words.rating == _REJECTED:
        del followed[RATING]
    return followed


_REJECTED = -1
"""The XMP rating of rejected photos, which EXIF does not know."""


_COUNT_MAX = 0xFFFFFFFF
"""EXIF's whole numbers have 32 bits."""


def read_tags(path: Path) -> Exif | None:
    """The EXIF of a file as it stands there, with what is broken, and without XMP, for which some files are looked
    through; None where nothing can be read.
    """
    found = directories_of(path)
    return None if found is None else Exif(*found)


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
    inner = with_iso(inner, round(iso) if iso and 0 < iso <= _COUNT_MAX else None)
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
