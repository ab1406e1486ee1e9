"""Dark and flat frames of one camera to its profile.

Dark frames give read and row noise, the true black, the fixed pattern and the hot pixels; pairs of flat frames
give the gain by the photon transfer method (Janesick 2007; EMVA 1288). Noise is told from differences of
frames, in which everything fixed cancels; only what repeats between two halves of the frames is kept as pattern.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scotopic.errors import DatasetError, ReadError
from scotopic.frame import Mosaic
from scotopic.noise import table_scale
from scotopic.profile import SAME_ISO, CameraProfile, Floats, GainSource, Pattern, Setting, serial_of
from scotopic.read import read_mosaic
from scotopic.sensor import QUANTISATION_VARIANCE_DN2, known_sensor, tukey_quantiles

FRAMES_ADVISED = 10
"""With ten frames the mean's noise is a third of a frame's: the pattern stands out well enough."""

LEAK_SHARE = 0.01
"""A dark frame whose median is above black by more than this share of the range has seen light: black levels
are known better than that."""

UNLIKE_SIGMAS = 1.0
"""A dark frame whose median is off the others' by more than its own noise is left out."""

FLAT_LEVELS = (0.02, 0.9)
"""Blocks of flats between these shares of the range up to saturation tell the gain."""

FLAT_CLIPPED_MAX = 0.2
"""A flat with more pixels at saturation than this share is left out."""

FLAT_STEADY = 0.1
"""Two flats make a pair if their light is equal to this share."""

FLAT_BLOCK = 16
"""Side of the blocks of one place of the cell."""

FLAT_BLOCKS_MIN = 8

HOT_SIGMAS = 6.0
"""A pixel whose mean is off by more than so many times the noise of one frame is not to be used."""

HOT_SHARE_MAX = 0.01
"""More are no faults of single pixels; they are not listed."""

COARSE_SIDE = 32
"""Pixels, about, to a value of the coarse pattern: amplifier glow is smooth over hundreds."""

REPEATS_MIN = 0.1
"""A pattern of which less than this share of its variance repeats from frames to frames is none."""

SHAPE_FRAMES_MIN = 5
SHAPE_STD_MIN_DN = 1.0
"""Below, rounding hides the shape of the read noise."""

GAUSSIAN_LAMBDA = (0.08, 0.2)
"""Tukey lambda shapes that nobody can tell from the Gaussian (0.14)."""

SHAPE_VALUES = 200_000

