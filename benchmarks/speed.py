"""Seconds from a 12 MP RAW file to a JPEG, stage by stage, beside rawpy and the paper's U-Net.

    python benchmarks/speed.py [--runs 3] [-o speed.json]

Everything is measured in turn in one run on the same cores, so that ratios hold on a busy machine.
The paper's U-Net has random weights (its time does not depend on them) and is run in ONNX Runtime on
the whole frame; exporting it needs the train extra. The picture is simulated.
"""

from __future__ import annotations

import argparse
import json
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

from scotopic import develop, enhance, plan, read, write
from scotopic.dng.write import write_mosaic
from scotopic.evaluate.scenes import load_all
from scotopic.run import Model, usable_cores
from scotopic.sensor import expose, sony_a7s2
from scotopic.traditional import develop_traditional

HEIGHT, WIDTH = 2848, 4256
RATIO, ISO = 100, 3200


def make_raw(path: Path) -> None:
    """A dark photo of the size of the paper's camera, tiled from a held-out scene."""
    scene = load_all(limit=1)[0].camera
    repeats = (-(-HEIGHT // scene.shape[0]), -(-WIDTH // scene.shape[1]), 1)
    frame = np.tile(scene.astype(np.float32), repeats)[:HEIGHT, :WIDTH]
    write_mosaic(path, expose(frame, sony_a7s2(ISO), RATIO, np.random.default_rng(0)))


def export_paper(path: Path) -> None:
    """The paper's network as ONNX, in a process of its own: torch must not share the memory figure."""
    code = (
        "import sys, torch; from scotopic.train.paper import PaperUNet; "
        "torch.onnx.export(PaperUNet().eval(), (torch.zeros(1, 4, 64, 64),), sys.argv[1], "
        "input_names=['packed'], dynamic_axes={'packed': {2: 'h', 3: 'w'}}, dynamo=False)"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(path)], check=True, capture_output=True)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def once(raw: Path, target: Path, model: Model) -> dict[str, float]:
    """One picture, file to file: seconds by stage."""
    seconds: dict[str, float] = {}
    seconds["read"], mosaic = timed(lambda: read(raw))
    seconds["plan"], made = timed(lambda: plan(mosaic, ratio=RATIO))
    seconds["enhance"], linear = timed(lambda: enhance(mosaic, model, plan_made=made))
    seconds["develop"], shown = timed(lambda: develop(linear))
    seconds["write"], _ = timed(lambda: write(target, shown, "jpg", overwrite=True))
    seconds["whole"] = sum(seconds.values())
    return seconds


def peak_mb(code: str, *words: str) -> float:
    """Peak resident memory of a Python process of its own.

    Linux keeps the parent's peak in ru_maxrss across fork and exec, so its own high-water mark is read.
    """
    probe = code + (
        "\nimport pathlib, re, resource, sys\n"
        "status = pathlib.Path('/proc/self/status')\n"
        "if status.exists(): print(int(re.search(r'VmHWM:\\s+(\\d+)', status.read_text())[1]) / 1024)\n"
        "else: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)"
    )
    done = subprocess.run([sys.executable, "-c", probe, *words], check=True, capture_output=True, text=True)
    return round(float(done.stdout.split()[-1]), 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--model", default="bayer-fast")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        raw, paper_file = folder / "frame.dng", folder / "paper.onnx"
        make_raw(raw)
        export_paper(paper_file)
        model = Model(options.model, device="cpu")
        session_options = ort.SessionOptions()
        session_options.intra_op_num_threads = usable_cores()
        paper = ort.InferenceSession(str(paper_file), session_options, providers=["CPUExecutionProvider"])
        packed = np.random.default_rng(0).random((1, 4, HEIGHT // 2, WIDTH // 2), np.float32)
        packed = packed[..., : packed.shape[2] // 16 * 16, : packed.shape[3] // 16 * 16]
        mosaic = read(raw)
        rows: list[dict[str, float]] = []
        for run in range(options.runs + 1):
            row = once(raw, folder / "out.jpg", model)
            row["rawpy alone"], _ = timed(lambda: develop_traditional(raw, mosaic, ratio=RATIO))
            row["paper's U-Net alone"], _ = timed(lambda: paper.run(None, {"packed": packed}))
            if run:
                rows.append(row)
        result = {
            "benchmark": "speed",
            "megapixels": round(HEIGHT * WIDTH / 1e6, 2),
            "cores": usable_cores(),
            "machine": platform.processor() or platform.machine(),
            "model": f"{model.card.name} {model.card.version}",
            "runs": options.runs,
            "median_s": {k: round(statistics.median(r[k] for r in rows), 3) for k in rows[0]},
            "whole_over_paper": round(
                statistics.median(r["whole"] / r["paper's U-Net alone"] for r in rows), 3
            ),
            "enhance_over_paper": round(
                statistics.median(r["enhance"] / r["paper's U-Net alone"] for r in rows), 3
            ),
            "peak_mb": {
                "scotopic, file to file": peak_mb(
                    "import sys; from scotopic.cli import app; "
                    "failed = app(['enhance', *sys.argv[1:], '--overwrite'], standalone_mode=False); "
                    "assert not failed",
                    str(raw),
                    "-o",
                    str(folder / "out.jpg"),
                    "--model",
                    options.model,
                ),
                "rawpy alone": peak_mb(
                    "import sys, rawpy; rawpy.imread(sys.argv[1]).postprocess(use_camera_wb=True)",
                    str(raw),
                ),
                "paper's U-Net alone": peak_mb(
                    "import sys, numpy as np, onnxruntime as ort; "
                    "s = ort.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider']); "
                    f"s.run(None, {{'packed': np.zeros({packed.shape}, np.float32)}})",
                    str(paper_file),
                ),
            },
        }
    text = json.dumps(result, indent=2)
    if options.output:
        options.output.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
