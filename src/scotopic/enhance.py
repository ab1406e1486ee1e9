"""The recipe: amplify, then denoise and demosaic in one network, and hand on linear camera RGB."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from scotopic import exposure, noise
from scotopic.develop import Look, develop, upright
from scotopic.errors import ModelError, SettingsError, UnsupportedRawError
from scotopic.frame import BLUE, GREEN, RED, RGGB, Capture, Linear, Mosaic, Rendered
from scotopic.models import Card
from scotopic.run import DEFAULT_TILE, GraphInputs, Model, reflected

_PLACE_COLOURS = (RED, GREEN, GREEN, BLUE)


@dataclass(frozen=True)
class Plan:
    """What will be done to a picture, decided before any work: amplification and noise."""

    exposure: exposure.Exposure
    noise: noise.NoiseEstimate


def plan(mosaic: Mosaic, *, ratio: float | None = None, ev: float | None = None) -> Plan:
    """Decide on amplification and noise."""
    return Plan(exposure.decide(mosaic, ratio=ratio, ev=ev), noise.estimate(mosaic))


def check(mosaic: Mosaic) -> None:
    """Raise UnsupportedRawError where no model fits the picture."""
    if not mosaic.is_bayer:
        raise UnsupportedRawError(
            f"this picture has a {len(mosaic.cfa)}x{len(mosaic.cfa)} colour pattern (X-Trans or "
            "another); this version's models know Bayer patterns only"
        )


def enhance(
    mosaic: Mosaic,
    model: Model,
    *,
    ratio: float | None = None,
    ev: float | None = None,
    plan_made: Plan | None = None,
    strength: float = 1.0,
    tile: int = DEFAULT_TILE,
    progress: Callable[[float], None] = lambda _: None,
) -> Linear:
    """Give the picture that a longer exposure would have given, as linear camera RGB.

    `strength` 0..1 blends from the plain demosaic to the full effect. The result has the mosaic's
    height and width. Raises SettingsError for settings out of range, UnsupportedRawError for patterns
    that no model knows, ModelError for a model of kind `srgb`, which knows no linear light.
    """
    check_settings(model.card, strength, None)
    if model.card.kind != "linear":
        raise ModelError(
            f"{model.card.name}: gives finished sRGB pictures, no linear light; use a model of kind linear"
        )
    made = plan_made or plan(mosaic, ratio=ratio, ev=ev)
    unbalance = (1 / mosaic.wb[0], 1 / mosaic.wb[1], 1 / mosaic.wb[2])
    rgb = _through(mosaic, model, made, strength, unbalance, tile, progress)
    mean_black = float(np.mean(mosaic.black))
    clip = made.exposure.ratio * (mosaic.saturation - mean_black) / (mosaic.white - mean_black)
    capture = {f: getattr(mosaic, f) for f in Capture.__dataclass_fields__}
    return Linear(data=rgb, clip=clip, ratio=made.exposure.ratio, **capture)


def check_settings(card: Card, strength: float, look: Look | None) -> None:
    """Raise SettingsError for a strength out of range, and for what a model of kind `srgb` cannot follow."""
    if not 0 <= strength <= 1:
        raise SettingsError(f"strength {strength:g} is out of range: 0 (plain) to 1 (full)")
    if card.kind == "srgb" and (strength != 1 or look is not None):
        raise SettingsError(
            f"{card.name} goes from RAW straight to sRGB: strength and look cannot be set; leave them "
            "out or use a model of kind linear"
        )


def finished(
    mosaic: Mosaic,
    model: Model,
    *,
    ratio: float | None = None,
    ev: float | None = None,
    plan_made: Plan | None = None,
    strength: float = 1.0,
    look: Look | None = None,
    bits: Literal[8, 16] = 8,
    tile: int = DEFAULT_TILE,
    progress: Callable[[float], None] = lambda _: None,
) -> Rendered:
    """The same as a picture for a display, by a model of either kind; `look` None is "natural".

    Raises SettingsError, beside what `enhance` raises, for a strength or a look with a model of kind
    `srgb`: such a network has blended and developed already.
    """
    check_settings(model.card, strength, look)
    made = plan_made or plan(mosaic, ratio=ratio, ev=ev)
    if model.card.kind == "linear":
        linear = enhance(mosaic, model, plan_made=made, strength=strength, tile=tile, progress=progress)
        return develop(linear, look=look or "natural", bits=bits)
    rgb = _through(mosaic, model, made, 1.0, (1.0, 1.0, 1.0), tile, progress)
    top = 2**bits - 1
    shown = np.rint(np.clip(rgb, 0, 1) * top).astype(np.uint8 if bits == 8 else np.uint16)
    return upright(shown, mosaic)


def _through(
    mosaic: Mosaic,
    model: Model,
    made: Plan,
    strength: float,
    multiply: tuple[float, float, float],
    tile: int,
    progress: Callable[[float], None],
) -> npt.NDArray[np.float32]:
    """The model's (H, W, 3) for a mosaic of any phase."""
    check(mosaic)
    top, left = phase_offset(mosaic.cfa)
    data = mosaic.data
    if top or left:
        # One reflected row or column turns any Bayer phase into RGGB and is cut off again.
        data = reflected(data, [(top, 0), (left, 0)])
    whole = model.run(
        data,
        graph_inputs(mosaic, made, (top, left)),
        strength=strength,
        multiply=multiply,
        tile=tile,
        progress=progress,
    )
    return whole[top:, left:]


def phase_offset(cfa: tuple[tuple[int, ...], ...]) -> tuple[int, int]:
    """Rows and columns to put before a Bayer mosaic so that it begins with RGGB.

    >>> phase_offset(((2, 1), (1, 0)))
    (1, 1)
    """
    for top in (0, 1):
        for left in (0, 1):
            turned = tuple(tuple(cfa[(y + top) % 2][(x + left) % 2] for x in (0, 1)) for y in (0, 1))
            if turned == RGGB:
                return top, left
    raise UnsupportedRawError(f"{cfa} is no Bayer pattern")


def graph_inputs(mosaic: Mosaic, made: Plan, offset: tuple[int, int] = (0, 0)) -> GraphInputs:
    """The graph's inputs for a mosaic with `offset` rows and columns put before it.

    The graph sees the sensor's true saturation as white, so that lamps are known for what they are.
    With white lowered by a factor, x and its noise grow, and the amplification shrinks alike: the
    result keeps its scale.
    """
    black = np.roll(mosaic.black, offset, axis=(0, 1)).ravel()
    mean_black = float(np.mean(mosaic.black))
    scale = (mosaic.white - mean_black) / (mosaic.saturation - mean_black)
    profile = made.noise.profile

    def four(values: tuple[float, float, float], factor: float = 1.0) -> tuple[float, ...]:
        return tuple(values[colour] * factor for colour in _PLACE_COLOURS)

    white: npt.NDArray[np.float64] = black + (mosaic.white - black) / scale
    return GraphInputs(
        black=tuple(black.tolist()),
        white=tuple(white.tolist()),
        wb=four(mosaic.wb),
        shot=four(profile.shot, scale),
        read=four(profile.read, scale * scale),
        ratio=made.exposure.ratio / scale,
    )
