"""How noisy a picture is: from a calibration or the file where they say so, else from the picture itself."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scotopic.cores import usable_cores
from scotopic.frame import BLUE, GREEN, RED, X_TRANS, Counts, Mosaic, NoiseProfile
from scotopic.sensor.cut_blocks import BLOCK, CUT_MAX, put_right
from scotopic.sensor.noise_line import (
    DEEP_WHITE_DN,
    ISO_LEAST,
    SHOT_MAX_PER_ISO,
    SHOT_MIN,
    fit_line,
    with_least_shot,
)
from scotopic.sensor.own_noise import own_shares
from scotopic.sensor.simulated import QUANTISATION_VARIANCE_DN2, Sensor, known_sensor
from scotopic.sensor.smoothed import SLOW_SHARE, smoothing

SQUARE_BLOCK = 8
"""Side of the blocks that are looked at in X-Trans, in cells, each of which has four squares of greens."""

QUIET_ROWS = 0.75
"""Share of a block's rows, the quietest, that tell its noise: hot pixels and stars lie in the others."""

FLAT_QUANTILE = 0.02
"""Share of blocks of like brightness that are taken to be flat: experiments.md, 2026-11-22."""

CLIPPED_MAX = 0.01
"""A block with more clipped values than this share tells nothing of its noise."""

BLOCKS_MAX = 16_000
"""Blocks that tell the noise about as well as all of a large picture; of more, every second, third, ... row of blocks
is looked at: experiments.md, 2026-11-23."""

BLOCKS_AT_FIRST = 4_000
"""Blocks that a first look asks whether a picture agrees with what is stated of its noise; where they leave a doubt,
all are asked."""

CLEAR = 1.7
"""Measured over stated variance, either way, up to which the first look leaves no doubt that they agree; it is off by
at most 1.12 (experiments.md, 2026-11-29)."""

BLOCKS_MIN = 8
"""Blocks needed to measure anything; with fewer, one DN of rounding noise is assumed."""

BINS = 12
"""Groups of like brightness into which the blocks are sorted."""

SHOWN_LEAST = 1e-6
"""Share of the stated variance below which what is measured is as good as none."""

DISAGREEMENT = 2.5
"""A stated profile whose variance is off by more than this factor is overruled."""

TEXTURE_SPREAD = 1.35
"""Ratio of the 6% quantile to the 2% quantile of the variance of blocks of like brightness, above which much variance
is no word against a stated profile. Flat blocks lie close together (99% of noisy pictures: below 1.27), texture is as
various as the world. Experiments.md, 2026-11-22."""

LEFT_OVER = 0.35
"""Share of the variance which neighbours of other colours explain that texture may have besides (`own_noise`): no word
against a stated profile, though blocks lie close together, as weave is as regular as noise. Experiments.md,
2026-12-01."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NoiseEstimate:
    """The profile to work with and, where a stated one was overruled, a word why."""

    profile: NoiseProfile
    warning: str = ""


def estimate(mosaic: Mosaic, calibrated: NoiseProfile | None = None, note: str = "") -> NoiseEstimate:
    """The noise of a picture from the best source there is.

    In this order: `calibrated`, from the user's own profile of the camera; the file's NoiseProfile; the
    table by camera and ISO; a blind fit. The file's and the table's are overruled, with a word why, where
    the picture contradicts them strongly; the user's is used whatever the picture says. `note` is told before
    all other warnings.
    """
    warnings = [note] if note else []
    if calibrated is not None:
        against = _contradiction(mosaic, calibrated)
        if against:
            warnings.append(f"{against}; it is used nevertheless")
        return NoiseEstimate(calibrated, "; ".join(warnings))
    overruled = False
    for stated in (mosaic.noise, from_table(mosaic)):
        if stated is None:
            continue
        against = _contradiction(mosaic, stated)
        if not against:
            return NoiseEstimate(stated, "; ".join(warnings))
        warnings.append(against)
        overruled = True
    if overruled:
        warnings.append("measured noise is used")
    return NoiseEstimate(blind_fit(mosaic), "; ".join(warnings))


def from_table(mosaic: Mosaic) -> NoiseProfile | None:
    """What published calibrations say of this camera at this ISO; None where they do not know it."""
    if mosaic.iso is None:
        return None
    sensor = known_sensor(mosaic.make, mosaic.model, mosaic.iso)
    if sensor is None:
        return None
    scale = table_scale(mosaic, sensor)
    span = _span(mosaic)
    shot = sensor.gain_dn_per_e * scale / span
    read = ((sensor.read_std_dn * scale) ** 2 + QUANTISATION_VARIANCE_DN2) / span**2
    source = f"table: {sensor.make} {sensor.model} at ISO {sensor.iso:g}, {sensor.source}"
    return NoiseProfile((shot,) * 3, (read,) * 3, source)


def table_scale(mosaic: Mosaic, sensor: Sensor) -> float:
    """What a DN of the table is worth in the file's: the same camera writes 12 or 14 bits."""
    return float(2.0 ** round(math.log2((mosaic.white + 1) / (sensor.white_dn + 1))))


