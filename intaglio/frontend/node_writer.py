"""Writing the ONNX nodes that a node stands for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx import NodeProto, helper


class NodeWriter:
    """Collects nodes.

    Attributes:
        nodes: the nodes so far, in order.

    Args:
        prefix: values in between are called this, with a slash and a number.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._count = 0
        self.nodes: list[NodeProto] = []

    def name(self) -> str:
        """A name for a value in between."""
        self._count += 1
        return f"{self._prefix}/{self._count}"

    def add(self, op_type: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node and return its output."""
        return self.add_several(op_type, inputs, 1, **attributes)[0]

    def add_several(self, op_type: str, inputs: Sequence[str], count: int, **attributes: Any) -> list[str]:
        """Add a node with several outputs and return them."""
        outputs = [self.name() for _ in range(count)]
        self.nodes.append(helper.make_node(op_type, inputs, outputs, **attributes))
        return outputs

    def numbers(self, values: Sequence[int]) -> str:
        """A vector of integers."""
        return self.add("Constant", [], value_ints=list(values))

    def number(self, value: float) -> str:
        """A float."""
        return self.add("Constant", [], value_float=value)

    def index(self, value: int) -> str:
        """An integer."""
        return self.add("Constant", [], value_int=value)

    def give(self, value: str, output: str) -> None:
        """Make a value one of the outputs of what is written; nothing for an output without a name."""
        if output:
            self.nodes.append(helper.make_node("Identity", [value], [output]))
