"""White balance: the one a network works in, and the one chosen after enhancing: the camera's, judged from the clean
picture, daylight's, or given."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from scotopic import exposure
from scotopic.colour import D65_XYZ
from scotopic.errors import SettingsError
from scotopic.frame import Capture, Linear, Mosaic, NoiseProfile

Gains = tuple[float, float, float]
FixedBalance = Literal["camera", "daylight"] | Gains
"""A white balance that does not depend on what the picture shows."""

Balance = Literal["camera", "auto", "daylight"] | Gains
"""How to balance: by name, or gains for R, G, B."""

CAST_LEAST = 2.0
"""Times that the mean light of the strongest colour is that of the weakest, balanced by the camera, up to which things
have these colours, and beyond which light has (experiments.md, 2026-11-30)."""

CAST_FARTHEST = 2.0
"""Factor by which a colour is brought nearer to the middle of all three for a network, at most: in light of a single
colour the others are little but noise (experiments.md, 2026-11-30)."""

BLACK_OFF_DN, BLACK_OFF_SIGMAS = 0.5, 0.1
"""How far black may be off, in DN and in standard deviations of the read noise: so much light more is taken for given
in all colours, and dark pictures show no cast (chosen: as far off as measured black
is at most, and twice the share that training draws)."""

CAST_VALUES = 1_000_000
"""Counts by which a mosaic's colours are judged, about: of larger ones a part of the rows."""

AnyCapture = TypeVar("AnyCapture", bound=Capture)

GAIN_MIN, GAIN_MAX = 1 / 16, 16.0
"""Smallest and largest gain that may be given: no camera needs more, from candle light to open shade; beyond, a number
is a slip."""

BLOCKS = 256
"""Blocks along the longer side that the automatic balance looks at: their means hold no noise."""

USABLE = (0.002, 1.1)
"""Darkest and brightest block judged, in shares of display white of the picture at its usual brightness: neither dead
shadow nor lamp, but a white wall in coloured light."""

BRIGHTEST = 0.035
"""Share of the blocks that the light's colour is taken from: Cheng, Prasad and Brown (2014), section 4."""

FARTHEST = 2.0
"""The automatic balance changes no colour by more than this factor against the camera's."""

FEWEST = 16
"""Blocks below which there is nothing to judge by."""


def parse(text: str) -> Balance:
    """A balance as written on the command line.

    Raises SettingsError for what is neither a name nor three gains.

    >>> parse("2,1,1.5")
    (2.0, 1.0, 1.5)
    >>> parse("auto")
    'auto'
    """
    match text.strip().lower():
        case "camera":
            return "camera"
        case "auto":
            return "auto"
        case "daylight":
            return "daylight"
    parts = text.split(",")
    try:
        gains = [float(part) for part in parts]
    except ValueError:
        gains = []
    if len(gains) != 3:
        raise SettingsError(
            f"white balance {text!r}: needed is camera, auto, daylight, or gains for R, G, B such as 2.1,1,1.6"
        )
    return _checked((gains[0], gains[1], gains[2]))


def given(choice: object) -> Balance:
    """A balance as a caller gives it: by name, or gains as any three numbers in a row, such as an array.

    Raises SettingsError for what is neither, and for gains out of range.
    """
    if isinstance(choice, str):
        match choice:
            case "camera" | "auto" | "daylight":
                return choice
    gains: tuple[float, ...] = ()
    # Text, bytes and a mapping's keys have members, too, which are no gains.
    if isinstance(choice, Iterable) and not isinstance(choice, str | bytes | bytearray | Mapping):
        try:
            gains = tuple(map(float, choice))
        except OverflowError:
            # Such a number can be too long to be written, too.
            raise SettingsError("white balance: a gain is far above what can be reckoned with") from None
        except (TypeError, ValueError):
            gains = ()
    if len(gains) != 3:
        raise SettingsError(
            f'white balance {choice!r}: needed is "camera", "auto", "daylight", or three gains above 0, for R, G, B'
        )
    return _checked(gains)


