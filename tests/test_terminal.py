"""What a person at a terminal sees."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import SAMPLE

pty = pytest.importorskip("pty", reason="no pseudo-terminals here")


def test_a_terminal_shows_progress_and_one_line_a_file(tmp_path):
    shutil.copy(SAMPLE, tmp_path / "IMG_1.dng")
    (tmp_path / "IMG_2.dng").write_bytes(b"not a photo\n")
    main, side = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "scotopic", "enhance", str(tmp_path)],
        stdin=subprocess.DEVNULL,
        stdout=side,
        stderr=side,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"},
    )
    os.close(side)
    shown = b""
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:  # Linux: the other side is closed
            break
        if not piece:
            break
        shown += piece
    os.close(main)
    assert process.wait(timeout=60) == 1
    words = shown.decode()
    assert "IMG_1-scotopic.jpg" in words
    assert "IMG_2.dng: FAILED" in words
    assert "0/2" in words  # the bar
    assert "Traceback" not in words


@pytest.mark.parametrize("shut", ["1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_shell_may_shut_the_standard_streams(tmp_path, shut):
    target = tmp_path / "a.jpg"
    line = f'exec "$0" -m scotopic enhance "$1" -o "$2" {shut}'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable, str(SAMPLE), str(target)], capture_output=True, text=True
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert target.read_bytes()[:2] == b"\xff\xd8"


def test_who_is_not_read_to_the_end_says_so_by_its_exit_status(tmp_path):
    for number in range(40):
        shutil.copy(SAMPLE, tmp_path / f"IMG_{number}.dng")
    process = subprocess.Popen(
        [sys.executable, "-m", "scotopic", "info", "--json", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 141


def test_help_is_short_too_and_shells_complete_the_commands():
    told = [
        subprocess.run([sys.executable, "-m", "scotopic", *words], capture_output=True, text=True).stdout
        for words in (["-h"], ["--help"], ["enhance", "-h"], ["enhance", "--help"])
    ]
    assert told[0] == told[1]
    assert told[2] == told[3] != told[0]
    completing = {
        **os.environ,
        "_SCOTOPIC_COMPLETE": "complete_bash",
        "COMP_WORDS": "scotopic enh",
        "COMP_CWORD": "1",
    }
    command = [shutil.which("scotopic", path=Path(sys.executable).parent) or "scotopic"]
    assert (
        subprocess.run(command, capture_output=True, text=True, env=completing).stdout.strip() == "enhance"
    )


def test_what_a_run_starts_has_the_streams_that_were_shut(tmp_path):
    code = (
        "import subprocess, sys; from scotopic.cli import _open_what_is_shut; _open_what_is_shut(); "
        "print(subprocess.run([sys.executable, '-c', 'import sys; print(sys.stderr is None)'], "
        "capture_output=False, stdout=subprocess.PIPE, text=True).stdout)"
    )
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, code], capture_output=True, text=True
    )
    assert done.stdout.split() == ["False"]
