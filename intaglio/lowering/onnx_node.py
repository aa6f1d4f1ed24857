"""What a rule of `onnx-to-nn` works with: a view of the node in its version's terms, and a place to build ops."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from xdsl.dialects.builtin import (
    AnyFloat,
    ArrayAttr,
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    LocationAttr,
    NameLoc,
    StringAttr,
    TensorType,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.utils.hints import isa

from intaglio.dialects import nn
from intaglio.dialects.onnx import NodeOp, OnnxOp, floats_of, ints_of
from intaglio.dialects.onnx.schema import Arity, AttributeValue
from intaglio.dialects.quant import DequantizeCastOp, UniformType, reshaped, transposed
from intaglio.dialects.weights import Array, WeightsAttr, array_of, constant_attr
from intaglio.ir.locations import named
from intaglio.ir.rules import Rules

Shape = tuple[int, ...]


def static_shape(value: SSAValue | None) -> Shape | None:
    """The shape of a value, None when it is absent, no tensor, or not static."""
    if value is None:
        return None
    kind = value.type
    if not isa(kind, TensorType) or not kind.has_static_shape():
        return None
    return tuple(kind.get_shape())


def element_type(value: SSAValue) -> Attribute | None:
    """The element type of a tensor value."""
    kind = value.type
    return kind.element_type if isa(kind, TensorType) else None


def is_float(value: SSAValue | None) -> bool:
    """Whether a value is a tensor of floats with a static shape."""
    return value is not None and static_shape(value) is not None and isinstance(element_type(value), AnyFloat)


def is_number(value: SSAValue | None) -> bool:
    """Whether a value is a tensor of floats or integers with a static shape."""
    if value is None or static_shape(value) is None:
        return False
    return isinstance(element_type(value), AnyFloat | IntegerType)


def constant_of(value: SSAValue | None) -> Array | None:
    """The values of a constant, None for anything else."""
    if value is None or not isinstance(value.owner, nn.ConstantOp):
        return None
    return array_of(value.owner.value)


def dequantized_constant(value: SSAValue | None) -> nn.ConstantOp | None:
    """The quantized constant that a value is the cast of, None for anything else."""
    owner = value.owner if value is not None else None
    if not isinstance(owner, DequantizeCastOp) or not isinstance(owner.input.owner, nn.ConstantOp):
        return None
    return owner.input.owner


class Node:
    """An ONNX node, with inputs and attributes under the names of the version in force.

    Args:
        op: the node's op.
    """

    def __init__(self, op: OnnxOp) -> None:
        self.op = op
        self.version = op.version
        self._attributes = op.node_attributes()
        self._inputs: dict[str, SSAValue] = {}
        values = op.node_inputs()
        for formal, value in zip(self.version.inputs, values, strict=False):
            if formal.arity is not Arity.VARIADIC and value is not None:
                self._inputs[formal.name] = value

    @property
    def since(self) -> int:
        """The opset in which the version in force was introduced."""
        return self.version.since

    @property
    def result(self) -> SSAValue:
        """The first output."""
        return self.op.results[0]

    @property
    def result_shape(self) -> Shape | None:
        """The shape of the first output, None when it is not static."""
        return static_shape(self.result)

    def inputs(self) -> list[SSAValue]:
        """All present inputs in order."""
        return list(self.op.operands)

    def input(self, name: str) -> SSAValue | None:
        """An input by its name in the version's schema, None when it is absent."""
        return self._inputs.get(name)

    def has(self, name: str) -> bool:
        """Whether the node gives an attribute or an input of this name."""
        return name in self._attributes or name in self._inputs

    def _attribute(self, name: str) -> AttributeValue | None:
        value = self._attributes.get(name)
        if value is None:
            declared = self.version.attributes.get(name)
            return None if declared is None else declared.default
        return _plain(value)

    def integer(self, name: str, default: int = 0) -> int:
        """An integer attribute, its schema's default, or `default`."""
        value = self._attribute(name)
        return value if isinstance(value, int) else default

    def real(self, name: str, default: float = 0.0) -> float:
        """A float attribute, its schema's default, or `default`."""
        value = self._attribute(name)
        return float(value) if isinstance(value, float | int) else default

    def text(self, name: str, default: str = "") -> str:
        """A string attribute, its schema's default, or `default`."""
        value = self._attribute(name)
        return value if isinstance(value, str) else default

    def integers(self, name: str) -> list[int] | None:
        """A list of integers, given as an attribute or as a constant input; None when absent or not constant."""
        if name in self._inputs:
            constant = constant_of(self._inputs[name])
            return None if constant is None else [int(value) for value in constant.reshape(-1)]
        value = self._attribute(name)
        return [entry for entry in value if isinstance(entry, int)] if isinstance(value, list) else None

    def reals(self, name: str) -> list[float] | None:
        """A list of floats, given as an attribute or as a constant input; None when absent or not constant."""
        if name in self._inputs:
            constant = constant_of(self._inputs[name])
            return None if constant is None else [float(value) for value in constant.reshape(-1)]
        value = self._attribute(name)
        return [float(entry) for entry in value if isinstance(entry, float | int)] if isinstance(value, list) else None

    def texts(self, name: str) -> list[str] | None:
        """An attribute that is a list of strings."""
        value = self._attribute(name)
        return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else None

    def scalar(self, name: str) -> float | None:
        """A number given as an attribute or as a constant input; None when absent or not constant."""
        if name in self._inputs:
            constant = constant_of(self._inputs[name])
            return float(constant.reshape(-1)[0]) if constant is not None and constant.size == 1 else None
        value = self._attribute(name)
        return float(value) if isinstance(value, float | int) else None


