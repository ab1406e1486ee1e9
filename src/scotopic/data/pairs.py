"""Pairs of a short and a long exposure of one scene: the See-in-the-Dark dataset's layout, and your own.

The See-in-the-Dark dataset (Chen et al., CVPR 2018) is a folder with `Sony/short`, `Sony/long`,
`Fuji/short` and `Fuji/long`. A name such as `10003_00_0.04s.ARW` says the scene, the frame and the
exposure; the scene's first digit says the split: 0 training, 1 test, 2 validation.

Your own pairs are a folder with `short` and `long` that hold RAW files of the same name, or with a
`pairs.csv` that has the columns `short` and `long`, paths below the folder, and if you like `ratio`,
`scene` and `split`. Without a ratio the files' own exposure time and ISO give it. JPEGs beside RAW files,
sidecars and hidden files are passed by.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from scotopic.data.pairs_csv import PARTS, UNNAMED, rows_of
from scotopic.disk.files import check_there, is_of_photos
from scotopic.errors import DatasetError, ReadError
from scotopic.frame import Mosaic
from scotopic.identify import RAW_SUFFIXES
from scotopic.read import read_mosaic

Split = Literal["train", "test", "validation"]
Camera = Literal["Sony", "Fuji"]

PICTURES = frozenset({".heic", ".heif", ".hif", ".jpeg", ".jpg", ".png", ".tif", ".tiff"})
"""Endings of finished pictures, which show the same as the RAW file of their name. One that stands alone is taken for a
frame: reading it says what it is."""

NAME_EXAMPLE = "10003_00_0.04s.ARW"

RATIO_MAX = 300.0
"""Amplification, at most: the paper's, though 30 s over 1/30 s would be 900."""

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
        parts = _parts(folder)
        if len(parts) == len(PARTS) and any(
            parse_sid_name(p.name) for part in parts.values() for p in part.iterdir()
        ):
            return folder
    return None


def is_sid(root: Path, camera: Camera = "Sony") -> bool:
    """Whether `root` is the dataset, be it that one of a camera's two folders is missing: `find_sid` says which."""
    half = len(_parts(root / camera)) == 1 and not (root / "pairs.csv").is_file()
    return half or sid_folder(root, camera) is not None


def find_sid(root: Path, camera: Camera = "Sony") -> list[Pair]:
    """All pairs of the dataset below `root`, by name.

    Raises DatasetError when the folder is not laid out like it, a RAW file bears another kind of name, a short
    frame has no long one, or a scene has two.
    """
    check_there(root, folder=True)
    folder = sid_folder(root, camera)
    if folder is None:
        inner = root / camera
        missing = _missing(inner if inner.is_dir() else root)
        raise DatasetError(
            f"{root}: is not laid out like the See-in-the-Dark dataset{f' ({missing})' if missing else ''}: "
            f"{camera}/short and {camera}/long with files such as {NAME_EXAMPLE} are needed"
        )
    parts = _parts(folder)
    longs: dict[str, tuple[Path, SidName]] = {}
    for path, name in _named(parts["long"]):
        if name.scene in longs:
            raise DatasetError(
                f"{path}: scene {name.scene} has another long frame, {longs[name.scene][0].name}"
            )
        longs[name.scene] = (path, name)
    pairs, alone = [], []
    for path, name in _named(parts["short"]):
        if name.scene not in longs:
            alone.append(path.name)
            continue
        long, long_name = longs[name.scene]
        ratio = min(long_name.exposure_s / name.exposure_s, RATIO_MAX)
        pairs.append(Pair(path, long, ratio, name.scene, name.split, name.frame))
    if alone:
        raise DatasetError(
            f"{parts['long']}: no long frame for {few(alone)}: get them, or remove these short frames"
        )
    if not pairs:
        raise DatasetError(f"{folder}: holds no short frames such as {NAME_EXAMPLE}")
    return pairs


