"""Softmax and batch normalization against their formulas in double precision."""

from __future__ import annotations

import numpy as np
import pytest

from intaglio.dialects import nn


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_softmax(run_op, axis):
    x = np.random.default_rng(0).normal(scale=4, size=(2, 3, 5)).astype(np.float32)
    actual = run_op(lambda v: nn.SoftmaxOp(v, axis, v.type), x)
    exponentials = np.exp(x.astype(np.float64))
    np.testing.assert_allclose(actual, exponentials / exponentials.sum(axis, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(actual.sum(axis), 1.0, rtol=1e-6)


def test_softmax_of_large_values(run_op):
    actual = run_op(lambda v: nn.SoftmaxOp(v, 0, v.type), np.array([1e30, 1e30, -1e30], np.float32))
    assert actual.tolist() == [0.5, 0.5, 0.0]


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 5, 3)])
def test_batch_norm(run_op, shape):
    rng = np.random.default_rng(0)
    x, scale, offset, mean = (rng.normal(size=size).astype(np.float32) for size in (shape, 3, 3, 3))
    variance = rng.uniform(0.1, 2, 3).astype(np.float32)
    actual = run_op(lambda *values: nn.BatchNormOp(*values, 1e-3), x, scale, offset, mean, variance)
    for index in np.ndindex(*shape):
        c = index[-1]
        deviation = (float(variance[c]) + 1e-3) ** 0.5
        expected = (float(x[index]) - float(mean[c])) / deviation * float(scale[c]) + float(offset[c])
        assert actual[index] == pytest.approx(expected, rel=1e-6, abs=1e-6)
