"""Single facts from a DNG's tags: colours, levels, places, noise.

Numbers of tags and the meaning of their values are those of the Digital Negative Specification 1.7.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from scotopic.errors import DamagedFileError, UnsupportedRawError
from scotopic.frame import BLUE, GREEN, RED, SHOT_MAX, SHOT_MIN, NoiseProfile
from scotopic.sensor.pattern import Cell

_DAYLIGHTS = (21, 1, 20, 22, 23, 4)
"""EXIF light sources in the order in which LibRaw wants its matrix: D65, daylight, D55, D75, D50, flash."""

LINEARIZATION_TABLE, OPCODE_LIST_2, OPCODE_LIST_3 = 50712, 51009, 51022
BLACK_DELTA_H, BLACK_DELTA_V = 50715, 50716
ROW_FIELDS, COLUMN_FIELDS = 50975, 52547
"""The tags RowInterleaveFactor and ColumnInterleaveFactor."""

BASELINE_EXPOSURE, BASELINE_EV_MAX = 50730, 12.0
"""The tag BaselineExposure, and the most stops either way that are believed: ours are at most six, a camera's own about
two."""

_BINNED = (
    "Phones whose sensors have such filters give Bayer mosaics where they bin pixels: take the photo in the ordinary "
    "resolution (12 megapixels in place of 48 or 50, say) or by the RAW mode of the phone's own camera app"
)
"""What users of sensors with other colour filters can do: squares of four of one colour, white pixels."""

Area = tuple[int, int, int, int]
"""Top, left, bottom, right."""


class Tags:
    """A page's tags, and those of the first page for what it does not say."""

    def __init__(self, page: Any, first: Any) -> None:
        self._pages = (page, first)

    def raw(self, code: int) -> Any | None:
        """The tag as tifffile gives it."""
        for page in self._pages:
            if code in page.tags:
                return page.tags[code]
        return None

    def numbers(self, code: int) -> npt.NDArray[np.float64] | None:
        """A tag's values as floats, rationals divided; None where it is missing or no number."""
        tag = self.raw(code)
        if tag is None or isinstance(tag.value, str):
            return None
        value = list(tag.value) if isinstance(tag.value, bytes) else tag.value
        flat = np.atleast_1d(np.asarray(value, dtype=np.float64)).ravel()
        if int(tag.dtype) in (5, 10):
            with np.errstate(divide="ignore", invalid="ignore"):
                flat = flat[0::2] / flat[1::2]
        return flat

    def text(self, code: int) -> str:
        """A tag's text, empty where there is none."""
        tag = self.raw(code)
        return tag.value.strip("\0 ") if tag is not None and isinstance(tag.value, str) else ""


def shot(tags: Tags) -> tuple[float | None, float | None]:
    """Exposure in seconds and ISO from the EXIF directory, where they make sense."""
    tag = tags.raw(34665)
    exif = tag.value if tag is not None and isinstance(tag.value, dict) else {}

    def positive(name: str) -> float | None:
        value = exif.get(name)
        if isinstance(value, tuple) and len(value) == 2:
            value = value[0] / value[1] if value[1] else 0
        return float(value) if isinstance(value, (int, float)) and SHOT_MIN <= value <= SHOT_MAX else None

    return positive("ExposureTime"), positive("ISOSpeedRatings")


def fields(page: Any, code: int) -> int:
    """In how many fields the rows or columns are stored: 1 if they are in order."""
    tag = page.tags.get(code)
    return max(1, int(tag.value)) if tag is not None else 1


def orientation(stated: npt.NDArray[np.float64] | None) -> int:
    """The EXIF orientation, 1 where there is none."""
    return int(stated[0]) if stated is not None and 1 <= stated[0] <= 8 else 1


def pixel_aspect(tags: Tags) -> float:
    """Width over height of a pixel, from DefaultScale; 1 where it makes no sense."""
    scale = tags.numbers(50718)
    if scale is None or scale.size != 2 or not np.all(np.isfinite(scale)) or np.any(scale <= 0):
        return 1.0
    aspect = float(scale[0] / scale[1])
    # LibRaw's tolerance on both counts.
    return aspect if 0.1 <= aspect <= 10 and not 0.995 < aspect < 1.005 else 1.0


