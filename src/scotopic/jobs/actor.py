"""What runs on the machines of a cluster: one actor, what it greets with, and what it says of each file."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from scotopic.batch import Job, Outcome, Status, failed, treated
from scotopic.disk.files import State, opened, state_of
from scotopic.disk.scratch import sweep
from scotopic.errors import (
    NO_ROOM,
    DiskFullError,
    FileExistsRefusal,
    ModelError,
    NotAllowedError,
    ReadError,
    SettingsError,
    WriteError,
    unwritten,
)
from scotopic.jobs import storage
from scotopic.jobs.storage import RemoteJob
from scotopic.jobs.worker import ModelChoice
from scotopic.settings import Settings
from scotopic.version import __version__

SEEN_S = 5.0
"""Seconds that a network's file system may take until all machines see a new file."""


@dataclass(frozen=True)
class Terms:
    """What a machine has to have in common with the one that started the run."""

    version: str = __version__
    model: str = ""
    """SHA-256 of the model's graph; empty where none is needed."""
    home: Path | None = None
    """The folder of the results, where that is one of the machines' own."""
    mark: str = ""
    """A file in that folder, for the time of the run: a folder of the same name without it is another one."""

    @classmethod
    def of(cls, choice: ModelChoice | None) -> Terms:
        """Those of a run with that model. Raises UnknownModelError where there is none."""
        return cls(model=choice.models().card().sha256 if choice is not None else "")


@contextmanager
def marked(home: Path) -> Iterator[str]:
    """A file in the folder of the results by which machines know it; its name. Raises WriteError."""
    mark = home / f".scotopic-{secrets.token_hex(8)}"
    try:
        mark.touch(exist_ok=False)
    except OSError as error:
        raise unwritten(mark, error, "give another with -o") from error
    try:
        yield mark.name
    finally:
        with contextlib.suppress(OSError):
            mark.unlink()


def seen(path: Path, size: int | None = None) -> bool:
    """Whether a file is there, of that size if one is known, be it that it comes a little later."""
    end = time.monotonic() + SEEN_S
    while True:
        found = state_of(path)
        if found is not None and size in (None, found[0]):
            return True
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
        # That a file was not there is remembered until its folder is opened again.
        with contextlib.suppress(OSError), os.scandir(path.parent):
            pass


@dataclass(frozen=True)
class Greeting:
    """An actor's first words."""

    process: int
    node: str
    """The machine as the cluster calls it."""
    trouble: str = ""
    """Why it cannot take part."""


@dataclass(frozen=True)
class Treated:
    """What became of a file, as `Outcome`."""

    status: Status
    seconds: float
    facts: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    fault: str = ""
    size: int | None = None
    """Bytes of the result, where it is in a folder."""
    denied: Literal["", "read", "write"] = ""
    """What failed was no photo but this machine's way to where photos or results are."""


class Actor:
    """The models, opened once, and files one after the other, overlapping."""

    def __init__(self, settings: Settings, choice: ModelChoice | None, cores: int, terms: Terms) -> None:
        os.environ["OMP_NUM_THREADS"] = str(cores)
        self._settings, self._choice, self._terms, self._turn = settings, choice, terms, Lock()
        self._models = choice.models() if choice is not None else None
        # Where there is no folder for temporary files, each file that needs one will say so.
        with contextlib.suppress(OSError):
            sweep(Path(tempfile.gettempdir()), storage.COPIES)

    def ready(self) -> Greeting:
        """Who it is, and whether it can take part."""
        return Greeting(os.getpid(), _node(), self._trouble())

    def _trouble(self) -> str:
        terms = self._terms
        if terms.version != __version__:
            return f"has scotopic {__version__}, here is {terms.version}; install the same on all machines"
        if self._choice is not None:
            name = self._choice.name or "its own"
            try:
                if self._choice.models().card().sha256 != terms.model:
                    return f"has another model at {name} than is here; copy the same to all machines"
                self._choice.models().check_device()
            except ModelError as error:
                return f"has not the model {name} ({error}); copy it to all machines"
            except SettingsError as error:
                return str(error)
        if terms.home is not None and not seen(terms.home / terms.mark):
            return f"does not see the results' folder, {terms.home}, as it is here; mount it there, too"
        return ""

    def treat(self, job: RemoteJob) -> Treated:
        """Treat one file. Never raises, which would end the actor with its other file."""
        start = time.monotonic()
        denied: Literal["", "read", "write"] = "read"
        size = None
        try:
            with storage.at_hand(job) as (source, target):
                denied = ""
                here = Job(source, target, self._terms.home, _emptied(target) if job.anew else None)
                outcome = treated(here, self._settings, self._models, turn=self._turn)
                if outcome.status == "failed":
                    denied = self._denied(job, here, outcome)
                elif outcome.status == "done" and storage.local_path(job.target) is None:
                    denied = "write"
                    anew = job.anew and not storage.is_made(job.target)
                    storage.bring(target, job.target, overwrite=self._settings.overwrite or anew)
                    denied = ""
                elif outcome.status == "done" and (state := state_of(target)) is not None:
                    size = state[0]
        except Exception as error:
            outcome = failed(Job(Path(job.name), Path(job.target)), _at_storage(error, denied), 0.0, {})
            # OSError: the folder for temporary files, as well.
            if not isinstance(error, ReadError | WriteError | SettingsError | OSError) or isinstance(
                error, FileExistsRefusal
            ):
                denied = ""
        seconds = time.monotonic() - start
        return Treated(outcome.status, seconds, outcome.facts, outcome.error, outcome.fault, size, denied)

    def _denied(self, job: RemoteJob, here: Job, outcome: Outcome) -> Literal["", "read", "write"]:
        """What a file that failed had no way to."""
        if storage.local_path(job.source) is not None:
            try:
                opened(here.source).close()
            except OSError:
                return "read"
        if outcome.fault == DiskFullError.__name__:
            # Elsewhere than in a folder: the machine's own, for temporary files.
            return "write" if storage.local_path(job.target) is None else ""
        if outcome.fault == NotAllowedError.__name__ or not (here.home is None or here.home.is_dir()):
            return "write"
        return ""


def _emptied(target: Path) -> State | None:
    """A result of which nothing is left but the name, as this machine sees it."""
    state = state_of(target)
    return state if state is not None and state[0] == 0 else None


def _at_storage(error: Exception, denied: str) -> Exception:
    """What a storage does not take, as the kind that ends a run when there is no end of it."""
    if denied != "write" or not isinstance(error, WriteError) or isinstance(error, FileExistsRefusal):
        return error
    cause = error.__cause__
    full = isinstance(cause, OSError) and cause.errno in NO_ROOM
    return (DiskFullError if full else NotAllowedError)(str(error))


def _node() -> str:
    ray = sys.modules.get("ray")
    return ray.get_runtime_context().get_node_id() if ray is not None else socket.gethostname()
