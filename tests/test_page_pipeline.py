"""The page's modules against Python's: the same pictures through both, stage by stage, in Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import BAYER_PHASES, MORE_DATA, ROOT, SAMPLE
from scotopic.balance import balanced, daylight, of_the_brightest
from scotopic.develop import develop
from scotopic.dng.write import write_mosaic
from scotopic.enhance import enhance, graph_inputs, plan
from scotopic.evaluate.conditions import with_lateral_colour
from scotopic.evaluate.scenes import Scene
from scotopic.exposure import binned_light
from scotopic.facts import NO_BLACK, NO_LIGHT, describe
from scotopic.frame import RGGB, X_TRANS, Linear, Mosaic, NoiseProfile
from scotopic.models import find
from scotopic.noise import from_table
from scotopic.read import read
from scotopic.run import Model
from scotopic.sensor.lateral import Lateral
from scotopic.sensor.mend import without_voids
from scotopic.sensor.noise_line import SHOT_LEAST_PER_ISO
from scotopic.sensor.pattern import extended, missing, of_even_black, pattern_of
from scotopic.sensor.remosaic import as_mosaic, hardly_noisy
from scotopic.sensor.simulated import Sensor, expose, known_sensor, sony_a7s2
from scotopic.sensor.smoothed import smoothing
from scotopic.web.constants import constants
from scotopic.web.graph import page_graph
from test_shading import flat_file
from test_smoothed import remosaiced, smoothed_by_camera

DRIVER = Path(__file__).parent / "page" / "worker-pipeline.mjs"

MEAN_OFF, MOST_OFF = 1.0, 3
"""How far results may lie apart in 8 bits, on average and at most."""

RELATIVE = 1e-3
"""How far amplification, noise and white balance may lie apart."""


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A function that runs jobs with the page's modules in Node: job names to results."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed: the page's modules cannot be compared with Python's")
    if not (ROOT / "node_modules" / "onnxruntime-web").is_dir():
        pytest.skip("onnxruntime-web is not installed: run make web")
    folder = tmp_path_factory.mktemp("page")
    (folder / "constants.json").write_text(json.dumps(constants()))
    for name in ("bayer-fast", "xtrans-fast"):
        card = find(name)
        made = page_graph(card)
        target = folder / "models" / name
        target.mkdir(parents=True)
        (target / "model.onnx").write_bytes(made.graph)
        (target / "weights.bin").write_bytes(made.weights)
        shutil.copy(card.folder / "card.json", target)

    def run(jobs: list[dict[str, Any]]) -> dict[str, Any]:
        for job in jobs:
            captured = job.get("captured")
            if captured is not None and not isinstance(captured, dict):
                job["captured"] = written(captured, folder, job["name"])
        (folder / "jobs.json").write_text(json.dumps(jobs))
        done = subprocess.run(["node", DRIVER, folder], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
        results = json.loads((folder / "results.json").read_text())
        for name, result in results.items():
            assert "error" not in result, f"{name}: {result['error']}"
        return results

    run.folder = folder
    return run


def written(captured: Mosaic | Linear, folder: Path, name: str) -> dict[str, Any]:
    """A picture as the page's `read` would give it; its values go into a file."""
    values = captured.data if isinstance(captured, Mosaic) else captured.data.transpose(2, 0, 1)
    (folder / f"{name}.in").write_bytes(np.ascontiguousarray(values).tobytes())
    picture: dict[str, Any] = {
        "data": f"{name}.in",
        "floats": values.dtype == np.float32,
        "height": captured.data.shape[0],
        "width": captured.data.shape[1],
        "wb": captured.wb,
        "xyzToCamera": None
        if captured.xyz_to_camera is None
        else np.asarray(captured.xyz_to_camera).tolist(),
        "iso": captured.iso,
        "make": captured.make,
        "model": captured.model,
        "orientation": captured.orientation,
        "noise": None,
    }
    if captured.noise is not None:
        picture["noise"] = {
            "shot": captured.noise.shot,
            "read": captured.noise.read,
            "source": captured.noise.source,
        }
    if isinstance(captured, Linear):
        return picture | {
            "kind": "linear",
            "clip": captured.clip,
            "ratio": captured.ratio,
            "monochrome": captured.monochrome,
        }
    return picture | {
        "kind": "mosaic",
        "cfa": captured.cfa,
        "black": captured.black.tolist(),
        "white": captured.white,
        "saturation": captured.saturation,
    }


def shown(node, name: str, result: dict[str, Any]) -> np.ndarray:
    data = np.fromfile(node.folder / f"{name}.out", np.uint8)
    return data.reshape(result["height"], result["width"], 3)


def check_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape
    apart = np.abs(ours.astype(int) - theirs)
    assert apart.mean() < MEAN_OFF
    assert apart.max() <= MOST_OFF


def linear_of(photo: np.ndarray, rng: np.random.Generator, **changes: Any) -> Linear:
    """A noisy picture with all colours at a pixel, as a phone's linear DNG holds it."""
    mosaic = expose(photo, sony_a7s2(800), 20, rng)
    light = np.maximum(photo / 20 / np.array(mosaic.wb), 0)
    noisy = (light + rng.normal(0, 2e-4, light.shape)).astype(np.float32)
    # One phase of it was counted, the rest made up from neighbours.
    noisy[:, 1:-1] = (noisy[:, :-2] + 2 * noisy[:, 1:-1] + noisy[:, 2:]) / 4
    noisy[1::2, 0::2, 0] += rng.normal(0, 4e-4, noisy[1::2, 0::2, 0].shape)
    known = {"wb": mosaic.wb, "xyz_to_camera": mosaic.xyz_to_camera, "iso": 800.0, "orientation": 1}
    return Linear(data=noisy, clip=1.0, ratio=1.0, **known | changes)


