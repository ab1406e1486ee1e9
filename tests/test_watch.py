"""Watched folders: a real process, and files that are copied slowly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scotopic.batch import Job, Outcome, treated
from scotopic.disk.files import state_of
from scotopic.dng.write import write_mosaic
from scotopic.errors import SettingsError
from scotopic.jobs import watch as module
from scotopic.jobs.journal import NAME
from scotopic.jobs.layout import Names
from scotopic.jobs.past import Entry, Past, line_of, taken
from scotopic.jobs.watch import EMPTY_S, SETTLED_S, Watch
from scotopic.metadata import Exif
from scotopic.sensor.simulated import expose, sony_a7s2
from scotopic.settings import Settings

PATIENCE_S = 120


@pytest.fixture
def photos(tmp_path, photo) -> list[bytes]:
    made = []
    for i in range(3):
        path = tmp_path / f"{i}.dng"
        write_mosaic(path, expose(photo, sony_a7s2(800), 60, np.random.default_rng(i)))
        made.append(path.read_bytes())
    return made


@pytest.fixture
def watched(tmp_path) -> Path:
    folder = tmp_path / "watched"
    folder.mkdir()
    return folder


class Watching:
    """A run that watches; its rows may be read while it goes on."""

    def __init__(self, rows: Path, *words: object) -> None:
        self._rows = rows
        with rows.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "scotopic", "enhance", "--watch", *map(str, words), "--json"],
                stdout=file,
                stderr=subprocess.PIPE,
                text=True,
            )

    def __enter__(self) -> Watching:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def rows(self) -> list[dict[str, object]]:
        lines = self._rows.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def told(self, status: str) -> list[str]:
        """The names of the files whose rows bear that status."""
        return [Path(str(row["file"])).name for row in self.rows if row["status"] == status]

    def until(self, status: str, *names: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not set(names) <= set(self.told(status)):
            assert time.monotonic() < end, f"{names} never were {status}: {self.rows}"
            time.sleep(0.05)

    def stopped(self) -> str:
        self.process.send_signal(signal.SIGINT)
        _, words = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 130
        assert "Traceback" not in words
        return words


def test_files_are_taken_when_they_are_whole_each_once(watched, photos):
    out = watched.parent / "out"
    (watched / "IMG_0.dng").write_bytes(photos[0])
    with Watching(watched.parent / "rows", watched, "-o", out) as run:
        run.until("done", "IMG_0.dng")
        # A camera's cable: a piece now and then, for longer than a file has to be quiet.
        with (watched / "IMG_1.dng").open("wb") as file:
            step = len(photos[1]) // 6 + 1
            for start in range(0, len(photos[1]), step):
                file.write(photos[1][start : start + step])
                file.flush()
                time.sleep(0.6)
                assert not (out / "IMG_1-scotopic.jpg").exists()
        # Another name until it is there: as programs of camera makers do.
        (watched / "IMG_2.part").write_bytes(photos[2])
        (watched / "sub").mkdir()
        (watched / "IMG_2.part").rename(watched / "sub" / "IMG_2.dng")
        (watched / "notes.txt").write_text("no photo")
        run.until("done", "IMG_1.dng", "IMG_2.dng")
        assert "watching" in run.stopped()
    assert sorted(run.told("done")) == ["IMG_0.dng", "IMG_1.dng", "IMG_2.dng"]
    # On a machine so busy that the copy stood still a piece may have been tried; it was no picture.
    assert set(run.told("failed")) <= {"IMG_1.dng"}
    found = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file() and p.name != NAME)
    assert found == ["IMG_0-scotopic.jpg", "IMG_1-scotopic.jpg", "sub/IMG_2-scotopic.jpg"]
    for path in out.rglob("*.jpg"):
        with Image.open(path) as image:
            image.load()
    # Once more: nothing is done a second time.
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.jpg")}
    with Watching(watched.parent / "rows", watched, "-o", out) as run:
        (watched / "IMG_3.dng").write_bytes(photos[0])
        run.until("done", "IMG_3.dng")
        run.stopped()
    assert [Path(str(row["file"])).name for row in run.rows] == ["IMG_3.dng"]
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_copy_that_pauses_is_tried_again_once_it_is_whole(watched, photos):
    out = watched.parent / "out"
    with Watching(watched.parent / "rows", watched, "-o", out) as run:
        slow = watched / "IMG_0.dng"
        slow.write_bytes(photos[0][: len(photos[0]) // 2])
        run.until("failed", "IMG_0.dng")
        with slow.open("ab") as file:
            file.write(photos[0][len(photos[0]) // 2 :])
        run.until("done", "IMG_0.dng")
        run.stopped()
    assert [row["status"] for row in run.rows][-2:] == ["failed", "done"]
    assert "IMG_0.dng" in str(run.rows[0]["error"])


def test_a_copy_whose_place_is_reserved_first_is_made_anew_once_it_is_whole(watched, rng):
    out, half = watched.parent / "out", watched / "IMG_0.dng"
    exif = Exif({0x010F: "SONY"}, {0x9003: "2026:05:01 21:00:00"}, {})
    frame = expose(rng.uniform(0.1, 0.6, (96, 128, 3)), sony_a7s2(800), 20, rng)
    write_mosaic(watched.parent / "whole.dng", frame.with_changes(exif=exif))
    whole = (watched.parent / "whole.dng").read_bytes()
    with Watching(watched.parent / "rows", watched, "-o", out) as run:
        # Where cameras have their words at the beginning, here they come behind the pixels.
        part = len(whole) // 4
        half.write_bytes(whole[:part] + bytes(part) + whole[2 * part :])
        run.until("done", "IMG_0.dng")
        of_half = (out / "IMG_0-scotopic.jpg").read_bytes()
        half.write_bytes(whole)
        end = time.monotonic() + PATIENCE_S
        while len(run.told("done")) < 2:
            assert time.monotonic() < end
            time.sleep(0.05)
        words = run.stopped()
    assert words.count("has changed since") == 1
    assert [path.name for path in out.iterdir() if path.name != NAME] == ["IMG_0-scotopic.jpg"]
    assert (out / "IMG_0-scotopic.jpg").read_bytes() != of_half
    # Later watches know what it was made of, and by whom.
    with Watching(watched.parent / "rows", watched, "-o", out) as run:
        (watched / "IMG_1.dng").write_bytes(whole)
        run.until("done", "IMG_1.dng")
        assert "has changed" not in run.stopped()
    with half.open("ab") as file:
        file.write(b"edited")
    with Watching(watched.parent / "rows", watched, "-o", out) as run:
        run.until("done", "IMG_0.dng")
        assert "it is made anew" in run.stopped()


def test_a_pipe_in_a_watched_folder_is_told_once_and_keeps_nobody_waiting(watched, photos):
    os.mkfifo(watched / "IMG_0.dng")
    with Watching(watched.parent / "rows", watched, "-o", watched.parent / "out") as run:
        run.until("failed", "IMG_0.dng")
        (watched / "IMG_1.dng").write_bytes(photos[1])
        run.until("done", "IMG_1.dng")
        run.stopped()
    assert run.told("failed") == ["IMG_0.dng"]
    assert "is a pipe, not a file" in str(run.rows[0]["error"])


def test_only_folders_can_be_watched(watched):
    names = Names(None, "jpg", "scotopic")
    (watched / "file").write_bytes(b"")
    for name, said in {"none": "there is no such folder", "file": "is no folder"}.items():
        with pytest.raises(SettingsError, match=said):
            Watch([watched / name], names, enhanced=False)


class Clock:
    """A clock that somebody sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_what_stays_empty_and_links_to_nowhere_are_told_once_each_and_again_when_they_change(
    watched, photos, monkeypatch
):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    watch = Watch([watched], Names(watched.parent / "out", "jpg", "scotopic", Past()), enhanced=False)
    jobs = iter(watch)

    def told_after(seconds: float) -> list[Outcome]:
        """What is told when so much time has passed."""
        told = []
        for _ in range(2):
            clock.now += seconds / 2
            while (job := next(jobs)) is not None:
                outcome = treated(job, Settings(), None)
                assert watch.note(outcome)
                told.append(outcome)
        return told

    (watched / "IMG_0.dng").touch()
    (watched / "IMG_1.dng").symlink_to(watched.parent / "later.dng")
    assert told_after(2 * SETTLED_S) == []
    first, second = told_after(2 * EMPTY_S)
    assert "IMG_0.dng: the file is empty" in first.error
    assert "IMG_1.dng: is a link to" in second.error
    assert told_after(2 * EMPTY_S) == []
    (watched.parent / "later.dng").write_bytes(photos[0])
    (watched / "IMG_0.dng").write_bytes(photos[0])
    told = told_after(4 * SETTLED_S)
    assert [(one.job.name, one.error) for one in told] == [
        (name, "enhancing needs a model") for name in ("IMG_0.dng", "IMG_1.dng")
    ]


