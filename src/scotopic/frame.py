"""The three states of a picture: what the sensor counted, linear light, what a display shows."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from scotopic.errors import SettingsError, check_kind_of, check_number
from scotopic.metadata import Exif, filled_in
from scotopic.sensor.shading import Shading, evened_mosaic

Linear32 = npt.NDArray[np.float32]
Counts = npt.NDArray[np.uint16] | Linear32
"""A mosaic's values in DN."""

Shown = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""Display values."""

RED, GREEN, BLUE = 0, 1, 2

VALUE_MAX = 1e12
"""Values farther from 0 are no light: no file that is read holds them, and squares of much larger ones overflow."""

GAIN_MAX = 1e6
"""White balance gain, at most, and the inverse of the least: a frame without light may come to thousands."""

ASPECT_MAX = 16.0
"""Length over width of a pixel, or width over length, at most; Nikon's D1X has 2."""

SHOT_MIN, SHOT_MAX = 1 / VALUE_MAX, VALUE_MAX
"""Range of an exposure in seconds and of an ISO; EXIF's fractions cannot tell others."""

RATIO_MIN, RATIO_MAX = 2.0**-4, 2.0**20
"""Range of amplifications; what can be asked for (exposure.EV_RANGE) lies well within."""

SINGULAR = 1e-6
"""A colour matrix whose rows, each of length 1, span less than this cannot be inverted."""

_CHECKED = 1 << 16
"""Values looked at at a time: they stay in the processor's cache for the second look."""

RGGB = ((RED, GREEN), (GREEN, BLUE))
"""The Bayer phase that the network sees, in reading order."""


X_TRANS = (
    (1, 2, 1, 1, 0, 1),
    (0, 1, 0, 2, 1, 2),
    (1, 2, 1, 1, 0, 1),
    (1, 0, 1, 1, 2, 1),
    (2, 1, 2, 0, 1, 0),
    (1, 0, 1, 1, 2, 1),
)
"""The colours of Fujifilm's X-Trans sensors, in the phase that training uses."""


@dataclass(frozen=True)
class NoiseProfile:
    """variance(x) = shot * x + read for each colour, x in 0..1 of the sensor's range above black.

    `shot` and `read` hold one value for R, G, B, not below 0. `source` says where they come from, in words.
    Raises SettingsError for other values.
    """

    shot: tuple[float, float, float]
    read: tuple[float, float, float]
    source: str

    def __post_init__(self) -> None:
        for name in ("shot", "read"):
            _check(self, name, "three variances, for R, G, B", (3,), least=0)

    def variance(self, x: npt.NDArray[np.floating], colour: int) -> npt.NDArray[np.floating]:
        """Variance of the value x (any shape) of a colour (0, 1 or 2).

        >>> profile = NoiseProfile((0.01,) * 3, (0.0001,) * 3, "an example")
        >>> float(profile.variance(np.array(0.5), GREEN))
        0.0051
        """
        variance: npt.NDArray[np.floating] = self.shot[colour] * np.maximum(x, 0) + self.read[colour]
        return variance