BLUE_LIGHT = np.array([0.03, 0.1, 1.0])
"""A lamp's colours, balanced by the camera."""

LINES_OFF = [(1, 57), (1, 130), (1, 201), (0, 88)]
"""Columns, then rows, of `with_lines_off`; those that are bright before those that are dead."""


def with_lines_off(counts: np.ndarray) -> np.ndarray:
    """With a bright column, half of another, a dead one, and a bright row."""
    spoilt = counts.copy()
    spoilt[:, 57] += 200
    spoilt[:140, 130] += 400
    spoilt[:, 201] = 0
    spoilt[88] += 150
    return spoilt


def weak_lines(shape: tuple[int, int]) -> Sensor:
    """A sensor with many columns that are a little off: what Python takes for one, the page takes too."""
    sensor = sony_a7s2(3200)
    offsets = np.zeros(shape[1])
    offsets[20::60] = np.linspace(0.5, 3, offsets[20::60].size) * sensor.read_std_dn
    return replace(sensor, shading_dn=np.broadcast_to(offsets, shape).astype(np.float32))


@pytest.fixture(scope="module")
def pictures(photo) -> dict[str, Mosaic | Linear]:
    """One of each kind that is treated otherwise somewhere on the way."""
    rng = np.random.default_rng(11)
    scene = photo[:200, :232]
    base = expose(scene, sony_a7s2(3200), 100, rng)
    found: dict[str, Mosaic | Linear] = {
        "".join("RGB"[c] for row in cfa for c in row): expose(scene, sony_a7s2(3200), 100, rng, cfa=cfa)
        for cfa in BAYER_PHASES
    }
    found["x-trans"] = expose(scene, sony_a7s2(3200), 100, rng, cfa=X_TRANS)
    moved = tuple(tuple(np.roll(np.array(X_TRANS), (-2, -1), (0, 1))[y]) for y in range(6))
    moved = tuple(tuple(int(c) for c in row) for row in moved)
    found["x-trans moved"] = expose(scene[:199, :230], sony_a7s2(3200), 50, rng, cfa=moved)
    found["odd"] = base.with_changes(data=base.data[:97, :131])
    uneven = expose(scene, sony_a7s2(800), 40, rng, cfa=BAYER_PHASES[1])
    found["black by place"] = uneven.with_changes(black=np.array([[512.0, 520.5], [505.0, 512.0]]))
    for name, cfa in (("", RGGB), (", X-Trans", X_TRANS)):
        darkest = expose(scene, sony_a7s2(6400), 300, rng, cfa=cfa)
        found[f"cut at black{name}"] = darkest.with_changes(
            data=np.maximum(darkest.data.astype(np.int32) - 512, 0).astype(np.uint16),
            black=np.zeros((len(cfa), len(cfa))),
            white=15871.0,
            saturation=15871.0,
            make="",
            model="",
        )
    grey = expose(photo, sony_a7s2(3200), 100, rng)
    found["smoothed by its camera"] = smoothed_by_camera(grey, 0.8).with_changes(make="", model="")
    found["remosaiced by its camera"] = remosaiced(photo, sony_a7s2(3200), 100, rng).with_changes(
        make="", model=""
    )
    found["an ISO of 1"] = grey.with_changes(make="", model="", iso=1.0)
    for name in ("GRBG", "x-trans moved"):
        data = found[name].data.copy()
        data[rng.random(data.shape) < 0.002] = 9000
        found[f"{name}, hot pixels"] = found[name].with_changes(data=data)
    for name, cfa in (("", BAYER_PHASES[2]), (", X-Trans", X_TRANS)):
        whole = expose(photo, sony_a7s2(3200), 100, rng, cfa=cfa)
        found[f"lines off{name}"] = whole.with_changes(data=with_lines_off(whole.data))
    tall = np.tile(photo, (4, 1, 1))
    found["weak lines, X-Trans"] = expose(tall, weak_lines(tall.shape[:2]), 100, rng, cfa=X_TRANS)
    dark = expose(np.tile(photo, (2, 2, 1)), sony_a7s2(3200), 100, rng, cfa=BAYER_PHASES[3])
    found["black stated too high"] = dark.with_changes(
        black=dark.black + np.array([[4.0, 3.0], [6.0, 9.0]])
    )
    # Beyond the limit, but not so far that black is lowered by all that is found.
    found["black stated hardly too high"] = dark.with_changes(
        black=dark.black + np.array([[0.9, 0.7], [0.8, 0.9]])
    )
    torn = base.data.copy()
    torn[:, :40] = 0
    torn[100] = 3
    found["voids"] = base.with_changes(data=torn)
    lit = scene.copy()
    lit[60:90, 60:90] = [30.0, 16.0, 4.0]
    lit[120:160, 120:160] = 400.0
    found["lamps"] = expose(lit, sony_a7s2(250), 100, rng)
    found["early saturation"] = found["lamps"].with_changes(saturation=15360.0)
    found["no shot noise"] = base.with_changes(
        noise=NoiseProfile((0.0,) * 3, (1e-6,) * 3, "a tag"), make="", model=""
    )
    found["a tag that is wrong"] = base.with_changes(
        noise=NoiseProfile((1e-2,) * 3, (1e-3,) * 3, "a tag"), make="", model="", orientation=6
    )
    found["floats"] = base.with_changes(data=base.data.astype(np.float32) + np.float32(0.25), orientation=8)
    found["no matrix"] = base.with_changes(xyz_to_camera=None, orientation=3)
    found["linear"] = linear_of(scene, rng)
    spoilt = found["linear"].data.copy()
    for y, x in ((30, 40), (31, 90), (97, 121), (198, 3), (0, 231)):
        spoilt[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2, 0] += 0.01
        spoilt[y, x] += 0.1
    found["linear, hot pixels"] = found["linear"].with_changes(data=spoilt)
    found["linear, hardly any noise"] = found["linear"].with_changes(
        data=(scene / np.array(base.wb) + rng.normal(0, 5e-4, scene.shape)).astype(np.float32),
        noise=NoiseProfile((0.0,) * 3, (2.5e-7,) * 3, "a tag"),
    )
    for name, cfa in (("blue light", BAYER_PHASES[1]), ("blue light, X-Trans", X_TRANS)):
        found[name] = expose(scene * BLUE_LIGHT, sony_a7s2(800), 10, rng, cfa=cfa)
    found["linear, blue light"] = linear_of(scene * BLUE_LIGHT, rng)
    drawn = with_lateral_colour(Scene("", photo))
    aside = tuple(row[1:] + row[:1] for row in X_TRANS)
    for name, cfa in (
        ("", RGGB),
        (", GBRG", BAYER_PHASES[2]),
        (", X-Trans", X_TRANS),
        (", X-Trans aside", aside),
    ):
        found[f"fringes{name}"] = expose(drawn, sony_a7s2(400), 4, rng, cfa=cfa)
    uneven = np.array(found["fringes, X-Trans"].black)
    uneven[::2] += 40
    uneven[:, ::3] -= 40
    found["fringes, X-Trans, black by place"] = found["fringes, X-Trans"].with_changes(black=uneven)
    torn = found["fringes"].data.copy()
    torn[:, :40] = 0
    torn[100:120, 100:160] = 0
    found["fringes and voids"] = found["fringes"].with_changes(data=torn)
    # Edges that stand alike upon all pixels, which is no lens.
    level = np.kron(np.indices((32, 36)).sum(axis=0) % 2, np.ones((8, 8)))
    places = np.arange(232) + 0.5 * np.arange(200)[:, None]
    woven = 0.25 + 0.07 * (np.cos(places * 1.7) + np.cos(places * 1.1))
    weave = expose(np.repeat(woven[..., None], 3, axis=2), sony_a7s2(400), 4, rng)
    found["weave"] = weave.with_changes(make="", model="")
    right = sony_a7s2(400).noise_profile()
    found["weave, stated"] = found["weave"].with_changes(noise=right)
    wrong = NoiseProfile(tuple(v / 9 for v in right.shot), tuple(v / 9 for v in right.read), "wrong")
    found["odd, stated wrong"] = found["odd"].with_changes(noise=wrong)
    found["squares"] = expose(np.repeat(0.05 + 0.6 * level[..., None], 3, axis=2), sony_a7s2(400), 4, rng)
    found["no black level"] = base.with_changes(black=np.zeros((2, 2)))
    found["no black level, floats"] = found["floats"].with_changes(black=np.zeros((2, 2)))
    found["under a lens cap"] = expose(np.zeros((96, 128, 3)), sony_a7s2(6400), 300, rng)
    found["monochrome"] = linear_of(
        np.repeat(scene[..., 1:2], 3, axis=2), rng, monochrome=True, wb=(1.0, 1.0, 1.0), xyz_to_camera=None
    )
    return found


