"""One file to its result, and many in turn: what happened to each, and none lost for another."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any, Generic, Literal, Protocol, TypeVar

from scotopic.balance import balanced
from scotopic.develop import developed
from scotopic.disk.files import Identity, State, identity_of, state_of
from scotopic.disk.folders import ANOTHER_RESULTS, make_folder
from scotopic.dng.opcodes import warped_as_green
from scotopic.dng.origin import read_origin
from scotopic.dng.write import write_linear
from scotopic.effort import Effort
from scotopic.enhance import check_fresh, enhanced, picture_of, plan, sensor_of
from scotopic.errors import ReadError, ScotopicError, SettingsError, WriteError, naming
from scotopic.facts import balance_facts, balance_to_come, describe, editor_words, size_facts
from scotopic.frame import Captured, Linear, Rendered
from scotopic.read import read
from scotopic.run import Models
from scotopic.sandbox import read_origin_sandboxed, read_sandboxed
from scotopic.settings import Settings, check_kind, rendering_of
from scotopic.traditional import develop_traditional
from scotopic.write import OR_SKIP, check_place, may_replace, refusal, write

OVERLAPPED_PIXELS = 64_000_000
"""Pictures above this go through one at a time from the network to the disk, that memory stays bounded."""

FRINGES_STAY = "fringes stay as they are: finished colours no longer tell where a lens has drawn them"

Status = Literal["done", "planned", "skipped", "failed"]
"""What becomes of a file."""


@dataclass(frozen=True)
class Job:
    """One file and where its result goes."""

    source: Path
    target: Path
    home: Path | None = None
    """A folder above the target that has to be there: where it has gone, a disk was pulled out."""
    replaces: State | None = None
    """The result that this one may take the place of, as it was made of what the source was before."""
    home_is: Identity | None = None
    """Which folder that was when the run began, where it is known: below a mount point lies another."""

    @property
    def name(self) -> str:
        """Of the source, without folders."""
        return self.source.name


class _Placed(Protocol):
    """A job: where its file is, and where its result is to be."""

    @property
    def source(self) -> object: ...
    @property
    def target(self) -> object: ...


AnyJob = TypeVar("AnyJob", bound=_Placed)


@dataclass(frozen=True)
class OutcomeOf(Generic[AnyJob]):
    """What became of one file, wherever that is."""

    job: AnyJob
    status: Status
    seconds: float
    facts: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    fault: str = ""
    """The error's kind, such as NotRawError."""

    def to_json(self) -> dict[str, Any]:
        """One flat object for `--json`."""
        written = str(self.job.target) if self.status != "failed" else None
        return {
            "file": str(self.job.source),
            "status": self.status,
            "output": written,
            "error": self.error or None,
            "seconds": round(self.seconds, 3),
            **self.facts,
        }


class Outcome(OutcomeOf[Job]):
    """What became of one file of this machine."""


def treated(
    job: Job,
    settings: Settings,
    models: Models | None,
    tell: Callable[[float], None] = lambda _: None,
    turn: Lock | None = None,
) -> Outcome:
    """Treat one file. Never raises: whatever goes wrong is the outcome's.

    `turn` is for threads that treat several files: it is held while the network runs, so that one file is read
    and another written meanwhile. `tell` learns the network's share done, 0..1.
    """
    start = time.monotonic()
    facts: dict[str, Any] = {}
    try:
        status = _treat(job, settings, models, facts, tell, turn)
    except Exception as error:
        # A fault of ours must not cost the other pictures.
        return failed(job, error, time.monotonic() - start, facts)
    return Outcome(job, status, time.monotonic() - start, facts)


def failed(job: Job, error: Exception, seconds: float, facts: dict[str, Any]) -> Outcome:
    """The outcome of a file that an error has ended, whatever it is."""
    fault, words = type(error).__name__, str(error)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _NO_THREAD in words):
        fault, words = "MemoryError", f"{job.name}: {WITHOUT_MEMORY}"
    elif isinstance(error, OSError):
        fault, words = (
            "WriteError",
            f"{job.name}: {error.filename or job.target}: {error.strerror or error}",
        )
    elif not isinstance(error, ScotopicError):
        fault, words = "Fault", f"{job.name}: a fault in scotopic ({fault}: {words}); please report it"
    return Outcome(job, "failed", seconds, facts, words, fault)


WITHOUT_MEMORY = (
    "not enough memory for this picture; close other programs, give fewer --workers, or raise the limit "
    "(ulimit -v)"
)

_NO_THREAD = "can't start new thread"
"""What Python says where the system has no memory, or no number, left for one."""


