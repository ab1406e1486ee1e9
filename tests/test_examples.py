"""The examples, run as a reader would run them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

pytest.importorskip("torch", reason="torch is not installed (the train extra)")


@pytest.mark.slow
def test_the_article_goes_from_end_to_end(tmp_path):
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
