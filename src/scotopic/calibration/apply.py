"""What a camera's profile does for a file: which one serves it, what it tells, what it takes away."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scotopic.calibration.profile import CameraProfile, load
from scotopic.errors import SettingsError
from scotopic.frame import Mosaic, NoiseProfile
from scotopic.mend import replace_pixels

BAND = 96
"""Rows corrected at once: what is at work stays in the processor's cache."""

DARKER_BLOCK = 16
"""Blocks of so many values of one place in the cell, squared, are asked whether they are darker than black."""

DARKER_ERRORS = 5.0
"""By so many standard errors of their mean."""

DARKER_SHARE_MAX = 0.02
"""Light is never negative. Where a profile leaves more of a picture darker than black than this, it takes away what is
not there: of right ones it is none in all that were tried, of wrong ones 15% to 80% (docs/calibrate.md)."""

DARKER_ROWS = 48
"""Rows of blocks that are asked; of more in a picture, every second, third, ..."""

LONG_S, OFTEN = 1.0, 4.0
"""From a second on patterns grow with time; a calibrated exposure so many times as long or as short is another."""


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A mosaic as its camera's profile corrects it; as it was, and `profile` None, where none serves it."""

    mosaic: Mosaic
    profile: CameraProfile | None = None
    noise: NoiseProfile | None = None
    """None where the profile does not know the gain."""
    note: str = ""
    """Why a profile of this camera was not used, or not wholly."""


@dataclass(frozen=True)
class Profiles:
    """The profiles to choose from; `asked` where the user named one, who is told when it does not fit.

    `faults` says of installed files that are no profiles what is wrong with them.
    """

    known: tuple[CameraProfile, ...] = ()
    asked: bool = False
    faults: tuple[str, ...] = ()


def chosen(path: Path | None) -> Profiles:
    """The profile that the user named, or those installed. Raises SettingsError for a file that is none."""
    return installed() if path is None else Profiles((load(path),), asked=True)


def calibrated(profiles: Profiles, mosaic: Mosaic) -> Calibrated:
    """Apply the profile of the camera that took the mosaic, if it is among `profiles` and covers its ISO."""
    found = _calibrated(profiles, mosaic)
    return replace(found, note="; ".join(filter(None, (*profiles.faults, found.note))))


def _calibrated(profiles: Profiles, mosaic: Mosaic) -> Calibrated:
    profile = for_file(profiles.known, mosaic)
    if profile is None:
        note = ""
        if profiles.asked and profiles.known:
            taken_by = f"{mosaic.make} {mosaic.model}".strip() or "an unknown camera"
            note = (
                f"the profile is of another camera ({profiles.known[0].name}); this file is of {taken_by}"
            )
        return Calibrated(mosaic, note=note)
    try:
        told = profile.noise_profile(mosaic)
        mended = corrected(profile, mosaic)
    except SettingsError as error:
        return Calibrated(mosaic, note=f"your profile of this {profile.name} is not used: {error}")
    if (share := darker_than_black(mosaic, mended)) > DARKER_SHARE_MAX:
        note = (
            f"your profile of this {profile.name} is not used: it would leave {share:.0%} of the picture darker than "
            "black; its dark frames have seen light, or were taken longer or warmer than this picture"
        )
        return Calibrated(mosaic, note=note)
    notes = []
    if not profile.fits(mosaic):
        notes.append(
            f"your profile of this {profile.name} is of {profile.width}x{profile.height} pixels, this file of "
            f"{mosaic.data.shape[1]}x{mosaic.data.shape[0]}: no dark shading is taken out"
        )
    setting, _ = profile.for_mosaic(mosaic)
    known, taken = setting.exposure_s, mosaic.exposure_s
    if known and taken and max(known, taken) >= LONG_S and not 1 / OFTEN <= known / taken <= OFTEN:
        notes.append(
            f"your profile of this {profile.name} knows {known:g} s at the nearest, this picture was taken with "
            f"{taken:.2g} s: dark frames of that time would tell more"
        )
    return Calibrated(mended, profile, told, "; ".join(notes))


