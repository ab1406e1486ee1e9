"""Pairs decoded once, and read from memory-mapped files ever after.

The folder holds a raw `.npy` file for each short frame's mosaic and for each long frame's truth, and an
`index.json` that says of each what it was made from, its size and its SHA-256. A file appears under its
name when it is whole, and is in the index some files later: a killed run decodes those again and goes on.

A mosaic's lines that are off and its hot pixels are replaced, and its noise is judged, as `enhance` does it. What that
spreads below 0 DN of cameras that cut there stays cut: the files hold whole numbers.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from scotopic.calibration.apply import Profiles
from scotopic.data.pairs import Pair, Split, check, raise_all
from scotopic.data.pairs_check import odd_times
from scotopic.disk.folders import making
from scotopic.disk.locks import locked
from scotopic.enhance import plan
from scotopic.errors import DatasetError, ReadError, unwritten
from scotopic.frame import BLUE, GREEN, RED, X_TRANS, Mosaic, NoiseProfile
from scotopic.models import sha256
from scotopic.read import read_mosaic
from scotopic.sensor.pattern import PATTERNS, Cell, offset
from scotopic.traditional import truth_of
from scotopic.train import profiled
from scotopic.train.cache_check import KEPT_EVERY, compare
from scotopic.write import PARTS, place, place_bytes

Truth = Literal["srgb", "linear"]

FORMAT = 6
"""Number of a cache's form, raised when what is stored changes its meaning; older caches are then made again."""

WORKERS = min(4, os.cpu_count() or 1)
"""Files decoded at a time: LibRaw needs about 400 MB for each one of 12 megapixels."""

_INDEX = "index.json"


@dataclass(frozen=True)
class Entry:
    """What is known of a pair beside its pixels.

    `black` in DN is for each place of the cell (R, G1, G2, B), or for R, G, B of an X-Trans sensor; `white`
    and `saturation` in DN; `wb`, `shot`, `read` for R, G, B, the noise as in `frame.NoiseProfile`. All are
    the short frame's. `height` and `width` are the mosaic's, whole cells.
    """

    name: str
    scene: str
    split: Split
    frame: str
    ratio: float
    cfa: Cell
    black: tuple[float, ...]
    white: float
    saturation: float
    wb: tuple[float, float, float]
    shot: tuple[float, float, float]
    read: tuple[float, float, float]
    height: int
    width: int
    xyz_to_camera: tuple[tuple[float, float, float], ...] | None


@dataclass(frozen=True)
class _Task:
    """One array of the cache: what it is made from, and of which kind."""

    source: Path
    kind: Literal["mosaic", "srgb", "linear"]

    @property
    def key(self) -> str:
        """The array's name: the source's, for people, and a part that tells equal names apart."""
        digest = hashlib.sha256(os.fsencode(self.source.absolute())).hexdigest()[:10]
        stem = self.source.name.rsplit(".", 1)[0][:80].encode("ascii", "replace").decode().replace("?", "_")
        return f"{stem}-{digest}-{self.kind}.npy"


