"""Writing `nn` ops as ONNX nodes: the graph being written, and the table of rules, one for each op."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from onnx import GraphProto, helper
from xdsl.dialects.builtin import AnyFloat, IntegerType, f32, i64
from xdsl.ir import Attribute, Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.nn.types import element
from intaglio.dialects.quant import DequantizeCastOp, UniformQuantizedPerAxisType, UniformType
from intaglio.dialects.weights import Array, array_of, constant_attr
from intaglio.errors import UserError
from intaglio.frontend.protobuf import Names, tensor_to_proto
from intaglio.ir.locations import describe
from intaglio.ir.rules import Rules, of_class

TO_NCHW, TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]

CONTRIBUTED = "com.microsoft"
"""The domain of onnxruntime's own operators."""

Op = TypeVar("Op", bound=Operation)


class Writer:
    """Adds the nodes of `nn` ops to a graph.

    Args:
        graph: receives nodes and initializers.
        names: of the values that have one.
        opset: the version of the operators.
    """

    def __init__(self, graph: GraphProto, names: Names, opset: int) -> None:
        self._graph = graph
        self._names = names
        self.opset = opset
        self.domains: set[str] = set()
        self._in_nchw: dict[SSAValue, str] = {}
        self._outputs: dict[SSAValue, str] = {}

    def write(self, op: Operation) -> bool:
        """Add the nodes of an op; False when there is no rule for it."""
        rule = of_class(_RULES, op)
        if rule is None:
            return False
        for value in (*op.operands, *op.results):
            if type(op) not in _QUANTIZED and not isinstance(element(value), AnyFloat | IntegerType):
                raise UserError(f"{describe(op)} is on {value.type}, but only float modules can be exported to ONNX")
        rule(self, op)
        return True

    def name(self, value: SSAValue | None) -> str:
        """The name of a value in its own layout; empty for an absent one."""
        return "" if value is None else self._names[value]

    def nchw(self, value: SSAValue) -> str:
        """The name of an NHWC value in NCHW."""
        if value not in self._in_nchw:
            self._in_nchw[value] = self.node("Transpose", [self.name(value)], perm=TO_NCHW)
        return self._in_nchw[value]

    def is_in_nchw(self, value: SSAValue) -> bool:
        """Whether a value is known in NCHW, so that asking for it adds no transpose."""
        return value in self._in_nchw

    def node(self, op_type: str, inputs: Iterable[str], output: str | None = None, **attributes: Any) -> str:
        """Add a node and return the name of its output; inputs that end the list empty are left out."""
        names = list(inputs)
        while names and not names[-1]:
            names.pop()
        output = output or self._names.fresh(op_type.lower())
        self._graph.node.append(helper.make_node(op_type, names, [output], name=output, **attributes))
        return output

    def initializer(self, op: nn.ConstantOp) -> None:
        """Add the initializer of a constant."""
        self._graph.initializer.append(tensor_to_proto(op.value, self.name(op.result)))

    def constant(self, array: Array, kind: Attribute) -> str:
        """Add an initializer and return its name."""
        name = self._names.fresh("constant")
        self._graph.initializer.append(tensor_to_proto(constant_attr(name, array, kind), name))
        return name

    def reduced(self, op_type: str, name: str, axes: Sequence[int], *, since: int = 18) -> str:
        """Add a reduction that keeps its dimensions; `since` is the opset in which its axes became an input."""
        if self.opset < since:
            return self.node(op_type, [name], axes=list(axes), keepdims=1)
        return self.node(op_type, [name, self.constant(np.asarray(axes, np.int64), i64)], keepdims=1)

    def reshaped(self, name: str, shape: Sequence[int]) -> str:
        """Add a reshape."""
        return self.node("Reshape", [name, self.constant(np.asarray(shape, np.int64), i64)])

    def padded(self, name: str, amounts: Sequence[int], fill: float, like: SSAValue) -> str:
        """Add constant padding by the amounts before and after all dimensions; `like` has the element type."""
        if self.opset < 11:
            return self.node("Pad", [name], pads=list(amounts), value=fill)
        pads = self.constant(np.asarray(amounts, np.int64), i64)
        return self.node("Pad", [name, pads, self.constant(np.asarray(fill), element(like))])

    def casted(self, op_type: str, name: str, kind: UniformType, axis: int | None = None) -> str:
        """Add a QuantizeLinear or DequantizeLinear.

        Args:
            op_type: which.
            name: what is cast.
            kind: the quantized type.
            axis: of the value that is cast, where there are parameters along one.
        """
        assert isinstance(kind.storage_type, IntegerType)
        width = kind.storage_type.width.data
        since = 21 if width not in (8, 32) else 13 if axis is not None else 10
        inputs = [name, self.constant(kind.scales.astype(np.float32), f32)]
        if width <= 16:
            inputs.append(self.constant(kind.zero_points, kind.storage_type))
        attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
        if self.opset < since:
            # Older standard operators lack the type or the axis; onnxruntime's own have both.
            attributes["domain"] = CONTRIBUTED
            self.domains.add(CONTRIBUTED)
        return self.node(op_type, inputs, None, **attributes)

    def weight(self, value: SSAValue, permutation: Sequence[int]) -> str:
        """The name of a weight with its dimensions in another order."""
        owner = value.owner
        if isinstance(owner, nn.ConstantOp):
            return self.constant(array_of(owner.value).transpose(permutation), element(value))
        if isinstance(owner, DequantizeCastOp) and isinstance(stored := owner.input.owner, nn.ConstantOp):
            kind = element(owner.input)
            assert isinstance(kind, UniformType)
            name = self.constant(array_of(stored.value).transpose(permutation), kind.storage_type)
            axis = permutation.index(kind.axis) if isinstance(kind, UniformQuantizedPerAxisType) else None
            return self.casted("DequantizeLinear", name, kind, axis)
        return self.node("Transpose", [self.name(value)], perm=list(permutation))

    def clamped(self, name: str, clamp: nn.ClampAttr | None, like: SSAValue, output: str | None = None) -> str:
        """What a fused clamp makes of a value; with `output` under this name."""
        low, high = (-math.inf, math.inf) if clamp is None else clamp.bounds
        if (low, high) == (-math.inf, math.inf):
            return name if output is None else self.node("Identity", [name], output)
        if (low, high) == (0, math.inf):
            return self.node("Relu", [name], output)
        bounds = {"min": low, "max": high}
        if self.opset < 11:
            given = {key: bound for key, bound in bounds.items() if math.isfinite(bound)}
            return self.node("Clip", [name], output, **given)
        kind = element(like)
        inputs = [self.constant(np.asarray(bound), kind) if math.isfinite(bound) else "" for bound in bounds.values()]
        return self.node("Clip", [name, *inputs], output)

    def finish(self, name: str, result: SSAValue, clamp: nn.ClampAttr | None = None) -> None:
        """Give `name`, clamped, the name of a result."""
        if clamp is None and result not in self._names:
            self._names.give(result, name)
        else:
            self.clamped(name, clamp, result, self.name(result))

    def finish_nchw(self, name: str, result: SSAValue, clamp: nn.ClampAttr | None = None) -> None:
        """Make a result of `name`, which is in NCHW, clamped."""
        self._in_nchw[result] = self.clamped(name, clamp, result)
        self.node("Transpose", [self._in_nchw[result]], self.name(result), perm=TO_NHWC)

    def alias(self, value: SSAValue, result: SSAValue) -> None:
        """Make `result` another reference to `value`."""
        if value in self._in_nchw:
            self._in_nchw[result] = self._in_nchw[value]
        self.finish(self.name(value), result)

    def output_name(self, value: SSAValue) -> str:
        """A name under which a value can be an output: that of a node's output."""
        name = self.name(value)
        if any(name in node.output for node in self._graph.node):
            return name
        if value not in self._outputs:
            self._outputs[value] = self.node("Identity", [name])
        return self._outputs[value]


Rule = Callable[[Writer, Op], None]
_RULES = Rules[type[Operation], Rule[Any]]()
_QUANTIZED: set[type[Operation]] = set()


def exports(*kinds: type[Op], quantized: bool = False) -> Callable[[Rule[Op]], Rule[Op]]:
    """Register the decorated function as the rule of operations and of those derived from them.

    Args:
        kinds: classes of operations.
        quantized: whether they may be on quantized tensors.
    """
    if quantized:
        _QUANTIZED.update(kinds)
    return _RULES.add(*kinds)
