"""A real Ray cluster of some nodes on this machine, of which one is killed while it works, and others are odd."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scotopic.dng.write import write_mosaic
from scotopic.jobs.journal import NAME
from scotopic.models import find
from scotopic.sensor.simulated import expose, sony_a7s2

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
pytest.importorskip("ray", reason="Ray is not installed (pip install '.[ray]')")
pytest.importorskip("fsspec", reason="fsspec is not installed (pip install '.[ray]')")
pytestmark = pytest.mark.ray

COUNT = 12
ALL = [f"{folder}/IMG_{i}-scotopic.jpg" for folder in "AB" for i in range(COUNT // 2)]
STORE = 80 << 20
"""Bytes of each node's object store, which is hardly used."""


@pytest.fixture
def card(tmp_path, photo) -> Path:
    folder = tmp_path / "card"
    scene = np.tile(photo, (3, 3, 1))
    for i, name in enumerate(ALL):
        path = folder / name.replace("-scotopic.jpg", ".dng")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_mosaic(path, expose(scene, sony_a7s2(800), 60, np.random.default_rng(i)))
    return folder


@pytest.fixture(scope="module")
def cluster():
    """A head that has no core for work; tests add machines of their own."""
    from ray.cluster_utils import Cluster

    # A node that falls silent is given up after some seconds, as tests have no minutes.
    silence = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
    made = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "object_store_memory": STORE,
            "memory": 4 << 30,
            "_system_config": silence,
            "include_dashboard": False,
        },
    )
    try:
        yield made
    finally:
        made.shutdown()


@pytest.fixture
def added(cluster):
    """Adds machines for the time of a test, whose processes may begin with lines of Python."""
    nodes = []

    def add(folder: Path | None = None, first: str = "") -> object:
        more = {}
        if folder is not None:
            folder.mkdir()
            (folder / "sitecustomize.py").write_text(first)
            more["env_vars"] = {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
        nodes.append(cluster.add_node(num_cpus=1, object_store_memory=STORE, memory=4 << 30, **more))
        cluster.wait_for_nodes()
        return nodes[-1]

    yield add
    for node in nodes:
        cluster.remove_node(node, allow_graceful=False)


def command(*words: object, cwd: Path | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "scotopic", "enhance", *map(str, words), "--engine", "ray", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
    )


def processes_of(node) -> list[int]:
    """A node's raylet and all its children, workers among them."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
    found = [info.process.pid for infos in node.all_processes.values() for info in infos]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process and child not in found]
    return found


def results(out: Path) -> list[str]:
    for path in out.rglob("*.jpg"):
        with Image.open(path) as image:
            image.load()
    return sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file() and p.name != NAME)


def test_every_file_is_done_exactly_once_though_a_machine_is_killed(card, cluster, added):
    _, second = added(), added()
    out = card.parent / "out"
    process = command(card, "-o", out, "--address", cluster.address)
    try:
        journal = out / NAME
        end = time.monotonic() + 240
        hers = processes_of(second)
        # Both machines are at work, and the second one has something in hand.
        while True:
            assert time.monotonic() < end
            assert process.poll() is None, process.stderr.read()
            lines = journal.read_text().splitlines() if journal.exists() else []
            entries = [json.loads(line) for line in lines if line.endswith("}")]
            hers = processes_of(second)
            begun = {e["file"] for e in entries if e.get("status") == "started" and e["process"] in hers}
            ended = {e["file"] for e in entries if e.get("status") == "done"}
            if begun - ended and ended:
                break
            time.sleep(0.02)
        for number in hers:
            os.kill(number, signal.SIGKILL)
        told, words = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, words
    rows = [json.loads(line) for line in told.splitlines()]
    assert sorted(row["output"].removeprefix(f"file://{out}/") for row in rows) == ALL
    assert {row["status"] for row in rows} == {"done"}
    assert results(out) == ALL
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    done = [entry["file"] for entry in entries if entry.get("status") == "done"]
    assert len(done) == len(set(done)) == COUNT
    # What the killed machine had in hand was begun again.
    assert len([e for e in entries if e.get("status") == "started"]) > COUNT
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.jpg")}
    again = command(card, "-o", out, "--address", cluster.address, "--resume")
    told, words = again.communicate(timeout=120)
    assert again.returncode == 0, words
    assert {json.loads(line)["status"] for line in told.splitlines()} == {"skipped"}
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.jpg")} == before


OLD = "import scotopic.version; scotopic.version.__version__ = '0.0.1'"
BARE = "import sys; sys.modules['scotopic'] = None"
APART = """
import os
stat = os.stat
def elsewhere(path, **more):
    if "/.scotopic-" in os.fspath(path):
        raise FileNotFoundError(2, "not mounted", path)
    return stat(path, **more)
os.stat = elsewhere
"""
"""Of a machine: another version, nothing installed, another folder at the place of the results."""


def test_machines_that_do_not_fit_are_left_out_in_a_line_each_and_another_does_the_work(
    card, cluster, added, tmp_path
):
    for name, first in (("old", OLD), ("bare", BARE), ("apart", APART)):
        added(tmp_path / name, first)
    out = tmp_path / "out"
    shutil.copytree(find("bayer-fast").folder, tmp_path / "mine")
    # A model by a path that no actor knows.
    words = (card, "-o", out, "--address", cluster.address, "--model", "mine")
    process = command(*words, cwd=tmp_path)
    told, errors = process.communicate(timeout=120)
    assert (process.returncode, told) == (1, "")
    assert "no machine of the cluster can work" in errors
    lines = [line for line in errors.splitlines() if "left out of this run" in line]
    for said in ("has scotopic 0.0.1", "No module named 'scotopic", "does not see the results' folder"):
        assert sum(said in line for line in lines) == 1, errors
    assert len(lines) == 3
    assert not out.exists()
    added()
    process = command(*words, cwd=tmp_path)
    told, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert {json.loads(line)["status"] for line in told.splitlines()} == {"done"}
    assert results(out) == ALL


def test_a_friendly_kill_ends_a_run_as_ctrl_c_does(card, cluster, added, tmp_path):
    added()
    out = tmp_path / "out"
    process = command(card, "-o", out, "--address", cluster.address)
    try:
        # Some are done, and others in hand.
        while len(list(out.rglob("*.jpg"))) < 2:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        told, words = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130, words
    assert "stopped; what is finished is kept" in words
    assert 0 < len(told.splitlines()) < COUNT
    assert set(results(out)) < set(ALL)
