"""Many files, one after another: what goes where, what happened to each, and none lost for another."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from scotopic.balance import Balance, balanced
from scotopic.calibration.apply import Profiles
from scotopic.develop import ColourSpace, Look, default_look, develop
from scotopic.develop import check_output as check_rendering
from scotopic.dng.origin import read_origin
from scotopic.dng.write import Compression, write_linear
from scotopic.enhance import Plan, check_fresh, enhance, finished, plan, sensor_of
from scotopic.errors import ReadError, ScotopicError, SettingsError, WriteError
from scotopic.frame import Capture, Captured, Linear, Mosaic
from scotopic.metadata import is_enhanced
from scotopic.models import Card
from scotopic.read import read
from scotopic.run import DEFAULT_TILE, Model, Models
from scotopic.traditional import develop_traditional
from scotopic.write import SUFFIXES, Format, bits_of, check_place, check_space, refusal, write

RAW_SUFFIXES = frozenset(
    ".3fr .ari .arw .bay .cap .cr2 .cr3 .crw .dcr .dng .erf .fff .gpr .iiq .k25 .kdc .mdc .mef .mos "
    ".mrw .nef .nrw .orf .pef .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f".split()
)
"""Endings by which files are picked from folders; a file named outright may be called anything."""

EV_WORTH_A_WORD = 0.5
"""From so many stops of BaselineExposure on the user is told."""

Way = Literal["scotopic", "traditional"]

Kind = Literal[Format, "dng"]
"""Formats of results: finished pictures, or light to go on editing."""

ENDINGS: dict[str, Kind] = {**SUFFIXES, ".dng": "dng"}


@dataclass(frozen=True)
class Settings:
    """How the files of one run are treated."""

    ratio: float | None = None
    ev: float | None = None
    strength: float = 1.0
    look: Look | None = None
    wb: Balance = "camera"
    space: ColourSpace = "srgb"
    kind: Kind = "jpg"
    dng_compression: Compression = "none"
    way: Way = "scotopic"
    overwrite: bool = False
    skip_existing: bool = False
    strip_gps: bool = False
    again: bool = False
    """Enhance even what has been enhanced."""
    dry_run: bool = False
    tile: int = DEFAULT_TILE
    profiles: Profiles | None = None
    """Of the user's own cameras."""


