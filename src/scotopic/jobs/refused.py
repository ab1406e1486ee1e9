"""When a run over many files ends because its results are not taken any more: one rule for all engines."""

from __future__ import annotations

from pathlib import Path

from scotopic.disk.folders import takes_files
from scotopic.errors import DiskFullError, NotAllowedError, WriteError

IN_A_ROW = 3
"""After so many results that found no room, or no way in, one after the other, a run ends: smaller ones might have
fitted."""


class Refused:
    """Results that were not taken, one after the other."""

    def __init__(self) -> None:
        self._count, self._fault, self._words = 0, "", ""

    def note(self, status: str, fault: str, words: str) -> None:
        """What became of a file: its outcome's status, the error's kind and what that says."""
        if status == "skipped":
            return
        self._count = self._count + 1 if fault in (DiskFullError.__name__, NotAllowedError.__name__) else 0
        self._fault, self._words = fault, words

    def check(self, place: Path | str, *, of_all: bool = True) -> None:
        """Raise WriteError where the run is to end; `place` is where its results go, all of them or not.

        A folder among others that lets nobody write costs its own results alone.
        """
        if self._count < IN_A_ROW:
            return
        if self._fault == DiskFullError.__name__:
            raise WriteError(f"{place}: the disk is full; make room, then go on with --resume")
        if not of_all or (isinstance(place, Path) and takes_files(place)):
            return
        raise WriteError(f"{place}: takes no results ({self._words}); see to it, then go on with --resume")
