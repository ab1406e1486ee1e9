from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from conftest import BAYER_PHASES
from scotopic.dng.write import write_mosaic
from scotopic.enhance import enhance, plan, sensor_of
from scotopic.evaluate.metrics import psnr
from scotopic.evaluate.scenes import WB, load_all, render
from scotopic.frame import Capture, Linear, NoiseProfile
from scotopic.read import libraw_truth
from scotopic.remosaic import EXPLAINED, KEPT_WORDS, WHITE_DN, as_mosaic, take_noise
from scotopic.sensor import expose, sony_a7s2


def demosaiced(mosaic, folder) -> Linear:
    """As a linear DNG of the picture holds it: LibRaw's AHD, not amplified, nothing below black."""
    write_mosaic(folder / "mosaic.dng", mosaic)
    data = libraw_truth(folder / "mosaic.dng", "linear").astype(np.float32) / 65535
    capture = {f: getattr(mosaic, f) for f in Capture.__dataclass_fields__}
    return Linear(data=data, clip=1.0, ratio=1.0, **capture)


@pytest.mark.parametrize("cfa", BAYER_PHASES)
def test_the_samples_that_were_counted_are_found_again(photo, rng, tmp_path, cfa):
    mosaic = expose(photo[:256, :256], sony_a7s2(3200), 8, rng, cfa=cfa)
    found = as_mosaic(demosaiced(mosaic, tmp_path))
    assert found.cfa == cfa
    x = (mosaic.data - 512.0) / (mosaic.white - 512)
    assert np.abs(found.data / WHITE_DN - np.maximum(x, 0)).max() < 1e-4


def test_a_mosaic_stays_as_it_is(dark):
    assert as_mosaic(dark) is dark


def test_finished_colours_are_cleaned_almost_as_well_as_their_mosaic(model, tmp_path):
    lost, won = [], []
    for number, scene in enumerate(load_all(limit=9)[::3]):
        mosaic = expose(scene.camera, sony_a7s2(250), 100, np.random.default_rng(number), wb=WB)
        linear = demosaiced(mosaic, tmp_path)
        truth = scene.shown()
        ours, theirs, plain = (
            psnr(render(v.data * np.array(WB)), truth)
            for v in (
                enhance(linear, model, ratio=100),
                enhance(mosaic, model, ratio=100),
                enhance(linear, model, ratio=100, strength=0),
            )
        )
        lost.append(theirs - ours)
        won.append(ours - plain)
    assert np.median(lost) < 0.6
    assert np.median(won) > 3


def test_finished_colours_without_noise_keep_their_detail(model, rng):
    scene = load_all(limit=1)[0]
    light = scene.camera / np.array(WB)
    noise = NoiseProfile((1e-7,) * 3, (1e-8,) * 3, "a tag")
    clean = Linear(
        data=rng.normal(light, np.sqrt(noise.variance(light, 0))).astype(np.float32),
        clip=1.0,
        ratio=1.0,
        wb=WB,
        noise=noise,
    )
    made = plan(clean, ratio=1)
    assert KEPT_WORDS in made.noise.warning
    before, after = (
        psnr(render(v.data * np.array(WB)), scene.shown())
        for v in (clean, enhance(clean, model, plan_made=made))
    )
    assert before > 50, "a mosaic of it, cleaned, is at 30 to 40"
    assert after > before - 0.5
    assert KEPT_WORDS not in plan(clean, ratio=100).noise.warning


def test_only_changes_that_noise_explains_are_made(rng):
    own = rng.uniform(0, 1, (150, 70, 3)).astype(np.float32)
    change = rng.normal(0, 0.02, own.shape).astype(np.float32)
    change[40:90, 20:50] *= 10
    noise, ratio = NoiseProfile((1e-4, 2e-4, 3e-4), (1e-6,) * 3, "a tag"), 4.0

    def means(values):
        return uniform_filter(values.astype(np.float64), (5, 5, 0), mode="nearest")

    light = means(own + change)
    variance = np.stack([noise.variance(light[..., c] / ratio, c) * ratio**2 for c in range(3)], -1)
    excess = (means(change**2) / variance).mean(axis=-1, keepdims=True)
    wanted = own + 0.5 * np.minimum(EXPLAINED / excess, 1) * change
    got = own.copy()
    take_noise(got, own + change, noise, ratio, 0.5)
    assert np.allclose(got, wanted, atol=1e-5)
    kept = np.abs((got - own) / change)
    assert np.median(kept[:30]) > 0.45
    assert np.median(kept[50:80, 25:45]) < 0.1


def test_strength_nought_leaves_finished_colours_as_they_were_but_amplified(model, dark, tmp_path):
    linear = demosaiced(dark, tmp_path)
    plain = enhance(linear, model, ratio=16, strength=0)
    assert np.allclose(plain.data, 16 * linear.data)
    assert plain.clip == pytest.approx(16 * linear.clip)
    full, half = (enhance(linear, model, ratio=16, strength=s).data for s in (1, 0.5))
    assert np.allclose(half, (plain.data + full) / 2, atol=1e-4)


def test_a_monochrome_picture_stays_grey_and_loses_its_noise(model, rng):
    scene = load_all(limit=1)[0].camera.mean(axis=2, keepdims=True)[:256, :256]
    mosaic = expose(np.repeat(scene, 3, 2), sony_a7s2(3200), 60, rng, wb=(1.0, 1.0, 1.0))
    x = ((mosaic.data - 512.0) / (mosaic.white - 512)).astype(np.float32)
    grey = Linear(
        data=np.repeat(x[..., None], 3, axis=2), clip=1.0, ratio=1.0, monochrome=True, wb=(1.0, 1.0, 1.0)
    )
    assert sensor_of(grey) == "bayer"
    result = enhance(grey, model, plan_made=plan(grey, ratio=60))
    assert result.monochrome
    assert np.array_equal(result.data[..., 0], result.data[..., 1])
    noise_before, noise_after = (
        np.sqrt(np.mean((v - scene[..., 0]) ** 2)) for v in (60 * x, result.data[..., 0])
    )
    assert noise_after < noise_before / 2
