"""Put into a model's card what it reached in the synthetic benchmark: median PSNR and SSIM by condition.

    scotopic evaluate synthetic --condition all --variants -o figures.json
    python benchmarks/into_card.py src/scotopic/models/bayer-fast figures.json [more.json]

Figures of noise measured on the picture and the true ratio, as a photographer has them but for the brightness; of two
files that have a condition the later counts. `models verify` is about the graph, and minds no figures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from scotopic.write import place_bytes


def metrics(name: str, files: list[Path]) -> dict[str, Any]:
    """What the benchmark's files say of a model."""
    found: dict[str, dict[str, float]] = {}
    scenes = 0
    for file in files:
        told = json.loads(file.read_text())
        scenes = len(told["scenes"])
        for setting in told["settings"]:
            if figures := setting["methods"].get(name):
                found[setting["condition"]] = {
                    "psnr_db": round(figures["psnr_median"], 2),
                    "ssim": round(figures["ssim_median"], 4),
                }
    return {
        "protocol": "scotopic evaluate synthetic",
        "what": "median over the scenes, 8-bit sRGB, noise measured on the picture, true ratio",
        "scenes": scenes,
        "conditions": found,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="the model's folder")
    parser.add_argument("figures", type=Path, nargs="+", help="JSON files of the benchmark")
    options = parser.parse_args()
    file = options.model / "card.json"
    card = json.loads(file.read_text())
    card["metrics"] = metrics(card["name"], options.figures)
    place_bytes(file, (json.dumps(card, indent=2) + "\n").encode(), overwrite=True)
    print(json.dumps(card["metrics"], indent=1))


if __name__ == "__main__":
    main()
