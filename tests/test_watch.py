"""Watched folders: a real process, and files that are copied slowly."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scotopic.dng.write import write_mosaic
from scotopic.errors import SettingsError
from scotopic.jobs.journal import NAME
from scotopic.jobs.layout import Names
from scotopic.jobs.watch import Watch
from scotopic.sensor import expose, sony_a7s2

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


def started(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "scotopic", "enhance", "--watch", *map(str, words), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(holds) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


def stopped(process: subprocess.Popen[str]) -> tuple[list[dict[str, object]], str]:
    process.send_signal(signal.SIGINT)
    told, words = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "Traceback" not in words
    return [json.loads(line) for line in told.splitlines()], words


def test_files_are_taken_when_they_are_whole_each_once(watched, photos):
    out = watched.parent / "out"
    (watched / "IMG_0.dng").write_bytes(photos[0])
    process = started(watched, "-o", out)
    try:
        until(lambda: (out / "IMG_0-scotopic.jpg").exists())
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
        until(lambda: all((out / f"{n}-scotopic.jpg").exists() for n in ("IMG_1", "sub/IMG_2")))
        rows, words = stopped(process)
    finally:
        process.kill()
    assert "watching" in words
    done = sorted(Path(str(row["file"])).name for row in rows if row["status"] == "done")
    assert done == ["IMG_0.dng", "IMG_1.dng", "IMG_2.dng"]
    # On a machine so busy that the copy stood still a piece may have been tried; it was no picture.
    assert {Path(str(row["file"])).name for row in rows if row["status"] == "failed"} <= {"IMG_1.dng"}
    found = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file() and p.name != NAME)
    assert found == ["IMG_0-scotopic.jpg", "IMG_1-scotopic.jpg", "sub/IMG_2-scotopic.jpg"]
    for path in out.rglob("*.jpg"):
        with Image.open(path) as image:
            image.load()
    # Once more: nothing is done a second time.
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.jpg")}
    process = started(watched, "-o", out)
    try:
        (watched / "IMG_3.dng").write_bytes(photos[0])
        until(lambda: (out / "IMG_3-scotopic.jpg").exists())
        rows, _ = stopped(process)
    finally:
        process.kill()
    assert [Path(str(row["file"])).name for row in rows] == ["IMG_3.dng"]
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_copy_that_pauses_is_tried_again_once_it_is_whole(watched, photos):
    out = watched.parent / "out"
    process = started(watched, "-o", out)
    try:
        slow = watched / "IMG_0.dng"
        slow.write_bytes(photos[0][: len(photos[0]) // 2])
        until(lambda: (out / NAME).exists() and '"failed"' in (out / NAME).read_text())
        with slow.open("ab") as file:
            file.write(photos[0][len(photos[0]) // 2 :])
        until(lambda: (out / "IMG_0-scotopic.jpg").exists())
        rows, _ = stopped(process)
    finally:
        process.kill()
    assert [row["status"] for row in rows][-2:] == ["failed", "done"]
    assert "IMG_0.dng" in str(rows[0]["error"])


def test_only_folders_can_be_watched(watched):
    names = Names(None, "jpg", "scotopic")
    with pytest.raises(SettingsError, match="only folders"):
        Watch([watched / "none"], names, lambda job: False, enhanced=False)
