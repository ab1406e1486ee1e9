from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scotopic import noise
from scotopic.evaluate.scenes import WB, load_all
from scotopic.frame import GREEN, RGGB, X_TRANS, Mosaic, NoiseProfile
from scotopic.sensor import noise_line
from scotopic.sensor.simulated import eld_camera, expose, known_sensor, phone, sony_a7s2

CASES = [
    (sony_a7s2(250), 100, 1.6),
    (sony_a7s2(8000), 250, 1.2),
    (sony_a7s2(320), 300, 1.35),
    (sony_a7s2(6400), 300, 1.2),
    (sony_a7s2(25600), 300, 1.25),
    (eld_camera("NikonD850", 6.0), 60, 1.35),
    (phone(1600), 30, 1.35),
]
"""Sensor, ratio, and by what factor the variance may be off; docs/noise.md states what was seen."""


def typical_level(mosaic: Mosaic) -> np.ndarray:
    """The median x of the picture, where its noise is compared."""
    greens = [plane[::4, ::4].ravel() for colour, plane in mosaic.colour_planes() if colour == GREEN]
    return np.array(max(float(np.median(np.concatenate(greens))), 0.0))


@pytest.mark.parametrize(("sensor", "ratio", "factor"), CASES, ids=lambda v: getattr(v, "model", f"{v}"))
def test_the_blind_fit_finds_the_noise_of_a_dark_photo(photo, rng, sensor, ratio, factor):
    mosaic = expose(photo, sensor, ratio, rng)
    fit, true = noise.blind_fit(mosaic), sensor.noise_profile()
    for level in (0.0, float(typical_level(mosaic)), 0.3 / ratio):
        off = float(fit.variance(np.array(level), 1) / true.variance(np.array(level), 1))
        assert 1 / factor < off < factor


def test_row_noise_does_not_pass_for_read_noise(rng):
    quiet = sony_a7s2(1600)
    loud = replace(quiet, row_std_dn=3 * quiet.read_std_dn)
    fit = noise.blind_fit(expose(np.full((256, 256, 3), 0.1), loud, 300, rng))
    level = np.array(0.1 / 300)
    true = float(quiet.noise_profile().variance(level, 1))
    assert float(fit.variance(level, 1)) == pytest.approx(true, rel=0.1)


def test_slopes_do_not_pass_for_noise(rng):
    ramp = np.repeat(np.linspace(0, 1, 512)[None, :, None], 256, axis=0).repeat(3, axis=2)
    sensor = sony_a7s2(400)
    fit = noise.blind_fit(expose(ramp, sensor, 20, rng))
    assert fit.shot[1] == pytest.approx(sensor.noise_profile().shot[1], rel=0.1)


def test_the_factor_of_flat_blocks_is_what_a_draw_gives():
    assert pytest.approx(noise._flat_factor(), rel=0.01) == noise.FLAT_FACTOR
    assert pytest.approx(noise._flat_factor(1.0), rel=0.01) == noise.WHOLE_FACTOR


