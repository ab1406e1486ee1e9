"""The line of pictures that wait for the computer: one is worked on at a time, a few wait, few are kept."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from scotopic.errors import ScotopicError
from scotopic.web.choices import Choices, name_on_disk, result_name
from scotopic.web.log import log
from scotopic.web.work import StartError, Task, Worker

State = Literal["waiting", "running", "done", "failed", "cancelled"]
FINAL = frozenset({"done", "failed", "cancelled"})

_SWEEP_S = 60.0
"""How often what is too old is looked for where nobody asks."""


@dataclass(frozen=True)
class Limits:
    """What the server takes on. Chosen: a full card of large RAW files waits at the sender, not here."""

    upload_bytes: int = 512 << 20
    """The largest RAW files of today (150 million pixels, 16 bit) have 300 MB."""
    waiting: int = 8
    """Pictures that wait or are being sent, beside the one in work."""
    kept: int = 16
    """Finished pictures that can be fetched."""
    kept_s: float = 1800.0
    """After their end, or after they were last asked for."""
    kept_bytes: int = 4 << 30
    """Of uploads and results together, once finished."""
    stalled_s: float = 60.0
    """An upload that sends nothing for so long is given up."""


class LineFullError(ScotopicError):
    """So many pictures wait already that no other is taken."""


class GoneError(ScotopicError):
    """There is no such job, or none any more."""


@dataclass(eq=False)
class Job:
    """One picture in the line; changed by the line alone."""

    id: str
    name: str
    folder: Path
    choices: Choices
    state: State = "waiting"
    stage: Literal["", "read", "network", "develop"] = ""
    share: float = 0.0
    seconds: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    error: tuple[str, str] | None = None
    """Code and words."""
    used_at: float = 0.0
    """When it ended or was last asked for."""
    patience: asyncio.Timeout | None = None
    """With the upload, while it comes."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set at the next change, and then another takes its place."""

    @property
    def source(self) -> Path:
        """The upload."""
        return self.folder / name_on_disk(self.name)

    @property
    def result(self) -> Path:
        """Where the result is, once it is done; no upload is called so, as theirs begin with no dot."""
        return self.folder / f".result.{self.choices.format}"

    @property
    def result_name(self) -> str:
        """What it is called on the user's side."""
        return result_name(self.name, self.choices.format)

    def told_to_strangers(self, words: str) -> str:
        """The same words with the names that the sender knows, and without the folders of this computer."""
        for path, name in ((self.result, self.result_name), (self.source, self.source.name)):
            words = words.replace(str(path), name)
        return _FOLDERS.sub("", words).replace(self.source.name, self.name)


_FOLDERS = re.compile(r"(?<![\w:/.])(?:/|[A-Za-z]:\\)(?:[^/\\:;,()'\"\n]+[/\\])+")
"""The folders in which a path on Linux, macOS or Windows says a file is."""


class Line:
    """All jobs. Everything here runs in the server's one event loop."""

    def __init__(self, folder: Path, worker: Worker, limits: Limits) -> None:
        self.limits = limits
        self._folder, self._worker = folder, worker
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
        self._forget_old()
        if id not in self._jobs:
            raise GoneError("there is no such picture here, or it was forgotten: send it again")
        job = self._jobs[id]
        job.used_at = time.monotonic()
        return job

    def position(self, job: Job) -> int:
        """The place in the line, from 1; 0 for what runs or is over."""
        return self._waiting.index(job) + 1 if job in self._waiting else 0

    @contextlib.contextmanager
    def place(self, name: str, choices: Choices) -> Iterator[Job]:
        """A place in the line for a picture that is still to come: its source lies there on leaving.

        Whatever goes wrong meanwhile, nothing is left. Raises LineFullError.
        """
        if self._closing or self.waiting >= self.limits.waiting:
            raise LineFullError(
                f"{self.waiting} pictures wait already, which is all this computer takes: try again in a minute"
            )
        id = secrets.token_urlsafe(16)
        job = Job(id, name, self._folder / id, choices)
        job.folder.mkdir(mode=0o700)
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

    def again(self, earlier: Job, choices: Choices) -> Job:
        """The same picture with other choices. Raises LineFullError, GoneError."""
        if not earlier.source.exists():
            raise GoneError("the picture was forgotten: send it again")
        with self.place(earlier.name, choices) as job:
            try:
                os.link(earlier.source, job.source)
            except OSError:
                shutil.copyfile(earlier.source, job.source)
        return job

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
            if job.state in FINAL:
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
                    self._fail(job, "internal", f"{job.name}: a fault in scotopic; please report it")
                finally:
                    self._running = None
                self._tidy()

    def _tidy(self) -> None:
        """Forget what is too old; the line goes on even where that cannot be done."""
        try:
            self._forget_old()
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
        if job.state not in FINAL:
            job.error = (code, words)
            self._end(job, "failed")

    def _tell(self, job: Job, **now: Any) -> None:
        for name, value in now.items():
            setattr(job, name, value)
        changed, job.changed = job.changed, asyncio.Event()
        changed.set()

    def _end(self, job: Job, state: State) -> None:
        job.used_at = time.monotonic()
        self._tell(job, state=state, stage="", share=1.0 if state == "done" else job.share)

    def _stand_closer(self) -> None:
        """All that wait have a new place."""
        for job in self._waiting:
            self._tell(job)

    def _forget_old(self) -> None:
        """Forget finished jobs beyond what is kept, those first that were not asked for the longest."""
        now = time.monotonic()
        over = sorted((j for j in self._jobs.values() if j.state in FINAL), key=lambda j: -j.used_at)
        held = 0
        for count, job in enumerate(over):
            held += sum(p.stat().st_size for p in job.folder.glob("*"))
            old = now - job.used_at > self.limits.kept_s
            # The last one is kept however large it is.
            if (count and (count >= self.limits.kept or held > self.limits.kept_bytes)) or old:
                self._forget(job)

    def _forget(self, job: Job) -> None:
        self._jobs.pop(job.id, None)
        shutil.rmtree(job.folder, ignore_errors=True)
