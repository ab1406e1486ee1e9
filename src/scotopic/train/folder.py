"""The folder of a run: what decides it, what it logged, and text files that are whole or not there."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from scotopic.errors import DatasetError, SettingsError, WriteError
from scotopic.jobs.journal import lock
from scotopic.train.recipes import Recipe
from scotopic.train.sources import Data

_RUNNING = ".running"


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Make a run's folder and hold it for the run's life: two at once would overwrite each other's state.

    The system takes the lock back from a killed process; where there are none (some network disks) nothing is
    held. A run that leaves nothing leaves no new folder either. Raises WriteError where another process holds it, and
    for a folder that cannot be made.
    """
    new = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = (out / _RUNNING).open("a+")
    except OSError as error:
        raise WriteError(f"{out}: is no folder that can be written to ({error.strerror})") from error
    with file:
        try:
            lock(file.fileno())
        except BlockingIOError as error:
            file.seek(0)
            raise WriteError(
                f"{out}: {file.read().strip() or 'another process'} is training in this folder: wait for its end, "
                "stop it (Ctrl-C saves), or give another folder"
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        try:
            yield
        finally:
            with suppress(OSError):
                if [path.name for path in out.iterdir()] == [_RUNNING]:
                    (out / _RUNNING).unlink()
                    for folder in new:
                        folder.rmdir()


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
            f"{part} ({key})"
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
    temporary = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text)
        flush(temporary)
        temporary.replace(path)
    except OSError as error:
        raise WriteError(f"{path}: could not be written ({error.strerror})") from error


def flush(path: Path) -> None:
    """Bring a file or a folder's entries to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
