"""Scenes, sensors and folders that many tests share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from scotopic.evaluate.scenes import load_all
from scotopic.frame import Mosaic
from scotopic.run import Model
from scotopic.sensor import expose, sony_a7s2

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "examples" / "dark_eagles.dng"
MORE_DATA = Path(os.environ.get("SCOTOPIC_TEST_DATA", ROOT.parent / "shared"))

BAYER_PHASES = (
    ((0, 1), (1, 2)),
    ((2, 1), (1, 0)),
    ((1, 0), (2, 1)),
    ((1, 2), (0, 1)),
)


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
