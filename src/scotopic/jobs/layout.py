"""Which files there are, and where the result of each goes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterator
from itertools import count
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple

from scotopic.batch import Job
from scotopic.disk.files import alike, is_folder, is_of_photos, is_there
from scotopic.errors import ReadError, SettingsError
from scotopic.formats.table import ENDINGS, Kind
from scotopic.identify import RAW_SUFFIXES
from scotopic.jobs.past import Entry, Past, Photo, absolute, is_elsewhere
from scotopic.metadata import is_enhanced
from scotopic.settings import Way


class Found(NamedTuple):
    """A RAW file."""

    source: Path
    base: Path
    """The folder it is relative to."""
    named: bool
    """Whether it was named itself, and not found below a folder."""


def find_files(paths: list[Path], *, enhanced: bool = True) -> list[Found]:
    """The RAW files named or below the folders named, hidden ones apart.

    What is named is taken as it is, even if it does not exist; so is a folder that cannot be opened:
    reading them will say so. Without `enhanced`, DNGs in folders that scotopic has written are passed by:
    they are results of an earlier run. Raises ReadError when no RAW file is found.
    """
    found: dict[str, Found] = {}
    """By where a file lies, so that a folder named twice, be it through a link, is gone through once."""
    for path in paths:
        if not is_folder(path):
            found.setdefault(os.path.join(_real(path.parent), path.name), Found(path, path.parent, True))  # noqa: PTH118
            continue
        real = _real(path)

        def closed(error: OSError, path: Path = path) -> None:
            folder = Path(error.filename)
            base = path if folder != path else path.parent
            found.setdefault(error.filename, Found(folder, base, folder == path))

        for folder, folders, names in os.walk(path, onerror=closed):
            folders[:] = sorted(name for name in folders if is_of_photos(name))
            below = folder[len(str(path)) :].lstrip(os.sep)
            for name in sorted(names):
                if not _has_raw_ending(name) or not is_of_photos(name):
                    continue
                source = Path(folder, name)
                if enhanced or not is_result(source):
                    found.setdefault(os.path.join(real, below, name), Found(source, path, False))  # noqa: PTH118
    if not found:
        raise ReadError(f"no RAW files in {', '.join(map(str, paths))}: looked for {_some_suffixes()}")
    return list(found.values())


def _has_raw_ending(name: str) -> bool:
    return name[name.rfind(".") :].lower() in RAW_SUFFIXES


def is_result(path: Path) -> bool:
    """Whether a file is a DNG that scotopic has written."""
    try:
        return path.suffix.lower() == ".dng" and is_enhanced(path)
    except OSError:
        # Reading it will say why.
        return False


def lay_out(
    files: list[Found],
    output: Path | None,
    kind: Kind | None,
    way: Way = "scotopic",
    past: Past | None = None,
) -> tuple[list[Job], Kind]:
    """Where each result goes, and its format.

    `IMG_1.ARW` becomes `IMG_1-scotopic.jpg` beside it; `output` is a file for a single source, else a
    folder that keeps the sources' subfolders. Of two sources that would meet in one name the later
    keeps its ending in it; what `past` has made of a source keeps its name. Raises SettingsError where `output`
    does not fit.
    """
    if output is not None and not is_folder(output):
        single = len(files) == 1 and files[0].named
        named = named_format(output, kind, len(files), single=single, there=is_there(output))
        if named is not None:
            check_apart([(files[0].source, output)])
            return [Job(files[0].source, output)], named
    chosen: Kind = kind or "jpg"
    names = Names(output, chosen, way, past)
    jobs = [names.job(source, base) for source, base, _ in files]
    check_apart([(job.source, job.target) for job in jobs])
    return jobs, chosen


def is_one_picture(place: Path) -> bool:
    """Whether a place is to be one picture, by its name, rather than a folder of them."""
    return place.suffix.lower() in ENDINGS and not is_folder(place)


def named_format(
    output: PurePath, kind: Kind | None, count: int, *, single: bool, there: bool
) -> Kind | None:
    """The format of a place that is no folder and is named as one picture; None where it is to be a folder.

    `single` is for one of the `count` pictures, which was named itself, `there` for something that has this name.
    Raises SettingsError where they do not fit.
    """
    named = ENDINGS.get(output.suffix.lower())
    if named is not None and count > 1:
        raise SettingsError(f"{output} is one file, but there are {count} pictures: give a folder instead")
    if named is not None and kind not in (None, named):
        raise SettingsError(f"{output} says {named}, --format says {kind}: leave one of them out")
    if named is None and output.suffix and single and kind is None:
        raise SettingsError(
            f"{output}: no picture format called {output.suffix}; known are {', '.join(sorted(ENDINGS))}"
        )
    if named is None and there:
        raise SettingsError(f"{output} is a file, but a folder is needed for the results")
    return named


class Names:
    """Gives each source a result's name of its own, one after the other; `past` is what runs before have given.

    Names are told apart as the strictest file systems do: neither case nor the way an accent is written counts.
    `known` says how journals know a result.
    """

    def __init__(
        self,
        output: Path | None,
        kind: Kind,
        way: Way,
        past: Past | None = None,
        known: Callable[[Path], str] = absolute,
    ) -> None:
        self._output, self._tail = output, f"-{way}.{kind}"
        self._past, self._known = past, known
        self._taken: dict[str, str] = {}
        """Whose the names are that were given."""
        self._next: dict[str, int] = {}
        """The number that comes next, by name without ending."""

    def job(self, source: Path, base: Path) -> Job:
        """The job of a source found below `base`; of two that would meet the later keeps its ending."""
        folder = source.parent if self._output is None else self._output / source.parent.relative_to(base)
        return Job(source, self.target(Photo.at(source), folder))

    def target(self, photo: Photo, folder: Path) -> Path:
        """Where a photo's result goes in a folder."""
        target = next(name for name in self._names(photo, folder) if self._is_free(name, photo))
        self._taken[alike(self._known(target))] = photo.file
        return target

    def _is_free(self, target: Path, photo: Photo) -> bool:
        known = self._known(target)
        owner = self._taken.get(alike(known))
        if self._past is None:
            return owner is None
        return owner in (None, photo.file) and not self._past.is_of_another(known, photo)

    def _names(self, photo: Photo, folder: Path) -> Iterator[Path]:
        """Names for a result, the best first."""
        for made in self._past.results_of(photo) if self._past is not None else ():
            name = os.path.split(made)[1]
            if made == self._known(folder / name) and name.endswith(self._tail):
                yield folder / name
        source = PurePosixPath(photo.name)
        stem = _short(source.stem, len(self._tail) + NUMBER_BYTES)
        yield folder / f"{stem}{self._tail}"
        yield folder / f"{stem}_{source.suffix[1:].lower()}{self._tail}"
        key = alike(self._known(folder / stem))
        for number in count(self._next.get(key, 2)):
            self._next[key] = number + 1
            yield folder / f"{stem}_{number}{self._tail}"

    def learn(self, line: Entry) -> None:
        """Take up a journal's line of a result: another photo may lie at its source's place tomorrow, or does."""
        if self._past is not None:
            self._past.add(line)

    def known_of(self, target: Path) -> Entry | None:
        """What is known of a result."""
        return self._past.line_of_result(self._known(target)) if self._past is not None else None


