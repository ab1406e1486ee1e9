"""The signals that end a program in order."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
from types import FrameType

ENDINGS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Signals that end a program in order: Ctrl-C, a friendly kill, a terminal that was closed; Windows has no last one."""


def heeded() -> list[signal.Signals]:
    """The signals that are to end this run: under nohup it is not to end with its terminal."""
    always = (signal.SIGINT, signal.SIGTERM)
    return [n for n in ENDINGS if n in always or signal.getsignal(n) is not signal.SIG_IGN]


STOPPED = 130
"""The exit status of a program that a signal has ended."""


def is_command() -> bool:
    """Whether this process is the command itself, and not one that imports the package."""
    words, first = sys.orig_argv, next(iter(getattr(sys, "argv", ())), "")
    if first == "-m":
        # So it is while the package is imported of which a module is to run.
        return ("-m", "scotopic") in itertools.pairwise(words)
    # A process that Python's own package makes knows the words of the first one, but was begun with others.
    return first in words and os.path.splitext(os.path.basename(first))[0] == "scotopic"  # noqa: PTH119, PTH122 - light


def end_at_once() -> None:
    """Heed them while the rest is being imported, which takes its time, and nothing has been begun."""
    for number in heeded():
        signal.signal(number, _end)


def _end(_number: int, _frame: FrameType | None) -> None:
    # Who reads it may have gone.
    with contextlib.suppress(OSError):
        os.write(2, b"stopped; nothing was begun\n")
    os._exit(STOPPED)
