"""Many files by many machines: the work of `workers` as actors of a Ray cluster.

Each actor has its models opened once and at most two files in hand. An actor that dies, with its machine or alone,
is replaced, and what it had in hand is tried again elsewhere unless its result is there.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Literal, Self

from scotopic.batch import Job, Settings, failed, treated
from scotopic.errors import ScotopicError, SettingsError, how_to_get
from scotopic.jobs import storage
from scotopic.jobs.journal import Journal
from scotopic.jobs.past import absolute
from scotopic.jobs.resume import Item
from scotopic.jobs.session import changed_words
from scotopic.jobs.storage import RemoteJob
from scotopic.jobs.worker import ModelChoice, remove_parts
from scotopic.jobs.workers import AT_ONCE
from scotopic.version import __version__
from scotopic.write import OR_SKIP, refusal

CORES_EACH = 1
"""Of an actor: as many actors as cores keep all of them busy, also while files are read and written."""

MEMORY_EACH = 1 << 30
"""Bytes that an actor asks the cluster for: 670 MB were seen with one picture of 12 megapixels in hand; a second adds
its mosaic and its result."""

TRIES = 3
"""How often a file may be in hand when an actor dies. From the second time on it is alone there. Machines that go
while others are tried again are no fault of the file, hence one more than on a single machine."""

LOOK_S = 1.0
"""Between two looks whether an actor has found its place."""


@dataclass(frozen=True)
class RemoteOutcome:
    """What became of one file of a cluster's run."""

    job: RemoteJob
    status: Literal["done", "planned", "skipped", "failed"]
    seconds: float
    facts: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """One flat object for `--json`, as that of an `Outcome`."""
        return {
            "file": self.job.source,
            "status": self.status,
            "output": self.job.target if self.status != "failed" else None,
            "error": self.error or None,
            "seconds": round(self.seconds, 3),
            **self.facts,
        }


class Actor:
    """What runs on the cluster: the models, opened once, and files one after the other, overlapping."""

    def __init__(self, settings: Settings, choice: ModelChoice | None, cores: int) -> None:
        os.environ["OMP_NUM_THREADS"] = str(cores)
        self._settings, self._turn = settings, Lock()
        self._models = choice.models() if choice is not None else None

    def ready(self) -> tuple[str, int]:
        """The version and the number of the process."""
        return __version__, os.getpid()

    def treat(self, job: RemoteJob) -> tuple[str, float, dict[str, Any], str]:
        """Treat one file; what `RemoteOutcome` has beside the job.

        Never raises, which would end the actor with its other file.
        """
        start = time.monotonic()
        try:
            with storage.at_hand(job) as (source, target):
                outcome = treated(Job(source, target), self._settings, self._models, turn=self._turn)
                if outcome.status == "done" and storage.local_path(job.target) is None:
                    storage.bring(target, job.target, overwrite=self._settings.overwrite)
        except Exception as error:
            outcome = failed(Job(Path(job.name), Path(job.target)), error, 0.0, {})
        return outcome.status, time.monotonic() - start, outcome.facts, outcome.error


@dataclass
class _Try:
    """A file on its way."""

    job: RemoteJob
    deaths: int = 0


@dataclass
class _Hand:
    """One actor as the driver sees it."""

    actor: Any
    greeting: Any
    """The answer to come that says it has found its place."""
    process: int | None = None
    in_hand: dict[Any, _Try] = field(default_factory=dict)
    alone: bool = False


