"""The page as files: complete, small, whole or not at all; its weights halved at no cost."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import onnx
import onnxruntime as ort
import pytest

pytest.importorskip("onnx", reason="the web extra is not installed")

from conftest import ROOT
from scotopic.develop import develop
from scotopic.disk.files import NOT_PHOTOS
from scotopic.enhance import enhance
from scotopic.errors import FileExistsRefusal, SettingsError, WriteError
from scotopic.frame import RGGB, X_TRANS
from scotopic.identify import RAW_SUFFIXES
from scotopic.models import OPTIONAL, find, with_optional
from scotopic.run import Model
from scotopic.sensor.simulated import expose, sony_a7s2
from scotopic.web import site
from scotopic.web.graph import APART_VALUES, page_graph

FIRST_MAX = 8_000_000
"""Bytes of the first visit, compressed: issue of the page."""


@pytest.fixture(scope="module")
def built() -> None:
    missing = [name for name in site.NEEDED if not (site.STATIC / name).is_file()]
    if missing:
        pytest.skip(f"the page is not built ({', '.join(missing)}): run make web")


@pytest.fixture(scope="module")
def written(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[site.Written]:
    with pytest.MonkeyPatch.context() as quicker:
        # Files come out larger than what is shipped, in a fifth of the time.
        quicker.setattr(site, "BROTLI_LEVEL", site.BROTLI_LEVEL_LATER)
        yield site.write_site(tmp_path_factory.mktemp("host") / "page")


def as_page_runs_it(name: str, folder: Path) -> Model:
    """The model with the session that the page makes of its own copy."""
    made = page_graph(find(name))
    page = onnx.load_from_string(made.graph)
    # What the page always tells may be left out here.
    for value in [v for v in page.graph.input if v.name in OPTIONAL]:
        page.graph.input.remove(value)
        page.graph.initializer.append(onnx.numpy_helper.from_array(OPTIONAL[value.name], value.name))
    (folder / "model.onnx").write_bytes(with_optional(page.SerializeToString()))
    (folder / "weights.bin").write_bytes(np.frombuffer(made.weights, "<f2").astype("<f4").tobytes())
    model = Model(name, device="cpu")
    model._runtime.session = ort.InferenceSession(
        str(folder / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    return model


@pytest.mark.parametrize("name", ["bayer-fast", "xtrans-fast"])
def test_halved_weights_change_no_picture_by_more_than_one_step_here_and_there(name, photo, tmp_path):
    cfa = X_TRANS if name == "xtrans-fast" else RGGB
    mosaic = expose(photo, sony_a7s2(3200), 100, np.random.default_rng(1), cfa=cfa)
    full = develop(enhance(mosaic, Model(name, device="cpu"))).data.astype(int)
    halved = develop(enhance(mosaic, as_page_runs_it(name, tmp_path))).data.astype(int)
    difference = np.abs(full - halved)
    assert difference.max() <= 1
    assert difference.mean() < 0.01
    # Were the weights the same the test would be of nothing.
    assert page_graph(find(name)).weights != b""


@pytest.mark.parametrize("name", ["bayer-fast", "xtrans-fast"])
def test_the_pages_graph_is_small_and_takes_two_bytes_a_weight(name):
    card = find(name)
    made = page_graph(card)
    assert len(made.graph) + len(made.weights) < card.graph.stat().st_size + 50_000
    assert 1.9 * card.parameters < len(made.weights) <= 2 * card.parameters
    # Most of it are the fixed filters, for X-Trans of 108 times 36 places of 3x3 each.
    assert len(made.graph) < (550_000 if card.cfa == "xtrans" else 200_000)
    assert made.about()["values"] * 2 == len(made.weights)
    assert made.about()["values"] > APART_VALUES


def test_the_first_visit_stays_below_eight_megabytes(written):
    assert 3_000_000 < written.first_download < FIRST_MAX
    listed = precache(written.folder)["files"]
    sent = sum(size_sent(written.folder / ("index.html" if path == "./" else path)) for path, _ in listed)
    # Beside what is kept only the service worker and its list are fetched.
    assert sent < written.first_download < sent + 20_000


def size_sent(path: Path) -> int:
    squeezed = path.with_name(path.name + ".br")
    return (squeezed if squeezed.exists() else path).stat().st_size


def precache(folder: Path) -> dict:
    found = re.fullmatch(r"self\.PRECACHE = (.*);\n", (folder / "precache.js").read_text(), re.S)
    return json.loads(found[1])


def test_the_precache_names_every_file_by_its_hash_those_of_the_first_visit_apart(written):
    listed, later = (dict(precache(written.folder)[rows]) for rows in ("files", "later"))
    for path, digest in (listed | later).items():
        content = (written.folder / ("index.html" if path == "./" else path)).read_bytes()
        assert hashlib.sha256(content).hexdigest().startswith(digest), path
    here = {p.relative_to(written.folder).as_posix() for p in written.folder.rglob("*") if p.is_file()}
    plain = {p for p in here if not p.endswith((".br", ".gz")) and not Path(p).name.startswith(".")}
    unlisted = plain - set(listed) - {"index.html"}
    assert {p for p in unlisted if "vendor/" not in p} == {"sw.js", "precache.js", "_headers", "api/status"}
    assert {p for p in unlisted if "vendor/" in p} == set(later)
    assert later
    assert all("asyncify" in p or "webgpu" in p for p in later)
    assert {"worker.js", "libraw.wasm", "constants.json", "models/xtrans-fast/weights.bin"} <= set(listed)


def test_what_is_compressed_is_the_same_and_everything_large_is_compressed(written):
    for path in written.folder.rglob("*"):
        if path.suffix == ".br":
            assert bytes(imagecodecs.brotli_decode(path.read_bytes())) == path.with_suffix("").read_bytes()
        elif path.suffix == ".gz":
            assert gzip.decompress(path.read_bytes()) == path.with_suffix("").read_bytes()
        elif path.is_file() and path.stat().st_size > 100_000 and path.suffix != ".png":
            assert path.with_name(path.name + ".br").exists(), path


def test_models_and_constants_are_those_of_the_package(written):
    constants = json.loads((written.folder / "constants.json").read_text())
    for name in {tiers["fast"] for tiers in constants["models"].values()}:
        folder = written.folder / "models" / name
        card = json.loads((folder / "card.json").read_text())
        assert card["sha256"] == find(name).sha256
        for file, digest in card["page"]["sha256"].items():
            assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest
        assert (folder / "weights.bin").stat().st_size == 2 * card["page"]["values"]


def test_the_files_load_nothing_from_elsewhere(written):
    for path in written.folder.rglob("*"):
        if path.suffix in (".html", ".css", ".webmanifest") or (
            path.suffix == ".js" and "vendor" not in path.parts
        ):
            text = path.read_text()
            assert not re.search(
                r"""(src|href|import|url|fetch)\s*[=(]?\s*["'(]?\s*(https?:)?//\w""", text
            ), path
    assert "api/status" not in (written.folder / "precache.js").read_text()
    assert json.loads((written.folder / "api" / "status").read_text()) == {}
    assert "Cross-Origin-Embedder-Policy: require-corp" in (written.folder / "_headers").read_text()


def test_writing_again_replaces_the_page_and_leaves_no_trace_beside_it(built, tmp_path):
    folder = tmp_path / "page"
    site.write_site(folder, compress=False)
    before = (folder / "precache.js").read_text()
    (folder / "precache.js.br").touch(exist_ok=False)
    (folder / "precache.js.br").unlink()
    site.write_site(folder, compress=False)
    assert (folder / "precache.js").read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["page"]


@pytest.mark.parametrize("name", ["holiday.jpg", "album/holiday.jpg", "index.html"])
def test_other_files_in_the_folder_are_never_wiped(built, tmp_path, name):
    folder = tmp_path / "page"
    site.write_site(folder, compress=False)
    own = folder / name
    own.parent.mkdir(exist_ok=True)
    own.write_text("mine")
    with pytest.raises(FileExistsRefusal, match=r"holiday|index"):
        site.write_site(folder, compress=False)
    assert own.read_text() == "mine"
    site.write_site(folder, compress=False, overwrite=True)
    assert (own.read_text() == "mine") == (name != "index.html")
    assert (folder / "worker.js").is_file()
    assert [p.name for p in tmp_path.iterdir()] == ["page"]


def test_a_folder_of_somebody_elses_is_refused_and_a_file_is_no_folder(built, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.arw").write_text("mine")
    with pytest.raises(FileExistsRefusal, match=r"a\.arw"):
        site.write_site(tmp_path / "photos", compress=False)
    assert [p.name for p in (tmp_path / "photos").iterdir()] == ["a.arw"]
    with pytest.raises(WriteError, match="is a file"):
        site.write_site(tmp_path / "photos" / "a.arw", compress=False)


def test_a_page_that_was_not_built_says_how_to_build_it(monkeypatch, tmp_path):
    monkeypatch.setattr(site, "STATIC", tmp_path)
    with pytest.raises(SettingsError, match="make web"):
        site.write_site(tmp_path / "page")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_command_writes_the_page_and_refuses_with_a_word(built, tmp_path):
    command = [sys.executable, "-m", "scotopic", "site", "--no-compress", str(tmp_path / "page")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "https" in done.stdout
    (tmp_path / "page" / "mine.txt").write_text("mine")
    refused = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=ROOT)
    assert refused.returncode == 1
    assert "mine.txt" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_page_picks_the_same_photos_from_folders_as_the_command_line() -> None:
    words = (site.STATIC / "screen/folders.js").read_text("utf-8")
    listed = re.search(r"ENDINGS = new Set\((.*?)\);", words, re.DOTALL)
    assert listed is not None
    assert {
        f".{ending}" for ending in re.findall(r"\b[a-z0-9]+\b", listed[1].replace(".split", ""))
    } == RAW_SUFFIXES
    aside = re.search(r"NOT_PHOTOS = new Set\((.*?)\);", words)
    assert aside is not None
    assert set(json.loads(aside[1])) == NOT_PHOTOS
