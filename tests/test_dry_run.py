"""What is said before any work is what then happens: dry runs, and what no run is begun with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from scotopic import batch
from scotopic.batch import Job, Outcome
from scotopic.cli import app
from scotopic.dng.write import write_mosaic
from scotopic.frame import X_TRANS, Mosaic
from scotopic.inference import devices
from scotopic.inference.onnx_runtime import CPU, PROVIDERS
from scotopic.models import find
from scotopic.run import Models
from scotopic.sensor.simulated import expose, sony_a7s2
from scotopic.settings import Settings


@pytest.fixture
def bayer(tmp_path, dark: Mosaic) -> Path:
    write_mosaic(tmp_path / "bayer.dng", dark.with_changes(data=dark.data[:64, :96]))
    return tmp_path / "bayer.dng"


@pytest.fixture
def xtrans(tmp_path, photo) -> Path:
    write_mosaic(
        tmp_path / "xtrans.dng",
        expose(photo[:96, :96], sony_a7s2(800), 30, np.random.default_rng(0), cfa=X_TRANS),
    )
    return tmp_path / "xtrans.dng"


@pytest.fixture
def stranger(tmp_path) -> Path:
    """The folder of a model that did not come with the package."""
    return Path(shutil.copytree(find("bayer-fast").folder, tmp_path / "mine"))


@pytest.fixture
def only_a_processor(monkeypatch) -> None:
    monkeypatch.setattr(devices.ort, "get_available_providers", lambda: [PROVIDERS[CPU]])


def both(source: Path, models: Models, **settings) -> tuple[Outcome, Outcome]:
    """What becomes of a file in a dry run, and then indeed."""
    job = Job(source, source.with_name("result.jpg"))
    dry, real = (
        batch.treated(job, Settings(ratio=50, dry_run=dry_run, **settings), models)
        for dry_run in (True, False)
    )
    return dry, real


def alike(dry: Outcome, real: Outcome) -> str:
    """What both failed with."""
    assert (dry.status, real.status) == ("failed", "failed"), dry
    assert (dry.error, dry.fault) == (real.error, real.fault)
    return dry.error


def test_a_dry_run_fails_where_there_is_no_model_for_the_sensor(xtrans):
    assert "tier best for xtrans" in alike(*both(xtrans, Models(tier="best", device="cpu")))


def test_a_dry_run_fails_where_the_model_is_of_another_sensor(bayer, xtrans):
    for source, name in ((bayer, "xtrans-fast"), (xtrans, "bayer-fast")):
        assert "leave --model out" in alike(*both(source, Models(name, device="cpu")))


def test_a_dry_run_fails_where_the_model_was_changed(bayer, stranger):
    with (stranger / "model.onnx").open("ab") as file:
        file.write(b"\0")
    assert "was changed" in alike(*both(bayer, Models(stranger, device="cpu")))


@pytest.mark.usefixtures("only_a_processor")
def test_a_dry_run_fails_where_the_device_is_not_there(bayer):
    assert "device cuda" in alike(*both(bayer, Models(device="cuda")))


@pytest.mark.parametrize("kind", ["jpg", "dng"])
def test_a_dry_run_fails_where_the_white_balance_cannot_be(monkeypatch, bayer, dark, kind):
    unknown = dark.with_changes(xyz_to_camera=None)
    monkeypatch.setattr(batch, "read", lambda _: unknown)
    assert "colour matrix" in alike(*both(bayer, Models(device="cpu"), kind=kind, wb="daylight"))


@pytest.mark.parametrize("wb", ["camera", "daylight", (2.0, 1.0, 1.5)])
def test_a_dry_run_tells_the_white_balance_that_the_result_has(bayer, wb):
    dry, real = (outcome.to_json() for outcome in both(bayer, Models(device="cpu"), wb=wb))
    assert (dry["status"], real["status"]) == ("planned", "done")
    assert (dry["wb"], dry["wb_source"]) == (real["wb"], real["wb_source"])


def test_a_dry_run_tells_no_white_balance_that_is_still_to_be_judged(bayer):
    dry, real = both(bayer, Models(device="cpu"), wb="auto")
    assert (dry.facts["wb"], dry.facts["wb_source"]) == (None, "auto")
    assert real.facts["wb"]


@pytest.mark.usefixtures("only_a_processor")
@pytest.mark.parametrize("more", [[], ["--dry-run"], ["--workers", "2"]])
def test_nothing_is_begun_on_a_device_that_is_not_there(bayer, more):
    out = bayer.parent / "out"
    words = ["enhance", str(bayer.parent), "-o", str(out), "--device", "cuda", *more]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 2
    assert "scotopic: device cuda is not available" in told.stderr
    assert not out.exists()


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_nothing_is_begun_on_a_device_that_is_not_for_the_model(bayer, stranger, more):
    words = ["enhance", str(bayer), "--device", "openvino", "--model", str(stranger), *more]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 2
    assert "models that come with scotopic" in told.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["enhance", "{raw}", "--model", "nosuch"],
        ["compare", "{raw}", "--model", "nosuch"],
        ["compare", "{raw}", "--model", "{folder}"],
        ["models", "show", "nosuch"],
        ["models", "verify", "nosuch"],
        ["evaluate", "synthetic", "--model", "nosuch", "--method", "none"],
    ],
    ids=" ".join,
)
def test_a_model_that_there_is_not_is_a_wrong_command_line(bayer, words):
    if words[0] == "evaluate":
        pytest.importorskip("bm3d", reason="the evaluate extra is not installed")
    told = CliRunner().invoke(app, [w.format(raw=bayer, folder=bayer.parent) for w in words])
    assert told.exit_code == 2
    assert "no model called" in told.stderr


def test_a_damaged_model_is_no_wrong_command_line(bayer, stranger):
    (stranger / "card.json").write_text("{}")
    for words in (["enhance", bayer], ["compare", bayer]):
        told = CliRunner().invoke(app, [*map(str, words), "--model", str(stranger)])
        assert told.exit_code == 1
        assert "is no model card" in told.stderr


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["compare"], "scotopic: made.dng: scotopic has enhanced"),
        (["enhance"], "made.dng: FAILED: scotopic has enhanced"),
        (["enhance", "--json"], "made.dng: scotopic has enhanced"),
    ],
)
def test_what_is_enhanced_already_is_told_by_name_once(monkeypatch, bayer, words, name):
    monkeypatch.chdir(bayer.parent)
    done = CliRunner().invoke(app, ["enhance", bayer.name, "-o", "made.dng", "--device", "cpu"])
    assert done.exit_code == 0, done.stderr
    told = CliRunner().invoke(app, [*words, "made.dng"])
    assert told.exit_code == 1
    line = json.loads(told.stdout)["error"] if "--json" in words else told.stderr.strip()
    assert line.startswith(name)
    assert line.count("made.dng") == 1
