"""What a calibration finds of a simulated camera, and what its profile is worth in dark photos.

    python benchmarks/calibration.py [-o calibration.json]

A camera like the Sony A7S II with black error, dark shading (glow from a corner, banded rows and columns) and
hot pixels is given dark and flat frames, written as RAW files and read again. True parameters against those
found; then PSNR (8-bit sRGB) of held-out scenes through the shipped model with and without the profile.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scotopic.calibration.apply import Profiles
from scotopic.calibration.calibrate import calibrate
from scotopic.calibration.profile import CameraProfile
from scotopic.dng.write import write_mosaic
from scotopic.enhance import Plan, enhance, plan
from scotopic.evaluate.metrics import psnr
from scotopic.evaluate.scenes import WB, load_all, render
from scotopic.frame import RGGB, X_TRANS, Mosaic
from scotopic.noise import NoiseEstimate
from scotopic.run import Models
from scotopic.sensor.simulated import Sensor, expose, sony_a7s2

SETTINGS = ((250, 8000), (300, 6400), (300, 320))
"""Ratio and ISO, as in the synthetic protocol."""

SIZE = (304, 528)
"""All held-out scenes are as large."""

SHADING_SHARE, BAND_SHARE, BLACK_SHARE = 0.35, 0.15, 0.25
"""Standard deviations of glow, fixed rows and columns, and black error by place, as shares of read noise;
assumed, of the order of what PMN (Feng et al. 2022) show of the A7S II."""

FAULTS = (1.0, 0.25, 0.0)
"""Times all of these; with none a profile can only tell the noise, and must not harm."""

HOT = 2e-4

Cell = tuple[tuple[int, ...], ...]


def camera(iso: float, cfa: Cell, faults: float = 1.0) -> Sensor:
    """The A7S II under another name, with faults of so many times the assumed strength."""
    sensor = sony_a7s2(iso)
    fixed = np.random.default_rng(1)
    height, width = SIZE
    y, x = np.mgrid[:height, :width]
    glow = np.exp(-np.hypot(y - height, x - width) / (0.4 * width))
    glow = (glow - glow.mean()) / glow.std() * SHADING_SHARE
    bands = fixed.normal(0, BAND_SHARE, (height, 1)) + fixed.normal(0, BAND_SHARE, (1, width))
    shading = (glow + bands - bands.mean()) * sensor.read_std_dn * faults
    spots = fixed.random(SIZE) < HOT
    shading[spots] += fixed.uniform(20, 400, np.count_nonzero(spots)) * sensor.read_std_dn / 4
    error = fixed.normal(0, BLACK_SHARE, len(cfa) ** 2) * sensor.read_std_dn * faults
    return replace(
        sensor,
        make="Simulated",
        model="A7S II",
        shading_dn=shading.astype(np.float32),
        black_error_dn=tuple(error.tolist()),
    )


def profile_of(sensor: Sensor, cfa: Cell, dark_frames: int) -> CameraProfile:
    """Shoot the frames into files, and calibrate from them."""
    y, x = (np.linspace(-1, 1, n) for n in SIZE)
    wall = 1 - 0.3 * (y[:, None] ** 2 + x[None, :] ** 2) / 2
    with tempfile.TemporaryDirectory() as name:

        def shoot(kind: str, light: npt.NDArray[np.floating], count: int, exposure_s: float) -> list[Path]:
            found = []
            for i in range(count):
                rng = np.random.default_rng([len(kind), round(1e4 * exposure_s), i])
                scene = np.repeat(light[..., None], 3, axis=2)
                mosaic = expose(scene, sensor, 1, rng, wb=(1, 1, 1), cfa=cfa, exposure_s=exposure_s)
                found.append(Path(name) / f"{kind}_{exposure_s:g}_{i}.dng")
                write_mosaic(found[-1], mosaic)
            return found

        dark = shoot("dark", np.zeros(SIZE), dark_frames, 0.1)
        flat = shoot("flat", 0.25 * wall, 2, 0.01) + shoot("flat", 0.7 * wall, 2, 0.03)
        return calibrate(dark, flat).profile


def recovered(sensor: Sensor, found: CameraProfile) -> dict[str, Any]:
    """Relative errors of gain and noise, and the black's and the shading's in DN."""
    setting = found.settings[0]
    size = len(found.cfa)
    assert sensor.shading_dn is not None
    assert setting.gain_dn_per_e is not None
    sound = np.abs(sensor.shading_dn) < 4 * sensor.read_std_dn
    error = np.array(sensor.black_error_dn).reshape(size, size)
    for dy in range(size):
        for dx in range(size):
            part = (slice(dy, None, size), slice(dx, None, size))
            error[dy, dx] += sensor.shading_dn[part].mean(where=sound[part])
    black = np.abs(np.array(setting.black_error_dn) - error.ravel())
    left = (found.patterns[0].shading() - sensor.shading_dn)[sound]
    hot = np.argwhere(~sound)
    listed = set(map(tuple, found.patterns[0].hot.tolist()))
    return {
        "read_std_dn": sensor.read_std_dn,
        "gain_error": setting.gain_dn_per_e / sensor.gain_dn_per_e - 1,
        "read_std_error": setting.read_std_dn / sensor.read_std_dn - 1,
        "row_std_error": setting.row_std_dn / sensor.row_std_dn - 1,
        "black_error_worst_dn": float(black.max()),
        "shading_std_dn": float(sensor.shading_dn[sound].std()),
        "shading_left_std_dn": float(left.std()),
        "hot_found": sum(tuple(p) in listed for p in hot.tolist()) / max(len(hot), 1),
    }


def worth(sensor: Sensor, found: CameraProfile, ratio: float, cfa: Cell, scenes: int) -> dict[str, Any]:
    """PSNR of each scene without the profile (blind noise), with its noise alone, and with all of it."""
    models = Models(None)
    rows: dict[str, list[float]] = {"without": [], "noise only": [], "with": []}
    every = load_all()
    for i, scene in enumerate(every[:: max(1, len(every) // scenes)]):
        light = scene.camera[: SIZE[0], : SIZE[1]]
        if light.shape[:2] != SIZE:
            continue
        mosaic: Mosaic = expose(light, sensor, ratio, np.random.default_rng(i), wb=WB, cfa=cfa)
        model = models.open("bayer" if mosaic.is_bayer else "xtrans")
        truth = render(light)
        own = plan(mosaic, ratio=ratio, profiles=Profiles((found,)))
        told = found.noise_profile(mosaic)
        assert told is not None
        plans = {
            "without": plan(mosaic, ratio=ratio),
            "noise only": Plan(own.exposure, NoiseEstimate(told)),
            "with": own,
        }
        for name, made in plans.items():
            picture = render(enhance(mosaic, model, plan_made=made).data * np.array(WB, np.float32))
            rows[name].append(psnr(picture, truth))
    gains = [b - a for a, b in zip(rows["without"], rows["with"], strict=True)]
    return {
        "scenes": len(gains),
        "psnr_median": {name: statistics.median(values) for name, values in rows.items()},
        "gain_db_median": statistics.median(gains),
        "gain_db_least": min(gains),
        "gain_db_most": max(gains),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="What a calibration finds, and what it is worth.")
    parser.add_argument("--scenes", type=int, default=9)
    parser.add_argument("--dark-frames", type=int, default=10)
    parser.add_argument(
        "--x-trans", action="store_true", help="Measure an X-Trans camera's parameters too."
    )
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    result = []
    for (ratio, iso), faults in product(SETTINGS, FAULTS):
        sensor = camera(iso, RGGB, faults)
        found = profile_of(sensor, RGGB, options.dark_frames)
        row = {"ratio": ratio, "iso": iso, "faults": faults, "cfa": "Bayer", **recovered(sensor, found)}
        row |= worth(sensor, found, ratio, RGGB, options.scenes)
        result.append(row)
        print(json.dumps(row), flush=True)
    if options.x_trans:
        sensor = camera(6400, X_TRANS)
        found = profile_of(sensor, X_TRANS, options.dark_frames)
        row = {"iso": 6400, "cfa": "X-Trans", **recovered(sensor, found)}
        result.append(row)
        print(json.dumps(row), flush=True)
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