def _plain(value: Attribute) -> AttributeValue | None:
    if isa(value, IntegerAttr) or isa(value, FloatAttr):
        return value.value.data
    if isinstance(value, StringAttr):
        return value.data
    if isa(value, DenseArrayBase):
        return ints_of(value) if isinstance(value.elt_type, IntegerType) else floats_of(value)
    if isa(value, ArrayAttr):
        return [entry.data for entry in value if isinstance(entry, StringAttr)]
    return None


class Builder:
    """Inserts `nn` ops in front of the op they replace, with its location.

    Reordering and reshaping of constants happens here and now; other values get an op.
    """

    def __init__(self, anchor: Operation, location: LocationAttr) -> None:
        self._anchor = anchor
        self._location = location

    def add(self, op: Operation) -> SSAValue:
        """Insert an op and return its first result."""
        op.location = self._location
        block = self._anchor.parent
        assert block is not None
        block.insert_op_before(op, self._anchor)
        return op.results[0]

    def constant(self, array: Array, kind: Attribute, key: str | None = None) -> SSAValue:
        """A constant of an element type; `key` is the name that large ones get."""
        location = self._location
        if key is None:
            key = location.desc.data if isinstance(location, NameLoc) else "constant"
        return self.add(nn.ConstantOp(constant_attr(key, array, kind)))

    def remade(self, source: SSAValue, array: Array) -> SSAValue:
        """A constant with other values under the name and element type of `source`, a constant."""
        owner = source.owner
        assert isinstance(owner, nn.ConstantOp)
        key = owner.value.key if isinstance(owner.value, WeightsAttr) else None
        kind = element_type(source)
        assert kind is not None
        made = self.constant(array, kind, key or _name(owner.location))
        assert isinstance(made.owner, Operation)
        made.owner.location = owner.location
        made.name_hint = source.name_hint
        return made

    def _restored(self, value: SSAValue, stored: nn.ConstantOp, array: Array, kind: UniformType) -> SSAValue:
        """The dequantized constant `value` with its stored values moved."""
        key = stored.value.key if isinstance(stored.value, WeightsAttr) else _name(stored.location) or "constant"
        made = nn.ConstantOp(constant_attr(key, array, kind.storage_type), TensorType(kind, array.shape))
        constant = self.add(made)
        made.location = stored.location
        constant.name_hint = stored.result.name_hint
        cast = self.add(DequantizeCastOp(constant, self.typed(value, array.shape)))
        cast.name_hint = value.name_hint
        return cast

    def transpose(self, value: SSAValue, permutation: Sequence[int]) -> SSAValue:
        """The value with its dimensions in another order."""
        if list(permutation) == list(range(len(permutation))):
            return value
        constant = constant_of(value)
        if constant is not None:
            return self.remade(value, constant.transpose(permutation))
        stored = dequantized_constant(value)
        if stored is not None:
            array, kind = array_of(stored.value), _uniform_type(stored)
            return self._restored(value, stored, array.transpose(permutation), transposed(kind, permutation))
        return self.add(nn.TransposeOp(value, permutation))

    def reshape(self, value: SSAValue, shape: Sequence[int]) -> SSAValue:
        """The value's elements under another shape."""
        if static_shape(value) == tuple(shape):
            return value
        constant = constant_of(value)
        if constant is not None:
            return self.remade(value, constant.reshape(shape))
        stored = dequantized_constant(value)
        if stored is not None:
            kind = reshaped(_uniform_type(stored), static_shape(value) or (), shape)
            if kind is not None:
                return self._restored(value, stored, array_of(stored.value).reshape(shape), kind)
        return self.add(nn.ReshapeOp(value, self.typed(value, shape)))

    def number(self, like: SSAValue, value: float) -> SSAValue:
        """A constant of no dimensions with the element type of `like`."""
        kind = element_type(like)
        assert kind is not None
        return self.constant(np.asarray(value), kind)

    def apply(self, function: type[nn.ActivationOp], value: SSAValue) -> SSAValue:
        """A function without parameters."""
        return self.add(function(value, value.type))

    def combine(self, operation: type[nn.ElementwiseOp], lhs: SSAValue, rhs: SSAValue) -> SSAValue:
        """An operation of two operands with NumPy broadcasting."""
        left, right = static_shape(lhs), static_shape(rhs)
        assert left is not None and right is not None
        return self.add(operation(lhs, rhs, self.typed(lhs, np.broadcast_shapes(left, right))))

    def reduce(self, operation: type[nn.ReduceOp], value: SSAValue, axes: Sequence[int]) -> SSAValue:
        """A reduction that keeps its dimensions; over none of them, the value."""
        return self.add(operation(value, axes)) if axes else value

    def slice(
        self, value: SSAValue, starts: Sequence[int], counts: Sequence[int], steps: Sequence[int] | None = None
    ) -> SSAValue:
        """`counts` elements from `starts` on in each dimension."""
        steps = [1] * len(starts) if steps is None else steps
        if static_shape(value) == tuple(counts) and all(step == 1 for step in steps):
            return value
        return self.add(nn.SliceOp(value, starts, steps, counts))

    def part(self, value: SSAValue, axis: int, start: int, count: int, step: int = 1) -> SSAValue:
        """`count` elements from `start` on along one dimension."""
        shape = static_shape(value)
        assert shape is not None
        starts, counts, steps = [0] * len(shape), list(shape), [1] * len(shape)
        starts[axis], counts[axis], steps[axis] = start, count, step
        return self.slice(value, starts, counts, steps)

    def broadcast(self, value: SSAValue, shape: Sequence[int]) -> SSAValue:
        """The value repeated to a shape."""
        if static_shape(value) == tuple(shape):
            return value
        return self.add(nn.BroadcastOp(value, self.typed(value, shape)))

    def concat(self, values: Sequence[SSAValue], axis: int) -> SSAValue:
        """The values one after another."""
        if len(values) == 1:
            return values[0]
        shapes = [shape for shape in map(static_shape, values) if shape is not None]
        shape = [*shapes[0][:axis], sum(one[axis] for one in shapes), *shapes[0][axis + 1 :]]
        return self.add(nn.ConcatOp(values, axis, self.typed(values[0], shape)))

    def typed(self, like: SSAValue, shape: Sequence[int]) -> TensorType[Attribute]:
        """A tensor type with the element type of `like`."""
        kind = element_type(like)
        assert kind is not None
        return TensorType(kind, shape)

    def to_channels_last(self, value: SSAValue) -> SSAValue:
        """`[N, C, W]` or `[N, C, H, W]` as `[N, H, W, C]`, with a height of 1 where there is none."""
        shape = static_shape(value)
        assert shape is not None
        if len(shape) == 3:
            return self.reshape(self.transpose(value, (0, 2, 1)), (shape[0], 1, shape[2], shape[1]))
        return self.transpose(value, (0, 2, 3, 1))

    def from_channels_last(self, value: SSAValue, shape: Shape) -> SSAValue:
        """`[N, H, W, C]` as `shape`, which is `[N, C, W]` or `[N, C, H, W]`."""
        if len(shape) == 3:
            return self.transpose(self.reshape(value, (shape[0], shape[2], shape[1])), (0, 2, 1))
        return self.reshape(self.transpose(value, (0, 3, 1, 2)), shape)


