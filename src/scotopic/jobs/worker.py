"""A worker process: takes tickets on standard input, treats the files, and answers on standard output.

    python -P -m scotopic.jobs.worker

Both ways go pickled objects: first a `Start`, then `Ticket`s; back come `Ready`, `Share`s and `Ended`s. When
standard input ends, so does the process, and leaves nothing half-written: then its parent is done or dead.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO, Any

from scotopic.batch import Job, Outcome, Settings, treated
from scotopic.models import Tier
from scotopic.run import Models
from scotopic.write import part_names


@dataclass(frozen=True)
class ModelChoice:
    """Which models, as words: what a process opens for itself."""

    name: str | None = None
    tier: Tier = "fast"
    device: str = "auto"

    def models(self) -> Models:
        """The models, none of them opened yet. Raises what `Models` raises."""
        return Models(self.name, tier=self.tier, device=self.device)


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
class Ready:
    """The process is there."""


@dataclass(frozen=True)
class Share:
    """How far the network is with a ticket, 0..1."""

    number: int
    share: float


@dataclass(frozen=True)
class Ended:
    """What became of a ticket."""

    number: int
    outcome: Outcome


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
        self._tell(Ready())
        try:
            while True:
                ticket: Ticket = pickle.load(tickets)
                self._folders.add(ticket.job.target.parent)
                threads.submit(self._work, ticket)
        finally:
            remove_parts(os.getpid(), self._folders)

    def _work(self, ticket: Ticket) -> None:
        def tell(share: float) -> None:
            self._tell(Share(ticket.number, share))

        outcome = treated(ticket.job, self._start.settings, self._models, tell, self._turn)
        self._tell(Ended(ticket.number, outcome))

    def _tell(self, message: Any) -> None:
        with self._voice, contextlib.suppress(BrokenPipeError):
            pickle.dump(message, self._answers)
            self._answers.flush()


def remove_parts(process: int, folders: set[Path]) -> None:
    """Remove what a process that is no more was writing when it ended."""
    for folder in folders:
        with contextlib.suppress(OSError):
            for part in folder.glob(part_names(process)):
                part.unlink(missing_ok=True)


if __name__ == "__main__":
    # Pickles name classes by their module: this one under its own name, not as __main__.
    from scotopic.jobs.worker import main as run

    run()
