"""Simulated cameras are measured anew from their own dark and flat frames."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from scotopic.calibration import profile as profiles
from scotopic.calibration.apply import Profiles, calibrated, candidates, corrected
from scotopic.calibration.calibrate import calibrate
from scotopic.calibration.report_page import page
from scotopic.cli import app
from scotopic.dng.write import write_mosaic
from scotopic.enhance import enhance
from scotopic.enhance import plan as plan_for
from scotopic.errors import DatasetError, FileExistsRefusal, SettingsError
from scotopic.evaluate.metrics import psnr
from scotopic.evaluate.scenes import render, simulated_capture
from scotopic.frame import RGGB, X_TRANS, Linear
from scotopic.sensor.simulated import Sensor, expose, sony_a7s2

SHAPE = (192, 240)


def shading(shape=SHAPE, strength=6.0) -> np.ndarray:
    """Glow from a corner, banded rows and columns; 0 in the mean."""
    height, width = shape
    y, x = np.mgrid[:height, :width]
    glow = np.exp(-np.hypot(y - height, x - width) / (0.4 * width))
    fixed = np.random.default_rng(1)
    pattern = glow * 4 + fixed.normal(0, 0.4, (height, 1)) + fixed.normal(0, 0.4, (1, width))
    return (strength * (pattern - pattern.mean())).astype(np.float32)


def camera(iso=3200.0, cfa=RGGB, **changes) -> Sensor:
    error = (1.5, -0.8, -0.4, 2.5) if cfa == RGGB else tuple(np.linspace(-2, 2, 36))
    sensor = replace(sony_a7s2(iso), make="Simulated", model="One", black_error_dn=error)
    return replace(sensor, shading_dn=shading(), **changes)


def shoot(folder: Path, sensor: Sensor, light, count: int, seed=0, cfa=RGGB, exposure_s=0.1) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    scene = np.broadcast_to(np.asarray(light)[..., None], (*SHAPE, 3))
    found = []
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        mosaic = expose(scene, sensor, 1, rng, wb=(1, 1, 1), cfa=cfa, exposure_s=exposure_s)
        found.append(folder / f"{sensor.model}_{sensor.iso:g}_{exposure_s:g}_{seed}_{i}.dng")
        write_mosaic(found[-1], mosaic)
    return found


def vignetted(level: float) -> np.ndarray:
    y, x = (np.linspace(-1, 1, n) for n in SHAPE)
    return level * (1 - 0.3 * (y[:, None] ** 2 + x[None, :] ** 2) / 2)


@pytest.fixture(scope="module")
def frames(tmp_path_factory) -> tuple[list[Path], list[Path]]:
    folder = tmp_path_factory.mktemp("frames")
    sensor = camera(row_std_dn=2.0)
    dark = shoot(folder / "dark", sensor, np.zeros(SHAPE), 10)
    flat = [
        path
        for seed, (level, exposure_s) in enumerate([(0.2, 0.01), (0.6, 0.03)], start=5)
        for path in shoot(folder / "flat", sensor, vignetted(level), 2, seed, exposure_s=exposure_s)
    ]
    return dark, flat


@pytest.fixture(scope="module")
def made(frames) -> profiles.CameraProfile:
    return calibrate(*frames).profile


def test_gain_and_noise_are_found_within_five_percent(made):
    true = camera(row_std_dn=2.0)
    setting = made.settings[0]
    assert setting.gain_dn_per_e == pytest.approx(true.gain_dn_per_e, rel=0.05)
    assert setting.gain_source == "flats"
    assert setting.read_std_dn == pytest.approx(true.read_std_dn, rel=0.05)
    assert setting.row_std_dn == pytest.approx(2.0, rel=0.05)
    assert setting.tukey_lambda is None


def test_frames_of_another_phase_are_refused_by_their_colour_pattern(tmp_path):
    dark = shoot(tmp_path / "a", camera(), np.zeros(SHAPE), 2)
    dark += shoot(tmp_path / "b", camera(), np.zeros(SHAPE), 2, seed=1, cfa=((1, 2), (0, 1)))
    with pytest.raises(DatasetError, match=r"2 of Simulated One, 240x192, RGGB .*2 of .*, GBRG \(such as"):
        calibrate(dark)


def test_frames_noisier_than_others_of_their_iso_are_told(tmp_path):
    quiet, loud = (replace(camera(), read_std_dn=std, shading_dn=None) for std in (3.0, 9.0))
    dark = shoot(tmp_path / "a", quiet, np.zeros(SHAPE), 4)
    assert not any("noise is from" in note for note in calibrate(dark).profile.notes)
    dark += shoot(tmp_path / "b", loud, np.zeros(SHAPE), 2, seed=1)
    (note,) = (note for note in calibrate(dark).profile.notes if "noise is from" in note)
    assert dark[-1].name in note or dark[-2].name in note
    assert "another ISO" in note


def serial_tag(path: Path, serial: str) -> Path:
    """The frame with its body's serial number where DNGs have it, in the main directory."""
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        # What says which program wrote the file is of no use here.
        tag = tiff.pages[0].tags["Software"]
        tag.overwrite(serial)
    content = bytearray(path.read_bytes())
    struct.pack_into("<H", content, tag.offset, 50735)
    path.write_bytes(content)
    return path


