"""Black that is stated too high, told by the picture."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from conftest import camera_profile
from scotopic.enhance import enhance, plan
from scotopic.evaluate.metrics import psnr
from scotopic.evaluate.peers import white_balanced
from scotopic.evaluate.scenes import load_all, render
from scotopic.facts import describe
from scotopic.frame import RGGB, X_TRANS
from scotopic.sensor.black import BLOCK, LEAST_SIGMAS, WHOLE_FROM, lowered, with_black_lowered
from scotopic.sensor.simulated import expose, sony_a7s2

SENSOR = sony_a7s2(3200)
NOISE = SENSOR.noise_profile()
SIGMA = SENSOR.read_std_dn


@pytest.fixture(scope="module")
def scene():
    """A clean scene with dark parts anywhere, as a night has them."""
    return np.clip(load_all(limit=2)[1].camera - 0.03, 0, None)


@pytest.fixture(scope="module")
def frames():
    """Dark frames of one sequence."""
    return [expose(np.zeros((768, 768, 3)), SENSOR, 100, np.random.default_rng(seed)) for seed in range(6)]


def too_high(mosaic, sigmas):
    """The mosaic with its black stated so many times the read noise higher than it is."""
    return mosaic.with_changes(black=mosaic.black + np.asarray(sigmas) * SIGMA)


def test_of_black_it_tells_how_far_it_lies_below_the_one_stated(rng):
    night = expose(np.zeros((512, 640, 3)), SENSOR, 100, rng)
    stated = np.array([[0.3, 0.5], [0.0, 1.0]])
    told = lowered(too_high(night, stated), NOISE) / SIGMA
    assert told == pytest.approx(stated, abs=0.05)


@pytest.mark.parametrize("off", np.arange(0.04, 0.16, 0.01))
def test_frames_alike_are_treated_alike_and_so_are_the_two_greens(frames, off):
    told = np.array([lowered(too_high(frame, off), NOISE) / SIGMA for frame in frames])
    # What is found differs by 0.03 from chance alone; a hard step makes it 0.1, and of the greens as well.
    assert np.ptp(told, axis=0).max() < 0.07
    assert np.abs(told[:, 0, 1] - told[:, 1, 0]).max() < 0.04


def test_black_is_lowered_from_the_limit_on_by_a_share_that_grows_to_all(rng):
    night = expose(np.zeros((768, 768, 3)), SENSOR, 100, rng)
    offs = np.arange(0.0, 0.2, 0.005)
    told = np.array([lowered(too_high(night, off), NOISE) / SIGMA for off in offs])
    assert np.all(np.diff(told, axis=0) >= 0)
    assert np.diff(told, axis=0).max() < 1.05 * 0.005 / (1 - 1 / WHOLE_FROM)
    nothing = told.max(axis=(1, 2)) == 0
    assert nothing[offs < LEAST_SIGMAS / 2].all()
    whole = told[offs > LEAST_SIGMAS * WHOLE_FROM * 1.3]
    assert np.diff(whole, axis=0) == pytest.approx(0.005)


def test_what_one_place_proves_lowers_the_others_by_what_they_show(rng):
    night = expose(np.zeros((768, 768, 3)), SENSOR, 100, rng)
    stated = np.array([[0.0, 0.025], [0.0, -0.3]])
    assert not lowered(too_high(night, stated), NOISE).any()
    stated[0, 0] = 0.3
    told = lowered(too_high(night, stated), NOISE) / SIGMA
    assert told == pytest.approx(np.maximum(stated, 0), abs=0.03)
    assert told[0, 1] > 0.01
    assert told[1, 1] == 0


@pytest.mark.parametrize("rows", [0.0, 0.3])
@pytest.mark.parametrize("off", [0.0, -0.2])
def test_right_black_and_one_stated_too_low_stay_whatever_the_noise_of_rows(rng, scene, rows, off):
    mosaic = expose(scene, replace(SENSOR, row_std_dn=rows * SIGMA), 100, rng)
    assert not lowered(too_high(mosaic, off), NOISE).any()
    assert with_black_lowered(mosaic, np.zeros((2, 2))) is mosaic


def test_a_dark_band_is_no_black(rng):
    night = expose(np.zeros((512, 640, 3)), SENSOR, 100, rng)
    counts = night.data.astype(np.float32)
    counts[128:192] -= 0.5 * SIGMA
    counts[:, 300:360] -= 0.5 * SIGMA
    assert not lowered(night.with_changes(data=counts + 0.5 * np.float32(SIGMA)), NOISE).any()


def test_dead_pixels_and_borders_of_zeros_tell_nothing(rng):
    night = expose(np.zeros((512, 640, 3)), SENSOR, 100, rng)
    counts = night.data.copy()
    counts[:70] = counts[:, -70:] = 0
    for y, x in rng.integers(0, 500, (20, 2)):
        counts[y, x] = 0
    assert not lowered(night.with_changes(data=counts), NOISE).any()
    assert lowered(too_high(night.with_changes(data=counts), 0.5), NOISE) / SIGMA == pytest.approx(
        0.5, abs=0.06
    )


def test_small_pictures_x_trans_and_cameras_with_a_profile_are_left_alone(rng):
    night = expose(np.zeros((6 * BLOCK, 6 * BLOCK, 3)), SENSOR, 100, rng)
    assert not lowered(too_high(night, 1.0), NOISE).any()
    xtrans = expose(np.zeros((516, 516, 3)), SENSOR, 100, rng, cfa=X_TRANS)
    assert not lowered(too_high(xtrans, 1.0), NOISE).any()
    shape = (512, 640)
    dark = too_high(expose(np.zeros((*shape, 3)), SENSOR, 100, rng), 1.0).with_changes(
        black=np.full((2, 2), 512.0), make="Simulated", model="One", iso=3200.0
    )
    dark = dark.with_changes(
        data=np.maximum(dark.data.astype(np.int32) - round(SIGMA), 0).astype(np.uint16)
    )
    assert plan(dark).black_lowered is not None
    made = plan(dark, profiles=camera_profile(shape=shape))
    assert made.profile is not None
    assert made.black_lowered is None


def test_pictures_gain_and_are_told_of(rng, scene, model):
    mosaic = expose(scene, SENSOR, 100, rng, wb=(2.0, 1.0, 1.8), cfa=RGGB)
    off = too_high(mosaic, 0.6)
    made = plan(off, ratio=100)
    as_is = replace(made, black_lowered=None, prepared=None)
    assert made.black_lowered is not None
    assert describe(off, made)["black_lowered_dn"] == pytest.approx(made.black_lowered.ravel().tolist())
    assert "lie below the black that is stated" in describe(off, made)["warning"]
    truth = render(scene)
    before, after = (
        psnr(render(white_balanced(enhance(off, model, plan_made=way))), truth) for way in (as_is, made)
    )
    assert before + 1 < after


def test_a_plan_lowers_black_alike_for_a_copy_of_the_picture(rng, scene):
    off = too_high(expose(scene, SENSOR, 100, rng), 0.6)
    made = plan(off)
    copy = pickle.loads(pickle.dumps(off))
    for mosaic in (made.mosaic_of(off), made.mosaic_of(copy)):
        assert np.array_equal(mosaic.black, off.black - made.black_lowered)
    moved = off.with_changes(black=off.black - 40)
    assert np.array_equal(made.mosaic_of(moved).black, moved.black - made.black_lowered)
    as_stated = replace(made, black_lowered=None)
    assert np.array_equal(as_stated.mosaic_of(off).black, off.black)
