"""Dark and flat frames of one camera to its profile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from scotopic.calibration.dark import dark_setting
from scotopic.calibration.flat import Points, beyond_belief, gain_of, nearby, transfer_points
from scotopic.calibration.frames import (
    Camera,
    by_iso,
    by_setting,
    check_one_camera,
    even_ones,
    looked_at,
    words_of,
)
from scotopic.calibration.lit import dark_ones
from scotopic.calibration.profile import SAME_ISO, CameraProfile, GainSource, Pattern, Setting, serial_of
from scotopic.errors import DatasetError
from scotopic.frame import Mosaic
from scotopic.noise import table_scale
from scotopic.read import read_mosaic
from scotopic.sensor.simulated import known_sensor

POINTS_KEPT = 400
"""Points of the photon transfer kept a setting, for the plot."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """The profile, and the photon transfer by ISO: (n, 2) of mean and variance in DN."""

    profile: CameraProfile
    transfer: dict[float, Points]


def calibrate(
    dark: Sequence[Path],
    flat: Sequence[Path] = (),
    report: Callable[[str], None] = lambda _: None,
    known: Callable[[Camera], None] = lambda _: None,
) -> Calibration:
    """Measure a camera from its RAW files: `dark` frames taken with the cap on, `flat` ones of an even wall.

    Frames are grouped by ISO and exposure. Two dark frames of a group are needed, ten are advised. What could not
    be used, and what would make the profile better, is in its `notes`. `known` is told the camera as soon as the first
    frame is read; what it raises ends the work there. Raises DatasetError for frames of
    several cameras or sizes, and where nothing is left to measure.
    """
    notes: list[str] = []
    darks = looked_at(dark, notes, report, known)
    flats = looked_at(flat, notes, report)
    if not darks:
        raise DatasetError(
            f"no dark frames that can be used{_because(notes)}; needed are RAW files taken with the lens cap on"
        )
    check_one_camera(darks + flats)
    first = read_mosaic(darks[0].path)
    measured: list[tuple[Setting, Pattern]] = []
    for frames in by_setting(dark_ones(darks, notes)):
        if len(frames) < 2:
            notes.append(f"{words_of(frames[0])}: one dark frame only, left out; 2 are needed, 10 advised")
            continue
        report(f"{words_of(frames[0])}: {len(frames)} dark frames")
        measured.append(dark_setting(frames, notes))
    if not measured:
        raise DatasetError(f"no dark frames that can be used{_because(notes)}")
    transfer: dict[float, Points] = {}
    gains: dict[float, float] = {}
    for frames in by_iso(even_ones(flats, notes)):
        report(f"ISO {frames[0].iso:g}: {len(frames)} flat frames")
        at_iso = [s for s, _ in measured if _same(s.iso, frames[0].iso)]
        ground = at_iso[0] if at_iso else nearby([s for s, _ in measured], frames[0].iso)
        points = transfer_points(frames, ground, notes)
        if len(points):
            gain = gain_of(points, ground, at_iso=bool(at_iso))
            if why := beyond_belief(gain, ground if at_iso else None, first, frames[0].iso):
                notes.append(f"ISO {frames[0].iso:g}: flats left out, {why}")
                continue
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


def _same(a: float, b: float) -> bool:
    return abs(a / b - 1) < SAME_ISO


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
