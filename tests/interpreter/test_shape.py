"""Operations that move elements, in floats and on stored values."""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import TensorType, f32, i64

from intaglio.dialects import nn
from intaglio.dialects.quant import uniform
from intaglio.dialects.weights import constant_attr
from intaglio.interpreter import Interpreter
from intaglio.ir.parsing import parse_module

QUANTIZED = uniform(8, 0.5, 10)
CASES = [(np.arange(24, dtype=np.float32), f32), (np.arange(24, dtype=np.int8), QUANTIZED)]


@pytest.mark.parametrize(("values", "kind"), [*CASES, (np.arange(24, dtype=np.int64), i64)])
def test_reshape(run_op, values, kind):
    actual = run_op(lambda v: nn.ReshapeOp(v, TensorType(kind, [3, 1, 8])), (values.reshape(2, 3, 4), kind))
    np.testing.assert_array_equal(actual, values.reshape(3, 1, 8))


@pytest.mark.parametrize(("values", "kind"), CASES)
def test_transpose(run_op, values, kind):
    x = values.reshape(2, 3, 4)
    actual = run_op(lambda v: nn.TransposeOp(v, [2, 0, 1]), (x, kind))
    assert actual.shape == (4, 2, 3)
    for i, j, k in np.ndindex(2, 3, 4):
        assert actual[k, i, j] == x[i, j, k]


@pytest.mark.parametrize(("values", "kind"), CASES)
def test_concat(run_op, values, kind):
    x = values.reshape(2, 3, 4)
    actual = run_op(lambda a, b: nn.ConcatOp([a, b, a], 1, TensorType(kind, [2, 7, 4])), (x, kind), (x[:, :1], kind))
    for i, j, k in np.ndindex(2, 7, 4):
        assert actual[i, j, k] == x[i, [0, 1, 2, 0, 0, 1, 2][j], k]


@pytest.mark.parametrize(("values", "kind", "fill"), [(*CASES[0], 1.5), (*CASES[1], 13)])
def test_pad(run_op, values, kind, fill):
    x = values.reshape(4, 6)
    actual = run_op(lambda v: nn.PadOp(v, [1, 0], [2, 3], 1.5, TensorType(kind, [7, 9])), (x, kind))
    expected = np.full((7, 9), fill, values.dtype)
    expected[1:5, :6] = x
    np.testing.assert_array_equal(actual, expected)


def test_pad_with_minus_infinity_saturates(run_op):
    x = np.zeros(1, np.int8)
    actual = run_op(lambda v: nn.PadOp(v, [1], [0], -np.inf, TensorType(QUANTIZED, [2])), (x, QUANTIZED))
    assert actual.tolist() == [-128, 0]


@pytest.mark.parametrize("size", [4, 400])
def test_constant(size):
    values = np.arange(size, dtype=np.int8)
    op = nn.ConstantOp(constant_attr("key", values), TensorType(QUANTIZED, [size]))
    module = parse_module("func.func @main() { func.return }")
    function = next(iter(module.ops))
    block = function.regions[0].block
    block.insert_ops_before([op], block.last_op)
    seen = []
    Interpreter(module, listeners=[lambda _, results: seen.extend(results)]).run("main", [])
    np.testing.assert_array_equal(seen[0], values)
    assert not seen[0].flags.writeable
