from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scotopic import noise
from scotopic.frame import NoiseProfile
from scotopic.sensor import eld_camera, expose, phone, sony_a7s2

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


@pytest.mark.parametrize(("sensor", "ratio", "factor"), CASES, ids=lambda v: getattr(v, "model", f"{v}"))
def test_the_blind_fit_finds_the_noise_of_a_dark_photo(photo, rng, sensor, ratio, factor):
    mosaic = expose(photo, sensor, ratio, rng)
    fit, true = noise.blind_fit(mosaic), sensor.noise_profile()
    for level in (0.0, float(noise.typical_level(mosaic)), 0.3 / ratio):
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
    assert pytest.approx(noise._flat_factor(), rel=0.01) == noise._FLAT_FACTOR


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