def find_pairs(folder: Path) -> list[Pair]:
    """Your own pairs below `folder`, by `pairs.csv` or by equal names in `short` and `long`.

    Where no split is given every tenth scene is for validation, of two to nine the last. Upper and lower case
    count for the same where that leaves no doubt. Raises DatasetError for pairs that cannot be put together,
    naming what is missing.
    """
    check_there(folder, folder=True)
    table = folder / "pairs.csv"
    if table.is_file():
        return _from_table(folder, table)
    if missing := _missing(folder):
        raise DatasetError(
            f"{folder}: holds no pairs ({missing}): the folders short and long with RAW files of the same name "
            "are needed, or a pairs.csv with the columns short and long"
        )
    parts = _parts(folder)
    shorts, longs = (_frames(parts[part]) for part in PARTS)
    matched = _matched(shorts, longs, parts["long"])
    pairs, bad = [], []
    for index, (name, long) in enumerate(matched.items()):
        try:
            ratio = ratio_of(shorts[name], long)
        except DatasetError as error:
            bad.append(str(error))
            continue
        pairs.append(Pair(shorts[name], long, ratio, name, _split_of(index, len(matched))))
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


def check(files: Iterable[Path], fault: Callable[[Mosaic], str] = lambda _: "") -> None:
    """Open every file once and raise DatasetError that names those which are missing or damaged.

    And those of which `fault` has something to say.
    """
    bad = []
    for path in sorted(set(files)):
        try:
            words = fault(read_mosaic(path))
        except (ReadError, OSError) as error:
            bad.append(_of(path, error))
            continue
        if words:
            bad.append(f"{path}: {words}")
    raise_all(bad)


def _from_table(folder: Path, table: Path) -> list[Pair]:
    stated: list[tuple[int, Pair, bool]] = []
    bad = []
    for line, row in rows_of(table):
        try:
            stated.append((line, _from_row(folder, row), bool(row.get("split"))))
        except DatasetError as error:
            bad.append(f"{table}, line {line}: {error}")
    raise_all(bad, "lines")
    found = _with_splits(stated)
    raise_all([f"{table}, {words}" for words in _clashes(found)], "lines")
    return [pair for _, pair in found]


def _from_row(folder: Path, row: dict[str, str]) -> Pair:
    """One line of the table, for training where it says no split."""
    if over := row.get(UNNAMED):
        raise DatasetError(
            f"{over!r} stands in no column that the first line names: put words that hold a separator in quotes, and "
            "name every column"
        )
    if empty := [part for part in PARTS if not row[part]]:
        raise DatasetError(f"nothing is given for {' and '.join(empty)}: write a path below {folder}")
    short, long = (folder / row[part] for part in PARTS)
    missing = [str(p) for p in (short, long) if not p.is_file()]
    if missing:
        raise DatasetError(f"{few(missing)} is not there")
    if short.samefile(long):
        raise DatasetError(
            f"{row['short']} is given as short and as long: a pair is two exposures of one scene"
        )
    words = row.get("split") or "train"
    split = _SPLITS.get(words.lower())
    if split is None:
        raise DatasetError(f"split {words!r} must be train, validation or test")
    return Pair(short, long, _ratio_in(row) or ratio_of(short, long), row.get("scene") or long.stem, split)


def _with_splits(stated: Sequence[tuple[int, Pair, bool]]) -> list[tuple[int, Pair]]:
    """Each line's pair in a split: the one stated, else that of other lines of its scene, else by turns."""
    splits = {pair.scene: pair.split for _, pair, is_stated in stated if is_stated}
    rest = [scene for scene in dict.fromkeys(p.scene for _, p, _ in stated) if scene not in splits]
    count = 0 if "validation" in splits.values() else len(rest)
    splits |= {scene: _split_of(index, count) for index, scene in enumerate(rest)}
    return [
        (line, pair if is_stated else replace(pair, split=splits[pair.scene]))
        for line, pair, is_stated in stated
    ]


def _clashes(found: Sequence[tuple[int, Pair]]) -> Iterator[str]:
    """Lines given twice, and those that bring a scene or a long frame into a second split."""
    lines: dict[tuple[Path, Path], int] = {}
    first: dict[str | Path, tuple[int, Split]] = {}
    for line, pair in found:
        files = (pair.short.resolve(), pair.long.resolve())
        if (before := lines.setdefault(files, line)) != line:
            yield f"line {line}: is the pair of line {before} again: remove one of them"
            continue
        for what, key in ((f"scene {pair.scene}", pair.scene), (f"long frame {pair.long.name}", files[1])):
            other, split = first.setdefault(key, (line, pair.split))
            if split != pair.split:
                yield (
                    f"line {line}: {what} is for {pair.split} here and for {split} in line {other}: what was "
                    "learnt from must not be measured on, so give both lines one split"
                )
                break


