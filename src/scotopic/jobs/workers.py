"""Many files by processes of this machine: one that crashes takes its file with it and no other."""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from scotopic.batch import Job, Outcome
from scotopic.cores import usable_cores
from scotopic.disk.files import is_there
from scotopic.errors import ScotopicError, SettingsError
from scotopic.jobs.worker import Message, ModelChoice, Start, Ticket, remove_parts
from scotopic.settings import Settings

_CHILD = (sys.executable, "-P", "-m", "scotopic.jobs.worker")

AT_ONCE = 2
"""Files a process has in hand: one in the network, one being read or written. A third gained 3% in
benchmarks/folder.py on a busy machine, for a tenth more memory."""

TRIES = 2
"""How often a file may be in hand when a process dies. The second time it is alone there, which shows whether it is
to blame: it may have been its neighbour, or memory that ran out for both."""

STARTS = 3
"""Processes that may end before they are ready until no more are started."""

GRACE_S = 10.0
"""Seconds that a process which is told to end may take."""

ANSWER_MAX = 1 << 20
"""Bytes of an answer; a longer one is none."""

PAUSE_S = 0.5
"""Between two looks for new files, where they come one by one."""


@dataclass
class _Try:
    """A file on its way."""

    job: Job
    was_there: bool
    """Whether the file's result was there before the file was first begun."""
    began: float = field(default_factory=time.monotonic)
    deaths: int = 0


class _Process:
    """One worker process and what it has in hand."""

    def __init__(
        self, start: Start, threads: int, events: queue.Queue[tuple[_Process, Message | None]]
    ) -> None:
        self.in_hand: dict[int, _Try] = {}
        self.alone = False
        """It has a file that may be to blame for a crash, and takes no other."""
        self.ready = False
        self.babbles = False
        """Its answers make no sense: it is not itself any more."""
        self.popen = subprocess.Popen(
            _CHILD,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )
        self._send(start)
        self._listener = threading.Thread(target=self._listen, args=(events,), daemon=True)
        self._listener.start()

    def give(self, number: int, one: _Try) -> None:
        """Hand it a file."""
        self.in_hand[number] = one
        self._send(Ticket(number, one.job))

    def _send(self, message: Any) -> None:
        assert self.popen.stdin is not None
        # Where it has died meanwhile, its end is told by what it answers: nothing more.
        with contextlib.suppress(BrokenPipeError):
            pickle.dump(message, self.popen.stdin)
            self.popen.stdin.flush()

    def _listen(self, events: queue.Queue[tuple[_Process, Message | None]]) -> None:
        assert self.popen.stdout is not None
        with self.popen.stdout as answers:
            line = b""
            try:
                while True:
                    line = answers.readline(ANSWER_MAX)
                    events.put((self, Message.parsed(line)))
            except ValueError:
                # The end, which may have cut an answer short, or nonsense.
                if line.endswith(b"\n") or len(line) == ANSWER_MAX:
                    self.babbles = True
            finally:
                # Whatever has ended this thread, nobody waits for more.
                events.put((self, None))

    def end(self, *, now: bool) -> int:
        """End it; `now`: in the middle of what it does. Nothing half-written is left. Gives its exit status."""
        if now:
            self.popen.terminate()
        assert self.popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.popen.stdin.close()
        try:
            status = self.popen.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            status = self.popen.wait()
        remove_parts({self.popen.pid}, {one.job.target.parent for one in self.in_hand.values()})
        return status