class Known:
    """A watch whose jobs somebody does, and learns; what is no whole photo fails."""

    def __init__(self, watched: Path, monkeypatch: pytest.MonkeyPatch, whole: bytes) -> None:
        self._clock = Clock()
        monkeypatch.setattr(module, "time", self._clock)
        self._watched, self._whole = watched, whole
        self.out = watched.parent / "out"
        self.out.mkdir()
        self._lines: list[Entry] = []
        self.words: list[str] = []
        self.begin()

    def begin(self) -> None:
        """Begin anew, with what the journal has."""
        names = Names(self.out, "jpg", "scotopic", Past([dict(line) for line in self._lines]))
        self._watch = Watch(
            [self._watched], names, enhanced=False, settings=SETTINGS, tell=self.words.append
        )
        self._jobs = iter(self._watch)

    def after(self, seconds: float) -> list[tuple[str, str]]:
        """What becomes of which file when so much time has passed."""
        told = []
        for _ in range(2):
            self._clock.now += seconds / 2
            while (job := next(self._jobs)) is not None:
                done = job.source.exists() and job.source.read_bytes() == self._whole
                if done:
                    self._make(job)
                outcome = Outcome(job, "done" if done else "failed", 0.0)
                self._watch.note(outcome)
                told.append((job.name, outcome.status))
        return told

    def _make(self, job: Job) -> None:
        job.target.write_bytes(b"a picture")
        state = state_of(job.source)
        line = line_of("done", job.source, job.target, state) | taken(job.source, state)
        self._lines.append(line | {"result": state_of(job.target), "settings": SETTINGS})
        self._watch.learn(self._lines[-1])

    @property
    def results(self) -> list[str]:
        return sorted(path.name for path in self.out.iterdir())


