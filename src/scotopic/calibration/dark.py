"""Dark frames to read noise, row noise, true black, fixed pattern and hot pixels.

Noise is told from differences of frames, in which everything fixed cancels; of the frames' mean only what
repeats between two halves of them is kept as pattern.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from scotopic.calibration.frames import Frame, above_black, is_cut, words_of
from scotopic.calibration.profile import Floats, Pattern, Setting, enlarged
from scotopic.read import read_mosaic
from scotopic.sensor.simulated import QUANTISATION_VARIANCE_DN2, tukey_quantiles

HOT_SIGMAS = 6.0
"""A pixel whose mean over the frames is off by more than so many times the noise of one frame is hot: not to be
used."""

FIRST_SIGMAS = 12.0
"""A pixel is hot in the first look, with two frames and nothing known of the noise, from so many times the noise on:
only the plainest are."""

GLOW_MAX = 1.0
"""A coarse pattern stronger than so many times the read noise is glow of a long exposure, or light."""

BLACK_OFF_MAX = 3.0
"""True black is off the file's by less than so many times the read noise, else all frames have seen light alike."""

READ_TIMES_MAX = 3.0
"""Read noise told from how frames differ may be so many times what most pixels of one frame show: with the longest
tails in calibrations.toml (Tukey lambda -0.24) it is 1.5 times."""

HOT_SHARE_MAX = 0.03
"""Share of a sensor's pixels that may be listed as hot; more are no faults of single pixels."""

COARSE_SIDE = 32
"""Pixels, about, to a value of the coarse pattern: amplifier glow is smooth over hundreds."""

REPEATS_MIN = 0.1
"""A pattern of which less than this share of its variance repeats from frames to frames is none."""

SHAPE_FRAMES_MIN = 5

SHAPE_STD_MIN_DN = 1.0
"""Read noise in DN below which rounding hides its shape."""

GAUSSIAN_LAMBDA = (0.08, 0.2)
"""Tukey lambda shapes that nobody can tell from the Gaussian (0.14)."""

SHAPE_VALUES = 200_000

ONE_SIGMA_AND_TWO = (0.841345, 0.977250)
"""Shares of normal values below one and two standard deviations above their mean."""