POINTS_KEPT = 400
"""Points of the photon transfer kept a setting, for the plot."""

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Frame:
    """What the first look at a file tells."""

    path: Path
    camera: tuple[str, str, str]
    shape: tuple[int, int]
    cfa: tuple[tuple[int, ...], ...]
    iso: float
    exposure_s: float | None
    level_dn: float
    """Median above the stated black."""
    spread_dn: float
    range_dn: float
    clipped: float
    """Share of pixels at saturation."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """The profile, and the photon transfer by ISO: (n, 2) of mean and variance in DN."""

    profile: CameraProfile
    transfer: dict[float, Points]


def calibrate(
    dark: Sequence[Path], flat: Sequence[Path] = (), report: Callable[[str], None] = lambda _: None
) -> Calibration:
    """Measure a camera from its RAW files: `dark` frames taken with the cap on, `flat` ones of an even wall.

    Frames are grouped by ISO and exposure. Two dark frames of a group are needed, ten are advised. What could not
    be used, and what would make the profile better, is in its `notes`. Raises DatasetError for frames of
    several cameras or sizes, and where nothing is left to measure.
    """
    notes: list[str] = []
    darks = _looked_at(dark, notes, report)
    flats = _looked_at(flat, notes, report)
    if not darks:
        raise DatasetError(
            f"no dark frames that can be used{_because(notes)}; needed are RAW files taken with the lens cap on"
        )
    _check_one_camera(darks + flats)
    first = read_mosaic(darks[0].path)
    measured: list[tuple[Setting, Pattern]] = []
    for frames in _groups(_dark_ones(darks, notes)):
        if len(frames) < 2:
            notes.append(f"{_words(frames[0])}: one dark frame only, left out; 2 are needed, 10 advised")
            continue
        report(f"{_words(frames[0])}: {len(frames)} dark frames")
        measured.append(_dark_setting(frames, notes))
    if not measured:
        raise DatasetError(f"no dark frames that can be used{_because(notes)}")
    transfer: dict[float, Points] = {}
    gains: dict[float, float] = {}
    for frames in _by_iso(_fit_flats(flats, notes)):
        report(f"ISO {frames[0].iso:g}: {len(frames)} flat frames")
        at_iso = [s for s, _ in measured if _same(s.iso, frames[0].iso)]
        points = _transfer(frames, at_iso[0] if at_iso else None, notes)
        if len(points):
            gain = _gain(points, at_iso[0] if at_iso else None)
            gains[frames[0].iso] = gain
            keep = np.linspace(0, len(points) - 1, min(POINTS_KEPT, len(points))).astype(int)
            transfer[frames[0].iso] = points[np.argsort(points[:, 0])][keep]
    settings = [_with_gain(setting, gains, first) for setting, _ in measured]
    if not gains:
        where = "is taken from the table" if settings[0].gain_dn_per_e else "stays unknown"
        notes.append(f"no flat frames that can be used: the gain {where}")
    profile = CameraProfile(
        make=first.make,
        model=first.model,
        serial=serial_of(first),
        cfa=first.cfa,
        black_dn=tuple(first.black.ravel().tolist()),
        white_dn=first.white,
        height=first.data.shape[0],
        width=first.data.shape[1],
        settings=tuple(settings),
        patterns=tuple(pattern for _, pattern in measured),
        notes=tuple(notes),
    )
    return Calibration(profile, transfer)


def _because(notes: list[str]) -> str:
    return f" ({'; '.join(notes[:4])})" if notes else ""


def _words(frame: _Frame) -> str:
    return f"ISO {frame.iso:g}" + (f", {frame.exposure_s:g} s" if frame.exposure_s else "")


def _same(a: float, b: float) -> bool:
    return abs(a / b - 1) < SAME_ISO


def _looked_at(paths: Sequence[Path], notes: list[str], report: Callable[[str], None]) -> list[_Frame]:
    """The files that can be read, in order of their names."""
    found = []
    for path in sorted(paths):
        report(f"looking at {path.name}")
        try:
            mosaic = read_mosaic(path)
        except ReadError as error:
            notes.append(f"left out: {error}")
            continue
        if mosaic.iso is None:
            notes.append(f"{path.name}: left out, it does not say its ISO")
            continue
        above = _above_black(mosaic)[::3, ::5]
        level = float(np.median(above))
        spread = 1.4826 * float(np.median(np.abs(above - level)))
        found.append(
            _Frame(
                path=path,
                camera=(mosaic.make, mosaic.model, serial_of(mosaic)),
                shape=(mosaic.data.shape[0], mosaic.data.shape[1]),
                cfa=mosaic.cfa,
                iso=mosaic.iso,
                exposure_s=mosaic.exposure_s,
                level_dn=level,
                spread_dn=max(spread, 1.0),
                range_dn=mosaic.white - float(np.mean(mosaic.black)),
                clipped=float(np.mean(mosaic.data >= mosaic.saturation)),
            )
        )
    return found


def _above_black(mosaic: Mosaic) -> Floats:
    size = len(mosaic.cfa)
    height, width = mosaic.data.shape
    black = np.tile(mosaic.black.astype(np.float32), (-(-height // size), -(-width // size)))
    above: Floats = mosaic.data.astype(np.float32)
    above -= black[:height, :width]
    return above


def _check_one_camera(frames: list[_Frame]) -> None:
    kinds = Counter((*f.camera, f.shape, f.cfa) for f in frames)
    if len(kinds) == 1:
        return
    told = []
    for kind, count in kinds.most_common():
        one = next(f for f in frames if (*f.camera, f.shape, f.cfa) == kind)
        name = " ".join(word for word in one.camera if word) or "an unknown camera"
        told.append(f"{count} of {name}, {one.shape[1]}x{one.shape[0]} (such as {one.path.name})")
    raise DatasetError(
        f"the frames are of {len(kinds)} cameras or sizes: {'; '.join(told)}; give those of one camera, "
        "all at full size"
    )


def _groups(frames: list[_Frame]) -> list[list[_Frame]]:
    """By ISO and exposure."""
    groups: dict[tuple[float, float], list[_Frame]] = {}
    for frame in frames:
        groups.setdefault((frame.iso, frame.exposure_s or 0.0), []).append(frame)
    return [groups[key] for key in sorted(groups)]


def _by_iso(frames: list[_Frame]) -> list[list[_Frame]]:
    groups: dict[float, list[_Frame]] = {}
    for frame in frames:
        groups.setdefault(frame.iso, []).append(frame)
    return [groups[key] for key in sorted(groups)]


def _dark_ones(frames: list[_Frame], notes: list[str]) -> list[_Frame]:
    """Those that are dark, and like the others of their group."""
    kept: list[_Frame] = []
    for group in _groups(frames):
        middle = float(np.median([f.level_dn for f in group]))
        before = len(kept)
        for frame in group:
            if frame.level_dn > LEAK_SHARE * frame.range_dn:
                notes.append(
                    f"{frame.path.name}: left out, not dark ({frame.level_dn:.0f} DN above black): put the cap "
                    "on the lens and cover the viewfinder"
                )
            elif abs(frame.level_dn - middle) > UNLIKE_SIGMAS * frame.spread_dn and len(group) > 2:
                notes.append(
                    f"{frame.path.name}: left out, {frame.level_dn - middle:+.1f} DN off the other dark frames"
                )
            else:
                kept.append(frame)
        if 2 <= len(kept) - before < FRAMES_ADVISED:
            notes.append(f"{_words(group[0])}: {len(kept) - before} dark frames; 10 or more tell more")
    return kept


def _dark_setting(frames: list[_Frame], notes: list[str]) -> tuple[Setting, Pattern]:
    """Noise from differences of frames, pattern from their mean; one frame after another in memory."""
    size = len(frames[0].cfa)
    halves: list[Floats] = []
    before: Floats | None = None
    bad: npt.NDArray[np.bool_] | None = None
    within, across = [], []
    for i, frame in enumerate(frames):
        above = _above_black(read_mosaic(frame.path))
        if before is not None:
            if bad is None:
                limit = frames[0].level_dn + 8 * frames[0].spread_dn
                bad = (before > limit) & (above > limit)
            inside, rows = _difference(above - before, bad)
            within.append(inside)
            across.append(rows)
        if i < 2:
            halves.append(above.copy())
        else:
            halves[i % 2] += above
        before = above
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
            error[dy, dx] = float(mean[dy::size, dx::size].mean(where=good, dtype=np.float64))
            for part in (mean, *halves):
                part[dy::size, dx::size] -= np.float32(error[dy, dx])
    pattern, rest = _pattern(mean, halves, bad)
    hot = np.argwhere(np.abs(rest) > HOT_SIGMAS * max(read_std, 0.3))
    share = len(hot) / mean.size
    if share > HOT_SHARE_MAX:
        notes.append(
            f"{_words(frames[0])}: {share:.1%} of the pixels stand out; they are not listed as hot"
        )
        hot = hot[:0]
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
    return setting, replace(pattern, hot=hot.astype(np.uint16))


def _repeats(shape: tuple[int, ...], size: int) -> tuple[int, int]:
    return -(-shape[0] // size), -(-shape[1] // size)


def _difference(d: Floats, bad: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Variance of one pixel within its row, and of a row, from the difference of two frames."""
    good = ~bad
    d = d - d.mean(where=good, dtype=np.float64).astype(np.float32)
    rows = d.mean(axis=1, where=good, dtype=np.float64)
    width = d.shape[1]
    d -= rows[:, None].astype(np.float32)
    inside = float(np.square(d).mean(where=good, dtype=np.float64)) * width / (width - 1) / 2
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


