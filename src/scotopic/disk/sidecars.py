"""The XMP files that editors put beside photos: which there are, however they are spelt, and what they say."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath

from scotopic.disk.files import alike, composed, opened
from scotopic.metadata.xmp import LARGEST_PACKET, Words, parse

ENDINGS = (".xmp", ".XMP")
"""Endings of sidecars as programs write them; others are met where a file system or a person has changed them."""


class Beside:
    """The names in one folder."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = set(names)
        self._sidecars: dict[str, dict[str, str]] = {}
        """By what they are named after, whatever its case: by their names as they are compared, these as they are."""
        for name in sorted(self._names):
            if _is_sidecar(name):
                self._sidecars.setdefault(alike(name[:-4]), {})[composed(name)] = name

    def of(self, photo: str) -> list[str]:
        """The sidecars of a photo, the more telling first: IMG_1.ARW.xmp before IMG_1.xmp.

        What is spelt exactly so counts, and else what differs in case: the best, or the first by name; not what is
        spelt exactly as that of another file, which may be a photo.

        >>> Beside(["r.DNG", "R.Xmp", "s.dng", "S.jpg", "S.xmp"]).of("r.DNG")
        ['R.Xmp']
        >>> Beside(["r.DNG", "R.Xmp", "s.dng", "S.jpg", "S.xmp"]).of("s.dng")
        []
        """
        return [name for name in self.tried(photo) if name in self._names]

    def tried(self, photo: str) -> list[str]:
        """The names to try for a photo's sidecars: those of `of`, and exact spellings that the listing lacks, as a file
        may have come since.

        >>> Beside(["r.DNG", "R.Xmp"]).tried("r.DNG")
        ['r.DNG.xmp', 'r.DNG.XMP', 'r.xmp', 'r.XMP', 'R.Xmp']
        """
        found: list[str] = []
        for own in _after(photo):
            known = self._sidecars.get(alike(own), {})
            exact = [own + ending for ending in ENDINGS]
            odd = known.keys() if known.keys().isdisjoint(exact) else ()
            best = sorted((name[:-4] != own, name) for name in odd)
            free = [name for differs, name in best if not differs or name[:-4] not in self._others]
            found += [known.get(name, name) for name in (*exact, *free[:1])]
        return found

    @cached_property
    def _others(self) -> set[str]:
        """What sidecars would be named after."""
        return {own for name in self._names if not _is_sidecar(name) for own in _after(name)}


def _after(photo: str) -> tuple[str, str]:
    """What a sidecar of a photo is named after, the more telling first."""
    name = composed(photo)
    return name, PurePosixPath(name).stem


def _is_sidecar(name: str) -> bool:
    return name[-4:].lower() == ".xmp"


def sidecars(path: Path) -> list[Path]:
    """Where the sidecars of a photo may be: as its folder's listing names them, and as they are usually spelt.

    The listing may lack what has just come, where times are coarse; and some folders cannot be listed.
    """
    if path in _kept:
        return _kept[path]
    folder = path.parent
    try:
        state = folder.stat()
        beside = _beside(folder, state.st_dev, state.st_ino, state.st_mtime_ns)
    except (OSError, ValueError):
        beside = Beside(())
    return [path.with_name(name) for name in beside.tried(path.name)]


_kept: dict[Path, list[Path]] = {}


def keep(path: Path) -> list[Path]:
    """Find a photo's sidecars and remember them, whatever comes or goes: a confined process lists no folder later."""
    _kept[path] = sidecars(path)
    return _kept[path]


@lru_cache(maxsize=4)
def _beside(folder: Path, *_state: int) -> Beside:
    """Listed again only when something has come or gone, as results that lie beside their photos do: folders may hold
    thousands of photos."""
    return Beside(os.listdir(folder))  # noqa: PTH208 - names alone


def words_beside(path: Path) -> Words:
    """What a photo's sidecars say."""
    words = Words()
    for place in sidecars(path):
        try:
            with opened(place) as file:
                packet = file.read(LARGEST_PACKET + 1)
        except (OSError, ValueError):
            continue
        words = words.over(parse(packet)[0])
    return words
