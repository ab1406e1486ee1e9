"""Seconds a picture of a folder of 12 MP RAW files, to JPEG: one after the other, overlapped, by several processes.

    python benchmarks/folder.py [--pictures 6] [--laps 3] [--device openvino] [-o folder.json]

A lap measures in turn, on the same cores: the paper's U-Net alone in ONNX Runtime on one whole frame (exporting it
needs the train extra); pictures one after the other in one process; the same with 1, 2 and 3 files in hand, of which
one is in the network while others are read and written; and two processes with half of the cores each. What a
process takes to start and its first picture are left out. Memory is the peak of all worker processes together.
"""

from __future__ import annotations

import argparse
import platform
import re
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from frames import HEIGHT, RATIO, WIDTH, export_paper, make_raw
from results import print_result

from scotopic.batch import Job
from scotopic.cores import usable_cores
from scotopic.jobs.worker import ModelChoice
from scotopic.jobs.workers import Workers
from scotopic.settings import Settings

WAYS = {
    "one after the other": (1, 1),
    "overlapped, 2 in hand": (1, 2),
    "overlapped, 3 in hand": (1, 3),
    "2 processes, 1 in hand each": (2, 1),
    "2 processes, 2 in hand each": (2, 2),
}
"""Processes, and files that each has in hand."""


def peak_mb(process: int) -> float:
    """The most that a process has had resident so far."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+)", status)
    return int(found[1]) / 1024 if found else 0.0


def folder(jobs: list[Job], choice: ModelChoice, processes: int, in_hand: int) -> tuple[float, float]:
    """Seconds a picture once all processes are warm, and peak megabytes."""
    times: list[float] = []
    peaks: dict[int, float] = {}

    def begin(_job: Job, process: int) -> None:
        peaks[process] = 0.0

    settings = Settings(ratio=RATIO, overwrite=True)
    with Workers(processes, settings, choice, at_once=in_hand, begin=begin) as crew:
        for outcome in crew.run(jobs):
            if outcome.status != "done":
                raise SystemExit(outcome.error)
            times.append(time.perf_counter())
            peaks = {process: peak_mb(process) for process in peaks}
    warm = processes * in_hand
    return (times[-1] - times[warm - 1]) / (len(times) - warm), sum(peaks.values())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=6, help="a lap and way, beside those that warm up")
    parser.add_argument("--laps", type=int, default=3)
    parser.add_argument("--model", default="bayer-fast")
    parser.add_argument("--device", default="cpu", choices=("cpu", "openvino"))
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, float]] = []
    peaks: dict[str, float] = {}
    choice = ModelChoice(options.model, device=options.device)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        raw, paper_file = place / "0.dng", place / "paper.onnx"
        make_raw(raw)
        most = options.pictures + max(a * b for a, b in WAYS.values())
        sources = [raw, *(place / f"{i}.dng" for i in range(1, most))]
        for source in sources[1:]:
            shutil.copy(raw, source)
        jobs = [Job(source, source.with_suffix(".jpg")) for source in sources]
        export_paper(paper_file)
        session_options = ort.SessionOptions()
        session_options.intra_op_num_threads = usable_cores()
        paper = ort.InferenceSession(str(paper_file), session_options, providers=["CPUExecutionProvider"])
        size = (1, 4, HEIGHT // 32 * 16, WIDTH // 32 * 16)
        packed = np.random.default_rng(0).random(size, np.float32)
        paper.run(None, {"packed": packed})
        for _ in range(options.laps):
            start = time.perf_counter()
            paper.run(None, {"packed": packed})
            row = {"paper's U-Net alone": time.perf_counter() - start}
            for way, (processes, in_hand) in WAYS.items():
                some = jobs[: options.pictures + processes * in_hand]
                row[way], peak = folder(some, choice, processes, in_hand)
                peaks[way] = max(peaks.get(way, 0.0), round(peak, 1))
            rows.append(row)

    def ratios(below: str) -> dict[str, float]:
        return {way: round(statistics.median(r[way] / r[below] for r in rows), 3) for way in WAYS}

    result: dict[str, Any] = {
        "benchmark": "folder",
        "megapixels": round(HEIGHT * WIDTH / 1e6, 2),
        "pictures": options.pictures,
        "laps": options.laps,
        "cores": usable_cores(),
        "machine": platform.processor() or platform.machine(),
        "model": options.model,
        "device": options.device,
        "median_s_a_picture": {k: round(statistics.median(r[k] for r in rows), 3) for k in rows[0]},
        "over_one_after_the_other": ratios("one after the other"),
        "over_paper": ratios("paper's U-Net alone"),
        "peak_mb": peaks,
    }
    print_result(result, options.output)


if __name__ == "__main__":
    main()
