"""What a camera's profile does for a file: which one serves it, what it tells, what it takes away."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scotopic.calibration.profile import CameraProfile, Pattern, Setting, load, serial_of
from scotopic.errors import SettingsError
from scotopic.frame import Mosaic, NoiseProfile
from scotopic.sensor.mend import replace_pixels

BAND = 96
"""Rows corrected at once: what is at work stays in the processor's cache."""

DARKER_BLOCK = 16
"""Side of the blocks, in values of one place in the colour cell, that are asked whether they are darker than black."""

DARKER_ERRORS = 5.0
"""A block is darker than black where its mean lies below by so many of its standard errors."""

DARKER_SHARE_MAX = 0.02
"""Share of a picture's blocks that a profile may leave darker than black. Light is never negative: beyond, the profile
takes away what is not there. Of right ones it is none in all that were tried, of wrong ones 15% to 80%
(docs/calibrate.md)."""

DARKER_ROWS = 48
"""Rows of blocks that are asked whether they are darker than black; of more in a picture, every second, third, ..."""

LONG_S, OFTEN = 1.0, 4.0
"""Seconds from which on patterns grow with exposure time, and the factor by which a calibrated exposure may then differ
from the picture's."""

UNLIKE = 1.5
"""Factor by which a picture and the calibrated frames have to differ in exposure time before the dark current of either
is compared."""

COUNTS = 0.1
"""Share of the read noise, and of the picture's median light, from which on dark current that would be taken out
wrongly counts."""

STATIC_DN = 1.0
"""Dark patterns up to so many DN are no dark current: black is stated in whole DN, and shading is there at any
exposure."""


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
    return installed() if path is None else among(load(path))


def among(profiles: Profiles | CameraProfile | Iterable[CameraProfile] | None) -> Profiles:
    """The profile that the user named, or several to choose from. Raises SettingsError for what is none."""
    if profiles is None or isinstance(profiles, Profiles):
        return profiles or Profiles()
    known = (
        tuple(profiles) if isinstance(profiles, Iterable) and not isinstance(profiles, str) else (profiles,)
    )
    for profile in known:
        if not isinstance(profile, CameraProfile):
            raise SettingsError(
                f"{profile!r} is no camera profile: give what calibration.profile.load reads of its file, several "
                "of them, or calibration.apply.installed()"
            )
    return Profiles(known, asked=len(known) == 1)


def calibrated(profiles: Profiles, mosaic: Mosaic) -> Calibrated:
    """Apply the profile of the camera that took the mosaic, if it is among `profiles` and covers its ISO."""
    found = _calibrated(profiles, mosaic)
    return replace(found, note="; ".join(filter(None, (*profiles.faults, found.note))))


def _calibrated(profiles: Profiles, mosaic: Mosaic) -> Calibrated:
    """What the first profile that may be used does for the mosaic; else why the best was not used."""
    refused: list[Calibrated] = []
    for profile in candidates(profiles.known, mosaic):
        found = _by(profile, mosaic)
        if found.profile is not None:
            return found
        refused.append(found)
    return refused[0] if refused else Calibrated(mosaic, note=_of_another(profiles, mosaic))


def _of_another(profiles: Profiles, mosaic: Mosaic) -> str:
    """Why none of the profiles serves a file; nothing where it is a camera without one."""
    bodies = [p for p in profiles.known if (p.make, p.model) == (mosaic.make, mosaic.model)]
    if bodies:
        serials = " and ".join(dict.fromkeys(p.serial for p in bodies))
        return (
            f"your profile is of the {bodies[0].name} with serial number {serials}, this file of the one with "
            f"{serial_of(mosaic)}: it is not used"
        )
    if profiles.asked and profiles.known:
        taken_by = f"{mosaic.make} {mosaic.model}".strip() or "an unknown camera"
        return f"the profile is of another camera ({profiles.known[0].name}); this file is of {taken_by}"
    return ""


def _by(profile: CameraProfile, mosaic: Mosaic) -> Calibrated:
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
    setting, pattern = profile.for_mosaic(mosaic)
    off = _off_by_time(setting, pattern, mosaic)
    counts = off != 0 and abs(off) > COUNTS * max(
        setting.read_std_dn, _median_light(mended) - min(off, 0.0)
    )
    if _is_far(setting, mosaic) or counts:
        words = f", so up to {abs(off):.2g} DN of dark current {'stay' if off > 0 else 'too much are taken out'}"
        notes.append(
            f"your profile of this {profile.name} knows {setting.exposure_s:.3g} s at the nearest, this picture was "
            f"taken with {mosaic.exposure_s:.3g} s{words if counts else ''}: dark frames of that time, or of a shorter "
            "and a longer one, would tell more"
        )
    return Calibrated(mended, profile, told, "; ".join(notes))


def _is_far(setting: Setting, mosaic: Mosaic) -> bool:
    """Whether the dark frames were taken so much longer or shorter that they look otherwise."""
    known, taken = setting.exposure_s, mosaic.exposure_s
    if not known or not taken:
        return False
    return max(known, taken) >= LONG_S and not 1 / OFTEN <= known / taken <= OFTEN


