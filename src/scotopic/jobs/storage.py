"""Files wherever they are (a disk, S3, ...), by addresses that fsspec knows."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from scotopic.batch import Kind, Way
from scotopic.errors import ReadError, ScotopicError, SettingsError, WriteError, how_to_get
from scotopic.identify import RAW_SUFFIXES
from scotopic.jobs.layout import Names, is_of_photos, is_result
from scotopic.write import OR_SKIP, refusal
from scotopic.xmp import sidecar_names

CHUNK_BYTES = 1 << 20
"""What of a file is in memory while it is copied."""


@dataclass(frozen=True)
class RemoteJob:
    """One file and where its result goes, as addresses."""

    source: str
    target: str
    state: str = ""
    """What changes when the source does, as its storage tells."""
    sidecars: tuple[str, ...] = ()
    """Addresses of what editors have put beside a source that is not on this machine's disks."""

    @property
    def name(self) -> str:
        """Of the source, without folders."""
        return self.source.rsplit("/", 1)[-1]


def lay_out(sources: list[str], output: str, kind: Kind, way: Way, *, enhanced: bool) -> list[RemoteJob]:
    """The RAW files at the addresses named or below them, and where each result goes below `output`.

    Subfolders and names are kept as for folders of this machine. Raises ReadError where there are no RAW files,
    SettingsError for addresses that cannot be used.
    """
    names = Names(Path(), kind, way)
    home, below = _system(output)
    base = home.unstrip_protocol(below).rstrip("/")
    jobs: list[RemoteJob] = []
    beside: dict[str, set[str]] = {}
    """By folder what lies in it, for files that are named one by one: one look for all of them."""
    for source in sources:
        files, where = _system(source)
        with _told(ReadError, source, "cannot be looked at"):
            try:
                folder = files.isdir(where)
                infos = files.find(where, detail=True) if folder else {where: files.info(where)}
            except FileNotFoundError as error:
                raise ReadError(f"{source}: there is no such file or folder") from error
        for path, info in sorted(infos.items()):
            relative = PurePosixPath(path).relative_to(where) if folder else PurePosixPath(path).name
            if folder and not _is_wanted(path, PurePosixPath(relative), files, enhanced):
                continue
            target = names.job(Path(relative), Path()).target
            there = infos if folder or _is_local(files) else _listed(files, path, beside)
            sidecars = () if _is_local(files) else _sidecars(path, there)
            jobs.append(
                RemoteJob(
                    files.unstrip_protocol(path),
                    f"{base}/{target.as_posix()}",
                    _state(info),
                    tuple(map(files.unstrip_protocol, sidecars)),
                )
            )
    if not jobs:
        raise ReadError(f"no RAW files in {', '.join(sources)}")
    return jobs


def _sidecars(path: str, there: Container[str]) -> list[str]:
    """Those of a source's sidecars that are there."""
    folder = path.rpartition("/")[0]
    places = (f"{folder}/{name}" for name in sidecar_names(Path(path)))
    return [place for place in places if place in there]


def _listed(files: Any, path: str, known: dict[str, set[str]]) -> set[str]:
    """What lies in a file's folder; nothing where that may not be listed."""
    folder = path.rpartition("/")[0]
    if folder not in known:
        known[folder] = set()
        with contextlib.suppress(OSError, NotImplementedError):
            known[folder].update(files.ls(folder, detail=False))
    return known[folder]


def check_places(places: list[str]) -> None:
    """Raise SettingsError for storages that other processes do not see, and for buckets that there are not."""
    for words in places:
        files, where = _system(words)
        if "memory" in _protocols(files):
            raise SettingsError(
                f"{words}: lies in the memory of one process, and no other sees it; give a folder or an address that "
                "all machines reach"
            )
        if _protocols(files) & _OBJECT_STORES and _lacks_bucket(files, where):
            bucket = where.lstrip("/").partition("/")[0]
            raise SettingsError(
                f"{words}: there is no bucket {bucket}; make it first, or see how its name is spelt"
            )


def _lacks_bucket(files: Any, where: str) -> bool:
    """Whether the storage says that there is no such bucket.

    Asked is for the place itself: policies may show that and not its bucket. Of a place that may not be looked at or
    is not reached, work will say so.
    """
    try:
        files.info(where)
    except FileNotFoundError as error:
        whole = not where.strip("/").partition("/")[2]
        return whole or any(words in said for said in _said(error) for words in _NO_BUCKET)
    except Exception:
        return False
    return False


_NO_BUCKET = ("NoSuchBucket", "bucket does not exist", "container does not exist", "ContainerNotFound")
"""How S3, Google's and Azure's storage say it."""


def _said(error: BaseException) -> Iterator[str]:
    """What an error says, and those that it came of."""
    found: BaseException | None = error
    while found is not None:
        yield str(found)
        found = found.__cause__ or found.__context__


