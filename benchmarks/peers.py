"""What users have, side by side: seconds, memory and quality of each way from a dark RAW file to a picture.

    python benchmarks/peers.py [--model bayer-fast] [--paper FOLDER] [--laps 3] [--scenes 6] [--no-bm3d]
        [-o peers.json] [--figure peers.svg]

Seconds and peak memory: one simulated 12 MP frame, each way in a process of its own, start-up and writing the
result included, in turn in one run; medians, and ratios to the paper's network of the same lap. Quality: medians
over held-out scenes taken with the same camera, ratio and ISO (`scotopic evaluate synthetic`).

- darktable and RawTherapee get the frame amplified already, and write a 16-bit TIFF: see scotopic.evaluate.external.
- BM3D runs on a part of the frame, and its seconds are scaled to all of it; it is told the true noise.
- The paper's network is run in ONNX Runtime on the whole frame with random weights, on which its time does not depend:
  the network alone, without reading, developing or writing. Its quality is that of its weights: `--paper` names a
  model trained with `network=paper-linear`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from frames import HEIGHT, ISO, RATIO, WIDTH, export_paper, make_raw

from scotopic.cores import usable_cores
from scotopic.dng.write import write_mosaic
from scotopic.evaluate import external
from scotopic.evaluate.conditions import Condition
from scotopic.evaluate.plots import quality_against_cost
from scotopic.evaluate.protocols import NAMES, PEERS, label, synthetic
from scotopic.read import read_mosaic
from scotopic.run import Model
from scotopic.sensor.simulated import sony_a7s2

PAPER = "the paper's U-Net alone"

BM3D_PART = (512, 640)
"""What of the frame BM3D is run on: about 30 s."""

_FBDD = (
    "import sys; from pathlib import Path; from scotopic import read, write; "
    "from scotopic.traditional import develop_traditional; raw = Path(sys.argv[1]); "
    "shown = develop_traditional(raw, read(raw), ratio=float(sys.argv[3]), fbdd=True); "
    "write(Path(sys.argv[2]), shown, 'jpg', overwrite=True)"
)

_PAPER = (
    "import sys, numpy as np, onnxruntime as ort; "
    "s = ort.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider']); "
    "s.run(None, {'packed': np.zeros((1, 4, int(sys.argv[2]), int(sys.argv[3])), np.float32)})"
)

_BM3D = (
    "import sys; from pathlib import Path; from scotopic.evaluate.peers import bm3d_counts; "
    "from scotopic.read import read_mosaic; from scotopic.sensor.simulated import sony_a7s2; "
    "bm3d_counts(read_mosaic(Path(sys.argv[1])), sony_a7s2(float(sys.argv[2])).noise_profile())"
)

STYLE = (
    "text{font:13px sans-serif;fill:#1b1b1b}text.axis{font-size:12px;fill:#555}.grid{stroke:#d5d5d5}"
    "svg{background:#fff;--page:#fff;--s0:#b35900;--s1:#7a5195;--s2:#2a7f3f;--s3:#c2185b;--s4:#0b62b8;"
    "--s5:#6b6b00;--s6:#444;--s7:#007a7a}"
)


def watched(command: list[str | Path]) -> tuple[float, float]:
    """Seconds of a process, and its peak resident memory in MB (of a million bytes), read while it runs."""
    start = time.perf_counter()
    running = subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C"},
    )
    status, peak = Path(f"/proc/{running.pid}/status"), 0.0
    while running.poll() is None:
        try:
            lines = status.read_text().splitlines()
        except OSError:
            break
        peak = max(
            [peak, *(float(line.split()[1]) * 1024e-6 for line in lines if line.startswith("VmHWM"))]
        )
        time.sleep(0.02)
    _, said = running.communicate()
    if running.returncode:
        raise SystemExit(f"{command[0]}: ended with {running.returncode}: {said.decode(errors='replace')}")
    return time.perf_counter() - start, peak


def commands(folder: Path, models: list[Model]) -> dict[str, list[str | Path]]:
    """Each way by its name, ready to run on a frame in `folder`."""
    raw, out, paper = folder / "frame.dng", folder / "out.jpg", folder / "paper.onnx"
    make_raw(raw)
    export_paper(paper)
    python = sys.executable
    packed = [str(n // 32 * 16) for n in (HEIGHT, WIDTH)]
    own: list[str | Path] = [raw, "-o", out, "--ratio", str(RATIO), "--overwrite"]
    enhance: list[str | Path] = [python, "-m", "scotopic", "enhance", *own, "--device", "cpu", "--model"]
    found: dict[str, list[str | Path]] = {
        **{label(model, models): [*enhance, model.card.folder] for model in models},
        PAPER: [python, "-c", _PAPER, paper, *packed],
        NAMES["libraw"]: [python, "-m", "scotopic", "develop", *own],
        NAMES["fbdd"]: [python, "-c", _FBDD, raw, out, str(RATIO)],
    }
    bright = folder / "amplified.dng"
    write_mosaic(bright, external.amplified(read_mosaic(raw), RATIO))
    for name, program in external.PROGRAMS.items():
        if external.missing(name):
            print(f"LEFT OUT: {external.missing(name)}", file=sys.stderr)
            continue
        place = folder / name
        place.mkdir()
        found[program] = external.command(
            name, bright, place / "out.tif", RATIO, sony_a7s2(ISO).noise_profile()
        )
    return found


def costs(models: list[Model], laps: int, bm3d: bool) -> dict[str, dict[str, Any]]:
    """Seconds and memory of every way."""
    rows: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as words:
        folder = Path(words)
        ways = commands(folder, models)
        for lap in range(laps):
            for name, command in ways.items():
                print(f"lap {lap + 1}: {name}", file=sys.stderr, flush=True)
                for old in folder.glob("*/out*.tif"):
                    old.unlink()
                rows.setdefault(name, []).append(watched(command))
        of_paper = [seconds for seconds, _ in rows[PAPER]]
        found: dict[str, dict[str, Any]] = {
            name: {
                "seconds": round(statistics.median(seconds for seconds, _ in runs), 2),
                "over_paper": round(
                    statistics.median(s / p for (s, _), p in zip(runs, of_paper, strict=True)), 3
                ),
                "peak_mb": round(max(peak for _, peak in runs)),
            }
            for name, runs in rows.items()
        }
        if bm3d:
            mosaic = read_mosaic(folder / "frame.dng")
            high, wide = BM3D_PART
            write_mosaic(folder / "part.dng", mosaic.with_changes(data=mosaic.data[:high, :wide]))
            print("BM3D, a part of the frame", file=sys.stderr, flush=True)
            seconds, _ = watched([sys.executable, "-c", _BM3D, folder / "part.dng", str(ISO)])
            scaled = seconds * HEIGHT * WIDTH / (high * wide)
            found[NAMES["bm3d"]] = {
                "seconds": round(scaled),
                "over_paper": round(scaled / statistics.median(of_paper), 1),
                "peak_mb": None,
                "note": f"scaled from {wide}x{high} pixels",
            }
    return found


def qualities(
    models: list[Model], paper: Model | None, scenes: int, bm3d: bool
) -> dict[str, dict[str, float]]:
    """PSNR and SSIM of every way that has them, medians over scenes."""
    condition = Condition(f"x{RATIO:g} ISO {ISO:g}", RATIO, ISO)
    wanted = [
        name
        for name in PEERS
        if name in ("libraw", "fbdd", *external.PROGRAMS) or (bm3d and name == "bm3d")
    ]
    measured = [*models, *([paper] if paper else [])]
    result = synthetic(
        measured,
        limit=scenes,
        conditions=(condition,),
        methods=wanted,
        progress=lambda words: print(words, file=sys.stderr, flush=True),
    )
    found = {
        name: {"psnr": round(row["psnr_median"], 2), "ssim": round(row["ssim_median"], 4)}
        for name, row in result["settings"][0]["methods"].items()
    }
    names = {label(model, measured): label(model, models) for model in models}
    if paper:
        names[label(paper, measured)] = PAPER
    return {names.get(name, name): row for name, row in found.items()}


def figure(rows: dict[str, dict[str, Any]]) -> str:
    """Quality against seconds a megapixel, as a file of its own."""
    megapixels = HEIGHT * WIDTH / 1e6
    shown = {name: row for name, row in rows.items() if {"psnr", "seconds"} <= row.keys()}
    drawn = quality_against_cost(
        {
            "ways": ["one"],
            "variants": [{"name": "all"}],
            "figures": {"one": dict.fromkeys(shown)},
            "seconds_per_megapixel": {name: row["seconds"] / megapixels for name, row in shown.items()},
            "summary": [
                {"way": "one", "variant": "all", "ratio": "all", "method": name, "psnr_mean": row["psnr"]}
                for name, row in shown.items()
            ],
        }
    )
    inside = drawn[drawn.index("<svg") : drawn.rindex("</svg>") + len("</svg>")]
    head, rest = inside.split(">", 1)
    return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{STYLE}</style>{rest}\n'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--laps", type=int, default=3)
    parser.add_argument("--scenes", type=int, default=6)
    parser.add_argument("--model", action="append", help="may be repeated; default bayer-fast")
    parser.add_argument("--paper", type=Path, help="the paper's network, trained: a model's folder")
    parser.add_argument("--no-bm3d", action="store_true", help="leave out what takes minutes")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--figure", type=Path, help="an SVG file")
    options = parser.parse_args()
    models = [Model(name, device="cpu") for name in options.model or ["bayer-fast"]]
    paper = Model(options.paper, device="cpu") if options.paper else None
    bm3d = not options.no_bm3d
    rows = costs(models, options.laps, bm3d)
    for name, row in qualities(models, paper, options.scenes, bm3d).items():
        rows.setdefault(name, {}).update(row)
    result = {
        "benchmark": "peers",
        "megapixels": round(HEIGHT * WIDTH / 1e6, 2),
        "ratio": RATIO,
        "iso": ISO,
        "cores": usable_cores(),
        "machine": platform.processor() or platform.machine(),
        "models": [f"{m.card.name} {m.card.version}" for m in models],
        "paper": paper and paper.card.raw["sha256"],
        "laps": options.laps,
        "scenes": options.scenes,
        "left_out": [p for n, p in external.PROGRAMS.items() if external.missing(n)],
        "ways": rows,
    }
    text = json.dumps(result, indent=1)
    if options.output:
        options.output.write_text(text + "\n")
    if options.figure:
        options.figure.write_text(figure(rows))
    width = min(shutil.get_terminal_size().columns, 100) - 50
    print(f"{'way':{width}} {'s':>8} {'/ paper':>8} {'MB':>6} {'dB':>6} {'SSIM':>7}")
    for name, row in rows.items():
        cells = [row.get(key) for key in ("seconds", "over_paper", "peak_mb", "psnr", "ssim")]
        told = ["-" if cell is None else f"{cell:g}" for cell in cells]
        print(f"{name:{width}} {told[0]:>8} {told[1]:>8} {told[2]:>6} {told[3]:>6} {told[4]:>7}")


if __name__ == "__main__":
    main()
