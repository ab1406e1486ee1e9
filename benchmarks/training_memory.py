"""Peak memory of training by the paper's recipe, by the number of scenes: it must not grow with them.

    python benchmarks/training_memory.py [--scenes 4 12] [--size 1424x2128] [--steps 4] [-o memory.json]

Each number of scenes is a simulated dataset and a training process of its own, decoding included; its own
high-water mark is read when it ends (Linux). Frames a quarter of the dataset's size keep it short; the crop is the
paper's, and it is the crop that decides.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from results import print_result

from scotopic.data.miniature import write_miniature

TRAIN = """
import re, sys
from pathlib import Path
from scotopic.cli import app
failed = app(sys.argv[1:], standalone_mode=False)
assert not failed
status = Path("/proc/self/status").read_text()
print(int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) / 1024)
"""


def peak_mb(tree: Path, out: Path, steps: int) -> float:
    """Of one training process."""
    words = ["train", "paper", "--data", str(tree), "--out", str(out), "--device", "cpu"]
    words += ["--set", "epochs=0", "--set", f"steps={steps}"]
    done = subprocess.run([sys.executable, "-c", TRAIN, *words], check=True, capture_output=True, text=True)
    return round(float(done.stdout.split()[-1]), 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, nargs="+", default=[4, 12])
    parser.add_argument("--size", default="1424x2128")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    rows = []
    for scenes in options.scenes:
        with tempfile.TemporaryDirectory() as name:
            tree, out = Path(name) / "SID", Path(name) / "run"
            write_miniature(tree, scenes=scenes, size=(height, width))
            peak = peak_mb(tree, out, options.steps)
            cached = sum(p.stat().st_size for p in (out / "cache").iterdir())
            rows.append({"scenes": scenes, "cache_mb": round(cached / 2**20, 1), "peak_mb": peak})
    print_result({"benchmark": "training memory", "size": options.size, "runs": rows}, options.output)


if __name__ == "__main__":
    main()
