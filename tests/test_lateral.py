"""Lateral colour: found in the mosaic, laid upon green for the network, moved back behind it."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from conftest import BAYER_PHASES, MORE_DATA
from scotopic.develop import develop
from scotopic.enhance import enhance, finished, plan
from scotopic.errors import SettingsError
from scotopic.evaluate.scenes import load_all
from scotopic.frame import BLUE, GREEN, RED, RGGB, X_TRANS, Linear32, Mosaic, NoiseProfile
from scotopic.read import read
from scotopic.run import Model
from scotopic.sensor.laid import aligned
from scotopic.sensor.lateral import FARTHEST, Lateral, lateral_colour
from scotopic.sensor.moved import STEADY, STEADY_HALF, moved_back
from scotopic.sensor.simulated import expose, sony_a7s2

LENSES = {
    "none": Lateral((0, 0, 0, 0), (0, 0, 0, 0)),
    "a zoom": Lateral((0, 0, 1.5, 0), (0, 0, -1.5, 0)),
    "turning": Lateral((0, 0, 1.5, -1.0), (0, 0, -1.0, 0.8)),
    "decentred": Lateral((0.5, -0.2, 0.6, 0), (-0.4, 0.2, 0, 0)),
}

NO_NOISE = NoiseProfile((0.0,) * 3, (0.0,) * 3, "an example")


def drawn(scene: np.ndarray, lens: Lateral) -> np.ndarray:
    """A scene (H, W, 3) as a lens draws it."""
    height, width, _ = scene.shape
    whole = slice(0, height), slice(0, width)
    light = np.ascontiguousarray(scene.transpose(2, 0, 1), np.float32)
    return moved_back(light, lens, (0, 0), whole, (height, width)).transpose(1, 2, 0)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Of light up to display white, in dB."""
    off = np.sqrt(np.clip(one, 0, 1)) - np.sqrt(np.clip(other, 0, 1))
    return float(-10 * np.log10(np.mean(np.square(off))))


def far_off(lens: Lateral | None, wanted: Lateral, shape: tuple[int, ...]) -> float:
    """Pixels, root mean square over the picture, by which a lens is told wrongly; of the worse colour."""
    found = lens or LENSES["none"]
    y, x = np.meshgrid(*(np.linspace(-1, 1, 21) * n / np.hypot(*shape) for n in shape), indexing="ij")
    worst = 0.0
    for colour in (RED, BLUE):
        down, right, along, cubed = np.array(found.of(colour)) - wanted.of(colour)
        outwards = along + cubed * (y * y + x * x)
        squares = (down + outwards * y) ** 2 + (right + outwards * x) ** 2
        worst = max(worst, float(np.sqrt(squares.mean())))
    return worst


@pytest.fixture(scope="module")
def scenes() -> list[np.ndarray]:
    return [scene.camera for scene in load_all(limit=3)]


@pytest.mark.parametrize("name", LENSES)
@pytest.mark.parametrize(("ratio", "iso"), [(1, 100), (4, 400), (30, 3200), (100, 250)])
def test_a_lens_is_found_at_any_noise(scenes, rng, name, ratio, iso):
    lens, sensor = LENSES[name], sony_a7s2(iso)
    for number, scene in enumerate(scenes):
        for cfa in (BAYER_PHASES[(number + iso) % 4], *((X_TRANS,) if ratio in (4, 30) else ())):
            mosaic = expose(drawn(scene, lens), sensor, ratio, rng, cfa=cfa)
            found = lateral_colour(mosaic, plan(mosaic, ratio=ratio).noise.profile)
            assert far_off(found, lens, mosaic.data.shape) < 0.25, (number, found, cfa)


def test_where_nobody_can_tell_nothing_is_moved(scenes, rng):
    lens = LENSES["a zoom"]
    light = drawn(scenes[0], lens)
    noise = sony_a7s2(400)
    for cfa in (RGGB, X_TRANS):
        small = expose(light[:40, :60], noise, 4, rng, cfa=cfa)
        assert plan(small, ratio=4).lateral is None
    even = expose(np.full((256, 256, 3), 0.3), noise, 4, rng)
    assert plan(even, ratio=4).lateral is None
    lamps = expose(light * 1e4, noise, 4, rng)
    assert plan(lamps, ratio=4).lateral is None
    # Without any noise, too, what is flat divides nothing by nothing.
    flat = even.with_changes(data=np.full((256, 256), 3000, np.uint16))
    assert lateral_colour(flat, NO_NOISE) is None


