"""Fold additions and multiplications by constants per channel into the layer before them.

```mlir
%d = nn.dense %x, %w : (tensor<1x8xf32>, tensor<4x8xf32>) -> tensor<1x4xf32>
%y = nn.add %d, %b : (tensor<1x4xf32>, tensor<4xf32>) -> tensor<1x4xf32>
// becomes
%y = nn.dense %x, %w bias %b : (tensor<1x8xf32>, tensor<4x8xf32>, tensor<4xf32>) -> tensor<1x4xf32>
```

Exporters write the bias of a matrix product as an addition. As part of the layer it is added to the accumulator, at
its precision and without an operation; left outside, it would round once more. A fused activation of the addition
becomes that of the layer. A layer that has an activation already, or whose result is read elsewhere, stays.
"""

from __future__ import annotations

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
from intaglio.ir.locations import fuse, name_of
from intaglio.ir.rewriting import apply_patterns
from intaglio.passes.graph.layout import padded
from intaglio.passes.graph.matching import constant_array, constant_of, has_one_use, is_float, new_constant

Layer = nn.Conv2dOp | nn.ConvTranspose2dOp | nn.DenseOp


def per_channel(value: SSAValue, result: SSAValue) -> Array | None:
    """A constant in double precision with one element per channel of `result`, None if it varies along others."""
    array, shape = constant_array(value), tensor_of(result).get_shape()
    if array is None or array.ndim > len(shape):
        return None
    aligned = padded(array.shape, len(shape))
    if any(size != 1 for size in aligned[:-1]):
        return None
    return np.broadcast_to(array.astype(np.float64).reshape(-1), shape[-1:])


def factor_and_summand(op: Operation, constant: Array, *, constant_first: bool) -> tuple[Array, Array] | None:
    """The `f` and `g` of `result = layer * f + g`, None when the operation is not of that form."""
    ones, zeros = np.ones_like(constant), np.zeros_like(constant)
    match op:
        case nn.AddOp():
            return ones, constant
        case nn.SubOp():
            return (-ones, constant) if constant_first else (ones, -constant)
        case nn.MulOp():
            return constant, zeros
        case nn.DivOp() if not constant_first and np.all(constant != 0):
            return 1.0 / constant, zeros
        case _:
            return None


class FoldIntoLayer(RewritePattern):
    """`layer(x, w, b) * f + g` to `layer(x, w * f, b * f + g)`.

    Safe because each output channel is a sum that the constants scale and shift as a whole; it is computed in double
    precision and rounded once.
    """

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        """Rewrite an operation of a layer's result and a constant."""
        if not isinstance(op, nn.AddOp | nn.SubOp | nn.MulOp | nn.DivOp) or not is_float(op.result):
            return
        for value, other in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
            layer = value.owner
            if not isinstance(layer, Layer) or layer.clamp is not None or not has_one_use(value):
                continue
            constant = per_channel(other, op.result)
            if constant is None or value.type != op.result.type:
                continue
            weight = constant_array(layer.weight)
            bias = constant_array(layer.bias) if layer.bias is not None else np.zeros(())
            parts = factor_and_summand(op, constant, constant_first=other is op.lhs)
            if weight is None or bias is None or parts is None:
                continue
            rewriter.replace(op, *folded(op, layer, weight, bias, *parts))
            return


def folded(
    op: nn.ElementwiseOp, layer: Layer, weight: Array, bias: Array, factor: Array, summand: Array
) -> tuple[list[Operation], list[SSAValue]]:
    """The new layer with its constants, and its result."""
    name, kind = name_of(layer) or "layer", tensor_of(layer.weight).get_element_type()
    new_ops: list[Operation] = []
    weight_value = layer.weight
    if not np.all(factor == 1):
        scaled = weight.astype(np.float64) * factor.reshape(-1, *[1] * (weight.ndim - 1))
        made = new_constant(f"{name}.weight", scaled, kind, constant_of(layer.weight))
        new_ops.append(made)
        weight_value = made.result
    new_bias = new_constant(f"{name}.bias", bias.astype(np.float64) * factor + summand, kind, constant_of(layer.bias))
    properties = layer.properties.copy()
    if op.clamp is not None:
        properties["clamp"] = op.clamp
    new_layer = type(layer).create(
        operands=[layer.input, weight_value, new_bias.result],
        result_types=[op.result.type],
        properties=properties,
        attributes=layer.attributes.copy(),
        location=fuse([layer.location, op.location]),
    )
    return [*new_ops, new_bias, new_layer], [new_layer.result]


@dataclass(frozen=True)
class FoldAffine(ModulePass):
    """Fold additions and multiplications by constants per channel into the layer before them."""

    name = "fold-affine"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Run the pass."""
        apply_patterns(op, [FoldIntoLayer()])
