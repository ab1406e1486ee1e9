"""Folders for temporary files, each locked while its process lives: what a killed one left is known by that."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scotopic.disk.files import is_there
from scotopic.disk.locks import is_still, locked


def of_this_host(prefix: str) -> str:
    """A prefix that machines with other names have not: they may share the folder above, and locks may be each one's.

    All are as long as each other, so that none begins another's.
    """
    return f"{prefix}{hashlib.sha256(os.fsencode(platform.node())).hexdigest()[:8]}-"


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A fresh folder among the system's temporary ones, for copies that nobody keeps.

    Only its owner may open it, where the system can hold others off. It goes at the end, and if its process is killed
    with the next `sweep`. What is to become part of a result is made in a `train.folder.staging` instead, from where
    it can be renamed into place. Raises OSError.
    """
    folder, lock = _made(prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _made(prefix: str) -> tuple[Path, int | None]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        with contextlib.suppress(FileNotFoundError):
            lock = lock_folder(folder, wait=True)
            # Who swept may have been faster than the lock.
            if lock is not None or is_there(folder):
                return folder, lock


def sweep(above: Path, prefix: str) -> None:
    """Remove what processes of this user left that live no more."""
    for folder in above.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            if not is_ours(folder):
                continue
            lock = lock_folder(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def is_ours(folder: Path) -> bool:
    """Whether it is a folder of this user. Raises OSError where there is none."""
    state = folder.lstat()
    return stat.S_ISDIR(state.st_mode) and (not hasattr(os, "getuid") or state.st_uid == os.getuid())


def lock_folder(folder: Path, *, wait: bool = False) -> int | None:
    """The folder opened and locked, which ends with this process; None where another holds it, or nobody can.

    Where nobody can, nothing tells the living from the dead: they are left alone. Windows opens no folders.
    """
    if sys.platform == "win32":
        return None
    opened = os.open(folder, os.O_RDONLY)
    with contextlib.suppress(BlockingIOError):
        if locked(opened, wait=wait) and is_still(opened, folder):
            return opened
    os.close(opened)
    return None
