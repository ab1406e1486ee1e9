"""Pairs of flat frames to the gain, by the photon transfer method (Janesick 2007; EMVA 1288).

Whatever else differs between two flats than noise - a hand that moved, a lamp that flickers - only ever adds to their
difference, and makes the gain too large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from scotopic.calibration.frames import FLAT_LEVELS, Frame, above_black, by_setting, words_of
from scotopic.calibration.profile import Floats, Setting
from scotopic.frame import Mosaic
from scotopic.read import read_mosaic
from scotopic.sensor.noise_line import DEEP_WHITE_DN, SHOT_MAX_PER_ISO, SHOT_MIN
from scotopic.sensor.simulated import QUANTISATION_VARIANCE_DN2

FLAT_STEADY = 0.1
"""Two flats make a pair if their light is equal to this share."""

FLAT_BLOCK = 16
"""Side of the blocks of one place of the cell."""

FLAT_BLOCKS_MIN = 8

SMOOTH = 2
"""Powers of a block's width and height up to which what differs is no noise: what a soft gradient leaves that a hand
has moved. With it, the gain was 36% too large."""

WHITE_WITHIN = 0.15
"""Differences of two flats are noise where fourth differences tell a variance within this share of the values' own.
Simulated: within 2% of flats, also of those of a soft gradient taken by hand; 90% less of a pattern of 30 pixels that
has moved."""

GAINS_WITHIN = 1.2
"""Pairs whose gains are further apart than this factor contradict each other; sound ones are within 1%."""

LEVELS_APART = 1.5
"""Pairs whose light differs by this factor and whose gains agree have nothing but noise: structure adds in proportion
to the light's square."""

MOST = (0.05, 0.95)
"""Quantiles between which the light of most blocks lies. Where they are less than a factor of LEVELS_APART apart, slope
and intercept cannot be told from each other: of flats of one brightness gains came out between half and three times the
true one."""

READ_MIN_E = 0.5
"""Least read noise in electrons that a fit may tell: no camera for photos has less, the Sony A7S II of
calibrations.toml has 1.06 at least."""

FREE = FLAT_BLOCK * (FLAT_BLOCK - 1) - SMOOTH * (SMOOTH + 1)
"""Independent values of a block of which the means of the rows and what is smooth are taken off."""

