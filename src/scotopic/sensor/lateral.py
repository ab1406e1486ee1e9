"""A lens's lateral colour: how far red and blue lie beside green, told by the mosaic itself."""

from __future__ import annotations

import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from scotopic.cores import usable_cores
from scotopic.frame import BLUE, GREEN, RED, Linear32, Mosaic, NoiseProfile
from scotopic.sensor.mend import NO_LIGHT_SIGMAS
from scotopic.sensor.pattern import SensorKind, pattern_of

BLOCK = {"bayer": 32, "xtrans": 36}
"""Pixels along each side of the blocks that are asked, whole cells, by the kind of sensor."""

AROUND = 6
"""Pixels around a block that are read with it, whole cells: green is looked for as far aside as FARTHEST, and over
three more."""

FARTHEST = 3.0
"""Pixels by which a colour lies beside green at most; blocks that tell more are not believed."""

BLOCKS_MAX = 768
"""Blocks that are asked, about: of larger pictures so many, evenly spread."""

BLOCKS_LEAST = 8
"""Blocks that must tell something: fewer say nothing of a picture."""

STEPS = 3
"""Times that green is looked at, moved by what is known: the first is off by up to 0.4 of what there is, and each
leaves a tenth to a third of the rest."""

STEP = 0.9
"""Share of what a step tells that is believed: slopes are told a little too flat, and so what lies aside too large."""

NOISE_SHARES = {"bayer": (0.25, 0.14, 0.14), "xtrans": (0.22, 0.12, 0.12)}
"""Variance of green, looked at between its places, and of its two slopes, over that of a value, by noise alone."""

SHOWS = 0.1
"""Signal in a block's slopes over the noise in green, as variances, from which it is asked."""

SURE = 6.0
"""Times its error by which a colour must follow green in a block."""

PEER_LEAST = 0.02
"""Light of a colour for light of green's, as the sensor counts them, at least: less is crosstalk of its filters."""

BLOCK_ERROR = 0.1
"""Error of what a block tells, in pixels, beside the one by noise: things have edges of their own in each colour."""

EXPECTED = (0.3, 0.3, 2.0, 1.0)
"""How far aside lenses draw colours, in pixels (standard deviations): down and right everywhere, and outwards in the
corners in proportion to the distance and to its cube."""

LEAST = 0.15
"""Pixels, root of the mean square over the picture, below which a colour is taken to lie upon green: things have edges
of their own in each colour, which come to as much (experiments.md, 2026-12-01)."""

LEAST_ERRORS = 2.0
"""Errors of what was found, below which a colour is taken to lie upon green."""

SATURATED = 0.98
"""Share of the saturation from which a block's lamps say nothing of where they lie."""

TINY = np.float32(1e-6)
"""Least weight that is divided by."""

VOID = 0.002
"""Share of the sensor's range below black, at least, from which a value is no count of light."""

Floats = npt.NDArray[np.float64]
Shift = tuple[float, float, float, float]


@dataclass(frozen=True)
class Lateral:
    """Where red and blue lie beside green, in pixels: down, right, and outwards in the corners in proportion to the
    distance from the middle and to its cube."""

    red: Shift
    blue: Shift

    def of(self, colour: int) -> Shift:
        """Of red or blue."""
        return {RED: self.red, BLUE: self.blue}[colour]

    @property
    def colours(self) -> tuple[int, ...]:
        """Those that lie beside green."""
        return tuple(colour for colour in (RED, BLUE) if any(self.of(colour)))

    def facts(self) -> dict[str, Shift]:
        """As JSON holds it."""
        return {"red": self.red, "blue": self.blue}

    @property
    def reach(self) -> float:
        """Pixels that any value is moved by, at most, each way."""
        return max(farthest(self.red), farthest(self.blue))

    @property
    def margin(self) -> int:
        """Pixels around a value that moving looks at."""
        return math.ceil(self.reach) + 2


