"""`fuse-hard-swish` finds every spelling, and what it makes is the same function."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from intaglio.dialects import nn
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.passes.graph.fuse_hard_swish import FuseHardSwish

KIND = "tensor<64xf32>"
NUMBER = "tensor<f32>"


class Text:
    """A function under construction: each method appends a line and names its value."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def number(self, value: float) -> str:
        return self._add(f"nn.constant dense<{value:.9e}> : {NUMBER}")

    def binary(self, name: str, lhs: str, rhs: str, *, swapped: bool = False) -> str:
        operands = [(lhs, KIND), (rhs, NUMBER if self._is_number(rhs) else KIND)]
        operands = operands[::-1] if swapped else operands
        values, types = (", ".join(part) for part in zip(*operands, strict=True))
        return self._add(f"nn.{name} {values} : ({types}) -> {KIND}")

    def clip(self, value: str, low: float, high: float) -> str:
        return self._add(f"nn.clip {value} to <{low!r}, {high!r}> : ({KIND}) -> {KIND}")

    def unary(self, text: str, value: str) -> str:
        name, _, rest = text.partition(" ")
        return self._add(f"nn.{name} {value} {rest} : ({KIND}) -> {KIND}")

    def function(self, result: str) -> str:
        body = "\n".join(self.lines)
        return f"func.func @main(%x: {KIND}) -> {KIND} {{\n{body}\nfunc.return {result} : {KIND}\n}}"

    def _is_number(self, value: str) -> bool:
        return value == "%one" or any(line.startswith(f"{value} = nn.constant") for line in self.lines)

    def _add(self, text: str) -> str:
        name = f"%v{len(self.lines)}"
        self.lines.append(f"{name} = {text}")
        return name


def sixth(text: Text, value: str, how: str, swapped: bool) -> str:
    if how == "div":
        return text.binary("div", value, text.number(6.0))
    return text.binary("mul", value, text.number(0.16666667), swapped=swapped)


SWAPS = list(itertools.product([False, True], repeat=3))
GATES = ["clip", "relu_then_limit", "hard_sigmoid"]


def gate(text: Text, how: str, swapped: bool) -> tuple[str, bool]:
    """A gate of %x and whether it goes to 1 rather than 6."""
    if how == "hard_sigmoid":
        return text.unary("hard_sigmoid alpha 0.16666667 : f64 beta 0.5 : f64", "%x"), True
    shifted = text.binary("add", "%x", text.number(3.0), swapped=swapped)
    if how == "clip":
        return text.clip(shifted, 0.0, 6.0), False
    return text.clip(text.unary("relu", shifted), -1.0, 6.0), False


@pytest.mark.parametrize(
    ("how", "scaling", "where", "swaps"),
    list(itertools.product(GATES, ["div", "mul"], ["input", "gate", "product"], SWAPS)),
)
def test_spellings_of_hard_swish(apply_checked, how, scaling, where, swaps):
    text = Text()
    factor, is_scaled = gate(text, how, swaps[0])
    x = "%x"
    if not is_scaled and where == "gate":
        factor = sixth(text, factor, scaling, swaps[1])
    if not is_scaled and where == "input":
        x = sixth(text, x, scaling, swaps[1])
    result = text.binary("mul", x, factor, swapped=swaps[2])
    if not is_scaled and where == "product":
        result = sixth(text, result, scaling, swaps[1])
    after = apply_checked(text.function(result), FuseHardSwish(), atol=1e-5)
    assert [type(op) for op in after.walk() if op.name.startswith("nn.")] == [nn.HardSwishOp]


@settings(deadline=None, max_examples=40)
@given(
    alpha=st.floats(0.0625, 2.0, width=32),
    beta=st.floats(-1.0, 1.0, width=32),
    scale=st.sampled_from([1.0, 6.0, -2.0]),
    as_division=st.booleans(),
)
def test_spellings_of_hard_sigmoid(apply_checked, alpha, beta, scale, as_division):
    # That one is a plain clip.
    assume((alpha, beta) != (1.0, 0.0))
    text = Text()
    value = text.binary("mul", "%x", text.number(alpha * scale))
    value = text.binary("add", value, text.number(beta * scale))
    value = text.clip(value, min(0.0, scale), max(0.0, scale))
    if scale != 1.0:
        value = (
            text.binary("div", value, text.number(scale))
            if as_division
            else text.binary("mul", value, text.number(1.0 / scale))
        )
    after = apply_checked(text.function(value), FuseHardSwish(), atol=1e-5)
    (op,) = [op for op in after.walk() if op.name.startswith("nn.")]
    assert isinstance(op, nn.HardSigmoidOp)
    assert op.alpha.value.data == pytest.approx(alpha, rel=1e-6)
    assert op.beta.value.data == pytest.approx(beta, rel=1e-6, abs=1e-6)


OPERATIONS = ["add", "sub", "mul", "div", "clip", "gate"]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(["add", "sub", "mul", "div", "clip", "gate"]), st.integers(1, 6)), max_size=9)
)
def test_any_chain_computes_the_same(apply_checked, steps):
    text = Text()
    value = "%x"
    for name, number in steps:
        if name == "clip":
            value = text.clip(value, 0.0, float(number))
        elif name == "gate":
            value = text.binary("mul", value, "%x")
        else:
            value = text.binary(name, value, text.number(float(number)))
    apply_checked(text.function(value), FuseHardSwish(), rtol=1e-4, atol=1e-2)


def test_a_long_chain_takes_linear_time():
    text = Text()
    value = "%x"
    for _ in range(1500):
        value = text.binary("mul", value, "%one")
    module = parse_module(text.function(value).replace("{", f"{{ %one = nn.constant dense<1.0> : {NUMBER}", 1))
    start = time.process_time()
    FuseHardSwish().apply(make_context(), module)
    assert time.process_time() - start < 5
    assert sum(isinstance(op, nn.MulOp) for op in module.walk()) == 1500
