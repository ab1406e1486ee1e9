"""A file's bytes to a `Mosaic`. The only module that speaks to LibRaw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from numbers import Real
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
import rawpy
import tifffile

from scotopic.colour import XYZ_FROM_SRGB
from scotopic.errors import DamagedFileError, UnsupportedRawError
from scotopic.frame import BLUE, GREEN, RED, Mosaic, NoiseProfile, Shown
from scotopic.identify import TIFF_HEADS, all_pages, check_is_raw
from scotopic.metadata import EXPOSURE_TIME, NOISE_PROFILE, filled_in, read_exif

EXIF_ORIENTATION_OF_FLIP = {0: 1, 3: 3, 5: 8, 6: 6}
"""LibRaw's flip (degrees in quarter turns, in its own bits) to the EXIF number."""

_COLOUR_OF_LETTER = {"R": RED, "G": GREEN, "B": BLUE}


def read(path: Path | str) -> Mosaic:
    """Read a RAW photo.

    Bytes decide what the file is, never its name. Raises NotRawError for developed pictures, videos
    and other files, DamagedFileError for broken RAW files, UnsupportedRawError for kinds that hold no
    mosaic; all are ReadError.
    """
    path = Path(path)
    with opened(path) as raw:
        if raw.raw_type != rawpy.RawType.Flat:
            raise UnsupportedRawError(
                f"{path.name}: holds finished colours a pixel (a linear DNG such as ProRAW, or a sensor "
                "without a colour mosaic); this version enhances mosaics only: shoot or convert to "
                "plain RAW"
            )
        visible = raw.raw_image_visible
        if visible is None or visible.size == 0:
            raise DamagedFileError(f"{path.name}: the RAW file holds no picture data")
        cfa, places = _cell(raw, path)
        size = len(cfa)
        if min(visible.shape) < 2 * size:
            raise DamagedFileError(
                f"{path.name}: its picture is only {visible.shape[1]}x{visible.shape[0]} pixels"
            )
        levels = np.array(raw.black_level_per_channel, dtype=np.float64)
        black = levels[places]
        white = float(raw.white_level)
        if not white > black.max():
            raise DamagedFileError(
                f"{path.name}: its white level {white:g} is not above its black level {black.max():g}"
            )
        data = visible.copy()  # LibRaw frees its own on closing
        _check_whole(data, path)
        wb, wb_source = _white_balance(raw, data, cfa, black, white)
        other, lens = raw.other, raw.lens
        exif = read_exif(path)
        make, model = str(exif.main.get(0x010F, "")), str(exif.main.get(0x0110, ""))
        stated_s = exif.exif.get(EXPOSURE_TIME, other.shutter_speed)
        exposure_s = float(stated_s) if isinstance(stated_s, Real) and float(stated_s) > 0 else None
        iso = float(other.iso_speed) if other.iso_speed > 0 else None
        return Mosaic(
            data=data,
            cfa=cfa,
            black=black,
            white=white,
            saturation=_saturation(data, float(black.max()), white),
            noise=_noise_profile_tag(path),
            wb=wb,
            wb_source=wb_source,
            xyz_to_camera=_xyz_to_camera(raw),
            exposure_s=exposure_s,
            iso=iso,
            make=make,
            model=model,
            orientation=EXIF_ORIENTATION_OF_FLIP.get(raw.sizes.flip, 1),
            pixel_aspect=float(raw.sizes.pixel_aspect) or 1.0,
            exif=filled_in(
                exif,
                exposure_s=exposure_s,
                iso=iso,
                aperture=float(other.aperture),
                focal_mm=float(other.focal_length),
                lens=str(lens.model),
                taken=other.timestamp,
            ),
        )


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A decoded LibRaw object; whatever LibRaw raises inside becomes an error of our own tree."""
    check_is_raw(path)
    try:
        with ExitStack() as stack:
            raw = stack.enter_context(rawpy.imread(_for_libraw(path, stack)))
            raw.unpack()
            yield raw
    except rawpy.LibRawFileUnsupportedError as error:
        raise UnsupportedRawError(
            f"{path.name}: no RAW file of a kind that LibRaw {_libraw()} can decode; if it opens in "
            "other programs, convert it to an uncompressed DNG first"
        ) from error
    except (rawpy.LibRawIOError, rawpy.LibRawDataError) as error:
        raise DamagedFileError(
            f"{path.name}: the RAW file is cut short or damaged; copy it from the card again"
        ) from error
    except (rawpy.LibRawError, rawpy.NotSupportedError) as error:
        raise DamagedFileError(f"{path.name}: LibRaw could not decode it ({_words(error)})") from error
    except RuntimeError as error:
        raise UnsupportedRawError(
            f"{path.name}: LibRaw opened it but it holds no plain mosaic ({_words(error)})"
        ) from error


def _for_libraw(path: Path, stack: ExitStack) -> str | BinaryIO:
    """The name, or the open file where the name is no valid text, which LibRaw's binding cannot pass."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return stack.enter_context(path.open("rb"))
    return str(path)