def test_amplification_noise_and_the_graphs_inputs_are_pythons(node, pictures):
    results = node([{"name": n, "call": "plan", "captured": p} for n, p in pictures.items()])
    assert smoothing(pictures["smoothed by its camera"]) > 5
    assert smoothing(pictures["remosaiced by its camera"]) > 2
    for name, picture in pictures.items():
        got, made = results[name], plan(picture)
        mosaic = made.mosaic_of(picture)
        assert got["replaced"] == {
            "hot": made.replaced.hot,
            "lines": [vars(line) for line in made.replaced.lines],
        }, name
        if "weak lines" not in name:
            places = [(line.axis, line.place) for line in made.replaced.lines]
            assert places == LINES_OFF * ("lines off" in name), name
        assert (made.replaced.hot > 20) == (name in ("GRBG, hot pixels", "x-trans moved, hot pixels")), name
        assert tuple(map(tuple, got["cfa"])) == mosaic.cfa, name
        assert got["light"] == pytest.approx(binned_light(mosaic).tolist(), rel=RELATIVE, abs=1e-9), name
        assert got["exposure"]["ratio"] == pytest.approx(made.exposure.ratio, rel=RELATIVE), name
        hardly = isinstance(picture, Linear) and hardly_noisy(made.noise.profile, made.exposure.ratio)
        assert got["kept"] == hardly == (name == "linear, hardly any noise"), name
        assert got["dark"] == (NO_LIGHT in (describe(picture, made)["warning"] or "")), name
        assert got["dark"] == (name == "under a lens cap"), name
        assert (made.black_lowered is not None) == name.startswith("black stated"), name
        assert got["pale"] == (NO_BLACK in (describe(picture, made)["warning"] or "")), name
        assert got["pale"] == ("no black level" in name), name
        lateral = made.lateral or Lateral((0, 0, 0, 0), (0, 0, 0, 0))
        assert (got["lateral"] is None) == (made.lateral is None), name
        assert made.lateral is not None or not name.startswith("fringes"), name
        assert made.lateral is None or name != "squares"
        for colour in ("red", "blue"):
            theirs = (got["lateral"] or {colour: (0, 0, 0, 0)})[colour]
            assert theirs == pytest.approx(getattr(lateral, colour), rel=RELATIVE, abs=1e-3), (name, colour)
        profile = got["noise"]["profile"]
        assert profile["shot"] == pytest.approx(made.noise.profile.shot, rel=RELATIVE), name
        assert profile["read"] == pytest.approx(made.noise.profile.read, rel=RELATIVE), name
        assert profile["source"] == made.noise.profile.source
        assert bool(got["noise"]["warning"]) == bool(made.noise.warning), name
        wanted = graph_inputs(mosaic, made, missing(mosaic.cfa))
        for key in ("black", "white", "wb", "shot", "read"):
            assert got["inputs"][key] == pytest.approx(getattr(wanted, key), rel=RELATIVE), (name, key)
        assert got["inputs"]["black"] == pytest.approx(wanted.black, abs=0.005), name
        gains = [own / told for own, told in zip(mosaic.wb, made.balance_of(mosaic), strict=True)]
        assert max(gains) / min(gains) > 2 or "blue light" not in name, name
        assert got["inputs"]["gains"] == pytest.approx(gains, rel=RELATIVE), name
        assert got["inputs"]["ratio"] == pytest.approx(wanted.ratio, rel=RELATIVE), name


