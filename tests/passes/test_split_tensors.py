"""Splitting channels keeps the float function and halves the largest weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.dialects.weights import array_of
from intaglio.errors import UserError
from intaglio.interpreter import Interpreter
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.ir.verification import verify_module
from intaglio.passes.quantization.coverage import LAYERS
from intaglio.passes.quantization.split_tensors import SplitTensors
from intaglio.remarks import collecting


def network(rng: np.random.Generator, *, residual: bool) -> str:
    """Convolutions of eight channels around a sum, a pool and a mean; one channel is read by large weights."""

    def constant(*shape: int) -> str:
        values = rng.normal(size=shape)
        values[..., 5] *= 20
        return f"dense<{values.round(4).tolist()}> : tensor<{'x'.join(map(str, shape))}xf32>"

    other, kind = ("%0", "!x") if residual else ("%k", "tensor<8xf32>")
    window = "strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1"
    return f"""
!x = tensor<1x4x4x8xf32>
!w = tensor<8x1x1x8xf32>
func.func @main(%x: !x) -> tensor<1x1x1x3xf32> {{
  %w0 = nn.constant {constant(8, 1, 1, 8)}
  %w1 = nn.constant {constant(8, 1, 1, 8)}
  %w2 = nn.constant {constant(3, 8)}
  %k = nn.constant {constant(8)}
  %0 = nn.conv2d %x, %w0 bias %k {window} clamp <0.0, 6.0> : (!x, !w, tensor<8xf32>) -> !x
  %1 = nn.conv2d %0, %w1 {window} : (!x, !w) -> !x
  %2 = nn.add %1, {other} : (!x, {kind}) -> !x
  %3 = nn.reduce_mean %2 axes [1, 2] : (!x) -> tensor<1x1x1x8xf32>
  %4 = nn.dense %3, %w2 : (tensor<1x1x1x8xf32>, tensor<3x8xf32>) -> tensor<1x1x1x3xf32>
  func.return %4 : tensor<1x1x1x3xf32>
}}"""


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10**6), st.booleans())
def test_function_is_the_same(seed: int, residual: bool):
    rng = np.random.default_rng(seed)
    text = network(rng, residual=residual)
    before, after = parse_module(text), parse_module(text)
    SplitTensors().apply(make_context(), after)
    verify_module(after)
    ranges = [
        [np.abs(array_of(op.weight.owner.value)).max() for op in module.walk() if isinstance(op, LAYERS)][1:]
        for module in (before, after)
    ]
    assert all(0 < new < old for old, new in zip(*ranges, strict=True))
    x = rng.normal(size=(1, 4, 4, 8)).astype(np.float32)
    (want,), (have,) = (Interpreter(module).run("main", [x]) for module in (before, after))
    np.testing.assert_allclose(have, want, rtol=1e-4, atol=1e-5 * float(np.abs(want).max()))


def test_says_when_there_is_nothing_to_do():
    module = parse_module(network(np.random.default_rng(0), residual=True))
    with collecting() as remarks:
        SplitTensors(threshold=1000.0).apply(make_context(), module)
    assert "no weight has channels 1000 times larger than usual" in str(remarks[0])


def test_negative_options_out_of_range():
    with pytest.raises(UserError, match="out of range"):
        SplitTensors(limit=0.0).apply(make_context(), parse_module(network(np.random.default_rng(0), residual=True)))
