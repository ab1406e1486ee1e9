"""Lens shading: the fall of light and the tints towards the corners, evened out by the maps that phones write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, reduce
from typing import Any

import numpy as np
import numpy.typing as npt

Place = tuple[int, int]
Places = npt.NDArray[np.int_]

Gains = npt.NDArray[np.float32]

ROWS = 128
"""Rows evened out at a time."""

GAIN_MAX = 64.0
"""Largest gain: no lens needs more; larger ones are damage."""


@dataclass(frozen=True, eq=False)
class GainMap:
    """A grid of gains over a picture, as the DNG opcode GainMap has it (specification 1.7.1, chapter 7).

    `area` (top, left, bottom, right) and `pitch` (rows, columns) say which pixels it is for, `planes` (first,
    number) of which colours; mosaics have one. `grid` (V, H, P) lies at `origin` + index * `spacing`, both
    (down, across) in parts of the picture's height and width; between its points gains are linear, beyond
    them those of the edge. Where there are fewer P than planes, the last is for the others.
    """

    area: tuple[int, int, int, int]
    pitch: tuple[int, int]
    planes: tuple[int, int]
    origin: tuple[float, float]
    spacing: tuple[float, float]
    grid: Gains
    of_mosaic: bool

    def is_for(self, place: Place) -> bool:
        """Whether it is for a place of a cell whose size is a multiple of the pitch."""
        return all(
            (n - first) % step == 0 for n, first, step in zip(place, self.area, self.pitch, strict=False)
        )


@dataclass(frozen=True, eq=False)
class Shading:
    """Maps for a whole picture: its gain at a pixel is the product of theirs.

    `height` and `width` are those of the picture the maps were made for, of which `left_out` (rows, columns)
    before the first have been cut off; `cell` the colours of its mosaic, None for finished colours.
    """

    maps: tuple[GainMap, ...]
    height: int
    width: int
    cell: tuple[tuple[int, ...], ...] | None
    left_out: tuple[int, int] = (0, 0)

    def cut(self, down: int, across: int) -> Shading:
        """This shading for the picture without its first `down` rows and `across` columns."""
        return replace(self, left_out=(self.left_out[0] + down, self.left_out[1] + across))

    def gains(self, top: int, bottom: int, width: int) -> Gains:
        """Gains for each colour (rows, width, 3) from row `top` to `bottom`: for demosaiced pixels.

        A mosaic's colour has the mean of its places in the cell: the two greens have maps of their own.
        """
        values = self._at(np.arange(top, bottom), np.arange(width))
        out = np.empty((bottom - top, width, 3), np.float32)
        for colour in range(3):
            out[..., colour] = self._of_colour(colour, values) * self._of_places(
                self._places(colour), values
            )
        return out

    def gains_of_place(self, y: int, x: int, shape: tuple[int, int], *, whole: bool) -> Gains | None:
        """Gains for the mosaic's pixels [y::cell, x::cell], of a picture of this shape.

        Not `whole`: only what they have more than the mean of their colour; None where that is nothing.
        """
        cell = self.cell or ((0,),)
        size = len(cell)
        place = (y + self.left_out[0]) % size, (x + self.left_out[1]) % size
        colour = cell[place[0]][place[1]]
        alike = self._places(colour)
        if not whole and len({self._for_place(other) for other in alike}) < 2:
            return None
        values = self._at(np.arange(y, shape[0], size), np.arange(x, shape[1], size))
        own = self._of_places([place], values)
        gains = own * self._of_colour(colour, values) if whole else own / self._of_places(alike, values)
        return np.broadcast_to(gains, (len(range(y, shape[0], size)), len(range(x, shape[1], size))))

    def _places(self, colour: int) -> list[Place]:
        return [
            (y, x) for y, row in enumerate(self.cell or ()) for x, seen in enumerate(row) if seen == colour
        ]

    def _for_place(self, place: Place) -> tuple[int, ...]:
        """The numbers of the maps that are for a place."""
        return tuple(n for n, one in enumerate(self.maps) if one.of_mosaic and one.is_for(place))

    def _of_places(self, places: list[Place], values: Callable[[int], Gains]) -> Gains | np.float32:
        """The mean over places of the product of the maps that are for them."""
        used = Counter(map(self._for_place, places))
        means = [
            _product([values(n)[..., 0] for n in numbers]) * np.float32(count / len(places))
            for numbers, count in used.items()
        ]
        return reduce(np.add, means) if means else np.float32(1)

    def _of_colour(self, colour: int, values: Callable[[int], Gains]) -> Gains | np.float32:
        """The product of the maps that are made for colours."""
        return _product(
            [
                values(n)[..., min(colour - one.planes[0], one.grid.shape[2] - 1)]
                for n, one in enumerate(self.maps)
                if not one.of_mosaic and 0 <= colour - one.planes[0] < one.planes[1]
            ]
        )

    def _at(self, rows: Places, columns: Places) -> Callable[[int], Gains]:
        """A map's gains (rows, columns, P) by its number, at rows and columns of the picture."""
        rows, columns = rows + self.left_out[0], columns + self.left_out[1]
        return cache(lambda number: self._values(self.maps[number], rows, columns))

    def _values(self, one: GainMap, rows: Places, columns: Places) -> Gains:
        """A map's gains (rows, columns, P), 1 outside its area."""
        down = _weights((rows + 0.5) / self.height, one.origin[0], one.spacing[0], one.grid.shape[0])
        across = _weights((columns + 0.5) / self.width, one.origin[1], one.spacing[1], one.grid.shape[1])
        values = np.stack([down @ plane @ across.T for plane in np.moveaxis(one.grid, -1, 0)], axis=-1)
        top, left, bottom, right = one.area
        # The first row and column of a place in the cell are inside.
        values[(rows < top - top % one.pitch[0]) | (rows >= bottom)] = 1
        values[:, (columns < left - left % one.pitch[1]) | (columns >= right)] = 1
        return values


