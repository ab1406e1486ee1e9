"""A file's bytes to a `Mosaic` or a `Linear`. The only module that speaks to LibRaw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
import rawpy

from scotopic import libraw
from scotopic.colour import XYZ_FROM_SRGB
from scotopic.dng.directory import Dng, read_dng_tags
from scotopic.dng.read import captured, check_side, check_whole, read_dng
from scotopic.errors import DamagedFileError, ReadError, SettingsError, TooSmallError, UnsupportedRawError
from scotopic.frame import Captured, Linear, Mosaic, Shown
from scotopic.identify import check_is_raw
from scotopic.sensor.levels import GREY_WORLD, black_of_margin, grey_world, grey_world_of_light, saturation

LEVEL_OFF = 1.0
"""DN by which LibRaw's black or white differ from what a DNG's tags say, from which on it has misread them: it rounds
them to whole numbers."""

GAIN_OFF = 0.01
"""Share by which LibRaw's white balance may differ from what a DNG's tags say; rounding is far below, and so much
nobody sees."""


def read(path: Path | str) -> Captured:
    """Read a RAW photo: a `Mosaic`, or a `Linear` where the file holds all colours at a pixel or none.

    LibRaw decodes what it can; DNGs beyond it (JPEG XL, floats, and others that `Dng.beyond_libraw` tells)
    are decoded by `scotopic.dng.pixels`. Of several frames in one file (pixel shift, dual pixel, bursts) it
    is the first; of a mosaic and an enhanced picture beside it, the mosaic. Bytes decide what the file is,
    never its name. Raises NotRawError for developed pictures, videos and other files, DamagedFileError for
    broken RAW files, UnsupportedRawError for kinds that cannot be enhanced; all are ReadError.
    """
    path = Path(path)
    check_is_raw(path)
    try:
        return _read(path)
    except SettingsError as error:
        # A state of ours refuses what the file claims.
        raise DamagedFileError(
            f"{path.name}: contradicts itself ({error}); copy it from the card again"
        ) from error


def _read(path: Path) -> Captured:
    dng = read_dng_tags(path)
    if dng is None:
        with _decoded(path) as raw:
            seen = as_libraw_sees_it(raw, path)
        if isinstance(seen, Linear) and not seen.monochrome:
            raise UnsupportedRawError(
                f"{path.name}: holds no mosaic but colours that the camera has put together (YCC, sRAW or "
                "another reduced format), and nothing says what was done to them: set the camera to full RAW, or "
                "convert the file to DNG"
            )
        return seen
    check_side(dng, path.name)
    if dng.beyond_libraw:
        return read_dng(path, dng, libraw.described(path, dng=dng))
    try:
        with _decoded(path) as raw:
            values = raw.raw_image
            if values is None or not _is_what_tags_say(values, dng):
                return read_dng(path, dng, libraw.described(path, raw, dng))
            if values.ndim == 3:
                values = values[..., : dng.samples]
            if dng.cell is not None:
                top, left, bottom, right = dng.area
                check_whole(values[top:bottom, left:right], path.name)
            picture = captured(values, dng, libraw.described(path, raw, dng), path.name)
            if dng.xyz_to_camera is None and (dng.cell is not None or dng.samples == 3):
                return picture.with_changes(xyz_to_camera=libraw.matrix(raw))
            return picture
    except UnsupportedRawError as refusal:
        try:
            return read_dng(path, dng, libraw.described(path, dng=dng))
        except ReadError:
            raise refusal from None


def _is_what_tags_say(values: npt.NDArray[Any], dng: Dng) -> bool:
    """Whether LibRaw has decoded the picture that the tags describe, of that size and so many samples."""
    deep = values.ndim == 3 and values.shape[2] >= dng.samples
    fits = deep if dng.samples == 3 else values.ndim == 2 or (deep and dng.cell is None)
    return fits and values.shape[:2] == (dng.height, dng.width)


def read_mosaic(path: Path | str) -> Mosaic:
    """`read` for those who need what the sensor counted: raises UnsupportedRawError for a `Linear`."""
    picture = read(path)
    if isinstance(picture, Linear):
        kind = "a sensor without a colour mosaic" if picture.monochrome else "a linear DNG such as ProRAW"
        raise UnsupportedRawError(
            f"{Path(path).name}: holds finished colours a pixel ({kind}) where a mosaic is needed: shoot or "
            "convert to plain RAW"
        )
    return picture


def as_libraw_sees_it(raw: Any, path: Path) -> Captured:
    """A picture of which LibRaw alone knows: every maker's own format. `raw` is a decoded object of LibRaw's.

    Raises DamagedFileError and UnsupportedRawError.
    """
    libraw.check_straight(raw, path)
    visible = raw.raw_image_visible
    if visible is None or visible.size == 0:
        raise DamagedFileError(f"{path.name}: the RAW file holds no picture data")
    if raw.raw_type != rawpy.RawType.Flat or raw.num_colors == 1:
        return _linear(raw, visible, path)
    cfa, places = libraw.cell(raw, path)
    if min(visible.shape) < 2 * len(cfa):
        raise TooSmallError(
            f"{path.name}: its picture is only {visible.shape[1]}x{visible.shape[0]} pixels: take the camera's own "
            "file and not a thumbnail, or copy it from the card again"
        )
    black = np.array(raw.black_level_per_channel, dtype=np.float64)[places]
    white = libraw.white(raw, float(black.max()), path)
    described = libraw.described(path, raw)
    if libraw.is_black_of_margin(described["make"]):
        black = black_of_margin(libraw.left_margin(raw), black, white)
    data = visible.copy()  # LibRaw frees its own on closing
    check_whole(data, path.name)
    wb = libraw.white_balance(raw)
    return Mosaic(
        data=data,
        cfa=cfa,
        black=black,
        white=white,
        saturation=saturation(data, float(black.max()), white),
        wb=wb or grey_world(data, cfa, black, white),
        wb_source="camera" if wb else GREY_WORLD,
        xyz_to_camera=_xyz_to_camera(raw),
        orientation=libraw.EXIF_ORIENTATION_OF_FLIP.get(raw.sizes.flip, 1),
        pixel_aspect=float(raw.sizes.pixel_aspect) or 1.0,
        **described,
    )


def _linear(raw: Any, visible: npt.NDArray[np.uint16], path: Path) -> Linear:
    """All colours at a pixel (Foveon, Canon's sRAW, Kodak's early ones), or none at all."""
    monochrome = raw.num_colors == 1
    letters = raw.color_desc[:3]
    if not monochrome and (raw.num_colors != 3 or letters != b"RGB" or visible.shape[2] < 3):
        raise UnsupportedRawError(
            f"{path.name}: holds the colours {raw.color_desc.decode('ascii', 'replace')} at each pixel; only "
            "red, green and blue ones are known"
        )
    black = np.array(raw.black_level_per_channel, dtype=np.float64)
    black = np.repeat(black[:1], 3) if monochrome else black[:3]
    white = libraw.white(raw, float(black.max()), path)
    planes = (
        np.repeat(visible.reshape(*visible.shape[:2], -1)[..., :1], 3, axis=2) if monochrome else visible
    )
    check_whole(planes, path.name)
    data: npt.NDArray[np.float32] = planes[..., :3].astype(np.float32)
    data -= black.astype(np.float32)
    data /= (white - black).astype(np.float32)
    clip = saturation(visible, float(black.max()), white)
    wb: tuple[float, float, float] | None = (1.0, 1.0, 1.0)
    if not monochrome:
        wb = libraw.white_balance(raw)
    return Linear(
        data=data,
        clip=(clip - float(black.max())) / (white - float(black.max())),
        ratio=1.0,
        monochrome=monochrome,
        wb=wb or grey_world_of_light(data),
        wb_source="none (no colour filters)" if monochrome else "camera" if wb else GREY_WORLD,
        xyz_to_camera=None if monochrome else _xyz_to_camera(raw),
        orientation=libraw.EXIF_ORIENTATION_OF_FLIP.get(raw.sizes.flip, 1),
        pixel_aspect=float(raw.sizes.pixel_aspect) or 1.0,
        **libraw.described(path, raw),
    )


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A decoded LibRaw object; whatever LibRaw raises inside becomes an error of our own tree."""
    check_is_raw(path)
    with _decoded(path) as raw:
        yield raw


