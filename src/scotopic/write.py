"""Rendered pictures to files: whole or not at all, and never over a file unasked."""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, assert_never

import numpy as np
import tifffile
from PIL import features

from scotopic.disk.files import State, is_folder, is_there, state_of, why_impossible
from scotopic.disk.folders import ANOTHER
from scotopic.errors import (
    FileExistsRefusal,
    NotAllowedError,
    SettingsError,
    WriteError,
    check_kind_of,
    unwritten,
)
from scotopic.formats import avif, jpeg, jxl, png
from scotopic.formats.icc import profile, space_of
from scotopic.formats.table import (
    FACTS,
    FORMATS,
    LINEAR_NAMES,
    SUFFIXES,
    Format,
    in_words,
)
from scotopic.frame import Rendered
from scotopic.metadata import ORIENTATION, RATING, XMP, attach_to_tiff, xmp_packet
from scotopic.version import SOFTWARE

JPEG_QUALITY = 95

InMemory = Literal["jpg", "png", "avif", "jxl"]
"""Formats that are encoded in memory; a TIFF is written into its file."""

QUALITIES = range(1, 101)
"""Of a JPEG, that can be asked for."""


def bits_of(kind: Format, asked: int | None = None, *, linear: bool = False) -> Literal[8, 16]:
    """The depth in which a picture is to be developed for a format: what is `asked` for, or the usual one.

    Light without a curve takes the deepest there is, as 8 bits would show steps. AVIF of 10 bits is made
    of a picture of 16. Raises SettingsError for a depth that the format is not written with.
    """
    depths = FACTS[kind].depths
    if asked is not None and asked not in depths:
        raise SettingsError(
            f"{kind} is written with {in_words(map(str, depths))} bits a colour, not {asked}; leave --bits out or "
            "choose another format"
        )
    bits = asked or (max(depths) if linear and 16 in depths else depths[0])
    return 8 if bits == 8 else 16


def write(
    path: Path | str,
    picture: Rendered,
    kind: Format,
    *,
    overwrite: bool = False,
    replaces: State | None = None,
    quality: int | None = None,
) -> None:
    """Write a picture with ICC profile, EXIF and XMP: JPEG (8 bit), PNG (8 or 16), AVIF (8, or 10 from 16),
    TIFF or JPEG XL (16). `quality` is a JPEG's, 1 to 100, JPEG_QUALITY where there is none.

    The file appears under its name only when it is complete. Raises FileExistsRefusal if it is there
    already, unless `overwrite` is set or it is as `replaces` says, WriteError when the disk refuses,
    SettingsError for a depth or a colour space that the format is not written with, for a name that says
    another format, and for a quality out of range.
    """
    path = Path(path)
    check_format(kind, picture)
    named = SUFFIXES.get(path.suffix.lower(), kind)
    if named != kind:
        raise SettingsError(
            f"{path}: its name says {named}, but it was to be written as {kind}: change one of them"
        )
    check_quality(quality)
    if kind == "tiff":
        place(
            path, lambda temporary: _write_tiff(temporary, picture), overwrite=overwrite, replaces=replaces
        )
        return
    try:
        content = _encoded(picture, kind, quality)
    except WriteError as error:
        raise WriteError(f"{path}: {error}") from error
    place_bytes(path, content, overwrite=overwrite, replaces=replaces)


def encode(picture: Rendered, kind: Format, *, quality: int | None = None) -> bytes:
    """The file that `write` writes, in memory; raises what it raises of the picture and its settings."""
    check_format(kind, picture)
    check_quality(quality)
    if kind != "tiff":
        return _encoded(picture, kind, quality)
    try:
        with tempfile.TemporaryDirectory(prefix="scotopic-") as folder:
            path = Path(folder) / "picture.tiff"
            _write_tiff(path, picture)
            return path.read_bytes()
    except OSError as error:
        raise WriteError(f"no TIFF could be made in the folder for temporary files ({error})") from error


