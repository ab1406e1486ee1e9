"""What is odd about a pair: frames of two scenes, shifted ones, a long one without detail, a name that is not true.

Nothing of it is refused. Both frames are averaged over blocks, the short one amplified, and compared where the short
one shows more than noise: its blocks' two halves, cells in turn, must agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scotopic.frame import Mosaic
from scotopic.pairs import Pair, parse_sid_name

BLOCKS_MAX, BLOCK_MIN = 256, 8
"""Blocks along the longer side, at most, and pixels of one, at least."""

SATURATED = 0.5
"""A long frame of which more is saturated has little to teach."""

AGREEING = 0.3
"""Correlation of the halves from which the short frame tells something: simulated frames at x300 and ISO 12800 to 25600
may stay below, all others lie above 0.5 (docs/experiments.md, 2026-11-29)."""

ALIKE = 0.6
"""Correlation of both frames, the short one's noise allowed for, below which they show two things: frames of one scene
have 0.93 and more, of two scenes 0.3 (nine of ten)."""

SHIFT_MIN, BETTER, MOVED_ALIKE = 2, 0.05, 0.8
"""Frames are shifted where they agree so much, and so much better, so many blocks or more away."""

NAME_FACTOR = 1.5
"""An exposure time that differs from the name's by more; names round by less than a tenth."""

_GAMMA = 1 / 2.2

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Glance:
    """A frame's light in blocks of `block` pixels: means, those of each half of their cells, the saturated share.

    All (rows, columns), 1 at the white level; a frame without noise has its means for halves.
    """

    light: Plane
    halves: tuple[Plane, Plane]
    saturated: float
    block: int


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
    even = np.indices((cells, cells)).sum(axis=0) % 2 == 0
    halves = (light[..., even].mean(axis=-1), light[..., ~even].mean(axis=-1))
    return Glance(light.mean(axis=(2, 3)), halves, float((inside >= full).mean()), block)


def glance_at(mosaic: Mosaic) -> Glance:
    """A frame as read at a glance."""
    black = float(mosaic.black.mean())
    return glance(mosaic.data, len(mosaic.cfa), black, mosaic.white, mosaic.saturation)


def glance_truth(truth: npt.NDArray[np.uint16], cell: int, full: float, *, is_light: bool) -> Glance:
    """A truth (H, W, 3), 65535 at white, at a glance, every other pixel of it; `full` in 0..1 where it saturates."""
    block = block_of(truth.shape, cell)
    rows, columns = (n // block for n in truth.shape[:2])
    seen = np.asarray(truth[: rows * block : 2, : columns * block : 2], np.float32) / 65535
    saturated = float((seen[..., 1] >= 0.98 * full).mean())
    grey = seen @ np.array([0.25, 0.5, 0.25], np.float32)
    grey = grey if is_light else grey ** (1 / _GAMMA)
    light = grey.reshape(rows, block // 2, columns, block // 2).mean(axis=(1, 3))
    return Glance(light, (light, light), saturated, block)


def odd_frames(pair: Pair, short: Glance, long: Glance) -> list[str]:
    """What is odd about the pixels of a pair, in words; nothing for most."""
    if long.saturated > SATURATED:
        return [
            f"{long.saturated:.0%} of the long frame {pair.long.name} are saturated: expose it less, or leave it out"
        ]
    if short.light.shape != long.light.shape:
        return []
    dark, bright = _shown(short.light, pair.ratio), _shown(long.light)
    agreeing = _correlation(*(_shown(half, pair.ratio) for half in short.halves))
    if agreeing < AGREEING:
        return []
    most = np.sqrt(2 * agreeing / (1 + agreeing))
    alike = _correlation(dark, bright) / most
    down, right = _shift(dark, bright)
    moved = _correlation(*_overlap(dark, bright, down, right)) / most
    far = max(abs(down), abs(right)) >= SHIFT_MIN
    if far and moved >= MOVED_ALIKE and moved > alike + BETTER:
        pixels = round(float(np.hypot(down, right)) * short.block)
        return [
            f"its long frame {pair.long.name} lies about {pixels} pixels beside it: the camera was moved, so leave "
            "the pair out"
        ]
    if alike < ALIKE:
        return [
            f"its long frame {pair.long.name} seems to show something else (correlation {alike:.2f}): see whether "
            "both are of one scene"
        ]
    return []


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


def _shown(light: Plane, ratio: float = 1.0) -> Plane:
    """As a display would show it: lamps do not outweigh all else."""
    shown: Plane = np.clip(light * np.float32(ratio), 0, 1) ** np.float32(_GAMMA)
    return shown


def _correlation(one: Plane, other: Plane) -> float:
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / size if size > 0 else 0.0


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
