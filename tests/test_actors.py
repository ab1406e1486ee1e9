"""What a run does with the actors of a cluster, where Ray itself is played."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("fsspec", reason="fsspec is not installed (pip install '.[ray]')")

from scotopic.batch import Settings
from scotopic.cli import app
from scotopic.jobs.cluster import TRIES, Cluster, RemoteOutcome
from scotopic.jobs.journal import NAME
from scotopic.jobs.storage import RemoteJob, address, local_path
from scotopic.version import __version__

Told = tuple[str, float, dict[str, Any], str]


class RayError(Exception):
    """The root of Ray's own errors."""


class RayTaskError(RayError):
    """What a task raised."""

    cause = None


class Died(RayError):
    """The end of an actor."""


class Answer:
    """What is to come of a call: an actor's file, or what is there at once."""

    def __init__(self, actor: PlayedActor, job: RemoteJob | None = None, told: Any = None) -> None:
        self.actor, self.job, self.told = actor, job, told


class PlayedActor:
    """Treats its files in turn, when the driver waits."""

    def __init__(self, number: int) -> None:
        self.in_hand: list[Answer] = []
        self.ready = SimpleNamespace(remote=lambda: Answer(self, told=(__version__, number)))
        self.treat = SimpleNamespace(remote=self._take)

    def _take(self, job: RemoteJob) -> Answer:
        answer = Answer(self, job)
        self.in_hand.append(answer)
        return answer


class PlayedRay:
    """As much of Ray as a driver asks for; `treat` plays what becomes of a file, and may raise Died."""

    def __init__(self, cores: int, treat: Callable[[RemoteJob], Told]) -> None:
        self.exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
        self.actors: list[PlayedActor] = []
        self.deaths: list[set[str]] = []
        """The names of what was in hand when an actor died, in turn."""
        self._cores, self._treat = cores, treat

    def init(self, **_: object) -> None:
        """No cluster is needed."""

    shutdown = init

    def kill(self, _actor: PlayedActor) -> None:
        """It has ended already, or has nothing in hand."""

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": self._cores}

    def remote(self, _kind: type) -> SimpleNamespace:
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self._start))

    def _start(self, *_: object) -> PlayedActor:
        self.actors.append(PlayedActor(len(self.actors) + 1))
        return self.actors[-1]

    def wait(self, answers: list[Answer], timeout: float) -> tuple[list[Answer], list[Answer]]:
        ended = next((one for one in answers if one.told is not None), None)
        if ended is None and timeout > 0:
            ended = answers[0]
            try:
                ended.told = self._treat(ended.job)
                ended.actor.in_hand.remove(ended)
            except Died as death:
                self.deaths.append({one.job.name for one in ended.actor.in_hand})
                for one in ended.actor.in_hand:
                    one.told = death
        return [one for one in answers if one is ended], [one for one in answers if one is not ended]

    def get(self, answer: Answer) -> Any:
        if isinstance(answer.told, Exception):
            raise answer.told
        return answer.told


@pytest.fixture
def played(monkeypatch) -> Callable[..., PlayedRay]:
    """Plays Ray for the rest of a test."""

    def play(treat: Callable[[RemoteJob], Told], cores: int = 1) -> PlayedRay:
        ray = PlayedRay(cores, treat)
        monkeypatch.setitem(sys.modules, "ray", ray)
        return ray

    return play


def jobs_of(folder, *names: str) -> list[RemoteJob]:
    return [RemoteJob(address(f"{folder}/{n}.arw"), address(f"{folder}/out/{n}.jpg")) for n in names]


def outcomes_of(jobs: list[RemoteJob], settings: Settings | None = None) -> dict[str, RemoteOutcome]:
    with Cluster(settings or Settings(), None) as cluster:
        ended = list(cluster.run(jobs))
    assert len(ended) == len(jobs)
    return {outcome.job.name: outcome for outcome in ended}


@pytest.mark.parametrize("cores", [1, 2])
def test_a_file_that_ends_its_actors_has_company_once_and_is_alone_then(tmp_path, played, cores):
    def treat(job: RemoteJob) -> Told:
        if job.name == "bad.arw":
            raise Died("the actor died")
        return "done", 1.0, {}, ""

    ray = played(treat, cores)
    ended = outcomes_of(jobs_of(tmp_path, *"abc", "bad", *"defghij"))
    first, *later = ray.deaths
    assert "bad.arw" in first
    assert later == [{"bad.arw"}] * (TRIES - 1)
    assert {name for name, outcome in ended.items() if outcome.status == "failed"} == {"bad.arw"}
    assert f"ended {TRIES} times" in ended["bad.arw"].error


@pytest.fixture
def card(tmp_path) -> Path:
    folder = tmp_path / "card"
    folder.mkdir()
    for name in ("good.arw", "bad.arw"):
        (folder / name).write_bytes(b"a photo")
    return folder


def enhance(card: Path, out: Path, *more: str) -> tuple[int, str]:
    """A run of the command on the cluster that is played."""
    done = CliRunner().invoke(app, ["enhance", str(card), "-o", str(out), "--engine", "ray", *more])
    return done.exit_code, done.stderr


