from __future__ import annotations

import json
import os

import imagecodecs
import numpy as np
import pytest
import rawpy
import tifffile
from typer.testing import CliRunner

from scotopic import batch
from scotopic.cli import app
from scotopic.dng.write import write_mosaic
from scotopic.errors import SettingsError, WriteError
from scotopic.formats.icc import profile
from scotopic.jobs.layout import find_files, lay_out
from scotopic.run import Models
from scotopic.sensor.simulated import expose, sony_a7s2
from scotopic.settings import Settings, check_output
from scotopic.write import check_place
from test_write import icc_of, pixels


@pytest.fixture
def photo_file(tmp_path, dark):
    write_mosaic(tmp_path / "a.dng", dark.with_changes(data=dark.data[:64, :96]))
    return tmp_path / "a.dng"


def treated(source, **settings) -> batch.Outcome:
    (job,), kind = lay_out(find_files([source]), None, settings.pop("kind", "jpg"))
    made = Settings(ratio=50, kind=kind, **settings)
    check_output(made)
    outcome = batch.treated(job, made, Models(None, device="cpu"))
    assert outcome.status == "done", outcome.error
    return outcome


@pytest.mark.parametrize(
    ("wb", "source"), [("auto", "auto"), ("daylight", "daylight"), ((2.0, 1.0, 1.5), "given")]
)
def test_the_facts_say_the_white_balance_and_its_source(photo_file, wb, source):
    facts = treated(photo_file, wb=wb).to_json()
    assert facts["wb_source"] == source
    assert facts["wb"][1] == 1
    assert source != "given" or facts["wb"] == [2.0, 1.0, 1.5]


def test_the_white_balance_of_the_file_is_the_default(photo_file):
    assert treated(photo_file).facts["wb_source"] == "camera"


def test_a_dng_takes_the_white_balance_too(photo_file):
    from scotopic.read import read

    outcome = treated(photo_file, kind="dng", wb=(2.0, 1.0, 1.5))
    assert read(outcome.job.target).wb == pytest.approx((2.0, 1.0, 1.5), rel=1e-3)


def test_dngs_of_a_sequence_are_alike_to_editors_whatever_the_brightest_pixel(tmp_path):
    """One scene, once with an aeroplane in it, each as LibRaw shows it without BaselineExposure."""
    shown = []
    for name, lamp in (("a", 0.0), ("b", 20.0)):
        scene = np.full((96, 128, 3), 0.4)
        scene[8:24, 8:24] += lamp
        dark = expose(scene, sony_a7s2(400), 50, np.random.default_rng(3))
        write_mosaic(tmp_path / f"{name}.dng", dark)
        outcome = treated(tmp_path / f"{name}.dng", kind="dng", dng_white="sensor")
        assert outcome.facts["baseline_ev"] == pytest.approx(np.log2(50), abs=1e-3)
        with rawpy.imread(str(outcome.job.target)) as raw:
            picture = raw.postprocess(use_camera_wb=True, no_auto_bright=True, gamma=(1, 1), output_bps=16)
        shown.append(picture[48:].mean())
    assert shown[0] == pytest.approx(shown[1], rel=0.01)
    single = treated(tmp_path / "a.dng", kind="dng", overwrite=True)
    assert single.facts["baseline_ev"] < 2, "as bright as it can be, where nothing is asked for"


@pytest.mark.parametrize(
    ("kind", "settings", "dtype"),
    [
        ("png", {}, np.uint8),
        ("png", {"bits": 16}, np.uint16),
        ("png", {"space": "rec2020-linear"}, np.uint16),
        ("avif", {"bits": 10, "space": "p3"}, np.uint16),
        ("jxl", {"space": "p3"}, np.uint16),
        ("jxl", {"space": "rec2020-linear"}, np.uint16),
    ],
)
def test_depth_and_space_are_as_asked(photo_file, kind, settings, dtype):
    path = treated(photo_file, kind=kind, **settings).job.target
    assert pixels(path).dtype == dtype
    if kind == "jxl":
        jxl = imagecodecs.jpegxl_decode(path.read_bytes())
        plain = treated(photo_file, kind="tiff", **settings).job.target
        assert np.abs(jxl.astype(int) - tifffile.imread(plain)).mean() < 0.01 * 65535
    else:
        linear = settings.get("space") == "rec2020-linear"
        primaries = "rec2020" if linear else settings.get("space", "srgb")
        assert icc_of(path) == profile(primaries, linear=linear)


