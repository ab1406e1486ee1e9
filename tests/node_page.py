"""The page's modules run in Node, without a browser."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scotopic

STATIC = Path(scotopic.__file__).parent / "web" / "static"
SCRIPTS = Path(__file__).parent / "node"


def run(script: str, *arguments: Any, **environment: str) -> list[dict[str, Any]]:
    """The JSON lines that a script in tests/node prints; skips aloud where there is no Node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node here to run the page's modules (apt-get install nodejs)")
    done = subprocess.run(
        [node, str(SCRIPTS / script), str(STATIC), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.split("\n") if line]


def read_all(paths: list[Path], folder: Path, **environment: str) -> dict[Path, dict[str, Any]]:
    """What the page reads from each file; `data` is an array, (H, W) or (H, W, 3). `code` where it refuses."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for number, (path, told) in enumerate(
        zip(paths, run("read_files.mjs", folder, *paths, **environment), strict=True)
    ):
        if "code" not in told:
            kind = {"Uint16Array": np.uint16, "Float32Array": np.float32}[told["type"]]
            flat = np.fromfile(folder / f"{number}.bin", kind)
            size = (told["height"], told["width"])
            told["data"] = (
                flat.reshape(size)
                if told["kind"] == "mosaic"
                else np.moveaxis(flat.reshape(3, *size), 0, -1)
            )
        found[path] = told
    return found