def _ratio_in(row: dict[str, str]) -> float | None:
    words = row.get("ratio")
    if not words:
        return None
    try:
        ratio = float(words)
    except ValueError:
        ratio = 0.0
    if not 1 <= ratio < 1e6:
        raise DatasetError(f"ratio {words!r} must be a number from 1 up, such as 2.5")
    return ratio


def raise_all(bad: Sequence[str], what: str = "files") -> None:
    """One DatasetError that says all that is wrong, each in a line of its own, where anything is."""
    if bad:
        more = [f"(and {len(bad) - 10} more)"] if len(bad) > 10 else []
        raise DatasetError(f"these {what} cannot be used:", [*bad[:10], *more])


def _split_of(index: int, count: int) -> Split:
    """Every tenth is for validation, of two to nine the last one: a training needs something to be watched by."""
    return "validation" if index % 10 == 9 or (index == count - 1 and 2 <= count <= 9) else "train"


def _parts(folder: Path) -> dict[str, Path]:
    """The folders short and long, whichever case they are written in; lower case goes first."""
    if not folder.is_dir():
        return {}
    return {p.name.lower(): p for p in sorted(folder.iterdir()) if p.name.lower() in PARTS and p.is_dir()}


def _missing(folder: Path) -> str:
    """Which of short and long there is not, in words; nothing where there are both."""
    missing = [part for part in PARTS if part not in _parts(folder)]
    return f"{folder} has no folder {' and no folder '.join(missing)}" if missing else ""


def _frames(folder: Path) -> dict[str, Path]:
    """The photos of a folder by name without ending: RAW files, and pictures that lie beside no RAW file."""
    files = [p for p in sorted(folder.iterdir()) if is_of_photos(p.name) and p.is_file()]
    raws = {p.stem.casefold() for p in files if p.suffix.lower() in RAW_SUFFIXES}
    found: dict[str, Path] = {}
    for path in files:
        ending = path.suffix.lower()
        if ending in RAW_SUFFIXES or (ending in PICTURES and path.stem.casefold() not in raws):
            if path.stem in found:
                raise DatasetError(
                    f"{folder}: {found[path.stem].name} and {path.name} differ in their ending alone: keep one of them"
                )
            found[path.stem] = path
    if not found:
        raise DatasetError(f"{folder}: holds no RAW files such as IMG_1.ARW")
    return found


def _matched(shorts: dict[str, Path], longs: dict[str, Path], folder: Path) -> dict[str, Path]:
    """The long frame for each short one's name, in another case where that leaves no doubt."""
    alike: dict[str, list[Path]] = {}
    for name, path in longs.items():
        alike.setdefault(name.casefold(), []).append(path)
    folded = [name.casefold() for name in shorts]
    matched, alone, unclear = {}, [], []
    for name, path in shorts.items():
        found = [longs[name]] if name in longs else alike.get(name.casefold(), [])
        if not found:
            alone.append(path.name)
        elif name not in longs and (len(found) > 1 or folded.count(name.casefold()) > 1):
            unclear.append(path.name)
        else:
            matched[name] = found[0]
    if alone:
        raise DatasetError(f"{folder}: no file of the same name for {few(alone)}")
    if unclear:
        raise DatasetError(
            f"{folder}: only upper and lower case tell which file goes with {few(unclear)}: name both alike"
        )
    return matched


def _named(folder: Path) -> list[tuple[Path, SidName]]:
    """The dataset's files in a folder. Raises DatasetError for RAW files of other names: they would be lost unsaid."""
    paths = sorted(folder.iterdir())
    parsed = [(p, parse_sid_name(p.name)) for p in paths]
    strange = [
        p.name
        for p, name in parsed
        if name is None and p.suffix.lower() in RAW_SUFFIXES and is_of_photos(p.name)
    ]
    if strange:
        raise DatasetError(
            f"{folder}: {few(strange)} is not named like {NAME_EXAMPLE} (scene, frame, exposure): rename or remove "
            "what is no part of the dataset"
        )
    return [(p, name) for p, name in parsed if name is not None]


def _read(path: Path) -> Mosaic:
    try:
        return read_mosaic(path)
    except ReadError as error:
        raise DatasetError(_of(path, error)) from error


def _of(path: Path, error: ReadError | OSError) -> str:
    """What is wrong with a file, under its whole path: frames in short and in long bear the same name."""
    return f"{path}: {str(error).removeprefix(f'{path.name}: ')}"


def few(names: Sequence[str]) -> str:
    """The first five names, and how many more there are."""
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
