"""Clean scenes with known truth, and the dark photos a camera would have taken of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from scotopic.calibration.profile import CameraProfile
from scotopic.colour import CAMERA_MATRICES, camera_to_srgb, srgb_curve, srgb_to_linear
from scotopic.data.photos import load_srgb
from scotopic.disk.files import check_there, is_of_photos
from scotopic.dng.directory import SIDE_MIN
from scotopic.errors import DatasetError
from scotopic.frame import RGGB, Mosaic
from scotopic.metadata import Exif
from scotopic.sensor.simulated import expose, sony_a7s2

CAMERA = "Sony ILCE-7SM2"

WB = (2.0, 1.0, 1.8)
"""Camera gains of a typical dark scene of the See-in-the-Dark dataset's camera."""

SHRINK = 1.5
"""Photos are shrunk by this in linear light: their JPEG traces and demosaicing average out."""

LARGEST = (512, 640)
"""Scenes are cut to at most this, out of the middle."""

BLOCK = 16
"""Sides of scenes are multiples of so many pixels."""


@dataclass(frozen=True, eq=False)
class Scene:
    """`camera` (H, W, 3): linear, white-balanced camera RGB, 1.0 = display white."""

    name: str
    camera: npt.NDArray[np.float64]

    def shown(self) -> npt.NDArray[np.uint8]:
        """The truth as a display shows it: (H, W, 3), 8-bit sRGB."""
        return render(self.camera)


def find_all(folder: Path | None = None) -> list[Path]:
    """The held-out photos that come with the package, or all photos of a folder, hidden ones apart, by name.

    Raises DatasetError when there are none, or no such folder.
    """
    place = folder if folder is not None else Path(str(files("scotopic.evaluate") / "held_out"))
    check_there(place, folder=True)
    found = sorted(
        p for p in place.glob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png") and is_of_photos(p.name)
    )
    if not found:
        raise DatasetError(f"no photos in {place}: JPEG or PNG files are needed there")
    return found


def load_all(folder: Path | None = None, limit: int | None = None) -> list[Scene]:
    """The photos that `find_all` gives, as scenes; raises what it and `load` raise."""
    return [load(p) for p in find_all(folder)[:limit]]


def load(path: Path) -> Scene:
    """One photo as a scene, shrunk and cut to even sides. Raises DatasetError for what is no picture or too small."""
    light = photo_to_camera(path)
    height, width = (int(n / SHRINK) for n in light.shape[:2])
    high, wide = (min(n, most) // BLOCK * BLOCK for n, most in zip((height, width), LARGEST, strict=True))
    if not high or not wide:
        raise DatasetError(
            f"{path}: is {light.shape[1]}x{light.shape[0]} pixels, and a scene takes {math.ceil(BLOCK * SHRINK)} each "
            "way at least: leave it out or give a larger one"
        )
    planes = [
        np.asarray(
            Image.fromarray(light[..., c].astype(np.float32)).resize((width, height), Image.Resampling.BOX)
        )
        for c in range(3)
    ]
    small = np.stack(planes, axis=-1).astype(np.float64)
    top, left = (height - high) // 2, (width - wide) // 2
    return Scene(path.stem, small[top : top + high, left : left + wide])


def photo_to_camera(path: Path) -> npt.NDArray[np.float64]:
    """An sRGB photo as linear, white-balanced camera RGB (H, W, 3) of the A7S II.

    Raises DatasetError for a file that is no picture.
    """
    shown = load_srgb(path).astype(np.float64) / 255
    to_camera = np.linalg.inv(camera_to_srgb(CAMERA_MATRICES[CAMERA]))
    camera: npt.NDArray[np.float64] = np.maximum(srgb_to_linear(shown) @ to_camera.T, 0)
    return camera


def render(camera: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Linear, white-balanced camera RGB (H, W, 3) of the A7S II to 8-bit sRGB, clipped."""
    light = np.asarray(camera, np.float64) @ camera_to_srgb(CAMERA_MATRICES[CAMERA]).T
    return np.rint(srgb_curve(np.clip(light, 0, 1)) * 255).astype(np.uint8)


def simulated_capture(
    picture: Path, *, iso: float, ratio: float, seed: int, profile: CameraProfile | None = None
) -> Mosaic:
    """The dark photo that a Sony A7S II, or the camera of `profile`, would have taken of a clean one.

    At full size. Raises SettingsError for an ISO that is not calibrated, and where the photo is larger than
    the profile's camera; DatasetError for one too small for a RAW file.
    """
    light = photo_to_camera(picture)
    height, width = (n & ~1 for n in light.shape[:2])
    if min(height, width) < SIDE_MIN:
        raise DatasetError(
            f"{picture}: is {light.shape[1]}x{light.shape[0]} pixels, and a RAW file takes {SIDE_MIN} each way at "
            "least: give a larger one"
        )
    exposure_s = 10 / ratio
    sensor = sony_a7s2(iso) if profile is None else profile.sensor(iso, exposure_s, (height, width))
    mosaic = expose(
        light[:height, :width],
        sensor,
        ratio,
        np.random.default_rng(seed),
        wb=WB,
        cfa=RGGB if profile is None else profile.cfa,
        exposure_s=exposure_s,
    )
    words = f"simulated by scotopic from {picture.name}: no camera took this picture"
    exif = Exif({**mosaic.exif.main, 0x010E: words}, {}, {})
    return mosaic.with_changes(exif=exif)
