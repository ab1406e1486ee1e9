"""Files as the system has them: whether one is there, what it is, and opened without waiting for anybody."""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from pathlib import Path
from typing import BinaryIO

from scotopic.errors import DatasetError, ScotopicError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


NOT_PHOTOS = frozenset({"@eaDir", "#recycle", "$RECYCLE.BIN"})
"""Folders of what network storage and Windows have put aside, previews and deleted files."""


def is_of_photos(*names: str) -> bool:
    """Whether no part of a path below a folder of photos is hidden (.Trashes, ._IMG_1.ARW) or among NOT_PHOTOS."""
    return not any(name.startswith(".") or name in NOT_PHOTOS for name in names)


def alike(path: str) -> str:
    """A path as the strictest file systems know it: neither case nor the way an accent is written counts."""
    return composed(path.casefold())


def composed(path: str) -> str:
    """A path whose accents are written the one way; some file systems change that."""
    return unicodedata.normalize("NFC", path)


def is_there(path: Path | str) -> bool:
    """Whether something has this name. Unlike `Path.exists`, a place that cannot be looked at (a network disk that has
    gone) and a name that no file can have are no error here."""
    return os.path.exists(path)  # noqa: PTH110


def is_folder(path: Path | str) -> bool:
    """Whether a folder has this name. Unlike `Path.is_dir`, a place that cannot be looked at is no error here."""
    return os.path.isdir(path)  # noqa: PTH112


def check_there(path: Path, kind: type[ScotopicError] = DatasetError, *, folder: bool = False) -> None:
    """Raise an error of that kind where there is no such file, or folder."""
    what = "folder" if folder else "file"
    if not is_there(path):
        raise kind(f"{path}: there is no such {what}; look at how it is spelt")
    if is_folder(path) != folder:
        raise kind(f"{path}: is {'no' if folder else 'a'} folder; give a {what}")


Identity = tuple[int, int]
"""Which folder it is: another disk in its place has another number."""


def identity_of(folder: Path) -> Identity | None:
    """Which one has this name; None where there is none."""
    try:
        found = folder.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def why_impossible(path: Path) -> str:
    """Why nothing can have this name, in words; empty where it can."""
    try:
        path.lstat()
    except OSError as error:
        return (error.strerror or str(error)) if error.errno == errno.ENAMETOOLONG else ""
    except ValueError:
        return _NO_NAME
    return ""


_NO_NAME = "it holds letters that no file's name can hold"


def stat_of(path: Path) -> os.stat_result:
    """What the system says of a file; raises OSError, be it for a name that no file can have."""
    try:
        return path.stat()
    except ValueError as error:
        raise OSError(errno.EINVAL, _NO_NAME) from error


def kind_of(path: Path) -> str:
    """What has this name: "a file", "a folder", "a pipe", ...; raises OSError as `stat_of`."""
    return _KINDS.get(stat.S_IFMT(stat_of(path).st_mode), "a file")


def opened(path: Path) -> BinaryIO:
    """A file to be read. Raises OSError for what is none: a pipe would keep its reader waiting, a device has no end."""
    found = kind_of(path)
    if found != "a file":
        raise OSError(errno.EINVAL, f"is {found}, not a file")
    return path.open("rb")


State = tuple[int, int, int]
"""Size, time of change (ns) and inode."""


def state_of(path: Path) -> State | None:
    """What changes when a file is written to or another takes its name; None where it is not there."""
    try:
        found = stat_of(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino
