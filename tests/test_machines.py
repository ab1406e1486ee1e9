"""What the machines of a cluster have to have in common, and who is left out: no cluster is needed to tell."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fsspec", reason="fsspec is not installed (pip install '.[ray]')")

from scotopic.dng.write import write_mosaic
from scotopic.errors import DiskFullError, NotAllowedError, ScotopicError, WriteError
from scotopic.jobs import actor
from scotopic.jobs.actor import Actor, Terms, marked, seen
from scotopic.jobs.nodes import GROWTH_S, STARTS, WAIT_S, Nodes, amount
from scotopic.jobs.refused import IN_A_ROW, Refused
from scotopic.jobs.storage import RemoteJob, address
from scotopic.jobs.worker import ModelChoice
from scotopic.models import find
from scotopic.sensor.simulated import expose, sony_a7s2
from scotopic.settings import Settings


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(actor, "SEEN_S", 0.3)


def trouble(terms: Terms, choice: ModelChoice | None = None) -> str:
    """What an actor of this machine says of a run with those terms."""
    return Actor(Settings(), choice, 1, terms).ready().trouble


def test_a_machine_has_to_see_the_very_folder_of_the_results(tmp_path):
    with marked(tmp_path) as mark:
        assert trouble(Terms(home=tmp_path, mark=mark)) == ""
        (tmp_path / "another").mkdir()
        for place in (tmp_path / "another", tmp_path / "nowhere"):
            words = trouble(Terms(home=place, mark=mark))
            assert words.startswith(f"does not see the results' folder, {place}, as it is here")
    assert not list(tmp_path.glob(".scotopic*"))


def test_what_a_network_shows_later_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(actor, "SEEN_S", 10)
    late = threading.Timer(0.3, (tmp_path / "late").write_bytes, [b"12345678"])
    late.start()
    assert seen(tmp_path / "late", 8)
    late.join()
    monkeypatch.setattr(actor, "SEEN_S", 0.1)
    assert not seen(tmp_path / "late", 9)


def test_a_machine_has_to_have_this_version_and_this_model(tmp_path, monkeypatch):
    assert trouble(Terms(version="9.9")).endswith("here is 9.9; install the same on all machines")
    mine = tmp_path / "mine"
    shutil.copytree(find("bayer-fast").folder, mine)
    choice = ModelChoice(str(mine), device="cpu")
    terms = Terms.of(choice)
    assert trouble(terms, choice) == ""
    assert trouble(Terms(model="0" * 64), choice).startswith(f"has another model at {mine}")
    assert "cuda is not available" in trouble(terms, replace(choice, device="cuda"))
    shutil.rmtree(mine)
    assert trouble(terms, choice).startswith(f"has not the model {mine}")


def test_a_choice_of_models_holds_in_other_folders(tmp_path, monkeypatch):
    shutil.copytree(find("bayer-fast").folder, tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    assert ModelChoice("mine").everywhere() == ModelChoice(str(tmp_path / "mine"))
    # Of those that came with the package each machine has its own.
    for packaged in (ModelChoice(), ModelChoice("bayer-best")):
        assert packaged.everywhere() == packaged


@pytest.fixture
def photo_at(tmp_path, photo) -> Path:
    path = tmp_path / "x.dng"
    write_mosaic(path, expose(photo[:96, :128], sony_a7s2(800), 60, np.random.default_rng(0)))
    return path


def answer_to(source: Path, target: Path, home: Path | None) -> actor.Treated:
    job = RemoteJob(address(str(source)), address(str(target)))
    return Actor(Settings(), ModelChoice(device="cpu"), 1, Terms(home=home)).treat(job)


def test_what_a_machine_does_not_get_at_is_no_fault_of_a_photo(tmp_path, photo_at):
    home = tmp_path / "out"
    home.mkdir()
    done = answer_to(photo_at, home / "a" / "x.jpg", home)
    assert (done.status, done.denied) == ("done", "")
    assert done.size == (home / "a" / "x.jpg").stat().st_size
    broken = tmp_path / "broken.dng"
    broken.write_bytes(photo_at.read_bytes()[:5000])
    assert [
        answer_to(broken, home / "b.jpg", home).denied,
        answer_to(tmp_path / "no.dng", home / "c.jpg", home).denied,
    ] == [
        "",
        "read",
    ]
    # The folder of the results has gone, and is not made anew on this machine's own disk.
    shutil.rmtree(home)
    gone = answer_to(photo_at, home / "a" / "x.jpg", home)
    assert (gone.status, gone.denied) == ("failed", "write")
    assert not home.exists()


def row(host: str, cores: float = 1, gib: float = 4, *, alive: bool = True) -> dict[str, Any]:
    """What Ray tells of a node."""
    resources = {"CPU": cores, "memory": gib * (1 << 30)}
    return {"NodeID": host, "NodeManagerHostname": host, "Alive": alive, "Resources": resources}


class Watched:
    """Nodes, a clock that is set by hand, and what was told."""

    def __init__(self, *rows: dict[str, Any], grows: bool = True) -> None:
        self.now, self.lines = 0.0, []
        self.nodes = Nodes(self.lines.append, grows=grows, clock=lambda: self.now)
        self.nodes.look(rows)

    def wait(self, seconds: float, met: int = 0) -> None:
        self.now += seconds
        self.nodes.check(met, lambda: {"CPU": 0.0, "memory": 1 << 29})


def test_actors_are_made_where_there_is_room_for_them_and_evenly():
    nodes = Watched(row("a", 4), row("b", 8, 2.5), row("head", 0)).nodes
    assert nodes.wanted(None) == 6
    assert nodes.wanted(2) == 2
    taken: Counter[str] = Counter()
    for _ in range(6):
        node = nodes.place(taken)
        assert node is not None
        taken[node.id] += 1
    assert taken == {"a": 4, "b": 2}
    # More are asked for than there is room: a cluster may grow.
    assert nodes.place(taken).id == ""


def test_where_one_is_left_out_no_actor_is_made_without_a_place():
    watched = Watched(row("a"), row("bad"))
    watched.nodes.leave_out(watched.nodes.named("bad"), "has no keys")
    watched.nodes.leave_out(watched.nodes.named("bad"), "has no keys")
    assert watched.lines == ["bad: left out of this run: has no keys"]
    assert watched.nodes.wanted(None) == 1
    assert watched.nodes.place(Counter(a=1)) is None
    watched.nodes.look([row("a"), row("bad"), row("new")])
    assert watched.nodes.place(Counter(a=1)).id == "new"


def test_actors_that_end_early_are_made_anew_later_each_time_and_at_last_no_more():
    watched = Watched(row("a"))
    nodes, a, pauses = watched.nodes, watched.nodes.named("a"), []
    for _ in range(STARTS - 1):
        nodes.ended_early(a, "no module")
        began = watched.now
        while nodes.place(Counter()) is None:
            watched.wait(0.5)
        pauses.append(watched.now - began)
    assert pauses == sorted(pauses)
    assert pauses[0] > 0
    nodes.ended_early(a, "no module")
    with pytest.raises(
        ScotopicError, match=r"no machine of the cluster can work; a: actors end .*no module"
    ):
        watched.wait(0.1)


def test_an_actor_that_ends_with_its_machine_is_no_fault_of_that():
    watched = Watched(row("a"), row("b", alive=False))
    for _ in range(STARTS):
        watched.nodes.ended_early(watched.nodes.named("b"), "it went")
    watched.wait(1)
    assert watched.lines == []


def test_what_is_waited_for_is_told_once_after_a_while():
    watched = Watched(row("a"))
    watched.wait(WAIT_S)
    assert watched.lines == []
    for _ in range(3):
        watched.wait(1)
    assert watched.lines == [
        "waiting for room in the cluster: an actor takes 1 core and 1 GiB of memory, free are 0 cores and 0.5 GiB of "
        "memory"
    ]
    # It came, and went.
    watched.wait(1, met=1)
    watched.wait(WAIT_S + 1)
    assert len(watched.lines) == 2


def test_a_cluster_without_a_machine_for_an_actor_is_told_with_what_it_has():
    said = f"which takes 1 core and 1 GiB of memory: the largest has {amount(2, 1 << 29)}"
    alone = Watched(row("small", 2, 0.5), grows=False)
    with pytest.raises(ScotopicError, match=said):
        alone.wait(0.1)
    grows = Watched(row("small", 2, 0.5))
    grows.wait(WAIT_S + 1)
    assert f"; the largest has {amount(2, 1 << 29)}" in grows.lines[0]
    assert grows.nodes.place(Counter()).id == ""
    grows.nodes.look([row("small", 2, 0.5), row("large")])
    grows.wait(GROWTH_S)
    grows.nodes.look([row("small", 2, 0.5)])
    with pytest.raises(ScotopicError, match=said):
        grows.wait(1)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (DiskFullError, "the disk is full; make room"),
        (NotAllowedError, "takes no results .a.jpg: no.; see to it"),
    ],
)
def test_a_run_ends_after_three_results_in_a_row_that_were_not_taken(kind, said):
    refused, fault = Refused(), kind.__name__
    for others in ("done", "failed"):
        for _ in range(IN_A_ROW - 1):
            refused.note("failed", fault, "a.jpg: no")
            refused.note("skipped", "", "")
            refused.check("/out")
        refused.note(others, "DamagedFileError" if others == "failed" else "", "")
    for _ in range(IN_A_ROW - 1):
        refused.note("failed", fault, "a.jpg: no")
    refused.check("/out")
    refused.note("failed", fault, "a.jpg: no")
    with pytest.raises(WriteError, match=f"^/out: {said}"):
        refused.check("/out")


def test_a_moments_trouble_is_one_denial_however_much_was_in_hand():
    watched = Watched(row("a"), row("b"))
    nodes, node = watched.nodes, watched.nodes.named("a")
    for _ in range(64):
        nodes.denied(node, "503")
    assert (node.denials, nodes.rests(node), node.left_out) == (1, True, "")
    watched.now += 2
    assert not nodes.rests(node)
    nodes.well(node)
    for wait in (0, 2, 4):
        watched.now += wait
        nodes.denied(node, "503")
    assert "3 times in a row a file could not be got at there (503)" in node.left_out


def test_actors_that_end_at_the_same_moment_count_as_one():
    watched = Watched(row("a", 8), row("b"))
    node = watched.nodes.named("a")
    for _ in range(8):
        watched.nodes.ended_early(node, "killed")
    assert (node.starts, node.left_out) == (1, "")


def test_machines_that_went_may_be_followed_by_others_though_one_was_left_out():
    watched = Watched(row("old"), row("spot"))
    watched.nodes.ready(watched.nodes.named("spot"))
    watched.nodes.leave_out(watched.nodes.named("old"), "has scotopic 0.1")
    watched.nodes.look([row("old"), row("spot", alive=False)])
    watched.wait(GROWTH_S - 1)
    with pytest.raises(ScotopicError, match=r"no machine of the cluster can work; old: has scotopic 0.1"):
        watched.wait(2)


def test_machines_that_had_gone_before_are_waited_for_by_nobody():
    watched = Watched(row("old"), row("gone", alive=False))
    watched.nodes.leave_out(watched.nodes.named("old"), "has scotopic 0.1")
    with pytest.raises(ScotopicError, match=r"no machine of the cluster can work; old: has scotopic 0.1"):
        watched.wait(1)
