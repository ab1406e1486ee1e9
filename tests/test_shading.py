from __future__ import annotations

import json
import math
import struct

import numpy as np
import pytest
import rawpy

import dng_files
from conftest import BAYER_PHASES
from scotopic.develop import develop
from scotopic.dng.origin import read_origin
from scotopic.dng.write import write_linear
from scotopic.enhance import enhance, plan
from scotopic.evaluate.external import amplified
from scotopic.evaluate.methods import in_range
from scotopic.facts import describe
from scotopic.frame import X_TRANS, Linear
from scotopic.read import read
from scotopic.sandbox import wire

HEIGHT, WIDTH = 96, 128
BLACK, WHITE = 64, 1023
RATIO = 8


def phone_maps(seed=0, points=(5, 7)):
    """Gains of a phone's lens for the four places of a Bayer cell: 1 in the middle, up to 3 in the corners."""
    rng = np.random.default_rng(seed)
    down, across = (np.linspace(-1, 1, n) for n in points)
    away = np.hypot(down[:, None], across[None, :]) ** 2 / 2
    return {
        (y, x): (1 + away * rng.uniform(1.2, 2.0))[..., None].astype(np.float32)
        for y in (0, 1)
        for x in (0, 1)
    }


def opcodes_of(maps, height=HEIGHT, width=WIDTH):
    return dng_files.opcode_list(
        *(dng_files.gain_map(g, (y, x, height, width), pitch=(2, 2)) for (y, x), g in maps.items())
    )


def gain_at(grid, y, x, height=HEIGHT, width=WIDTH, origin=(0.0, 0.0), spacing=None):
    """The specification's words, pixel by pixel."""
    down, across = grid.shape[:2]
    spacing = spacing or (1 / (down - 1), 1 / (across - 1))
    v = min(max(((y + 0.5) / height - origin[0]) / spacing[0], 0), down - 1)
    h = min(max(((x + 0.5) / width - origin[1]) / spacing[1], 0), across - 1)
    y0, x0 = min(math.floor(v), down - 2), min(math.floor(h), across - 2)
    dy, dx = v - y0, h - x0
    top = (1 - dx) * grid[y0, x0, 0] + dx * grid[y0, x0 + 1, 0]
    low = (1 - dx) * grid[y0 + 1, x0, 0] + dx * grid[y0 + 1, x0 + 1, 0]
    return (1 - dy) * top + dy * low


def shaded(maps, light, height=HEIGHT, width=WIDTH):
    """What a sensor counts behind such a lens, in floats above black; `light` (H, W)."""
    fall = np.array(
        [[gain_at(maps[y % 2, x % 2], y, x, height, width) for x in range(width)] for y in range(height)]
    )
    return light / fall


def dng(path, data, cell=((0, 1), (1, 2)), **tags):
    levels = {50714: BLACK, 50717: WHITE, 50728: (1.0, 1.0, 1.0)}
    return dng_files.write(path, data, cell=cell, tags=levels | {int(k[1:]): v for k, v in tags.items()})


def flat_file(path, cell, light=0.1, height=HEIGHT, width=WIDTH, **tags):
    """An even wall behind a phone's lens."""
    seen = shaded(phone_maps(), light * np.ones((height, width)), height, width)
    counts = np.rint(BLACK + seen * (WHITE - BLACK)).astype(np.uint16)
    return dng(path, counts, cell, t51009=opcodes_of(phone_maps(), height, width), **tags)


@pytest.mark.parametrize("cell", BAYER_PHASES)
def test_gains_are_those_of_the_specification_for_every_phase(tmp_path, cell):
    picture = read(flat_file(tmp_path / "a.dng", cell))
    gains = picture.shading.gains(0, HEIGHT, WIDTH)
    maps = phone_maps()
    for y, x in ((0, 0), (3, 127), (95, 1), (47, 64), (95, 127)):
        for colour in range(3):
            places = [(dy, dx) for dy in (0, 1) for dx in (0, 1) if cell[dy][dx] == colour]
            mean = np.mean([gain_at(maps[place], y, x) for place in places])
            assert gains[y, x, colour] == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize("cell", BAYER_PHASES)
def test_a_wall_behind_a_phones_lens_is_even_from_corner_to_corner(tmp_path, cell, model):
    picture = read(flat_file(tmp_path / "a.dng", cell))
    light = enhance(picture, model, ratio=RATIO, strength=0.0)
    assert light.shading is None
    inner = light.data[2:-2, 2:-2]
    # A step of 10 bits is a hundredth of the corners' light.
    assert inner.mean(axis=(0, 1)) == pytest.approx([0.1 * RATIO] * 3, rel=0.01)
    assert np.abs(inner / (0.1 * RATIO) - 1).max() < 0.06
    uneven = enhance(picture.with_changes(shading=None), model, ratio=RATIO, strength=0.0).data
    assert uneven[2:-2, 2:-2].min() < 0.4 * 0.1 * RATIO
    # The two greens agree, though their maps do not: no maze is left.
    assert np.abs(inner[:-1, :-1, 1] - inner[:-1, 1:, 1]).max() < 0.06 * 0.1 * RATIO
    # With the network too, by as much.
    full = enhance(picture, model, ratio=RATIO).data[8:-8, 8:-8]
    assert full.mean(axis=(0, 1)) == pytest.approx([0.1 * RATIO] * 3, rel=0.03)


