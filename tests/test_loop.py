"""Training runs from beginning to end: killed, resumed, shared out, exported."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="torch is not installed (the train extra)")

from importlib.resources import files  # noqa: E402
from pathlib import Path  # noqa: E402

from safetensors.torch import load_file  # noqa: E402

from conftest import camera_profile  # noqa: E402
from scotopic.calibration.apply import identity  # noqa: E402
from scotopic.cli import app  # noqa: E402
from scotopic.data.miniature import write_miniature  # noqa: E402
from scotopic.data.pairs import find_sid  # noqa: E402
from scotopic.disk.locks import locked  # noqa: E402
from scotopic.enhance import enhance  # noqa: E402
from scotopic.errors import (  # noqa: E402
    DatasetError,
    DiskFullError,
    FileExistsRefusal,
    SettingsError,
    UnknownModelError,
    WriteError,
)
from scotopic.models import find, sha256  # noqa: E402
from scotopic.read import read_mosaic  # noqa: E402
from scotopic.run import Model  # noqa: E402
from scotopic.train import checkpoint, folder  # noqa: E402
from scotopic.train.blocks import Architecture  # noqa: E402
from scotopic.train.cache import PairCache  # noqa: E402
from scotopic.train.datasets import PairCrops, find_photos  # noqa: E402
from scotopic.train.export import export, parity  # noqa: E402
from scotopic.train.filters import PACKINGS  # noqa: E402
from scotopic.train.folder import held, staging  # noqa: E402
from scotopic.train.loop import Options, train  # noqa: E402
from scotopic.train.losses import encoded_loss, psnr_by_picture  # noqa: E402
from scotopic.train.networks import MosaicGraph  # noqa: E402
from scotopic.train.paper import PaperGraph  # noqa: E402
from scotopic.train.recipes import Recipe, recipe_named  # noqa: E402
from scotopic.train.resize import resize, resized  # noqa: E402
from scotopic.train.sources import Data, Simulated, find_data  # noqa: E402
from scotopic.train.weights import load_run, load_start, recipe_from, save_weights  # noqa: E402
from scotopic.write import place  # noqa: E402

PHOTOS = Path(str(files("scotopic.evaluate") / "held_out"))
SMALL = Architecture(fine=16, middle=16, coarse=16, bottom_blocks=1)
TINY = Recipe(architecture=SMALL, crop=64, batch=2, steps=12, warmup_steps=2, held_out=("held",))
IN_WORDS = [
    *("crop=64", "batch=2", "steps=12", "warmup_steps=2", 'held_out=["held"]'),
    *("architecture.fine=16", "architecture.middle=16", "architecture.coarse=16"),
    "architecture.bottom_blocks=1",
]


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Four photos, two of them held out."""
    folder = tmp_path_factory.mktemp("photos")
    for i, photo in enumerate(find_photos(PHOTOS)[:4]):
        shutil.copy(photo, folder / f"{'held' if i > 1 else 'seen'}_{i}.jpg")
    return folder


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory) -> Path:
    """Forty steps of a tiny network."""
    recipe = dataclasses.replace(TINY, batch=4, steps=40, warmup_steps=5, learning_rate=2e-3)
    return train(recipe, find_data([photos]), tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def undisturbed(photos, tmp_path_factory) -> Path:
    """Twelve steps without anything happening."""
    out = tmp_path_factory.mktemp("undisturbed")
    subprocess.run(command(photos, out), check=True, env=ENVIRONMENT, capture_output=True)
    return out


def no_room(*_words, **_more):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def command(photos: Path, out: Path, *more: str) -> list[str]:
    """The command line of the tiny run."""
    words = [w for word in IN_WORDS for w in ("--set", word)]
    start = [
        sys.executable,
        "-m",
        "scotopic",
        "train",
        "scotopic",
        "--data",
        str(photos),
        "--out",
        str(out),
    ]
    return [*start, *words, "--deterministic", "--device", "cpu", *more]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "weights.safetensors")


def steps_logged(run: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]


def test_training_lowers_the_loss_and_stores_what_it_did(run, photos):
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 40
    assert lines[-1]["validation_db"] is not None
    recipe = json.loads((run / "recipe.json").read_text())
    assert recipe["crop"] == 64
    assert recipe["architecture"]["fine"] == 16
    result = json.loads((run / "result.json").read_text())
    assert (result["photos"], result["photos_held_out"], result["steps"]) == (2, 2, 40)
    assert list((run / "tensorboard").iterdir())
    torch.manual_seed(recipe["seed"])
    fresh, (_, trained) = MosaicGraph(PACKINGS["bayer"], SMALL), load_run(run)
    source = Simulated(find_photos(photos), TINY, torch.device("cpu"), 8)
    with torch.no_grad():
        batches = [source.draw(seed) for seed in range(3)]
        scores = [
            sum(encoded_loss(g(*b.inputs())[0], b.target, b.to_srgb, 4).item() for b in batches)
            for g in (fresh, trained)
        ]
    assert scores[1] < scores[0]


