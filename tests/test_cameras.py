"""Any camera: what a sensor's levels, bits, phase, colours or noise words are must not decide the quality."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from scotopic.colour import CAMERA_MATRICES, camera_to_srgb, srgb_curve
from scotopic.enhance import enhance, plan
from scotopic.evaluate.metrics import psnr
from scotopic.evaluate.scenes import load_all
from scotopic.frame import RGGB, NoiseProfile
from scotopic.noise import NoiseEstimate
from scotopic.sensor.simulated import Sensor, expose

A7S2 = np.array(CAMERA_MATRICES["Sony ILCE-7SM2"])

CANON_30D = np.array([[0.6257, -0.0303, -0.1000], [-0.7880, 1.5621, 0.2396], [-0.1714, 0.1904, 0.7046]])
"""The DNG ColorMatrix of a camera whose colours no training run has drawn (a test asserts it)."""


@dataclass(frozen=True)
class Camera:
    """A sensor of any make for a given noise: `electrons` at white and `read_e`, both after the ratio."""

    name: str
    bits: int
    black_dn: tuple[float, float, float, float]
    white_share: float
    matrix: np.ndarray
    wb: tuple[float, float, float]
    cfa: tuple[tuple[int, ...], ...] = RGGB
    tukey_lambda: float | None = None

    def sensor(self, full_well_e: float, read_e: float) -> Sensor:
        white = round((2**self.bits - 1) * self.white_share)
        gain = (white - np.mean(self.black_dn)) / full_well_e
        # Rounding is part of what a coarse converter adds; the sum is to be the same for all.
        read_dn = np.sqrt(max((read_e * gain) ** 2 - 1 / 12, 0))
        return Sensor(
            make=self.name,
            model=self.name,
            iso=800,
            gain_dn_per_e=gain,
            read_std_dn=float(read_dn),
            tukey_lambda=self.tukey_lambda,
            black_dn=self.black_dn,
            white_dn=white,
        )


SEEN = Camera("seen", 14, (512.0,) * 4, 1.0, A7S2, (2.0, 1.0, 1.7))
UNSEEN = [
    Camera("phone BGGR 10 bit", 10, (63.0, 64.0, 65.0, 66.0), 1.0, CANON_30D, (1.9, 1.0, 1.75),
           ((2, 1), (1, 0))),
    Camera("phone GRBG 12 bit", 12, (255.0, 256.0, 257.0, 254.0), 0.94, CANON_30D, (2.1, 1.0, 1.6),
           ((1, 0), (2, 1)), 0.1),
    Camera("GBRG 16 bit, no black", 16, (3000.0,) * 4, 0.9, CANON_30D, (2.0, 1.0, 1.8),
           ((1, 2), (0, 1)), -0.15),
]  # fmt: skip

NOISES = [(2000.0, 3.0, 10.0), (1200.0, 3.0, 40.0)]
"""Electrons of the full well, of the read noise, and the ratio: a phone at dusk, and at night."""


def quality(model, camera: Camera, noise, told: NoiseProfile | None = None) -> list[float]:
    """PSNR in dB of each of four scenes in the display, blind noise and the true ratio."""
    full_well_e, read_e, ratio = noise
    figures = []
    for number, scene in enumerate(load_all(limit=12)[::3]):
        light = scene.camera @ camera_to_srgb(A7S2).T  # to linear sRGB, then to this camera's own
        light = light @ np.linalg.inv(camera_to_srgb(camera.matrix)).T
        scene_light = np.maximum(light[:384, :384], 0)
        mosaic = expose(
            scene_light,
            camera.sensor(full_well_e, read_e),
            ratio,
            np.random.default_rng(number),
            wb=camera.wb,
            cfa=camera.cfa,
            xyz_to_camera=camera.matrix,
        )
        if told is not None:
            mosaic = mosaic.with_changes(noise=told)
        linear = enhance(mosaic, model, plan_made=plan(mosaic, ratio=ratio))
        shown, truth = (
            np.rint(255 * srgb_curve(np.clip(v @ camera_to_srgb(camera.matrix).T, 0, 1))).astype(np.uint8)
            for v in (linear.data * np.array(camera.wb), scene_light)
        )
        figures.append(psnr(shown, truth))
    return figures


def test_no_training_run_has_drawn_the_unseen_cameras_colours():
    assert all(not np.allclose(CANON_30D, known) for known in CAMERA_MATRICES.values())


@pytest.mark.parametrize("noise", NOISES, ids=["dusk", "night"])
def test_cameras_that_training_never_saw_lose_at_most_half_a_decibel(model, noise):
    seen = np.mean(quality(model, SEEN, noise))
    for camera in UNSEEN:
        assert np.mean(quality(model, camera, noise)) > seen - 0.5, camera.name


@pytest.mark.parametrize("factor", [0.25, 4.0])
@pytest.mark.parametrize("noise", NOISES, ids=["dusk", "night"])
def test_a_noise_profile_wrong_by_four_is_noticed_and_costs_little(model, noise, factor):
    camera = UNSEEN[0]
    right = camera.sensor(*noise[:2]).noise_profile()
    wrong = NoiseProfile(
        tuple(v * factor for v in right.shot), tuple(v * factor for v in right.read), "a wrong tag"
    )
    best = quality(model, camera, noise, right)
    misled = quality(model, camera, noise, wrong)
    assert np.mean(misled) > np.mean(best) - 0.7
    assert min(m - b for m, b in zip(misled, best, strict=True)) > -1.5


def test_a_wrong_noise_profile_is_told_of(model, photo, rng):
    camera = UNSEEN[0]
    full_well_e, read_e, ratio = NOISES[0]
    sensor = camera.sensor(full_well_e, read_e)
    right = sensor.noise_profile()
    mosaic = expose(photo, sensor, ratio, rng, wb=camera.wb, cfa=camera.cfa)
    told = mosaic.with_changes(noise=replace(right, source="the file's NoiseProfile tag"))
    assert plan(told, ratio=ratio).noise == NoiseEstimate(told.noise)
    for factor in (0.25, 4.0):
        wrong = NoiseProfile(
            tuple(v * factor for v in right.shot),
            tuple(v * factor for v in right.read),
            "the file's NoiseProfile tag",
        )
        made = plan(mosaic.with_changes(noise=wrong), ratio=ratio)
        assert made.noise.profile != wrong
        assert "NoiseProfile" in made.noise.warning
