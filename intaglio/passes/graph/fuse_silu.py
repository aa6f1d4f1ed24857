"""Recognise SiLU and Mish, an input times a function of itself.

```mlir
%s = nn.sigmoid %x : (tensor<4xf32>) -> tensor<4xf32>
%y = nn.mul %x, %s : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
// becomes
%y = nn.silu %x : (tensor<4xf32>) -> tensor<4xf32>
```

On the accelerator it is one table instead of a table and a product. A gate that is computed from something else, as
in squeeze-excite blocks, stays.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern

from intaglio.dialects import nn
from intaglio.ir.rewriting import apply_patterns
from intaglio.passes.graph.matching import is_float


class RecogniseGatedInput(RewritePattern):
    """`x * sigmoid(x)` to `silu(x)`, and `x * tanh(softplus(x))` to `mish(x)`.

    Safe within rounding: both operands are of one type, so that nothing is broadcast.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: nn.MulOp, rewriter: PatternRewriter) -> None:
        """Rewrite the multiplication."""
        if op.clamp is not None or not is_float(op.result) or op.lhs.type != op.rhs.type:
            return
        for x, gate in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
            kind = gated(x, gate)
            if kind is not None:
                rewriter.replace(op, kind(x, op.result.type))
                return


def gated(x: SSAValue, gate: SSAValue) -> type[nn.ActivationOp] | None:
    """The activation that `x * gate` is, if it is one."""
    function = gate.owner
    if isinstance(function, nn.SigmoidOp) and function.input is x:
        return nn.SiluOp
    if isinstance(function, nn.TanhOp) and isinstance(inner := function.input.owner, nn.SoftplusOp):
        return nn.MishOp if inner.input is x else None
    return None


@dataclass(frozen=True)
class FuseSilu(ModulePass):
    """Recognise SiLU and Mish written as a product of an input and its gate."""

    name = "fuse-silu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Run the pass."""
        apply_patterns(op, [RecogniseGatedInput()])