def _fit_flats(frames: list[_Frame], notes: list[str]) -> list[_Frame]:
    kept = []
    for frame in frames:
        if frame.clipped > FLAT_CLIPPED_MAX:
            notes.append(
                f"{frame.path.name}: left out, {frame.clipped:.0%} of it is overexposed: expose flats to the middle"
            )
        elif frame.level_dn < FLAT_LEVELS[0] * frame.range_dn:
            notes.append(f"{frame.path.name}: left out, too dark for a flat: expose it to the middle")
        else:
            kept.append(frame)
    return kept


def _transfer(frames: list[_Frame], dark: Setting | None, notes: list[str]) -> Points:
    """Mean above true black and variance from frame to frame of blocks, (n, 2) in DN."""
    found: list[Points] = []
    for group in _groups(frames):
        unsteady, pairs = 0, 0
        before: Mosaic | None = None
        for (a, b), fresh in zip(pairwise(group), range(len(group)), strict=False):
            first = before if before is not None and fresh else read_mosaic(a.path)
            second = read_mosaic(b.path)
            before = second
            if abs(a.level_dn / b.level_dn - 1) > FLAT_STEADY:
                unsteady += 1
                continue
            found.append(_pair_points(first, second, dark))
            pairs += 1
        if not pairs:
            why = "their light differs too much" if unsteady else "one flat only: two alike are needed"
            notes.append(f"{_words(group[0])}: flats left out, {why}")
    points = np.concatenate(found) if found else np.empty((0, 2))
    if found and len(points) < FLAT_BLOCKS_MIN:
        notes.append(f"ISO {frames[0].iso:g}: flats left out, nowhere exposed to the middle")
        return np.empty((0, 2))
    return points


