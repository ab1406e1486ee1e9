from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import maximum_filter, uniform_filter

from conftest import BAYER_PHASES
from scotopic.balance import balanced
from scotopic.develop import develop
from scotopic.dng.write import write_mosaic
from scotopic.enhance import enhance, finished, plan, sensor_of
from scotopic.evaluate.metrics import psnr
from scotopic.evaluate.scenes import WB, load_all, render
from scotopic.facts import HARDLY_NOISY, describe
from scotopic.frame import Capture, Linear, NoiseProfile
from scotopic.read import libraw_truth
from scotopic.sensor.remosaic import (
    DEFECT,
    EXPLAINED,
    ISOLATED,
    WHITE_DN,
    as_mosaic,
    hardly_noisy,
    with_noise_taken,
)
from scotopic.sensor.simulated import expose, sony_a7s2


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
    assert hardly_noisy(made.noise.profile, 1)
    assert HARDLY_NOISY in describe(clean, made)["warning"]
    assert not describe(clean, made, enhancing=False)["warning"]
    before, after = (
        psnr(render(v.data * np.array(WB)), scene.shown())
        for v in (clean, enhance(clean, model, plan_made=made))
    )
    assert before > 50, "a mosaic of it, cleaned, is at 30 to 40"
    assert after > before - 0.5
    assert not describe(clean, plan(clean, ratio=100))["warning"]


def test_only_changes_that_noise_explains_are_made_and_those_of_defects(rng):
    own = rng.uniform(0, 1, (150, 70, 3)).astype(np.float32)
    noise, ratio = NoiseProfile((1e-4, 2e-4, 3e-4), (1e-6,) * 3, "a tag"), 4.0
    spread = np.sqrt(np.stack([noise.variance(own[..., c] / ratio, c) for c in range(3)], -1)) * ratio
    change = (rng.normal(0, 1, own.shape) * spread).astype(np.float32)
    change[40:90, 20:50] *= 10
    hot = [(10, 10), (64, 65), (128, 30), (149, 69)]
    for y, x in hot:
        change[y - 1 : y + 2, x - 1 : x + 2] -= 0.3
        change[y, x] -= 5

    edge = ((7, 7), (7, 7), (0, 0))
    far = np.pad(change, edge, mode="edge").astype(np.float64)

    def means(values, side):
        return uniform_filter(values, (side, side, 0)[: values.ndim], mode="nearest")

    light = means(np.pad(own, edge, mode="edge") + far, 5)
    variance = np.stack([noise.variance(light[..., c] / ratio, c) * ratio**2 for c in range(3)], -1)
    excess = (far**2 / variance).mean(axis=-1)
    near = means(excess, 3)
    ring = (25 * means(excess, 5) - 9 * near) / 16
    alone = np.clip(2 - ring / np.maximum(EXPLAINED, ISOLATED * near), 0, 1)
    defect = maximum_filter(np.clip(near / DEFECT - 1, 0, 1) * alone, 3)
    judged = means((1 - defect) * excess + defect * np.minimum(excess, 1), 5)
    share = ((1 - defect) * np.minimum(EXPLAINED / judged, 1) + defect)[7:-7, 7:-7, None]
    planes = own.transpose(2, 0, 1), (own + change).transpose(2, 0, 1)

    def taken(rows: slice, columns: slice, origin: tuple[int, int] = (0, 0), end: int | None = None):
        y, x = origin
        given = (v[:, y:end, x:] for v in planes)
        return with_noise_taken(*given, (rows, columns), noise, ratio, 0.5).transpose(1, 2, 0)

    got = taken(slice(0, 150), slice(0, 70))
    assert np.allclose(got, own + 0.5 * share * change, atol=1e-4)
    # A piece with its margin, or with the picture's edge, tells as much.
    assert np.allclose(taken(slice(7, 80), slice(7, 60), (10, 10)), got[17:90, 17:70], atol=1e-6)
    assert np.allclose(taken(slice(7, 60), slice(0, 63), (3, 0), 70), got[10:63, :63], atol=1e-6)
    done = np.abs((got - own) / change)
    assert np.median(done[:30]) > 0.45
    assert np.median(done[50:80, 25:45]) < 0.1
    assert [done[y, x].min() > 0.49 for y, x in hot[:3]] == [True] * 3


def test_finished_colours_come_out_the_same_in_pieces_and_as_a_picture_at_once(model, dark, tmp_path):
    linear = demosaiced(dark, tmp_path)
    linear = linear.with_changes(data=linear.data[:161, 1:130], orientation=6)
    made = plan(linear, ratio=100)
    whole = enhance(linear, model, plan_made=made)
    pieces = enhance(linear, model, plan_made=made, tile=64)
    assert np.abs(pieces.data - whole.data).max() < 0.01
    assert np.abs(pieces.data - whole.data).mean() < 1e-4
    for more in ({}, {"wb": (1.5, 1.0, 2.0)}, {"strength": 0.5, "bits": 16}):
        at_once = finished(linear, model, plan_made=made, tile=64, **more)
        wb, strength = more.pop("wb", "camera"), more.pop("strength", 1)
        light = enhance(linear, model, plan_made=made, strength=strength, tile=64)
        apart = np.abs(at_once.data.astype(int) - develop(balanced(light, wb), **more).data)
        # The last bit of a float may fall on the other side of a step.
        assert apart.max() <= 2
        assert (apart > 0).mean() < 1e-3


def test_hot_pixels_are_taken_out_of_finished_colours(model, rng, tmp_path):
    scene = np.full((160, 192, 3), 0.2)
    mosaic = expose(scene, sony_a7s2(6400), 300, rng, wb=WB)
    hot = [(40, 41), (41, 120), (100, 60), (121, 121)]
    for y, x in hot:
        mosaic.data[y, x] += 1500
    linear = demosaiced(mosaic, tmp_path)
    before, after = (
        enhance(linear, model, ratio=300, strength=s).data * np.array(WB, np.float32) for s in (0, 1)
    )
    for y, x in hot:
        around = slice(y - 2, y + 3), slice(x - 2, x + 3)
        assert np.abs(before[around] - 0.2).max() > 3
        assert np.abs(after[around] - 0.2).max() < 0.25


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
