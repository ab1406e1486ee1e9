"""Files to their results, one or many: how enhance and develop go through them and tell of each."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import typer

from scotopic.cli.options import Engine, check_here
from scotopic.cli.report import Screen, errors, line_of, need, progress_of
from scotopic.disk.files import is_folder, is_there
from scotopic.disk.folders import ANOTHER_RESULTS, making
from scotopic.errors import OtherSettingsRefusal, SettingsError

if TYPE_CHECKING:
    from scotopic import batch
    from scotopic.formats.table import Kind
    from scotopic.jobs.cluster import RemoteOutcome
    from scotopic.jobs.journal import Journal
    from scotopic.jobs.layout import Names
    from scotopic.jobs.past import Entry
    from scotopic.jobs.session import Session
    from scotopic.jobs.worker import ModelChoice
    from scotopic.models import Card
    from scotopic.settings import Settings


FAILED_NAMED = 10
"""Files that failed and are named once more at the end."""


@dataclass
class _Tally:
    """What became of the files of a run."""

    counts: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    otherwise: int = 0
    """Results that are kept, as other settings have made them: said of one, and of all the others once."""

    def note(self, status: str, source: str, fault: str) -> None:
        self.counts[status] += 1
        self.otherwise += fault == OtherSettingsRefusal.__name__
        if status == "failed" and fault != OtherSettingsRefusal.__name__:
            self.failed.append(source)

    def close(self, files: int) -> None:
        """Say how it ended where there were several, and leave with 1 if any failed."""
        if files > 1:
            words = ", ".join(f"{self.counts[status]} {status}" for status in sorted(self.counts))
            errors.print(f"{files} files: {words}")
        if files > 1 and len(self.failed) <= FAILED_NAMED:
            for source in self.failed:
                errors.print(f"  failed: {source}")
        if self.counts["failed"]:
            raise typer.Exit(1)


@dataclass(frozen=True)
class RunOptions:
    """How a run goes through its files."""

    workers: int | None = None
    resume: bool = False
    journal: Path | None = None
    watch: bool = False
    engine: Engine = "local"
    address: str | None = None
    as_json: bool = False


def run_files(
    paths: list[Path],
    output: Path | None,
    kind: Kind | None,
    choice: ModelChoice | None,
    options: RunOptions,
    settings: Settings,
) -> None:
    """Lay out the jobs, run them, report each, and leave with 1 if any failed.

    The settings' format is filled in: `kind`, or where that is None what `output` says.
    """
    from scotopic import batch
    from scotopic.exposure import check
    from scotopic.jobs.layout import Names, find_files, is_one_picture, lay_out
    from scotopic.jobs.past import Past
    from scotopic.settings import check_kind, check_output

    if settings.overwrite and settings.skip_existing:
        raise SettingsError("--overwrite and --skip-existing contradict each other: give one")
    check(settings.ratio, settings.ev)
    models = choice.models() if choice is not None else None
    card = models.card() if models is not None else None
    # Results of an earlier run beside the RAW files are no pictures to enhance; nor would they be replaced.
    enhanced = settings.way != "scotopic" or settings.again
    jobs: list[batch.Job] = []
    _check_places([*paths, output], options)
    if options.engine == "ray":
        _on_cluster(list(map(str, paths)), str(output), kind, settings, choice, options, enhanced)
        return
    if models is not None:
        models.check_device()
    home = output if output is not None and not is_one_picture(output) else None
    journal = options.journal or journal_place(paths, home)
    past = Past.read(journal)
    if options.watch:
        _check_watch(output, settings)
        chosen = kind or "jpg"
    else:
        jobs, chosen = lay_out(find_files(paths, enhanced=enhanced), output, kind, settings.way, past)
    check_kind(chosen, settings.way, card)
    settings = replace(settings, kind=chosen)
    check_output(settings)
    if len(jobs) == 1 and not is_folder(paths[0]) and options == RunOptions(as_json=options.as_json):
        with progress_of(1, options.as_json) as screen:
            alone = (batch.treated(job, settings, models, partial(screen.tell, job)) for job in jobs)
            tally = _report(alone, options, screen)
    elif options.watch:
        names = Names(output, chosen, settings.way, past)
        _watch(paths, output, journal, names, settings, choice, options, enhanced)
        return
    else:
        workers = min(options.workers or 1, len(jobs))
        with (
            _session(journal, home, settings, card, options) as session,
            progress_of(len(jobs), options.as_json) as screen,
        ):
            tally = _report(session.run(jobs, choice, workers, screen.tell), options, screen)
            session.finish()
    tally.close(len(jobs))


def _check_places(places: list[Any], options: RunOptions) -> None:
    """Raise SettingsError for addresses that the engine cannot reach, and for options of the other engine."""
    if options.engine == "ray":
        if places[-1] is None:
            raise SettingsError(
                "--engine ray needs a folder for the results that all machines reach: give -o"
            )
        if options.watch:
            raise SettingsError("--watch is for folders of this machine: leave --engine ray out")
        return
    if options.address is not None:
        raise SettingsError("--address is a Ray cluster's: give --engine ray with it")
    check_here(*places, otherwise="copy the files here first, or use --engine ray")


def _on_cluster(
    sources: list[str],
    output: str,
    kind: Kind | None,
    settings: Settings,
    choice: ModelChoice | None,
    options: RunOptions,
    enhanced: bool,
) -> None:
    """The same on a Ray cluster."""
    from scotopic.jobs import storage
    from scotopic.jobs.cluster import treat_remote
    from scotopic.jobs.past import Past
    from scotopic.settings import check_kind, check_output

    if settings.dry_run:
        raise SettingsError("--dry-run is for this machine's files: leave --engine ray out")
    need(("ray", "fsspec"), "ray")
    card = choice.models().card() if choice is not None else None
    output = storage.address(output)
    storage.check_places([*sources, output])
    place, folder = (options.journal, None) if options.journal else _cluster_journal(output)
    past = Past.read(place)
    jobs, chosen = storage.lay_out(sources, output, kind, settings.way, past, enhanced=enhanced)
    # Of a million files it holds gigabytes.
    del past
    check_kind(chosen, settings.way, card)
    settings = replace(settings, kind=chosen)
    check_output(settings)
    with (
        _journal(place, folder, settings, card, options, "place with --journal") as journal,
        progress_of(len(jobs), options.as_json) as screen,
        _others_silenced(screen) as (screen, stream),
    ):
        tally = _report(
            treat_remote(
                jobs,
                output,
                settings,
                choice,
                journal,
                address=options.address,
                count=options.workers,
                tell=lambda line: screen.say(line, True),
            ),
            options,
            screen,
            stream,
        )
        journal.end(tally.counts["done"] + tally.counts["skipped"])
    tally.close(len(jobs))


@contextmanager
def _others_silenced(screen: Screen) -> Iterator[tuple[Screen, TextIO]]:
    """Ray tells of machines that went on standard output, which is for results: there only ours go."""
    own = sys.stdout

    def say(line: str, is_error: bool) -> None:
        with redirect_stdout(own):
            screen.say(line, is_error)

    with redirect_stdout(sys.stderr):
        yield replace(screen, say=say), own


def _cluster_journal(output: str) -> tuple[Path, Path | None]:
    """The journal's place, and the folder which that needs.

    Beside the results where they are this machine's, else in the working folder, by the results' address.
    """
    from scotopic.jobs import storage
    from scotopic.jobs.journal import NAME

    folder = storage.results_folder(output)
    if folder is None:
        return Path(f"scotopic-{hashlib.sha256(output.encode()).hexdigest()[:8]}.jsonl"), None
    return folder / NAME, folder


def _check_watch(output: Path | None, settings: Settings) -> None:
    from scotopic.formats.table import ENDINGS

    if settings.dry_run or settings.overwrite:
        raise SettingsError("--watch treats each new file once: leave --dry-run and --overwrite out")
    if (
        output is not None
        and not is_folder(output)
        and (is_there(output) or output.suffix.lower() in ENDINGS)
    ):
        raise SettingsError(f"{output}: is one file, but a watched folder needs a folder for its results")


def _watch(
    folders: list[Path],
    output: Path | None,
    journal: Path,
    names: Names,
    settings: Settings,
    choice: ModelChoice | None,
    options: RunOptions,
    enhanced: bool,
) -> None:
    """Treat new files as they come, until Ctrl-C."""
    from scotopic.jobs.journal import NAME, settings_in_words
    from scotopic.jobs.watch import Watch
    from scotopic.write import check_place

    card = choice.models().card() if choice is not None else None
    words = None if settings.skip_existing else settings_in_words(settings, card)
    watch = Watch(folders, names, enhanced=enhanced, settings=words, tell=errors.print)
    with (
        _session(journal, output, settings, card, options, watch.learn) as session,
        progress_of(None, options.as_json) as screen,
    ):
        for folder in [output] if output is not None else folders:
            check_place(folder / NAME)
        watched = ", ".join(map(str, folders))
        errors.print(f"watching {watched}; Ctrl-C ends it")
        outcomes = session.run(watch, choice, options.workers or 1, screen.tell)
        try:
            with closing(outcomes):
                _report((outcome for outcome in outcomes if watch.note(outcome)), options, screen)
        finally:
            # Ctrl-C is its end.
            session.finish()


def journal_place(paths: list[Path], home: Path | None) -> Path:
    """Where a run's journal is unless told: in the folder of the results, else in the first one looked through."""
    from scotopic.jobs.journal import NAME

    folder = home or (paths[0] if is_folder(paths[0]) else paths[0].parent)
    return folder / NAME


