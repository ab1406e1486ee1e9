"""Noise told from texture by what other colours show as well."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import BAYER_PHASES
from scotopic import noise
from scotopic.evaluate.scenes import WB, load_all
from scotopic.frame import Mosaic, NoiseProfile
from scotopic.sensor.simulated import expose, phone, sony_a7s2

PERIODS = [(3.7, 0.5), (2.6, 0.07), (6.0, 0.5), (9.0, 0.5)]
"""Of a weave, in pixels, and by how much it is turned, in radians."""


def weave(period: float, turn: float, colour=(1.0, 1.0, 1.0)) -> np.ndarray:
    """Cloth all over, a little uneven in light."""
    y, x = np.mgrid[:384, :384]
    threads = [np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x]
    woven = sum(np.cos(2 * np.pi * thread / period) for thread in threads)
    even = 0.25 * (1 + 0.25 * woven) * (0.7 + 0.3 * np.sin(x / 90))
    return even[..., None] * np.array(colour)


def unnamed(scene: np.ndarray, sensor, ratio: float, rng, **changes) -> Mosaic:
    return expose(scene, sensor, ratio, rng, wb=WB, **changes).with_changes(make="Nobody", model="")


def times(profile: NoiseProfile, factor: float) -> NoiseProfile:
    return NoiseProfile(
        tuple(v * factor for v in profile.shot), tuple(v * factor for v in profile.read), "tag"
    )


@pytest.mark.parametrize(("period", "turn"), PERIODS)
@pytest.mark.parametrize(("ratio", "iso"), [(1, 100), (4, 400)])
@pytest.mark.parametrize("cfa", BAYER_PHASES[:2])
def test_regular_texture_overrules_no_right_profile(rng, period, turn, ratio, iso, cfa):
    true = sony_a7s2(iso).noise_profile()
    mosaic = unnamed(weave(period, turn), sony_a7s2(iso), ratio, rng, cfa=cfa).with_changes(noise=true)
    told = noise.estimate(mosaic)
    assert told.profile is true
    assert not told.warning


@pytest.mark.parametrize(("period", "turn"), [one for one in PERIODS if one[0] > 3])
@pytest.mark.parametrize("colour", [(1.0, 1.0, 1.0), (1.6, 0.5, 0.3)])
def test_the_noise_of_cloth_is_told_without_the_cloth(rng, period, turn, colour):
    """It was told as 9 times the truth, the most that the ISO allows."""
    sensor = sony_a7s2(400)
    mosaic = unnamed(weave(period, turn, colour), sensor, 4, rng)
    level = np.array(0.06)
    off = noise.blind_fit(mosaic).variance(level, 1) / sensor.noise_profile().variance(level, 1)
    assert 0.8 < off < 3


def test_a_dark_sky_over_a_lit_city_tells_the_noise(rng):
    """Half of the groups of like brightness are windows all over, hundreds of times noisier than the sky."""
    scene = np.full((512, 512, 3), 0.01) * np.linspace(0.6, 2, 512)[:, None, None]
    windows = rng.random((64, 128)) * (rng.random((64, 128)) < 0.6)
    scene[256:] += np.kron(windows, np.pad(np.ones((2, 2)), ((0, 2), (0, 2))))[..., None] * (1, 0.8, 0.5)
    sensor = sony_a7s2(100)
    mosaic = unnamed(scene, sensor, 1, rng)
    fit, true = noise.blind_fit(mosaic), sensor.noise_profile()
    for level in (0.005, 0.02, 0.2):
        off = fit.variance(np.array(level), 1) / true.variance(np.array(level), 1)
        assert 0.7 < off < 1.5


@pytest.mark.parametrize("factor", [0.05, 0.2, 5])
@pytest.mark.parametrize(("ratio", "iso"), [(1, 400), (16, 800)])
def test_a_profile_that_is_wrong_is_overruled_in_real_scenes_as_ever(factor, ratio, iso):
    scenes = [scene.camera for scene in load_all()][:6]
    for i, scene in enumerate(scenes):
        mosaic = unnamed(scene, phone(iso), ratio, np.random.default_rng(i))
        wrong = times(phone(iso).noise_profile(), factor)
        assert "measured noise is used" in noise.estimate(mosaic.with_changes(noise=wrong)).warning


def test_noise_that_floats_share_over_colours_is_noise(rng):
    """Finished colours of which a maker has taken the colour noise hold it in brightness alone."""
    shared = rng.normal(900, 60, (258, 258)).astype(np.float32)
    smooth = sum(shared[y : y + 256, x : x + 256] for y in range(3) for x in range(3)) / 9
    grey = unnamed(np.full((256, 256, 3), 0.1), sony_a7s2(400), 1, rng)
    finished = grey.with_changes(data=smooth)
    level = np.array([0.02])
    as_counts = finished.with_changes(data=finished.data.astype(np.uint16))
    assert noise.blind_fit(finished).variance(level, 1) > 2 * noise.blind_fit(as_counts).variance(level, 1)
