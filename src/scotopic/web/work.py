"""The process that does the work of the API, and how the server speaks to it: one JSON object a line.

A picture's memory, a crash of a decoder, a cancelled job: all end with this process, and the server goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import queue
import shutil
import signal
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scotopic import errors

LINE_MAX = 1 << 20
"""Bytes of one message; facts and words take a few thousand."""


@dataclass(frozen=True)
class Task:
    """One picture to enhance."""

    source: Path
    target: Path
    choices: dict[str, Any]
    """As `Choices` has them."""


class StartError(errors.ScotopicError):
    """The process could not be started."""


class Worker:
    """The process: started when first needed, kept for the next picture, killed to cancel."""

    def __init__(self, folder: Path, device: str = "auto") -> None:
        self._folder, self._device = folder, device
        self._process: asyncio.subprocess.Process | None = None

    async def work(self, task: Task) -> AsyncIterator[dict[str, Any]]:
        """What the process tells of the task; ends after an outcome, or without one when it died.

        Raises StartError where it cannot be started; the next picture tries anew.
        """
        if self._process is None or self._process.returncode is not None:
            self._process = await self._start()
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        words = {"source": str(task.source), "target": str(task.target), "choices": task.choices}
        try:
            process.stdin.write(json.dumps(words).encode() + b"\n")
            await process.stdin.drain()
            while line := await process.stdout.readline():
                message = json.loads(line)
                if not isinstance(message, dict):
                    break
                yield message
                if "status" in message:
                    return
        except (ConnectionError, ValueError, RecursionError):
            # It has died, or is not itself any more.
            pass
        await self.stop()

    async def _start(self) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "scotopic.web.work", str(self._folder), self._device),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=LINE_MAX,
                # A terminal's Ctrl-C is for the server, which then ends this one.
                start_new_session=True,
            )
        except OSError as error:
            # No descriptors, processes or memory left, or Python itself was moved or replaced.
            raise StartError(
                f"the work could not be started ({error.strerror}): try again later"
            ) from error

    async def stop(self) -> None:
        """End the process and whatever it started, now."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        await process.wait()


def main(folder: Path, device: str) -> None:
    """Take tasks from standard input until it ends; then the server is gone: leave nothing behind."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    # Whatever a library prints must not end among the answers.
    os.dup2(2, 1)
    tasks: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_listen, args=(tasks, folder), daemon=True).start()

    def tell(**message: Any) -> None:
        # Where nobody hears it the listener learns of that too, and tidies up.
        with contextlib.suppress(OSError):
            answers.write(json.dumps(message) + "\n")

    from scotopic import batch
    from scotopic.calibration.apply import installed
    from scotopic.errors import ScotopicError
    from scotopic.run import Models
    from scotopic.web.choices import Choices

    opened: dict[str, Models] = {}
    while True:
        task = tasks.get()
        tell(stage="read", share=0.0)
        try:
            choices = Choices(**task["choices"])
            models = opened.setdefault(choices.tier, Models(tier=choices.tier, device=device))
            job = batch.Job(Path(task["source"]), Path(task["target"]))
            outcome = batch.treated(
                job,
                # Looked for with each picture, as the command line does: profiles come and go.
                dataclasses.replace(choices.settings(), profiles=installed()),
                models,
                lambda share: tell(stage="develop" if share >= 1 else "network", share=share),
            )
            code = code_of(outcome.fault) if outcome.error else ""
            if code == "not-raw" and is_jpeg(job.source):
                code = "jpeg"
            tell(status=outcome.status, facts=outcome.facts, code=code, error=outcome.error)
        except ScotopicError as error:
            tell(status="failed", facts={}, code=code_of(type(error).__name__), error=str(error))


_JPEG = b"\xff\xd8"
"""How a JPEG begins: what phones hand over in place of a RAW file."""


def is_jpeg(path: Path) -> bool:
    """Whether the file begins so; one that is gone meanwhile does not."""
    try:
        with path.open("rb") as file:
            return file.read(len(_JPEG)) == _JPEG
    except OSError:
        return False


FAULTS = {
    "NotRawError": "not-raw",
    "DamagedFileError": "truncated",
    "TooSmallError": "too-small",
    "UnsafeFileError": "truncated",
    "UnsupportedRawError": "unsupported",
    "EnhancedAlreadyError": "enhanced",
    "MemoryError": "memory",
    "WriteError": "disk",
    "ModelError": "engine",
    "SettingsError": "setting",
    "Fault": "internal",
}
"""The page's words for what went wrong, by the error's name; an error that is not named has its parent's."""


def code_of(fault: str) -> str:
    """The page's word for a fault of that name; "failed" where it has none.

    >>> code_of("WriteError"), code_of("DiskFullError"), code_of("Fault"), code_of("Other")
    ('disk', 'disk', 'internal', 'failed')
    """
    kind = getattr(errors, fault, None)
    names = [fault, *(parent.__name__ for parent in getattr(kind, "__mro__", ()))]
    return next((FAULTS[name] for name in names if name in FAULTS), "failed")


def _listen(tasks: queue.Queue[dict[str, Any]], folder: Path) -> None:
    for line in sys.stdin:
        tasks.put(json.loads(line))
    # The pipe is closed: the server was killed, or it stops and tidies up itself.
    shutil.rmtree(folder, ignore_errors=True)
    if hasattr(os, "killpg") and os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
