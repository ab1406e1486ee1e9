from __future__ import annotations

import dataclasses
import json
import math
import re
import runpy
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from conftest import ROOT
from scotopic.cli import app
from scotopic.errors import DatasetError, FileExistsRefusal, SettingsError, WriteError
from scotopic.evaluate import peers, protocols, report
from scotopic.evaluate.conditions import CONDITIONS, LAMP_LIGHT, SONY, conditions_named
from scotopic.evaluate.metrics import bias_by_decile, grid, pattern, psnr, ssim
from scotopic.evaluate.scenes import load, load_all, render, simulated_capture
from scotopic.models import available, find
from scotopic.noise import NoiseEstimate
from scotopic.sensor.simulated import sony_a7s2

PHOTOS = Path(str(files("scotopic.evaluate") / "held_out"))


def test_psnr_agrees_with_scikit_image_and_ssim_with_its_definition(photo, rng):
    from skimage.metrics import peak_signal_noise_ratio

    truth = render(photo)
    noisy = np.clip(truth + rng.normal(0, 12, truth.shape), 0, 255).astype(np.uint8)
    assert psnr(noisy, truth) == pytest.approx(peak_signal_noise_ratio(truth, noisy), abs=1e-3)
    assert ssim(noisy, truth) == pytest.approx(ssim_by_the_book(noisy, truth), abs=1e-3)


def ssim_by_the_book(a, b) -> float:
    """Wang et al. 2004, equation 13, away from the edges."""
    from scipy.ndimage import gaussian_filter

    def mean(v):
        return gaussian_filter(v, (1.5, 1.5, 0), truncate=3.5)

    x, y = a.astype(float), b.astype(float)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    values = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return float(values[5:-5, 5:-5].mean())


def test_bias_is_zero_for_the_truth_and_found_where_it_is(photo):
    assert bias_by_decile(photo, photo) == pytest.approx([0] * 10)
    dark = photo.mean(axis=2) < np.quantile(photo.mean(axis=2), 0.1)
    lifted = photo + 0.5 * photo * dark[..., None]
    bias = bias_by_decile(lifted, photo)
    assert bias[0] == pytest.approx(0.5, abs=0.02)
    assert abs(bias[5]) < 1e-9


def test_no_scene_was_trained_on():
    series = tuple(find("bayer-fast").raw["recipe"]["held_out"])
    scenes = load_all()
    assert len(scenes) >= 12
    for scene in scenes:
        assert scene.name.startswith(series)


