"""Fuse relu and clip into the clamp of the operation before them.

```mlir
%c = nn.conv2d %x, %w ... groups 1 : (...) -> tensor<1x8x8x4xf32>
%y = nn.relu %c : (tensor<1x8x8x4xf32>) -> tensor<1x8x8x4xf32>
// becomes
%y = nn.conv2d %x, %w ... groups 1 clamp <0.0, inf> : (...) -> tensor<1x8x8x4xf32>
```

The accelerator limits values while it requantizes the accumulator, so a fused activation is free. Other
activation functions are tables and stay operations. A producer whose unlimited result is needed elsewhere is
not duplicated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern

from intaglio.dialects import nn
from intaglio.ir.locations import fuse
from intaglio.ir.rewriting import apply_patterns
from intaglio.passes.graph.matching import has_one_use

Clamped = nn.Conv2dOp | nn.ConvTranspose2dOp | nn.DenseOp | nn.MatmulOp | nn.ElementwiseOp | nn.AvgPool2dOp


def clamp_of(op: Operation) -> nn.ClampAttr | None:
    """The limits that a relu or clip applies, None for other operations."""
    if isinstance(op, nn.ReluOp):
        return nn.ClampAttr.of(0.0, math.inf)
    return op.clamp if isinstance(op, nn.ClipOp) else None


def then(first: nn.ClampAttr | None, second: nn.ClampAttr) -> nn.ClampAttr:
    """The clamp that does what `first` followed by `second` does: the intersection, where there is one."""
    if first is None:
        return second
    low, high = (float(np.clip(bound, *second.bounds)) for bound in first.bounds)
    return nn.ClampAttr.of(low, high)


class FuseIntoProducer(RewritePattern):
    """`clip(producer(...))` to `producer(...) clamp`.

    Safe because the clamp is applied to the producer's exact result and nobody else reads that. On quantized
    tensors both must have one type: an activation that changes the parameters rounds once more.
    """

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        """Rewrite a relu or clip whose producer has a clamp and no other user."""
        clamp = clamp_of(op)
        if clamp is None:
            return
        producer = op.operands[0].owner
        if not isinstance(producer, Clamped) or not has_one_use(producer.result):
            return
        if producer.result.type != op.results[0].type:
            return
        fused = producer.clone()
        fused.clamp = then(producer.clamp, clamp)
        fused.result.name_hint = op.results[0].name_hint
        fused.location = fuse([producer.location, op.location])
        rewriter.replace(op, fused)


class MergeClips(RewritePattern):
    """`clip(clip(x))` to one clip, for a chain that no producer takes up.

    Safe because limiting twice is limiting to the composed interval; quantized as in `FuseIntoProducer`.
    """

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        """Rewrite a relu or clip of a relu or clip."""
        second = clamp_of(op)
        inner = op.operands[0].owner if second is not None else None
        if second is None or not isinstance(inner, nn.ReluOp | nn.ClipOp) or not has_one_use(inner.result):
            return
        first = clamp_of(inner)
        if inner.result.type != op.results[0].type:
            return
        merged = nn.ClipOp(inner.input, op.results[0].type, then(first, second))
        merged.location = fuse([inner.location, op.location])
        rewriter.replace(op, merged)


@dataclass(frozen=True)
class FuseActivation(ModulePass):
    """Fuse relu and clip into the clamp of the operation before them."""

    name = "fuse-activation"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Run the pass."""
        apply_patterns(op, [FuseIntoProducer(), MergeClips()])