def _off_by_time(setting: Setting, pattern: Pattern, mosaic: Mosaic) -> float:
    """How much dark current stays, in DN, as the dark frames' exposure was a shorter one; below 0 where it was longer.

    Dark current only adds, to all places of the cell alike, and glow is uneven. What else the frames show, black that
    differs by place or lies too low, rows and columns, is there at any exposure, and so is STATIC_DN of the rest. What
    frames of less than LONG_S show of it says nothing of longer ones.
    """
    known, taken = setting.exposure_s, mosaic.exposure_s
    if not known or not taken or 1 / UNLIKE <= known / taken <= UNLIKE or known < min(taken, LONG_S):
        return 0.0
    low, high = np.quantile(pattern.coarse, (0.05, 0.95))
    current = max(min(setting.black_error_dn), 0.0) + float(high - low) - STATIC_DN
    return max(current, 0.0) * (taken / known - 1)


def _median_light(mosaic: Mosaic) -> float:
    """Median light of the darkest place of the cell, in DN above black."""
    size = len(mosaic.cfa)
    places = ((dy, dx) for dy in range(size) for dx in range(size))
    return min(
        float(np.median(mosaic.data[dy :: 5 * size, dx :: 3 * size])) - float(mosaic.black[dy, dx])
        for dy, dx in places
    )


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


@cache
def identity(profile: CameraProfile) -> str:
    """Which profile this is: camera, serial number, and the beginning of a hash of all that counts in it."""
    told = [profile.make, profile.model, profile.serial, profile.cfa, profile.black_dn, profile.white_dn]
    told += [profile.height, profile.width, [asdict(setting) for setting in profile.settings]]
    digest = sha256(json.dumps(told).encode())
    for name, array in profile.arrays().items():
        digest.update(f"{name} {array.shape}".encode() + array.tobytes())
    return f"{profile.name}{profile.serial and f' {profile.serial}'} ({digest.hexdigest()[:12]})"


def taken_out(profile: CameraProfile, mosaic: Mosaic) -> list[str]:
    """What `corrected` takes out of a file, in words. Raises as `CameraProfile.for_mosaic`."""
    setting, pattern = profile.for_mosaic(mosaic)
    fits = profile.fits(mosaic)
    parts = {
        "black": any(setting.black_error_dn),
        "dark shading": fits and pattern.is_uneven,
        "hot pixels": fits and len(pattern.hot) > 0,
    }
    return [words for words, is_so in parts.items() if is_so]


def profiles_folder() -> Path:
    """Where installed profiles are: $XDG_CONFIG_HOME/scotopic/profiles, else ~/.config/scotopic/profiles.

    Raises SettingsError where there is neither.
    """
    base = os.environ.get("XDG_CONFIG_HOME", "")
    try:
        return (Path(base) if base else Path.home() / ".config") / "scotopic" / "profiles"
    except RuntimeError as error:
        raise SettingsError(
            "there is no home folder, and so no place for installed camera profiles: set HOME or XDG_CONFIG_HOME"
        ) from error


def installed() -> Profiles:
    """The profiles in `profiles_folder()`, by file name. A damaged file, or a folder that cannot be opened, is no
    reason to treat no photo at all."""
    try:
        folder = profiles_folder()
        # Not `Path.glob`, to which a folder that cannot be opened is an empty one.
        names = sorted(os.listdir(folder))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return Profiles()
    except (OSError, SettingsError) as error:
        why = (
            f"{error.filename} cannot be opened ({error.strerror})" if isinstance(error, OSError) else error
        )
        return Profiles(faults=(f"installed camera profiles are passed by: {why}",))
    known, faults = [], []
    for name in names:
        if not name.endswith(".json"):
            continue
        try:
            known.append(load(folder / name))
        except SettingsError as error:
            faults.append(f"an installed camera profile is passed by: {error}")
    return Profiles(tuple(known), faults=tuple(faults))


def candidates(profiles: Sequence[CameraProfile], mosaic: Mosaic) -> list[CameraProfile]:
    """The profiles of the camera that took the file, the one that says most of it first."""
    matching = [profile for profile in profiles if profile.matches(mosaic)]
    return sorted(matching, key=lambda profile: _misfit(profile, mosaic)) if len(matching) > 1 else matching


def _misfit(profile: CameraProfile, mosaic: Mosaic) -> tuple[bool, bool, bool, bool, float]:
    """Not its ISO, not known to be its body, not its size, not its exposure; then how far the calibrated ISO is."""
    at_least = (not profile.serial, not profile.fits(mosaic))
    try:
        setting, _ = profile.for_mosaic(mosaic)
    except SettingsError:
        return True, *at_least, True, 0.0
    assert mosaic.iso is not None
    away = min(abs(math.log(each.iso / mosaic.iso)) for each in profile.settings)
    return False, *at_least, _is_far(setting, mosaic), away