def test_two_bodies_are_told_by_the_serial_number_of_dngs(tmp_path):
    dark = shoot(tmp_path / "one", camera(), np.zeros(SHAPE), 2)
    dark += shoot(tmp_path / "two", camera(), np.zeros(SHAPE), 2, seed=3)
    for i, path in enumerate(dark):
        serial_tag(path, f"SN {i // 2}")
    with pytest.raises(DatasetError, match=r"2 cameras.*Simulated One SN 0.*SN 1"):
        calibrate(dark)
    assert calibrate(dark[:2]).profile.serial == "SN 0"


def true_black(sensor: Sensor, size: int) -> np.ndarray:
    """Black error and the mean of the shading at each place: only their sum can be seen."""
    error = np.array(sensor.black_error_dn).reshape(size, size)
    means = [[shading()[dy::size, dx::size].mean() for dx in range(size)] for dy in range(size)]
    return (error + np.array(means)).ravel()


def test_the_true_black_is_found_for_each_place(made):
    assert made.settings[0].black_error_dn == pytest.approx(true_black(camera(), 2), abs=0.15)


def test_the_fixed_pattern_is_found(made):
    left = made.patterns[0].shading() - shading()
    assert left.std() < 0.2 * shading().std()


@pytest.mark.parametrize("shape", [-0.2, -0.05, 0.05])
def test_the_shape_of_the_read_noise_is_told(tmp_path, shape):
    dark = shoot(tmp_path, camera(tukey_lambda=shape), np.zeros(SHAPE), 10)
    assert calibrate(dark).profile.settings[0].tukey_lambda == pytest.approx(shape, abs=0.06)


def test_x_trans_is_measured_place_by_place(tmp_path):
    sensor = camera(cfa=X_TRANS)
    dark = shoot(tmp_path / "d", sensor, np.zeros(SHAPE), 10, cfa=X_TRANS)
    flat = shoot(tmp_path / "f", sensor, vignetted(0.5), 4, cfa=X_TRANS)
    made = calibrate(dark, flat).profile
    setting = made.settings[0]
    assert setting.gain_dn_per_e == pytest.approx(sensor.gain_dn_per_e, rel=0.05)
    assert setting.read_std_dn == pytest.approx(sensor.read_std_dn, rel=0.05)
    assert setting.black_error_dn == pytest.approx(true_black(sensor, 6), abs=0.3)
    assert (made.patterns[0].shading() - shading()).std() < 0.2 * shading().std()
    mosaic = expose(np.zeros((*SHAPE, 3)), sensor, 1, np.random.default_rng(9), wb=(1, 1, 1), cfa=X_TRANS)
    before, after = (m.data.astype(np.float64) - 512 for m in (mosaic, corrected(made, mosaic)))
    places = [v.reshape(32, 6, 40, 6).mean(axis=(0, 2)) for v in (before, after)]
    assert np.abs(places[1]).max() < 0.5 < np.abs(places[0]).max()


def test_a_pattern_that_does_not_repeat_is_not_kept(tmp_path):
    sensor = replace(camera(row_std_dn=3.0), shading_dn=None)
    pattern = calibrate(shoot(tmp_path, sensor, np.zeros(SHAPE), 10)).profile.patterns[0]
    assert pattern.shading().std() < 0.3
    assert len(pattern.hot) == 0


def test_strong_glow_is_kept_whole_and_told(tmp_path):
    glow = shading(strength=60.0)
    dark = shoot(tmp_path, replace(camera(), shading_dn=glow), np.zeros(SHAPE), 4)
    made = calibrate(dark).profile
    assert (made.patterns[0].shading() - glow).std() < 0.1 * glow.std()
    assert made.settings[0].read_std_dn == pytest.approx(camera().read_std_dn, rel=0.05)
    assert any("glow" in note for note in made.notes)


def test_hot_pixels_are_found_and_mended(tmp_path):
    sensor = camera()
    hot = [(10, 11), (10, 13), (100, 50), (191, 239), (0, 0)]
    spots = shading().copy()
    for y, x in hot:
        spots[y, x] = 900.0
    sensor = replace(sensor, shading_dn=spots)
    made = calibrate(shoot(tmp_path, sensor, np.zeros(SHAPE), 6)).profile
    assert sorted(map(tuple, made.patterns[0].hot.tolist())) == sorted(hot)
    scene = np.full((*SHAPE, 3), 0.2)
    mosaic = expose(scene, sensor, 1, np.random.default_rng(3), wb=(1, 1, 1))
    data = corrected(made, mosaic).data
    for y, x in hot:
        assert data[y, x] == pytest.approx(512 + 0.2 * 15871, abs=400)


def test_correcting_takes_out_black_error_and_shading(made):
    mosaic = expose(np.zeros((*SHAPE, 3)), camera(), 1, np.random.default_rng(9), wb=(1, 1, 1))
    before, after = (m.data.astype(np.float64) - 512 for m in (mosaic, corrected(made, mosaic)))
    coarse = [v.reshape(12, 16, 15, 16).mean(axis=(1, 3)) for v in (before, after)]
    assert coarse[1].std() < 0.2 * coarse[0].std()
    assert abs(after.mean()) < 0.15


