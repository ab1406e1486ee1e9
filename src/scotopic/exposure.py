"""How much to amplify: from the user's word, or from the picture's own brightness."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scotopic.errors import SettingsError, check_number
from scotopic.frame import Mosaic, NoiseProfile

BLOCKS_ALONG = 40
"""The picture's long side is cut into so many blocks, whatever its size; their means are all but free of
noise, and small lamps do not reach far."""

BLOCK_MIN = 16
"""Smallest side of a block in mosaic pixels."""

EV_RANGE = (-2, 16)
"""Stops that can be asked for: a little darker, or as bright as any sensor can bear."""

RATIO_MAX_AUTOMATIC = 300.0
"""The longest exposure that the automatic asks for, as in the paper."""

BRIGHT_SHARE, BRIGHT_TARGET = 0.97, 0.707
"""The brightest 3% of a well exposed picture begin at this share of display white: chosen on the training photos
and HDR scenes; experiments.md, 2026-11-28."""

MEAN_TARGET = 0.232
"""The mean light of a well exposed picture, clipped at display white: the median over the training photos;
experiments.md, 2026-11-22."""

BRIGHT_REACH = (-0.5, 0.7)
"""Stops by which the bright share may move what the clipped mean says. It predicts photos better, but knows nothing of
where lamps, windows and skies are to burn: experiments.md, 2026-11-28."""

LAMP_TIMES, LAMP_ABOVE, LAMP_SHARE = 8.0, 0.8, 0.05
"""Blocks brighter than so many times what that share of the picture stays below are lamps and do not count, at most the
last share of them: what is larger is what the picture is of (experiments.md, 2026-11-28)."""

FLOOR = 1e-7
"""No light is taken for darker than this share of the sensor's range."""

DARK_DN, DARK_SIGMAS = 1.0, 5.0
"""There may be no light where no block is above an error of black of so many DN and so many times the noise of its
mean: black that is measured is off by up to half a DN (chosen: no photo at x300 is taken for one of no light)."""

LUMINANCE = (0.3, 0.6, 0.1)
"""Weights of R, G, B in the light that is judged, of any camera."""


@dataclass(frozen=True)
class Exposure:
    """An amplification and where it comes from, in words."""

    ratio: float
    source: str

    @property
    def stops(self) -> float:
        """The amplification in stops."""
        return math.log2(self.ratio)


def decide(mosaic: Mosaic, *, ratio: float | None = None, ev: float | None = None) -> Exposure:
    """The amplification: as `ratio` (long over short exposure) or `ev` (stops), else automatic.

    Raises SettingsError when both are given or one is out of range.

    >>> from scotopic.sensor.simulated import expose, sony_a7s2
    >>> scene = np.full((64, 64, 3), 0.2)
    >>> mosaic = expose(scene, sony_a7s2(800), 16, np.random.default_rng(0))
    >>> decide(mosaic, ev=4).ratio
    16.0
    """
    check(ratio, ev)
    if ratio is not None:
        return Exposure(float(ratio), "as told (ratio)")
    if ev is not None:
        return Exposure(2.0**ev, "as told (ev)")
    return Exposure(automatic_ratio(mosaic), "automatic")


def check(ratio: float | None, ev: float | None) -> None:
    """Raise SettingsError unless at most one is given and it is in range."""
    if ratio is not None and ev is not None:
        raise SettingsError("give either a ratio or stops (ev), not both")
    for name, value in (("ratio", ratio), ("ev", ev)):
        if value is not None:
            check_number(name, value)
    low, high = 2.0 ** EV_RANGE[0], 2.0 ** EV_RANGE[1]
    if ratio is not None and not low <= ratio <= high:
        raise SettingsError(f"ratio {ratio:g} is out of range: from {low:g} to {high:g}")
    if ev is not None and not EV_RANGE[0] <= ev <= EV_RANGE[1]:
        raise SettingsError(f"ev {ev:g} is out of range: stops from {EV_RANGE[0]} to {EV_RANGE[1]}")


def automatic_ratio(mosaic: Mosaic) -> float:
    """The amplification that makes the picture as bright as photographs commonly are, 1 to 300."""
    return float(min(max(2.0 ** stops_of(binned_light(mosaic)), 1.0), RATIO_MAX_AUTOMATIC))


