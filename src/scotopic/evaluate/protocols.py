"""What is measured: scenes, settings, methods, and how the figures are put together."""

from __future__ import annotations

import dataclasses
import hashlib
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scotopic.enhance import Plan, enhance, plan
from scotopic.errors import SettingsError
from scotopic.evaluate import external, peers
from scotopic.evaluate.conditions import SONY, Condition
from scotopic.evaluate.metrics import bias_by_decile, grid, pattern, psnr, ssim
from scotopic.evaluate.scenes import WB, Scene, load_all, render
from scotopic.frame import Mosaic, NoiseProfile
from scotopic.noise import NoiseEstimate
from scotopic.run import Model
from scotopic.sensor.pattern import BAYER, Pattern, SensorKind
from scotopic.sensor.simulated import expose
from scotopic.version import __version__

SQUARE: dict[SensorKind, int] = {"bayer": 4, "xtrans": 6}
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
    """What was decided about the photo with blind noise and the true ratio."""
    automatic: Plan
    """What was decided about it with blind noise and the automatic ratio."""


PEERS = ("libraw", "dht", "fbdd", "gaussians", "bm3d", "rawtherapee", "darktable")
"""The other ways, as `--method` names them."""

QUICK = ("libraw", "fbdd", "gaussians", "bm3d")
"""Methods measured unless others are asked for: of them BM3D takes longest, 90 s a megapixel."""


