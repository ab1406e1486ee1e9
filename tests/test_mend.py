"""Many hot pixels, and what a camera has cut off below black."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scotopic.develop import develop
from scotopic.enhance import enhance, graph_inputs, plan
from scotopic.evaluate.metrics import psnr
from scotopic.frame import RGGB, X_TRANS
from scotopic.run import Model
from scotopic.sensor import mend
from scotopic.sensor.simulated import expose, sony_a7s2

SENSOR = sony_a7s2(1600)
NOISE = SENSOR.noise_profile()


def with_hot(mosaic, rng, share):
    """The mosaic with so many pixels anywhere from a little light to saturation, and where they are."""
    hot = rng.random(mosaic.data.shape) < share
    data = np.where(hot, rng.uniform(1500, 16383, hot.shape), mosaic.data)
    return mosaic.with_changes(data=data.astype(np.uint16)), hot


def field_of_stars(rng, sigma, colour=(1.0, 1.0, 1.0), size=512):
    """A dark sky with stars of that spread in pixels, each as bright as ten times white at most."""
    sky = np.full((size, size), 0.01)
    across = np.arange(-3, 4)
    for _ in range(400):
        y, x = rng.integers(4, size - 4, 2)
        profile = np.exp(-(across**2) / (2 * sigma**2))
        sky[y - 3 : y + 4, x - 3 : x + 4] += 10 ** rng.uniform(-1, 1) * np.outer(profile, profile)
    return sky[..., None] * np.array(colour)


@pytest.mark.parametrize("cfa", [RGGB, X_TRANS], ids=["Bayer", "X-Trans"])
def test_many_hot_pixels_are_found_and_little_else(photo, rng, cfa):
    mosaic = expose(photo, SENSOR, 100, rng, cfa=cfa)
    spoilt, hot = with_hot(mosaic, rng, 0.001)
    rows, columns = mend.hot_pixels(spoilt, NOISE)
    assert hot[rows, columns].mean() > 0.98
    assert rows.size > 0.85 * hot[2:-2, 2:-2].sum()
    mended = mend.mended(spoilt, NOISE)
    assert mended.hot == rows.size
    off = np.abs(mended.mosaic.data.astype(int) - mosaic.data)[rows, columns]
    assert np.median(off) < 60
    untouched = np.ones(hot.shape, bool)
    untouched[rows, columns] = False
    assert np.array_equal(mended.mosaic.data[untouched], spoilt.data[untouched])


def test_a_few_hot_pixels_are_left_to_the_network(photo, rng):
    spoilt, _ = with_hot(expose(photo, SENSOR, 100, rng), rng, 0.00001)
    assert mend.mended(spoilt, NOISE).mosaic is spoilt


@pytest.mark.parametrize("ratio", [1, 20, 300])
def test_what_is_no_hot_pixel_is_none(photo, rng, ratio):
    mosaic = expose(photo, SENSOR, ratio, rng)
    assert mend.mended(mosaic, NOISE).mosaic is mosaic


@pytest.mark.parametrize("sigma", [0.5, 0.7, 1.2])
@pytest.mark.parametrize("ratio", [2, 30])
def test_stars_are_no_hot_pixels(rng, sigma, ratio):
    mosaic = expose(field_of_stars(rng, sigma), SENSOR, ratio, rng)
    assert mend.mended(mosaic, NOISE).mosaic is mosaic


def test_hot_pixels_cost_a_picture_next_to_nothing(model, photo, rng):
    mosaic = expose(photo, SENSOR, 60, rng).with_changes(make="", model="")
    truth = develop(enhance(expose(photo, SENSOR, 1, rng, noisy=False), model, ratio=1)).data
    spoilt, _ = with_hot(mosaic, rng, 0.001)
    made, sound = plan(spoilt), plan(mosaic)
    assert made.exposure.ratio == pytest.approx(sound.exposure.ratio, rel=0.1)
    clean, mended = (develop(enhance(m, model, ratio=60)).data for m in (mosaic, spoilt))
    assert psnr(mended, truth) > psnr(clean, truth) - 0.2


def cut_at_black(mosaic):
    """As of a camera that subtracts black and keeps no value below."""
    black = int(mosaic.black[0, 0])
    data = np.maximum(mosaic.data.astype(np.int32) - black, 0).astype(np.uint16)
    white = mosaic.white - black
    return mosaic.with_changes(data=data, black=np.zeros_like(mosaic.black), white=white, saturation=white)


@pytest.mark.parametrize("cfa", [RGGB, X_TRANS], ids=["Bayer", "X-Trans"])
@pytest.mark.parametrize("light", [0.0, 0.02, 0.1])
def test_what_was_cut_off_comes_back_in_the_mean_and_in_the_spread(rng, cfa, light):
    sensor = replace(sony_a7s2(6400), row_std_dn=0.0)
    mosaic = expose(np.full((240, 240, 3), light), sensor, 300, rng, cfa=cfa)
    cut, whole = cut_at_black(mosaic), mosaic.data.astype(float) - 512
    found = mend.uncut(cut, sensor.noise_profile()).data
    assert cut.data.mean() > whole.mean() + 0.2 * whole.std() or light == 0.1
    assert found.mean() == pytest.approx(whole.mean(), abs=0.07 * whole.std())
    assert found.std() == pytest.approx(whole.std(), rel=0.1)
    kept = cut.data > 0
    assert np.array_equal(found[kept], cut.data[kept])
    assert np.array_equal(found, mend.uncut(cut, sensor.noise_profile()).data)


def test_pictures_cut_at_black_keep_their_darkest_colours(model, photo, rng):
    """Blue in the dark turns grey where the noise of its red ends at black."""
    sensor, blue = sony_a7s2(12800), photo * np.array([0.15, 0.5, 1.0])
    mosaic = expose(blue, sensor, 200, rng).with_changes(make="", model="")
    cut = cut_at_black(mosaic)
    whole, found = (enhance(m, model, ratio=200).data.mean(axis=(0, 1)) for m in (mosaic, cut))
    as_counted = model.run(cut.data, graph_inputs(cut, plan(cut, ratio=200))).mean(axis=(0, 1))
    own = whole[0] / whole[2]
    assert abs(found[0] / found[2] - own) < 0.5 * abs(
        as_counted[0] / cut.wb[0] / (as_counted[2] / cut.wb[2]) - own
    )


def test_where_all_was_cut_off_black_stays_black_and_small_pictures_as_they_are(rng):
    sensor = sony_a7s2(6400)
    nothing = cut_at_black(expose(np.zeros((64, 64, 3)), sensor, 300, rng))
    nothing = nothing.with_changes(data=np.zeros_like(nothing.data))
    found = mend.uncut(nothing, sensor.noise_profile()).data
    assert found.max() <= 0.5
    assert found.min() > -6 * sensor.read_std_dn
    tiny = nothing.with_changes(data=nothing.data[:6, :6])
    assert mend.mended(tiny, sensor.noise_profile()).mosaic is tiny


def test_cameras_that_keep_black_above_zero_are_left_alone(dark):
    assert mend.uncut(dark, NOISE) is dark
    with_void = dark.data.copy()
    with_void[:, :9] = 0
    assert mend.uncut(dark.with_changes(data=with_void), NOISE).data is with_void


def test_x_trans_is_enhanced_without_its_hot_pixels(photo, rng):
    mosaic = expose(photo, SENSOR, 60, rng, cfa=X_TRANS)
    spoilt, _ = with_hot(mosaic, rng, 0.001)
    model = Model("xtrans-fast", device="cpu")
    clean, mended = (enhance(m, model, ratio=60).data for m in (mosaic, spoilt))
    assert np.sqrt(np.mean((clean - mended) ** 2)) < 0.01


@pytest.mark.parametrize("cfa", [RGGB, X_TRANS], ids=["Bayer", "X-Trans"])
@pytest.mark.parametrize("colour", [0, 1, 2])
def test_light_of_one_colour_has_no_hot_pixels_and_takes_no_time(rng, cfa, colour):
    """Every pixel of that colour is far brighter than what touches it."""
    scene = np.zeros((256, 384, 3))
    scene[..., colour] = 0.5
    mosaic = expose(scene, SENSOR, 4, rng, cfa=cfa)
    assert mend.mended(mosaic, NOISE).mosaic is mosaic


def test_pairs_of_hot_pixels_and_those_over_uneven_black_are_found(photo, rng):
    mosaic = expose(photo[:192, :256] * 0.1, SENSOR, 100, rng)
    black = np.array([[512.0, 560.0], [530.0, 512.0]])
    data = mosaic.data + np.tile(black - 512, (96, 128))
    places = rng.choice(96 * 64, 40, replace=False)
    y, x = 2 * (places // 64), 4 * (places % 64)
    for step in (0, 1):
        data[y, np.minimum(x + step, 255)] = 1500
    spoilt = mosaic.with_changes(data=data.astype(np.uint16), black=black)
    found = set(zip(*(part.tolist() for part in mend.hot_pixels(spoilt, NOISE)), strict=True))
    inside = [
        (b, a + s) for b, a in zip(y, x, strict=True) for s in (0, 1) if 2 <= b < 190 and 4 <= a < 250
    ]
    assert sum(place in found for place in inside) > 0.9 * len(inside)


def test_floats_with_values_below_black_are_as_they_are(rng):
    sensor = sony_a7s2(6400)
    mosaic = expose(np.full((128, 128, 3), 0.02), sensor, 300, rng)
    floats = (mosaic.data.astype(np.float32) - 512).astype(np.float32)
    as_floats = mosaic.with_changes(data=floats, black=np.zeros((2, 2)), white=15871.0, saturation=15871.0)
    assert mend.uncut(as_floats, sensor.noise_profile()) is as_floats


@pytest.mark.parametrize("kind", [np.uint16, np.uint32, np.int32])
def test_what_replaces_a_pixel_of_whole_numbers_is_rounded_and_not_cut(rng, kind):
    data = rng.poisson(20, (400, 400)).astype(kind) + kind(500)
    places = np.stack([np.arange(400), np.full(400, 200)], axis=1)
    counts, floats = data.copy(), data.astype(np.float32)
    for array in (counts, floats):
        mend.replace_pixels(array, places, RGGB)
    assert np.array_equal(counts[:, 200], np.rint(floats[:, 200]))
    halves = floats[:, 200] % 1 == 0.5
    assert halves.mean() > 0.1
    assert counts[:, 200].mean() == pytest.approx(floats[:, 200].mean(), abs=0.1)


@pytest.mark.parametrize("cfa", [RGGB, X_TRANS], ids=["Bayer", "X-Trans"])
def test_what_is_bad_itself_replaces_nothing(rng, cfa):
    """Two columns of one colour, side by side among those of it."""
    data = rng.integers(500, 600, (60, 60)).astype(np.uint16)
    bad = [(row, column) for row in range(60) for column in (20, 22)]
    for place in bad:
        data[place] = 16383
    mend.replace_pixels(data, np.array(bad), cfa)
    assert data[:, [20, 22]].max() < 600
