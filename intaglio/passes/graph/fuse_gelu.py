"""Recognise GELU, exact or approximated by a hyperbolic tangent, as exporters spell it.

```mlir
%a = nn.div %x, %root_of_two : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
%b = nn.erf %a : (tensor<4xf32>) -> tensor<4xf32>
%c = nn.add %b, %one : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
%d = nn.mul %x, %c : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
%y = nn.mul %d, %half : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
// becomes
%y = nn.gelu %x approximate "none" : (tensor<4xf32>) -> tensor<4xf32>
```

On the accelerator an activation is one table; its spelling is five to nine operations, each of which rounds. The
order of the factors does not matter, and constants may be rounded. Other approximations, such as
`x * sigmoid(1.702 * x)`, are other functions and stay.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern

from intaglio.dialects import nn
from intaglio.ir.rewriting import apply_patterns
from intaglio.passes.graph.matching import is_float
from intaglio.passes.graph.products import close, multiples, number_and_summand, product_of


def gates(value: SSAValue) -> Iterator[nn.ErfOp | nn.TanhOp]:
    """The functions to which 1 is added in a product that a value is."""
    product = product_of(value)
    for factor in product.factors if product is not None else ():
        found = number_and_summand(factor)
        if found is not None and close(found[0], 1.0) and isinstance(found[1].owner, nn.ErfOp | nn.TanhOp):
            yield found[1].owner


def exact_inputs(gate: nn.ErfOp) -> Iterator[SSAValue]:
    """Each `x` for which the gate is of `x / sqrt(2)`."""
    for value, number in multiples(gate.input):
        if close(number, math.sqrt(0.5)):
            yield value


def approximate_inputs(gate: nn.TanhOp) -> Iterator[SSAValue]:
    """Each `x` for which the gate is of `sqrt(2 / pi) * (x + 0.044715 * x ** 3)`."""
    argument = product_of(gate.input)
    if argument is None or len(argument.factors) != 1 or not close(argument.number, math.sqrt(2.0 / math.pi)):
        return
    total = argument.factors[0].owner
    if not isinstance(total, nn.AddOp) or total.clamp is not None:
        return
    for x, cube in ((total.lhs, total.rhs), (total.rhs, total.lhs)):
        product = product_of(cube, {x})
        if product is not None and product.is_number_times(0.044715, x, x, x):
            yield x


class RecogniseGelu(RewritePattern):
    """`0.5 * x * (1 + erf(x / sqrt(2)))` and `0.5 * x * (1 + tanh(...))` to `gelu(x)`.

    Safe within rounding: all values are of one type, so that nothing is broadcast but numbers, and the product has no
    other factors.
    """

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        """Rewrite the last multiplication or division of the spelling."""
        if not isinstance(op, nn.MulOp | nn.DivOp) or op.clamp is not None or not is_float(op.result):
            return
        for gate in gates(op.result):
            inputs = exact_inputs(gate) if isinstance(gate, nn.ErfOp) else approximate_inputs(gate)
            for x in inputs:
                product = product_of(op.result, {x})
                others = [factor for factor in product.factors if factor is not x] if product is not None else []
                if product is None or len(others) != 1 or not product.is_number_times(0.5, x, *others):
                    continue
                approximate = "none" if isinstance(gate, nn.ErfOp) else "tanh"
                rewriter.replace(op, nn.GeluOp(x, op.result.type, approximate))
                return


@dataclass(frozen=True)
class FuseGelu(ModulePass):
    """Recognise GELU written with an error function or a hyperbolic tangent."""

    name = "fuse-gelu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Run the pass."""
        apply_patterns(op, [RecogniseGelu()])
