"""Flats that differ by more than noise give no wrong gain: they are left out by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scotopic.calibration.calibrate import calibrate
from scotopic.calibration.flat import beyond_belief
from scotopic.calibration.profile import CameraProfile
from scotopic.dng.write import write_mosaic
from scotopic.frame import RGGB, X_TRANS
from scotopic.sensor.simulated import expose, sony_a7s2

SHAPE = (288, 384)
CAMERA = replace(sony_a7s2(800), make="Simulated", model="One")
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]]
GRAIN = np.random.default_rng(5).normal(0, 0.05, (SHAPE[0], SHAPE[1] + 20))


def shoot(path: Path, light, seed: int, exposure_s: float, cfa, camera=CAMERA) -> Path:
    scene = np.repeat(np.broadcast_to(light, SHAPE)[..., None], 3, axis=2)
    mosaic = expose(
        scene, camera, 1, np.random.default_rng(seed), wb=(1, 1, 1), cfa=cfa, exposure_s=exposure_s
    )
    write_mosaic(path, mosaic)
    return path


def measured(folder: Path, pairs, cfa=RGGB) -> CameraProfile:
    """The profile of good dark frames and pairs of flats, each (first, second) of light."""
    dark = [shoot(folder / f"D{i}.dng", 0, i, 0.1, cfa) for i in range(4)]
    flat = [
        shoot(folder / f"F{i}{place}.dng", light, 100 + 2 * i + place, 0.01 * (i + 1), cfa)
        for i, pair in enumerate(pairs)
        for place, light in enumerate(pair)
    ]
    return calibrate(dark, flat).profile


def waves(moved: float, level: float = 0.4) -> np.ndarray:
    return level * (1 + 0.3 * np.sin((X + moved) / 5) * np.sin(Y / 7))


def gradient(moved: float, level: float = 0.4) -> np.ndarray:
    return level * (0.5 + (X + moved) / SHAPE[1])


def grain(moved: int, level: float = 0.4) -> np.ndarray:
    return level * (1 + GRAIN[:, moved : moved + SHAPE[1]])


@pytest.mark.parametrize("cfa", [RGGB, X_TRANS], ids=["Bayer", "X-Trans"])
@pytest.mark.parametrize("wall", [waves, gradient, grain])
def test_a_wall_however_uneven_does_no_harm_where_nothing_moves(tmp_path, wall, cfa):
    made = measured(tmp_path, [(wall(0, 0.25), wall(0, 0.25)), (wall(0, 0.5), wall(0, 0.5))], cfa)
    assert made.settings[0].gain_dn_per_e == pytest.approx(CAMERA.gain_dn_per_e, rel=0.03)
    assert not any("left out" in note for note in made.notes)


def test_a_soft_gradient_may_move(tmp_path):
    made = measured(tmp_path, [(gradient(0), gradient(25)), (gradient(0, 0.2), gradient(25, 0.2))])
    assert made.settings[0].gain_dn_per_e == pytest.approx(CAMERA.gain_dn_per_e, rel=0.03)


@pytest.mark.parametrize("wall", [waves, grain])
def test_a_pair_between_which_the_camera_moved_is_left_out_by_name(tmp_path, wall):
    made = measured(tmp_path, [(wall(0), wall(8)), (wall(0, 0.5), wall(0, 0.5))])
    assert made.settings[0].gain_dn_per_e == pytest.approx(CAMERA.gain_dn_per_e, rel=0.03)
    assert [note.split(":")[0] for note in made.notes if "left out" in note] == ["F00.dng and F01.dng"]


@pytest.mark.parametrize(("wall", "level"), [(waves, 0.5), (waves, 0.25), (grain, 0.6), (grain, 0.3)])
def test_where_the_camera_moved_in_all_pairs_there_is_no_gain_rather_than_a_wrong_one(
    tmp_path, wall, level
):
    made = measured(tmp_path, [(wall(0, 0.2), wall(8, 0.2)), (wall(0, level), wall(8, level))])
    assert made.settings[0].gain_dn_per_e is None
    assert any("the gain stays unknown" in note for note in made.notes)
    assert any("tripod" in note or "has moved" in note for note in made.notes)


@pytest.mark.parametrize(
    ("times", "words"), [(0, "no noisier"), (40, "full well"), (10, "read noise"), (1e-4, "full well")]
)
def test_a_gain_that_no_camera_has_is_told_and_not_taken(tmp_path, times, words):
    made = measured(tmp_path, [(0.3, 0.3)])
    setting = made.settings[0]
    file = expose(np.zeros((64, 64, 3)), CAMERA, 1, np.random.default_rng(0))
    assert beyond_belief(setting.gain_dn_per_e, setting, file, 800) == ""
    assert words in beyond_belief(times * setting.gain_dn_per_e, setting, file, 800)


def test_pairs_without_noise_spoil_no_others(tmp_path):
    paths = [shoot(tmp_path / f"D{i}.dng", 0, i, 0.1, RGGB) for i in range(3)]
    paths += [shoot(tmp_path / f"F{i}.dng", 0.3, 10 + i, 0.1, RGGB) for i in range(2)]
    scene = np.repeat((gradient(0) + 0.01 * np.sin(Y))[..., None], 3, axis=2)
    even = expose(scene, CAMERA, 1, np.random.default_rng(0), noisy=False)
    for i in range(2):
        data = even.data.copy()
        data[0, 0] += i
        paths.append(tmp_path / f"S{i}.dng")
        write_mosaic(paths[-1], even.with_changes(data=data, exposure_s=0.2))
    made = calibrate(paths[:3], paths[3:]).profile
    assert made.settings[0].gain_dn_per_e == pytest.approx(CAMERA.gain_dn_per_e, rel=0.03)
    assert any(note.startswith("S0.dng and S1.dng: left out") for note in made.notes)


@pytest.mark.parametrize("iso", [200, 3200])
@pytest.mark.parametrize("light", [0.5, 0.25 + 0.02 * X / SHAPE[1]], ids=["even", "nearly"])
def test_flats_of_one_brightness_tell_the_gain_without_dark_frames_of_their_iso(tmp_path, light, iso):
    other = replace(sony_a7s2(iso), make="Simulated", model="One")
    dark = [shoot(tmp_path / f"D{i}.dng", 0, i, 0.1, RGGB, other) for i in range(2)]
    flat = [shoot(tmp_path / f"F{i}.dng", light, 10 + i, 0.01, RGGB) for i in range(2)]
    made = calibrate(dark, flat).profile
    assert made.settings[0].gain_source == "flats at another ISO"
    assert made.settings[0].gain_dn_per_e == pytest.approx(CAMERA.gain_dn_per_e * iso / 800, rel=0.03)


def test_flats_without_noise_are_told_for_what_they_are_without_dark_frames_of_their_iso(tmp_path):
    file = expose(np.zeros((64, 64, 3)), CAMERA, 1, np.random.default_rng(0))
    assert "does not grow with their light" in beyond_belief(0, None, file, 800)
