"""Pairs of a short and a long exposure of one scene: the See-in-the-Dark dataset's layout, and your own.

The See-in-the-Dark dataset (Chen et al., CVPR 2018) is a folder with `Sony/short`, `Sony/long`,
`Fuji/short` and `Fuji/long`. A name such as `10003_00_0.04s.ARW` says the scene, the frame and the
exposure; the scene's first digit says the split: 0 training, 1 test, 2 validation.

Your own pairs are a folder with `short` and `long` that hold files of the same name, or with a
`pairs.csv` that has the columns `short` and `long`, paths below the folder, and if you like `ratio`,
`scene` and `split`. Without a ratio the files' own exposure time and ISO give it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scotopic.errors import DatasetError, ReadError
from scotopic.frame import Mosaic
from scotopic.read import read_mosaic

Split = Literal["train", "test", "validation"]
Camera = Literal["Sony", "Fuji"]

CAMERAS: tuple[Camera, ...] = ("Sony", "Fuji")

RATIO_MAX = 300.0
"""The paper amplifies by no more, though 30 s over 1/30 s would be 900."""

MISALIGNED = frozenset({"10034", "10045", "10172"})
"""Test scenes whose long exposure does not lie over the short ones."""

_SPLIT_OF_DIGIT: dict[str, Split] = {"0": "train", "1": "test", "2": "validation"}
_SPLITS: dict[str, Split] = {split: split for split in _SPLIT_OF_DIGIT.values()}
_NAME = re.compile(
    r"(?P<scene>[012]\d{4})_(?P<frame>\d\d)_(?P<seconds>\d+(?:\.\d+)?)s\.(?:arw|raf|dng)", re.I
)


@dataclass(frozen=True)
class Pair:
    """One short exposure with the long one of the same scene. `ratio`: how much to amplify the short."""

    short: Path
    long: Path
    ratio: float
    scene: str
    split: Split
    frame: str = "00"
    """Which of the scene's short frames; the paper reports on `00` as well as on all."""

    @property
    def name(self) -> str:
        """The short frame's name without its ending."""
        return self.short.name.rsplit(".", 1)[0]

    @property
    def misaligned(self) -> bool:
        """Whether this is one of the test scenes known to be misaligned."""
        return self.scene in MISALIGNED


@dataclass(frozen=True)
class SidName:
    """What the dataset's name of a file says."""

    scene: str
    frame: str
    exposure_s: float

    @property
    def split(self) -> Split:
        """By the scene's first digit."""
        return _SPLIT_OF_DIGIT[self.scene[0]]


def parse_sid_name(name: str) -> SidName | None:
    """Scene, frame and exposure of a file of the dataset; None for any other name.

    >>> parse_sid_name("10003_00_0.04s.ARW")
    SidName(scene='10003', frame='00', exposure_s=0.04)
    """
    found = _NAME.fullmatch(name)
    if found is None or not float(found["seconds"]) > 0:
        return None
    return SidName(found["scene"], found["frame"], float(found["seconds"]))


def sid_folder(root: Path, camera: Camera = "Sony") -> Path | None:
    """The folder with a camera's `short` and `long`, where `root` is the dataset or that folder itself."""
    for folder in (root / camera, root):
        if all((folder / part).is_dir() for part in ("short", "long")):
            names = (p.name for part in ("short", "long") for p in (folder / part).iterdir())
            if any(parse_sid_name(name) for name in names):
                return folder
    return None


def find_sid(root: Path, camera: Camera = "Sony") -> list[Pair]:
    """All pairs of the dataset below `root`, by name.

    Raises DatasetError when the folder is not laid out like it, a short frame has no long one, or a scene
    has two.
    """
    folder = sid_folder(root, camera)
    if folder is None:
        raise DatasetError(
            f"{root}: is not laid out like the See-in-the-Dark dataset: {camera}/short and {camera}/long with "
            "files such as 10003_00_0.04s.ARW are needed"
        )
    longs: dict[str, tuple[Path, SidName]] = {}
    for path, name in _named(folder / "long"):
        if name.scene in longs:
            raise DatasetError(
                f"{path}: scene {name.scene} has another long frame, {longs[name.scene][0].name}"
            )
        longs[name.scene] = (path, name)
    pairs, alone = [], []
    for path, name in _named(folder / "short"):
        if name.scene not in longs:
            alone.append(path.name)
            continue
        long, long_name = longs[name.scene]
        ratio = min(long_name.exposure_s / name.exposure_s, RATIO_MAX)
        pairs.append(Pair(path, long, ratio, name.scene, name.split, name.frame))
    if alone:
        raise DatasetError(
            f"{folder / 'long'}: no long frame for {few(alone)}: get them, or remove these short frames"
        )
    if not pairs:
        raise DatasetError(f"{folder}: holds no short frames such as 10003_00_0.04s.ARW")
    return pairs


