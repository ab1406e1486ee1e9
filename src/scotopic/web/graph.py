"""A model folder to what the page downloads: the same graph, its weights apart and half as large."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from scotopic.errors import ModelError
from scotopic.models import Card, verified

WEIGHTS = "weights.bin"
"""The name under which the graph asks for its weights."""

APART_VALUES = 4096
"""From so many numbers on an initializer goes into the weights; biases and gains stay in the graph as they are."""

HALF_MAX = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class PageGraph:
    """What the page makes a session of."""

    graph: bytes
    """ONNX; its large initializers are external data in `WEIGHTS`, by offsets into float32."""
    weights: bytes
    """The numbers of the large initializers, in order, as little-endian float16, which the page widens to float32."""

    def about(self) -> dict[str, Any]:
        """What the page checks before it trusts the two."""
        parts = {"model.onnx": self.graph, WEIGHTS: self.weights}
        return {
            "values": len(self.weights) // 2,
            "sha256": {name: hashlib.sha256(part).hexdigest() for name, part in parts.items()},
        }


def page_graph(card: Card) -> PageGraph:
    """The page's copy of a model. float16 keeps 11 bits of each weight; what that costs is tested.

    Raises ModelError where the graph is not the card's, is broken, or holds weights beyond float16.
    """
    content = verified(card)
    try:
        model = onnx.load_from_string(content)
    except Exception as error:
        raise ModelError(f"{card.graph}: is no ONNX graph ({error})") from error
    _widen(model.graph)
    if card.edge:
        _ask_for_trim(card, model.graph)
    pieces: list[bytes] = []
    offset = 0
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < APART_VALUES:
            continue
        if not np.abs(values).max() <= HALF_MAX:
            raise ModelError(
                f"{card.name}: its weights {tensor.name} reach {np.abs(values).max():.3g}, and the page takes "
                f"numbers up to {HALF_MAX:.0f}: train with more weight decay"
            )
        # `set_external_data` wants the raw form, whichever form the numbers had.
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        external_data_helper.set_external_data(tensor, WEIGHTS, offset, values.nbytes)
        tensor.ClearField("raw_data")
        pieces.append(values.astype("<f2").tobytes())
        offset += values.nbytes
    return PageGraph(model.SerializeToString(), b"".join(pieces))


def _widen(graph: onnx.GraphProto) -> None:
    """Weights that the package stores as float16 behind a Cast, as the float32 that they stand for.

    WebGPU without its float16 option would refuse them.
    """
    halves = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT16}
    casts = [n for n in graph.node if n.op_type == "Cast" and n.input[0] in halves]
    for node in casts:
        tensor = halves[node.input[0]]
        full = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(full, node.output[0]))
        graph.node.remove(node)


def _ask_for_trim(card: Card, graph: onnx.GraphProto) -> None:
    """Make the constant an input that the page always gives: in browsers ONNX Runtime has none that may be left out."""
    constants = [tensor for tensor in graph.initializer if tensor.name == "trim"]
    if not constants:
        raise ModelError(
            f"{card.graph}: holds no constant trim, which its card's edge of {card.edge} is about"
        )
    graph.initializer.remove(constants[0])
    graph.input.append(helper.make_tensor_value_info("trim", constants[0].data_type, constants[0].dims))
