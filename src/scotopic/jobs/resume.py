"""What runs before have done of a photo, by their journal: one rule for this machine and for a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from scotopic.batch import Job
from scotopic.files import state_of
from scotopic.jobs.journal import Journal
from scotopic.jobs.past import Line, Photo, absolute, taken


@dataclass(frozen=True)
class Item:
    """A photo and its result as journals know it: by its path, or by its address where it lies elsewhere."""

    photo: Photo
    output: str

    @classmethod
    def of(cls, job: Job) -> Self:
        """A job of this machine."""
        return cls(Photo.at(job.source), absolute(job.target))

    @property
    def file(self) -> str:
        """The photo as journals know it."""
        return self.photo.file

    def state(self) -> Line:
        """As journals know what the photo is now."""
        return self.photo.state()

    def was_begun(self, journal: Journal) -> bool:
        """Whether the interrupted run had begun the photo, which is as it was then, and had found no result of it."""
        begun = journal.begun.get(self.output)
        return begun is not None and self.photo.is_of(begun) and not begun.get("was_there", True)

    def had_ended(self, journal: Journal) -> bool:
        """Whether a run had made the result of the photo, which is as it was then, or had found it there."""
        ended = journal.ended.get(self.output)
        return ended is not None and ended["status"] != "failed" and self.photo.is_of(ended)

    def is_done(self, journal: Journal) -> bool:
        """Whether a result that is there is one of the photo as it is; the journal learns what it did not know."""
        if self.was_begun(journal):
            # There was no result before it was begun; results appear whole or not at all.
            path = self.photo.path
            known = taken(path, state_of(path)) if path is not None else {}
            journal.note("done", self.file, self.output, **self.state(), **known)
            return True
        return self.had_ended(journal)

    def has_changed(self, journal: Journal) -> bool:
        """Whether a result that is there was made of what the photo was before; another photo's is none of it."""
        ended = journal.ended.get(self.output)
        return (
            ended is not None
            and ended["status"] == "done"
            and self.photo.is_at(ended)
            and not self.photo.is_of(ended)
        )
