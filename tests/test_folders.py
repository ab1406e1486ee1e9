"""Folders that are made on the way, and locks on files."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scotopic import batch
from scotopic.batch import Job
from scotopic.data.miniature import write_miniature
from scotopic.disk import locks
from scotopic.disk.folders import make_folder, making, remove_empty
from scotopic.disk.locks import is_still, locked
from scotopic.disk.scratch import of_this_host, scratch, sweep
from scotopic.errors import DiskFullError, WriteError
from scotopic.jobs.journal import NAME, Journal
from scotopic.web import site
from scotopic.web.workplace import workplace
from scotopic.write import place_bytes


def no_room(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_folder_is_made_with_those_above_it_which_are_told_deepest_first(tmp_path):
    folder = tmp_path / "a" / "b"
    assert make_folder(folder) == [folder, tmp_path / "a"]
    assert make_folder(folder) == []
    (tmp_path / "link").symlink_to("a")
    assert make_folder(tmp_path / "link" / "c") == [tmp_path / "link" / "c"]


def test_empty_folders_go_again_and_those_with_something_in_them_stay(tmp_path):
    made = make_folder(tmp_path / "a" / "b" / "c")
    (tmp_path / "a" / "notes.txt").touch()
    remove_empty(made)
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["notes.txt"]
    with pytest.raises(KeyError), making(tmp_path / "x" / "y"):
        raise KeyError
    with making(tmp_path / "kept"):
        (tmp_path / "kept" / "notes.txt").touch()
    assert {p.name for p in tmp_path.iterdir()} == {"a", "kept"}


@pytest.mark.parametrize(
    ("below", "words"),
    [
        ("file", "file: is a file, not a folder; give another folder"),
        ("file/below", r"file/below: could not be written \(Not a directory\); give another folder"),
        ("link", "link: is a link to gone, where nothing is; make that folder, or give another folder"),
        (
            "link/below",
            "link: is a link to gone, where nothing is; make that folder, or give another folder",
        ),
        ("new/" + "n" * 300, "File name too long"),
        ("n" * 300, "nothing can have this name .File name too long"),
        ("a\0b", "nothing can have this name"),
    ],
)
def test_what_is_no_folder_is_told_for_what_it_is_and_nothing_new_stays(tmp_path, below, words):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("gone")
    with pytest.raises(WriteError, match=words):
        make_folder(tmp_path / below)
    assert {p.name for p in tmp_path.iterdir()} == {"file", "link"}


def test_what_another_process_makes_meanwhile_is_no_error_and_not_ours(tmp_path, monkeypatch):
    mkdir = Path.mkdir

    def faster(path: Path, *words: object, **named: object) -> None:
        if path.name == "a":
            mkdir(path)
        mkdir(path, *words, **named)

    monkeypatch.setattr(Path, "mkdir", faster)
    assert make_folder(tmp_path / "a" / "b") == [tmp_path / "a" / "b"]


def test_a_disk_without_room_for_a_folder_or_a_file_is_known_as_one(tmp_path, monkeypatch):
    with monkeypatch.context() as full:
        full.setattr(Path, "mkdir", no_room)
        for make in (
            lambda: make_folder(tmp_path / "new"),
            lambda: batch._make_folder(Job(tmp_path / "a.dng", tmp_path / "new" / "a.jpg")),
            lambda: write_miniature(tmp_path / "new" / "sid", scenes=3, size=(64, 64)),
        ):
            with pytest.raises(DiskFullError, match=r"new: could not be written .*; make room first"):
                make()
    monkeypatch.setattr(os, "open", no_room)
    with pytest.raises(DiskFullError, match=r"a\.jpg: could not be written .*; make room first"):
        place_bytes(tmp_path / "a.jpg", b"", overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_a_site_that_cannot_be_written_leaves_no_new_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(site, "site_files", dict)
    monkeypatch.setattr(site, "_fill", no_room)
    with pytest.raises(DiskFullError, match=r"page: could not be written .*make room first"):
        site.write_site(tmp_path / "new" / "page")
    assert list(tmp_path.iterdir()) == []


HOLD = "import sys, time; from scotopic.disk.locks import locked; file = open(sys.argv[1])"
HOLD += "; print(locked(file.fileno())); sys.stdout.flush(); sys.stdin.read()"


def test_a_lock_is_held_by_one_process_until_it_ends(tmp_path):
    path = tmp_path / "lock"
    path.touch()
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "True\n"
    with path.open() as file:
        with pytest.raises(BlockingIOError):
            locked(file.fileno())
        process.stdin.close()
        assert locked(file.fileno(), wait=True)
        process.wait()
        process.stdout.close()


def test_a_file_system_without_locks_holds_nothing_and_is_no_error(tmp_path, monkeypatch):
    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locks, "_lock", refused)
    with (tmp_path / "lock").open("w") as file:
        assert not locked(file.fileno())
        assert not locked(file.fileno(), wait=True)
    with Journal(tmp_path / NAME, {}) as first, Journal(tmp_path / NAME, {}) as second:
        assert first.path == second.path
    left = tmp_path / "scotopic-serve-left"
    left.mkdir()
    with workplace(tmp_path) as place:
        assert place.folder.is_dir()
    assert left.is_dir(), "nobody knows there who lives"


def test_an_open_file_is_known_for_the_one_of_its_name(tmp_path):
    path = tmp_path / "a"
    with path.open("w") as file:
        assert is_still(file.fileno(), path)
        path.unlink()
        assert not is_still(file.fileno(), path)
        path.touch()
        assert not is_still(file.fileno(), path)


def test_a_journal_that_was_taken_away_as_it_was_opened_is_opened_anew(tmp_path, monkeypatch):
    path, calls = tmp_path / NAME, []

    def forgotten_first(handle: int) -> bool:
        calls.append(handle)
        if len(calls) == 1:
            path.unlink()  # as a run does that left nothing
        return locked(handle)

    monkeypatch.setattr("scotopic.jobs.journal.locked", forgotten_first)
    with Journal(path, {}) as journal:
        journal.note("done", "a.dng", "a.jpg")
        assert b'"done"' in path.read_bytes()
        with pytest.raises(WriteError, match="another scotopic is at work"):
            Journal(path, {})
    assert len(calls) == 3


def test_where_files_seem_to_be_others_each_time_a_journal_is_opened_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("scotopic.jobs.journal.is_still", lambda _handle, _path: False)
    with Journal(tmp_path / NAME, {}) as journal:
        journal.note("done", "a.dng", "a.jpg")
    assert b'"done"' in (tmp_path / NAME).read_bytes()


def test_who_waits_for_a_lock_where_the_system_does_not_pauses_between_tries(tmp_path, monkeypatch):
    answers = [OSError(errno.EACCES, "held"), OSError(errno.EAGAIN, "held")]
    pauses = []

    def lock(_handle: int, _wait: bool) -> None:
        if answers:
            raise answers.pop(0)

    monkeypatch.setattr("scotopic.disk.locks._lock", lock)
    monkeypatch.setattr("scotopic.disk.locks.time.sleep", pauses.append)
    with (tmp_path / "lock").open("w") as file:
        assert locked(file.fileno(), wait=True)
    assert len(pauses) == 2
    assert min(pauses) > 0


def test_a_workplace_that_another_server_made_anew_is_not_swept_up(tmp_path, monkeypatch):
    folder = tmp_path / "scotopic-serve-living"
    folder.mkdir()

    def made_anew(handle: int, **_: bool) -> bool:
        if folder.is_dir() and not list(folder.iterdir()):
            folder.rename(tmp_path / "aside")
            folder.mkdir()
            (folder / "photo.dng").touch()
        return locked(handle)

    monkeypatch.setattr("scotopic.disk.scratch.locked", made_anew)
    with workplace(tmp_path):
        assert (folder / "photo.dng").exists()


KEEP = """
import sys, tempfile
from scotopic.disk.scratch import scratch
tempfile.tempdir = sys.argv[1]
with scratch("scotopic-copies-") as folder:
    (folder / "photo.dng").touch()
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_copies_of_a_killed_process_are_swept_up_and_those_of_the_living_stay(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", KEEP, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    killed, living = processes
    for process in processes:
        assert process.stdout.readline() == b"ready\n"
    assert len(list(tmp_path.iterdir())) == 2
    killed.kill()
    killed.communicate()
    sweep(tmp_path, "scotopic-copies-")
    (left,) = tmp_path.iterdir()
    assert (left / "photo.dng").exists()
    living.communicate()
    assert living.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_what_machines_of_other_names_have_in_a_shared_folder_is_not_swept_up(tmp_path, monkeypatch):
    places = []
    for name in ("a", "a-b"):
        monkeypatch.setattr("platform.node", lambda name=name: name)
        places.append(tmp_path / f"{of_this_host('scotopic-copies-')}left")
        places[-1].mkdir()
    monkeypatch.setattr("platform.node", lambda: "a")
    sweep(tmp_path, of_this_host("scotopic-copies-"))
    assert [place.exists() for place in places] == [False, True]


def test_a_folder_that_is_swept_up_before_it_is_locked_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen = []

    def swept_first(handle: int, **_: bool) -> bool:
        if not seen:
            seen.extend(tmp_path.iterdir())
            seen[0].rmdir()
        return locked(handle)

    monkeypatch.setattr("scotopic.disk.scratch.locked", swept_first)
    with scratch("scotopic-copies-") as folder:
        assert folder.is_dir()
        assert folder != seen[0]


def test_temporary_folders_are_made_where_there_are_no_locks_too(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("scotopic.disk.scratch.locked", lambda _handle, **_: False)
    with scratch("scotopic-copies-") as folder:
        sweep(tmp_path, "scotopic-copies-")
        assert folder.is_dir()
    assert not folder.exists()