@dataclass(frozen=True)
class Job:
    """One file and where its result goes."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    job: Job
    status: Literal["done", "planned", "skipped", "failed"]
    seconds: float
    facts: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """One flat object for `--json`."""
        written = str(self.job.target) if self.status in ("done", "planned", "skipped") else None
        return {
            "file": str(self.job.source),
            "status": self.status,
            "output": written,
            "error": self.error or None,
            "seconds": round(self.seconds, 3),
            **self.facts,
        }


def find_files(paths: list[Path], *, enhanced: bool = True) -> list[tuple[Path, Path]]:
    """The RAW files named or below the folders named, each with the folder it is relative to.

    What is named is taken as it is, even if it does not exist; so is a folder that cannot be opened:
    reading them will say so. Without `enhanced`, DNGs in folders that scotopic has written are passed by:
    they are results of an earlier run. Raises ReadError when no RAW file is found.
    """
    found: list[tuple[Path, Path]] = []
    for path in paths:
        if not path.is_dir():
            found.append((path, path.parent))
            continue

        def closed(error: OSError, path: Path = path) -> None:
            found.append((Path(error.filename), path))

        for folder, folders, names in os.walk(path, onerror=closed):
            folders.sort()
            for name in sorted(names):
                if Path(name).suffix.lower() not in RAW_SUFFIXES or name.startswith("."):
                    continue
                if enhanced or not _is_result(Path(folder) / name):
                    found.append((Path(folder) / name, path))
    if not found:
        raise ReadError(f"no RAW files in {', '.join(map(str, paths))}: looked for {_some_suffixes()}")
    unique: dict[Path, tuple[Path, Path]] = {}
    for source, base in found:
        unique.setdefault(source.absolute(), (source, base))
    return list(unique.values())


def _is_result(path: Path) -> bool:
    try:
        return path.suffix.lower() == ".dng" and is_enhanced(path)
    except OSError:
        # Reading it will say why.
        return False


def lay_out(
    files: list[tuple[Path, Path]], output: Path | None, kind: Kind | None, way: Way = "scotopic"
) -> tuple[list[Job], Kind]:
    """Where each result goes, and its format.

    `IMG_1.ARW` becomes `IMG_1-scotopic.jpg` beside it; `output` is a file for a single source, else a
    folder that keeps the sources' subfolders. Of two sources that would meet in one name the later
    keeps its ending in it. Raises SettingsError where `output` does not fit.
    """
    named = ENDINGS.get(output.suffix.lower()) if output is not None else None
    if output is not None and named and not output.is_dir():
        if len(files) > 1:
            raise SettingsError(
                f"{output} is one file, but there are {len(files)} pictures: give a folder instead"
            )
        if kind is not None and kind != named:
            raise SettingsError(f"{output} says {named}, --format says {kind}: leave one of them out")
        _check_apart([Job(files[0][0], output)])
        return [Job(files[0][0], output)], named
    single = len(files) == 1 and files[0][0].parent == files[0][1]
    if output is not None and output.suffix and single and kind is None and not output.is_dir():
        raise SettingsError(
            f"{output}: no picture format called {output.suffix}; known are {', '.join(sorted(ENDINGS))}"
        )
    if output is not None and output.exists() and not output.is_dir():
        raise SettingsError(f"{output} is a file, but a folder is needed for the results")
    chosen: Kind = kind or "jpg"
    jobs: list[Job] = []
    taken: set[str] = set()
    for source, base in files:
        folder = source.parent if output is None else output / source.parent.relative_to(base)
        target = folder / f"{source.stem}-{way}.{chosen}"
        if str(target).casefold() in taken:
            target = folder / f"{source.stem}_{source.suffix[1:].lower()}-{way}.{chosen}"
        number = 2
        while str(target).casefold() in taken:
            target = folder / f"{source.stem}_{number}-{way}.{chosen}"
            number += 1
        taken.add(str(target).casefold())
        jobs.append(Job(source, target))
    _check_apart(jobs)
    return jobs, chosen


def _check_apart(jobs: list[Job]) -> None:
    """Raise SettingsError where a result would take the place of a source, whatever the user allows."""
    sources = {job.source.resolve() for job in jobs}
    for job in jobs:
        if job.target.resolve() in sources:
            raise SettingsError(f"{job.target} is one of the photos to read: give another output")


def check_kind(kind: Kind, way: Way, card: Card | None) -> None:
    """Raise SettingsError where a linear DNG is wanted of what gives finished pictures only."""
    if kind != "dng":
        return
    if way == "traditional":
        raise SettingsError(
            "a linear DNG holds light before development, and develop gives finished pictures: use "
            "enhance --format dng, or another format"
        )
    if card is not None and card.kind != "linear":
        raise SettingsError(
            f"{card.name} goes from RAW straight to sRGB and knows no linear light, which a DNG holds: use "
            "another format or a model of kind linear"
        )


def check_output(settings: Settings) -> None:
    """Raise SettingsError for a look or a colour space that does not go with the format."""
    if settings.kind != "dng":
        look = settings.look or default_look(settings.space)
        check_space(settings.kind, settings.space, look)
        check_rendering(look, settings.space, bits_of(settings.kind))
    elif settings.space != "srgb" or settings.look == "linear":
        raise SettingsError(
            "a DNG holds light in the camera's own colours, and its look is that of the preview in it: leave "
            "--colour-space and --look linear out, or choose TIFF (--format tiff)"
        )


def run(
    jobs: list[Job],
    settings: Settings,
    models: Models | None,
    progress: Callable[[Job, float], None] = lambda _job, _share: None,
) -> Iterator[Outcome]:
    """Treat the files in turn. A bad file gives a failed outcome and the rest go on."""
    for job in jobs:
        start = time.monotonic()
        facts: dict[str, Any] = {}

        def tell(share: float, job: Job = job) -> None:
            progress(job, share)

        try:
            status = _treat(job, settings, models, facts, tell)
            yield Outcome(job, status, time.monotonic() - start, facts)
        except ScotopicError as error:
            yield Outcome(job, "failed", time.monotonic() - start, facts, str(error))
        except MemoryError:
            words = f"{job.source.name}: not enough memory for this picture"
            yield Outcome(job, "failed", time.monotonic() - start, facts, words)
        except Exception as error:
            # A fault of ours must not cost the other pictures.
            words = f"{job.source.name}: a fault in scotopic ({type(error).__name__}: {error}); please report it"
            yield Outcome(job, "failed", time.monotonic() - start, facts, words)


def _treat(
    job: Job,
    settings: Settings,
    models: Models | None,
    facts: dict[str, Any],
    tell: Callable[[float], None],
) -> Literal["done", "planned", "skipped"]:
    if job.target.exists() and not settings.overwrite:
        if settings.skip_existing:
            return "skipped"
        raise refusal(job.target)
    check_place(job.target)
    captured = read(job.source)
    if settings.strip_gps:
        captured = captured.with_changes(exif=captured.exif.without_gps())
    if settings.way == "scotopic" and not settings.again:
        check_fresh(captured)
    sensor = sensor_of(captured)
    made = plan(captured, ratio=settings.ratio, ev=settings.ev, profiles=settings.profiles)
    facts.update(describe(captured, made))
    if settings.dry_run:
        return "planned"
    if settings.kind == "dng":
        _write_dng(job, settings, captured, made, models, facts, tell)
        return "done"
    if settings.way == "traditional":
        picture = develop_traditional(
            job.source, captured, ratio=made.exposure.ratio, bits=bits_of(settings.kind)
        )
    else:
        if models is None:
            raise SettingsError("enhancing needs a model")
        model = models.open(sensor)
        facts["model"] = f"{model.card.name} {model.card.version}"
        bits = bits_of(settings.kind)
        if model.card.kind == "linear":
            linear = _linear(captured, model, made, settings, facts, tell)
            picture = develop(linear, look=settings.look, space=settings.space, bits=bits)
        else:
            picture = finished(
                captured, model, plan_made=made, bits=bits, tile=settings.tile, progress=tell
            )
    _make_folder(job.target.parent)
    write(job.target, picture, settings.kind, overwrite=settings.overwrite)
    return "done"


def _linear(
    captured: Captured,
    model: Model,
    made: Plan,
    settings: Settings,
    facts: dict[str, Any],
    tell: Callable[[float], None],
) -> Linear:
    """The enhanced light, balanced as the settings say; the facts learn how."""
    light = enhance(
        captured, model, plan_made=made, strength=settings.strength, tile=settings.tile, progress=tell
    )
    linear = balanced(light, settings.wb)
    facts |= _balance(linear)
    return linear


def _write_dng(
    job: Job,
    settings: Settings,
    captured: Captured,
    made: Plan,
    models: Models | None,
    facts: dict[str, Any],
    tell: Callable[[float], None],
) -> None:
    if models is None:
        raise SettingsError("enhancing needs a model")
    model = models.open(sensor_of(captured))
    check_kind("dng", settings.way, model.card)
    facts["model"] = f"{model.card.name} {model.card.version}"
    linear = _linear(captured, model, made, settings, facts, tell)
    _make_folder(job.target.parent)
    scaling = write_linear(
        job.target,
        linear,
        develop(linear, look=settings.look or "natural"),
        compression=settings.dng_compression,
        strength=settings.strength,
        origin=read_origin(job.source, *linear.data.shape[:2]),
        overwrite=settings.overwrite,
    )
    facts["baseline_ev"] = round(scaling.baseline_ev, 3)
    if scaling.baseline_ev >= EV_WORTH_A_WORD:
        kept = (
            f"light up to {2**scaling.baseline_ev:.3g} times white is kept; editors that ignore "
            f"BaselineExposure, as RawTherapee and darktable do, show it {scaling.baseline_ev:.1f} stops too "
            "dark: raise the exposure there"
        )
        facts["warning"] = "; ".join(filter(None, [facts.get("warning"), kept]))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{folder}: cannot be made ({error.strerror})") from error


def describe(captured: Captured, made: Plan | None) -> dict[str, Any]:
    """What a file holds and what would be done with it, as plain values."""
    height, width = captured.data.shape[:2]
    facts: dict[str, Any] = {
        "make": captured.make or None,
        "camera": captured.model or None,
        "iso": captured.iso,
        "exposure_s": captured.exposure_s,
        "width": width,
        "height": height,
        "orientation": captured.orientation,
        **_balance(captured),
        "enhanced": captured.exif.enhanced,
    }
    if isinstance(captured, Mosaic):
        facts |= {
            "cfa": "".join("RGB"[c] for row in captured.cfa for c in row),
            "black_dn": captured.black.ravel().tolist(),
            "white_dn": captured.white,
            "saturation_dn": captured.saturation,
        }
    else:
        facts["cfa"] = "none (monochrome)" if captured.monochrome else "none (finished colours)"
    if made is not None:
        facts |= {
            "ratio": round(made.exposure.ratio, 3),
            "ev": round(made.exposure.stops, 2),
            "ratio_source": made.exposure.source,
            "noise": {
                "shot": made.noise.profile.shot,
                "read": made.noise.profile.read,
                "source": made.noise.profile.source,
            },
            "warning": made.noise.warning or None,
        }
    return facts


def _balance(capture: Capture) -> dict[str, Any]:
    return {"wb": [round(g, 4) for g in capture.wb], "wb_source": capture.wb_source}


def _some_suffixes() -> str:
    return "ARW, CR2, CR3, DNG, NEF, RAF and others"
