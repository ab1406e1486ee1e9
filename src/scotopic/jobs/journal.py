"""The journal of a folder of results: a line for each file begun and each that ended, so that an interrupted run can
go on, and whose a result is stays known.

A file of JSON lines, to which each run adds. The first of a run says with what settings it works; then comes a line
when a file is begun ("started") and one when it has ended ("done", "skipped", "failed"); the last is "finished". Each
line is on the disk before the run goes on: what a line says has happened. A line that a power cut or a full disk tore
is taken away again. While a run works its journal is locked, which keeps a second run from the same results. Where
file systems know no locks a second may write into it all the same: lines are then only added, never taken away.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pickle
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from scotopic.disk.files import is_there, kind_of
from scotopic.disk.folders import check_folder_of
from scotopic.disk.locks import TRIES, is_still, locked
from scotopic.errors import SettingsError, WriteError
from scotopic.models import Card
from scotopic.settings import Settings
from scotopic.version import __version__

NAME = ".scotopic-journal.jsonl"
"""Of a journal in the folder of the results."""

FORMAT = 3

_BEGIN = b'{"scotopic"'
"""Of every journal."""

KNOWN_FORMATS = (1, 2, 3)
"""Of the first, a run with other settings began the journal anew; of the first two, all paths were whole ones."""

_PLACES = ("file", "output")
"""What in a line is a path: one below the journal's folder is relative to it, as that may be moved."""

_NOT_OF_THE_PICTURES = ("overwrite", "skip_existing", "dry_run", "tile", "sandbox")
"""Settings that change no picture."""


def settings_in_words(settings: Settings, card: Card | None) -> dict[str, str]:
    """What a resumed run must have in common with the interrupted one.

    Installed camera profiles do not belong to it: they come and go, and what is done stays as it is.
    """
    words = _in_words(settings)
    if settings.profiles is not None and settings.profiles.asked:
        (profile,) = settings.profiles.known
        digest = hashlib.sha256(pickle.dumps(profile)).hexdigest()[:16]
        words["profile"] = f"{profile.name} ({digest})"
    return words | {"model": f"{card.name} {card.version} {card.sha256[:16]}" if card is not None else ""}


def _in_words(settings: Settings) -> dict[str, str]:
    return {
        field.name: str(getattr(settings, field.name))
        for field in dataclasses.fields(settings)
        if field.name not in (*_NOT_OF_THE_PICTURES, "profiles")
    }


def _filled(words: Any) -> Any:
    """Settings as a journal has them, with those besides that there were not yet when it was written.

    A new setting's default is what was done before; where a default is changed later, what it was has to be said here.
    The model is none of them: another one, or another version, made other pictures.
    """
    return _in_words(Settings()) | words if isinstance(words, dict) else words


def _differing(header: dict[str, Any], settings: dict[str, str]) -> str:
    """How a run's settings differed from these, in words."""
    found = header.get("settings")
    before = found if isinstance(found, dict) else {}
    other = [name for name in sorted({*before, *settings}) if before.get(name) != settings.get(name)]
    return "; ".join(f"{n} was {before.get(n)}, now {settings.get(n)}" for n in other)


