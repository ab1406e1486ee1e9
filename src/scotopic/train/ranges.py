"""Ranges of settings: what no run could mean is refused before one begins. And what holds where nothing is said."""

from __future__ import annotations

from collections.abc import Mapping

from scotopic.errors import SettingsError

Range = tuple[float, float]

CHECKPOINT_SECONDS = 120.0
"""Seconds between two checkpoints, unless a run is told otherwise: a run that is killed loses so much at most."""


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise SettingsError for a number outside of `low` to `high`, and for none at all (NaN)."""
    if not low <= value <= high:
        raise SettingsError(f"{name} {value} must be in {low:g}..{high:g}")


def check_ranges(part: object, ranges: Mapping[str, Range]) -> None:
    """`check_range` for each field of `part` that `ranges` names."""
    for name, (low, high) in ranges.items():
        check_range(name, getattr(part, name), low, high)


def check_bounds(name: str, bounds: tuple[float, ...], low: float, high: float) -> None:
    """Raise SettingsError unless `bounds` are two numbers in order, above `low` and up to `high`."""
    if len(bounds) != 2 or not low < bounds[0] <= bounds[1] <= high:
        raise SettingsError(
            f"{name} {list(bounds)} must be two numbers, the smaller first, above {low:g} and at most {high:g}"
        )
