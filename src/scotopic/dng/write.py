"""DNG files written: linear ones for editors, and mosaics, which is how simulated photos come to be read."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Literal, assert_never, get_args

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

from scotopic.colour import XYZ_FROM_SRGB
from scotopic.cores import usable_cores
from scotopic.develop import shown_size, turned, turned_back
from scotopic.disk.files import State
from scotopic.dng.light import DNG_WHITES, ROWS, DngWhite, Scaling, integers, scaling_of
from scotopic.dng.origin import COLOR_MATRIX_1, OPCODE_LIST_3, UNIQUE_CAMERA_MODEL, Origin, Tag
from scotopic.dng.tags import BASELINE_EXPOSURE
from scotopic.errors import SettingsError, WriteError
from scotopic.formats.icc import space_of
from scotopic.frame import Linear, Mosaic, Rendered, check_light, check_strength
from scotopic.metadata import NOISE_PROFILE, RATING, XMP, attach_to_tiff, xmp_packet
from scotopic.version import SOFTWARE
from scotopic.write import place

Compression = Literal["none", "lossless-jpeg", "jxl"]
COMPRESSIONS: tuple[Compression, ...] = get_args(Compression)

_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _UNDEFINED = 1, 2, 3, 4, 5, 7
_SRATIONAL, _FLOAT, _DOUBLE = 10, 11, 12
_CFA, _LINEAR_RAW, _YCBCR, _D65 = 32803, 34892, 6, 21
_REDUCED, _SRGB_PREVIEW = 1, 2
"""NewSubFileType of a thumbnail or preview; PreviewColorSpace."""

_STORED: dict[Compression, dict[str, Any]] = {
    # Plain strips are what every reader knows.
    "none": {"rowsperstrip": ROWS},
    "lossless-jpeg": {"tile": (ROWS, ROWS), "compression": 7},
    "jxl": {"tile": (ROWS, ROWS), "compression": 52546},
}

THUMBNAIL_SIDE, PREVIEW_QUALITY = 256, 90


def write_linear(
    path: Path | str,
    linear: Linear,
    preview: Rendered,
    *,
    compression: Compression = "none",
    strength: float = 1.0,
    white: DngWhite = "light",
    origin: Origin | None = None,
    overwrite: bool = False,
    replaces: State | None = None,
) -> Scaling:
    """Write a LinearRaw DNG: camera RGB before white balance, 16-bit integers, black 0.

    `preview` is the same picture rendered, sRGB, 8 bit, upright; `origin` what the source hands on;
    `strength` how much of its noise was removed (0..1), `white` what WhiteLevel stands for: the brightest "light" there
    is, or where the "sensor" saturates, the same for all frames of one amplification. The data stay in the sensor's
    orientation. Returns how the light was scaled. The file appears under its name only when it is complete. Raises
    FileExistsRefusal if it is there already, unless `overwrite` is set or it is as `replaces` says, WriteError when the
    disk refuses, SettingsError for another compression, white or preview, for a strength out of range, and for light
    that is no number.
    """
    path = Path(path)
    if compression not in COMPRESSIONS:
        raise SettingsError(f"no DNG compression called {compression}: known are {', '.join(COMPRESSIONS)}")
    if white not in DNG_WHITES:
        raise SettingsError(f"no white of a DNG called {white}: known are {', '.join(DNG_WHITES)}")
    check_strength(strength)
    _check_preview(linear, preview)
    check_light(linear)
    scaling = scaling_of(linear, white)
    lying = Rendered(
        data=turned(preview.data, turned_back(linear.orientation)),
        icc=preview.icc,
        exif=preview.exif,
    )

    def fill(temporary: Path) -> None:
        try:
            _write(temporary, linear, lying, compression, scaling, strength, origin or Origin())
        except (ValueError, RuntimeError) as error:
            raise WriteError(f"{path}: could not be encoded ({error})") from error

    place(path, fill, overwrite=overwrite, replaces=replaces)
    return scaling


def _check_preview(linear: Linear, preview: Rendered) -> None:
    """Raise SettingsError for a preview that is not the same picture's, or that editors would show otherwise."""
    height, width = shown_size(linear)
    found_height, found_width, _ = preview.data.shape
    is_srgb = not preview.icc or space_of(preview.icc) == ("srgb", False)
    if preview.data.dtype != np.uint8 or not is_srgb or (found_height, found_width) != (height, width):
        raise SettingsError(
            f"a DNG's preview is the picture upright ({width}x{height}), in sRGB, with 8 bits a colour, as `develop` "
            f"gives it; got {found_width}x{found_height}, {preview.data.dtype}"
            f"{'' if is_srgb else ', with another ICC profile'}"
        )


