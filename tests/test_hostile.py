"""Files and models made to do harm. Thousands of files: tests/fuzz/hostile.py, run by .ci/run."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import tifffile
import torch
from onnx import TensorProto, external_data_helper, helper
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from safetensors.torch import save_file

import dng_files
from conftest import ROOT, SAMPLE
from dng_files import write
from fuzz import hostile, mutate, seeds
from fuzz.examine import examined
from node_page import run
from scotopic.calibration import profile as profiles
from scotopic.errors import DatasetError, ModelError, ReadError, SettingsError
from scotopic.identify import PAGES_MAX, all_pages
from scotopic.metadata import Exif, Words, read_exif, xmp
from scotopic.models import CARD_MAX, INPUTS, find, load_card, verified
from scotopic.read import read
from scotopic.run import Model
from scotopic.sandbox import Limits, try_graph
from scotopic.train import checkpoint
from scotopic.train.weights import load_run, load_start


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> list[Path]:
    return seeds.make_all(tmp_path_factory.mktemp("seeds"))


def test_the_files_to_mutate_are_whole(whole):
    for path in whole:
        assert examined(path) == "picture", path.name


def test_mutants_are_pictures_or_errors_of_ours_and_break_no_promise():
    """Small files and broken ones of other projects; each in a process that may crash, none of which did."""
    found = hostile.summary(list(hostile.outcomes(150, seed=7, most=100_000)))
    assert found["cases"] == 150
    assert found["faults"] == []
    assert found["crashes"] == []
    assert found["peak_mib"] < 2000
    assert set(found["verdicts"]) >= {"picture", "DamagedFileError", "UnsupportedRawError"}


def test_a_mutant_is_the_same_whenever_it_is_made(whole):
    one, other = (hostile.case(5, 3, whole) for _ in range(2))
    assert one == other
    assert hostile.case(6, 3, whole)[1] != one[1]
    assert {hostile.case(n, 0, whole)[2] for n in range(300)} >= {m.__name__ for m in mutate.MUTATIONS}


def tied(path: Path, onto: int) -> Path:
    """The first directory is followed by the one at `onto`."""
    content = bytearray(path.read_bytes())
    found = mutate.directories(bytes(content))
    assert found is not None
    struct.pack_into(found.order + "I", content, found.ends[0], onto)
    path.write_bytes(content)
    return path


def test_directories_in_a_circle_come_to_an_end(tmp_path, rng):
    path = write(tmp_path / "a.dng", rng.integers(0, 4000, (64, 96)).astype(np.uint16))
    data = read(path).data
    found = mutate.directories(path.read_bytes())
    assert found is not None
    tied(path, found.starts[0])
    with tifffile.TiffFile(path) as tiff:
        assert len(all_pages(tiff)) == 1
    assert np.array_equal(read(path).data, data)


@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_directories_are_not_all_looked_at(tmp_path, rng, seed):
    path = write(tmp_path / "a.dng", rng.integers(0, 4000, (64, 96)).astype(np.uint16))
    content = bytearray(path.read_bytes())
    mutate.nest(content, np.random.default_rng(seed))
    path.write_bytes(content)
    with tifffile.TiffFile(path) as tiff:
        assert len(all_pages(tiff)) <= PAGES_MAX
    examined(path)


def test_exif_that_claims_to_go_on_for_ever_is_left_out(tmp_path):
    """65535 entries at the end of the file, which are read one by one as zeros."""
    path = tmp_path / "a.dng"
    content = bytearray(SAMPLE.read_bytes())
    found = mutate.directories(bytes(content))
    assert found is not None
    entry = next(e for e in found.entries if e.tag == 34665)
    struct.pack_into(found.order + "I", content, entry.at + 8, len(content) - 10)
    content[-10:-8] = b"\xff\xff"
    path.write_bytes(content)
    assert read_exif(path).exif == {}


def test_thousands_of_long_texts_are_packed_once_each(monkeypatch):
    """In the process of a server: they were all packed again for each that did not fit."""
    exif = Exif(exif={0xD000 + i: "x" * 2000 for i in range(3000)}, gps={100 + i: 7 for i in range(3000)})
    packed = []
    tobytes = ImageFileDirectory_v2.tobytes
    monkeypatch.setattr(
        ImageFileDirectory_v2,
        "tobytes",
        lambda *given: packed.append(written := tobytes(*given)) or written,
    )
    assert len(exif.to_bytes(8, 8, "test", jpeg=True, at_most=65_527)) <= 65_527
    assert sum(map(len, packed)) < 2 * 3000 * 2018
    assert max(map(len, packed)) <= 65_527
    packed.clear()
    assert len(exif.to_bytes(8, 8, "test")) <= 1 << 20
    exif.directories()
    assert sum(map(len, packed)) < 4 * 3000 * 2018
    assert max(map(len, packed)) <= 1 << 20


def test_the_page_packs_thousands_of_long_texts_once_each_and_no_segment_too_long():
    texts, segment = run("hostile_words.mjs")
    assert 60_000 < texts["size"] <= 65_527
    assert texts["encoded"] < 2 * 3000
    assert segment == {"what": "segment", "most": 65_527 + 10, "more": "RangeError"}


def test_exif_of_the_wrong_kind_is_left_out_and_the_rest_is_kept(tmp_path):
    """A description that is a number: it could not be written into any result."""
    data = np.zeros((64, 96), np.uint16)
    data[0] = 900
    path = tmp_path / "a.tif"
    tags = [(270, 11, 1, 0.5, True), (315, 2, 0, "Zoë".encode(), True), (50706, 1, 4, b"\1\4\0\0", True)]
    tifffile.imwrite(path, data, extratags=tags, metadata=None, software=False)
    exif = read_exif(path)
    assert 0x010E not in exif.main
    assert exif.main[0x013B]
    assert exif.to_bytes(96, 64, "test")


def test_a_file_that_states_its_samples_twice_is_read_as_its_first_word_has_it(tmp_path, rng):
    """LibRaw takes the last: one value a pixel where there are three."""
    data = rng.integers(0, 9000, (64, 96, 3)).astype(np.uint16)
    path = write(tmp_path / "a.dng", data, cell=None)
    light = read(path).data
    content = bytearray(path.read_bytes())
    found = mutate.directories(bytes(content))
    assert found is not None
    entry = next(e for e in found.entries if e.tag == 282)
    struct.pack_into(found.order + "H", content, entry.at, 277)
    path.write_bytes(content)
    assert np.array_equal(read(path).data, light)


def test_a_place_beyond_all_files_is_damage(tmp_path, rng):
    data = rng.integers(0, 255, (64, 96)).astype(np.uint8)
    options = {"compression": 34892, "compressionargs": {"level": 98}, "bigtiff": True}
    path = write(tmp_path / "a.dng", data, **options)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        strips = tiff.pages[0].tags[273]
        struct.pack_into("<Q", content, strips.valueoffset, 2**63 + 10)
    path.write_bytes(content)
    with pytest.raises(ReadError, match=r"a\.dng"):
        read(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_words_that_unfold_themselves_are_left_out(encoding):
    """Ten levels of ten: a thousand bytes that stand for ten thousand million letters."""
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    body = (
        f'<r:RDF xmlns:r="{rdf}" xmlns:d="http://purl.org/dc/elements/1.1/"><r:Description><d:title>'
        "&e{};</d:title></r:Description></r:RDF>"
    )
    head = f'<?xml version="1.0" encoding="{encoding}"?>'
    entities = f'<!DOCTYPE r [<!ENTITY e0 "words words ">{levels}]>'
    for deep in (0, 9):
        assert xmp.parse((head + entities + body.format(deep)).encode(encoding)) == (Words(), False)
    plain = body.replace("&e{};", "Night")
    assert encoding != "utf-8" or xmp.parse((head + plain).encode())[0].title == "Night"


def test_a_folder_of_mutants_gives_whole_pictures_and_named_errors_in_the_sandbox(tmp_path, whole):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for number, source in enumerate([p for p in whole if p.stem in ("plain", "jpeg-xl")]):
        content, _ = mutate.mutated(source.read_bytes(), b"II*\0" * 9, np.random.default_rng(number))
        (folder / source.name).write_bytes(content)
    (folder / "cut.dng").write_bytes(whole[0].read_bytes()[:200])
    words = ["enhance", "--sandbox", "--json", str(folder), "-o", str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "scotopic", *words], capture_output=True, text=True, check=False, timeout=300
    )
    facts = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(facts) == 3
    assert done.returncode == 1
    for one in facts:
        assert (one["status"] == "done") == (one["error"] is None)
    written = {Path(one["output"]).name for one in facts if one["status"] == "done"}
    left = {p.name for p in out.iterdir() if "journal" not in p.name} if out.exists() else set()
    assert left == written
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("curves", [[[1.0] * 100_000], [[0.0, 1.0]] * 900])
def test_curves_that_would_take_hours_are_left_out_with_a_word(tmp_path, rng, curves):
    opcodes = dng_files.opcode_list(*(dng_files.polynomial(curve, 64, 96) for curve in curves))
    data = rng.integers(0, 4000, (64, 96)).astype(np.uint16)
    mosaic = read(write(tmp_path / "a.dng", data, tags={51009: opcodes}))
    assert np.array_equal(mosaic.data, data)
    assert any("beyond all measure" in note for note in mosaic.notes)


@pytest.mark.slow
def test_thousands_of_mutants_of_every_file_at_hand_break_no_promise():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "fuzz" / "hostile.py"), "--cases", "2000", "--seed", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    found = json.loads(done.stdout)
    assert found["cases"] == 2000
    # LibRaw's own crashes cost the process that decodes, and no more; none is known.
    assert found["crashes"] == []


def test_mutated_cards_are_read_or_refused(tmp_path, rng):
    text = (find("bayer-fast").folder / "card.json").read_bytes()
    refused = read_well = 0
    for _ in range(150):
        content = bytearray(text)
        for _ in range(int(rng.integers(1, 4))):
            [mutate.flip_bits, mutate.truncate, mutate.zero_block, mutate.move_block][int(rng.integers(4))](
                content, rng
            )
        (tmp_path / "card.json").write_bytes(content)
        try:
            load_card(tmp_path)
        except ModelError as error:
            refused += "card.json" in str(error)
        else:
            read_well += 1
    assert refused > 50
    assert refused + read_well == 150


def test_a_card_beyond_all_measure_is_refused(tmp_path):
    (tmp_path / "card.json").write_text(" " * CARD_MAX + "{}")
    with pytest.raises(ModelError, match="more than"):
        load_card(tmp_path)
    (tmp_path / "card.json").write_text("[" * 500_000)
    with pytest.raises(ModelError, match="no model card"):
        load_card(tmp_path)


def test_mutated_profiles_are_read_or_refused(tmp_path, rng):
    path = tmp_path / "profile.json"
    text = a_profile().to_json().encode()
    refused = read_well = 0
    for _ in range(150):
        content = bytearray(text)
        [mutate.flip_bits, mutate.truncate, mutate.zero_block, mutate.move_block][int(rng.integers(4))](
            content, rng
        )
        path.write_bytes(content)
        try:
            profiles.load(path)
        except SettingsError as error:
            refused += "profile.json" in str(error)
        else:
            read_well += 1
    assert refused > 50
    assert refused + read_well == 150


def a_profile() -> profiles.CameraProfile:
    setting = profiles.Setting(
        iso=800.0,
        exposure_s=1.0,
        dark_frames=4,
        read_std_dn=3.0,
        row_std_dn=0.5,
        black_error_dn=(0.1,) * 4,
        hot_share=0.0,
    )
    pattern = profiles.Pattern(
        np.zeros((4, 6), np.float32),
        np.zeros(64, np.float32),
        np.zeros(96, np.float32),
        np.zeros((0, 2), np.uint16),
    )
    return profiles.CameraProfile(
        make="SONY",
        model="ILCE-7SM2",
        serial="",
        cfa=((0, 1), (1, 2)),
        black_dn=(512.0,) * 4,
        white_dn=16383.0,
        height=64,
        width=96,
        settings=(setting,),
        patterns=(pattern,),
    )


def placed(folder: Path, graph: onnx.ModelProto, *, name: str = "model.onnx") -> Path:
    """A model folder whose card was written for this very graph."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(graph.SerializeToString())
    return carded(folder)