def test_no_iso_stands_in_the_cameras_table_twice_but_for_rounding():
    for camera in constants()["noise"]["cameras"]:
        apart = np.diff(np.log(camera["iso"]))
        assert apart.min() > 5e-7, camera["names"]


def test_cameras_of_the_table_have_pythons_noise_at_any_iso(node, rng):
    names = [("SONY", "ILCE-7SM2"), ("NIKON CORPORATION", "NIKON D850"), ("Canon", "Canon EOS REBEL T5i")]
    names += [("OPPO", "PCCM00"), ("Canon", "Canon EOS 5D Mark IV"), ("Leica", "Q")]
    # From dark to bright: a picture of one brightness has no order, and no line to fit.
    across = np.linspace(0.05, 0.6, 160)
    scene = np.repeat((across[:, None] * across[None])[..., None], 3, axis=2)
    jobs, wanted = [], {}
    for make, model in names:
        for iso in (100, 125, 800, 1599, 1999, 2000, 3200, 6400, 12800):
            sensor = known_sensor(make, model, iso) or sony_a7s2(1600)
            for bits, white in (
                ("as calibrated", sensor.white_dn),
                ("two bits more", sensor.white_dn * 4 + 3),
            ):
                mosaic = expose(scene, sensor, 4, rng).with_changes(make=make, model=model, iso=float(iso))
                mosaic = mosaic.with_changes(white=white, saturation=white)
                name = f"{model} {iso} {bits}"
                jobs.append({"name": name, "call": "plan", "captured": mosaic, "ratio": 4})
                wanted[name] = (from_table(mosaic), plan(mosaic, ratio=4).noise.profile)
    results = node(jobs)
    told = 0
    for name, (table, used) in wanted.items():
        got = results[name]["noise"]["profile"]
        assert got["source"] == used.source, name
        assert got["shot"] == pytest.approx(used.shot, rel=RELATIVE), name
        assert got["read"] == pytest.approx(used.read, rel=RELATIVE), name
        told += table is not None and used == table
    assert told > 20, "most of these are told by the table"


def test_the_mosaic_goes_into_the_graph_as_pythons_does(node, pictures):
    mosaics = {n: as_mosaic(p) for n, p in pictures.items()}
    multiple = {"bayer": 32, "xtrans": 48}
    jobs = [
        {
            "name": n,
            "call": "prepared",
            "captured": p,
            "ratio": 50,
            "multiple": multiple[pattern_of(mosaics[n].cfa).sensor],
        }
        for n, p in pictures.items()
    ]
    results = node(jobs)
    for name, mosaic in mosaics.items():
        made = plan(pictures[name], ratio=50)
        mosaic = made.mosaic_of(pictures[name])
        if isinstance(pictures[name], Mosaic):
            assert (mosaic.data.min() < 0) == name.startswith("cut at black"), name
        pattern, (top, left) = pattern_of(mosaic.cfa), missing(mosaic.cfa)
        data = extended(
            of_even_black(without_voids(mosaic, made.noise.profile, made.exposure.ratio)),
            [(top, 0), (left, 0)],
            pattern.cell,
        )
        wanted = extended(data, [(0, -n % multiple[pattern.sensor]) for n in data.shape], pattern.cell)
        got = results[name]
        assert (got["height"], got["width"], got["top"], got["left"]) == (*wanted.shape, top, left), name
        piece = np.fromfile(node.folder / f"{name}.out", np.float32).reshape(wanted.shape)
        assert np.abs(piece - wanted).max() < 1e-3, name


