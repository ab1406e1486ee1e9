"""The processor's cores: how many there are to use, and how much each works on at a time."""

from __future__ import annotations

import os
from numbers import Integral

from scotopic.errors import SettingsError

STRIP_PIXELS = 98304
"""Pixels that a thread works on at a time: three colours of them stay in its processor's cache, and threads seldom
wait for each other between one operation and the next (experiments.md, 2026-11-29)."""


def usable_cores() -> int:
    """The cores this process may run on, at most OMP_NUM_THREADS where the environment names a number."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(mine, int(asked)) if asked.isdecimal() and int(asked) else mine


def check_threads(threads: int | None) -> None:
    """Raise SettingsError for a number of threads that there cannot be."""
    if threads is not None and (not isinstance(threads, Integral) or threads < 1):
        raise SettingsError(
            f"threads {threads} cannot be: give a whole number from 1 on, or None for one a core"
        )


def threads_of(asked: int | None) -> int:
    """So many threads as were asked for, at most one for each core of the machine; `usable_cores` of None."""
    return usable_cores() if asked is None else min(asked, os.cpu_count() or 1)
