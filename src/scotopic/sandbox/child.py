"""The child that decodes one file and ends: `python -m scotopic.sandbox.child`, started by `parent.py`."""

from __future__ import annotations

import json
import os
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np

from scotopic.disk.sidecars import keep
from scotopic.dng.origin import read_origin
from scotopic.errors import ReadError, ScotopicError
from scotopic.read import libraw_develop, read
from scotopic.sandbox import wire
from scotopic.sandbox.kernel import confine, libraries
from scotopic.sandbox.limits import Limits, bind

READY = b"R"
"""What the child sends first: from here on the file is to blame."""


def main() -> None:
    """Take a task from standard input, bind this process, decode, answer on what was standard output."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    # Whatever a library prints must not end in the answer.
    os.dup2(2, 1)
    task: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    path = Path(os.fsdecode(bytes.fromhex(task["path"])))
    bind(Limits(**task["limits"]), task["parent"])
    confine([*libraries(), path, *keep(path)])
    _send(answers.fileno(), READY)
    data: Any = None
    try:
        header, data = _done(task, path)
        content = wire.dumped(header)
    except MemoryError:
        content = wire.dumped({"error": "MemoryError", "words": ""})
    except ScotopicError as error:
        kind = type(error).__name__ if isinstance(error, ReadError) else "ReadError"
        content = wire.dumped({"error": kind, "words": str(error)})
    except Exception as error:
        content = wire.dumped({"error": "Fault", "words": f"{type(error).__name__}: {error}"})
    _send(answers.fileno(), struct.pack("<Q", len(content)) + content)
    if data is not None:
        for row in data:
            _send(answers.fileno(), memoryview(row if row.flags.c_contiguous else row.copy()).cast("B"))


def _done(task: dict[str, Any], path: Path) -> tuple[dict[str, Any], Any]:
    """A header, and an array or None."""
    match task["what"]:
        case "read":
            return wire.packed(read(path))
        case "origin":
            return wire.packed_origin(read_origin(path, *task["size"])), None
        case "libraw":
            picture = libraw_develop(path, **task["choices"])
            return {"kind": "shown", "dtype": picture.dtype.name, "shape": list(picture.shape)}, picture
        case "graph":
            _try_graph(path, task["planes"], task["side"])
            return {"kind": "graph"}, None
        case other:
            raise ValueError(f"no task {other}")


def _try_graph(path: Path, planes: int, side: int) -> None:
    """Open a graph and run it on a small picture."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        levels = {"black": 512.0, "white": 16383.0, "wb": 1.0, "shot": 1e-3, "read": 1e-5}
        feed = {name: np.full(planes, level, np.float32) for name, level in levels.items()}
        mosaic = np.full((1, 1, side, side), 600, np.float32)
        session.run(None, feed | {"mosaic": mosaic, "ratio": np.array([10], np.float32)})
    except Exception as error:
        # ONNX Runtime's own have no common root.
        words = " ".join(str(error).split())
        if "bad_alloc" in words or "Failed to allocate" in words:
            raise MemoryError from error
        raise ReadError(words) from error


def _send(where: int, content: bytes | memoryview) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(where, rest) :]


if __name__ == "__main__":
    main()
    # Nothing is worth tidying up, and a broken library may hang at that.
    os._exit(0)
