"""Seconds from a 12 MP RAW file to a JPEG, stage by stage, beside rawpy and the paper's U-Net.

    python benchmarks/speed.py [--runs 3] [--beside src-of-another-version] [--openvino] [-o JSON] [--figure SVG]

Everything is measured in turn in one run on the same cores, so that ratios hold on a busy machine. Each lap of
scotopic is a process of its own: it tells the time of imports and of opening the model, treats one picture to get
warm, and times the second. `--beside` measures another source tree alike, such as an older version's, which
`git worktree add DIR COMMIT` gives (DIR/src), `--openvino` the network in OpenVINO; the figure shows all.
The paper's U-Net has random weights (its time does not depend on them) and is run in ONNX Runtime on
the whole frame; exporting it needs the train extra. The picture is simulated.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from frames import ENHANCE, HEIGHT, RATIO, WIDTH, export_paper, make_raw, peak_mb

from scotopic import read
from scotopic.cores import usable_cores
from scotopic.models import find
from scotopic.traditional import develop_traditional

PAPER = "paper's U-Net alone"

STAGES = ("import", "open the model", "read", "plan", "network", "develop", "write")
"""In order; the first two come once a process, the others with each picture. What a picture is developed in beside
the network: its pieces, white balance, colours and curve."""

LAP = """
import json, sys, time
start = time.perf_counter()
import scotopic.cli, scotopic.batch
from scotopic import plan, read, write
from scotopic.enhance import finished
from scotopic.run import Model
from pathlib import Path
raw, target, name, ratio, device = *map(Path, sys.argv[1:3]), sys.argv[3], float(sys.argv[4]), sys.argv[5]
seconds = {"import": time.perf_counter() - start}
def timed(stage, work):
    start = time.perf_counter()
    made = work()
    seconds[stage] = time.perf_counter() - start
    return made
model = timed("open the model", lambda: Model(name, device=device))
inner, spent = Model._tile, []
def tile(self, *words, **more):
    start = time.perf_counter()
    made = inner(self, *words, **more)
    spent.append(time.perf_counter() - start)
    return made
Model._tile = tile
for _ in range(2):
    spent.clear()
    mosaic = timed("read", lambda: read(raw))
    made = timed("plan", lambda: plan(mosaic, ratio=ratio))
    picture = timed("develop", lambda: finished(mosaic, model, plan_made=made))
    timed("write", lambda: write(target, picture, "jpg", overwrite=True))
# Tiles are under way side by side, each with a share of the cores.
lanes = model._runtime.lanes if hasattr(model, "_runtime") else getattr(model, "_lanes", 1)
seconds["network"] = sum(spent) / lanes
seconds["develop"] -= seconds["network"]
print(json.dumps(seconds))
"""


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def lap(raw: Path, target: Path, model: str, tree: Path | None, device: str) -> dict[str, float]:
    """One warm picture, file to file: seconds by stage. `tree` is another version's src folder."""
    more = {"PYTHONPATH": str(tree.resolve())} if tree else {}
    done = subprocess.run(
        [sys.executable, "-c", LAP, str(raw), str(target), model, str(RATIO), device],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **more},
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    found["whole"] = sum(found[stage] for stage in STAGES[2:])
    return found


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(statistics.median(row[key] for row in rows), 3) for key in rows[0]}


def beside(
    rows: list[dict[str, float]], now: list[dict[str, float]], papers: list[float]
) -> dict[str, Any]:
    """What else was measured, in the same laps as what is there now."""
    of_now = (n["whole"] / row["whole"] for n, row in zip(now, rows, strict=True))
    return {
        "median_s": medians(rows),
        "whole_over_paper": over_paper(rows, papers, "whole"),
        "network_over_paper": over_paper(rows, papers, "network"),
        "now_over_this": round(statistics.median(of_now), 3),
    }


def over_paper(rows: list[dict[str, float]], papers: list[float], key: str) -> float:
    return round(statistics.median(r[key] / p for r, p in zip(rows, papers, strict=True)), 3)