def _write(
    path: Path,
    linear: Linear,
    lying: Rendered,
    compression: Compression,
    scaling: Scaling,
    strength: float,
    origin: Origin,
) -> None:
    height, width, _ = linear.data.shape
    known = linear.whole_exif
    packet = xmp_packet(known, enhanced=True)
    whole = _main_tags(linear, compression, scaling, strength, origin)
    with tifffile.TiffWriter(path, byteorder="<") as tiff:
        tiff.write(
            _thumbnail(lying),
            photometric="rgb",
            subfiletype=_REDUCED,
            subifds=2,
            software=SOFTWARE,
            metadata=None,
            extratags=[*known.texts(), (XMP, _BYTE, len(packet), packet, True), *whole],
        )
        tiff.write(
            _segments(linear, scaling, compression),
            shape=(height, width, 3),
            dtype=np.uint16,
            photometric=_LINEAR_RAW,
            planarconfig="contig",
            subfiletype=0,
            bitspersample=16,
            software=SOFTWARE,
            metadata=None,
            extratags=_raw_tags(linear, compression, scaling, origin),
            **_STORED[compression],
        )
        tiff.write(
            iter([_jpeg(lying)]),
            shape=lying.data.shape,
            dtype=np.uint8,
            photometric=_YCBCR,
            compression="jpeg",
            subsampling=(2, 2),
            rowsperstrip=lying.data.shape[0],
            subfiletype=_REDUCED,
            software=SOFTWARE,
            metadata=None,
            extratags=[(50970, _LONG, 1, _SRGB_PREVIEW, True)],
        )
    _part_subdirectories(path)
    attach_to_tiff(path, *known.directories(srgb=False))


def _part_subdirectories(path: Path) -> None:
    """End each sub-directory for itself: tifffile chains them, and readers would find one twice."""
    with tifffile.TiffFile(path) as tiff:
        first = tiff.pages.first
        pointers, starts = first.tags["SubIFDs"].offset, first.tags["SubIFDs"].value
    with path.open("r+b") as file:
        # Of type LONG, which more readers expect there than IFD.
        file.seek(pointers + 2)
        file.write(_LONG.to_bytes(2, "little"))
        for start in starts:
            file.seek(start)
            entries = int.from_bytes(file.read(2), "little")
            file.seek(start + 2 + 12 * entries)
            file.write(bytes(4))


