"""Rows and columns of the sensor that are off, bright or dead, over at least half of its height or width.

One bright column stains twenty to sixty around it, since the networks' local means hold it (experiments.md,
2026-11-29). In the world nothing is exactly as straight, as upright and as narrow: lenses blur a wire into the columns
beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from scotopic.cores import usable_cores
from scotopic.frame import Counts, Mosaic, NoiseProfile

PARTS = 16
"""Parts of a line, from one end to the other, each of which is judged by itself."""

PARTS_MIN = 8
"""Parts in which a line has to be off, at least."""

GAP = 2
"""Parts that are off which one part that is not off outweighs, when the ends of a defect are sought: the run of parts
with the greatest sum."""

GROUPS, GROUP = 4, 8
"""Values that a part is judged by: at most GROUPS groups of whole cells, each of GROUP values at least."""

LENGTH_MIN = 256
"""Pixels of a line, at least: shorter ones hold too few values to be judged."""

ONE_WAY = 0.5
"""A part is off where the share of its values above those beside them exceeds the share below by more than this, or the
other way round. Noise alone does so in one of a hundred parts, an offset of 0.8 standard deviations of a pixel in
most."""

END_ONE_WAY = 0.125
"""The two parts in which a defect begins and ends, off in a piece of their length, belong to it from this difference of
shares on (see ONE_WAY)."""

OFF_SIGMAS = 0.75
"""Standard deviations of a pixel's noise by which a line is off, at least."""

BESIDE = 0.1
"""Share of a line's offset by which the lines that touch it may be off: what a lens has drawn is broader."""

BESIDE_SIGMAS = 2.5
"""Standard errors by which the lines that touch may be off besides (see BESIDE)."""

ALIKE, ALIKE_SIGMAS = 0.5, 1.5
"""Share of a line's largest offset, over the places of the colour cell, by which it is off in every place, and standard
errors allowed. A wire of red light shows in red pixels alone, and the lines beside it hold none of these."""

SCATTER = 5.0
"""Times the scatter of all lines of the picture by which a line is off, at least: noise of rows is no row that is
off."""

LINES_MAX = 0.02
"""Share of a picture's columns (or rows) that may be off; where more look like it, they are something else, and none is
taken."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SensorLine:
    """A column (`axis` 1) or a row (`axis` 0) that is off from `start` on, before `stop`."""

    axis: int
    place: int
    start: int
    stop: int


def lines_off(mosaic: Mosaic, noise: NoiseProfile) -> list[SensorLine]:
    """The columns and rows that are off."""
    with ThreadPoolExecutor(usable_cores()) as threads:
        columns, rows = threads.map(lambda axis: _columns_off(mosaic, noise, axis), (1, 0))
    return columns + rows


def pixels_of(lines: Sequence[SensorLine]) -> npt.NDArray[np.intp]:
    """Rows and columns of their pixels, (N, 2), each once."""
    places = []
    for line in lines:
        along = np.arange(line.start, line.stop)
        across = np.full_like(along, line.place)
        places.append(np.stack([along, across] if line.axis else [across, along], axis=1))
    return np.unique(np.concatenate(places), axis=0) if places else np.empty((0, 2), np.intp)


@dataclass(frozen=True, eq=False)
class _Parts:
    """What is seen of each part of each column: (PARTS, W), in DN."""

    edges: list[int]
    """The first row (or column) of each part, and where the last part ends: PARTS + 1 numbers."""
    count: int
    """Values of a part that were looked at."""
    brighter: Floats
    """Share of a part's values above those beside them less the share below; `darker` the other way round."""
    darker: Floats
    offs: Floats
    """How far a part's values are above those beside them, in the mean, in DN."""
    spread: Floats
    """The noise of a pixel of each column as a standard deviation in DN, (W,)."""
    scatter: float
    """How far the picture's columns are off, as a standard deviation over them in DN."""


@dataclass(frozen=True)
class _Found:
    line: SensorLine
    off: float


def _columns_off(mosaic: Mosaic, noise: NoiseProfile, axis: int) -> list[SensorLine]:
    """The columns that are off; of the picture on its side for rows."""
    data = mosaic.data if axis else mosaic.data.T
    size = len(mosaic.cfa)
    length, width = data.shape
    if length < LENGTH_MIN or width <= 8 * size:
        return []
    seen = _parts(mosaic, data, noise)
    found: list[_Found] = []
    for sign, ways in ((1, seen.brighter), (-1, seen.darker)):
        off = ways > ONE_WAY
        for place in np.flatnonzero(off.sum(axis=0) >= PARTS_MIN).tolist():
            first, last = _longest(off[:, place])
            if off[first:last, place].sum() < PARTS_MIN:
                continue
            own = _stands_alone(seen, place, slice(first, last))
            if not own or not _alike(mosaic, data, seen, place, slice(first, last), sign):
                continue
            # The parts in which it ends are off in a share of their values, those of a weak one a little.
            while first > 0 and ways[first - 1, place] > END_ONE_WAY:
                first -= 1
            while last < PARTS and ways[last, place] > END_ONE_WAY:
                last += 1
            found.append(_Found(SensorLine(axis, place, seen.edges[first], seen.edges[last]), sign * own))
    if len(found) > LINES_MAX * width:
        return []
    return [one.line for one in found if not _only_between(one, found, 2 * size)]


