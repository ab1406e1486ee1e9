"""What must hold of any file whatever: a picture that can be used, or an error of ours in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scotopic import batch
from scotopic.dng.directory import read_dng_tags
from scotopic.dng.origin import read_origin
from scotopic.enhance import plan, sensor_of
from scotopic.errors import ReadError, ScotopicError
from scotopic.metadata import is_enhanced, read_exif, xmp_packet
from scotopic.read import read
from scotopic.run import Models
from scotopic.sandbox import wire
from scotopic.settings import Settings

WORDS_MAX = 1000


class BrokenPromise(AssertionError):
    """The file made us do what no file may."""


def examined(path: Path, models: Models | None = None, out: Path | None = None) -> str:
    """All that is done with a file of a stranger's; says what came of it: "picture", or the error's name.

    With `models` and `out` a picture is enhanced, too, and written. Raises whatever is no error of ours.
    """
    verdict = "picture"
    try:
        captured = read(path)
    except ReadError as error:
        verdict = type(error).__name__
        _check_words(str(error), path)
    else:
        _check_picture(captured)
        try:
            sensor_of(captured)
            facts = batch.describe(captured, plan(captured))
            json.dumps(facts, allow_nan=False)
        except ScotopicError as error:
            verdict = type(error).__name__
            _check_words(str(error), None)
    exif = read_exif(path)
    exif.to_bytes(96, 64, "test")
    xmp_packet(exif)
    is_enhanced(path)
    read_origin(path, 64, 96)
    try:
        read_dng_tags(path)
    except ReadError as error:
        _check_words(str(error), path)
    if models is not None and out is not None:
        _check_result(path, models, out, verdict)
    return verdict


def _check_words(words: str, path: Path | None) -> None:
    if len(words) > WORDS_MAX or not words.isprintable() or (path is not None and path.name not in words):
        raise BrokenPromise(f"words {words[:WORDS_MAX]!r}")


def _check_picture(captured: Any) -> None:
    """It is what it says, and comes through the sandbox's pipe as it is."""
    if not np.isfinite(captured.data.min()) or not np.isfinite(captured.data.max()):
        raise BrokenPromise("light that is no number")
    header, data = wire.packed(captured)
    back = wire.unpacked(wire.loaded(wire.dumped(header)), data)
    if repr(back.exif) != repr(captured.exif) or back.wb != captured.wb:
        raise BrokenPromise("changed on the way through the pipe")


def _check_result(path: Path, models: Models, out: Path, verdict: str) -> None:
    """A whole picture or none, and nothing beside it."""
    for kind in ("jpg", "dng"):
        target = out / f"{path.stem}.{kind}"
        settings = Settings(kind=kind)  # type: ignore[arg-type]
        outcome = batch.treated(batch.Job(path, target), settings, models)
        left = sorted(p.name for p in out.iterdir())
        if "fault in scotopic" in outcome.error:
            raise BrokenPromise(outcome.error)
        if outcome.status == "done":
            # What LibRaw makes of a broken file may differ from one reading to the next; whole it must be.
            if left != [target.name]:
                raise BrokenPromise(f"done, and there are {left}, after {verdict}")
            if kind == "jpg":
                with Image.open(target) as picture:
                    picture.load()
            else:
                read(target)
            target.unlink()
        elif left:
            raise BrokenPromise(f"{outcome.error}, and there are {left}")
