"""What runs before have done of a photo, by their journal: one rule for this machine and for a cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Self

from scotopic.batch import Job
from scotopic.disk.files import state_of
from scotopic.errors import FileExistsRefusal, OtherSettingsRefusal
from scotopic.jobs.journal import Journal
from scotopic.jobs.past import Entry, Photo, absolute, taken
from scotopic.settings import Settings
from scotopic.write import OR_SKIP, refusal


@dataclass(frozen=True)
class Item:
    """A photo and its result as journals know it: by its path, or by its address where it lies elsewhere."""

    photo: Photo
    output: str
    told: str
    """The result as the user is told of it."""

    @classmethod
    def of(cls, job: Job) -> Self:
        """A job of this machine."""
        return cls(Photo.at(job.source), absolute(job.target), str(job.target))

    @property
    def file(self) -> str:
        """The photo as journals know it."""
        return self.photo.file

    def state(self) -> Entry:
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

    def made_otherwise(self, journal: Journal) -> str:
        """How the settings differed with which a result of the photo was made; empty where they did not."""
        if self.output not in journal.otherwise:
            return ""
        made, differing = journal.otherwise[self.output]
        return differing if self.photo.is_of(made) else ""


@dataclass(frozen=True)
class Course:
    """What is to be done about a photo before anybody works on it."""

    status: Literal["", "skipped", "failed"] = ""
    """What becomes of it without work; empty where it is to be treated."""
    facts: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    fault: str = ""
    anew: bool = False
    """Of the result that runs before had made nothing is left but the name, which may be replaced."""


def course_of(item: Item, journal: Journal | None, settings: Settings, size: int | None) -> Course:
    """By the journal (None: there is none) and the bytes of the result (None: it is not there)."""
    if size is None:
        return Course()
    if journal is not None and size == 0 and (item.was_begun(journal) or item.had_ended(journal)):
        return Course(anew=True)
    if journal is not None and size != 0 and item.is_done(journal):
        return Course("skipped", {"resumed": True})
    if settings.overwrite:
        return Course()
    if settings.skip_existing:
        return Course("skipped")
    if journal is not None and (differing := item.made_otherwise(journal)):
        words = (
            f"{item.told}: exists already and is kept, made with other settings ({differing}); use --overwrite to make "
            "it anew, or another folder (-o) to keep both"
        )
        return Course("failed", {}, words, OtherSettingsRefusal.__name__)
    words = str(refusal(item.told, OR_SKIP))
    if journal is not None and item.has_changed(journal):
        words = (
            f"{item.photo.name}: has changed since {item.told} was made of it; --resume --overwrite makes it anew, "
            "--skip-existing leaves it"
        )
    return Course("failed", {}, words, FileExistsRefusal.__name__)
