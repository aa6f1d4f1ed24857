"""What a rule for an ONNX operator works with: the node in its version's terms, and its operands in Relax."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.dialects.onnx import InitializerOp, OnnxOp
from intaglio.dialects.weights import array_of
from intaglio.errors import UserError
from intaglio.interpreter.values import tensor_type, value_dtype, value_shape
from intaglio.ir.locations import describe, where
from intaglio.lowering.host_to_relax.emitter import Emitter
from intaglio.lowering.onnx_node import Node
from intaglio.lowering.tvm import Expr

Array = NDArray[Any]


class HostNode(Node):
    """An ONNX node with the Relax expressions of its inputs.

    Attributes:
        emitter: emits operations.
        operands: expressions of the inputs that are present, in order.

    Args:
        emitter: emits operations.
        op: the node's op.
        operands: expressions of its operands.
    """

    def __init__(self, emitter: Emitter, op: OnnxOp, operands: list[Expr]) -> None:
        super().__init__(op)
        self.emitter = emitter
        self.operands = operands
        self._expressions = dict(zip(op.operands, operands, strict=True))

    def refuse(self, reason: str) -> UserError:
        """The error that this node cannot run on the host, and why."""
        return UserError(f"{describe(self.op)} cannot run on the host: {reason}", where=where(self.op.location))

    def expression(self, name: str) -> Expr | None:
        """The input of this name in Relax, None when it is absent."""
        value = self.input(name)
        return None if value is None else self._expressions[value]

    def operand(self, name: str) -> Expr:
        """The input of this name in Relax, which must be present."""
        value = self.expression(name)
        assert value is not None, f"input {name} of {self.op.op_type}"
        return value

    def known(self, name: str) -> Array | None:
        """The values of an input: None when it is absent.

        Raises:
            UserError: it is present and no constant.
        """
        value = self.input(name)
        if value is None:
            return None
        owner = value.owner
        if not isinstance(owner, nn.ConstantOp | InitializerOp):
            raise self.refuse(f"its input '{name}' must be constant")
        return array_of(owner.value)

    def is_known(self, name: str) -> bool:
        """Whether an input is absent or constant."""
        value = self.input(name)
        return value is None or isinstance(value.owner, nn.ConstantOp | InitializerOp)

    def known_integers(self, name: str) -> list[int] | None:
        """An attribute or constant input that is a list of integers, None when it is absent.

        Raises:
            UserError: it is an input and no constant.
        """
        values = self.known(name)
        return self.integers(name) if values is None else [int(value) for value in values.reshape(-1)]

    def known_scalar(self, name: str, default: float) -> float:
        """An attribute or constant input that is one number.

        Raises:
            UserError: it is an input and no constant.
        """
        values = self.known(name)
        return self.real(name, default) if values is None else values.reshape(-1)[0].item()

    def _static(self, value: SSAValue) -> SSAValue:
        kind = value.type
        if not isinstance(kind, TensorType) or not tensor_type(value).has_static_shape():
            raise self.refuse(f"the shape of {kind} is known at run time only")
        return value

    def shape(self, name: str | int) -> tuple[int, ...]:
        """The shape of an input by name, or by position among those present."""
        return value_shape(self._static(self._value(name)))

    def dtype(self, name: str | int) -> np.dtype[Any]:
        """The dtype of the array that holds an input, found as `shape` does."""
        return value_dtype(self._value(name))

    def _value(self, name: str | int) -> SSAValue:
        value = self.op.operands[name] if isinstance(name, int) else self.input(name)
        assert value is not None, f"input {name} of {self.op.op_type}"
        return value

    def output_shape(self, index: int = 0) -> tuple[int, ...]:
        """The shape of an output by its position.

        Raises:
            UserError: it depends on values.
        """
        return value_shape(self._static(self._output(index)))

    def output_dtype(self, index: int = 0) -> np.dtype[Any]:
        """The dtype of the array that holds an output by its position."""
        return value_dtype(self._output(index))

    def has_output(self, index: int) -> bool:
        """Whether the node has an output at a position."""
        outputs = self.op.node_outputs()
        return index < len(outputs) and outputs[index] is not None

    def _output(self, index: int) -> SSAValue:
        value = self.op.node_outputs()[index]
        assert value is not None, f"output {index} of {self.op.op_type}"
        return value
