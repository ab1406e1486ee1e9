"""Files wherever they are (a disk, S3, ...), by addresses that fsspec knows."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from scotopic.disk.files import is_of_photos, is_there, opened
from scotopic.disk.folders import takes_files
from scotopic.disk.scratch import of_this_host, scratch
from scotopic.disk.sidecars import Beside
from scotopic.errors import ReadError, ScotopicError, SettingsError, WriteError, how_to_get
from scotopic.formats.table import Kind
from scotopic.identify import RAW_SUFFIXES
from scotopic.jobs.layout import Names, check_apart, find_files, is_one_picture, named_format
from scotopic.jobs.past import Past, Photo, absolute, is_elsewhere
from scotopic.jobs.resume import Item
from scotopic.settings import Way
from scotopic.write import OR_SKIP, refusal

CHUNK_BYTES = 1 << 20
"""What of a file is in memory while it is copied."""

COPIES = of_this_host("scotopic-copies-")
"""How the folders begin in which a machine has what lies elsewhere."""


@dataclass(frozen=True)
class RemoteJob:
    """One file and where its result goes, as addresses."""

    source: str
    target: str
    state: str = ""
    """What changes when the source does, as its storage tells."""
    sidecars: tuple[str, ...] = ()
    """Addresses of what editors have put beside a source that is not on this machine's disks."""
    anew: bool = False
    """Of its result nothing is left but the name, which may be replaced as long as that is so."""

    @property
    def name(self) -> str:
        """Of the source, without folders."""
        return self.source.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class _Found:
    """A RAW file, the folder that it is in below what was named, and what a job says of it."""

    photo: Photo
    folder: Path
    named: bool
    """Whether it was named itself."""
    sidecars: tuple[str, ...] = ()

    def job(self, target: str) -> RemoteJob:
        return RemoteJob(_address_of(self.photo.file), _address_of(target), self.photo.mark, self.sidecars)


def _address_of(known: str) -> str:
    """The address of what journals know."""
    return known if is_elsewhere(known) else address(known)


def lay_out(
    sources: list[str],
    output: str,
    kind: Kind | None,
    way: Way,
    past: Past | None = None,
    *,
    enhanced: bool,
) -> tuple[list[RemoteJob], Kind]:
    """The RAW files at the addresses named or below them, where the result of each goes, and its format.

    By the rules of folders of this machine: subfolders and names are kept, what `past` has made of a photo keeps its
    name, and `output` is a file for a single one. Raises ReadError where there are no RAW files,
    SettingsError for addresses that cannot be used.
    """
    paths = {source: local_path(source) for source in sources}
    found = _near([path for path in paths.values() if path is not None], enhanced)
    found += _far([source for source, path in paths.items() if path is None], enhanced)
    if not found:
        raise ReadError(f"no RAW files in {', '.join(sources)}")
    files, where = _system(output)
    base = files.unstrip_protocol(where).rstrip("/")
    home = Path(where) if _is_local(files) else None

    def known(target: Path) -> str:
        return absolute(target) if home is not None else f"{base}/{target.as_posix()}"

    with _told(WriteError, output, "cannot be looked at"):
        is_folder = files.isdir(where)
    if not is_folder:
        single = len(found) == 1 and found[0].named
        there = home is not None and is_there(home)
        named = named_format(PurePosixPath(where), kind, len(found), single=single, there=there)
        if named is not None:
            target = absolute(home) if home is not None else base
            check_apart([(found[0].photo.file, target)])
            return [found[0].job(target)], named
    chosen: Kind = kind or "jpg"
    names = Names(home or Path(), chosen, way, past, known)
    given = [(one, known(names.target(one.photo, (home or Path()) / one.folder))) for one in found]
    check_apart([(one.photo.file, target) for one, target in given])
    return [one.job(target) for one, target in given], chosen


def _near(paths: list[Path], enhanced: bool) -> list[_Found]:
    """The RAW files of this machine's folders, as its own runs find them."""
    for path in paths:
        if not os.path.lexists(path):
            raise ReadError(f"{path}: there is no such file or folder")
    try:
        files = find_files(paths, enhanced=enhanced) if paths else []
    except ReadError:
        # Elsewhere there may be some.
        return []
    return [
        _Found(Photo.at(source), source.parent.relative_to(base), named) for source, base, named in files
    ]


def _far(sources: list[str], enhanced: bool) -> list[_Found]:
    """The sources that do not lie on this machine, each once. Raises ReadError."""
    found: dict[str, _Found] = {}
    listed: dict[str, Beside] = {}
    """By folder what lies in it, for files that are named one by one: one look for all of them."""
    for source in sources:
        files, where = _system(source)
        with _told(ReadError, source, "cannot be looked at"):
            try:
                folder = files.isdir(where)
                infos = files.find(where, detail=True) if folder else {where: files.info(where)}
            except FileNotFoundError as error:
                raise ReadError(f"{source}: there is no such file or folder") from error
        beside = _in_folders(infos) if folder else listed
        for path, info in sorted(infos.items()):
            below = PurePosixPath(path).relative_to(where) if folder else PurePosixPath(path).name
            if folder and not _is_wanted(path, PurePosixPath(below), enhanced):
                continue
            place, _, name = path.rpartition("/")
            if place not in beside:
                beside[place] = _listed(files, place)
            photo = Photo(files.unstrip_protocol(path), None, _state(info))
            beside_it = tuple(files.unstrip_protocol(f"{place}/{each}") for each in beside[place].of(name))
            one = _Found(photo, Path(below).parent, not folder, beside_it)
            found.setdefault(photo.file, one)
    return list(found.values())


