"""Recognise the length of a vector, a square root of a sum of squares.

```mlir
%s = nn.mul %a, %a : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
%t = nn.mul %b, %b : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
%u = nn.add %s, %t : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
%y = nn.sqrt %u : (tensor<4xf32>) -> tensor<4xf32>
// becomes
%v = nn.concat %a, %b axis 0 ...          (both reshaped to tensor<1x4xf32>)
%y = nn.reduce_l2 %v axes [0] ...         (reshaped to tensor<4xf32>)
```

So are magnitudes of spectra written, and norms with `nn.reduce_sum` in the place of the addition. Stored in 8 bits, a
square below a 255th of the largest is zero, which takes everything from its root that is below a sixteenth. As one
operation the squares are summed exactly. A root to whose argument something else is added, such as a small number
against division by zero, stays.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern

from intaglio.dialects import nn
from intaglio.dialects.nn import tensor_of
from intaglio.ir.rewriting import apply_patterns
from intaglio.passes.graph.matching import is_float


def squared(value: SSAValue) -> SSAValue | None:
    """The value whose square another is, None if it is none."""
    op = value.owner
    if not isinstance(op, nn.MulOp) or op.clamp is not None or op.lhs is not op.rhs:
        return None
    return op.lhs


class RecogniseNorm(RewritePattern):
    """`sqrt(reduce_sum(x * x))` to `reduce_l2(x)`.

    Safe within rounding: it is the definition.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: nn.SqrtOp, rewriter: PatternRewriter) -> None:
        """Rewrite the root."""
        total = op.input.owner
        if not isinstance(total, nn.ReduceSumOp) or not is_float(op.result):
            return
        x = squared(total.input)
        if x is not None:
            rewriter.replace(op, nn.ReduceL2Op(x, total.axes.get_values()))


class RecogniseMagnitude(RewritePattern):
    """`sqrt(a * a + b * b)` to `reduce_l2` of both, one after the other along a new first dimension.

    Safe within rounding: both have the shape of the result, so that nothing is broadcast.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: nn.SqrtOp, rewriter: PatternRewriter) -> None:
        """Rewrite the root."""
        total = op.input.owner
        if not isinstance(total, nn.AddOp) or total.clamp is not None or not is_float(op.result):
            return
        parts = [part for operand in (total.lhs, total.rhs) if (part := squared(operand)) is not None]
        if len(parts) < 2 or any(part.type != op.result.type for part in parts):
            return
        kind = tensor_of(op.result)
        shape, element = kind.get_shape(), kind.get_element_type()
        rows: list[Operation] = [nn.ReshapeOp(part, TensorType(element, (1, *shape))) for part in parts]
        both = nn.ConcatOp([row.results[0] for row in rows], 0, TensorType(element, (2, *shape)))
        length = nn.ReduceL2Op(both.result, [0])
        rewriter.replace(op, [*rows, both, length, nn.ReshapeOp(length.result, op.result.type)])


@dataclass(frozen=True)
class FuseRootOfSquares(ModulePass):
    """Recognise square roots of sums of squares."""

    name = "fuse-root-of-squares"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Run the pass."""
        apply_patterns(op, [RecogniseNorm(), RecogniseMagnitude()])