@pytest.mark.parametrize("square", [4, 8, 16])
def test_edges_that_stand_alike_upon_all_pixels_are_no_lens(rng, square):
    squares = np.kron(np.indices((384 // square, 448 // square)).sum(axis=0) % 2, np.ones((square, square)))
    scene = np.repeat((0.05 + 0.6 * squares)[..., None], 3, axis=2)
    for cfa in (*BAYER_PHASES, X_TRANS):
        for ratio, iso in ((4, 400), (30, 3200)):
            assert plan(expose(scene, sony_a7s2(iso), ratio, rng, cfa=cfa), ratio=ratio).lateral is None


def test_what_is_torn_off_is_no_edge(scenes, rng):
    for scene in scenes:
        torn = expose(scene, sony_a7s2(3200), 30, rng)
        data = torn.data.copy()
        data[:40] = data[-40:] = 0
        data[:, :40] = data[:, -40:] = 0
        data[300:310, 200:260] = 0
        assert plan(torn.with_changes(data=data), ratio=30).lateral is None


def test_red_light_alone_is_told_by_red_alone(scenes, rng):
    scene = scenes[0] * np.array([1.0, 0.4, 0.0005])
    mosaic = expose(drawn(scene, LENSES["a zoom"]), sony_a7s2(400), 4, rng)
    found = plan(mosaic, ratio=4).lateral
    assert found is not None
    assert found.red[2] == pytest.approx(1.5, abs=0.3)
    assert found.blue == (0, 0, 0, 0)


def test_colours_laid_upon_green_are_those_without_a_lens(scenes):
    """Where a scene has nothing finer than red and blue can hold, and though colours change at its edges."""
    smooth = scenes[1]
    for axis in (0, 1):
        for _ in range(24):
            smooth = (np.roll(smooth, 1, axis) + 2 * smooth + np.roll(smooth, -1, axis)) / 4
    for cfa, name in zip((*BAYER_PHASES, X_TRANS), [*LENSES, "decentred"], strict=True):
        lens = LENSES[name]
        mosaic = expose(smooth, sony_a7s2(100), 1, np.random.default_rng(0), cfa=cfa)
        fringed, wanted = (
            mosaic.with_changes(data=counts(mosaic, s)) for s in (drawn(smooth, lens), smooth)
        )
        off, before = (
            np.sqrt(np.square(one.data - wanted.data)[8:-8, 8:-8].mean(dtype=np.float64))
            for one in (aligned(fringed, lens, NO_NOISE), fringed)
        )
        assert off < max(0.4 * before, 1e-3), (name, off / before)


def counts(mosaic: Mosaic, scene: np.ndarray) -> np.ndarray:
    """The counts of a mosaic of `scene` without any noise."""
    height, width = mosaic.data.shape
    side = len(mosaic.cfa)
    colours = np.tile(np.array(mosaic.cfa), (height // side + 1, width // side + 1))[:height, :width]
    light = np.take_along_axis(scene, colours[..., None], axis=2)[..., 0]
    return (mosaic.black.mean() + 1000 * light).astype(np.float32)


def test_pieces_come_back_as_the_whole(scenes):
    lens = LENSES["decentred"]
    light = np.ascontiguousarray(scenes[0].transpose(2, 0, 1), np.float32)
    height, width = light.shape[1:]
    whole = moved_back(light, lens, (0, 0), (slice(0, height), slice(0, width)), (height, width))
    pieces = np.empty_like(whole)
    for top in range(0, height, 97):
        for left in range(0, width, 131):
            first = [max(0, n - lens.margin) for n in (top, left)]
            stop = [min(n, end) for n, end in ((height, top + 97), (width, left + 131))]
            cut = [slice(f, s + lens.margin) for f, s in zip(first, stop, strict=True)]
            own = tuple(slice(n - f, s - f) for n, f, s in zip((top, left), first, stop, strict=True))
            piece = moved_back(light[:, cut[0], cut[1]], lens, tuple(first), own, (height, width))
            pieces[:, top : stop[0], left : stop[1]] = piece
    assert np.array_equal(pieces, whole)


def test_a_lamp_darkens_nothing_beside_it():
    scene = np.full((96, 128, 3), 0.01, np.float32)
    scene[40:50, 60:80] = 500.0
    for lens in LENSES.values():
        assert drawn(scene, lens).min() >= 0.01 - 1e-6
    lamp = expose(scene, sony_a7s2(250), 100, np.random.default_rng(0))
    for lens in LENSES.values():
        moved = aligned(lamp, lens, NO_NOISE).data
        assert moved.min() >= lamp.data.min()
        assert moved.max() <= lamp.data.max()


@pytest.mark.parametrize("shift", [(FARTHEST, -FARTHEST, 0, 0), (0, 0, 40.0, -35.0)])
def test_the_farthest_is_moved_within_the_picture(shift):
    lens = Lateral(shift, (0, 0, 0, 0))
    mosaic = expose(np.full((34, 38, 3), 0.2), sony_a7s2(100), 1, np.random.default_rng(0))
    even = mosaic.with_changes(data=np.full((34, 38), 1000, np.uint16))
    assert (aligned(even, lens, NO_NOISE).data == 1000).all()
    assert (drawn(np.full((34, 38, 3), 0.25, np.float32), lens) == 0.25).all()


@pytest.mark.parametrize("name", LENSES)
def test_rows_that_are_moved_alike_are_moved_as_far_as_each_asks_for(name):
    lens, shape, edge = LENSES[name], (1500, 2000), 8
    # Of a ramp, what is moved tells how far.
    down, right = (
        np.broadcast_to(ramp.astype(np.float32), (3, *shape)) for ramp in np.ogrid[: shape[0], : shape[1]]
    )
    half = np.hypot(*shape) / 2
    y, x = (line - (n - 1) / 2 for line, n in zip(np.ogrid[: shape[0], : shape[1]], shape, strict=True))
    inside = slice(edge, shape[0] - edge), slice(edge, shape[1] - edge)
    whole = slice(0, shape[0]), slice(0, shape[1])
    for colour in (RED, BLUE):
        by = lens.of(colour)
        outwards = by[2] / half + by[3] / half**3 * (y * y + x * x)
        for ramp, place in ((down, by[0] + outwards * y), (right, by[1] + outwards * x)):
            moved = moved_back(ramp, lens, (0, 0), whole, shape)[colour] - ramp[colour]
            assert np.abs(moved + place)[inside].max() <= STEADY * half / STEADY_HALF + 1e-3


def test_a_picture_behind_a_lens_comes_nearer_to_what_the_lens_has_drawn(scenes, rng):
    models = [Model(name, device="cpu") for name in ("bayer-fast", "xtrans-fast")]
    for lens, least in ((LENSES["a zoom"], 4.0), (LENSES["turning"], 3.0)):
        gains = []
        for number, (scene, model) in enumerate(product(scenes, models)):
            truth = drawn(scene, lens)
            # Of X-Trans, too, phases that differ in what stands in half a cell.
            cfa = np.roll(X_TRANS, number, axis=1) if model is models[1] else BAYER_PHASES[number % 4]
            cfa = tuple(map(tuple, cfa.tolist())) if model is models[1] else cfa
            mosaic = expose(truth, sony_a7s2(400), 4, rng, cfa=cfa)
            made = plan(mosaic, ratio=4)
            assert made.lateral is not None
            results = [enhance(mosaic, model, plan_made=m) for m in (replace(made, lateral=None), made)]
            before, after = (psnr(r.data * np.array(r.wb, np.float32), truth) for r in results)
            gains.append(after - before)
        assert min(gains) > least, gains


def test_the_plain_picture_keeps_its_place(scenes, rng):
    """At no strength, too, colours lie where the lens has drawn them, however the picture is cut into tiles."""
    model = Model("bayer-fast", device="cpu")
    lens = LENSES["a zoom"]
    mosaic = expose(drawn(scenes[2], lens), sony_a7s2(400), 4, rng, cfa=RGGB)
    made = plan(mosaic, ratio=4)
    plain = [enhance(mosaic, model, plan_made=m, strength=0) for m in (replace(made, lateral=None), made)]
    best: dict[int, float] = {}
    for moved in (-1, 0, 1):
        red: Linear32 = np.roll(plain[1].data[..., RED], moved, axis=1)
        best[moved] = float(np.abs(red - plain[0].data[..., RED])[:, -64:-8].mean())
    assert best[0] < min(best[-1], best[1])
    tiled = enhance(mosaic, model, plan_made=made, tile=192)
    whole = enhance(mosaic, model, plan_made=made)
    assert np.abs(tiled.data - whole.data).max() < 2e-3


def test_fringes_that_are_to_go_are_gone(scenes, rng):
    """Nearer to the scene than it was in the sensor's light, in light and in pictures, for all tiles alike."""
    model, lens = Model("bayer-fast", device="cpu"), LENSES["a zoom"]
    for number, scene in enumerate(scenes):
        mosaic = expose(drawn(scene, lens), sony_a7s2(400), 4, rng, cfa=BAYER_PHASES[number])
        made = plan(mosaic, ratio=4)
        kept, gone = (
            enhance(mosaic, model, plan_made=made, fringes=fringes) for fringes in ("keep", "remove")
        )
        gains = [psnr(r.data * np.array(r.wb, np.float32), scene) for r in (kept, gone)]
        assert gains[1] > gains[0] + 1.5
        assert np.array_equal(gone.data[..., GREEN], kept.data[..., GREEN])
    at_once = finished(mosaic, model, plan_made=made, fringes="remove")
    assert np.abs(at_once.data.astype(int) - develop(gone).data).max() <= 1
    plain = [
        enhance(mosaic, model, plan_made=made, fringes=fringes, strength=0)
        for fringes in ("keep", "remove")
    ]
    before, after = (psnr(r.data * np.array(r.wb, np.float32), scene) for r in plain)
    assert after > before + 1
    with pytest.raises(SettingsError, match="keep or remove"):
        enhance(mosaic, model, plan_made=made, fringes="hide")


@pytest.mark.skipif(not MORE_DATA.exists(), reason="needs the shared real RAW files")
def test_real_files_have_the_fringes_that_they_show():
    canon = read(MORE_DATA / "raws" / "canon_30d.CR2")
    found = plan(canon).lateral
    assert found is not None
    # Red outside of green, blue inside, half-way to the corners.
    outwards = [s[2] * 0.5 + s[3] * 0.125 for s in (found.red, found.blue)]
    assert 0.5 < outwards[0] < 1.5
    assert -1.5 < outwards[1] < -0.3