@pytest.mark.parametrize("cell", BAYER_PHASES)
def test_what_a_picture_is_measured_beside_is_as_even_as_the_picture(tmp_path, cell):
    """Counts of a long frame, and what other programs are handed."""
    picture = read(flat_file(tmp_path / "a.dng", cell))
    assert np.abs(in_range(picture, RATIO) / (0.1 * RATIO) - 1).max() < 0.06
    handed = amplified(picture, RATIO)
    assert np.abs(in_range(handed) / (0.1 * RATIO) - 1).max() < 0.06
    assert picture.evened().evened().data.max() == picture.evened().data.max()


def test_maps_belong_to_the_active_area_wherever_it_begins(tmp_path):
    whole = np.full((HEIGHT + 5, WIDTH + 3), BLACK, np.uint16)
    whole[5:, 3:] = BLACK + 100
    path = dng(
        tmp_path / "a.dng", whole, t51009=opcodes_of(phone_maps()), t50829=(5, 3, HEIGHT + 5, WIDTH + 3)
    )
    picture = read(path)
    # An odd row and column before the first even ones are left out.
    assert picture.data.shape == (HEIGHT - 1, WIDTH - 1)
    gains, maps = picture.shading.gains(0, HEIGHT - 1, WIDTH - 1), phone_maps()
    # The cell begins at the active area: red there, and blue one further down and right.
    assert gains[0, 0, 0] == pytest.approx(gain_at(maps[0, 0], 1, 1), rel=1e-5)
    assert gains[50, 70, 2] == pytest.approx(gain_at(maps[1, 1], 51, 71), rel=1e-5)


def test_an_editor_shows_the_dng_as_we_do_and_evens_it_out_no_second_time(tmp_path, model):
    source = flat_file(tmp_path / "a.dng", ((2, 1), (1, 0)))
    light = enhance(read(source), model, ratio=RATIO)
    origin = read_origin(source, HEIGHT, WIDTH)
    write_linear(tmp_path / "b.dng", light, develop(light), origin=origin)
    back = read(tmp_path / "b.dng")
    assert back.shading is None
    assert np.abs(back.data - light.data).max() < 1e-3
    with rawpy.imread(str(tmp_path / "b.dng")) as raw:
        shown = raw.postprocess(use_camera_wb=True, no_auto_bright=True, adjust_maximum_thr=0).astype(float)
    corner, middle = shown[8:16, 8:16].mean(axis=(0, 1)), shown[44:52, 60:68].mean(axis=(0, 1))
    assert corner == pytest.approx(middle, abs=6)


def test_finished_colours_take_a_map_of_three_planes_and_one_for_all(tmp_path):
    grid = np.random.default_rng(1).uniform(1, 2, (4, 5, 3)).astype(np.float32)
    both = np.full((1, 1, 1), 2, np.float32)
    opcodes = dng_files.opcode_list(
        dng_files.gain_map(grid, (0, 0, HEIGHT, WIDTH), planes=(0, 3)),
        dng_files.gain_map(both, (0, 0, HEIGHT, WIDTH), planes=(1, 2)),
    )
    data = np.full((HEIGHT, WIDTH, 3), 300, np.uint16)
    for tag in ("t51009", "t51022"):
        gains = read(dng(tmp_path / f"{tag}.dng", data, None, **{tag: opcodes})).shading.gains(
            10, 12, WIDTH
        )
        for colour in range(3):
            expected = gain_at(grid[..., colour : colour + 1], 11, 100) * (1 if colour == 0 else 2)
            assert gains[1, 100, colour] == pytest.approx(expected, rel=1e-5)


def test_finished_colours_are_evened_out_once(tmp_path, model):
    both = np.full((1, 1, 1), 2, np.float32)
    opcodes = dng_files.opcode_list(dng_files.gain_map(both, (0, 0, HEIGHT, WIDTH), planes=(0, 3)))
    data = np.full((HEIGHT, WIDTH, 3), BLACK + 96, np.uint16)
    picture = read(dng(tmp_path / "a.dng", data, None, t51009=opcodes))
    assert isinstance(picture, Linear)
    for strength in (0.0, 1.0):
        light = enhance(picture, model, ratio=2, strength=strength).data
        assert light.mean() == pytest.approx(4 * 96 / (WHITE - BLACK), rel=0.02)