@dataclass(frozen=True, eq=False, kw_only=True)
class Capture:
    """What is known of how a picture was taken; common to all states before display.

    Raises SettingsError for a white balance, a matrix, an exposure, an ISO, an orientation or a pixel's shape that
    there cannot be; whatever numpy takes for numbers of that shape will do, but no text.
    """

    wb: tuple[float, float, float]
    """Camera gains for R, G, B, above 0; green = 1."""
    wb_source: str = "camera"
    xyz_to_camera: npt.NDArray[np.float64] | None = None
    """(3, 3), invertible, XYZ (D65) to camera RGB before white balance; None where nobody knows it."""
    exposure_s: float | None = None
    """Exposure time in seconds, above 0; None where nobody knows it. So is the ISO, which follows."""
    iso: float | None = None
    make: str = ""
    model: str = ""
    orientation: int = 1
    """EXIF orientation, 1 to 8: how the picture must be turned to stand upright."""
    pixel_aspect: float = 1.0
    """Width over height of a pixel, above 0."""
    noise: NoiseProfile | None = None
    """What the file itself says of its noise."""
    shading: Shading | None = None
    """Gains that even out the lens's shading, as the file gives them, and are still to be applied."""
    notes: tuple[str, ...] = ()
    """What the user should know of how the file was read."""
    exif: Exif = field(default_factory=Exif)

    def __post_init__(self) -> None:
        gains = "three gains, for R, G, B, such as 2.1, 1, 1.6"
        _check(self, "wb", gains, (3,), least=1 / GAIN_MAX, most=GAIN_MAX)
        aspect = "width over height, 1 for square pixels"
        _check(self, "pixel_aspect", aspect, least=1 / ASPECT_MAX, most=ASPECT_MAX)
        for name, needed in (("exposure_s", "seconds, such as 1/60"), ("iso", "a number, such as 3200")):
            if getattr(self, name) is not None:
                _check(
                    self, name, f"{needed}, or None where it is not known", least=SHOT_MIN, most=SHOT_MAX
                )
        _check(self, "orientation", "EXIF's whole number", least=1, most=8)
        if self.orientation != int(self.orientation):
            raise SettingsError(f"orientation {self.orientation:g} is no whole number: EXIF's are 1 to 8")
        _set(self, orientation=int(self.orientation))
        for field_name, kind in (("noise", NoiseProfile), ("shading", Shading)):
            if (value := getattr(self, field_name)) is not None:
                check_kind_of(field_name, value, kind, "or leave it out")
        check_kind_of("exif", self.exif, Exif, "or leave it out")
        if self.xyz_to_camera is None:
            return
        _check(self, "xyz_to_camera", "3x3 numbers, or None where they are not known", (3, 3))
        matrix = self.xyz_to_camera
        rows = np.linalg.norm(matrix, axis=1, keepdims=True)
        if not rows.all() or not abs(np.linalg.det(matrix / rows)) > SINGULAR:
            raise SettingsError(
                f"xyz_to_camera {matrix.tolist()} tells no colours apart, as it cannot be inverted: give the camera's "
                "own matrix, or None where it is not known"
            )

    @property
    def whole_exif(self) -> Exif:
        """Its EXIF and, where that is silent, what else is known of camera, exposure time and ISO."""
        return filled_in(
            self.exif, make=self.make, model=self.model, exposure_s=self.exposure_s, iso=self.iso
        )

    @property
    def exif_upright(self) -> Exif:
        """The same for the picture turned upright."""
        return self.whole_exif.upright(self.orientation)

    def with_changes(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True, eq=False, kw_only=True)
