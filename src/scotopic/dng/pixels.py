"""The values that a DNG stores, decoded without LibRaw: every compression, depth and predictor of DNG 1.7."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile

from scotopic.dng.directory import DEFLATE, JPEG_XL, LOSSLESS_JPEG, LOSSY_JPEG, Dng, is_lossy, main_page
from scotopic.errors import DamagedFileError, ReadError, UnsupportedRawError

_UNCOMPRESSED = 1
_KNOWN = (_UNCOMPRESSED, LOSSLESS_JPEG, *DEFLATE, LOSSY_JPEG, JPEG_XL)

_EXPANSION_MAX = {_UNCOMPRESSED: 1, LOSSLESS_JPEG: 200, 8: 1040, 32946: 1040, LOSSY_JPEG: 2000}
"""Bytes that one stored byte may become, by compression: deflate cannot do better, JPEG not in pictures of any use."""

_EXPANSION_MAX_JPEG_XL = 100_000
"""Bytes that one stored byte of JPEG XL may become: an empty tile is some twenty bytes."""

_JPEG_END, _END_WITHIN = b"\xff\xd9", 64
"""The marker at the end of a JPEG, behind which there may be some padding."""

_INTEGER_STEPS = {34892: 2, 34893: 4}
"""Predictors of integers that difference every second or fourth pixel, as suits a mosaic: the distance by the tag's
number."""

_FLOAT_STEPS = {3: 1, 34894: 2, 34895: 4}
"""Predictors of floats, whose bytes lie in planes: the distance in pixels by the tag's number."""


def stored_values(path: Path, dng: Dng) -> npt.NDArray[Any]:
    """What the file stores for the picture that `dng` describes: (H, W) or (H, W, samples).

    Rows and columns are put in order, curves are not applied. Raises UnsupportedRawError for compressions
    outside DNG 1.7, DamagedFileError for data that do not decode.
    """
    with tifffile.TiffFile(path) as tiff:
        page: Any = main_page(tiff)
        try:
            lossy = is_lossy(page, tiff)
            _check_segments(page, path.name, LOSSY_JPEG if lossy else int(page.compression))
            if lossy:
                _check_ends(page, tiff, path.name)
            values = _decoded(page, tiff)
            if values.ndim == 3 and int(page.planarconfig) == 2:
                values = np.moveaxis(values, 0, -1)
        except (ReadError, MemoryError):
            raise
        except Exception as error:
            words = " ".join(str(error).split())[:120] or type(error).__name__
            raise DamagedFileError(
                f"{path.name}: the RAW file's picture does not decode ({words}); copy it from the card again"
            ) from error
    wanted = (dng.height, dng.width) if dng.samples == 1 else (dng.height, dng.width, dng.samples)
    if values.shape != wanted and values.size != math.prod(wanted):
        raise DamagedFileError(
            f"{path.name}: decodes to {values.shape} values where its tags promise {wanted}; copy it from the "
            "card again"
        )
    return in_order(values.reshape(wanted), dng.interleave)


def _check_segments(page: Any, name: str, compression: int) -> None:
    """Refuse before decoding what cannot be whole, or would fill the memory with nothing."""
    if compression not in _KNOWN:
        raise UnsupportedRawError(
            f"{name}: its compression (number {compression}) is none that can be decoded; convert it to an "
            "uncompressed DNG first"
        )
    sizes = page.databytecounts
    width, height = int(page.imagewidth), int(page.imagelength)
    tile_width, tile_height = (
        int(page.tilewidth or width),
        int(page.tilelength or page.rowsperstrip or height),
    )
    separate = int(page.samplesperpixel) if int(page.planarconfig) == 2 else 1
    needed = math.ceil(width / tile_width) * math.ceil(height / min(tile_height, height)) * separate
    if len(sizes) < needed or len(page.dataoffsets) < needed or not all(sizes[:needed]):
        raise DamagedFileError(
            f"{name}: parts of its picture are missing ({sum(1 for n in sizes[:needed] if n)} of {needed} are "
            "there); copy it from the card again"
        )
    bits = int(np.max(page.bitspersample)) * int(page.samplesperpixel)
    promised = width * height * bits // 8
    if promised > sum(sizes) * _EXPANSION_MAX.get(compression, _EXPANSION_MAX_JPEG_XL):
        raise DamagedFileError(
            f"{name}: promises {promised} bytes of picture and holds {sum(sizes)}; copy it from the card again"
        )


