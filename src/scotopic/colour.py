"""Matrices and curves: from camera RGB to what a display shows.

All matrices act on column vectors. "Camera RGB" here is white-balanced unless a name says otherwise.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]

XYZ_FROM_SRGB = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
"""Linear sRGB to XYZ (D65), the digits that LibRaw and dcraw use."""

Primaries = Literal["srgb", "p3", "rec2020"]

_CHROMATICITIES: dict[str, tuple[tuple[float, float], ...]] = {
    "srgb": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    "p3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    "rec2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
}
"""x, y of red, green and blue: IEC 61966-2-1, SMPTE EG 432-1, ITU-R BT.2020. All have a D65 white."""

D65_XYZ = np.array([0.3127 / 0.3290, 1.0, (1 - 0.3127 - 0.3290) / 0.3290])
"""The white of x, y = 0.3127, 0.3290."""

CAMERA_MATRICES: dict[str, tuple[tuple[float, float, float], ...]] = {
    "Sony ILCE-7SM2": ((0.5838, -0.1430, -0.0246), (-0.3497, 1.1477, 0.2297), (-0.0748, 0.1885, 0.5778)),
    "Sony ILCE-7RM3": ((0.6640, -0.1847, -0.0503), (-0.5238, 1.3010, 0.2474), (-0.0993, 0.1673, 0.6527)),
    "Nikon D850": ((1.0405, -0.3755, -0.1270), (-0.5461, 1.3787, 0.1793), (-0.1040, 0.2015, 0.6785)),
    "Canon EOS 5D4": ((0.6446, -0.0366, -0.0864), (-0.4436, 1.2204, 0.2513), (-0.0952, 0.2496, 0.6348)),
    "Canon EOS 70D": ((0.7034, -0.0804, -0.1014), (-0.4420, 1.2564, 0.2058), (-0.0851, 0.1994, 0.5758)),
    "Canon EOS 700D": ((0.6602, -0.0841, -0.0939), (-0.4472, 1.2458, 0.2247), (-0.0975, 0.2039, 0.6148)),
    "Fujifilm X-T2": ((1.1434, -0.4948, -0.1210), (-0.3746, 1.2042, 0.1903), (-0.0666, 0.1479, 0.5235)),
    "Nexus 6P": ((1.0234, -0.2969, -0.2266), (-0.5625, 1.6328, -0.0469), (-0.0703, 0.2188, 0.6406)),
    "Sony ILCE-7R": ((0.4913, -0.0541, -0.0202), (-0.6130, 1.3513, 0.2906), (-0.1564, 0.2151, 0.7183)),
    "Olympus E-M10": ((0.8380, -0.2630, -0.0639), (-0.2887, 1.0725, 0.2496), (-0.0627, 0.1427, 0.5438)),
    "Sony DSC-RX100M4": ((0.6596, -0.2079, -0.0562), (-0.4782, 1.3016, 0.1933), (-0.0970, 0.1581, 0.5181)),
}  # fmt: skip
"""XYZ (D65) to camera RGB before white balance: the DNG ColorMatrix values that LibRaw carries."""


def camera_to_srgb(xyz_to_camera: npt.ArrayLike) -> FloatArray:
    """The matrix from white-balanced camera RGB to linear sRGB, (3, 3).

    As LibRaw does it: camera from sRGB, each row scaled to sum 1 so that white stays white, inverted.
    `xyz_to_camera` is (3, 3), the matrix of the file; a singular one raises `numpy.linalg.LinAlgError`.

    >>> m = camera_to_srgb(CAMERA_MATRICES["Sony ILCE-7SM2"])
    >>> bool(np.allclose(m @ [1, 1, 1], 1))
    True
    """
    to_camera = np.asarray(xyz_to_camera, dtype=np.float64) @ XYZ_FROM_SRGB
    to_camera /= to_camera.sum(axis=1, keepdims=True)
    return np.linalg.inv(to_camera)


def xyz_from_rgb(primaries: Primaries) -> FloatArray:
    """The matrix from linear RGB with these primaries to XYZ (D65), (3, 3).

    >>> bool(np.allclose(xyz_from_rgb("srgb"), XYZ_FROM_SRGB, atol=0.0005))
    True
    """
    corners = np.array([[x / y, 1, (1 - x - y) / y] for x, y in _CHROMATICITIES[primaries]]).T
    matrix: FloatArray = corners * np.linalg.solve(corners, D65_XYZ)
    return matrix


def srgb_to(primaries: Primaries) -> FloatArray:
    """The matrix from linear sRGB to linear RGB with these primaries, (3, 3); white stays white.

    >>> bool(np.allclose(srgb_to("p3") @ [1, 1, 1], 1))
    True
    """
    matrix: FloatArray = np.linalg.solve(xyz_from_rgb(primaries), xyz_from_rgb("srgb"))
    return matrix


def bt709_curve(light: FloatArray) -> FloatArray:
    """The curve of ITU-R BT.709 as LibRaw applies it (power 2.222, toe slope 4.5), for light in 0..1.

    dcraw solves for the join of toe and power so that slopes agree too.
    """
    return _power_with_toe(light, power=2.222, slope=4.5)


def srgb_curve(light: FloatArray) -> FloatArray:
    """IEC 61966-2-1: linear light in 0..1 to display values in 0..1.

    >>> float(np.round(srgb_curve(np.array(0.5)), 4))
    0.7354
    """
    toe = 12.92 * light
    return np.where(light <= 0.0031308, toe, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)


def srgb_to_linear(shown: FloatArray) -> FloatArray:
    """The inverse of `srgb_curve`.

    >>> float(np.round(srgb_to_linear(np.array(0.7354)), 3))
    0.5
    """
    return np.where(shown <= 0.04045, shown / 12.92, ((np.maximum(shown, 0) + 0.055) / 1.055) ** 2.4)


SHOULDER_STARTS = 0.75
"""Light up to here is shown as it is."""


def shoulder(light: FloatArray, brightest: float) -> FloatArray:
    """Roll light off above SHOULDER_STARTS so that `brightest` becomes just 1, with no kink.

    Logarithmic: each doubling of light gets about the same step, as lamps are judged by eye.
    """
    room = 1 - SHOULDER_STARTS
    # bend solves log1p(bend * u_max) / bend = 1 with slope 1 at the start.
    u_max = (brightest - SHOULDER_STARTS) / room
    low, high = 1e-6, 1e3
    for _ in range(80):
        bend = (low + high) / 2
        low, high = (bend, high) if np.log1p(bend * u_max) / bend > 1 else (low, bend)
    u = np.maximum(light - SHOULDER_STARTS, 0) / room
    return np.where(light <= SHOULDER_STARTS, light, SHOULDER_STARTS + room * np.log1p(bend * u) / bend)


GAMUT_EDGE = 0.05
"""Colours weaker than this times the strongest make room for those outside of the display's gamut: experiments.md."""

