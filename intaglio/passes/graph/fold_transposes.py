"""Bring the graph into one layout: push transposes towards the results, where they meet and cancel.

```mlir
%a = nn.transpose %c permutation [0, 3, 1, 2] : (tensor<1x8x8x4xf32>) -> tensor<1x4x8x8xf32>
%b = nn.relu %a : (tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
%d = nn.transpose %b permutation [0, 2, 3, 1] : (tensor<1x4x8x8xf32>) -> tensor<1x8x8x4xf32>
// becomes
%d = nn.relu %c : (tensor<1x8x8x4xf32>) -> tensor<1x8x8x4xf32>
```

Lowering from ONNX puts a transpose before and after every operation that has a layout. Two steps alternate until
nothing changes. First transposes move below elementwise operations, activations, comparisons, concat, pad, slice,
reductions, normalizations along one dimension and channel shuffles (reshapes below the first two), and two in a row
become one or none;
an operation of several operands is passed when the others are transposed alike, constants (transposed now) or hold
their elements in the same order either way. Then what is left and moves only dimensions of size 1 becomes a reshape,
and reshapes in a row become one or none. A transpose is not
moved towards the arguments, and none is added to make another one movable.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i64
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern

from intaglio.dialects import nn
from intaglio.dialects.nn import tensor_of
from intaglio.dialects.nn.types import ints
from intaglio.ir.rewriting import apply_patterns
from intaglio.passes.graph.layout import before_transpose, inverse, moves_only_ones, permutation_of
from intaglio.passes.graph.sinking import (
    SinkBelowNormalization,
    SinkBelowReduction,
    SinkBelowShuffle,
    SinkBelowSlice,
    SinkBelowUnitReshape,
    SinkReshapeBelowElementwise,
    sink,
    transposed_operand,
)


class ComposeTransposes(RewritePattern):
    """`transpose(transpose(x))` to one transpose, or to `x`.

    Safe because permutations compose.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: nn.TransposeOp, rewriter: PatternRewriter) -> None:
        """Rewrite the outer transpose; the inner one stays for its other users."""
        outer = permutation_of(op)
        if outer == tuple(range(len(outer))):
            rewriter.replace(op, [], [op.input])
            return
        if not isinstance(op.input.owner, nn.TransposeOp):
            return
        inner = permutation_of(op.input.owner)
        rewriter.replace(op, nn.TransposeOp(op.input.owner.input, [inner[k] for k in outer]))


class TransposeConstant(RewritePattern):
    """`transpose(constant)` to a constant.

    Safe because the values are known; quantized constants wait for `fold-constants`.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: nn.TransposeOp, rewriter: PatternRewriter) -> None:
        """Rewrite a transpose of a constant."""
        if not isinstance(op.input.owner, nn.ConstantOp):
            return
        new_ops: list[Operation] = []
        moved = before_transpose(op.input, inverse(permutation_of(op)), new_ops)
        if moved is not None and moved.type == op.result.type:
            rewriter.replace(op, new_ops, [moved])


class SinkBelowElementwise(RewritePattern):
    """`f(transpose(a), transpose(b))` to `transpose(f(a, b))` for what computes element by element.

    Safe because elements are computed one by one; operands of lower rank are aligned as broadcasting does
    before their dimensions move.
    """

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        """Rewrite an operation that computes element by element, and has a transposed operand of full rank."""
        if not isinstance(op, nn.ElementwiseOp | nn.ActivationOp | nn.CompareOp | nn.SelectOp | nn.CastOp):
            return
        first = transposed_operand(op, len(tensor_of(op.results[0]).get_shape()))
        if first is None:
            return
        permutation = permutation_of(first)
        new_ops: list[Operation] = []
        found = [before_transpose(operand, permutation, new_ops) for operand in op.operands]
        operands = [operand for operand in found if operand is not None]
        if len(operands) == len(found):
            rewriter.insert(new_ops)
            sink(op, permutation, operands, rewriter)


class SinkBelowConcat(RewritePattern):
    """`concat(transpose(a), transpose(b))` to `transpose(concat(a, b))`.

    Safe because joining along the result's dimension `axis` is joining along the input's `permutation[axis]`.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: nn.ConcatOp, rewriter: PatternRewriter) -> None:
        """Rewrite a concat of which one operand is transposed and all others may be."""
        first = transposed_operand(op, len(tensor_of(op.result).get_shape()))
        if first is None:
            return
        permutation = permutation_of(first)
        new_ops: list[Operation] = []
        found = [before_transpose(operand, permutation, new_ops) for operand in op.operands]
        operands = [operand for operand in found if operand is not None]
        if len(operands) == len(found):
            rewriter.insert(new_ops)
            axis = IntegerAttr(permutation[op.axis.value.data], i64)
            sink(op, permutation, operands, rewriter, axis=axis)


class SinkBelowPad(RewritePattern):
    """`pad(transpose(x))` to `transpose(pad(x))`, with the amounts in the other order.

    Safe because the same elements get the same neighbours.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: nn.PadOp, rewriter: PatternRewriter) -> None:
        """Rewrite a pad of a transpose."""
        if not isinstance(op.input.owner, nn.TransposeOp):
            return
        permutation = permutation_of(op.input.owner)
        low, high = (ints([amounts.get_values()[k] for k in inverse(permutation)]) for amounts in (op.low, op.high))
        sink(op, permutation, [op.input.owner.input], rewriter, low=low, high=high)


class TransposeToReshape(RewritePattern):
    """A transpose that moves only dimensions of size 1 to a reshape.

    Safe because row-major order does not change.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: nn.TransposeOp, rewriter: PatternRewriter) -> None:
        """Rewrite a transpose that leaves all elements where they are."""
        if moves_only_ones(tensor_of(op.input).get_shape(), permutation_of(op)):
            rewriter.replace(op, nn.ReshapeOp(op.input, op.result.type))


class ComposeReshapes(RewritePattern):
    """`reshape(reshape(x))` to one reshape, or to `x`.

    Safe because a reshape keeps row-major order.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: nn.ReshapeOp, rewriter: PatternRewriter) -> None:
        """Rewrite the outer reshape; the inner one stays for its other users."""
        source = op.input
        if isinstance(source.owner, nn.ReshapeOp):
            source = source.owner.input
        if source.type == op.result.type:
            rewriter.replace(op, [], [source])
        elif source is not op.input:
            rewriter.replace(op, nn.ReshapeOp(source, op.result.type))


@dataclass(frozen=True)
class FoldTransposes(ModulePass):
    """Cancel transposes by pushing them below operations that do not care about the layout."""

    name = "fold-transposes"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Run the pass."""
        movement = [
            ComposeTransposes(),
            TransposeConstant(),
            SinkBelowElementwise(),
            SinkReshapeBelowElementwise(),
            SinkBelowConcat(),
            SinkBelowPad(),
            SinkBelowSlice(),
            SinkBelowReduction(),
            SinkBelowNormalization(),
            SinkBelowUnitReshape(),
            SinkBelowShuffle(),
        ]
        while apply_patterns(op, movement) | apply_patterns(op, [TransposeToReshape(), ComposeReshapes()]):
            pass
