"""Locks on open files, which the system takes back from a killed process."""

from __future__ import annotations

import errno
import os
import sys
import time
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_HELD = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK})
"""What the system says of a lock that another has: network shares and Windows refuse access, and Windows gives up
waiting after ten seconds."""

PAUSE_S = 0.2
"""Seconds before the next try for a lock, where the system does not wait by itself."""

_UNREAD = 1 << 30
"""Place of the byte that is locked, which nobody reads: Windows locks bytes, not the file, and keeps others from
them."""


def locked(handle: int, *, wait: bool = False) -> bool:
    """Lock an open file for as long as it is open, and say whether it is: some file systems (network shares) know no
    locks, and nothing is held there.

    Raises BlockingIOError where another holds it, unless `wait`: then it waits for its end.
    """
    while True:
        try:
            _lock(handle, wait)
        except OSError as error:
            if error.errno not in _HELD:
                return False
            if not wait:
                raise BlockingIOError(error.errno, "another process holds the lock") from error
            time.sleep(PAUSE_S)
        else:
            return True


TRIES = 20
"""Times that a file which was taken away while it was opened is opened anew: after these its numbers are not to be
trusted, as some network shares give others each time."""


def is_still(handle: int, path: Path) -> bool:
    """Whether the file that is open is the one that has this name: who held it before may have taken it away."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


if sys.platform == "win32":

    def _lock(handle: int, wait: bool) -> None:
        os.lseek(handle, _UNREAD, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)

else:

    def _lock(handle: int, wait: bool) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
