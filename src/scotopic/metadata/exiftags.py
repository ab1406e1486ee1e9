"""EXIF's tags one by one: which are carried, what type and value each wants, directories in a TIFF.

Numbers, types and meanings are those of CIPA DC-008 (Exif 3.0); values as Pillow writes them.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

from PIL import TiffTags
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

EXIF_IFD, GPS_IFD = 0x8769, 0x8825
ORIENTATION, SOFTWARE, EXPOSURE_TIME, RATING = 0x0112, 0x0131, 0x829A, 0x4746
DESCRIPTION, ARTIST, COPYRIGHT = 0x010E, 0x013B, 0x8298
EXIF_VERSION, FLASHPIX_VERSION, COLOR_SPACE, WIDTH, HEIGHT = 0x9000, 0xA000, 0xA001, 0xA002, 0xA003
ISO, EXPOSURE_BIAS = 0x8827, 0x9204

_SENSITIVITY_TYPE, _OUTPUT_SENSITIVITY, _EXPOSURE_INDEX, _ISO_SPEED = 0x8830, 0x8831, 0x8832, 0x8833
_RECOMMENDED = 2
"""Value of SensitivityType for: the number is the recommended exposure index."""

ISO_MAX = 0xFFFF
"""Largest ISO that EXIF's 16 bits hold; it stands for so much or more, and another tag says how much."""

MAIN_KEPT = {
    DESCRIPTION,
    0x010F,  # Make
    0x0110,  # Model
    0x0132,  # DateTime
    ARTIST,
    RATING,
    COPYRIGHT,
}
OF_THE_SHOT = {
    EXPOSURE_TIME,
    0x829D,  # FNumber
    0x8822,  # ExposureProgram
    ISO,
    0x9003,  # DateTimeOriginal
    EXPOSURE_BIAS,
    0x9207,  # MeteringMode
    0x920A,  # FocalLength
}
"""What TIFF/EP (ISO 12234-2), which DNG follows, has in the main directory too: taken for EXIF's where that is
silent."""

EXIF_DROPPED = {
    0x927C,  # MakerNote: its offsets hold only inside the file it came from
    WIDTH,  # of the RAW, not of the result
    HEIGHT,
    0xA005,  # Interoperability pointer
    0xA500,  # Gamma: of the source's values; the profile tells the result's
    0x9101,  # ComponentsConfiguration, CompressedBitsPerPixel: of a JPEG
    0x9102,
    COLOR_SPACE,  # ours is set on writing
}

DPI = 72
"""Dots an inch that a picture says of which no density is known (Exif 3.0, XResolution)."""

OF_JPEG: tuple[dict[int, Any], dict[int, Any]] = (
    {
        0x011A: IFDRational(DPI, 1),  # XResolution, YResolution
        0x011B: IFDRational(DPI, 1),
        0x0128: 2,  # ResolutionUnit: inch
        0x0213: 1,  # YCbCrPositioning: centred, as all are without subsampling
    },
    {0x9101: b"\1\2\3\0"},  # ComponentsConfiguration: Y, Cb, Cr
)
"""What EXIF asks for in a JPEG's main and EXIF directories, besides what all have."""

_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _UNDEFINED, _SRATIONAL = 1, 2, 3, 4, 5, 7, 10

_TYPES = {
    **dict.fromkeys((0, 5), _BYTE),  # GPSVersionID, GPSAltitudeRef
    **dict.fromkeys((_OUTPUT_SENSITIVITY, _EXPOSURE_INDEX, _ISO_SPEED, 0x8834, 0x8835), _LONG),
    **dict.fromkeys((EXIF_VERSION, FLASHPIX_VERSION, 0x9101, 0xA300, 0xA301, 0xA302), _UNDEFINED),
    # What may be negative: speed, brightness, bias; temperature, depth, elevation.
    **dict.fromkeys((0x9201, 0x9203, 0x9204, 0x9400, 0x9403, 0x9405), _SRATIONAL),
}
"""Types that EXIF asks for where Pillow would take another by the value. Bytes are UNDEFINED but where this says so:
the EXIF directory has no tag of type BYTE."""

