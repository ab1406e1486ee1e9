"""The line of pictures of `scotopic serve` in this process: what it bears, what it keeps, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the web extra is not installed")

from starlette.requests import Request
from starlette.types import Message

from scotopic.web.choices import Choices
from scotopic.web.download import Download
from scotopic.web.job import FINAL, GoneError, Job, LineFullError, NoRoomError
from scotopic.web.limits import Limits
from scotopic.web.receive import receive
from scotopic.web.refusal import RefusalError
from scotopic.web.waiting import WaitingLine
from scotopic.web.work import Task, Worker, is_jpeg
from scotopic.web.workplace import workplace

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


async def use_line(line: WaitingLine, use: Callable[[WaitingLine], Awaitable[None]]) -> None:
    """Run a line for as long as `use` takes."""
    working = asyncio.create_task(line.run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            await use(line)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await line.close()


def with_line(
    folder: Path,
    worker: Worker,
    use: Callable[[WaitingLine], Awaitable[None]],
    limits: Limits | None = None,
) -> None:
    """Run a line in an event loop of its own, for as long as `use` takes."""
    asyncio.run(use_line(WaitingLine(folder, worker, limits or Limits()), use))


def send(line: WaitingLine, name: str, content: bytes = b"picture") -> Job:
    with line.place(name, Choices()) as job:
        job.source.write_bytes(content)
    return job


async def over(line: WaitingLine, job: Job) -> Job:
    async for _ in line.changes(job):
        pass
    assert job.state in FINAL
    return job


def test_a_worker_that_cannot_be_started_costs_its_picture_and_not_the_line(tmp_path, monkeypatch, caplog):
    async def use(line: WaitingLine) -> None:
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
    async def use(line: WaitingLine) -> None:
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
        "a--format.dng: give --again, --format dng or --workers": (
            "a--format.dng: give again, format dng or --workers"
        ),
        r"C:\Users\me\x.dng: no, 1/2 or https://a.example/b/c": "x.dng: no, 1/2 or https://a.example/b/c",
    }.items():
        assert job.told_to_strangers(words) == told


def test_pictures_nobody_has_fetched_outlive_the_failures_of_others(tmp_path):
    async def use(line: WaitingLine) -> None:
        first = await over(line, send(line, "a.dng"))
        for number in range(20):
            await over(line, send(line, f"broken {number}.dng"))
        assert line.find(first.id) is first
        assert first.result.exists()

    with_line(tmp_path, Painter(), use, Limits(kept=3))


def test_room_is_made_of_failures_first_then_of_what_was_fetched_and_never_of_what_is_new(tmp_path):
    async def use(line: WaitingLine) -> None:
        names = ("a.dng", "b.dng", "broken.dng", "c.dng")
        unfetched, fetched, failed, new = [await over(line, send(line, name)) for name in names]
        for job in (unfetched, fetched, failed):
            job.used_at -= line.limits.owed_s
        unfetched.used_at -= 1
        fetched.fetched = True
        for job in (failed, fetched, unfetched):
            assert line.find(job.id) is job
            job.used_at -= line.limits.owed_s
            assert line.forget_one()
            with pytest.raises(GoneError):
                line.find(job.id)
            assert not job.folder.exists()
        assert not line.forget_one()
        assert line.find(new.id) is new

    with_line(tmp_path, Painter(), use)


def test_what_is_finished_holds_no_more_than_its_share_of_a_small_disk(tmp_path, monkeypatch):
    async def use(line: WaitingLine) -> None:
        jobs = []
        for number in range(6):
            jobs.append(await over(line, send(line, f"{number}.dng", bytes(1000))))
            jobs[-1].fetched = True
        # 6000 bytes are free beside what they hold, each with its result holds 2000.
        assert sum(job.folder.exists() for job in jobs) == 3
        assert not line.make_room(100_000)
        assert sum(job.folder.exists() for job in jobs) == 3

    monkeypatch.setattr(
        WaitingLine,
        "_free",
        lambda line: 12_000 - sum(p.stat().st_size for p in tmp_path.rglob("*.dng")) * 2,
    )
    with_line(tmp_path, Painter(), use, Limits(result_times=1))


def test_a_picture_that_failed_leaves_its_upload_alone(tmp_path):
    async def use(line: WaitingLine) -> None:
        with line.place("broken.dng", Choices()) as job:
            job.source.write_bytes(b"picture")
            (job.folder / ".half.part").write_bytes(bytes(1000))
        await over(line, job)
        assert list(job.folder.iterdir()) == [job.source]
        assert job.held == len(b"picture")

    with_line(tmp_path, Painter(), use)


def test_not_even_a_failure_that_cannot_be_tidied_up_ends_the_line(tmp_path, monkeypatch):
    def without_descriptors(self: Path, pattern: str) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    async def use(line: WaitingLine) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(Path, "glob", without_descriptors)
            assert (await over(line, send(line, "broken.dng"))).state == "failed"
        assert (await over(line, send(line, "a.dng"))).state == "done"

    with_line(tmp_path, Painter(), use)


def test_other_settings_of_a_picture_hold_its_upload_once(tmp_path):
    async def use(line: WaitingLine) -> None:
        first = await over(line, send(line, "a.dng", bytes(1000)))
        again = await over(line, line.again(first, Choices(quality=50)))
        assert again.held - again.result.stat().st_size == 500

    with_line(tmp_path, Painter(), use)


@pytest.mark.parametrize(
    ("asked", "whole"),
    [(None, True), ("bytes=0-9", False), ("bytes=0-", True), ("bytes=-1", True), ("bytes=0-0,5-", True)],
)
@pytest.mark.parametrize("gone", [False, True])
def test_a_result_is_fetched_when_its_end_was_sent_to_somebody(tmp_path, asked, whole, gone):
    async def use(line: WaitingLine) -> None:
        job = await over(line, send(line, "a.dng", bytes(1000)))
        headers = [(b"range", asked.encode())] if asked else []
        scope = {"type": "http", "method": "GET", "headers": headers, "asgi": {"spec_version": "2.4"}}

        async def receive() -> dict[str, str]:
            if not gone:
                await asyncio.Event().wait()
            return {"type": "http.disconnect"}

        async def sent(message: object) -> None:
            pass

        await Download(job, "image/jpeg")(scope, receive, sent)
        assert job.fetched is (whole and not gone)

    with_line(tmp_path, Painter(), use)


def test_the_temporary_folder_may_be_said_in_a_roundabout_way(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "a" / ".."))
    (tmp_path / "a").mkdir()
    with workplace() as place:
        assert place.folder.parent == tmp_path


def test_a_folder_that_a_cleaner_took_is_made_anew_and_held(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with workplace() as place:
        shutil.rmtree(place.folder)

        async def use(line: WaitingLine) -> None:
            assert (await over(line, send(line, "a.dng"))).state == "done"
            assert place.folder.stat().st_mode & 0o777 == 0o700

        asyncio.run(use_line(WaitingLine(place.pictures, Painter(), Limits(), place.hold), use))
        with workplace():
            # The start of another server sweeps up what nobody holds.
            assert place.pictures.is_dir()
        # A stranger's file in its place is not used.
        shutil.rmtree(place.folder)
        place.folder.write_text("mine")
        line = WaitingLine(place.pictures, Painter(), Limits(), place.hold)
        with pytest.raises(NoRoomError), line.place("a.dng", Choices()):
            pass
        place.folder.unlink()
    assert list(tmp_path.iterdir()) == []


def test_one_address_holds_half_of_the_places_and_leaves_the_others_to_others(tmp_path):
    async def use(line: WaitingLine) -> None:
        with contextlib.ExitStack() as coming:

            def come(client: str) -> None:
                coming.enter_context(line.place("a.dng", Choices(), client))

            for number in range(4):
                come(f"2001:db8::{number}")
            for greedy in ("2001:db8::9", "2001:db8:0:0:1::1"):
                with pytest.raises(LineFullError, match="4 pictures come from you already"):
                    come(greedy)
            for other in ("192.168.1.5", "::ffff:192.168.1.6", "2001:db8:0:1::1", ""):
                come(other)
            with pytest.raises(LineFullError, match="8 pictures wait already"):
                come("192.168.1.7")
            for job in line._arriving:
                job.source.write_bytes(b"picture")
        assert line.waiting == 8

    with_line(tmp_path, Painter(), use)


@pytest.mark.parametrize(("piece", "wanted"), [(b"x", 408), (bytes(1000), 202)], ids=["creeping", "slow"])
def test_an_upload_that_creeps_is_given_up_and_a_slow_one_is_not(tmp_path, piece, wanted):
    async def use(line: WaitingLine) -> None:
        pieces = 0

        async def coming() -> Message:
            nonlocal pieces
            pieces += 1
            await asyncio.sleep(0.02)
            return {"type": "http.request", "body": piece, "more_body": pieces < 20}

        request = Request({"type": "http", "headers": []}, coming)
        if wanted == 202:
            with line.place("a.dng", Choices()) as job:
                await receive(request, job, line)
            assert job.source.stat().st_size == 20_000
            return
        with pytest.raises(RefusalError, match="less than 1 kB came in 0") as refused:  # noqa: SIM117
            with line.place("a.dng", Choices()) as job:
                await receive(request, job, line)
        assert refused.value.status == wanted
        assert pieces < 20
        assert line.waiting == 0
        assert not job.folder.exists()

    with_line(tmp_path, Painter(), use, Limits(stalled_s=0.2, least_bytes=1000))


@pytest.mark.parametrize(
    "answer", ["'[' * 500_000", "5", "'no words'"], ids=["nested deeply", "a number", "text"]
)
def test_a_worker_whose_answers_make_no_sense_is_ended_and_its_picture_has_no_outcome(tmp_path, answer):
    class Babbler(Worker):
        """Its process says that, and goes on."""

        async def _start(self) -> asyncio.subprocess.Process:
            words = f"import time; print({answer}, flush=True); time.sleep({2 * PATIENCE_S})"
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", words),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=1 << 20,
                start_new_session=True,
            )
            return self.process

    async def use() -> tuple[list[dict[str, Any]], int | None]:
        worker = Babbler(tmp_path)
        async with asyncio.timeout(PATIENCE_S):
            said = [message async for message in worker.work(Task(tmp_path, tmp_path, {}))]
        return said, worker.process.returncode

    said, status = asyncio.run(use())
    assert not said
    assert status is not None


def test_a_jpeg_is_known_by_its_first_bytes_alone_and_a_file_that_is_gone_is_none(tmp_path):
    huge = tmp_path / "huge.arw"
    huge.write_bytes(b"\xff\xd8\xff\xe0")
    os.truncate(huge, 1 << 40)
    assert is_jpeg(huge)
    (tmp_path / "empty.arw").touch()
    assert not is_jpeg(tmp_path / "empty.arw")
    assert not is_jpeg(tmp_path / "gone.arw")
    assert not is_jpeg(tmp_path)
