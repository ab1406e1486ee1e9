"""What LibRaw says of a decoded picture, in our own terms and errors.

Its objects are handed in: `read` alone opens them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scotopic.dng.directory import Dng
from scotopic.dng.read import Described
from scotopic.errors import DamagedFileError, UnsupportedRawError
from scotopic.frame import BLUE, GREEN, RED, SHOT_MAX, SHOT_MIN
from scotopic.metadata import EXPOSURE_TIME, filled_in, is_ciff, read_exif
from scotopic.metadata.exiftags import ISO_MAX, iso_of
from scotopic.sensor.pattern import Cell

EXIF_ORIENTATION_OF_FLIP = {0: 1, 1: 2, 3: 3, 2: 4, 4: 5, 6: 6, 7: 7, 5: 8}
"""LibRaw's flip (bits: 1 left for right, 2 top for bottom, 4 rows for columns) to the EXIF number."""

_COLOUR_OF_LETTER = {"R": RED, "G": GREEN, "B": BLUE}


def described(path: Path, raw: Any | None = None, dng: Dng | None = None) -> Described:
    """What is known of how the picture was taken: the file's own EXIF first, then LibRaw and the tags."""
    # LibRaw takes 1/0 for 1: it is not asked for what the file has.
    exif = read_exif(path, with_broken=True)
    make = str(exif.main.get(0x010F, "")) or (dng.make if dng else "")
    model = str(exif.main.get(0x0110, "")) or (dng.model if dng else "")
    exposure_s = _positive(exif.exif.get(EXPOSURE_TIME)) or (dng.exposure_s if dng else None)
    stated = _positive(iso_of(exif.exif))
    iso = stated
    if raw is not None and (stated is None or stated == ISO_MAX):
        # LibRaw knows some from maker notes, but cuts what EXIF says to 16 bits.
        iso = max(_positive(raw.other.iso_speed) or 0, stated or 0) or None
    iso = iso or (dng.iso if dng else None)
    more: dict[str, Any] = {}
    if raw is not None:
        other = raw.other
        if EXPOSURE_TIME not in exif.exif:
            exposure_s = exposure_s or _positive(other.shutter_speed)
        more = {
            "aperture": float(other.aperture),
            "focal_mm": float(other.focal_length),
            "lens": str(raw.lens.model),
            "taken": _camera_clock(other.timestamp, path),
        }
    known = filled_in(exif, exposure_s=exposure_s, iso=iso, **more)
    if dng is not None:
        known = filled_in(known, make=make, model=model)
    return {"make": make, "model": model, "exposure_s": exposure_s, "iso": iso, "exif": known.sound()}


def _camera_clock(shown: datetime | None, path: Path) -> datetime | None:
    """What the camera's clock showed, of the time that rawpy makes of LibRaw's seconds by this computer's time zone.

    LibRaw takes texts for local time, so that they come out again; CIFF holds the clock in seconds, as if it were UTC.
    """
    if shown is None or not is_ciff(path):
        return shown
    return datetime.fromtimestamp(shown.timestamp(), UTC).replace(tzinfo=None)


def _positive(value: Any) -> float | None:
    return float(value) if isinstance(value, Real) and SHOT_MIN <= float(value) <= SHOT_MAX else None


def cell(raw: Any, path: Path) -> tuple[Cell, npt.NDArray[np.intp]]:
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


def white_balance(raw: Any) -> tuple[float, float, float] | None:
    """The camera's gains, green = 1; None where it gives none."""
    red, green, blue = (float(v) for v in raw.camera_whitebalance[:3])
    if red > 1e-5 and green > 1e-5 and blue > 1e-5:
        return (red / green, 1.0, blue / green)
    return None


def matrix(raw: Any) -> npt.NDArray[np.float64] | None:
    """XYZ to camera from LibRaw's table of cameras; None for those not in it."""
    known = np.array(raw.rgb_xyz_matrix[:3], dtype=np.float64)
    return known if abs(np.linalg.det(known)) > 1e-6 else None


def white(raw: Any, black: float, path: Path) -> float:
    """The white level in DN; raises DamagedFileError where that is not above `black`."""
    level = float(raw.white_level)
    if not level > black:
        raise DamagedFileError(
            f"{path.name}: its white level {level:g} is not above its black level {black:g}"
        )
    return level


def is_black_of_margin(make: str) -> bool:
    """Whether LibRaw takes a maker's black from columns that see no light, left of the picture: known of Canon."""
    return make.casefold().startswith("canon")


def left_margin(raw: Any) -> npt.NDArray[np.uint16]:
    """What is stored left of the visible area, in its rows: (H, M)."""
    sizes = raw.sizes
    stored: npt.NDArray[np.uint16] = raw.raw_image
    return stored[sizes.top_margin : sizes.top_margin + sizes.height, : sizes.left_margin]


def check_straight(raw: Any, path: Path) -> None:
    """Raise UnsupportedRawError for Fujifilm's SuperCCD, whose rows LibRaw would turn by 45 degrees."""
    sizes = raw.sizes
    if (
        sizes.top_margin + sizes.height > sizes.raw_height
        or sizes.left_margin + sizes.width > sizes.raw_width
    ):
        raise UnsupportedRawError(
            f"{path.name}: its sensor's pixels are staggered (turned by 45 degrees, such as Fujifilm's "
            "SuperCCD); only those in rows and columns can be enhanced"
        )
