from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scotopic.enhance import enhance, finished, graph_inputs, plan
from scotopic.errors import SettingsError
from scotopic.evaluate.metrics import grid, psnr
from scotopic.evaluate.peers import white_balanced
from scotopic.evaluate.scenes import load_all, render
from scotopic.frame import RGGB, X_TRANS
from scotopic.inference.views import PASSES_MAX, VIEWS, View, check_passes, growth, views
from scotopic.models import find
from scotopic.run import Model
from scotopic.sensor.pattern import PATTERNS
from scotopic.sensor.simulated import expose, sony_a7s2

MULTIPLE = {"bayer": 32, "xtrans": 48}


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.sensor)
@given(data=st.data())
def test_every_view_begins_with_the_pattern_and_turns_back_to_what_was_kept(pattern, data):
    multiple = data.draw(st.sampled_from([MULTIPLE[pattern.sensor], pattern.cell]))
    look = data.draw(st.sampled_from(VIEWS[pattern.sensor]))
    shape = tuple(data.draw(st.integers(1, 3)) * multiple for _ in range(2))
    ends = [sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in shape]
    kept = tuple(slice(start, stop) for start, stop in ends)
    colours = np.tile(np.array(pattern.cfa), [n // pattern.cell for n in shape])
    # Each pixel says where it lies, and what colour it has.
    piece = (np.arange(colours.size).reshape(shape) * 4 + colours).astype(np.float32)

    seen, inside = look.of(piece, kept, pattern, multiple, data.draw(st.integers(0, 96)))

    assert all(n % multiple == 0 for n in seen.shape)
    assert all(n <= m + growth([look], multiple) for n, m in zip(seen.shape, shape, strict=True))
    assert np.array_equal(seen[: pattern.cell, : pattern.cell] % 4, np.array(pattern.cfa))
    assert np.array_equal(seen % 4, np.tile(np.array(pattern.cfa), [n // pattern.cell for n in seen.shape]))
    assert np.array_equal(seen[inside][look.steps], piece[kept])


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.sensor)
def test_the_first_view_is_the_mosaic_itself_and_no_two_are_alike(pattern):
    assert len(set(VIEWS[pattern.sensor])) == PASSES_MAX
    assert views(pattern.sensor, 1) == (View(),)
    assert views(pattern.sensor, PASSES_MAX) == VIEWS[pattern.sensor]


@pytest.mark.parametrize("passes", [0, 5, -1, 1.5, True, "2"])
def test_passes_out_of_range_are_refused(passes, dark, model):
    with pytest.raises(SettingsError, match=f"passes {passes} is out of range: a whole number from 1 to 4"):
        check_passes(passes)
    for way in (enhance, finished):
        with pytest.raises(SettingsError, match="out of range"):
            way(dark, model, passes=passes)


@pytest.mark.parametrize(("name", "cfa"), [("bayer-fast", RGGB), ("xtrans-fast", X_TRANS)])
def test_more_passes_come_nearer_to_the_truth_and_leave_no_grid(name, cfa, rng):
    scene = load_all(limit=1)[0]
    mosaic = expose(scene.camera[:288, :384], sony_a7s2(3200), 100, rng, wb=(2.0, 1.0, 1.8), cfa=cfa)
    truth = render(scene.camera[:288, :384])
    model, made = Model(name), plan(mosaic, ratio=100)
    shown = [render(white_balanced(enhance(mosaic, model, plan_made=made, passes=n))) for n in (1, 2, 4)]
    once, twice, four = (psnr(picture, truth) for picture in shown)
    assert once + 0.08 < twice
    assert twice + 0.02 < four
    if name == "bayer-fast":
        once, _, four = (abs(grid(picture, 4) / grid(truth, 4) - 1) for picture in shown)
        assert four < once


def test_with_several_passes_tiles_agree_too(model, rng):
    mosaic = expose(load_all(limit=1)[0].camera[:321, :450], sony_a7s2(6400), 100, rng)
    inputs = graph_inputs(mosaic, plan(mosaic, ratio=100))
    for before in ((0, 0), (1, 1)):
        whole = model.run(mosaic.data, inputs, before=before, passes=4, tile=640)
        assert whole.shape == (321, 450, 3)
        for tile in (32, 96, 160):
            tiled = model.run(mosaic.data, inputs, before=before, passes=4, tile=tile)
            assert np.abs(tiled - whole).max() < 1e-3, (before, tile)


def test_without_an_effect_there_is_nothing_to_average(model, dark):
    inputs = graph_inputs(dark, plan(dark, ratio=100))
    once, four = (model.run(dark.data, inputs, strength=0, passes=n) for n in (1, 4))
    assert np.array_equal(once, four)


@pytest.mark.parametrize("sensor", ["bayer", "xtrans"])
def test_pieces_are_multiples_of_what_the_models_need(sensor):
    name = {"bayer": "bayer-fast", "xtrans": "xtrans-fast"}[sensor]
    assert find(name).size_multiple == MULTIPLE[sensor]
