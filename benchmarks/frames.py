"""What the benchmarks of speed and memory share: a dark frame of any size, peak memory, the paper's network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from scotopic.develop import develop
from scotopic.dng.write import write_linear, write_mosaic
from scotopic.evaluate.scenes import load_all
from scotopic.frame import Linear
from scotopic.sensor.simulated import expose, sony_a7s2

HEIGHT, WIDTH = 2848, 4256
"""The size of the paper's camera, a Sony A7S II: 12 MP."""

RATIO, ISO = 100, 3200


def make_raw(path: Path, height: int = HEIGHT, width: int = WIDTH, *, finished: bool = False) -> None:
    """A dark photo, tiled from a held-out scene; no larger piece of it than the paper's frame is simulated.

    A mosaic, or with `finished` colours a linear DNG, whose three colours are the mosaic's values.
    """
    scene = load_all(limit=1)[0].camera
    high, wide = min(height, HEIGHT), min(width, WIDTH)
    repeats = (-(-high // scene.shape[0]), -(-wide // scene.shape[1]), 1)
    frame = np.tile(scene.astype(np.float32), repeats)[:high, :wide]
    mosaic = expose(frame, sony_a7s2(ISO), RATIO, np.random.default_rng(0))
    data = np.tile(mosaic.data, (-(-height // high), -(-width // wide)))[:height, :width]
    if not finished:
        write_mosaic(path, mosaic.with_changes(data=data))
        return
    black = np.float32(mosaic.black.mean())
    light = (np.maximum(data, black) - black) / np.float32(mosaic.white - black)
    linear = Linear(data=np.repeat(light[..., None], 3, axis=2), clip=1.0, ratio=1.0, wb=mosaic.wb)
    write_linear(path, linear, develop(linear))


def export_paper(path: Path) -> None:
    """The paper's network as ONNX, in a process of its own: torch must not share the memory figure."""
    code = (
        "import sys, torch; from scotopic.train.paper import PaperUNet; "
        "torch.onnx.export(PaperUNet().eval(), (torch.zeros(1, 4, 64, 64),), sys.argv[1], "
        "input_names=['packed'], dynamic_axes={'packed': {2: 'h', 3: 'w'}}, dynamo=False)"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(path)], check=True, capture_output=True)


def peak_mb(code: str, *words: str) -> float:
    """Peak resident memory of a Python process of its own, in units of 1,048,576 bytes.

    Linux keeps the parent's peak in ru_maxrss across fork and exec, so its own high-water mark is read.
    """
    probe = code + (
        "\nimport pathlib, re, resource, sys\n"
        "status = pathlib.Path('/proc/self/status')\n"
        "if status.exists(): print(int(re.search(r'VmHWM:\\s+(\\d+)', status.read_text())[1]) / 1024)\n"
        "else: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)"
    )
    done = subprocess.run([sys.executable, "-c", probe, *words], check=True, capture_output=True, text=True)
    return round(float(done.stdout.split()[-1]), 1)


ENHANCE = (
    "import sys; from scotopic.cli import app; "
    "failed = app(['enhance', *sys.argv[1:], '--overwrite'], standalone_mode=False); "
    "assert not failed"
)
"""Code for `peak_mb`: the command line on the words that follow."""