def figure(bars: dict[str, dict[str, float]], paper: float) -> str:
    """Where the time goes, one bar a version, beside the paper's network: a file of its own."""
    colours = ("#999", "#c9c9c9", "#0b62b8", "#7a5195", "#b35900", "#2a7f3f", "#c2185b")
    rows = {**{name: [bar[stage] for stage in STAGES] for name, bar in bars.items()}, PAPER: [paper]}
    left, width, high = 150, 700, 34
    scale = (width - left - 60) / max(sum(row) for row in rows.values())
    marks = []
    for place, (name, row) in enumerate(rows.items()):
        y, x = 12 + place * high, float(left)
        marks.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{html.escape(name)}</text>')
        for seconds, colour in zip(row, colours if len(row) > 1 else ("#444",), strict=False):
            marks.append(
                f'<rect x="{x:.1f}" y="{y}" width="{seconds * scale:.1f}" height="20" fill="{colour}"/>'
            )
            x += seconds * scale
        marks.append(f'<text x="{x + 6:.1f}" y="{y + 15}">{sum(row):.2f} s</text>')
    bottom = 12 + len(rows) * high
    for place, (stage, colour) in enumerate(zip(STAGES, colours, strict=True)):
        x, y = left + place % 4 * 135, bottom + place // 4 * 20
        marks.append(f'<rect x="{x}" y="{y}" width="12" height="12" fill="{colour}"/>')
        marks.append(f'<text x="{x + 17}" y="{y + 11}">{stage}</text>')
    words = "; ".join(f"{name}: {sum(row):.2f} s" for name, row in rows.items())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom + 46}" role="img" '
        f'aria-label="Seconds by stage. {html.escape(words)}"><style>text{{font:13px sans-serif;fill:#1b1b1b}}'
        f"svg{{background:#fff}}</style>{''.join(marks)}</svg>\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--model", default="bayer-fast")
    parser.add_argument("--beside", type=Path, help="the src folder of another version")
    parser.add_argument("--openvino", action="store_true", help="the same with --device openvino as well")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--figure", type=Path, help="an SVG file")
    options = parser.parse_args()
    card = find(options.model)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        raw, target, paper_file = folder / "frame.dng", folder / "out.jpg", folder / "paper.onnx"
        make_raw(raw)
        export_paper(paper_file)
        session_options = ort.SessionOptions()
        session_options.intra_op_num_threads = usable_cores()
        paper = ort.InferenceSession(str(paper_file), session_options, providers=["CPUExecutionProvider"])
        packed = np.random.default_rng(0).random((1, 4, HEIGHT // 32 * 16, WIDTH // 32 * 16), np.float32)
        mosaic = read(raw)
        ways: dict[str, tuple[Path | None, str]] = {"now": (None, "cpu")}
        if options.beside:
            ways["before"] = options.beside, "cpu"
        if options.openvino:
            ways["openvino"] = None, "openvino"
        rows: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        papers: list[float] = []
        rawpys: list[float] = []
        for run in range(options.runs + 1):
            # Each is first in its turn: what comes after the paper's network finds the machine's memory given back.
            first = run % len(ways)
            turn = list(ways)[first:] + list(ways)[:first]
            told = {way: lap(raw, target, options.model, *ways[way]) for way in turn}
            rawpy_s, _ = timed(lambda: develop_traditional(raw, mosaic, ratio=RATIO))
            paper_s, _ = timed(lambda: paper.run(None, {"packed": packed}))
            if run:
                for way, row in told.items():
                    rows[way].append(row)
                rawpys.append(rawpy_s)
                papers.append(paper_s)
        result = {
            "benchmark": "speed",
            "megapixels": round(HEIGHT * WIDTH / 1e6, 2),
            "cores": usable_cores(),
            "machine": platform.processor() or platform.machine(),
            "model": f"{card.name} {card.version}",
            "runs": options.runs,
            "median_s": {
                **medians(rows["now"]),
                "rawpy alone": round(statistics.median(rawpys), 3),
                PAPER: round(statistics.median(papers), 3),
            },
            "whole_over_paper": over_paper(rows["now"], papers, "whole"),
            "network_over_paper": over_paper(rows["now"], papers, "network"),
            "peak_mb": {
                "scotopic, file to file": peak_mb(
                    ENHANCE, str(raw), "-o", str(target), "--model", options.model
                ),
                "rawpy alone": peak_mb(
                    "import sys, rawpy; rawpy.imread(sys.argv[1]).postprocess(use_camera_wb=True)",
                    str(raw),
                ),
                PAPER: peak_mb(
                    "import sys, numpy as np, onnxruntime as ort; "
                    "s = ort.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider']); "
                    f"s.run(None, {{'packed': np.zeros({packed.shape}, np.float32)}})",
                    str(paper_file),
                ),
            },
        }
        for way in list(ways)[1:]:
            result[way] = beside(rows[way], rows["now"], papers)
    text = json.dumps(result, indent=1)
    if options.output:
        options.output.write_text(text + "\n")
    if options.figure:
        bars = {way: medians(found) for way, found in reversed(rows.items())}
        options.figure.write_text(figure(bars, statistics.median(papers)))
    print(text)


if __name__ == "__main__":
    main()
