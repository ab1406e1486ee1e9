"""Faults injected for real: disks that fill, folders that go, files that change, names that are odd."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scotopic.batch import Job, treated
from scotopic.disk.files import identity_of
from scotopic.dng.write import write_mosaic
from scotopic.enhance import picture_of
from scotopic.errors import WriteError
from scotopic.jobs.journal import NAME
from scotopic.jobs.layout import NAME_BYTES
from scotopic.jobs.refused import Refused
from scotopic.read import read
from scotopic.run import Models
from scotopic.sensor.simulated import expose, sony_a7s2
from scotopic.settings import Settings

PATIENCE_S = 120
SMALL, LARGE = (96, 128), (256, 320)
"""Results of some 5 and some 25 kB."""

_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH, _CAP_FOWNER = 1, 2, 3


def as_a_plain_user() -> None:
    """Take from root what makes it pass every door; for others there is nothing to take."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for number in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH, _CAP_FOWNER):
            if libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "prctl")


def scotopic(*words: object, before: Callable[[], None] | None = None) -> tuple[int, list[dict], str]:
    done = subprocess.run(
        [sys.executable, "-m", "scotopic", "enhance", *map(os.fsencode, map(str, words)), "--json"],
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
        preexec_fn=before,
    )
    words_told = done.stderr.decode(errors="replace")
    assert "Traceback" not in words_told
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], words_told


def put(photo, *paths: Path, size: tuple[int, int] = SMALL) -> None:
    mosaic = expose(photo[: size[0], : size[1]], sony_a7s2(800), 60, np.random.default_rng(0))
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_mosaic(path, mosaic)


def by_name(rows: list[dict]) -> dict[str, dict]:
    return {Path(row["file"]).name: row for row in rows}


