from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

from conftest import camera_profile
from scotopic.calibration.apply import identity, profiles_folder
from scotopic.cli import app
from scotopic.data.pairs import Pair, find_sid
from scotopic.dng.write import write_mosaic
from scotopic.enhance import enhance, plan
from scotopic.errors import DatasetError, FileExistsRefusal, ModelError, SettingsError
from scotopic.evaluate import external, methods, pair_measures, raw, real, report, report_page
from scotopic.evaluate.figures import SID_VARIANTS, ratio_labels, sample
from scotopic.evaluate.metrics import brightness_corrected, psnr, ssim
from scotopic.evaluate.scenes import load_all, render
from scotopic.frame import X_TRANS
from scotopic.models import find
from scotopic.read import read
from scotopic.run import Model
from scotopic.sensor.simulated import expose, sony_a7s2

EXPOSURES = {
    # scene: frames, each as (frame, short seconds, ISO), and the long exposure's seconds
    "10003": ([("00", 0.04), ("00", 0.1), ("01", 0.1)], 10),
    "10034": ([("00", 0.1)], 10),
    "10106": ([("00", 0.1)], 30),
    "00001": ([("00", 0.1)], 10),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """The dataset's layout, small: three test scenes, one of them misaligned, and one for training."""
    root = tmp_path_factory.mktemp("SID")
    rng = np.random.default_rng(3)
    for part in ("short", "long"):
        (root / "Sony" / part).mkdir(parents=True)
    for scene, (name, (shorts, long_s)) in zip(load_all(limit=4), EXPOSURES.items(), strict=True):
        light = scene.camera[100:340, 100:400]
        clean = expose(light, sony_a7s2(100), 1, rng, exposure_s=long_s)
        long = clean.with_changes(iso=1600)
        write_mosaic(root / "Sony" / "long" / f"{name}_00_{long_s}s.ARW", long)
        for frame, seconds in shorts:
            short = expose(light, sony_a7s2(1600), long_s / seconds, rng, exposure_s=seconds)
            write_mosaic(root / "Sony" / "short" / f"{name}_{frame}_{seconds}s.ARW", short)
    return root


def chosen(*ways: methods.Method, **left_out: str) -> methods.Chosen:
    return methods.Chosen(ways, left_out, {}, ways[0].name, methods.traditional_picture)


def truth_of(shot: methods.Shot) -> np.ndarray:
    return pair_measures.long_picture(shot.pair.long)


PERFECT = methods.Method("perfect", truth_of)
OFF_BY_ONE = methods.Method("off by one", lambda shot: truth_of(shot) ^ np.uint8(1))
LIBRAW = methods.Method("LibRaw", methods.traditional_picture, from_file=True)


def row(result, **wanted):
    found = [r for r in result["summary"] if all(r[k] == v for k, v in wanted.items())]
    assert len(found) == 1
    return found[0]


def test_a_perfect_method_gets_the_highest_figures_and_off_by_one_gets_its_known_psnr(tree):
    result = real.sid(tree, chosen(PERFECT, OFF_BY_ONE), ways=(pair_measures.TRUE,)).result
    best = row(result, method="perfect", variant="all", ratio="all")
    assert (best["psnr_mean"], best["ssim_mean"]) == (150, pytest.approx(1))
    assert row(result, method="off by one", variant="all", ratio="all")["psnr_mean"] == pytest.approx(
        10 * np.log10(255**2), abs=1e-3
    )


def test_every_variant_of_the_test_set_is_counted_and_the_misaligned_are_left_out_where_said(tree):
    result = real.sid(tree, chosen(PERFECT), ways=(pair_measures.TRUE,)).result
    assert {v["name"]: (v["pairs"], v["in_full_dataset"]) for v in result["variants"]} == {
        "all": (5, 598),
        "without misaligned": (4, 562),
        "frame 00": (4, 93),
        "frame 00, without misaligned": (3, 88),
    }
    assert [pair["scene"] for pair in result["pairs"] if pair["misaligned"]] == ["10034"]
    assert "00001" not in {pair["scene"] for pair in result["pairs"]}, "a scene for training"


def test_figures_of_each_ratio_are_means_over_its_own_pairs(tree):
    result = real.sid(tree, chosen(LIBRAW), ways=(pair_measures.TRUE,)).result
    values = result["figures"]["true ratio"]["LibRaw"]["psnr"]
    groups = [pair["ratio_group"] for pair in result["pairs"]]
    assert sorted(groups) == ["x100", "x100", "x100", "x250", "x300"]
    for group, number in (("x100", 3), ("x250", 1), ("x300", 1)):
        of_group = row(result, method="LibRaw", variant="all", ratio=group)
        mine = [value for value, its in zip(values, groups, strict=True) if its == group]
        assert of_group["pairs"] == of_group["measured"] == number
        assert of_group["psnr_mean"] == pytest.approx(np.mean(mine))
        assert of_group["psnr_median"] == pytest.approx(np.median(mine))
    without = row(result, method="LibRaw", variant="without misaligned", ratio="x100")
    assert without["pairs"] == 2


def test_the_paper_s_truth_is_libraw_s_16_bits_rounded_to_8(tree):
    import rawpy

    path = find_sid(tree)[1].long
    with rawpy.imread(str(path)) as opened:
        wide = opened.postprocess(use_camera_wb=True, half_size=False, no_auto_bright=True, output_bps=16)
    assert np.array_equal(pair_measures.long_picture(path), np.rint(wide / 257).astype(np.uint8))


def test_the_automatic_ratio_gives_figures_of_its_own_and_its_error_is_told(tree, model):
    result = real.sid(tree, methods.for_pictures([model], ["libraw"]), limit=2).result
    assert result["ways"] == ["true ratio", "automatic ratio"]
    for method in ("LibRaw", "bayer-fast"):
        true, automatic = (result["figures"][way][method]["psnr"] for way in result["ways"])
        assert all(a != t for a, t in zip(automatic, true, strict=True))
        assert np.mean(automatic) < np.mean(true)
    assert result["automatic_ratio_stops_off"]["median_absolute"] > 0
    assert (
        result["figures"]["true ratio"]["bayer-fast"]["psnr"]
        > result["figures"]["true ratio"]["LibRaw"]["psnr"]
    )


def test_a_short_frame_is_planned_as_enhance_plans_it(tmp_path, rng):
    mosaic = expose(np.full((256, 256, 3), 0.2), sony_a7s2(3200), 100, rng)
    data = mosaic.data.copy()
    data[:, 100] += 400
    write_mosaic(tmp_path / "a.dng", mosaic.with_changes(data=data))
    pair = Pair(tmp_path / "a.dng", tmp_path / "a.dng", 100.0, "s", "test")
    photo = read(pair.short)
    for shot, ratio in zip(
        pair_measures.take(pair, (pair_measures.TRUE, pair_measures.AUTOMATIC)), (100, None), strict=True
    ):
        planned = plan(photo, ratio=ratio)
        assert planned.replaced.facts()["columns_off"] == [100]
        assert (shot.made.exposure, shot.made.noise, shot.made.replaced) == (
            planned.exposure,
            planned.noise,
            planned.replaced,
        )
        assert np.array_equal(shot.made.mosaic_of(shot.mosaic).data, planned.mosaic_of(photo).data)


@pytest.mark.parametrize("protocol", ["pairs", "raw", "sid"])
def test_the_installed_profile_is_used_as_enhance_does_and_named(tree, tmp_path, monkeypatch, protocol):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    photo = read(find_sid(tree)[0].short)
    mine = camera_profile((1600.0,), shape=photo.data.shape, camera=(photo.make, photo.model))
    profiles_folder().mkdir(parents=True)
    mine.save(profiles_folder() / "mine.json")
    seen = []
    real_one = pair_measures.plan
    monkeypatch.setattr(
        pair_measures, "plan", lambda *a, **how: seen.append(real_one(*a, **how)) or real_one(*a, **how)
    )
    target = tree
    if protocol == "pairs":
        target = tmp_path / "own"
        for part in ("short", "long"):
            (target / part).mkdir(parents=True)
            first = getattr(find_sid(tree)[0], part)
            (target / part / "a.ARW").symlink_to(first)
    words = ["evaluate", protocol, str(target), "--model", "none", "--limit", "1"]
    words += ["--method", "input" if protocol == "raw" else "libraw"]
    told = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "x.json")])
    assert told.exit_code == 0, told.output
    (pair,) = json.loads((tmp_path / "x.json").read_text())["pairs"]
    assert pair["profile"] == identity(mine)
    assert seen[0].profile is not None
    assert f"Short frames of 1 pairs were put right by your profile of the {identity(mine)}." in told.output
    camera_profile().save(tmp_path / "other.json")
    told = CliRunner().invoke(app, [*words, "--profile", str(tmp_path / "other.json")])
    assert "profile is of another camera (Simulated One)" in told.output