def lateral_colour(mosaic: Mosaic, noise: NoiseProfile) -> Lateral | None:
    """Where red and blue of a mosaic lie beside green; None where they lie upon it, or nobody can tell.

    In blocks, red is fitted by green and by green's slopes along both axes: slope over green is how far red lies aside.
    What all blocks tell is fitted by a lens (`Lateral`), with outliers weighed less, green is moved so far, and all is
    asked again. Noise flattens slopes, and is taken out of their squares.
    """
    sensor = pattern_of(mosaic.cfa).sensor
    if min(mosaic.data.shape) < BLOCK[sensor] + 2 * AROUND:
        return None
    asked = _Asked(mosaic, noise, sensor)
    with ThreadPoolExecutor(usable_cores()) as threads:
        greens, red, blue = threads.map(asked.lens, (GREEN, RED, BLUE))
    # One green lies beside the other where edges stand alike upon all pixels (print, a chart's squares): they would be
    # told of red and blue as well.
    if greens is None or greens.any():
        return None
    shifts = [_shift(np.zeros(4) if lens is None else lens) for lens in (red, blue)]
    return Lateral(*shifts) if any(map(any, shifts)) else None


def farthest(shift: Shift) -> float:
    """Pixels by which a colour lies aside where it does most, in a picture that is as long each way.

    >>> round(farthest((0.0, 0.0, 1.5, -1.5)), 2)
    0.58
    """
    down, right, along, cubed = shift
    turns = math.sqrt(min(1.0, max(0.0, -along / (3 * cubed)))) if cubed else 1.0
    return math.hypot(down, right) + max(abs(along * r + cubed * r**3) for r in (turns, 1.0))


