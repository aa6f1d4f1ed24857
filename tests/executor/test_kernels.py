"""The compiled kernels against the interpreter, bit for bit, on random layers of every precision and mode.

Beside these, every case of `tests/interpreter` runs in the executor too, see `run_op` there.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects import func
from xdsl.dialects.builtin import FunctionType, ModuleOp, TensorType
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.nn.types import window_output_shape
from intaglio.dialects.quant import (
    RequantizeOp,
    UniformQuantizedPerAxisType,
    UniformQuantizedType,
    set_requantization_mode,
    storage_dtype,
    storage_tensor_type,
    uniform,
    uniform_per_axis,
)
from intaglio.dialects.weights import constant_attr
from intaglio.executor import Executor
from intaglio.executor.convolution import chunks
from intaglio.executor.plan import Plan
from intaglio.executor.tiles import COLUMNS, pack_parts
from intaglio.interpreter import Interpreter
from intaglio.ir.verification import verify_module
from intaglio.params import RequantizationMode

MODES = st.sampled_from(["shift", "tflite"])


def constant(array: np.ndarray, kind: UniformQuantizedType | UniformQuantizedPerAxisType) -> nn.ConstantOp:
    type_ = TensorType(kind, array.shape)
    return nn.ConstantOp(constant_attr("c", array, storage_tensor_type(type_).get_element_type()), type_)


def module_of(
    inputs: list[tuple[UniformQuantizedType, tuple[int, ...]]],
    build: Callable[..., list[Operation]],
    mode: str = "shift",
) -> ModuleOp:
    """A module that returns the last of the operations made of its arguments."""
    types: list[Attribute] = [TensorType(kind, shape) for kind, shape in inputs]
    block = Block(arg_types=types)
    ops = build(*block.args)
    block.add_ops([*ops, func.ReturnOp(*ops[-1].results)])
    kind = FunctionType.from_lists(types, [result.type for result in ops[-1].results])
    function = func.FuncOp("main", kind, Region(block))
    set_requantization_mode(function, RequantizationMode(mode))
    module = ModuleOp([function])
    verify_module(module)
    return module


def stored(rng: np.random.Generator, shape: tuple[int, ...], kind: UniformQuantizedType) -> np.ndarray:
    """Random stored values, many of them at the ends of the range."""
    values = rng.integers(kind.storage_min, kind.storage_max, shape, np.int64, endpoint=True)
    ends = rng.choice([kind.storage_min, kind.storage_max], shape)
    return np.where(rng.random(shape) < 0.2, ends, values).astype(storage_dtype(kind))


def assert_same(module: ModuleOp, inputs: list[tuple[UniformQuantizedType, tuple[int, ...]]], seed: int) -> None:
    """Run three samples in a batch of a kernel, and one after another in the interpreter."""
    (function,) = module.ops
    assert isinstance(function, func.FuncOp)
    assert all(step.is_native for step in Plan(Interpreter(module), function).steps)
    rng = np.random.default_rng(seed)
    arrays = [np.stack([stored(rng, shape, kind) for _ in range(3)]) for kind, shape in inputs]
    (batch,) = Executor(module).run_batch({f"input_{k}": array for k, array in enumerate(arrays)}).values()
    for sample in range(3):
        (expected,) = Interpreter(module).run("main", [array[sample] for array in arrays])
        assert batch.dtype == expected.dtype
        np.testing.assert_array_equal(batch[sample], expected)


@st.composite
def precisions(draw: st.DrawFn) -> tuple[UniformQuantizedType, int, UniformQuantizedType]:
    """Type of the input, bits of weights, and type of the result."""
    scales = st.floats(0.01, 0.2)
    kinds = [
        uniform(8, draw(scales), draw(st.sampled_from([-128, 0, 127, 5]))),
        uniform(8, draw(scales), draw(st.sampled_from([0, 128, 255])), signed=False),
        uniform(16, draw(scales), 0),
    ]
    x_kind = draw(st.sampled_from(kinds))
    weight_bits = draw(st.sampled_from([4, 8, 16] if x_kind is kinds[2] else [4, 8]))
    # Wide enough for most sums, so that results are not all at the ends of the range.
    scale = x_kind.scale * draw(st.sampled_from([4.0, 40.0])) * 2.0 ** (weight_bits - 8)
    return x_kind, weight_bits, draw(st.sampled_from([uniform(8, scale, 11), uniform(16, scale / 16, 0)]))


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, object]:
    groups, per_group, outputs = draw(
        st.sampled_from([(1, 3, 4), (1, 5, 2 * COLUMNS + 3), (2, 2, 3), (40, 1, 1), (4, 1, 2), (1, 65, COLUMNS)])
    )
    window = draw(st.sampled_from([(1, 1), (3, 3), (2, 3), (5, 1)]))
    dilations, strides = (tuple(draw(st.integers(1, 2)) for _ in range(2)) for _ in range(2))
    pads = tuple(draw(st.integers(0, 6)) for _ in range(4)) if draw(st.booleans()) else (0, 0, 0, 0)
    size = tuple(draw(st.integers(9, 11)) for _ in range(2))
    return {
        "groups": groups,
        "channels": groups * per_group,
        "outputs": groups * outputs,
        "window": window,
        "dilations": dilations,
        "strides": strides,
        "pads": pads,
        "size": size,
        "batch": draw(st.integers(1, 2)),
    }


@settings(deadline=None, max_examples=120)
@given(convolutions(), precisions(), MODES, st.booleans(), st.booleans(), st.integers(0, 2**32 - 1))
def test_convolution(shape, precision, mode, has_bias, clamped, seed):
    rng = np.random.default_rng(seed)
    x_kind, weight_bits, y_kind = precision
    source = (shape["batch"], *shape["size"], shape["channels"])
    largest = (1 << (weight_bits - 1)) - 1
    weights = rng.integers(
        -largest, largest + 1, (shape["outputs"], *shape["window"], shape["channels"] // shape["groups"])
    )
    scales = rng.uniform(0.2, 1.0, shape["outputs"])
    w_kind = uniform_per_axis(weight_bits, 0, scales, storage_min=-largest)
    bias_bits = 32 if storage_dtype(x_kind).itemsize == 1 else 48
    bias = rng.integers(-(1 << 16), 1 << 16, shape["outputs"])
    b_kind = uniform_per_axis(bias_bits, 0, x_kind.scale * scales)
    spatial = window_output_shape(shape["size"], shape["window"], shape["strides"], shape["pads"], shape["dilations"])
    clamp = nn.ClampAttr.of(0.0, 6.0 * y_kind.scale) if clamped else None

    def build(x: SSAValue) -> list[Operation]:
        w = constant(weights.astype(storage_dtype(w_kind)), w_kind)
        b = [constant(bias.astype(storage_dtype(b_kind)), b_kind)] if has_bias else []
        op = nn.Conv2dOp(
            x,
            w.result,
            b[0].result if b else None,
            TensorType(y_kind, (shape["batch"], *spatial, shape["outputs"])),
            strides=shape["strides"],
            pads=shape["pads"],
            dilations=shape["dilations"],
            groups=shape["groups"],
            clamp=clamp,
        )
        return [w, *b, op]

    assert_same(module_of([(x_kind, source)], build, mode), [(x_kind, source)], seed)


@settings(deadline=None, max_examples=30)
@given(precisions(), MODES, st.sampled_from([(), (1,), (3, 17)]), st.integers(1, 700), st.integers(0, 2**32 - 1))
def test_dense(precision, mode, leading, depth, seed):
    rng = np.random.default_rng(seed)
    x_kind, weight_bits, y_kind = precision
    largest = (1 << (weight_bits - 1)) - 1
    w_kind = uniform(weight_bits, 0.5, storage_min=-largest)
    weights = rng.choice([-largest, largest, 1], (COLUMNS + 1, depth)).astype(storage_dtype(w_kind))

    def build(x: SSAValue) -> list[Operation]:
        w = constant(weights, w_kind)
        return [w, nn.DenseOp(x, w.result, None, TensorType(y_kind, (*leading, COLUMNS + 1)))]

    inputs = [(x_kind, (*leading, depth))]
    assert_same(module_of(inputs, build, mode), inputs, seed)


@settings(deadline=None, max_examples=30)
@given(MODES, st.booleans(), st.booleans(), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_matmul(mode, wide_lhs, wide_rhs, depth, seed):
    lhs = uniform(16, 0.02, 0) if wide_lhs else uniform(8, 0.02, -128)
    rhs = uniform(16, 0.03, 0) if wide_rhs else uniform(8, 0.03, 127)
    y_kind = uniform(8, 0.02 * 0.03 * 30 * (256 if wide_lhs else 1) * (256 if wide_rhs else 1), 3)
    inputs = [(lhs, (2, 3, 9, depth)), (rhs, (2, 3, depth, COLUMNS + 2))]
    result = TensorType(y_kind, (2, 3, 9, COLUMNS + 2))
    assert_same(module_of(inputs, lambda a, b: [nn.MatmulOp(a, b, result)], mode), inputs, seed)


@pytest.mark.parametrize("mode", ["shift", "tflite"])
@pytest.mark.parametrize("is_max", [False, True])
@pytest.mark.parametrize("kind", [uniform(8, 0.1, -100), uniform(16, 0.1, 0), uniform(8, 0.1, 40, signed=False)])
def test_pooling(mode, is_max, kind):
    def build(x: SSAValue) -> list[Operation]:
        geometry = {"kernel": (3, 2), "strides": (2, 1), "pads": (1, 1, 0, 1)}
        if is_max:
            return [nn.MaxPool2dOp(x, TensorType(kind, (2, 3, 7, 5)), **geometry, dilations=(1, 1))]
        return [nn.AvgPool2dOp(x, TensorType(kind, (2, 3, 7, 5)), **geometry, count_include_pad=False)]

    inputs = [(kind, (2, 6, 6, 5))]
    assert_same(module_of(inputs, build, mode), inputs, 0)


@pytest.mark.parametrize("op", [nn.AddOp, nn.SubOp, nn.MulOp, nn.MaximumOp, nn.DivOp])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("mode", ["shift", "tflite"])
def test_two_operands(op, bits, mode):
    a, b, y = uniform(bits, 0.02, 0), uniform(bits, 0.05, 0), uniform(bits, 0.06, 0)
    inputs = [(a, (2, 1, 5, 3)), (b, (4, 1, 3))]
    assert_same(module_of(inputs, lambda s, t: [op(s, t, TensorType(y, (2, 4, 5, 3)))], mode), inputs, 1)


@pytest.mark.parametrize("op", [nn.AddOp, nn.SubOp])
@pytest.mark.parametrize(("lhs", "rhs"), [(8, 8), (16, 8), (16, 16)])
def test_sums_of_operands_of_one_shape(op, lhs, rhs):
    a, b = uniform(lhs, 0.02, 3 if lhs == 8 else 0), uniform(rhs, 0.5, -7 if rhs == 8 else 0)
    shape = (2, 9, 7, 3)
    for bits, zero_point in ((8, 11), (16, 0)):
        y = uniform(bits, 0.3, zero_point)
        assert_same(
            module_of([(a, shape), (b, shape)], lambda s, t, y=y: [op(s, t, TensorType(y, shape))]),
            [(a, shape), (b, shape)],
            1,
        )


def test_many_elements_of_16_bits_are_looked_up():
    kind, shape = uniform(16, 0.01, 0), (3, 100, 100)
    for result in (uniform(8, 0.7, -4), uniform(16, 0.02, 0)):
        assert_same(
            module_of([(kind, shape)], lambda x, y=result: [RequantizeOp(x, TensorType(y, shape))]), [(kind, shape)], 2
        )


def test_partial_sums_of_chunks_fit_32_bits():
    rng = np.random.default_rng(0)
    weights = rng.integers(-255, 256, (3, 4, 1001))
    ends = chunks(weights, 32768)
    assert ends is not None and len(ends) > 1 and ends[-1] == 501
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        worst = np.abs(weights[..., 2 * start : 2 * end]).sum(axis=-1).max() * 32768
        assert worst < 2**31
        wider = np.abs(weights[..., 2 * start : 2 * end + 2]).sum(axis=-1).max() * 32768
        assert end == 501 or wider >= 2**31


def test_products_too_large_for_a_chunk_are_refused():
    assert chunks(np.full((1, 2), 32768), 32768) is None


def test_parts_of_wide_weights_add_up():
    weights = np.array([[-32768, 32767, 128, -129, 127, -128, 0, 256]])
    packed = pack_parts(weights)
    assert packed.shape == (2, 1, 4, 2 * COLUMNS) and np.abs(packed).max() <= 128
    lower, upper = packed[:, 0, :, :2].reshape(2, -1).astype(np.int64)
    np.testing.assert_array_equal(lower + 256 * upper, weights[0])
