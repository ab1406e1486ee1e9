"""What runs before have done of a photo, by their journal: one rule for this machine and for a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from scotopic.batch import Job
from scotopic.files import state_of
from scotopic.jobs.journal import Journal
from scotopic.jobs.past import Line, Photo, absolute, taken


@dataclass(frozen=True)
class Item:
    """A photo and its result as journals know them: by their paths, or by addresses where they lie elsewhere."""

    file: str
    output: str
    path: Path | None = None
    """The photo's on this machine; None for one elsewhere."""
    mark: str = ""
    """Of a photo elsewhere, what changes when it does."""

    @classmethod
    def of(cls, job: Job) -> Self:
        """A job of this machine."""
        return cls(absolute(job.source), absolute(job.target), job.source)

    def state(self) -> Line:
        """As journals know what the photo is now."""
        return self._photo.state()

    def was_begun(self, journal: Journal) -> bool:
        """Whether the interrupted run had begun the photo, which is as it was then, and had found no result of it."""
        begun = journal.begun.get(self.output)
        return begun is not None and self._photo.is_of(begun) and not begun.get("was_there", True)

    def had_ended(self, journal: Journal) -> bool:
        """Whether a run had made the result of the photo, which is as it was then, or had found it there."""
        ended = journal.ended.get(self.output)
        return ended is not None and ended["status"] != "failed" and self._photo.is_of(ended)

    def is_done(self, journal: Journal) -> bool:
        """Whether a result that is there is one of the photo as it is; the journal learns what it did not know."""
        if self.was_begun(journal):
            # There was no result before it was begun; results appear whole or not at all.
            known = taken(self.path, state_of(self.path)) if self.path is not None else {}
            journal.note("done", self.file, self.output, **self.state(), **known)
            return True
        return self.had_ended(journal)

    def has_changed(self, journal: Journal) -> bool:
        """Whether a result that is there was made of what the photo was before; another photo's is none of it."""
        ended = journal.ended.get(self.output)
        return (
            ended is not None
            and ended["status"] == "done"
            and self._photo.is_at(ended)
            and not self._photo.is_of(ended)
        )

    @property
    def _photo(self) -> Photo:
        return Photo(self.file, self.path, self.mark)