def test_the_automatic_judges_the_picture_as_it_will_be_seen(tmp_path):
    picture = read(flat_file(tmp_path / "a.dng", BAYER_PHASES[1], light=0.05))
    flat = read(dng(tmp_path / "b.dng", np.full((HEIGHT, WIDTH), BLACK + 48, np.uint16), BAYER_PHASES[1]))
    assert plan(picture).exposure.ratio == pytest.approx(plan(flat).exposure.ratio, rel=0.03)
    assert plan(picture.with_changes(shading=None)).exposure.ratio > 1.15 * plan(flat).exposure.ratio


def test_a_map_for_a_part_leaves_the_rest_alone(tmp_path):
    part = np.full((2, 2, 1), 3, np.float32)
    opcodes = dng_files.opcode_list(dng_files.gain_map(part, (10, 20, 30, 40)))
    data = np.full((HEIGHT, WIDTH), 300, np.uint16)
    gains = read(dng(tmp_path / "a.dng", data, X_TRANS, t51009=opcodes)).shading.gains(0, HEIGHT, WIDTH)
    assert (gains[10:30, 20:40] == 3).all()
    gains[10:30, 20:40] = 1
    assert (gains == 1).all()


def test_a_lamp_in_a_tinted_corner_stays_white(tmp_path, model):
    counts = BLACK + shaded(phone_maps(), 0.02 * np.ones((HEIGHT, WIDTH))) * (WHITE - BLACK)
    counts[:24, :24] = WHITE
    path = dng(tmp_path / "a.dng", np.rint(counts).astype(np.uint16), t51009=opcodes_of(phone_maps()))
    shown = develop(enhance(read(path), model, ratio=4)).data
    assert np.ptp(shown[4:16, 4:16], axis=2).max() <= 2
    assert shown[4:16, 4:16].min() >= 250


def test_gains_before_a_warp_are_applied_and_what_follows_is_handed_on(tmp_path):
    both = dng_files.gain_map(np.full((1, 1, 1), 2, np.float32), (0, 0, HEIGHT, WIDTH), planes=(0, 3))
    warp = struct.pack(">4I", 1, 0x01030000, 0, 4) + b"warp"
    data = np.full((HEIGHT, WIDTH), 300, np.uint16)
    path = dng(tmp_path / "a.dng", data, t51022=dng_files.opcode_list(both, warp, both))
    assert (read(path).shading.gains(0, HEIGHT, WIDTH) == 2).all()
    assert read_origin(path, HEIGHT, WIDTH).lens == dng_files.opcode_list(warp, both)
    alone = dng(tmp_path / "b.dng", data, t51022=dng_files.opcode_list(both))
    assert read_origin(alone, HEIGHT, WIDTH).lens == b""


WHOLE = dng_files.gain_map(np.ones((3, 3, 1), np.float32), (0, 0, HEIGHT, WIDTH))
BROKEN = {
    "cut short": struct.pack(">I", 1) + WHOLE[:-6],
    "shorter than its head": struct.pack(">5I", 1, 9, 0, 0, 8) + bytes(8),
    "more points than bytes": dng_files.opcode_list(
        WHOLE[:48] + struct.pack(">2I", 4000, 4000) + WHOLE[56:]
    ),
    "no points": dng_files.opcode_list(dng_files.gain_map(np.ones((0, 3, 1)), (0, 0, HEIGHT, WIDTH))),
    "no pitch": dng_files.opcode_list(dng_files.gain_map(np.ones((3, 3, 1)), (0, 0, 9, 9), pitch=(0, 1))),
    "a pitch of no mosaic": dng_files.opcode_list(
        dng_files.gain_map(np.ones((3, 3, 1)), (0, 0, 9, 9), pitch=(5, 1))
    ),
    "no area": dng_files.opcode_list(dng_files.gain_map(np.ones((3, 3, 1)), (9, 9, 9, 9))),
    "no spacing": dng_files.opcode_list(
        dng_files.gain_map(np.ones((3, 3, 1)), (0, 0, 9, 9), spacing=(0.0, float("nan")))
    ),
    "gains that are no numbers": dng_files.opcode_list(
        dng_files.gain_map(np.full((3, 3, 1), np.nan), (0, 0, HEIGHT, WIDTH))
    ),
    "gains beyond belief": dng_files.opcode_list(
        dng_files.gain_map(np.full((3, 3, 1), 1e9), (0, 0, HEIGHT, WIDTH))
    ),
    "a number alone": b"\0\0",
}


@pytest.mark.parametrize("tag", ["t51009", "t51022"])
@pytest.mark.parametrize("name", BROKEN)
def test_broken_maps_are_left_out_with_a_word(tmp_path, tag, name):
    data = np.full((HEIGHT, WIDTH), 300, np.uint16)
    data[5:9] = np.arange(WIDTH)
    picture = read(dng(tmp_path / "a.dng", data, **{tag: BROKEN[name]}))
    assert picture.shading is None
    assert np.array_equal(picture.data, data)
    (note,) = picture.notes
    assert "broken" in note
    assert "left out" in note