def _contradiction(mosaic: Mosaic, stated: NoiseProfile) -> str:
    """Words where the picture's noise is off by more than DISAGREEMENT, else ''."""
    factor = shown_over_stated(mosaic, stated, at_first=True)
    if factor is None or not 1 / CLEAR <= factor <= CLEAR:
        factor = shown_over_stated(mosaic, stated)
    if factor is None or 1 / DISAGREEMENT <= factor <= DISAGREEMENT:
        return ""
    return f"{stated.source} gives {round(1 / factor, 5):.2g} times the variance that the picture shows"


def shown_over_stated(mosaic: Mosaic, stated: NoiseProfile, *, at_first: bool = False) -> float | None:
    """The variance that the picture's flattest blocks, at first of few, show over what a profile says of them.

    The lowest of all groups of like brightness: texture only adds. None where there are too few blocks
    to say, or where the picture shows more, but as texture does. What other colours show as well is left out.
    """
    most = BLOCKS_AT_FIRST if at_first else BLOCKS_MAX
    mean, variance, _ = _blocks(mosaic, most)
    if mean.size < BLOCKS_MIN:
        return None
    # Both may be none: a picture of a simulator, black clipped at 0, a profile that says so. They agree then.
    least = SHOWN_LEAST * _quantum(mosaic)
    said = np.mean([stated.variance(mean, c) for c in (RED, GREEN, BLUE)], axis=0)
    relative = np.maximum(np.maximum(variance, least) / np.maximum(said, least), SHOWN_LEAST)
    groups, smoothed = _groups(mean), smoothing(mosaic)
    low, lower, _ = _lowest(groups, relative)
    factor = low / FLAT_FACTOR * smoothed
    if factor <= DISAGREEMENT:
        return factor
    if lower > TEXTURE_SPREAD * low:
        return None
    _, _, own = _blocks(mosaic, most, with_own=True)
    low, lower, group = _lowest(groups, relative * own)
    flat = (relative * own)[group] <= lower
    factor, share = low / FLAT_FACTOR * smoothed, float(np.median(own[group][flat]))
    texture = LEFT_OVER * (1 - share)
    return factor if factor * (share - texture) > DISAGREEMENT * share else None


def _lowest(
    groups: list[npt.NDArray[np.intp]], relative: Floats
) -> tuple[float, float, npt.NDArray[np.intp]]:
    """The least of the groups' quantiles FLAT_QUANTILE, that group's at three times the share, and the group."""
    lows = [np.quantile(relative[group], (FLAT_QUANTILE, 3 * FLAT_QUANTILE)) for group in groups]
    at = min(range(len(groups)), key=lambda n: float(lows[n][0]))
    return float(lows[at][0]), float(lows[at][1]), groups[at]


