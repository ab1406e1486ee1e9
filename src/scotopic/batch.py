"""One file to its result, and many in turn: what happened to each, and none lost for another."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Generic, Literal, Protocol, TypeVar

from scotopic.balance import Balance, balanced
from scotopic.calibration.apply import Profiles
from scotopic.develop import ColourSpace, Look, default_look, develop
from scotopic.develop import check_output as check_rendering
from scotopic.dng.light import DngWhite
from scotopic.dng.origin import read_origin
from scotopic.dng.write import Compression, write_linear
from scotopic.enhance import Plan, check_fresh, enhance, finished, plan, sensor_of
from scotopic.errors import ReadError, ScotopicError, SettingsError, WriteError, naming
from scotopic.facts import balance_facts, balance_to_come, describe, editor_words, size_facts
from scotopic.files import Identity, State, identity_of, state_of
from scotopic.folders import ANOTHER_RESULTS, make_folder
from scotopic.frame import Captured, Linear, Rendered
from scotopic.models import Card
from scotopic.read import read
from scotopic.run import DEFAULT_TILE, Model, Models
from scotopic.sandbox import read_origin_sandboxed, read_sandboxed
from scotopic.traditional import develop_traditional
from scotopic.write import (
    OR_SKIP,
    SUFFIXES,
    Format,
    bits_of,
    check_place,
    check_quality,
    check_space,
    may_replace,
    refusal,
    write,
)

OVERLAPPED_PIXELS = 64_000_000
"""Pictures above this go through one at a time from the network to the disk, that memory stays bounded."""

Way = Literal["scotopic", "traditional"]

Status = Literal["done", "planned", "skipped", "failed"]
"""What becomes of a file."""

Kind = Literal[Format, "dng"]
"""Formats of results: finished pictures, or light to go on editing."""

ENDINGS: dict[str, Kind] = {**SUFFIXES, ".dng": "dng"}


@dataclass(frozen=True)
class Settings:
    """How the files of one run are treated."""

    ratio: float | None = None
    ev: float | None = None
    strength: float = 1.0
    passes: int = 1
    look: Look | None = None
    wb: Balance = "camera"
    space: ColourSpace = "srgb"
    kind: Kind = "jpg"
    bits: int | None = None
    """Bits a colour; None for what the format is usually written with."""
    quality: int | None = None
    """Of a JPEG, 1 to 100; None for the usual one."""
    dng_compression: Compression = "none"
    dng_white: DngWhite = "light"
    """What a DNG's WhiteLevel stands for: "sensor" for frames of one sequence, which are to be alike."""
    way: Way = "scotopic"
    overwrite: bool = False
    skip_existing: bool = False
    strip_gps: bool = False
    again: bool = False
    """Enhance even what has been enhanced."""
    dry_run: bool = False
    sandbox: bool = False
    """Decode files in a child of limited means: they are of strangers."""
    tile: int = DEFAULT_TILE
    profiles: Profiles | None = None
    """Of the user's own cameras."""


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
    """Raise SettingsError for a look, a colour space, a quality or a compression that does not go with the format."""
    if settings.quality is not None and settings.kind != "jpg":
        raise SettingsError("a quality is for JPEGs: leave it out or choose jpg")
    check_quality(settings.quality)
    if settings.kind != "dng":
        if settings.dng_compression != "none":
            raise SettingsError("--dng-compression is for DNGs: leave it out or choose --format dng")
        if settings.dng_white != "light":
            raise SettingsError("--dng-white is for DNGs: leave it out or choose --format dng")
        look = settings.look or default_look(settings.space)
        check_space(settings.kind, settings.space, look)
        check_rendering(look, settings.space, _bits(settings))
    elif settings.bits not in (None, 16):
        raise SettingsError(f"a DNG has 16 bits a colour, not {settings.bits}: leave --bits out")
    elif settings.space != "srgb" or settings.look == "linear":
        raise SettingsError(
            "a DNG holds light in the camera's own colours, and its look is that of the preview in it: leave "
            "--colour-space and --look linear out, or choose TIFF (--format tiff)"
        )


