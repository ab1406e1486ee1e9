"""How far the blind noise fit is off: variance found over true variance, by ISO and ratio.

    python benchmarks/noise_fit.py [-o noise_fit.json]

Held-out scenes taken by simulated sensors. For each sensor, ISO and ratio: the median and the worst
error in shot, in read and in the whole variance at the picture's median level, in stops of variance.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from scotopic import noise
from scotopic.evaluate.scenes import WB, load_all
from scotopic.sensor import Sensor, eld_camera, expose, phone, sony_a7s2

SENSORS: list[Sensor] = [
    *(sony_a7s2(iso) for iso in (100, 400, 1600, 2000, 6400, 25600)),
    *(eld_camera(name, gain) for name in ("NikonD850", "CanonEOS70D") for gain in (0.5, 8.0)),
    *(phone(iso) for iso in (100, 1600)),
]
RATIOS = (1, 10, 100, 300)


def main() -> None:
    parser = argparse.ArgumentParser(description="How far the blind noise fit is off.")
    parser.add_argument("--scenes", type=int, default=9)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    scenes = load_all()[:: max(1, 18 // options.scenes)]
    rows: list[dict[str, Any]] = []
    print("| sensor | ISO | ratio | shot | read | variance at the median level |")
    print("| --- | --- | --- | --- | --- | --- |")
    for sensor in SENSORS:
        for ratio in RATIOS:
            errors = []
            for i, scene in enumerate(scenes):
                mosaic = expose(scene.camera, sensor, ratio, np.random.default_rng(i), wb=WB)
                fit, true = noise.blind_fit(mosaic), sensor.noise_profile()
                level = noise.typical_level(mosaic)
                found = [fit.shot[1], fit.read[1], float(fit.variance(level, 1))]
                wanted = [true.shot[1], true.read[1], float(true.variance(level, 1))]
                errors.append(np.log2(np.maximum(np.array(found) / np.array(wanted), 2**-10)))
            stops = np.array(errors)
            row = {
                "sensor": sensor.model,
                "iso": sensor.iso,
                "ratio": ratio,
                "median_stops": np.median(stops, axis=0).round(2).tolist(),
                "worst_stops": np.abs(stops).max(axis=0).round(2).tolist(),
            }
            rows.append(row)
            cells = [
                f"{m:+.2f} (worst {w:.2f})"
                for m, w in zip(row["median_stops"], row["worst_stops"], strict=True)
            ]
            print(f"| {sensor.model} | {sensor.iso:g} | {ratio} | " + " | ".join(cells) + " |")
    if options.output:
        options.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