class Workers:
    """Worker processes that treat files; a context manager that leaves no process behind.

    `count` processes share the cores. `begin` is told of each file before a process gets it, with the process's
    number. Raises SettingsError for a count below 1.
    """

    def __init__(
        self,
        count: int,
        settings: Settings,
        choice: ModelChoice | None,
        *,
        at_once: int = AT_ONCE,
        progress: Callable[[Job, float], None] = lambda _job, _share: None,
        begin: Callable[[Job, int], None] = lambda _job, _process: None,
    ) -> None:
        if count < 1:
            raise SettingsError(f"{count} workers are too few: give 1 or more")
        self._count, self._at_once = count, at_once
        self._threads = max(1, usable_cores() // count)
        self._start = Start(settings, choice, at_once)
        self._progress, self._begin = progress, begin
        self._events: queue.Queue[tuple[_Process, Message | None]] = queue.Queue()
        self._processes: list[_Process] = []
        self._suspects: deque[_Try] = deque()
        self._number = 0
        self._failed_starts = 0

    def run(self, jobs: Iterable[Job | None]) -> Generator[Outcome]:
        """Treat the files; outcomes come as files end. None among the jobs: no more yet, ask again soon.

        Raises ScotopicError where processes end before they begin, and what `begin` raises.
        """
        source = iter(jobs)
        more = True
        while True:
            self._try_suspects()
            patience: float | None = None
            while more and (process := self._with_room()) is not None:
                try:
                    job = next(source)
                except StopIteration:
                    more = False
                    break
                if job is None:
                    patience = PAUSE_S
                    break
                self._give(process, _Try(job, was_there=os.path.lexists(job.target)))
            busy = any(process.in_hand for process in self._processes)
            if not more and not busy and not self._suspects:
                return
            yield from self._wait(patience)

    def _try_suspects(self) -> None:
        """Give files that may be to blame to processes with nothing else in hand, as far as there are such."""
        while self._suspects:
            process = next((p for p in self._processes if p.ready and not p.in_hand), None)
            if process is None:
                if all(p.ready for p in self._processes):
                    self._start_up_to(min(self._count, len(self._processes) + 1))
                return
            process.alone = True
            self._give(process, self._suspects.popleft())

    def _with_room(self) -> _Process | None:
        """A process that can take another file; a second one only when there is no other to come."""
        free = [p for p in self._processes if p.ready and not p.alone and len(p.in_hand) < self._at_once]
        process = min(free, key=lambda p: len(p.in_hand), default=None)
        if process is not None and not process.in_hand:
            return process
        self._start_up_to(self._count)
        return process if all(p.ready for p in self._processes) else None

    def _start_up_to(self, count: int) -> None:
        while len(self._processes) < count:
            self._processes.append(_Process(self._start, self._threads, self._events))

    def _give(self, process: _Process, one: _Try) -> None:
        self._begin(one.job, process.popen.pid)
        self._number += 1
        process.give(self._number, one)

    def _wait(self, patience: float | None) -> Iterator[Outcome]:
        """What one message of a process means."""
        try:
            process, message = self._events.get(timeout=patience)
        except queue.Empty:
            return
        if process not in self._processes:
            # It is buried: what it said besides counts no more.
            return
        match message:
            case Message(number=None):
                process.ready, self._failed_starts = True, 0
            case Message(number=int(number)) if number not in process.in_hand:
                process.babbles = True
                yield from self._bury(process)
            case Message(number=int(number), ended=None):
                self._progress(process.in_hand[number].job, message.share)
            case Message(number=int(number)):
                job = process.in_hand.pop(number).job
                process.alone = False
                yield message.outcome(job)
            case None:
                yield from self._bury(process)

    def _bury(self, process: _Process) -> Iterator[Outcome]:
        """A process died: what it had in hand is tried once more, alone, or has failed."""
        self._processes.remove(process)
        status = process.end(now=True)
        how, advice = _in_words(status), _advice(status)
        if process.babbles:
            how, advice = "gave answers that make no sense", _DAMAGED
        if not process.ready:
            self._failed_starts += 1
            if self._failed_starts >= STARTS:
                raise ScotopicError(
                    f"worker processes end before they are ready ({how}); see what they said above, or "
                    "try a single file"
                )
            return
        for one in process.in_hand.values():
            one.deaths += 1
            if not one.was_there and is_there(one.job.target):
                # It had just got its name.
                yield Outcome(one.job, "done", time.monotonic() - one.began)
                continue
            if one.deaths < TRIES:
                self._suspects.append(one)
                continue
            words = (
                f"{one.job.source.name}: its process {how}, twice, the second time with this file "
                f"alone; {advice}"
            )
            yield Outcome(one.job, "failed", time.monotonic() - one.began, {}, words)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            if process.in_hand:
                process.popen.terminate()
        for process in self._processes:
            process.end(now=bool(process.in_hand))


def _in_words(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-status).name}"
    return f"was ended by signal {-status}"


def _advice(status: int) -> str:
    if status == -signal.SIGTERM or (hasattr(signal, "SIGKILL") and status == -signal.SIGKILL):
        return "where memory runs out the system does so: give fewer --workers, or close other programs"
    return _DAMAGED


_DAMAGED = "the file is damaged, or a decoder has a fault: copy it from the card again, and report it if it stays so"