def check_quality(quality: int | None) -> None:
    """Raise SettingsError for a JPEG's quality that there is not."""
    if quality is not None and quality not in QUALITIES:
        raise SettingsError(
            f"quality {quality} is out of range: whole numbers from {QUALITIES[0]} to {QUALITIES[-1]}, or None for "
            f"the usual {JPEG_QUALITY}"
        )


def check_format(kind: Format, picture: Rendered) -> None:
    """Raise SettingsError where a picture does not fit a format."""
    check_kind_of("a picture to write", picture, Rendered, "give what `develop` or `finished` gives")
    if kind not in FORMATS:
        raise SettingsError(f"no picture format called {kind}: known are {', '.join(FORMATS)}")
    depths = FACTS[kind].depths
    fits = (8 in depths and picture.data.dtype == np.uint8) or (
        max(depths) > 8 and picture.data.dtype == np.uint16
    )
    if not fits:
        raise SettingsError(
            f"{kind} is written with {in_words(map(str, depths))} bits a colour; got {picture.data.dtype}: develop "
            f"with bits={bits_of(kind, None, linear=False)}"
        )
    if kind == "jxl" and space_of(picture.icc) is None:
        raise SettingsError(
            "JPEG XL is written in the colour spaces of scotopic only (sRGB, Display P3, Rec. 2020); choose "
            "another format for another ICC profile"
        )


def check_space(kind: Format, space: str, look: str = "natural") -> None:
    """Raise SettingsError for a format that cannot be written here, or not as light without a curve."""
    if kind == "avif" and not features.check("avif"):
        raise SettingsError("AVIF needs Pillow 11.3 or later, built with libavif; choose another format")
    facts = FACTS[kind]
    if not facts.holds_linear and (look == "linear" or space == "rec2020-linear"):
        raise SettingsError(
            f"{facts.name} holds at most {max(facts.depths)} bits a colour here, which would show steps in linear "
            f"light: choose {LINEAR_NAMES} (--format tiff)"
        )


def _is_srgb(picture: Rendered) -> bool:
    return picture.icc == profile("srgb")