def _in_folders(paths: Iterable[str]) -> dict[str, Beside]:
    """What lies beside what, by folder."""
    names: dict[str, list[str]] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        names.setdefault(folder, []).append(name)
    return {folder: Beside(each) for folder, each in names.items()}


def _listed(files: Any, folder: str) -> Beside:
    """What lies in a folder; nothing where that may not be listed."""
    try:
        return Beside(path.rpartition("/")[2] for path in files.ls(folder, detail=False))
    except (OSError, NotImplementedError):
        return Beside(())


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


def _is_wanted(path: str, below: PurePosixPath, enhanced: bool) -> bool:
    # What ends so is an object store's mark of a folder, whatever that is called.
    if path.endswith("/") or below.suffix.lower() not in RAW_SUFFIXES or not is_of_photos(*below.parts):
        return False
    # A look into each file would be a request each: the name must do.
    return enhanced or below.suffix.lower() != ".dng" or not below.stem.endswith("-scotopic")


def _state(info: dict[str, Any]) -> str:
    when = info.get("ETag") or info.get("etag") or info.get("mtime") or info.get("LastModified") or ""
    return f"{info.get('size')} {when}"


def address(words: str) -> str:
    """What names a file on all machines: addresses as they are, paths in full."""
    return words if "://" in words else f"file://{Path(words).absolute().as_posix()}"


def existing(output: str) -> dict[str, int]:
    """The addresses of all that is below a folder, and its sizes (-1 where the storage does not tell them).

    Raises WriteError where it cannot be looked at.
    """
    files, where = _system(output)
    with _told(WriteError, output, "cannot be looked at"):
        try:
            found = files.find(where, detail=True)
        except FileNotFoundError:
            return {}
        # Of a place that is a file fsspec tells nothing.
        sizes = {path: (info or files.info(path)).get("size") for path, info in found.items()}
    return {files.unstrip_protocol(path): -1 if size is None else size for path, size in sizes.items()}


def exists(target: str) -> bool:
    """Whether there is a file now, whatever was listed before. Raises WriteError where that cannot be told."""
    files, where = _system(target)
    with _told(WriteError, target, "cannot be looked at"):
        files.invalidate_cache()
        return bool(files.exists(where))


def is_made(target: str) -> bool:
    """Whether a result is there now; one of 0 bytes is none. Raises WriteError where that cannot be told."""
    files, where = _system(target)
    with _told(WriteError, target, "cannot be looked at"):
        files.invalidate_cache()
        try:
            return bool(files.size(where) != 0)
        except FileNotFoundError:
            return False


def seems_made(target: str) -> bool:
    """Whether a result is there now, as `is_made`; False where the storage does not tell."""
    try:
        return is_made(target)
    except ScotopicError:
        return False


def local_path(words: str) -> Path | None:
    """The path of an address on this machine; None for one elsewhere."""
    files, where = _system(words)
    return Path(where) if _is_local(files) else None


def results_folder(output: str) -> Path | None:
    """The folder that holds the results, which may be a single picture of that name; None for one elsewhere."""
    place = local_path(output)
    return place.parent if place is not None and is_one_picture(place) else place


def item_of(job: RemoteJob) -> Item:
    """As journals know a file: on a disk by its path, as runs of one machine do, elsewhere by its address."""
    source, target = local_path(job.source), local_path(job.target)
    photo = Photo.at(source) if source is not None else Photo(job.source, None, job.state)
    return Item(photo, absolute(target) if target is not None else job.target, job.target)


def reached(job: RemoteJob, what: Literal["read", "write"]) -> bool:
    """Whether a file can be read from here, or written; of a result elsewhere nobody can say but who tries."""
    return _readable(job.source) if what == "read" else _writable(job.target)


def _readable(source: str) -> bool:
    try:
        files, where = _system(source)
        if _is_local(files):
            # A pipe would be waited for without end.
            with opened(Path(where)) as file:
                file.read(1)
        else:
            files.cat_file(where, start=0, end=1)
    except Exception:
        return False
    return True


def _writable(target: str) -> bool:
    path = local_path(target)
    return path is None or takes_files(next(parent for parent in path.parents if is_there(parent)))


@contextmanager
def at_hand(job: RemoteJob) -> Iterator[tuple[Path, Path]]:
    """The source and a place for the result on this machine; what is elsewhere is copied to a folder that goes.

    Raises ReadError where it cannot be copied.
    """
    source, target = local_path(job.source), local_path(job.target)
    if source is not None and target is not None:
        yield source, target
        return
    with scratch(COPIES) as folder:
        if source is None:
            source = folder / job.name
            _fetch(job.source, source)
            for sidecar in job.sidecars:
                # As on a disk: the photo is worth more than what was written about it.
                with contextlib.suppress(ReadError):
                    _fetch(sidecar, source.with_name(sidecar.rpartition("/")[2]))
        yield source, target or folder / "result" / PurePosixPath(job.target).name


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
