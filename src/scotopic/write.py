"""Rendered pictures to files: whole or not at all, and never over a file unasked."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
from PIL import Image

from scotopic.errors import FileExistsRefusal, SettingsError, WriteError
from scotopic.frame import Rendered
from scotopic.metadata import ORIENTATION, RATING, attach_to_tiff
from scotopic.version import SOFTWARE

Format = Literal["jpg", "png", "tiff"]
SUFFIXES: dict[str, Format] = {
    ".jpg": "jpg",
    ".jpeg": "jpg",
    ".png": "png",
    ".tif": "tiff",
    ".tiff": "tiff",
}
FORMATS: tuple[Format, ...] = ("jpg", "png", "tiff")

JPEG_QUALITY = 95


def bits_of(kind: Format) -> Literal[8, 16]:
    """Bits a colour that a format is written with."""
    return 16 if kind == "tiff" else 8


def write(path: Path, picture: Rendered, kind: Format, *, overwrite: bool = False) -> None:
    """Write a picture as JPEG or PNG (8 bit) or TIFF (16 bit), with ICC profile and EXIF.

    The file appears under its name only when it is complete. Raises FileExistsRefusal if it is there
    already and `overwrite` is not set, WriteError when the disk refuses.
    """
    expected = np.uint16 if kind == "tiff" else np.uint8
    if picture.data.dtype != expected:
        raise SettingsError(
            f"{kind} is written with {bits_of(kind)} bits a colour; got {picture.data.dtype}"
        )

    try:
        encoded = _encoded(picture, kind) if kind != "tiff" else b""
    except (ValueError, OSError) as error:
        raise WriteError(f"{path}: could not be encoded ({error})") from error

    def fill(temporary: Path) -> None:
        match kind:
            case "jpg" | "png":
                temporary.write_bytes(encoded)
            case "tiff":
                _write_tiff(temporary, picture)

    place(path, fill, overwrite=overwrite)


def place(path: Path, fill: Callable[[Path], None], *, overwrite: bool) -> None:
    """Let `fill` write a temporary file beside `path`, then give it its name in one step.

    Whatever goes wrong, neither a half file nor the temporary one is left.
    """
    if path.exists() and not overwrite:
        raise refusal(path)
    try:
        handle, name = tempfile.mkstemp(prefix=".scotopic-", suffix=".part", dir=path.parent)
    except OSError as error:
        raise WriteError(f"{path}: cannot write there ({error.strerror})") from error
    os.close(handle)
    temporary = Path(name)
    try:
        fill(temporary)
        # mkstemp makes files for the owner alone; a picture gets the usual rights.
        temporary.chmod(0o666 & ~_umask())
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        if overwrite:
            temporary.replace(path)
        else:
            _take_name(temporary, path)
    except OSError as error:
        raise WriteError(f"{path}: could not be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def place_bytes(path: Path, content: bytes, *, overwrite: bool) -> None:
    """Give `path` this content, whole or not at all; errors as `place`."""

    def fill(temporary: Path) -> None:
        temporary.write_bytes(content)

    place(path, fill, overwrite=overwrite)


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


def refusal(path: Path) -> FileExistsRefusal:
    """The error for a result that exists already and is kept."""
    return FileExistsRefusal(
        f"{path}: exists already and is kept; use --overwrite to replace it "
        "or --skip-existing to pass it by"
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _encoded(picture: Rendered, kind: Format) -> bytes:
    height, width, _ = picture.data.shape
    exif = picture.exif.to_bytes(width, height, SOFTWARE)
    buffer = io.BytesIO()
    image = Image.fromarray(picture.data)
    if kind == "jpg":
        image.save(
            buffer,
            "JPEG",
            quality=JPEG_QUALITY,
            subsampling="4:4:4",
            exif=b"Exif\0\0" + exif,
            icc_profile=picture.icc,
        )
    else:
        image.save(buffer, "PNG", compress_level=3, exif=exif, icc_profile=picture.icc)
    return buffer.getvalue()


def _write_tiff(path: Path, picture: Rendered) -> None:
    height, width, _ = picture.data.shape
    exif, gps = picture.exif.directories(width, height)
    tags: list[tuple[int, int, int, Any, bool]] = [(ORIENTATION, 3, 1, 1, True), *picture.exif.texts()]
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
        iccprofile=picture.icc,
        metadata=None,
        extratags=tags,
    )
    attach_to_tiff(path, exif, gps)