def blind_fit(mosaic: Mosaic) -> NoiseProfile:
    """Fit variance = shot * x + read to the flattest blocks of the picture, all colours alike.

    Second differences along a row of one colour are free of row noise and of slopes. In each group
    of blocks of like brightness the lower tail of their variances is what flat blocks give; its
    place in the distribution is known, so the level is corrected for having chosen the lowest, and for smoothing.
    What other colours show as well is texture, and left out.
    """
    mean, variance, own = _blocks(mosaic, BLOCKS_MAX, with_own=True)
    quantum = _quantum(mosaic)
    if mean.size < BLOCKS_MIN:
        return _profile(1 / _span(mosaic), quantum)
    told = max(1.0, SLOW_SHARE * smoothing(mosaic))
    levels, variances, weights = _flat_points(mean, variance * own)
    shot, read = (told * value for value in fit_line(levels, variances, weights))
    if mosaic.iso is not None and mosaic.iso >= ISO_LEAST:
        shot, read = with_least_shot(levels, shot, read, mosaic.iso)
        if mosaic.white > DEEP_WHITE_DN:
            shot = min(shot, SHOT_MAX_PER_ISO * mosaic.iso)
    return _profile(max(shot, SHOT_MIN), max(read, quantum))


def _span(mosaic: Mosaic) -> float:
    """The sensor's range in DN."""
    return mosaic.white - float(np.mean(mosaic.black))


def _quantum(mosaic: Mosaic) -> float:
    """The variance of rounding to whole DN."""
    return QUANTISATION_VARIANCE_DN2 / _span(mosaic) ** 2


