"""The frames of a calibration: which files they are, what each is good for, and which are left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np

from scotopic.calibration.profile import Floats, serial_of
from scotopic.errors import DatasetError, ReadError
from scotopic.frame import Mosaic
from scotopic.read import read_mosaic
from scotopic.sensor.pattern import Cell

AREA = 16
"""Side in pixels of the areas in which frames are compared: smaller than a leak of light, and of enough pixels that
neither a hot one nor the noise counts."""

NOISE_SPREADS = np.array([-6.0, 6.0])
"""Range, in spreads around the median, to which values are clipped before their standard deviation is taken as a
frame's noise: what is further off stands out."""

DARK_CUT_MAX = 0.02
"""Share of a dark frame's pixels that may be at 0 DN; with more the lower half of the noise is missing."""

FLAT_CLIPPED_MAX = 0.2
"""A flat with more pixels at saturation than this share is left out."""

FLAT_LEVELS = (0.02, 0.9)
"""Between these shares of the range up to saturation, flats tell the gain."""


Camera = tuple[str, str, str]
"""Make, model and serial number, '' where they are not known."""


@dataclass(frozen=True, eq=False)
class Frame:
    """What the first look at a file tells."""

    path: Path
    camera: Camera
    shape: tuple[int, int]
    cfa: tuple[tuple[int, ...], ...]
    iso: float
    exposure_s: float | None
    level_dn: float
    """Median above the file's black."""
    spread_dn: float
    noise_dn: float
    """Standard deviation but for what stands out; finer than the spread, which of whole DN is coarse."""
    range_dn: float
    clipped: float
    """Share of pixels at saturation."""
    cut: float
    """Share of pixels at 0 DN."""
    areas: Floats = field(repr=False)
    """What most pixels of each area of AREA x AREA hold, in DN above the file's black, (h, w)."""


def words_of(frame: Frame) -> str:
    """The setting of a frame."""
    return f"ISO {frame.iso:g}" + (f", {frame.exposure_s:g} s" if frame.exposure_s else "")


def looked_at(
    paths: Sequence[Path],
    notes: list[str],
    report: Callable[[str], None],
    known: Callable[[Camera], None] = lambda _: None,
) -> list[Frame]:
    """The files that can be read, each picture once, in order of their names.

    `known` is told the first one's camera.
    """
    found: list[Frame] = []
    seen: dict[bytes, Path] = {}
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
        camera = (mosaic.make, mosaic.model, serial_of(mosaic))
        if not found:
            known(camera)
        key = sha256(np.ascontiguousarray(mosaic.data).data).digest()
        if key in seen:
            notes.append(
                f"{path.name}: left out, a copy of {seen[key].name}: noise is told from how frames differ"
            )
            continue
        seen[key] = path
        whole = above_black(mosaic)
        above = whole[::3, ::5]
        level = float(np.median(above))
        spread = 1.4826 * float(np.median(np.abs(above - level)))
        found.append(
            Frame(
                path=path,
                camera=camera,
                shape=(mosaic.data.shape[0], mosaic.data.shape[1]),
                cfa=mosaic.cfa,
                iso=mosaic.iso,
                exposure_s=mosaic.exposure_s,
                level_dn=level,
                spread_dn=max(spread, 1.0),
                noise_dn=float(np.clip(above - level, *(max(spread, 1.0) * NOISE_SPREADS)).std()),
                range_dn=mosaic.white - float(np.mean(mosaic.black)),
                clipped=float(np.mean(mosaic.data >= mosaic.saturation)),
                cut=float(np.mean(mosaic.data <= 0)),
                areas=areas_of(whole),
            )
        )
    return found


def above_black(mosaic: Mosaic) -> Floats:
    """The data in DN above the file's black, (H, W)."""
    size = len(mosaic.cfa)
    height, width = mosaic.data.shape
    black = np.tile(mosaic.black.astype(np.float32), (-(-height // size), -(-width // size)))
    above: Floats = mosaic.data.astype(np.float32)
    above -= black[:height, :width]
    return above


def areas_of(above: Floats) -> Floats:
    """The mean of the middle half of the values in each area of AREA x AREA, (H // AREA, W // AREA), in DN.

    Finer than a median, which of whole DN is a whole one.
    """
    height, width = (max(1, n // AREA) for n in above.shape)
    cut = above[: height * AREA, : width * AREA]
    blocks = cut.reshape(height, cut.shape[0] // height, width, cut.shape[1] // width)
    # Every second row tells enough, in half of the time.
    values = blocks[:, ::2].transpose(0, 2, 1, 3).reshape(height, width, -1)
    quarter = values.shape[2] // 4
    values = np.partition(values, (quarter, values.shape[2] - quarter - 1), axis=2)
    middle: Floats = values[:, :, quarter : values.shape[2] - quarter].mean(axis=2)
    return middle


def check_one_camera(frames: list[Frame]) -> None:
    """Raise DatasetError unless all frames are of one camera, size and pattern."""
    kinds = Counter((*f.camera, f.shape, f.cfa) for f in frames)
    if len(kinds) == 1:
        return
    told = []
    for kind, count in kinds.most_common():
        one = next(f for f in frames if (*f.camera, f.shape, f.cfa) == kind)
        name = " ".join(word for word in one.camera if word) or "an unknown camera"
        told.append(
            f"{count} of {name}, {one.shape[1]}x{one.shape[0]}, {_pattern_in_words(one.cfa)} (such as {one.path.name})"
        )
    raise DatasetError(
        f"the frames are of {len(kinds)} cameras, sizes or colour patterns: {'; '.join(told)}; give those of one "
        "camera, all at full size"
    )


def _pattern_in_words(cfa: Cell) -> str:
    """Bayer's four letters, or the first row of another cell, by which phases are told apart.

    >>> _pattern_in_words(((1, 2), (0, 1)))
    'GBRG'
    """
    rows = ["".join("RGB"[colour] for colour in row) for row in cfa]
    return "".join(rows) if len(rows) == 2 else f"cells of {len(rows)}x{len(rows)} from {rows[0]} on"


def is_cut(frames: list[Frame]) -> bool:
    """Whether the camera cuts off the lower half of the noise; one damaged frame does not make it so."""
    return typical_cut(frames) > DARK_CUT_MAX


def typical_cut(frames: list[Frame]) -> float:
    """The share of pixels at 0 DN in the middle one of the frames; of two in the one with fewer."""
    return sorted(frame.cut for frame in frames)[(len(frames) - 1) // 2]


def by_setting(frames: list[Frame]) -> list[list[Frame]]:
    """Frames grouped by ISO and exposure."""
    groups: dict[tuple[float, float], list[Frame]] = {}
    for frame in frames:
        groups.setdefault((frame.iso, frame.exposure_s or 0.0), []).append(frame)
    return [groups[key] for key in sorted(groups)]


def by_iso(frames: list[Frame]) -> list[list[Frame]]:
    """Frames grouped by ISO alone."""
    groups: dict[float, list[Frame]] = {}
    for frame in frames:
        groups.setdefault(frame.iso, []).append(frame)
    return [groups[key] for key in sorted(groups)]


def even_ones(frames: list[Frame], notes: list[str]) -> list[Frame]:
    """The flats that are neither dark nor overexposed."""
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
