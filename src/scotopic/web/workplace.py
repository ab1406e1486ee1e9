"""A private folder for pictures on their way, of which nothing is left, whatever ends the server."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scotopic.errors import WriteError

_PREFIX, _LOCK = "scotopic-serve-", "lock"


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A fresh folder that only its owner may open; removed on leaving.

    Folders that a killed server or a power cut left are removed first: nobody holds their locks. Raises
    WriteError where the system has no room for temporary files.
    """
    above = Path(tempfile.gettempdir())
    _sweep(above)
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=above))
        lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise WriteError(f"{above}: no temporary files can be made there ({error.strerror})") from error
    _try_lock(lock)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        # Systems that do not remove open files (Windows) do now.
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(above: Path) -> None:
    """Remove what servers of this user left that live no more."""
    for folder in above.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            state = folder.lstat()
            if not stat.S_ISDIR(state.st_mode) or (hasattr(os, "getuid") and state.st_uid != os.getuid()):
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR)
            try:
                if _try_lock(lock):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _try_lock(file: int) -> bool:
    """Take the lock, which the system takes back when this process ends. False where another holds it."""
    try:
        import fcntl
    except ImportError:
        # Without such locks nothing tells the living from the dead: leave all alone.
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