def _blocks(mosaic: Mosaic, most: int, *, with_own: bool = False) -> _Blocks:
    """Mean and variance of about so many blocks of all colours, and what of it is noise where it is asked for, else 1.
    Of X-Trans, of all green squares, which no other colour is held against. Of floats, most of them finished colours
    sampled back, all is taken for noise: what a maker has left of it may lie in brightness alone, as texture does.
    """
    if len(mosaic.cfa) == len(X_TRANS):
        mean, variance = _square_statistics(mosaic)
        return mean, variance, np.ones(mean.size)
    size = len(mosaic.cfa)
    step = max(1, mosaic.data.size // BLOCK**2 // most)
    counts = np.issubdtype(mosaic.data.dtype, np.integer)

    def of_place(place: int) -> _Blocks:
        dy, dx = divmod(place, size)
        return _block_statistics(
            mosaic.data[dy:, dx:],
            float(mosaic.black[dy, dx]),
            mosaic.white,
            mosaic.saturation,
            step,
            with_own and counts,
        )

    with ThreadPoolExecutor(usable_cores()) as threads:
        parts = zip(*threads.map(of_place, range(size * size)), strict=True)
    return np.concatenate(next(parts)), np.concatenate(next(parts)), np.concatenate(next(parts))


def _profile(shot: float, read: float) -> NoiseProfile:
    return NoiseProfile((shot,) * 3, (read,) * 3, "measured on the picture")


_Blocks = tuple[Floats, Floats, Floats]
"""Mean, variance and the share of it that is noise, of blocks."""


def _block_statistics(
    data: Counts, black: float, white: float, saturation: float, step: int, with_own: bool
) -> _Blocks:
    """Of each block of the place of the cell at which `data` begins, of every `step`-th row of blocks; without those
    near saturation or cut too much.

    Those of which more than CLIPPED_MAX is at 0 DN are put right: what is seen is taken for a normal
    distribution cut there (Cohen 1950), whose zeros tell how much.
    """
    counted = data[::2, ::2]
    height, width = (n - n % BLOCK for n in counted.shape)
    if not height or not width:
        return np.empty(0), np.empty(0), np.empty(0)
    rows = counted[:height, :width].reshape(height // BLOCK, BLOCK, width)[::step]
    shape = (len(rows), BLOCK, width // BLOCK, BLOCK)
    usable = np.ones((shape[0], shape[2]), dtype=bool)
    zeros = np.zeros(usable.shape, dtype=np.intp)
    limit = CLIPPED_MAX * BLOCK**2
    if rows.max() >= saturation:
        usable = _block_sums((rows >= saturation).astype(np.float32).reshape(shape)) < limit
    if rows.min() <= 0:
        zeros = _block_sums((rows == 0).astype(np.float32).reshape(shape)).astype(np.intp)
        usable &= zeros <= CUT_MAX * BLOCK**2
    # In whole DN, in which rows are alike or not and nothing is rounded.
    values = rows.astype(np.float32).reshape(shape)
    second = values[..., :-2] - 2 * values[..., 1:-1]
    second += values[..., 2:]
    np.square(second, out=second)
    sums, squares = values.sum(axis=-1), second.sum(axis=-1)
    quiet = _quiet_rows(squares)
    mean, variance = (found[usable] for found in _of_rows(quiet, sums, squares))
    own = own_shares(data, quiet, step)[usable] if with_own else np.ones(mean.size)
    scale = 1 / (white - black)
    squared = scale**2 / (6 * (BLOCK - 2))
    mean, variance = (mean / BLOCK - black) * scale, variance * squared
    cut = zeros[usable] >= limit
    # Rows of which more was cut are no quieter.
    mean[cut] = sums.mean(axis=1)[usable][cut] * (scale / BLOCK)
    variance[cut] = squares.mean(axis=1)[usable][cut] * squared * (FLAT_FACTOR / WHOLE_FACTOR)
    own[cut] = 1
    *right, kept = put_right(mean, variance, cut, zeros[usable] / BLOCK**2, black * scale)
    return right[0], right[1], own[kept]


def _block_sums(blocks: npt.NDArray[np.float32]) -> Floats:
    """Sums over rows and columns of (N, rows, M, columns): rows first, which lie well in memory."""
    sums: Floats = blocks.sum(axis=1).sum(axis=-1, dtype=np.float64)
    return sums


def _quiet_rows(variances: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Which rows of blocks (N, rows, M) are the quietest of each."""
    count = int(QUIET_ROWS * variances.shape[1])
    quiet = np.argsort(variances, axis=1, kind="stable")[:, :count]
    found = np.zeros(variances.shape, dtype=np.bool_)
    np.put_along_axis(found, quiet, True, axis=1)
    return found


def _of_rows(rows: npt.NDArray[np.bool_], *found: npt.NDArray[np.floating]) -> tuple[Floats, ...]:
    """The means of blocks' values by row, over some rows alone: what is darker is quieter, and both are of the same."""
    return tuple(values.mean(axis=1, where=rows, dtype=np.float64) for values in found)


def _square_statistics(mosaic: Mosaic) -> tuple[Floats, Floats]:
    """Mean and noise variance of blocks, from the squares of four greens, of which each X-Trans cell has four.

    One colour's places are six pixels apart, and much texture lies between; within a square, differences of rows'
    differences are as free of slopes and row noise.
    """
    size = len(mosaic.cfa)
    planes = [plane for _, plane in mosaic.colour_planes()]
    counted = [mosaic.data[dy::size, dx::size] for dy in range(size) for dx in range(size)]
    height, width = ((n // size - 1) // SQUARE_BLOCK * SQUARE_BLOCK for n in mosaic.data.shape)
    sums, squares, high, zeros = (np.zeros((height, width)) for _ in range(4))
    places = [
        (dy, dx)
        for dy in range(size)
        for dx in range(size)
        if all(mosaic.cfa[(dy + i) % size][(dx + j) % size] == GREEN for i in (0, 1) for j in (0, 1))
    ]
    if height <= 0 or width <= 0 or not places:
        return np.empty(0), np.empty(0)
    for dy, dx in places:
        twist = np.zeros((height, width), dtype=np.float32)
        for i, j, sign in ((0, 0, 1), (0, 1, -1), (1, 0, -1), (1, 1, 1)):
            (down, y), (right, x) = divmod(dy + i, size), divmod(dx + j, size)
            part = (slice(down, down + height), slice(right, right + width))
            value, dn = planes[y * size + x][part], counted[y * size + x][part]
            twist += sign * value
            sums += value
            high += dn >= mosaic.saturation
            zeros += dn == 0
        squares += np.square(twist) / 4

    blocks = height // SQUARE_BLOCK, SQUARE_BLOCK, width // SQUARE_BLOCK, SQUARE_BLOCK
    sums, squares, high, zeros = (
        values.reshape(blocks).mean(axis=3) / len(places) for values in (sums, squares, high, zeros)
    )
    too_high, at_zero = (values.mean(axis=1) / 4 for values in (high, zeros))
    usable = (too_high < CLIPPED_MAX) & (at_zero <= CUT_MAX)
    mean, variance = (found[usable] for found in _of_rows(_quiet_rows(squares), sums / 4, squares))
    # Other blocks vary otherwise by chance: brought to what FLAT_FACTOR expects.
    variance *= FLAT_FACTOR / SQUARE_FACTOR
    share = at_zero[usable]
    cut = share >= CLIPPED_MAX
    greens = mosaic.black[np.array(mosaic.cfa) == GREEN]
    black = float(np.mean(greens / (mosaic.white - greens)))
    mean[cut] = (sums / 4).mean(axis=1)[usable][cut] + black
    variance[cut] = squares.mean(axis=1)[usable][cut] * (FLAT_FACTOR / WHOLE_SQUARES_FACTOR)
    return put_right(mean, variance, cut, share, black)[:2]


def _flat_points(mean: Floats, variance: Floats) -> tuple[Floats, Floats, Floats]:
    """For each group of like brightness: its mean, the variance of its flat blocks, and a weight."""
    xs, vs, ws = [], [], []
    for group in _groups(mean):
        low = float(np.quantile(variance[group], FLAT_QUANTILE))
        xs.append(float(np.median(mean[group])))
        vs.append(low / FLAT_FACTOR)
        ws.append(np.sqrt(group.size))
    return np.array(xs), np.array(vs), np.array(ws)


def _groups(mean: Floats) -> list[npt.NDArray[np.intp]]:
    """The places of blocks, in groups of like brightness."""
    return np.array_split(np.argsort(mean), max(2, min(BINS, mean.size // 12)))


def _flat_factor(share: float = QUIET_ROWS) -> float:
    """What quantile FLAT_QUANTILE of a flat block's variance estimate is, for variance 1, by that share of its rows."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(16000, BLOCK, BLOCK))
    second = noise[:, :, :-2] - 2 * noise[:, :, 1:-1] + noise[:, :, 2:]
    rows = np.sort(np.square(second).mean(axis=2) / 6, axis=1)[:, : int(share * BLOCK)]
    return float(np.quantile(rows.mean(axis=1), FLAT_QUANTILE))


FLAT_FACTOR = 0.575
"""Quantile FLAT_QUANTILE of the variance that a flat block's quiet rows show, over its true variance: `_flat_factor()`,
drawn once; a test draws it again."""

WHOLE_FACTOR = 0.757
"""Quantile FLAT_QUANTILE of the variance that all rows of a flat block show, over its true variance:
`_flat_factor(1)`."""

SQUARE_FACTOR = 0.733
"""Quantile FLAT_QUANTILE of the variance that the quiet rows of an X-Trans block show, 256 independent values, over its
true variance."""

WHOLE_SQUARES_FACTOR = 0.826
"""Quantile FLAT_QUANTILE of the variance that all rows of an X-Trans block show, over its true variance."""
