"""X-Trans sensors on the whole way, simulated and read through LibRaw: no real RAF file was at hand."""

from __future__ import annotations

import numpy as np
import pytest

from scotopic.dng.write import write_mosaic
from scotopic.enhance import enhance, graph_inputs, plan
from scotopic.evaluate import peers
from scotopic.evaluate.metrics import psnr
from scotopic.evaluate.scenes import WB, load_all, render
from scotopic.frame import X_TRANS
from scotopic.read import read
from scotopic.run import Model
from scotopic.sensor.simulated import expose, sony_a7s2


@pytest.fixture(scope="module")
def model() -> Model:
    return Model("xtrans-fast", device="cpu")


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    return load_all(limit=1)[0].camera[:252, :318]


def phase(top: int, left: int):
    rolled = np.roll(np.array(X_TRANS), (-top, -left), axis=(0, 1))
    return tuple(tuple(int(c) for c in row) for row in rolled)


def balanced(linear):
    return linear.data * np.array(linear.wb, np.float32)


def test_every_phase_gives_the_same_picture_in_its_place(model, scene):
    """The scene is moved along with the pattern, so that the mosaics are cuts of one and the same."""
    whole = expose(scene, sony_a7s2(400), 20, np.random.default_rng(0), wb=WB, cfa=X_TRANS)
    made = plan(whole, ratio=20)
    expected = enhance(whole, model, plan_made=made).data
    for top, left in ((0, 1), (1, 0), (2, 3), (5, 5), (3, 4)):
        cut = whole.with_changes(
            data=whole.data[top:, left:],
            cfa=phase(top, left),
            black=np.roll(whole.black, (-top, -left), axis=(0, 1)),
        )
        result = enhance(cut, model, plan_made=made).data
        assert result.shape == (*cut.data.shape, 3)
        # At the edge there is less to judge by; inside only the place of the packing's squares matters.
        inner = (slice(48, -48), slice(48, -48))
        assert np.abs(result[inner] - expected[top:, left:][inner]).mean() < 5e-3


def test_black_levels_that_differ_by_place_make_no_difference(model, scene):
    mosaic = expose(scene, sony_a7s2(800), 8, np.random.default_rng(1), wb=WB, cfa=X_TRANS)
    rng = np.random.default_rng(2)
    extra = rng.integers(-40, 40, (6, 6))
    high, wide = (n // 6 for n in mosaic.data.shape)
    moved = mosaic.with_changes(
        data=(mosaic.data + np.tile(extra, (high, wide))).astype(np.uint16), black=mosaic.black + extra
    )
    made = plan(mosaic, ratio=8)
    inputs = graph_inputs(moved, made)
    assert len(inputs.black) == len(inputs.wb) == 3
    a, b = (enhance(m, model, plan_made=made).data for m in (mosaic, moved))
    assert np.abs(a - b).max() < 2e-3


def test_the_size_of_tiles_does_not_change_the_result(model, scene):
    light = scene.copy()
    light[100:120, 100:140] = 30
    mosaic = expose(light, sony_a7s2(320), 300, np.random.default_rng(3), wb=WB, cfa=X_TRANS)
    made = plan(mosaic, ratio=300)
    small, large = (enhance(mosaic, model, plan_made=made, tile=t).data for t in (96, 2208))
    assert np.abs(small - large).max() < 1e-3 * max(1, np.abs(large).max())


@pytest.mark.parametrize(("ratio", "iso"), [pytest.param(100, 250, marks=pytest.mark.slow), (300, 320)])
def test_the_model_is_better_than_brightening_and_than_the_best_blur(model, ratio, iso):
    gains = []
    for number, scene in enumerate(load_all(limit=9)[::3]):
        mosaic = expose(
            scene.camera, sony_a7s2(iso), ratio, np.random.default_rng(number), wb=WB, cfa=X_TRANS
        )
        made = plan(mosaic, ratio=ratio)
        truth = scene.shown()
        ours = psnr(render(balanced(enhance(mosaic, model, plan_made=made))), truth)
        theirs = psnr(peers.libraw(mosaic, ratio, fbdd=False), truth)
        blurred = psnr(peers.gaussians(peers.plain(mosaic, made, model), truth), truth)
        gains.append(ours - max(theirs, blurred))
    assert np.median(gains) > 0.5


def test_a_dng_read_through_libraw_comes_out_in_its_colours(model, scene, tmp_path):
    mosaic = expose(scene, sony_a7s2(100), 1, np.random.default_rng(4), wb=WB, cfa=X_TRANS)
    write_mosaic(tmp_path / "x.dng", mosaic)
    again = read(tmp_path / "x.dng")
    assert again.cfa == X_TRANS
    result = balanced(enhance(again, model, ratio=1))
    blocks = [v[:240, :312].reshape(10, 24, 13, 24, 3).mean(axis=(1, 3)) for v in (result, scene)]
    unclipped = blocks[1].max(axis=2) < 0.5
    assert np.abs(blocks[0] - blocks[1])[unclipped].mean() < 0.01
