"""What a person at a terminal sees."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

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
