"""What FileCheck cases of the `nn` dialect cannot say: all bounds of a clamp, and constructors that agree with text."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdsl.dialects.builtin import TensorType, f32
from xdsl.utils.exceptions import VerifyException

from intaglio.dialects import nn
from intaglio.ir.parsing import parse_module
from intaglio.ir.printing import print_module

KIND = "tensor<2xf32>"
bounds = st.floats(allow_nan=False)


@given(bounds, bounds)
def test_every_clamp_reads_back_exactly(first, second):
    clamp = nn.ClampAttr.of(min(first, second), max(first, second))
    module = parse_module(
        f"func.func @main(%x: {KIND}) -> {KIND} {{ %y = nn.clip %x to <0.0, 1.0> : ({KIND}) -> {KIND} "
        f"func.return %y : {KIND} }}"
    )
    (clip,) = [op for op in module.walk() if isinstance(op, nn.ClipOp)]
    clip.clamp = clamp
    (read,) = [op for op in parse_module(print_module(module)).walk() if isinstance(op, nn.ClipOp)]
    assert read.clamp == clamp
    assert math.copysign(1, read.clamp.bounds[0]) == math.copysign(1, clamp.bounds[0])


@pytest.mark.parametrize("pair", [(1.0, 0.0), (math.nan, 1.0), (0.0, math.nan)])
def test_a_clamp_made_in_python_is_checked_too(pair):
    with pytest.raises(VerifyException, match="clamp bounds must be ordered"):
        nn.ClampAttr.of(*pair)


@pytest.mark.parametrize(
    ("groups", "channels", "outputs", "depthwise"),
    [(4, 4, 4, True), (1, 4, 4, False), (4, 4, 8, False), (1, 1, 1, False)],
)
def test_depthwise_is_one_output_per_channel(groups, channels, outputs, depthwise):
    constants = [
        parse_module(f"%x = nn.constant dense<0.0> : tensor<{shape}xf32>").body.block.first_op
        for shape in (f"1x4x4x{channels}", f"{outputs}x1x1x{channels // groups}")
    ]
    source, weight = (op.results[0] for op in constants if op is not None)
    op = nn.Conv2dOp(source, weight, None, TensorType(f32, [1, 4, 4, outputs]), groups=groups)
    op.verify_()
    assert op.is_depthwise == depthwise
