"""How far the blind noise fit is off, what that costs, and whether a wrong NoiseProfile is noticed.

    python benchmarks/noise_fit.py [--fit] [--cost] [--tags] [-o noise_fit.json]

Held-out scenes taken by simulated sensors. `--fit` (the default): for each sensor, ISO and ratio the median and
the worst error in shot, in read and in the whole variance at the picture's median level, in stops of variance.
`--cost`: PSNR through the shipped model with the noise measured, and with a NoiseProfile four times wrong,
against the true noise. `--tags`: how often a NoiseProfile that is right, a quarter and four times of the
truth is overruled, on simulated phones, all scenes.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scotopic import exposure, noise
from scotopic.enhance import Plan, enhance
from scotopic.evaluate.metrics import psnr
from scotopic.evaluate.scenes import WB, Scene, load_all, render
from scotopic.frame import GREEN, Mosaic, NoiseProfile
from scotopic.run import Models
from scotopic.sensor.simulated import Sensor, eld_camera, expose, phone, sony_a7s2

SENSORS: list[Sensor] = [
    *(sony_a7s2(iso) for iso in (100, 400, 1600, 2000, 6400, 25600)),
    *(eld_camera(name, gain) for name in ("NikonD850", "CanonEOS70D") for gain in (0.5, 8.0)),
    *(phone(iso) for iso in (100, 1600)),
]
RATIOS = (1, 10, 100, 300)

# Names that no table knows: the file's word and the picture are all there is.
COST_SENSORS = [
    replace(s, make="Nobody", model=f"like {s.model}")
    for s in (sony_a7s2(100), sony_a7s2(1600), sony_a7s2(6400), phone(100), phone(1600))
]
TAG_SENSORS = [replace(phone(iso), make="Nobody") for iso in (50, 100, 200, 400, 800, 1600, 3200)]
TAG_RATIOS = (1, 4, 16, 64)


def typical_level(mosaic: Mosaic) -> npt.NDArray[np.floating]:
    """The median x of the picture, where its noise is compared."""
    greens = [plane[::4, ::4].ravel() for colour, plane in mosaic.colour_planes() if colour == GREEN]
    return np.array(max(float(np.median(np.concatenate(greens))), 0.0))


def fit(scenes: list[Scene]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    print("| sensor | ISO | ratio | shot | read | variance at the median level |")
    print("| --- | --- | --- | --- | --- | --- |")
    for sensor in SENSORS:
        for ratio in RATIOS:
            errors = []
            for i, scene in enumerate(scenes):
                mosaic = expose(scene.camera, sensor, ratio, np.random.default_rng(i), wb=WB)
                found, true = noise.blind_fit(mosaic), sensor.noise_profile()
                level = typical_level(mosaic)
                measured = [found.shot[1], found.read[1], float(found.variance(level, 1))]
                wanted = [true.shot[1], true.read[1], float(true.variance(level, 1))]
                errors.append(np.log2(np.maximum(np.array(measured) / np.array(wanted), 2**-10)))
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
            print(f"| {sensor.model} | {sensor.iso:g} | {ratio} | " + " | ".join(cells) + " |", flush=True)
    return rows


def scaled(profile: NoiseProfile, factor: float) -> NoiseProfile:
    shot, read = ([v * factor for v in values] for values in (profile.shot, profile.read))
    return NoiseProfile((shot[0], shot[1], shot[2]), (read[0], read[1], read[2]), "NoiseProfile tag")


def cost(scenes: list[Scene]) -> list[dict[str, Any]]:
    """PSNR minus that with true noise, median and worst of the scenes."""
    model = Models(None).open("bayer")
    rows: list[dict[str, Any]] = []
    names = ("measured", "tag x 1/4", "tag x 4")
    print("| sensor | ISO | ratio | " + " | ".join(names) + " |")
    print("| --- | --- | --- | " + "--- | " * len(names))
    for sensor in COST_SENSORS:
        true = sensor.noise_profile()
        for ratio in RATIOS:
            lost: dict[str, list[float]] = {name: [] for name in names}
            for i, scene in enumerate(scenes):
                mosaic = expose(scene.camera, sensor, ratio, np.random.default_rng(i), wb=WB)
                told = {
                    "true": true,
                    "measured": noise.estimate(mosaic).profile,
                    **{
                        name: noise.estimate(mosaic.with_changes(noise=scaled(true, factor))).profile
                        for name, factor in zip(names[1:], (0.25, 4.0), strict=True)
                    },
                }
                truth = render(scene.camera)
                seen: dict[NoiseProfile, float] = {}
                for profile in told.values():
                    if profile not in seen:
                        made = Plan(exposure.decide(mosaic, ratio=ratio), noise.NoiseEstimate(profile))
                        light = enhance(mosaic, model, plan_made=made).data * np.array(WB, np.float32)
                        seen[profile] = psnr(render(light), truth)
                for name in names:
                    lost[name].append(seen[told[name]] - seen[true])
            row = {
                "sensor": sensor.model,
                "iso": sensor.iso,
                "ratio": ratio,
                **{
                    name: {"median_db": float(np.median(values)), "worst_db": min(values)}
                    for name, values in lost.items()
                },
            }
            rows.append(row)
            cells = [f"{np.median(lost[n]):+.2f} (worst {min(lost[n]):+.2f})" for n in names]
            print(f"| {sensor.model} | {sensor.iso:g} | {ratio} | " + " | ".join(cells) + " |", flush=True)
    return rows


def tags(scenes: list[Scene]) -> dict[str, Any]:
    """How often a tag is overruled, by what it is times the truth."""
    overruled = {1.0: 0, 0.25: 0, 4.0: 0}
    missed = []
    for sensor in TAG_SENSORS:
        for ratio in TAG_RATIOS:
            for i, scene in enumerate(scenes):
                mosaic = expose(scene.camera, sensor, ratio, np.random.default_rng(i), wb=WB)
                for factor in overruled:
                    stated = scaled(sensor.noise_profile(), factor)
                    warned = bool(noise.estimate(mosaic.with_changes(noise=stated)).warning)
                    overruled[factor] += warned
                    if warned == (factor == 1):
                        missed.append([sensor.iso, ratio, scene.name, factor])
    count = len(TAG_SENSORS) * len(TAG_RATIOS) * len(scenes)
    print("| NoiseProfile | overruled |\n| --- | --- |")
    for factor, number in overruled.items():
        print(f"| {factor:g} times the truth | {number} of {count} |")
    return {"pictures": count, "overruled": {str(k): v for k, v in overruled.items()}, "wrong": missed}


def main() -> None:
    parser = argparse.ArgumentParser(description="The blind noise fit, and what it is good for.")
    parser.add_argument("--scenes", type=int, default=9)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--tags", action="store_true")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    every = load_all()
    scenes = every[:: max(1, len(every) // options.scenes)]
    result: dict[str, Any] = {}
    if options.fit or not (options.cost or options.tags):
        result["fit"] = fit(scenes)
    if options.cost:
        result["cost"] = cost(scenes)
    if options.tags:
        result["tags"] = tags(every)
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
