"""Recognise hard-swish and hard-sigmoid as exporters spell them.

```mlir
%a = nn.add %x, %three : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
%b = nn.clip %a to <0.0, 6.0> : (tensor<4xf32>) -> tensor<4xf32>
%c = nn.mul %x, %b : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
%y = nn.div %c, %six : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
// becomes
%y = nn.hard_swish %x : (tensor<4xf32>) -> tensor<4xf32>
```

On the accelerator an activation function is one table, whatever it computes, while its spelling is four
operations and three roundings. Rather than listing spellings, a chain of additions, multiplications and
limits by constants is read as a `Ramp`, `clip(alpha * x + beta, low, high)`: a ramp from 0 to 1 is a
hard-sigmoid, and a product of `x`, constants and a ramp that comes out as `x * clip(x / 6 + 1/2, 0, 1)` is
hard-swish. Constants may be rounded: 0.16667 is a sixth.

`x * sigmoid(x)` stays: there is no operation for it. So does a plain `clip`: a ramp has a slope.
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
from intaglio.passes.graph.matching import constant_number, is_float

_TOLERANCE = 1e-4
_LONGEST_SPELLING = 8
"""Operations of the longest chain looked at, so that long chains of other arithmetic cost linear time."""


def close(value: float, expected: float) -> bool:
    """Whether a constant is what it is meant to be, as exporters round them."""
    return math.isclose(value, expected, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)


@dataclass(frozen=True)
class Ramp:
    """`clip(alpha * x + beta, low, high)` of some value `x`."""

    alpha: float = 1.0
    beta: float = 0.0
    low: float = -math.inf
    high: float = math.inf

    def plus(self, number: float) -> Ramp:
        """The ramp with a constant added to it."""
        return Ramp(self.alpha, self.beta + number, self.low + number, self.high + number)

    def times(self, number: float) -> Ramp:
        """The ramp multiplied by a finite constant other than 0."""
        low, high = sorted((self.low * number, self.high * number))
        return Ramp(self.alpha * number, self.beta * number, low, high)

    def limited(self, low: float, high: float) -> Ramp:
        """The ramp limited once more."""
        return Ramp(self.alpha, self.beta, min(max(self.low, low), high), min(max(self.high, low), high))

    @property
    def is_hard_sigmoid(self) -> bool:
        """Whether it goes from 0 to 1."""
        return self.alpha != 0 and close(self.low, 0.0) and close(self.high, 1.0)

    @property
    def is_hard_swish_gate(self) -> bool:
        """Whether it is the factor by which hard-swish multiplies its input."""
        return self.is_hard_sigmoid and close(self.alpha, 1 / 6) and close(self.beta, 0.5)


def number_and_other(op: nn.ElementwiseOp) -> tuple[float, SSAValue] | None:
    """The constant operand, the same in all elements, and the other operand."""
    for number, other in ((op.rhs, op.lhs), (op.lhs, op.rhs)):
        value = constant_number(number)
        if value is not None and math.isfinite(value):
            return value, other
    return None


@dataclass(frozen=True)
class Step:
    """A ramp's last operation: what it does to a ramp of its operand."""

    operand: SSAValue
    factor: float = 1.0
    summand: float = 0.0
    limits: tuple[float, float] = (-math.inf, math.inf)

    def after(self, ramp: Ramp) -> Ramp:
        """The ramp of the result, given that of the operand."""
        return ramp.times(self.factor).plus(self.summand).limited(*self.limits)