@contextmanager
def _as_its_tags_say(path: Path, *, evened: bool = True) -> Iterator[Any]:
    """As `opened`; raises UnsupportedRawError for mosaics in DNGs of which LibRaw makes something else.

    `evened`: so are those whose lens shading their own maps even out, of which LibRaw knows nothing.
    """
    check_is_raw(path)
    dng = read_dng_tags(path)
    if dng is None or dng.cell is None:
        with _decoded(path) as raw:
            yield raw
        return

    def check(why: str) -> None:
        if why:
            raise UnsupportedRawError(f"{path.name}: LibRaw does not read it as its tags say ({why})")

    check(dng.beyond_libraw or ("lens shading" if evened and dng.gains else ""))
    with _decoded(path) as raw:
        check(_misread(raw, dng, path))
        yield raw


def _misread(raw: Any, dng: Dng, path: Path) -> str:
    """What LibRaw takes a DNG's mosaic for otherwise than its tags say, in words; empty where they agree."""
    values = raw.raw_image
    if values is None or not _is_what_tags_say(values, dng):
        return "another picture"
    ours = captured(values, dng, {}, path.name)
    assert isinstance(ours, Mosaic)
    cfa, places = libraw.cell(raw, path)
    black = np.array(raw.black_level_per_channel, dtype=np.float64)[places]
    if (cfa, (raw.sizes.height, raw.sizes.width)) != (ours.cfa, ours.data.shape):
        return "colours or borders"
    if ours.data.dtype != np.uint16:
        return "black by rows and columns"
    if max(np.abs(black - ours.black).max(), abs(raw.white_level - ours.white)) >= LEVEL_OFF:
        return "black or white level"
    wb = libraw.white_balance(raw)
    if dng.wb is not None and (wb is None or not np.allclose(wb, ours.wb, rtol=GAIN_OFF, atol=0)):
        return "white balance"
    return ""


