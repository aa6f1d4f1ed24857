"""Operations that only move elements, from `nn` to bytes: what each level computes is equal in every element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import TensorType, bf16, i8, i64
from xdsl.ir import SSAValue

from intaglio.dialects import isa, nn, npu
from intaglio.dialects.weights import dtype_of
from intaglio.ir.context import make_context
from intaglio.lowering.nn_to_npu import NnToNpu

TARGETS = ("gen1-d16", "gen1", "gen1-d64")
SEEDS = range(5)

Builder = Any
Family = Callable[[Builder], SSAValue]


def shaped(source: SSAValue, shape: tuple[int, ...]) -> TensorType:
    return TensorType(source.type.get_element_type(), shape)


def some_input(b: Builder, ranks: tuple[int, int] = (1, 5), largest: int = 13) -> SSAValue:
    return b.input(*(b.choice([1, b.number(2, largest), b.number(1, largest)]) for _ in range(b.number(*ranks))))


def transposed(b: Builder) -> SSAValue:
    source = some_input(b)
    order = [int(axis) for axis in b.rng.permutation(len(source.type.get_shape()))]
    return b.add(nn.TransposeOp(source, order))


def sliced(b: Builder) -> SSAValue:
    source = some_input(b)
    starts, steps, sizes = [], [], []
    for size in source.type.get_shape():
        start, step = b.number(0, size - 1), b.choice([1, 1, 1, 2, 3, -1, -2])
        room = start // -step + 1 if step < 0 else (size - 1 - start) // step + 1
        count = b.number(1, room)
        starts.append(start)
        steps.append(step)
        sizes.append(count)
    return b.add(nn.SliceOp(source, starts, steps, sizes))


def concatenated(b: Builder) -> SSAValue:
    first = some_input(b)
    shape = list(first.type.get_shape())
    axis = b.number(0, len(shape) - 1)
    values, element = [first], first.type.get_element_type()
    for _ in range(b.number(1, 3)):
        shape[axis] = b.number(1, 9)
        kind = b.number(0, 3)
        if kind == 0:
            stored = element if element == bf16 else element.storage_type
            values.append(b.constant(b.stored(element, *shape), element, stored))
        elif kind == 1:
            stored = element if element == bf16 else element.storage_type
            values.append(b.constant(np.full(shape, b.number(-128, 127), dtype_of(stored)), element, stored))
        else:
            argument = b.block.insert_arg(shaped(first, tuple(shape)), len(b.block.args))
            values.append(argument)
    order = b.rng.permutation(len(values))
    values = [values[index] for index in order]
    total = sum(value.type.get_shape()[axis] for value in values)
    shape[axis] = total
    return b.add(nn.ConcatOp(values, axis, shaped(first, tuple(shape))))


def padded(b: Builder) -> SSAValue:
    source = some_input(b)
    shape = source.type.get_shape()
    low, high = ([b.choice([0, 0, 1, 3]) for _ in shape] for _ in range(2))
    result = tuple(a + n + c for a, n, c in zip(low, shape, high, strict=True))
    return b.add(nn.PadOp(source, low, high, float(b.rng.uniform(-3, 3)), shaped(source, result)))


def repeated(b: Builder) -> SSAValue:
    shape = [b.choice([1, b.number(1, 9)]) for _ in range(b.number(1, 4))]
    result = [b.number(1, 6) if size == 1 else size for size in shape]
    source = b.input(*shape[b.choice([0, 0, next((k for k, n in enumerate(shape) if n > 1), len(shape) - 1)]) :])
    return b.add(nn.BroadcastOp(source, shaped(source, tuple(result))))


def gathered(b: Builder) -> SSAValue:
    source = some_input(b)
    shape = source.type.get_shape()
    axis = b.number(0, len(shape) - 1)
    sizes = [b.number(1, 4) for _ in range(b.number(1, 2))]
    indices = b.rng.integers(-shape[axis], shape[axis], sizes)
    constant = b.constant(indices.astype(np.int64), i64, i64)
    return b.add(nn.GatherOp(source, constant, axis))


def resized(b: Builder) -> SSAValue:
    source = b.input(b.choice([1, 2]), b.number(1, 7), b.number(1, 7), b.number(1, 40))
    n, h, w, c = source.type.get_shape()
    steps, units = [b.number(1, 3), b.number(1, 2)], [b.number(1, 4), b.number(1, 2)]
    offsets = [b.number(-1, 1), b.number(-1, 1)]
    sizes = [max(1, h * units[0] // steps[0]), max(1, w * units[1] // steps[1])]
    mode = b.choice(nn.NEAREST)
    result = shaped(source, (n, *sizes, c))
    return b.add(nn.ResizeOp(source, result, mode, steps=steps, offsets=offsets, units=units))


FAMILIES: dict[str, Family] = {
    "transpose": transposed,
    "slice": sliced,
    "concat": concatenated,
    "pad": padded,
    "broadcast": repeated,
    "gather": gathered,
    "resize": resized,
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("family", FAMILIES)
def test_single_operations(family: str, target: str, regions: Any) -> None:
    for seed in SEEDS:
        builder = regions.builder(seed, len(family), TARGETS.index(target))
        module = builder.module(FAMILIES[family](builder), target=target)
        regions.check_all_levels(module)


@pytest.mark.parametrize("family", FAMILIES)
def test_values_of_16_bits(family: str, regions: Any) -> None:
    for seed in SEEDS:
        builder = regions.builder(seed, len(family), bits=(16,))
        module = builder.module(FAMILIES[family](builder), target=TARGETS[seed % len(TARGETS)])
        regions.check_all_levels(module, 3_000 if seed % 2 else None)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("scratchpad", [768, 3_000])
def test_tensors_that_do_not_stay(family: str, scratchpad: int, regions: Any) -> None:
    for seed in SEEDS:
        builder = regions.builder(seed, scratchpad)
        regions.check_all_levels(builder.module(FAMILIES[family](builder)), scratchpad)


@pytest.mark.parametrize("scratchpad", [1_500, 6_000, 1 << 20])
@pytest.mark.parametrize("seed", range(4))
def test_between_other_layers(seed: int, scratchpad: int, regions: Any) -> None:
    """Movements of what layers compute, which later layers read."""
    builder = regions.builder(seed, 77)
    source = builder.unary(builder.input(1, builder.number(2, 9), builder.number(2, 9), builder.number(1, 20)))
    moved = builder.add(nn.TransposeOp(source, [0, 2, 1, 3]))
    kind = shaped(source, tuple(int(n) for n in np.add(moved.type.get_shape(), (0, 1, 2, 0))))
    grown = builder.add(nn.PadOp(moved, [0, 0, 1, 0], [0, 1, 1, 0], 0.0, kind))
    joined = list(grown.type.get_shape())
    joined[3] *= 2
    twice = builder.add(nn.ConcatOp([grown, grown], 3, shaped(grown, tuple(joined))))
    regions.check_all_levels(builder.module(builder.unary(twice), moved), scratchpad)


def tasks_of(builder: Builder, *outputs: SSAValue) -> list[npu.TaskOp]:
    module = builder.module(*outputs)
    NnToNpu().apply(make_context(), module)
    return [op for op in module.walk() if isinstance(op, npu.TaskOp)]


def test_what_stays_in_place_costs_nothing(regions: Any) -> None:
    builder = regions.builder(1)
    source = builder.unary(builder.input(1, 5, 1, 8))
    moved = builder.add(nn.TransposeOp(source, [0, 2, 1, 3]))
    same = builder.add(nn.SliceOp(moved, [0] * 4, [1] * 4, (1, 1, 5, 8)))
    found = tasks_of(builder, builder.add(nn.TanhOp(same, shaped(same, (1, 1, 5, 8)))))
    assert not any(isinstance(task, npu.ConvertOp) and task.channels.value.data == 1 for task in found)


def test_doubled_rows_are_one_copy(regions: Any) -> None:
    """Rows read twice are a step of 0; a column twice is a position twice."""
    builder = regions.builder(1)
    source = builder.input(1, 4, 4, 32)
    result = shaped(source, (1, 8, 4, 32))
    doubled = builder.add(nn.ResizeOp(source, result, "floor", steps=[1, 1], offsets=[0, 0], units=[2, 1]))
    copies = [task for task in tasks_of(builder, doubled) if isinstance(task, npu.ConvertOp)]
    assert len(copies) == 1
    assert 0 in (copies[0].map.data.row_stride, copies[0].window.data.step_x)


def test_constants_of_one_value_are_not_loaded(regions: Any) -> None:
    builder = regions.builder(1)
    source = builder.input(1, 4, 4, 8)
    zeros = builder.constant(np.full((1, 4, 4, 4), 3, np.int8), source.type.get_element_type(), i8)
    result = builder.add(nn.ConcatOp([source, zeros], 3, shaped(source, (1, 4, 4, 12))))
    module = builder.module(result)
    regions.check_all_levels(module)
    (program,) = (op for op in module.ops if isinstance(op, isa.ProgramOp))
    assert program.constants.type == TensorType(i8, [1])