def _check_whole(data: npt.NDArray[np.uint16], path: Path) -> None:
    """Raise DamagedFileError where the last rows repeat: LibRaw's decoders fill up short files so.

    Noise never repeats; rows of one value may be honest black.
    """
    last = data[-4:]
    if last.shape[0] == 4 and np.array_equal(last[:2], last[2:]) and last[0].min() != last[0].max():
        raise DamagedFileError(
            f"{path.name}: the RAW file is cut short or damaged, its last rows repeat; copy it from the "
            "card again"
        )


def _cell(raw: Any, path: Path) -> tuple[tuple[tuple[int, ...], ...], npt.NDArray[np.intp]]:
    """The repeating cell at the top-left of the visible area: colours, and LibRaw's channel numbers."""
    pattern = raw.raw_pattern
    if pattern is None or pattern.shape not in ((2, 2), (6, 6)):
        shape = "none" if pattern is None else "x".join(map(str, pattern.shape))
        raise UnsupportedRawError(
            f"{path.name}: its sensor has no Bayer or X-Trans colour pattern (pattern: {shape}), "
            "which is what can be enhanced"
        )
    size = pattern.shape[0]
    top, left = raw.sizes.top_margin, raw.sizes.left_margin
    places = np.array(
        [[raw.raw_color(top + dy, left + dx) for dx in range(size)] for dy in range(size)],
        dtype=np.intp,
    )
    letters = raw.color_desc.decode("ascii", "replace")
    names = [[letters[i] if i < len(letters) else "?" for i in row] for row in places.tolist()]
    if any(letter not in _COLOUR_OF_LETTER for row in names for letter in row):
        found = "/".join("".join(row) for row in names)
        raise UnsupportedRawError(
            f"{path.name}: its colour filters are {found}; only red, green and blue ones are known"
        )
    return tuple(tuple(_COLOUR_OF_LETTER[n] for n in row) for row in names), places


def _white_balance(
    raw: Any,
    data: npt.NDArray[np.uint16],
    cfa: tuple[tuple[int, ...], ...],
    black: npt.NDArray[np.float64],
    white: float,
) -> tuple[tuple[float, float, float], str]:
    """The camera's gains, green = 1; where it gives none, the grey world, as LibRaw does."""
    red, green, blue = (float(v) for v in raw.camera_whitebalance[:3])
    if red > 1e-5 and green > 1e-5 and blue > 1e-5:
        return (red / green, 1.0, blue / green), "camera"
    return grey_world(data, cfa, black, white), "grey world (the file gives none)"