class PairCache:
    """Decoded pairs on disk. Crops are copied out; no map stays open, so memory does not grow."""

    def __init__(
        self, folder: Path, truth: Truth, entries: list[Entry], files: list[tuple[Path, Path]]
    ) -> None:
        self.folder = folder
        self.truth = truth
        self.entries = entries
        self._files = files

    @classmethod
    def open(
        cls,
        pairs: list[Pair],
        folder: Path,
        *,
        truth: Truth,
        report: Callable[[str], None] = lambda _: None,
        verify: bool = False,
        profiles: Profiles | None = None,
        keep: bool = False,
        fault: Callable[[Mosaic], str] = lambda _: "",
    ) -> PairCache:
        """The cache of these pairs in `folder`, filled where it is not yet.

        Arrays whose source has the size and time it had are kept; others are decoded, and so are damaged
        ones: those of another size or header than the index says, or of another SHA-256, which is compared where
        the array's own time is another than when it was written, and with `verify` always. So are mosaics of cameras
        for which `profiles`, as in `plan`, were others, unless `keep`.
        `report` is told in words, from this thread, of what is odd about pairs too. Another process that fills the
        same folder is waited for.

        Raises DatasetError that names all files missing, damaged or at `fault`, before anything is decoded, and for
        pairs whose frames do not fit over each other; WriteError when the disk refuses.
        """
        if not pairs:
            raise DatasetError("no pairs were given: at least one is needed")
        tasks = [_Task(p.short, "mosaic") for p in pairs] + [_Task(p.long, truth) for p in pairs]
        keys = [(_Task(p.short, "mosaic").key, _Task(p.long, truth).key) for p in pairs]
        try:
            with making(folder), _held(folder, report):
                known = profiles or Profiles()
                index = _filled(folder, list(dict.fromkeys(tasks)), report, verify, known, keep, fault)
                misfits = (_misfit(p, index[s], index[t]) for p, (s, t) in zip(pairs, keys, strict=True))
                raise_all([words for words in misfits if words], "pairs")
                compare(folder, pairs, keys, index, report, lambda: _write_index(folder, index))
        except OSError as error:
            raise unwritten(folder, error) from error
        for pair, (s, t) in zip(pairs, keys, strict=True):
            times = odd_times(pair, *(index[key]["facts"].get("exposure_s") for key in (s, t)))
            for words in (*index[s]["beside"][t]["odd"], *times):
                report(f"note: {pair.name}: {words}")
        profiled.tell([index[s] for s in dict.fromkeys(s for s, _ in keys)], known, report)
        entries = [_entry(p, index[s]) for p, (s, _) in zip(pairs, keys, strict=True)]
        return cls(folder, truth, entries, [(folder / s, folder / t) for s, t in keys])

    def scenes(self, split: Split) -> list[list[int]]:
        """The indices of a split's entries, one sorted list a scene, in the order of the scenes' names."""
        grouped: dict[str, list[int]] = {}
        for index, entry in enumerate(self.entries):
            if entry.split == split:
                grouped.setdefault(entry.scene, []).append(index)
        return [grouped[scene] for scene in sorted(grouped)]

    def crop(
        self, index: int, top: int, left: int, height: int, width: int
    ) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
        """Copies of a mosaic (height, width) and its truth (height, width, 3); `top` and `left` on whole cells.

        Raises DatasetError for a crop that is not inside, or off the cells, and for files gone meanwhile.
        """
        entry = self.entries[index]
        cell = len(entry.cfa)
        inside = 0 <= top <= entry.height - height and 0 <= left <= entry.width - width
        if not inside or top % cell or left % cell or height < 1 or width < 1:
            raise DatasetError(
                f"{entry.name}: a crop of {height}x{width} at {top}, {left} does not lie on whole cells of "
                f"{cell} inside its {entry.height}x{entry.width} pixels"
            )
        place = (slice(top, top + height), slice(left, left + width))
        mosaic, truth = (_cut(path, place) for path in self._files[index])
        return mosaic, truth


def _cut(path: Path, place: tuple[slice, slice]) -> npt.NDArray[np.uint16]:
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{path}: the cache was changed while in use ({error}); open it again to mend it"
        ) from error
    piece: npt.NDArray[np.uint16] = np.array(mapped[place])
    return piece


def _filled(
    folder: Path,
    tasks: list[_Task],
    report: Callable[[str], None],
    verify: bool,
    profiles: Profiles,
    keep: bool,
    fault: Callable[[Mosaic], str],
) -> dict[str, dict[str, Any]]:
    """The index once all tasks' arrays are there."""
    for stale in folder.glob(PARTS):
        stale.unlink()
    index = _read_index(folder, report)
    times = {key: record.get("mtime_ns") for key, record in index.items()}
    wanted = []
    for task in tasks:
        record = index.get(task.key)
        if record is not None and not _is_of_source(record, task.source):
            report(f"{task.source.name}: was changed since, decoded again")
        elif (
            record is not None
            and task.kind == "mosaic"
            and not keep
            and profiled.is_other(record, profiles)
        ):
            report(f"{task.source.name}: its camera's profile is another one now, decoded again")
        elif record is not None and (damage := _damage(folder / task.key, record, verify)):
            report(f"{folder / task.key}: {damage}, decoded again")
        elif record is not None:
            continue
        wanted.append(task)
    if times != {key: record.get("mtime_ns") for key, record in index.items()}:
        _write_index(folder, index)
    if not wanted:
        return index
    report(f"checking {len({t.source for t in wanted})} files")
    check((t.source for t in wanted), fault)
    with ThreadPoolExecutor(WORKERS) as executor:
        running = {executor.submit(_store, task, folder, profiles): task for task in wanted}
        try:
            for done, future in enumerate(as_completed(running), start=1):
                task = running[future]
                index[task.key] = future.result()
                if done % KEPT_EVERY == 0:
                    _write_index(folder, index)
                report(f"decoded {done} of {len(wanted)}: {task.source.name}")
        except ReadError as error:
            raise DatasetError(str(error)) from error
        finally:
            executor.shutdown(cancel_futures=True)
            _write_index(folder, index)
    return index