def dark_setting(frames: list[Frame], notes: list[str]) -> tuple[Setting, Pattern]:
    """Noise from differences of frames, pattern from their mean; one frame after another in memory."""
    size = len(frames[0].cfa)
    halves: list[Floats] = []
    before: Floats | None = None
    bad: npt.NDArray[np.bool_] | None = None
    within, across = [], []
    for i, frame in enumerate(frames):
        above = above_black(read_mosaic(frame.path))
        if before is not None:
            if bad is None:
                bad = _standing_out((before + above) * np.float32(0.5))
            inside, rows = _difference(above - before, bad)
            within.append(inside)
            across.append(rows)
        if i < 2:
            halves.append(above.copy())
        else:
            halves[i % 2] += above
        before = above
    if is_cut(frames):
        # Only the upper half of the noise is there, and no mean.
        assert before is not None
        return _of_upper_half(frames, before, (halves[0] + halves[1]) / np.float32(len(frames)), notes)
    count = len(frames)
    shares = (count - count // 2, count // 2)
    mean = (halves[0] + halves[1]) / np.float32(count)
    halves = [half / np.float32(n) for half, n in zip(halves, shares, strict=True)]
    assert bad is not None
    read_variance = float(np.mean(within)) - QUANTISATION_VARIANCE_DN2
    read_std = max(read_variance, 0.0) ** 0.5
    row_std = max(float(np.mean(across)), 0.0) ** 0.5
    error = np.zeros((size, size))
    for dy in range(size):
        for dx in range(size):
            good = ~bad[dy::size, dx::size]
            total = float((mean[dy::size, dx::size] * good).sum(dtype=np.float64))
            error[dy, dx] = total / max(int(good.sum()), 1)
            for part in (mean, *halves):
                part[dy::size, dx::size] -= np.float32(error[dy, dx])
    pattern, rest = _pattern(mean, halves, bad)
    if float(pattern.coarse.std()) > GLOW_MAX * max(read_std, 1.0):
        notes.append(
            f"{words_of(frames[0])}: the dark frames are uneven by {pattern.coarse.std():.0f} DN: glow, or light that "
            "leaked in; look at the picture of the dark shading"
        )
    _tell_beyond_belief(frames, float(error.mean()), read_std, notes)
    hot, share = _hot(np.abs(rest), read_std, frames[0], notes)
    setting = Setting(
        iso=frames[0].iso,
        exposure_s=frames[0].exposure_s,
        dark_frames=count,
        read_std_dn=read_std,
        row_std_dn=row_std,
        black_error_dn=tuple(error.ravel().tolist()),
        hot_share=share,
        tukey_lambda=None,
    )
    if count >= SHAPE_FRAMES_MIN and read_std > SHAPE_STD_MIN_DN:
        assert before is not None
        own = (
            before
            - np.tile(error.astype(np.float32), _repeats(before.shape, size))[
                : before.shape[0], : before.shape[1]
            ]
        )
        setting = replace(setting, tukey_lambda=_shape(own - mean, bad))
    return setting, replace(pattern, hot=hot)


def _tell_beyond_belief(frames: list[Frame], black_error: float, read_std: float, notes: list[str]) -> None:
    if black_error > BLACK_OFF_MAX * max(read_std, 1.0):
        notes.append(
            f"{words_of(frames[0])}: black is {black_error:.0f} DN above what the files say, "
            f"{black_error / max(read_std, 1.0):.0f} times the read noise: all dark frames have seen light, or were "
            "taken long or warm; if they have seen light, take them again with the cap on and the viewfinder covered"
        )
    usual = min(frame.spread_dn for frame in frames)
    if read_std > READ_TIMES_MAX * usual:
        notes.append(
            f"{words_of(frames[0])}: the dark frames differ by {read_std:.3g} DN, though most of their pixels have a "
            f"noise of {usual:.3g}: some have seen light in places, or are damaged; take them again"
        )


def _hot(
    rest: Floats, read_std: float, frame: Frame, notes: list[str]
) -> tuple[npt.NDArray[np.uint16], float]:
    """Rows and columns of the pixels that are off by so much, (n, 2), and their share; of too many none are listed."""
    hot = np.argwhere(rest > HOT_SIGMAS * max(read_std, 0.3)).astype(np.uint16)
    share = len(hot) / rest.size
    if share <= HOT_SHARE_MAX:
        return hot, share
    notes.append(f"{words_of(frame)}: {share:.1%} of the pixels stand out; they are not listed as hot")
    return hot[:0], share


def _of_upper_half(
    frames: list[Frame], one: Floats, mean: Floats, notes: list[str]
) -> tuple[Setting, Pattern]:
    """Of a camera that cuts off what lies below black: read noise by how values above it fall off, and hot pixels."""
    step = max(1, one.size // (5 * SHAPE_VALUES))
    values, counts = np.unique(one.ravel()[::step], return_counts=True)
    reached = np.cumsum(counts) / counts.sum()
    one_sigma, two_sigmas = np.interp(ONE_SIGMA_AND_TWO, reached, values + 0.5)
    read_std = max(float(two_sigmas - one_sigma) ** 2 - QUANTISATION_VARIANCE_DN2, 0.0) ** 0.5
    hot, share = _hot(mean, read_std, frames[0], notes)
    black = (0.0,) * len(frames[0].cfa) ** 2
    setting = Setting(frames[0].iso, frames[0].exposure_s, len(frames), read_std, 0.0, black, share)
    height, width = mean.shape
    coarse = np.zeros((max(1, height // COARSE_SIDE), max(1, width // COARSE_SIDE)), np.float32)
    return setting, Pattern(coarse, np.zeros(height, np.float32), np.zeros(width, np.float32), hot)


def _repeats(shape: tuple[int, ...], size: int) -> tuple[int, int]:
    return -(-shape[0] // size), -(-shape[1] // size)


def _standing_out(mean: Floats) -> npt.NDArray[np.bool_]:
    """Pixels far above those around them: hot ones, that would spoil every figure. Glow is smooth and stays."""
    missing = [-n % COARSE_SIDE for n in mean.shape]
    whole = np.pad(mean, [(0, n) for n in missing], mode="edge")
    height, width = (n // COARSE_SIDE for n in whole.shape)
    blocks = whole.reshape(height, COARSE_SIDE, width, COARSE_SIDE)
    around = enlarged(np.median(blocks, axis=(1, 3)).astype(np.float32), (whole.shape[0], whole.shape[1]))
    rest = mean - around[: mean.shape[0], : mean.shape[1]]
    spread = 1.4826 * float(np.median(np.abs(rest[::3, ::5])))
    standing_out: npt.NDArray[np.bool_] = rest > FIRST_SIGMAS * max(spread, 0.5)
    return standing_out


def _difference(d: Floats, bad: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Variance of one pixel within its row, and of a row, from the difference of two frames, used up."""
    # Zeros and counts instead of numpy's `where`, which is ten times slower.
    d[bad] = 0
    good: npt.NDArray[np.int64] = d.shape[1] - bad.sum(axis=1)
    count = np.maximum(good, 1)
    rows = d.sum(axis=1) / count
    d -= rows[:, None].astype(np.float32)
    d[bad] = 0
    np.square(d, out=d)
    width = float(np.mean(good))
    inside = float(d.sum(axis=1, dtype=np.float64).sum() / good.sum()) * width / (width - 1) / 2
    return inside, float(rows.var(ddof=1)) / 2 - inside / width


def _pattern(
    mean: Floats, halves: list[Floats], bad: npt.NDArray[np.bool_]
) -> tuple[Pattern, npt.NDArray[np.float32]]:
    """What repeats in both halves of the frames, as coarse map, rows and columns; and what is left of the mean."""
    good = (~bad).astype(np.float32)
    height, width = mean.shape
    shape = (max(1, height // COARSE_SIDE), max(1, width // COARSE_SIDE))
    weight = np.maximum(_block_sums(good, shape), 1)
    first, second = (_block_sums(half * good, shape) / weight for half in halves)
    coarse = _repeating(first, second, _block_sums(mean * good, shape) / weight)
    pattern = Pattern(
        coarse,
        np.zeros(height, np.float32),
        np.zeros(width, np.float32),
        np.zeros((0, 2), np.uint16),
    )
    smooth = pattern.shading()
    parts = [part - smooth for part in (*halves, mean)]
    lines: list[Floats] = []
    for axis in (1, 0):
        weight = np.maximum(good.sum(axis=axis), 1)
        first, second, whole = ((part * good).sum(axis=axis) / weight for part in parts)
        lines.append(_repeating(first - first.mean(), second - second.mean(), whole - whole.mean()))
    pattern = replace(pattern, rows=lines[0], columns=lines[1])
    return pattern, mean - pattern.shading()


def _block_sums(values: Floats, shape: tuple[int, int]) -> Floats:
    edges = [np.arange(n) * side // n for n, side in zip(shape, values.shape, strict=True)]
    sums: Floats = np.add.reduceat(np.add.reduceat(values, edges[0], axis=0), edges[1], axis=1)
    return sums


def _repeating(
    first: npt.NDArray[np.floating], second: npt.NDArray[np.floating], mean: npt.NDArray[np.floating]
) -> Floats:
    """`mean` times the share of its variance that both halves have in common; 0 where that is nearly none."""
    total = float(np.mean(np.square(mean), dtype=np.float64))
    common = float(np.mean(first * second, dtype=np.float64))
    share = min(common / total, 1.0) if total > 0 else 0.0
    return (mean * np.float32(share if share > REPEATS_MIN else 0.0)).astype(np.float32)


def _shape(residual: Floats, bad: npt.NDArray[np.bool_]) -> float | None:
    """Tukey lambda whose quantiles lie straightest against a frame's (PPCC, Filliben 1975); None for Gaussian."""
    step = max(1, residual.size // SHAPE_VALUES)
    rows = residual[:: max(1, step)]
    rows = rows - rows.mean(axis=1, keepdims=True)
    values = np.sort(rows[~bad[:: max(1, step)]])
    p = np.linspace(0.001, 0.999, 999)
    seen = np.quantile(values, p)
    shapes = [shape / 100 for shape in range(-35, 41) if shape]
    straight = [float(np.corrcoef(seen, tukey_quantiles(p, shape))[0, 1]) for shape in shapes]
    best = shapes[int(np.argmax(straight))]
    return None if GAUSSIAN_LAMBDA[0] <= best <= GAUSSIAN_LAMBDA[1] else best
