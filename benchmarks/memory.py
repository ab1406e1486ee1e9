"""Peak memory and time by the size of the picture, file to file, each in a process of its own.

    python benchmarks/memory.py [--megapixels 24 50 100 150] [--format jpg] [--finished] [--model NAME] [--device cpu]
                                [-o memory.json]

The bound, BASE_MB and BYTES_A_PIXEL, is what the project promises on a CPU; the exit status is 1 where a picture
breaks it. Pictures are simulated, three by two in shape, written as DNG: mosaics, or finished colours (linear DNG).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from frames import ENHANCE, RATIO, make_raw, peak_mb
from results import print_result

BASE_MB, BYTES_A_PIXEL = 600, 20
"""At most so much: 600 MB and 20 bytes a pixel, of a million bytes each."""


def measured(
    megapixels: float, folder: Path, kind: str, finished: bool, model: str, device: str
) -> dict[str, Any]:
    """One size: its peak, its bound, its seconds."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5) & ~1
    width = round(height * 1.5) & ~1
    raw, target = folder / "source.dng", folder / f"result.{kind}"
    make_raw(raw, height, width, finished=finished)
    start = time.perf_counter()
    # What is written with finished colours is marked as enhanced already.
    options = ["--again"] if finished else []
    options += ["--ratio", str(RATIO), "--model", model, "--device", device]
    peak = peak_mb(ENHANCE, str(raw), "-o", str(target), *options)
    seconds = time.perf_counter() - start
    raw.unlink()
    target.unlink()
    pixels = height * width
    return {
        "megapixels": round(pixels / 1e6, 2),
        "peak_mb": round(peak * 2**20 / 1e6, 1),
        "bound_mb": round(BASE_MB + BYTES_A_PIXEL * pixels / 1e6, 1),
        "seconds": round(seconds, 2),
        "seconds_per_megapixel": round(seconds / pixels * 1e6, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megapixels", type=float, nargs="+", default=[24, 50, 100, 150])
    parser.add_argument("--format", default="jpg")
    parser.add_argument("--finished", action="store_true")
    parser.add_argument("--model", default="bayer-fast")
    parser.add_argument("--device", default="cpu", choices=("cpu", "openvino"))
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for megapixels in options.megapixels:
            how = (options.format, options.finished, options.model, options.device)
            rows.append(measured(megapixels, Path(name), *how))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    result = {
        "benchmark": "memory",
        "base_mb": BASE_MB,
        "bytes_a_pixel": BYTES_A_PIXEL,
        "model": options.model,
        "device": options.device,
        "format": options.format,
        "finished": options.finished,
        "sizes": rows,
    }
    print_result(result, options.output)
    sys.exit(any(row["peak_mb"] > row["bound_mb"] for row in rows))


if __name__ == "__main__":
    main()
