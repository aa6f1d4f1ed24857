"""Softmax, normalizations, products of activations, minimum and maximum: every level computes the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, IntegerType, TensorType, f64, i8, i16, i64
from xdsl.ir import SSAValue

from intaglio.dialects import nn, npu
from intaglio.dialects.quant import uniform
from intaglio.ir.context import make_context
from intaglio.lowering.nn_to_npu import NnToNpu
from intaglio.numerics.normalization import normalized_fraction_bits

TARGETS = ("gen1-d16", "gen1", "gen1-d64")
SEEDS = range(4)

Builder = Any
Family = Callable[[Builder], SSAValue]


def some_shape(b: Builder, largest: int = 90) -> tuple[int, ...]:
    return (*(b.choice([1, b.number(2, 9)]) for _ in range(b.number(0, 3))), b.number(1, largest))


def softmax(b: Builder) -> SSAValue:
    shape = some_shape(b)
    source = b.input(*shape)
    axis = b.choice([len(shape) - 1, b.number(0, len(shape) - 1)])
    kind = b.choice([uniform(8, 1 / 256, -128), b.activation()])
    return b.add(nn.SoftmaxOp(source, axis, TensorType(kind, shape)))


def normalized(b: Builder, *, around_mean: bool) -> SSAValue:
    shape = some_shape(b)
    source = b.input(*shape)
    axis = b.choice([len(shape) - 1, b.number(0, len(shape) - 1)])
    unit = float(b.rng.uniform(1e-5, 1e-4))
    factors = b.constant(b.rng.integers(-32767, 32768, shape[axis]).astype(np.int16), uniform(16, unit), i16)
    kind = b.activation()
    bits = 8 if kind.storage_type == i8 else 16
    result = TensorType(kind, shape)
    epsilon = float(b.rng.choice([0.0, 1e-6, 1e-2]))
    properties = {"axis": IntegerAttr(axis, i64), "epsilon": FloatAttr(epsilon, f64)}
    if not around_mean:
        return b.add(nn.RmsNormOp.create(operands=[source, factors], properties=properties, result_types=[result]))
    largest, width = (1 << 28, 32) if bits == 8 else (1 << 36, 48)
    offsets = b.rng.integers(-largest, largest, shape[axis]).astype(np.int32 if bits == 8 else np.int64)
    scale = unit * 2.0 ** -normalized_fraction_bits(shape[axis], bits)
    offset = b.constant(offsets, uniform(width, scale), IntegerType(width))
    operands = [source, factors, offset]
    return b.add(nn.LayerNormOp.create(operands=operands, properties=properties, result_types=[result]))


def product(b: Builder) -> SSAValue:
    batches = [b.number(1, 3) for _ in range(b.number(0, 2))]
    rows, depth, columns = b.number(1, 70), b.number(1, 90), b.number(1, 90)
    lhs, rhs = b.input(*batches, rows, depth), b.input(*batches, depth, columns)
    kind = b.choice([uniform(8, float(b.rng.uniform(0.2, 2.0)), b.number(-128, 127)), b.activation()])
    return b.add(nn.MatmulOp(lhs, rhs, TensorType(kind, [*batches, rows, columns]), clamp=b.clamp()))


def extreme(b: Builder, kind: type[nn.ElementwiseOp]) -> SSAValue:
    source = b.input(*some_shape(b, 40))
    shape = [1 if b.number(0, 1) else size for size in source.type.get_shape()]
    operands = [source, b.input(*shape)]
    return b.binary(kind, *(operands[::-1] if b.number(0, 1) else operands))


FAMILIES: dict[str, Family] = {
    "softmax": softmax,
    "layer_norm": lambda b: normalized(b, around_mean=True),
    "rms_norm": lambda b: normalized(b, around_mean=False),
    "matmul": product,
    "minimum": lambda b: extreme(b, nn.MinimumOp),
    "maximum": lambda b: extreme(b, nn.MaximumOp),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("family", FAMILIES)
def test_single_operations(family: str, target: str, regions: Any) -> None:
    for seed in SEEDS:
        builder = regions.builder(seed, len(family), TARGETS.index(target))
        regions.check_all_levels(builder.module(FAMILIES[family](builder), target=target))


@pytest.mark.parametrize("bits", [(16,), (8, 16)])
@pytest.mark.parametrize("family", FAMILIES)
def test_operations_on_16_bits(family: str, bits: tuple[int, ...], regions: Any) -> None:
    for seed in SEEDS:
        builder = regions.builder(seed, len(family), bits=bits)
        regions.check_all_levels(builder.module(FAMILIES[family](builder), target=TARGETS[seed % len(TARGETS)]))


@pytest.mark.parametrize("bits", [(8,), (8, 16)])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("scratchpad", [9_500, 16_000])
def test_tensors_that_do_not_stay(family: str, scratchpad: int, bits: tuple[int, ...], regions: Any) -> None:
    for seed in SEEDS:
        builder = regions.builder(seed, scratchpad, bits=bits)
        regions.check_all_levels(builder.module(FAMILIES[family](builder)), scratchpad)


@pytest.mark.parametrize("scratchpad", [16_000, 1 << 20])
def test_attention(scratchpad: int, regions: Any) -> None:
    """Two heads: slices, transpositions, a product, softmax, a product, and back to rows of channels."""
    b = regions.builder(scratchpad)
    tokens, heads, width = 21, 2, 16
    joined = b.dense(b.input(1, tokens, 24), 3 * heads * width)

    def head(number: int, order: list[int]) -> SSAValue:
        part = b.add(nn.SliceOp(joined, [0, 0, number * heads * width], [1, 1, 1], [1, tokens, heads * width]))
        return b.add(nn.TransposeOp(b.reshape(part, 1, tokens, heads, width), order))

    query, key, value = head(0, [0, 2, 1, 3]), head(1, [0, 2, 3, 1]), head(2, [0, 2, 1, 3])
    scores = b.add(nn.MatmulOp(query, key, TensorType(uniform(8, 0.9, 3), [1, heads, tokens, tokens])))
    shares = b.add(nn.SoftmaxOp(scores, 3, TensorType(uniform(8, 1 / 256, -128), [1, heads, tokens, tokens])))
    mixed = b.add(nn.MatmulOp(shares, value, TensorType(b.activation(), [1, heads, tokens, width])))
    back = b.reshape(b.add(nn.TransposeOp(mixed, [0, 2, 1, 3])), 1, tokens, heads * width)
    regions.check_all_levels(b.module(b.dense(back, 24)), scratchpad)


def tasks_of(builder: Builder, result: SSAValue) -> list[npu.TaskOp]:
    module = builder.module(result)
    NnToNpu().apply(make_context(), module)
    return [op for op in module.walk() if isinstance(op, npu.TaskOp)]


def test_a_transposition_is_one_task(regions: Any) -> None:
    builder = regions.builder(0)
    tasks = tasks_of(builder, builder.add(nn.TransposeOp(builder.input(49, 64), [1, 0])))
    (moved,) = (task for task in tasks if not isinstance(task, npu.TransferOp))
    assert isinstance(moved, npu.TransposeOp)
    assert (moved.window.data.columns, moved.channels.value.data) == (49, 64)


def test_rows_that_are_no_multiple_of_the_array_are_multiplied_last(regions: Any) -> None:
    builder = regions.builder(0)
    lhs, rhs = builder.input(8, 49), builder.input(49, 16)
    tasks = tasks_of(builder, builder.add(nn.MatmulOp(lhs, rhs, TensorType(uniform(8, 0.5, 3), [8, 16]))))
    multiplies = [task for task in tasks if isinstance(task, npu.MatrixMultiplyOp)]
    assert [(task.taps.data.size, task.inner.value.data) for task in multiplies] == [(1, 32), (1, 17)]
    zero_points = [value.type.get_element_type().zero_point for value in (lhs, rhs)]
    assert all([task.tiles.data.input_zero_point, task.tiles.data.zero_point] == zero_points for task in multiplies)
