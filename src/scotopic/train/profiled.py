"""Which of the user's camera profiles put a cache's short frames right: the index keeps it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from scotopic.calibration.apply import Profiles, identity
from scotopic.calibration.profile import serial_of
from scotopic.enhance import Plan
from scotopic.frame import Mosaic


def used(mosaic: Mosaic, made: Plan, profiles: Profiles) -> dict[str, Any]:
    """Entries of the index for a frame: its camera, the profiles of it that there were, the one that was taken."""
    camera = [mosaic.make, mosaic.model, serial_of(mosaic)]
    return {
        "camera": camera,
        "profiles": _offered(camera, profiles),
        "profile": made.profile and identity(made.profile),
        "warning": made.noise.warning,
    }


def is_other(record: dict[str, Any], profiles: Profiles) -> bool:
    """Whether a short frame was put right when its camera's profiles were others."""
    return bool(_offered(record.get("camera"), profiles) != record.get("profiles", []))


def _offered(camera: list[str] | None, profiles: Profiles) -> list[str]:
    """The profiles of a camera; all where an older index does not say which camera it is."""
    return [identity(p) for p in profiles.known if camera is None or p.is_of(*camera)]


def tell(records: Sequence[dict[str, Any]], profiles: Profiles, report: Callable[[str], None]) -> None:
    """In words what was taken, and why one that was named was not."""
    for fault in profiles.faults:
        report(f"note: {fault}")
    served = Counter(record["profile"] for record in records if record.get("profile"))
    for name, count in served.items():
        report(f"{count} of {len(records)} short frames are put right by your profile of the {name}")
    if profiles.asked and not served:
        report(f"note: {records[0].get('warning') or 'the profile is of another camera than the pairs'}")
