"""Linear camera RGB to what a display shows: white balance, matrix, curve, and the right way up."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Literal, assert_never

import numpy as np
import numpy.typing as npt
from PIL import Image

from scotopic.colour import (
    GAMUT_EDGE,
    HUE_HELD,
    SHOULDER_STARTS,
    FloatArray,
    Primaries,
    bt709_curve,
    camera_to_srgb,
    leaves_gamut,
    shoulder,
    srgb_to,
    srgb_to_linear,
    towards_white,
)
from scotopic.cores import STRIP_PIXELS, usable_cores
from scotopic.errors import SettingsError, check_kind_of
from scotopic.formats.icc import profile
from scotopic.formats.table import LINEAR_NAMES
from scotopic.frame import Capture, Captured, Linear, Rendered, Shown, check_light

Look = Literal["natural", "libraw", "linear"]
LOOKS: tuple[Look, ...] = ("natural", "libraw", "linear")

ColourSpace = Literal["srgb", "p3", "rec2020-linear"]
COLOUR_SPACES: tuple[ColourSpace, ...] = ("srgb", "p3", "rec2020-linear")

Curve = Literal["shown", "light", "linear"]
"""Light becomes values by a display's curve, in proportion to what a display makes of those, or as it is."""

DEPTHS = (8, 16)
"""Bits a colour that a picture is developed with."""

LIGHT_MAX = 64.0
"""Light beyond this many times display white shows as white."""

PRODUCT_PIXELS = 24576
"""Pixels that are multiplied by a matrix at a time: for more BLAS would wake threads of its own, which then fight with
ours for the cores (OpenBLAS: above 2**18 multiplications)."""

TABLE_SIZE, SHOULDER_SIZE = 1 << 16, 1 << 15
_TABLE_WHITE = np.float32((TABLE_SIZE - 1) ** 2)
"""Display white in light whose square root is a place in the table of the curve."""


def turned_back(orientation: int) -> int:
    """The EXIF orientation that undoes another.

    >>> [turned_back(n) for n in (1, 3, 6, 8)]
    [1, 3, 8, 6]
    """
    return {6: 8, 8: 6}.get(orientation, orientation)


def default_look(space: ColourSpace) -> Look:
    """The look where none is asked for: plain light for the space that is made for it."""
    return "linear" if _is_linear(space) else "natural"


def _is_linear(space: ColourSpace) -> bool:
    match space:
        case "rec2020-linear":
            return True
        case "srgb" | "p3":
            return False


@dataclass(frozen=True)
class Rendering:
    """How light is shown: by which look, in which colour space, with how many bits a colour.

    Raises SettingsError for what there is not, and for light kept in 8 bits.
    """

    look: Look | None = None
    """None for "linear" in the linear colour space and "natural" in all others."""
    space: ColourSpace = "srgb"
    bits: Literal[8, 16] = 8

    def __post_init__(self) -> None:
        if self.look is not None and self.look not in LOOKS:
            raise SettingsError(f"no look called {self.look}: known are {', '.join(LOOKS)}")
        if self.space not in COLOUR_SPACES:
            raise SettingsError(
                f"no colour space called {self.space}: known are {', '.join(COLOUR_SPACES)}"
            )
        if self.bits not in DEPTHS:
            raise SettingsError(
                f"pictures are developed with 8 or 16 bits a colour, not {self.bits}; AVIF of 10 is written of 16"
            )
        for name, linear in (
            (f"colour space {self.space}", _is_linear(self.space)),
            (f"look {self.look}", self.look == "linear"),
        ):
            if linear and self.bits != 16:
                raise SettingsError(
                    f"{name} needs 16 bits a colour, as 8 would show steps in the shadows: choose {LINEAR_NAMES} "
                    "(--format tiff), and no bits but 16"
                )

    @property
    def is_soft(self) -> bool:
        """Whether highlights and colours beyond the gamut are brought in softly; else they are cut."""
        match self.look or default_look(self.space):
            case "natural":
                return True
            case "libraw" | "linear":
                return False

    @property
    def curve(self) -> Curve:
        """By which light becomes values."""
        if (self.look or default_look(self.space)) == "linear":
            return "linear"
        return "light" if _is_linear(self.space) else "shown"


