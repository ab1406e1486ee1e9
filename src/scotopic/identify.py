"""What a file is, by its bytes alone: a RAW photo that may be decoded, or what else and what to do."""

from __future__ import annotations

import logging
import os
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import tifffile

from scotopic.disk.files import kind_of
from scotopic.errors import DamagedFileError, NotRawError, ReadError

# What tifffile finds wrong in a directory is no news to whoever runs the program: the verdict is told in words.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

RAW_SUFFIXES = frozenset(
    ".3fr .ari .arw .bay .cap .cr2 .cr3 .crw .dcr .dng .erf .fff .gpr .iiq .k25 .kdc .mdc .mef .mos "
    ".mrw .nef .nrw .orf .pef .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f".split()
)
"""Endings by which files are picked from folders; a file named outright may be called anything."""

_DEVELOPED_ADVICE = (
    "such a file is already developed and no longer holds the light that is needed; "
    "choose the RAW file of the same picture (ARW, NEF, CR3, DNG, ...)"
)
_DEVELOPED = [
    (0, b"\xff\xd8\xff", "a JPEG"),
    (0, b"\x89PNG\r\n", "a PNG"),
    (0, b"GIF8", "a GIF"),
    (0, b"BM", "a BMP"),
    (0, b"8BPS", "a Photoshop file"),
    (8, b"WEBP", "a WebP picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
]
TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""Classic and big TIFF, little- and big-endian."""
RAF_HEAD = b"FUJIFILM"
"""What Fujifilm's RAF files begin with, as far as LibRaw asks."""
RAF_HEADER = 148
"""Bytes of a RAF's own header, of the oldest cameras' at least: the preview follows."""
RAF_LIGHT_AT = 100
"""Where a RAF says at which byte its light begins, as four bytes, the highest first."""
PAGES_MAX = 64
"""Directories looked at: cameras write a dozen, and one for each frame of a burst."""

_ISO_MEDIA_RAW = {b"crx "}
_ISO_MEDIA_PICTURES = {
    *(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"),
    *(b"avif", b"avis"),
}
_QUICKTIME = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
"""What a film begins with that has no brand: older cameras' MOV."""

_ARCHIVES = (b"PK\x03\x04", b"Rar!\x1a", b"7z\xbc\xaf\x27", b"\x1f\x8b\x08")


def check_is_file(path: Path) -> None:
    """Raise ReadError for what is no file: nothing at all, a folder, a pipe, a device. Nothing is opened."""
    try:
        found = kind_of(path)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise ReadError(
                f"{path}: is a link to {path.readlink()}, where nothing is; bring that back, or remove it"
            ) from error
        raise ReadError(f"{path}: there is no such file") from error
    except OSError as error:
        raise ReadError(f"{path}: cannot be read ({error.strerror})") from error
    if found == "a folder":
        closed = "" if os.access(path, os.R_OK | os.X_OK) else " that cannot be opened (Permission denied)"
        raise ReadError(f"{path}: is a folder{closed}, not a file")
    if found != "a file":
        raise ReadError(f"{path}: is {found}, not a file; save the photo as a file first, and give that")


def check_is_raw(path: Path) -> None:
    """Raise an error if the bytes of `path` cannot be a whole RAW photo's, before LibRaw sees them."""
    check_is_file(path)
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise ReadError(f"{path}: cannot be read ({error.strerror})") from error
    if not any(head):
        words = "begins with nothing but zeros" if head else "is empty (0 bytes)"
        raise DamagedFileError(f"{path.name}: the file {words}; copy it from the card again")
    for offset, magic, kind in _DEVELOPED:
        if head[offset : offset + len(magic)] == magic:
            raise NotRawError(f"{path.name}: is {kind}, not a RAW file; {_DEVELOPED_ADVICE}")
    if head[4:8] in _QUICKTIME or (head[4:8] == b"ftyp" and head[8:12] not in _ISO_MEDIA_RAW):
        is_picture = head[4:8] == b"ftyp" and head[8:12] in _ISO_MEDIA_PICTURES
        kind = "a HEIC or AVIF picture" if is_picture else "a video"
        raise NotRawError(f"{path.name}: is {kind}, not a RAW file; {_DEVELOPED_ADVICE}")
    if head.startswith(_ARCHIVES):
        raise NotRawError(
            f"{path.name}: is an archive, not a RAW file; unpack it, and give the photos in it"
        )
    if head.lstrip()[:5] in (b"%PDF-", b"<?xml", b"<html", b"<!DOC") or _is_text(head):
        raise NotRawError(f"{path.name}: is a document, not a RAW file; choose a photo's RAW file")
    if _is_developed_tiff(path, head):
        raise NotRawError(f"{path.name}: is a developed TIFF, not a RAW file; {_DEVELOPED_ADVICE}")
    _check_raf(path, head)
    _check_tiff_extents(path, head)


def _check_raf(path: Path, head: bytes) -> None:
    """Raise DamagedFileError where a Fujifilm RAF ends before its header does, or before the light it points to."""
    if not head.startswith(RAF_HEAD):
        return
    size = path.stat().st_size
    needed = max(int.from_bytes(head[RAF_LIGHT_AT : RAF_LIGHT_AT + 4], "big"), RAF_HEADER)
    if needed >= size:
        raise DamagedFileError(
            f"{path.name}: the RAW file is cut short before its picture ({size} bytes are there, {needed} and more "
            "needed); copy it from the card again"
        )


def _check_tiff_extents(path: Path, head: bytes) -> None:
    """Raise DamagedFileError where a TIFF-like file ends before the picture that its tags promise."""
    if head[:4] not in TIFF_HEADS:
        return
    size = path.stat().st_size
    first = _first_directory(head)
    if first is not None and first >= size:
        raise DamagedFileError(
            f"{path.name}: the RAW file is cut short before the directory of what it holds ({size} bytes are there, "
            f"{first} and more needed); copy it from the card again"
        )
    try:
        with tifffile.TiffFile(path) as tiff:
            extents = [(_area(p), _end(p)) for p in all_pages(tiff)]
    except Exception:
        # No readable directory: LibRaw gives the verdict.
        return
    largest = max((area for area, _ in extents), default=0)
    if any(end > size for area, end in extents if 4 * area >= largest):
        raise DamagedFileError(
            f"{path.name}: the RAW file is cut short ({size} bytes are there, "
            f"{max(end for _, end in extents)} needed); copy it from the card again"
        )


def _first_directory(head: bytes) -> int | None:
    """Where the first directory of a TIFF-like file begins; None where the head itself is cut."""
    order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
    big = b"+" in head[:4]
    place = head[8:16] if big else head[4:8]
    return int.from_bytes(place, order) if len(place) == (8 if big else 4) else None


def all_pages(tiff: Any) -> list[Any]:
    """The pages of a tifffile.TiffFile and the sub-pages below them, as far as they are told apart.

    At most PAGES_MAX: directories may follow each other in a circle, or be thousands.
    """
    found: dict[int, Any] = {}
    for page in islice(tiff.pages, PAGES_MAX):
        if page.offset in found:
            break
        for each in (page, *islice(page.pages or (), PAGES_MAX - len(found))):
            found.setdefault(each.offset, each)
        if len(found) >= PAGES_MAX:
            break
    return list(found.values())


def _area(page: Any) -> int:
    return int(page.imagewidth) * int(page.imagelength)


def _end(page: Any) -> int:
    """Where the last of a page's picture data ends in the file."""
    return max((o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=False)), default=0)


def _is_text(head: bytes) -> bool:
    return all(byte in b"\t\n\r\f\b\x1b" or 32 <= byte < 127 or byte >= 128 for byte in head) and (
        b"\n" in head or len(head) < 4096
    )


def _is_developed_tiff(path: Path, head: bytes) -> bool:
    """A TIFF whose largest picture has finished colours, and that is no DNG and no maker's RAW."""
    if head[:4] not in TIFF_HEADS or head[8:10] == b"CR":
        return False
    try:
        with tifffile.TiffFile(path) as tiff:
            pages = all_pages(tiff)
            if any(DNG_VERSION in page.tags for page in pages):
                return False
            largest = max(pages, key=_area)
            finished = int(largest.photometric) in _FINISHED_PHOTOMETRICS
            return finished and largest.samplesperpixel >= 3 and int(largest.compression) < _VENDORS_FROM
    except Exception:
        # No readable directory: LibRaw gives the verdict.
        return False


DNG_VERSION = 50706
_FINISHED_PHOTOMETRICS = (2, 5, 6, 8)
"""Photometric interpretations of finished pictures: RGB, CMYK, YCbCr and Lab."""

_VENDORS_FROM = 32767
"""TIFF compressions from here on are makers' own; some are RAW."""
