"""What the server tells whoever runs it, on standard error."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator

from scotopic.web.job import Job

log = logging.getLogger("scotopic.serve")
"""Faults, and a line a picture."""

_ENDING = re.compile(r"\.[a-z0-9]{1,8}")


@contextlib.contextmanager
def on_standard_error(*, quiet: bool) -> Iterator[None]:
    """Write there what is told, with its time; if `quiet` faults alone."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    log.addHandler(handler)
    log.setLevel(logging.WARNING if quiet else logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)


def line_of(job: Job, size: int) -> str:
    """One line about a job that is over, with the bytes of its upload: not what the picture is called, nor of what.

    >>> from pathlib import Path
    >>> from scotopic.web.choices import Choices
    >>> job = Job("id", "Our wedding.ARW", Path(), Choices(), "192.168.1.5", "failed", seconds=0.41)
    >>> job.error = ("truncated", "Our wedding.ARW: is cut short")
    >>> line_of(job, 24_300_000)
    '192.168.1.5 .arw 24.3 MB: failed (truncated), 0.4 s'
    """
    ending = "." + job.name.rpartition(".")[2].lower()
    shown = ending if _ENDING.fullmatch(ending) and "." in job.name else "no ending"
    outcome = f"failed ({job.error[0]})" if job.error else f"{job.state} ({job.choices.format})"
    took = "" if job.seconds is None else f", {job.seconds:.1f} s"
    return f"{job.client or '?'} {shown} {size / 1e6:.1f} MB: {outcome}{took}"