def test_tiles_cover_the_picture_once_with_their_halo_and_never_read_more_than_is_allowed(node):
    cases = [
        [n * 32, count, halo, 32] for n in (1, 2, 5, 89, 133) for count in (1, 2, 3, 7) for halo in (0, 96)
    ]
    card = {"size_multiple": 32, "halo": 96}
    results = node(
        [
            {"name": "spans", "call": "spans", "cases": cases},
            {
                "name": "12 MP",
                "call": "tiling",
                "height": 2848,
                "width": 4256,
                "card": card,
                "pixels": 1_350_000,
            },
            {
                "name": "wide",
                "call": "tiling",
                "height": 96,
                "width": 9600,
                "card": card,
                "pixels": 400_000,
            },
            {"name": "small", "call": "tiling", "height": 64, "width": 64, "card": card, "pixels": 400_000},
            {"name": "tight", "call": "tiling", "height": 640, "width": 640, "card": card, "pixels": 1},
        ]
    )
    for (length, count, halo, multiple), got in zip(cases, results["spans"], strict=True):
        assert [start for start, *_ in got] == [0, *(stop for _, stop, *_ in got[:-1])]
        assert got[-1][1] == length
        for start, stop, read_start, read_stop in got:
            assert stop > start
            assert start % multiple == 0
            assert (read_start, read_stop) == (max(0, start - halo), min(length, stop + halo))
        if length > 20 * multiple:
            assert len(got) == count
    whole = 2848 * 4256
    assert results["12 MP"]["most"] <= 1_350_000
    assert results["12 MP"]["all"] < 1.3 * whole, "the halos cost no more than that"
    assert results["wide"]["most"] <= 400_000
    assert results["wide"]["rows"] == 1
    assert (results["small"]["rows"], results["small"]["columns"]) == (1, 1)
    assert results["tight"]["rows"] > 1, "what cannot be met is met as nearly as it can be"


PASSES = (1, 2, 4)

LOOKED = {"GRBG": 30_000, "x-trans moved": 60_000, "odd": 1e9, "linear": 1e9}
"""What is looked at in several passes, in tiles of so many pixels."""

FRINGED = ("fringes", "fringes, GBRG", "fringes, X-Trans", "fringes, X-Trans aside")
"""Of these fringes are taken away."""

QUICK = ("RGGB", "BGGR", "x-trans", "linear", "monochrome")
"""Of these the quick picture is looked at."""