def whole_pictures(folder: Path) -> list[str]:
    """All files of a folder but the journal; each has to be a whole picture."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.name != NAME]
    for path in found:
        with Image.open(path) as image:
            image.load()
    return sorted(path.name for path in found)


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[tuple[Callable[[], None] | None, Callable[[], object]]]:
    """A disk of `size` bytes; where none may be mounted, a limit that the kernel puts on every file.

    Yields what a process has to do for that limit, and how to make room.
    """
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o"]
    if subprocess.run(
        [*mount, f"size={size}", "none", folder], capture_output=True, check=False
    ).returncode:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)), lambda: None
        return
    try:
        yield None, lambda: subprocess.run([*mount, "remount,size=1m", "none", folder], check=True)
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_costs_what_does_not_fit_and_leaves_no_part_of_it(tmp_path, photo):
    card = tmp_path / "card"
    put(photo, card / "IMG_1.dng")
    put(photo, card / "IMG_2.dng", card / "IMG_3.dng", size=LARGE)
    with small_disk(tmp_path / "disk", 40 << 10) as (limit, make_room):
        out = tmp_path / "disk" / "out"
        status, rows, _ = scotopic(card, "-o", out, before=limit)
        assert status == 1
        told = by_name(rows)
        failed = [name for name, row in told.items() if row["status"] == "failed"]
        assert 1 <= len(failed) < 3
        assert all("could not be written" in told[name]["error"] for name in failed)
        assert len(whole_pictures(out)) == 3 - len(failed)
        make_room()
        assert scotopic(card, "-o", out, "--resume")[0] == 0
        assert len(whole_pictures(out)) == 3


def test_a_folder_among_others_that_lets_nobody_write_costs_its_own_results_alone(tmp_path, photo):
    card, out = tmp_path / "card", tmp_path / "out"
    put(photo, *(card / "shut" / f"IMG_{i}.dng" for i in range(4)), card / "to" / "IMG_9.dng")
    (out / "shut").mkdir(parents=True)
    (out / "shut").chmod(0o555)
    status, rows, _ = scotopic(card, "-o", out, before=as_a_plain_user)
    assert status == 1
    assert sorted(row["status"] for row in rows) == ["done"] + ["failed"] * 4
    (out / "shut").chmod(0o755)
    assert scotopic(card, "-o", out, "--resume", before=as_a_plain_user)[0] == 0
    assert len(whole_pictures(out)) == 5


def test_a_run_ends_after_three_results_in_a_row_that_the_place_of_all_refuses(tmp_path):
    for place in (tmp_path / "gone", "s3://shoot/pictures"):
        refused = Refused()
        for status in ("failed", "failed", "skipped"):
            refused.note(status, "NotAllowedError", "no permission")
            refused.check(place)
        refused.note("done", "", "")
        for _ in range(2):
            refused.note("failed", "NotAllowedError", "no permission")
            refused.check(place)
        refused.note("failed", "NotAllowedError", "no permission")
        refused.check(place, of_all=False)
        refused.check(tmp_path)
        with pytest.raises(WriteError, match=r"takes no results .no permission.; see to it"):
            refused.check(place)


def test_a_full_disk_for_the_journal_stops_in_words(tmp_path, photo):
    card = tmp_path / "card"
    put(photo, card / "IMG_1.dng", card / "IMG_2.dng")
    status, rows, words = scotopic(
        card, "-o", tmp_path / "out", before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))
    )
    assert status == 1
    assert "the journal cannot be written" in words
    assert "--resume" in words
    assert whole_pictures(tmp_path / "out") == []
    assert not [row for row in rows if row["status"] == "done"]


def test_closed_doors_are_named_and_the_rest_goes_on(tmp_path, photo):
    card = tmp_path / "card"
    put(photo, card / "IMG_1.dng", card / "IMG_2.dng", card / "shut" / "IMG_3.dng")
    (card / "IMG_2.dng").chmod(0)
    (card / "shut").chmod(0)
    try:
        status, rows, _ = scotopic(card, "-o", tmp_path / "out", before=as_a_plain_user)
    finally:
        (card / "shut").chmod(0o700)
    assert status == 1
    told = by_name(rows)
    assert told["IMG_1.dng"]["status"] == "done"
    assert "Permission denied" in told["IMG_2.dng"]["error"]
    assert "cannot be opened" in told["shut"]["error"]
    assert whole_pictures(tmp_path / "out") == ["IMG_1-scotopic.jpg"]


def test_what_is_no_file_is_named_for_what_it_is_and_the_rest_goes_on(tmp_path, photo):
    card = tmp_path / "card"
    put(photo, card / "IMG_1.dng")
    for name in ("IMG_2.dng", "IMG_3.arw", "IMG_1.xmp"):
        os.mkfifo(card / name)
    (card / "IMG_4.dng").symlink_to("gone.dng")
    for words in ([], ["--resume"], ["--dry-run", "--overwrite"]):
        status, rows, _ = scotopic(card, "-o", tmp_path / "out", *words)
        assert status == 1
        told = by_name(rows)
        assert told.pop("IMG_1.dng")["status"] != "failed"
        assert {name: row["status"] for name, row in told.items()} == dict.fromkeys(told, "failed")
        assert "is a pipe, not a file" in told["IMG_2.dng"]["error"]
        assert "is a pipe, not a file" in told["IMG_3.arw"]["error"]
        assert "is a link to gone.dng, where nothing is" in told["IMG_4.dng"]["error"]


def test_results_are_not_sent_through_a_link_to_nowhere(tmp_path, photo):
    put(photo, tmp_path / "card" / "IMG_1.dng")
    (tmp_path / "out").symlink_to("gone")
    for out in (tmp_path / "out", tmp_path / "out" / "sub"):
        status, _, words = scotopic(tmp_path / "card", "-o", out)
        assert status == 1
        assert "out: is a link to gone, where nothing is" in words


def test_where_no_thread_can_be_started_memory_is_too_small(tmp_path, photo, monkeypatch):
    source = tmp_path / "IMG_1.dng"
    put(photo, source)

    def start(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("scotopic.batch.read", start)
    made = treated(Job(source, tmp_path / "a.jpg"), Settings(), None)
    assert made.fault == "MemoryError"
    assert "not enough memory" in made.error


def test_a_read_only_target_is_said_before_any_work(tmp_path, photo):
    card = tmp_path / "card"
    put(photo, card / "IMG_1.dng", card / "IMG_2.dng")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    for words in (
        [card, "-o", locked],
        [card, "-o", locked / "sub"],
        [card / "IMG_1.dng", "-o", locked / "a.jpg"],
    ):
        status, rows, told = scotopic(*words, before=as_a_plain_user)
        assert status == 1
        assert "(Permission denied); give another" in told or "read-only" in rows[0]["error"]
    assert list(locked.iterdir()) == []


def test_a_target_that_vanishes_ends_the_run_and_coming_back_it_goes_on(tmp_path, photo):
    card, out, gone = tmp_path / "card", tmp_path / "out", tmp_path / "gone"
    put(photo, *(card / f"IMG_{i}.dng" for i in range(8)), size=LARGE)
    process = subprocess.Popen(
        [sys.executable, "-m", "scotopic", "enhance", str(card), "-o", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        end = time.monotonic() + PATIENCE_S
        while not list(out.glob("*.jpg")):
            assert time.monotonic() < end
            time.sleep(0.01)
        out.rename(gone)
        _, words = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert process.returncode == 1
    assert "vanished" in words
    assert "--resume" in words
    assert "Traceback" not in words
    assert not out.exists()
    # The picture under way may lie beside them, not yet named: in a folder that went, nobody can take it away.
    kept = {path.name for path in gone.glob("*.jpg")}
    assert 1 <= len(kept) < 8
    gone.rename(out)
    status, rows, _ = scotopic(card, "-o", out, "--resume")
    assert status == 0
    assert len(whole_pictures(out)) == 8
    assert {Path(r["output"]).name for r in rows if r["status"] == "skipped"} == kept


def test_what_lies_below_a_mount_point_gets_no_result_when_that_is_unmounted(tmp_path, photo, monkeypatch):
    source, out = tmp_path / "IMG_1.dng", tmp_path / "out"
    put(photo, source)
    out.mkdir()
    job = Job(source, out / "a.jpg", home=out, home_is=identity_of(out))

    def unmounted_meanwhile(*words: object, **more: object) -> object:
        out.rename(tmp_path / "disk")
        out.mkdir()
        return picture_of(*words, **more)

    monkeypatch.setattr("scotopic.batch.picture_of", unmounted_meanwhile)
    made = treated(job, Settings(), Models())
    assert made.fault == "WriteError"
    assert "has vanished while scotopic was at work" in made.error
    assert list(out.iterdir()) == []


def test_a_source_that_changes_while_it_is_read_is_no_picture_yet(tmp_path, photo, monkeypatch):
    source, target = tmp_path / "IMG_1.dng", tmp_path / "a.jpg"
    put(photo, source)

    def read_while_it_is_copied(path):
        frame = read(path)
        subprocess.run(["sh", "-c", 'printf x >> "$0"', path], check=True)
        return frame

    monkeypatch.setattr("scotopic.batch.read", read_while_it_is_copied)
    outcome = treated(Job(source, target), Settings(), Models())
    assert outcome.status == "failed"
    assert "changed while it was read" in outcome.error
    assert not target.exists()
    monkeypatch.undo()
    assert treated(Job(source, target), Settings(), Models()).status == "done"


def test_odd_names_and_links_are_done_or_named_each_on_its_own(tmp_path, photo):
    card, out = tmp_path / "card", tmp_path / "out"
    no_text = card / os.fsdecode(b"IMG_\xff\xe9.dng")
    alike = "é" * 120
    names = [
        card / "IMG_1.dng",
        card / "img_1.dng",
        card / "IMG_1.DNG",
        no_text,
        card / f"{'a' * (NAME_BYTES - 4)}.dng",
        card / f"{alike}1.dng",
        card / f"{alike}2.dng",
        card / "-o.dng",
        card / "two\nlines.dng",
    ]
    put(photo, *names)
    (card / "ring_1.dng").symlink_to("ring_2.dng")
    (card / "ring_2.dng").symlink_to("ring_1.dng")
    (card / "nowhere.dng").symlink_to("none.dng")
    (card / "up").symlink_to("..")
    status, rows, _ = scotopic(card, "-o", out)
    assert status == 1
    told = by_name(rows)
    links = {"ring_1.dng", "ring_2.dng", "nowhere.dng"}
    assert {name for name, row in told.items() if row["status"] == "failed"} == links
    assert set(told) == links | {path.name for path in names}
    assert "symbolic links" in told["ring_1.dng"]["error"]
    made = whole_pictures(out)
    assert len(made) == len(names)
    assert len({name.casefold() for name in made}) == len(names)
    assert all(len(os.fsencode(name)) <= NAME_BYTES for name in made)
    again = scotopic(card, "-o", out, "--resume")[1]
    assert {row["status"] for row in again if Path(row["file"]).name not in links} == {"skipped"}
