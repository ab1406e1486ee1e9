"""What calculates a model's graph: an ONNX Runtime session, and the lanes its tiles go through."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from scotopic.frame import Counts, Linear32

CPU, CUDA, OPENVINO = "cpu", "cuda", "openvino"

Trim = tuple[tuple[int, int], tuple[int, int]]
"""Pixels of a tile that the graph leaves out: at the top and bottom, at the left and right."""

Feed = dict[str, npt.NDArray[np.float32]]
"""The graph's inputs beside the mosaic."""

PROVIDERS = {CPU: "CPUExecutionProvider", CUDA: "CUDAExecutionProvider"}


class Lane(Protocol):
    """What one tile after another goes through: memory that is used again, since fresh memory costs time."""

    def run(self, piece: Counts, trim: Trim) -> dict[str, Linear32]:
        """The outputs (3, h, w) of the graph, without what is trimmed, for a piece of at most `largest` pixels.

        They lie in the lane's memory until the next.
        """


class Runtime(Protocol):
    """A graph, opened: its names, and lanes through it."""

    device: str
    lanes: int
    """Tiles that may be under way at a time."""
    cores: int
    """Threads of each lane."""
    inputs: set[str]
    outputs: set[str]

    def lane(self, feed: Feed, outputs: list[str], largest: int) -> Lane:
        """For some of the outputs of pieces of up to `largest` pixels."""


def session(
    graph: bytes, threads: int, providers: Iterable[str] = (PROVIDERS[CPU],), *, shares_memory: bool = False
) -> ort.InferenceSession:
    """An ONNX Runtime session as all of ours are opened; those that share memory have one store of it together."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # A plan of memory for each size of tile is kept beside the memory that the first tile took: twice
    # as much for nothing gained.
    options.enable_mem_pattern = False
    if shares_memory:
        _open_shared_memory()
        options.add_session_config_entry("session.use_env_allocators", "1")
    return ort.InferenceSession(graph, options, providers=list(providers))


@cache
def _open_shared_memory() -> None:
    """Once a process."""
    kind = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(kind, ort.OrtArenaCfg(0, -1, -1, -1))


class OnnxRuntime:
    """The whole graph in one ONNX Runtime session."""

    def __init__(self, graph: bytes, lanes: int, cores: int, providers: list[str]) -> None:
        self.session = session(graph, cores, providers)
        self.device = self.session.get_providers()[0].removesuffix("ExecutionProvider").lower()
        self.lanes, self.cores = lanes, cores
        self.inputs = {node.name for node in self.session.get_inputs()}
        self.outputs = {node.name for node in self.session.get_outputs()}

    def lane(self, feed: Feed, outputs: list[str], largest: int) -> Lane:
        """As `Runtime` says."""
        return _OnnxLane(self.session, feed, outputs, largest)


class _OnnxLane:
    def __init__(self, session: ort.InferenceSession, feed: Feed, outputs: list[str], largest: int) -> None:
        self._binding = Binding(session)
        for name, values in feed.items():
            self._binding.give(name, values)
        self._binding.offer("with_plain", np.array("plain" in outputs))
        self._results = Results(outputs, largest)
        self._counts = MosaicInput(largest)

    def run(self, piece: Counts, trim: Trim) -> dict[str, Linear32]:
        self._binding.give("mosaic", self._counts.of(piece))
        self._binding.offer("trim", trim_input(trim))
        views = self._results.shaped(piece, trim)
        self._binding.run_into(views)
        return {name: view[0] for name, view in views.items()}


class Binding:
    """A session with what it takes from memory of ours, and puts into it."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session, self._binding = session, session.io_binding()
        self._given: dict[str, ort.OrtValue] = {}
        nodes = [*session.get_inputs(), *session.get_overridable_initializers()]
        self._names = {node.name for node in nodes}

    def give(self, name: str, values: npt.NDArray[np.generic] | ort.OrtValue) -> None:
        """An input."""
        # The value looks into numpy's memory, and before 1.30 ONNX Runtime does not keep it.
        if not isinstance(values, ort.OrtValue):
            values = ort.OrtValue.ortvalue_from_numpy(values)
        self._given[name] = values
        self._binding.bind_ortvalue_input(name, values)

    def offer(self, name: str, values: npt.NDArray[np.generic]) -> None:
        """An input, where the session takes one of that name."""
        if name in self._names:
            self.give(name, values)

    def run_into(self, views: dict[str, Linear32]) -> None:
        """Calculate outputs into arrays that are there."""
        for name, view in views.items():
            self._binding.bind_output(name, "cpu", 0, np.float32, view.shape, view.ctypes.data)
        self._session.run_with_iobinding(self._binding)

    def run_for(self, outputs: list[str]) -> dict[str, ort.OrtValue]:
        """Calculate outputs, in memory of ONNX Runtime's."""
        self._binding.clear_binding_outputs()
        for name in outputs:
            self._binding.bind_output(name)
        self._session.run_with_iobinding(self._binding)
        return dict(zip(outputs, self._binding.get_outputs(), strict=True))


class MosaicInput:
    """The input `mosaic` of one piece after another."""

    def __init__(self, largest: int) -> None:
        self._counts = np.empty(largest, np.float32)

    def of(self, piece: Counts) -> Linear32:
        """A piece (h, w) as (1, 1, h, w) in floats."""
        mosaic = self._counts[: piece.size].reshape(1, 1, *piece.shape)
        np.copyto(mosaic, piece)
        return mosaic


class Results:
    """Memory for the outputs of one piece after another."""

    def __init__(self, outputs: list[str], largest: int) -> None:
        self._buffers = {name: np.empty(3 * largest, np.float32) for name in outputs}

    def shaped(self, piece: Counts, trim: Trim) -> dict[str, Linear32]:
        """As (1, 3, h, w) for a piece without what is trimmed."""
        (top, bottom), (left, right) = trim
        shape = (1, 3, piece.shape[0] - top - bottom, piece.shape[1] - left - right)
        return {name: memory[: math.prod(shape)].reshape(shape) for name, memory in self._buffers.items()}


def trim_input(trim: Trim) -> npt.NDArray[np.int64]:
    """As the graph takes it: top, left, bottom, right."""
    (top, bottom), (left, right) = trim
    return np.array([top, left, bottom, right], np.int64)
