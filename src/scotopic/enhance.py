"""The recipe: amplify, then denoise and demosaic in one network, and hand on linear camera RGB."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scotopic import exposure, noise
from scotopic.errors import SettingsError, UnsupportedRawError
from scotopic.frame import BLUE, GREEN, RED, RGGB, Capture, Linear, Mosaic
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
    that no model knows.
    """
    if not 0 <= strength <= 1:
        raise SettingsError(f"strength {strength:g} is out of range: 0 (plain) to 1 (full)")
    check(mosaic)
    made = plan_made or plan(mosaic, ratio=ratio, ev=ev)
    amplification = made.exposure.ratio
    top, left = phase_offset(mosaic.cfa)
    data = mosaic.data
    if top or left:
        # One reflected row or column turns any Bayer phase into RGGB and is cut off again.
        data = reflected(data, [(top, 0), (left, 0)])
    rgb = model.run(
        data,
        graph_inputs(mosaic, made, (top, left)),
        strength=strength,
        tile=tile,
        progress=progress,
    )[top:, left:]
    rgb *= (1 / np.array(mosaic.wb)).astype(np.float32)
    span = mosaic.white - float(np.mean(mosaic.black))
    clip = amplification * (mosaic.saturation - float(np.mean(mosaic.black))) / span
    capture = {f: getattr(mosaic, f) for f in Capture.__dataclass_fields__}
    return Linear(data=rgb, clip=clip, ratio=amplification, **capture)


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
