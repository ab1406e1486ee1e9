"""Checkpoints: the whole state of a run, whole or not at all, proved sound before it is used.

A checkpoint is a safetensors file. Its header holds the run's plain facts and a SHA-256 over everything, so
that a file cut short or changed is known for what it is; the one before it is kept for that day.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as tensors_as_bytes
from torch import Tensor

from scotopic.disk.folders import make_folder
from scotopic.errors import DatasetError, WriteError, unwritten
from scotopic.train.folder import flush
from scotopic.write import PARTS, place_bytes

KEPT = 2
"""How many checkpoints stay: the last, and the one before should the last be damaged."""

_FORMAT = 1

_NAME = re.compile(r"step-\d{8,}\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and plain facts."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def save(folder: Path, step: int, checkpoint: Checkpoint) -> Path:
    """Write `folder/step-00000123.safetensors` and remove all of its kind but the last two.

    To a temporary name, flushed to the disk, then renamed. Raises WriteError when the disk refuses.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in checkpoint.tensors.items()}
    facts = json.dumps(checkpoint.facts, sort_keys=True)
    header = {"format": str(_FORMAT), "facts": facts, "sha256": _digest(tensors, facts)}
    target = folder / f"step-{step:08}.safetensors"
    make_folder(folder)
    try:
        write_tensors(target, tensors, header)
        flush(folder)
        # One that lies ahead is of a run that fell back to before it: damaged, or overtaken.
        before = [path for path in _all(folder) if _step(path) < step]
        kept = {target, *before[1 - KEPT :]}
        for old in (*_all(folder), *folder.glob(PARTS)):
            if old not in kept:
                old.unlink()
    except OSError as error:
        raise unwritten(target, error) from error
    return target


def write_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, str] | None = None) -> None:
    """A safetensors file, whole or not at all. Raises WriteError when the disk refuses."""
    try:
        content = tensors_as_bytes(tensors, metadata=header)
    except SafetensorError as error:
        raise WriteError(f"{path}: could not be written ({error})") from error
    place_bytes(path, content, overwrite=True)


def load_last(folder: Path, report: Callable[[str], None] = lambda _: None) -> Checkpoint | None:
    """The last sound checkpoint; None when there is none at all.

    A damaged one is told through `report` and the one before is used. Raises DatasetError when there are
    checkpoints and none is sound.
    """
    found = _all(folder)
    for path in reversed(found):
        try:
            return load(path)
        except DatasetError as error:
            report(f"{error}; trying the checkpoint before it")
    if found:
        raise DatasetError(f"{folder}: no checkpoint is sound; start the run afresh in another folder")
    return None


def load(path: Path) -> Checkpoint:
    """One checkpoint. Raises DatasetError when it is damaged, and for pickles."""
    refuse_pickle(path)
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
        tensors = load_file(path)
        facts = json.loads(header["facts"])
        sound = header["sha256"] == _digest(tensors, header["facts"])
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise DatasetError(f"{path}: is no checkpoint that can be read ({error})") from error
    if not sound:
        raise DatasetError(f"{path}: is damaged, its checksum does not hold")
    return Checkpoint(tensors, facts)


def refuse_pickle(path: Path) -> None:
    """Raise DatasetError for a file of PyTorch's or Python's own form: opening one runs whatever is in it."""
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError:
        # Reading it will say why.
        return
    # A safetensors file begins with eight bytes of a length and a brace; the first of them may be anything.
    if (head[:1] == b"\x80" and head[8:] != b"{") or head[:4] == b"PK\3\4":
        raise DatasetError(
            f"{path}: is a pickle, which runs code when it is opened, and is not opened; if you trust it, save its "
            "tensors as safetensors: safetensors.torch.save_file(torch.load(path, weights_only=True), name)"
        )


def _all(folder: Path) -> list[Path]:
    """A folder's checkpoints in the order of their steps; what else lies there is somebody's own."""
    return sorted((path for path in folder.glob("step-*") if _NAME.fullmatch(path.name)), key=_step)


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def _digest(tensors: dict[str, Tensor], facts: str) -> str:
    digest = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).contiguous().numpy().data if tensor.numel() else b"")
    return digest.hexdigest()