def _pair_points(first: Mosaic, second: Mosaic, dark: Setting | None) -> Points:
    size = len(first.cfa)
    error = np.array(dark.black_error_dn if dark else [0.0] * size * size).reshape(size, size)
    planes = [_above_black(m) for m in (first, second)]
    points = []
    for dy in range(size):
        for dx in range(size):
            top = min(first.saturation, second.saturation) - float(first.black[dy, dx])
            a, b = (_blocks(p[dy::size, dx::size]) for p in planes)
            highest = np.maximum(a, b).max(axis=(1, 2))
            mean = (a.mean(axis=(1, 2)) + b.mean(axis=(1, 2))) / 2 - error[dy, dx]
            d = (a - b).astype(np.float64)
            # Row noise and flickering light go with the mean of each row.
            d -= d.mean(axis=2, keepdims=True)
            variance = np.square(d).sum(axis=(1, 2)) / (FLAT_BLOCK * (FLAT_BLOCK - 1)) / 2
            fits = (highest < FLAT_LEVELS[1] * top) & (mean > FLAT_LEVELS[0] * top)
            points.append(np.stack([mean[fits], variance[fits]], axis=1))
    return np.concatenate(points).astype(np.float64)


def _blocks(plane: Floats) -> Floats:
    n = FLAT_BLOCK
    height, width = (side - side % n for side in plane.shape)
    cut = plane[:height, :width].reshape(height // n, n, width // n, n)
    return cut.transpose(0, 2, 1, 3).reshape(-1, n, n)


def _gain(points: Points, dark: Setting | None) -> float:
    """DN per electron: the slope of variance over mean, read noise known from the dark frames or fitted."""
    mean, variance = points.T
    if dark is not None:
        ground = dark.read_std_dn**2 + QUANTISATION_VARIANCE_DN2
        return float(np.median((variance - ground) / mean))
    slope, _ = np.polyfit(mean, variance, 1, w=1 / np.maximum(variance, 1e-6))
    return float(slope)


def _with_gain(setting: Setting, gains: dict[float, float], file: Mosaic) -> Setting:
    """The gain of flats at this ISO; else in proportion to ISO, as gain in DN is; else of the table."""
    gain: float | None = None
    source: GainSource = ""
    if gains:
        nearest = min(gains, key=lambda iso: abs(np.log(iso / setting.iso)))
        gain = gains[nearest] * setting.iso / nearest
        source = "flats" if _same(nearest, setting.iso) else "flats at another ISO"
    else:
        known = known_sensor(file.make, file.model, setting.iso)
        if known is not None:
            gain, source = known.gain_dn_per_e * table_scale(file, known), "table"
    return replace(setting, gain_dn_per_e=gain, gain_source=source)
