"""A model's network in OpenVINO, what stands around it in ONNX Runtime."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
from PIL import Image
from typer.testing import CliRunner

from conftest import SAMPLE
from scotopic.cli import app
from scotopic.errors import SettingsError
from scotopic.models import find, verified, with_optional
from scotopic.run import GraphInputs, Model

pytest.importorskip("openvino", reason="the openvino extra is not installed")

from scotopic.inference import openvino_runtime

LEVELS = (512.0, 16383.0, 1.5, 1e-4, 1e-7)


def inputs_for(model: Model, ratio: float = 60.0) -> GraphInputs:
    return GraphInputs(*((v,) * len(model.pattern.colour_of_plane) for v in LEVELS), ratio)


def somewhat_lit(rng, size=(300, 420)) -> np.ndarray:
    """A noisy ramp with a lamp in it."""
    mosaic = rng.poisson(np.linspace(0, 150, size[1]), size) + rng.normal(512, 3, size)
    mosaic[100:120, 200:230] = 16383
    return mosaic.astype(np.uint16)


@pytest.fixture(scope="module")
def in_floats():
    """Each model with its network in 32-bit floats, whatever this processor has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openvino_runtime, "has_bfloat16", lambda core: False)
        yield {name: Model(name, device="openvino") for name in ("bayer-fast", "bayer-best", "xtrans-fast")}


@pytest.mark.parametrize("name", ["bayer-fast", "bayer-best", "xtrans-fast"])
@pytest.mark.parametrize("strength", [1.0, 0.4, 0.0])
def test_in_floats_the_parts_together_are_the_whole(in_floats, rng, name, strength):
    mosaic, apart = somewhat_lit(rng), in_floats[name]
    assert apart.device == "openvino"
    assert apart._runtime.precision == openvino_runtime.FLOAT32
    assert apart._runtime.lanes == 1
    whole = Model(name, device="cpu")
    inputs, tile = inputs_for(whole), 3 * whole.card.size_multiple
    expected = whole.run(mosaic, inputs, strength=strength, tile=tile)
    found = apart.run(mosaic, inputs, strength=strength, tile=tile)
    assert np.abs(found - expected).max() < 2e-4 * expected.max()
    assert np.abs(found - expected).mean() < 1e-6


@pytest.mark.parametrize("name", ["bayer-fast", "bayer-best", "xtrans-fast"])
def test_in_what_the_processor_has_the_picture_is_the_same_to_the_eye(rng, name):
    """Light of 0..1; noise alone leaves some 0.03 of error in such a picture."""
    mosaic, apart = somewhat_lit(rng), Model(name, device="openvino")
    has_bfloat16 = openvino_runtime.has_bfloat16(openvino_runtime.ov.Core())
    wanted = openvino_runtime.BFLOAT16 if has_bfloat16 else openvino_runtime.FLOAT32
    assert apart._runtime.precision == wanted
    inputs = inputs_for(apart)
    difference = apart.run(mosaic, inputs) - Model(name, device="cpu").run(mosaic, inputs)
    assert np.sqrt(np.mean(difference**2)) < 0.003
    assert abs(np.mean(difference)) < 0.001
    small = apart.run(mosaic, inputs, tile=2 * apart.card.size_multiple)
    assert np.abs(small - apart.run(mosaic, inputs)).max() < 0.05


def test_pictures_at_the_same_time_do_not_mix(in_floats, rng):
    from concurrent.futures import ThreadPoolExecutor

    model = in_floats["bayer-fast"]
    mosaics = [somewhat_lit(rng, (160 + 32 * n, 256)) for n in range(4)]
    ratios = [20.0, 50.0, 100.0, 200.0]
    alone = [model.run(m, inputs_for(model, r), tile=96) for m, r in zip(mosaics, ratios, strict=True)]
    with ThreadPoolExecutor(4) as threads:
        tasks = [
            threads.submit(model.run, m, inputs_for(model, r), tile=96)
            for m, r in zip(mosaics, ratios, strict=True)
        ]
        for task, expected in zip(tasks, alone, strict=True):
            assert np.array_equal(task.result(), expected)


def test_a_file_through_the_command_line(tmp_path):
    for device in ("cpu", "openvino"):
        words = ["enhance", str(SAMPLE), "-o", str(tmp_path / f"{device}.png"), "--device", device]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
    one, other = (np.asarray(Image.open(tmp_path / f"{d}.png"), float) for d in ("cpu", "openvino"))
    assert np.abs(one - other).mean() < 0.5
    assert np.abs(one - other).max() <= 16


def test_nobody_is_called(tmp_path):
    """OpenVINO's package brings a telemetry module along: nothing of it may run."""
    script = """
import sys
seen = []
def watch(event, arguments):
    if event.startswith("socket.") or (event == "import" and "telemetry." in arguments[0]):
        seen.append((event, str(arguments)))
sys.addaudithook(watch)
import numpy as np
from scotopic.run import GraphInputs, Model
model = Model("bayer-fast", device="openvino")
model.run(np.full((64, 64), 600, np.uint16), GraphInputs(*((v,) * 4 for v in (512.0, 16383.0, 1.0, 1e-4, 1e-7)), 9.0))
print(seen)
"""
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(home)},
        check=True,
    )
    assert done.stdout.strip() == "[]"
    assert not list(home.rglob("*"))


def test_models_of_others_are_not_opened_by_it(tmp_path):
    """Nobody has tried their graphs in OpenVINO with limits on memory and time."""
    folder = tmp_path / "mine"
    shutil.copytree(find("bayer-fast").folder, folder)
    with pytest.raises(SettingsError, match=r"models that come with scotopic.*--device cpu"):
        Model(folder, device="openvino")


def test_without_the_extra_it_says_what_to_install():
    script = (
        "import sys; sys.modules['openvino'] = None\n"
        "from scotopic.cli import main\n"
        f"sys.argv = ['scotopic', 'enhance', {str(SAMPLE)!r}, '-o', 'unmade.jpg', '--device', 'openvino']\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert ".[openvino]" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_shared_is_made_once_and_the_network_gets_it_whole():
    parts = openvino_runtime.cut(with_optional(verified(find("bayer-fast"))))
    made = [
        {n for node in part.graph.node for n in node.output}
        for part in (parts.before, parts.network, parts.after)
    ]
    assert parts.seen in made[0]
    assert set(parts.shared) <= made[0] - made[2]
    assert set(parts.given) <= made[1] - made[2]
    convolutions = {
        node.name for node in parts.network.graph.node if node.op_type in ("Conv", "ConvTranspose")
    }
    whole = onnx.load_from_string(verified(find("bayer-fast"))).graph.node
    assert convolutions == {
        n.name for n in whole if n.op_type in ("Conv", "ConvTranspose") and "/net/" in n.name
    }
