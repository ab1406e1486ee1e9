from __future__ import annotations

import json
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scotopic import run
from scotopic.enhance import graph_inputs, plan
from scotopic.errors import ModelError, SettingsError
from scotopic.evaluate.scenes import load_all
from scotopic.inference.tiles import spans
from scotopic.models import OPTIONAL, available, find, load_card, sha256, values_taken, with_optional
from scotopic.run import GraphInputs, Model, Models
from scotopic.sensor.pattern import extended
from scotopic.sensor.simulated import expose, sony_a7s2


@given(
    length=st.integers(1, 40).map(lambda n: n * 32),
    tile=st.integers(1, 20).map(lambda n: n * 32),
    halo=st.integers(0, 3).map(lambda n: n * 32),
)
def test_spans_cover_an_axis_once_and_read_their_halo(length, tile, halo):
    cut = list(spans(length, tile, halo, 32))
    assert [s.start for s in cut][1:] == [s.stop for s in cut][:-1]
    assert cut[0].start == 0
    assert cut[-1].stop == length
    for s in cut:
        assert s.start % 32 == 0
        assert s.stop - s.start <= tile
        assert s.read_start == max(0, s.start - halo)
        assert s.read_stop == min(length, s.stop + halo)


@pytest.mark.parametrize(("ratio", "iso"), [(1, 100), (100, 250), (300, 6400)])
def test_the_size_of_tiles_does_not_change_the_result(model, rng, ratio, iso):
    scene = load_all(limit=1)[0].camera[:480, :640].copy()
    scene[200:230, 300:340] = 30
    mosaic = expose(scene, sony_a7s2(iso), ratio, rng)
    inputs = graph_inputs(mosaic, plan(mosaic, ratio=ratio))
    small = model.run(mosaic.data, inputs, tile=160)
    large = model.run(mosaic.data, inputs, tile=640)
    difference = np.abs(small - large) / np.maximum(np.abs(large), 1)
    assert difference.max() < 1e-3


