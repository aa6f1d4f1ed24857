"""Recognise softmax as exporters spell it.

```mlir
%m = nn.reduce_max %x axes [1] : (tensor<2x8xf32>) -> tensor<2x1xf32>
%d = nn.sub %x, %m : (tensor<2x8xf32>, tensor<2x1xf32>) -> tensor<2x8xf32>
%e = nn.exp %d : (tensor<2x8xf32>) -> tensor<2x8xf32>
%s = nn.reduce_sum %e axes [1] : (tensor<2x8xf32>) -> tensor<2x1xf32>
%y = nn.div %e, %s : (tensor<2x8xf32>, tensor<2x1xf32>) -> tensor<2x8xf32>
// becomes
%y = nn.softmax %x axis 1 : (tensor<2x8xf32>) -> tensor<2x8xf32>
```

Exponentials have a range that quantized arithmetic cannot hold; as one operation softmax can be kept in floats or get
an integer form of its own. Without the largest element taken out it is the same function.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern

from intaglio.dialects import nn
from intaglio.dialects.nn import tensor_of
from intaglio.ir.rewriting import apply_patterns
from intaglio.passes.graph.layout import padded
from intaglio.passes.graph.matching import is_float


def reduction_along_one(value: SSAValue, kind: type[nn.ReduceOp]) -> nn.ReduceOp | None:
    """The reduction of a single dimension that a value is, reshapes that do not change how it broadcasts aside."""
    op, shape = value.owner, tensor_of(value).get_shape()
    while isinstance(op, nn.ReshapeOp):
        op = op.input.owner
    if not isinstance(op, kind) or len(op.axes.get_values()) != 1:
        return None
    kept = tensor_of(op.result).get_shape()
    return op if len(shape) <= len(kept) and padded(shape, len(kept)) == kept else None


class RecogniseSoftmax(RewritePattern):
    """`exp(x - max(x)) / sum(exp(x - max(x)))` to `softmax(x)`.

    Safe within rounding: maximum and sum are along one dimension, over which they broadcast.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: nn.DivOp, rewriter: PatternRewriter) -> None:
        """Rewrite the division."""
        exponential = op.lhs.owner
        if op.clamp is not None or not is_float(op.result) or not isinstance(exponential, nn.ExpOp):
            return
        total = reduction_along_one(op.rhs, nn.ReduceSumOp)
        if total is None or total.input is not op.lhs or op.lhs.type != op.result.type:
            return
        x, (axis,) = exponential.input, total.axes.get_values()
        shifted = x.owner
        if isinstance(shifted, nn.SubOp) and shifted.clamp is None and shifted.lhs.type == x.type:
            largest = reduction_along_one(shifted.rhs, nn.ReduceMaxOp)
            if largest is not None and largest.input is shifted.lhs and largest.axes.get_values() == (axis,):
                x = shifted.lhs
        rewriter.replace(op, nn.SoftmaxOp(x, int(axis), op.result.type))


@dataclass(frozen=True)
class FuseSoftmax(ModulePass):
    """Recognise softmax written as exponentials over their sum."""

    name = "fuse-softmax"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Run the pass."""
        apply_patterns(op, [RecogniseSoftmax()])