def test_a_lens_correction_that_is_not_applied_is_told(tmp_path):
    data = np.full((HEIGHT, WIDTH), 300, np.uint16)
    data[5:9] = np.arange(WIDTH)
    gains = dng_files.gain_map(np.full((3, 4, 1), 1.2, np.float32), (0, 0, HEIGHT, WIDTH))
    alone = read(dng(tmp_path / "a.dng", data, t51022=dng_files.opcode_list(gains)))
    with_lens = read(
        dng(tmp_path / "b.dng", data, t51022=dng_files.opcode_list(gains, dng_files.vignette()))
    )
    assert not alone.notes
    (note,) = with_lens.notes
    assert "lens correction" in note
    assert "not applied" in note
    assert with_lens.shading is not None


def test_who_enhances_a_file_with_broken_maps_is_told(tmp_path):
    data = np.full((HEIGHT, WIDTH), 300, np.uint16)
    data[5:9] = np.arange(WIDTH)
    path = dng(tmp_path / "a.dng", data, t51009=BROKEN["cut short"])
    picture = read(path)
    assert "OpcodeList2" in describe(picture, plan(picture))["warning"]
    assert "OpcodeList2" in describe(picture, None)["warning"]


def test_maps_and_words_survive_the_way_from_a_child_process(tmp_path):
    picture = read(flat_file(tmp_path / "a.dng", BAYER_PHASES[2])).with_changes(notes=("a word",))
    header, data = wire.packed(picture)
    back = wire.unpacked(wire.loaded(wire.dumped(header)), data)
    assert back.notes == ("a word",)
    ours, theirs = (p.shading.gains(0, HEIGHT, WIDTH) for p in (picture, back))
    assert np.array_equal(ours, theirs)
    assert back.shading.gains_of_place(0, 1, (5, 4), whole=True).shape == (3, 2)
    for name, value in (
        ("grid", {"bytes": "AAAA"}),
        ("pitch", [0, 1]),
        ("spacing", [0, 1]),
        ("area", [1, 2]),
    ):
        broken = json.loads(wire.dumped(header))
        broken["shading"]["maps"][0][name] = value
        with pytest.raises(wire.WireError):
            wire.unpacked(broken, data)


def test_baseline_exposure_of_finished_colours_is_followed_with_its_noise(tmp_path):
    data = np.random.default_rng(0).integers(BLACK, WHITE, (HEIGHT, WIDTH, 3)).astype(np.uint16)
    noise = (1e-3, 1e-5)
    plain = read(dng(tmp_path / "a.dng", data, None, t51041=noise))
    for stops in (1.5, -1.0):
        shown = read(dng(tmp_path / f"{stops}.dng", data, None, t50730=stops, t51041=noise))
        assert np.allclose(shown.data, plain.data * 2**stops, rtol=1e-6)
        assert shown.clip == pytest.approx(2**stops)
        assert shown.noise.shot == pytest.approx([1e-3 * 2**stops] * 3)
        assert shown.noise.read == pytest.approx([1e-5 * 4**stops] * 3)
        # The light of x varies by the same noise, however it is scaled.
        x = np.array([0.1, 0.5])
        there, here = shown.noise.variance(x * 2**stops, 1), plain.noise.variance(x, 1)
        assert there == pytest.approx(4**stops * here)
    mosaic = dng(tmp_path / "mosaic.dng", data[..., 0], t50730=1.0)
    assert read(mosaic).white == WHITE


def test_a_baseline_exposure_that_makes_no_sense_is_left_out_with_a_word(tmp_path):
    data = np.full((HEIGHT, WIDTH, 3), 300, np.uint16)
    data[5:9, :, 1] = np.arange(WIDTH)
    picture = read(dng(tmp_path / "a.dng", data, None, t50730=40.0))
    assert picture.clip <= 1
    assert "BaselineExposure of 40" in picture.notes[0]


def test_a_picture_of_ours_with_lamps_is_as_bright_when_it_is_read_again(tmp_path, model):
    data = np.full((HEIGHT, WIDTH, 3), 0.2, np.float32)
    data[30:50, 30:50] = 12.0
    light = Linear(data=data, wb=(1.0, 1.0, 1.0), clip=100.0, ratio=100.0, exposure_s=0.1, iso=800)
    assert write_linear(tmp_path / "a.dng", light, develop(light)).halvings == 4
    again = enhance(read(tmp_path / "a.dng"), model, ratio=1, strength=0.0, again=True)
    assert np.abs(develop(again).data.astype(int) - develop(light).data).mean() < 1
