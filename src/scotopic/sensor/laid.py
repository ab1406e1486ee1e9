"""Red and blue laid upon green for a network, where a lens has drawn them beside it.

Networks take edges of all colours to lie in one place, as they do in what they have learnt, and edges that do not come
out as dotted saws. Each red and each blue value is given what green changes by between where the lens has drawn that
colour and where green lies, times the colour's share of green around there. Green stands closer than they do: finer
things are moved than between their own values, and their noise stays as it is.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from scotopic.cores import usable_cores
from scotopic.frame import BLUE, GREEN, RED, Linear32, Mosaic, NoiseProfile
from scotopic.sensor.lateral import Lateral, Shift, place_of
from scotopic.sensor.moved import TAPS, Path, rows_into
from scotopic.sensor.pattern import extended

NEAR = 0.36
"""Weight of a green value beside a place for one at it, along each axis (a standard deviation of 0.7 pixels)."""

MEANS = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
"""Weights of the cells over which colours are held against each other, along each axis."""

NOISY = 0.1
"""Share of a green value's noise, as variance, below whose square light no longer tells how a colour follows it."""

THREADS_MOST = 4
"""Strips that are laid at once, at most: each holds a few copies of its rows."""

STRIP = 192
"""Rows that are laid upon green at a time, a multiple of all cells' sides."""


def aligned(mosaic: Mosaic, lateral: Lateral, noise: NoiseProfile) -> Mosaic:
    """The mosaic with red and blue laid upon green: float32, of the same size and levels."""
    laid = _Laid(mosaic, lateral, noise)
    with ThreadPoolExecutor(min(usable_cores(), THREADS_MOST)) as threads:
        list(threads.map(laid.strip, range(0, len(mosaic.data), STRIP)))
    return mosaic.with_changes(data=laid.data)


@dataclass(frozen=True)
class _Strip:
    """Rows with all that is needed around them, above black: light, green everywhere, how a colour follows green."""

    start: int
    stop: int
    light: Linear32
    green: Linear32
    share: Linear32


