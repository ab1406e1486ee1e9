"""What is measured: scenes, settings, methods, and how the figures are put together."""

from __future__ import annotations

import statistics
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scotopic import exposure, noise
from scotopic.enhance import Plan, enhance
from scotopic.errors import SettingsError
from scotopic.evaluate import peers
from scotopic.evaluate.metrics import bias_by_decile, grid, pattern, psnr, ssim
from scotopic.evaluate.scenes import WB, Scene, load_all, render
from scotopic.frame import Mosaic, NoiseProfile
from scotopic.pattern import BAYER, Pattern, Sensor
from scotopic.run import Model
from scotopic.sensor import expose, sony_a7s2
from scotopic.version import __version__

SETTINGS = ((100, 250), (250, 8000), (300, 320), (300, 6400))
"""Ratio and ISO of the Sony A7S II: the median ISO at each ratio in the See-in-the-Dark test set, and
one extreme."""


SQUARE: dict[Sensor, int] = {"bayer": 4, "xtrans": 6}
"""Side of the squares that our networks decide for, in pixels: where a grid would show."""

_MEDIANS = ("psnr", "ssim", "brightness", "grid", "pattern")


@dataclass(frozen=True, eq=False)
class _Dark:
    """A dark photo with all that is known of it."""

    scene: Scene
    truth: npt.NDArray[np.uint8]
    mosaic: Mosaic
    true_noise: NoiseProfile
    made: Plan


def synthetic(
    models: list[Model],
    *,
    scenes: Path | None = None,
    limit: int | None = None,
    with_peers: bool = True,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Every method on every scene at every setting; models work with blind noise and the true ratio.

    Returns plain values for JSON: for each setting and method PSNR, SSIM and brightness of each
    scene with their medians, the bias by brightness, and the error of the automatic ratio in stops.
    The noise of a scene depends on its name, ratio and ISO alone. `models` must not be empty, and all of
    one kind of sensor, which the scenes are then taken with.
    """
    seen = models[0].pattern
    for model in models:
        if model.card.kind != "linear":
            raise SettingsError(
                f"{model.card.name}: gives finished pictures; this protocol compares linear light "
                "('evaluate sid' takes both)"
            )
        if model.pattern != seen:
            raise SettingsError(
                f"{model.card.name}: is for {model.pattern.sensor} sensors, {models[0].card.name} for "
                f"{seen.sensor} ones: measure them one after the other"
            )
    loaded = load_all(scenes, limit)
    result: dict[str, Any] = {
        "protocol": "synthetic",
        "version": __version__,
        "sensor": seen.sensor,
        "models": {label(m, models): m.card.sha256 for m in models},
        "scenes": [s.name for s in loaded],
        "settings": [],
    }
    square = SQUARE[seen.sensor]
    for ratio, iso in SETTINGS:
        rows: dict[str, dict[str, Any]] = {}
        stops_off: list[float] = []
        for scene in loaded:
            progress(f"x{ratio} ISO {iso}: {scene.name}")
            dark = take(scene, ratio, iso, seen)
            automatic = exposure.automatic_ratio(dark.mosaic)
            stops_off.append(float(np.log2(automatic / ratio)))
            for name, picture, bias in _pictures(dark, models, with_peers):
                row = rows.setdefault(name, {k: [] for k in (*_MEDIANS, "bias")})
                row["psnr"].append(psnr(picture, dark.truth))
                row["ssim"].append(ssim(picture, dark.truth))
                row["grid"].append(grid(picture, square) / grid(dark.truth, square))
                row["pattern"].append(pattern(picture, square) / pattern(dark.truth, square))
                row["brightness"].append(float(picture.mean() / max(dark.truth.mean(), 1e-6)))
                if bias is not None:
                    row["bias"].append(bias)
        for row in rows.values():
            row |= {f"{k}_median": statistics.median(row[k]) for k in _MEDIANS}
            row["bias_by_decile"] = np.median(row.pop("bias"), axis=0).tolist() if row["bias"] else None
        result["settings"].append(
            {"ratio": ratio, "iso": iso, "methods": rows, "automatic_ratio_stops_off": stops_off}
        )
    return result


def take(scene: Scene, ratio: float, iso: float, pattern: Pattern = BAYER) -> _Dark:
    """The dark photo of a scene, always the same."""
    sensor = sony_a7s2(iso)
    seed = zlib.crc32(f"{scene.name} x{ratio:g} ISO {iso:g}".encode())
    mosaic = expose(scene.camera, sensor, ratio, np.random.default_rng(seed), wb=WB, cfa=pattern.cfa)
    # The table by camera and ISO is what the sensor is simulated by: it must not be asked.
    blind = noise.NoiseEstimate(noise.blind_fit(mosaic))
    made = Plan(exposure.decide(mosaic, ratio=ratio), blind)
    return _Dark(scene, scene.shown(), mosaic, sensor.noise_profile(), made)


def label(model: Model, models: list[Model]) -> str:
    """A model's name; with its folder where another one measured beside it bears the same."""
    alike = [m for m in models if m.card.name == model.card.name]
    return model.card.name if len(alike) == 1 else f"{model.card.name} ({model.card.folder})"


def _pictures(
    dark: _Dark, models: list[Model], with_peers: bool
) -> Iterator[tuple[str, npt.NDArray[np.uint8], list[float] | None]]:
    """Each method's name and picture, and for models the bias by brightness."""
    if with_peers:
        ratio = dark.made.exposure.ratio
        yield "LibRaw", peers.libraw(dark.mosaic, ratio, fbdd=False), None
        if dark.mosaic.is_bayer:  # LibRaw leaves it out for others
            yield "LibRaw + FBDD", peers.libraw(dark.mosaic, ratio, fbdd=True), None
        demosaiced = peers.plain(dark.mosaic, dark.made, models[0])
        yield "Gaussians, best widths", peers.gaussians(demosaiced, dark.truth), None
        if dark.mosaic.is_bayer:  # it takes the mosaic apart into planes of even pixels
            picture = peers.bm3d(dark.mosaic, dark.true_noise, dark.made, models[0])
            yield "BM3D, true noise", picture, None
    for model in models:
        light = peers.balanced(enhance(dark.mosaic, model, plan_made=dark.made))
        yield label(model, models), render(light), bias_by_decile(light, dark.scene.camera)