SETTINGS: dict[str, dict[str, Any]] = {
    "half": {"strength": 0.5},
    "plain": {"strength": 0},
    "auto": {"wb": "auto"},
    "daylight": {"wb": "daylight"},
    "given": {"wb": [1.5, 1, 2.2]},
    "brighter": {"ev": 1.5},
    "libraw": {"look": "libraw"},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """Files that both read for themselves: the sample cropped, a phone's with lens shading, real ones."""
    folder = tmp_path_factory.mktemp("files")
    whole = read(SAMPLE)
    write_mosaic(folder / "small.dng", whole.with_changes(data=whole.data[300:620, 200:540].copy()))
    found = {"sample": folder / "small.dng"}
    for number, cell in enumerate((BAYER_PHASES[0], BAYER_PHASES[2])):
        found[f"phone {number}"] = flat_file(folder / f"phone{number}.dng", cell)
    for name in ("nikon_bggr.dng", "nikon_grbg.dng"):
        if (MORE_DATA / "raws" / name).is_file():
            found[name] = MORE_DATA / "raws" / name
    return found


@pytest.fixture(scope="module")
def reddish(photo) -> Mosaic:
    scene = photo[:200, :232] * np.array([1.5, 1.0, 0.6])
    return expose(scene, sony_a7s2(800), 20, np.random.default_rng(5))


@pytest.fixture(scope="module")
def enhanced(node, pictures, files, reddish) -> dict[str, Any]:
    """All that the tests below look at, by the page in one go, as its start takes longest."""
    pixels = {"GRBG": 30_000, "x-trans": 60_000}
    tiled: dict[str, Any] = {"call": "refused", "captured": pictures["BGGR"], "pixels": 30_000}
    endless = pictures["RGGB"].with_changes(data=np.full((64, 64), np.inf, np.float32))
    jobs = [
        {"name": n, "call": "enhance", "captured": p, **({"pixels": pixels[n]} if n in pixels else {})}
        for n, p in pictures.items()
    ]
    jobs += [
        {"name": n, "call": "enhance", "captured": pictures["RGGB"], "settings": s, "ratio": 100}
        for n, s in SETTINGS.items()
    ]
    jobs += [
        {
            "name": f"{n}, {p} passes",
            "call": "enhance",
            "captured": pictures[n],
            "passes": p,
            "pixels": LOOKED[n],
        }
        for n, p in product(LOOKED, PASSES)
    ]
    jobs += [
        {"name": f"{n}, removed", "call": "enhance", "captured": pictures[n], "fringes": "remove"}
        for n in FRINGED
    ]
    jobs += [{"name": n, "call": "enhance", "captured": {"file": str(f)}} for n, f in files.items()]
    jobs += [
        {
            "name": "reddish",
            "call": "enhance",
            "captured": reddish,
            "ratio": 20,
            "settings": {"wb": "auto"},
        },
        *(
            {"name": f"quick {n}", "call": "preview", "captured": p, "ratio": 50, "most": 12_000}
            for n, p in [*((n, pictures[n]) for n in QUICK), ("phone", {"file": str(files["phone 0"])})]
        ),
        {"name": "endless", "call": "refused", "captured": endless, "ratio": 100, "pixels": 1e9},
        {"name": "cancelled", "cancelAfter": 1, **tiled},
        {"name": "whole", **tiled},
    ]
    return node(jobs)


def test_every_kind_of_picture_is_enhanced_as_by_python(node, pictures, enhanced, model):
    models = {"bayer": model, "xtrans": Model("xtrans-fast", device="cpu")}
    for name, picture in pictures.items():
        got = enhanced[name]
        linear = enhance(picture, models[pattern_of(as_mosaic(picture).cfa).sensor], ratio=got["ratio"])
        assert got["clip"] == pytest.approx(linear.clip, rel=RELATIVE), name
        assert got["gains"] == pytest.approx(linear.wb, rel=RELATIVE), name
        try:
            check_same(shown(node, name, got), develop(linear).data)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


def test_fringes_go_as_by_python(node, pictures, enhanced, model):
    models = {"bayer": model, "xtrans": Model("xtrans-fast", device="cpu")}
    for name in FRINGED:
        got, kept = enhanced[f"{name}, removed"], enhanced[name]
        picture = pictures[name]
        fitting = models[pattern_of(as_mosaic(picture).cfa).sensor]
        linear = enhance(picture, fitting, ratio=got["ratio"], fringes="remove")
        ours = shown(node, f"{name}, removed", got)
        check_same(ours, develop(linear).data)
        apart = np.abs(ours.astype(int) - shown(node, name, kept))
        assert apart.max() > 20, name


def test_several_passes_give_pythons_mean(node, pictures, enhanced, model):
    models = {"bayer": model, "xtrans": Model("xtrans-fast", device="cpu")}
    for name in LOOKED:
        picture = pictures[name]
        mosaic = as_mosaic(picture)
        found = []
        for passes in PASSES:
            got = enhanced[f"{name}, {passes} passes"]
            assert len(got["shares"]) % passes == 0
            assert (np.diff([0, *got["shares"]]) > 0).all()
            assert got["shares"][-1] == 1
            linear = enhance(
                picture, models[pattern_of(mosaic.cfa).sensor], ratio=got["ratio"], passes=passes
            )
            found.append(shown(node, f"{name}, {passes} passes", got))
            check_same(found[-1], develop(linear).data)
            assert np.abs(found[-1].astype(int) - found[0]).mean() < 4, "turned back to where it was"
        assert len({picture.tobytes() for picture in found}) == len(PASSES), name


def test_the_quick_picture_has_the_light_of_the_whole(enhanced):
    for name in (*QUICK, "phone"):
        quick, whole = enhanced[f"quick {name}"]["quick"], enhanced[f"quick {name}"]["whole"]
        assert quick["size"][0] * quick["size"][1] <= 12_000, name
        assert quick["size"][1] / quick["size"][0] == pytest.approx(
            whole["size"][1] / whole["size"][0], rel=0.1
        )
        # Clean and plain, by colour; its few pixels leave out some of the edges.
        assert np.array(quick["light"]) == pytest.approx(np.array(whole["light"]), rel=0.06, abs=0.005), (
            name
        )


def test_tiles_and_their_progress_are_told(enhanced):
    assert len(enhanced["GRBG"]["shares"]) > 1
    assert enhanced["GRBG"]["shares"][-1] == 1
    assert enhanced["GRBG"]["shares"] == sorted(enhanced["GRBG"]["shares"])


def test_files_are_the_same_from_the_first_byte_to_the_display(node, model, files, enhanced):
    for name, file in files.items():
        captured = read(file)
        made = plan(captured)
        got = enhanced[name]
        assert got["ratio"] == pytest.approx(made.exposure.ratio, rel=RELATIVE), name
        assert got["noise"]["profile"]["shot"] == pytest.approx(made.noise.profile.shot, rel=RELATIVE), name
        assert got["noise"]["profile"]["read"] == pytest.approx(made.noise.profile.read, rel=RELATIVE), name
        assert (captured.shading is not None) == name.startswith("phone")
        check_same(shown(node, name, got), develop(enhance(captured, model, plan_made=made)).data)


def test_strength_white_balance_and_exposure_are_pythons(node, model, pictures, enhanced):
    picture = pictures["RGGB"]
    pictures_seen = set()
    for name, wanted in SETTINGS.items():
        linear = enhance(picture, model, ratio=100, strength=wanted.get("strength", 1.0))
        wb = wanted.get("wb", "camera")
        linear = balanced(linear, tuple(wb) if isinstance(wb, list) else wb)
        gain = 2 ** wanted.get("ev", 0)
        linear = linear.with_changes(data=linear.data * np.float32(gain), clip=linear.clip * gain)
        assert enhanced[name]["gains"] == pytest.approx(linear.wb, rel=RELATIVE), name
        got = shown(node, name, enhanced[name])
        check_same(got, develop(linear, look=wanted.get("look")).data)
        pictures_seen.add(got.tobytes())
    assert len(pictures_seen) == len(SETTINGS), "each setting makes another picture"


def test_every_light_is_developed_as_by_python(node, rng):
    height, width = 64, 256
    jobs, wanted = [], {}
    for name, clip, wb, gain in (
        ("dim", 1.0, (2.0, 1.0, 1.7), 1.0),
        ("lamp", 37.0, (2.0, 1.0, 1.7), 1.0),
        ("green", 300.0, (0.8, 1.0, 0.6), 1.0),
        ("raised", 5.0, (1.2, 1.0, 1.7), 4.0),
    ):
        light = (np.exp(rng.uniform(-9, 5, (height, width, 3))) - 0.01).astype(np.float32)
        known = {"wb": wb, "xyz_to_camera": np.array(constants_matrix())}
        for look in ("natural", "libraw"):
            linear = Linear(data=light * np.float32(gain), clip=clip * gain, ratio=1.0, **known)
            wanted[f"{name} {look}"] = develop(linear, look=look).data
            balanced_light = (light * np.array(wb, np.float32)).transpose(2, 0, 1)
            (node.folder / f"{name} {look}.in").write_bytes(np.ascontiguousarray(balanced_light).tobytes())
            jobs.append(
                {
                    "name": f"{name} {look}",
                    "call": "develop",
                    "data": f"{name} {look}.in",
                    "wb": wb,
                    "clip": clip,
                    "gain": gain,
                    "look": look,
                    "xyzToCamera": constants_matrix(),
                }
            )
    node(jobs)
    for name, picture in wanted.items():
        got = np.fromfile(node.folder / f"{name}.out", np.uint8).reshape(height, width, 3)
        assert np.abs(got.astype(int) - picture).max() <= 1, name
        assert (got != picture).mean() < 0.01, name


def constants_matrix() -> list[list[float]]:
    from scotopic.colour import CAMERA_MATRICES

    return [list(row) for row in CAMERA_MATRICES["Nikon D850"]]


def test_views_are_the_upright_picture_at_the_size_asked_for(node, rng):
    from scotopic.develop import turned

    light = rng.uniform(0, 1, (480, 640, 3)).astype(np.float32)
    light = light.astype(np.float16).astype(np.float32)
    (node.folder / "views.in").write_bytes(np.ascontiguousarray(light.transpose(2, 0, 1)).tobytes())
    jobs = []
    for orientation in range(1, 9):
        high, wide = turned(light, orientation).shape[:2]
        window = {"x": 37, "y": 21, "width": 64, "height": 48}
        whole = {"x": 0, "y": 0, "width": wide, "height": high}
        jobs.append(
            {
                "name": str(orientation),
                "call": "views",
                "data": "views.in",
                "light": {"height": 480, "width": 640, "orientation": orientation},
                "views": [[window, 64, 48], [whole, wide // 2, high // 2]],
            }
        )
    results = node(jobs)
    for orientation in range(1, 9):
        upright = turned(light, orientation)
        got = results[str(orientation)]
        assert got["upright"] == [upright.shape[1], upright.shape[0]]
        window = np.array(got["views"][0]).reshape(3, 48, 64).transpose(1, 2, 0)
        assert np.array_equal(window, upright[21:69, 37:101])
        high, wide = upright.shape[0] // 2, upright.shape[1] // 2
        halved = np.array(got["views"][1]).reshape(3, high, wide).transpose(1, 2, 0)
        means = upright.reshape(high, 2, wide, 2, 3).mean(axis=(1, 3))
        assert np.abs(halved - means).max() < 1e-3


def test_halves_are_numpys_and_what_is_no_number_is_told(node, rng):
    values = np.concatenate(
        [
            np.float32([0, -0.0, 1, -2.5, 65504, 1e6, -1e6, 6e-8, 1e-9, 5.9604645e-08]),
            (rng.normal(size=100_000) * np.exp(rng.uniform(-18, 10, 100_000))).astype(np.float32),
        ]
    ).astype(np.float32)
    (node.folder / "fine.in").write_bytes(values.tobytes())
    (node.folder / "broken.in").write_bytes(np.float32([1, np.nan, 2]).tobytes())
    (node.folder / "endless.in").write_bytes(np.float32([1, -np.inf, 2]).tobytes())
    results = node(
        [{"name": n, "call": "halves", "data": f"{n}.in"} for n in ("fine", "broken", "endless")]
    )
    got = np.fromfile(node.folder / "fine.out", np.float16)
    wanted = np.clip(values, -65504, 65504).astype(np.float16)
    different = got != wanted
    assert not different.any(), (values[different][:5], got[different][:5], wanted[different][:5])
    assert [results[n]["finite"] for n in ("fine", "broken", "endless")] == [True, False, False]


def test_temperature_and_tint_come_back_and_go_the_way_editors_go(node):
    matrix = constants_matrix()
    light = {"wb": (2.0, 1.0, 1.5), "xyzToCamera": matrix, "clip": 1.0}
    asked = [(t, tint) for t in (2500, 4000, 6500, 9000) for tint in (-40, 0, 40)]
    choices: list[Any] = [{"temperature_k": t, "tint": tint} for t, tint in asked]
    choices += [{"temperature_k": 1700, "tint": 0, "gains": [0.4, 1, 9]}, "daylight", [1.1, 0.9], "camera"]
    found = node([{"name": "balance", "call": "balance", "light": light, "choices": choices}])["balance"]
    for (kelvin, tint), got in zip(asked, found[: len(asked)], strict=True):
        assert got["described"]["temperature_k"] == pytest.approx(kelvin, rel=0.01)
        assert got["described"]["tint"] == pytest.approx(tint, abs=0.5)
    cool, warm = found[1]["gains"], found[10]["gains"]
    assert warm[0] > cool[0], "a light told to be bluer makes the picture redder"
    assert warm[2] < cool[2]
    green, pink = found[6]["gains"], found[8]["gains"]
    assert pink[0] > green[0], "a tint above 0 makes the picture pinker"
    assert pink[2] > green[2]
    linear = Linear(
        data=np.zeros((2, 2, 3), np.float32),
        clip=1.0,
        ratio=1.0,
        wb=(2.0, 1.0, 1.5),
        xyz_to_camera=np.array(matrix),
    )
    assert found[-4]["gains"] == [0.4, 1, 9], "what is known of a balance already is kept"
    assert found[-3]["gains"] == pytest.approx(daylight(linear), rel=RELATIVE)
    assert found[-3]["described"]["temperature_k"] == pytest.approx(6500, rel=0.02)
    assert found[-2]["gains"] == pytest.approx([2.2, 1, 1.35])
    assert found[-1]["gains"] == [2.0, 1.0, 1.5]


def test_without_the_cameras_colours_daylight_is_refused_as_in_python(node):
    light = {"wb": (2.0, 1.0, 1.5), "xyzToCamera": None, "clip": 1.0}
    choices: list[Any] = ["daylight", {"temperature_k": 4000, "tint": 0}, "camera"]
    *refused, camera = node([{"name": "balance", "call": "balance", "light": light, "choices": choices}])[
        "balance"
    ]
    assert all("colour matrix is not known" in one["refused"] for one in refused)
    assert camera["described"]["temperature_k"] is None
    assert not camera["described"]["coloursKnown"]


def test_the_automatic_balance_is_pythons_on_a_coloured_picture(model, reddish, enhanced):
    linear = enhance(reddish, model, ratio=20)
    gains = of_the_brightest(linear)
    assert gains is not None
    assert gains != pytest.approx(linear.wb, rel=0.05)
    assert enhanced["reddish"]["gains"] == pytest.approx(gains, rel=RELATIVE)


def test_what_gives_no_picture_is_refused_and_what_is_cancelled_stops_between_tiles(enhanced):
    assert enhanced["endless"]["code"] == "engine"
    assert "amplify less" in enhanced["endless"]["words"]
    assert enhanced["cancelled"]["words"] == "cancelled"
    assert enhanced["cancelled"]["tiles"] == 1
    assert enhanced["whole"]["code"] is None
    assert enhanced["whole"]["tiles"] > 1


def test_the_noise_of_a_large_picture_is_read_off_the_same_blocks(node, photo):
    scene = np.tile(photo[:200, :232], (12, 14, 1))
    large = expose(scene, sony_a7s2(3200), 100, np.random.default_rng(3))
    large = large.with_changes(make="", model="", data=large.data[:2380, :3240])
    assert large.data.size // 256 > 16_000, "more blocks than are looked at"
    got = node([{"name": "large", "call": "plan", "captured": large, "ratio": 100}])["large"]["noise"][
        "profile"
    ]
    wanted = plan(large, ratio=100).noise.profile
    assert got["shot"] == pytest.approx(wanted.shot, rel=RELATIVE)
    assert got["read"] == pytest.approx(wanted.read, rel=RELATIVE)


def test_an_even_sky_has_pythons_shot_noise(node):
    skies, fits = {}, {}
    for seed in range(3):
        sky = expose(
            np.full((300, 360, 3), 0.3), sony_a7s2(3200), 100, np.random.default_rng(seed), cfa=X_TRANS
        )
        skies[str(seed)] = sky.with_changes(make="", model="", iso=3200.0)
        fits[str(seed)] = plan(skies[str(seed)], ratio=100).noise.profile
    assert any(fit.shot[1] == 3200 * SHOT_LEAST_PER_ISO for fit in fits.values()), "as told by the ISO"
    jobs = [{"name": n, "call": "plan", "captured": sky, "ratio": 100} for n, sky in skies.items()]
    for name, got in node(jobs).items():
        assert got["noise"]["profile"]["shot"] == pytest.approx(fits[name].shot, rel=RELATIVE)
        assert got["noise"]["profile"]["read"] == pytest.approx(fits[name].read, rel=RELATIVE)


def test_a_picture_and_a_tag_that_both_know_of_no_noise_agree(node, dark):
    """Black alone of a simulator, say: 0 over 0."""
    flat = dark.with_changes(
        data=np.full_like(dark.data, round(float(dark.black[0, 0]))), make="", model=""
    )
    wanted = {}
    for name, shot, floor in (("none", 1e-3, 0.0), ("some", 1e-3, 1e-6), ("hardly", 0.0, 1e-15)):
        told = flat.with_changes(noise=NoiseProfile((shot,) * 3, (floor,) * 3, "a tag"))
        wanted[name] = told, plan(told, ratio=100).noise
    jobs = [{"name": n, "call": "plan", "captured": told, "ratio": 100} for n, (told, _) in wanted.items()]
    for name, got in node(jobs).items():
        _, noise = wanted[name]
        assert got["noise"]["profile"]["source"] == noise.profile.source, name
        assert bool(got["noise"]["warning"]) == bool(noise.warning), name
    assert wanted["none"][1].profile.source == "a tag"
    assert wanted["some"][1].profile.source != "a tag"


def test_engines_that_disagree_are_told_apart(node):
    same = [0.1, 0.5, 2.0] * 4
    off = [*same[:-1], 2.25]
    result = node([{"name": "a", "call": "apart", "a": same, "b": off}])["a"]
    assert result["apart"] == pytest.approx(0.25)
    assert result["broken"] == "Infinity"