def test_saturated_pixels_stay_saturated(made):
    mosaic = expose(np.full((*SHAPE, 3), 3.0), camera(), 1, np.random.default_rng(9), wb=(1, 1, 1))
    assert np.all(corrected(made, mosaic).data == mosaic.white)


def test_a_file_of_another_size_gets_the_black_alone(made):
    mosaic = expose(np.zeros((64, 64, 3)), replace(camera(), shading_dn=None), 1, np.random.default_rng(2))
    assert corrected(made, mosaic).data.mean() == pytest.approx(512, abs=0.5)


def test_a_saved_profile_is_read_back_the_same(made, tmp_path):
    path = tmp_path / "mine.json"
    made.save(path)
    again = profiles.load(path)
    assert again.settings == made.settings
    assert again.cfa == made.cfa
    assert again.notes == made.notes
    assert np.abs(again.patterns[0].shading() - made.patterns[0].shading()).max() < 0.05
    with pytest.raises(FileExistsRefusal):
        made.save(path)


def test_what_is_no_profile_is_refused_by_name(made, tmp_path):
    path = tmp_path / "mine.json"
    good = made.to_json()
    middle = len(good) - 600
    texts = ["", "{}", "[1]", "\0", good[: len(good) // 2], good.replace('"iso": 3200.0', '"iso": -1')]
    texts += [good[:middle] + "A" * n + good[middle + n :] for n in (4, 40, 400)]
    for text in texts:
        path.write_text(text)
        with pytest.raises(SettingsError, match=r"mine\.json"):
            profiles.load(path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"white_dn": 16383.0', '"white_dn": 0', "white level"),
        ('"white_dn": 16383.0', '"white_dn": NaN', "white level"),
        ('"make": "Simulated"', '"make": null', "name"),
        ('"exposure_s": 0.1', '"exposure_s": "long"', "real number"),
        ('"iso": 3200.0', '"iso": 1e999', "make no sense"),
        ('"gain_dn_per_e": ', '"gain_dn_per_e": -', "make no sense"),
        ('"read_std_dn": ', '"read_std_dn": 99999', "make no sense"),
        ("camera profile 2", "camera profile 99", "another version"),
    ],
)
def test_a_profile_with_figures_beyond_belief_is_refused_on_reading(made, tmp_path, old, new, words):
    path = tmp_path / "mine.json"
    good = made.to_json()
    assert old in good
    path.write_text(good.replace(old, new))
    with pytest.raises(SettingsError, match=words):
        profiles.load(path)


def test_a_profile_nested_without_end_is_refused(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text("[" * 100_000)
    with pytest.raises(SettingsError, match=r"mine\.json"):
        profiles.load(path)


def of(isos: dict[float, float]) -> profiles.CameraProfile:
    """A profile with a read noise at each ISO."""
    none = profiles.Pattern(
        *(np.zeros(s, np.float32) for s in ((2, 2), 64, 64)), np.zeros((0, 2), np.uint16)
    )
    settings = tuple(
        profiles.Setting(iso, 0.1, 10, read, 0.0, (iso / 1000,) * 4, 0.0, None, iso / 1000, "flats")
        for iso, read in isos.items()
    )
    return profiles.CameraProfile(
        "Simulated", "One", "", RGGB, (512.0,) * 4, 16383.0, 64, 64, settings, (none,) * len(isos)
    )


def test_iso_is_interpolated_within_a_gain_and_never_across_a_switch():
    known = of({100: 1.0, 1600: 6.0, 2000: 2.6, 6400: 7.0})
    between, _ = known.at(400)
    assert between.read_std_dn == pytest.approx(6.0**0.5)
    assert between.gain_dn_per_e == pytest.approx(0.4)
    assert between.black_error_dn[0] == pytest.approx(0.4)
    assert known.at(1600)[0].read_std_dn == 6.0
    assert known.at(2000)[0].read_std_dn == 2.6
    with pytest.raises(SettingsError, match="switches its gain"):
        known.at(1800)
    for outside in (50, 12800, None):
        with pytest.raises(SettingsError, match="ISO"):
            known.at(outside)


def test_a_file_of_other_bits_is_not_corrected(made):
    sensor = replace(camera(), white_dn=4095.0, black_dn=(128.0,) * 4)
    mosaic = expose(np.zeros((*SHAPE, 3)), sensor, 1, np.random.default_rng(2))
    found = calibrated(Profiles((made,)), mosaic)
    assert found.profile is None
    assert "other bits" in found.note


def of_two_exposures() -> profiles.CameraProfile:
    """0.1 s, and 30 s with read noise of 5 and four times the black error."""
    known = of({400: 2.0})
    short = known.settings[0]
    error = tuple(4 * value for value in short.black_error_dn)
    long = replace(short, exposure_s=30.1, read_std_dn=5.0, black_error_dn=error)
    return replace(known, settings=(long, short), patterns=known.patterns * 2)


def test_between_two_exposures_offsets_and_variances_grow_with_time():
    known = of_two_exposures()
    short, long = known.at(400, 0.1)[0], known.at(400, 30.1)[0]
    between = known.at(400, 10.1)[0]
    assert (short.read_std_dn, long.read_std_dn) == (2.0, 5.0)
    assert between.read_std_dn**2 == pytest.approx(4 + (25 - 4) / 3)
    assert between.black_error_dn[0] == pytest.approx(2 * short.black_error_dn[0])


def test_between_two_exposures_hot_pixels_are_those_of_the_nearer():
    known = of_two_exposures()
    long, short = known.patterns
    many = replace(long, hot=np.array([[1, 2], [3, 4]], np.uint16))
    known = replace(known, patterns=(many, replace(short, hot=np.zeros((0, 2), np.uint16))))
    assert [len(known.at(400, time)[1].hot) for time in (0.1, 0.11, 1.5, 2.0, 30.1)] == [0, 0, 0, 2, 2]


def test_between_two_iso_hot_pixels_are_those_of_both():
    known = of({400: 2.0, 1600: 4.0})
    hot = [np.array(places, np.uint16) for places in ([[5, 6], [1, 2]], [[1, 2], [300, 7]])]
    patterns = [replace(pattern, hot=places) for pattern, places in zip(known.patterns, hot, strict=True)]
    known = replace(known, patterns=tuple(patterns))
    assert known.at(800)[1].hot.tolist() == [[1, 2], [5, 6], [300, 7]]


@pytest.mark.parametrize("drift", [-0.2, 0.2])
def test_a_black_that_has_drifted_a_little_costs_no_profile(tmp_path, drift):
    glow = np.abs(shading(strength=20.0))
    made = calibrate(shoot(tmp_path, replace(camera(), shading_dn=glow), np.zeros(SHAPE), 10)).profile
    error = tuple(value + drift * camera().read_std_dn for value in camera().black_error_dn)
    now = replace(camera(), shading_dn=glow, black_error_dn=error)
    mosaic = expose(np.zeros((*SHAPE, 3)), now, 300, np.random.default_rng(8))
    assert calibrated(Profiles((made,)), mosaic).profile is made


def test_beyond_the_calibrated_exposures_the_nearest_is_taken():
    known = of_two_exposures()
    assert known.at(400, 0.001)[0].read_std_dn == 2.0
    assert known.at(400, 600)[0].read_std_dn == 5.0


NIGHT = (
    np.random.default_rng(4).random((SHAPE[0] // 16, SHAPE[1] // 16, 3)).repeat(16, 0).repeat(16, 1) * 0.2
)


def night(sensor: Sensor, exposure_s=0.1):
    """A dark picture, x300."""
    return expose(NIGHT, sensor, 300, np.random.default_rng(8), exposure_s=exposure_s)


@pytest.mark.parametrize("strength", [0.0, 2.0, 20.0])
def test_a_right_profile_is_used_however_dark_the_picture(tmp_path, strength):
    sensor = replace(camera(), shading_dn=shading(strength=strength))
    made = calibrate(shoot(tmp_path, sensor, np.zeros(SHAPE), 4)).profile
    for scene in (NIGHT, np.zeros((*SHAPE, 3))):
        mosaic = expose(scene, sensor, 300, np.random.default_rng(8))
        found = calibrated(Profiles((made,)), mosaic)
        assert (found.profile, found.note) == (made, "")


@pytest.mark.parametrize("lit", [False, True])
def test_a_profile_that_takes_away_what_is_not_there_is_not_used(tmp_path, lit):
    """Dark frames that have seen light, or that are of 30 seconds where the picture is of a 30th."""
    sensor = replace(camera(), shading_dn=None)
    long = sensor if lit else replace(sensor, shading_dn=np.abs(shading(strength=40.0)))
    leak = np.broadcast_to(np.linspace(0, 0.004 if lit else 0, SHAPE[1]), SHAPE)
    made = calibrate(shoot(tmp_path, long, leak, 10, exposure_s=30)).profile
    mosaic = night(sensor, exposure_s=1 / 30)
    found = calibrated(Profiles((made,)), mosaic)
    assert found.profile is None
    assert found.mosaic is mosaic
    assert "darker than black" in found.note
    assert "One is not used" in plan_for(mosaic, profiles=Profiles((made,))).noise.warning


def test_a_plan_takes_a_profile_by_itself(made, tmp_path):
    made.save(tmp_path / "mine.json")
    mine, mosaic = profiles.load(tmp_path / "mine.json"), night(camera())
    alone, named = (plan_for(mosaic, ratio=8, profiles=p) for p in (mine, Profiles((mine,), asked=True)))
    assert alone.profile is mine
    assert alone == named
    other = plan_for(mosaic.with_changes(model="Another"), ratio=8, profiles=mine)
    assert "is of another camera" in other.noise.warning


def test_a_plan_takes_several_profiles_and_refuses_in_words_what_is_none(made):
    mosaic = night(camera())
    stranger = replace(made, model="Another")
    for several in ([made], (stranger, made), iter([stranger, made])):
        assert plan_for(mosaic, ratio=8, profiles=several).profile is made
    assert plan_for(mosaic, ratio=8, profiles=[]).profile is None
    for none in ("mine.json", [Path("mine.json")], 3, [None]):
        with pytest.raises(
            SettingsError, match=r"is no camera profile: give what calibration\.profile\.load"
        ):
            plan_for(mosaic, ratio=8, profiles=none)


def test_info_names_the_profile_that_is_used(made, tmp_path):
    made.save(tmp_path / "mine.json")
    write_mosaic(tmp_path / "night.dng", night(camera()))
    told = CliRunner().invoke(
        app, ["info", str(tmp_path / "night.dng"), "--profile", str(tmp_path / "mine.json")]
    )
    assert "profile   yours of this Simulated One" in told.output
    bare = CliRunner().invoke(app, ["info", "--json", str(tmp_path / "night.dng")])
    assert json.loads(bare.output)["profile"] is None


def test_exposures_far_from_the_calibrated_are_told(tmp_path):
    sensor = replace(camera(), shading_dn=None)
    made = calibrate(shoot(tmp_path, sensor, np.zeros(SHAPE), 4, exposure_s=30)).profile
    found = calibrated(Profiles((made,)), night(sensor, exposure_s=2))
    assert found.profile is made
    assert "knows 30 s at the nearest, this picture was taken with 2 s" in found.note
    assert calibrated(Profiles((made,)), night(sensor, exposure_s=15)).note == ""
    quick = calibrate(shoot(tmp_path / "q", sensor, np.zeros(SHAPE), 4, exposure_s=0.1)).profile
    assert calibrated(Profiles((quick,)), night(sensor, exposure_s=0.001)).note == ""


@pytest.mark.parametrize(
    ("known_s", "taken_s", "current", "words"),
    [
        (30, 15, 5, "so up to 2 DN of dark current too much are taken out"),
        (0.4, 0.1, 5, "so up to 3 DN of dark current too much are taken out"),
        (10, 30, 5, "so up to 8 DN of dark current stay"),
        (0.4, 0.3, 5, ""),
        # Half a DN is black that is rounded, and what short frames show may be there at any exposure.
        (0.4, 0.1, 0.5, ""),
        (0.004, 0.9, 0.5, ""),
        (0.004, 0.9, 5, ""),
    ],
)
def test_dark_current_of_another_exposure_is_told_where_it_counts(
    tmp_path, known_s, taken_s, current, words
):
    sensor = replace(camera(), shading_dn=None, black_error_dn=(current,) * 4, read_std_dn=6.0)
    made = calibrate(shoot(tmp_path, sensor, np.zeros(SHAPE), 4, exposure_s=known_s)).profile
    scene = np.full((*SHAPE, 3), 0.001)
    dim, bright = (
        expose(scene * times, sensor, 1, np.random.default_rng(3), wb=(1, 1, 1), exposure_s=taken_s)
        for times in (1, 200)
    )
    found = calibrated(Profiles((made,)), dim)
    assert found.profile is made
    assert (words in found.note) if words else (found.note == "")
    assert calibrated(Profiles((made,)), bright).note == ""


def test_between_two_isos_of_unlike_exposures_that_of_the_nearer_counts():
    short = of_two_exposures().settings[0]
    low, high = (replace(short, iso=iso, exposure_s=time) for iso, time in ((800, 0.1), (3200, 30)))
    pattern = of_two_exposures().patterns[0]
    made = replace(of_two_exposures(), settings=(low, high), patterns=(pattern, pattern))
    assert [made.at(iso, 1.0)[0].exposure_s for iso in (1000, 3000)] == [0.1, 30]


def test_a_camera_that_cuts_off_below_black_keeps_its_counts(tmp_path):
    """Neither black nor shading can be told of it; read noise and hot pixels can."""
    spots = np.zeros(SHAPE, np.float32)
    spots[50, 60] = spots[100, 31] = 800
    sensor = replace(
        camera(row_std_dn=0.0), black_dn=(0.0,) * 4, black_error_dn=(0.0,) * 4, shading_dn=spots
    )
    made = calibrate(shoot(tmp_path, sensor, np.zeros(SHAPE), 10)).profile
    setting = made.settings[0]
    assert setting.read_std_dn == pytest.approx(sensor.read_std_dn, rel=0.05)
    assert setting.black_error_dn == (0.0,) * 4
    assert sorted(map(tuple, made.patterns[0].hot.tolist())) == [(50, 60), (100, 31)]
    assert any("cuts off what lies below black" in note for note in made.notes)
    mosaic = night(sensor)
    found = corrected(made, mosaic)
    changed = np.argwhere(found.data != mosaic.data)
    assert found.data.dtype == mosaic.data.dtype
    assert {tuple(place) for place in changed.tolist()} <= {(50, 60), (100, 31)}


def test_many_hot_pixels_are_listed(tmp_path):
    spots = np.zeros(SHAPE, np.float32)
    hot = np.random.default_rng(5).random(SHAPE) < 0.015
    spots[hot] = 300
    sensor = replace(camera(), shading_dn=spots)
    made = calibrate(shoot(tmp_path, sensor, np.zeros(SHAPE), 6)).profile
    assert len(made.patterns[0].hot) > 0.97 * hot.sum()


def test_a_profile_serves_its_own_camera_only(made, dark):
    own = expose(np.zeros((64, 64, 3)), replace(camera(), shading_dn=None), 1, np.random.default_rng(2))
    assert candidates((made,), own) == [made]
    assert candidates((made,), dark) == []


def test_frames_that_cannot_be_used_are_named(frames, tmp_path):
    dark, flat = frames
    bright = shoot(tmp_path / "b", camera(), np.full(SHAPE, 0.3), 1)
    single = shoot(tmp_path / "s", camera(iso=800), np.zeros(SHAPE), 1)
    clipped = shoot(tmp_path / "c", camera(), np.full(SHAPE, 3.0), 2)
    text = tmp_path / "notes.dng"
    text.write_text("no picture")
    notes = "\n".join(calibrate([*dark[:3], *bright, *single, text], [*clipped, *flat[:1]]).profile.notes)
    for words in (
        "not dark",
        "one dark frame only",
        "notes.dng",
        "overexposed",
        "one flat only",
        "10 or more",
    ):
        assert words in notes


def test_a_copy_of_a_frame_is_counted_once(frames, tmp_path):
    """Two alike have no noise between them: read noise would come out too low, the gain below 0."""
    dark, flat = frames
    copies = [Path(shutil.copy(p, tmp_path / f"zz copy of {p.name}")) for p in (dark[0], flat[0])]
    once = calibrate(dark[:4], flat).profile
    twice = calibrate([*dark[:4], dark[0], copies[0]], [*flat, copies[1]]).profile
    assert twice.settings == once.settings
    assert sum("a copy of" in note for note in twice.notes) == 3
    assert any(
        "the gain stays unknown" in n for n in calibrate(dark[:4], [flat[0], copies[1]]).profile.notes
    )


def test_a_camera_that_cuts_off_below_black_is_told_of(tmp_path):
    cutting = replace(camera(), black_dn=(0.0,) * 4, black_error_dn=(0.0,) * 4, shading_dn=None)
    notes = calibrate(shoot(tmp_path, cutting, np.zeros(SHAPE), 3)).profile.notes
    assert any("cuts off what lies below black" in note for note in notes)


def test_flats_without_noise_give_no_gain(frames, tmp_path):
    even = expose(np.full((*SHAPE, 3), 0.5), camera(), 1, np.random.default_rng(0), noisy=False)
    flats = [tmp_path / "a.dng", tmp_path / "b.dng"]
    for i, path in enumerate(flats):
        data = even.data.copy()
        data[0, 0] += i
        write_mosaic(path, even.with_changes(data=data, exposure_s=0.1))
    found = calibrate(frames[0][:3], flats).profile
    assert found.settings[0].gain_dn_per_e is None
    assert any("no noisier than dark frames" in note for note in found.notes)


def test_frames_of_two_cameras_or_sizes_are_refused(frames, tmp_path):
    other = shoot(tmp_path, replace(camera(), model="Two"), np.zeros(SHAPE), 2)
    with pytest.raises(DatasetError, match="2 cameras, sizes or colour patterns"):
        calibrate([*frames[0], *other])


def test_without_a_dark_frame_there_is_no_profile(tmp_path):
    with pytest.raises(DatasetError, match="lens cap"):
        calibrate(shoot(tmp_path, camera(), np.full(SHAPE, 0.5), 2)[:0])
    with pytest.raises(DatasetError, match="not dark"):
        calibrate(shoot(tmp_path, camera(), np.full(SHAPE, 0.5), 2))


def test_without_flats_the_gain_comes_from_the_table_or_stays_unknown(frames, tmp_path):
    unknown = calibrate(frames[0][:4]).profile
    assert unknown.settings[0].gain_dn_per_e is None
    assert any("stays unknown" in note for note in unknown.notes)
    sony = replace(camera(), make="SONY", model="ILCE-7SM2")
    known = calibrate(shoot(tmp_path, sony, np.zeros(SHAPE), 3)).profile
    assert known.settings[0].gain_source == "table"
    assert known.settings[0].gain_dn_per_e == pytest.approx(sony.gain_dn_per_e, rel=1e-6)


def test_gain_goes_with_iso_where_flats_are_missing(frames, tmp_path):
    dark = shoot(tmp_path, camera(iso=6400), np.zeros(SHAPE), 3)
    made = calibrate([*frames[0], *dark], frames[1]).profile
    assert made.settings[1].gain_source == "flats at another ISO"
    assert made.settings[1].gain_dn_per_e == pytest.approx(camera(iso=6400).gain_dn_per_e, rel=0.05)


def test_a_camera_can_be_simulated_from_its_profile(made, rng):
    sensor = made.sensor(3200)
    mosaic = expose(np.zeros((*SHAPE, 3)), sensor, 1, rng, wb=(1, 1, 1))
    again = mosaic.data.astype(np.float64) - 512
    assert again.mean() == pytest.approx(np.mean(camera().black_error_dn), abs=0.4)
    assert np.corrcoef(again.ravel(), shading().ravel())[0, 1] > 0.5


def scotopic(*words, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scotopic", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | {"XDG_CONFIG_HOME": str(home)},
    )


def test_a_profile_is_made_installed_and_used(frames, tmp_path):
    folders = [frames[0][0].parent, frames[1][0].parent]
    output = tmp_path / "mine.json"
    words = ("calibrate", "--dark", folders[0], "--flat", folders[1], "-o", output, "--install")
    done = scotopic(*words, home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert "Simulated One" in done.stdout
    place = tmp_path / "home" / "scotopic" / "profiles" / "Simulated-One.json"
    assert place.read_text() == output.read_text()
    assert "<svg" in output.with_suffix(".html").read_text()
    again = scotopic(*words, home=tmp_path / "home")
    assert again.returncode == 1
    assert "exists already" in again.stderr
    assert "--skip-existing" not in again.stderr
    assert "dark frames" not in again.stderr, "told before measuring"
    words = ("calibrate", "--dark", folders[0], "-o", tmp_path / "other.json", "--install")
    again = scotopic(*words, home=tmp_path / "home")
    assert again.returncode == 1
    assert str(place) in again.stderr
    assert not (tmp_path / "other.json").exists()
    assert again.stderr.count("looking at") == 1, "told as soon as the camera is known"

    photo = shoot(tmp_path / "night", camera(), vignetted(0.01), 1)[0]
    other = shoot(tmp_path / "night", camera(iso=6400), vignetted(0.01), 1)[0]
    done = scotopic("info", photo, other, "--json", home=tmp_path / "home")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert told[0]["noise"]["source"] == "your profile of this Simulated One"
    assert told[0]["warning"] is None
    assert told[1]["noise"]["source"] == "measured on the picture"
    assert "calibrated are ISO 3200, not ISO 6400" in told[1]["warning"]
    done = scotopic("enhance", photo, "--profile", output, "--json", home=tmp_path)
    assert json.loads(done.stdout)["noise"]["source"] == "your profile of this Simulated One"


@pytest.mark.parametrize(("make", "usable"), [("Sony", True), ("Canon", False)])
def test_a_profile_of_before_is_read_but_where_black_has_been_measured_more_finely_since(
    made, tmp_path, make, usable
):
    replace(made, make=make).save(tmp_path / "p.json")
    text = (tmp_path / "p.json").read_text()
    (tmp_path / "p.json").write_text(text.replace("camera profile 2", "camera profile 1", 1))
    if usable:
        assert profiles.load(tmp_path / "p.json").make == make
    else:
        with pytest.raises(SettingsError, match=r"masked columns.*make it again"):
            profiles.load(tmp_path / "p.json")


def test_a_damaged_installed_profile_stops_nothing_and_is_told(made, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    place = tmp_path / "home" / "scotopic" / "profiles"
    place.mkdir(parents=True)
    made.save(place / "b.json")
    (place / "a.json").write_text((place / "b.json").read_text()[:1000])
    (place / "c.json").write_text('{"format": "scotopic camera profile 99"}')
    (place / "d.json").mkdir()
    photo = shoot(tmp_path / "night", camera(), vignetted(0.01), 1)[0]
    for words in (["info"], ["enhance", "--dry-run"]):
        done = CliRunner().invoke(app, [*words, str(photo), "--json"])
        assert done.exit_code == 0, done.output
        facts = json.loads(done.stdout)
        assert facts["noise"]["source"] == "your profile of this Simulated One", "the sound one is used"
        for name in "acd":
            assert f"{name}.json" in facts["warning"]
        assert "passed by" in facts["warning"]
    # One that is asked for by name is another matter.
    asked = CliRunner().invoke(app, ["info", str(photo), "--profile", str(place / "a.json")])
    assert asked.exit_code == 2


def test_calibrate_says_what_to_shoot_and_what_is_missing(frames, tmp_path):
    def run(*words):
        return CliRunner().invoke(app, [*map(str, words)])

    done = run("calibrate")
    assert done.exit_code == 0
    assert "Lens cap on" in done.output
    assert run("calibrate", "--flat", frames[1][0]).exit_code == 2
    assert run("calibrate", "--dark", frames[0][0].parent).exit_code == 2
    assert run("calibrate", "--dark", tmp_path, "-o", tmp_path / "p.json").exit_code == 1
    assert run("calibrate", "--dark", frames[0][0], "-o", tmp_path / "p.jpg").exit_code == 2
    nowhere = run("calibrate", "--dark", frames[0][0].parent, "-o", tmp_path / "no" / "p.json")
    assert nowhere.exit_code == 2
    assert "looking at" not in nowhere.output
    assert run("enhance", frames[0][0], "--profile", tmp_path / "none.json").exit_code == 2
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("named", ["--dark", "--flat"])
@pytest.mark.parametrize("missing", [True, False])
def test_what_is_named_and_holds_no_frames_is_an_error_before_measuring(frames, tmp_path, named, missing):
    folder = tmp_path / "flats_misspelt"
    if not missing:
        folder.mkdir()
    words = ["calibrate", "--dark", frames[0][0].parent, "--flat", frames[1][0].parent, named, folder]
    done = CliRunner().invoke(app, [*map(str, words), "-o", str(tmp_path / "p.json")])
    assert done.exit_code == 1
    assert "flats_misspelt" in done.output
    assert "looking at" not in done.output
    assert not (tmp_path / "p.json").exists()


def test_pictures_of_two_exposures_of_an_iso_are_told_apart(tmp_path):
    dark = shoot(tmp_path, camera(), np.zeros(SHAPE), 2)
    dark += shoot(tmp_path, camera(), np.zeros(SHAPE), 2, seed=1, exposure_s=30)
    text = page(calibrate(dark))
    assert "ISO 3200, 0.1 s: black is" in text
    assert "ISO 3200, 30 s: black is" in text


def test_a_profile_for_another_camera_is_not_used_and_said(made, dark):
    found = calibrated(Profiles((made,), asked=True), dark)
    assert found.profile is None
    assert found.mosaic is dark
    assert "another camera" in found.note
    assert not calibrated(Profiles((made,)), dark).note


def test_a_profile_for_finished_colours_is_not_used_and_said(made, dark):
    linear = Linear(
        data=np.full((64, 64, 3), 0.1, np.float32),
        clip=1.0,
        ratio=1.0,
        wb=dark.wb,
        xyz_to_camera=dark.xyz_to_camera,
        exposure_s=0.1,
        iso=3200.0,
    )
    said = "the profile is not used"
    assert said in plan_for(linear, profiles=Profiles((made,), asked=True)).noise.warning
    assert said not in plan_for(linear, profiles=Profiles((made,))).noise.warning


@pytest.mark.parametrize(("ratio", "gain_db"), [(250, 0.5), (300, 0.5)])
def test_a_profile_makes_dark_photos_better(model, photo, made, ratio, gain_db):
    scene = photo[: SHAPE[0], : SHAPE[1]]
    mosaic = expose(scene, camera(row_std_dn=2.0), ratio, np.random.default_rng(ratio))
    truth = render(scene)
    without, own = (
        psnr(render(enhance(mosaic, model, plan_made=plan).data * np.array(mosaic.wb)), truth)
        for plan in (
            plan_for(mosaic, ratio=ratio),
            plan_for(mosaic, ratio=ratio, profiles=Profiles((made,))),
        )
    )
    assert own > without + gain_db


def test_training_draws_the_camera_of_the_profile_and_no_other():
    torch = pytest.importorskip("torch", reason="needs the train extra")
    from scotopic.train.simulate import NoiseRange, Simulator

    known = of({400: 2.0, 3200: 9.0})
    noise = NoiseRange().narrowed_to(known)
    span = 16383 - 512
    batch = Simulator(noise, torch.device("cpu"), torch.Generator()).expose(
        torch.rand(32, 3, 48, 48), torch.eye(3).expand(32, 3, 3)
    )
    assert set(batch.white[:, 0].tolist()) <= set(range(15000, 16384))
    for told, low, high in (
        (batch.shot[:, 0], 0.4 / span, 3.2 / span),
        (batch.read[:, 0], (2 / span) ** 2, (9 / span) ** 2),
    ):
        # What is told is off by up to 0.15 in its logarithm, sometimes three times as much.
        assert low / 4 < float(told.min())
        assert float(told.max()) < high * 4
    unknown = replace(known, settings=tuple(replace(s, gain_dn_per_e=None) for s in known.settings))
    with pytest.raises(SettingsError, match="no gain"):
        NoiseRange().narrowed_to(unknown)


def test_a_camera_whose_read_noise_drowns_in_rounding_can_be_trained_for():
    pytest.importorskip("torch", reason="needs the train extra")
    from scotopic.train.simulate import PROFILE_MARGIN, READ_LEAST_DN, NoiseRange

    gain, span = 1.0, 16383 - 512
    for drowned in (0.0, 0.2):
        low, high = NoiseRange().narrowed_to(of({1000: drowned})).read_std_e
        wanted = READ_LEAST_DN / gain / (span / gain / 2000) ** 0.25
        assert (low, high) == pytest.approx((wanted / PROFILE_MARGIN, wanted * PROFILE_MARGIN))


def test_a_recipe_for_another_kind_of_sensor_is_refused_with_the_one_that_fits():
    pytest.importorskip("torch", reason="needs the train extra")
    from scotopic.train.recipes import recipe_named

    bayer = of({400: 2.0})
    xtrans = replace(bayer, cfa=X_TRANS, black_dn=bayer.black_dn[:1] * 36)
    assert recipe_named("scotopic").of_camera(bayer).noise != recipe_named("scotopic").noise
    assert recipe_named("xtrans").of_camera(xtrans).noise != recipe_named("xtrans").noise
    with pytest.raises(SettingsError, match="train the recipe xtrans, --from xtrans-fast"):
        recipe_named("scotopic").of_camera(xtrans)
    with pytest.raises(SettingsError, match="train the recipe scotopic, --from bayer-fast"):
        recipe_named("xtrans").of_camera(bayer)


def test_a_dark_photo_is_simulated_with_the_profile(made, tmp_path):
    picture = tmp_path / "photo.png"
    Image.fromarray(np.full((128, 160, 3), 90, np.uint8)).save(picture)
    mosaic = simulated_capture(picture, iso=3200, ratio=300, seed=1, profile=made)
    assert (mosaic.make, mosaic.model) == ("Simulated", "One")
    x = mosaic.data.astype(np.float64) - 512
    assert np.corrcoef(x.ravel(), shading()[:128, :160].ravel())[0, 1] > 0.4
    Image.fromarray(np.zeros((400, 160, 3), np.uint8)).save(picture)
    with pytest.raises(SettingsError, match="more than this"):
        simulated_capture(picture, iso=3200, ratio=300, seed=1, profile=made)