def carded(folder: Path) -> Path:
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    card = find("bayer-fast").raw | {"sha256": digest, "name": "hostile"}
    (folder / "card.json").write_text(json.dumps(card))
    return folder


def graph_of(nodes: list[onnx.NodeProto], weights: list[TensorProto]) -> onnx.ModelProto:
    """A graph that keeps the contract's inputs and outputs."""
    sizes: dict[str, list[int | str]] = {"mosaic": [1, 1, "h", "w"], "ratio": [1]}
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, sizes.get(n, [4])) for n in INPUTS]
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("rgb", "plain")]
    graph = helper.make_graph(nodes, "hostile", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def outside(location: str) -> onnx.ModelProto:
    """A graph whose weights lie in a file of that name."""
    weight = helper.make_tensor("weight", TensorProto.FLOAT, [4], [1.0, 2.0, 3.0, 4.0])
    weight.raw_data = np.ones(4, np.float32).tobytes()
    weight.ClearField("float_data")
    external_data_helper.set_external_data(weight, location, 0, 16)
    weight.ClearField("raw_data")
    nodes = [helper.make_node("Add", ["wb", "weight"], [name]) for name in ("rgb", "plain")]
    return graph_of(nodes, [weight])


@pytest.mark.parametrize("where", ["../weights.bin", "/etc/passwd", "weights.bin"])
def test_a_graph_with_weights_in_another_file_is_refused(tmp_path, where):
    (tmp_path / "weights.bin").write_bytes(np.ones(4, np.float32).tobytes())
    folder = placed(tmp_path / "model", outside(where))
    (folder / "weights.bin").write_bytes(np.ones(4, np.float32).tobytes())
    for refusing in (
        lambda: verified(load_card(folder)),
        lambda: Model(folder),
        lambda: load_start(str(folder)),
    ):
        with pytest.raises(ModelError, match="another file"):
            refusing()


def test_the_word_for_other_files_is_known_however_it_is_written(tmp_path):
    """Protocol buffers may write a length with more bytes than it needs."""
    content = outside("w.bin").SerializeToString()
    at = content.index(b"\x08location")
    assert content.count(b"\x08location") == 1
    longer = content[:at] + b"\x88\x80\x00" + content[at + 1 :]
    folder = placed(tmp_path / "model", outside("w.bin"))
    (folder / "model.onnx").write_bytes(longer)
    with pytest.raises(ModelError, match="another file"):
        verified(load_card(carded(folder)))


def test_names_of_nodes_may_have_the_word_in_them(tmp_path):
    node = helper.make_node("Identity", ["mosaic"], ["rgb"], name="location/of/allocation")
    folder = placed(
        tmp_path / "model", graph_of([node, helper.make_node("Identity", ["wb"], ["plain"])], [])
    )
    verified(load_card(folder))


HUGE = {
    "a constant": ([10_000, 10_000, 100], "ConstantOfShape"),
    "a constant that no memory holds": ([1 << 20, 1 << 20, 1 << 20], "ConstantOfShape"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds programs to their address space")
@pytest.mark.parametrize("name", HUGE)
def test_a_graph_with_a_constant_beyond_all_measure_is_refused_before_it_fills_the_memory(tmp_path, name):
    dims, operator = HUGE[name]
    shape = helper.make_tensor("shape", TensorProto.INT64, [len(dims)], dims)
    nodes = [
        helper.make_node(operator, ["shape"], ["huge"]),
        helper.make_node("ReduceSum", ["huge"], ["one"], keepdims=0),
        *(helper.make_node("Add", ["wb", "one"], [n]) for n in ("rgb", "plain")),
    ]
    folder = placed(tmp_path / "model", graph_of(nodes, [shape]))
    with pytest.raises(ModelError, match=r"model\.onnx"):
        Model(folder, device="cpu")


@pytest.mark.skipif(sys.platform != "linux", reason="uses the limits that Linux holds")
def test_a_graph_with_a_loop_without_end_meets_the_limits(tmp_path):
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Sin", ["x"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("n", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [4]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [4]),
        ],
    )
    weights = [
        helper.make_tensor("times", TensorProto.INT64, [], [2**62]),
        helper.make_tensor("true", TensorProto.BOOL, [], [True]),
    ]
    nodes = [
        helper.make_node("Loop", ["times", "true", "wb"], ["rgb"], body=body),
        helper.make_node("Identity", ["rgb"], ["plain"]),
    ]
    folder = placed(tmp_path / "model", graph_of(nodes, weights))
    with pytest.raises(ModelError, match="computing allowed"):
        try_graph(folder / "model.onnx", 4, 64, Limits(cpu_s=1))


def test_a_graph_that_is_none_and_one_of_unknown_operators_are_refused(tmp_path):
    folder = placed(tmp_path / "model", graph_of([], []))
    (folder / "model.onnx").write_bytes(pickle.dumps({"weights": [1, 2, 3]}))
    with pytest.raises(ModelError, match=r"model\.onnx"):
        Model(carded(folder), device="cpu")
    node = helper.make_node("RunThis", ["mosaic"], ["rgb"], domain="harm")
    with pytest.raises(ModelError, match=r"model\.onnx"):
        Model(placed(folder, graph_of([node], [])), device="cpu")


def test_a_graph_may_not_change_between_the_look_and_the_opening(tmp_path, monkeypatch):
    """What was verified is what is opened: the bytes, not the name."""
    folder = tmp_path / "mine"
    shutil.copytree(find("bayer-fast").folder, folder)
    from scotopic import run

    def swapped(*_: object) -> None:
        (folder / "model.onnx").write_bytes(b"something else")

    monkeypatch.setattr(run, "try_graph", swapped)
    Model(folder, device="cpu")


class Harm:
    def __reduce__(self):
        return Path.touch, (Path("harm-was-done"),)


@pytest.mark.parametrize("kind", ["pickle", "torch", "old torch"])
def test_pickles_are_refused_in_words_and_never_opened(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    content = {"w": Harm()}
    for name in ("weights.safetensors", "step-00000001.safetensors"):
        path = tmp_path / name
        if kind == "pickle":
            path.write_bytes(pickle.dumps(content))
        else:
            torch.save(content, path, _use_new_zipfile_serialization=kind == "torch")
            assert zipfile.is_zipfile(path) == (kind == "torch")
    (tmp_path / "recipe.json").write_text("{}")
    for refusing in (
        lambda: load_start(str(tmp_path / "weights.safetensors")),
        lambda: load_run(tmp_path),
        lambda: checkpoint.load(tmp_path / "step-00000001.safetensors"),
    ):
        with pytest.raises(DatasetError, match="pickle"):
            refusing()
    assert not (tmp_path / "harm-was-done").exists()


def test_tensors_are_no_pickle_whatever_their_header_is_long(tmp_path):
    """The first byte of a safetensors file is that of a length, and may be a pickle's."""
    for length in range(200):
        path = tmp_path / "w.safetensors"
        save_file({"w": torch.zeros(2)}, path, metadata={"words": "x" * length})
        if path.read_bytes()[:1] == b"\x80":
            assert load_start(str(path))["w"].shape == (2,)
            return
    raise AssertionError("no such length came")


def test_names_and_words_of_a_file_do_no_harm_on_a_terminal(tmp_path, whole):
    path = tmp_path / "a.dng"
    told = set()
    for number in range(40):
        path.write_bytes(hostile.case(number, 11, whole)[1])
        try:
            read(path)
        except ReadError as error:
            told.add(str(error))
    assert len(told) > 3
    assert all(words.isprintable() for words in told)
