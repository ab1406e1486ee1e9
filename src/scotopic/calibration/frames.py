"""The frames of a calibration: which files they are, what each is good for, and which are left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from scotopic.calibration.profile import Floats, serial_of
from scotopic.errors import DatasetError, ReadError
from scotopic.frame import Mosaic
from scotopic.read import read_mosaic

FRAMES_ADVISED = 10
"""With ten frames the mean's noise is a third of a frame's: the pattern stands out well enough."""

LEAK_SHARE = 0.01
"""A dark frame whose median is above black by more than this share of the range has seen light: black levels
are known better than that."""

UNLIKE_SIGMAS = 1.0
"""A dark frame whose median is off the others' by more than its own noise is left out."""

DARK_CUT_MAX = 0.02
"""With more pixels of a dark frame at 0 than this share, the lower half of the noise is missing."""

FLAT_CLIPPED_MAX = 0.2
"""A flat with more pixels at saturation than this share is left out."""

FLAT_LEVELS = (0.02, 0.9)
"""Between these shares of the range up to saturation, flats tell the gain."""


@dataclass(frozen=True)
class Frame:
    """What the first look at a file tells."""

    path: Path
    camera: tuple[str, str, str]
    shape: tuple[int, int]
    cfa: tuple[tuple[int, ...], ...]
    iso: float
    exposure_s: float | None
    level_dn: float
    """Median above the file's black."""
    spread_dn: float
    range_dn: float
    clipped: float
    """Share of pixels at saturation."""
    cut: float
    """Share of pixels at 0 DN."""


def words_of(frame: Frame) -> str:
    """The setting of a frame."""
    return f"ISO {frame.iso:g}" + (f", {frame.exposure_s:g} s" if frame.exposure_s else "")


def looked_at(paths: Sequence[Path], notes: list[str], report: Callable[[str], None]) -> list[Frame]:
    """The files that can be read, each picture once, in order of their names."""
    found = []
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
        key = sha256(np.ascontiguousarray(mosaic.data).data).digest()
        if key in seen:
            notes.append(
                f"{path.name}: left out, a copy of {seen[key].name}: noise is told from how frames differ"
            )
            continue
        seen[key] = path
        above = above_black(mosaic)[::3, ::5]
        level = float(np.median(above))
        spread = 1.4826 * float(np.median(np.abs(above - level)))
        found.append(
            Frame(
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
                cut=float(np.mean(mosaic.data <= 0)),
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


def check_one_camera(frames: list[Frame]) -> None:
    """Raise DatasetError unless all frames are of one camera, size and pattern."""
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


def is_cut(frames: list[Frame]) -> bool:
    """Whether the lower half of the noise is missing."""
    return any(frame.cut > DARK_CUT_MAX for frame in frames)


def by_setting(frames: list[Frame]) -> list[list[Frame]]:
    """By ISO and exposure."""
    groups: dict[tuple[float, float], list[Frame]] = {}
    for frame in frames:
        groups.setdefault((frame.iso, frame.exposure_s or 0.0), []).append(frame)
    return [groups[key] for key in sorted(groups)]


def by_iso(frames: list[Frame]) -> list[list[Frame]]:
    """By ISO alone."""
    groups: dict[float, list[Frame]] = {}
    for frame in frames:
        groups.setdefault(frame.iso, []).append(frame)
    return [groups[key] for key in sorted(groups)]


def dark_ones(frames: list[Frame], notes: list[str]) -> list[Frame]:
    """Those that are dark, and like the others of their group."""
    kept: list[Frame] = []
    for group in by_setting(frames):
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
        if is_cut(kept[before:]):
            notes.append(
                f"{words_of(group[0])}: up to {max(f.cut for f in kept[before:]):.0%} of the pixels are at 0: the "
                "camera cuts off what lies below black; read noise and hot pixels are told, black and dark shading "
                "cannot be"
            )
        if 2 <= len(kept) - before < FRAMES_ADVISED:
            notes.append(f"{words_of(group[0])}: {len(kept) - before} dark frames; 10 or more tell more")
    return kept


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