class Cluster:
    """Actors of a Ray cluster that treat files; a context manager that leaves none behind.

    `address` is a running cluster's (None: this machine's, or RAY_ADDRESS); `count` actors, or as many as the cluster
    has cores for. `begin` is told of each file before an actor gets it. Raises SettingsError where Ray is not
    installed or the cluster not reached.
    """

    def __init__(
        self,
        settings: Settings,
        choice: ModelChoice | None,
        *,
        address: str | None = None,
        count: int | None = None,
        begin: Callable[[RemoteJob, int], None] = lambda _job, _process: None,
    ) -> None:
        # Ray would tell its maker of each run.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError as error:
            raise SettingsError(f"this needs ray: {how_to_get('ray')}") from error
        self._ray: Any = ray
        try:
            self._ray.init(
                address=address, logging_level="ERROR", log_to_driver=False, ignore_reinit_error=True
            )
        except Exception as error:
            raise SettingsError(f"no Ray cluster at {address or 'this machine'} ({error})") from error
        self._settings, self._choice, self._count, self._begin = settings, choice, count, begin
        self._kind: Any = self._ray.remote(Actor).options(
            num_cpus=CORES_EACH,
            memory=MEMORY_EACH,
            max_concurrency=AT_ONCE,
            max_restarts=0,
            scheduling_strategy="SPREAD",
        )
        self._hands: list[_Hand] = []
        self._suspects: deque[_Try] = deque()

    def run(self, jobs: Iterable[RemoteJob]) -> Generator[RemoteOutcome]:
        """Treat the files; outcomes come as files end. Raises ScotopicError where no actor can work."""
        source = iter(jobs)
        more = True
        while True:
            self._meet()
            self._try_suspects()
            # Suspects that wait for an empty actor get one: until then no actor takes more.
            while more and not self._suspects and (hand := self._with_room()) is not None:
                try:
                    self._give(hand, _Try(next(source)))
                except StopIteration:
                    more = False
            busy = [ref for hand in self._hands for ref in hand.in_hand]
            if not busy and not more and not self._suspects:
                return
            waiting = [hand.greeting for hand in self._hands if hand.process is None]
            ended, _ = self._ray.wait([*busy, *waiting], timeout=LOOK_S) if busy or waiting else ([], [])
            for ref in ended:
                for hand in [h for h in self._hands if ref in h.in_hand]:
                    yield from self._ended(hand, ref)

    def _meet(self) -> None:
        """As many actors as there is room for; those are met that have found a place."""
        room = int(self._ray.cluster_resources().get("CPU", 0)) // CORES_EACH
        wanted = self._count or max(1, room)
        while len(self._hands) < wanted:
            actor = self._kind.remote(self._settings, self._choice, CORES_EACH)
            self._hands.append(_Hand(actor, actor.ready.remote()))
        for hand in [h for h in self._hands if h.process is None]:
            if not self._ray.wait([hand.greeting], timeout=0)[0]:
                continue
            try:
                version, hand.process = self._ray.get(hand.greeting)
            except self._ray.exceptions.RayTaskError as error:
                raise ScotopicError(
                    f"the cluster's machines cannot work ({error.cause or error})"
                ) from error
            except self._ray.exceptions.RayError:
                # Its machine went before it was there.
                self._hands.remove(hand)
                continue
            if version != __version__:
                raise ScotopicError(
                    f"the cluster has scotopic {version}, here is {__version__}: install the same on all machines"
                )

    def _try_suspects(self) -> None:
        """Give files that may be to blame for a death to actors with nothing else in hand."""
        for hand in self._hands:
            if self._suspects and hand.process is not None and not hand.in_hand:
                hand.alone = True
                self._give(hand, self._suspects.popleft())

    def _with_room(self) -> _Hand | None:
        """The emptiest of the actors that can take another file."""
        free = [
            h for h in self._hands if h.process is not None and not h.alone and len(h.in_hand) < AT_ONCE
        ]
        return min(free, key=lambda h: len(h.in_hand), default=None)

    def _give(self, hand: _Hand, one: _Try) -> None:
        self._begin(one.job, hand.process or 0)
        hand.in_hand[hand.actor.treat.remote(one.job)] = one

    def _ended(self, hand: _Hand, ref: Any) -> Generator[RemoteOutcome]:
        """What an answer means; where it is the actor's death, for all that it had in hand."""
        one = hand.in_hand[ref]
        try:
            status, seconds, facts, words = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            yield from self._bury(hand, str(error).strip().splitlines()[0])
            return
        del hand.in_hand[ref]
        hand.alone = False
        if (
            status == "failed"
            and one.deaths
            and not self._settings.overwrite
            and storage.exists(one.job.target)
        ):
            # An actor that was thought dead had got there first.
            status, words = "done", ""
        yield RemoteOutcome(one.job, status, seconds, facts, words)

    def _bury(self, hand: _Hand, words: str) -> Generator[RemoteOutcome]:
        self._hands.remove(hand)
        self._dismiss(hand)
        for one in hand.in_hand.values():
            one.deaths += 1
            if not self._settings.overwrite and storage.exists(one.job.target):
                yield RemoteOutcome(one.job, "done", 0.0)
            elif one.deaths < TRIES:
                self._suspects.append(one)
            else:
                told = f"{one.job.name}: its process ended {TRIES} times, the last time with this file alone ({words})"
                yield RemoteOutcome(one.job, "failed", 0.0, {}, told)

    def _dismiss(self, hand: _Hand) -> None:
        """End an actor, and remove what it was writing where that can be seen from here."""
        with contextlib.suppress(Exception):
            self._ray.kill(hand.actor)
        targets = (storage.local_path(one.job.target) for one in hand.in_hand.values())
        # Processes of several machines may have one number.
        if hand.process is not None and all(
            h.process != hand.process for h in self._hands if h is not hand
        ):
            remove_parts(hand.process, {target.parent for target in targets if target is not None})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for hand in self._hands:
            self._dismiss(hand)
        self._ray.shutdown()