_UNKNOWN_ALLOWED = {0xA432}
"""Tags whose fractions may be 0/0: LensSpecification, where an aperture is not known."""

_GPS_GROUPS = ((1, 2, 3, 4), (5, 6), (12, 13), (14, 15), (16, 17), (19, 20, 21, 22), (23, 24), (25, 26))
"""GPS tags that say nothing without each other: latitude, longitude and their references, altitude, speed, track,
direction, destination."""

_VERSIONS = {
    b"0220": (),
    b"0221": (0xA500,),
    b"0230": (*range(0x8830, 0x8836), *range(0xA430, 0xA436)),
    b"0231": (*range(0x9010, 0x9013), *range(0x9400, 0x9406)),
    b"0232": (0xA460, 0xA461, 0xA462),
    b"0300": (*range(0xA436, 0xA43D),),
}
"""Versions of EXIF, with the tags that each brought."""

USUAL_VERSION = b"0232"


def version_for(exif: dict[int, Any]) -> bytes:
    """The EXIF version of a directory: what it says, or what its tags need where that is newer."""
    stated = exif.get(EXIF_VERSION)
    stated = stated.encode() if isinstance(stated, str) else stated
    if not (isinstance(stated, bytes) and len(stated) == 4 and stated.isdigit()):
        stated = USUAL_VERSION
    return max([stated, *(version for version, tags in _VERSIONS.items() if any(t in exif for t in tags))])


def sound(tags: dict[int, Any], *, gps: bool = False) -> dict[int, Any]:
    """The tags whose fractions are numbers; of a place, nothing where a part of it is none."""
    broken = {tag for tag, value in tags.items() if tag not in _UNKNOWN_ALLOWED and _divides_by_zero(value)}
    if gps:
        broken.update(*(group for group in _GPS_GROUPS if broken.intersection(group)))
    left = {tag: value for tag, value in tags.items() if tag not in broken}
    # The version of a directory of which nothing else is left.
    return {} if gps and set(left) == {0} else left


def of_shot(exif: dict[int, Any], main: dict[int, Any]) -> dict[int, Any]:
    """The EXIF directory with what the main directory has OF_THE_SHOT, where it is silent or says nothing.

    >>> of_shot({ISO: 0, EXPOSURE_BIAS: 0}, {ISO: 3200, EXPOSURE_BIAS: 1, EXPOSURE_TIME: 0.125})
    {34855: 3200, 37380: 0, 33434: 0.125}
    """
    return exif | {tag: value for tag, value in main.items() if tag not in exif or _unsaid(tag, exif[tag])}


def _unsaid(tag: int, value: Any) -> bool:
    """Whether a value of the shot is none: zero, where that is no setting, or a date without a number."""
    if isinstance(value, str):
        return not any(letter in "123456789" for letter in value)
    values = value if isinstance(value, tuple) else (value,)
    return _divides_by_zero(value) or (tag != EXPOSURE_BIAS and not any(values))


def _divides_by_zero(value: Any) -> bool:
    values = value if isinstance(value, tuple) else (value,)
    return any(isinstance(v, IFDRational) and v.denominator == 0 for v in values)


def iso_of(exif: dict[int, Any]) -> int | None:
    """The sensitivity; of one beyond 16 bits what the other tags say, or ISO_MAX where they are silent."""
    stated = exif.get(ISO)
    iso = stated[0] if isinstance(stated, tuple) and stated else stated
    if not isinstance(iso, int) or iso < ISO_MAX:
        return iso if isinstance(iso, int) and iso > 0 else None
    others = (exif.get(tag) for tag in (_EXPOSURE_INDEX, _OUTPUT_SENSITIVITY, _ISO_SPEED))
    return max([iso, *(v for v in others if isinstance(v, int))])