def test_bits_can_be_asked_for_on_the_command_line(photo_file):
    words = ["enhance", str(photo_file), "--format", "png", "--bits", "16", "--ratio", "50"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert pixels(photo_file.with_name("a-scotopic.png")).dtype == np.uint16
    words[5] = "12"
    told = CliRunner().invoke(app, [*words, "--overwrite"])
    assert told.exit_code == 2
    assert "8 or 16 bits" in told.output


@pytest.mark.parametrize("command", ["enhance", "develop"])
def test_a_quality_can_be_asked_for_on_the_command_line(photo_file, command):
    sizes = []
    for more in ([], ["--quality", "95"], ["--quality", "60"]):
        words = [command, str(photo_file), "--ratio", "50", "--overwrite", *more]
        assert CliRunner().invoke(app, words).exit_code == 0
        (made,) = photo_file.parent.glob("a-*.jpg")
        sizes.append(made.stat().st_size)
    assert sizes[0] == sizes[1] > sizes[2]
    for more in (["--quality", "101"], ["--quality", "60", "--format", "png"]):
        assert CliRunner().invoke(app, [command, str(photo_file), *more]).exit_code == 2


@pytest.mark.parametrize("kind", ["jpg", "png", "avif", "tiff"])
def test_display_p3_is_written_in_every_format_with_a_profile(photo_file, kind):
    assert icc_of(treated(photo_file, kind=kind, space="p3").job.target) == profile("p3")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "jpg", "space": "rec2020-linear"}, "JPEG holds at most 8 bits"),
        ({"kind": "jpg", "look": "linear"}, "choose PNG, TIFF or JPEG XL"),
        ({"kind": "png", "look": "linear", "bits": 8}, "look linear needs 16 bits"),
        ({"kind": "avif", "space": "rec2020-linear", "bits": 10}, "at most 10 bits"),
        ({"kind": "jpg", "bits": 16}, "jpg is written with 8 bits a colour, not 16"),
        ({"kind": "dng", "bits": 8}, "leave --bits out"),
        ({"kind": "avif", "look": "linear"}, "choose PNG, TIFF or JPEG XL"),
        ({"kind": "dng", "space": "p3"}, "camera's own colours"),
        ({"kind": "dng", "look": "linear"}, "camera's own colours"),
    ],
)
def test_what_does_not_go_together_is_said_before_any_work(settings, words):
    with pytest.raises(SettingsError, match=words):
        check_output(Settings(**settings))


@pytest.mark.parametrize("kind", ["dng", "jpg"])
def test_results_in_a_folder_are_no_pictures_to_enhance(photo_file, kind):
    folder = str(photo_file.parent)
    assert CliRunner().invoke(app, ["enhance", folder, "--format", "dng"]).exit_code == 0
    words = ["enhance", folder, "--format", kind, "--overwrite", "--json"]
    second = CliRunner().invoke(app, words)
    assert second.exit_code == 0, second.output
    assert [json.loads(line)["file"] for line in second.stdout.splitlines()] == [str(photo_file)]


def test_results_are_taken_where_they_are_asked_for(photo_file):
    made = treated(photo_file, kind="dng").job.target
    both = [(photo_file, photo_file.parent, False), (made, made.parent, False)]
    assert sorted(find_files([photo_file.parent])) == sorted(both)
    assert find_files([made], enhanced=False) == [(made, made.parent, True)]
    told = CliRunner().invoke(app, ["info", str(made)])
    assert told.exit_code == 0
    assert "--again" in told.stdout


def test_a_folder_may_have_a_dot_however_many_photos_there_are(photo_file, tmp_path):
    out = tmp_path / "results.2026"
    ((job,), kind) = lay_out(find_files([photo_file.parent]), out, None)
    assert (job.target.parent, kind) == (out, "jpg")
    with pytest.raises(SettingsError, match=r"no picture format called \.2026"):
        lay_out(find_files([photo_file]), out, None)


def test_a_place_that_cannot_be_written_is_said_before_any_work(photo_file):
    target = photo_file / "sub" / "a.jpg"
    outcome = batch.treated(batch.Job(photo_file, target), Settings(dry_run=True), None)
    assert outcome.status == "failed"
    assert "no folder" in outcome.error


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_said_before_any_work(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(WriteError, match="read-only"):
        check_place(tmp_path / "sub" / "a.jpg")