def test_fewer_blocks_tell_the_noise_of_a_large_picture_as_well(photo, rng, monkeypatch):
    mosaic = expose(np.tile(photo, (5, 5, 1)), sony_a7s2(1600), 100, rng)
    every, counted = noise.blind_fit(mosaic), noise._blocks(mosaic, noise.BLOCKS_MAX)[0].size
    monkeypatch.setattr(noise, "BLOCKS_MAX", counted // 2)
    assert noise._blocks(mosaic, noise.BLOCKS_MAX)[0].size == pytest.approx(counted / 2, rel=0.05)
    few, level = noise.blind_fit(mosaic), typical_level(mosaic)
    assert float(few.variance(level, 1) / every.variance(level, 1)) == pytest.approx(1, abs=0.06)


def test_fewer_still_show_whether_a_stated_profile_can_be_right(photo, rng):
    sensor = sony_a7s2(1600)
    mosaic = expose(np.tile(photo, (9, 9, 1)), sensor, 100, rng)
    assert (
        noise._blocks(mosaic, noise.BLOCKS_AT_FIRST)[0].size
        < noise._blocks(mosaic, noise.BLOCKS_MAX)[0].size / 2
    )
    ways = [
        noise.shown_over_stated(mosaic, sensor.noise_profile(), at_first=first) for first in (True, False)
    ]
    assert ways[0] / ways[1] == pytest.approx(1, abs=0.12)


def test_a_stated_profile_is_used_when_the_picture_bears_it_out(dark):
    true = sony_a7s2(3200).noise_profile()
    estimate = noise.estimate(dark.with_changes(noise=true))
    assert estimate.profile is true
    assert not estimate.warning


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_a_stated_profile_that_is_wrong_is_overruled_and_reported(dark, factor):
    true = sony_a7s2(3200).noise_profile()
    wrong = NoiseProfile(
        tuple(v * factor for v in true.shot), tuple(v * factor for v in true.read), "wrong"
    )
    estimate = noise.estimate(dark.with_changes(noise=wrong))
    assert estimate.profile is not wrong
    assert "times the variance" in estimate.warning
    assert estimate.profile.read[1] == pytest.approx(true.read[1], rel=0.25)


def test_a_picture_too_small_to_measure_still_gets_a_profile(rng):
    mosaic = expose(np.full((16, 16, 3), 0.1), sony_a7s2(800), 10, rng)
    assert noise.blind_fit(mosaic).read[1] > 0


def test_pixels_cut_off_at_zero_do_not_make_a_picture_look_clean(rng):
    sensor = replace(sony_a7s2(6400), black_dn=(0.0,) * 4)
    scene = np.zeros((256, 512, 3))
    scene[:, 256:] = 0.5
    fit = noise.blind_fit(expose(scene, sensor, 50, rng))
    level = np.array(0.01)
    off = float(fit.variance(level, 1) / sensor.noise_profile().variance(level, 1))
    assert 0.7 < off < 1.4


def times(profile: NoiseProfile, factor: float) -> NoiseProfile:
    return NoiseProfile(
        tuple(v * factor for v in profile.shot), tuple(v * factor for v in profile.read), "wrong"
    )


@pytest.fixture(scope="module")
def scenes():
    """Real scenes at full size; the last one is texture all over."""
    found = {scene.name: scene.camera for scene in load_all()}
    wall = next(name for name in found if "colorful-wall" in name)
    return [*list(found.values())[1:14:6], found[wall]]


@pytest.mark.parametrize(("ratio", "iso"), [(300, 6400), (250, 8000), (100, 3200)])
@pytest.mark.parametrize("cfa", [RGGB, X_TRANS], ids=["bayer", "xtrans"])
@pytest.mark.parametrize("above", [0, 1], ids=["at black", "a little below"])
def test_the_noise_of_files_cut_at_black_is_found(scenes, rng, ratio, iso, cfa, above):
    off, dark = [], []
    sensor = sony_a7s2(iso)
    for scene in scenes:
        mosaic = expose(scene, sensor, ratio, rng, cfa=cfa)
        less = 512 - round(above * sensor.read_std_dn)
        cut = mosaic.with_changes(
            data=np.maximum(mosaic.data.astype(np.int32) - less, 0).astype(np.uint16),
            black=mosaic.black - less,
            white=mosaic.white - less,
            saturation=mosaic.saturation - less,
        )
        found, true = noise.blind_fit(cut), sensor.noise_profile()
        for level, stops in ((typical_level(mosaic), off), (np.array(0.005 / ratio), dark)):
            stops.append(float(np.log2(found.variance(level, 1) / true.variance(level, 1))))
    assert np.median(np.abs(off)) < 0.45, off
    assert np.max(np.abs(off)) < 1.0, off
    # What is darkest hangs on read noise; a scene in which nothing is dark says little of it.
    assert min(sorted(dark)[1:]) > -0.7, dark
    assert min(dark) > -2.5, dark


@pytest.mark.parametrize("cfa", [RGGB, X_TRANS], ids=["bayer", "xtrans"])
def test_zeros_far_below_black_are_no_noise(scenes, rng, cfa):
    sensor = sony_a7s2(3200)
    for scene in scenes[:2]:
        mosaic = expose(scene, sensor, 100, rng, cfa=cfa)
        level = np.array([0.0, float(typical_level(mosaic))])
        wanted = noise.blind_fit(mosaic).variance(level, 1)
        framed, rows, dead = (mosaic.data.copy() for _ in range(3))
        framed[:40] = framed[-40:] = framed[:, :40] = framed[:, -40:] = 0
        rows[48::96] = 0
        dead[rng.random(dead.shape) < 0.015] = 0
        # Squares of X-Trans greens are spoilt by so many dead pixels, all of them.
        for spoilt in (framed, rows, dead) if cfa == RGGB else (framed, rows):
            found = noise.blind_fit(mosaic.with_changes(data=spoilt)).variance(level, 1)
            assert np.abs(np.log2(found / wanted)).max() < 1.1


@pytest.mark.parametrize(("iso", "ratio"), [(100, 1), (1600, 30)])
def test_a_phone_whose_noise_profile_is_wrong_by_four_is_noticed_and_a_right_one_left_alone(
    scenes, iso, ratio
):
    """docs/noise.md has the rates over all scenes, ISO and ratios; the wall is told apart below."""
    sensor = phone(iso)
    true = sensor.noise_profile()
    for i, scene in enumerate(scenes[:-1]):
        mosaic = expose(scene, sensor, ratio, np.random.default_rng(i), wb=WB)
        mosaic = mosaic.with_changes(make="Nobody")
        assert noise.estimate(mosaic.with_changes(noise=true)).profile is true
        for factor in (0.25, 4.0):
            wrong = times(true, factor)
            estimate = noise.estimate(mosaic.with_changes(noise=wrong))
            assert estimate.profile is not wrong
            assert "times the variance" in estimate.warning


def test_texture_all_over_does_not_overrule_a_right_profile(scenes, rng):
    true = phone(50).noise_profile()
    mosaic = expose(scenes[-1], phone(50), 1, rng, wb=WB).with_changes(make="Nobody", noise=true)
    level = typical_level(mosaic)
    assert noise.blind_fit(mosaic).variance(level, 1) > 2.5 * true.variance(level, 1)
    assert noise.estimate(mosaic).profile is true


NAMES = [
    ("SONY", "ILCE-7SM2", 0.0956),
    ("NIKON CORPORATION", "NIKON D850", 0.4150),
    ("Canon", "Canon EOS 5D Mark IV", 0.2182),
    ("Canon", "Canon EOS 70D", 0.4075),
    ("Canon", "Canon EOS 700D", 0.4476),
    ("Canon", "Canon EOS REBEL T5i", 0.4476),
    ("Canon", "Canon EOS Kiss X7i", 0.4476),
    ("OPPO", "PCCM00", 0.0686),
]


@pytest.mark.parametrize(("make", "model", "gain"), NAMES)
def test_the_table_knows_cameras_as_their_files_name_them(make, model, gain):
    for iso in (100, 800):
        sensor = known_sensor(make, model, iso)
        assert sensor.gain_dn_per_e == pytest.approx(gain * iso / 100, rel=0.15 if make == "OPPO" else 0.01)
        assert sensor.source
    assert known_sensor(make, model, 50) is None
    assert known_sensor(make, model + " II", 800) is None


def test_the_table_is_used_and_named_where_the_file_says_nothing(dark):
    estimate = noise.estimate(dark)
    true = sony_a7s2(3200).noise_profile()
    assert estimate.profile.shot == pytest.approx(true.shot)
    assert estimate.profile.read == pytest.approx(true.read)
    assert estimate.profile.source.startswith("table: SONY ILCE-7SM2 at ISO 3200")
    assert noise.from_table(dark.with_changes(iso=None)) is None


def test_the_table_counts_in_the_bits_of_the_file(photo, rng):
    fine = sony_a7s2(3200)
    coarse = replace(
        fine,
        gain_dn_per_e=fine.gain_dn_per_e / 4,
        read_std_dn=fine.read_std_dn / 4,
        row_std_dn=fine.row_std_dn / 4,
        black_dn=(128.0,) * 4,
        white_dn=4095.0,
    )
    told = noise.from_table(expose(photo, coarse, 30, rng))
    true = coarse.noise_profile()
    assert told.shot == pytest.approx(true.shot, rel=1e-3)
    assert told.read == pytest.approx(true.read, rel=1e-3)


def test_a_table_entry_that_the_picture_contradicts_is_overruled(photo, rng):
    loud = replace(sony_a7s2(3200), gain_dn_per_e=12.0, read_std_dn=16.0)
    estimate = noise.estimate(expose(photo, loud, 100, rng))
    assert estimate.profile.source == "measured on the picture"
    assert estimate.warning.startswith("table: SONY ILCE-7SM2")


def test_the_users_own_profile_comes_first_and_a_contradiction_is_told(dark):
    true = sony_a7s2(3200).noise_profile()
    own = replace(true, source="mine")
    assert noise.estimate(dark.with_changes(noise=times(true, 1.5)), own).profile is own
    wrong = times(true, 4.0)
    estimate = noise.estimate(dark, wrong)
    assert estimate.profile is wrong
    assert "used nevertheless" in estimate.warning


NONE = NoiseProfile((0.0,) * 3, (0.0,) * 3, "mine")


@pytest.mark.filterwarnings("error")
def test_a_profile_of_no_noise_is_told_to_be_wrong_where_the_picture_shows_some(dark):
    with np.errstate(all="raise"):
        stated = noise.estimate(dark.with_changes(noise=NONE))
        own = noise.estimate(dark, NONE)
    assert stated.profile is not NONE
    assert own.profile is NONE
    for estimate in (stated, own):
        assert "mine gives 0 times the variance that the picture shows" in estimate.warning


@pytest.mark.filterwarnings("error")
def test_a_profile_of_no_noise_is_right_for_a_picture_without_any(dark):
    flat = dark.with_changes(data=np.full_like(dark.data, 600))
    with np.errstate(all="raise"):
        for estimate in (noise.estimate(flat.with_changes(noise=NONE)), noise.estimate(flat, NONE)):
            assert estimate.profile is NONE
            assert not estimate.warning


@pytest.mark.parametrize(("iso", "ratio"), [(6400, 250), (1600, 10)])
def test_the_noise_of_an_x_trans_photo_is_found(scenes, rng, iso, ratio):
    sensor = sony_a7s2(iso)
    mosaic = expose(scenes[0], sensor, ratio, rng, wb=WB, cfa=X_TRANS)
    level = typical_level(mosaic)
    off = float(noise.blind_fit(mosaic).variance(level, 1) / sensor.noise_profile().variance(level, 1))
    assert 1 / 1.3 < off < 1.3


@pytest.mark.parametrize("cfa", [RGGB, X_TRANS], ids=["Bayer", "X-Trans"])
def test_hot_pixels_do_not_pass_for_noise(photo, rng, cfa):
    """One in a thousand, as at long and warm exposures: some in every fourth block."""
    sensor = sony_a7s2(1600)
    mosaic = expose(photo, sensor, 200, rng, cfa=cfa)
    hot = rng.random(mosaic.data.shape) < 0.001
    data = np.where(hot, rng.uniform(600, 16383, hot.shape), mosaic.data).astype(np.uint16)
    level, true = np.array(0.001), sensor.noise_profile()
    with_hot, without = (
        noise.blind_fit(m).variance(level, 1) for m in (mosaic.with_changes(data=data), mosaic)
    )
    assert float(with_hot / without) == pytest.approx(1, abs=0.25)
    assert float(without / true.variance(level, 1)) == pytest.approx(1, abs=0.3)


def test_stars_do_not_pass_for_noise_and_overrule_no_right_profile(rng):
    """A sky with a star of a few pixels in each block of values, twenty times as bright as the sky."""
    sky = np.full((512, 512), 0.05)
    for y, x in rng.integers(2, 510, (700, 2)):
        sky[y - 1 : y + 2, x - 1 : x + 2] += np.outer([0.3, 1, 0.3], [0.3, 1, 0.3])
    sensor = sony_a7s2(1600)
    mosaic = expose(np.repeat(sky[..., None], 3, axis=2), sensor, 4, rng)
    level, true = np.array(0.0125), sensor.noise_profile()
    found = noise.blind_fit(mosaic).variance(level, 1)
    assert float(found / true.variance(level, 1)) == pytest.approx(1, abs=0.3)
    stated = noise.estimate(mosaic.with_changes(noise=true)).profile
    assert stated is true


@pytest.mark.parametrize("turn", [(0, 0), (1, 4), (3, 2), (5, 5)])
def test_the_squares_of_green_lie_right_in_every_phase_of_x_trans(rng, turn):
    cfa = tuple(map(tuple, np.roll(np.array(X_TRANS), turn, axis=(0, 1)).tolist()))
    coloured = np.broadcast_to(np.array([0.2, 0.5, 0.9]), (288, 288, 3))
    sensor = sony_a7s2(1600)
    mosaic = expose(coloured, sensor, 10, rng, cfa=cfa)
    found, true = noise.blind_fit(mosaic), sensor.noise_profile()
    level = np.array(0.05)
    assert float(found.variance(level, 1) / true.variance(level, 1)) == pytest.approx(1, abs=0.1)


def test_the_factor_of_flat_squares_is_what_a_draw_gives(rng):
    rows = np.sort(rng.chisquare(32, (40_000, 8)) / 32, axis=1)[:, : int(noise.QUIET_ROWS * 8)]
    assert np.quantile(rows.mean(axis=1), noise.FLAT_QUANTILE) == pytest.approx(
        noise.SQUARE_FACTOR, rel=0.01
    )


def test_no_camera_is_taken_for_noisier_than_its_iso_can_be(rng):
    """What is more is texture that passes for noise; only where the ISO and the bits say so."""
    ramp = np.repeat(np.linspace(0.05, 1, 512)[None, :, None], 256, axis=0).repeat(3, axis=2)
    sensor = sony_a7s2(12800)
    mosaic = expose(ramp, sensor, 20, rng).with_changes(make="", model="", noise=None)
    true, most = sensor.noise_profile().shot[1], 100 * noise_line.SHOT_MAX_PER_ISO
    assert true > 2 * most
    assert noise.blind_fit(mosaic.with_changes(iso=100.0)).shot == (most,) * 3
    for unlimited in (None, 1.0, 12800.0):
        assert noise.blind_fit(mosaic.with_changes(iso=unlimited)).shot[1] == pytest.approx(true, rel=0.1)


@pytest.mark.parametrize(("level", "ratio"), [(0.03, 64), (0.3, 100)])
def test_an_even_sky_of_x_trans_always_has_shot_noise(level, ratio):
    """Of levels that are all alike no slope is told; a third of such skies were said to have none."""
    sensor = sony_a7s2(3200)
    true, x = sensor.noise_profile(), level / ratio
    for seed in range(8):
        sky = np.full((480, 600, 3), level)
        mosaic = expose(sky, sensor, ratio, np.random.default_rng(seed), cfa=X_TRANS)
        fit = noise.blind_fit(mosaic.with_changes(make="", model="", noise=None, iso=3200.0))
        assert fit.shot[1] > 0.6 * true.shot[1]
        off = (fit.shot[1] * x + fit.read[1]) / (true.shot[1] * x + true.read[1])
        assert 1 / 1.3 < off < 1.3
        averaged = mosaic.with_changes(iso=3200.0 * 16)
        assert noise.blind_fit(averaged).shot[1] * x < 1.3 * (true.shot[1] * x + true.read[1])