HUE_HELD = 0.3
"""Share of the way into the gamut that moves all colours with the weakest; the rest moves each by itself."""

GAMUT_LEFT = -0.001
"""A matrix to the display's colours with a number below this takes some light of the camera out of its gamut; what lies
nearer to 0 is rounding."""


def leaves_gamut(to_shown: FloatArray) -> bool:
    """Whether a camera can see colours that a display does not show, by the matrix between them, (3, 3).

    >>> [leaves_gamut(m) for m in (np.eye(3), camera_to_srgb(CAMERA_MATRICES["Sony ILCE-7SM2"]))]
    [False, True]
    """
    return float(to_shown.min()) < GAMUT_LEFT


WHITENS = 2.0
"""Power of the way, in doublings of light, from the shoulder's start to white: experiments.md."""

LAMPS_FROM = 8.0
"""Times display white from which strong colour is a lamp's: a red rose, little amplified, ends below and stays red."""


def towards_white(strongest: FloatArray, brightest: float) -> FloatArray:
    """How much white, 0..1, is mixed into light whose strongest colour is `strongest`.

    None below SHOULDER_STARTS, all at `brightest` or LAMPS_FROM, what is more, rising with each doubling: a
    lamp's glow has its colour, its core is white, as eye and film have it.
    """
    doublings = np.log(np.maximum(strongest, SHOULDER_STARTS) / SHOULDER_STARTS)
    all_white = np.log(max(brightest, LAMPS_FROM) / SHOULDER_STARTS)
    share: FloatArray = np.minimum(doublings / all_white, 1) ** WHITENS
    return share


def _power_with_toe(light: FloatArray, power: float, slope: float) -> FloatArray:
    """dcraw's gamma_curve: light^(1/power) with a straight toe of the given slope, joined smoothly."""
    p = 1 / power
    low, high = 0.0, 1.0
    for _ in range(60):
        join = (low + high) / 2
        if ((join / slope) ** -p - 1) / p - 1 / join > -1:
            high = join
        else:
            low = join
    offset = join * (power - 1)
    straight = slope * light
    return np.where(light < join / slope, straight, (1 + offset) * np.maximum(light, 1e-12) ** p - offset)
