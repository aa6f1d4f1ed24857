"""Turn means and maxima over dimensions in the middle into pooling, which the accelerator has.

```mlir
%y = nn.reduce_mean %x axes [1, 2] : (tensor<1x7x7x64xf32>) -> tensor<1x1x1x64xf32>
// becomes
%y = nn.avg_pool2d %x kernel [7, 7] ... : (tensor<1x7x7x64xf32>) -> tensor<1x1x1x64xf32>
```

A pool whose window is the input reduces rows and columns of `[N, H, W, C]`. Neighbouring dimensions that are
reduced are rows and columns of some such view: the first one rows, the others columns, all before them the batch
and all behind them channels. Reductions over the last dimension stay, as there are no channels then, and so do
those over dimensions apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern

from intaglio.dialects import nn
from intaglio.dialects.nn import tensor_of
from intaglio.ir.rewriting import apply_patterns
from intaglio.passes.graph.matching import is_float


class UsePool(RewritePattern):
    """`reduce_mean` and `reduce_max` over neighbouring dimensions but the last to a pool of the whole window.

    Safe because the view keeps row-major order, and mean and maximum of a window are those of its elements.
    """

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        """Rewrite a reduction of floats."""
        if not isinstance(op, nn.ReduceMeanOp | nn.ReduceMaxOp) or not is_float(op.input):
            return
        kind = tensor_of(op.input)
        shape, axes = kind.get_shape(), [int(axis) for axis in op.axes.get_values()]
        first, last = axes[0], axes[-1]
        if 0 in shape or len(axes) != last - first + 1 or last == len(shape) - 1:
            return
        window = (shape[first], math.prod(shape[first + 1 : last + 1]))
        batch, channels = math.prod(shape[:first]), math.prod(shape[last + 1 :])
        view = nn.ReshapeOp(op.input, TensorType(kind.get_element_type(), [batch, *window, channels]))
        pool = nn.AvgPool2dOp if isinstance(op, nn.ReduceMeanOp) else nn.MaxPool2dOp
        pooled = pool(view.result, TensorType(kind.get_element_type(), [batch, 1, 1, channels]), kernel=window)
        back = nn.ReshapeOp(pooled.result, op.result.type)
        new_ops: list[Operation] = [view, pooled, back]
        if view.result.type == op.input.type:
            pooled.operands[0] = op.input
            new_ops.remove(view)
        if pooled.result.type == op.result.type:
            new_ops.remove(back)
        rewriter.replace(op, new_ops, [new_ops[-1].results[0]])


@dataclass(frozen=True)
class ReduceToPool(ModulePass):
    """Turn means and maxima over dimensions before the last into pools of the whole window."""

    name = "reduce-to-pool"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Run the pass."""
        apply_patterns(op, [UsePool()])