class Mosaic(Capture):
    """What the sensor counted, one colour a pixel.

    `data` (H, W) in DN, uint16 or float32, to which other numbers are converted (floats in any scale, that of black,
    white and saturation); `cfa` the colours (0 R, 1 G, 2 B) of the repeating cell in reading order from the top-left,
    2x2 or 6x6; `black` in DN for each place of the cell;
    `white` in DN, above black; `saturation` where this sensor stops counting, in DN, above black and at most `white`
    (in floats also above it: finished colours sampled back). Raises SettingsError for what does not fit together.
    """

    data: Counts
    cfa: tuple[tuple[int, ...], ...]
    black: npt.NDArray[np.float64]
    white: float
    saturation: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _set(self, data=_values(self))
        cell, of_black = _shape(self.cfa), _shape(self.black)
        if self.data.ndim != 2 or cell not in ((2, 2), (6, 6)) or of_black != cell:
            raise SettingsError(
                f"a Mosaic needs data (H, W), a cfa of 2x2 or 6x6 and black of the same shape; got "
                f"data {self.data.shape}, cfa {cell}, black {of_black}"
            )
        colours = np.array(self.cfa).tolist()
        if any(colour not in (RED, GREEN, BLUE) for row in colours for colour in row):
            raise SettingsError(f"a cfa holds the colours 0 (R), 1 (G) and 2 (B); got {colours}")
        _set(self, cfa=tuple(tuple(int(colour) for colour in row) for row in colours))
        _check(self, "black", "numbers in DN", cell)
        _check(self, "white", "a number in DN")
        _check(self, "saturation", "a number in DN", most=VALUE_MAX * RATIO_MAX)
        if min(self.data.shape) < len(self.cfa):
            raise SettingsError(
                f"a Mosaic needs one whole cell of its colours, {cell[0]}x{cell[1]}; got data {self.data.shape}"
            )
        if not self.white > float(np.max(self.black)):
            raise SettingsError(f"white level {self.white} is not above black level {np.max(self.black)}")
        if not self.saturation > float(np.max(self.black)):
            raise SettingsError(
                f"saturation {self.saturation:g} is not above black level {np.max(self.black):g}: give the white level "
                "where nothing else is known"
            )
        if self.data.dtype.kind == "u" and self.saturation > self.white:
            raise SettingsError(
                f"saturation {self.saturation:g} is above white level {self.white:g}, to which a sensor counts at "
                "most: give the white level where nothing else is known"
            )
        if self.data.dtype.kind == "u" and np.max(self.black) > 0xFFFF:
            raise SettingsError(
                f"black level {np.max(self.black):g} is above all that 16 bits can count: give levels in the "
                "data's own DN"
            )

    @property
    def is_bayer(self) -> bool:
        """Whether this is one of the four Bayer phases."""
        cell = self.cfa
        if len(cell) != 2:
            return False
        falling, rising = (cell[0][0], cell[1][1]), (cell[0][1], cell[1][0])
        return {frozenset(falling), frozenset(rising)} == {frozenset({GREEN}), frozenset({RED, BLUE})}

    def colour_planes(self) -> list[tuple[int, npt.NDArray[np.float32]]]:
        """One plane for each place of the cell: its colour and x = (data - black) / (white - black)."""
        size = len(self.cfa)
        planes = []
        for dy in range(size):
            for dx in range(size):
                black = np.float32(self.black[dy, dx])
                plane = self.data[dy::size, dx::size].astype(np.float32)
                plane -= black
                plane *= np.float32(1 / (self.white - float(black)))
                planes.append((self.cfa[dy][dx], plane))
        return planes

    def evened(self, *, whole: bool = True) -> Self:
        """This mosaic as it would be behind a lens without shading; itself where the file has no maps against it.

        Not `whole`: without what tells the two greens apart alone, the rest still to be applied (`evened_mosaic`).
        """
        if self.shading is None:
            return self
        data = evened_mosaic(self.data, self.black, self.saturation, self.shading, whole=whole)
        return self.with_changes(data=data, shading=None if whole else self.shading)


@dataclass(frozen=True, eq=False, kw_only=True)
class Linear(Capture):
    """Scene-linear camera RGB before white balance, amplified.

    `data` (H, W, 3) float32, to which other numbers are converted; after white balance 1.0 is display white for a
    neutral patch, and light above it is kept. `clip` is the value at which the sensor saturated, `ratio` the
    amplification, both above 0. Raises SettingsError for what does not fit.

    Files that hold finished colours a pixel (linear DNG, ProRAW) are read as one with ratio 1: 0 is black,
    1 display white, which is the file's white level unless its BaselineExposure says otherwise. `monochrome` says
    that the sensor has no colour filters; its three planes are the same.
    """

    data: npt.NDArray[np.float32]
    clip: float
    ratio: float
    monochrome: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _set(self, data=_values(self).astype(np.float32, copy=False))
        if self.data.ndim != 3 or self.data.shape[2] != 3 or not self.data.size:
            raise SettingsError(
                f"a Linear needs data (H, W, 3) of one pixel or more; got {self.data.shape}"
            )
        _check(self, "clip", "the light at which the sensor saturated", least=1 / VALUE_MAX)
        _check(self, "ratio", "an amplification, 1 for light as it came", least=RATIO_MIN, most=RATIO_MAX)


