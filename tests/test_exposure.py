from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from scotopic import exposure
from scotopic.enhance import plan
from scotopic.errors import SettingsError
from scotopic.evaluate.scenes import WB, load_all
from scotopic.facts import NO_BLACK, NO_LIGHT, describe
from scotopic.frame import RGGB, X_TRANS
from scotopic.sensor.simulated import expose, sony_a7s2


def stops_off(scene, ratio, iso, rng) -> float:
    mosaic = expose(scene, sony_a7s2(iso), ratio, rng, wb=WB)
    return float(np.log2(exposure.automatic_ratio(mosaic) / ratio))


def test_the_automatic_ratio_is_near_the_truth_on_photos(rng):
    off = [stops_off(scene.camera, 60, 1600, rng) for scene in load_all()]
    assert np.median(np.abs(off)) < 0.7
    assert abs(np.median(off)) < 0.5


@pytest.mark.parametrize(("ratio", "iso"), [(10, 400), (100, 250), (250, 8000)])
def test_a_picture_n_times_darker_is_amplified_n_times_more(photo, rng, ratio, iso):
    reference = exposure.automatic_ratio(expose(photo * 0.3, sony_a7s2(100), 8, rng, noisy=False)) / 8
    found = exposure.automatic_ratio(expose(photo * 0.3, sony_a7s2(iso), ratio, rng)) / ratio
    assert min(reference, 300 / ratio) == pytest.approx(found, rel=0.05)


def test_a_lamp_hardly_moves_the_automatic_ratio_of_any_scene(rng):
    for scene in load_all():
        light = scene.camera
        height, width = light.shape[:2]
        side = round(0.1 * (height * width) ** 0.5)
        for top, left in ((height // 3, width // 3), (0, width - side)):
            lit = light.copy()
            lit[top : top + side, left : left + side] = 30
            assert abs(stops_off(lit, 60, 1600, rng) - stops_off(light, 60, 1600, rng)) < 0.3


def test_what_stands_lit_on_a_dark_stage_is_the_picture_and_no_lamp(rng):
    stage = np.full((400, 600, 3), 0.004)
    stage[100:300, 200:350] = 0.5
    found = exposure.automatic_ratio(expose(stage, sony_a7s2(100), 2, rng, wb=WB)) / 2
    assert found < 30, "by the dark stage alone it would be 94"


def test_windows_that_burn_over_a_tenth_of_the_pictures_hardly_darken_the_rest(rng):
    moved = []
    for scene in load_all():
        light = scene.camera
        height, width = light.shape[:2]
        lit = light.copy()
        lit[height // 4 : height // 2, width // 8 : width // 2] = 20
        moved.append(stops_off(lit, 60, 1600, rng) - stops_off(light, 60, 1600, rng))
    assert np.median(np.abs(moved)) < 1.3, "by their brightest 3% alone it would be 3.7"
    assert min(moved) > -2.3


def test_a_bright_picture_is_not_darkened_and_a_black_one_not_pulled_without_end(rng):
    assert exposure.automatic_ratio(expose(np.ones((64, 64, 3)), sony_a7s2(100), 1, rng)) == 1
    assert exposure.automatic_ratio(expose(np.zeros((64, 64, 3)), sony_a7s2(100), 1, rng)) == 300


@pytest.mark.parametrize("size", [(63, 63), (97, 64), (64, 161), (33, 35)])
def test_odd_sizes_are_measured_too(dark, size):
    cut = dark.with_changes(data=dark.data[: size[0], : size[1]])
    assert exposure.automatic_ratio(cut) >= 1


def test_what_is_told_is_done(dark):
    assert exposure.decide(dark, ratio=42).ratio == 42
    assert exposure.decide(dark, ev=5).ratio == 32
    assert exposure.decide(dark).source == "automatic"


@pytest.mark.parametrize(
    "wrong", [{"ratio": 0}, {"ratio": -3}, {"ratio": float("nan")}, {"ev": 99}, {"ratio": 2, "ev": 1}]
)
def test_settings_out_of_range_are_refused(dark, wrong):
    with pytest.raises(SettingsError):
        exposure.decide(dark, **wrong)


@pytest.mark.parametrize("factor", [0.4, 3.0])
def test_gains_count_as_they_are_shown_the_smallest_for_1(dark, factor):
    """Cameras made to see infrared have gains below 1, and `develop` brings the smallest to 1."""
    same = dataclasses.replace(dark, wb=tuple(gain * factor for gain in dark.wb))
    assert exposure.decide(same).ratio == pytest.approx(exposure.decide(dark).ratio)


@pytest.mark.parametrize("cfa", [RGGB, X_TRANS])
@pytest.mark.parametrize("iso", [100, 3200, 25600])
def test_a_lens_cap_left_on_is_told_and_a_dark_scene_is_none(photo, cfa, iso):
    sensor, scene = sony_a7s2(iso), photo[:192, :240]
    capped = expose(np.zeros(scene.shape), sensor, 300, np.random.default_rng(1), cfa=cfa)
    assert NO_LIGHT in describe(capped, plan(capped))["warning"]
    even = capped.with_changes(data=np.full_like(capped.data, round(float(capped.black.mean()))))
    assert NO_LIGHT in describe(even, plan(even))["warning"]
    assert NO_LIGHT not in (describe(capped, plan(capped, ratio=300)).get("warning") or ""), "as told"
    # At ISO 25600 its noise is larger than its light.
    dark = expose(scene, sensor, 300, np.random.default_rng(1), cfa=cfa)
    assert NO_LIGHT not in (describe(dark, plan(dark))["warning"] or "")


@pytest.mark.parametrize("cfa", [RGGB, X_TRANS])
@pytest.mark.parametrize(("iso", "ratio"), [(100, 4), (3200, 100), (25600, 300)])
def test_a_file_without_its_black_level_is_told(photo, cfa, iso, ratio):
    """It came out white without a word; no more than a word, as it may be right."""
    mosaic = expose(photo[:192, :240], sony_a7s2(iso), ratio, np.random.default_rng(1), cfa=cfa)
    assert NO_BLACK not in (describe(mosaic, plan(mosaic))["warning"] or "")
    size = len(cfa)
    unstated = mosaic.with_changes(black=np.zeros((size, size)))
    unstated.data[40, 50] = 0  # a dead pixel
    assert NO_BLACK in describe(unstated, plan(unstated))["warning"]
    assert NO_BLACK in describe(unstated, None)["warning"], "though nothing is planned"


@pytest.mark.parametrize("fog", [0, 0.02, 0.1, 0.3, 2])
@pytest.mark.parametrize("cfa", [RGGB, X_TRANS])
def test_bright_pictures_and_fog_are_not_said_to_lack_black(photo, cfa, fog):
    """Where black is 0 indeed. Fog is grey in the balanced picture, and so in none that is not."""
    sensor = dataclasses.replace(sony_a7s2(100), black_dn=(0.0,) * 4)
    seen = expose(photo[:192, :240] + fog, sensor, 1, np.random.default_rng(1), cfa=cfa)
    assert seen.black.max() == 0
    assert NO_BLACK not in (describe(seen, plan(seen))["warning"] or "")