@pytest.mark.parametrize("size", [(33, 65), (97, 130), (64, 96), (2, 70), (161, 34)])
@pytest.mark.parametrize("before", [(0, 0), (1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("halo", [0, 96])
def test_edges_of_tiles_are_as_if_the_whole_mosaic_had_been_extended_first(model, dark, size, before, halo):
    inputs = graph_inputs(dark, plan(dark, ratio=100))
    data = dark.data[: size[0], : size[1]]
    margins = [(first, -(n + first) % 32) for n, first in zip(size, before, strict=True)]
    whole = data
    for part in (0, 1):
        one = [tuple(n * (place == part) for place, n in enumerate(m)) for m in margins]
        whole = extended(whole, one, 2)
    expected = model.run(whole, inputs, tile=64, halo=halo)
    cut = expected[before[0] : before[0] + size[0], before[1] : before[1] + size[1]]
    assert np.array_equal(model.run(data, inputs, before=before, tile=64, halo=halo), cut)


def test_edges_of_x_trans_tiles_are_as_if_the_whole_mosaic_had_been_extended_first(rng):
    model = Model("xtrans-fast", device="cpu")
    multiple = model.card.size_multiple
    data = rng.integers(500, 900, (multiple * 3 + 7, multiple * 2 + 4)).astype(np.uint16)
    inputs = GraphInputs((512.0,) * 3, (16383.0,) * 3, (1.0,) * 3, (1e-4,) * 3, (1e-7,) * 3, 20.0)
    before = (4, 5)
    whole = extended(data, [(n, 0) for n in before], 6)
    whole = extended(whole, [(0, -n % multiple) for n in whole.shape], 6)
    expected = model.run(whole, inputs, tile=multiple)[before[0] :, before[1] :]
    found = model.run(data, inputs, before=before, tile=multiple)
    assert np.array_equal(found, expected[: data.shape[0], : data.shape[1]])


@pytest.mark.parametrize("tile", [64, 2208])
def test_pieces_cover_the_picture_once(model, dark, tile):
    covered = np.zeros(dark.data.shape, int)

    def put(top, left, light):
        assert light.shape[0] == 3
        covered[top : top + light.shape[1], left : left + light.shape[2]] += 1

    model.run_into(put, dark.data, graph_inputs(dark, plan(dark, ratio=100)), before=(1, 1), tile=tile)
    assert (covered == 1).all()


@pytest.mark.parametrize(
    ("size", "before"), [((193, 225), (1, 1)), ((200, 131), (0, 1)), ((5, 300), (0, 0))]
)
@pytest.mark.parametrize("halo", [None, 0])
def test_pieces_are_changed_with_their_margins_and_cover_the_picture_once(model, dark, size, before, halo):
    data = np.tile(dark.data, (2, 2))[: size[0], : size[1]]
    inputs = graph_inputs(dark, plan(dark, ratio=100))
    whole = model.run(data, inputs, before=before).transpose(2, 0, 1)
    covered, margin = np.zeros(size, int), 7

    def change(top, left, piece, own):
        begins = [at + s.start for at, s in zip((top, left), own, strict=True)]
        ends = [at + s.stop for at, s in zip((top, left), own, strict=True)]
        assert [top, left] == [max(0, b - margin) for b in begins]
        assert piece.shape[1:] == tuple(
            min(n, e + margin) - at for n, e, at in zip(size, ends, (top, left), strict=True)
        )
        there = whole[:, top : top + piece.shape[1], left : left + piece.shape[2]]
        assert halo == 0 or np.abs(piece - there).max() < 1e-2
        return piece[:, own[0], own[1]] + 1

    def put(top, left, light):
        covered[top : top + light.shape[1], left : left + light.shape[2]] += 1

    more = {"before": before, "tile": 64, "halo": halo}
    model.run_into(put, data, inputs, change=change, margin=margin, **more)
    assert (covered == 1).all()


def test_without_a_halo_tiles_would_disagree(model, dark):
    inputs = graph_inputs(dark, plan(dark, ratio=100))
    bare = model.run(dark.data, inputs, tile=128, halo=0)
    assert np.abs(bare - model.run(dark.data, inputs)).max() > 1e-3


@pytest.mark.parametrize("size", [(30, 38), (64, 64), (100, 226)])
def test_any_even_size_comes_out_as_it_went_in(model, dark, size):
    inputs = graph_inputs(dark, plan(dark, ratio=100))
    assert model.run(dark.data[: size[0], : size[1]], inputs).shape == (*size, 3)


def test_the_graph_keeps_its_contract(model):
    graph = onnx.load(model.card.graph).graph
    shapes = {
        v.name: [d.dim_value or d.dim_param for d in v.type.tensor_type.shape.dim]
        for v in (*graph.input, *graph.output)
    }
    assert shapes["mosaic"][:2] == [1, 1]
    assert shapes["ratio"] == [1]
    assert all(shapes[n] == [4] for n in ("black", "white", "wb", "shot", "read"))
    assert set(shapes) == {"mosaic", "black", "white", "wb", "shot", "read", "ratio", "rgb", "plain"}
    assert all(
        v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT for v in (*graph.input, *graph.output)
    )


def test_what_is_optional_becomes_inputs_that_may_be_left_out(model):
    graph = onnx.load_from_string(with_optional(model.card.graph.read_bytes())).graph
    onnx.checker.check_graph(graph)
    added = graph.input[-len(OPTIONAL) :]
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer if t.name in OPTIONAL}
    assert [v.name for v in added] == list(OPTIONAL)
    for value in added:
        told = value.type.tensor_type
        assert np.array_equal(constants[value.name], OPTIONAL[value.name])
        assert onnx.helper.tensor_dtype_to_np_dtype(told.elem_type) == OPTIONAL[value.name].dtype
        assert tuple(d.dim_value for d in told.shape.dim) == OPTIONAL[value.name].shape


@pytest.mark.parametrize("card", available(), ids=lambda card: card.name)
def test_the_shipped_models_cards_tell_what_they_reach(card):
    told = card.raw["metrics"]["conditions"]
    assert {"x100 ISO 250", "x250 ISO 8000", "x300 ISO 320", "coloured light"} <= told.keys()
    for condition, figures in told.items():
        assert 10 < figures["psnr_db"] < 50, condition
        assert 0.2 < figures["ssim"] < 1, condition


@pytest.mark.parametrize("name", [card.name for card in available()])
def test_how_many_values_a_graph_takes_is_read_as_onnx_reads_it(name):
    content = find(name).graph.read_bytes()
    for value in onnx.load_from_string(content).graph.input:
        sizes = [d.dim_value or None for d in value.type.tensor_type.shape.dim]
        assert values_taken(content, value.name) == (sizes[0] if len(sizes) == 1 else None)
    assert values_taken(content, "gamma") is None


def test_a_damaged_graph_tells_at_most_a_wrong_number_of_values(rng):
    content = find("bayer-fast").graph.read_bytes()[-3000:]
    for _ in range(300):
        damaged = bytearray(content)
        damaged[rng.integers(len(content))] = rng.integers(256)
        assert isinstance(values_taken(bytes(damaged), "black"), int | None)
    for nonsense in (b"", b"no graph", b"\xff" * 10_000_000, b"\x3a\x00" * 10**6):
        assert values_taken(nonsense, "black") is None


@pytest.mark.parametrize("name", [card.name for card in available()])
@pytest.mark.parametrize("kind", ["dark", "hot pixels", "lamp", "saturated"])
def test_what_is_left_out_changes_nothing_of_the_rest(rng, name, kind):
    card = find(name)
    planes, side, edge = (4 if card.cfa == "bayer" else 3), 6 * card.size_multiple, card.edge
    mosaic = (512 + rng.normal(60, 20, (1, 1, side, side))).astype(np.float32)
    if kind == "hot pixels":
        mosaic[..., 50::71, 50::83] = 16383
    elif kind == "lamp":
        mosaic[..., 100:140, 90:120] = 4000
    elif kind == "saturated":
        mosaic[..., 100:140, 90:120] = 16383
    inputs = GraphInputs(*((v,) * planes for v in (512.0, 16383.0, 1.0, 1e-4, 1e-7)), 30.0)
    feed = {"mosaic": mosaic, **inputs.feed()}
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(with_optional(card.graph.read_bytes()), options)
    whole = dict(zip(("rgb", "plain"), session.run(["rgb", "plain"], feed), strict=True))
    trim = np.array([0, edge, 2 * edge, 3 * edge])
    rows, columns = slice(0, side - 3 * edge), slice(2 * edge, side - 4 * edge)
    for plain in (True, False):
        told = {"trim": trim, "with_plain": np.array(plain)}
        rgb, demosaiced = session.run(["rgb", "plain"], {**feed, **told})
        assert rgb.shape == (1, 3, side - 2 * edge, side - 4 * edge)
        inside = (..., slice(0, -edge), slice(edge, -edge))
        assert np.allclose(rgb[inside], whole["rgb"][..., rows, columns], atol=1e-5, rtol=1e-5)
        if plain or kind in ("lamp", "saturated"):
            assert np.allclose(demosaiced[inside], whole["plain"][..., rows, columns], atol=1e-5)
        else:
            assert demosaiced.size == 0


def flat_inputs(ratio: float, wb=(2.0, 1.0, 1.0, 1.6)) -> GraphInputs:
    return GraphInputs(
        black=(100.0,) * 4,
        white=(1100.0,) * 4,
        wb=wb,
        shot=(1e-4,) * 4,
        read=(1e-7,) * 4,
        ratio=ratio,
    )


def test_plain_is_a_linear_demosaic_of_the_amplified_light(model):
    rng = np.random.default_rng(3)
    a, b = (rng.uniform(0, 900, (64, 64)).astype(np.float32) for _ in range(2))
    inputs = flat_inputs(4)
    black = np.float32(100)
    plain = [model.run(m, inputs, strength=0) for m in (a + black, b + black, a + b + black)]
    assert np.abs(plain[0] + plain[1] - plain[2]).max() < 1e-3
    doubled = model.run(a + black, flat_inputs(8), strength=0)
    assert np.allclose(doubled, 2 * plain[0], atol=1e-4)


def test_plain_keeps_a_flat_colour_and_goes_below_black(model):
    cell = np.tile(np.array([[150.0, 300.0], [300.0, 200.0]], np.float32), (32, 32))
    plain = model.run(cell, flat_inputs(2), strength=0)
    assert np.allclose(plain, [2 * 2 * 0.05, 2 * 0.2, 2 * 1.6 * 0.1], atol=1e-5)
    below = model.run(np.full((64, 64), 90, np.float32), flat_inputs(2), strength=0)
    assert np.allclose(below[..., 1], -0.02, atol=1e-5)


def test_strength_blends_from_plain_to_full(model, dark):
    inputs = graph_inputs(dark, plan(dark, ratio=100))
    none, half, full = (model.run(dark.data, inputs, strength=s) for s in (0, 0.5, 1))
    assert np.allclose(half, (none + full) / 2, atol=1e-4)
    assert np.abs(full - none).mean() > 0.01


def test_progress_ends_at_one(model, dark):
    told: list[float] = []
    model.run(dark.data, graph_inputs(dark, plan(dark, ratio=100)), tile=96, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1


def test_every_shipped_model_is_sound_and_small():
    cards = available()
    assert {"bayer-fast"} <= {c.name for c in cards}
    for card in cards:
        Model(card.name, device="cpu")
        assert card.parameters <= (5_000_000 if card.name.endswith("-best") else 2_000_000)
        assert card.halo <= 96
        assert card.edge > 0
        assert (card.folder / "README.md").is_file()
    assert sum(card.graph.stat().st_size for card in cards) < 16e6


def test_a_changed_model_is_refused(tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(find("bayer-fast").folder, folder)
    Model(folder, device="cpu")
    graph = folder / "model.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    with pytest.raises(ModelError, match="SHA-256"):
        Model(folder)
    graph.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        Model(folder)


@pytest.mark.parametrize(
    "card", ["", "[]", "{}", '{"format": 99}', "not json"], ids=["empty", "list", "bare", "format", "text"]
)
def test_a_broken_card_is_refused(tmp_path, card):
    (tmp_path / "card.json").write_text(card)
    with pytest.raises(ModelError, match=r"card\.json"):
        load_card(tmp_path)


def test_an_edge_is_refused_that_the_graph_knows_nothing_of_or_that_does_not_fit(tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(find("bayer-fast").folder, folder)
    graph = (folder / "model.onnx").read_bytes()
    for name in OPTIONAL:
        graph = graph.replace(name.encode(), name.upper().encode())
    (folder / "model.onnx").write_bytes(graph)
    card = json.loads((folder / "card.json").read_text())
    card["sha256"] = sha256(folder / "model.onnx")
    for edge, words in ((16, "set it to 0"), (12, "must divide"), (-1, "must divide")):
        (folder / "card.json").write_text(json.dumps({**card, "edge": edge}))
        with pytest.raises(ModelError, match=words):
            Model(folder, device="cpu")
    (folder / "card.json").write_text(json.dumps({**card, "edge": 0}))
    Model(folder, device="cpu")


def test_a_size_multiple_that_breaks_the_pattern_is_refused(tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(find("bayer-fast").folder, folder)
    card = json.loads((folder / "card.json").read_text()) | {"size_multiple": 5, "halo": 95, "edge": 0}
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="size multiple 5 must be a multiple of 2"):
        Model(folder, device="cpu")


def test_a_card_of_kind_srgb_is_refused_whose_graph_gives_linear_light(tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(find("bayer-fast").folder, folder)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"kind": "srgb"}))
    with pytest.raises(
        ModelError, match=r"card\.json: tells kind srgb, but the graph has .*plain of kind linear"
    ):
        Model(folder, device="cpu")


def test_a_card_of_another_format_is_refused(tmp_path):
    raw = {**find("bayer-fast").raw, "format": 2}
    (tmp_path / "card.json").write_text(json.dumps(raw))
    with pytest.raises(ModelError, match="format 2"):
        load_card(tmp_path)


def test_threads_that_share_models_open_each_once():
    models = Models(device="cpu")
    with ThreadPoolExecutor(6) as threads:
        opened = list(threads.map(models.open, ["bayer"] * 6))
    assert len(set(map(id, opened))) == 1


def test_models_take_the_threads_they_are_given_up_to_the_machines_cores(monkeypatch):
    plain, told = run.open_runtime, []

    def open_runtime(graph, device, threads):
        told.append(threads)
        return plain(graph, device, threads)

    monkeypatch.setattr(run, "open_runtime", open_runtime)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    Models(device="cpu", threads=2).open("bayer")
    Model("bayer-fast", device="cpu", threads=100_000)
    assert told == [2, 3]


def test_models_that_have_opened_one_are_pickled_without_it():
    models = Models("bayer-fast", device="cpu")
    first = models.open("bayer")
    carried = pickle.loads(pickle.dumps(models))
    assert carried.card() == models.card()
    assert carried.open("bayer") is not first
    assert models.open("bayer") is first


def test_unknown_models_devices_and_tiles_are_refused(model, dark):
    with pytest.raises(ModelError, match="known are bayer-best"):
        Model("no-such-model")
    with pytest.raises(SettingsError, match="device"):
        Model("bayer-fast", device="abacus")
    for threads in (0, -1, 1.5):
        with pytest.raises(SettingsError, match=f"threads {threads}"):
            Model("bayer-fast", threads=threads)
        with pytest.raises(SettingsError, match=f"threads {threads}"):
            Models(threads=threads)
    with pytest.raises(SettingsError, match="multiples of 32"):
        model.run(dark.data, graph_inputs(dark, plan(dark, ratio=1)), tile=100)