def test_each_long_frame_is_decoded_once(tree, monkeypatch):
    decoded = []
    real_one = pair_measures.truth_of
    monkeypatch.setattr(
        pair_measures, "truth_of", lambda path, kind: decoded.append(path) or real_one(path, kind)
    )
    real.sid(tree, chosen(LIBRAW))
    assert len(decoded) == len(set(decoded)) == 3


def test_missing_and_damaged_files_are_named_before_anything_is_measured(tree, tmp_path):
    copy = tmp_path / "SID"
    shutil.copytree(tree, copy)
    bad = copy / "Sony" / "long" / "10106_00_30s.ARW"
    bad.write_bytes(bad.read_bytes()[:5000])
    never = methods.Method("never", lambda shot: pytest.fail("measured before checking"))
    with pytest.raises(DatasetError, match="10106_00_30s"):
        real.sid(copy, chosen(never))
    bad.unlink()
    with pytest.raises(DatasetError, match="10106_00"):
        real.sid(copy, chosen(never))
    with pytest.raises(DatasetError, match="not laid out"):
        real.sid(tmp_path, chosen(never))
    with pytest.raises(DatasetError, match="nothing to measure"):
        real.sid(tree, chosen(never), split="validation")


def test_pictures_that_cannot_lie_over_each_other_are_an_error(tree):
    small = methods.Method("small", lambda shot: truth_of(shot)[:-2])
    with pytest.raises(DatasetError, match="one camera"):
        real.sid(tree, chosen(small), limit=1)