Captured = Mosaic | Linear
"""What reading a file gives."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Rendered:
    """Display RGB: `data` (H, W, 3) uint8 or uint16, upright, with its ICC profile (none is empty) and EXIF.

    Raises SettingsError for other data. The order of their bytes, and how they lie in memory, is all the same: they are
    put in row by row, which is how encoders want them.
    """

    data: Shown
    icc: bytes
    exif: Exif

    def __post_init__(self) -> None:
        _check_unmasked(self.data)
        data = np.asarray(self.data)
        kind = data.dtype.newbyteorder("=")
        is_rgb = data.ndim == 3 and data.shape[2] == 3 and data.size > 0
        if not is_rgb or kind not in (np.dtype(np.uint8), np.dtype(np.uint16)):
            raise SettingsError(
                f"a Rendered needs data (H, W, 3) of one pixel or more, uint8 or uint16; got {data.shape} {kind}: "
                "leave out what is no colour, give grey three times, and scale light to 0..255 or 0..65535"
            )
        _set(self, data=np.ascontiguousarray(data, kind))


def check_light(captured: Captured) -> None:
    """Raise SettingsError where a picture's values are NaN, infinite or beyond VALUE_MAX.

    Not done where a picture is made, which is often, but once where work on it begins.
    """
    data = captured.data
    if data.dtype.kind != "f":
        return
    rows = max(1, _CHECKED // data[0].size)
    strips = (data[top : top + rows] for top in range(0, len(data), rows))
    # Neither comparison holds for NaN.
    if all(strip.min() >= -VALUE_MAX and strip.max() <= VALUE_MAX for strip in strips):
        return
    places = np.argwhere(~(np.abs(data) <= VALUE_MAX))
    kind, (row, column) = type(captured).__name__, places[0][:2]
    raise SettingsError(
        f"this {kind} holds values that are no light, {len(places)} of them (NaN, infinite, or beyond {VALUE_MAX:g}), "
        f"the first in row {row}, column {column}; give numbers in their place, such as black, or the median of the "
        "pixels around"
    )


def fingerprint(data: npt.NDArray[Any]) -> tuple[object, ...]:
    """What tells a picture's data from others, be they in the same buffer: how they lie, and a checksum of them all.

    One or two nanoseconds a value; nothing is copied but strips of what has gaps.
    """
    # In the order in which they lie, whose strips are whole pieces of memory.
    lying = data.transpose(np.argsort([-abs(stride) for stride in data.strides], kind="stable"))
    rows, checksum = max(1, _CHECKED // lying[0].size), 0
    for top in range(0, len(lying), rows):
        checksum = zlib.crc32(np.ascontiguousarray(lying[top : top + rows]).data, checksum)
    return data.shape, data.strides, data.dtype, checksum


def check_strength(strength: float) -> None:
    """Raise SettingsError for a share of the noise to be removed that is out of range."""
    check_number("strength", strength)
    if not 0 <= strength <= 1:
        raise SettingsError(f"strength {strength:g} is out of range: 0 (plain) to 1 (full)")


def _set(state: Any, **fields: Any) -> None:
    """Give fields of a frozen state their values."""
    for name, value in fields.items():
        object.__setattr__(state, name, value)


def _values(captured: Captured) -> npt.NDArray[Any]:
    """A picture's data as uint16 or float32, themselves where they are; SettingsError for what are no numbers."""
    _check_unmasked(captured.data)
    data = np.asarray(captured.data)
    if data.dtype.kind not in "iuf":
        raise SettingsError(
            f"a {type(captured).__name__} needs data of numbers, such as float32; got {data.dtype}"
        )
    is_short = data.dtype.kind == "u" and data.dtype.itemsize <= 2
    with np.errstate(over="ignore"):
        return data.astype(np.uint16 if is_short else np.float32, copy=False)


def _check_unmasked(data: object) -> None:
    """Raise SettingsError for data of which some are masked: there is nothing to put in their places."""
    if np.ma.is_masked(data):
        raise SettingsError(
            "masked values are no light: give numbers in their place, such as the median of the pixels around "
            "(`data.filled(...)`)"
        )


def _shape(values: Any) -> tuple[int, ...]:
    """The shape of nested rows; () where they are of different lengths."""
    try:
        return np.shape(values)
    except ValueError:
        return ()


def _check(
    state: Any,
    name: str,
    needed: str,
    shape: tuple[int, ...] = (),
    *,
    least: float = -VALUE_MAX,
    most: float = VALUE_MAX,
) -> None:
    """Make a field a float, a tuple of floats or, of two dimensions, an array.

    Raises SettingsError, which says what is `needed`, for another shape and for numbers out of range.
    """
    value = getattr(state, name)
    try:
        is_text = np.asarray(value).dtype.kind in "SU"
        found = np.empty(0) if is_text else np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        found = np.empty(0)
    # Neither comparison holds for NaN.
    if found.shape != shape or not ((found >= least) & (found <= most)).all():
        words = " ".join(str(value).split())[:80]
        raise SettingsError(
            f"{name} of a {type(state).__name__} needs {needed}, {least:g} to {most:g}; got {words}"
        )
    _set(state, **{name: found if len(shape) > 1 else tuple(found.tolist()) if shape else float(found)})