class Journal:
    """One run's journal, open and locked; a context manager.

    With `resume`, `ended` has by result the last line of what runs with the same settings ended, `begun` that of what
    an interrupted one had only begun, `otherwise` that of what runs with other settings made last; all are empty for a
    new run. Raises WriteError where the journal cannot be
    written (`otherwise` says what to do then) or another run holds it, SettingsError for a place where no file can be
    and where only runs with other settings were interrupted. A run that an error ends before it has noted anything
    leaves no trace, or without a lock its beginning and its end; nor does one whose journal cannot be begun.
    """

    def __init__(
        self,
        path: Path,
        settings: dict[str, str],
        *,
        resume: bool = False,
        otherwise: str = "give another place with --journal",
    ) -> None:
        self.path = path
        self.ended: dict[str, dict[str, Any]] = {}
        self.begun: dict[str, dict[str, Any]] = {}
        self.otherwise: dict[str, tuple[dict[str, Any], str]] = {}
        """With how the settings differed, in words."""
        self.left: list[dict[str, Any]] = []
        """What runs before had begun when they were killed, whatever their settings, where no other can be at it."""
        self.interrupted = False
        """Whether the last run with these settings did not come to its end."""
        self._file, self._held = self._taken(otherwise)
        self._is_empty = True
        """Whether this run has noted nothing yet."""
        self._length = self._size = os.fstat(self._file.fileno()).st_size
        """What was there before, and what is there now unless another has written, too."""
        try:
            self._begin(settings, resume, otherwise)
        except BaseException:
            with contextlib.suppress(OSError):
                self.forget()
            self._file.close()
            raise

    def _taken(self, otherwise: str) -> tuple[BinaryIO, bool]:
        """The journal, open, and whether it is locked; anew where a run that left nothing took it away meanwhile.

        File systems that know no locks give none; results are never overwritten unasked there either, only work may
        be done twice.
        """
        check_folder_of(self.path)
        for attempt in range(1, TRIES + 1):
            try:
                # A pipe would be waited for, a device keeps nothing.
                if is_there(self.path) and (found := kind_of(self.path)) != "a file":
                    raise SettingsError(f"{self.path}: is {found}, and a journal is a file; {otherwise}")
                # What is written and refused stays in no buffer, to be tried again as the file is closed.
                file = self.path.open("a+b", buffering=0)
            except OSError as error:
                raise WriteError(
                    f"{self.path}: the journal cannot be written ({error.strerror}); {otherwise}"
                ) from error
            try:
                held = locked(file.fileno())
            except BlockingIOError as error:
                file.close()
                raise WriteError(
                    f"{self.path.parent}: another scotopic is at work on these results; wait until it has ended, or "
                    "give another folder with -o"
                ) from error
            if not held or attempt == TRIES or is_still(file.fileno(), self.path):
                break
            file.close()
        return file, held

    def _begin(self, settings: dict[str, str], resume: bool, otherwise: str) -> None:
        settings = _filled(settings)
        entries, rest = read_entries(self._file)
        self._length = self._size = self._file.tell()
        self._read(entries, settings, resume)
        if rest and _entry(rest) is None and self._cut(self._length - len(rest)):
            self._length, rest = self._size, b""
        began = datetime.now(UTC).isoformat(timespec="seconds")
        head = {"scotopic": __version__, "journal": FORMAT, "began": began, "settings": settings}
        self._write(head, f"make room, or {otherwise}", before=b"\n" if rest else b"")

    def _read(self, entries: list[dict[str, Any]], settings: dict[str, str], resume: bool) -> None:
        """What runs before have done."""
        own, alike = False, False
        header: dict[str, Any] = {}
        differing = ""
        in_hand: dict[str, dict[str, Any]] = {}
        """Of one run, by result."""
        unfinished: list[dict[str, Any]] = []
        """Of runs with other settings, how they began; `alike` says whether there was one with the same."""
        others: set[str] = set()
        """Results that a run with other settings had begun, and not ended."""
        for entry in entries:
            in_hand.pop(entry.get("output", ""), None)
            if entry.get("status") == "started":
                in_hand[entry.get("output", "")] = entry
            if "journal" in entry:
                self.left += in_hand.values()
                in_hand = {}
                header = entry
                own = entry["journal"] in KNOWN_FORMATS and entry.get("settings") == settings
                if own:
                    alike = self.interrupted = True
                else:
                    unfinished.append(header)
                    differing = _differing(header, settings)
            elif entry.get("status") == "finished" and own:
                self.interrupted = False
            elif entry.get("status") == "finished":
                done = header.get("settings")
                unfinished = [other for other in unfinished if other.get("settings") != done]
            elif own:
                others.discard(entry.get("output", ""))
                self._take_up(entry)
            else:
                output = entry.get("output", "")
                others.discard(output)
                if entry.get("status") == "started":
                    others.add(output)
                elif entry.get("status") == "done":
                    self._drop(output)
                    self.otherwise[output] = entry, differing
        for output in others:
            self._drop(output)
        self.left = [*self.left, *in_hand.values()] if self._held else []
        if not resume:
            self.begun, self.ended, self.otherwise = {}, {}, {}
        if resume and unfinished and not alike:
            self._refuse(unfinished[-1], settings)

    def _drop(self, output: str) -> None:
        """A result that was made anew with other settings, or may have been."""
        self.begun.pop(output, None)
        self.ended.pop(output, None)

    def _take_up(self, entry: dict[str, Any]) -> None:
        output = entry.get("output", "")
        match entry.get("status"):
            case "started":
                self.begun[output] = entry
            case "done" | "skipped":
                self.begun.pop(output, None)
                self.otherwise.pop(output, None)
                self.ended[output] = entry
            case "failed":
                # A result that is there already is refused, and is no worse for it.
                self.begun.pop(output, None)
                self.ended.setdefault(output, entry)

    def _refuse(self, header: dict[str, Any], settings: dict[str, str]) -> None:
        if header["journal"] not in KNOWN_FORMATS:
            raise SettingsError(
                f"{self.path}: is a journal of scotopic {header.get('scotopic')}, which this one cannot go on with; "
                "leave --resume out"
            )
        raise SettingsError(
            f"the interrupted run had other settings ({_differing(header, settings)}): give the same ones; or leave "
            "--resume out to start anew, with another folder (-o), or with --overwrite for the results that are there"
        )

    def note(self, status: str, file: str, output: str, **facts: Any) -> None:
        """Write what happened to a file. Raises WriteError where the disk refuses."""
        self._write({"status": status, "file": file, "output": output, **facts})
        self._is_empty = False

    def end(self, done: int) -> None:
        """The run came to its end, and so many results are there. Of none no line stays."""
        if done or not self.forget():
            self.finish()

    def finish(self) -> None:
        """Say that the run came to its end."""
        self._write({"status": "finished"})
        self._is_empty = False

    def forget(self) -> bool:
        """Leave no trace of a run that left nothing, and say whether none is left."""
        # Not twice: another run may begin at the same place.
        self._is_empty = False
        if not self._cut(self._length):
            return False
        if not self._length:
            self.path.unlink(missing_ok=True)
        return True

    def _cut(self, length: int) -> bool:
        """Take away what lies behind that, and say whether it is gone. Not where another run may have written it: one
        that waits for no lock, or whose lines are there."""
        if not self._held or os.fstat(self._file.fileno()).st_size != self._size:
            return False
        if length < self._size:
            self._file.truncate(length)
            self._size = length
        return True

    def _write(
        self,
        entry: dict[str, Any],
        otherwise: str = "what is finished is kept: make room, then go on with --resume",
        before: bytes = b"",
    ) -> None:
        """Add a line, behind what is to come `before` it; nothing of one that cannot be written whole."""
        begun_at = self._size
        left = memoryview(before + json.dumps(self._relative(entry)).encode("ascii") + b"\n")
        try:
            while left:
                written = self._file.write(left)
                self._size += written
                left = left[written:]
            os.fsync(self._file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                self._cut(begun_at)
            raise WriteError(
                f"{self.path}: the journal cannot be written ({error.strerror}); {otherwise}"
            ) from error

    def _relative(self, entry: dict[str, Any]) -> dict[str, Any]:
        """A line whose paths hold where the folder is moved; a journal that the user put elsewhere moves alone."""
        if self.path.name != NAME:
            return entry
        above = os.path.join(_folder_of(self.path), "")  # noqa: PTH118
        kept = {name: entry[name] for name in _PLACES if entry.get(name, "").startswith(above)}
        return entry | {name: Path(path[len(above) :]).as_posix() for name, path in kept.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError, WriteError):
            if error is not None and self._is_empty and not self.forget():
                # No cluster, no memory for a process: nothing was begun that one could go on with.
                self.finish()
        with contextlib.suppress(OSError):
            self._file.close()


def read_entries(file: BinaryIO) -> tuple[list[dict[str, Any]], bytes]:
    """The lines of an open journal that are whole, their paths and settings too, and the last as it is where nothing
    ends it.

    Raises WriteError for no journal.
    """
    file.seek(0)
    begin = file.read(len(_BEGIN))
    if begin != _BEGIN[: len(begin)]:
        raise WriteError(
            f"{file.name}: is no journal of scotopic, and is kept; give another place with --journal"
        )
    content = begin + file.read()
    entries = []
    folder = _folder_of(Path(file.name))
    for line in content.splitlines():
        entry = _entry(line)
        if entry is not None and "settings" in entry:
            entry["settings"] = _filled(entry["settings"])
        if entry is not None:
            entries.append(entry | {name: _whole(entry[name], folder) for name in _PLACES if name in entry})
    return entries, content[content.rfind(b"\n") + 1 :]


def _entry(line: bytes) -> dict[str, Any] | None:
    """What a line says; None for one that is not whole."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    sound = isinstance(entry, dict) and all(isinstance(entry.get(name, ""), str) for name in _PLACES)
    return entry if sound else None


def _whole(place: str, folder: str) -> str:
    """A line's path or address; whole ones stay as they are."""
    return place if "://" in place else os.path.normpath(os.path.join(folder, place))  # noqa: PTH118


def _folder_of(journal: Path) -> str:
    return os.path.abspath(journal.parent)  # noqa: PTH100 - `resolve` would follow links
