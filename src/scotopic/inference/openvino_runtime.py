"""A model's network in OpenVINO, what stands around it in ONNX Runtime (extra `openvino`).

Most of the time goes into the network, and it bears 16-bit floats (bfloat16), which some processors multiply at three
times the speed; the light around it does not. So the graph is cut in three: before the network, the network, after it.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from scotopic.errors import SettingsError, how_to_get
from scotopic.frame import Counts, Linear32
from scotopic.inference.onnx_runtime import (
    OPENVINO,
    Binding,
    Feed,
    Lane,
    MosaicInput,
    Results,
    Trim,
    session,
    trim_input,
)
from scotopic.models import NETWORK
from scotopic.models.onnx_nodes import needed

_TELEMETRY = "openvino_telemetry"

try:
    # Importing it leaves a number for this user in the home folder; without it OpenVINO's package does as well.
    _was = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    import onnx
    import openvino as ov
except ImportError as error:
    raise SettingsError(
        f"device {OPENVINO} is not available ({error}): {how_to_get('openvino')}"
    ) from error
finally:
    del sys.modules[_TELEMETRY]
    if _was is not None:
        sys.modules[_TELEMETRY] = _was

# glibc has it.
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None

MOSAIC = "mosaic"

FLOAT32, BFLOAT16 = "f32", "bf16"
"""Precisions that a network may be calculated in, as OpenVINO calls them: bfloat16 where the processor has it."""


def has_bfloat16(core: ov.Core) -> bool:
    """Whether this processor multiplies it, so that OpenVINO takes it by itself."""
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@dataclass(frozen=True)
class Parts:
    """A graph in three, and the names by which they hold together."""

    before: onnx.ModelProto
    network: onnx.ModelProto
    after: onnx.ModelProto
    seen: str
    """The name of what the network takes from the part before it."""
    shared: tuple[str, ...]
    """The names of what the part after the network takes from the part before it."""
    given: tuple[str, ...]
    """The names of what the network gives."""


def cut(graph: bytes) -> Parts:
    """Cut the ONNX file of one of our own models before and after its network, as `_enhanced` of networks.py calls it.

    What does not depend on the mosaic is a few numbers, and each part calculates it anew.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(graph))
    makers = {name: node for node in model.graph.node for name in node.output}
    of_mosaic = {MOSAIC}
    for node in model.graph.node:
        if any(name in of_mosaic for name in needed(node)):
            of_mosaic.update(node.output)

    def that_make(names: Iterable[str], there: set[str]) -> list[onnx.NodeProto]:
        """The nodes that make these out of what is `there`, in order."""
        wanted, looked_at = list(names), set(there)
        made: set[str] = set()
        while wanted:
            name = wanted.pop()
            if name in looked_at or name not in makers:
                continue
            looked_at.add(name)
            made.update(makers[name].output)
            wanted += needed(makers[name])
        return [node for node in model.graph.node if made & set(node.output)]

    inside = [
        node for node in model.graph.node if node.name.startswith(NETWORK) and of_mosaic & set(node.output)
    ]
    made_inside = {name for node in inside for name in node.output}
    made_of = dict.fromkeys(name for node in inside for name in needed(node))
    seen = [name for name in made_of if name in of_mosaic - made_inside]
    of_others = {name for node in model.graph.node if node not in inside for name in needed(node)}
    given = [name for node in inside for name in node.output if name in of_others]
    if len(seen) != 1 or not given:
        raise ValueError(f"no network that takes one thing and gives some: {seen}, {given}")
    before = that_make(seen, set())
    made_before = {name for node in before for name in node.output} & of_mosaic
    outputs = [value.name for value in model.graph.output]
    after = that_make(outputs, made_before | set(given))
    shared = list(dict.fromkeys(n for node in after for n in needed(node) if n in made_before))
    return Parts(
        _part(model, before, [], [*seen, *(name for name in shared if name not in seen)]),
        _part(model, that_make(given, set(seen)), seen, given),
        _part(model, after, [*given, *shared], outputs),
        seen[0],
        tuple(shared),
        tuple(given),
    )


def _part(
    model: onnx.ModelProto, nodes: list[onnx.NodeProto], inputs: list[str], outputs: list[str]
) -> onnx.ModelProto:
    """A model of some of a graph's nodes, with the graph's own inputs that they need."""
    wanted = {name for node in nodes for name in needed(node)}
    own = [value for value in model.graph.input if value.name in wanted]
    taken = {value.name for value in own} | set(inputs)
    value_of = {value.name: value for value in (*model.graph.output, *model.graph.value_info)}
    return onnx.helper.make_model(
        onnx.helper.make_graph(
            nodes,
            model.graph.name,
            [*own, *(value_of[name] for name in inputs)],
            [value_of[name] for name in outputs],
            [t for t in model.graph.initializer if t.name in wanted and t.name not in taken],
        ),
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
    )


