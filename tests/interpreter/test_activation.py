"""Activation functions: floats against ONNX's reference, integers for all 256 stored values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from onnx.reference import ReferenceEvaluator
from xdsl.dialects.builtin import TensorType

from intaglio.dialects import nn
from intaglio.dialects.quant import uniform
from intaglio.errors import UserError

ALL_STORED = np.arange(-128, 128, dtype=np.int8)


def onnx_function(name, x, **attributes):
    graph = helper.make_graph([helper.make_node(name, ["x"], ["y"], **attributes)], "g", [], [])
    graph.input.add().name, graph.output.add().name = "x", "y"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    # The reference evaluates both branches of its sigmoid.
    with np.errstate(all="ignore"):
        return ReferenceEvaluator(model).run(None, {"x": x})[0]


FLOAT_CASES = [
    ("Relu", {}, nn.ReluOp),
    ("Sigmoid", {}, nn.SigmoidOp),
    ("Tanh", {}, nn.TanhOp),
    ("HardSwish", {}, nn.HardSwishOp),
    ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}, lambda v, t: nn.HardSigmoidOp(v, t, 0.3, 0.4)),
]


@pytest.mark.parametrize(("name", "attributes", "build"), FLOAT_CASES)
def test_floats(run_op, name, attributes, build):
    x = np.concatenate([np.random.default_rng(0).normal(scale=5, size=500), [0, -3, 3, 100, -100]]).astype(np.float32)
    actual = run_op(lambda v: build(v, v.type), x)
    np.testing.assert_allclose(actual, onnx_function(name, x, **attributes), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("bounds", [(-1.0, 2.0), (-math.inf, 0.5), (0.0, math.inf)])
def test_clip_of_floats(run_op, bounds):
    x = np.linspace(-3, 3, 101, dtype=np.float32)
    actual = run_op(lambda v: nn.ClipOp(v, v.type, nn.ClampAttr.of(*bounds)), x)
    np.testing.assert_array_equal(actual, np.minimum(np.maximum(x, np.float32(bounds[0])), np.float32(bounds[1])))


FUNCTIONS = {
    "sigmoid": (nn.SigmoidOp, lambda x: 1 / (1 + math.exp(-x))),
    "tanh": (nn.TanhOp, math.tanh),
    "hard_swish": (nn.HardSwishOp, lambda x: x * min(max(x + 3, 0), 6) / 6),
    "hard_sigmoid": (lambda v, t: nn.HardSigmoidOp(v, t, 0.2, 0.5), lambda x: min(max(0.2 * x + 0.5, 0), 1)),
    "abs": (nn.AbsOp, abs),
    "elu": (lambda v, t: nn.EluOp(v, t, 0.7), lambda x: x if x > 0 else 0.7 * math.expm1(x)),
    "erf": (nn.ErfOp, math.erf),
    "exp": (nn.ExpOp, math.exp),
    "gelu": (nn.GeluOp, lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2)))),
    "gelu_tanh": (
        lambda v, t: nn.GeluOp(v, t, "tanh"),
        lambda x: x * 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    ),
    "leaky_relu": (lambda v, t: nn.LeakyReluOp(v, t, 0.1), lambda x: x if x > 0 else 0.1 * x),
    "log": (nn.LogOp, lambda x: math.log(x) if x > 0 else (-math.inf if x == 0 else math.nan)),
    "mish": (nn.MishOp, lambda x: x * math.tanh(math.log1p(math.exp(x)))),
    "reciprocal": (nn.ReciprocalOp, lambda x: 1 / x if x else math.inf),
    "silu": (nn.SiluOp, lambda x: x / (1 + math.exp(-x))),
    "softplus": (nn.SoftplusOp, lambda x: math.log1p(math.exp(x))),
    "sqrt": (nn.SqrtOp, lambda x: math.sqrt(x) if x >= 0 else math.nan),
}


def stored_value(steps, kind):
    """The nearest stored value; NaN is real zero, infinities saturate."""
    if math.isnan(steps):
        return kind.zero_point
    return min(max(round(min(max(steps, -1e6), 1e6)) + kind.zero_point, -128), 127)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("scale", "zero"), [(0.05, 3), (0.011, -128), (0.3, 127)])
def test_tables_of_integers(run_op, name, scale, zero):
    build, function = FUNCTIONS[name]
    x_kind, y_kind = uniform(8, scale, zero), uniform(8, 0.017, -11)
    actual = run_op(lambda v: build(v, TensorType(y_kind, [256])), (ALL_STORED, x_kind))
    exact = [function((int(stored) - zero) * x_kind.scale) / y_kind.scale for stored in ALL_STORED]
    expected = [stored_value(value, y_kind) for value in exact]
    # The two spellings of a function round apart where the result lies halfway between two steps.
    with np.errstate(invalid="ignore"):
        clear = ~(np.abs(np.array(exact) % 1 - 0.5) <= 1e-9)
    np.testing.assert_array_equal(actual[clear], np.array(expected, np.int8)[clear])
    assert clear.sum() >= 250


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("kind", [uniform(16, 0.1, 5), uniform(8, 0.1, signed=False), uniform(32, 0.1)], ids=str)
def test_tables_take_signed_bytes_and_symmetric_words_only(run_op, name, kind):
    build, _ = FUNCTIONS[name]
    x = np.zeros(1, {8: np.uint8, 16: np.int16, 32: np.int32}[kind.storage_type.width.data])
    with pytest.raises(UserError, match="signed 8-bit and symmetric 16-bit storage only"):
        run_op(lambda v: build(v, TensorType(kind, [1])), (x, kind))


@settings(deadline=None, max_examples=40)
@given(
    st.tuples(st.floats(0.01, 1.0), st.floats(0.01, 1.0)),
    st.tuples(st.integers(-128, 127), st.integers(-128, 127)),
    st.booleans(),
)
def test_relu_and_clip_of_integers(run_op, tosa, real, assert_within_one_step, scales, zeros, upper):
    x_kind, y_kind = (uniform(8, scale, zero) for scale, zero in zip(scales, zeros, strict=True))
    kind = TensorType(y_kind, [256])
    six = round(6 / y_kind.scale) * y_kind.scale
    clamp = nn.ClampAttr.of(0.0, six)
    build = (lambda v: nn.ClipOp(v, kind, clamp)) if upper else (lambda v: nn.ReluOp(v, kind))
    actual = run_op(build, (ALL_STORED, x_kind))
    high = min(y_kind.zero_point + round(6 / y_kind.scale), 127) if upper else 127
    for stored, have in zip(ALL_STORED.tolist(), actual.tolist(), strict=True):
        rescaled = tosa.rescale(stored - x_kind.zero_point, x_kind.scale / y_kind.scale, y_kind)
        assert have == min(max(rescaled, y_kind.zero_point), high)
    assert_within_one_step(actual, np.clip(real(ALL_STORED, x_kind), 0, six if upper else np.inf), y_kind)


def test_half_precision_is_rounded_once(run_op):
    import ml_dtypes
    from xdsl.dialects.builtin import bf16

    x = np.linspace(-4, 4, 33).astype(ml_dtypes.bfloat16)
    actual = run_op(lambda v: nn.SigmoidOp(v, v.type), (x, bf16))
    expected = (1 / (1 + np.exp(-x.astype(np.float64)))).astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(actual, expected)