def _product(factors: list[Gains]) -> Gains | np.float32:
    whole: Gains | np.float32 = np.float32(1)
    for factor in factors:
        whole = whole * factor
    return whole


def _weights(at: npt.NDArray[np.float64], origin: float, spacing: float, points: int) -> Gains:
    """How much each of the points in a row counts at each place: (places, points), linear between two."""
    index = np.clip((at - origin) / spacing, 0, points - 1)[:, None]
    weights: Gains = np.maximum(1 - np.abs(index - np.arange(points)), 0).astype(np.float32)
    return weights


def evened(light: npt.NDArray[np.float32], shading: Shading | None) -> npt.NDArray[np.float32]:
    """Demosaiced light (H, W, 3) times the shading's gains, in place; as it is where there is none."""
    if shading is None:
        return light
    height, width, _ = light.shape
    for top in range(0, height, ROWS):
        rows = light[top : top + ROWS]
        rows *= shading.gains(top, top + len(rows), width)
    return light


def evened_mosaic(
    data: npt.NDArray[Any],
    black: npt.NDArray[np.float64],
    saturation: float,
    shading: Shading,
    *,
    whole: bool,
) -> npt.NDArray[np.float32]:
    """A mosaic (H, W) in DN times the gains of its places; not `whole`: times what these have more than the mean
    of their colour, which is all but 1, and without which the two greens would differ after `evened`. What is at
    `saturation` stays there, so that lamps are still known for what they are.
    """
    size = len(black)
    out: npt.NDArray[np.float32] = data.astype(np.float32)
    for y in range(size):
        for x in range(size):
            gains = shading.gains_of_place(y, x, data.shape, whole=whole)
            if gains is None:
                continue
            counted, level = data[y::size, x::size], np.float32(black[y, x])
            light = (out[y::size, x::size] - level) * gains + level
            out[y::size, x::size] = np.where(counted >= saturation, counted, light)
    return out