def place(
    path: Path, fill: Callable[[Path], None], *, overwrite: bool, replaces: State | None = None
) -> None:
    """Let `fill` write a temporary file beside `path`, then give it its name in one step.

    Whatever goes wrong, neither a half file nor the temporary one is left. A file that is there is kept, unless
    `overwrite` is set, or it is at the end, too, as `replaces` says (`state_of`).
    """
    _check_name(path)
    if is_there(path) and not may_replace(path, overwrite, replaces):
        raise refusal(path)
    temporary = path.parent / PARTS.replace("*", f"{os.getpid()}-{secrets.token_hex(8)}")
    try:
        # The system takes off what umask or folder say, as of every new file: asking for the umask would set it.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        raise unwritten(path, error, ANOTHER) from error
    try:
        fill(temporary)
        # Windows brings to the disk only what may be written.
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        if may_replace(path, overwrite, replaces):
            temporary.replace(path)
        else:
            _take_name(temporary, path)
    except OSError as error:
        raise unwritten(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def may_replace(path: Path, overwrite: bool, replaces: State | None) -> bool:
    """Whether a file that is there may go: the user said so, or it is the one that is known, as nobody touched it."""
    return overwrite or (replaces is not None and state_of(path) == replaces)


PARTS = ".scotopic-*.part"
"""A pattern of the names under which any process writes."""


def process_of(part: str) -> int | None:
    """The process that writes, or wrote, under such a name: where it was killed, others can tidy up.

    >>> process_of(".scotopic-4711-0123456789abcdef.part")
    4711
    """
    found = re.fullmatch(r"\.scotopic-([0-9]+)-[0-9a-f]+\.part", part)
    return int(found[1]) if found else None


def place_bytes(path: Path, content: bytes, *, overwrite: bool, replaces: State | None = None) -> None:
    """Give `path` this content, whole or not at all; errors as `place`."""

    def fill(temporary: Path) -> None:
        temporary.write_bytes(content)

    place(path, fill, overwrite=overwrite, replaces=replaces)


def _take_name(temporary: Path, path: Path) -> None:
    """Give the file its name unless somebody took it meanwhile; atomic where links are possible."""
    try:
        os.link(temporary, path)
    except FileExistsError as error:
        raise refusal(path) from error
    except OSError:
        # A file system without hard links (FAT, some network shares): take the name, then fill it.
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        except FileExistsError as error:
            raise refusal(path) from error
        try:
            temporary.replace(path)
        except OSError:
            path.unlink(missing_ok=True)
            raise


OR_SKIP = ", --skip-existing to pass it by, or another folder (-o) if it is of another photo"


def refusal(path: Path | str, otherwise: str = "") -> FileExistsRefusal:
    """The error for a result that exists already and is kept; `otherwise` is what else may be done."""
    return FileExistsRefusal(
        f"{path}: exists already and is kept; use --overwrite to replace it{otherwise}"
    )


def check_place(path: Path) -> None:
    """Raise WriteError where `path` could not be written, before any work is spent on it.

    The folder need not exist; the nearest one above that does must be open to us.
    """
    _check_name(path)
    above = _nearest_above(path)
    if above is None or not is_folder(above):
        raise WriteError(f"{path}: cannot be written, since {above} is no folder; give another with -o")
    if not os.access(above, os.W_OK | os.X_OK):
        raise NotAllowedError(
            f"{path}: cannot be written, since {above} is read-only; give another folder with -o"
        )


def _nearest_above(path: Path) -> Path | None:
    """The nearest folder above `path` that is there."""
    return next((folder for folder in path.absolute().parents if is_there(folder)), None)


def _check_name(path: Path) -> None:
    """Raise WriteError for a name that no file can have, be it that of a folder yet to be made."""
    above = _nearest_above(path)
    new = path.absolute().relative_to(above).parts if above is not None else ()
    for each in (path, *(above / part for part in new if above is not None)):
        if why := why_impossible(each):
            raise WriteError(
                f"{path}: cannot be written, since nothing can have this name ({why}); give another"
            )


def _encoded(picture: Rendered, kind: InMemory, quality: int | None) -> bytes:
    try:
        return _coded(picture, kind, JPEG_QUALITY if quality is None else quality)
    except (ValueError, OSError, RuntimeError) as error:
        raise WriteError(f"could not be encoded ({error})") from error


def _coded(picture: Rendered, kind: InMemory, quality: int) -> bytes:
    height, width, _ = picture.data.shape
    exif = picture.exif.to_bytes(
        width,
        height,
        SOFTWARE,
        srgb=_is_srgb(picture),
        # Pillow would move an orientation into AVIF's own property, and spoil accents on the way.
        oriented=kind != "avif",
        jpeg=kind == "jpg",
        at_most=FACTS[kind].exif_max,
    )
    packet = xmp_packet(picture.exif, at_most=FACTS[kind].packet_max)
    match kind:
        case "jpg":
            data = np.asarray(picture.data, np.uint8)
            return jpeg.encode(data, quality, exif=exif, icc=picture.icc, xmp=packet)
        case "png":
            return png.encode(picture, exif, packet)
        case "avif":
            return avif.encode(picture, exif, packet)
        case "jxl":
            return jxl.encode(picture, exif, packet)
        case _:
            assert_never(kind)


def _write_tiff(path: Path, picture: Rendered) -> None:
    exif, gps = picture.exif.directories(srgb=_is_srgb(picture))
    packet = xmp_packet(picture.exif)
    tags: list[tuple[int, int, int, Any, bool]] = [
        (ORIENTATION, 3, 1, 1, True),
        (XMP, 1, len(packet), packet, True),
        *picture.exif.texts(),
    ]
    rating = picture.exif.main.get(RATING)
    if isinstance(rating, int):
        tags.append((RATING, 3, 1, rating, True))
    tifffile.imwrite(
        path,
        picture.data,
        byteorder="<",
        photometric="rgb",
        compression="zlib",
        compressionargs={"level": 1},
        predictor=True,
        rowsperstrip=256,
        software=SOFTWARE,
        iccprofile=picture.icc or None,
        metadata=None,
        extratags=tags,
    )
    attach_to_tiff(path, exif, gps)
