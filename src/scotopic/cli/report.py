"""What the command line tells: results and progress on the terminal, errors in one line each, or a line a file."""

from __future__ import annotations

import importlib
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scotopic.errors import ScotopicError, SettingsError, how_to_get

if TYPE_CHECKING:
    from rich.console import Console


def one_line(words: str) -> str:
    """Without line breaks and other control characters, which file names may hold and terminals obey."""
    return "".join(
        c if c == " " or c.isprintable() or "\ud800" <= c <= "\udfff" else ascii(c)[1:-1] for c in words
    )


class Voice:
    """A rich console that is made when first spoken to: `rich` takes a tenth of the time to start, and most runs
    into a file or a pipe never need it."""

    def __init__(self, *, stderr: bool = False) -> None:
        self._stderr = stderr

    @cached_property
    def console(self) -> Console:
        """The console itself."""
        from rich.console import Console

        return Console(stderr=self._stderr, soft_wrap=True, highlight=False, markup=False)

    def print(self, *words: object, style: str | None = None) -> None:
        """Say a line."""
        self.console.print(*(one_line(str(word)) for word in words), style=style)

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks on; what environment variables force, rich knows."""
        stream = sys.stderr if self._stderr else sys.stdout
        forced = {"FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"} & os.environ.keys()
        return (bool(forced) or stream.isatty()) and self.console.is_terminal


errors = Voice(stderr=True)
results = Voice()


@dataclass
class Farewell:
    """What is said when a signal ends the command; one that leaves something else behind says so."""

    words: str = "stopped; what is finished is kept, nothing half-written is left"


farewell = Farewell()


class DeviceName(StrEnum):
    """Where a network runs, as named on the command line."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    openvino = "openvino"


class TrainingDevice(StrEnum):
    """Where one is trained."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


Device = Annotated[
    DeviceName,
    typer.Option(
        help="Where the network runs. openvino (extra): this processor, faster where it has bfloat16."
    ),
]


Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace results that exist.")]


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn our own errors into their lines and an exit status: 2 for settings, 1 for the rest."""
    try:
        yield
    except ScotopicError as error:
        head, *rest = error.lines
        for line in (f"scotopic: {head}", *(f"  {line}" for line in rest)):
            errors.print(line)
        raise typer.Exit(2 if isinstance(error, SettingsError) else 1) from error


def line_of(outcome: Any) -> str:
    """One line about what became of a file."""
    facts = outcome.facts
    if outcome.status == "skipped":
        why = "done already" if facts.get("resumed") else "exists"
        return f"{outcome.job.source}: skipped, {outcome.job.target} {why}"
    words = "would become" if outcome.status == "planned" else "->"
    how = (
        f"x{facts['ratio']:g}, {math.log2(facts['ratio']):+.1f} stops, {facts['ratio_source']}; "
        if "ratio" in facts
        else ""
    )
    return f"{outcome.job.source} {words} {outcome.job.target}  ({how}{outcome.seconds:.1f} s)"


def _say(line: str, is_error: bool) -> None:
    if is_error:
        errors.print(line)
    else:
        typer.echo(one_line(line))


@dataclass(frozen=True)
class Screen:
    """What a run tells with."""

    tell: Callable[[Any, float], None] = lambda _job, _share: None
    """How far a file is, 0..1."""
    say: Callable[[str, bool], None] = _say
    """A line, and whether it is about an error."""
    count: Callable[[Any], None] = lambda _job: None
    """A file has ended."""