def stops_of(blocks: npt.NDArray[np.float64]) -> float:
    """The stops that make a picture as bright as photographs commonly are, by the luminance of its blocks, flat and not
    below 0, 1.0 = display white; 0 for none."""
    light = _without_lamps(blocks)
    if light.size == 0:
        return 0.0
    bright = max(float(np.quantile(light, BRIGHT_SHARE)), FLOOR)
    by_bright = math.log2(BRIGHT_TARGET / bright)
    by_mean = _stops_to_mean(light, MEAN_TARGET)
    low, high = BRIGHT_REACH
    return by_mean + min(max(by_bright - by_mean, low), high)


def binned_light(mosaic: Mosaic) -> npt.NDArray[np.float64]:
    """White-balanced luminance of large blocks, flat: 1.0 = the sensor's white, clipped below at 0.

    As it is shown: `develop` takes the smallest gain for 1.
    """
    sums: npt.NDArray[np.float64] | None = None
    counts, block = _counts(mosaic), _cells_along(mosaic)
    whole = [n // len(mosaic.cfa) for n in mosaic.data.shape]
    height, width = (n - n % block for n in whole)
    for colour, plane in mosaic.colour_planes():
        cut = plane[:height, :width].reshape(height // block, block, width // block, block)
        means = cut.mean(axis=(1, 3), dtype=np.float64)
        part = means * (LUMINANCE[colour] * mosaic.wb[colour] / min(mosaic.wb) / counts[colour])
        sums = part if sums is None else sums + part
    if sums is None:
        return np.empty(0)
    return np.maximum(sums.ravel(), 0)


def next_to_no_light(mosaic: Mosaic, noise: NoiseProfile) -> bool:
    """Whether black's error and noise explain all the light there is, as under a lens cap.

    >>> from scotopic.sensor.simulated import expose, sony_a7s2
    >>> sensor = sony_a7s2(3200)
    >>> capped, lit = (expose(np.full((64, 64, 3), x), sensor, 300, np.random.default_rng(0)) for x in (0, 0.5))
    >>> [next_to_no_light(mosaic, sensor.noise_profile()) for mosaic in (capped, lit)]
    [True, False]
    """
    gains = [LUMINANCE[c] * mosaic.wb[c] / min(mosaic.wb) for c in range(3)]
    parts = zip(gains, noise.read, _counts(mosaic), strict=True)
    sigma = math.sqrt(sum(gain**2 * read / count for gain, read, count in parts)) / _cells_along(mosaic)
    error = sum(gains) * DARK_DN / (mosaic.white - float(np.mean(mosaic.black)))
    return float(binned_light(mosaic).max()) <= error + DARK_SIGMAS * sigma


def _counts(mosaic: Mosaic) -> list[int]:
    """How often each colour stands in a cell."""
    return [sum(row.count(c) for row in mosaic.cfa) for c in range(3)]


def _cells_along(mosaic: Mosaic) -> int:
    """Cells along a side of a block."""
    size = len(mosaic.cfa)
    side = max(BLOCK_MIN, max(mosaic.data.shape) // BLOCKS_ALONG)
    height, width = (n // size for n in mosaic.data.shape)
    along: int = min(max(1, side // size), height, width)
    return along


def _without_lamps(light: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The light of all blocks but lamps, in order."""
    if light.size == 0:
        return light
    ordered = np.sort(light)
    lamps = ordered > LAMP_TIMES * max(float(np.quantile(ordered, LAMP_ABOVE)), FLOOR)
    count = min(int(lamps.sum()), int(LAMP_SHARE * light.size))
    return ordered[: light.size - count]


def _stops_to_mean(light: npt.NDArray[np.float64], target: float) -> float:
    """The stops after which the mean of the light, clipped at 1, is `target`."""
    low, high = -4.0, 20.0
    for _ in range(40):
        middle = (low + high) / 2
        if float(np.minimum(light * 2.0**middle, 1).mean()) < target:
            low = middle
        else:
            high = middle
    return (low + high) / 2
