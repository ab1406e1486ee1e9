"""Scenes, sensors and folders that many tests share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from scotopic.calibration.profile import CameraProfile, Pattern, Setting
from scotopic.evaluate.scenes import load_all
from scotopic.frame import RGGB, Mosaic
from scotopic.run import Model
from scotopic.sensor.simulated import expose, sony_a7s2

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "examples" / "dark_eagles.dng"
MORE_DATA = Path(os.environ.get("SCOTOPIC_TEST_DATA", ROOT.parent / "shared"))

BAYER_PHASES = (
    ((0, 1), (1, 2)),
    ((2, 1), (1, 0)),
    ((1, 0), (2, 1)),
    ((1, 2), (0, 1)),
)


def camera_profile(
    isos=(3200.0,),
    serial="",
    shape=(192, 240),
    exposure_s=0.1,
    black=1.0,
    uneven=True,
    camera=("Simulated", "One"),
) -> CameraProfile:
    """As `scotopic calibrate` makes them, of plain figures."""
    height, width = shape
    coarse = np.ones((6, 7), np.float32) if uneven else np.zeros((6, 7), np.float32)
    lines = (np.zeros(height, np.float32), np.zeros(width, np.float32))
    pattern = Pattern(coarse, *lines, np.array([[3, 4]], np.uint16))
    settings = tuple(
        Setting(iso, exposure_s, 10, iso / 800, 0.0, (black,) * 4, 0.0, None, iso / 1000, "flats")
        for iso in isos
    )
    patterns = (pattern,) * len(settings)
    return CameraProfile(*camera, serial, RGGB, (512.0,) * 4, 16383.0, height, width, settings, patterns)


@pytest.fixture(scope="session")
def model() -> Model:
    return Model("bayer-fast", device="cpu")


@pytest.fixture(scope="session")
def photo() -> npt.NDArray[np.float64]:
    """A real scene, linear camera RGB (256, 320, 3)."""
    return load_all(limit=3)[2].camera[100:356, 100:420]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def dark(photo: npt.NDArray[np.float64], rng: np.random.Generator) -> Mosaic:
    """The scene 100 times too dark at ISO 3200."""
    return expose(photo, sony_a7s2(3200), 100, rng)


@pytest.fixture(scope="session")
def raws() -> Path:
    """Real RAW files of other people, which do not come with the project."""
    folder = MORE_DATA / "raws"
    if not folder.is_dir():
        pytest.skip(f"real RAW files are not at {folder} (set SCOTOPIC_TEST_DATA)")
    return folder
