"""The journal's file: what stays of it where lines are torn, disks are full, and shares know no locks."""

from __future__ import annotations

import errno
import json
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from scotopic.batch import Job
from scotopic.disk import locks
from scotopic.errors import SettingsError, WriteError
from scotopic.jobs.journal import NAME, Journal
from scotopic.jobs.past import Past, Photo
from scotopic.jobs.session import Session
from scotopic.jobs.worker import host as here
from scotopic.settings import Settings

SETTINGS = {"kind": "jpg"}

PATIENCE_S = 120


def lines(place: Path) -> list[dict[str, object]]:
    """Every line, each of which has to be whole."""
    return [json.loads(line) for line in place.read_text().splitlines()]


def statuses(place: Path) -> list[object]:
    return [line.get("status", "begins") for line in lines(place)]


@pytest.fixture
def without_locks(monkeypatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(locks, "_lock", refused)


@pytest.fixture
def place(tmp_path) -> Path:
    return tmp_path / NAME


@pytest.mark.parametrize("earlier", [False, True])
def test_a_run_that_left_nothing_leaves_the_lines_of_another_where_there_are_no_locks(
    place, without_locks, earlier
):
    if earlier:
        with Journal(place, SETTINGS) as journal:
            journal.finish()
    with Journal(place, SETTINGS) as winner:
        with Journal(place, SETTINGS) as loser:
            winner.note("done", "/a.arw", "/o/a.jpg")
            loser.note("failed", "/a.arw", "/o/a.jpg")
            loser.end(0)
        with pytest.raises(WriteError, match="no room"), Journal(place, SETTINGS):
            raise WriteError("no room")
        winner.note("done", "/b.arw", "/o/b.jpg")
    assert statuses(place)[-7:] == [
        *("begins", "done", "failed", "finished"),
        *("begins", "finished", "done"),
    ]
    with Journal(place, SETTINGS, resume=True) as journal:
        assert set(journal.ended) == {"/o/a.jpg", "/o/b.jpg"}


@pytest.mark.parametrize("locks", [False, True])
def test_a_run_that_began_nothing_asks_no_later_one_for_its_settings(place, locks, request):
    if not locks:
        request.getfixturevalue("without_locks")
    with pytest.raises(WriteError, match="no cluster"), Journal(place, {"kind": "dng"}):
        raise WriteError("no cluster")
    with Journal(place, SETTINGS, resume=True) as journal:
        assert not journal.interrupted


def test_lines_that_came_in_spite_of_a_lock_are_kept(place):
    with Journal(place, SETTINGS) as journal:
        # As from a machine whose locks are its own alone.
        with place.open("ab") as other:
            other.write(b'{"status": "done", "file": "/a.arw", "output": "/o/a.jpg"}\n')
        assert not journal.forget()
    assert statuses(place) == ["begins", "done"]


@pytest.mark.parametrize("tear", [1, 30])
def test_a_line_that_was_torn_is_gone_with_the_next_run(place, tear):
    with Journal(place, SETTINGS) as journal:
        journal.note("done", "/a.arw", "/o/a.jpg")
        journal.note("done", "/b.arw", "/o/b.jpg")
    place.write_bytes(place.read_bytes()[:-tear])
    with Journal(place, SETTINGS, resume=True) as journal:
        journal.note("done", "/c.arw", "/o/c.jpg")
    # What lacks its line break alone says what it says.
    kept = ["done", "done"] if tear == 1 else ["done"]
    assert statuses(place) == ["begins", *kept, "begins", "done"]
    before = place.read_bytes()
    place.write_bytes(before + b'{"status": "do')
    with Journal(place, SETTINGS) as journal:
        journal.forget()
    assert place.read_bytes() == before


def test_a_torn_line_may_be_anothers_where_there_are_no_locks(place, without_locks):
    with Journal(place, SETTINGS) as journal:
        journal.finish()
    with place.open("ab") as other:
        other.write(b'{"status": "do')
    with Journal(place, SETTINGS) as journal:
        journal.finish()
    assert place.read_bytes().splitlines()[2] == b'{"status": "do'
    assert len(place.read_bytes().splitlines()) == 5


@pytest.fixture
def limit():
    """How large files may become, and no limit afterwards."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_of_a_line_for_which_there_is_no_room_nothing_stays(place, limit):
    with Journal(place, SETTINGS) as journal:
        journal.note("done", "/a.arw", "/o/a.jpg")
        before = place.read_bytes()
        limit(len(before) + 20)
        with pytest.raises(WriteError, match=r"journal\.jsonl: the journal cannot be written .*--resume"):
            journal.note("done", "/b.arw", "/o/b.jpg")
        assert place.read_bytes() == before
        limit(20)
        with pytest.raises(WriteError, match="make room, or give another place"):
            Journal(place.with_name("new.jsonl"), SETTINGS)
    assert place.read_bytes() == before
    assert not place.with_name("new.jsonl").exists()


def test_a_journal_that_cannot_be_begun_is_named_and_leaves_no_new_folder(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "card").mkdir(exist_ok=True)
        (tmp_path / "card" / f"{name}.dng").write_bytes(b"II*\0")
    done = subprocess.run(
        [sys.executable, "-m", "scotopic", "enhance", str(tmp_path / "card"), "-o", str(tmp_path / "new")],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"scotopic: {tmp_path}/new/{NAME}: the journal cannot be written (File too"
    )
    assert "give another folder with -o" in done.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("kind", ["a pipe", "a device", "a folder"])
def test_what_is_no_file_is_no_journal_and_nobody_waits_for_it(tmp_path, kind):
    place = Path(os.devnull) if kind == "a device" else tmp_path / "journal"
    if kind == "a pipe":
        os.mkfifo(place)
    elif kind == "a folder":
        place.mkdir()
    assert Past.read(place).results_of(Photo("/a.arw")) == []
    with pytest.raises(SettingsError, match=f"{place}: is {kind}, and a journal is a file; give another"):
        Journal(place, SETTINGS)


@pytest.fixture
def gone() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def killed(place: Path, process: int, settings: dict[str, str] = SETTINGS, host: str = "") -> Path:
    """What a process was writing when it and its run were killed."""
    part = place.with_name(f".scotopic-{process}-0123456789abcdef.part")
    part.touch()
    with Journal(place, settings) as journal:
        facts = {"process": process, "host": host or here()}
        journal.note("started", "/a.arw", str(place.with_name("a.jpg")), **facts)
    return part


@pytest.mark.parametrize("resume", [False, True])
def test_what_a_killed_run_was_writing_goes_with_the_next_whatever_that_does(place, gone, resume):
    part = killed(place, gone)
    # One that could not tidy has gone on since, and made the result.
    with Journal(place, SETTINGS) as journal:
        journal.note("done", "/a.arw", str(place.with_name("a.jpg")))
        journal.finish()
    with Journal(place, SETTINGS, resume=resume) as journal:
        Session(journal, Settings())
    assert not part.exists()


def test_what_a_run_with_other_settings_was_writing_goes_too(place, gone):
    part = killed(place, gone, {"kind": "dng"})
    with Journal(place, SETTINGS) as journal:
        Session(journal, Settings())
    assert not part.exists()


@pytest.mark.parametrize("whose", ["alive", "another machine's", "ended", "not locked", "no process"])
def test_what_others_may_be_writing_stays(place, gone, whose, monkeypatch):
    part = killed(
        place,
        {"alive": os.getppid(), "no process": 1 << 70}.get(whose, gone),
        host="another" if whose == "another machine's" else "",
    )
    if whose == "ended":
        with place.open("ab") as file:
            file.write(b'{"status": "done", "file": "/a.arw", "output": "a.jpg"}\n')
    if whose == "not locked":
        monkeypatch.setattr("scotopic.jobs.journal.locked", lambda _handle: False)
    with Journal(place, SETTINGS, resume=True) as journal:
        Session(journal, Settings())
    assert part.exists()


def test_a_run_notes_which_process_of_which_machine_is_at_a_file(place):
    with Journal(place, SETTINGS) as journal:
        Session(journal, Settings())._begin(Job(place.with_name("a.dng"), place.with_name("a.jpg")), 4711)
    assert [lines(place)[1][name] for name in ("process", "host")] == [4711, here()]


@pytest.mark.skipif(sys.platform != "linux", reason="has no namespaces")
def test_a_container_is_a_host_of_its_own_though_it_bears_the_same_name(monkeypatch):
    assert here().startswith(f"{platform.node()} pid:[")
    own = here()
    monkeypatch.setattr("scotopic.jobs.worker.Path.readlink", lambda _place: "pid:[1]")
    assert own != here() == f"{platform.node()} pid:[1]"