def treat_remote(
    jobs: list[RemoteJob],
    output: str,
    settings: Settings,
    choice: ModelChoice | None,
    journal: Journal,
    *,
    address: str | None = None,
    count: int | None = None,
) -> Generator[RemoteOutcome]:
    """A run on a cluster with its journal, which is on this machine. What is there already is told first.

    Raises what `Cluster` raises, and WriteError where the journal or the results' place cannot be used.
    """
    there = storage.existing(output)
    left: list[RemoteJob] = []
    for job in jobs:
        if job.target not in there:
            left.append(job)
        elif there[job.target] and item_of(job).is_done(journal):
            yield RemoteOutcome(job, "skipped", 0.0, {"resumed": True})
        elif settings.overwrite:
            left.append(job)
        elif settings.skip_existing:
            yield RemoteOutcome(job, "skipped", 0.0)
        elif item_of(job).has_changed(journal):
            yield RemoteOutcome(job, "failed", 0.0, {}, changed_words(job.name, job.target))
        else:
            yield RemoteOutcome(job, "failed", 0.0, {}, str(refusal(job.target, OR_SKIP)))

    states: dict[str, dict[str, Any]] = {}
    """What the sources were when they were begun."""

    def begin(job: RemoteJob, process: int) -> None:
        item = item_of(job)
        states[job.source] = item.state()
        facts = {"process": process, "was_there": job.target in there, **states[job.source]}
        journal.note("started", item.file, item.output, **facts)

    if not left:
        return
    with (
        Cluster(settings, choice, address=address, count=count, begin=begin) as cluster,
        closing(cluster.run(left)) as outcomes,
    ):
        for outcome in outcomes:
            facts = states.get(outcome.job.source, {}) | {"seconds": round(outcome.seconds, 3)}
            if outcome.error:
                facts["error"] = outcome.error
            item = item_of(outcome.job)
            if outcome.facts.get("taken") and item.state() == states.get(outcome.job.source):
                facts["taken"] = outcome.facts["taken"]
            journal.note(outcome.status, item.file, item.output, **facts)
            yield outcome


def item_of(job: RemoteJob) -> Item:
    """As journals know a file: on a disk by its path, as runs of one machine do, elsewhere by its address."""
    source, target = storage.local_path(job.source), storage.local_path(job.target)
    return Item(
        absolute(source) if source is not None else job.source,
        absolute(target) if target is not None else job.target,
        source,
        job.state,
    )