def step_of(op: Operation | object) -> Step | None:
    """How an operation computes its result from one operand, if it only adds, multiplies and limits."""
    if isinstance(op, nn.ReluOp):
        return Step(op.input, limits=(0.0, math.inf))
    if isinstance(op, nn.ClipOp):
        return Step(op.input, limits=op.clamp.bounds)
    if isinstance(op, nn.HardSigmoidOp):
        return Step(op.input, op.alpha.value.data, op.beta.value.data, (0.0, 1.0))
    if not isinstance(op, nn.ElementwiseOp):
        return None
    found = number_and_other(op)
    if found is None:
        return None
    number, other = found
    limits = op.clamp.bounds if op.clamp is not None else (-math.inf, math.inf)
    match op:
        case nn.AddOp():
            return Step(other, summand=number, limits=limits)
        case nn.SubOp() if other is op.lhs:
            return Step(other, summand=-number, limits=limits)
        case nn.SubOp():
            return Step(other, factor=-1.0, summand=number, limits=limits)
        case nn.MulOp() if number != 0:
            return Step(other, factor=number, limits=limits)
        case nn.DivOp() if other is op.lhs and number != 0 and math.isfinite(1.0 / number):
            return Step(other, factor=1.0 / number, limits=limits)
        case _:
            return None


def ramps(value: SSAValue) -> Iterator[tuple[SSAValue, Ramp]]:
    """Each `x` further up the chain that a value is a ramp of, with that ramp, nearest first."""
    steps: list[Step] = []
    while (step := step_of(value.owner)) is not None and step.operand.type == value.type:
        steps.append(step)
        if len(steps) > _LONGEST_SPELLING:
            return
        value = step.operand
        ramp = Ramp()
        for earlier in reversed(steps):
            ramp = earlier.after(ramp)
        yield value, ramp


def multiples(value: SSAValue) -> Iterator[tuple[SSAValue, float]]:
    """The value and each `x` further up that it is a number times, with that number, nearest first."""
    yield value, 1.0
    for base, ramp in ramps(value):
        if ramp.beta != 0 or (ramp.low, ramp.high) != (-math.inf, math.inf):
            return
        yield base, ramp.alpha


class RecogniseHardSwish(RewritePattern):
    """A product of `x`, a ramp of `x` and numbers to `hard_swish(x)`, where it is that in real arithmetic.

    Safe within rounding: the operations between are elementwise, and shapes are compared so that nothing was
    broadcast.
    """

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        """Rewrite the last multiplication or division of the spelling."""
        if not isinstance(op, nn.MulOp | nn.DivOp) or not is_float(op.result):
            return
        for value, number in multiples(op.result):
            product = value.owner
            if isinstance(product, nn.MulOp) and product.clamp is None and number_and_other(product) is None:
                x = self.find_input(product, number)
                if x is not None and x.type == op.result.type:
                    rewriter.replace(op, nn.HardSwishOp(x, op.result.type))
                return

    def find_input(self, op: nn.MulOp, number: float) -> SSAValue | None:
        """The `x` for which `number * op` is hard-swish."""
        for left, right in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
            for x, left_number in multiples(left):
                for base, ramp in ramps(right):
                    if base is x and ramp.times(number * left_number).is_hard_swish_gate:
                        return x
        return None


class RecogniseHardSigmoid(RewritePattern):
    """A ramp from 0 to 1 to `hard_sigmoid`.

    Safe within rounding, as `RecogniseHardSwish`. The ramp starts as far up as it goes from 0 to 1 throughout; one
    that is a single operation is a plain clip, or a hard-sigmoid already.
    """

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        """Rewrite the last operation of the spelling."""
        step = step_of(op)
        if step is None or isinstance(op, nn.HardSigmoidOp) or not is_float(op.results[0]):
            return
        result = op.results[0]
        best: tuple[SSAValue, Ramp] | None = None
        for base, ramp in ramps(result):
            if ramp.is_hard_sigmoid and (ramp.alpha, ramp.beta) != (1.0, 0.0):
                best = base, ramp
        if best is None:
            return
        base, ramp = best
        rewriter.replace(op, nn.HardSigmoidOp(base, result.type, ramp.alpha, ramp.beta))


@dataclass(frozen=True)
class FuseHardSwish(ModulePass):
    """Recognise hard-swish and hard-sigmoid written as additions, multiplications and clips."""

    name = "fuse-hard-swish"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Run the pass."""
        apply_patterns(op, [RecogniseHardSwish(), RecogniseHardSigmoid()])