@contextmanager
def _session(
    journal_at: Path,
    home: Path | None,
    settings: Settings,
    card: Card | None,
    options: RunOptions,
    learn: Callable[[Entry], None] | None = None,
) -> Iterator[Session]:
    """A session with its journal. A dry run has none."""
    from scotopic.jobs.session import Session

    if settings.dry_run:
        yield Session(None, settings)
        return
    otherwise = "place with --journal" if options.journal else "folder with -o"
    with _journal(journal_at, home, settings, card, options, otherwise) as journal:
        yield Session(journal, settings, home, learn=learn)


@contextmanager
def _journal(
    place: Path,
    home: Path | None,
    settings: Settings,
    card: Card | None,
    options: RunOptions,
    otherwise: str,
) -> Iterator[Journal]:
    """A run's journal, and the folder that it needs; `otherwise` is what another may be given for. An interrupted run
    is told of."""
    from scotopic.jobs.journal import Journal, settings_in_words

    words = settings_in_words(settings, card)
    with (
        making(home, ANOTHER_RESULTS),
        Journal(place, words, resume=options.resume, otherwise=f"give another {otherwise}") as journal,
    ):
        if journal.interrupted and not options.resume and not options.watch:
            errors.print("an earlier run into this folder was interrupted; --resume goes on with it")
        yield journal