def _main_tags(
    linear: Linear,
    compression: Compression,
    scaling: Scaling,
    strength: float,
    origin: Origin,
) -> list[Tag]:
    """What stands in the first directory and holds for the whole file."""
    # DNG 1.7 brought JPEG XL, 1.3 the opcodes, 1.1 mended lossless JPEG of 16 bits.
    version, readable = {"jxl": (7, 7)}.get(compression, (4, 3 if origin.lens else 1))
    camera = origin.camera or camera_name(linear.make, linear.model)
    colour = origin.tags or (
        (COLOR_MATRIX_1, _SRATIONAL, 9, _rationals(_matrix(linear).ravel()), True),
        (50778, _SHORT, 1, _D65, True),
    )
    tags: list[Tag] = [
        (274, _SHORT, 1, linear.orientation, True),
        (50706, _BYTE, 4, bytes((1, version, 0, 0)), True),
        (50707, _BYTE, 4, bytes((1, readable, 0, 0)), True),
        (UNIQUE_CAMERA_MODEL, _ASCII, 0, camera.encode(errors="replace"), True),
        (50728, _RATIONAL, 3, _rationals([1 / gain for gain in linear.wb]), True),
        (BASELINE_EXPOSURE, _SRATIONAL, 1, _rationals([scaling.baseline_ev], finest=10_000), True),
        (50935, _RATIONAL, 1, _rationals([strength]), True),  # NoiseReductionApplied
        *colour,
    ]
    if origin.file_name:
        tags.append((50827, _ASCII, 0, origin.file_name.encode(errors="replace"), True))
    rating = linear.exif.main.get(RATING)
    if isinstance(rating, int):
        tags.append((RATING, _SHORT, 1, rating, True))
    return tags


def _raw_tags(linear: Linear, compression: Compression, scaling: Scaling, origin: Origin) -> list[Tag]:
    """What stands beside the pixels."""
    height, width, _ = linear.data.shape
    aspect = linear.pixel_aspect
    scale = (max(aspect, 1.0), max(1 / aspect, 1.0))
    tags: list[Tag] = [
        (50713, _SHORT, 2, (1, 1), True),  # BlackLevelRepeatDim
        (50714, _SHORT, 3, (0, 0, 0), True),  # BlackLevel
        (50717, _SHORT, 3, (scaling.white,) * 3, True),  # WhiteLevel
        (50718, _RATIONAL, 2, _rationals(scale), True),  # DefaultScale
        (50719, _LONG, 2, (0, 0), True),  # DefaultCropOrigin
        (50720, _LONG, 2, (width, height), True),  # DefaultCropSize
    ]
    if origin.lens:
        tags.append((OPCODE_LIST_3, _UNDEFINED, len(origin.lens), origin.lens, True))
    if compression == "jxl":
        tags.append((52553, _FLOAT, 1, 0.0, True))  # JXLDistance: nothing is lost
    return tags


def _matrix(linear: Linear) -> npt.NDArray[np.floating]:
    """XYZ to camera RGB before white balance; unknown cameras are taken for sRGB, as `develop` does."""
    if linear.xyz_to_camera is not None:
        return linear.xyz_to_camera
    assumed: npt.NDArray[np.floating] = np.linalg.inv(XYZ_FROM_SRGB) / np.array(linear.wb)[:, None]
    return assumed


_MAKERS = ("Canon", "Fujifilm", "Leica", "Nikon", "Olympus", "Panasonic", "Pentax", "Samsung", "Sony")
"""Makers whose name EXIF spells otherwise than the profiles of editors do."""


def camera_name(make: str, model: str) -> str:
    """The name under which editors look for a camera's profile.

    >>> camera_name("NIKON CORPORATION", "NIKON D850"), camera_name("SONY", "ILCE-7SM2")
    ('Nikon D850', 'Sony ILCE-7SM2')
    """
    maker = next((m for m in _MAKERS if make.casefold().startswith(m.casefold())), make.strip())
    model = model.strip()
    first = model.split(" ", 1)[0]
    if first and maker.casefold().startswith(first.casefold()):
        model = model[len(first) :].strip()
    return f"{maker} {model}".strip() or "unknown"


def _segments(linear: Linear, scaling: Scaling, compression: Compression) -> Iterator[bytes]:
    """The strips or tiles of the raw picture, encoded."""
    if compression == "none":
        for band in integers(linear, scaling):
            yield band.astype("<u2", copy=False).tobytes()
        return
    width = linear.data.shape[1]
    with ThreadPoolExecutor(usable_cores()) as threads:
        for band in integers(linear, scaling):
            # What lies beyond the picture is never shown; repeated edges compress best.
            missing = ((0, -len(band) % ROWS), (0, -width % ROWS), (0, 0))
            whole = np.pad(band, missing, mode="edge")
            tiles = [np.ascontiguousarray(whole[:, left : left + ROWS]) for left in range(0, width, ROWS)]
            yield from threads.map(partial(_tile_encoded, compression=compression), tiles)