def darker_than_black(before: Mosaic, after: Mosaic) -> float:
    """The share of a picture that became darker than black, where it was not so before."""
    size, side = len(after.cfa), DARKER_BLOCK
    found: list[npt.NDArray[np.bool_]] = []
    for dy in range(size):
        for dx in range(size):
            now, then = (_blocks(mosaic, dy, dx) for mosaic in (after, before))
            error = np.maximum(now.std(axis=(1, 3)), 0.3) / side * DARKER_ERRORS
            means = (blocks.mean(axis=(1, 3), dtype=np.float64) for blocks in (now, then))
            mean, mean_then = (values - after.black[dy, dx] for values in means)
            # A block that came nearer to black, from whichever side, has lost nothing.
            found.append(((mean < -error) & (mean_then >= -error) & (-mean > mean_then)).ravel())
    return float(np.concatenate(found).mean()) if found[0].size else 0.0


def _blocks(mosaic: Mosaic, dy: int, dx: int) -> npt.NDArray[Any]:
    """Blocks of a place in the cell, (rows, DARKER_BLOCK, columns, DARKER_BLOCK)."""
    plane, side = mosaic.data[dy :: len(mosaic.cfa), dx :: len(mosaic.cfa)], DARKER_BLOCK
    height, width = (n // side for n in plane.shape)
    blocks = plane[: height * side, : width * side].reshape(height, side, width, side)
    return blocks[:: max(1, height // DARKER_ROWS)]


def corrected(profile: CameraProfile, mosaic: Mosaic) -> Mosaic:
    """The mosaic in float32 without black error, dark shading and hot pixels; in its own counts where the profile
    knows hot pixels alone. Raises as `CameraProfile.for_mosaic`.

    Pixels at saturation stay as they are, so that lamps are still known for what they are. Without the
    shading where the file is of another size than the calibration frames.
    """
    setting, pattern = profile.for_mosaic(mosaic)
    size = len(profile.cfa)
    height, width = mosaic.data.shape
    error = np.array(setting.black_error_dn, dtype=np.float32).reshape(size, size)
    fits = profile.fits(mosaic)
    if not error.any() and not (fits and pattern.is_uneven):
        # Counts stay counts: what the camera has cut off below black can still be drawn anew.
        data = mosaic.data.copy()
        if fits:
            replace_pixels(data, pattern.hot, profile.cfa)
        return mosaic.with_changes(data=data)
    data = np.empty((height, width), dtype=np.float32)
    band = BAND // size * size
    lines = np.tile(error, (band // size, -(-width // size)))[:, :width]
    for top in range(0, height, band):
        counted = mosaic.data[top : top + band]
        offset = lines[: len(counted)]
        if fits:
            offset = offset + pattern.shading(top, top + band)
        part = counted.astype(np.float32)
        np.subtract(part, offset, out=data[top : top + band])
        np.copyto(data[top : top + band], part, where=counted >= mosaic.saturation)
    if fits:
        replace_pixels(data, pattern.hot, profile.cfa)
    return mosaic.with_changes(data=data)


def profiles_folder() -> Path:
    """Where installed profiles are: $XDG_CONFIG_HOME/scotopic/profiles, else ~/.config/scotopic/profiles."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base else Path.home() / ".config") / "scotopic" / "profiles"


def installed() -> Profiles:
    """The profiles in `profiles_folder()`, by file name. One damaged file is no reason to treat no photo at all."""
    folder = profiles_folder()
    known, faults = [], []
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        try:
            known.append(load(path))
        except SettingsError as error:
            faults.append(f"an installed camera profile is passed by: {error}")
    return Profiles(tuple(known), faults=tuple(faults))


def for_file(profiles: Sequence[CameraProfile], mosaic: Mosaic) -> CameraProfile | None:
    """The profile of the camera that took the file; one that knows its serial number before others."""
    matching = [p for p in profiles if p.matches(mosaic)]
    return max(matching, key=lambda p: bool(p.serial), default=None)
