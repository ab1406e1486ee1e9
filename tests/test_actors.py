"""What a run does with the actors of a cluster, where Ray itself is played."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("fsspec", reason="fsspec is not installed (pip install '.[ray]')")

from scotopic.cli import app
from scotopic.errors import ScotopicError, SettingsError
from scotopic.jobs import actor, nodes, storage
from scotopic.jobs.actor import Greeting, Terms, Treated
from scotopic.jobs.cluster import TRIES, Cluster, RemoteOutcome
from scotopic.jobs.joined import SILENCE_S, Head, unanswered
from scotopic.jobs.journal import NAME
from scotopic.jobs.storage import RemoteJob, address, local_path
from scotopic.models import find
from scotopic.settings import Settings


class RayError(Exception):
    """The root of Ray's own errors."""


class Died(RayError):
    """The end of an actor."""


class Coming:
    """What is to come of a call: an actor's file, or what is there at once."""

    def __init__(self, actor: PlayedActor, job: RemoteJob | None = None, told: Any = None) -> None:
        self.actor, self.job, self.told = actor, job, told


class PlayedActor:
    """Treats its files in turn, when the driver waits."""

    def __init__(self, greeting: Greeting | Exception, host: str) -> None:
        self.in_hand: list[Coming] = []
        self.host = host
        self.late = 0
        """How often its greeting is asked for until it has come."""
        self.ready = SimpleNamespace(remote=lambda: Coming(self, told=greeting))
        self.treat = SimpleNamespace(remote=self._take)

    def _take(self, job: RemoteJob) -> Coming:
        answer = Coming(self, job)
        self.in_hand.append(answer)
        return answer


def in_order(host: str, number: int) -> Greeting:
    """What an actor says on a machine where nothing is amiss."""
    return Greeting(number, host)


class PlayedRay:
    """As much of Ray as a driver asks for, with the cores of each machine.

    `treat` plays what becomes of a file on a machine, and may raise Died; `greet` an actor's first words, or its end.
    """

    util = SimpleNamespace(
        scheduling_strategies=SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node, soft: node)
    )

    def __init__(
        self,
        cores: dict[str, int],
        treat: Callable[[RemoteJob, str], Treated],
        greet: Callable[[str, int], Greeting | Exception],
    ) -> None:
        self.exceptions = SimpleNamespace(RayError=RayError)
        self.actors: list[PlayedActor] = []
        self.deaths: list[set[str]] = []
        """The names of what was in hand when an actor died, in turn."""
        self.given: list[tuple[Any, Terms, bool]] = []
        """What actors were made with, and whether the mark was there."""
        self.late: dict[str, int] = {}
        """How late actors greet, by their machine."""
        self._cores, self._treat, self._greet = cores, treat, greet

    def init(self, **_: object) -> None:
        """No cluster is needed."""

    shutdown = init

    def kill(self, _actor: PlayedActor) -> None:
        """It has ended already, or has nothing in hand."""

    def get_runtime_context(self) -> SimpleNamespace:
        return SimpleNamespace(gcs_address="played")

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {
                "NodeID": host,
                "NodeManagerHostname": host,
                "Alive": True,
                "Resources": {"CPU": cores, "memory": 64 << 30},
            }
            for host, cores in self._cores.items()
        ]

    def available_resources(self) -> dict[str, float]:
        return {}

    def remote(self, _kind: type) -> SimpleNamespace:
        def options(scheduling_strategy: str, **_: object) -> SimpleNamespace:
            return SimpleNamespace(remote=lambda *given: self._start(scheduling_strategy, *given))

        return SimpleNamespace(options=options)

    def _start(self, host: str, _settings: Any, choice: Any, _cores: int, terms: Terms) -> PlayedActor:
        self.given.append((choice, terms, terms.home is not None and (terms.home / terms.mark).is_file()))
        self.actors.append(PlayedActor(self._greet(host, len(self.actors) + 1), host))
        self.actors[-1].late = self.late.get(host, 0)
        return self.actors[-1]

    def wait(self, answers: list[Coming], timeout: float) -> tuple[list[Coming], list[Coming]]:
        ended = next((one for one in answers if one.told is not None and self._has_come(one)), None)
        if ended is None and timeout > 0:
            ended = next((one for one in answers if one.job is not None), None)
        if ended is not None and ended.told is None:
            try:
                ended.told = self._treat(ended.job, ended.actor.host)
                ended.actor.in_hand.remove(ended)
            except Died as death:
                self.deaths.append({one.job.name for one in ended.actor.in_hand})
                for one in ended.actor.in_hand:
                    one.told = death
        return [one for one in answers if one is ended], [one for one in answers if one is not ended]

    @staticmethod
    def _has_come(answer: Coming) -> bool:
        if answer.job is None and answer.actor.late > 0:
            answer.actor.late -= 1
            return False
        return True

    def get(self, answer: Coming) -> Any:
        if isinstance(answer.told, Exception):
            raise answer.told
        return answer.told


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch):
    monkeypatch.setattr(nodes, "BACK_OFF_S", 0.0)