def treat_only_good(job: RemoteJob) -> Told:
    if job.name != "good.arw":
        return "failed", 1.0, {}, f"{job.name}: is damaged"
    target = local_path(job.target)
    assert target is not None
    target.write_bytes(b"a result")
    return "done", 1.0, {}, ""


def test_a_run_of_which_something_came_is_finished_in_its_journal(tmp_path, played, card):
    played(treat_only_good)
    out = tmp_path / "new" / "out"
    assert enhance(card, out)[0] == 1
    assert {path.name for path in out.iterdir()} == {NAME, "good-scotopic.jpg"}
    lines = [json.loads(line) for line in (out / NAME).read_text().splitlines()]
    assert [line.get("status") for line in lines[-1:]] == ["finished"]
    assert {line["file"]: line["status"] for line in lines[1:-1] if line["status"] != "started"} == {
        str(card / "good.arw"): "done",
        str(card / "bad.arw"): "failed",
    }


def treat_all(job: RemoteJob) -> Told:
    target = local_path(job.target)
    assert target is not None
    assert not target.exists()
    target.write_bytes(b"a result")
    return "done", 1.0, {}, ""


def said(words: str) -> str:
    return " ".join(words.split())


def test_a_photo_keeps_its_results_name_and_no_other_is_taken_for_it(tmp_path, played, card):
    played(treat_all)
    out = tmp_path / "out"
    assert enhance(card, out)[0] == 0
    # One that comes first in the folder's order, and would take the name.
    (card / "GOOD.arw").write_bytes(b"another photo")
    status, words = enhance(card, out, "--skip-existing")
    assert status == 0, words
    assert "3 files: 1 done, 2 skipped" in said(words)
    lines = [json.loads(line) for line in (out / NAME).read_text().splitlines()]
    assert {line["file"]: line["output"] for line in lines if line.get("status") == "done"} == {
        str(card / "good.arw"): "good-scotopic.jpg",
        str(card / "bad.arw"): "bad-scotopic.jpg",
        str(card / "GOOD.arw"): "GOOD_arw-scotopic.jpg",
    }
    status, words = enhance(card, out, "--resume")
    assert (status, "3 files: 3 skipped" in said(words)) == (0, True)


def test_when_a_photo_was_taken_is_noted_and_tells_that_it_is_the_same_one(tmp_path, played, card):
    played(lambda job: (*treat_all(job)[:2], {"taken": "2026:05:01 09:00:00"}, ""))
    out = tmp_path / "out"
    assert enhance(card, out)[0] == 0
    lines = [json.loads(line) for line in (out / NAME).read_text().splitlines()]
    assert {line.get("taken") for line in lines if line.get("status") == "done"} == {"2026:05:01 09:00:00"}


def test_an_interrupted_run_is_told_of(tmp_path, played, card):
    played(treat_all)
    out = tmp_path / "out"
    hint = "was interrupted; --resume goes on with it"
    assert hint not in said(enhance(card, out)[1])
    kept = [line for line in (out / NAME).read_text().splitlines() if "finished" not in line]
    (out / NAME).write_text("".join(f"{line}\n" for line in kept))
    assert hint not in said(enhance(card, out, "--resume", "--json")[1])
    (out / NAME).write_text("".join(f"{line}\n" for line in kept))
    assert hint in said(enhance(card, out)[1])


def test_one_photo_goes_to_the_file_that_is_named_and_its_journal_beside_it(tmp_path, played, card):
    played(treat_all)
    out = tmp_path / "out" / "x.png"
    assert enhance(card / "good.arw", out)[0] == 0
    assert {path.name for path in out.parent.iterdir()} == {NAME, "x.png"}
    assert out.read_bytes() == b"a result"
    assert enhance(card / "good.arw", out, "--resume")[0] == 0
    status, words = enhance(card, out.with_name("y.png"))
    assert (status, "y.png is one file, but there are 2 pictures" in said(words)) == (2, True)


def test_a_run_of_which_nothing_came_leaves_nothing(tmp_path, played, card):
    (card / "good.arw").unlink()
    played(treat_only_good)
    status, words = enhance(card, tmp_path / "new" / "out")
    assert (status, "is damaged" in words) == (1, True)
    assert not (tmp_path / "new").exists()
    # A folder that was there stays.
    (tmp_path / "out").mkdir()
    assert enhance(card, tmp_path / "out", "--resume")[0] == 1
    assert not list((tmp_path / "out").iterdir())


def test_a_cluster_that_is_not_reached_is_told_and_leaves_nothing(tmp_path, played, card, monkeypatch):
    ray = played(treat_only_good)

    def init(**_: object) -> None:
        raise ConnectionError("nobody answers")

    monkeypatch.setattr(ray, "init", init)
    status, words = enhance(card, tmp_path / "new" / "out", "--address", "far:6379")
    assert status == 2
    assert "no Ray cluster at far:6379 (nobody answers)" in " ".join(words.split())
    assert not (tmp_path / "new").exists()
