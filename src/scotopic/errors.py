"""Everything that scotopic raises on purpose. Each message says what came, what was needed, what to do."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
"""The system's numbers for a disk, or a share of one, that is full."""

NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""The system's numbers for places that are not this user's to write."""


class ScotopicError(Exception):
    """The root: catching it catches every error of this library's own."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The message in lines to show one below the other; line breaks inside them are a file name's own."""
        return (str(self),)


class ReadError(ScotopicError):
    """A file could not be read as a RAW photo."""


class NotRawError(ReadError):
    """The file is no RAW file: a developed picture, a video, a text, nothing at all."""


class DamagedFileError(ReadError):
    """The file is a RAW file, but cut short or broken."""


class TooSmallError(DamagedFileError):
    """The file's picture is smaller than any camera's: a thumbnail, or what damage left."""


class UnsupportedRawError(ReadError):
    """A RAW file of a kind that this version does not enhance."""


class EnhancedAlreadyError(UnsupportedRawError):
    """The picture is a result of scotopic's own."""


class UnsafeFileError(ReadError):
    """Decoding a file in its sandbox crashed, or took more time or memory than allowed."""


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Begin with a file's name what is said of its picture, which does not know whence it was read.

    >>> with naming("a.dng"):
    ...     raise UnsupportedRawError("its pattern is of no use")
    Traceback (most recent call last):
    scotopic.errors.UnsupportedRawError: a.dng: its pattern is of no use
    """
    try:
        yield
    except (ReadError, SettingsError) as error:
        raise type(error)(f"{name}: {error}") from error


class ModelError(ScotopicError):
    """A model folder is missing, damaged, tampered with, or does not fit the picture."""


class WriteError(ScotopicError):
    """A result could not be written."""


class FileExistsRefusal(WriteError):
    """The target exists and nobody allowed overwriting it."""


class OtherSettingsRefusal(FileExistsRefusal):
    """The target exists, and an earlier run has made it with other settings."""


class DiskFullError(WriteError):
    """There was no room for a result."""


class NotAllowedError(WriteError):
    """The place of a result takes none from us: it is read-only, another user's, or there is no key to it."""


def unwritten(path: object, error: OSError, otherwise: str = "") -> WriteError:
    """The error for what the system would not write: the path, why, and what to do: about a full disk, or `otherwise`.

    >>> str(unwritten("run/log.jsonl", OSError(errno.ENOSPC, "No space left on device")))
    'run/log.jsonl: could not be written (No space left on device); make room first'
    """
    words = f"{path}: could not be written ({error.strerror or error})"
    if error.errno in NO_ROOM or (error.errno is None and _NUMPY_WROTE_LESS.search(str(error))):
        return DiskFullError(f"{words}; make room first")
    kind = NotAllowedError if error.errno in NOT_ALLOWED else WriteError
    return kind(f"{words}; {otherwise}" if otherwise else words)


_NUMPY_WROTE_LESS = re.compile(r"\d+ requested and \d+ written")
"""What numpy says of a full disk in place of the system's number."""


def how_to_get(extra: str) -> str:
    """What brings a part that is not installed with the rest.

    >>> how_to_get("web")
    "pip install '.[web]' in scotopic's folder"
    """
    return f"pip install '.[{extra}]' in scotopic's folder"


class SettingsError(ScotopicError):
    """A setting is unknown or out of its range."""


def check_kind_of(name: str, value: object, needed: type | tuple[type, ...], how: str) -> None:
    """Raise SettingsError where what goes by `name` is of no such kind; `how` says what to do.

    >>> check_kind_of("exif", None, dict, "leave it out")
    Traceback (most recent call last):
    scotopic.errors.SettingsError: exif needs dict, not NoneType: leave it out
    """
    if not isinstance(value, needed):
        kinds = needed if isinstance(needed, tuple) else (needed,)
        names, came = " or ".join(kind.__name__ for kind in kinds), type(value).__name__
        raise SettingsError(f"{name} needs {names}, not {came}: {how}")


def check_number(name: str, value: object) -> None:
    """Raise SettingsError for what is no number."""
    try:
        is_number = not isinstance(value, (str, bytes)) and float(value) is not None  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        is_number = False
    if not is_number:
        raise SettingsError(f"{name} needs a number, not {value!r:.80}")


class UnknownModelError(ModelError, SettingsError):
    """There is no model of the name that was given, or no model in that folder."""


class TrainingError(ScotopicError):
    """A training run went wrong and was stopped."""


class DatasetError(ScotopicError):
    """Training or evaluation data are missing, damaged or too small; `each` says it of one file a line."""

    def __init__(self, words: str = "", each: Sequence[str] = ()) -> None:
        super().__init__("\n".join((words, *each)))
        self._lines = (words, *each)

    @property
    def lines(self) -> tuple[str, ...]:
        """What the list is of, then its lines."""
        return self._lines