class OpenVinoRuntime:
    """The three parts of a graph, opened."""

    device = OPENVINO

    def __init__(self, graph: bytes, lanes: int, cores: int) -> None:
        core = ov.Core()
        settings: dict[str, int | str] = {}
        if not has_bfloat16(core):
            # Of 32-bit values two tiles at a time would take more memory than a picture may.
            lanes, cores = 1, lanes * cores
            settings["INFERENCE_PRECISION_HINT"] = FLOAT32
        self.lanes, self.cores = lanes, cores
        parts = cut(graph)
        self.seen, self.shared, self.given = parts.seen, parts.shared, parts.given
        whole = onnx.load_from_string(graph).graph
        stored = {tensor.name for tensor in whole.initializer}
        self.inputs = {value.name for value in whole.input if value.name not in stored}
        self.outputs = {value.name for value in whole.output}
        self._idle: list[Any] = []
        self.before, self.after = (
            session(part.SerializeToString(), cores, shares_memory=True)
            for part in (parts.before, parts.after)
        )
        settings |= {
            "NUM_STREAMS": lanes,
            "INFERENCE_NUM_THREADS": lanes * cores,
            # Else the lanes of two processes are held to the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        self.network = core.compile_model(
            core.read_model(parts.network.SerializeToString()), "CPU", settings
        )

    @property
    def precision(self) -> str:
        """Precision of the network's arithmetic: FLOAT32 or BFLOAT16."""
        names: dict[Any, str] = {ov.Type.f32: FLOAT32, ov.Type.bf16: BFLOAT16}
        return names.get(self.network.get_property("INFERENCE_PRECISION_HINT"), "")

    def _taken(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    @contextmanager
    def request(self) -> Iterator[Any]:
        """One of OpenVINO's requests, which keep their memory: used again, by one at a time."""
        request = self._taken() or self.network.create_infer_request()
        try:
            yield request
        finally:
            self._idle.append(request)

    def lane(self, feed: Feed, outputs: list[str], largest: int) -> Lane:
        """As `Runtime` says."""
        return _SplitLane(self, feed, outputs, largest)


class _SplitLane:
    def __init__(self, runtime: OpenVinoRuntime, feed: Feed, outputs: list[str], largest: int) -> None:
        self._runtime = runtime
        self._before, self._after = Binding(runtime.before), Binding(runtime.after)
        self._network_takes_trim = "trim" in {input.any_name for input in runtime.network.inputs}
        for name, values in (*feed.items(), ("with_plain", np.array("plain" in outputs))):
            self._offer(name, values)
        self._results = Results(outputs, largest)
        self._counts = MosaicInput(largest)

    def _offer(self, name: str, values: npt.NDArray[Any]) -> None:
        for part in (self._before, self._after):
            part.offer(name, values)

    def run(self, piece: Counts, trim: Trim) -> dict[str, Linear32]:
        names = self._runtime
        self._before.give(MOSAIC, self._counts.of(piece))
        made = self._before.run_for([names.seen, *names.shared])
        to_network: dict[str, npt.NDArray[Any]] = {names.seen: _looked_into(made[names.seen])}
        self._offer("trim", trim_input(trim))
        if self._network_takes_trim:
            to_network["trim"] = trim_input(trim)
        for name in names.shared:
            self._after.give(name, made[name])
        views = self._results.shaped(piece, trim)
        with names.request() as request:
            request.infer(to_network, share_inputs=True, share_outputs=True)
            for name in names.given:
                self._after.give(name, request.get_tensor(name).data)
            self._after.run_into(views)
        _give_back()
        return {name: view[0] for name, view in views.items()}


def _give_back() -> None:
    """Give the system what was freed: tiles of one size after another leave holes that nothing fits into."""
    if _trim is not None:
        _trim(0)


def _looked_into(value: ort.OrtValue) -> Linear32:
    """ONNX Runtime's memory as an array, for as long as the value lives; its own way there copies."""
    shape = tuple(value.shape())
    floats = (ctypes.c_float * int(np.prod(shape))).from_address(value.data_ptr())
    return np.ctypeslib.as_array(floats).reshape(shape)
