"""Counts put right before a picture is made of them: columns and rows that are off, many hot pixels, and what a camera
has cut off below black.

The networks have seen a hot pixel now and then, and noise that goes on below black. Of sensors that have aged, of long
and warm exposures, and of cameras that subtract black, they make too much light and wrong colours (experiments.md,
2026-11-29).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from scotopic.cores import usable_cores
from scotopic.frame import Counts, Mosaic, NoiseProfile
from scotopic.sensor.box_sums import square_sums
from scotopic.sensor.lines import SensorLine, pixels_of

HOT_TIMES = 10.0
"""A hot pixel is so many times as bright as the second brightest of the pixels that touch it. No point of white light
is whose image has a standard deviation of 0.35 pixels and more (experiments.md, 2026-12-01)."""

HOT_TIMES_ALIKE = 3.0
"""A hot pixel is also so many times as bright as the second brightest of those of its own colour around it."""

HOT_SIGMAS = 8.0
"""A hot pixel is brighter than its neighbours, of any colour and of its own, by so many standard deviations of the
noise."""

HOT_SHARE_MIN = 3e-5
"""Share of the picture's pixels from which on hot ones are replaced. Fewer the networks know, and among few may be a
distant lamp."""

HOT_SHARE_MAX = 0.02
"""Share of a band's pixels up to which they are hot; where more look like it, they are something else: a light of one
colour, a pattern."""

HOT_MIN = 8
"""Hot pixels below which none is replaced, however small the picture: a share of fewer says nothing."""

BAND = 64
"""Rows of a band, which is searched for hot pixels at a time."""

SAMPLED = 8
"""Only every 8th band is checked to decide whether there are many; the others follow where there are."""

NO_LIGHT_SIGMAS, NO_LIGHT = 6.0, 0.05
"""A value further below black than so many times the read noise, and than this share of display white once
amplified, is no count of light: a dead row, a border of zeros, what lies outside a fisheye's circle. The
networks have never seen such values, make lamps of them, and give NaN for the strongest; from six sigmas on they
brighten what is black, while of calibrated cameras' noise at most one value in a thousand lies so low, and black in its
place costs nothing (experiments.md). The second number stands in where the read noise of a bright picture is told too
low (docs/noise.md)."""

CUT_SIGMAS = 3.0
"""Where black lies further above 0 DN than so many standard deviations of the read noise, next to nothing is cut
off."""

CUT_SIGMA_MIN_DN = 1.8
"""Read noise in DN from which on what was cut off is put back: of less whole DN say too little, and little is lost
(experiments.md, 2026-11-29)."""

REACH = 4
"""Values of the same place in the cell, on each side, in which the share of zeros around a value is counted."""

BOX = (2 * REACH + 1) ** 2
"""Values among which the zeros are counted: a square of 2 * REACH + 1."""

STEPS = 1024
"""Entries of the table of the normal distribution."""

ALL_CUT = 9.0
"""Standard deviations below black beyond which no value lies: there all values are zeros."""

AT_ONCE = 100_000
"""Pixels replaced at a time: what they take is small beside a picture."""

Places = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]
"""Rows and columns of pixels."""


@dataclass(frozen=True)
class Replaced:
    """What is replaced by what is around it."""

    hot: int = 0
    """Hot pixels."""
    lines: tuple[SensorLine, ...] = ()
    """Columns and rows."""

    def facts(self) -> dict[str, Any]:
        """For JSON: how many hot pixels, and which columns and rows."""
        columns, rows = (
            sorted({line.place for line in self.lines if line.axis == axis}) for axis in (1, 0)
        )
        return {"hot_pixels": self.hot, "columns_off": columns, "rows_off": rows}


@dataclass(frozen=True, eq=False)
class Mended:
    """A mosaic put right, or the one there was."""

    mosaic: Mosaic
    hot: int = 0
    """Hot pixels replaced."""


def mended(mosaic: Mosaic, noise: NoiseProfile) -> Mended:
    """The mosaic with what was cut off below black drawn anew, and without its hot pixels where there are many."""
    whole = uncut(mosaic, noise)
    hot = np.stack(hot_pixels(whole, noise), axis=1)
    return Mended(_without(whole, hot), len(hot))


def without_lines(mosaic: Mosaic, lines: Sequence[SensorLine]) -> Mosaic:
    """The mosaic without columns and rows that are off; itself where there are none."""
    return _without(mosaic, pixels_of(lines))


def _without(mosaic: Mosaic, places: npt.NDArray[np.intp]) -> Mosaic:
    """A copy without some pixels (rows and columns, (N, 2)); the mosaic itself where there are none."""
    if not len(places):
        return mosaic
    data = mosaic.data.copy()
    replace_pixels(data, places, mosaic.cfa)
    return mosaic.with_changes(data=data)


def hot_pixels(mosaic: Mosaic, noise: NoiseProfile) -> Places:
    """Where the hot pixels are; none where they are few."""
    tops = range(0, mosaic.data.shape[0], BAND)
    some = _among(mosaic, noise, tops[::SAMPLED])
    looked_at = sum(len(mosaic.data[top : top + BAND]) for top in tops[::SAMPLED]) * mosaic.data.shape[1]
    if some[0].size < HOT_SHARE_MIN * looked_at:
        return some[0][:0], some[1][:0]
    rest = _among(mosaic, noise, [top for n, top in enumerate(tops) if n % SAMPLED])
    rows, columns = (np.concatenate(both) for both in zip(some, rest, strict=True))
    few = rows.size < max(HOT_MIN, HOT_SHARE_MIN * mosaic.data.size)
    return (rows[:0], columns[:0]) if few else (rows, columns)


def _among(mosaic: Mosaic, noise: NoiseProfile, tops: Iterable[int]) -> Places:
    """The hot pixels of some bands."""
    size = len(mosaic.cfa)
    height, width = mosaic.data.shape
    span = mosaic.white - float(np.max(mosaic.black))
    above = np.float32(HOT_SIGMAS * max(noise.read) ** 0.5 * span)
    black = np.tile(mosaic.black.astype(np.float32), (BAND // size + 2, -(-width // size)))[:, :width]

    def of_band(top: int) -> Places:
        rows = mosaic.data[top : top + BAND] - black[top % size : top % size + min(BAND, height - top)]
        # Much brighter than a neighbour in the row on either side, and than one of its own place in the cell.
        own = rows[:, size:-size]
        beside = np.minimum(rows[:, size - 1 : -size - 1], rows[:, size + 1 : width - size + 1])
        alike = np.minimum(rows[:, : -2 * size], rows[:, 2 * size :])
        bright = (own > HOT_TIMES * beside + above) & (own > HOT_TIMES_ALIKE * alike + above)
        y, x = np.nonzero(bright)
        y, x = y + top, x + size
        inside = (y >= 2) & (y < height - 2) & (y.size <= HOT_SHARE_MAX * rows.size)
        return _hot(mosaic, noise, y[inside], x[inside])

    if width <= 2 * size:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    with ThreadPoolExecutor(usable_cores()) as threads:
        found = [(np.empty(0, np.intp),) * 2, *threads.map(of_band, tops)]
    rows, columns = (np.concatenate(part) for part in zip(*found, strict=True))
    return rows, columns


def _hot(
    mosaic: Mosaic, noise: NoiseProfile, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
) -> Places:
    """Which of some pixels are hot."""
    colours, size = np.array(mosaic.cfa), len(mosaic.cfa)
    span = 1 / (mosaic.white - mosaic.black)
    gains = np.array(mosaic.wb)
    shot, read = np.array(noise.shot), np.array(noise.read)

    def at(dy: int, dx: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
        """Values above black, not below 0, and their colours."""
        y, x = rows + dy, columns + dx
        value = (mosaic.data[y, x] - mosaic.black[y % size, x % size]) * span[y % size, x % size]
        return np.maximum(value, 0), colours[y % size, x % size]

    def beyond(times: float, value: Any, other: Any, gain: Any, of: Any) -> npt.NDArray[np.bool_]:
        """Whether a value is so many times another and as far above it; `gain` is what noise was multiplied by."""
        spread = gain * np.sqrt(read[of] + shot[of] * other / gain)
        told: npt.NDArray[np.bool_] = value > times * other + HOT_SIGMAS * spread
        return told

    own, colour = at(0, 0)
    touching, alike = [], []
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            if dy == dx == 0:
                continue
            value, of = at(dy, dx)
            alike.append(np.where(of == colour, value, 0))
            if abs(dy) < 2 and abs(dx) < 2:
                touching.append((value, value * gains[of]))
    counted, balanced = (np.sort(np.stack(values), axis=0)[-2] for values in zip(*touching, strict=True))
    same = np.sort(np.stack(alike), axis=0)[-2]
    hot = (
        beyond(HOT_TIMES_ALIKE, own, same, 1.0, colour)
        & beyond(HOT_TIMES, own, counted, 1.0, colour)
        & beyond(HOT_TIMES, own * gains[colour], balanced, gains[colour], colour)
    )
    return rows[hot], columns[hot]


def replace_pixels(
    data: npt.NDArray[Any], places: npt.NDArray[np.integer[Any]], cfa: tuple[tuple[int, ...], ...]
) -> None:
    """Give pixels (rows and columns, (N, 2)) the median of the others of their colour around them, in place.

    In whole numbers it is rounded, halves to the even one: cut off, it would be darker by a quarter.
    """
    if not len(places):
        return
    bad = np.zeros(data.shape, dtype=bool)
    bad[places[:, 0], places[:, 1]] = True
    for some in np.array_split(places.astype(np.intp), -(-len(places) // AT_ONCE)):
        _replace(data, bad, some, cfa)


def _replace(
    data: npt.NDArray[Any],
    bad: npt.NDArray[np.bool_],
    places: npt.NDArray[np.intp],
    cfa: tuple[tuple[int, ...], ...],
) -> None:
    size = len(cfa)
    reach = 2 if size == 2 else 3
    colours = np.array(cfa)
    y, x = places.T
    around = []
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            ny, nx = y + dy, x + dx
            inside = (ny >= 0) & (nx >= 0) & (ny < data.shape[0]) & (nx < data.shape[1])
            ny, nx = np.where(inside, ny, y), np.where(inside, nx, x)
            alike = colours[ny % size, nx % size] == colours[y % size, x % size]
            around.append(np.where(inside & alike & ~bad[ny, nx], data[ny, nx], np.nan))
    values = np.stack(around)
    some = ~np.isnan(values).all(axis=0)
    medians = np.nanmedian(values[:, some], axis=0)
    data[y[some], x[some]] = medians if data.dtype.kind == "f" else np.rint(medians)


def without_voids(mosaic: Mosaic, noise: NoiseProfile, ratio: float) -> Mosaic:
    """The mosaic with black where its values are too far below black to be counts of light, of what is amplified by
    `ratio`."""
    size = len(mosaic.cfa)
    lowest = np.empty((size, size))
    for y in range(size):
        for x in range(size):
            colour, black = mosaic.cfa[y][x], float(mosaic.black[y, x])
            reach = max(
                NO_LIGHT_SIGMAS * noise.read[colour] ** 0.5,
                NO_LIGHT / (ratio * mosaic.wb[colour]),
            )
            lowest[y, x] = black - reach * (mosaic.white - black)
    if mosaic.data.min() >= lowest.max():
        # As good as always, and told in a tenth of the time.
        return mosaic
    data: Counts | None = None
    for y in range(size):
        for x in range(size):
            black = float(mosaic.black[y, x])
            counted = mosaic.data[y::size, x::size]
            void = counted < lowest[y, x]
            if void.any():
                data = mosaic.data.copy() if data is None else data
                data[y::size, x::size][void] = max(round(black), 0)
    return mosaic if data is None else mosaic.with_changes(data=data)


def uncut(mosaic: Mosaic, noise: NoiseProfile) -> Mosaic:
    """The mosaic in float32 with zeros spread below 0 DN as noise would have, where the camera has cut there.

    Among the values around it of the same place in the cell, the share of zeros says how much of the noise lay
    below; each zero gets a value of that part, the same for the same pixel always. It is never taken for darker than
    black: where there are more zeros than noise around black explains, the others stay.
    """
    size, width = len(mosaic.cfa), mosaic.data.shape[1]
    if mosaic.data.dtype.kind != "u":
        # Floats keep what is below black, or a profile has been taken out of them.
        return mosaic
    data: npt.NDArray[np.float32] | None = None
    for place, black, sigma in _cut_places(mosaic, noise):
        dy, dx = divmod(place, size)
        zero = mosaic.data[dy::size, dx::size] <= 0
        if min(zero.shape) <= REACH or not zero.any():
            continue
        if data is None:
            data = mosaic.data.astype(np.float32)
        # Counts are whole: what is below half a DN is 0. And no light is darker than black.
        reached = np.minimum(box_quantiles(), np.float32((0.5 - black) / sigma))
        counts, plane = _box_sums(zero), data[dy::size, dx::size]
        for top in range(0, len(zero), BAND):
            y, x = np.nonzero(zero[top : top + BAND])
            y += top
            count = counts[y, x]
            drawn = hashed((y * size + dy) * width + x * size + dx)
            step = (drawn.astype(np.uint64) * count * STEPS >> 32) // BOX
            below = normal_quantiles()[step.astype(np.intp)] - reached[count]
            plane[y, x] = np.where(below < 0, np.float32(sigma) * below + np.float32(0.5), 0)
    return mosaic if data is None else mosaic.with_changes(data=data)


def _cut_places(mosaic: Mosaic, noise: NoiseProfile) -> Iterator[tuple[int, float, float]]:
    """The places of the cell whose noise reaches below 0 DN, with their black and read noise in DN."""
    for place, (black, colour) in enumerate(
        zip(mosaic.black.ravel(), np.array(mosaic.cfa).ravel(), strict=True)
    ):
        sigma = noise.read[colour] ** 0.5 * (mosaic.white - black)
        if sigma >= CUT_SIGMA_MIN_DN and black < CUT_SIGMAS * sigma:
            yield place, float(black), float(sigma)


@cache
def box_quantiles() -> npt.NDArray[np.float32]:
    """For each number of zeros of BOX values, how many standard deviations what was cut reaches above their mean."""
    normal = NormalDist()
    shares = [max(count, 0.5) / BOX for count in range(BOX)]
    return np.array([*map(normal.inv_cdf, shares), ALL_CUT], np.float32)


@cache
def normal_quantiles() -> npt.NDArray[np.float32]:
    """The normal distribution in STEPS equal parts: the middle of each."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((step + 0.5) / STEPS) for step in range(STEPS)], np.float32)


def hashed(places: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.uint32]:
    """Numbers of 32 bits that look drawn by lot, the same for the same place (Wellons, "lowbias32")."""
    x = places.astype(np.uint32)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return x


def _box_sums(marks: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """How many are marked in the square of BOX around each; beyond the edges mirrored."""
    return square_sums(np.pad(marks.astype(np.uint8), REACH, mode="reflect"), REACH)