SETTINGS = {"kind": "jpg"}


@pytest.fixture
def dated(tmp_path, rng) -> bytes:
    """A photo that tells when it was taken."""
    frame = expose(rng.uniform(0.1, 0.6, (64, 64, 3)), sony_a7s2(800), 20, rng)
    write_mosaic(
        tmp_path / "dated.dng", frame.with_changes(exif=Exif({}, {0x9003: "2026:05:01 21:00:00"}, {}))
    )
    return (tmp_path / "dated.dng").read_bytes()


@pytest.mark.parametrize("anew", [False, True], ids=["same watch", "another watch"])
def test_a_photo_that_was_empty_or_away_for_a_while_keeps_its_result(watched, dated, monkeypatch, anew):
    disk, known = watched.parent / "disk", Known(watched, monkeypatch, dated)
    disk.mkdir()
    (disk / "a.dng").write_bytes(dated)
    (watched / "IMG_0.dng").write_bytes(dated)
    (watched / "IMG_1.dng").symlink_to(disk / "a.dng")
    names = ("IMG_0.dng", "IMG_1.dng")
    assert known.after(3 * SETTLED_S) == [(name, "done") for name in names]
    disk.rename(watched.parent / "gone")
    (watched / "IMG_0.dng").write_bytes(b"")
    if anew:
        known.begin()
    assert known.after(3 * EMPTY_S) == [(name, "failed") for name in names if anew]
    (watched.parent / "gone").rename(disk)
    (watched / "IMG_0.dng").write_bytes(dated)
    assert known.after(3 * SETTLED_S) == [("IMG_0.dng", "done")]
    assert known.results == ["IMG_0-scotopic.jpg", "IMG_1-scotopic.jpg"]


def test_of_what_has_a_result_and_is_empty_none_is_made_anew(watched, dated, monkeypatch):
    known, source = Known(watched, monkeypatch, dated), watched / "IMG_0.dng"
    source.write_bytes(dated)
    assert known.after(3 * SETTLED_S) == [("IMG_0.dng", "done")]
    source.write_bytes(dated + b"half an edit")
    assert known.after(3 * SETTLED_S) == [("IMG_0.dng", "failed")]
    known.words.clear()
    source.write_bytes(b"")
    assert known.after(3 * EMPTY_S) == []
    assert known.words == []