def grey_world(
    data: npt.NDArray[np.uint16],
    cfa: tuple[tuple[int, ...], ...],
    black: npt.NDArray[np.float64],
    white: float,
) -> tuple[float, float, float]:
    """Gains for R, G, B that make the mean of all unclipped 8x8 blocks grey; green = 1.

    The estimate of dcraw and LibRaw for files without a white balance.
    """
    size = 8 * len(cfa) // np.gcd(8, len(cfa))
    height, width = (n - n % size for n in data.shape)
    if not height or not width:
        return (1.0, 1.0, 1.0)
    blocks = data[:height, :width].reshape(height // size, size, width // size, size)
    fits = blocks.max(axis=(1, 3)) <= white - 25
    if not fits.any():
        return (1.0, 1.0, 1.0)
    sums, counts = np.zeros(3), np.zeros(3)
    mean = blocks.transpose(0, 2, 1, 3)[fits].astype(np.float64).mean(axis=0)
    repeat = size // len(cfa)
    colours = np.tile(np.array(cfa), (repeat, repeat))
    light = np.maximum(mean - np.tile(black, (repeat, repeat)), 0)
    for colour in (RED, GREEN, BLUE):
        sums[colour] = light[colours == colour].sum()
        counts[colour] = (colours == colour).sum()
    if (sums <= 0).any():
        return (1.0, 1.0, 1.0)
    gains = counts / sums
    return (float(gains[0] / gains[1]), 1.0, float(gains[2] / gains[1]))


SATURATION_FROM = 0.85
"""A sensor that clips below its white level does so above this share of its range."""

SATURATION_PIXELS = 64
"""Fewer pixels of one value are no sign of clipping."""

SATURATION_PEAK = 10
"""So many times more pixels than the values below have: a pile, not the top of a bright patch."""

SATURATION_ABOVE = 0.05
"""At most this share of the bright pixels may lie above the pile: hot ones, and other colours' piles."""


def _saturation(data: npt.NDArray[np.uint16], black: float, white: float) -> float:
    """Where this sensor stops counting: the pile of equal values near the top, else `white`.

    Many cameras clip below the white level they state; without this, lamps would turn violet.
    """
    bright = data[data >= black + SATURATION_FROM * (white - black)]
    if bright.size < SATURATION_PIXELS:
        return white
    counts = np.bincount(bright)
    peak = int(counts.argmax())
    below = counts[max(int(bright.min()), peak - 200) : max(0, peak - 3)]
    usual = float(below.mean()) if below.size else 0.0
    stands_out = counts[peak] >= max(SATURATION_PIXELS, SATURATION_PEAK * usual)
    tops = np.count_nonzero(bright > peak + 2) <= SATURATION_ABOVE * bright.size
    return float(min(peak, white)) if stands_out and tops else white


def _xyz_to_camera(raw: Any) -> npt.NDArray[np.float64] | None:
    matrix = np.array(raw.rgb_xyz_matrix[:3], dtype=np.float64)
    if np.any(matrix):
        return matrix if abs(np.linalg.det(matrix)) > 1e-6 else None
    # DNGs: LibRaw keeps only the finished matrix to sRGB; go back from there.
    to_srgb: npt.NDArray[np.floating] = np.array(raw.color_matrix[:3, :3], dtype=np.float64)
    if not np.any(to_srgb):
        to_srgb = _matrix_that_libraw_applies(raw)
    if abs(np.linalg.det(to_srgb)) > 1e-6:
        inverse: npt.NDArray[np.float64] = np.linalg.inv(to_srgb) @ np.linalg.inv(XYZ_FROM_SRGB)
        return inverse
    return None


def _matrix_that_libraw_applies(raw: Any) -> npt.NDArray[np.floating]:
    """Camera RGB to sRGB as found by developing twice, with and without; for old cameras whose matrix
    LibRaw knows but does not tell."""

    def light(space: Any) -> npt.NDArray[np.float64]:
        picture = raw.postprocess(
            half_size=True,
            use_camera_wb=True,
            no_auto_bright=True,
            adjust_maximum_thr=0,
            gamma=(1, 1),
            output_bps=16,
            output_color=space,
            user_flip=0,
        )
        flat: npt.NDArray[np.float64] = picture.reshape(-1, 3).astype(np.float64)
        return flat

    camera, shown = light(rawpy.ColorSpace.raw), light(rawpy.ColorSpace.sRGB)
    unclipped = (shown.min(axis=1) > 0) & (shown.max(axis=1) < 65535) & (camera.max(axis=1) < 65535)
    if np.count_nonzero(unclipped) < 100:
        return np.eye(3)
    solution, _, rank, _ = np.linalg.lstsq(camera[unclipped], shown[unclipped], rcond=None)
    return solution.T if rank == 3 else np.eye(3)


def _noise_profile_tag(path: Path) -> NoiseProfile | None:
    """The DNG NoiseProfile tag: pairs (S, O) with variance = S x + O, one pair or one a colour."""
    try:
        with path.open("rb") as file:
            if file.read(4) not in TIFF_HEADS:
                return None
        with tifffile.TiffFile(path) as tiff:
            pages = all_pages(tiff)
            values = [p.tags[NOISE_PROFILE].value for p in pages if NOISE_PROFILE in p.tags]
    except Exception:
        # A directory that tifffile cannot read is no reason to refuse a picture that LibRaw can.
        return None
    for value in values:
        pairs = np.array(value, dtype=np.float64).ravel()
        if pairs.size in (2, 6, 8) and np.all(np.isfinite(pairs)) and np.all(pairs >= 0):
            shot, read = pairs[0::2], pairs[1::2]
            if pairs.size == 2:
                shot, read = np.repeat(shot, 3), np.repeat(read, 3)
            elif pairs.size == 8:  # R, G1, G2, B
                shot, read = (np.array([v[0], (v[1] + v[2]) / 2, v[3]]) for v in (shot, read))
            if np.all(shot[:3] > 0):
                three = [(float(v[0]), float(v[1]), float(v[2])) for v in (shot, read)]
                return NoiseProfile(three[0], three[1], "the file's NoiseProfile tag")
    return None


def libraw_develop(
    path: Path,
    *,
    user_black: bool = False,
    user_sat: int | None = None,
    bright: float = 1.0,
    fbdd: bool = False,
    srgb_curve: bool = False,
    bits: int = 8,
) -> Shown:
    """LibRaw's own development with the camera's white balance, no automatic brightness: (H, W, 3).

    `user_sat` is the DN above black that becomes white when `user_black` is set. The curve is
    BT.709, LibRaw's default, or sRGB.
    """
    with opened(path) as raw:
        mode = rawpy.FBDDNoiseReductionMode
        picture: Shown = raw.postprocess(
            use_camera_wb=True,
            no_auto_bright=True,
            adjust_maximum_thr=0,
            user_black=int(min(raw.black_level_per_channel)) if user_black else None,
            user_sat=user_sat,
            bright=bright,
            demosaic_algorithm=_demosaicking(raw),
            fbdd_noise_reduction=mode.Full if fbdd else mode.Off,
            gamma=(2.4, 12.92) if srgb_curve else (2.222, 4.5),
            output_bps=bits,
        )
        return picture


def libraw_truth(path: Path, kind: Literal["srgb", "linear"]) -> npt.NDArray[np.uint16]:
    """A long exposure as LibRaw demosaics it (AHD), lying over its mosaic pixel by pixel: (H, W, 3).

    `srgb` is the truth of the See-in-the-Dark paper: the camera's white balance, sRGB colours, BT.709 curve,
    no automatic brightness; 65535 is display white. LibRaw's default lifts the picture to its own maximum
    where that is above three quarters of white; so did the paper's.
    `linear` is camera RGB before white balance: 65535 is the white level, and where the mosaic has the
    colour, it is (data - black) / (white - black) cut to 0..1.

    The picture is not turned upright. Raises ReadError as `read` does.
    """
    with opened(path) as raw:
        settings: dict[str, Any] = {
            "demosaic_algorithm": _demosaicking(raw),
            "no_auto_bright": True,
            "output_bps": 16,
            "user_flip": 0,
        }
        if kind == "srgb":
            settings |= {"use_camera_wb": True}
        else:
            settings |= {
                "user_wb": [1.0, 1.0, 1.0, 1.0],
                "output_color": rawpy.ColorSpace.raw,
                "gamma": (1, 1),
                "adjust_maximum_thr": 0,
            }
        truth: npt.NDArray[np.uint16] = raw.postprocess(**settings)
        return truth


X_TRANS_TILE = 512
"""LibRaw's demosaicing for X-Trans refuses pictures with a side below its tile (LIBRAW_AHD_TILE)."""


def _demosaicking(raw: Any) -> Any:
    """LibRaw's default (AHD, or Markesteijn's for X-Trans); a plain one where that would refuse."""
    small = min(raw.sizes.height, raw.sizes.width) < X_TRANS_TILE
    if small and raw.raw_pattern is not None and raw.raw_pattern.shape == (6, 6):
        return rawpy.DemosaicAlgorithm.LINEAR
    return None


def _words(error: Exception) -> str:
    """LibRaw's message without Python's b''."""
    text = error.args[0] if error.args else error
    return text.decode("ascii", "replace") if isinstance(text, bytes) else str(text)


def _libraw() -> str:
    return ".".join(map(str, rawpy.libraw_version))