def test_a_dark_photo_is_the_same_every_time():
    scene = load_all(limit=1)[0]
    mild, strong = SONY[0], SONY[2]
    a, b = (protocols.take(scene, mild).mosaic.data for _ in range(2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, protocols.take(scene, strong).mosaic.data)


def test_the_benchmarks_photos_are_those_that_its_published_figures_are_of():
    program = runpy.run_path(str(ROOT / "benchmarks" / "benchmark_photos.py"))
    stored, now = json.loads(program["STORED"].read_text()), program["photos"]()
    for kind, known in stored.items():
        other = [name for name in known | now[kind] if known.get(name) != now[kind].get(name)]
        assert not other, (
            f"{kind}: {other} are not as benchmarks/benchmark_photos.py has stored them (see there)"
        )


@pytest.mark.parametrize("card", available(), ids=lambda card: card.name)
def test_a_models_readme_has_the_cards_figures_in_every_condition(card):
    program = runpy.run_path(str(ROOT / "benchmarks" / "into_card.py"))
    text = (card.graph.parent / "README.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \| \d[\d.]+ / 0\.\d{3} \|", text, re.M)
    heads = {condition.name: condition.head for condition in CONDITIONS}
    assert {heads[name] for name in card.raw["metrics"]["conditions"]} <= set(rows)
    made = program["with_table"](text, card.raw)
    assert made == text, f"python benchmarks/into_card.py --table {card.graph.parent}"


def test_the_projects_readme_has_the_cards_figures():
    text = (ROOT / "README.md").read_text()
    for name in ("bayer-fast", "bayer-best"):
        found = find(name).raw["metrics"]["conditions"]
        cells = [f"{found[c.name]['psnr_db']:.2f} / {found[c.name]['ssim']:.3f}" for c in SONY]
        assert re.search(rf"^\| \*\*{name}\*\*.* \| {re.escape(' | '.join(cells))} \|$", text, re.M), cells


def test_new_figures_take_the_place_of_a_models_own_and_leave_other_ways_alone(tmp_path):
    program = runpy.run_path(str(ROOT / "benchmarks" / "into_card.py"))

    def figures(name, conditions):
        settings = [
            {
                "condition": c,
                "methods": {m: {"psnr_median": p, "ssim_median": s} for m, (p, s) in methods.items()},
            }
            for c, methods in conditions.items()
        ]
        (tmp_path / name).write_text(json.dumps({"scenes": ["a"], "settings": settings}))
        return [tmp_path / name]

    own, true = (20.0, 0.61649), (21.0, 0.7)
    both = {"mine": own, "mine, true noise": true, "LibRaw": (10.0, 0.1), "LibRaw, DHT": (11.0, 0.1)}
    old = program["metrics"]("mine", figures("old", {"daylight": both, "lamps": both}), {})
    assert [*old["conditions"]] == ["lamps", "daylight"], "in the benchmark's order"
    new = figures("new", {"lamps": {"mine": (22.0, 0.8)}})
    alone = program["metrics"]("mine", new, old)["conditions"]
    assert alone == {
        "lamps": {"psnr_db": 22.0, "ssim": 0.8, "best_other": old["conditions"]["lamps"]["best_other"]}
    }
    kept = program["metrics"]("mine", new, old, keep=True)
    assert kept["conditions"]["daylight"] == old["conditions"]["daylight"]
    table = program["table"]({"name": "mine", "metrics": kept})
    assert "| lamps, x100 ISO 250 | 22.00 / 0.800 | - | 11.00 / 0.100 (LibRaw, DHT) | +11.00 dB |" in table
    assert "| 20.00 / 0.616 | 21.00 / 0.700 |" in table, "rounded once"


def test_a_simulated_photo_with_a_column_off_is_put_right_whatever_noise_is_told():
    scene = load_all(limit=1)[0]
    shading = np.zeros(scene.camera.shape[:2], np.float32)
    shading[:, 200] = 400
    off = dataclasses.replace(
        SONY[0], sensor=lambda iso: dataclasses.replace(sony_a7s2(iso), shading_dn=shading)
    )
    dark, sound = protocols.take(scene, off), protocols.take(scene, SONY[0])
    true = dataclasses.replace(dark.made, noise=NoiseEstimate(dark.true_noise), prepared=None)
    for made in (dark.made, dark.automatic, true):
        assert made.replaced.facts()["columns_off"] == [200]
        assert abs(np.median(made.mosaic_of(dark.mosaic).data[:, 200]) - 512) < 30
    assert dark.made.noise.profile.source == sound.made.noise.profile.source
    assert dark.made.noise.profile.shot == pytest.approx(sound.made.noise.profile.shot, rel=0.05)
    assert dark.automatic.exposure.ratio == pytest.approx(sound.automatic.exposure.ratio, rel=0.01)


def test_lamps_are_far_above_white_and_move_the_automatic_ratio_little():
    lamps = conditions_named(["lamps"])[0]
    same = dataclasses.replace(lamps, light=None)
    moved = []
    for scene in load_all(limit=6):
        lit = protocols.take(scene, lamps)
        assert lit.scene.camera.max() == LAMP_LIGHT
        assert 2e-4 < (lit.scene.camera == LAMP_LIGHT).all(axis=2).mean() < 0.02
        moved.append(
            np.log2(lit.automatic.exposure.ratio / protocols.take(scene, same).automatic.exposure.ratio)
        )
    assert np.abs(moved).max() < 0.3


def test_unknown_conditions_and_methods_are_errors_that_name_the_known():
    with pytest.raises(SettingsError, match="hot pixels"):
        conditions_named(["nonsense"])
    with pytest.raises(SettingsError, match="gaussians"):
        protocols.methods_named(["nonsense"])
    with pytest.raises(SettingsError, match=r"none' .* contradict each other"):
        protocols.methods_named(["all", "none"])
    for condition in CONDITIONS:
        assert conditions_named([condition.head]) == conditions_named([condition.name]) == (condition,)
    with pytest.raises(SettingsError, match='"phone, Reno 10x", "phone, IMX686", "lamps"'):
        conditions_named(["phone"])
    assert protocols.methods_named([]) == protocols.QUICK
    assert protocols.methods_named(["none"]) == ()


def test_the_table_holds_every_method_and_the_figures_are_sane(model, tmp_path):
    # A small one: BM3D takes 90 s a megapixel.
    with Image.open(PHOTOS / "18f-site__IMG_3995.jpg") as photo:
        left, top = photo.width // 3, photo.height // 3
        photo.crop((left, top, left + 360, top + 300)).save(tmp_path / "small.png")
    result = protocols.synthetic([model], scenes=tmp_path, conditions=SONY[:1], variants=True)
    methods = result["settings"][0]["methods"]
    assert list(methods) == [
        "LibRaw",
        "LibRaw + FBDD",
        "Gaussians, best widths",
        "BM3D, true noise",
        "bayer-fast",
        "bayer-fast, true noise",
        "bayer-fast, automatic ratio",
    ]
    for name, row in methods.items():
        assert 10 < row["psnr_median"] < 45, name
        off = 0.6 if "automatic" in name else 0.1
        assert row["brightness_median"] == pytest.approx(1, abs=off), name
    assert methods["LibRaw"]["psnr_median"] == min(
        row["psnr_median"] for name, row in methods.items() if "automatic" not in name
    )
    report.write_json(tmp_path / "a.json", result)
    with pytest.raises(FileExistsRefusal):
        report.write_json(tmp_path / "a.json", result)
    assert json.loads((tmp_path / "a.json").read_text()) == result
    table = report.table(result)
    assert all(name in table for name in methods)
    assert "stops" in table


@pytest.mark.parametrize("target", ["nodir/e.json", "there", "there.json"])
def test_what_cannot_be_written_is_refused_before_anything_is_measured(tmp_path, monkeypatch, target):
    (tmp_path / "there").mkdir()
    (tmp_path / "there.json").touch()
    monkeypatch.setattr(protocols, "synthetic", lambda *_words, **_more: pytest.fail("measured"))
    done = CliRunner().invoke(app, ["evaluate", "synthetic", "-o", str(tmp_path / target)])
    assert done.exit_code in (1, 2)
    assert str(tmp_path / target.split("/")[0]) in done.output


def test_the_table_is_printed_though_the_json_cannot_be_written(tmp_path, monkeypatch):
    def full(*_words, **_more):
        raise WriteError("no room")

    monkeypatch.setattr(report, "write_json", full)
    words = ["evaluate", "synthetic", "--model", "none", "--method", "libraw", "--limit", "1"]
    done = CliRunner().invoke(app, [*words, "--condition", SONY[0].name, "-o", str(tmp_path / "a.json")])
    assert done.exit_code == 1
    assert "| LibRaw |" in done.output
    assert "bayer-fast" not in done.output


def test_a_bare_onnx_file_is_measured_on_simulated_photos(tmp_path, monkeypatch):
    seen = []
    bare = tmp_path / "bare.onnx"
    shutil.copy(find("bayer-fast").graph, bare)
    monkeypatch.setattr(
        protocols, "synthetic", lambda models, **_more: seen.extend(models) or {"protocol": "synthetic"}
    )
    monkeypatch.setattr(report, "table", lambda _result: "")
    done = CliRunner().invoke(app, ["evaluate", "synthetic", "--model", str(bare)])
    assert done.exit_code == 0, done.output
    assert [model.card.name for model in seen] == ["bare"]


def test_nothing_to_measure_is_refused():
    with pytest.raises(SettingsError, match="nothing is left"):
        protocols.synthetic([], methods=())


def test_the_stabilising_transform_gives_even_noise_and_comes_back_unbiased(rng):
    shot, read = 0.01, 4e-5
    forward, inverse = peers.anscombe(shot, read)
    for level in (0.05, 0.2, 0.8):
        x = shot * rng.poisson(level / shot, 100_000) + rng.normal(0, math.sqrt(read), 100_000)
        stable = forward(x)
        assert stable.std() == pytest.approx(1, abs=0.08)
        assert inverse(np.array(stable.mean())) == pytest.approx(level, rel=0.02)


def test_a_folder_without_photos_is_an_error_of_ours(tmp_path):
    with pytest.raises(DatasetError, match="no photos"):
        load_all(tmp_path)


def test_photos_that_make_no_scene_are_errors_of_ours(tmp_path):
    for name, side in (("dot.png", 1), ("small.png", 20)):
        Image.new("RGB", (side, side)).save(tmp_path / name)
        with pytest.raises(DatasetError, match=rf"{name}: is {side}x{side} pixels"):
            load(tmp_path / name)
        with pytest.raises(DatasetError, match=rf"{name}: is {side}x{side} pixels"):
            simulated_capture(tmp_path / name, iso=320, ratio=300, seed=0)
    Image.new("RGB", (24, 24)).save(tmp_path / "enough.png")
    assert load(tmp_path / "enough.png").camera.shape == (16, 16, 3)
    assert simulated_capture(tmp_path / "enough.png", iso=320, ratio=300, seed=0).data.shape == (24, 24)


def test_a_photo_beyond_all_measure_is_an_error_of_ours(tmp_path, monkeypatch):
    Image.new("RGB", (64, 64)).save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DatasetError, match=r"huge\.png: has more than .* shrink it first"):
        load_all(tmp_path)


