"""New files of folders, taken when they are whole: for cameras that send each picture to the computer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from scotopic.batch import Job, Outcome
from scotopic.disk.files import State, check_there, is_folder, kind_of, stat_of, state_of
from scotopic.errors import ReadError, SettingsError
from scotopic.jobs.layout import Names, find_files, is_result
from scotopic.jobs.past import Entry, is_at, is_made

SETTLED_S = 2.0
"""Seconds without a change after which a file is taken as whole. Where a copy pauses for longer, it is read cut short
or half empty, and once more when it has changed."""

EMPTY_S = 60.0
"""Seconds without a change after which a file of 0 bytes or a link to nowhere is told: a copy may be about to begin."""

LOOK_S = 0.5
"""Seconds between two looks at the folders, at least."""

LOOK_MAX_S = 2.0
"""Seconds between two looks at the folders, at most: so much later a new file may be seen."""

REST = 9.0
"""Pause between two looks over what a look takes, within LOOK_S and LOOK_MAX_S: looking takes a tenth of a core where
it takes no longer than 0.2 s."""


class Watch:
    """The jobs of folders, for ever: an iterator that gives None where nothing is new at the moment.

    Folders are looked through again and again, as notices of changes do not come from network shares. Each file is
    given once, and again when it has changed: one that failed, and one whose result a watch has made and nobody has
    touched since, with the same `settings` (None: no result is ever replaced). What has a result otherwise needs no
    work. `tell` is told of folders that go and come, and of files
    that have changed behind their results. Raises SettingsError for what is no folder.
    """

    def __init__(
        self,
        folders: list[Path],
        names: Names,
        *,
        enhanced: bool,
        settings: dict[str, str] | None = None,
        tell: Callable[[str], None] = lambda _words: None,
    ) -> None:
        for folder in folders:
            check_there(folder, SettingsError, folder=True)
        self._folders, self._names, self._enhanced, self._tell = folders, names, enhanced, tell
        self._settings = settings
        self._away: set[Path] = set()
        """Folders that have vanished."""
        self._jobs: dict[Path, Job] = {}
        self._seen: dict[Path, tuple[State, float]] = {}
        """The state of each source, and since when it is so."""
        self._given: dict[Path, State] = {}
        self._failed: set[Path] = set()
        self._done: set[Path] = set()
        self._hollow: set[Path] = set()
        """Given while nothing was in them: whose photo it will be nobody knows yet."""
        self._ready: list[Job] = []
        self._next_look = float("-inf")

    def __iter__(self) -> Iterator[Job | None]:
        while True:
            began = time.monotonic()
            if not self._ready and began >= self._next_look:
                self._look()
                ended = time.monotonic()
                self._next_look = ended + min(max(LOOK_S, REST * (ended - began)), LOOK_MAX_S)
            yield self._ready.pop(0) if self._ready else None

    def learn(self, line: Entry) -> None:
        """Take up the journal's line of a result, which says what it was made of and how it is."""
        self._names.learn(line | {"settings": self._settings})

    def note(self, outcome: Outcome) -> bool:
        """Take note of what became of a file. False for a failure that says nothing: the file was not whole."""
        source = outcome.job.source
        if outcome.status != "failed":
            self._done.add(source)
            return True
        self._failed.add(source)
        return _state_at(source) == self._given.get(source)

    def _look(self) -> None:
        try:
            found = find_files(self._there())
        except ReadError:
            # Nothing there yet.
            return
        now = time.monotonic()
        for source, base, _ in found:
            state = _state_at(source)
            if state is None or self._is_settled_with(source, state):
                continue
            seen, since = self._seen.get(source, (None, now))
            if seen != state:
                self._seen[source] = (state, now)
            elif now - since >= (EMPTY_S if _is_empty(source) else SETTLED_S):
                self._take(source, base, state)

    def _there(self) -> list[Path]:
        """The folders that are there; those that have vanished or come back are told."""
        for folder in self._folders:
            if is_folder(folder) and folder in self._away:
                self._away.remove(folder)
                self._tell(f"{folder}: is back")
            elif not is_folder(folder) and folder not in self._away:
                self._away.add(folder)
                self._tell(
                    f"{folder}: has vanished (a disk pulled out, a share gone?); going on once it is back"
                )
        return [folder for folder in self._folders if folder not in self._away]

    def _is_settled_with(self, source: Path, state: State) -> bool:
        """Whether a file needs nothing more: it was given as it is, or is at work."""
        given = self._given.get(source)
        if given is None or given == state:
            return given is not None
        return source not in self._failed and source not in self._done

    def _take(self, source: Path, base: Path, state: State) -> None:
        empty = _is_empty(source)
        if empty and source in self._done:
            # As a disk that is pulled out leaves it: once it is back the photo is known by what it was.
            return
        if source in self._done or source in self._hollow or source not in self._jobs:
            # What was done and has changed may be another photo: another card at the same place.
            self._jobs[source] = self._names.job(source, base)
        (self._hollow.add if empty else self._hollow.discard)(source)
        self._given[source] = state
        self._failed.discard(source)
        self._done.discard(source)
        job = self._to_do(self._jobs[source], state) if self._enhanced or not is_result(source) else None
        if job is None:
            self._done.add(source)
        else:
            self._ready.append(job)

    def _to_do(self, job: Job, state: State) -> Job | None:
        """What is to be done with a file: nothing where its result is there, unless the file has changed since."""
        if not is_made(job.target):
            return job
        line = self._names.known_of(job.target)
        if line is None or not is_at(line["file"], job.source) or _is_empty(job.source):
            return None
        if (line.get("size"), line.get("mtime_ns")) == state[:2]:
            return None
        words = f"{job.name}: has changed since {job.target} was made of it"
        result = state_of(job.target)
        same_settings = self._settings is not None and line.get("settings") == self._settings
        if result is None or not same_settings or tuple(line.get("result") or ()) != result:
            self._tell(
                f"{words}; that is kept, as another run or other settings made it, or somebody has changed it since: a "
                "run with --resume --overwrite makes it anew"
            )
            return None
        self._tell(f"{words}; it is made anew")
        return replace(job, replaces=result)


def _state_at(source: Path) -> State | None:
    """What changes when a file does, or when there comes to be one where a link leads."""
    state = state_of(source)
    if state is None:
        with contextlib.suppress(OSError):
            link = source.lstat()
            return link.st_size, link.st_mtime_ns, link.st_ino
    return state


def _is_empty(source: Path) -> bool:
    """Whether nothing is in a file, or nothing where a link leads; pipes and their like are what they are."""
    try:
        return stat_of(source).st_size == 0 and kind_of(source) == "a file"
    except OSError:
        return True
