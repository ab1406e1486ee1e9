"""New files of folders, taken when they are whole: for cameras that send each picture to the computer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from scotopic.batch import Job, Outcome, State, state_of
from scotopic.errors import ReadError, SettingsError
from scotopic.files import is_folder
from scotopic.jobs.layout import Names, find_files, is_result

SETTLED_S = 2.0
"""A file that has not changed for so long is taken as whole. Where a copy pauses for longer, reading finds it cut
short, and it is tried again once it has grown."""

LOOK_S = 0.5
"""Between two looks at the folders."""


class Watch:
    """The jobs of folders, for ever: an iterator that gives None where nothing is new at the moment.

    Folders are looked through again and again, as notices of changes do not come from network shares. Each file is
    given once; one that failed is given again when it has changed. `is_done` tells what needs no work, by the
    job. Raises SettingsError for what is no folder.
    """

    def __init__(
        self, folders: list[Path], names: Names, is_done: Callable[[Job], bool], *, enhanced: bool
    ) -> None:
        for folder in folders:
            if not is_folder(folder):
                raise SettingsError(f"{folder}: only folders can be watched")
        self._folders, self._names, self._is_done, self._enhanced = folders, names, is_done, enhanced
        self._jobs: dict[Path, Job] = {}
        self._seen: dict[Path, tuple[State, float]] = {}
        """By source its state and since when it is so."""
        self._given: dict[Path, State] = {}
        self._failed: set[Path] = set()
        self._done: set[Path] = set()
        self._ready: list[Job] = []
        self._looked = float("-inf")

    def __iter__(self) -> Iterator[Job | None]:
        while True:
            if not self._ready and time.monotonic() - self._looked >= LOOK_S:
                self._look()
                self._looked = time.monotonic()
            yield self._ready.pop(0) if self._ready else None

    def note(self, outcome: Outcome) -> bool:
        """Take note of what became of a file. False for a failure that says nothing: the file was not whole."""
        source = outcome.job.source
        if outcome.status != "failed":
            if outcome.status == "done":
                self._names.note(outcome.job)
            self._done.add(source)
            return True
        self._failed.add(source)
        return state_of(source) == self._given.get(source)

    def _look(self) -> None:
        try:
            found = find_files(self._folders)
        except ReadError:
            # Nothing there yet.
            return
        now = time.monotonic()
        for source, base in found:
            state = state_of(source)
            if state is None or self._is_settled_with(source, state):
                continue
            seen, since = self._seen.get(source, (None, now))
            if seen != state:
                self._seen[source] = (state, now)
            elif now - since >= SETTLED_S and state[0] > 0:
                self._take(source, base, state)

    def _is_settled_with(self, source: Path, state: State) -> bool:
        """Whether a file needs nothing more: it was given as it is, or is at work."""
        given = self._given.get(source)
        return given is not None and (given == state or source not in self._failed | self._done)

    def _take(self, source: Path, base: Path, state: State) -> None:
        if source in self._done or source not in self._jobs:
            # What was done and has changed may be another photo: another card at the same place.
            self._jobs[source] = self._names.job(source, base)
        job = self._jobs[source]
        self._given[source] = state
        self._failed.discard(source)
        self._done.discard(source)
        if (self._enhanced or not is_result(source)) and not self._is_done(job):
            self._ready.append(job)
        else:
            self._done.add(source)