def find_pairs(folder: Path) -> list[Pair]:
    """Your own pairs below `folder`, by `pairs.csv` or by equal names in `short` and `long`.

    Every tenth scene is for validation where no split is given. Raises DatasetError for pairs that cannot
    be put together, naming what is missing.
    """
    table = folder / "pairs.csv"
    if table.is_file():
        return _from_table(folder, table)
    if not all((folder / part).is_dir() for part in ("short", "long")):
        raise DatasetError(
            f"{folder}: holds no pairs: the folders short and long with files of the same name are needed, "
            "or a pairs.csv with the columns short and long"
        )
    longs = {p.stem: p for p in sorted((folder / "long").iterdir()) if p.is_file()}
    shorts = [p for p in sorted((folder / "short").iterdir()) if p.is_file()]
    alone = [p.name for p in shorts if p.stem not in longs]
    if alone:
        raise DatasetError(f"{folder / 'long'}: no file of the same name for {few(alone)}")
    if not shorts:
        raise DatasetError(f"{folder / 'short'}: is empty")
    pairs, bad = [], []
    for index, path in enumerate(shorts):
        try:
            ratio = ratio_of(path, longs[path.stem])
        except DatasetError as error:
            bad.append(str(error))
            continue
        pairs.append(Pair(path, longs[path.stem], ratio, path.stem, _split_of(index)))
    raise_all(bad)
    return pairs


def ratio_of(short: Path, long: Path) -> float:
    """How much more the long exposure counts, by exposure time and ISO of both files.

    Raises DatasetError when a file does not say.
    """
    counted = []
    for path in (short, long):
        capture = _read(path)
        if not capture.exposure_s or not capture.iso:
            raise DatasetError(
                f"{path}: does not say its exposure time and ISO; write the ratio into pairs.csv"
            )
        counted.append(capture.exposure_s * capture.iso)
    ratio = counted[1] / counted[0]
    if not ratio >= 1:
        raise DatasetError(f"{long}: is exposed less than {short.name} ({ratio:.3g} times as much)")
    return ratio


def check(files: Iterable[Path]) -> None:
    """Open every file once and raise DatasetError that names those which are missing or damaged."""
    bad = []
    for path in sorted(set(files)):
        try:
            read_mosaic(path)
        except (ReadError, OSError) as error:
            bad.append(str(error))
    raise_all(bad)


def _from_table(folder: Path, table: Path) -> list[Pair]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{table}: cannot be read as CSV ({error})") from error
    if not rows or not {"short", "long"} <= set(rows[0]):
        raise DatasetError(
            f"{table}: needs a first line with the columns short and long, and rows below it"
        )
    pairs, bad = [], []
    scenes: dict[str, int] = {}
    for line, row in enumerate(rows, start=2):
        try:
            pairs.append(_from_row(folder, row, scenes))
        except DatasetError as error:
            bad.append(f"{table}, line {line}: {error}")
    raise_all(bad)
    return pairs


def _from_row(folder: Path, row: dict[str, str], scenes: dict[str, int]) -> Pair:
    """One line of the table; `scenes` numbers the scenes met so far: one is never in two splits."""
    short, long = (folder / (row[part] or "") for part in ("short", "long"))
    missing = [str(p) for p in (short, long) if not p.is_file()]
    if missing:
        raise DatasetError(f"{few(missing)} is not there")
    scene = row.get("scene") or long.stem
    words = row.get("split") or _split_of(scenes.setdefault(scene, len(scenes)))
    split = _SPLITS.get(words)
    if split is None:
        raise DatasetError(f"split {words!r} must be train, validation or test")
    return Pair(short, long, _ratio_in(row) or ratio_of(short, long), scene, split)


def _ratio_in(row: dict[str, str]) -> float | None:
    words = row.get("ratio")
    if not words:
        return None
    try:
        ratio = float(words)
    except ValueError:
        ratio = 0.0
    if not 1 <= ratio < 1e6:
        raise DatasetError(f"ratio {words!r} must be a number from 1 up")
    return ratio


def raise_all(bad: Sequence[str]) -> None:
    """One DatasetError that says all that is wrong, where anything is."""
    if bad:
        more = f"\n(and {len(bad) - 10} more)" if len(bad) > 10 else ""
        raise DatasetError("these files cannot be used:\n" + "\n".join(bad[:10]) + more)


def _split_of(index: int) -> Split:
    return "validation" if index % 10 == 9 else "train"


def _named(folder: Path) -> list[tuple[Path, SidName]]:
    parsed = [(p, parse_sid_name(p.name)) for p in sorted(folder.iterdir())]
    return [(p, name) for p, name in parsed if name is not None]


def _read(path: Path) -> Mosaic:
    try:
        return read_mosaic(path)
    except ReadError as error:
        raise DatasetError(str(error)) from error


def few(names: Sequence[str]) -> str:
    """The first five names, and how many more there are."""
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