def test_a_run_killed_again_and_again_ends_with_the_same_weights(photos, undisturbed, tmp_path):
    out = tmp_path / "run"
    for least in (3, 8):
        process = subprocess.Popen(
            command(photos, out, "--checkpoint-seconds", "0", "--resume"),
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        wait_for(lambda least=least: max(steps_logged_so_far(out)) >= least, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (out / "result.json").exists()
    done = subprocess.run(
        command(photos, out, "--resume"), env=ENVIRONMENT, check=True, capture_output=True, text=True
    )
    assert "going on from step" in done.stderr
    assert done.stdout == f"{out}\n"
    assert same(weights(out), weights(undisturbed))
    steps = steps_logged(out)
    assert steps == sorted(set(steps))
    assert steps[-1] == 12


@pytest.mark.slow
def test_a_run_killed_while_it_saves_ends_with_the_same_weights(photos, undisturbed, tmp_path):
    out, marker = tmp_path / "run", tmp_path / "saving"
    stuck = (
        "import os, time; from pathlib import Path\n"
        f"fsync, marker, folder = os.fsync, Path({str(marker)!r}), Path({str(out / 'checkpoints')!r})\n"
        "def slow(handle):\n"
        "    parts = list(folder.glob('.*.part')) if (folder / 'step-00000004.safetensors').exists() else []\n"
        "    for part in parts:\n"
        "        part.write_bytes(part.read_bytes()[:999]); marker.touch(); time.sleep(600)\n"
        "    fsync(handle)\n"
        "os.fsync = slow\n"
        "from scotopic.cli import app; app()"
    )
    words = command(photos, out, "--checkpoint-seconds", "0")[3:]
    process = subprocess.Popen(
        [sys.executable, "-c", stuck, *words],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    wait_for(marker.exists, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list((out / "checkpoints").glob("*.part"))
    done = subprocess.run(
        command(photos, out, "--resume"), env=ENVIRONMENT, check=True, capture_output=True, text=True
    )
    assert "going on from step 4" in done.stderr
    assert same(weights(out), weights(undisturbed))
    assert not list((out / "checkpoints").glob("*.part"))


def two_machines(photos: Path, folders: list[Path], *more: str) -> list[subprocess.Popen]:
    """A node each on two loopback addresses, with a folder of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.2", 0))
        port = str(free.getsockname()[1])
    launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    launch += ["--master-addr", "127.0.0.2", "--master-port", port]
    return [
        subprocess.Popen(
            [
                *launch,
                *("--node-rank", str(rank), "--local-addr", f"127.0.0.{2 + rank}"),
                *command(photos, folder, "--set", "accumulate=2", *more)[1:],
            ],
            env={**ENVIRONMENT, "GLOO_SOCKET_IFNAME": "lo"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank, folder in enumerate(folders)
    ]


@pytest.mark.slow
def test_two_machines_give_the_weights_of_one_even_when_stopped_on_the_way(photos, tmp_path):
    alone = train(
        dataclasses.replace(TINY, accumulate=2, deterministic=True), find_data([photos]), tmp_path / "alone"
    )
    folders = [tmp_path / "first", tmp_path / "second"]
    nodes = two_machines(photos, folders, "--checkpoint-seconds", "0")
    wait_for(lambda: max(steps_logged_so_far(folders[0])) >= 3, nodes[0])
    for node in nodes:
        node.send_signal(signal.SIGTERM)
    said = [node.communicate(timeout=120)[0] for node in nodes]
    assert not (folders[0] / "result.json").exists()
    assert "stopped at step" in said[0], said[0]
    nodes = two_machines(photos, folders, "--resume")
    # torchrun itself may wait 300 s at its end for the other machine's, when all is done.
    outputs = [node.communicate(timeout=420)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], "\n".join(outputs)
    assert "going on from step" in outputs[0]
    assert json.loads((folders[0] / "result.json").read_text())["processes"] == 2
    assert not folders[1].exists()
    mine, theirs = weights(alone), weights(folders[0])
    # Gradients are summed in another order: float32 rounding, grown over twelve steps of Adam.
    assert max((mine[k] - theirs[k]).abs().max().item() for k in mine) < 1e-4


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the names of threads in /proc")
def test_a_group_of_processes_leaves_no_threads_behind():
    """They would abort an interpreter that is being taken down (pytorch issue 190489), once in some tens of runs."""
    work = (
        "import os, sys, torch\n"
        "from pathlib import Path\n"
        "from scotopic.train.distributed import joined\n"
        "def threads():\n"
        "    return sorted(path.read_text().strip() for path in Path('/proc/self/task').glob('*/comm'))\n"
        "with joined('cpu') as world:\n"
        "    net = torch.nn.Conv2d(3, 3, 3)\n"
        "    together = torch.nn.parallel.DistributedDataParallel(net)\n"
        "    optimiser = torch.optim.AdamW(net.parameters())\n"
        "    together(torch.ones(1, 3, 8, 8)).sum().backward()\n"
        "    optimiser.step()\n"
        "    during = threads()\n"
        "    del together, net, optimiser\n"
        "assert any('gloo' in name for name in during), during\n"
        "sys.exit(str(threads()) if any('gloo' in name for name in threads()) else 0)\n"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", work],
            env={**ENVIRONMENT, **place, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=300)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)


def test_ctrl_c_saves_and_the_run_goes_on(photos, undisturbed, tmp_path):
    out = tmp_path / "run"
    process = subprocess.Popen(
        command(photos, out), env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: (out / "log.jsonl").exists(), process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    if process.returncode == 130:  # else it was through before the signal came
        assert "stopped at step" in said
        assert not (out / "result.json").exists()
        subprocess.run(command(photos, out, "--resume"), env=ENVIRONMENT, check=True, capture_output=True)
    assert same(weights(out), weights(undisturbed))


def test_micro_batches_that_cannot_be_shared_out_are_an_error():
    from scotopic.train.distributed import World

    world = World(1, 2, torch.device("cpu"))
    assert world.micro_batches(4) == [1, 3]
    with pytest.raises(SettingsError, match="accumulate=2"):
        world.micro_batches(3)


def test_photos_that_show_ranges_are_for_int8_alone(run, tmp_path, photos):
    with pytest.raises(SettingsError, match="not float16: give --precision int8 too"):
        export(run, tmp_path / "x", name="mine", version="1", precision="float16", calibration=photos)
    assert not (tmp_path / "x").exists()


def test_a_folder_that_is_given_twice_counts_once(photos):
    once = find_data([photos])
    assert find_data([photos, photos / ".." / photos.name]).facts() == once.facts()


def test_a_run_goes_on_only_by_the_same_recipe(run, photos):
    stored = Recipe.from_dict(json.loads((run / "recipe.json").read_text()))
    other = dataclasses.replace(stored, learning_rate=1e-3)
    with pytest.raises(SettingsError, match="learning_rate"):
        train(other, find_data([photos]), run, Options(resume=True))


def test_a_run_goes_on_only_with_the_same_data_and_a_finished_one_is_left(run, photos, tmp_path):
    stored = Recipe.from_dict(json.loads((run / "recipe.json").read_text()))
    other = tmp_path / "photos"
    shutil.copytree(photos, other)
    shutil.copy(other / "seen_0.jpg", other / "seen_2.jpg")
    with pytest.raises(SettingsError, match=r"data \(names_sha256\)"):
        train(stored, find_data([other]), run, Options(resume=True))
    before, said = (run / "log.jsonl").read_text(), []
    train(stored, find_data([photos]), run, Options(resume=True), say=said.append)
    assert "finished already" in said[-1]
    assert (run / "log.jsonl").read_text() == before


@pytest.mark.parametrize("left", ["nothing", "an earlier checkpoint's weights", "all but the weights"])
def test_a_run_that_was_killed_after_its_last_step_gets_its_weights_and_its_result(
    run, photos, tmp_path, left
):
    killed = tmp_path / "killed"
    shutil.copytree(run, killed)
    stored = Recipe.from_dict(json.loads((run / "recipe.json").read_text()))
    if left == "an earlier checkpoint's weights":
        (killed / "weights.safetensors").write_bytes(b"of an earlier step")
    else:
        (killed / "weights.safetensors").unlink()
    if left != "all but the weights":
        (killed / "result.json").unlink()
    said: list[str] = []
    train(stored, find_data([photos]), killed, Options(resume=True), say=said.append)
    assert "its weights and result are written now" in said[-1]
    assert (killed / "weights.safetensors").read_bytes() == (run / "weights.safetensors").read_bytes()
    assert json.loads((killed / "result.json").read_text()) == json.loads((run / "result.json").read_text())
    train(stored, find_data([photos]), killed, Options(resume=True), say=said.append)
    assert "finished already" in said[-1]


def test_a_run_whose_recipe_was_lost_is_an_error_of_ours(tmp_path, photos):
    (tmp_path / "recipe.json").write_text("")
    with pytest.raises(DatasetError, match="holds no training run"):
        train(TINY, find_data([photos]), tmp_path, Options(resume=True))
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="file: is a file, not a folder; give another"):
        train(TINY, find_data([photos]), tmp_path / "file")


def test_a_run_starts_from_a_model_a_run_or_a_file(run, photos, tmp_path):
    by_name = load_start("bayer-fast")
    card = json.loads((find("bayer-fast").folder / "card.json").read_text())
    architecture = Architecture.from_dict(card["recipe"]["architecture"])
    MosaicGraph(PACKINGS["bayer"], architecture).net.load_state_dict(by_name)
    assert same(load_start(str(run)), weights(run))
    assert same(load_start(str(run / "weights.safetensors")), weights(run))
    with pytest.raises(DatasetError, match="no weights of this network"):
        train(TINY, find_data([photos]), tmp_path / "a", Options(start=by_name, start_name="bayer-fast"))
    still = dataclasses.replace(TINY, steps=1, learning_rate=1e-9)
    going_on = train(
        still,
        find_data([photos]),
        tmp_path / "b",
        Options(start=weights(run), start_name="/home/me/runs/x"),
    )
    assert json.loads((going_on / "result.json").read_text())["started_from"] == "x"
    assert max((weights(going_on)[k] - v).abs().max().item() for k, v in weights(run).items()) < 1e-6


def test_the_fine_tuning_of_the_docs_takes_its_sizes_from_what_it_starts_from(tmp_path):
    said = (Path(__file__).parent.parent / "docs" / "training.md").read_text()
    found = re.search(r"scotopic (train scotopic --from bayer-fast .*?)\n\n", said, re.S)
    words = found[1].replace("\\\n", " ").split()
    write_miniature(tmp_path / "sid", scenes=3, size=(96, 128))
    pairs = [p for p in find_sid(tmp_path / "sid") if p.frame == "00"]
    for part in ("short", "long"):
        (tmp_path / "MYPAIRS" / part).mkdir(parents=True)
        for i, pair in enumerate(pairs):
            shutil.copy(getattr(pair, part), tmp_path / "MYPAIRS" / part / f"{i}.dng")
    assert {"MYPAIRS", "runs/mine", "steps=2000"} < set(words)
    words = ["steps=2" if w == "steps=2000" else w for w in words]
    words += ["--set", "crop=64", "--set", "batch=1", "--device", "cpu"]
    command = [sys.executable, "-m", "scotopic", *words]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    recipe = json.loads((tmp_path / "runs" / "mine" / "recipe.json").read_text())
    assert recipe["architecture"] == find("bayer-fast").raw["recipe"]["architecture"]
    assert recipe["learning_rate"] == 5e-5
    # Two steps after a warm-up that has hardly begun: still the model's own weights.
    mine, theirs = weights(tmp_path / "runs" / "mine"), load_start("bayer-fast")
    assert max((mine[k] - theirs[k]).abs().max().item() for k in mine) < 1e-4


def test_sizes_come_from_a_model_or_a_run_unless_they_are_set(run):
    model = Architecture.from_dict(find("bayer-fast").raw["recipe"]["architecture"])
    assert recipe_from("scotopic", [], "bayer-fast").architecture == model
    assert recipe_from("scotopic", ["crop=64"], str(run)).architecture == SMALL
    wider = recipe_from("scotopic", ["architecture.fine=40"], str(run)).architecture
    assert wider == dataclasses.replace(SMALL, fine=40)
    weights_alone = str(run / "weights.safetensors")
    assert recipe_from("scotopic", [], weights_alone) == recipe_named("scotopic")
    with pytest.raises(SettingsError, match="is bayer, and this run would train xtrans"):
        recipe_from("xtrans", [], "bayer-fast")
    with pytest.raises(SettingsError, match="is bayer, and this run would train paper-linear"):
        recipe_from("scotopic", ["network=paper-linear"], "bayer-fast")


def test_weights_of_other_sizes_are_named_shortly_before_anything_is_made(run, tmp_path):
    photos = Data([], [tmp_path / "nobody-looks.jpg"])
    options = Options(start=weights(run), start_name="w.safetensors")
    with pytest.raises(DatasetError, match=r"stem\.weight is 16x\d+x3x3 and not 48x") as caught:
        train(recipe_named("scotopic"), photos, tmp_path / "run", options)
    assert len(str(caught.value)) < 500
    assert not (tmp_path / "run").exists()


def test_two_trainings_in_one_folder_do_not_meet(photos, undisturbed, tmp_path):
    out = tmp_path / "run"
    with held(out), pytest.raises(WriteError, match=rf"process {os.getpid()} on .* is training"):
        train(TINY, find_data([photos]), out, Options(resume=True))
    ready = "from pathlib import Path; from scotopic.train.folder import held; import sys, time\n"
    ready += "with held(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    process = subprocess.Popen(
        [sys.executable, "-c", ready, str(out)], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    with pytest.raises(WriteError, match=f"process {process.pid} on"), held(out):
        pass
    process.kill()
    process.communicate()
    with held(out):  # what was killed leaves nothing that stands in the way
        pass
    too_large = dataclasses.replace(TINY, crop=TINY.crop * 64)
    with pytest.raises(DatasetError):
        train(too_large, find_data([photos]), tmp_path / "refused" / "run")
    assert not (tmp_path / "refused").exists()


def test_a_folder_that_a_run_took_away_as_another_opened_it_is_made_anew_and_held(tmp_path, monkeypatch):
    out, calls = tmp_path / "new" / "run", []

    def ended_first(handle: int) -> bool:
        calls.append(handle)
        if len(calls) == 1:
            shutil.rmtree(tmp_path / "new")  # as a run does that left nothing
        return locked(handle)

    monkeypatch.setattr(folder, "locked", ended_first)
    with held(out):
        assert (out / ".running").read_text().startswith(f"process {os.getpid()} on")
        with pytest.raises(WriteError, match="is training in this folder"), held(out):
            pass
    assert len(calls) == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("full", ["the first file", "a checkpoint"])
def test_a_full_disk_is_told_with_the_path_and_nothing_half_written_is_left(
    photos, tmp_path, monkeypatch, full
):
    if full == "the first file":
        monkeypatch.setattr(folder.os, "write", no_room)
        with pytest.raises(DiskFullError, match=r"\.running: .*make room"):
            train(TINY, find_data([photos]), tmp_path / "new" / "run")
        assert not (tmp_path / "new").exists()
        return
    kept = checkpoint.Checkpoint({"net": torch.zeros(3)}, {})
    checkpoint.save(tmp_path, 1, kept)
    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(DiskFullError, match=r"step-00000002\.safetensors: .*make room"):
        checkpoint.save(tmp_path, 2, kept)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.safetensors"]


def test_a_log_and_curves_without_room_are_told_with_their_paths(photos, tmp_path, monkeypatch):
    from torch.utils.tensorboard import SummaryWriter

    monkeypatch.setattr(SummaryWriter, "add_scalar", no_room)
    with pytest.raises(DiskFullError, match="tensorboard: could not be written"):
        train(TINY, find_data([photos]), tmp_path / "run")


def test_a_run_saves_and_tells_its_last_step_once(photos, tmp_path, monkeypatch):
    saved = []
    save = checkpoint.save
    monkeypatch.setattr(
        checkpoint, "save", lambda folder, step, what: saved.append(step) or save(folder, step, what)
    )
    steps = dataclasses.replace(TINY, steps=3)
    train(steps, find_data([photos]), tmp_path / "run", Options(checkpoint_seconds=0))
    assert saved == steps_logged(tmp_path / "run") == [1, 2, 3]
    asked = iter([False, False, True, True, True])
    train(
        steps,
        find_data([photos]),
        tmp_path / "stopped",
        Options(checkpoint_seconds=0, stop=lambda: next(asked)),
    )
    assert saved[3:] == [1, 2]


def test_the_last_line_tells_the_true_rate_and_pace(run):
    last = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 40
    assert 0 < last["rate"] < 1e-4
    assert last["samples_per_s"] > 0


def test_all_of_a_runs_files_may_be_read_by_whom_the_umask_lets(photos, tmp_path):
    before = os.umask(0o027)
    try:
        train(dataclasses.replace(TINY, steps=1), find_data([photos]), tmp_path / "run")
    finally:
        os.umask(before)
    found = {p.name: p.stat().st_mode & 0o777 for p in (tmp_path / "run").rglob("*") if p.is_file()}
    assert {"weights.safetensors", "recipe.json", "step-00000001.safetensors"} < found.keys()
    assert set(found.values()) == {0o640}


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_trains_too(photos, tmp_path, precision):
    recipe = dataclasses.replace(TINY, precision=precision, steps=4)
    train(recipe, find_data([photos]), tmp_path / "run")
    plain = train(dataclasses.replace(TINY, steps=4), find_data([photos]), tmp_path / "plain")
    mixed, full = weights(tmp_path / "run"), weights(plain)
    difference = max((mixed[k] - full[k]).abs().max().item() for k in mixed)
    assert 0 < difference < 5e-3


def test_a_run_becomes_a_model_that_enhances(run, tmp_path, dark):
    from scotopic.enhance import enhance

    export(run, tmp_path / "mine", name="mine", version="1", facts={"data": "four photos"})
    model = Model(tmp_path / "mine", device="cpu")
    assert model.card.raw["data"] == "four photos"
    assert model.card.raw["onnx_parity"] < 2e-4
    assert model.card.halo in (32, 64, 96)
    assert enhance(dark, model, ratio=100).data.shape == (*dark.data.shape, 3)
    assert sorted(p.name for p in (tmp_path / "mine").iterdir()) == ["README.md", "card.json", "model.onnx"]
    assert same(load_start(str(tmp_path / "mine")), weights(run))
    with pytest.raises(FileExistsRefusal):
        export(run, tmp_path / "mine", name="mine", version="2")
    with pytest.raises(SettingsError, match="sha256"):
        export(run, tmp_path / "other", name="mine", version="1", facts={"sha256": "0"})
    for what in ("name", "version"):
        with pytest.raises(SettingsError, match=f"the model's {what} is ' '"):
            export(run, tmp_path / "other", **{"name": "mine", "version": "1", what: " "})
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_smaller_precisions_are_smaller_and_give_the_same_picture(run, tmp_path, dark, photos):

    from scotopic.enhance import enhance

    pictures, plains, sizes = {}, {}, {}
    for precision in ("float32", "float16", "int8"):
        folder = tmp_path / precision
        shown = photos if precision == "int8" else None
        export(run, folder, name="mine", version="1", precision=precision, calibration=shown)
        model = Model(folder, device="cpu")
        assert model.card.raw["precision"] == precision
        pictures[precision] = enhance(dark, model, ratio=100).data
        sizes[precision] = sum(
            t.ByteSize() for t in onnx_initialisers(folder / "model.onnx") if "graph.net." in t.name
        )
        plains[precision] = enhance(dark, model, ratio=100, strength=0).data
    assert np.array_equal(plains["float32"], plains["float16"])
    assert np.array_equal(plains["float32"], plains["int8"])
    assert sizes["float16"] < 0.55 * sizes["float32"]
    assert sizes["int8"] < 0.45 * sizes["float32"]
    differences = {p: float(np.abs(pictures[p] - pictures["float32"]).mean()) for p in pictures}
    assert 0 < differences["float16"] < 1e-4
    assert 0 < differences["int8"] < 0.02
    bytes_of = {t.name for t in onnx_initialisers(tmp_path / "int8" / "model.onnx") if t.data_type == 3}
    for name in ("stem", "head", "decode_fine.second"):
        assert not any(f"graph.net.{name}." in t for t in bytes_of), (
            "what is seen and given stays in floats"
        )
    assert any("graph.net.decode_fine.first." in t for t in bytes_of)
    with pytest.raises(SettingsError, match="--calibrate"):
        export(run, tmp_path / "x", name="mine", version="1", precision="int8")


def onnx_initialisers(path: Path):
    import onnx

    return onnx.load(path).graph.initializer


def test_a_run_in_another_form_of_the_graph_is_a_start_and_no_result(run, photos, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(run, old)
    recipe = json.loads((old / "recipe.json").read_text())
    del recipe["graph"]  # as the first form had it
    (old / "recipe.json").write_text(json.dumps(recipe))
    with pytest.raises(DatasetError, match="--from"):
        export(old, tmp_path / "model", name="mine", version="1")
    assert not (tmp_path / "model").exists()
    with pytest.raises(SettingsError, match=r"another recipe \(graph\)"):
        train(Recipe.from_dict(recipe), find_data([photos]), old, Options(resume=True))
    assert load_start(str(old)).keys() == load_start(str(run)).keys()


def test_a_model_folder_is_made_when_its_files_are_and_killed_exports_leave_nothing(
    run, tmp_path, monkeypatch
):
    here = f"process 1 on {socket.gethostname()}\n"
    lines = {
        ".scotopic-export-old": here,
        "mine/.scotopic-export-older": here,
        ".export-settings": here,
        ".scotopic-export-of-another": "process 1 on another machine\n",
        ".scotopic-export-begun": "",
        ".scotopic-export-mine": None,
    }
    for name, line in lines.items():
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "model.onnx").touch()
        if line is not None:
            (tmp_path / name / ".running").write_text(line)
    kept = set(list(lines)[2:])
    seen = []

    def look(_words):
        seen.extend(sorted(path.name for path in tmp_path.iterdir()))

    with monkeypatch.context() as without_locks:
        without_locks.setattr("scotopic.train.folder.locked", lambda _handle: False)
        export(run, tmp_path / "mine", name="mine", version="1")
    assert all((tmp_path / name).exists() for name in lines), "nobody knows there who has ended"
    with staging(tmp_path / "another") as other:  # that one is at work
        export(run, tmp_path / "mine", name="mine", version="1", overwrite=True)
        assert {path.name for path in tmp_path.iterdir()} == {*kept, other.name, "mine"}
    assert sorted(p.name for p in (tmp_path / "mine").iterdir()) == ["README.md", "card.json", "model.onnx"]
    shutil.rmtree(tmp_path / "mine")
    export(run, tmp_path / "mine", name="mine", version="1", report=look)
    assert "mine" not in seen
    monkeypatch.setattr(onnx, "save", no_room)
    with pytest.raises(DiskFullError, match="other: could not be written"):
        export(run, tmp_path / "new" / "other", name="mine", version="1")
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "mine"}


def test_a_model_folder_that_is_there_is_all_that_an_export_touches(run, tmp_path, monkeypatch):
    elsewhere = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else tmp_path
    with tempfile.TemporaryDirectory(dir=elsewhere) as disk:
        (tmp_path / "mine").symlink_to(disk)
        for version in ("1", "2"):
            seen = []
            export(
                run,
                tmp_path / "mine",
                name="mine",
                version=version,
                overwrite=version == "2",
                report=lambda _words, seen=seen: seen.extend(p.name for p in tmp_path.iterdir()),
            )
            assert set(seen) == {"mine"}
            assert sorted(path.name for path in Path(disk).iterdir()) == [
                "README.md",
                "card.json",
                "model.onnx",
            ]
            assert Model(tmp_path / "mine").card.version == version
        # Killed between both files: no card of the other model stays.
        monkeypatch.setattr("scotopic.train.export.place", torn)
        with pytest.raises(KeyboardInterrupt):
            export(run, tmp_path / "mine", name="mine", version="3", overwrite=True)
        assert sorted(path.name for path in Path(disk).iterdir()) == ["README.md", "model.onnx"]
        monkeypatch.undo()
        with pytest.raises(FileExistsRefusal, match="--overwrite"):
            export(run, tmp_path / "mine", name="mine", version="3")
    with pytest.raises(WriteError, match="a link to one that is not there"):
        export(run, tmp_path / "mine", name="mine", version="1")


def torn(path: Path, fill, *, overwrite: bool) -> None:
    if path.name == "card.json":
        raise KeyboardInterrupt
    place(path, fill, overwrite=overwrite)


def test_what_is_no_start_and_no_model_is_sent_the_right_way(run, tmp_path):
    saved = next((run / "checkpoints").iterdir())
    with pytest.raises(DatasetError, match=rf"--resume.*{run}"):
        load_start(str(saved))
    with pytest.raises(
        UnknownModelError, match=r"is no model's name, folder or file: give .* a run's folder"
    ):
        load_start(str(tmp_path / "nothere"))
    with pytest.raises(UnknownModelError, match="holds neither a run nor a model"):
        recipe_from("scotopic", [], str(tmp_path))
    import onnx

    folder = tmp_path / "rounded"
    shutil.copytree(find("bayer-fast").folder, folder)
    whole = onnx.load(folder / "model.onnx")
    whole.graph.node.append(onnx.helper.make_node("DequantizeLinear", ["a", "b"], ["c"]))
    onnx.save(whole, folder / "model.onnx")
    card = json.loads((folder / "card.json").read_text()) | {"sha256": sha256(folder / "model.onnx")}
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(DatasetError, match=r"is an int8 model.*and no start: give the folder of the run"):
        load_start(str(folder))
    with pytest.raises(UnknownModelError, match=f"models export {run} FOLDER"):
        find(run)


def test_int8_of_a_papers_network_is_refused_before_photos_are_asked_for(tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps(recipe_named("paper").to_dict()))
    save_weights(PaperGraph().net.state_dict(), tmp_path)
    with pytest.raises(SettingsError, match="finished pictures"):
        export(tmp_path, tmp_path / "model", name="mine", version="1", precision="int8")


def test_a_folder_among_frames_is_refused(tmp_path):
    write_miniature(tmp_path / "SID", scenes=3, size=(96, 128))
    words = ["train", "scotopic", "--data", str(tmp_path / "SID")]
    inside = tmp_path / "SID" / "Sony" / "long" / "run"
    told = CliRunner().invoke(app, [*words, "--out", str(inside)])
    assert (told.exit_code, "among the frames" in told.output) == (2, True)
    assert not inside.exists()
    # One that lies there already goes on.
    inside.mkdir()
    (inside / "recipe.json").write_text("{}")
    told = CliRunner().invoke(app, [*words, "--out", str(inside), "--resume"])
    assert "among the frames" not in told.output
    assert "no training run that can be read" in told.output


def test_pairs_are_learnt_from_as_their_camera_s_profile_puts_them_right(tmp_path, monkeypatch):
    write_miniature(tmp_path / "SID", scenes=3, size=(96, 128))
    photo = read_mosaic(find_sid(tmp_path / "SID")[0].short)
    mine = camera_profile((100.0, 12800.0), shape=(96, 128), camera=(photo.make, photo.model))
    mine.save(tmp_path / "camera.json")
    words = ["train", "scotopic", "--data", str(tmp_path / "SID"), "--out", str(tmp_path / "run")]
    words += ["--set", "steps=1", "--set", "crop=64", "--set", "batch=1"]
    told = CliRunner().invoke(app, [*words, "--profile", str(tmp_path / "camera.json")])
    assert told.exit_code == 0, told.output
    assert identity(mine) in (tmp_path / "run" / "cache" / "index.json").read_text()


def test_a_run_is_never_written_over(run, photos):
    before = (run / "weights.safetensors").read_bytes()
    with pytest.raises(WriteError, match="holds a training run"):
        train(Recipe(), find_data([photos]), run)
    assert (run / "weights.safetensors").read_bytes() == before


def test_the_exported_graph_and_torch_agree_in_every_operator(run, tmp_path):
    export(run, tmp_path / "mine", name="mine", version="1")
    _, graph = load_run(run)
    assert parity(graph, tmp_path / "mine" / "model.onnx", TINY)[0] < 2e-4
    with torch.no_grad():
        graph.net.head.bias.add_(0.05)
    assert parity(graph, tmp_path / "mine" / "model.onnx", TINY)[0] > 2e-4


def test_missing_data_and_missing_runs_are_errors_of_ours(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no photos"):
        find_data([tmp_path / "empty"])
    with pytest.raises(DatasetError, match="there is no such folder"):
        find_data([tmp_path / "none"])
    with pytest.raises(DatasetError, match="none is left"):
        train(Recipe(held_out=("18f", "budgie")), find_data([PHOTOS]), tmp_path / "run")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(b"not a picture")
    (tmp_path / "bad" / "b.jpg").write_bytes(b"not a picture")
    with pytest.raises(DatasetError, match="no picture"):
        train(TINY, find_data([tmp_path / "bad"]), tmp_path / "run")
    with pytest.raises(DatasetError, match="holds no training run"):
        load_run(tmp_path)
    (tmp_path / "Night" / "Short").mkdir(parents=True)
    with pytest.raises(DatasetError, match="holds no pairs"):
        find_data([tmp_path / "Night"])
    with pytest.raises(DatasetError, match="pairs of a short and a long"):
        train(Recipe(network="paper", loss="l1"), find_data([PHOTOS]), tmp_path / "run")


def steps_logged_so_far(run: Path) -> list[int]:
    """The steps in a log that is being written: its last line may not be whole."""
    found = [0]
    log = run / "log.jsonl"
    for line in log.read_text().splitlines() if log.exists() else []:
        try:
            found.append(json.loads(line)["step"])
        except ValueError:
            continue
    return found


def wait_for(condition, process: subprocess.Popen) -> None:
    for _ in range(1200):
        if condition():
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    raise AssertionError(process.stderr.read().decode())


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.slow
def test_the_papers_network_learns_two_scenes_by_heart(tmp_path):
    """A truth that lies wrong over its mosaic, or another scene's, leaves it at one level of grey or below."""
    write_miniature(tmp_path / "SID", scenes=5, size=(72, 72))
    found = [p for p in find_sid(tmp_path / "SID") if p.split == "train" and p.ratio == 100]
    pairs = list({p.scene: p for p in found}.values())[:2]
    assert len({p.scene for p in pairs}) == 2
    recipe = dataclasses.replace(
        recipe_named("article"),
        **{"loss": "l1", "crop": 64, "batch": 2, "epochs": 0, "steps": 1000, "warmup_steps": 20},
        **{"learning_rate": 1e-3, "final_rate": 5e-5, "schedule": "cosine"},
    )
    run = train(recipe, Data(pairs, []), tmp_path / "run", Options(board=False))
    _, graph = load_run(run)
    cache = PairCache.open(pairs, run / "cache", truth="srgb")
    crops = PairCrops(cache, "train", 64, torch.device("cpu"))
    gains = []
    for seed in range(6):
        batch = crops.batch(2, torch.Generator().manual_seed(seed))
        grey = batch.target.mean(dim=(2, 3), keepdim=True).expand_as(batch.target)
        with torch.no_grad():
            rgb = graph(*batch.inputs())[0]
        reached, flat = (
            psnr_by_picture("srgb", picture, batch.target, batch.to_srgb) for picture in (rgb, grey)
        )
        gains += (reached - flat).tolist()
    assert min(gains) > 1.5
    assert sum(gains) / len(gains) > 4


def test_a_network_without_its_idle_channels_gives_the_same_and_trains_on(run, photos, tmp_path):
    stored, graph = load_run(run)
    recipe = Recipe.from_dict(stored["recipe"])
    batch = Simulated(find_data([photos]).photos, recipe, torch.device("cpu"), 1).draw(5)
    with torch.no_grad():
        # Channels that nobody takes: what pruning must find.
        for name in ("decode_fine.second", "bottom.0.second"):
            graph.net.get_submodule(name).weight[:, 4:] = 0
        for name in ("down_coarse", "bottom.0.second"):
            graph.net.get_submodule(name).weight[10:] = 0
            graph.net.get_submodule(name).bias[10:] = 0
        smaller = dataclasses.replace(SMALL, coarse=10, inner=(16, 4, 16, 4))
        start = resize(graph, smaller, [batch.inputs()])
        small = MosaicGraph(recipe.packing, smaller).eval()
        small.net.load_state_dict(start)
        assert torch.allclose(small(*batch.inputs())[0], graph(*batch.inputs())[0], atol=1e-5)
    going_on = dataclasses.replace(TINY, architecture=smaller, steps=1)
    train(going_on, find_data([photos]), tmp_path / "on", Options(start=start, start_name="pruned"))
    export(tmp_path / "on", tmp_path / "model", name="small", version="1")
    parameters = sum(v.numel() for v in graph.net.state_dict().values())
    assert json.loads((tmp_path / "model" / "card.json").read_text())["parameters"] < 0.9 * parameters
    with pytest.raises(SettingsError, match="blocks at the bottom"):
        resize(graph, dataclasses.replace(SMALL, bottom_blocks=2), [batch.inputs()])
    with pytest.raises(SettingsError, match="4 numbers"):
        dataclasses.replace(SMALL, inner=(1, 2))


def test_a_network_with_more_channels_and_blocks_gives_the_same_and_learns_in_all_of_them(run, photos):
    stored, graph = load_run(run)
    recipe = Recipe.from_dict(stored["recipe"])
    batch = Simulated(find_data([photos]).photos, recipe, torch.device("cpu"), 1).draw(5)
    larger = dataclasses.replace(
        SMALL, fine=24, middle=20, coarse=40, inner=(8, 24, 20, 16), fine_encoder=12
    )
    fewer_inside = dataclasses.replace(SMALL, inner=(8, 16, 16, 16))
    half_way = MosaicGraph(recipe.packing, fewer_inside)
    half_way.net.load_state_dict(resize(graph, fewer_inside, [batch.inputs()]))
    large = MosaicGraph(recipe.packing, larger)
    large.net.load_state_dict(resize(graph, larger, [batch.inputs()]))
    with torch.no_grad():
        expected, found = half_way(*batch.inputs())[0], large(*batch.inputs())[0]
    assert torch.allclose(found, expected, atol=1e-5)
    for _ in range(2):  # What is drawn at random learns once something is taken of it.
        large.net.zero_grad()
        (large(*batch.inputs())[0] - batch.target).square().mean().backward()
        with torch.no_grad():
            for p in large.net.parameters():
                p -= 1e-2 * p.grad
    assert all((p.grad != 0).any() for p in large.net.parameters())


def test_the_last_layers_filters_are_cut_to_their_middle_or_framed(run, photos):
    stored, graph = load_run(run)
    recipe = Recipe.from_dict(stored["recipe"])
    batch = Simulated(find_data([photos]).photos, recipe, torch.device("cpu"), 1).draw(5)
    pixelwise = dataclasses.replace(SMALL, head=1)
    small = MosaicGraph(recipe.packing, pixelwise)
    small.net.load_state_dict(resize(graph, pixelwise, [batch.inputs()]))
    assert torch.equal(small.net.head.weight, graph.net.head.weight[..., 1:2, 1:2])
    back = MosaicGraph(recipe.packing, SMALL)
    back.net.load_state_dict(resize(small, SMALL, [batch.inputs()]))
    with torch.no_grad():
        assert torch.allclose(back(*batch.inputs())[0], small(*batch.inputs())[0], atol=1e-5)
    with pytest.raises(SettingsError, match="head 2 must be 1 or 3"):
        dataclasses.replace(SMALL, head=2)


def test_a_model_is_resized_by_command_and_the_weights_are_a_start(photos, tmp_path, run):
    words = ["architecture.fine=8", "architecture.inner=[16,8,16,8]"]
    command = [
        sys.executable,
        "-m",
        "scotopic",
        "models",
        "resize",
        str(run),
        str(tmp_path / "a.safetensors"),
    ]
    options = ["--data", str(photos), *(w for word in words for w in ("--set", word))]
    done = subprocess.run([*command, *options], capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert "--set 'architecture.inner=[16,8,16,8]'" in done.stdout
    _, weights_of = resized(str(run), words, photos)
    assert same(load_start(str(tmp_path / "a.safetensors")), weights_of)
    assert subprocess.run([*command, *options], capture_output=True, env=ENVIRONMENT).returncode == 1


def test_the_x_trans_network_learns_from_the_fuji_half_and_is_exported(tmp_path):
    write_miniature(tmp_path / "SID", scenes=3, size=(192, 240))
    recipe = dataclasses.replace(
        recipe_named("xtrans"), architecture=SMALL, crop=96, batch=1, steps=2, warmup_steps=0
    )
    data = find_data([tmp_path / "SID"], recipe.packing.pattern.sensor)
    assert {p.short.parent.parent.name for p in data.pairs} == {"Fuji"}
    train(recipe, data, tmp_path / "run")
    export(tmp_path / "run", tmp_path / "model", name="mine", version="1")
    card = json.loads((tmp_path / "model" / "card.json").read_text())
    assert (card["cfa"], card["size_multiple"]) == ("xtrans", 48)
    short = read_mosaic(data.pairs[0].short)
    result = enhance(short, Model(tmp_path / "model", device="cpu"), ratio=data.pairs[0].ratio)
    assert result.data.shape == (*short.data.shape, 3)
    with pytest.raises(DatasetError, match="bayer sensors"):
        train(TINY, data, tmp_path / "other")
