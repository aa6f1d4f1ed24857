"""`fuse-activation` computes the same, float and quantized, for any chain of limits."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.dialects import nn
from intaglio.passes.graph.fuse_activation import FuseActivation, then

FLOAT = "tensor<4xf32>"
QUANTIZED = "tensor<4x!quant.uniform<i8:f32, 0.05:3>>"
bounds = st.sampled_from([-math.inf, -6.0, -1.5, -0.0, 0.0, 0.25, 1.0, 6.0, math.inf])
intervals = st.tuples(bounds, bounds).map(lambda pair: tuple(sorted(pair)))


def chain(kind: str, first: tuple[float, float] | None, limits: list[tuple[float, float]]) -> str:
    clamp = "" if first is None else f" clamp <{first[0]}, {first[1]}>"
    lines = [f"%v = nn.add %x, %x{clamp} : ({kind}, {kind}) -> {kind}"]
    last = "%v"
    for index, (low, high) in enumerate(limits):
        lines.append(f"%c{index} = nn.clip {last} to <{low}, {high}> : ({kind}) -> {kind}")
        last = f"%c{index}"
    body = "\n".join(lines)
    return f"func.func @main(%x: {kind}) -> {kind} {{\n{body}\nfunc.return {last} : {kind}\n}}"


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([FLOAT, QUANTIZED]), st.none() | intervals, st.lists(intervals, max_size=4))
def test_chains_of_limits(apply_checked, kind, first, limits):
    after = apply_checked(chain(kind, first, limits), FuseActivation())
    assert not any(isinstance(op, nn.ClipOp) for op in after.walk())


@given(intervals, intervals, st.floats(-10, 10))
def test_composed_limits_are_both_in_turn(first, second, value):
    low, high = then(nn.ClampAttr.of(*first), nn.ClampAttr.of(*second)).bounds
    once = min(max(value, first[0]), first[1])
    assert min(max(value, low), high) == min(max(once, second[0]), second[1])


W = "strides [1, 1] pads [0, 0, 0, 0]"
PRODUCERS = {
    "conv2d": (f"nn.conv2d %x, %w {W} dilations [1, 1] groups 1", ["1x6x6x2", "2x3x3x2"], "1x4x4x2"),
    "dense": ("nn.dense %x, %w", ["3x2", "4x2"], "3x4"),
    "matmul": ("nn.matmul %x, %w", ["3x2", "2x4"], "3x4"),
    "add": ("nn.add %x, %w", ["3x2", "2"], "3x2"),
    "sub": ("nn.sub %x, %w", ["3x2", "2"], "3x2"),
    "mul": ("nn.mul %x, %w", ["3x2", "2"], "3x2"),
    "div": ("nn.div %x, %w", ["3x2", "2"], "3x2"),
    "avg_pool2d": (f"nn.avg_pool2d %x kernel [2, 2] {W} count_include_pad false", ["1x6x6x2"], "1x5x5x2"),
}


@pytest.mark.parametrize("activation", ["relu %v", "clip %v to <-1.0, 2.5>"])
@pytest.mark.parametrize("producer", PRODUCERS)
def test_every_producer_takes_the_activation(apply_checked, producer, activation):
    text, operands, result = PRODUCERS[producer]
    shapes = [f"tensor<{shape}xf32>" for shape in operands]
    kind = f"tensor<{result}xf32>"
    parameters = ", ".join(f"{name}: {shape}" for name, shape in zip(("%x", "%w"), shapes, strict=False))
    after = apply_checked(
        f"""
        func.func @main({parameters}) -> {kind} {{
          %v = {text} : ({", ".join(shapes)}) -> {kind}
          %y = nn.{activation} : ({kind}) -> {kind}
          func.return %y : {kind}
        }}
        """,
        FuseActivation(),
    )
    assert [op.name for op in after.walk() if op.name.startswith("nn.")] == [f"nn.{producer}"]