def for_network(mosaic: Mosaic, noise: NoiseProfile) -> Gains:
    """The white balance to enhance a mosaic in: the camera's, or in coloured light one nearer to neutral.

    A network has learnt detail mostly where all colours show it. Under coloured lamps one colour does, and told the
    camera's balance it takes that for noise (experiments.md, 2026-11-30). The picture gets its own balance afterwards.

    >>> levels = {"black": np.zeros((2, 2)), "white": 1000.0, "saturation": 1000.0, "wb": (2.0, 1.0, 1.5)}
    >>> blue = np.tile([[20.0, 80.0], [80.0, 400.0]], (64, 64)).astype(np.float32)
    >>> mosaic, noise = Mosaic(data=blue, cfa=((0, 1), (1, 2)), **levels), NoiseProfile((1e-3,) * 3, (1e-6,) * 3, "")
    >>> [round(gain, 2) for gain in for_network(mosaic, noise)]
    [4.0, 1.39, 0.75]
    """
    casts = [-math.log(light) for light in _mean_light(mosaic, noise)]
    middle, spread = sum(casts) / 3, max(casts) - min(casts)
    share = max(0.0, 1 - math.log(CAST_LEAST) / spread) if spread else 0.0
    most = math.log(CAST_FARTHEST)
    steps = (math.exp(min(max(share * (cast - middle), -most), most)) for cast in casts)
    red, green, blue = (gain * step for gain, step in zip(mosaic.wb, steps, strict=True))
    return red, green, blue


def undoing(gains: Gains) -> Gains:
    """The gains that make camera RGB of light that was balanced by these."""
    red, green, blue = gains
    return 1 / red, 1 / green, 1 / blue


