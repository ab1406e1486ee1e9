"""The formats of results, a row each: how files of one are called, what they hold and what they can carry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from scotopic.formats import avif, jpeg
from scotopic.metadata.exiftags import MOST

Format = Literal["jpg", "png", "tiff", "avif", "jxl"]
"""Of finished pictures."""

Kind = Literal[Format, "dng"]
"""Formats of results: finished pictures, or light to go on editing."""


@dataclass(frozen=True)
class Facts:
    """What there is to know of a format, but how it is encoded."""

    name: str
    """As people call it."""
    suffixes: tuple[str, ...]
    """Of files' names; the format is called after one of them."""
    media_type: str
    depths: tuple[int, ...]
    """Bits a colour that it is written with, the usual one first."""
    holds_linear: bool = False
    """Whether a finished picture may be light without a curve."""
    has_quality: bool = False
    exif_max: int = MOST
    """Bytes of EXIF, at most."""
    packet_max: int | None = None
    """Bytes of XMP, at most."""


FACTS: dict[Kind, Facts] = {
    "jpg": Facts(
        "JPEG",
        (".jpg", ".jpeg"),
        "image/jpeg",
        (8,),
        has_quality=True,
        exif_max=jpeg.EXIF_MAX,
        packet_max=jpeg.PACKET_MAX,
    ),
    "png": Facts("PNG", (".png",), "image/png", (8, 16), holds_linear=True),
    "tiff": Facts("TIFF", (".tif", ".tiff"), "image/tiff", (16,), holds_linear=True),
    # A picture of 16 bits is written with 10, in which linear light would show steps.
    "avif": Facts("AVIF", (".avif",), "image/avif", (8, avif.DEEP)),
    "jxl": Facts("JPEG XL", (".jxl",), "image/jxl", (16,), holds_linear=True),
    "dng": Facts("DNG", (".dng",), "image/x-adobe-dng", (16,)),
}

FORMATS: tuple[Format, ...] = get_args(Format)
LINEAR: tuple[Format, ...] = tuple(kind for kind in FORMATS if FACTS[kind].holds_linear)
"""Formats that hold light without a curve."""

SUFFIXES: dict[str, Format] = {suffix: kind for kind in FORMATS for suffix in FACTS[kind].suffixes}
"""Finished pictures' formats by their names' ends."""

ENDINGS: dict[str, Kind] = {suffix: kind for kind, facts in FACTS.items() for suffix in facts.suffixes}
"""Formats of all results by their names' ends."""

BITS = tuple(sorted({bits for facts in FACTS.values() for bits in facts.depths}))
"""Bits a colour that results are written with."""


def in_words(words: Iterable[str], last: str = "or") -> str:
    """A list as it is said.

    >>> in_words(LINEAR)
    'png, tiff or jxl'
    """
    *before, end = words
    return f"{', '.join(before)} {last} {end}" if before else end


def by_depth() -> str:
    """Finished pictures' formats by their usual depth.

    >>> by_depth()
    'jpg, png or avif (8 bit), tiff or jxl (16 bit)'
    """
    usual = {kind: FACTS[kind].depths[0] for kind in FORMATS}
    groups = (
        (bits, [kind for kind in FORMATS if usual[kind] == bits]) for bits in sorted(set(usual.values()))
    )
    return ", ".join(f"{in_words(kinds)} ({bits} bit)" for bits, kinds in groups)


LINEAR_NAMES = in_words(FACTS[kind].name for kind in LINEAR)
