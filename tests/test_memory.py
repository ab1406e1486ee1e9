"""How much memory pictures take: bounds on the peak of processes of their own, which hold on any machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

STATUS = Path("/proc/self/status")

pytestmark = pytest.mark.skipif(
    not STATUS.exists(), reason="peak memory is read from /proc, which is not here"
)

TWICE = """
import re, sys
import numpy as np
from scotopic.run import GraphInputs, Model

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024

four = (1.0,) * 4
inputs = GraphInputs((512.0,) * 4, (16383.0,) * 4, four, (1e-4,) * 4, (1e-7,) * 4, 50.0)
# One tile at a time: when two reach their peaks together is chance.
model = Model("bayer-fast", device="cpu", threads=1)
mosaic = np.full((1024, 1536), 600, np.uint16)
peaks = [peak()]
for _ in range(3):
    model.run_into(lambda *_: None, mosaic, inputs)
    peaks.append(peak())
print(*peaks)
"""

BYTES_OF_A_TILES_PIXEL = 100
"""With ONNX Runtime's plans of memory a picture takes twice as much."""


@pytest.mark.parametrize(
    ("megapixels", "options"),
    [
        pytest.param(24, [], id="mosaic"),
        pytest.param(24, ["--finished"], id="finished colours", marks=pytest.mark.slow),
        pytest.param(
            12, ["--model", "bayer-best", "--device", "openvino"], id="openvino", marks=pytest.mark.slow
        ),
    ],
)
def test_a_picture_takes_at_most_600_mb_and_20_bytes_a_pixel(tmp_path, megapixels, options):
    if "openvino" in options:
        pytest.importorskip("openvino")
    found = tmp_path / "memory.json"
    words = [ROOT / "benchmarks" / "memory.py", "--megapixels", megapixels, *options, "-o", found]
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = json.loads(found.read_text())["sizes"]
    assert row["peak_mb"] <= 600 + 20 * row["megapixels"]
    # A probe that reads nothing would pass any bound: the mosaic and the picture alone take this.
    assert row["peak_mb"] > 5 * row["megapixels"]


def test_a_picture_of_one_tile_takes_no_more_than_it_must_nor_does_a_second():
    done = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, text=True, check=True)
    before, first, *later = map(float, done.stdout.split())
    assert (first - before) / (1024 * 1536) < BYTES_OF_A_TILES_PIXEL
    assert max(later) < 1.02 * first