def baseline_ev(tags: Tags) -> tuple[float, str]:
    """BaselineExposure in stops, 0 where there is none; and a word where it makes no sense."""
    stated = tags.numbers(BASELINE_EXPOSURE)
    if stated is None or not stated.size:
        return 0.0, ""
    if not abs(stated[0]) <= BASELINE_EV_MAX:
        return 0.0, f"its BaselineExposure of {stated[0]:g} stops makes no sense and is left out"
    return float(stated[0]), ""


def cell(tags: Tags, name: str) -> Cell:
    """The repeating colours, as few as will do."""
    pattern, dims, planes = tags.raw(33422), tags.numbers(33421), tags.numbers(50710)
    layout = tags.numbers(50711)
    if layout is not None and layout[0] != 1:
        raise UnsupportedRawError(
            f"{name}: its sensor's pixels are staggered (CFALayout {layout[0]:g}, such as Fujifilm's "
            "SuperCCD); only those in rows and columns can be enhanced"
        )
    if pattern is None or dims is None or dims.size != 2:
        raise UnsupportedRawError(
            f"{name}: does not say which colours its sensor's pixels see (CFAPattern)"
        )
    value = pattern.value
    codes = np.array(list(value) if isinstance(value, bytes) else np.atleast_1d(value).tolist())
    rows, columns = (int(n) for n in dims)
    if codes.size != rows * columns or not codes.size:
        raise DamagedFileError(
            f"{name}: its colour pattern has {codes.size} entries; {rows}x{columns} are needed"
        )
    if set(codes.tolist()) - {RED, GREEN, BLUE} or (planes is not None and planes.tolist() != [0, 1, 2]):
        raise UnsupportedRawError(
            f"{name}: its colour filters are not red, green and blue alone; only those can be enhanced. {_BINNED}"
        )
    whole = codes.reshape(rows, columns)
    for size in (2, 6):
        if rows % size == 0 and columns % size == 0:
            least = whole[:size, :size]
            if np.array_equal(np.tile(least, (rows // size, columns // size)), whole):
                return tuple(tuple(int(c) for c in row) for row in least)
    raise UnsupportedRawError(
        f"{name}: its colour pattern repeats every {rows}x{columns} pixels; only Bayer (2x2) and X-Trans "
        f"(6x6) ones can be enhanced. {_BINNED}"
    )


def active_area(tags: Tags, width: int, height: int, name: str) -> Area:
    """The pixels that see the scene, inside the picture; all where the file does not say."""
    stated = tags.numbers(50829)
    if stated is None or stated.size != 4 or not np.all(np.isfinite(stated)):
        return 0, 0, height, width
    top, left = (max(0, int(v)) for v in stated[:2])
    bottom, right = min(height, int(stated[2])), min(width, int(stated[3]))
    if bottom <= top or right <= left:
        raise DamagedFileError(
            f"{name}: its active area {stated.astype(int).tolist()} lies outside its {width}x{height} pixels"
        )
    return top, left, bottom, right


def states_other_area(tags: Tags, area: Area) -> bool:
    """Whether `active_area` had to cut what the file says."""
    stated = tags.numbers(50829)
    return stated is not None and stated.tolist() != list(area)


def masked_areas(tags: Tags, width: int, height: int) -> tuple[Area, ...]:
    """Pixels that never see light, inside the picture."""
    stated = tags.numbers(50830)
    if stated is None or stated.size % 4 or not np.all(np.isfinite(stated)):
        return ()
    areas = [
        (max(0, int(top)), max(0, int(left)), min(height, int(bottom)), min(width, int(right)))
        for top, left, bottom, right in stated.reshape(-1, 4)
    ]
    return tuple(a for a in areas if a[2] > a[0] and a[3] > a[1])


def black(tags: Tags, samples: int, cell: Cell | None) -> tuple[npt.NDArray[np.float64], bool]:
    """(rows, columns, samples), and whether the file says so."""
    stated, dims = tags.numbers(50714), tags.numbers(50713)
    rows, columns = (int(n) for n in dims) if dims is not None and dims.size == 2 else (1, 1)
    if stated is None or not np.all(np.isfinite(stated)) or not stated.size:
        return np.zeros((1, 1, samples)), False
    if stated.size == rows * columns * samples:
        return stated.reshape(rows, columns, samples), True
    if stated.size == 4 and cell is not None and len(cell) == 2:
        # Some phones leave BlackLevelRepeatDim out.
        return stated.reshape(2, 2, 1), True
    return np.full((1, 1, samples), stated.mean()), True


def delta(tags: Tags, code: int, length: int) -> npt.NDArray[np.float64] | None:
    """BlackLevelDeltaH or V; None where it does not fit the active area."""
    stated = tags.numbers(code)
    fits = stated is not None and stated.size == length and bool(np.all(np.isfinite(stated)))
    return stated if fits else None


def white(
    tags: Tags,
    samples: int,
    bits: int,
    is_float: bool,
    table: npt.NDArray[np.float64] | None,
) -> npt.NDArray[np.float64]:
    """The white level of each sample; where several are given for one, the lowest, at which lamps end."""
    stated = tags.numbers(50717)
    if stated is not None and stated.size and np.all(np.isfinite(stated)) and np.all(stated > 0):
        return np.resize(stated, samples) if samples > 1 else stated.min(keepdims=True)
    if is_float:
        return np.ones(samples)
    return np.full(samples, 2.0**bits - 1 if table is None else float(table.max()))


def matrix(tags: Tags) -> npt.NDArray[np.float64] | None:
    """XYZ to camera for daylight, calibrated, as LibRaw chooses and computes it."""
    found = [(tags.numbers(m), tags.numbers(i), tags.numbers(c)) for m, i, c in _MATRIX_TAGS]
    known = [(m, i, c) for m, i, c in found if m is not None and m.size == 9 and np.all(np.isfinite(m))]
    if not known:
        return None

    def preference(entry: tuple[Any, Any, Any]) -> int:
        light = int(entry[1][0]) if entry[1] is not None else 0
        return _DAYLIGHTS.index(light) if light in _DAYLIGHTS else len(_DAYLIGHTS)

    # Where neither light is daylight LibRaw takes the last.
    matrix, _, calibration = min(reversed(known), key=preference)
    result = matrix.reshape(3, 3)
    if calibration is not None and calibration.size == 9 and np.all(np.isfinite(calibration)):
        result = calibration.reshape(3, 3) @ result
    balance = tags.numbers(50727)
    if balance is not None and balance.size == 3 and np.all(np.isfinite(balance)) and np.all(balance > 0):
        result = balance[:, None] * result
    return result if abs(np.linalg.det(result)) > 1e-6 else None


_MATRIX_TAGS = ((50721, 50778, 50723), (50722, 50779, 50724))
"""ColorMatrix, CalibrationIlluminant, CameraCalibration: the first and the second."""


def white_balance(tags: Tags, matrix: npt.NDArray[np.float64] | None) -> tuple[float, float, float] | None:
    """Gains from AsShotNeutral, or from AsShotWhiteXY and the matrix; green = 1."""
    neutral, white = tags.numbers(50728), tags.numbers(50729)
    if neutral is None and white is not None and white.size == 2 and white[1] > 0 and matrix is not None:
        x, y = white
        neutral = matrix @ np.array([x / y, 1.0, (1 - x - y) / y])
    if neutral is None or neutral.size != 3 or not np.all(np.isfinite(neutral)) or np.any(neutral <= 1e-5):
        return None
    return (float(neutral[1] / neutral[0]), 1.0, float(neutral[1] / neutral[2]))


def noise_profile(pairs: npt.NDArray[np.float64] | None) -> NoiseProfile | None:
    """The NoiseProfile tag: pairs (S, O) with variance = S x + O, one pair or one a colour.

    None where it is missing or makes no sense: no noise varies by more than the whole range.
    """
    if pairs is None or pairs.size not in (2, 6, 8) or not np.all((pairs >= 0) & (pairs <= 1)):
        return None
    shot, read = pairs[0::2], pairs[1::2]
    if pairs.size == 2:
        shot, read = np.repeat(shot, 3), np.repeat(read, 3)
    elif pairs.size == 8:  # R, G1, G2, B
        shot, read = (np.array([v[0], (v[1] + v[2]) / 2, v[3]]) for v in (shot, read))
    if np.any(shot <= 0):
        return None
    three = [(float(v[0]), float(v[1]), float(v[2])) for v in (shot, read)]
    return NoiseProfile(three[0], three[1], "the file's NoiseProfile tag")
