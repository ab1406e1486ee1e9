from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from conftest import BAYER_PHASES
from scotopic import noise
from scotopic.evaluate.scenes import load_all
from scotopic.frame import X_TRANS, Mosaic
from scotopic.sensor.simulated import eld_camera, expose, phone, sony_a7s2
from scotopic.sensor.smoothed import smoothing

SENSORS = [
    (sony_a7s2(250), 100),
    (sony_a7s2(8000), 250),
    (eld_camera("NikonD850", 6.0), 60),
    (phone(1600), 30),
]


@pytest.fixture(scope="module")
def scenes() -> list[np.ndarray]:
    return [scene.camera for scene in load_all()]


def smoothed_by_camera(mosaic: Mosaic, sigma: float) -> Mosaic:
    """With values of one colour smoothed by a Gaussian, as cameras do that reduce noise in their RAW files."""
    counted = mosaic.data.astype(np.float64)
    for dy in (0, 1):
        for dx in (0, 1):
            counted[dy::2, dx::2] = ndimage.gaussian_filter(counted[dy::2, dx::2], sigma)
    return mosaic.with_changes(data=np.rint(counted).astype(mosaic.data.dtype))


@pytest.mark.parametrize(("sensor", "ratio"), SENSORS, ids=lambda v: getattr(v, "model", f"{v}"))
def test_noise_that_a_camera_has_smoothed_is_known_by_its_slow_part(photo, rng, sensor, ratio):
    white = expose(photo, sensor, ratio, rng)
    assert smoothing(white) == 1
    level = np.array(float(np.median(photo)) / ratio)
    true = float(sensor.noise_profile().variance(level, 1))
    for sigma in (0.6, 0.8):
        mosaic = smoothed_by_camera(white, sigma)
        told = float(noise.blind_fit(mosaic).variance(level, 1)) / true
        alone = 2 * told / smoothing(mosaic)
        # What neighbours show is a tenth and less; half of the slow part is best told.
        assert alone < 0.2
        assert 0.2 < told < 0.8


def test_a_true_statement_of_smoothed_noise_is_kept_and_a_wrong_one_is_not(photo, rng):
    sensor = replace(sony_a7s2(3200), make="Nobody", model="X")
    right = sensor.noise_profile()
    mosaic = smoothed_by_camera(expose(photo, sensor, 100, rng), 0.6)
    kept = noise.estimate(mosaic.with_changes(noise=right))
    assert kept.profile is right
    assert not kept.warning
    shots, reads = (tuple(v / 20 for v in values) for values in (right.shot, right.read))
    wrong = noise.NoiseProfile(shots, reads, "a tag")
    assert "a tag gives" in noise.estimate(mosaic.with_changes(noise=wrong)).warning


@pytest.mark.parametrize("cfa", BAYER_PHASES)
def test_where_the_colours_lie_makes_no_difference(photo, rng, cfa):
    mosaic = expose(photo, sony_a7s2(1600), 100, rng, cfa=cfa)
    assert smoothing(mosaic) == 1
    assert smoothing(smoothed_by_camera(mosaic, 0.8)) > 5


