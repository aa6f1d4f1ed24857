"""Fold inference batch norms into the convolution or dense layer before them.

```mlir
%c = nn.conv2d %x, %w ... : (...) -> tensor<1x8x8x4xf32>
%y = nn.batch_norm %c scale %s offset %o mean %m variance %v epsilon 1.0e-05 : f64 : (...) -> tensor<1x8x8x4xf32>
// becomes
%y = nn.conv2d %x, %w_scaled bias %b ... : (...) -> tensor<1x8x8x4xf32>
```

At inference a batch norm is one multiplication and one addition per channel, which the layer's weights and
bias take up: `w' = w * f` and `b' = (b - mean) * f + offset` with `f = scale / sqrt(variance + epsilon)`. It is
computed in double precision and rounded once. A batch norm that no layer can take up becomes a multiplication
and an addition. Batch norms whose parameters are not constants stay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern

from intaglio.dialects import nn
from intaglio.dialects.nn import tensor_of
from intaglio.interpreter import Array
from intaglio.ir.locations import fuse, name_of
from intaglio.ir.rewriting import apply_patterns
from intaglio.passes.graph.matching import (
    constant_array,
    constant_of,
    has_one_use,
    new_constant,
)


def factor_and_offset(op: nn.BatchNormOp) -> tuple[Array, Array] | None:
    """The `f` and `g` of `result = input * f + g` in double precision, or None when they are not known."""
    arrays = [constant_array(value) for value in (op.scale, op.offset, op.mean, op.variance)]
    known = [array.astype(np.float64) for array in arrays if array is not None]
    if len(known) < len(arrays):
        return None
    scale, offset, mean, variance = known
    deviation_squared = variance + op.epsilon.value.data
    if not np.all(deviation_squared > 0):
        return None
    factor = scale / np.sqrt(deviation_squared)
    return factor, offset - mean * factor


class FoldIntoLayer(RewritePattern):
    """`batch_norm(conv2d(x, w, b))` to `conv2d(x, w', b')`, and the same for dense layers.

    Safe because every output channel is a sum that the batch norm scales and shifts as a whole, whatever the
    groups; guarded against a layer with an activation in between or with other users.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: nn.BatchNormOp, rewriter: PatternRewriter) -> None:
        """Rewrite a batch norm of a layer with constant weights."""
        layer = op.input.owner
        if not isinstance(layer, nn.Conv2dOp | nn.DenseOp) or layer.clamp is not None:
            return
        if not has_one_use(layer.result):
            return
        weight = constant_array(layer.weight)
        bias = constant_array(layer.bias) if layer.bias is not None else np.zeros(())
        parameters = factor_and_offset(op)
        if weight is None or bias is None or parameters is None:
            return
        factor, offset = parameters
        per_channel = factor.reshape(-1, *[1] * (weight.ndim - 1))
        name = name_of(layer) or "batch_norm"
        element_type = tensor_of(layer.weight).get_element_type()
        new_weight = new_constant(
            f"{name}.weight", weight.astype(np.float64) * per_channel, element_type, constant_of(layer.weight)
        )
        new_bias = new_constant(
            f"{name}.bias", bias.astype(np.float64) * factor + offset, element_type, constant_of(layer.bias)
        )
        folded = type(layer).create(
            operands=[layer.input, new_weight.result, new_bias.result],
            result_types=[op.result.type],
            properties=layer.properties.copy(),
            attributes=layer.attributes.copy(),
            location=fuse([layer.location, op.location]),
        )
        rewriter.replace(op, [new_weight, new_bias, folded], [folded.result])


class SplitIntoMulAndAdd(RewritePattern):
    """`batch_norm(x)` to `x * f + g`.

    Safe because it is the definition with its constants computed; tried after `FoldIntoLayer`.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: nn.BatchNormOp, rewriter: PatternRewriter) -> None:
        """Rewrite a batch norm with constant parameters."""
        parameters = factor_and_offset(op)
        if parameters is None:
            return
        element_type = tensor_of(op.input).get_element_type()
        name = name_of(op) or "batch_norm"
        factor, offset = (
            new_constant(f"{name}.{role}", array, element_type)
            for role, array in zip(("factor", "offset"), parameters, strict=True)
        )
        product = nn.MulOp(op.input, factor.result, op.result.type)
        total = nn.AddOp(product.result, offset.result, op.result.type)
        rewriter.replace(op, [factor, offset, product, total], [total.result])


@dataclass(frozen=True)
class FoldBatchNorm(ModulePass):
    """Fold inference batch norms into the convolution or dense layer before them."""

    name = "fold-batch-norm"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Run the pass."""
        apply_patterns(op, [FoldIntoLayer(), SplitIntoMulAndAdd()])
