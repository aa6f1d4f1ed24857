"""Recognise layer normalization as exporters spell it.

```mlir
%m = nn.reduce_mean %x axes [1] : (tensor<2x8xf32>) -> tensor<2x1xf32>
%d = nn.sub %x, %m : (tensor<2x8xf32>, tensor<2x1xf32>) -> tensor<2x8xf32>
%q = nn.mul %d, %d : (tensor<2x8xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>
%v = nn.reduce_mean %q axes [1] : (tensor<2x8xf32>) -> tensor<2x1xf32>
%e = nn.add %v, %epsilon : (tensor<2x1xf32>, tensor<f32>) -> tensor<2x1xf32>
%s = nn.sqrt %e : (tensor<2x1xf32>) -> tensor<2x1xf32>
%y = nn.div %d, %s : (tensor<2x8xf32>, tensor<2x1xf32>) -> tensor<2x8xf32>
// becomes
%y = nn.layer_norm %x scale %ones offset %zeros axis 1 ... : (...) -> tensor<2x8xf32>
```

The spelling squares and divides, which quantized arithmetic does badly, and takes the mean of thousands of elements;
one operation can be kept in floats or get an integer form of its own. A mean may be a sum times the reciprocal of
the count, the variance the mean of squares less the square of the mean, limited below at zero, and the division a
product with the reciprocal. Scale and offset by constants along the dimension are taken up afterwards.

Left out: normalization over several dimensions of more than one element, which ONNX spells so for groups of
channels, and the root-mean-square form.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern

from intaglio.dialects import nn
from intaglio.dialects.nn import tensor_of
from intaglio.interpreter import Array
from intaglio.ir.locations import name_of
from intaglio.ir.rewriting import apply_patterns
from intaglio.passes.graph.layout import padded
from intaglio.passes.graph.matching import constant_array, constant_number, has_one_use, is_float, new_constant
from intaglio.passes.graph.products import close


@dataclass(frozen=True)
class Statistic:
    """A mean or a variance of `x` along one dimension."""

    x: SSAValue
    axis: int


def same_elements(value: SSAValue) -> SSAValue:
    """The value before reshapes; a statistic has its elements in one order in any shape."""
    while isinstance(value.owner, nn.ReshapeOp):
        value = value.owner.input
    return value


def reduced(op: nn.ReduceOp) -> Statistic | None:
    """What a reduction of one dimension (others of one element aside) is of."""
    shape = tensor_of(op.input).get_shape()
    axes = [int(axis) for axis in op.axes.get_values() if shape[int(axis)] != 1]
    return Statistic(op.input, axes[0]) if len(axes) == 1 else None


def mean_of(value: SSAValue) -> Statistic | None:
    """The mean that a value is, written as such or as a sum times the reciprocal of the count."""
    op = same_elements(value).owner
    if isinstance(op, nn.ReduceMeanOp):
        return reduced(op)
    if not isinstance(op, nn.MulOp | nn.DivOp) or op.clamp is not None:
        return None
    operands = [(op.lhs, op.rhs), (op.rhs, op.lhs)] if isinstance(op, nn.MulOp) else [(op.lhs, op.rhs)]
    for total, number in operands:
        summed, factor = same_elements(total).owner, constant_number(number)
        if factor and isinstance(summed, nn.ReduceSumOp) and (found := reduced(summed)) is not None:
            count = tensor_of(found.x).get_shape()[found.axis]
            return found if close(factor, 1.0 / count if isinstance(op, nn.MulOp) else count) else None
    return None


def is_square_of(value: SSAValue, root: SSAValue) -> bool:
    """Whether a value is another one times itself."""
    op = value.owner
    return isinstance(op, nn.MulOp) and op.clamp is None and op.lhs is root and op.rhs is root


def distance_of(value: SSAValue) -> Statistic | None:
    """The mean of `x` along a dimension, where a value is `x` less that mean."""
    op = value.owner
    if not isinstance(op, nn.SubOp) or op.clamp is not None or op.lhs.type != value.type:
        return None
    mean = mean_of(op.rhs)
    return mean if mean is not None and mean.x is op.lhs and is_kept(op.rhs, mean) else None


def is_kept(value: SSAValue, statistic: Statistic) -> bool:
    """Whether a value broadcasts over `x` as a statistic that has kept its dimension."""
    shape = list(tensor_of(statistic.x).get_shape())
    shape[statistic.axis] = 1
    return padded(tensor_of(value).get_shape(), len(shape)) == tuple(shape)


def variance_of(value: SSAValue) -> Statistic | None:
    """The variance that a value is: mean squared distance, or mean square less squared mean."""
    value = same_elements(value)
    if isinstance(value.owner, nn.ClipOp) and value.owner.clamp.bounds == (0.0, math.inf):
        value = same_elements(value.owner.input)
    op = value.owner
    if isinstance(op, nn.SubOp):
        if op.clamp is not None and op.clamp.bounds != (0.0, math.inf):
            return None
        square, squared = mean_of(op.lhs), same_elements(op.rhs).owner
        if square is None or not isinstance(squared, nn.MulOp) or squared.lhs is not squared.rhs:
            return None
        mean = mean_of(squared.lhs)
        return mean if mean is not None and mean.axis == square.axis and is_square_of(square.x, mean.x) else None
    found = mean_of(value)
    if found is None or not isinstance(found.x.owner, nn.MulOp):
        return None
    distance = found.x.owner.lhs
    mean = distance_of(distance)
    return mean if mean is not None and mean.axis == found.axis and is_square_of(found.x, distance) else None


def deviation_of(value: SSAValue) -> tuple[Statistic, float] | None:
    """The variance and the epsilon of which a value is the root."""
    root = same_elements(value).owner
    total = same_elements(root.input).owner if isinstance(root, nn.SqrtOp) else None
    if not isinstance(total, nn.AddOp) or total.clamp is not None:
        return None
    for number, other in ((total.lhs, total.rhs), (total.rhs, total.lhs)):
        epsilon = constant_number(number)
        if epsilon is not None and epsilon >= 0 and (variance := variance_of(other)) is not None:
            return variance, epsilon
    return None


def inverse_deviation_of(value: SSAValue) -> tuple[Statistic, float] | None:
    """The variance and the epsilon of which a value is the reciprocal root."""
    op = same_elements(value).owner
    if isinstance(op, nn.ReciprocalOp):
        return deviation_of(op.input)
    if isinstance(op, nn.DivOp) and op.clamp is None and constant_number(op.lhs) == 1.0:
        return deviation_of(op.rhs)
    return None


def with_constants(value: SSAValue) -> Iterator[tuple[SSAValue, SSAValue | None]]:
    """The value alone, and as the product of another value and a constant."""
    yield value, None
    op = value.owner
    if isinstance(op, nn.MulOp) and op.clamp is None:
        for constant, other in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
            if constant_array(constant) is not None:
                yield other, constant


def along(constant: SSAValue | None, statistic: Statistic) -> Array | None:
    """A constant (absent: 1) as an array along the dimension, None if it varies along others or is too large."""
    shape = tensor_of(statistic.x).get_shape()
    array = np.ones(()) if constant is None else constant_array(constant)
    if array is None or array.ndim > len(shape):
        return None
    aligned = padded(array.shape, len(shape))
    if any(size != 1 for axis, size in enumerate(aligned) if axis != statistic.axis):
        return None
    return np.broadcast_to(array.astype(np.float64).reshape(-1), (shape[statistic.axis],))


def layer_norm(
    op: Operation, statistic: Statistic, scale: Array, offset: Array, epsilon: float
) -> tuple[list[Operation], nn.LayerNormOp]:
    """A normalization with constant parameters, and the operations to insert for it."""
    kind, name = tensor_of(statistic.x).get_element_type(), name_of(op) or "layer_norm"
    parameters = [new_constant(f"{name}.{role}", array, kind) for role, array in (("scale", scale), ("offset", offset))]
    made = nn.LayerNormOp(statistic.x, parameters[0].result, parameters[1].result, statistic.axis, epsilon)
    return [*parameters, made], made


class RecogniseLayerNorm(RewritePattern):
    """`(x - mean) / deviation`, with constants multiplied to either factor, to `layer_norm`.

    Safe within rounding: mean and variance are of the same `x` along the same dimension, which shapes are checked for.
    """

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        """Rewrite the product or quotient."""
        if not isinstance(op, nn.MulOp | nn.DivOp) or op.clamp is not None or not is_float(op.result):
            return
        orders = [(op.lhs, op.rhs)] if isinstance(op, nn.DivOp) else [(op.lhs, op.rhs), (op.rhs, op.lhs)]
        for left, right in orders:
            for distance, first in with_constants(left):
                mean = distance_of(distance)
                if mean is None or distance.type != op.result.type:
                    continue
                for deviation, second in with_constants(right) if isinstance(op, nn.MulOp) else [(right, None)]:
                    found = inverse_deviation_of(deviation) if isinstance(op, nn.MulOp) else deviation_of(deviation)
                    if found is None or found[0] != mean or not is_kept(deviation, mean):
                        continue
                    factors = [array for array in (along(first, mean), along(second, mean)) if array is not None]
                    if len(factors) == 2:
                        zeros = np.zeros(factors[0].shape)
                        new_ops, made = layer_norm(op, mean, factors[0] * factors[1], zeros, found[1])
                        rewriter.replace(op, new_ops, [made.result])
                        return


class TakeUpConstants(RewritePattern):
    """`layer_norm(x) * c` and `layer_norm(x) + c` to one layer norm with other parameters.

    Safe because `(n * s + o) * c = n * (s * c) + o * c`; nobody else reads the result in between.
    """

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        """Rewrite a product or sum of a layer norm and a constant along its dimension."""
        if not isinstance(op, nn.MulOp | nn.AddOp) or op.clamp is not None:
            return
        for value, constant in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
            norm = value.owner
            if not isinstance(norm, nn.LayerNormOp) or value.type != op.result.type or not has_one_use(value):
                continue
            if constant_array(constant) is None:
                continue
            statistic = Statistic(norm.input, norm.axis.value.data)
            operand = along(constant, statistic)
            scale, offset = constant_array(norm.scale), constant_array(norm.offset)
            if operand is None or scale is None or offset is None:
                continue
            scale, offset = scale.astype(np.float64), offset.astype(np.float64)
            scale, offset = (
                (scale * operand, offset * operand) if isinstance(op, nn.MulOp) else (scale, offset + operand)
            )
            new_ops, made = layer_norm(op, statistic, scale, offset, norm.epsilon.value.data)
            rewriter.replace(op, new_ops, [made.result])
            return


@dataclass(frozen=True)
class FuseLayerNorm(ModulePass):
    """Recognise layer normalization written as means, squares and a root."""

    name = "fuse-layer-norm"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Run the pass."""
        apply_patterns(op, [RecogniseLayerNorm(), TakeUpConstants()])
