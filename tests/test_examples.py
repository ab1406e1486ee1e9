"""The examples, run as a reader would run them."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import scotopic
from conftest import ROOT
from scotopic.dng.write import write_mosaic
from scotopic.sensor.simulated import expose, sony_a7s2


@pytest.mark.slow
def test_the_article_goes_from_end_to_end(tmp_path):
    pytest.importorskip("torch", reason="torch is not installed (the train extra)")
    small = {"SCENES": "4", "SIZE": "128x160", "EPOCHS": "80", "CROP": "64", "RATE": "1e-3"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", str(ROOT / "examples" / "article.sh"), str(tmp_path / "out")],
        env={**os.environ, **small, "PATH": path},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "going on from step" in done.stderr
    log = [json.loads(line) for line in (tmp_path / "out" / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == sorted(line["step"] for line in log)
    # Two training scenes, one crop of each a pass.
    assert log[-1]["step"] == 160
    assert log[-1]["loss"] < 0.8 * log[0]["loss"]
    result = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {"article", "bayer-fast", "LibRaw"} <= {row["method"] for row in result["summary"]}
    assert {v["name"] for v in result["variants"]} >= {"all", "without misaligned", "frame 00"}
    report = (tmp_path / "out" / "report.html").read_text()
    assert report.startswith("<!doctype html>")
    assert "article" in report
    assert (tmp_path / "out" / "enhanced.jpg").read_bytes()[:2] == b"\xff\xd8"


def stacked(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "examples" / "stack.py"), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_mean_of_frames_is_nearer_to_the_truth_than_the_mean_of_their_results(tmp_path, photo, model):
    scene, sensor = photo[:128, :192], sony_a7s2(3200)
    frames = [tmp_path / f"{number}.dng" for number in range(8)]
    for number, path in enumerate(frames):
        write_mosaic(path, expose(scene, sensor, 100, np.random.default_rng(number)))
    done = stacked(tmp_path / "mean.dng", *frames, "--ratio", 100)
    assert done.returncode == 0, done.stderr
    assert "8 frames, x100" in done.stdout
    assert "of the mean of 8" in done.stdout, "the camera's noise, an eighth of it"
    one_by_one = np.mean(
        [scotopic.enhance(scotopic.read(p), model, ratio=100).data for p in frames], axis=0
    )
    result = scotopic.read(tmp_path / "mean.dng")
    off, off_one_by_one = (
        np.sqrt(np.mean(np.square(light * np.array(result.wb) - scene)))
        for light in (result.data, one_by_one)
    )
    assert off < 0.85 * off_one_by_one


def test_a_place_that_will_not_do_is_refused_before_a_frame_is_read(tmp_path):
    (tmp_path / "there.jpg").write_bytes(b"mine")
    for place, said in {
        "mean.gif": "ends in .jpg, .png, .tiff, .avif, .jxl, .dng",
        "there.jpg": "--overwrite",
    }.items():
        done = stacked(tmp_path / place, tmp_path / "no frame.dng")
        assert done.returncode == 2
        assert said in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["there.jpg"]


def test_a_single_frame_goes_into_a_place_in_capitals_that_may_be_replaced(tmp_path, dark):
    write_mosaic(tmp_path / "a.dng", dark.with_changes(data=dark.data[:64, :96]))
    (tmp_path / "mean.TIF").write_bytes(b"before")
    done = stacked(tmp_path / "mean.TIF", tmp_path / "a.dng", "--overwrite")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 frame, x")
    assert (tmp_path / "mean.TIF").read_bytes()[:2] == b"II"


def test_frames_of_another_exposure_or_size_are_not_averaged(tmp_path, dark):
    averaged = runpy.run_path(str(ROOT / "examples" / "stack.py"))["averaged"]
    for said, other in {
        "differ in exposure_s": dark.with_changes(exposure_s=0.5),
        "differ in iso": dark.with_changes(iso=100.0),
        "differ in size": dark.with_changes(data=dark.data[:64, :96]),
    }.items():
        with pytest.raises(ValueError, match=said):
            averaged([dark, other])
    write_mosaic(tmp_path / "a.dng", dark)
    write_mosaic(tmp_path / "b.dng", other)
    done = stacked(tmp_path / "mean.jpg", tmp_path / "a.dng", tmp_path / "b.dng")
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "mean.jpg").exists()