def test_a_photo_in_portrait_is_measured_upright(tree, tmp_path, model):
    shutil.copytree(tree / "Sony" / "short", tmp_path / "short")
    shutil.copytree(tree / "Sony" / "long", tmp_path / "long")
    path = next((tmp_path / "short").glob("10003_00_0.04s*"))
    write_mosaic(path, read(path).with_changes(orientation=6))
    lying, standing = (
        real.sid(
            root, methods.for_pictures([model], ["libraw"]), ways=(pair_measures.TRUE,), limit=5
        ).result
        for root in (tree, tmp_path)
    )
    index = [pair["name"] for pair in lying["pairs"]].index("10003_00_0.04s")
    for method in ("LibRaw", "bayer-fast"):
        before, after = (r["figures"]["true ratio"][method]["psnr"][index] for r in (lying, standing))
        assert after == pytest.approx(before, abs=0.1)


def test_programs_that_are_not_installed_are_said_to_be_skipped(tree, monkeypatch, model):
    monkeypatch.setattr(external.shutil, "which", lambda program: None)
    measured = real.sid(tree, methods.for_pictures([model]), limit=1, with_wipes=True)
    assert "bm3d" in measured.result["left_out"]
    for program in ("rawtherapee-cli", "darktable-cli"):
        assert measured.result["left_out"][program] == f"{program} is not installed"
        line = f"{program}: SKIPPED, {program} is not installed"
        assert line in report.table(measured.result)
        assert line in report_page.page(measured)


