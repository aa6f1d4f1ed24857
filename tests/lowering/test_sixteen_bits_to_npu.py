"""Operations on 16 bits, alone and mixed with 8, and weights of 4: each level computes the same in every element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from xdsl.ir import SSAValue

from intaglio.dialects import nn, npu

WIDTHS = {"a16w8": ((16,), (8,)), "a16w16": ((16,), (16,)), "mixed": ((8, 16), (8, 16))}
"""Widths of activations and of weights."""

TARGETS = ("gen1-d16", "gen1", "gen1-d64")
SEEDS = range(5)


def image(b: Any, *, channels: int = 80) -> SSAValue:
    return b.input(b.choice([1, 1, 2]), b.number(1, 15), b.number(1, 15), b.number(2, channels))


def grouped(b: Any) -> SSAValue:
    source = image(b)
    channels = source.type.get_shape()[3]
    groups = b.choice([size for size in range(1, channels + 1) if channels % size == 0])
    return b.conv2d(source, groups * b.number(1, 4), groups=groups)


def any_rank(b: Any) -> SSAValue:
    shape = (b.choice([1, 2]), b.number(1, 15), b.number(1, 15), b.number(1, 80))
    return b.input(*shape[b.number(0, 3) :])


FAMILIES: dict[str, Callable[[Any], SSAValue]] = {
    "conv2d": lambda b: b.conv2d(image(b), b.number(1, 80)),
    "pointwise": lambda b: b.conv2d(image(b), b.number(1, 80), kernel=(1, 1), strides=(1, 1), pads=(0, 0, 0, 0)),
    "grouped": grouped,
    "depthwise": lambda b: b.depthwise(image(b)),
    "dense": lambda b: b.dense(any_rank(b), b.number(1, 150)),
    "max_pool2d": lambda b: b.pool(image(b), largest=True),
    "avg_pool2d": lambda b: b.pool(image(b), largest=False),
    "global_average": lambda b: b.global_average(image(b)),
    "binary": lambda b: b.broadcast_binary(any_rank(b)),
    "activation": lambda b: b.unary(any_rank(b)),
    "requantize": lambda b: b.requantized(any_rank(b)),
}


@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("family", FAMILIES)
def test_single_operations(family: str, widths: str, regions: Any) -> None:
    bits, weight_bits = WIDTHS[widths]
    for seed in SEEDS:
        builder = regions.builder(seed, len(family), bits=bits, weight_bits=weight_bits)
        result = FAMILIES[family](builder)
        regions.check_all_levels(builder.module(result, target=TARGETS[seed % len(TARGETS)]))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("scratchpad", [12_000, 48_000, 1 << 20])
def test_networks_in_scratchpads_of_any_size(scratchpad: int, seed: int, regions: Any) -> None:
    builder = regions.builder(seed, 16, bits=(8, 16), weight_bits=(8, 16))
    outputs = regions.random_network(builder)
    regions.check_all_levels(builder.module(*outputs, target=builder.choice(TARGETS)), scratchpad)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("family", ["conv2d", "pointwise", "grouped", "depthwise", "dense"])
def test_weights_of_4_bits(family: str, bits: int, regions: Any) -> None:
    for seed in SEEDS:
        builder = regions.builder(seed, len(family), bits=(bits,), weight_bits=(4,))
        module = builder.module(FAMILIES[family](builder), target="gen2")
        regions.check_all_levels(module, 30_000 if seed % 2 else None)


def test_weights_of_4_bits_are_half_as_many_bytes(regions: Any) -> None:
    moved: list[int] = []
    for bits in (8, 4):
        builder = regions.builder(4, weight_bits=(bits,))
        result = builder.conv2d(builder.input(1, 6, 6, 128), 128, kernel=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1))
        profile = regions.check_all_levels(builder.module(result, target="gen2")).profile()
        moved.append(profile.dram_bytes["read"])
    assert moved[0] - moved[1] == 128 * 128 * 9 // 2


def test_weights_that_are_too_large_to_load_at_once(regions: Any) -> None:
    builder = regions.builder(1, bits=(16,), weight_bits=(16,))
    result = builder.conv2d(
        builder.input(1, 6, 6, 200), 70, kernel=(5, 5), strides=(1, 1), pads=(2, 2, 2, 2), dilations=(1, 1)
    )
    regions.check_all_levels(builder.module(result), 60_000)


def test_values_used_and_returned_in_unusual_ways(regions: Any) -> None:
    builder = regions.builder(5, bits=(16,))
    first, second = builder.input(1, 6, 6, 4), builder.input(1, 6, 6, 4)
    doubled = builder.binary(nn.AddOp, first, first)
    kind = builder.activation()
    constant = builder.constant(builder.stored(kind, 16), kind, kind.storage_type)
    regions.check_all_levels(builder.module(doubled, second, builder.reshape(doubled, 144), doubled, constant))


def test_an_array_of_few_channels_takes_a_kernel_row_at_once(regions: Any) -> None:
    builder = regions.builder(0, bits=(16,), weight_bits=(16,))
    source = builder.input(1, 8, 8, 3)
    module = builder.module(
        builder.conv2d(source, 16, kernel=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1), dilations=(1, 1))
    )
    program = regions.to_npu(module)
    (multiply,) = (op for op in program.body.block.ops if isinstance(op, npu.MatrixMultiplyOp))
    assert (multiply.inner.value.data, multiply.taps.data.rows, multiply.taps.data.columns) == (9, 3, 1)
    assert (multiply.map.data.element_bytes, multiply.tiles.data.element_bytes) == (2, 2)


@pytest.mark.parametrize(("weight_bits", "rate"), [(8, 2), (16, 4)])
def test_the_array_is_as_busy_as_its_rates_allow(weight_bits: int, rate: int, regions: Any) -> None:
    builder = regions.builder(4, bits=(16,), weight_bits=(weight_bits,))
    source = builder.input(1, 28, 28, 64)
    result = builder.conv2d(source, 64, kernel=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1), dilations=(1, 1))
    program = regions.check_all_levels(builder.module(result))
    bound = rate * 28 * 28 * 64 * 64 * 9 // 32**2
    assert bound <= program.profile().cycles <= 1.3 * bound
