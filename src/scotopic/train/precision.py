"""Smaller files and faster arithmetic: weights as float16, or convolutions in int8.

Only the network's own convolutions change. The fixed arithmetic around them, and with it `plain`, stays
float32: light spans more than eight bits can tell apart.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from scotopic.models import NETWORK, OPTIONAL, with_optional
from scotopic.models.onnx_nodes import needed
from scotopic.train.weights import HALF, IN_ONNX

Precision = Literal["float32", "float16", "int8"]

Feed = dict[str, npt.NDArray[np.float32]]

IN_FLOATS = ("stem/", "head/", "decode_fine/second/", "down.0/down.0.0/", "last/")
"""Layers that int8 leaves alone, by the beginnings of their names after that: what the network sees, what it gives, and
what is added to that last; all they would cost together is 2.7 dB, the others 0.07 (experiments.md, 2026-11-28)."""


def halve_weights(path: Path) -> None:
    """Store the network's weights as float16, widened by a Cast that ONNX Runtime folds on loading.

    What is quantised already stays as it is.
    """
    model = onnx.load(path)
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        is_weight = tensor.name.startswith(IN_ONNX) and tensor.name.endswith((".weight", ".bias"))
        if is_weight and tensor.data_type == TensorProto.FLOAT:
            half = numpy_helper.to_array(tensor).astype(np.float16)
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(half, name + HALF))
            casts.append(helper.make_node("Cast", [name + HALF], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def quantise(path: Path, feeds: Iterable[Feed]) -> None:
    """Quantise the network's convolutions to int8 by the ranges that the `feeds` show, in place; not IN_FLOATS.

    Static, per output channel, symmetric weights of seven bits: processors with AVX2 alone add up pairs of
    products in sixteen bits, which eight would overflow.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.calibrate import CalibrationDataReader, CalibrationMethod
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, rows: Iterator[Feed]) -> None:
            self.rows = rows

        def get_next(self) -> Any:
            return next(self.rows, None)

    content = path.read_bytes()
    constants = {tensor.name for tensor in onnx.load_from_string(content).graph.initializer}
    if set(OPTIONAL) <= constants:
        # As inputs they are not folded away.
        path.write_bytes(with_optional(content))
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, _without_warnings():
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
        chosen = [
            node.name
            for node in onnx.load(prepared).graph.node
            if node.op_type == "Conv"
            and node.name.startswith(NETWORK)
            and not node.name.removeprefix(NETWORK).startswith(IN_FLOATS)
        ]
        quantize_static(
            str(prepared),
            str(path),
            Reader(iter(feeds)),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=chosen,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"WeightSymmetric": True, "CalibMovingAverage": True},
        )
    model = onnx.load(path)
    for value in [v for v in model.graph.input if v.name in OPTIONAL]:
        model.graph.input.remove(value)
    _put_in_order(model.graph)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """ONNX Runtime's tools without a word about inputs that may be left out; their sessions take no settings."""
    ort.set_default_logger_severity(3)
    try:
        yield
    finally:
        ort.set_default_logger_severity(2)  # its own default: warnings


def _put_in_order(graph: onnx.GraphProto) -> None:
    """Sort the nodes so that each comes after what it needs, its branches too, which the tool forgets."""
    nodes = list(graph.node)
    maker = {name: i for i, node in enumerate(nodes) for name in node.output}
    needs = [{maker[name] for name in needed(node) if name in maker} for node in nodes]
    order = TopologicalSorter({i: sorted(makers) for i, makers in enumerate(needs)}).static_order()
    del graph.node[:]
    graph.node.extend(nodes[i] for i in order)
