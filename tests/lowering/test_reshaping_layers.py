"""Transposed and one-dimensional convolutions, and reductions: what each level computes is equal in every element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue

from intaglio.dialects import nn, npu
from intaglio.ir.context import make_context
from intaglio.lowering.nn_to_npu import NnToNpu

TARGETS = ("gen1-d16", "gen1", "gen1-d64")
SEEDS = range(5)

Builder = Any
Family = Callable[[Builder], SSAValue]


def transposed(b: Builder, *, groups: int = 1, **given: Any) -> SSAValue:
    channels, outputs = groups * b.number(1, 40 // groups), groups * b.number(1, 40 // groups)
    source = b.input(b.choice([1, 2]), b.number(1, 6), b.number(1, 6), channels)
    n, height, width, _ = source.type.get_shape()
    strides = given.get("strides") or (b.number(1, 4), b.number(1, 3))
    dilations = given.get("dilations") or (b.choice([1, 1, 2]), b.choice([1, 1, 3]))
    kernel = given.get("kernel") or (b.number(1, 5), b.number(1, 5))
    sizes = [
        (size - 1) * stride + (taps - 1) * apart + 1
        for size, stride, taps, apart in zip((height, width), strides, kernel, dilations, strict=True)
    ]
    pads = given.get("pads") or [b.number(-1, max(-1, (sizes[k % 2] - 1) // 2)) for k in range(4)]
    result = [n, sizes[0] - pads[0] - pads[2], sizes[1] - pads[1] - pads[3], outputs]
    weight, bias = b.weights(source, outputs, *kernel, channels // groups)
    return b.add(
        nn.ConvTranspose2dOp(
            source,
            weight,
            bias,
            TensorType(b.activation(), result),
            strides=strides,
            pads=pads,
            dilations=dilations,
            groups=groups,
            clamp=b.clamp(),
        )
    )


def narrow(b: Builder) -> SSAValue:
    """A convolution along rows of an image of one column."""
    source = b.input(b.choice([1, 2]), b.number(20, 90), 1, b.number(1, 8))
    pads = (b.number(0, 9), 0, b.number(0, 9), 0)
    kernel = (b.number(2, 20), 1)
    return b.conv2d(source, b.number(1, 40), kernel=kernel, strides=(b.number(1, 4), b.number(1, 2)), pads=pads)


def reduced(b: Builder, *kinds: type[nn.ReduceOp]) -> SSAValue:
    shape = [b.choice([1, b.number(1, 9)]) for _ in range(b.number(1, 5))]
    first = b.number(0, len(shape) - 1)
    axes = list(range(first, b.number(first, len(shape) - 1) + 1))
    source = b.input(*shape)
    kind = b.choice(kinds)
    element = source.type.get_element_type() if kind in (nn.ReduceMaxOp, nn.ReduceMinOp) else b.activation()
    return b.add(kind(source, axes, element))


FAMILIES: dict[str, Family] = {
    "conv_transpose2d": transposed,
    "grouped conv_transpose2d": lambda b: transposed(b, groups=b.number(2, 8)),
    "doubling": lambda b: transposed(b, strides=(2, 2), kernel=(2, 2), pads=(0, 0, 0, 0), dilations=(1, 1)),
    "narrow conv2d": narrow,
    "sums": lambda b: reduced(b, nn.ReduceSumOp, nn.ReduceMeanOp),
    "roots": lambda b: reduced(b, nn.ReduceL2Op),
    "extremes": lambda b: reduced(b, nn.ReduceMaxOp, nn.ReduceMinOp),
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
        builder = regions.builder(seed, len(family), bits=bits, weight_bits=(8, 16))
        regions.check_all_levels(builder.module(FAMILIES[family](builder), target=TARGETS[seed % len(TARGETS)]))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("scratchpad", [20_000, 60_000])
def test_tensors_that_do_not_stay(family: str, scratchpad: int, regions: Any) -> None:
    for seed in SEEDS:
        builder = regions.builder(seed, scratchpad)
        regions.check_all_levels(builder.module(FAMILIES[family](builder)), scratchpad)


@pytest.mark.parametrize("scratchpad", [9_000, 14_000])
def test_rows_of_phases_that_are_cut(scratchpad: int, regions: Any) -> None:
    """Columns of a transposed convolution, computed apart, are stored to several rows each."""
    builder = regions.builder(scratchpad)
    source = builder.input(1, 3, 90, 16)
    weight, bias = builder.weights(source, 8, 3, 3, 16)
    result = TensorType(builder.activation(), [1, 6, 180, 8])
    pads = (0, 0, 1, 1)
    up = builder.add(nn.ConvTranspose2dOp(source, weight, bias, result, strides=(2, 2), pads=pads))
    regions.check_all_levels(builder.module(up), scratchpad)


def test_doubling_needs_no_movement(regions: Any) -> None:
    """A kernel as large as the stride is a pointwise convolution, whose results are written where they belong."""
    builder = regions.builder(0)
    source = builder.input(1, 8, 8, 32)
    weight, bias = builder.weights(source, 8, 2, 2, 32)
    result = TensorType(builder.activation(), [1, 16, 16, 8])
    module = builder.module(builder.add(nn.ConvTranspose2dOp(source, weight, bias, result, strides=(2, 2))))
    NnToNpu().apply(make_context(), module)
    tasks = [op for op in module.walk() if isinstance(op, npu.TaskOp) and not isinstance(op, npu.TransferOp)]
    assert [type(task) for task in tasks] == [npu.MatrixMultiplyOp, npu.RequantizeOp] * 2
    # Two columns of eight channels lie beside each other, two rows apart from those of the next input row.
    placements = [task.placement.data for task in tasks if isinstance(task, npu.RequantizeOp)]
    assert placements == [npu.Placement(row * 128, 256, 16) for row in range(2)]


def test_kernels_along_one_column_fill_the_array(regions: Any) -> None:
    builder = regions.builder(0)
    convolved = builder.conv2d(
        builder.input(1, 1024, 1, 1), 32, kernel=(512, 1), strides=(4, 1), pads=(254, 0, 254, 0), dilations=(1, 1)
    )
    program = regions.check_all_levels(builder.module(convolved))
    assert program.profile().mac_utilization > 0.5


def test_a_mean_is_one_instruction(regions: Any) -> None:
    builder = regions.builder(0)
    source = builder.input(1, 7, 7, 64)
    module = builder.module(builder.add(nn.ReduceMeanOp(source, [1, 2], builder.activation())))
    NnToNpu().apply(make_context(), module)
    sums = [op for op in module.walk() if isinstance(op, npu.SumOp)]
    assert sum(op.channels.value.data for op in sums) == 64
    assert {op.taps.data.size for op in sums} == {49}
