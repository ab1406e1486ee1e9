"""The XMP files that editors put beside photos: which there are, however they are spelt, and what they say."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath

from scotopic.files import alike, composed, opened
from scotopic.identify import RAW_SUFFIXES
from scotopic.xmp import LARGEST_PACKET, Words, parse

ENDINGS = (".xmp", ".XMP")
"""As programs write it; others are met where a file system or a person has changed it."""


class Beside:
    """The names in one folder."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = list(names)
        self._sidecars: dict[str, dict[str, str]] = {}
        """By what they are named after, whatever its case: by their names as they are compared, these as they are."""
        for name in self._names:
            if name[-4:].lower() == ".xmp":
                self._sidecars.setdefault(alike(name[:-4]), {})[composed(name)] = name

    def of(self, photo: str) -> list[str]:
        """Those of a photo, the more telling first: IMG_1.ARW.xmp before IMG_1.xmp.

        What is spelt exactly so counts, and else what differs in case: the best, or the first by name; not what is
        spelt exactly as another photo's.

        >>> Beside(["r.DNG", "R.Xmp", "s.dng", "S.dng", "S.xmp"]).of("r.DNG")
        ['R.Xmp']
        >>> Beside(["r.DNG", "R.Xmp", "s.dng", "S.dng", "S.xmp"]).of("s.dng")
        []
        """
        found: list[str] = []
        for own in _after(photo):
            known = self._sidecars.get(alike(own), {})
            exact = [own + ending for ending in ENDINGS if own + ending in known]
            best = sorted((name[:-4] != own, name) for name in known if not exact)
            free = [name for differs, name in best if not differs or name[:-4] not in self._photos]
            found += [known[name] for name in exact or free[:1]]
        return found

    @cached_property
    def _photos(self) -> set[str]:
        """What sidecars would be named after."""
        return {own for name in self._names if _is_raw(name) for own in _after(name)}


def _after(photo: str) -> tuple[str, str]:
    """What a sidecar of a photo is named after, the more telling first."""
    name = composed(photo)
    return name, PurePosixPath(name).stem


def _is_raw(name: str) -> bool:
    return name[name.rfind(".") :].lower() in RAW_SUFFIXES


def sidecars(path: Path) -> list[Path]:
    """The sidecars of a photo; of a folder that cannot be listed those that there may be."""
    folder = path.parent
    try:
        state = folder.stat()
        names = _beside(folder, state.st_dev, state.st_ino, state.st_mtime_ns).of(path.name)
    except (OSError, ValueError):
        names = [own + ending for own in _after(path.name) for ending in ENDINGS]
    return [path.with_name(name) for name in names]


@lru_cache(maxsize=4)
def _beside(folder: Path, *_state: int) -> Beside:
    """Listed once as long as nothing comes or goes: folders may hold thousands of photos."""
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