def _store(task: _Task, folder: Path, profiles: Profiles) -> dict[str, Any]:
    """Decode, write, and say for the index what was written."""
    status = task.source.stat()
    array, facts, used = _decoded(task, profiles)
    path = folder / task.key

    def fill(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.save(file, array, allow_pickle=False)

    place(path, fill, overwrite=True)
    written = path.stat()
    return {
        "source": str(task.source),
        "source_bytes": status.st_size,
        "source_mtime_ns": status.st_mtime_ns,
        "shape": list(array.shape),
        "bytes": written.st_size,
        "mtime_ns": written.st_mtime_ns,
        "sha256": sha256(path),
        "facts": facts,
        **used,
    }


def _decoded(
    task: _Task, profiles: Profiles
) -> tuple[npt.NDArray[np.uint16], dict[str, Any], dict[str, Any]]:
    """A mosaic or a truth, cut to whole cells that begin with RGGB (or our phase of X-Trans), what is to be known of
    it, and which profile put it right."""
    mosaic = read_mosaic(task.source)
    cfa = _pattern(len(mosaic.cfa))
    start = offset(mosaic.cfa, cfa)
    if start is None:
        raise DatasetError(f"{task.source}: its colour pattern {mosaic.cfa} is neither Bayer's nor X-Trans")
    cell = len(cfa)
    height, width = ((n - o) // cell * cell for n, o in zip(mosaic.data.shape, start, strict=True))
    place = (slice(start[0], start[0] + height), slice(start[1], start[1] + width))
    facts: dict[str, Any] = {"cut": list(start), "cell": cell, "exposure_s": mosaic.exposure_s}
    if task.kind != "mosaic":
        # The network sees the mosaic as it was counted; what a lens does is evened out behind it.
        truth = truth_of(task.source, task.kind, evened=False)
        if truth.shape[:2] != mosaic.data.shape:
            raise DatasetError(
                f"{task.source}: LibRaw develops it to {truth.shape[0]}x{truth.shape[1]}, not to the "
                f"mosaic's {mosaic.data.shape[0]}x{mosaic.data.shape[1]}; such sensors cannot be learnt from"
            )
        return np.ascontiguousarray(truth[place]), facts, {}
    if mosaic.data.dtype != np.uint16:
        raise DatasetError(f"{task.source}: its values are {mosaic.data.dtype}; whole numbers are needed")
    made = plan(mosaic, ratio=1, profiles=profiles)
    ready = made.mosaic_of(mosaic)
    whole = np.rint(np.clip(ready.data[place], 0, np.iinfo(np.uint16).max))
    facts |= _facts(ready, start, made.noise.profile)
    return whole.astype(np.uint16), facts, profiled.used(mosaic, made, profiles)


def _facts(mosaic: Mosaic, start: tuple[int, int], profile: NoiseProfile) -> dict[str, Any]:
    black = np.roll(mosaic.black, (-start[0], -start[1]), axis=(0, 1))
    if not mosaic.is_bayer:
        colours = np.array(X_TRANS)
        black = np.array([black[colours == c].mean() for c in (RED, GREEN, BLUE)])
    matrix = mosaic.xyz_to_camera
    return {
        "black": black.ravel().tolist(),
        "white": mosaic.white,
        "saturation": mosaic.saturation,
        "wb": list(mosaic.wb),
        "shot": list(profile.shot),
        "read": list(profile.read),
        "xyz_to_camera": None if matrix is None else np.asarray(matrix).tolist(),
    }


def _misfit(pair: Pair, short: dict[str, Any], long: dict[str, Any]) -> str:
    """Why the long frame does not lie over the short one, in words; nothing if it does."""
    facts, other = short["facts"], long["facts"]
    if short["shape"] == long["shape"][:2] and all(facts[k] == other[k] for k in ("cut", "cell")):
        return ""
    sizes = ["x".join(map(str, record["shape"][:2])) for record in (short, long)]
    return (
        f"{pair.long}: does not lie over {pair.short.name}: {sizes[1]} pixels from {other['cut']} on against "
        f"{sizes[0]} from {facts['cut']}; both frames must be of one camera, held alike"
    )


def _entry(pair: Pair, short: dict[str, Any]) -> Entry:
    facts = short["facts"]
    matrix = facts["xyz_to_camera"]
    return Entry(
        name=pair.name,
        scene=pair.scene,
        split=pair.split,
        frame=pair.frame,
        ratio=pair.ratio,
        cfa=_pattern(facts["cell"]),
        black=tuple(facts["black"]),
        white=facts["white"],
        saturation=facts["saturation"],
        wb=tuple(facts["wb"]),
        shot=tuple(facts["shot"]),
        read=tuple(facts["read"]),
        height=short["shape"][0],
        width=short["shape"][1],
        xyz_to_camera=None if matrix is None else tuple(tuple(row) for row in matrix),
    )


def _pattern(size: int) -> Cell:
    return next(p.cfa for p in PATTERNS if p.cell == size)


def _is_of_source(record: dict[str, Any], source: Path) -> bool:
    try:
        status = source.stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (record["source_bytes"], record["source_mtime_ns"])


def _damage(path: Path, record: dict[str, Any], verify: bool) -> str:
    """What is wrong with a cached file, in words; nothing if it is sound: the record then has its time."""
    try:
        found = path.stat()
        if found.st_size != record["bytes"]:
            return f"is {found.st_size} bytes long instead of {record['bytes']}"
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        if list(mapped.shape) != record["shape"] or mapped.dtype != np.uint16:
            return "has another header than was written"
        # Caches of before know no time: they are read once.
        if verify or found.st_mtime_ns != record.get("mtime_ns"):
            if sha256(path) != record["sha256"]:
                return "has another checksum than was written"
            record["mtime_ns"] = found.st_mtime_ns
    except FileNotFoundError:
        return "is gone"
    except (OSError, ValueError) as error:
        return f"cannot be read ({error})"
    return ""


def _read_index(folder: Path, report: Callable[[str], None]) -> dict[str, dict[str, Any]]:
    path = folder / _INDEX
    if not path.exists():
        return {}
    try:
        stored = json.loads(path.read_text())
        if stored["format"] == FORMAT:
            return dict(stored["files"])
        report(f"{path}: is of format {stored['format']} instead of {FORMAT}, everything is decoded again")
    except (ValueError, KeyError, TypeError) as error:
        report(f"{path}: is damaged ({error}), everything is decoded again")
    return {}


def _write_index(folder: Path, index: dict[str, dict[str, Any]]) -> None:
    records = ",\n".join(f"{json.dumps(key)}: {json.dumps(index[key])}" for key in sorted(index))
    text = f'{{"format": {FORMAT}, "files": {{\n{records}\n}}}}\n'
    place_bytes(folder / _INDEX, text.encode(), overwrite=True)


@contextmanager
def _held(folder: Path, report: Callable[[str], None]) -> Iterator[None]:
    """Hold the folder's lock, which the system takes back from a killed process.

    Where there are no locks (some network shares), nothing is held: fill a cache by one process there.
    """
    with (folder / ".lock").open("w") as file:
        try:
            locked(file.fileno())
        except BlockingIOError:
            report(f"{folder}: another process is filling this cache; waiting for it")
            locked(file.fileno(), wait=True)
        yield
