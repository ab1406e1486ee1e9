"""What a camera's profile does for a file: which one serves it, what it tells, what it takes away."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from scotopic.calibration.profile import CameraProfile, load
from scotopic.errors import SettingsError
from scotopic.frame import Mosaic, NoiseProfile
from scotopic.mend import replace_pixels

BAND = 96
"""Rows corrected at once: what is at work stays in the processor's cache."""


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
    note = ""
    if not profile.fits(mosaic):
        note = (
            f"your profile of this {profile.name} is of {profile.width}x{profile.height} pixels, this file of "
            f"{mosaic.data.shape[1]}x{mosaic.data.shape[0]}: no dark shading is taken out"
        )
    return Calibrated(mended, profile, told, note)


def corrected(profile: CameraProfile, mosaic: Mosaic) -> Mosaic:
    """The mosaic in float32 without black error, dark shading and hot pixels. Raises as
    `CameraProfile.for_mosaic`.

    Pixels at saturation stay as they are, so that lamps are still known for what they are. Without the
    shading where the file is of another size than the calibration frames.
    """
    setting, pattern = profile.for_mosaic(mosaic)
    size = len(profile.cfa)
    height, width = mosaic.data.shape
    error = np.array(setting.black_error_dn, dtype=np.float32).reshape(size, size)
    data = np.empty((height, width), dtype=np.float32)
    fits = profile.fits(mosaic)
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