def test_a_grid_is_seen_and_a_photo_has_none():
    photo = load_all(limit=1)[0].shown()
    assert grid(photo) < 1.1
    height, width = (n // 4 * 4 for n in photo.shape[:2])
    cells = photo[:height, :width].reshape(height // 4, 4, width // 4, 4, 3).mean(axis=(1, 3))
    blocky = cells.repeat(4, axis=0).repeat(4, axis=1).astype(np.uint8)
    assert grid(blocky) > 100
    half = ((photo[:height, :width].astype(float) + blocky) / 2).astype(np.uint8)
    assert 1.3 < grid(half) < 10


def test_a_fine_pattern_is_seen_where_its_steps_lie_inside_the_squares():
    photo = load_all(limit=1)[0].shown().astype(float)
    height, width = photo.shape[:2]
    checks = np.indices((height, width)).sum(axis=0) % 2 * 2 - 1
    noise = np.random.default_rng(0).choice([-2, 2], (height, width))
    patterned, noisy = (
        np.clip(photo + (2 * v if v is checks else v)[..., None], 0, 255) for v in (checks, noise)
    )
    plain = pattern(photo.astype(np.uint8))
    assert plain < 6
    assert pattern(patterned.astype(np.uint8)) > 5 * plain
    assert pattern(noisy.astype(np.uint8)) < 1.5 * plain
    assert grid(patterned.astype(np.uint8)) < 1.2
