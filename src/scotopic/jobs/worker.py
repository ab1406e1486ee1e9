"""A worker process: takes tickets on standard input, treats the files, and answers on standard output.

    python -P -m scotopic.jobs.worker

In go pickled objects: first a `Start`, then `Ticket`s. Back come lines of JSON (`Message`): a
process that a hostile file has taken over can say no more than what became of a file. When standard input ends, so
does the process, and leaves nothing half-written: then its parent is done or dead.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import platform
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock
from typing import IO, Any, get_args

from scotopic.batch import Job, Outcome, Status, treated
from scotopic.models import Tier, is_packaged
from scotopic.run import Models
from scotopic.settings import Settings
from scotopic.write import PARTS, process_of


@dataclass(frozen=True)
class ModelChoice:
    """Which models, as words: what a process opens for itself."""

    name: str | None = None
    tier: Tier = "fast"
    device: str = "auto"

    def models(self) -> Models:
        """The models, none of them opened yet. Raises what `Models` raises."""
        return Models(self.name, tier=self.tier, device=self.device)

    def everywhere(self) -> ModelChoice:
        """This choice with an absolute path, for processes in other folders. Raises UnknownModelError."""
        if self.name is None or is_packaged(self.models().card()):
            return self
        return replace(self, name=str(Path(self.name).absolute()))


@dataclass(frozen=True)
class Start:
    """What all tickets have in common."""

    settings: Settings
    choice: ModelChoice | None
    """None for the traditional way."""
    at_once: int
    """Files in hand: one is in the network while the others are read or written."""


@dataclass(frozen=True)
class Ticket:
    """One job to do."""

    number: int
    job: Job


@dataclass(frozen=True)
class Message:
    """What a process says: that it is ready (no ticket), how far a ticket is, or what became of it."""

    number: int | None = None
    share: float = 0.0
    """How far the network is, 0..1."""
    ended: dict[str, Any] | None = None
    """The fields of an `Outcome` but its job, which the parent knows."""

    def line(self) -> bytes:
        """As it goes through the pipe."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def parsed(cls, line: bytes) -> Message:
        """The inverse of `line`. Raises ValueError for anything else, a line cut short included."""
        try:
            values = json.loads(line)
        except RecursionError as error:
            raise ValueError("no answer of a worker") from error
        if not line.endswith(b"\n") or not isinstance(values, dict) or values.keys() != _FIELDS:
            raise ValueError("no answer of a worker")
        number, share, ended = values["number"], values["share"], values["ended"]
        sound = isinstance(number, int | None) and isinstance(share, float | int) and 0 <= share <= 1
        if not sound:
            raise ValueError("no answer of a worker")
        if ended is not None and not _is_ended(ended):
            raise ValueError("no outcome of a worker")
        return cls(number, float(share), ended)

    def outcome(self, job: Job) -> Outcome:
        """What became of the job."""
        assert self.ended is not None
        return Outcome(job, **self.ended)


_FIELDS = {"number", "share", "ended"}
_OUTCOME = {"status": str, "seconds": float, "facts": dict, "error": str, "fault": str}


def _is_ended(ended: object) -> bool:
    return (
        isinstance(ended, dict)
        and ended.keys() == _OUTCOME.keys()
        and all(isinstance(ended[name], kind) for name, kind in _OUTCOME.items())
        and ended["status"] in get_args(Status)
    )


def main() -> None:
    """Work until standard input ends."""
    # A terminal's Ctrl-C and hang-up reach all its processes: the parent decides what they mean.
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    # Whatever a library prints must not end among the answers.
    os.dup2(2, 1)
    tickets = sys.stdin.buffer
    try:
        start: Start = pickle.load(tickets)
        _Desk(start, answers).serve(tickets)
    except (EOFError, BrokenPipeError):
        pass
    # No waiting for threads in the middle of a picture that nobody awaits.
    os._exit(0)


class _Desk:
    """Hands tickets to threads and their answers to the parent."""

    def __init__(self, start: Start, answers: IO[bytes]) -> None:
        self._start, self._answers = start, answers
        self._models = start.choice.models() if start.choice is not None else None
        self._turn, self._voice = Lock(), Lock()
        self._folders: set[Path] = set()

    def serve(self, tickets: IO[bytes]) -> None:
        threads = ThreadPoolExecutor(self._start.at_once)
        self._tell(Message())
        try:
            while True:
                ticket: Ticket = pickle.load(tickets)
                self._folders.add(ticket.job.target.parent)
                threads.submit(self._work, ticket)
        finally:
            remove_parts({os.getpid()}, self._folders)

    def _work(self, ticket: Ticket) -> None:
        def tell(share: float) -> None:
            self._tell(Message(ticket.number, share))

        outcome = treated(ticket.job, self._start.settings, self._models, tell, self._turn)
        ended = {name: getattr(outcome, name) for name in _OUTCOME}
        self._tell(Message(ticket.number, 1.0, ended))

    def _tell(self, answer: Message) -> None:
        with self._voice, contextlib.suppress(BrokenPipeError):
            self._answers.write(answer.line())
            self._answers.flush()


def remove_parts(processes: set[int], folders: set[Path]) -> None:
    """Remove what processes that are no more were writing when they ended."""
    for folder in folders if processes else ():
        with contextlib.suppress(OSError):
            for part in folder.glob(PARTS):
                if process_of(part.name) in processes:
                    part.unlink(missing_ok=True)


def host() -> str:
    """Where numbers of processes mean what they mean here: this machine, and on it this container.

    Containers may bear one host's name, and each counts its processes anew.
    """
    words = [platform.node()]
    with contextlib.suppress(OSError):
        words.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(words)


def is_alive(process: int) -> bool:
    """Whether another process of this `host` has that number, be it one that was given it later.

    Windows is not asked: there nobody removes what a process has open.
    """
    if sys.platform == "win32" or process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        # Another user's; or no number of a process.
        return True
    return True


if __name__ == "__main__":
    # Pickles name classes by their module: this one under its own name, not as __main__.
    from scotopic.jobs.worker import main as run

    run()