@contextmanager
def progress_of(total: int | None, quiet: bool) -> Iterator[Screen]:
    """A bar on a terminal, plain lines elsewhere; `total` None where nobody knows how many files will come."""
    if quiet or not errors.is_terminal:
        yield Screen()
        return

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    ]
    with Progress(*columns, console=errors.console, transient=True) as bar:
        task = bar.add_task("", total=total)
        finished = [0]
        shares: dict[Any, float] = {}

        def tell(job: Any, share: float) -> None:
            shares[job] = share
            bar.update(task, description=job.name, completed=finished[0] + sum(shares.values()))

        def say_above(line: str, is_error: bool) -> None:
            (bar.console if is_error or results.is_terminal else results).print(
                one_line(line), style="red" if is_error else None
            )

        def count(job: Any) -> None:
            finished[0] += 1
            shares.pop(job, None)
            bar.update(task, completed=finished[0] + sum(shares.values()))

        yield Screen(tell, say_above, count)


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or a friendly kill came, for work that first brings itself to safety.

    Before that is asked for the first time they stop at once, as nothing is under way yet, and so does the second
    one. Under torchrun that waits too: it kills what is not through in half a minute.
    """
    asked: list[int] = []
    before: dict[int, Any] = {}
    alone = os.environ.get("WORLD_SIZE", "1") == "1"

    def note(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        if alone:
            signal.signal(number, before[number])
            errors.print("stopping after this step; once more to stop at once")

    def ask() -> bool:
        for number in (signal.SIGINT, signal.SIGTERM):
            if number not in before:
                before[number] = signal.getsignal(number)
                signal.signal(number, note)
        return bool(asked)

    try:
        yield ask
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        raise typer.Exit(130)


@contextmanager
def training_progress() -> Iterator[tuple[Callable[[Any], None], Callable[[str], None]]]:
    """How to tell of a running training: a bar with loss, rate and time left, or a line now and then.

    All on standard error. Yields how to tell progress and how to say a line.
    """

    def words(progress: Any) -> str:
        checked = (
            f"  held-out {progress.validation_db:.2f} dB" if progress.validation_db is not None else ""
        )
        left = timedelta(seconds=round(progress.seconds_left))
        return (
            f"step {progress.step}  loss {progress.loss:.4f}  rate {progress.rate:.2g}  "
            f"{progress.samples_per_s:.3g} crops/s  {left} left{checked}"
        )

    if not errors.is_terminal:
        yield (lambda p: errors.print(f"{p.share_done:6.1%}  {words(p)}")), errors.print
        return

    from rich.progress import BarColumn, Progress, TextColumn

    columns = [
        BarColumn(),
        TextColumn("{task.percentage:5.1f}%"),
        TextColumn("{task.description}", markup=False),
    ]
    with Progress(*columns, console=errors.console) as bar:
        task = bar.add_task("starting", total=1)

        def tell(progress: Any) -> None:
            bar.update(task, completed=progress.share_done, description=words(progress))
            if progress.validation_db is not None:
                bar.console.print(words(progress))

        yield tell, bar.console.print


LINES_NAMED = 6
"""Columns or rows that are off and are named; more are counted."""


def print_facts(facts: dict[str, Any]) -> None:
    """Tell what a file holds, for people."""
    from scotopic.metadata import camera_in_words

    typer.echo(one_line(facts["file"]))
    if "width" in facts:
        shutter = facts["exposure_s"]
        time = "?" if not shutter else f"1/{1 / shutter:.0f} s" if shutter < 0.4 else f"{shutter:g} s"
        typer.echo(f"  camera    {camera_in_words(facts['make'] or '', facts['camera'] or '', '?')}")
        typer.echo(f"  taken at  {_iso(facts['iso'])}, {time}")
        typer.echo(f"  mosaic    {facts['width']} x {facts['height']}, {facts['cfa']}")
        if "black_dn" in facts:
            typer.echo(f"  levels    black {_levels(facts['black_dn'])}, white {facts['white_dn']:g} DN")
        typer.echo(f"  balance   {facts['wb']} ({facts['wb_source']})")
        if facts["enhanced"]:
            typer.echo("  enhanced  by scotopic already; a second time only with --again")
    if "ratio" in facts:
        noise = facts["noise"]
        typer.echo(f"  amplify   x{facts['ratio']:g} ({facts['ev']:+.2f} stops), {facts['ratio_source']}")
        typer.echo(
            f"  noise     variance = {noise['shot'][1]:.3g} x + {noise['read'][1]:.3g}, {noise['source']}"
        )
        if facts["profile"]:
            typer.echo(
                f"  profile   yours of this {facts['profile']}: {_taken_out(facts['profile_takes'])}"
            )
        if lens := facts["lateral_colour"]:
            from scotopic.sensor.lateral import farthest

            red, blue = (farthest(lens[colour]) for colour in ("red", "blue"))
            typer.echo(
                f"  lens      draws red up to {red:.1f} and blue up to {blue:.1f} pixels beside green"
            )
        if facts["hot_pixels"]:
            typer.echo(f"  hot       {facts['hot_pixels']:,} pixels, replaced by what is around them")
        for kind in ("columns", "rows"):
            if places := facts[f"{kind}_off"]:
                named = ", ".join(map(str, places[:LINES_NAMED]))
                more = f" and {len(places) - LINES_NAMED} more" if len(places) > LINES_NAMED else ""
                typer.echo(f"  {kind:<9} {named}{more} are off, replaced by what is beside them")
    if facts.get("warning"):
        typer.echo(one_line(f"  note      {facts['warning']}"))
    if facts["error"]:
        errors.print(f"  FAILED: {facts['error']}")


def _taken_out(parts: list[str]) -> str:
    if not parts:
        return "it tells the noise, there is nothing to take out"
    verb = "is" if len(parts) == 1 and not parts[0].endswith("s") else "are"
    return f"{' and '.join(filter(None, (', '.join(parts[:-1]), parts[-1])))} {verb} taken out"


def _iso(iso: float | None) -> str:
    return f"ISO {iso:.0f}" if iso else "ISO ?"


def _levels(values: list[float]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else "/".join(f"{v:g}" for v in values)


def need(modules: tuple[str, ...], extra: str) -> None:
    """Raise SettingsError unless the extra's modules are installed."""
    try:
        for name in modules:
            importlib.import_module(name)
    except ImportError as error:
        raise SettingsError(f"this needs {error.name}: {how_to_get(extra)}") from error
