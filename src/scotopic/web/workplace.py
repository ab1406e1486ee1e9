"""A private folder for pictures on their way, of which nothing is left, whatever ends the server."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scotopic.disk.locks import is_still
from scotopic.disk.scratch import is_ours, lock_folder, sweep
from scotopic.errors import WriteError

_PREFIX = "scotopic-serve-"


class Workplace:
    """The folder and its lock, which lies on the folder itself: who cleans /tmp passes by folders that are locked.

    Where somebody removes it all the same, `hold` makes it anew.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: int | None = None

    @property
    def pictures(self) -> Path:
        """For uploads and results."""
        return self.folder / "pictures"

    @property
    def page(self) -> Path:
        """For the page's files in the forms in which they are sent."""
        return self.folder / "page"

    def hold(self) -> None:
        """See that it is there, ours, locked and not old. Raises OSError where that cannot be."""
        for folder in (self.folder, self.pictures, self.page):
            private(folder)
            os.utime(folder)
        if self._lock is not None and not is_still(self._lock, self.folder):
            os.close(self._lock)
            self._lock = None
        if self._lock is None:
            self._lock = lock_folder(self.folder)

    def leave(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


@contextlib.contextmanager
def workplace(above: Path | None = None) -> Iterator[Workplace]:
    """A fresh folder that only its owner may open, below `above` or the system's for such; removed on leaving.

    Folders that a killed server or a power cut left are removed first: nobody holds their locks. Raises
    WriteError where no temporary files can be made.
    """
    if above is None:
        above = _of_the_system()
    sweep(above, _PREFIX)
    try:
        place = Workplace(Path(tempfile.mkdtemp(prefix=_PREFIX, dir=above)))
        place.hold()
    except OSError as error:
        words = (
            f"{above}: no temporary files can be made there ({error.strerror}); give a folder with --temp"
        )
        raise WriteError(words) from error
    try:
        yield place
    finally:
        place.leave()


def _of_the_system() -> Path:
    """Where the environment or the system says; not where Python turns to when that cannot be used.

    Pictures of others are nothing to leave in a place that nobody chose. Raises WriteError.
    """
    try:
        found = Path(tempfile.gettempdir())
    except OSError as error:
        raise WriteError(
            f"no folder takes temporary files ({error.strerror}); give one with --temp"
        ) from error
    for variable in ("TMPDIR", "TEMP", "TMP"):
        asked = os.environ.get(variable)
        if asked and os.path.abspath(asked) != os.path.abspath(found):  # noqa: PTH100 - takes ".." out as tempfile does
            raise WriteError(
                f"{variable} is {asked}, where no temporary files can be made; mend it, or give a folder with --temp"
            )
        if asked:
            return found
    if found == Path.cwd():
        raise WriteError("only the current folder takes temporary files; give another with --temp")
    return found


def private(folder: Path) -> None:
    """Make a folder that only its owner may open, where it is not there. Raises OSError, also where it is not ours."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not is_ours(folder):
            raise
