"""Bilinear resizing: every level computes what the interpreter does, and the parts are those of the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue

from intaglio.dialects import nn, npu
from intaglio.ir.context import make_context
from intaglio.lowering.nn_to_npu import NnToNpu
from intaglio.targets.resampling import Run, mixtures_of, runs_of

TARGETS = ("gen1-d16", "gen1", "gen1-d64")
SEEDS = range(4)

Builder = Any
Family = Callable[[Builder], SSAValue]


def mixed(b: Builder) -> SSAValue:
    """Bilinear: any sizes, with the corners or half elements aligned, or any positions, some outside the image."""
    source = b.input(b.choice([1, 2]), b.number(1, 5), b.number(1, 5), b.choice([b.number(1, 40), b.number(60, 140)]))
    given = source.type.get_shape()[1:3]
    sizes = [b.choice([2 * size, 2 * size, b.number(1, 9)]) for size in given]
    match b.choice(["half", "half", "corners", "any"]):
        case "half":
            numbers = [(2 * size, size - count, 2 * count) for size, count in zip(given, sizes, strict=True)]
        case "corners":
            numbers = [(size - 1, 0, max(1, count - 1)) for size, count in zip(given, sizes, strict=True)]
        case _:
            numbers = [(b.number(1, 9), b.number(-40, 40), b.number(1, 12)) for _ in range(2)]
    return linear(b, source, tuple(sizes), [np.array(triple) // np.gcd.reduce(triple) for triple in numbers])


def linear(b: Builder, source: SSAValue, sizes: tuple[int, int], numbers: Any) -> SSAValue:
    n, _, _, c = source.type.get_shape()
    steps, offsets, units = (tuple(int(triple[k]) for triple in numbers) for k in range(3))
    result = TensorType(source.type.get_element_type(), [n, *sizes, c])
    return b.add(nn.ResizeOp(source, result, "linear", steps=steps, offsets=offsets, units=units))


FAMILIES: dict[str, Family] = {"bilinear resize": mixed}


@pytest.mark.parametrize("bits", [(8,), (16,)])
@pytest.mark.parametrize("target", TARGETS)
def test_single_operations(target: str, bits: tuple[int, ...], regions: Any) -> None:
    for seed in SEEDS:
        builder = regions.builder(seed, TARGETS.index(target), bits=bits)
        regions.check_all_levels(builder.module(mixed(builder), target=target))


@pytest.mark.parametrize("bits", [(8,), (16,)])
@pytest.mark.parametrize("scratchpad", [24_000, 40_000])
def test_tensors_that_do_not_stay(scratchpad: int, bits: tuple[int, ...], regions: Any) -> None:
    for seed in SEEDS:
        builder = regions.builder(seed, scratchpad, bits=bits)
        source = builder.input(1, builder.number(5, 16), builder.number(5, 16), builder.number(20, 70))
        sizes = tuple(2 * size for size in source.type.get_shape()[1:3])
        result = linear(builder, source, sizes, [(2, -1, 4)] * 2 if seed % 2 else [(1, 0, 2)] * 2)
        regions.check_all_levels(builder.module(result), scratchpad)


def test_between_other_layers(regions: Any) -> None:
    builder = regions.builder(5)
    source = builder.conv2d(builder.input(1, 9, 8, 5), 20)
    larger = linear(builder, source, (18, 16), [(2, -1, 4)] * 2)
    regions.check_all_levels(builder.module(builder.conv2d(larger, 7), source))


def test_doubling_has_four_runs_in_each_direction(regions: Any) -> None:
    builder = regions.builder(0)
    larger = linear(builder, builder.input(1, 8, 5, 3), (16, 10), [(2, -1, 4)] * 2)
    assert isinstance(larger.owner, nn.ResizeOp)
    assert sorted(runs_of(larger.owner, 0), key=lambda run: run.first) == [
        Run(0, 1, 1, 0, 0, (4, 0)),
        Run(1, 2, 7, 0, 1, (3, 1)),
        Run(2, 2, 7, 0, 1, (1, 3)),
        Run(15, 1, 1, 6, 0, (0, 4)),
    ]
    module = builder.module(larger)
    NnToNpu().apply(make_context(), module)
    tasks = [op for op in module.walk() if isinstance(op, npu.DepthwiseOp)]
    assert len(tasks) == 16
    assert sum(task.window.data.size for task in tasks) == 16 * 10


@pytest.mark.parametrize("scratchpad", [90_000, 1 << 20])
def test_rows_come_before_columns_where_each_is_a_part(scratchpad: int, regions: Any) -> None:
    builder = regions.builder(3)
    larger = linear(builder, builder.input(2, 14, 9, 40), (28, 18), [(13, 0, 27), (8, 0, 17)])
    assert isinstance(larger.owner, nn.ResizeOp)
    rows, columns = mixtures_of(larger.owner)
    assert (rows.taps, columns.taps, rows.parts, columns.parts) == ((2, 1), (1, 2), 28, 18)
    regions.check_all_levels(builder.module(larger), scratchpad)


def test_runs_are_the_positions_of_the_result(regions: Any) -> None:
    for seed in range(100):
        builder = regions.builder(seed)
        op = mixed(builder).owner
        assert isinstance(op, nn.ResizeOp)
        for direction in range(2):
            indices, weights = op.integer_taps(direction)
            size = nn.tensor_of(op.input).get_shape()[1 + direction]
            expected = np.zeros((len(indices), size), np.int64)
            np.add.at(expected, (np.arange(len(indices))[:, None], indices), weights)
            found = np.zeros_like(expected)
            for run in runs_of(op, direction):
                for number in range(run.count):
                    start = run.start + number * run.step
                    found[run.first + number * run.every, start : start + len(run.weights)] += run.weights
            np.testing.assert_array_equal(found, expected)


def test_parts_of_runs() -> None:
    run = Run(first=3, every=2, count=5, start=1, step=1, weights=(1, 1))
    assert run.within(0, 12) == run
    assert run.within(4, 10) == Run(5, 2, 3, 2, 1, (1, 1))
    assert run.within(7, 8) == Run(7, 1, 1, 3, 0, (1, 1))
    assert run.within(4, 5) is None
