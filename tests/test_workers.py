"""Worker processes: what they make, and what is left when they, or all, are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scotopic.batch import Job, Outcome
from scotopic.calibration.apply import Profiles
from scotopic.calibration.profile import CameraProfile
from scotopic.dng.write import write_mosaic
from scotopic.frame import RGGB
from scotopic.jobs import workers
from scotopic.jobs.journal import NAME, settings_in_words
from scotopic.sensor.simulated import expose, sony_a7s2
from scotopic.settings import Settings

COUNT = 6
ALL = [f"IMG_{i}-scotopic.jpg" for i in range(COUNT)]
PATIENCE_S = 120


@pytest.fixture
def card(tmp_path, photo) -> Path:
    """Six photos, no two alike, each of which takes some time."""
    folder = tmp_path / "card"
    folder.mkdir()
    scene = np.tile(photo, (2, 2, 1))
    for i in range(COUNT):
        mosaic = expose(scene, sony_a7s2(800), 60, np.random.default_rng(i))
        write_mosaic(folder / f"IMG_{i}.dng", mosaic)
    return folder


class Run:
    """A run of the command in a process of its own; killed on leaving."""

    def __init__(self, *words: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scotopic", "enhance", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate(timeout=PATIENCE_S)

    def ended(self) -> tuple[int, str, str]:
        told, words = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, told, words


def lines(out: Path) -> list[dict[str, object]]:
    """The journal, as far as it is written."""
    try:
        content = (out / NAME).read_bytes()
    except OSError:
        return []
    return [json.loads(line) for line in content.splitlines(keepends=True) if line.endswith(b"\n")]


def begun(out: Path, name: str) -> list[int]:
    """The processes that a file was given to, in turn."""
    return [
        line["process"]
        for line in lines(out)
        if line.get("status") == "started" and Path(line["file"]).name == name
    ]


def until(holds) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.005)


def results(out: Path) -> list[str]:
    """What is in the folder, all of it whole; the journal apart."""
    for path in out.glob("*.jpg"):
        with Image.open(path) as image:
            image.load()
    return sorted(path.name for path in out.iterdir() if path.name != NAME)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def test_many_workers_make_the_same_pictures_as_one(card):
    one, two = card.parent / "one", card.parent / "two"
    for out, count in ((one, 1), (two, 2)):
        with Run(card, "-o", out, "--workers", count) as run:
            assert run.ended()[0] == 0
    assert results(one) == results(two) == ALL
    assert len({line["process"] for line in lines(two) if "process" in line}) == 2
    for name in ALL:
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_a_file_that_crashes_its_process_twice_fails_alone(card):
    out = card.parent / "out"
    with Run(card, "-o", out, "--workers", 2, "--json") as run:
        for attempt in (1, 2):
            until(lambda attempt=attempt: len(begun(out, "IMG_2.dng")) == attempt)
            os.kill(begun(out, "IMG_2.dng")[-1], signal.SIGSEGV)
        status, told, words = run.ended()
    assert status == 1
    rows = {Path(row["file"]).name: row for row in map(json.loads, told.splitlines())}
    assert len(rows) == COUNT
    assert {name for name, row in rows.items() if row["status"] == "failed"} == {"IMG_2.dng"}
    assert "SIGSEGV" in rows["IMG_2.dng"]["error"]
    assert "copy it from the card again" in rows["IMG_2.dng"]["error"]
    assert "Traceback" not in words
    assert results(out) == [name for name in ALL if name != "IMG_2-scotopic.jpg"]


def test_a_process_that_is_killed_once_costs_no_file(card):
    out = card.parent / "out"
    with Run(card, "-o", out) as run:
        until(lambda: begun(out, "IMG_3.dng"))
        os.kill(begun(out, "IMG_3.dng")[0], signal.SIGKILL)
        status, told, words = run.ended()
    assert status == 0, words
    assert len(told.splitlines()) == COUNT
    assert results(out) == ALL


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        signal.SIGKILL,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_is_ended_leaves_nothing_half_written_and_goes_on(card, number):
    out = card.parent / "out"
    with Run(card, "-o", out, "--workers", 2) as run:
        until(lambda: len(list(out.glob("*.jpg"))) >= 1 and begun(out, "IMG_3.dng"))
        if number == signal.SIGINT:
            # As a terminal does: all its processes at once.
            os.killpg(run.process.pid, number)
        else:
            run.process.send_signal(number)
        status, _, words = run.ended()
    processes = {line["process"] for line in lines(out) if "process" in line}
    until(lambda: not any(map(alive, processes)))
    if number != signal.SIGKILL:
        assert status == 130
        assert "stopped" in words
        assert "Traceback" not in words
    before = {name: (out / name).stat().st_mtime_ns for name in results(out)}
    assert 1 <= len(before) < COUNT
    with Run(card, "-o", out, "--resume", "--workers", 2, "--json") as run:
        status, told, words = run.ended()
    assert status == 0, words
    assert results(out) == ALL
    rows = {Path(row["output"]).name: row["status"] for row in map(json.loads, told.splitlines())}
    assert sorted(rows) == ALL
    # Nothing done twice: what was there is as it was.
    assert {name for name, was in rows.items() if was == "skipped"} == set(before)
    assert all((out / name).stat().st_mtime_ns == when for name, when in before.items())


@pytest.mark.slow
def test_a_finished_run_has_nothing_left_to_do(card):
    out = card.parent / "out"
    for expected in ("done", "skipped"):
        with Run(card, "-o", out, "--resume", "--json") as run:
            status, told, _ = run.ended()
        assert status == 0
        assert {json.loads(row)["status"] for row in told.splitlines()} == {expected}


@pytest.mark.slow
def test_going_on_does_again_what_is_missing_or_has_changed_and_tries_failures_again(card, photo):
    out = card.parent / "out"
    broken = card / "IMG_0.dng"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    with Run(card, "-o", out) as run:
        assert run.ended()[0] == 1
    broken.write_bytes(whole)
    (out / ALL[1]).unlink()
    with Run(card, "-o", out, "--resume", "--json") as run:
        status, told, words = run.ended()
    assert status == 0, words
    rows = {Path(row["output"]).name: row["status"] for row in map(json.loads, told.splitlines())}
    assert {name for name, was in rows.items() if was == "done"} == {ALL[0], ALL[1]}
    (card / "IMG_2.dng").unlink()
    write_mosaic(card / "IMG_2.dng", expose(photo, sony_a7s2(800), 30, np.random.default_rng(9)))
    with Run(card, "-o", out, "--resume") as run:
        status, _, words = run.ended()
    # No time is in these files, so that nothing tells an edited photo from another one.
    assert status == 0, words
    assert results(out) == sorted([*ALL, "IMG_2_dng-scotopic.jpg"])


def test_installed_camera_profiles_are_no_settings_of_the_run_and_one_that_is_named_is():
    def words(profiles):
        return settings_in_words(Settings(profiles=profiles), None)

    known = CameraProfile("Sony", "A7S", "", RGGB, (512.0,) * 4, 16383.0, 8, 8, settings=(), patterns=())
    assert words(Profiles((known,))) == words(Profiles()) == words(None)
    asked = words(Profiles((known,), asked=True))
    assert asked["profile"].startswith("Sony A7S (")
    other = words(Profiles((replace(known, serial="7"),), asked=True))
    assert asked["profile"] != other["profile"]


@pytest.mark.slow
def test_other_settings_do_not_go_on(card):
    out = card.parent / "out"
    with Run(card, "-o", out, "--ratio", 60) as run:
        until(lambda: list(out.glob("*.jpg")))
        run.process.send_signal(signal.SIGTERM)
        run.ended()
    before = results(out)
    with Run(card, "-o", out, "--ratio", 30, "--resume") as run:
        status, _, words = run.ended()
    assert status == 2
    assert "ratio was 60.0, now 30.0" in words
    assert results(out) == before


def test_a_second_run_into_the_same_folder_waits_for_its_turn_in_words(card):
    out = card.parent / "out"
    with Run(card, "-o", out) as first:
        until(lambda: begun(out, "IMG_0.dng"))
        # Held, so that it is not done before the second has looked.
        first.process.send_signal(signal.SIGSTOP)
        with Run(card, "-o", out) as second:
            status, told, words = second.ended()
        first.process.send_signal(signal.SIGCONT)
        assert status == 1
        assert not told
        assert "another scotopic is at work" in words
        assert first.ended()[0] == 0
    assert results(out) == ALL
    assert [line["status"] for line in lines(out)[1:]].count("done") == COUNT


@pytest.mark.slow
def test_two_runs_that_know_nothing_of_each_other_lose_nothing(card):
    out = card.parent / "out"
    with (
        Run(card, "-o", out, "--json") as first,
        Run(card, "-o", out, "--journal", card.parent / "j.jsonl", "--json") as second,
    ):
        told = [*first.ended()[1].splitlines(), *second.ended()[1].splitlines()]
    rows = [json.loads(line) for line in told]
    assert len(rows) == 2 * COUNT
    done = sorted(Path(row["output"]).name for row in rows if row["status"] == "done")
    assert done == ALL
    assert all("exists already" in row["error"] for row in rows if row["status"] == "failed")
    assert results(out) == ALL


TALKER = """
import os, pickle, sys
from scotopic.jobs.worker import Message
def say(line):
    os.write(1, line)
