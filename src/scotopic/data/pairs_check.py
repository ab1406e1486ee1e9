"""What is odd about a pair: frames of two scenes, shifted ones, a long one without detail, a name or a ratio that is
not true.

Nothing of it is refused. Both frames are averaged over blocks, the short one amplified, and compared where the short
one shows more than noise: its blocks' two halves must agree, rows of cells in turn and columns of them too. What rows
and columns have in common, and what is wider than some blocks, is left out: sensors add such patterns of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scotopic.data.pairs import RATIO_MAX, Pair, parse_sid_name
from scotopic.frame import Mosaic

BLOCKS_MAX, BLOCK_MIN = 256, 8
"""Blocks along the longer side, at most, and pixels of one, at least."""

SATURATED = 0.5
"""Share of a long frame that may be saturated; of more it has little to teach."""

AGREEING = 0.3
"""Correlation of the halves from which the short frame tells something: simulated frames at x250 and x300 and ISO 12800
to 25600 may stay below (docs/experiments.md, 2026-11-29)."""

ALIKE = 0.6
"""Correlation of both frames, the short one's noise allowed for, below which they show two things: frames of one scene
have 0.94 and more, of two scenes 0.16 at most."""

SHIFT_MIN, BETTER, MOVED_ALIKE = 2, 0.05, 0.8
"""Frames are shifted where they agree best SHIFT_MIN blocks or more away, in a correlation higher by BETTER, and of
MOVED_ALIKE at least."""

NAME_FACTOR = 1.5
"""Factor by which an exposure time may differ from the name's; names round by less than a tenth."""

BRIGHTNESS_FACTOR = 1.5
"""Factor by which a long frame may be brighter or darker than the ratio says: light drifts by a tenth or two."""

GROUPS = 8
"""Parts of a picture, its blocks in turn, all of which must say nearly the same: noise makes them differ."""

CONTRAST = 0.75
"""Quantile of the steps from block to block in the long frame from which on they tell its brightness."""

CUT_MAX = 0.02
"""A short frame with more pixels at 0 DN than this share has lost the lower half of its noise, and dark parts in it are
too bright."""

_GAMMA = 1 / 2.2

AROUND = 4
"""Blocks each way whose mean a block is judged against: glow is wider (docs/experiments.md)."""

VARIANCE_MIN = 1e-10
"""Variance of what is shown, white 1, below which all is rounding."""

Plane = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Glance:
    """A frame's light in blocks of `block` pixels: means, those of their halves in two ways, what is saturated.

    All (rows, columns), 1 at the white level. Halves are every other row of cells, and every other column, so that
    noise that rows or columns share is in both of one way only; a frame without noise has its means for them.
    """

    light: Plane
    halves: tuple[tuple[Plane, Plane], ...]
    clipped: npt.NDArray[np.bool_]
    """Blocks in which anything is saturated."""
    saturated: float
    block: int
    cut: float = 0.0
    """Share of pixels at 0 DN."""
    is_light: bool = True
    """Whether it counts as the sensor does, and no finished picture."""