def _check_ends(page: Any, tiff: Any, name: str) -> None:
    """Raise DamagedFileError where a JPEG breaks off, which its decoder fills up with grey unasked."""
    for offset, size in zip(page.dataoffsets, page.databytecounts, strict=False):
        if offset + size > tiff.filehandle.size:
            raise DamagedFileError(f"{name}: the RAW file is cut short; copy it from the card again")
        tiff.filehandle.seek(offset + max(0, size - _END_WITHIN))
        if _JPEG_END not in tiff.filehandle.read(min(size, _END_WITHIN)):
            raise DamagedFileError(
                f"{name}: the RAW file's picture breaks off; copy it from the card again"
            )


def _decoded(page: Any, tiff: Any) -> npt.NDArray[Any]:
    predictor = int(page.predictor)
    float24 = int(page.sampleformat) == 3 and page.bitspersample == 24
    if predictor in _INTEGER_STEPS or (float24 and predictor in _FLOAT_STEPS):
        return _decoded_here(page, tiff, predictor, float24)
    values: npt.NDArray[Any] = page.asarray()
    return values


def _decoded_here(page: Any, tiff: Any, predictor: int, float24: bool) -> npt.NDArray[Any]:
    """Deflate with the predictors that tifffile lacks."""
    if int(page.compression) not in DEFLATE or int(page.planarconfig) == 2:
        raise ValueError(f"predictor {predictor} with compression {int(page.compression)}")
    width, height, samples = int(page.imagewidth), int(page.imagelength), int(page.samplesperpixel)
    across = int(page.tilewidth or width)
    down = int(page.tilelength or min(int(page.rowsperstrip), height))
    sample = np.dtype(np.float32 if float24 else f"u{int(np.max(page.bitspersample)) // 8}")
    out = np.zeros((height, width, samples), sample)
    row_bytes = across * samples * (3 if float24 else sample.itemsize)
    for data, index in tiff.filehandle.read_segments(page.dataoffsets, page.databytecounts):
        top, left = index // math.ceil(width / across) * down, index % math.ceil(width / across) * across
        if top >= height:
            break
        raw = np.frombuffer(imagecodecs.zlib_decode(data), np.uint8)
        # A last strip may hold only the rows that are left.
        rows = min(down, raw.size // row_bytes)
        if rows < min(down, height - top):
            raise ValueError(f"segment {index} holds {raw.size} bytes")
        lines = raw[: rows * row_bytes].reshape(rows, row_bytes)
        if float24:
            block = _float24(lines, samples * _FLOAT_STEPS[predictor])
        else:
            ordered = lines.view(sample.newbyteorder(tiff.byteorder)).astype(sample)
            block = _summed(ordered, samples * _INTEGER_STEPS[predictor])
        part = out[top : top + rows, left : left + across]
        part[...] = block.reshape(rows, across, samples)[: part.shape[0], : part.shape[1]]
    return out[..., 0] if samples == 1 else out


def _summed(lines: npt.NDArray[Any], step: int) -> npt.NDArray[Any]:
    """Undo the differences between values `step` apart along each line, wrapping round."""
    out = lines.copy()
    for first in range(min(step, lines.shape[1])):
        np.cumsum(lines[:, first::step], axis=1, dtype=lines.dtype, out=out[:, first::step])
    return out


def _float24(lines: npt.NDArray[np.uint8], step: int) -> npt.NDArray[np.float32]:
    """Undo TIFF's floating-point predictor for 24-bit floats (Technical Note 3)."""
    planes = _summed(lines, step).reshape(lines.shape[0], 3, -1)
    packed = np.ascontiguousarray(planes.transpose(0, 2, 1))
    values: npt.NDArray[np.float32] = imagecodecs.float24_decode(packed.tobytes(), byteorder=">")
    return values.reshape(lines.shape[0], -1)


def in_order(values: npt.NDArray[Any], fields: tuple[int, int]) -> npt.NDArray[Any]:
    """Rows and columns that are stored in so many fields one after the other, put in their places.

    Adobe stores mosaics in JPEG XL as four smaller pictures, two by two.

    >>> in_order(np.array([[0, 2, 1, 3]]), (1, 2)).tolist()
    [[0, 1, 2, 3]]
    """
    rows, columns = fields
    if rows == 1 and columns == 1:
        return values
    out = np.empty_like(values)
    height, width = values.shape[:2]
    top = 0
    for row in range(rows):
        bottom = top + len(range(row, height, rows))
        left = 0
        for column in range(columns):
            right = left + len(range(column, width, columns))
            out[row::rows, column::columns] = values[top:bottom, left:right]
            left = right
        top = bottom
    return out
