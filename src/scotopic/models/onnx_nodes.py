"""What holds the nodes of an ONNX graph together; knows their form, and needs no package for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def needed(node: Any) -> Iterator[str]:
    """The names that a node (`onnx.NodeProto`) takes, and those that its branches take from outside of them."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        inner = attribute.g.node
        own = {name for each in inner for name in each.output}
        yield from (name for each in inner for name in needed(each) if name not in own)