def block_of(shape: tuple[int, ...], cell: int) -> int:
    """The side of a block in pixels: a multiple of two cells."""
    least = max(BLOCK_MIN, -(-max(shape[:2]) // BLOCKS_MAX))
    return -(-least // (2 * cell)) * 2 * cell


def glance(data: npt.NDArray[Any], cell: int, black: float, white: float, full: float) -> Glance:
    """A mosaic (H, W) in DN at a glance, `black` the mean over its cell, `full` where it saturates."""
    block = block_of(data.shape, cell)
    rows, columns = (n // block for n in data.shape)
    cells = block // cell
    inside = data[: rows * block, : columns * block]
    # Means over cells first: what is left is small.
    means = inside.reshape(rows * cells, cell, columns * cells, cell).mean(axis=(1, 3), dtype=np.float32)
    light = ((means - black) / (white - black)).reshape(rows, cells, columns, cells).transpose(0, 2, 1, 3)
    by_row, by_column = light.mean(axis=3), light.mean(axis=2)
    halves = tuple((part[..., ::2].mean(-1), part[..., 1::2].mean(-1)) for part in (by_row, by_column))
    at_full = inside >= full
    clipped = np.asarray(at_full.reshape(rows, block, columns, block).any(axis=(1, 3)))
    return Glance(light.mean(axis=(2, 3)), halves, clipped, _share(at_full), block, _share(inside <= 0))


def glance_at(mosaic: Mosaic) -> Glance:
    """A frame as read at a glance."""
    black = float(mosaic.black.mean())
    return glance(mosaic.data, len(mosaic.cfa), black, mosaic.white, mosaic.saturation)


def glance_truth(truth: npt.NDArray[np.uint16], cell: int, full: float, *, is_light: bool) -> Glance:
    """A truth (H, W, 3), 65535 at white, at a glance, every other pixel of it; `full` in 0..1 where it saturates."""
    block = block_of(truth.shape, cell)
    rows, columns = (n // block for n in truth.shape[:2])
    seen = np.asarray(truth[: rows * block : 2, : columns * block : 2], np.float32) / 65535
    at_full = seen >= 0.98 * full
    places = at_full.any(axis=2).reshape(rows, block // 2, columns, block // 2)
    grey = seen @ np.array([0.25, 0.5, 0.25], np.float32)
    grey = grey if is_light else grey ** (1 / _GAMMA)
    light = grey.reshape(rows, block // 2, columns, block // 2).mean(axis=(1, 3))
    return Glance(
        light,
        ((light, light),),
        np.asarray(places.any(axis=(1, 3))),
        _share(at_full[..., 1]),
        block,
        is_light=is_light,
    )


def odd_frames(pair: Pair, short: Glance, long: Glance) -> list[str]:
    """What is odd about the pixels of a pair, in words; nothing for most."""
    if long.saturated > SATURATED:
        return [
            f"{long.saturated:.0%} of the long frame {pair.long.name} are saturated: expose it less, or leave it out"
        ]
    if short.light.shape != long.light.shape or not short.light.size:
        return []
    dark, bright = _shown(short.light, pair.ratio), _shown(long.light)
    agreeing = min(_correlation(*(_detail(half, pair.ratio) for half in two)) for two in short.halves)
    if agreeing < AGREEING:
        return []
    alike = _correlation(_detail(short.light, pair.ratio), _detail(long.light)) / _reached(agreeing)
    # Where a frame lies shows in all of it.
    whole = min(_correlation(*(_shown(half, pair.ratio) for half in two)) for two in short.halves)
    most = _reached(max(agreeing, whole))
    down, right = _shift(dark, bright)
    moved, still = (_correlation(*_overlap(dark, bright, *by)) / most for by in ((down, right), (0, 0)))
    far = max(abs(down), abs(right)) >= SHIFT_MIN
    if far and moved >= MOVED_ALIKE and moved > still + BETTER:
        pixels = round(float(np.hypot(down, right)) * short.block)
        return [
            f"its long frame {pair.long.name} lies about {pixels} pixels beside it: the camera was moved, so leave "
            "the pair out"
        ]
    told, seen = _told(pair), _brightness(short, long) if long.is_light else 0.0
    if seen and max(seen / told, told / seen) > BRIGHTNESS_FACTOR:
        return [
            f"its long frame {pair.long.name} is x{seen:.3g} as bright by what both show, and x{told:g} by exposure "
            "time and ISO, or by what pairs.csv says: see which is true, whether the aperture was the same, and write "
            "the true ratio into pairs.csv"
        ]
    if alike < ALIKE:
        return [
            f"its long frame {pair.long.name} seems to show something else (correlation {alike:.2f}): see whether "
            "both are of one scene"
        ]
    return []


def _told(pair: Pair) -> float:
    """How many times as bright the long frame is said to be: a ratio of the dataset's own that is cut, by its names."""
    if pair.ratio != RATIO_MAX:
        return pair.ratio
    names = [parse_sid_name(path.name) for path in (pair.short, pair.long)]
    times = [name.exposure_s for name in names if name is not None]
    return times[1] / times[0] if len(times) == 2 else pair.ratio


def _brightness(short: Glance, long: Glance) -> float:
    """How many times as bright the long frame is; 0 where that cannot be told, as GROUPS of blocks do not agree.

    By steps from a block to its neighbour, as black that is off and glow are in both: of those that are large in the
    long frame that factor is taken which leaves the least absolute differences, whatever some lamps do meanwhile.
    """
    if short.cut > CUT_MAX:
        return 0.0
    sound = ~(short.clipped | long.clipped)
    steps: list[Plane] = []
    for axis in (0, 1):
        size = sound.shape[axis]
        here, there = (np.arange(size - 1), np.arange(1, size))
        both = sound.take(here, axis) & sound.take(there, axis)
        dark, bright = (
            frame.light.take(here, axis) - frame.light.take(there, axis) for frame in (short, long)
        )
        steps.append(np.stack([dark[both], bright[both]]).astype(np.float64))
    dark, bright = np.concatenate(steps, axis=1)
    large = (
        np.abs(bright) >= max(np.quantile(np.abs(bright), CONTRAST), 1e-6) if bright.size else bright > 0
    )
    dark, bright = dark[large], bright[large]
    found = []
    for group in range(GROUPS):
        share, weight = dark[group::GROUPS] / bright[group::GROUPS], np.abs(bright[group::GROUPS])
        if not share.size:
            return 0.0
        order = np.argsort(share)
        reached = np.cumsum(weight[order])
        middle = float(share[order][np.searchsorted(reached, reached[-1] / 2)])
        if not middle > 0:
            return 0.0
        found.append(1 / middle)
    return float(np.median(found)) if max(found) < BRIGHTNESS_FACTOR * min(found) else 0.0


def odd_times(pair: Pair, short_s: float | None, long_s: float | None) -> list[str]:
    """Where a file of the See-in-the-Dark dataset was exposed otherwise than its name says, in words."""
    return [
        f"{path.name} was exposed for {seconds:g} s by what the file says, and not as its name says: the ratio "
        f"x{pair.ratio:g} is by the names"
        for path, seconds in ((pair.short, short_s), (pair.long, long_s))
        if _contradicts(path, seconds)
    ]


def _contradicts(path: Path, seconds: float | None) -> bool:
    name = parse_sid_name(path.name)
    if name is None or not seconds:
        return False
    return max(seconds / name.exposure_s, name.exposure_s / seconds) > NAME_FACTOR


def _share(which: npt.NDArray[np.bool_]) -> float:
    return float(which.mean()) if which.size else 0.0


def _shown(light: Plane, ratio: float = 1.0) -> Plane:
    """As a display would show it: lamps do not outweigh all else."""
    shown: Plane = np.clip(np.asarray(light, np.float64) * ratio, 0, 1) ** _GAMMA
    return shown


def _detail(light: Plane, ratio: float = 1.0) -> Plane:
    """What is shown, less what its rows and columns share, and less its surroundings: sensors add such noise and glow.

    Noise of rows and of columns adds up as light only, so it goes before that is bent, too.
    """
    less = _apart(_shown(_apart(light) + np.median(light), ratio))
    sums = np.pad(np.pad(less, AROUND, mode="edge").cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    side = 2 * AROUND + 1
    down = sums[side:] - sums[:-side]
    detail: Plane = less - (down[:, side:] - down[:, :-side]) / side**2
    return detail


def _apart(plane: Plane) -> Plane:
    """A plane less the medians of its rows, and then of its columns."""
    less = plane - np.median(plane, axis=1, keepdims=True)
    apart: Plane = less - np.median(less, axis=0, keepdims=True)
    return apart


def _reached(agreeing: float) -> float:
    """The correlation with a frame without noise, at most, of one whose halves agree so."""
    return float(np.sqrt(2 * agreeing / (1 + agreeing)))


def _correlation(one: Plane, other: Plane) -> float:
    """The correlation of two planes; 0 where one of them is the same all over."""
    one, other = one - one.mean(), other - other.mean()
    least = min(float((one * one).mean()), float((other * other).mean()))
    if least < VARIANCE_MIN:
        return 0.0
    return float((one * other).mean() / np.sqrt((one * one).mean() * (other * other).mean()))


def _shift(one: Plane, other: Plane) -> tuple[int, int]:
    """By how many blocks, down and right, the second lies beside the first: the peak of their phase correlation."""
    rows, columns = one.shape
    window = np.outer(np.hanning(rows + 2)[1:-1], np.hanning(columns + 2)[1:-1])
    spectra = [np.fft.rfft2((plane - plane.mean()) * window) for plane in (one, other)]
    cross = spectra[0].conj() * spectra[1]
    peaks = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-12), s=one.shape)
    down, right = (int(n) for n in np.unravel_index(int(peaks.argmax()), peaks.shape))
    return (down - rows if down > rows // 2 else down), (right - columns if right > columns // 2 else right)


def _overlap(one: Plane, other: Plane, down: int, right: int) -> tuple[Plane, Plane]:
    """The parts that show the same where the second is shifted so."""
    rows, columns = one.shape
    top, left = max(0, down), max(0, right)
    height, width = rows - abs(down), columns - abs(right)
    return (
        one[top - down : top - down + height, left - right : left - right + width],
        other[top : top + height, left : left + width],
    )