def _report(
    outcomes: Generator[batch.Outcome] | Generator[RemoteOutcome],
    options: RunOptions,
    screen: Screen,
    stream: TextIO | None = None,
) -> _Tally:
    """Tell of each file."""
    tally = _Tally()
    with closing(outcomes) as each:
        for outcome in each:
            tally.note(outcome.status, str(outcome.job.source), outcome.fault)
            screen.count(outcome.job)
            if options.as_json:
                typer.echo(json.dumps(outcome.to_json()), file=stream)
            elif outcome.fault == OtherSettingsRefusal.__name__ and tally.otherwise > 1:
                continue
            elif outcome.status == "failed":
                # The error names the file, here said in full.
                why = (outcome.error or "").removeprefix(f"{outcome.job.source}: ")
                why = why.removeprefix(f"{outcome.job.name}: ")
                screen.say(f"{outcome.job.source}: FAILED: {why}", True)
            else:
                screen.say(line_of(outcome), False)
                if outcome.facts.get("warning"):
                    screen.say(f"{outcome.job.source}: note: {outcome.facts['warning']}", True)
    if tally.otherwise > 1 and not options.as_json:
        words = f"{tally.otherwise - 1} more are kept, made with other settings, too: --overwrite makes all anew"
        screen.say(words, True)
    return tally
