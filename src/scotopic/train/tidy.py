"""What is changed in a graph that torch has written before it is saved: names, sizes, and passes that nobody needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import onnx
from onnx import helper, numpy_helper

from scotopic.models import INPUTS, OPTIONAL
from scotopic.models.onnx_nodes import needed

MIXED = ("/graph/mix/", "/graph/net/head/")
"""How the names of nodes begin whose results are as large as the trimmed picture, in packed places."""

PLACES = {2: "places_high", 3: "places_wide"}
"""What these sizes are called, by axis."""


def tidy(model: onnx.ModelProto, planes: int) -> None:
    """Make what torch has written the contract's, for inputs by colour of so many `planes`, in place.

    The results stay the same, to the bit.
    """
    _declare(model, planes)
    _share_constants(model.graph)
    join_slices(model.graph)
    _declare_sizes(model)
    del model.metadata_props[:]
    model.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""


def _declare(model: onnx.ModelProto, planes: int) -> None:
    """Declare the contract's inputs, those too that the graph does not use, which the export leaves out; make what is
    OPTIONAL a constant."""
    declared = {value.name: value for value in model.graph.input}
    model.graph.initializer.extend(
        numpy_helper.from_array(values, name) for name, values in OPTIONAL.items() if name in declared
    )
    for name in INPUTS:
        if name not in declared:
            size = [1] if name == "ratio" else [planes]
            declared[name] = helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, size)
    del model.graph.input[:]
    model.graph.input.extend(declared[name] for name in INPUTS)


def _share_constants(graph: onnx.GraphProto) -> None:
    """Keep one of equal constants, of which the export writes hundreds."""
    kept: dict[bytes, str] = {}
    replaced: dict[str, str] = {}
    for node in [n for n in graph.node if n.op_type == "Constant"]:
        (name,), content = node.output, node.attribute[0].SerializeToString()
        if content in kept:
            replaced[name] = kept[content]
            graph.node.remove(node)
        kept.setdefault(content, name)
    _rename_inputs(graph, replaced)


def _rename_inputs(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        for attribute in node.attribute:
            _rename_inputs(attribute.g, names)


def join_slices(graph: onnx.GraphProto) -> None:
    """Cut rows and columns in one pass: the export writes a Slice for each axis."""
    numbers = {
        node.output[0]: numpy_helper.to_array(node.attribute[0].t)
        for node in graph.node
        if node.op_type == "Constant"
    }

    def axes(node: onnx.NodeProto) -> set[int]:
        """Empty where they are not told by a constant of this graph."""
        told = numbers.get(node.input[3]) if len(node.input) == 5 else None
        return set() if told is None else set(told.tolist())

    users = Counter(_used(graph))
    slices = {node.output[0]: node for node in graph.node if node.op_type == "Slice"}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        before = slices.get(node.input[0]) if node.op_type == "Slice" else None
        if before is not None and users[before.output[0]] == 1 and _apart(axes(before), axes(node)):
            names = [f"{node.name}/{what}" for what in ("starts", "ends", "axes", "steps")]
            both = zip(names, before.input[1:], node.input[1:], strict=True)
            nodes += [helper.make_node("Concat", ends, [name], name=name, axis=0) for name, *ends in both]
            nodes.remove(before)
            node.input[:] = [before.input[0], *names]
        nodes.append(node)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                join_slices(attribute.g)
    del graph.node[:]
    graph.node.extend(nodes)


def _apart(some: set[int], others: set[int]) -> bool:
    return bool(some and others) and not some & others


def _used(graph: onnx.GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield from needed(node)
    yield from (value.name for value in graph.output)


def _declare_sizes(model: onnx.ModelProto) -> None:
    """Say that what is mixed is of one size: ONNX Runtime adds to a convolution only what it knows to be as large."""
    made = {name for node in model.graph.node if node.name.startswith(MIXED) for name in node.output}
    for value in onnx.shape_inference.infer_shapes(model).graph.value_info:
        sizes = value.type.tensor_type.shape.dim
        # What is not known is the picture's.
        if value.name in made and any(size.dim_param for size in sizes):
            sizes[0].dim_value = 1
            for axis, name in PLACES.items():
                sizes[axis].dim_param = name
            model.graph.value_info.append(value)
