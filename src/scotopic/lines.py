"""Rows and columns of the sensor that are off, bright or dead, over at least half of its height or width.

One bright column stains twenty to sixty around it, since the networks' local means hold it (experiments.md,
2026-11-29). In the world nothing is exactly as straight, as upright and as narrow: lenses blur a wire into the columns
beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from scotopic.frame import Counts, Mosaic, NoiseProfile
from scotopic.run import usable_cores

PARTS = 16
"""Parts of a line that are looked at each by itself."""

PARTS_MIN = 8
"""A line is off in so many parts at least."""

GAP = 2
"""Between its ends a part that is not off counts against so many that are."""

GROUPS, GROUP = 4, 8
"""Values of a part: so many groups of whole cells, each of so many values at least."""

LENGTH_MIN = 256
"""Of shorter lines too few values tell."""

ONE_WAY = 0.5
"""A part is off where so many more of its values lie above those beside them than below, as a share; or below. Noise
alone lies so in one of a hundred parts, an offset of 0.8 standard deviations of a pixel in most."""

END_ONE_WAY = 0.125
"""The same of parts at its ends."""

OFF_SIGMAS = 0.75
"""And a line by so many standard deviations of a pixel's noise."""

BESIDE = 0.1
"""Lines that touch it are off by no more than this share of it: what a lens has drawn is broader."""

BESIDE_SIGMAS = 2.5
"""Standard errors allowed them beyond."""

LINES_MAX = 0.02
"""Where more of a picture's columns (or rows) look like it, they are something else."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Line:
    """A column (`axis` 1) or a row (`axis` 0) that is off from `start` on, before `stop`."""

    axis: int
    place: int
    start: int
    stop: int


def lines_off(mosaic: Mosaic, noise: NoiseProfile) -> list[Line]:
    """The columns and rows that are off."""
    with ThreadPoolExecutor(usable_cores()) as threads:
        columns, rows = threads.map(lambda axis: _columns_off(mosaic, noise, axis), (1, 0))
    return columns + rows


def pixels_of(lines: Sequence[Line]) -> npt.NDArray[np.intp]:
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
    """Where the parts begin, and where the last ends."""
    count: int
    """Values of a part that were looked at."""
    brighter: Floats
    """How many more of them lie above those beside them than below, as a share; `darker` the other way."""
    darker: Floats
    offs: Floats
    """How far they are above those beside them, in the mean."""
    means: Floats
    spread: Floats
    """The noise of a pixel of each column as a standard deviation, (W,)."""


def _columns_off(mosaic: Mosaic, noise: NoiseProfile, axis: int) -> list[Line]:
    """The columns that are off; of the picture on its side for rows."""
    data = mosaic.data if axis else mosaic.data.T
    size = len(mosaic.cfa)
    length, width = data.shape
    if length < LENGTH_MIN or width <= 8 * size:
        return []
    seen = _parts(mosaic, data, noise)
    found = []
    for sign, ways in ((1, seen.brighter), (-1, seen.darker)):
        off = ways > ONE_WAY
        for place in np.flatnonzero(off.sum(axis=0) >= PARTS_MIN).tolist():
            first, last = _longest(off[:, place])
            if off[first:last, place].sum() < PARTS_MIN or not _stands_alone(
                seen, place, slice(first, last), sign, size
            ):
                continue
            # The parts in which it ends are off in a share of their values, those of a weak one a little.
            while first > 0 and ways[first - 1, place] > END_ONE_WAY:
                first -= 1
            while last < PARTS and ways[last, place] > END_ONE_WAY:
                last += 1
            found.append(Line(axis, place, seen.edges[first], seen.edges[last]))
    return found if len(found) <= LINES_MAX * width else []


def _parts(mosaic: Mosaic, data: Counts, noise: NoiseProfile) -> _Parts:
    size, (length, width) = len(mosaic.cfa), data.shape
    edges = np.linspace(0, length, PARTS + 1).astype(int).tolist()
    brighter, darker, offs, means, levels = (np.zeros((PARTS, width), np.float32) for _ in range(5))
    inner = slice(2 * size, -2 * size)
    count = 0
    for part, (top, bottom) in enumerate(pairwise(edges)):
        rows = _looked_at(top, bottom, size)
        count = rows.size
        values = data[rows].astype(np.float32)
        own, (above, below) = values[:, inner], _beside(values, size)
        with np.errstate(invalid="ignore"):  # infinities, which are refused later
            beside = (above + below) * np.float32(0.5)
            offs[part, inner] = (own - beside).mean(axis=0)
            means[part] = values.mean(axis=0)
            levels[part, inner] = beside.mean(axis=0)
            brighter[part, inner] = np.sign(own - above).mean(axis=0)
            darker[part, inner] = np.sign(below - own).mean(axis=0)
    black = float(np.mean(mosaic.black))
    span = mosaic.white - black
    light = np.maximum((np.median(levels, axis=0) - black) / span, 0)
    spread = np.sqrt(max(noise.shot) * light + max(noise.read)) * span
    return _Parts(edges, count, brighter, darker, offs, means, spread)


def _stands_alone(seen: _Parts, place: int, parts: slice, sign: int, size: int) -> bool:
    """Whether a column is off by more than noise explains, those that touch it are not, and it does not only lie
    between two that are."""
    near = np.median(seen.offs[parts, place - 1 : place + 2], axis=0)
    own, touching = abs(near[1]), max(abs(near[0]), abs(near[2]))
    error = seen.spread[place] / (seen.count * (parts.stop - parts.start)) ** 0.5
    if own <= OFF_SIGMAS * seen.spread[place] or touching >= BESIDE * own + BESIDE_SIGMAS * error:
        return False
    mean, *nearest = np.median(seen.means[parts, [place, place - size, place + size]], axis=0)
    return bool(max(sign * (mean - other) for other in nearest) >= own / 2)


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


def _beside(values: Floats, size: int) -> tuple[Floats, Floats]:
    """Of the four nearest of the same place in the cell the middle two: what both of one side at least exceed, and what
    both of one side at most reach. So an edge or a lamp on one side makes no line of what is beside it."""
    width = values.shape[1]
    left, left2, right, right2 = (
        values[:, at : width - 4 * size + at] for at in (size, 0, 3 * size, 4 * size)
    )
    least = np.maximum(np.minimum(left, left2), np.minimum(right, right2))
    return least, np.minimum(np.maximum(left, left2), np.maximum(right, right2))