def test_a_large_picture_is_looked_at_everywhere(photo, rng):
    blurred = ndimage.gaussian_filter(photo, (12, 12, 0))
    loud = smoothed_by_camera(expose(blurred, sony_a7s2(3200), 100, rng), 0.8)
    known = smoothing(loud)
    assert known > 10
    tall = np.tile(loud.data, (4096 // loud.data.shape[0] + 1, 8000 // loud.data.shape[1] + 1))
    for away in (slice(None, 32), slice(-32, None)):
        spoilt = tall.copy()
        spoilt[away] = 0
        assert smoothing(loud.with_changes(data=spoilt)) == pytest.approx(known, rel=0.4)
    columns = tall.copy()
    columns[:, :32] = 0
    assert smoothing(loud.with_changes(data=columns)) == pytest.approx(known, rel=0.4)


def test_smoothed_noise_is_known_though_all_of_the_picture_is_texture(scenes, rng):
    """Smoothing scatters the variances of blocks, as texture does: half of these were passed by for that."""
    weights, known = [0.25, 0.5, 0.25], 0
    for scene in scenes[::3]:
        mosaic = expose(scene, sony_a7s2(6400), 30, rng)
        counted = ndimage.convolve1d(mosaic.data.astype(np.float64), np.insert(weights, [1, 2], 0), axis=1)
        known += smoothing(mosaic.with_changes(data=np.rint(counted).astype(np.uint16))) > 5
    assert known >= 5


def remosaiced(light: np.ndarray, sensor, ratio: float, rng: np.random.Generator) -> Mosaic:
    """What a sensor gives whose filters lie in squares of four, its values put where Bayer's would be, all of them
    weighted means of what the sensor counted of that colour: both greens share these."""
    mosaic = expose(light, sensor, ratio, rng)
    height, width = mosaic.data.shape
    cell = np.array(mosaic.cfa)
    colours = np.tile(np.kron(cell, np.ones((2, 2), int)), (height // 4 + 1, width // 4 + 1))[
        :height, :width
    ]
    seen = np.take_along_axis(light / np.array(mosaic.wb) / ratio, colours[..., None], 2)[..., 0]
    profile, span = sensor.noise_profile(), mosaic.white - mosaic.black[0, 0]
    counted = seen + rng.normal(size=seen.shape) * np.sqrt(profile.variance(seen, 1))
    data = np.empty(mosaic.data.shape)
    for colour in range(3):
        mask = (colours == colour).astype(float)
        means = ndimage.gaussian_filter(counted * mask, 1.0) / ndimage.gaussian_filter(mask, 1.0)
        wanted = np.tile(cell, (height // 2, width // 2)) == colour
        data[wanted] = means[wanted]
    return mosaic.with_changes(data=np.rint(mosaic.black[0, 0] + data * span).clip(0).astype(np.uint16))


def test_noise_that_both_greens_share_is_noise_all_the_same(scenes, rng):
    """None of these was known while the two greens were held against each other."""
    mosaics = [remosaiced(scene, sony_a7s2(3200), 100, rng) for scene in scenes[::4]]
    assert [smoothing(mosaic) > 2 for mosaic in mosaics] == [True] * len(mosaics)


@pytest.mark.parametrize("colour", [(1.0, 1.0, 1.0), (1.0, 0.1, 0.05), (0.05, 0.2, 1.0), (0.05, 1.0, 0.05)])
@pytest.mark.parametrize("sigma", [0.7, 1.0, 1.5])
def test_fine_texture_that_a_lens_has_blurred_is_no_smoothed_noise(rng, sigma, colour):
    """As even as noise is, and red for the same reason; but seen by all colours."""
    grain = ndimage.gaussian_filter(rng.normal(size=(512, 512)), sigma)
    ramp = np.linspace(0.2, 0.6, 512)
    even = ramp * (1 + 0.1 * grain / grain.std())
    assert smoothing(expose(even[..., np.newaxis] * np.array(colour), sony_a7s2(100), 1, rng)) == 1


def test_texture_rounding_and_too_little_of_a_picture_are_no_smoothing(photo, scenes, rng):
    assert [smoothing(expose(s, sony_a7s2(100), 1, rng)) for s in scenes] == [1.0] * len(scenes)
    quiet = smoothed_by_camera(expose(photo, phone(50), 300, rng), 1.5)
    assert smoothing(quiet) == 1  # hardly a DN of it is left
    loud = smoothed_by_camera(expose(photo, sony_a7s2(3200), 100, rng), 0.8)
    assert smoothing(loud.with_changes(data=loud.data[:64, :64])) == 1
    assert smoothing(expose(photo, sony_a7s2(3200), 100, rng, cfa=X_TRANS)) == 1
