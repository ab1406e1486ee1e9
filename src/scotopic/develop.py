"""Linear camera RGB to what a display shows: white balance, matrix, curve, and the right way up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Literal

import numpy as np
from PIL import Image, ImageCms

from scotopic.colour import bt709_curve, camera_to_srgb, shoulder
from scotopic.errors import SettingsError
from scotopic.frame import Capture, Linear, Rendered, Shown
from scotopic.run import usable_cores

Look = Literal["natural", "libraw"]
LOOKS: tuple[Look, ...] = ("natural", "libraw")

LIGHT_MAX = 64.0
"""Light beyond this many times display white shows as white."""

_TABLE_SIZE = 1 << 15
_ROWS = 32
"""Rows developed at a time, colour by colour: the pieces stay in the processor's cache."""


def develop(linear: Linear, *, look: Look = "natural", bits: Literal[8, 16] = 8) -> Rendered:
    """Render for an sRGB display.

    "libraw" gives the colours and the curve of LibRaw's own development; "natural" is the same with
    a soft shoulder, so that lamps do not end in flat white discs.
    Raises SettingsError for a look that there is not.
    """
    if look not in LOOKS:
        raise SettingsError(f"no look called {look}: known are {', '.join(LOOKS)}")
    # LibRaw scales so that the smallest gain is 1: the sensor's white is then white in every colour.
    gains = np.array(linear.wb) / min(linear.wb)
    matrix = camera_to_srgb(linear.xyz_to_camera) if linear.xyz_to_camera is not None else np.eye(3)
    # A saturated pixel counts the same in all colours; balanced it would be violet. What all
    # colours can reach is neutral.
    ceiling = np.float32(linear.clip if look == "natural" else min(1.0, linear.clip))
    # The shoulder ends where the sensor does: what it could not count more of is white.
    brightest = min(LIGHT_MAX, max(1.0, 2 ** (round(4 * np.log2(max(linear.clip, 1.0))) / 4)))
    table = _curve_table(look, bits, brightest)
    height, width, _ = linear.data.shape
    out: Shown = np.empty((height, width, 3), table.dtype)
    to_display = matrix.astype(np.float32)
    scale = np.float32((_TABLE_SIZE - 1) / np.sqrt(LIGHT_MAX))

    def strip(top: int) -> None:
        rows = slice(top, top + _ROWS)
        balanced = [
            np.minimum(linear.data[rows, :, c] * np.float32(gain), ceiling) for c, gain in enumerate(gains)
        ]
        for colour, weights in enumerate(to_display):
            light = weights[0] * balanced[0]
            light += weights[1] * balanced[1]
            light += weights[2] * balanced[2]
            np.clip(light, 0, LIGHT_MAX, out=light)
            np.sqrt(light, out=light)
            light *= scale
            light += np.float32(0.5)
            out[rows, :, colour] = table[light.astype(np.uint16)]

    with ThreadPoolExecutor(usable_cores()) as threads:
        list(threads.map(strip, range(0, height, _ROWS)))
    return upright(out, linear)


def upright(shown: Shown, capture: Capture) -> Rendered:
    """sRGB values (H, W, 3) in the sensor's place, as a picture that stands upright, of square pixels."""
    turned = _turned(_square_pixels(shown, capture.pixel_aspect), capture.orientation)
    whole: Shown = np.ascontiguousarray(turned)  # type: ignore[assignment]
    return Rendered(data=whole, icc=srgb_profile(), exif=capture.exif)


@cache
def _curve_table(look: Look, bits: int, brightest: float) -> Shown:
    """Display values by the square root of light, which spends its entries on the shadows.

    White from `brightest` on.
    """
    light = np.linspace(0, 1, _TABLE_SIZE) ** 2 * LIGHT_MAX
    rolled = light if look == "libraw" else shoulder(light, brightest)
    shown = bt709_curve(np.minimum(rolled, 1))
    top = 2**bits - 1
    table: Shown = np.rint(shown * top).astype(np.uint8 if bits == 8 else np.uint16)
    return table


@cache
def srgb_profile() -> bytes:
    """The ICC profile of sRGB."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _square_pixels(picture: Shown, aspect: float) -> Shown:
    """Stretch the shorter way, as LibRaw does, where pixels are wider or taller than square."""
    if abs(aspect - 1) < 0.005:
        return picture
    height, width, _ = picture.shape
    size = (width, round(height / aspect)) if aspect < 1 else (round(width * aspect), height)
    planes = [
        np.asarray(
            Image.fromarray(picture[..., c].astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
        )
        for c in range(3)
    ]
    stretched: Shown = np.rint(np.stack(planes, axis=-1)).astype(picture.dtype)
    return stretched


def _turned(picture: Shown, orientation: int) -> Shown:
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
