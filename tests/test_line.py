"""The line of pictures of `scotopic serve` in this process: what it bears, what it keeps, and for how long."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the web extra is not installed")

from scotopic.web.choices import Choices
from scotopic.web.jobs import FINAL, Job, Limits, Line
from scotopic.web.work import Task, Worker

PATIENCE_S = 60


class Painter(Worker):
    """Works without a process: a result of as many bytes as the source has, or whatever `faults` raises for a name."""

    def __init__(self, **faults: Exception) -> None:
        super().__init__(Path())
        self._faults = faults

    async def work(self, task: Task) -> AsyncIterator[dict[str, Any]]:
        if task.source.stem in self._faults:
            raise self._faults[task.source.stem]
        if task.source.stem.startswith("broken"):
            yield {"status": "failed", "code": "not-raw", "error": f"{task.source}: is no RAW file"}
            return
        task.target.write_bytes(task.source.read_bytes())
        yield {"status": "done", "facts": {}}


def with_line(
    folder: Path, worker: Worker, use: Callable[[Line], Awaitable[None]], limits: Limits | None = None
) -> None:
    """Run a line in an event loop of its own, for as long as `use` takes."""

    async def all_of_it() -> None:
        line = Line(folder, worker, limits or Limits())
        working = asyncio.create_task(line.run())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await use(line)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await line.close()

    asyncio.run(all_of_it())


def send(line: Line, name: str, content: bytes = b"picture") -> Job:
    with line.place(name, Choices()) as job:
        job.source.write_bytes(content)
    return job


async def over(line: Line, job: Job) -> Job:
    async for _ in line.changes(job):
        pass
    assert job.state in FINAL
    return job


def test_a_worker_that_cannot_be_started_costs_its_picture_and_not_the_line(tmp_path, monkeypatch, caplog):
    async def use(line: Line) -> None:
        with monkeypatch.context() as away:
            away.setattr(sys, "executable", str(tmp_path / "python that was moved"))
            failed = await over(line, send(line, "a.dng"))
            assert failed.state == "failed"
            assert failed.error is not None
            assert failed.error[0] == "internal"
            assert failed.error[1].startswith("a.dng: the work could not be started")
            assert str(tmp_path) not in failed.error[1]
        (found,) = caplog.messages
        assert "could not be started" in found
        # Started again, it looks at the file, which is no picture.
        failed = await over(line, send(line, "b.dng"))
        assert failed.error is not None
        assert failed.error[0] == "not-raw"
        assert line.running == line.waiting == 0

    (tmp_path / "pictures").mkdir()
    with_line(tmp_path / "pictures", Worker(tmp_path), use)


def test_a_fault_while_a_picture_is_worked_on_or_forgotten_stops_no_line(tmp_path, monkeypatch, caplog):
    async def use(line: Line) -> None:
        failed = await over(line, send(line, "a.dng"))
        assert failed.error == ("internal", "a.dng: a fault in scotopic; please report it")
        with monkeypatch.context() as broken:
            broken.setattr(line, "_forget_old", lambda: 1 / 0)
            await over(line, send(line, "b.dng"))
        assert (await over(line, send(line, "c.dng"))).state == "done"
        assert {"KeyError", "ZeroDivisionError"} <= {r.exc_info[0].__name__ for r in caplog.records}

    with_line(tmp_path, Painter(a=KeyError("a fault of ours")), use)


def test_words_to_strangers_hold_no_folder_of_this_computer(tmp_path):
    job = Job("id", "Nacht ü.ARW", tmp_path / "id", Choices(format="tiff"))
    for words, told in {
        f"{job.result}: could not be written (No space left on device); make room first": (
            "Nacht ü-scotopic.tiff: could not be written (No space left on device); make room first"
        ),
        f"{job.source.name}: {job.source}: is cut short": "Nacht ü.ARW: Nacht ü.ARW: is cut short",
        "/usr/lib/some one/models/x.onnx: damaged (see /etc/a b/c)": "x.onnx: damaged (see c)",
        r"C:\Users\me\x.dng: no, 1/2 or https://a.example/b/c": "x.dng: no, 1/2 or https://a.example/b/c",
    }.items():
        assert job.told_to_strangers(words) == told