def with_iso(exif: dict[int, Any], iso: int | None) -> dict[int, Any]:
    """The directory with a sensitivity where it has none; one beyond 16 bits is stored as EXIF does."""
    known = iso_of(exif)
    if (known is None and not iso) or (known is not None and known < ISO_MAX):
        return exif
    told = max(known or 0, iso or 0)
    if told < ISO_MAX:
        return {**exif, ISO: told}
    others = (_OUTPUT_SENSITIVITY, _EXPOSURE_INDEX, _ISO_SPEED)
    more: dict[int, Any] = {}
    if told > ISO_MAX and not any(exif.get(tag) == told for tag in others):
        more = {_SENSITIVITY_TYPE: _RECOMMENDED, _EXPOSURE_INDEX: told}
    return {**exif, ISO: ISO_MAX, **more}


def turned(exif: dict[int, Any], orientation: int) -> dict[int, Any]:
    """The directory of the same picture turned upright.

    Points in it are left out, as they count in the camera's own picture, whose size is not ours.
    """
    if orientation not in range(2, 9):
        return exif
    left_out = {0x9214, 0xA214}  # SubjectArea, SubjectLocation
    x, y = 0xA20E, 0xA20F  # FocalPlaneXResolution, FocalPlaneYResolution
    swap = {}
    if orientation >= 5:
        left_out |= {0xA20C, x, y}  # SpatialFrequencyResponse: along the width and the height
        swap = {new: exif[old] for new, old in ((x, y), (y, x)) if old in exif}
    return {tag: value for tag, value in exif.items() if tag not in left_out} | swap


MOST = 1 << 20
"""Bytes of EXIF in a result of any format, at most: no photo has as much, and of more Pillow's packing takes
seconds."""


def packed_size(tag: int, value: Any) -> int:
    """Bytes that a tag takes in a directory, its entry included."""
    return len(directory({tag: value}).tobytes()) - len(directory({}).tobytes())


def fitting(directories: tuple[dict[int, Any], ...], at_most: int) -> tuple[dict[int, Any], ...]:
    """The directories without their longest values, so that all take `at_most` bytes; the earlier tags go last.

    Each value is packed once: a stranger's file may have tens of thousands.
    """
    sizes = sorted(
        (packed_size(tag, value), place, tag)
        for place, tags in enumerate(directories)
        for tag, value in tags.items()
    )
    excess = sum(size for size, _, _ in sizes) - at_most
    left = tuple(dict(tags) for tags in directories)
    while excess > 0 and sizes:
        size, place, tag = sizes.pop()
        del left[place][tag]
        excess -= size
    return left


def writes(tag: int, value: Any) -> bool:
    """Whether a value can be written under its tag: a broken file may hold a number where a text belongs."""
    try:
        directory({tag: value}).tobytes()
    except Exception:
        # Whatever Pillow raises on packing it.
        return False
    return True


def directory(tags: dict[int, Any]) -> ImageFileDirectory_v2:
    """A directory as Pillow packs it, each value of the type that EXIF asks for."""
    made = ImageFileDirectory_v2()
    for tag, value in tags.items():
        kind = _TYPES.get(tag)
        if kind in (_UNDEFINED, _BYTE):
            value = _as_bytes(value)
        elif isinstance(value, str):
            # Pillow would put question marks for letters beyond ASCII; bytes it leaves alone.
            kind, value = _ASCII, value.encode()
        elif isinstance(value, bytes):
            kind = _UNDEFINED
        elif isinstance(value, tuple) and TiffTags.lookup(tag).length == 1:
            # Pillow would warn of the others, and leave them out as well.
            value = value[0]
        if kind is not None:
            made.tagtype[tag] = kind
        made[tag] = value
    return made


def _as_bytes(value: Any) -> bytes:
    """What should be bytes, where a file has them as a text or as numbers."""
    if isinstance(value, str):
        return value.encode()
    return value if isinstance(value, bytes) else bytes(value if isinstance(value, tuple) else [value])


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
        for pointer, inner in ((EXIF_IFD, exif), (GPS_IFD, gps)):
            if len(inner):
                offset = _to_even_end(file)
                file.write(inner.tobytes(offset))
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
