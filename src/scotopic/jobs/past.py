"""Whose the results in a folder are, by the journal of the runs before: two photos may bear one name."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Any

from scotopic.batch import state_of
from scotopic.errors import ScotopicError, WriteError
from scotopic.jobs.journal import read_entries
from scotopic.metadata import read_exif


class Past:
    """What runs before have made.

    A photo is known by where it lies and when it was taken: an editor may have written into it since. One that was
    moved is known by its name, size and time of change.
    """

    def __init__(self, lines: list[dict[str, Any]] | None = None) -> None:
        done = [line for line in lines or () if line.get("status") == "done"]
        self._of_result = {alike(Path(line["output"])): line for line in done}
        self._of_name: dict[str, list[dict[str, Any]]] = {}
        for line in self._of_result.values():
            self._of_name.setdefault(Path(line["file"]).name, []).append(line)

    @classmethod
    def read(cls, journal: Path) -> Past:
        """By a journal; nothing where there is none that can be read."""
        try:
            with journal.open("rb") as file:
                return cls(read_entries(file)[0])
        except (OSError, WriteError):
            return cls()

    def results_of(self, source: Path) -> list[Path]:
        """The results that were made of a photo."""
        lines = self._of_name.get(source.name, ())
        return [Path(line["output"]) for line in lines if is_of(line, source)]

    def is_of_another(self, target: Path, source: Path) -> bool:
        """Whether a result is another photo's than `source`, or its name is to be kept for that.

        Of a result that no journal knows its own EXIF tells.
        """
        line = self._of_result.get(alike(target.absolute()))
        if line is None:
            return (
                target.exists()
                and "" not in (found := (_taken(target), _taken(source)))
                and found[0] != found[1]
            )
        if is_of(line, source):
            return False
        elsewhere = line["file"] != str(source.absolute())
        return target.exists() or (elsewhere and Path(line["file"]).exists())


def is_of(line: dict[str, Any], source: Path, *, unchanged: bool = False) -> bool:
    """Whether a journal's line is of this photo; with `unchanged` only if nothing has been written into it since."""
    state = state_of(source)
    same = state is not None and (line.get("size"), line.get("mtime_ns")) == state[:2]
    if line["file"] != str(source.absolute()):
        return same and Path(line["file"]).name == source.name and not Path(line["file"]).exists()
    if same or unchanged:
        return same
    before = line.get("taken")
    return not before or (_taken(source) or before) == before


def alike(path: Path) -> str:
    """A path as the strictest file systems know it: neither case nor the way an accent is written counts."""
    return unicodedata.normalize("NFC", os.fspath(path).casefold())


def _taken(source: Path) -> str:
    try:
        return read_exif(source).taken
    except (OSError, ScotopicError):
        # Reading it will say why.
        return ""