def _uniform_type(stored: nn.ConstantOp) -> UniformType:
    kind = element_type(stored.result)
    assert isinstance(kind, UniformType)
    return kind


def _name(location: LocationAttr) -> str | None:
    return location.desc.data if isinstance(location, NameLoc) else None


def location_of(op: NodeOp) -> LocationAttr:
    """The location of what replaces a node: the node's name, or that of its first output if it has none."""
    if isinstance(op.location, NameLoc) or op.result_names is None or not len(op.result_names):
        return op.location
    return named(op.result_names.data[0].data)


Rule = Callable[[Node, Builder], SSAValue | None]
"""Builds what computes a node's first output; None, with nothing built, when `nn` cannot express the node."""

RuleOfAll = Callable[[Node, Builder], Sequence[SSAValue] | None]
"""Builds what computes each of a node's outputs, absent ones included; None, with nothing built, as `Rule` does."""

_RULES = Rules[tuple[str, str], RuleOfAll](package="intaglio.lowering.onnx_rules")
_FIRST_ONLY: set[tuple[str, str]] = set()


def lowers(*op_types: str, domain: str = "") -> Callable[[Rule], Rule]:
    """Register the decorated function as the rule of operators, for nodes of which only the first output is used."""

    def register(function: Rule) -> Rule:
        def of_all(node: Node, build: Builder) -> Sequence[SSAValue] | None:
            made = function(node, build)
            return None if made is None else [made]

        lowers_all(*op_types, domain=domain)(of_all)
        _FIRST_ONLY.update((domain, op_type) for op_type in op_types)
        return function

    return register