def develop(
    linear: Linear, *, look: Look | None = None, space: ColourSpace = "srgb", bits: Literal[8, 16] = 8
) -> Rendered:
    """Render for a display.

    "libraw" gives the colours and the curve of LibRaw's own development; "natural" is the same with a soft shoulder
    that keeps hues, so that lamps end neither in flat white discs nor in another colour, and a soft edge of the gamut,
    so that deep coloured light is no flat area; "linear" is light as it is, cut at display white. None is "linear" in
    the linear colour space and "natural" in all others.
    Raises SettingsError for a look, space or depth that there is not, for linear ones in 8 bits, and for light that is
    no number.
    """
    check_kind_of("light to develop", linear, Linear, "give what `enhance` gives")
    return developed(linear, Rendering(look, space, bits))


def developed(linear: Linear, rendering: Rendering) -> Rendered:
    """The same. Raises SettingsError for light that is no number."""
    height, width, _ = linear.data.shape
    canvas = Canvas(linear, (height, width), linear.clip, rendering)
    check_light(linear)
    rows = max(1, STRIP_PIXELS // width)

    def strip(top: int) -> None:
        canvas.put(top, 0, linear.data[top : top + rows].transpose(2, 0, 1))

    with ThreadPoolExecutor(usable_cores()) as threads:
        list(threads.map(strip, range(0, height, rows)))
    return canvas.rendered()


class Canvas:
    """A picture that is developed piece by piece, in any order and by several threads at once.

    `capture` says how it was taken; `size` is its height and width as the sensor has it, `clip` the light
    at which the sensor saturated; `given` the gains by which the light put is balanced already.
    """

    def __init__(
        self,
        capture: Capture,
        size: tuple[int, int],
        clip: float,
        rendering: Rendering,
        *,
        given: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> None:
        primaries = _PRIMARIES[rendering.space]
        self._capture = capture
        self._soft = rendering.is_soft
        self._icc = profile(primaries, linear=rendering.curve != "shown")
        # LibRaw scales so that the smallest gain is 1: the sensor's white is then white in every colour.
        gains = np.array(capture.wb) / min(capture.wb) / np.array(given)
        matrix = camera_to_srgb(capture.xyz_to_camera) if capture.xyz_to_camera is not None else np.eye(3)
        to_shown = srgb_to(primaries) @ matrix
        self._leaves_gamut = self._soft and leaves_gamut(to_shown)
        self._matrix = (to_shown * gains * _TABLE_WHITE).astype(np.float32)
        # A saturated pixel counts the same in all colours; balanced it would be violet. What all
        # colours can reach is neutral.
        ceiling = clip if self._soft else min(1.0, clip)
        self._ceilings = np.array(ceiling / gains, np.float32)[:, None, None]
        # The shoulder ends where the sensor does: what it could not count more of is white.
        # In quarters of a stop, rounded down, so that few tables serve and the sensor's end is wholly white.
        self._brightest = min(LIGHT_MAX, 2 ** (math.floor(4 * math.log2(max(clip, 1.0))) / 4))
        self._table = curve_table(rendering.curve, rendering.bits)
        shape = (*size, 3)
        self._standing: Shown | None = None
        if _square(capture.pixel_aspect):
            back = turned_back(capture.orientation)
            self._standing = np.empty(_shape_turned(shape, capture.orientation), self._table.dtype)
            # The same memory as the sensor's rows and columns lie in it: nothing is turned afterwards.
            self._lying = turned(self._standing, back)
        else:
            self._lying = np.empty(shape, self._table.dtype)

    def put(self, top: int, left: int, light: npt.NDArray[np.float32]) -> None:
        """Develop a piece (3, h, w) of linear camera RGB that begins at row `top` and column `left`."""
        _, height, width = light.shape
        rows = max(1, STRIP_PIXELS // width)
        if height > rows:
            for start in range(0, height, rows):
                self.put(top + start, left, light[:, start : start + rows])
            return
        planes = np.minimum(light, self._ceilings).reshape(3, -1)
        shown = np.empty_like(planes)
        for start in range(0, height * width, PRODUCT_PIXELS):
            few = slice(start, start + PRODUCT_PIXELS)
            np.matmul(self._matrix, planes[:, few], out=shown[:, few])
        if self._soft:
            strongest = np.maximum(_of_three(np.maximum, shown), 1)
            if self._leaves_gamut:
                _into_gamut(shown, strongest)
            _roll_off(shown, strongest, self._brightest)
        np.clip(shown, 0, _TABLE_WHITE, out=shown)
        np.sqrt(shown, out=shown)
        entries = shown.astype(np.uint16).reshape(3, height, width)
        developed = self._table.take(entries, mode="clip")
        target = self._lying[top : top + height, left : left + width]
        for colour in range(3):
            target[..., colour] = developed[colour]

    def rendered(self) -> Rendered:
        """The whole picture, upright."""
        if self._standing is None:
            return upright(self._lying, self._capture, icc=self._icc)
        return Rendered(data=self._standing, icc=self._icc, exif=self._capture.exif_upright)


_PRIMARIES: dict[ColourSpace, Primaries] = {"srgb": "srgb", "p3": "p3", "rec2020-linear": "rec2020"}


def _into_gamut(lights: npt.NDArray[np.float32], strongest: npt.NDArray[np.float32]) -> None:
    """Bring colours of light (3, N), white is _TABLE_WHITE, outside of the gamut or inside close to its edge softly
    into it, in place. `strongest` (N) is each pixel's strongest colour, at least 1, and stays.

    A colour below `edge`, GAMUT_EDGE of the strongest, becomes edge^2 / (2 edge - colour): itself at the edge, with no
    kink, and above 0 however far outside it was. Two ways are mixed, HUE_HELD of the second: each colour by itself,
    which stays dark and quiet, and the weakest alone, the others moved with it in proportion, which holds the hue.
    """
    edge = strongest * np.float32(GAMUT_EDGE)
    # Few pixels of a usual picture lie there: all others are left as they are, exactly.
    outside = np.flatnonzero(_of_three(np.minimum, lights) < edge)
    if not outside.size:
        return
    few, edge, top = lights.take(outside, axis=1), edge.take(outside), strongest.take(outside)
    below = np.minimum(few, edge)
    weakest = _of_three(np.minimum, below)
    each = few - below
    np.subtract(edge * 2, below, out=below)
    each += edge * np.divide(edge, below, out=below)
    few -= top
    few *= (top - _of_three(np.minimum, each)) / (top - weakest)
    few += top - each
    few *= np.float32(HUE_HELD)
    few += each
    for colour in range(3):
        lights[colour][outside] = few[colour]


def _of_three(least_or_most: np.ufunc, lights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Each pixel's weakest or strongest colour; numpy's way along the short axis takes six times as long here."""
    return np.asarray(least_or_most(least_or_most(lights[0], lights[1]), lights[2]))


def _roll_off(lights: npt.NDArray[np.float32], strongest: npt.NDArray[np.float32], end: float) -> None:
    """Bring light (3, N), white is _TABLE_WHITE, above the shoulder's start below white, in place, with its hue.

    The strongest colour follows the shoulder. The others keep their place between the strongest and the weakest, which
    is the hue of HSV; how far they lie apart is the mean of two ways: as if each colour had followed the shoulder (pale
    things become white, as on film), and in proportion to the strongest (strong colours keep their shades). The nearer
    to `end`, the more white is mixed in.
    """
    # Few pixels of a dark scene are lamps: all others are left as they are, exactly.
    bright = np.flatnonzero(strongest > SHOULDER_STARTS * _TABLE_WHITE)
    if not bright.size:
        return
    few = np.clip(lights.take(bright, axis=1) * (1 / _TABLE_WHITE), 0, LIGHT_MAX)
    strongest, weakest = _of_three(np.maximum, few), _of_three(np.minimum, few)
    rolled, stays = _shoulder_tables(end)
    entries = _entries(strongest)
    top = rolled.take(entries, mode="clip")
    spread = top - rolled.take(_entries(weakest), mode="clip")
    weakest -= strongest
    weakest -= np.float32(1e-6)
    spread /= weakest
    spread -= top / strongest
    spread *= np.float32(-0.5) * stays.take(entries, mode="clip")
    few -= strongest
    few *= spread
    few += top
    few *= _TABLE_WHITE
    lights[:, bright] = few


def _entries(light: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """The places of light, 0..LIGHT_MAX, in the shoulder's tables."""
    index = np.sqrt(light)
    index *= np.float32((SHOULDER_SIZE - 1) / np.sqrt(LIGHT_MAX))
    index += np.float32(0.5)
    return index.astype(np.uint16)


@cache
def _shoulder_tables(brightest: float) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """By the square root of light: the shoulder, and the share of colour that stays by the strongest's light."""
    light = np.linspace(0, 1, SHOULDER_SIZE) ** 2 * LIGHT_MAX
    rolled = np.minimum(shoulder(light, brightest), 1)
    stays = 1 - towards_white(light, brightest)
    return rolled.astype(np.float32), stays.astype(np.float32)


def upright(shown: Shown, capture: Capture, *, icc: bytes | None = None) -> Rendered:
    """Display values (H, W, 3) in the sensor's place, as a picture that stands upright, of square pixels.

    sRGB unless `icc` is another profile.
    """
    standing = turned(_square_pixels(shown, capture.pixel_aspect), capture.orientation)
    whole: Shown = np.ascontiguousarray(standing)  # type: ignore[assignment]
    return Rendered(data=whole, icc=icc or srgb_profile(), exif=capture.exif_upright)


@cache
def curve_table(curve: Curve, bits: int) -> Shown:
    """Values written, by the square root of light in 0..1, which spends its entries on the shadows; each stands for
    what lies between its place and the next.

    "shown" is the display curve; "light" what a display makes of that, in proportion to light, so that
    a picture looks the same in a linear space; "linear" no curve at all.
    """
    places = (np.arange(TABLE_SIZE) + 0.5) / (TABLE_SIZE - 1)
    light: FloatArray = np.minimum(places, 1) ** 2
    match curve:
        case "shown":
            shown = bt709_curve(light)
        case "light":
            shown = srgb_to_linear(bt709_curve(light))
        case "linear":
            shown = light
        case _:
            assert_never(curve)
    top = 2**bits - 1
    table: Shown = np.rint(shown * top).astype(np.uint8 if bits == 8 else np.uint16)
    return table


def srgb_profile() -> bytes:
    """The ICC profile of sRGB."""
    return profile("srgb")


def _square_pixels(picture: Shown, aspect: float) -> Shown:
    """Stretch the shorter way, as LibRaw does, where pixels are wider or taller than square."""
    if _square(aspect):
        return picture
    height, width = _squared(picture.shape, aspect)
    planes = [
        np.asarray(
            Image.fromarray(picture[..., c].astype(np.float32)).resize(
                (width, height), Image.Resampling.BILINEAR
            )
        )
        for c in range(3)
    ]
    stretched: Shown = np.rint(np.stack(planes, axis=-1)).astype(picture.dtype)
    return stretched


def _squared(shape: tuple[int, ...], aspect: float) -> tuple[int, int]:
    """Height and width of a picture of that shape, with square pixels."""
    height, width = shape[:2]
    if _square(aspect):
        return height, width
    return (round(height / aspect), width) if aspect < 1 else (height, round(width * aspect))


def shown_size(picture: Captured) -> tuple[int, int]:
    """Height and width of what `develop` makes of a picture."""
    height, width = _squared(picture.data.shape, picture.pixel_aspect)
    return _shape_turned((height, width, 3), picture.orientation)[:2]


def _square(aspect: float) -> bool:
    return abs(aspect - 1) < 0.005


def _shape_turned(shape: tuple[int, int, int], orientation: int) -> tuple[int, int, int]:
    height, width, colours = shape
    return (width, height, colours) if orientation in (5, 6, 7, 8) else shape


def turned(picture: Shown, orientation: int) -> Shown:
    """Turn and mirror by the EXIF orientation, so that it becomes 1."""
    match orientation:
        case 2:
            return picture[:, ::-1]
        case 3:
            return picture[::-1, ::-1]
        case 4:
            return picture[::-1]
        case 5:
            return picture.transpose(1, 0, 2)
        case 6:
            return np.rot90(picture, -1)
        case 7:
            return picture.transpose(1, 0, 2)[::-1, ::-1]
        case 8:
            return np.rot90(picture)
        case _:
            return picture