def done(number):
    return Message(number, 1.0, dict(status="done", seconds=1.0, facts={}, error="", fault="")).line()
pickle.load(sys.stdin.buffer)
say(Message().line())
while True:
    ticket = pickle.load(sys.stdin.buffer)
    number, name = ticket.number, ticket.job.name
"""
"""A worker process that treats nothing and says what is written below it."""


def told(monkeypatch, folder: Path, words: str, *names: str) -> list[Outcome]:
    """What comes of files whose worker process says that."""
    talker = (sys.executable, "-P", "-c", f"{TALKER}    {words}\n")
    monkeypatch.setattr(workers, "_CHILD", talker)
    with workers.Workers(1, Settings(), None) as crew:
        return list(crew.run(Job(folder / name, folder / f"{name}.jpg") for name in names))


@pytest.mark.parametrize(
    "answer",
    [
        "b'[' * 500_000 + b'\\n'",
        """b'{"number": %d, "share": 1%s, "ended": null}\\n' % (number, b"0" * 400)""",
        "b'{}\\n'",
        "Message(number + 1000, 0.5).line()",
        "done(number + 1000)",
    ],
    ids=[
        "nested deeply",
        "a share beyond all numbers",
        "not an answer",
        "of no ticket",
        "the end of no ticket",
    ],
)
def test_an_answer_that_makes_no_sense_costs_its_file_alone(tmp_path, monkeypatch, answer):
    words = f"say({answer} if name == 'bad' else done(number))"
    outcomes = {o.job.name: o for o in told(monkeypatch, tmp_path, words, "a", "bad", "b", "c")}
    assert {name: outcome.status for name, outcome in outcomes.items()} == {
        **dict.fromkeys("abc", "done"),
        "bad": "failed",
    }
    assert (
        "gave answers that make no sense, twice, the second time with this file alone"
        in outcomes["bad"].error
    )
    assert "copy it from the card again" in outcomes["bad"].error


def test_a_file_that_is_answered_twice_is_reported_once(tmp_path, monkeypatch):
    words = "say(done(number) * (2 if name == 'b' else 1))"
    outcomes = told(monkeypatch, tmp_path, words, *"abcd")
    assert sorted((o.job.name, o.status) for o in outcomes) == [(name, "done") for name in "abcd"]