@pytest.fixture
def played(monkeypatch) -> Callable[..., PlayedRay]:
    """Plays Ray for the rest of a test."""

    def play(
        treat: Callable[[RemoteJob, str], Treated],
        greet: Callable[[str, int], Greeting | Exception] = in_order,
        **cores: int,
    ) -> PlayedRay:
        ray = PlayedRay(cores or {"one": 1}, treat, greet)
        monkeypatch.setitem(sys.modules, "ray", ray)
        return ray

    return play


def jobs_of(folder, *names: str) -> list[RemoteJob]:
    return [RemoteJob(address(f"{folder}/{n}.arw"), address(f"{folder}/out/{n}.jpg")) for n in names]


def written(job: RemoteJob) -> Treated:
    """A file that is done."""
    target = local_path(job.target)
    assert target is not None
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(b"a result")
    return Treated("done", 1.0, size=8)


def outcomes_of(jobs: list[RemoteJob], settings: Settings | None = None) -> dict[str, RemoteOutcome]:
    with Cluster(settings or Settings(), None) as cluster:
        ended = list(cluster.run(jobs))
    assert len(ended) == len(jobs)
    return {outcome.job.name: outcome for outcome in ended}


@pytest.mark.parametrize("cores", [1, 2])
def test_a_file_that_ends_its_actors_has_company_once_and_is_alone_then(tmp_path, played, cores):
    def treat(job: RemoteJob, _host: str) -> Treated:
        if job.name == "bad.arw":
            raise Died("the actor died")
        return written(job)

    ray = played(treat, one=cores)
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


def treat_only_good(job: RemoteJob, _host: str) -> Treated:
    if job.name != "good.arw":
        return Treated("failed", 1.0, {}, f"{job.name}: is damaged", "DamagedFileError")
    return written(job)


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


def treat_all(job: RemoteJob, _host: str) -> Treated:
    target = local_path(job.target)
    assert target is not None
    assert not target.exists()
    return written(job)


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
    played(lambda job, host: replace(treat_all(job, host), facts={"taken": "2026:05:01 09:00:00"}))
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
    ray = played(treat_all)
    out = tmp_path / "out" / "x.png"
    assert enhance(card / "good.arw", out)[0] == 0
    ((_, terms, is_marked),) = ray.given
    assert (terms.home, is_marked) == (out.parent, True)
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
    status, words = enhance(card, tmp_path / "new" / "out", "--address", "far")
    assert status == 2
    assert "no Ray cluster at far (nobody answers)" in " ".join(words.split())
    assert not (tmp_path / "new").exists()


def keyless(bad: str, denied: str = "write") -> Callable[[RemoteJob, str], Treated]:
    """A machine that has no way to the storage, beside others that have."""

    def treat(job: RemoteJob, host: str) -> Treated:
        if host == bad:
            return Treated("failed", 0.0, {}, f"{job.name}: no keys", "NotAllowedError", denied=denied)
        return written(job)

    return treat


@pytest.fixture
def photos(tmp_path) -> list[RemoteJob]:
    """Twelve that are there."""
    names = [f"p{number:02}" for number in range(12)]
    for name in names:
        (tmp_path / f"{name}.arw").write_bytes(b"a photo")
    return jobs_of(tmp_path, *names)


def run_told(jobs: list[RemoteJob], **more: Any) -> tuple[list[RemoteOutcome], list[str]]:
    """What became of files, and the lines that were told besides."""
    lines: list[str] = []
    with Cluster(Settings(), None, tell=lines.append, **more) as cluster:
        return list(cluster.run(jobs)), lines


@pytest.mark.parametrize("denied", ["read", "write"])
def test_a_machine_that_does_not_get_at_the_storage_costs_no_file_and_is_left_out(photos, played, denied):
    played(keyless("bad", denied), bad=1, good=1)
    ended, lines = run_told(photos)
    assert [outcome.status for outcome in ended] == ["done"] * len(photos)
    assert {outcome.facts["node"] for outcome in ended} == {"good"}
    (line,) = lines
    assert line.startswith("bad: left out of this run: 3 times in a row a file could not be got at there")
    assert "no keys" in line


def test_a_file_that_one_machine_does_not_get_at_waits_for_one_that_begins_late(photos, played):
    ray = played(keyless("bad"), bad=1, good=1)
    ray.late = {"good": 5}
    ended, _ = run_told(photos)
    assert [outcome.status for outcome in ended] == ["done"] * len(photos)


