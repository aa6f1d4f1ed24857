"""Operations on bfloat16: each level of programs computes the same in every element, what operations mean closely."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, TensorType, bf16, f64, i64
from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.interpreter import Interpreter
from intaglio.lowering.isa_to_bytes import program_binary
from intaglio.numerics.bfloat16 import floats_of
from intaglio.targets.encoding import ProgramError
from intaglio.targets.simulator import Program
from intaglio.targets.target import load_target
from tests.lowering.operator_cases import FAMILIES, Builder, Family, binary, simulated
from tests.lowering.test_attention_layers import some_shape
from tests.lowering.test_resizing import FAMILIES as RESIZING

TARGETS = ("gen2-d16", "gen2", "gen2-d64")


def softmax(b: Builder) -> SSAValue:
    shape = some_shape(b)
    axis = b.choice([len(shape) - 1, b.number(0, len(shape) - 1)])
    return b.add(nn.SoftmaxOp(b.input(*shape), axis, TensorType(bf16, shape)))


def normalized(kind: type[nn.AxisNormOp]) -> Family:
    def make(b: Builder) -> SSAValue:
        shape = some_shape(b)
        axis = b.choice([len(shape) - 1, b.number(0, len(shape) - 1)])
        factors = [b.stored_constant(shape[axis]) for _ in range(1 if kind is nn.RmsNormOp else 2)]
        properties = {"axis": IntegerAttr(axis, i64), "epsilon": FloatAttr(b.choice([1e-6, 1e-2]), f64)}
        operands = [b.input(*shape), *factors]
        return b.add(kind.create(operands=operands, properties=properties, result_types=[TensorType(bf16, shape)]))

    return make


def product(b: Builder) -> SSAValue:
    batches = [b.number(1, 3) for _ in range(b.number(0, 2))]
    rows, depth, columns = b.number(1, 70), b.number(1, 90), b.number(1, 90)
    lhs, rhs = b.input(*batches, rows, depth), b.input(*batches, depth, columns)
    return b.add(nn.MatmulOp(lhs, rhs, TensorType(bf16, [*batches, rows, columns]), clamp=b.clamp()))


def quotient(b: Builder) -> SSAValue:
    source = b.input(*some_shape(b))
    return b.binary(nn.DivOp, source, b.stored_constant(source.type.get_shape()[-1]))


ON_THE_HOST = {*RESIZING, "requantize", "roots"}
IN_BFLOAT16: dict[str, Family] = {
    **{name: family for name, family in FAMILIES.items() if name not in ON_THE_HOST},
    "minimum": binary(nn.MinimumOp),
    "maximum": binary(nn.MaximumOp),
    "div": quotient,
    "softmax": softmax,
    "layer_norm": normalized(nn.LayerNormOp),
    "rms_norm": normalized(nn.RmsNormOp),
    "matmul": product,
}


@pytest.mark.parametrize("family", IN_BFLOAT16)
def test_single_operations(family: str, regions: Any) -> None:
    for seed in range(4):
        builder = regions.builder(seed, *family.encode(), is_float=True)
        module = builder.module(IN_BFLOAT16[family](builder), target=TARGETS[seed % len(TARGETS)])
        regions.check_all_levels(module)


EXACT = ("add", "sub", "mul", "div", "minimum", "maximum", "relu", "clip", "tanh", "gelu", "max_pool2d", "extremes")


@pytest.mark.parametrize("family", EXACT)
def test_operations_without_sums_are_equal_to_the_interpreter(family: str, regions: Any) -> None:
    for seed in range(3):
        builder = regions.builder(seed, *family.encode(), is_float=True)
        module = builder.module(IN_BFLOAT16[family](builder), target="gen2")
        inputs = regions.inputs_of(module)
        expected = Interpreter(module).run("main", inputs)
        (found,) = simulated(module).run(inputs)
        np.testing.assert_array_equal(floats_of(found), floats_of(expected[0].view(np.int16)))


@pytest.mark.parametrize("scratchpad", [16_000, 48_000, 1 << 20])
def test_convolutions_with_a_sum_behind_them_in_scratchpads_of_any_size(scratchpad: int, regions: Any) -> None:
    builder = regions.builder(scratchpad, is_float=True)
    source = builder.input(1, 14, 14, 40)
    window = {"kernel": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1)}
    first = builder.conv2d(source, 40, **window)
    second = builder.conv2d(builder.depthwise(first, **window), 40, **window)
    result = builder.binary(nn.AddOp, second, first)
    regions.check_all_levels(builder.module(result, builder.global_average(result), target="gen2"), scratchpad)


def test_the_array_multiplies_a_quarter_as_fast_as_bytes(regions: Any) -> None:
    builder = regions.builder(4, is_float=True)
    source = builder.input(1, 28, 28, 64)
    result = builder.conv2d(source, 64, kernel=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1), dilations=(1, 1))
    program = regions.check_all_levels(builder.module(result, target="gen2"))
    bound = 4 * 28 * 28 * 64 * 64 * 9 // 32**2
    assert bound <= program.profile().cycles <= 1.3 * bound


def test_a_target_without_bfloat16_refuses_its_words(regions: Any) -> None:
    builder = regions.builder(1, is_float=True)
    module = builder.module(builder.dense(builder.input(4, 8), 8), target="gen2")
    regions.to_npu(module)
    binary = program_binary(regions.to_isa(module))
    with pytest.raises(ProgramError, match="gen1 has no bfloat16"):
        Program(binary, load_target("gen1"))