def test_a_program_that_fails_is_left_out_from_there_on_and_said(tree):
    def fails_on_the_second(shot):
        calls.append(shot)
        if len(calls) > 1:
            raise external.ProgramFailed("it fell over")
        return truth_of(shot)

    calls = []
    shaky = methods.Method("shaky", fails_on_the_second, optional=True)
    result = real.sid(tree, chosen(LIBRAW, shaky), ways=(pair_measures.TRUE,)).result
    assert len(calls) == 2
    assert "fell over" in result["left_out"]["shaky"]
    assert row(result, method="shaky", variant="all", ratio="all")["measured"] == 1
    assert "[only 1]" in report.table(result)
    steady = dataclasses.replace(shaky, optional=False)
    with pytest.raises(external.ProgramFailed):
        real.sid(tree, chosen(steady), ways=(pair_measures.TRUE,))


def test_a_photo_is_amplified_for_other_programs_without_loss_in_the_range(tree):
    mosaic = read(find_sid(tree)[1].short)
    bright = external.amplified(mosaic, 100)
    before, after = methods.in_range(mosaic, 100), methods.in_range(bright)
    assert np.abs(before - after).max() < 2e-5
    assert bright.data.dtype == np.uint16


def test_taking_the_srgb_curve_off_and_libraw_s_on_keeps_black_and_white():
    ends = external.with_libraw_curve(np.array([[[0, 65535, 32768]]], np.uint16))
    assert ends[0, 0, :2].tolist() == [0, 255]


@pytest.mark.parametrize("name", external.PROGRAMS)
def test_another_program_develops_as_brightly_as_the_long_exposure(tmp_path, photo, rng, name):
    if external.missing(name):
        pytest.skip(f"{external.PROGRAMS[name]} is not installed")
    short, long = tmp_path / "short.dng", tmp_path / "long.dng"
    write_mosaic(short, expose(photo, sony_a7s2(100), 50, rng))
    write_mosaic(long, expose(photo, sony_a7s2(100), 1, rng))
    (shot,) = pair_measures.take(Pair(short, long, 50, "0", "test"))
    truth = truth_of(shot)
    picture = external.develop_elsewhere(name, shot.mosaic, shot.ratio, shot.made.noise.profile)
    assert picture.mean() == pytest.approx(truth.mean(), rel=0.03)
    assert psnr(picture, truth) > psnr(methods.traditional_picture(shot), truth) + 1


def test_any_onnx_file_with_the_graph_s_contract_can_be_measured(tree, model, tmp_path):
    bare = tmp_path / "somebody's net.onnx"
    shutil.copy(find("bayer-fast").graph, bare)
    opened = methods.open_model(bare)
    assert (opened.card.name, opened.card.kind, opened.card.size_multiple) == (bare.stem, "linear", 32)
    result = real.sid(tree, methods.for_pictures([model, opened], ["none"]), limit=1).result
    ours, theirs = (result["figures"]["true ratio"][n]["psnr"] for n in ("bayer-fast", bare.stem))
    assert ours == pytest.approx(theirs, abs=0.05)  # their halo and tiles may differ
    assert result["models"][bare.stem] == model.card.sha256
    assert methods.open_model("bayer-fast").card.name == "bayer-fast"
    with pytest.raises(SettingsError, match="multiple"):
        methods.open_model(bare, multiple=0)
    bare.write_bytes(b"no graph")
    with pytest.raises(ModelError, match=f"^{re.escape(str(bare))}: ONNX Runtime cannot run it"):
        methods.open_model(bare)


def test_a_size_multiple_that_no_cell_divides_is_refused():
    graph = find("xtrans-fast").graph
    with pytest.raises(SettingsError, match=r"is for xtrans sensors.*--multiple, such as 48"):
        methods.open_model(graph, multiple=32)


def test_a_bare_file_tells_by_itself_for_which_sensors_it_is(photo, rng, tmp_path):
    bare = tmp_path / "net.onnx"
    shutil.copy(find("xtrans-fast").graph, bare)
    opened = methods.open_model(bare, multiple=48)
    assert (opened.card.cfa, opened.card.kind) == ("xtrans", "linear")
    mosaic = expose(photo[:96, :96], sony_a7s2(800), 10, rng, cfa=X_TRANS)
    ours, theirs = (enhance(mosaic, m, ratio=10).data for m in (Model("xtrans-fast", device="cpu"), opened))
    assert np.abs(ours - theirs).max() < 0.01


