"""A run over many files that may be interrupted at any moment and go on later: workers and a journal together."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from scotopic.batch import Job, Outcome
from scotopic.disk.files import State, identity_of, state_of
from scotopic.errors import WriteError
from scotopic.jobs.journal import Journal
from scotopic.jobs.past import Entry, is_made, line_of, taken
from scotopic.jobs.refused import Refused
from scotopic.jobs.resume import Item, course_of
from scotopic.jobs.worker import ModelChoice, host, is_alive, remove_parts
from scotopic.jobs.workers import Workers
from scotopic.settings import Settings


class Session:
    """One run with its journal (None: without one, for a dry run).

    `home` is the folder of all results, where there is one: it has to stay there. `learn` is told the journal's line
    of each result, which then notes how that is (`result`), so that it is known when somebody has changed it.
    """

    def __init__(
        self,
        journal: Journal | None,
        settings: Settings,
        home: Path | None = None,
        *,
        learn: Callable[[Entry], None] | None = None,
    ) -> None:
        self._learn = learn
        self._journal, self._settings, self._home = journal, settings, home
        self._home_is = identity_of(home) if home is not None else None
        self._states: dict[Path, State | None] = {}
        self._refused = Refused()
        self.done = 0
        """Results that are there, of this run or of the interrupted one."""
        if journal is not None:
            _tidy(journal.left)

    def run(
        self,
        jobs: Iterable[Job | None],
        choice: ModelChoice | None,
        workers: int,
        progress: Callable[[Job, float], None] = lambda _job, _share: None,
    ) -> Generator[Outcome]:
        """Treat the files, those apart that the interrupted run has done: they are skipped.

        Raises WriteError where the journal can no longer be written or the results' folder has vanished, and
        what `Workers` raises.
        """
        passed: list[Outcome] = []
        """Files of which something is there already, and that have not been told yet."""

        def left() -> Iterator[Job | None]:
            for job in jobs:
                if job is None or job.replaces is not None:
                    yield job and replace(job, home=self._home, home_is=self._home_is)
                    continue
                state = state_of(job.target)
                size = state[0] if state is not None else None
                course = course_of(Item.of(job), self._journal, self._settings, size)
                if course.status:
                    passed.append(
                        Outcome(job, course.status, 0.0, course.facts, course.error, course.fault)
                    )
                else:
                    replaces = state if course.anew else None
                    yield replace(job, home=self._home, home_is=self._home_is, replaces=replaces)

        waiting = left()
        first = list(islice(waiting, 1))
        yield from self._handed_over(passed)
        if not first:
            # No process is started for nothing.
            return
        with (
            Workers(workers, self._settings, choice, progress=progress, begin=self._begin) as crew,
            closing(crew.run(chain(first, waiting))) as outcomes,
        ):
            for outcome in outcomes:
                yield from self._handed_over(passed)
                yield self._noted(outcome)
                self._refused.check(self._home or outcome.job.target.parent, of_all=self._home is not None)
        yield from self._handed_over(passed)

    def _handed_over(self, passed: list[Outcome]) -> Iterator[Outcome]:
        while passed:
            outcome = passed.pop(0)
            self.done += outcome.status == "skipped"
            yield outcome

    def finish(self) -> None:
        """The run came to its end."""
        if self._journal is not None:
            self._journal.end(self.done)

    def _begin(self, job: Job, process: int) -> None:
        if self._home is not None and identity_of(self._home) != self._home_is:
            raise WriteError(
                f"{self._home}: has vanished while scotopic was at work (a disk pulled out?); bring it back, then "
                "go on with --resume"
            )
        self._states[job.source] = state_of(job.source)
        facts = {"process": process, "host": host(), "was_there": is_made(job.target)}
        self._note(self._line("started", job, **facts))

    def _noted(self, outcome: Outcome) -> Outcome:
        self.done += outcome.status in ("done", "skipped")
        self._refused.note(outcome.status, outcome.fault, outcome.error)
        job, told = outcome.job, outcome.facts
        line = self._line(outcome.status, job, seconds=round(outcome.seconds, 3))
        if outcome.error:
            line["error"] = outcome.error
        if outcome.status == "done":
            when = told["taken"] or "" if "taken" in told else None
            line |= taken(job.source, self._states.get(job.source), when)
        if outcome.status == "done" and self._learn is not None:
            line["result"] = state_of(job.target)
            self._learn(line)
        self._note(line)
        return outcome

    def _line(self, status: str, job: Job, **facts: Any) -> Entry:
        # What the file was when it was begun: if it changes meanwhile, the result is not of what it is now.
        return line_of(status, job.source, job.target, self._states.get(job.source)) | facts

    def _note(self, line: Entry) -> None:
        if self._journal is not None:
            self._journal.note(**line)


def _tidy(left: list[Entry]) -> None:
    """Remove what processes of this host were writing when a run was killed, where they are no more."""
    here = [line for line in left if line.get("host") == host() and isinstance(line.get("process"), int)]
    gone = {line["process"] for line in here if not is_alive(line["process"])}
    remove_parts(gone, {Path(line["output"]).parent for line in here if "output" in line})
