"""Which values' channels can be multiplied by factors without changing what the network computes.

A layer can give its output channels in any unit: its weight's rows and its bias are divided by the factors, and
whoever reads the channels multiplies its weight's columns by them. Between the two may stand what does not care about
positive factors: ReLU, pooling over positions, sums of values in the same unit. A *group* is the set of values that can
only be scaled together, with the layers at its two ends:

```text
conv2d -> relu -> max_pool2d -> add -> conv2d         one group of the values at both operands of the addition
              conv2d -------------^     (its channels go through a residual connection) and its result
```

Channels are the last dimension (NHWC and dense layers alike). A value that anything else reads or makes, such as an
argument, a sigmoid or a matrix product, is bound to its unit, and so is its whole group.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from xdsl.dialects import func
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.quant import ObserveOp
from intaglio.passes.quantization.coverage import constant_of

Layer = nn.Conv2dOp | nn.ConvTranspose2dOp | nn.DenseOp
"""An operation with a weight whose first dimension is the output channel and whose last the input channel."""

Norm = nn.LayerNormOp | nn.RmsNormOp
"""A normalization along channels; its scale and offset give its result any unit."""

_HOMOGENEOUS = (
    ObserveOp,
    nn.ReluOp,
    nn.LeakyReluOp,
    nn.ClipOp,
    nn.MaxPool2dOp,
    nn.AvgPool2dOp,
    nn.ResizeOp,
)
"""Operations on one value, channel by channel, that commute with positive factors (up to a bound)."""

_SUMS = (nn.AddOp, nn.SubOp, nn.MaximumOp, nn.MinimumOp)
"""Operations on two values that commute with factors of both."""

_REDUCTIONS = (nn.ReduceMeanOp, nn.ReduceSumOp, nn.ReduceMaxOp, nn.ReduceMinOp)


@dataclass(eq=False)
class ChannelGroup:
    """Values whose channels are scaled together.

    Attributes:
        channels: how many there are.
        values: the values, in order.
        sources: the layers and normalizations whose results are in the group, in order.
        consumers: the layers that read values of the group, in order.
        bounded: the operations whose result is limited from above, by a finite bound.
        constants: operations with the number of a constant operand that is in the unit of the group.
    """

    channels: int
    values: list[SSAValue] = field(default_factory=list[SSAValue])
    sources: list[Layer | Norm] = field(default_factory=list["Layer | Norm"])
    consumers: list[Layer] = field(default_factory=list["Layer"])
    bounded: list[Operation] = field(default_factory=list[Operation])
    constants: list[tuple[Operation, int]] = field(default_factory=list[tuple[Operation, int]])


def channel_groups(function: func.FuncOp) -> list[ChannelGroup]:
    """The groups of a float function that can be scaled, in the order of their first values.

    Args:
        function: of one block, on the `nn` level; observers may stand in it.
    """
    return _Analysis(function).groups()


def channels_of(value: SSAValue) -> int:
    """The size of a tensor's last dimension; 1 for a scalar."""
    shape = nn.tensor_of(value).get_shape()
    return shape[-1] if shape else 1


def bounds_of(op: Operation) -> tuple[float, float]:
    """The bounds fused into an operation; infinite where there are none."""
    clamp = op.properties.get("clamp")
    return clamp.bounds if isinstance(clamp, nn.ClampAttr) else (-math.inf, math.inf)