def test_methods_are_chosen_by_name(model):
    every = methods.for_pictures([model], ["all"])
    assert {"LibRaw", "LibRaw + FBDD", "BM3D, blind noise", "bayer-fast"} <= {m.name for m in every.methods}
    assert "bm3d" not in every.left_out
    with pytest.raises(SettingsError, match="known are"):
        methods.for_pictures([model], ["lightroom"])
    with pytest.raises(SettingsError, match="contradict"):
        methods.for_pictures([model], ["none", "libraw"])
    with pytest.raises(SettingsError, match="nothing is left"):
        methods.for_pictures([], ["none"])


def srgb_graph(path: Path) -> Path:
    """A graph of kind srgb that shows the mosaic as grey, whatever it is told."""
    onnx = pytest.importorskip("onnx", reason="the train extra writes graphs")
    from onnx import TensorProto, helper

    def values(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    inputs = [values("mosaic", [1, 1, "h", "w"]), values("ratio", [1])]
    inputs += [values(name, [4]) for name in ("black", "white", "wb", "shot", "read")]
    scale = helper.make_tensor("scale", TensorProto.FLOAT, [1], [1 / 16383])
    nodes = [
        helper.make_node("Mul", ["mosaic", "scale"], ["grey"]),
        helper.make_node("Concat", ["grey", "grey", "grey"], ["rgb"], axis=1),
    ]
    graph = helper.make_graph(nodes, "grey", inputs, [values("rgb", [1, 3, "h", "w"])], [scale])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def test_a_model_of_kind_srgb_is_measured_as_a_picture_and_refused_by_the_raw_protocol(tree, tmp_path):
    grey = methods.open_model(srgb_graph(tmp_path / "grey.onnx"), multiple=2)
    assert (grey.card.kind, grey.card.halo) == ("srgb", 96)
    result = real.sid(tree, methods.for_pictures([grey], ["none"]), limit=1).result
    assert 0 < result["figures"]["true ratio"]["grey"]["psnr"][0] < 30
    with pytest.raises(SettingsError, match="cannot be mosaiced back"):
        methods.for_mosaics([grey])


def test_the_raw_protocol_knows_the_right_answer_and_corrects_brightness(tree, model):
    def long_light(shot):
        return methods.in_range(read(shot.pair.long))

    perfect = methods.Method("perfect", long_light)
    dim = methods.Method("dim", lambda shot: long_light(shot) * np.float32(0.7))
    result = raw.eld(tree, chosen(perfect, dim)).result
    as_it_is, corrected = raw.AS_IT_IS, raw.CORRECTED
    assert result["ways"] == [as_it_is, corrected]
    assert row(result, way=as_it_is, method="perfect", variant="all", ratio="all")["psnr_mean"] == 150
    plain, mended = (
        row(result, way=way, method="dim", variant="all", ratio="all")["psnr_mean"]
        for way in (as_it_is, corrected)
    )
    assert mended > plain + 20
    assert {r["ratio"] for r in result["summary"]} == {"all", "x100", "x250", "x300"}


def test_in_the_raw_protocol_the_model_beats_the_noisy_input(tree, model):
    measured = raw.eld(tree, methods.for_mosaics([model]), limit=2, with_wipes=True)
    result = measured.result
    noisy, ours = (
        row(result, way=raw.AS_IT_IS, method=name, variant="all", ratio="all")["psnr_mean"]
        for name in ("noisy input, amplified", "bayer-fast")
    )
    assert ours > noisy + 5
    assert len(measured.wipes) == 2
    assert "raw protocol" in report.table(result)


def test_bm3d_in_the_raw_protocol_runs_with_blind_and_with_calibrated_noise(
    tree, tmp_path, model, monkeypatch
):
    # BM3D itself is slow, and is run by the synthetic protocol's test.
    monkeypatch.setattr("bm3d.bm3d", lambda plane, sigma_psd: gaussian_filter(plane, 2))
    crops = tmp_path / "own"
    for part in ("short", "long"):
        (crops / part).mkdir(parents=True)
        mosaic = read(next((tree / "Sony" / part).glob("10003*")))
        write_mosaic(crops / part / "a.dng", mosaic.with_changes(data=mosaic.data[64:128, 64:128]))
    result = raw.eld(crops, methods.for_mosaics([model], ["all"])).result
    noisy, blind, calibrated, _ = (values["psnr"][0] for values in result["figures"][raw.AS_IT_IS].values())
    assert min(blind, calibrated) > noisy + 3
    with pytest.raises(SettingsError, match="no calibration"):
        methods.calibrated(mosaic.with_changes(model="Pinhole"))


def test_own_pairs_are_measured_by_their_own_ratio(tree, tmp_path):
    for part, name in (("short", "10003_00_0.1s.ARW"), ("long", "10003_00_10s.ARW")):
        (tmp_path / part).mkdir()
        shutil.copy(tree / "Sony" / part / name, tmp_path / part / "night.dng")
    (tmp_path / "pairs.csv").write_text("short,long,ratio\nshort/night.dng,long/night.dng,100\n")
    result = real.own(tmp_path, chosen(PERFECT)).result
    assert [v["name"] for v in result["variants"]] == ["all"]
    assert (result["pairs"][0]["ratio"], result["pairs_found"]) == (100, 1)


def test_the_report_is_one_file_that_stands_alone_with_three_wipes_and_every_table(tree, tmp_path, model):
    measured = real.sid(tree, methods.for_pictures([model], ["libraw", "fbdd"]), with_wipes=True)
    path = tmp_path / "report.html"
    report_page.write_page(path, measured)
    words = path.read_text()
    assert path.stat().st_size < 3_000_000
    assert "http" not in words
    assert not re.search(r"<(link|script|img|iframe)[^>]+(src|href)=(?!\"data:)", words)
    assert [wipe.which for wipe in measured.wipes] == ["best", "median", "worst"]
    values = [wipe.psnr for wipe in measured.wipes]
    figures = measured.result["figures"]["true ratio"]["bayer-fast"]["psnr"]
    assert (values[0], values[2]) == (max(figures), min(figures))
    assert values[1] == np.median(figures)
    assert words.count('class="wipe"') == 3
    assert words.count("data:image/jpeg;base64,") == 9
    assert words.count('type="range"') == 3
    assert all(re.search(r'alt="[^"]+"', image) for image in re.findall(r"<img[^>]*>", words))
    assert words.count('role="img" aria-label=') == 2
    assert words.count("<caption>") >= 2 * (1 + len(SID_VARIANTS)) + 1
    for variant in SID_VARIANTS:
        assert f"{variant.name} (" in words
    with pytest.raises(FileExistsRefusal):
        report_page.write_page(path, measured)


def test_a_pair_of_two_scenes_is_told_and_measured(tree, tmp_path):
    for part, name in (("short", "10003_00_0.1s"), ("long", "10106_00_30s")):
        (tmp_path / part).mkdir()
        shutil.copy(tree / "Sony" / part / f"{name}.ARW", tmp_path / part / "a.ARW")
    said = []
    result = real.own(tmp_path, chosen(PERFECT), progress=said.append).result
    assert "something else" in result["pairs"][0]["odd"][0]
    notes = [words for words in said if words.startswith("note: a: ")]
    assert len(notes) == 1
    assert notes[0].removeprefix("note: ") in "\n".join(report.notes(result))
    assert not any(pair["odd"] for pair in real.sid(tree, chosen(PERFECT)).result["pairs"])


def test_json_and_report_of_one_name_are_refused_before_anything_is_measured(tree, tmp_path):
    name = str(tmp_path / "same.html")
    done = CliRunner().invoke(app, ["evaluate", "sid", str(tree), "-o", name, "--report", name])
    assert done.exit_code == 2
    assert "two names" in done.output


def test_names_with_markup_in_them_do_not_reach_the_page(tree):
    evil = dataclasses.replace(LIBRAW, name="<script>|")
    measured = real.sid(tree, chosen(evil, **{"<b>": "<i>"}), limit=1, with_wipes=True)
    words = report_page.page(measured)
    assert "<script>|" not in words
    assert "<i>" not in words
    assert "<script>\\|" in report.table(measured.result)


def test_a_large_picture_becomes_a_small_part_for_the_page():
    large = np.zeros((2848, 4256, 3), np.uint8)
    assert pair_measures.for_page(large).shape == (*pair_measures.PAGE_SIZE, 3)
    assert pair_measures.for_page(large[:300, :400]).shape == (300, 400, 3)


def test_brightness_correction_finds_the_factor_and_heeds_only_what_is_not_saturated(rng):
    truth = rng.random((20, 20, 4)).astype(np.float32)
    dim = truth * np.float32(0.8)
    truth[:5], dim[:5] = 1, 0.1
    corrected = brightness_corrected(dim, truth)
    assert corrected[5:] == pytest.approx(truth[5:], abs=1e-6)
    assert corrected[:5] == pytest.approx(0.125, abs=1e-6)


def test_psnr_and_ssim_agree_with_scikit_image_for_colours_and_for_mosaics(photo, rng):
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    truth = render(photo)
    noisy = np.clip(truth + rng.normal(0, 12, truth.shape), 0, 255).astype(np.uint8)
    four = raw.packed(photo[..., 1].astype(np.float32).clip(0, 1))
    other = (four + rng.normal(0, 0.02, four.shape)).clip(0, 1).astype(np.float32)
    for ours, theirs, peak in ((noisy, truth, 255), (other, four, 1)):
        assert psnr(ours, theirs, peak) == pytest.approx(
            peak_signal_noise_ratio(theirs, ours, data_range=peak), abs=1e-3
        )
        expected = structural_similarity(
            theirs.astype(np.float64),
            ours.astype(np.float64),
            channel_axis=2,
            data_range=peak,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        assert ssim(ours, theirs, peak) == pytest.approx(expected, abs=1e-3)


def test_a_limit_takes_the_same_pairs_every_time_and_many_ratios_are_grouped():
    pairs = [Pair(Path(f"{i:02}"), Path("long"), 2.0**i, str(i), "test") for i in range(12)]
    few, more = sample(pairs, 3), sample(pairs[::-1], 5)
    assert set(few) < set(more)
    assert more == sorted(more, key=lambda pair: pair.short)
    assert sample(pairs, None) == sample(pairs, 99) == pairs
    assert ratio_labels(pairs[:3]) == ["x1", "x2", "x4"]
    assert ratio_labels(pairs)[7] == "about x128"


def test_the_command_line_measures_and_writes_json_table_and_report(tree, tmp_path):
    words = ["evaluate", "sid", tree, "--limit", "1", "--method", "libraw", "--ratios", "true"]
    words += ["-o", tmp_path / "a.json", "--report", tmp_path / "a.html"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    assert "| bayer-fast |" in done.output
    result = json.loads((tmp_path / "a.json").read_text())
    assert (result["pairs_found"], result["ways"]) == (5, ["true ratio"])
    assert "<!doctype html>" in (tmp_path / "a.html").read_text()
    assert CliRunner().invoke(app, [str(word) for word in words]).exit_code == 1
    for protocol in ("pairs", "raw"):
        assert CliRunner().invoke(app, ["evaluate", protocol, str(tmp_path)]).exit_code == 1
        assert CliRunner().invoke(app, ["evaluate", protocol, "--help"]).exit_code == 0


def test_rawtherapee_is_not_measured_on_x_trans_which_it_misreads(photo, rng):
    mosaic = expose(photo[:96, :96], sony_a7s2(100), 10, rng, cfa=X_TRANS)
    with pytest.raises(external.ProgramFailed, match="X-Trans"):
        external.develop_elsewhere("rawtherapee", mosaic, 10, sony_a7s2(100).noise_profile())