def test_what_is_no_file_is_not_waited_for_to_see_whose_fault_it_is(tmp_path):
    os.mkfifo(tmp_path / "pipe.arw")
    (tmp_path / "p.arw").write_bytes(b"a photo")
    pipe, photo = (RemoteJob(address(str(tmp_path / name)), "out.jpg") for name in ("pipe.arw", "p.arw"))
    assert not storage.reached(pipe, "read")
    assert storage.reached(photo, "read")


def test_a_machine_whose_actors_work_stays_when_others_end_before_they_are_ready(
    photos, played, monkeypatch
):

    def greet(host: str, number: int) -> Greeting | Exception:
        return in_order(host, number) if number == 1 else Died("killed for memory")

    played(keyless("none"), greet, one=4)
    ended, lines = run_told(photos)
    assert [outcome.status for outcome in ended] == ["done"] * len(photos)
    assert lines == []


def test_files_that_nobody_can_read_are_no_fault_of_a_machine(photos, played, tmp_path):
    for path in tmp_path.glob("p*.arw"):
        path.unlink()
    played(keyless("bad", "read"), bad=1)
    ended, lines = run_told(photos)
    assert [outcome.status for outcome in ended] == ["failed"] * len(photos)
    assert lines == []


def test_results_that_can_be_written_from_nowhere_are_no_fault_of_a_machine(photos, played, tmp_path):
    (tmp_path / "shut").write_text("a file where a folder is to be")
    jobs = [replace(job, target=str(tmp_path / "shut" / Path(job.target).name)) for job in photos]
    played(keyless("bad", "write"), bad=1)
    ended, lines = run_told(jobs)
    assert [outcome.status for outcome in ended] == ["failed"] * len(photos)
    assert lines == []


def test_a_run_ends_where_no_machine_gets_at_the_storage(photos, played):
    ray = played(lambda job, host: keyless(host)(job, host), one=1, two=1)
    with pytest.raises(ScotopicError, match=r"no machine of the cluster can work; .*no keys.*--resume"):
        run_told(photos)
    assert len(ray.actors) == 2


def test_a_result_that_is_not_here_is_made_by_another_machine(photos, played, monkeypatch):
    monkeypatch.setattr(actor, "SEEN_S", 0.3)

    def treat(job: RemoteJob, host: str) -> Treated:
        return Treated("done", 1.0, size=8) if host == "apart" else written(job)

    played(treat, apart=1, here=1)
    ended, (line,) = run_told(photos)
    assert [outcome.status for outcome in ended] == ["done"] * len(photos)
    assert all(local_path(job.target).is_file() for job in photos)
    assert line.startswith("apart: left out of this run")


def test_what_an_actor_that_was_ended_had_just_made_is_done(photos, played):
    refusals = [Treated("failed", 0.0, {}, "no keys", "NotAllowedError", denied="write")] * 3

    def treat(job: RemoteJob, host: str) -> Treated:
        if host == "bad":
            # What it has in hand when it is left out comes into being while it ends.
            if len(refusals) == 1:
                in_hand = next(one for one in ray.actors if one.host == host).in_hand
                late.extend(one.job for one in in_hand if one.job is not job)
                for one in late:
                    written(one)
            return refusals.pop()
        target = local_path(job.target)
        if target.exists():
            return Treated("failed", 0.0, {}, f"{target}: exists already", "FileExistsRefusal")
        return written(job)

    late: list[RemoteJob] = []
    ray = played(treat, bad=1, good=1)
    ended, _ = run_told(photos)
    assert late
    assert [outcome.status for outcome in ended] == ["done"] * len(photos)


def test_a_machine_that_greets_with_trouble_is_left_out_by_name_and_the_others_work(photos, played):
    def greet(host: str, number: int) -> Greeting:
        return Greeting(number, host, "has scotopic 0.1") if host == "old" else in_order(host, number)

    ray = played(keyless("old"), greet, old=2, new=1)
    ended, lines = run_told(photos)
    assert {outcome.status for outcome in ended} == {"done"}
    assert lines == ["old: left out of this run: has scotopic 0.1"]
    # One that had greeted, and one for which nobody waited.
    assert len(ray.actors) <= 3
    played(keyless("old"), greet, old=2)
    with pytest.raises(ScotopicError, match="no machine of the cluster can work; old: has scotopic"):
        run_told(photos)


def test_actors_that_end_before_they_are_ready_are_made_three_times_and_no_more(photos, played):
    def greet(host: str, number: int) -> Greeting | Exception:
        return Died("it died\nNo module named 'scotopic'") if host == "bare" else in_order(host, number)

    ray = played(keyless("bare"), greet, bare=1, good=1)
    ended, _ = run_told(photos)
    assert {outcome.status for outcome in ended} == {"done"}
    # Work may end before all three have.
    assert sum(one.host == "bare" for one in ray.actors) <= 3
    ray = played(keyless("bare"), greet, bare=1)
    with pytest.raises(ScotopicError, match=r"bare: actors end there before they are ready .No module"):
        run_told(photos)
    assert len(ray.actors) == 3


