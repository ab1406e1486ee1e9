"""The journal of a run: a line for each file begun and each that ended, so that an interrupted run can go on.

A file of JSON lines. The first says with what settings the run works; then comes a line when a file is begun
("started") and one when it has ended ("done", "skipped", "failed"); the last is "finished". Each line is on the disk
before the run goes on: what a line says has happened. A line that a power cut tore is passed by.
While a run works its journal is locked, which keeps a second run from the same results.
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
from typing import Any, Self

from scotopic.batch import Settings
from scotopic.errors import SettingsError, WriteError
from scotopic.models import Card
from scotopic.version import __version__

NAME = ".scotopic-journal.jsonl"
"""Of a journal in the folder of the results."""

FORMAT = 1

_NOT_OF_THE_PICTURES = ("overwrite", "skip_existing", "dry_run", "tile", "sandbox")
"""Settings that change no picture."""


def settings_in_words(settings: Settings, card: Card | None) -> dict[str, str]:
    """What a resumed run must have in common with the interrupted one."""
    words = {
        field.name: str(getattr(settings, field.name))
        for field in dataclasses.fields(settings)
        # A quality is the API's to choose, which keeps no journal.
        if field.name not in (*_NOT_OF_THE_PICTURES, "profiles", "quality")
    }
    if settings.profiles is not None:
        words["profiles"] = hashlib.sha256(pickle.dumps(settings.profiles)).hexdigest()[:16]
    return words | {"model": f"{card.name} {card.version} {card.sha256[:16]}" if card is not None else ""}


class Journal:
    """One run's journal, open and locked; a context manager.

    Without `resume` the journal begins anew, but for what is done with the same settings. `ended` has by file the last
    line of what an interrupted run ended, `begun` that of what it had only begun; both are empty for a new run. Raises
    WriteError where the journal cannot be written or another run holds it, SettingsError where the interrupted run had
    other settings.
    """

    def __init__(self, path: Path, settings: dict[str, str], *, resume: bool = False) -> None:
        self.path = path
        self.ended: dict[str, dict[str, Any]] = {}
        self.begun: dict[str, dict[str, Any]] = {}
        self.interrupted = False
        """Whether there was a journal of a run that did not come to its end."""
        self._kept: list[dict[str, Any]] = []
        """What runs before have done with these settings: a later `resume` is to know of it."""
        try:
            self._file = path.open("a+b")
        except OSError as error:
            raise WriteError(
                f"{path}: the journal cannot be written ({error.strerror}); give another place with --journal"
            ) from error
        try:
            self._take()
            self._begin(settings, resume)
        except BaseException:
            self._file.close()
            raise

    def _take(self) -> None:
        try:
            _lock(self._file.fileno())
        except BlockingIOError as error:
            raise WriteError(
                f"{self.path.parent}: another scotopic is at work on these results; wait until it has ended, or "
                "give another folder with -o"
            ) from error

    def _begin(self, settings: dict[str, str], resume: bool) -> None:
        lines = self._lines()
        header = lines[0] if lines and "journal" in lines[0] else {}
        self.interrupted = bool(header) and lines[-1].get("status") != "finished"
        if header and resume:
            self._check(header, settings)
            for line in lines[1:]:
                match line.get("status"):
                    case "started":
                        self.begun[line["file"]] = line
                    case "done" | "skipped":
                        self.begun.pop(line["file"], None)
                        self.ended[line["file"]] = line
                    case "failed":
                        # A result that is there already is refused, and is no worse for it.
                        self.begun.pop(line["file"], None)
                        self.ended.setdefault(line["file"], line)
        else:
            if header and header["journal"] == FORMAT and header.get("settings") == settings:
                self._kept = [line for line in lines[1:] if line.get("status") == "done"]
            self._file.truncate(0)
        began = datetime.now(UTC).isoformat(timespec="seconds")
        self._write(
            {"scotopic": __version__, "journal": FORMAT, "began": began, "settings": settings}, *self._kept
        )

    def _lines(self) -> list[dict[str, Any]]:
        self._file.seek(0)
        lines: list[dict[str, Any]] = []
        content = self._file.read()
        for line in content.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                lines.append(entry)
        if content and not content.endswith(b"\n"):
            self._file.write(b"\n")
        return lines

    def _check(self, header: dict[str, Any], settings: dict[str, str]) -> None:
        if header["journal"] != FORMAT:
            raise SettingsError(
                f"{self.path}: is a journal of scotopic {header.get('scotopic')}, which this one cannot go on with; "
                "leave --resume out"
            )
        before = header.get("settings", {})
        other = [name for name in sorted({*before, *settings}) if before.get(name) != settings.get(name)]
        if other:
            words = "; ".join(f"{n} was {before.get(n)}, now {settings.get(n)}" for n in other)
            raise SettingsError(
                f"the interrupted run had other settings ({words}): give the same ones, or leave --resume out to "
                "start anew"
            )

    def note(self, status: str, file: str, output: str, **facts: Any) -> None:
        """Write what happened to a file. Raises WriteError where the disk refuses."""
        self._write({"status": status, "file": file, "output": output, **facts})

    def finish(self) -> None:
        """Say that the run came to its end."""
        self._write({"status": "finished"})

    def forget(self) -> None:
        """Remove the journal of a run that left nothing, unless runs before it did."""
        if self._kept:
            self.finish()
        else:
            self.path.unlink(missing_ok=True)

    def _write(self, *entries: dict[str, Any]) -> None:
        try:
            self._file.write(b"".join(json.dumps(entry).encode("ascii") + b"\n" for entry in entries))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise WriteError(
                f"{self.path}: the journal cannot be written ({error.strerror}); what is finished is kept: make "
                "room, then go on with --resume"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A full disk has been told of when the line was written.
        with contextlib.suppress(OSError):
            self._file.close()


def _lock(handle: int) -> None:
    """Lock an open file for as long as it is open. Raises BlockingIOError where another process holds it.

    File systems that know no locks (some network shares) give none; results are never overwritten unasked there
    either, only work may be done twice.
    """
    try:
        import fcntl
    except ImportError:
        _lock_on_windows(handle)
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        pass


def _lock_on_windows(handle: int) -> None:
    import msvcrt

    os.lseek(handle, 1 << 30, os.SEEK_SET)  # a byte that nobody reads
    try:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError as error:
        raise BlockingIOError from error
