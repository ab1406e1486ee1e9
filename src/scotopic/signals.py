"""The signals that end a program in order."""

from __future__ import annotations

import signal

ENDINGS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Ctrl-C, a friendly kill, a terminal that was closed; Windows has no last one."""


def heeded() -> list[signal.Signals]:
    """Those of them that are to end this run: under nohup it is not to end with its terminal."""
    always = (signal.SIGINT, signal.SIGTERM)
    return [n for n in ENDINGS if n in always or signal.getsignal(n) is not signal.SIG_IGN]