def _treat(
    job: Job,
    settings: Settings,
    models: Models | None,
    facts: dict[str, Any],
    tell: Callable[[float], None],
    turn: Lock | None,
) -> Literal["done", "planned", "skipped"]:
    if job.target.exists() and not may_replace(job.target, settings.overwrite, job.replaces):
        if settings.skip_existing:
            return "skipped"
        raise refusal(job.target, OR_SKIP)
    _check_home(job)
    check_place(job.target)
    state = state_of(job.source)
    captured = decoded(job.source, settings)
    _check_unchanged(job, state)
    if settings.strip_gps:
        captured = captured.with_changes(exif=captured.exif.without_gps())
    with naming(job.name):
        if settings.way == "scotopic" and not settings.again:
            check_fresh(captured)
        sensor = sensor_of(captured)
        captured, amplification = _asked(captured, settings)
    made = plan(captured, **amplification, profiles=settings.profiles)
    if settings.like is not None:
        made = replace(made, exposure=replace(made.exposure, source=settings.like.source))
    facts.update(describe(captured, made, enhancing=settings.way == "scotopic"))
    if settings.fringes == "remove" and isinstance(captured, Linear):
        _warn(facts, FRINGES_STAY)
    facts |= balance_to_come(captured, settings.wb)
    if settings.kind == "dng":
        facts |= size_facts(*captured.data.shape[:2])
    if settings.way == "traditional":
        check_kind(settings.kind, settings.way, None)
        assert settings.kind != "dng"
        if settings.dry_run:
            return "planned"
        picture = develop_traditional(
            job.source,
            captured,
            ratio=made.exposure.ratio,
            bits=rendering_of(settings).bits,
            sandboxed=settings.sandbox,
        )
        _write_picture(job, settings, picture, facts)
        return "done"
    if models is None:
        raise SettingsError("enhancing needs a model")
    if settings.dry_run:
        check_kind(settings.kind, settings.way, models.check(sensor))
        return "planned"
    with ExitStack() as held:
        if turn is not None:
            held.enter_context(turn)
        # Where threads share the models, only the one whose turn it is opens them.
        model = models.open(sensor)
        facts |= {"model": f"{model.card.name} {model.card.version}"}
        facts |= {"passes": settings.passes, "fringes": settings.fringes}
        ended = held.close if captured.data[..., :1].size <= OVERLAPPED_PIXELS else _nothing
        effort = Effort(settings.strength, settings.passes, settings.fringes, settings.tile, tell)
        check_kind(settings.kind, settings.way, model.card)
        if settings.kind != "dng" and settings.wb != "auto":
            picture = picture_of(captured, model, made, effort, settings.wb, rendering_of(settings))
            ended()
            _write_picture(job, settings, picture, facts)
            return "done"
        # A DNG holds the whole picture of light, and "auto" is judged from it; else there is none.
        light = enhanced(captured, model, made, effort)
        ended()
        upon_green = made.upon_green(effort.fringes)
        del captured, made  # of finished colours as large as the light
        linear = balanced(light, settings.wb)
        del light
        facts |= balance_facts(linear)
        if settings.kind == "dng":
            _write_dng(job, settings, linear, state, facts, upon_green)
        else:
            _write_picture(job, settings, developed(linear, rendering_of(settings)), facts)
    return "done"


def _asked(captured: Captured, settings: Settings) -> tuple[Captured, dict[str, float | None]]:
    """The picture, and how much it is to be amplified, as arguments of `plan`; held to another where one is named."""
    if settings.like is None:
        return captured, {"ratio": settings.ratio, "ev": settings.ev}
    return settings.like.held(captured), {"ratio": settings.like.ratio_of(captured)}


def _nothing() -> None:
    pass


def decoded(source: Path, settings: Settings) -> Captured:
    """The one place where a file of a batch is decoded. Raises ReadError."""
    return read_sandboxed(source) if settings.sandbox else read(source)


def _write_picture(job: Job, settings: Settings, picture: Rendered, facts: dict[str, Any]) -> None:
    assert settings.kind != "dng"
    facts |= size_facts(*picture.data.shape[:2])
    _make_folder(job)
    write(
        job.target,
        picture,
        settings.kind,
        overwrite=settings.overwrite,
        replaces=job.replaces,
        quality=settings.quality,
    )


def _write_dng(
    job: Job,
    settings: Settings,
    linear: Linear,
    state: State | None,
    facts: dict[str, Any],
    upon_green: tuple[int, ...],
) -> None:
    origin = (read_origin_sandboxed if settings.sandbox else read_origin)(
        job.source, *linear.data.shape[:2]
    )
    if upon_green and origin.lens:
        origin = replace(origin, lens=warped_as_green(origin.lens, upon_green))
    _check_unchanged(job, state)
    _make_folder(job)
    scaling = write_linear(
        job.target,
        linear,
        developed(linear, rendering_of(settings)),
        compression=settings.dng_compression,
        strength=settings.strength,
        white=settings.dng_white,
        origin=origin,
        overwrite=settings.overwrite,
        replaces=job.replaces,
    )
    facts["baseline_ev"] = round(scaling.baseline_ev, 3)
    _warn(facts, *editor_words(linear, scaling, settings.dng_white))


def _warn(facts: dict[str, Any], *words: str) -> None:
    """Say so beside what is said already."""
    if said := "; ".join(filter(None, [facts.get("warning"), *words])):
        facts["warning"] = said


def _check_unchanged(job: Job, state: State | None) -> None:
    """Raise ReadError where the source is no longer as it was."""
    if state != state_of(job.source):
        raise ReadError(
            f"{job.source.name}: changed while it was read; wait until it is copied whole, then try again"
        )


def _check_home(job: Job) -> None:
    """Raise WriteError where the folder of the results has gone; making it anew would fill another disk."""
    if job.home is not None and (not job.home.is_dir() or job.home_is not in (None, identity_of(job.home))):
        raise WriteError(
            f"{job.target}: cannot be written, since {job.home} has vanished while scotopic was at work; bring it "
            "back (a disk pulled out?) and start again with --resume"
        )


def _make_folder(job: Job) -> None:
    _check_home(job)
    make_folder(job.target.parent, ANOTHER_RESULTS)