class _Asked:
    """Blocks of a mosaic, with all that is asked of them."""

    def __init__(self, mosaic: Mosaic, noise: NoiseProfile, sensor: SensorKind) -> None:
        self.block, self.cell, self.sensor = BLOCK[sensor], len(mosaic.cfa), sensor
        side, cell = self.block + 2 * AROUND, self.cell
        shape = mosaic.data.shape
        most = [(n - side) // self.block + 1 for n in shape]
        share = min(1.0, math.sqrt(BLOCKS_MAX / math.prod(most)))
        places = [
            cell * np.linspace(0, (n - side) // cell, max(1, int(count * share))).astype(int)
            for n, count in zip(shape, most, strict=True)
        ]
        windows = np.lib.stride_tricks.sliding_window_view(mosaic.data, (side, side))
        read = windows[places[0][:, None], places[1]].reshape(-1, side, side)
        top, left = (p.ravel() for p in np.meshgrid(*places, indexing="ij"))
        light = read - np.tile(mosaic.black, (side // cell, side // cell)).astype(np.float32)
        self.span = mosaic.white - float(np.mean(mosaic.black))
        void = -self.span * max(NO_LIGHT_SIGMAS * math.sqrt(max(noise.read)), VOID)
        whole = (read.max(axis=(1, 2)) < SATURATED * mosaic.saturation) & (light.min(axis=(1, 2)) > void)
        self.light = light[whole]
        self.corners = np.stack([top[whole], left[whole]])
        self.cfa, self.shape, self.noise = np.array(mosaic.cfa), shape, noise

    def lens(self, colour: int) -> Floats | None:
        """How far a colour lies beside green, or of greens the first beside the other (4,): zeros where that is
        nothing; None where nobody can tell."""
        if len(self.light) < BLOCKS_LEAST:
            return None
        sites = self._sites(colour)
        fitted_by = (self.cfa == GREEN) & ~sites
        green = self.light * self._whole(fitted_by)
        values = _even(self._at(self.light[:, AROUND:-AROUND, AROUND:-AROUND], sites))
        middles = self.corners + np.argwhere(sites).mean(axis=0)[:, None] + AROUND
        middles += (self.block - self.cell) / 2
        half = math.hypot(*self.shape) / 2
        terms = _terms(*((m - (n - 1) / 2) / half for m, n in zip(middles, self.shape, strict=True)))
        expected = np.diag(1 / np.square(EXPECTED))
        lens, left = np.zeros(4), np.arange(len(values))
        for _ in range(STEPS):
            told = self._told(green[left], values[left], terms[:, left] @ lens, sites, fitted_by)
            if told is None:
                return None
            good, steps, errors, use = told
            left = left[good]
            rows_of = terms[:, left[use]].reshape(-1, 4)
            lens, spread, normal = _fitted(
                rows_of, STEP * steps[:, use].ravel() + rows_of @ lens, errors[:, use].ravel(), expected
            )
        error = spread**2 * np.linalg.inv(normal)
        grid = _grid(self.shape)
        far, unsure = (
            math.sqrt(float(np.einsum("ani,ij,anj->n", grid, square, grid).mean()))
            for square in (np.outer(lens, lens), error)
        )
        return lens if far >= max(LEAST, LEAST_ERRORS * unsure) else np.zeros(4)

    def _sites(self, colour: int) -> npt.NDArray[np.bool_]:
        """The places of a cell that are asked of a colour; of greens those that are held against the others."""
        sites: npt.NDArray[np.bool_] = self.cfa == colour
        if colour == GREEN and self.cell == 2:
            sites = np.zeros_like(sites)
            sites[place_of(self.cfa, GREEN)] = True
        elif colour == GREEN:
            # X-Trans's greens between other colours on all four sides, in the middle of the others.
            for axis, by in product((0, 1), (-1, 1)):
                sites = sites & np.roll(self.cfa != GREEN, by, axis)
        return sites

    def _whole(self, places: npt.NDArray[np.bool_]) -> Linear32:
        """Places of a cell, over what is read of a block."""
        cells = self.light.shape[1] // self.cell
        return np.tile(places.astype(np.float32), (cells, cells))

    def _at(self, pictures: npt.NDArray[np.floating], sites: npt.NDArray[np.bool_]) -> Linear32:
        """Values (N, sites in a block) at those places of the cells of blocks (N, block, block)."""
        return np.concatenate(
            [
                pictures[:, y :: self.cell, x :: self.cell].reshape(len(pictures), -1)
                for y, x in np.argwhere(sites)
            ],
            axis=1,
        )

    def _told(
        self,
        green: Linear32,
        values: Linear32,
        moved: Floats,
        sites: npt.NDArray[np.bool_],
        fitted_by: npt.NDArray[np.bool_],
    ) -> tuple[npt.NDArray[np.bool_], Floats, Floats, npt.NDArray[np.bool_]] | None:
        """What blocks tell beyond what green is moved by, (2, N): which have slopes, and of these how much farther
        aside, the variance of that, and which of them are sure; None where too few are."""
        # One pixel more on all sides, for slopes.
        at = np.arange(-1, self.block + 1)[:, None] + AROUND - np.arange(green.shape[1])
        down, across = (_hat(at.astype(np.float32) - by.astype(np.float32)[:, None, None]) for by in moved)
        around = down @ green @ across.swapaxes(1, 2)
        # Green that alternates weighs the same wherever it is asked.
        alternates = self.cell == 2
        around /= (
            np.float32(fitted_by.mean())
            if alternates
            # Moved far beyond what is read of a block nothing weighs.
            else np.maximum(down @ self._whole(fitted_by) @ across.swapaxes(1, 2), TINY)
        )
        seen = around[:, 1:-1, 1:-1]
        half = np.float32(0.5)
        slopes = (
            half * (around[:, 2:, 1:-1] - around[:, :-2, 1:-1]),
            half * (around[:, 1:-1, 2:] - around[:, 1:-1, :-2]),
        )
        asked = [self._at(one, sites) for one in (seen, *slopes)]
        light = np.maximum(asked[0].mean(axis=1, dtype=np.float64) / self.span, 0)
        count = values.shape[1]
        noise = self.noise.variance(light, GREEN) * self.span**2 * count
        fitting = np.stack([_even(one) for one in asked], axis=1)
        squares = (fitting @ fitting.swapaxes(1, 2)).astype(np.float64)
        clean = squares.copy()
        for place, share in enumerate(NOISE_SHARES[self.sensor]):
            clean[:, place, place] -= share * noise
        good = np.linalg.eigvalsh(clean)[:, 0] > SHOWS * noise
        if good.sum() < BLOCKS_LEAST:
            return None
        fitting, squares, values = fitting[good], squares[good], values[good]
        inverse = np.linalg.inv(clean[good])
        products = np.einsum("nki,ni->nk", fitting, values).astype(np.float64)
        found = np.einsum("nij,nj->ni", inverse, products)
        rest = np.einsum("ni,ni->n", values, values, dtype=np.float64)
        rest += np.einsum("ni,nij,nj->n", found, squares, found) - 2 * (found * products).sum(axis=1)
        rest = np.maximum(rest, 1e-30) / (count - 4)
        error = np.einsum("nij,njk,nki->ni", inverse, squares, inverse) * rest[:, None]
        peer = found[:, 0]
        sure = (peer > PEER_LEAST) & (np.square(peer) > SURE**2 * error[:, 0])
        peer = np.where(sure, peer, 1)
        steps = -found[:, 1:].T / peer
        sure &= (np.abs(steps) < FARTHEST).all(axis=0)
        if sure.sum() < BLOCKS_LEAST:
            return None
        return good, steps, error[:, 1:].T / peer**2 + BLOCK_ERROR**2, sure


def _fitted(
    rows: Floats, told: Floats, variances: Floats, expected: Floats
) -> tuple[Floats, float, Floats]:
    """The lens (4,) that fits best what blocks tell, outliers weighed less; how much more than by their variances they
    scatter, 1 or more, and the normal matrix."""
    weights = 1 / variances
    for _ in range(6):
        normal = (rows * weights[:, None]).T @ rows + expected
        lens = np.linalg.solve(normal, rows.T @ (weights * told)).astype(np.float64)
        off = (told - rows @ lens) / np.sqrt(variances)
        spread = max(1.4826 * float(np.median(np.abs(off))), 1.0)
        weights = 1 / (1 + np.square(off / (2 * spread))) / variances
    return lens, spread, normal


def _shift(lens: Floats) -> Shift:
    down, right, along, cubed = (float(value) for value in lens)
    return down, right, along, cubed


def place_of(cfa: Iterable[Iterable[int]], colour: int) -> tuple[int, int]:
    """The row and the column of a cell in which a colour stands first."""
    return next((y, x) for y, row in enumerate(cfa) for x, c in enumerate(row) if c == colour)


def _even(values: npt.NDArray[np.floating]) -> Linear32:
    """Blocks as rows, without their means."""
    flat = values.reshape(len(values), -1).astype(np.float32, copy=False)
    even: Linear32 = flat - flat.mean(axis=1, keepdims=True)
    return even


def _hat(far: Linear32) -> Linear32:
    """The weight of a value so many pixels away where green is asked between its places: what alternates with these
    goes (the sum of both neighbours is that of the value)."""
    hat = np.abs(far)
    np.subtract(2, hat, out=hat)
    np.maximum(hat, 0, out=hat)
    hat *= np.float32(0.25)
    return hat


def _terms(down: Floats, right: Floats) -> Floats:
    """What a `Shift` is multiplied by at places (N,) to give pixels down and right: (2, N, 4)."""
    none, one, square = np.zeros_like(down), np.ones_like(down), down**2 + right**2
    return np.stack(
        [
            np.stack([one, none, down, square * down], axis=-1),
            np.stack([none, one, right, square * right], axis=-1),
        ]
    )


def _grid(shape: tuple[int, ...]) -> Floats:
    """The terms at places that cover a picture evenly."""
    down, right = np.meshgrid(
        *(np.linspace(-1, 1, 21) * n / math.hypot(*shape) for n in shape), indexing="ij"
    )
    return _terms(down.ravel(), right.ravel())