def _parts(mosaic: Mosaic, data: Counts, noise: NoiseProfile) -> _Parts:
    size, (length, width) = len(mosaic.cfa), data.shape
    edges = np.linspace(0, length, PARTS + 1).astype(int).tolist()
    brighter, darker, offs, levels = (np.zeros((PARTS, width), np.float32) for _ in range(4))
    inner = slice(2 * size, -2 * size)
    count = 0
    for part, (top, bottom) in enumerate(pairwise(edges)):
        rows = _looked_at(top, bottom, size)
        count = rows.size
        values = data[rows].astype(np.float32)
        own, (above, below) = (
            values[:, inner],
            _beside(values[:, at : width - 4 * size + at] for at in _steps(size)),
        )
        with np.errstate(invalid="ignore"):  # infinities, which are refused later
            beside = (above + below) * np.float32(0.5)
            offs[part, inner] = (own - beside).mean(axis=0)
            levels[part, inner] = beside.mean(axis=0)
            brighter[part, inner] = np.sign(own - above).mean(axis=0)
            darker[part, inner] = np.sign(below - own).mean(axis=0)
    black = float(np.mean(mosaic.black))
    span = mosaic.white - black
    light = np.maximum((np.median(levels, axis=0) - black) / span, 0)
    spread = np.sqrt(max(noise.shot) * light + max(noise.read)) * span
    scatter = 1.4826 * float(np.median(np.abs(np.median(offs[:, inner], axis=0))))
    return _Parts(edges, count, brighter, darker, offs, spread, scatter)


def _stands_alone(seen: _Parts, place: int, parts: slice) -> float:
    """How far a column is off; 0 where that is no more than noise explains, or than those that touch it are."""
    near = np.median(seen.offs[parts, place - 1 : place + 2], axis=0)
    own, touching = abs(float(near[1])), max(abs(near[0]), abs(near[2]))
    error = seen.spread[place] / (seen.count * (parts.stop - parts.start)) ** 0.5
    least = max(OFF_SIGMAS * seen.spread[place], SCATTER * seen.scatter)
    return own if own > least and touching < BESIDE * own + BESIDE_SIGMAS * error else 0.0


def _alike(mosaic: Mosaic, data: Counts, seen: _Parts, place: int, parts: slice, sign: int) -> bool:
    """Whether a column is off in each place of the cell, or dead."""
    size = len(mosaic.cfa)
    edges = seen.edges[parts.start : parts.stop + 1]
    rows = np.concatenate([_looked_at(top, bottom, size) for top, bottom in pairwise(edges)])
    values = data[rows[:, None], [place, *(place - 2 * size + at for at in _steps(size))]].astype(
        np.float32
    )
    least, most = _beside(values[:, at] for at in range(1, 5))
    apart = sign * (values[:, 0] - (least + most) / 2)
    offs = [float(np.median(apart[rows % size == at])) for at in range(size)]
    error = ALIKE_SIGMAS * seen.spread[place] / (rows.size / size) ** 0.5
    dead = sign < 0 and float(np.median(values[:, 0])) <= np.max(mosaic.black) - 6 * seen.spread[place]
    return bool(dead or min(offs) + error >= ALIKE * max(offs))


def _only_between(one: _Found, found: list[_Found], reach: int) -> bool:
    """Whether it is off only beside lines on both sides that are off more, the other way."""
    sides = {
        other.line.place > one.line.place
        for other in found
        if 0 < abs(other.line.place - one.line.place) <= reach
        and other.off * one.off < 0
        and abs(other.off) > abs(one.off)
    }
    return len(sides) == 2


def _longest(off: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Where the parts that are off begin and end, without stray ones (the run of greatest sum, Kadane)."""
    best, ends, total, start = 0, (0, 0), 0, 0
    for part, is_off in enumerate(off.tolist()):
        total += 1 if is_off else -GAP
        if total <= 0:
            total, start = 0, part + 1
        elif total > best:
            best, ends = total, (start, part + 1)
    return ends


def _looked_at(top: int, bottom: int, size: int) -> npt.NDArray[np.intp]:
    """Rows of a part: groups of whole cells, evenly spread."""
    group = size * -(-GROUP // size)
    groups = max(min(GROUPS, (bottom - top) // group), 1)
    starts = top + (np.arange(groups) * (bottom - top - group)) // max(groups - 1, 1)
    rows = (starts[:, None] + np.arange(min(group, bottom - top))).ravel()
    return rows


def _steps(size: int) -> tuple[int, ...]:
    """Where the four nearest of the same place in the cell begin, from two cells before: left, left, right, right."""
    return size, 0, 3 * size, 4 * size


def _beside(four: Iterable[Floats]) -> tuple[Floats, Floats]:
    """Of the four nearest of the same place in the cell the middle two: what both of one side at least exceed, and what
    both of one side at most reach. So an edge or a lamp on one side makes no line of what is beside it."""
    left, left2, right, right2 = four
    least = np.maximum(np.minimum(left, left2), np.minimum(right, right2))
    return least, np.minimum(np.maximum(left, left2), np.maximum(right, right2))
