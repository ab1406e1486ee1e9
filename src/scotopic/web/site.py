"""The page's files: found, derived from the package, and written as a folder for any https host."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

import imagecodecs

from scotopic.cores import usable_cores
from scotopic.disk.folders import ANOTHER, making
from scotopic.errors import FileExistsRefusal, ModelError, SettingsError, WriteError, unwritten
from scotopic.models import DEFAULTS, find
from scotopic.version import __version__
from scotopic.web.constants import constants
from scotopic.web.graph import WEIGHTS, page_graph
from scotopic.web.headers import PAGE_HEADERS

STATIC = Path(__file__).parent / "static"

NEEDED = (
    "index.html",
    "sw.js",
    "worker.js",
    "libraw.wasm",
    "vendor/ort.wasm.min.mjs",
    "vendor/ort-wasm-simd-threaded.wasm",
)
"""Without these there is no page; those in vendor/ are not in the repository but made by `make web`."""

NO_PART = (".*", "*/.*", "*.md", "*.map", "*.d.ts", "*.test.*")
"""What may lie in the folder of the page and is no part of it."""

LATER = ("*.jsep.*", "*.asyncify.*", "*.jspi.*", "*webgpu*")
"""Builds of the runtime for graphics processors: 27 MB that a page on the CPU never needs, fetched on first use."""

UNLISTED = ("sw.js", "precache.js", "_headers", "api/status")
"""Never kept by the service worker: itself and its list, what hosts read, what only a server can answer."""

SQUEEZED = frozenset(".html .js .mjs .css .json .webmanifest .svg .txt .wasm .onnx .bin".split())

BROTLI_LEVEL, BROTLI_LEVEL_LATER = 9, 5
"""Levels of Brotli, 0 to 11, for what is downloaded first and for what comes later: 11 makes the first download 9%
smaller and takes 12 times as long."""

GZIP_LEVEL = 6
"""Level of gzip, 1 to 9: 9 saves 0.4% more in twice the time."""

MARK = ".scotopic-site.json"
"""Lists in a written folder what is ours, so that the next writing leaves all else alone."""


@dataclass(frozen=True)
class SiteFile:
    """One file of the page: where it comes from, or what it holds."""

    path: str
    """Below the page's address, with slashes."""
    source: Path | bytes

    @property
    def content(self) -> bytes:
        """The bytes."""
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()

    @cached_property
    def hash(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256."""
        return hashlib.sha256(self.content).hexdigest()[:16]

    @cached_property
    def size(self) -> int:
        """Bytes."""
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    @property
    def first(self) -> bool:
        """Whether the first visit fetches it; the others come when they are needed, if ever."""
        return self.path != "_headers" and not any(fnmatch(self.path, pattern) for pattern in LATER)

    @property
    def precached(self) -> bool:
        """Whether the service worker keeps it from the first visit on, to work offline."""
        return self.first and self.path not in UNLISTED

    @property
    def listed(self) -> list[str]:
        """Its row in the service worker's list."""
        return ["./" if self.path == "index.html" else self.path, self.hash]

    @property
    def squeezes(self) -> bool:
        """Whether it is sent compressed."""
        return Path(self.path).suffix in SQUEEZED


def site_files() -> dict[str, SiteFile]:
    """All files of the page by path.

    Raises SettingsError where the page was not built, ModelError where a packaged model is broken.
    """
    missing = [name for name in NEEDED if not (STATIC / name).is_file()]
    if missing:
        raise SettingsError(
            f"the page is not complete: {', '.join(missing)} missing in {STATIC}; in a checkout run 'make web' "
            "(it needs npm), else install scotopic again"
        )
    files = [SiteFile(path, STATIC / path) for path in _static_paths()]
    files += _models()
    files.append(_json("constants.json", {**constants(), "bytes": _downloads(files)}))
    files.sort(key=lambda file: file.path)
    version = hashlib.sha256("".join(f"{f.path} {f.hash} " for f in files).encode()).hexdigest()[:16]
    rows = [f.listed for f in files if f.precached]
    later = [f.listed for f in files if not f.first]
    precache = json.dumps({"version": version, "files": rows, "later": later}, indent=1)
    files.append(SiteFile("precache.js", f"self.PRECACHE = {precache};\n".encode()))
    # Answered by the API where there is one; elsewhere the page must learn that there is none without an error.
    files.append(_json("api/status", {}))
    files.append(SiteFile("_headers", _headers_for_hosts().encode()))
    return {file.path: file for file in files}


def _static_paths() -> list[str]:
    paths = (p.relative_to(STATIC).as_posix() for p in STATIC.rglob("*") if p.is_file())
    return [path for path in paths if not any(fnmatch(path, pattern) for pattern in NO_PART)]


def _models() -> Iterable[SiteFile]:
    """The fast models, as the page takes them; which sensor each is for is among the constants."""
    for name in sorted(name for (_, tier), name in DEFAULTS.items() if tier == "fast"):
        card = find(name)
        if card.kind != "linear":
            raise ModelError(f"{name}: is of kind {card.kind}; the page runs models of kind linear")
        made = page_graph(card)
        yield SiteFile(f"models/{name}/model.onnx", made.graph)
        yield SiteFile(f"models/{name}/{WEIGHTS}", made.weights)
        yield _json(f"models/{name}/card.json", {**card.raw, "page": made.about()})


def _downloads(files: Iterable[SiteFile]) -> dict[str, int]:
    """The sizes of what the page fetches before it can work, so that it can tell how far that is."""
    return {
        f.path: f.size for f in files if f.path.startswith("models/") or fnmatch(f.path, "vendor/*.wasm")
    }


def _json(path: str, content: object) -> SiteFile:
    return SiteFile(path, json.dumps(content, indent=1, allow_nan=False).encode())


def _headers_for_hosts() -> str:
    """What hosts that read such a file (Netlify, Cloudflare Pages) send along with every file."""
    lines = [f"  {name}: {value}" for name, value in PAGE_HEADERS.items()]
    return "\n".join(["/*", *lines, "  Cache-Control: no-cache", ""])


def brotli(content: bytes, level: int) -> bytes:
    """Compressed as `Content-Encoding: br`."""
    return bytes(imagecodecs.brotli_encode(content, level=level))


@dataclass(frozen=True)
class Written:
    """What was written."""

    folder: Path
    files: int
    first_download: int | None
    """Bytes, compressed; None where nothing was."""


def write_site(folder: Path, *, compress: bool = True, overwrite: bool = False) -> Written:
    """Write the page as static files, with `compress` beside each its compressed forms; whole or not at all.

    A folder that this function wrote is replaced. Files in it that are not of an earlier writing stay as they
    are: they are a reason to refuse unless `overwrite` is set, which then replaces only those of the same name.
    Raises FileExistsRefusal, WriteError, and what `site_files` raises.
    """
    folder = folder.resolve()
    if folder.exists() and not folder.is_dir():
        raise WriteError(f"{folder}: is a file, but the page is a folder of files; give another")
    foreign = _foreign(folder) if folder.exists() else []
    if foreign and not overwrite:
        names = ", ".join(str(p.relative_to(folder)) for p in foreign[:3])
        raise FileExistsRefusal(
            f"{folder}: holds {len(foreign)} other or changed files ({names}{', ...' if len(foreign) > 3 else ''}); "
            "give an empty folder, or --overwrite to put the page among them (of the same name they are replaced)"
        )
    files = site_files()
    with making(folder.parent):
        try:
            stage = Path(tempfile.mkdtemp(prefix=".scotopic-", suffix=".part", dir=folder.parent))
        except OSError as error:
            raise unwritten(folder, error, ANOTHER) from error
        try:
            fresh = stage / "fresh"
            fresh.mkdir()
            download = _fill(fresh, files, compress)
            for path in foreign:
                target = fresh / path.relative_to(folder)
                if not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(path, target, follow_symlinks=False)
            _take_place(fresh, folder, stage / "before")
        except OSError as error:
            raise unwritten(folder, error) from error
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    return Written(folder, len(files), download)


def _fill(folder: Path, files: dict[str, SiteFile], compress: bool) -> int | None:
    """Write all files, their compressed forms and the mark; gives the bytes of the first download."""

    def place(file: SiteFile) -> tuple[int, dict[str, str]]:
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        content = file.content
        if not _mark(content).startswith(file.hash):
            raise WriteError(f"{file.path}: was changed while the page was written; write it again")
        forms = {"": content}
        if compress and file.squeezes:
            level = BROTLI_LEVEL if file.first else BROTLI_LEVEL_LATER
            forms |= {
                ".br": brotli(content, level),
                ".gz": gzip.compress(content, GZIP_LEVEL, mtime=0),
            }
        for ending, form in forms.items():
            target.with_name(target.name + ending).write_bytes(form)
        marks = {file.path + ending: _mark(form) for ending, form in forms.items()}
        return len(forms.get(".br", content)) if file.first else 0, marks

    with ThreadPoolExecutor(usable_cores()) as threads:
        placed = list(threads.map(place, files.values()))
    ours = {path: mark for _, marks in placed for path, mark in marks.items()}
    (folder / MARK).write_text(json.dumps({"scotopic": __version__, "files": ours}, indent=1))
    return sum(sent for sent, _ in placed) if compress else None


def _foreign(folder: Path) -> list[Path]:
    """The files of a folder that no earlier writing put there, or that were changed since."""
    try:
        ours = json.loads((folder / MARK).read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        ours = {}
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if (name == MARK and ours) or (path.is_dir() and not path.is_symlink()):
            continue
        if path.is_symlink() or name not in ours or _mark(path.read_bytes()) != ours[name]:
            found.append(path)
    return found


def _mark(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _take_place(fresh: Path, folder: Path, before: Path) -> None:
    """Give the finished folder its name; the one before is put aside first and put back if that fails."""
    if not folder.exists():
        fresh.rename(folder)
        return
    fresh.chmod(folder.stat().st_mode)
    folder.rename(before)
    try:
        fresh.rename(folder)
    except BaseException:
        before.rename(folder)
        raise