def lowers_all(*op_types: str, domain: str = "") -> Callable[[RuleOfAll], RuleOfAll]:
    """Register the decorated function as the rule of some operators with several outputs."""
    return _RULES.add(*((domain, op_type) for op_type in op_types))


def find_rule(op: OnnxOp) -> RuleOfAll | None:
    """The rule of an op, if its operator has one and the outputs that are used are those it computes."""
    key = (op.domain, op.op_type)
    if key in _FIRST_ONLY:
        outputs = op.node_outputs()
        if outputs[0] is None or any(output is not None and output.first_use is not None for output in outputs[1:]):
            return None
    return _RULES.get(key)


def lowered_operators() -> list[tuple[str, str]]:
    """Domain and name of every operator that has a rule, sorted."""
    return sorted(_RULES.keys())


def normal_axis(axis: int, rank: int) -> int:
    """An axis counted from the front."""
    return axis + rank if axis < 0 else axis


def resolve_pads(
    node: Node, spatial: Sequence[int], window: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[list[int], list[int]] | None:
    """Padding before and after each spatial dimension, `auto_pad` resolved; None when it is negative or unknown."""
    rank = len(spatial)
    mode = node.text("auto_pad", "NOTSET")
    if mode in ("NOTSET", ""):
        pads = node.integers("pads") or [0] * (2 * rank)
        return (pads[:rank], pads[rank:]) if len(pads) == 2 * rank and min(pads) >= 0 else None
    if mode == "VALID":
        return [0] * rank, [0] * rank
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        return None
    low: list[int] = []
    high: list[int] = []
    for size, extent, stride, dilation in zip(spatial, window, strides, dilations, strict=True):
        total = max((math.ceil(size / stride) - 1) * stride + dilation * (extent - 1) + 1 - size, 0)
        smaller, larger = total // 2, total - total // 2
        low.append(smaller if mode == "SAME_UPPER" else larger)
        high.append(larger if mode == "SAME_UPPER" else smaller)
    return low, high


def two_dimensional(values: Sequence[int], fill: int) -> tuple[int, ...]:
    """Values for height and width, where one-dimensional nodes have none for the height."""
    return (fill, *values) if len(values) == 1 else tuple(values)