def _tile_encoded(tile: npt.NDArray[np.uint16], compression: Literal["lossless-jpeg", "jxl"]) -> bytes:
    match compression:
        case "jxl":
            encoded = imagecodecs.jpegxl_encode(
                tile, lossless=True, effort=3, photometric="rgb", usecontainer=False, numthreads=1
            )
        case "lossless-jpeg":
            encoded = imagecodecs.jpeg8_encode(tile, lossless=True, predictor=1, bitspersample=16)
        case _:
            assert_never(compression)
    return bytes(encoded)


def _jpeg(lying: Rendered) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(lying.data).save(buffer, "JPEG", quality=PREVIEW_QUALITY, subsampling="4:2:0")
    return buffer.getvalue()


def _thumbnail(lying: Rendered) -> npt.NDArray[np.uint8]:
    image = Image.fromarray(lying.data)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX, reducing_gap=2)
    return np.asarray(image)


def write_mosaic(path: Path | str, mosaic: Mosaic) -> None:
    """Write a Bayer or X-Trans mosaic as an uncompressed DNG; `read` gives the same mosaic back.

    The file is written in place: give a name that nobody reads yet. Raises SettingsError for data that are not
    uint16.
    """
    path = Path(path)
    if mosaic.data.dtype != np.uint16:
        raise SettingsError(
            f"a mosaic is written as it was counted, in uint16; got {mosaic.data.dtype}: round it first, with its "
            "black level in it"
        )
    cell = len(mosaic.cfa)
    matrix = mosaic.xyz_to_camera if mosaic.xyz_to_camera is not None else np.eye(3)
    known = mosaic.whole_exif
    exif, gps = known.directories()
    tags: list[tuple[int, int, int, Any, bool]] = [
        (274, _SHORT, 1, mosaic.orientation, True),
        (33421, _SHORT, 2, (cell, cell), True),
        (33422, _BYTE, cell * cell, bytes(c for row in mosaic.cfa for c in row), True),
        (50706, _BYTE, 4, b"\1\4\0\0", True),
        (50707, _BYTE, 4, b"\1\1\0\0", True),
        (50708, _ASCII, 0, f"{mosaic.make} {mosaic.model}".strip() or "unknown", True),
        (50713, _SHORT, 2, (cell, cell), True),
        (50714, _RATIONAL, cell * cell, _rationals(mosaic.black.ravel()), True),
        (50717, _LONG, 1, round(mosaic.white), True),
        (50721, _SRATIONAL, 9, _rationals(np.asarray(matrix).ravel()), True),
        (50728, _RATIONAL, 3, _rationals([1 / gain for gain in mosaic.wb]), True),
        (50778, _SHORT, 1, _D65, True),
    ]
    tags += known.texts()
    if mosaic.noise is not None:
        pairs = [v for pair in zip(mosaic.noise.shot, mosaic.noise.read, strict=True) for v in pair]
        tags.append((NOISE_PROFILE, _DOUBLE, 6, tuple(pairs), True))
    tifffile.imwrite(
        path,
        mosaic.data,
        byteorder="<",
        photometric=_CFA,
        software=SOFTWARE,
        metadata=None,
        extratags=tags,
    )
    attach_to_tiff(path, exif, gps)


def _rationals(values: Any, finest: int = 10_000_000) -> tuple[int, ...]:
    flat: list[int] = []
    for value in values:
        # Both numbers must fit into 31 bits.
        most = min(finest, int(2**31 / max(1.0, abs(value))) - 1)
        fraction = Fraction(float(value)).limit_denominator(max(1, most))
        flat += [fraction.numerator, fraction.denominator]
    return tuple(flat)