def test_a_run_whose_results_are_refused_three_times_in_a_row_ends(tmp_path, played, photos):
    out = tmp_path / "out"

    def treat(job: RemoteJob, _host: str) -> Treated:
        return Treated("failed", 1.0, {}, f"{job.name}: no room", "DiskFullError")

    ray = played(treat)
    status, words = enhance(tmp_path, out)
    assert status == 1
    assert "the disk is full; make room, then go on with --resume" in " ".join(words.split())
    assert words.count("FAILED") == 3
    assert len(ray.actors) == 1


def test_machines_are_told_a_model_by_its_whole_path_and_the_results_by_a_mark(
    tmp_path, played, card, monkeypatch
):
    shutil.copytree(find("bayer-fast").folder, tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    ray = played(treat_only_good)
    out = tmp_path / "out"
    assert enhance(card, out, "--model", "mine")[0] == 1
    ((choice, terms, is_marked),) = ray.given
    assert choice.name == str(tmp_path / "mine")
    assert (terms.home, terms.model) == (out, find("bayer-fast").sha256)
    assert is_marked
    assert {path.name for path in out.iterdir()} == {NAME, "good-scotopic.jpg"}


def test_the_machine_is_named_in_the_journal_and_in_json(tmp_path, played, card):
    played(treat_only_good, one=1)
    done = CliRunner().invoke(
        app, ["enhance", str(card), "-o", str(tmp_path / "out"), "--engine", "ray", "--json"]
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    lines = [json.loads(line) for line in (tmp_path / "out" / NAME).read_text().splitlines()]
    assert [row["node"] for row in rows] == ["one", "one"]
    assert [line["node"] for line in lines if line.get("status") in ("done", "failed")] == ["one", "one"]


@pytest.mark.parametrize(
    ("given", "environment", "joined"), [(None, None, "local"), (None, "a", "a"), ("b", "a", "b")]
)
def test_a_cluster_is_joined_only_where_one_is_named(played, monkeypatch, given, environment, joined):
    ray = played(treat_only_good)
    asked: list[Any] = []
    monkeypatch.setattr(ray, "init", lambda **words: asked.append(words["address"]))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if environment is not None:
        monkeypatch.setenv("RAY_ADDRESS", environment)
    with Cluster(Settings(), None, address=given):
        assert asked == [joined]


def test_handlers_of_signals_are_the_same_after_a_cluster_is_joined(played, monkeypatch):
    ray = played(treat_only_good)

    def init(**_: object) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    monkeypatch.setattr(ray, "init", init)
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    with Cluster(Settings(), None):
        after = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    assert after == before


def test_an_address_at_which_nothing_answers_is_told_before_ray_is_asked(played, monkeypatch):
    ray = played(treat_only_good)
    monkeypatch.setattr(ray, "init", None)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(SettingsError, match=f"no Ray cluster at 127.0.0.1:{port}: .*not reached"):
            Cluster(Settings(), None, address=f"127.0.0.1:{port}")
        # What Ray has noted of a cluster that has gone.
        services = SimpleNamespace(canonicalize_bootstrap_address=lambda _: f"127.0.0.1:{port}")
        monkeypatch.setattr(ray, "_private", SimpleNamespace(services=services), raising=False)
        with pytest.raises(SettingsError, match=f"no Ray cluster at auto: port {port}"):
            Cluster(Settings(), None, address="auto")
        free.listen()
        assert unanswered(f"127.0.0.1:{port}") is None
    assert unanswered("auto") is None


def test_a_first_machine_that_falls_silent_is_waited_for_and_then_told(monkeypatch):
    now = [0.0]
    head = Head("127.0.0.1:1", lambda: now[0])
    assert not head.answers()
    now[0] = SILENCE_S + 1
    with pytest.raises(ScotopicError, match=r"127.0.0.1:1, does not answer any more.*--resume"):
        head.answers()
    monkeypatch.setattr("scotopic.jobs.joined.unanswered", lambda _: None)
    assert head.answers()


def test_what_is_empty_is_no_result_of_an_actor_that_died(photos, played):
    """A power cut had left the name, and the actor nothing more."""
    deaths = [Died("the actor died")]

    def treat(job: RemoteJob, _host: str) -> Treated:
        if deaths:
            raise deaths.pop()
        return written(job)

    (job, *_) = photos
    path = local_path(job.target)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    played(treat)
    outcomes_of([replace(job, anew=True)])
    assert path.read_bytes() == b"a result"