def _bits(settings: Settings) -> Literal[8, 16]:
    """The depth in which a finished picture is developed. Raises SettingsError as `bits_of`."""
    assert settings.kind != "dng"
    look = settings.look or default_look(settings.space)
    return bits_of(settings.kind, settings.bits, linear="linear" in (look, default_look(settings.space)))


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
    captured = _read(job.source, settings)
    _check_unchanged(job, state)
    if settings.strip_gps:
        captured = captured.with_changes(exif=captured.exif.without_gps())
    with naming(job.name):
        if settings.way == "scotopic" and not settings.again:
            check_fresh(captured)
        sensor = sensor_of(captured)
    made = plan(captured, ratio=settings.ratio, ev=settings.ev, profiles=settings.profiles)
    facts.update(describe(captured, made, enhancing=settings.way == "scotopic"))
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
            bits=_bits(settings),
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
        facts |= {"model": f"{model.card.name} {model.card.version}", "passes": settings.passes}
        ended = held.close if captured.data[..., :1].size <= OVERLAPPED_PIXELS else _nothing
        if settings.kind == "dng":
            check_kind("dng", settings.way, model.card)
            linear = _linear(captured, model, made, settings, facts, tell, ended)
            del captured, made  # of finished colours as large as the light
            _write_dng(job, settings, linear, state, facts)
            return "done"
        bits = _bits(settings)
        if settings.wb == "auto":
            # Judged from the whole picture of light; else there is none, each piece is developed at once.
            linear = _linear(captured, model, made, settings, facts, tell, ended)
            del captured, made
            picture = develop(linear, look=settings.look, space=settings.space, bits=bits)
        else:
            picture = finished(
                captured,
                model,
                look=settings.look,
                wb=settings.wb,
                space=settings.space,
                bits=bits,
                **_as_told(settings, made, tell),
            )
            ended()
        _write_picture(job, settings, picture, facts)
    return "done"


def _as_told(settings: Settings, made: Plan, tell: Callable[[float], None]) -> dict[str, Any]:
    """What `enhance` and `finished` both take."""
    return {
        "plan_made": made,
        "strength": settings.strength,
        "passes": settings.passes,
        "again": settings.again,
        "tile": settings.tile,
        "progress": tell,
    }


def _nothing() -> None:
    pass


def _read(source: Path, settings: Settings) -> Captured:
    """The one place where a file of a batch is decoded."""
    return read_sandboxed(source) if settings.sandbox else read(source)


def _linear(
    captured: Captured,
    model: Model,
    made: Plan,
    settings: Settings,
    facts: dict[str, Any],
    tell: Callable[[float], None],
    ended: Callable[[], None],
) -> Linear:
    """The enhanced light, balanced as the settings say; the facts learn how. `ended` is called after the network."""
    light = enhance(captured, model, **_as_told(settings, made, tell))
    ended()
    linear = balanced(light, settings.wb)
    facts |= balance_facts(linear)
    return linear


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
    job: Job, settings: Settings, linear: Linear, state: State | None, facts: dict[str, Any]
) -> None:
    origin = (read_origin_sandboxed if settings.sandbox else read_origin)(
        job.source, *linear.data.shape[:2]
    )
    _check_unchanged(job, state)
    _make_folder(job)
    scaling = write_linear(
        job.target,
        linear,
        develop(linear, look=settings.look or "natural"),
        compression=settings.dng_compression,
        strength=settings.strength,
        white=settings.dng_white,
        origin=origin,
        overwrite=settings.overwrite,
        replaces=job.replaces,
    )
    facts["baseline_ev"] = round(scaling.baseline_ev, 3)
    if words := "; ".join(
        filter(None, [facts.get("warning"), *editor_words(linear, scaling, settings.dng_white)])
    ):
        facts["warning"] = words


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