class _Laid:
    """A mosaic's values as they are laid upon green, strip by strip."""

    def __init__(self, mosaic: Mosaic, lateral: Lateral, noise: NoiseProfile) -> None:
        self.mosaic, self.lateral, self.noise = mosaic, lateral, noise
        self.data = mosaic.data.astype(np.float32)
        self.cfa = np.array(mosaic.cfa)
        self.side = len(self.cfa)
        # Half of X-Trans's cell along each axis has some of each colour, and two reds and two blues in the mean.
        self.cell = 2 if self.side == 2 else self.side // 2
        around = max(lateral.reach + TAPS, len(MEANS) * self.cell)
        self.margin = self.side * math.ceil(around / self.side)
        self.black = mosaic.black.astype(np.float32)
        self.span = mosaic.white - float(np.mean(mosaic.black))
        greens = np.pad((self.cfa == GREEN).astype(np.float32), 1, mode="wrap")
        self.scale = 1 / _beside(greens)

    def strip(self, start: int) -> None:
        """Lay so many rows, from there on."""
        (height, width), margin, side = self.data.shape, self.margin, self.side
        stop = min(start + STRIP, height)
        top, bottom = max(0, start - margin), min(height, stop + margin)
        around = [
            (margin - (start - top), margin - (bottom - stop) + (start - stop) % side),
            (margin, margin + -width % side),
        ]
        light = extended(self.mosaic.data[top:bottom], around, side).astype(np.float32)
        tiles = [n // side for n in light.shape]
        light -= np.tile(self.black, tiles)
        green = np.zeros_like(light)
        green[1:-1, 1:-1] = _beside(light * np.tile((self.cfa == GREEN).astype(np.float32), tiles))
        green *= np.tile(self.scale, tiles)
        mean = self._mean(light, GREEN)
        variance = NOISY * self.noise.variance(mean / self.span, GREEN) * self.span**2
        follows = mean / np.maximum(mean * mean + variance.astype(np.float32), np.float32(1e-9))
        for colour in (RED, BLUE):
            if any(shift := self.lateral.of(colour)):
                share = self._mean(light, colour) * follows
                self._lay(colour, shift, _Strip(start, stop, light, green, share))

    def _lay(self, colour: int, shift: Shift, strip: _Strip) -> None:
        side, margin = self.side, self.margin
        own = self.data[strip.start : strip.stop]
        low, high = (
            _around(self._cells(strip.light, colour, how, start), how)
            for how, start in ((np.minimum, np.inf), (np.maximum, -np.inf))
        )
        # Of Bayer's where the colour stands; X-Trans's stands in all rows.
        step = side if side == 2 else 1
        top, left = place_of(self.mosaic.cfa, colour) if step > 1 else (0, 0)
        drawn: Linear32 = np.empty_like(own[top::step, left::step])
        path = Path(shift, self.data.shape, (strip.start + top, left), drawn.shape[1], step=step)
        rows_into(drawn, strip.green, (margin + top, margin + left), path)
        for y, x in np.argwhere(self.cfa == colour).tolist():
            values = own[y::side, x::side]
            here = tuple(
                slice(margin + at, margin + at + side * count, side)
                for at, count in zip((y, x), values.shape, strict=True)
            )
            cells = tuple(
                slice(s.start // self.cell, -(-s.stop // self.cell), side // self.cell) for s in here
            )
            rows, columns = values.shape
            change = (
                strip.green[here]
                - drawn[(y - top) // step :: side // step, (x - left) // step :: side // step]
            )
            change *= strip.share[cells][:rows, :columns]
            change += strip.light[here]
            np.maximum(change, low[cells][:rows, :columns], out=change)
            np.minimum(change, high[cells][:rows, :columns], out=change)
            np.add(change, self.black[y, x], out=values)

    def _mean(self, light: Linear32, colour: int) -> Linear32:
        """A colour's mean around each cell, at least 0."""
        mean = self._cells(light, colour, np.add, 0.0)
        # Alternate cells, which may hold more or less of it, weigh alike in MEANS.
        count = np.count_nonzero(self.cfa == colour) / (self.side // self.cell) ** 2
        edge = len(MEANS) // 2
        for axis in (0, 1):
            cells, mean = mean.swapaxes(0, axis), np.zeros_like(mean)
            inside = mean.swapaxes(0, axis)[edge:-edge]
            for tap, weight in enumerate(MEANS):
                inside += np.float32(weight) * cells[tap : tap + len(inside)]
        mean *= np.float32(1 / count)
        return np.maximum(mean, 0, out=mean)

    def _cells(self, light: Linear32, colour: int, how: np.ufunc, start: float) -> Linear32:
        """What comes of all values of a colour in each cell."""
        side, cell = self.side, self.cell
        cells = np.full([n // cell for n in light.shape], start, np.float32)
        for y, x in np.argwhere(self.cfa == colour).tolist():
            those = cells[y // cell :: side // cell, x // cell :: side // cell]
            how(those, light[y::side, x::side], out=those)
        return cells


def _beside(values: Linear32) -> Linear32:
    """Each value and NEAR of those beside it, along both axes, of all that have some."""
    near = np.float32(NEAR)
    rows = values[:-2] + values[2:]
    rows *= near
    rows += values[1:-1]
    both: Linear32 = rows[:, :-2] + rows[:, 2:]
    both *= near
    both += rows[:, 1:-1]
    return both


def _around(cells: Linear32, how: Any) -> Linear32:
    """The least or the most of each cell and those around it."""
    for axis in (0, 1):
        beside = cells.swapaxes(0, axis)
        cells = cells.copy()
        both = cells.swapaxes(0, axis)
        how(both[1:], beside[:-1], out=both[1:])
        how(both[:-1], beside[1:], out=both[:-1])
    return cells