NAME_BYTES = 255
"""Bytes of a file's name, at most, on Linux, macOS and Windows."""

NUMBER_BYTES = 8
"""Bytes of a name kept for the number that tells two alike apart."""


def _short(stem: str, more: int) -> str:
    """A stem that leaves room for `more` bytes; of a longer one the beginning and a mark of its whole."""
    name = os.fsencode(stem)
    if len(name) + more <= NAME_BYTES:
        return stem
    mark = "~" + hashlib.sha256(name).hexdigest()[:8]
    kept = os.fsdecode(name[: NAME_BYTES - more - len(mark)])
    # A letter cut in two would be no text any more.
    while kept and "\udc80" <= kept[-1] <= "\udcff":
        kept = kept[:-1]
    return kept + mark


def check_apart(places: Collection[tuple[Path | str, Path | str]]) -> None:
    """Raise SettingsError where a result would take the place of a source, whatever the user allows."""
    sources = {_real(source) for source, _ in places}
    for _, target in places:
        if _real(target) in sources:
            raise SettingsError(f"{target} is one of the photos to read: give another output")


def _real(path: Path | str) -> str:
    """Where a path leads; unlike `Path.resolve`, links in a circle are no error here: reading will say so."""
    return path if isinstance(path, str) and is_elsewhere(path) else os.path.realpath(path)


def _some_suffixes() -> str:
    return "ARW, CR2, CR3, DNG, NEF, RAF and others"
