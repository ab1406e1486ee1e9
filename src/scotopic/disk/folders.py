"""Folders made on the way to a result, and what of them goes again."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scotopic.disk.files import is_folder, is_there, kind_of, why_impossible
from scotopic.errors import SettingsError, WriteError, unwritten

ANOTHER = "give another folder"
ANOTHER_RESULTS = "give another with -o"
"""What may be done where a folder cannot be made, by whom and what it is for."""


def check_folder_of(target: Path) -> None:
    """Raise SettingsError where there is no folder for a single file that is to be written: none is made for one."""
    if not is_folder(target.parent):
        raise SettingsError(f"{target}: there is no folder {target.parent}; make it first, or give another")


def make_folder(folder: Path, otherwise: str = ANOTHER) -> list[Path]:
    """Make a folder and those above it; gives the ones that were not there, deepest first.

    Raises WriteError (DiskFullError where there is no room) for what cannot be made, what is no folder and links to
    nowhere; `otherwise` says what to do then. Nothing new is left in that case.
    """
    if why := why_impossible(folder):
        raise WriteError(f"{folder}: nothing can have this name ({why}); {otherwise}")
    made: list[Path] = []
    try:
        for path in reversed([folder, *folder.parents]):
            if not is_there(path):
                _make(path, made)
        if not is_folder(folder):
            raise WriteError(f"{folder}: is {kind_of(folder)}, not a folder; {otherwise}")
    except OSError as error:
        remove_empty(made)
        raise _unmade(folder, error, otherwise) from error
    return made


def remove_empty(made: Iterable[Path]) -> None:
    """Take the folders away, deepest first, up to one in which there is something."""
    with suppress(OSError):
        for folder in made:
            folder.rmdir()


def takes_files(folder: Path) -> bool:
    """Whether a file can be made in a folder. It is tried: of a network's folders the system does not know."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".scotopic-"):
            return True
    except OSError:
        return False


@contextmanager
def making(folder: Path | None, otherwise: str = ANOTHER) -> Iterator[None]:
    """A folder for what is done meanwhile, if one is needed: new ones go again where nothing is left in them.

    Raises as `make_folder`.
    """
    made = make_folder(folder, otherwise) if folder is not None else []
    try:
        yield
    finally:
        remove_empty(made)


def _make(path: Path, made: list[Path]) -> None:
    try:
        path.mkdir()
    except FileExistsError:
        # Another process was faster; or it is a link to nowhere.
        if not is_folder(path):
            raise
    else:
        made.insert(0, path)


def _unmade(folder: Path, error: OSError, otherwise: str) -> WriteError:
    for path in (folder, *folder.parents):
        if os.path.islink(path) and not is_there(path):  # noqa: PTH114 - raises for no name
            return WriteError(
                f"{path}: is a link to {path.readlink()}, where nothing is; make that folder, or {otherwise}"
            )
    return unwritten(folder, error, otherwise)
