"""Whose the results in a folder are, by the journal of the runs before: two photos may bear one name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from scotopic.disk.files import State, alike, is_there, opened, state_of
from scotopic.errors import WriteError
from scotopic.jobs.journal import read_entries
from scotopic.metadata import Exif, read_tags

Entry = dict[str, Any]


@dataclass(frozen=True)
class Photo:
    """A photo as journals know it: by its path, or by its address where it lies elsewhere."""

    file: str
    path: Path | None = None
    """Where it lies on this machine; None for one elsewhere."""
    mark: str = ""
    """What changes when the photo does, of one elsewhere: its storage's word for its state."""

    @classmethod
    def at(cls, path: Path) -> Self:
        """A photo of this machine."""
        return cls(absolute(path), path)

    @property
    def name(self) -> str:
        """Without folders."""
        return self.path.name if self.path is not None else self.file.rpartition("/")[2]

    def state(self) -> Entry:
        """As journals know what the photo is now."""
        return {"state": self.mark} if self.path is None else state_in_line(state_of(self.path))

    def is_at(self, line: Entry) -> bool:
        """Whether a journal's line is of a photo at the place of this one."""
        return bool(line["file"] == self.file) if self.path is None else is_at(line["file"], self.path)

    def is_of(self, line: Entry) -> bool:
        """Whether a journal's line is of this photo, which is as it was then."""
        if self.path is None:
            return self.is_at(line) and line.get("state") == self.mark
        return is_of(line, self.path)


class Past:
    """What runs before have made, and what this one makes.

    A photo is known by where it lies and when it was taken: an editor may have written into it since. One that was
    moved is known by its name, size and time of change. Where nothing tells, it is another photo, so that none is
    passed by. Elsewhere than on this machine no file is looked into: there a photo is known by its address alone.
    """

    def __init__(self, lines: list[Entry] | None = None) -> None:
        self._of_result: dict[str, Entry] = {}
        self._of_name: dict[str, list[Entry]] = {}
        self._exif: dict[tuple[Path, Any], Exif] = {}
        begun: dict[str, Entry] = {}
        for line in lines or ():
            if "file" not in line or "output" not in line:
                continue
            begun.pop(line["output"], None)
            if line.get("status") == "done":
                self.add(line)
            elif line.get("status") == "started" and not line.get("was_there", True):
                begun[line["output"]] = line
        # A run that was killed may have made its results, and nobody else has.
        for line in begun.values():
            self.add(line)

    @classmethod
    def read(cls, journal: Path) -> Past:
        """What a journal tells; nothing where none can be read. Each entry gets the settings of its run."""
        try:
            with opened(journal) as file:
                entries, _ = read_entries(file)
        except (OSError, WriteError):
            return cls()
        settings: Any = None
        for entry in entries:
            settings = entry.get("settings") if "journal" in entry else settings
            entry["settings"] = settings
        return cls(entries)

    def add(self, line: Entry) -> None:
        """Take up a journal's line of a result."""
        self._of_result[alike(line["output"])] = line
        self._of_name.setdefault(_name(line["file"]), []).append(line)

    def results_of(self, photo: Photo) -> list[str]:
        """The results that were made of a photo, as journals know them."""
        lines = self._of_name.get(photo.name, ())
        mine = (line for line in lines if self._of_result.get(alike(line["output"])) is line)
        return [line["output"] for line in mine if self._is_of(line, photo)]

    def line_of_result(self, target: str) -> Entry | None:
        """What is known of a result."""
        return self._of_result.get(alike(target))

    def is_of_another(self, target: str, photo: Photo) -> bool:
        """Whether a result is another photo's than `photo`, or its name is to be kept for that.

        Of a result that no journal knows its own EXIF tells; where that says nothing, it is taken for this photo's.
        """
        line = self.line_of_result(target)
        if line is None:
            return os.path.lexists(target) and photo.path is not None and self._differ(target, photo.path)
        if self._is_of(line, photo):
            return False
        # Whether something is there still is not asked of a storage elsewhere: a name more is no harm.
        if is_elsewhere(target) or os.path.lexists(target):
            return True
        return not photo.is_at(line) and (is_elsewhere(line["file"]) or is_there(line["file"]))

    def _is_of(self, line: Entry, photo: Photo) -> bool:
        """Whether a line is of this photo, be it that something has been written into it since."""
        if photo.is_of(line):
            return True
        if not photo.is_at(line):
            return False
        if photo.path is None:
            return True
        now = self._tags(photo.path).taken
        before = line.get("taken") or self._tags(Path(line["output"])).taken
        return bool(now) and now == before

    def _differ(self, result: str, source: Path) -> bool:
        made, photo = (
            (tags.taken, *tags.camera) for tags in (self._tags(Path(result)), self._tags(source))
        )
        return any("" not in both and both[0] != both[1] for both in zip(made, photo, strict=True))

    def _tags(self, path: Path) -> Exif:
        key = (path, state_of(path))
        if key not in self._exif:
            self._exif[key] = read_tags(path) or Exif()
        return self._exif[key]


def is_of(line: Entry, source: Path) -> bool:
    """Whether a journal's line is of this photo, which is as it was then, at its place or moved from there."""
    state = state_of(source)
    if state is None or (line.get("size"), line.get("mtime_ns")) != state[:2]:
        return False
    file = line["file"]
    moved = _name(file) == source.name and not is_there(file)
    return moved or is_at(file, source)


def is_at(file: str, source: Path) -> bool:
    """Whether a journal's path is that of a photo, be it that a folder above is reached through a link."""
    here = absolute(source)
    if file == here or _name(file) != source.name:
        return file == here
    return os.path.realpath(os.path.dirname(file)) == os.path.realpath(source.parent)  # noqa: PTH120


def _name(file: str) -> str:
    return file.rpartition(os.sep)[2]


def is_made(target: Path) -> bool:
    """Whether a result is there. One of 0 bytes is none: a power cut may leave such."""
    state = state_of(target)
    return state is not None and state[0] > 0


def line_of(status: str, source: Path, target: Path, state: State | None) -> Entry:
    """What a journal says of a photo that was as `state` says."""
    return {"status": status, "file": absolute(source), "output": absolute(target), **state_in_line(state)}


def state_in_line(state: State | None) -> dict[str, int]:
    """As journals know what a source is."""
    return {"size": state[0], "mtime_ns": state[1]} if state is not None else {}


def taken(source: Path, state: State | None, when: str | None = None) -> dict[str, str]:
    """When a photo was taken; nothing where it is no longer as it was: another may lie there now.

    `when` is what its decoder has told; None: its EXIF is read.
    """
    if when is None:
        when = (read_tags(source) or Exif()).taken
    return {"taken": when} if state is not None and state_of(source) == state else {}


def is_elsewhere(place: str) -> bool:
    """Whether a journal knows a place by its address, as it is not on this machine."""
    return "://" in place


def absolute(path: Path) -> str:
    """As journals know a path."""
    return os.path.abspath(path)  # noqa: PTH100 - `resolve` would follow links
