"""Many files by many machines: the work of `workers` as actors of a Ray cluster.

Each actor has its models opened once and at most two files in hand. An actor that dies, with its machine or alone,
is replaced, and what it had in hand is tried again elsewhere unless its result is there.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

from scotopic.batch import OutcomeOf
from scotopic.disk.folders import ANOTHER_RESULTS, making
from scotopic.errors import NotAllowedError
from scotopic.jobs import storage
from scotopic.jobs.actor import Actor, Greeting, Terms, Treated, marked, seen
from scotopic.jobs.joined import MADE_HERE, Head, address_of, joined, reason
from scotopic.jobs.journal import Journal
from scotopic.jobs.nodes import CORES_EACH, MEMORY_EACH, WAIT_S, Node, Nodes
from scotopic.jobs.refused import Refused
from scotopic.jobs.resume import course_of
from scotopic.jobs.storage import RemoteJob
from scotopic.jobs.worker import ModelChoice, remove_parts
from scotopic.jobs.workers import AT_ONCE
from scotopic.settings import Settings

TRIES = 3
"""How often a file may be in hand when an actor dies. From the second time on it is alone there. Machines that go
while others are tried again are no fault of the file, hence one more than on a single machine."""

LOOK_S = 1.0
"""Seconds between two looks whether an actor has found its place, and what machines there are."""


class RemoteOutcome(OutcomeOf[RemoteJob]):
    """What became of one file of a cluster's run."""


@dataclass
class _Try:
    """A file on its way."""

    job: RemoteJob
    deaths: int = 0
    shunned: set[str] = field(default_factory=set)
    """Nodes that had no way to the file, or were left out with it in hand."""
    answer: Treated = field(default_factory=lambda: Treated("failed", 0.0))
    """The last that came of it."""


@dataclass
class _Hand:
    """One actor as the driver sees it."""

    actor: Any
    greeting: Any
    """The answer to come that says it has found its place."""
    node: str
    """Where it is, or is to be; empty for anywhere."""
    process: int | None = None
    in_hand: dict[Any, _Try] = field(default_factory=dict)
    alone: bool = False
    since: float = field(default_factory=time.monotonic)

    @property
    def waits(self) -> float:
        """Seconds since it was asked for."""
        return time.monotonic() - self.since