@contextmanager
def _decoded(path: Path) -> Iterator[Any]:
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


def _xyz_to_camera(raw: Any) -> npt.NDArray[np.float64] | None:
    if np.any(raw.rgb_xyz_matrix[:3]):
        return libraw.matrix(raw)
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


def libraw_develop(
    path: Path,
    *,
    user_black: bool = False,
    user_sat: int | None = None,
    bright: float = 1.0,
    fbdd: bool = False,
    dht: bool = False,
    srgb_curve: bool = False,
    bits: int = 8,
) -> Shown:
    """LibRaw's own development with the camera's white balance, no automatic brightness: (H, W, 3).

    `user_sat` is the DN above black that becomes white when `user_black` is set. `dht` takes the demosaic of
    that name instead of AHD. The curve is BT.709, LibRaw's default, or sRGB. Raises ReadError as `read` does, and
    UnsupportedRawError for mosaics in DNGs that LibRaw does not read as their tags say, or whose maps even out what it
    would leave to the lens.
    """
    with _as_its_tags_say(path) as raw:
        mode = rawpy.FBDDNoiseReductionMode
        black = [int(level) for level in raw.black_level_per_channel]
        picture: Shown = raw.postprocess(
            use_camera_wb=True,
            no_auto_bright=True,
            adjust_maximum_thr=0,
            # The one level alone would be taken from all colours.
            user_black=min(black) if user_black else None,
            user_cblack=[level - min(black) for level in black] if user_black else None,
            user_sat=user_sat,
            bright=bright,
            demosaic_algorithm=rawpy.DemosaicAlgorithm.DHT if dht else _demosaicking(raw),
            fbdd_noise_reduction=mode.Full if fbdd else mode.Off,
            gamma=(2.4, 12.92) if srgb_curve else (2.222, 4.5),
            output_bps=bits,
        )
        return picture


def libraw_truth(
    path: Path, kind: Literal["srgb", "linear"], *, evened: bool = True
) -> npt.NDArray[np.uint16]:
    """A long exposure as LibRaw demosaics it (AHD), lying over its mosaic pixel by pixel: (H, W, 3).

    `srgb` is the truth of the See-in-the-Dark paper: the camera's white balance, sRGB colours, BT.709 curve,
    no automatic brightness; 65535 is display white. LibRaw's default lifts the picture to its own maximum
    where that is above three quarters of white; so did the paper's.
    `linear` is camera RGB before white balance: 65535 is the white level, and where the mosaic has the
    colour, it is (data - black) / (white - black) cut to 0..1.

    The picture is not turned upright. Raises as `libraw_develop`; not `evened`: not for a lens's shading.
    """
    with _as_its_tags_say(path, evened=evened) as raw:
        settings: dict[str, Any] = {
            "demosaic_algorithm": _demosaicking(raw),
            "no_auto_bright": True,
            "output_bps": 16,
            "user_flip": 0,
        }
        if kind == "srgb":
            settings |= {"use_camera_wb": True}
            truth: npt.NDArray[np.uint16] = raw.postprocess(**settings)
            return truth
        # AHD compares the colours with each other, so they must be balanced while it works; by gains of at
        # most 1, or what is bright would be clipped.
        red, green, blue = libraw.white_balance(raw) or (1.0, 1.0, 1.0)
        settings |= {
            "user_wb": [red, green, blue, green],
            "highlight_mode": rawpy.HighlightMode.Ignore,
            "output_color": rawpy.ColorSpace.raw,
            "gamma": (1, 1),
            "adjust_maximum_thr": 0,
        }
        balanced = raw.postprocess(**settings).astype(np.float32)
        balanced *= np.float32(max(red, green, blue)) / np.array([red, green, blue], np.float32)
        linear: npt.NDArray[np.uint16] = np.rint(np.minimum(balanced, 65535)).astype(np.uint16)
        return linear


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