MEDIAN_SHARE = (1 - 2 / (9 * FREE)) ** 3
"""The median of such a block's variance over its mean (Wilson and Hilferty 1931)."""

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two flats alike."""

    first: Frame
    second: Frame
    points: Points
    """Mean above true black and variance of blocks, (n, 2) in DN."""
    whiteness: float
    """Variance by fourth differences over that of the values: 1 of noise."""

    @property
    def words(self) -> str:
        return f"{self.first.path.name} and {self.second.path.name}"

    @property
    def level(self) -> float:
        return float(np.median(self.points[:, 0]))


def transfer_points(frames: list[Frame], dark: Setting, notes: list[str]) -> Points:
    """Mean above true black and variance from frame to frame of blocks, (n, 2) in DN."""
    pairs: list[_Pair] = []
    for group in by_setting(frames):
        unsteady, found = 0, 0
        before: Mosaic | None = None
        for (a, b), fresh in zip(pairwise(group), range(len(group)), strict=False):
            first = before if before is not None and fresh else read_mosaic(a.path)
            second = read_mosaic(b.path)
            before = second
            if abs(a.level_dn / b.level_dn - 1) > FLAT_STEADY:
                unsteady += 1
                continue
            pairs.append(_Pair(a, b, *_pair_points(first, second, dark)))
            found += 1
        if not found:
            why = "their light differs too much" if unsteady else "one flat only: two alike are needed"
            notes.append(f"{words_of(group[0])}: flats left out, {why}")
    if not pairs:
        return np.empty((0, 2))
    if sum(len(pair.points) for pair in pairs) < FLAT_BLOCKS_MIN:
        notes.append(f"ISO {frames[0].iso:g}: flats left out, nowhere exposed to the middle")
        return np.empty((0, 2))
    sound = _agreeing([pair for pair in pairs if len(pair.points) and _is_noise(pair, notes)], dark, notes)
    return np.concatenate([pair.points for pair in sound]) if sound else np.empty((0, 2))


def _is_noise(pair: _Pair, notes: list[str]) -> bool:
    """Whether two flats differ by noise alone, which knows nothing of its neighbours."""
    if abs(pair.whiteness - 1) <= WHITE_WITHIN:
        return True
    notes.append(
        f"{pair.words}: left out, they differ by more than noise: the camera or the light has moved between them; put "
        "the camera on a tripod, out of focus"
    )
    return False


def _agreeing(pairs: list[_Pair], dark: Setting, notes: list[str]) -> list[_Pair]:
    """The pairs that tell about the lowest gain; none where even that grows with the light as structure does."""
    gains = {pair.words: _median_gain(pair.points, dark) for pair in pairs}
    silent = [pair for pair in pairs if not gains[pair.words] > 0]
    if len(silent) == len(pairs):
        return pairs
    notes += [f"{pair.words}: left out, they are no noisier than dark frames" for pair in silent]
    told = [(pair, gains[pair.words]) for pair in pairs if gains[pair.words] > 0]
    lowest = min(gain for _, gain in told)
    kept = [pair for pair, gain in told if gain <= GAINS_WITHIN * lowest]
    others = [(pair, gain) for pair, gain in told if gain > GAINS_WITHIN * lowest]
    levels = [pair.level for pair in kept]
    as_structure = [gain / lowest <= GAINS_WITHIN * pair.level / min(levels) for pair, gain in others]
    if any(as_structure) and max(levels) < LEVELS_APART * min(levels):
        notes.append(
            f"ISO {pairs[0].first.iso:g}: flats left out, they tell {lowest:.3g} to {max(gains.values()):.3g} DN per "
            "electron, more the brighter: the camera has moved between the two of a pair before a wall with a texture; "
            "put it on a tripod, out of focus"
        )
        return []
    notes += [
        f"{pair.words}: left out, they tell {gain:.3g} DN per electron, other flats {lowest:.3g}: the camera or "
        "the light has moved between them"
        for pair, gain in others
    ]
    return kept


def _pair_points(first: Mosaic, second: Mosaic, dark: Setting) -> tuple[Points, float]:
    size = len(first.cfa)
    error = np.array(dark.black_error_dn).reshape(size, size)
    planes = [above_black(m) for m in (first, second)]
    points, fourths, smooth = [], [], _smooth()
    for dy in range(size):
        for dx in range(size):
            top = min(first.saturation, second.saturation) - float(first.black[dy, dx])
            a, b = (_blocks(p[dy::size, dx::size]) for p in planes)
            highest = np.maximum(a, b).max(axis=(1, 2))
            mean = (a.mean(axis=(1, 2)) + b.mean(axis=(1, 2))) / 2 - error[dy, dx]
            fits = (highest < FLAT_LEVELS[1] * top) & (mean > FLAT_LEVELS[0] * top)
            noise = (a[fits] - b[fits]).astype(np.float64)
            # Row noise and flickering light go with the mean of each row.
            noise -= noise.mean(axis=2, keepdims=True)
            whole = noise.reshape(-1, FLAT_BLOCK**2)
            whole -= whole @ smooth @ smooth.T
            variance = np.square(whole).sum(axis=1) / (FREE * 2)
            points.append(np.stack([mean[fits], variance], axis=1))
            fourths.append(np.square(np.diff(noise, 4, axis=2)).mean(axis=(1, 2)) / (70 * 2))
    found = np.concatenate(points).astype(np.float64)
    return found, _over(np.concatenate(fourths), found[:, 1])


def _smooth() -> npt.NDArray[np.float64]:
    """What is smooth in a block and no mean of rows, as orthonormal columns, (FLAT_BLOCK**2, SMOOTH * (SMOOTH + 1))."""
    powers, _ = np.linalg.qr(np.linspace(-1, 1, FLAT_BLOCK)[:, None] ** np.arange(SMOOTH + 1))
    return np.kron(powers, powers[:, 1:])


def _over(fourth: npt.NDArray[np.float64], variance: npt.NDArray[np.float64]) -> float:
    """Of the most of blocks; 1 where there is nothing to compare."""
    typical = float(np.median(variance)) if variance.size else 0.0
    return float(np.median(fourth)) / typical if typical > 0 else 1.0


def _blocks(plane: Floats) -> Floats:
    n = FLAT_BLOCK
    height, width = (side - side % n for side in plane.shape)
    cut = plane[:height, :width].reshape(height // n, n, width // n, n)
    return cut.transpose(0, 2, 1, 3).reshape(-1, n, n)


def nearby(settings: Sequence[Setting], iso: float) -> Setting:
    """What dark frames at the nearest other ISO say at the least of this one: offsets and noise in DN grow with ISO."""
    nearest = min(settings, key=lambda s: abs(np.log(s.iso / iso)))
    share = min(1.0, iso / nearest.iso)
    return replace(
        nearest,
        read_std_dn=share * nearest.read_std_dn,
        black_error_dn=tuple(share * error for error in nearest.black_error_dn),
    )


def gain_of(points: Points, dark: Setting, *, at_iso: bool) -> float:
    """DN per electron: the slope of variance over mean. `at_iso` says whether the dark frames are of this ISO.

    Else read noise is fitted, too, where the light differs enough, and taken from them where it does not.
    """
    mean, variance = points.T
    darkest, brightest = np.quantile(mean, MOST)
    if at_iso or brightest < LEVELS_APART * darkest:
        return _median_gain(points, dark)
    # Not by the variance itself, which would give those that came out low by chance more weight.
    slope, _ = np.polyfit(mean, variance, 1, w=1 / np.maximum(mean, 1e-6))
    return float(slope)


def _median_gain(points: Points, dark: Setting) -> float:
    mean, variance = points.T
    return float(np.median((variance / MEDIAN_SHARE - _ground(dark)) / mean))


def _ground(dark: Setting) -> float:
    """Variance without light in DN²."""
    return dark.read_std_dn**2 + QUANTISATION_VARIANCE_DN2


def beyond_belief(gain: float, dark: Setting | None, file: Mosaic, iso: float) -> str:
    """Why no camera has this gain (DN per electron) at this ISO, of which `dark` is; empty for one that may be."""
    if not gain > 0:
        return (
            "they are no noisier than dark frames" if dark else "their noise does not grow with their light"
        )
    span = file.white - float(np.mean(file.black))
    most, told = SHOT_MAX_PER_ISO * iso, f"they tell {gain:.3g} DN per electron"
    if file.white > DEEP_WHITE_DN and gain / span > most:
        return (
            f"{told}, which is a full well of {span / gain:.0f} electrons; no camera has fewer than {1 / most:.0f} at "
            "this ISO: the camera or the light has moved between them"
        )
    if dark is not None and (read_e := _ground(dark) ** 0.5 / gain) < READ_MIN_E:
        return (
            f"{told}, which is a read noise of {read_e:.2g} electrons; no camera has less than {READ_MIN_E:g}: the "
            "camera or the light has moved between them"
        )
    if gain / span < SHOT_MIN:
        return f"{told}, a full well of {span / gain:.3g} electrons; no camera has more than {1 / SHOT_MIN:.3g}"
    return ""