class Cluster:
    """Actors of a Ray cluster that treat files; a context manager that leaves none behind.

    `address` is a running cluster's (None: RAY_ADDRESS, or one made of this machine); `count` actors, or as many as
    the cluster has cores for. `begin` is told of each file before an actor gets it, `tell` what else is to be known,
    in lines. Raises SettingsError where Ray is not installed or the cluster not reached.
    """

    def __init__(
        self,
        settings: Settings,
        choice: ModelChoice | None,
        *,
        address: str | None = None,
        count: int | None = None,
        terms: Terms | None = None,
        begin: Callable[[RemoteJob, int], None] = lambda _job, _process: None,
        tell: Callable[[str], None] = lambda _line: None,
    ) -> None:
        place = address_of(address)
        self._ray = joined(place)
        self._settings, self._choice, self._count, self._begin = settings, choice, count, begin
        self._terms = terms or Terms.of(choice)
        self._kind: Any = self._ray.remote(Actor)
        self._nodes = Nodes(tell, grows=place != MADE_HERE)
        self._head = Head(place if "://" in place else self._ray.get_runtime_context().gcs_address)
        self._looked = -LOOK_S
        self._hands: list[_Hand] = []
        self._suspects: deque[_Try] = deque()
        self._again: deque[_Try] = deque()
        """Files that one machine could not get at, for another."""

    def run(self, jobs: Iterable[RemoteJob]) -> Generator[RemoteOutcome]:
        """Treat the files; outcomes come as files end. Raises ScotopicError where no actor can work."""
        source = iter(jobs)
        more = True
        while True:
            self._look()
            self._meet()
            self._try_suspects()
            yield from self._try_again()
            # Suspects that wait for an empty actor get one: until then no actor takes more.
            while more and not self._suspects and (hand := self._with_room()) is not None:
                try:
                    self._give(hand, _Try(next(source)))
                except StopIteration:
                    more = False
            busy = [ref for hand in self._hands for ref in hand.in_hand]
            if not busy and not more and not self._suspects and not self._again:
                return
            waiting = [hand.greeting for hand in self._hands if hand.process is None]
            if busy or waiting:
                ended, _ = self._ray.wait([*busy, *waiting], timeout=LOOK_S)
            else:
                time.sleep(LOOK_S / 10)
                ended = []
            for ref in ended:
                for hand in [h for h in self._hands if ref in h.in_hand]:
                    yield from self._ended(hand, ref)

    def _look(self) -> None:
        """What machines there are, from time to time; actors go from those that are left out."""
        if time.monotonic() - self._looked >= LOOK_S:
            if self._head.answers():
                self._nodes.look(self._ray.nodes())
            self._looked = time.monotonic()
        for hand in [h for h in self._hands if self._nodes.named(h.node).left_out]:
            self._hands.remove(hand)
            self._dismiss(hand)
            for one in hand.in_hand.values():
                one.shunned.add(hand.node)
                self._again.append(one)
        self._nodes.check(
            sum(hand.process is not None for hand in self._hands), self._ray.available_resources
        )

    def _meet(self) -> None:
        """As many actors as there is room for; those are met that have found a place."""
        taken = Counter(hand.node for hand in self._hands)
        while len(self._hands) < self._nodes.wanted(self._count):
            if (node := self._nodes.place(taken)) is None:
                break
            taken[node.id] += 1
            self._hands.append(self._start(node))
        for hand in [h for h in self._hands if h.process is None]:
            node = self._nodes.named(hand.node)
            if self._ray.wait([hand.greeting], timeout=0)[0]:
                self._greeted(hand, node)
            elif self._count and hand.waits > WAIT_S * 2.0 ** min(node.waited, 5):
                # Others' work may be there, and room elsewhere; or the machine is slow to begin.
                node.waited += 1
                self._hands.remove(hand)
                self._dismiss(hand)

    def _start(self, node: Node) -> _Hand:
        strategy: Any = "SPREAD"
        if node.id:
            strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
                node.id, soft=False
            )
        actor = self._kind.options(
            num_cpus=CORES_EACH,
            memory=MEMORY_EACH,
            max_concurrency=AT_ONCE,
            max_restarts=0,
            scheduling_strategy=strategy,
        ).remote(self._settings, self._choice, CORES_EACH, self._terms)
        return _Hand(actor, actor.ready.remote(), node.id)

    def _greeted(self, hand: _Hand, node: Node) -> None:
        """An actor's first words, or its end before it had any."""
        try:
            greeting: Greeting = self._ray.get(hand.greeting)
        except self._ray.exceptions.RayError as error:
            self._hands.remove(hand)
            # Of a machine that went nobody asks why: see which are left before it is judged.
            self._nodes.look(self._ray.nodes())
            works = any(other.process is not None and other.node == hand.node for other in self._hands)
            self._nodes.ended_early(node, reason(str(error)), others_work=works)
            return
        hand.node = greeting.node or hand.node
        self._nodes.look(self._ray.nodes())
        node = self._nodes.named(hand.node)
        if greeting.trouble:
            self._nodes.leave_out(node, greeting.trouble)
            return
        hand.process = greeting.process
        self._nodes.ready(node)

    def _try_suspects(self) -> None:
        """Give files that may be to blame for a death to actors with nothing else in hand."""
        for hand in self._hands:
            if self._suspects and hand.process is not None and not hand.in_hand:
                hand.alone = True
                self._give(hand, self._suspects.popleft())

    def _try_again(self) -> Generator[RemoteOutcome]:
        """Give files to machines other than those that could not get at them; where there is none, they failed."""
        for one in [self._again.popleft() for _ in range(len(self._again))]:
            if (hand := self._with_room(one.shunned)) is not None:
                self._give(hand, one)
            elif not one.answer.denied or self._has_other(one.shunned):
                self._again.append(one)
            else:
                yield self._outcome(one)

    def _has_other(self, shunned: set[str]) -> bool:
        """Whether there is another machine, be it one that is about to begin."""
        return any(
            hand.node not in shunned and (hand.process is not None or hand.waits < WAIT_S)
            for hand in self._hands
        )

    def _with_room(self, shunned: Iterable[str] = ()) -> _Hand | None:
        """The emptiest of the actors that can take another file."""
        free = [
            h
            for h in self._hands
            if h.process is not None
            and not h.alone
            and len(h.in_hand) < AT_ONCE
            and h.node not in shunned
            and not self._nodes.named(h.node).left_out
            and not self._nodes.rests(self._nodes.named(h.node))
        ]
        return min(free, key=lambda h: len(h.in_hand), default=None)

    def _give(self, hand: _Hand, one: _Try) -> None:
        self._begin(one.job, hand.process or 0)
        hand.in_hand[hand.actor.treat.remote(one.job)] = one

    def _ended(self, hand: _Hand, ref: Any) -> Generator[RemoteOutcome]:
        """What an answer means; where it is the actor's death, for all that it had in hand."""
        one, node = hand.in_hand[ref], self._nodes.named(hand.node)
        try:
            answer: Treated = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            yield from self._bury(hand, str(error).strip().splitlines()[0])
            return
        del hand.in_hand[ref]
        hand.alone = False
        answer = self._checked(one, replace(answer, facts=answer.facts | {"node": node.host}), node)
        was_denied, one.answer = bool(one.answer.denied), answer
        if not answer.denied:
            self._nodes.well(node)
        elif storage.reached(one.job, answer.denied):
            self._nodes.denied(node, answer.error)
            one.shunned.add(hand.node)
            if not was_denied:
                self._again.append(one)
                return
        yield self._outcome(one)

    def _checked(self, one: _Try, answer: Treated, node: Node) -> Treated:
        """An answer that holds here, too: a result in a folder is looked for in ours."""
        job, target = one.job, storage.local_path(one.job.target)
        if (
            answer.status == "failed"
            and (one.deaths or one.shunned)
            and not self._settings.overwrite
            and storage.seems_made(job.target)
        ):
            # An actor that was thought dead, or was ended, had got there first.
            return replace(answer, status="done", error="", fault="", denied="")
        if answer.status == "done" and target is not None and not seen(target, answer.size):
            words = (
                f"{job.name}: {node.host} has written {target}, and here it is not, or of another size: the folder "
                "there is not the one here"
            )
            fault = NotAllowedError.__name__
            return replace(answer, status="failed", error=words, fault=fault, denied="write")
        return answer

    @staticmethod
    def _outcome(one: _Try) -> RemoteOutcome:
        answer = one.answer
        return RemoteOutcome(
            one.job, answer.status, answer.seconds, answer.facts, answer.error, answer.fault
        )

    def _bury(self, hand: _Hand, words: str) -> Generator[RemoteOutcome]:
        self._hands.remove(hand)
        self._dismiss(hand)
        facts = {"node": self._nodes.named(hand.node).host}
        for one in hand.in_hand.values():
            one.deaths += 1
            if not self._settings.overwrite and storage.is_made(one.job.target):
                yield RemoteOutcome(one.job, "done", 0.0, facts)
            elif one.deaths < TRIES:
                self._suspects.append(one)
            else:
                told = f"{one.job.name}: its process ended {TRIES} times, the last time with this file alone ({words})"
                yield RemoteOutcome(one.job, "failed", 0.0, facts, told)

    def _dismiss(self, hand: _Hand) -> None:
        """End an actor, and remove what it was writing where that can be seen from here."""
        with contextlib.suppress(Exception):
            self._ray.kill(hand.actor)
        targets = (storage.local_path(one.job.target) for one in hand.in_hand.values())
        # Processes of several machines may have one number.
        if hand.process is not None and all(
            h.process != hand.process for h in self._hands if h is not hand
        ):
            remove_parts({hand.process}, {target.parent for target in targets if target is not None})

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
    tell: Callable[[str], None] = lambda _line: None,
) -> Generator[RemoteOutcome]:
    """A run on a cluster with its journal, which is on this machine. What is there already is told first.

    `tell` learns, in lines, what else is to be known. Raises what `Cluster` raises, and WriteError where the journal
    or the results' place cannot be used.
    """
    there = storage.existing(output)
    left: list[RemoteJob] = []
    for job in jobs:
        course = course_of(storage.item_of(job), journal, settings, there.get(job.target))
        if course.status:
            yield RemoteOutcome(job, course.status, 0.0, course.facts, course.error, course.fault)
        else:
            left.append(replace(job, anew=course.anew))

    states: dict[str, dict[str, Any]] = {}
    """What the sources were when they were begun."""

    def begin(job: RemoteJob, process: int) -> None:
        item = storage.item_of(job)
        states[job.source] = item.state()
        facts = {"process": process, "was_there": there.get(job.target, 0) != 0, **states[job.source]}
        journal.note("started", item.file, item.output, **facts)

    if not left:
        return
    choice = choice.everywhere() if choice is not None else None
    terms, home, refused = Terms.of(choice), storage.results_folder(output), Refused()
    with ExitStack() as held:
        if home is not None:
            held.enter_context(making(home, ANOTHER_RESULTS))
            terms = replace(terms, home=home, mark=held.enter_context(marked(home)))
        cluster = held.enter_context(
            Cluster(settings, choice, address=address, count=count, terms=terms, begin=begin, tell=tell)
        )
        for outcome in held.enter_context(closing(cluster.run(left))):
            facts = states.get(outcome.job.source, {}) | {"seconds": round(outcome.seconds, 3)}
            if "node" in outcome.facts:
                facts["node"] = outcome.facts["node"]
            if outcome.error:
                facts["error"] = outcome.error
            item = storage.item_of(outcome.job)
            if outcome.facts.get("taken") and item.state() == states.get(outcome.job.source):
                facts["taken"] = outcome.facts["taken"]
            journal.note(outcome.status, item.file, item.output, **facts)
            refused.note(outcome.status, outcome.fault, outcome.error)
            yield outcome
            refused.check(home or output)
