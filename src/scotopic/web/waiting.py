"""The line of pictures that wait for the computer: one is worked on at a time, a few wait, few are kept."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from scotopic.web.choices import Choices
from scotopic.web.job import GoneError, Job, LineFullError, NoRoomError, State, leave_alone, size_of
from scotopic.web.limits import Limits
from scotopic.web.log import line_of, log
from scotopic.web.sender import sender_of
from scotopic.web.work import StartError, Task, Worker
from scotopic.web.workplace import private

_SWEEP_S = 60.0
"""How often what is too old is looked for where nobody asks."""


class WaitingLine:
    """All jobs. Everything here runs in the server's one event loop."""

    def __init__(
        self, folder: Path, worker: Worker, limits: Limits, hold: Callable[[], None] = lambda: None
    ) -> None:
        """`hold` is called now and then, and before a picture comes, to see that the folder is there still."""
        self.limits = limits
        self._folder, self._worker, self._hold = folder, worker, hold
        self._jobs: dict[str, Job] = {}
        self._waiting: list[Job] = []
        self._running: Job | None = None
        self._arriving: set[Job] = set()
        self._stir = asyncio.Event()
        self._closing = False

    @property
    def running(self) -> int:
        """Pictures in work: 0 or 1."""
        return int(self._running is not None)

    @property
    def waiting(self) -> int:
        """Pictures that wait or are being sent."""
        return len(self._waiting) + len(self._arriving)

    def find(self, id: str) -> Job:
        """The job of that name. Raises GoneError."""
        job = self._jobs.get(id)
        if job is not None and self._is_old(job):
            self._forget(job)
            job = None
        if job is None:
            raise GoneError("there is no such picture here, or it was forgotten: send it again")
        job.used_at = time.monotonic()
        return job

    def position(self, job: Job) -> int:
        """The place in the line, from 1; 0 for what runs or is over."""
        return self._waiting.index(job) + 1 if job in self._waiting else 0

    @contextlib.contextmanager
    def place(self, name: str, choices: Choices, client: str = "") -> Iterator[Job]:
        """A place in the line for a picture still to come from that address: its source lies there on leaving.

        Whatever goes wrong meanwhile, nothing is left. Raises LineFullError, NoRoomError.
        """
        if self._closing or self.waiting >= self.limits.waiting:
            raise LineFullError(
                f"{self.waiting} pictures wait already, which is all this computer takes: try again in a minute"
            )
        sender = sender_of(client)
        sending = sum(sender_of(job.client) == sender for job in self._arriving)
        if sender and sending >= self.limits.sender_share * self.limits.waiting:
            raise LineFullError(f"{sending} pictures come from you already: send one after the other")
        id = secrets.token_urlsafe(16)
        job = Job(id, name, self._folder / id, choices, client)
        try:
            self._hold()
            private(job.folder)
        except OSError as error:
            raise NoRoomError.by(error) from error
        self._arriving.add(job)
        try:
            yield job
            self._jobs[id] = job
            self._waiting.append(job)
            self._stir.set()
        except BaseException:
            shutil.rmtree(job.folder, ignore_errors=True)
            raise
        finally:
            self._arriving.remove(job)

    def again(self, earlier: Job, choices: Choices, client: str = "") -> Job:
        """A new job for an earlier one's picture, with other choices. Raises LineFullError, NoRoomError, GoneError."""
        if not earlier.source.exists():
            raise GoneError("the picture was forgotten: send it again")
        with self.place(earlier.name, choices, client) as job:
            try:
                os.link(earlier.source, job.source)
            except OSError:
                self._copied(earlier, job)
        return job

    def _copied(self, earlier: Job, job: Job) -> None:
        try:
            self.make_room(earlier.source.stat().st_size)
            shutil.copyfile(earlier.source, job.source)
        except FileNotFoundError as error:
            raise GoneError("the picture was forgotten: send it again") from error
        except OSError as error:
            raise NoRoomError.by(error) from error

    async def drop(self, job: Job) -> None:
        """Cancel what is not over, and forget the job and its files."""
        if job in self._waiting:
            self._waiting.remove(job)
            self._end(job, "cancelled")
            self._stand_closer()
        elif job is self._running:
            self._end(job, "cancelled")
            await self._worker.stop()
        self._forget(job)

    async def changes(self, job: Job) -> AsyncIterator[Job | None]:
        """The job now and after each change, until it is over; None now and then, to keep a connection."""
        while True:
            changed = job.changed
            yield job
            if job.is_over:
                return
            while not changed.is_set():
                try:
                    async with asyncio.timeout(10):
                        await changed.wait()
                except TimeoutError:
                    yield None

    async def run(self) -> None:
        """Work through the line, for as long as the server lives, whatever becomes of a picture."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SWEEP_S):
                    await self._stir.wait()
            self._stir.clear()
            self._tidy()
            while self._waiting:
                job = self._running = self._waiting.pop(0)
                try:
                    await self._work(job)
                except StartError as error:
                    log.error("%s", error)
                    self._fail(job, "internal", f"{job.name}: {error}")
                except Exception:
                    log.exception(
                        "a fault in scotopic, please report it; the next picture is not concerned"
                    )
                    # What it still tells of this picture must not be taken for the next one's.
                    await self._worker.stop()
                    self._fail(job, "internal", f"{job.name}: a fault in scotopic; please report it")
                finally:
                    self._running = None
                self._tidy()

    def _tidy(self) -> None:
        """Forget what is too old; the line goes on even where that cannot be done."""
        try:
            self._hold()
            self._forget_old()
        except OSError as error:
            log.error("the folder for pictures cannot be used (%s)", error)
        except Exception:
            log.exception("a fault in scotopic, please report it; old pictures are looked for again later")

    async def close(self) -> None:
        """Cancel everything: the server stops."""
        self._closing = True
        for job in self._arriving:
            if job.patience is not None:
                job.patience.reschedule(asyncio.get_running_loop().time())
        for job in [*self._waiting, *([self._running] if self._running else [])]:
            self._end(job, "cancelled")
        self._waiting.clear()
        await self._worker.stop()

    async def _work(self, job: Job) -> None:
        began = time.monotonic()
        self._tell(job, state="running", stage="read")
        self._stand_closer()
        outcome: dict[str, Any] = {}
        self.make_room(self.limits.result_times * size_of(job.folder))
        task = Task(job.source, job.result, job.choices.model_dump())
        async for message in self._worker.work(task):
            if job.state != "running":
                continue
            if "status" in message:
                outcome = message
            else:
                self._tell(job, **message)
        if job.state != "running":
            # Cancelled: the files may have been removed while the process still wrote.
            shutil.rmtree(job.folder, ignore_errors=True)
            return
        job.seconds = round(time.monotonic() - began, 3)
        job.facts = outcome.get("facts", {})
        if outcome.get("status") == "done":
            self._end(job, "done")
        elif outcome:
            self._fail(job, outcome.get("code", "failed"), job.told_to_strangers(outcome["error"]))
        else:
            words = "the work was ended from outside, most likely for want of memory"
            self._fail(job, "memory", f"{job.name}: {words}")

    def _fail(self, job: Job, code: str, words: str) -> None:
        if job.is_over:
            return
        job.error = (code, words)
        leave_alone(job.source)
        self._end(job, "failed")

    def _tell(self, job: Job, **now: Any) -> None:
        for name, value in now.items():
            setattr(job, name, value)
        changed, job.changed = job.changed, asyncio.Event()
        changed.set()

    def _end(self, job: Job, state: State) -> None:
        if job.is_over:
            return
        job.used_at = time.monotonic()
        job.held = size_of(job.folder)
        self._tell(job, state=state, stage="", share=1.0 if state == "done" else job.share)
        log.info("%s", line_of(job, size_of(job.source)))

    def _stand_closer(self) -> None:
        """All that wait have a new place."""
        for job in self._waiting:
            self._tell(job)

    def make_room(self, needed: int) -> bool:
        """Forget finished jobs until the disk has so many bytes free; whether it has. None for nothing."""
        expendable = self._expendable()
        if self._free() + sum(job.held for job in expendable) < needed:
            return False
        for job in expendable:
            if self._free() >= needed:
                return True
            self._forget(job)
        return self._free() >= needed

    def forget_one(self) -> bool:
        """Forget the finished job that is wanted least, for room; False where there is none to forget."""
        job = next(iter(self._expendable()), None)
        if job is not None:
            self._forget(job)
        return job is not None

    def _expendable(self) -> list[Job]:
        """Finished jobs that may be forgotten for others: failed ones first, then those fetched, then the rest; each
        by when they were last asked for. What nobody has fetched is owed to its sender for a while."""
        ready = time.monotonic() - self.limits.owed_s
        found = [
            j
            for j in self._jobs.values()
            if j.is_over and (j.state != "done" or j.fetched or j.used_at <= ready)
        ]
        return sorted(
            found, key=lambda j: (j.state == "done", j.state == "done" and not j.fetched, j.used_at)
        )

    def _forget_old(self) -> None:
        """Forget finished jobs that are old, or beyond what is kept."""
        for job in [j for j in self._jobs.values() if self._is_old(j)]:
            self._forget(job)
        over = [j for j in self._jobs.values() if j.is_over]
        count, held = len(over), sum(j.held for j in over)
        room = min(self.limits.kept_bytes, self.limits.kept_share * (self._free() + held))
        newest = max(over, key=lambda j: j.used_at, default=None)
        for job in self._expendable():
            if count <= self.limits.kept and held <= room:
                return
            # The last one is kept however large it is, for other settings.
            if job is not newest:
                self._forget(job)
                count, held = count - 1, held - job.held

    def _is_old(self, job: Job) -> bool:
        return job.is_over and time.monotonic() - job.used_at > self.limits.kept_s

    def _free(self) -> int:
        """Bytes that the disk has free; without end where it does not say, as writing will tell."""
        with contextlib.suppress(OSError):
            return shutil.disk_usage(self._folder).free
        return sys.maxsize

    def _forget(self, job: Job) -> None:
        self._jobs.pop(job.id, None)
        shutil.rmtree(job.folder, ignore_errors=True)
