"""Operations on bfloat16: each level of programs computes the same in every element, what operations mean closely."""

from __future__ import annotations

from typing import Any

import pytest
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, TensorType, bf16, f64, i64
from xdsl.ir import SSAValue

from intaglio.dialects import nn
from tests.lowering.operator_cases import FAMILIES, Builder, Family, binary
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
