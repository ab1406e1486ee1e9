"""What is changed in an exported graph, run before and after; and what ONNX Runtime makes of the shipped ones."""

from __future__ import annotations

import platform

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs the train extra")
pytest.importorskip("torch", reason="needs the train extra")

import onnxruntime as ort  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from scotopic.models import available, verified  # noqa: E402
from scotopic.train.tidy import MIXED, join_slices  # noqa: E402


def sliced(*cuts, outputs=("last",)):
    """A graph of one Slice after another, each (axis, start, end); `outputs` by name: cut0, cut1, ..., last."""
    nodes, name = [], "picture"
    for i, values in enumerate(cuts):
        numbers = dict(zip(("axis", "start", "end"), ([value] for value in values), strict=True), step=[1])
        for what, value in numbers.items():
            tensor = numpy_helper.from_array(np.array(value, np.int64))
            nodes.append(helper.make_node("Constant", [], [f"{what}{i}"], value=tensor))
        made = "last" if i == len(cuts) - 1 else f"cut{i}"
        nodes.append(
            helper.make_node(
                "Slice", [name, f"start{i}", f"end{i}", f"axis{i}", f"step{i}"], [made], name=f"s{i}"
            )
        )
        name = made
    values = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, [None] * 4) for n in ("picture", *outputs)
    ]
    graph = helper.make_graph(nodes, "slices", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def results(model):
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    picture = np.arange(2 * 3 * 9 * 11, dtype=np.float32).reshape(2, 3, 9, 11)
    return session.run(None, {"picture": picture})


def count(model, kind="Slice"):
    return sum(node.op_type == kind for node in model.graph.node)


@pytest.mark.parametrize(
    ("cuts", "outputs", "left"),
    [
        (((2, 1, -1), (3, 2, -3)), ("last",), 1),
        (((2, 1, -1), (3, 2, -3), (1, 0, 2)), ("last",), 2),
        # Counted from the first one's result, so they are no one cut.
        (((2, 1, -1), (2, 1, -1)), ("last",), 2),
        # Somebody else looks at what is between.
        (((2, 1, -1), (3, 2, -3)), ("last", "cut0"), 2),
    ],
)
def test_cuts_along_different_axes_become_one_with_the_same_result(cuts, outputs, left):
    model = sliced(*cuts, outputs=outputs)
    before = results(model)
    join_slices(model.graph)
    onnx.checker.check_model(model, full_check=True)
    assert count(model) == left
    for one, other in zip(before, results(model), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("card", available(), ids=lambda card: card.name)
def test_shipped_graphs_cut_in_one_pass(card):
    model = onnx.load_from_string(verified(card))
    slices = {node.output[0] for node in model.graph.node if node.op_type == "Slice"}
    assert slices
    assert not [
        node.name for node in model.graph.node if node.op_type == "Slice" and node.input[0] in slices
    ]


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"),
    reason="ONNX Runtime has blocked convolutions for x86 alone",
)
@pytest.mark.parametrize("card", available(), ids=lambda card: card.name)
def test_what_is_mixed_is_added_in_the_convolutions_themselves(card, tmp_path):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    ort.InferenceSession(verified(card), options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "optimised.onnx").graph.node
    mixed = [node for node in nodes if node.name.startswith(MIXED)]
    with_sums = [node for node in mixed if node.op_type == "Conv" and len(node.input) == 4]
    assert len(with_sums) == 2, [node.name for node in mixed]
    assert sum(node.op_type == "Add" for node in mixed) == 1
