"""One picture in the line of the server, and why one is not taken."""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from scotopic.errors import NO_ROOM, ScotopicError
from scotopic.web.choices import Choices, in_api_words, name_on_disk, result_name

State = Literal["waiting", "running", "done", "failed", "cancelled"]
FINAL = frozenset({"done", "failed", "cancelled"})


class LineFullError(ScotopicError):
    """So many pictures wait already that no other is taken."""


class GoneError(ScotopicError):
    """There is no such job, or none any more."""


class NoRoomError(ScotopicError):
    """The disk of the server takes no other picture."""

    @classmethod
    def by(cls, error: OSError) -> NoRoomError:
        """What a request is told of it."""
        if error.errno in NO_ROOM:
            return cls(f"this computer has no room for the file ({error.strerror}): make room or wait")
        return cls(f"this computer cannot keep the file ({error.strerror}): try again later")


@dataclass(eq=False)
class Job:
    """One picture in the line; changed by the line alone."""

    id: str
    name: str
    folder: Path
    choices: Choices
    client: str = ""
    """The address it came from, if known."""
    state: State = "waiting"
    stage: Literal["", "read", "network", "develop"] = ""
    share: float = 0.0
    seconds: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    error: tuple[str, str] | None = None
    """Code and words."""
    used_at: float = 0.0
    """When the job ended or was last asked for."""
    fetched: bool = False
    """Whether its result was sent to somebody, whole."""
    held: int = 0
    """Bytes of the job's files, once it is over."""
    patience: asyncio.Timeout | None = None
    """The time limit of the upload, while it comes."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set at the next change, and then another takes its place."""

    @property
    def source(self) -> Path:
        """The upload."""
        return self.folder / name_on_disk(self.name)

    @property
    def result(self) -> Path:
        """Where the result is, once it is done; no upload is called so, as theirs begin with no dot."""
        return self.folder / f".result.{self.choices.format}"

    @property
    def result_name(self) -> str:
        """What it is called on the user's side."""
        return result_name(self.name, self.choices.format)

    @property
    def is_over(self) -> bool:
        """Whether nothing about it changes any more."""
        return self.state in FINAL

    def told_to_strangers(self, words: str) -> str:
        """`words` with the names that the sender knows, settings called as in the API, and without the folders of this
        computer."""
        for path, name in ((self.result, self.result_name), (self.source, self.source.name)):
            words = words.replace(str(path), name)
        words = in_api_words(words)
        return _FOLDERS.sub("", words).replace(self.source.name, self.name)


_FOLDERS = re.compile(r"(?<![\w:/.])(?:/|[A-Za-z]:\\)(?:[^/\\:;,()'\"\n]+[/\\])+")
"""The folders in which a path on Linux, macOS or Windows says a file is."""


def leave_alone(source: Path) -> None:
    """Remove what lies beside an upload: parts of a result that did not become one."""
    # Looking fails too, where no descriptors are left.
    with contextlib.suppress(OSError):
        for path in source.parent.glob("*"):
            if path != source:
                with contextlib.suppress(OSError):
                    path.unlink()


def size_of(place: Path) -> int:
    """Bytes of a file, or of a folder's files, its share of those that lie in others too; none where it is gone."""
    size = 0
    with contextlib.suppress(OSError):
        if not place.is_dir():
            return place.stat().st_size
        for path in place.iterdir():
            state = path.stat()
            size += state.st_size // max(1, state.st_nlink)
    return size