def _mean_light(mosaic: Mosaic, noise: NoiseProfile) -> list[float]:
    """The mean light of each colour, balanced by the camera, in shares of the sensor's range; all of them as much above
    0 as black may be off, and without cells that are saturated."""
    size = len(mosaic.cfa)
    step = max(1, mosaic.data.size // CAST_VALUES)
    rows, columns = (n // size * size for n in mosaic.data.shape)
    places = [(y, x) for y in range(size) for x in range(size)]
    planes = [mosaic.data[y:rows:size, x:columns:size][::step] for y, x in places]
    # A lamp that the sensor saturates in tells no colour, and its glow is not the picture's light.
    lit = np.any([plane >= mosaic.saturation for plane in planes], axis=0)
    counted = ~lit if lit.any() and not lit.all() else slice(None)
    sums, counts = np.zeros(3), np.zeros(3)
    for (y, x), plane in zip(places, planes, strict=True):
        black, colour = mosaic.black[y, x], mosaic.cfa[y][x]
        sums[colour] += (float(plane[counted].mean(dtype=np.float64)) - black) / (mosaic.white - black)
        counts[colour] += 1
    span = mosaic.white - float(np.mean(mosaic.black))
    least = max(BLACK_OFF_DN / span, BLACK_OFF_SIGMAS * math.sqrt(max(noise.read)))
    light = np.maximum(sums / counts, 0) * np.array(mosaic.wb) + least * max(mosaic.wb)
    return [float(value) for value in light]


def balanced(linear: Linear, choice: Balance) -> Linear:
    """The same light with another white balance; `wb_source` says which.

    Raises SettingsError for gains out of range, and for "daylight" where the camera's colours are unknown.
    """
    choice = given(choice)
    if choice != "auto":
        return rebalanced(linear, choice)
    found = of_the_brightest(linear)
    if found is None:
        words = f"{linear.wb_source} (too little in the picture to judge by)"
        return linear.with_changes(wb_source=words)
    return linear.with_changes(wb=found, wb_source="auto")


def rebalanced(captured: AnyCapture, choice: FixedBalance) -> AnyCapture:
    """`captured`, in any state, with a white balance for which its light is not asked. Raises as `balanced`."""
    match given(choice):
        case "camera":
            return captured
        case "daylight":
            return captured.with_changes(wb=daylight(captured), wb_source="daylight")
        case "auto":
            raise SettingsError('white balance "auto" is judged from enhanced light: use `balanced`')
        case gains:
            return captured.with_changes(wb=gains, wb_source="given")


def daylight(capture: Capture) -> Gains:
    """The gains that make daylight (D65) neutral, by the camera's own matrix."""
    if capture.xyz_to_camera is None:
        raise SettingsError(
            f"{capture.model or 'this camera'}: its colour matrix is not known, so neither is its daylight "
            "white balance: use --wb camera, auto or R,G,B"
        )
    seen = np.asarray(capture.xyz_to_camera) @ D65_XYZ
    if not (seen > 0).all():
        raise SettingsError(
            f"{capture.model or 'this camera'}: its colour matrix gives daylight no colour: use --wb camera, "
            "auto or R,G,B"
        )
    return _within((float(seen[1] / seen[0]), 1.0, float(seen[1] / seen[2])))


def of_the_brightest(linear: Linear) -> Gains | None:
    """The gains that make the brightest surfaces grey; None where the picture holds too little light.

    The main direction of the brightest block means, after Cheng, Prasad and Brown (2014), "Illuminant
    estimation for color constancy": what is brightest, short of lamps, mostly reflects its light
    unchanged. A plain grey world would turn a brown table grey and a white bird blue.
    """
    seen = _block_means(linear.data) * np.array(linear.wb)
    luminance = np.maximum(seen @ np.array(exposure.LUMINANCE), 0) / min(linear.wb)
    # What passes for a lamp is told by the picture, however bright it was asked to be.
    usual = 2.0 ** exposure.stops_of(luminance)
    strongest = seen.max(axis=1)
    low, high = (limit / usual for limit in USABLE)
    usable = seen[(strongest > low) & (strongest < min(high, 0.9 * linear.clip)) & (seen.min(axis=1) > 0)]
    if len(usable) < FEWEST:
        return None
    along = usable @ usable.mean(axis=0)
    count = max(FEWEST, round(BRIGHTEST * len(usable)))
    brightest = usable[np.argsort(along)[-count:]]
    light = np.abs(np.linalg.svd(brightest, full_matrices=False)[2][0])
    if not (light > 0).all():
        return None
    steps = np.clip(light[1] / light, 1 / FARTHEST, FARTHEST)
    gains = np.array(linear.wb) * steps
    return _within((float(gains[0] / gains[1]), 1.0, float(gains[2] / gains[1])))


def _block_means(data: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Means of square blocks, (N, 3)."""
    size = max(1, math.ceil(max(data.shape[:2]) / BLOCKS))
    height, width = (n - n % size for n in data.shape[:2])
    blocks = data[:height, :width].reshape(height // size, size, width // size, size, 3)
    means: npt.NDArray[np.float64] = blocks.mean(axis=(1, 3), dtype=np.float64).reshape(-1, 3)
    return means


def _checked(gains: Gains) -> Gains:
    """Gains scaled so that green is 1; SettingsError for what cannot be gains."""
    if not all(math.isfinite(g) and g > 0 for g in gains):
        raise SettingsError(f"white balance {gains}: three gains above 0 are needed, for R, G, B")
    scaled = (gains[0] / gains[1], 1.0, gains[2] / gains[1])
    if _within(scaled) != scaled:
        raise SettingsError(
            f"white balance {gains}: against green, red and blue must be {GAIN_MIN:g} to {GAIN_MAX:g} times as "
            "strong"
        )
    return scaled


def _within(gains: Gains) -> Gains:
    red, green, blue = (min(max(g, GAIN_MIN), GAIN_MAX) for g in gains)
    return (red, green, blue)