def _is_wanted(path: str, below: PurePosixPath, files: Any, enhanced: bool) -> bool:
    name = PurePosixPath(path)
    if name.suffix.lower() not in RAW_SUFFIXES or not is_of_photos(below):
        return False
    if enhanced or name.suffix.lower() != ".dng":
        return True
    # Elsewhere than here a look into each file would be a request each: the name must do.
    return not (is_result(Path(path)) if _is_local(files) else name.stem.endswith("-scotopic"))


def _state(info: dict[str, Any]) -> str:
    when = info.get("ETag") or info.get("etag") or info.get("mtime") or info.get("LastModified") or ""
    return f"{info.get('size')} {when}"


def address(words: str) -> str:
    """What names a file on all machines: addresses as they are, paths in full."""
    return words if "://" in words else f"file://{Path(words).absolute().as_posix()}"


def existing(output: str) -> dict[str, int]:
    """The addresses of all that is below a folder, and its sizes. Raises WriteError where it cannot be looked at."""
    files, where = _system(output)
    with _told(WriteError, output, "cannot be looked at"):
        try:
            found = files.find(where, detail=True)
        except FileNotFoundError:
            return {}
    return {files.unstrip_protocol(path): info.get("size") or 0 for path, info in found.items()}


def exists(target: str) -> bool:
    """Whether there is a file now, whatever was listed before. Raises WriteError where that cannot be told."""
    files, where = _system(target)
    with _told(WriteError, target, "cannot be looked at"):
        files.invalidate_cache()
        return bool(files.exists(where))


def local_path(words: str) -> Path | None:
    """The path of an address on this machine; None for one elsewhere."""
    files, where = _system(words)
    return Path(where) if _is_local(files) else None


@contextmanager
def at_hand(job: RemoteJob) -> Iterator[tuple[Path, Path]]:
    """The source and a place for the result on this machine; what is elsewhere is copied to a folder that goes.

    Raises ReadError where it cannot be copied.
    """
    source, target = local_path(job.source), local_path(job.target)
    with tempfile.TemporaryDirectory(prefix="scotopic-") as scratch:
        if source is None:
            source = Path(scratch) / job.name
            _fetch(job.source, source)
            for sidecar in job.sidecars:
                # As on a disk: the photo is worth more than what was written about it.
                with contextlib.suppress(ReadError):
                    _fetch(sidecar, source.with_name(sidecar.rpartition("/")[2]))
        yield source, target or Path(scratch) / "result" / PurePosixPath(job.target).name


def _fetch(address: str, place: Path) -> None:
    """Copy a file here. Raises ReadError."""
    files, where = _system(address)
    with (
        _told(ReadError, address, "cannot be read"),
        files.open(where, "rb", block_size=CHUNK_BYTES) as far,
        place.open("wb") as near,
    ):
        while piece := far.read(CHUNK_BYTES):
            near.write(piece)


def bring(made: Path, target: str, *, overwrite: bool) -> None:
    """Put a finished result where it belongs; storages give a file its name when it is whole.

    Raises WriteError, FileExistsRefusal where it has come into being meanwhile.
    """
    files, where = _system(target)
    if not overwrite and exists(target):
        raise refusal(target, OR_SKIP)
    with _told(WriteError, target, "could not be written"):
        # Object stores have no folders, and would make a bucket that is mistyped.
        if not _protocols(files) & _OBJECT_STORES:
            with contextlib.suppress(NotImplementedError):
                files.makedirs(os.path.dirname(where), exist_ok=True)  # noqa: PTH120, an address
        files.put_file(str(made), where)


def _system(words: str) -> tuple[Any, str]:
    """The file system of an address and the path there. Raises SettingsError where it is not known."""
    try:
        import fsspec
    except ImportError as error:
        raise SettingsError(f"this needs fsspec: {how_to_get('ray')}") from error
    with _told(SettingsError, words, "cannot be reached"):
        try:
            found: tuple[Any, str] = fsspec.core.url_to_fs(address(words))
        except (ImportError, ValueError) as error:
            raise SettingsError(f"{words}: no storage of a known kind ({error})") from error
    return found


@contextmanager
def _told(kind: type[ScotopicError], place: str, what: str) -> Iterator[None]:
    """Tell what a storage's package raises as one of ours: missing keys are errors of botocore's or Google's own."""
    try:
        yield
    except (ScotopicError, MemoryError):
        raise
    except OSError as error:
        raise kind(f"{place}: {what} ({error})") from error
    except Exception as error:
        raise kind(f"{place}: {what} ({type(error).__name__}: {error})") from error


_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "r2"}
"""Protocols of storages whose addresses begin with a bucket."""


def _protocols(files: Any) -> set[str]:
    return set(files.protocol) if isinstance(files.protocol, tuple) else {files.protocol}


def _is_local(files: Any) -> bool:
    return "file" in _protocols(files)
