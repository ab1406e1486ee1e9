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
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024

four = (1.0,) * 4
inputs = GraphInputs((512.0,) * 4, (16383.0,) * 4, four, (1e-4,) * 4, (1e-7,) * 4, 50.0)
model = Model("bayer-fast", device="cpu")
mosaic = np.full((1024, 1536), 600, np.uint16)
peaks = []
for _ in range(3):
    model.run_into(lambda *_: None, mosaic, inputs)
    peaks.append(peak())
print(*peaks)
"""


def test_a_picture_of_24_megapixels_takes_at_most_600_mb_and_20_bytes_a_pixel(tmp_path):
    found = tmp_path / "memory.json"
    words = [ROOT / "benchmarks" / "memory.py", "--megapixels", "24", "-o", found]
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = json.loads(found.read_text())["sizes"]
    assert row["peak_mb"] <= 600 + 20 * row["megapixels"]
    # A probe that reads nothing would pass any bound: the mosaic and the picture alone take this.
    assert row["peak_mb"] > 5 * row["megapixels"]


def test_a_second_picture_of_the_same_size_takes_no_more_memory():
    done = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, text=True, check=True)
    first, *later = map(float, done.stdout.split())
    assert max(later) < 1.1 * first