def synthetic(
    models: list[Model],
    *,
    scenes: Path | None = None,
    limit: int | None = None,
    conditions: tuple[Condition, ...] = SONY,
    methods: Sequence[str] = QUICK,
    variants: bool = False,
    passes: Sequence[int] = (1,),
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Every method on every scene under every condition; models work with blind noise and the true ratio.

    Models make so many passes, each number of `passes` in turn. With `variants` they also work with true noise, and
    with the automatic ratio. Returns plain values for JSON: for each condition and method PSNR, SSIM and brightness of
    each scene with their medians, the bias by brightness, the error of the automatic ratio in stops, and a SHA-256 of
    all mosaics, by which another machine knows that it measures the same. The noise of a scene depends on its name and
    the condition alone. All `models` must be of kind linear and of one kind of sensor, which the scenes are then taken
    with: Bayer's where there are none. Raises SettingsError for others, and where nothing is left to measure.
    """
    if not models and not methods:
        raise SettingsError("nothing is left to measure: give a model or a method")
    seen = models[0].pattern if models else BAYER
    plain = models[0] if models else Model()
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
        "models": {label(m, models, n): m.card.sha256 for m in models for n in passes},
        "scenes": [s.name for s in loaded],
        "settings": [],
    }
    for condition in conditions:
        rows: dict[str, _Row] = {}
        stops_off: list[float] = []
        mosaics = hashlib.sha256()
        for scene in loaded:
            progress(f"{condition.head}: {scene.name}")
            dark = take(scene, condition, seen)
            mosaics.update(dark.mosaic.data.tobytes())
            stops_off.append(float(np.log2(dark.automatic.exposure.ratio / condition.ratio)))
            for name, picture, bias in _pictures(dark, models, methods, variants, passes, plain):
                rows.setdefault(name, _Row()).add(picture, dark.truth, bias, SQUARE[seen.sensor])
        result["settings"].append(
            {
                "condition": condition.name,
                "head": condition.head,
                "ratio": condition.ratio,
                "iso": condition.iso,
                "methods": {name: row.summary() for name, row in rows.items()},
                "automatic_ratio_stops_off": stops_off,
                "mosaics_sha256": mosaics.hexdigest(),
            }
        )
    return result


class _Row:
    """The figures of one method under one condition, scene by scene."""

    def __init__(self) -> None:
        self._figures: dict[str, list[float]] = {name: [] for name in _MEDIANS}
        self._bias: list[list[float]] = []

    def add(
        self,
        picture: npt.NDArray[np.uint8],
        truth: npt.NDArray[np.uint8],
        bias: list[float] | None,
        square: int,
    ) -> None:
        """Compare with the truth."""
        for name, value in (
            ("psnr", psnr(picture, truth)),
            ("ssim", ssim(picture, truth)),
            ("brightness", float(picture.mean() / max(truth.mean(), 1e-6))),
            ("grid", grid(picture, square) / grid(truth, square)),
            ("pattern", pattern(picture, square) / pattern(truth, square)),
        ):
            self._figures[name].append(value)
        if bias is not None:
            self._bias.append(bias)

    def summary(self) -> dict[str, Any]:
        """Plain values: all figures, and their medians."""
        medians = {f"{k}_median": statistics.median(v) for k, v in self._figures.items()}
        bias = np.median(self._bias, axis=0).tolist() if self._bias else None
        return {**self._figures, **medians, "bias_by_decile": bias}


def methods_named(names: Sequence[str]) -> tuple[str, ...]:
    """The other ways as the command line names them; QUICK where none is named.

    Raises SettingsError for one that there is not, or that is not installed.
    """
    if not names:
        return QUICK
    for name in names:
        if name not in (*PEERS, "all", "none"):
            raise SettingsError(f"no method called {name}: known are {', '.join(PEERS)}, all and none")
        if name in external.PROGRAMS and (why := external.missing(name)):
            raise SettingsError(f"{name}: {why}; install it, or leave it out")
    if "none" in names and len(set(names)) > 1:
        raise SettingsError("'none' (or --no-peers) and other methods contradict each other: give one")
    if "all" in names:
        return tuple(p for p in PEERS if p not in external.PROGRAMS or not external.missing(p))
    return tuple(name for name in PEERS if name in names)


def take(scene: Scene, condition: Condition, pattern: Pattern = BAYER) -> _Dark:
    """The dark photo of a scene, always the same."""
    scene = condition.scene(scene)
    sensor = condition.sensor(condition.iso)
    rng = np.random.default_rng(condition.seed(scene))
    mosaic = expose(scene.camera, sensor, condition.ratio, rng, wb=WB, cfa=pattern.cfa)
    # The table by camera and ISO is what the sensor is simulated by: it must not be asked.
    made = plan(mosaic.with_changes(make="", model=""), ratio=condition.ratio)
    return _Dark(scene, scene.shown(), mosaic, sensor.noise_profile(), made, made.amplified(mosaic))


def label(model: Model, models: Sequence[Model], passes: int = 1) -> str:
    """A model's name; with its folder where another one measured beside it bears the same, and with its passes where it
    makes several."""
    alike = [m for m in models if m.card.name == model.card.name]
    name = model.card.name if len(alike) == 1 else f"{model.card.name} ({model.card.folder})"
    return name if passes == 1 else f"{name}, {passes} passes"


def _pictures(
    dark: _Dark,
    models: list[Model],
    methods: Sequence[str],
    variants: bool,
    passes: Sequence[int],
    plain: Model,
) -> Iterator[tuple[str, npt.NDArray[np.uint8], list[float] | None]]:
    """Each method's name and picture, and for models the bias by brightness; `plain` demosaics for the others."""
    for method in PEERS:
        if method in methods and (picture := _peer(method, dark, plain)) is not None:
            yield NAMES[method], picture, None
    for model, n in product(models, passes):
        name = label(model, models, n)
        ways = {name: dark.made}
        if variants:
            true = NoiseEstimate(dark.true_noise)
            # What was prepared was so by the blind noise.
            ways[f"{name}, true noise"] = dataclasses.replace(dark.made, noise=true, prepared=None)
            ways[f"{name}, automatic ratio"] = dark.automatic
        for way, made in ways.items():
            light = peers.white_balanced(enhance(dark.mosaic, model, plan_made=made, passes=n))
            yield way, render(light), bias_by_decile(light, dark.scene.camera)


NAMES = {
    "libraw": "LibRaw",
    "dht": "LibRaw, DHT",
    "fbdd": "LibRaw + FBDD",
    "gaussians": "Gaussians, best widths",
    "bm3d": "BM3D, true noise",
    **external.PROGRAMS,
}
"""What the other ways are called in tables."""


def _peer(method: str, dark: _Dark, model: Model) -> npt.NDArray[np.uint8] | None:
    """The picture of one of the other ways; None where it is not for that sensor, or not installed."""
    ratio, bayer = dark.made.exposure.ratio, dark.mosaic.is_bayer
    match method:
        case "libraw":
            return peers.libraw(dark.mosaic, ratio)
        case "dht" if bayer:
            return peers.libraw(dark.mosaic, ratio, dht=True)
        case "gaussians":
            return peers.gaussians(peers.plain(dark.mosaic, dark.made, model), dark.truth)
        case "fbdd" if bayer:  # LibRaw leaves it out for others
            return peers.libraw(dark.mosaic, ratio, fbdd=True)
        case "bm3d" if bayer:  # it takes the mosaic apart into planes of even pixels
            return peers.bm3d(dark.mosaic, dark.true_noise, dark.made, model)
        case "rawtherapee" | "darktable" if bayer and not external.missing(method):
            return external.develop_elsewhere(method, dark.mosaic, ratio, dark.true_noise, srgb_curve=True)
        case _:
            return None
