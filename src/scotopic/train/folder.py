"""The folder of a run: what decides it, what it logged, and text files that are whole or not there."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from scotopic.disk.files import is_folder
from scotopic.disk.folders import ANOTHER, making
from scotopic.disk.locks import TRIES, is_still, locked
from scotopic.errors import DatasetError, SettingsError, WriteError, unwritten
from scotopic.train.recipes import Recipe
from scotopic.train.sources import Data
from scotopic.write import PARTS, place_bytes

_RUNNING = ".running"
_STAGING = ".scotopic-export-"

WORDS_MAX = 80
"""Letters in which a field that differs is told with its values."""


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Make a run's folder and hold it for the run's life: two at once would overwrite each other's state.

    The system takes the lock back from a killed process; where there are none (some network disks) nothing is
    held. What a killed process was writing is taken away. A run that leaves nothing leaves no new folder either.
    Raises WriteError where another process holds it, and for a folder that cannot be made or written to.
    """
    with ExitStack() as stack:
        for attempt in range(1, TRIES + 1):
            stack.enter_context(making(out))
            try:
                file = stack.enter_context((out / _RUNNING).open("a+"))
            except OSError as error:
                raise unwritten(out / _RUNNING, error, ANOTHER) from error
            if not _take(file, out) or attempt == TRIES or is_still(file.fileno(), out / _RUNNING):
                break
            stack.close()  # Who held it has ended meanwhile, and took it away.
        with _marked(file, out):
            for part in out.glob(PARTS):
                part.unlink(missing_ok=True)
            yield


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A hidden folder to make the files of `folder` in, on its file system, so that they can be renamed into place
    (`scratch.scratch` lies among the system's temporary folders, often on another). It is gone afterwards, as are new
    folders above that stay empty.

    It lies in `folder`, or beside one that is not there yet. Those that killed processes left in either place are
    taken away, where that is certain. Raises as `held`.
    """
    if os.path.lexists(folder) and not is_folder(folder):
        raise WriteError(
            f"{folder}: is no folder, or a link to one that is not there; give another, or make room for it"
        )
    place = folder if is_folder(folder) else folder.parent
    with making(place):
        for stale in (*folder.parent.glob(f"{_STAGING}*"), *folder.glob(f"{_STAGING}*")):
            if _is_left(stale / _RUNNING):
                shutil.rmtree(stale, ignore_errors=True)
        try:
            made = Path(tempfile.mkdtemp(prefix=_STAGING, dir=place))
        except OSError as error:
            raise unwritten(folder, error) from error
        try:
            with held(made):
                yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)


def _take(file: TextIO, out: Path) -> bool:
    """Lock a folder's file, and say whether it is. Raises WriteError that says whose it is."""
    try:
        return locked(file.fileno())
    except BlockingIOError as error:
        file.seek(0)
        raise WriteError(
            f"{out}: {file.read().strip() or 'another process'} is training in this folder: wait for its end, "
            "stop it (Ctrl-C saves), or give another folder"
        ) from error


@contextmanager
def _marked(file: TextIO, out: Path) -> Iterator[None]:
    """Say in a folder's file whose it is; it goes where it is all that is left."""
    try:
        try:
            # Past the buffer, which would try again on closing.
            os.truncate(file.fileno(), 0)
            os.write(file.fileno(), f"process {os.getpid()} {_here()}\n".encode())
        except OSError as error:
            raise unwritten(out / _RUNNING, error) from error
        yield
    finally:
        with suppress(OSError):
            if [path.name for path in out.iterdir()] == [_RUNNING]:
                (out / _RUNNING).unlink()


def _here() -> str:
    return f"on {socket.gethostname()}"


def _is_left(path: Path) -> bool:
    """Whether a process of this machine wrote that file and has ended.

    Locks tell it: the line is written once the lock is held. Where there are none, or of another machine's process,
    which may not see ours, it is not known.
    """
    with suppress(OSError, ValueError), path.open("r+") as file:
        line = re.fullmatch(rf"process \d+ {re.escape(_here())}\n", file.read(WORDS_MAX + 256))
        return line is not None and locked(file.fileno())
    return False


def check_folder(out: Path, recipe: Recipe, data: Data, resume: bool) -> bool:
    """Whether the folder holds a run to go on with; False for a new one.

    Raises WriteError for a run that may not be touched, SettingsError for a run by another recipe or on other data.
    """
    wanted = decided(recipe, data)
    stored = {part: out / f"{part}.json" for part in wanted}
    if not stored["recipe"].exists():
        if (out / "checkpoints").exists():
            raise WriteError(f"{out}: holds checkpoints without their recipe.json; give another folder")
        return False
    if not resume:
        raise WriteError(
            f"{out}: holds a training run already, which is kept; use --resume to go on with it, or "
            "give another folder"
        )
    try:
        was = {part: json.loads(path.read_text()) for part, path in stored.items()}
        differing = sorted(
            f"{part} ({_differing(key, was[part], wanted[part])})"
            for part in wanted
            for key in wanted[part]
            if was[part].get(key) != wanted[part][key]
        )
    except (OSError, ValueError, AttributeError) as error:
        raise DatasetError(f"{out}: holds no training run that can be read ({error})") from error
    if differing:
        raise SettingsError(
            f"{out}: the run has another {', '.join(differing)}; resume with the same settings and data"
        )
    return True


def _differing(key: str, was: dict[str, Any], wanted: dict[str, Any]) -> str:
    """A field, with both values where they are short enough to be read."""
    words = f"{key}: {json.dumps(was.get(key))} there, {json.dumps(wanted[key])} now"
    return words if key in was and len(words) <= WORDS_MAX else key


def check_apart(out: Path, data: Data) -> None:
    """Raise SettingsError for a run's folder among the frames of the pairs that it learns from."""
    parents = {path.parent.resolve() for pair in data.pairs for path in (pair.short, pair.long)}
    for folder in (out.resolve(), *out.resolve().parents):
        if folder in parents:
            raise SettingsError(
                f"{out}: lies in {folder}, among the frames to learn from; give a folder of its own"
            )


def decided(recipe: Recipe, data: Data) -> dict[str, dict[str, Any]]:
    """What a run hangs on, by the name of the file that keeps it; as JSON gives it back."""
    decided: dict[str, dict[str, Any]] = json.loads(
        json.dumps({"data": data.facts(), "recipe": recipe.to_dict()})
    )
    return decided


def cut_log(path: Path, step: int) -> None:
    """Drop what a killed run logged after its last checkpoint: those steps come again."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError):
            continue
    write_whole(path, "".join(f"{line}\n" for line in kept))


def write_whole(path: Path, text: str) -> None:
    """Write a text file whole or not at all, flushed to the disk. Raises WriteError when it refuses."""
    place_bytes(path, text.encode(), overwrite=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise WriteError that names the path for what the system refuses."""
    try:
        yield
    except OSError as error:
        raise unwritten(path, error) from error


def flush(path: Path) -> None:
    """Bring a folder's entries to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