class _Analysis:
    def __init__(self, function: func.FuncOp) -> None:
        self._block = function.body.block
        self._parents: dict[SSAValue, SSAValue] = {}
        self._bound: set[SSAValue] = set()
        self._bind(self._block.args)
        for op in self._block.ops:
            if not isinstance(op, nn.ConstantOp) and not self._link(op):
                self._bind((*op.operands, *op.results))

    def groups(self) -> list[ChannelGroup]:
        bound = {self._root(value) for value in self._bound}
        found: dict[SSAValue, ChannelGroup] = {}
        for op in self._block.ops:
            if isinstance(op, nn.ConstantOp):
                continue
            if isinstance(op, Layer) and (group := found.get(self._root(op.input))) is not None:
                group.consumers.append(op)
            for value in op.results:
                if value not in self._parents or (root := self._root(value)) in bound:
                    continue
                group = found.setdefault(root, ChannelGroup(channels_of(value)))
                group.values.append(value)
                if isinstance(op, Layer | Norm):
                    group.sources.append(op)
                if math.isfinite(bounds_of(op)[1]):
                    group.bounded.append(op)
                if isinstance(op, (*_SUMS, nn.ConcatOp)):
                    group.constants += [(op, k) for k, operand in enumerate(op.operands) if constant_of(operand)]
        return [group for group in found.values() if group.sources and group.consumers]

    def _link(self, op: Operation) -> bool:
        """Join the values of an operation that must have one unit; False when they are bound to theirs."""
        if not all(_is_f32_tensor(value) for value in (*op.operands, *op.results)) or not _scales_with(bounds_of(op)):
            return False
        match op:
            case nn.Conv2dOp() | nn.ConvTranspose2dOp() | nn.DenseOp():
                return self._ends(op, op.operands[1:], ())
            case nn.LayerNormOp() | nn.RmsNormOp():
                last = len(nn.tensor_of(op.result).get_shape()) - 1
                return op.axis.value.data == last and self._ends(op, op.operands[1:], op.operands[:1])
            case nn.MulOp():
                return self._product(op)
            case nn.ReshapeOp() | nn.BroadcastOp():
                return self._join(op.operands[0], op.results[0])
            case nn.TransposeOp():
                permutation = op.permutation.get_values()
                return permutation[-1] == len(permutation) - 1 and self._join(op.input, op.result)
            case nn.SliceOp():
                return self._join(op.input, op.result)
            case nn.PadOp():
                return op.value.value.data == 0 and self._join(op.input, op.result)
            case nn.ConcatOp():
                last = len(nn.tensor_of(op.result).get_shape()) - 1
                return op.axis.value.data != last and self._join(*op.inputs, op.result)
            case _ if isinstance(op, _REDUCTIONS):
                last = len(nn.tensor_of(op.result).get_shape()) - 1
                return last not in op.axes.get_values() and self._join(op.input, op.result)
            case _ if isinstance(op, _SUMS):
                return self._join(op.lhs, op.rhs, op.result)
            case _:
                return isinstance(op, _HOMOGENEOUS) and self._join(op.operands[0], op.results[0])

    def _ends(self, op: Operation, parameters: Iterable[SSAValue], bound: Iterable[SSAValue]) -> bool:
        """An operation that takes factors up in its constant parameters."""
        if any(constant_of(parameter) is None for parameter in parameters):
            return False
        self._bind(bound)
        return self._join(op.results[0])

    def _product(self, op: nn.MulOp) -> bool:
        """One operand carries the unit of the product; the other is a factor with a unit of its own."""
        shape = nn.tensor_of(op.result).get_shape()
        for carrier, other in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
            if constant_of(carrier) is None and nn.tensor_of(carrier).get_shape() == shape and carrier is not other:
                if constant_of(other) is None:
                    self._bind([other])
                return self._join(carrier, op.result)
        return False

    def _join(self, *values: SSAValue) -> bool:
        """Put activations into one group; False when they have not all the channels of the last one."""
        *sources, result = values
        channels = channels_of(result)
        activations = [value for value in sources if constant_of(value) is None]
        constants = [value for value in sources if constant_of(value) is not None]
        if any(channels_of(value) != channels for value in activations):
            return False
        if any(channels_of(value) not in (1, channels) for value in constants):
            return False
        root = self._root(result)
        self._parents.setdefault(result, root)
        for value in activations:
            self._parents.setdefault(value, value)
            self._parents[self._root(value)] = root
        return True

    def _bind(self, values: Iterable[SSAValue]) -> None:
        self._bound.update(values)

    def _root(self, value: SSAValue) -> SSAValue:
        root = value
        while (parent := self._parents.get(root, root)) is not root:
            root = parent
        while (parent := self._parents.get(value, value)) is not root:
            self._parents[value] = root
            value = parent
        return root


def _scales_with(bounds: tuple[float, float]) -> bool:
    """Whether bounds can be given for each channel in its unit: none below zero or in the middle."""
    low, high = bounds
    return low in (0.0, -math.inf) and high > 0


def _is_f32_tensor(value: SSAValue) -> bool:
    return isinstance(value.type, TensorType) and nn.tensor_of(value).get_element_type() == f32
