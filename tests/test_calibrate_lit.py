"""Dark frames that have seen light, or are damaged, are left out by name; the others are used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scotopic.calibration.calibrate import calibrate
from scotopic.dng.write import write_mosaic
from scotopic.errors import DatasetError
from scotopic.frame import Mosaic
from scotopic.read import read_mosaic
from scotopic.sensor.simulated import expose, sony_a7s2

SHAPE = (192, 240)
CAMERA = replace(sony_a7s2(3200), make="Simulated", model="One", row_std_dn=0.8)
SPAN = CAMERA.white_dn - CAMERA.black_dn[0]
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]]
CORNER = np.clip(1 - np.hypot(Y, X) / 60, 0, 1)
"""A leak of light into 4% of the frame."""


def shoot(folder: Path, lights_dn, sensor=CAMERA, seed=0, exposure_s=0.1) -> list[Path]:
    """A dark frame for each light, in DN, be it even or a map."""
    found = []
    for i, light in enumerate(lights_dn):
        scene = np.repeat(np.broadcast_to(np.asarray(light) / SPAN, SHAPE)[..., None], 3, axis=2)
        mosaic = expose(
            scene, sensor, 1, np.random.default_rng([seed, i]), wb=(1, 1, 1), exposure_s=exposure_s
        )
        found.append(folder / f"D{i}.dng")
        write_mosaic(found[-1], mosaic)
    return found


def left_out(notes) -> list[str]:
    return [note.split(":")[0] for note in notes if "left out" in note]


def changed(path: Path, change) -> None:
    mosaic: Mosaic = read_mosaic(path)
    path.unlink()
    write_mosaic(path, mosaic.with_changes(data=change(mosaic.data.copy())))


@pytest.mark.parametrize("peak_dn", [30, 100, 8000])
@pytest.mark.parametrize("count", [3, 10])
def test_a_frame_with_light_in_a_corner_is_left_out_by_name(tmp_path, count, peak_dn):
    made = calibrate(shoot(tmp_path, [0] * (count - 1) + [CORNER * peak_dn])).profile
    assert left_out(made.notes) == [f"D{count - 1}.dng"]
    assert made.settings[0].read_std_dn == pytest.approx(CAMERA.read_std_dn, rel=0.05)
    assert made.settings[0].black_error_dn == pytest.approx((0.0,) * 4, abs=0.3)


def test_light_in_another_corner_of_each_frame_is_no_measure_of_the_dark_ones(tmp_path):
    corners = [CORNER, CORNER[::-1], CORNER[:, ::-1], CORNER[::-1, ::-1]]
    made = calibrate(shoot(tmp_path, [100 * corner for corner in corners] + [0] * 3)).profile
    assert left_out(made.notes) == [f"D{i}.dng" for i in range(4)]
    assert made.settings[0].dark_frames == 3


@pytest.mark.parametrize("lit", [1, 3, 5, 7])
def test_light_only_adds_so_the_darker_frames_are_right_be_they_the_fewer(tmp_path, lit):
    made = calibrate(shoot(tmp_path, [60] * lit + [0] * (10 - lit))).profile
    assert left_out(made.notes) == [f"D{i}.dng" for i in range(lit)]
    assert all("light only adds" in note for note in made.notes if "left out" in note)
    assert made.settings[0].black_error_dn == pytest.approx((0.0,) * 4, abs=0.3)


@pytest.mark.parametrize("light", [60, CORNER * 500])
def test_of_two_frames_one_of_which_is_lit_there_is_no_profile(tmp_path, light):
    with pytest.raises(DatasetError, match=r"D1\.dng: left out.*one dark frame only"):
        calibrate(shoot(tmp_path, [0, light]))


def test_light_in_all_frames_alike_is_told(tmp_path):
    made = calibrate(shoot(tmp_path, [60] * 6)).profile
    assert not left_out(made.notes)
    assert any("black is 60 DN above what the files say" in note for note in made.notes)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: np.concatenate([data[:150], np.zeros_like(data[150:])]),
        lambda data: np.concatenate([data[:190], np.zeros_like(data[190:])]),
        lambda data: np.concatenate([data[:150], data[150:] - 300]),
    ],
    ids=["cut short", "two rows", "darker"],
)
@pytest.mark.parametrize("count", [3, 10])
def test_a_damaged_frame_costs_the_others_nothing(tmp_path, count, damage):
    error = (5.0, -3.0, 2.0, 1.0)
    paths = shoot(tmp_path, [0] * count, replace(CAMERA, black_error_dn=error))
    changed(paths[1], damage)
    made = calibrate(paths).profile
    assert left_out(made.notes) == ["D1.dng"]
    assert any("damaged" in note for note in made.notes)
    assert made.settings[0].black_error_dn == pytest.approx(error, abs=0.3)
    assert made.settings[0].read_std_dn == pytest.approx(CAMERA.read_std_dn, rel=0.05)


def glow(times: float) -> np.ndarray:
    return times * 40 * np.exp(-np.hypot(Y - SHAPE[0], X - SHAPE[1]) / 100)


@pytest.mark.parametrize("count", [2, 3, 10])
@pytest.mark.parametrize(
    "series",
    [
        lambda n: [0] * n,
        lambda n: np.linspace(0, 0.5 * CAMERA.read_std_dn * n, n),
        lambda n: [glow(1 + 0.9 * i / n) for i in range(n)],
    ],
    ids=["alike", "drifting black", "a camera that warms up"],
)
def test_good_frames_are_all_used(tmp_path, series, count):
    for row_std in (0.0, 1.5 * CAMERA.read_std_dn):
        folder = tmp_path / f"{row_std:g}"
        folder.mkdir()
        made = calibrate(shoot(folder, series(count), replace(CAMERA, row_std_dn=row_std))).profile
        assert left_out(made.notes) == []
        assert made.settings[0].dark_frames == count


def test_a_single_frame_with_another_black_is_the_odd_one(tmp_path):
    paths = shoot(tmp_path, [0] * 5)
    changed(paths[2], lambda data: data - 20)
    assert left_out(calibrate(paths).profile.notes) == ["D2.dng"]


def test_read_noise_beyond_belief_is_told(tmp_path):
    """Half of the frames and more are damaged in places of their own: nothing tells which are right."""
    paths = shoot(tmp_path, [0] * 4)
    rows = np.arange(SHAPE[0]) % 16
    for i, path in enumerate(paths):
        changed(path, lambda data, i=i: data + (2000 * (rows // 2 == 2 * i + 1))[:, None].astype(np.uint16))
    notes = calibrate(paths).profile.notes
    assert any("take them again" in note for note in notes)
