"""Operations on two operands, element by element.

The vector unit reads its first operand through the address generator, at every position of the result; the second one
may be broadcast. An operand that has to be the first one and is broadcast is repeated in memory before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.dialects.npu import Scale
from intaglio.lowering.tiling.geometry import Shape
from intaglio.lowering.tiling.layers import (
    ExtremeLayer,
    Layer,
    MoveLayer,
    ProductLayer,
    QuotientLayer,
    Source,
    SumLayer,
    Tensor,
    as_image,
)
from intaglio.lowering.tiling.values import bounds_of, element_bytes_of, quantization_of, scale_of, shape_of
from intaglio.lowering.tiling.vector import IDENTITY
from intaglio.numerics.addition import add_headroom_bits
from intaglio.numerics.fixed_point import QUOTIENT_BITS
from intaglio.numerics.requantization import add_multipliers
from intaglio.targets.boxes import broadcast, in_bytes

Sources = Callable[[SSAValue, Shape], Source]
Output = Callable[[], Tensor]


def binary_sources(
    op: nn.ElementwiseOp, source: Sources
) -> tuple[list[Layer], tuple[Source, Source], Shape, tuple[SSAValue, SSAValue]]:
    """Layers that come before, both operands, the one with the result's shape first, and that shape."""
    a, b = op.lhs, op.rhs
    shape = as_image(shape_of(op.result))
    can_swap = not isinstance(op, nn.SubOp | nn.DivOp)
    if can_swap and shape_of(a) != shape_of(op.result) == shape_of(b):
        a, b = b, a
    second = source(b, as_image(shape_of(b)))
    if shape_of(a) == shape_of(op.result):
        return [], (source(a, shape), second), shape, (a, b)
    given, width = source(a, as_image(shape_of(a))), element_bytes_of(a)
    repeated = Tensor(math.prod(shape) * width, element_bytes=width)
    dimensions, boxes = in_bytes(*broadcast(given.shape, shape), width)
    before = MoveLayer(op.location, (given,), repeated, shape, dimensions=dimensions, boxes=tuple(boxes))
    return [before], (Source(repeated, shape), second), shape, (a, b)


def read_combination(op: nn.AddOp | nn.SubOp, source: Sources, output: Output) -> list[Layer]:
    """The layers of a sum or difference."""
    before, sources, shape, operands = binary_sources(op, source)
    a, b, result = (quantization_of(value) for value in (*operands, op.result))
    headroom = add_headroom_bits(*(8 * element_bytes_of(value) for value in operands))
    numbers = add_multipliers(a.scale, b.scale, result.scale, headroom)
    layer = SumLayer(
        op.location,
        sources,
        output(),
        shape,
        subtract=isinstance(op, nn.SubOp),
        scale=Scale(numbers[4], numbers[5], result.zero_point),
        a_scale=Scale(numbers[0], numbers[1], a.zero_point),
        b_scale=Scale(numbers[2], numbers[3], b.zero_point),
        bounds=bounds_of(op.result, op.clamp),
    )
    return [*before, layer]


def read_extreme_operand(op: nn.MinimumOp | nn.MaximumOp, source: Sources, output: Output) -> list[Layer]:
    """The layers of the smaller or larger of two operands."""
    before, sources, shape, operands = binary_sources(op, source)
    a, b, result = (quantization_of(value) for value in (*operands, op.result))
    layer = ExtremeLayer(
        op.location,
        sources,
        output(),
        shape,
        subtract=False,
        scale=replace(IDENTITY, zero_point=result.zero_point),
        a_scale=scale_of(a.scale / result.scale, a.zero_point),
        b_scale=scale_of(b.scale / result.scale, b.zero_point),
        bounds=bounds_of(op.result, op.clamp),
        largest=isinstance(op, nn.MaximumOp),
    )
    return [*before, layer]


def read_product(op: nn.MulOp | nn.DivOp, source: Sources, output: Output) -> list[Layer]:
    """The layers of a product or quotient."""
    before, sources, shape, operands = binary_sources(op, source)
    a, b, result = (quantization_of(value) for value in (*operands, op.result))
    lhs, rhs = quantization_of(op.lhs), quantization_of(op.rhs)
    if isinstance(op, nn.DivOp):
        bits = 8 * max(map(element_bytes_of, operands))
        ratio, wide = lhs.scale / rhs.scale * 2.0 ** -QUOTIENT_BITS[bits] / result.scale, bits > 8
    else:
        # The factors in the order of the operation, as rounding of the product may depend on it.
        ratio, wide = lhs.scale * rhs.scale / result.scale, False
    layer = (QuotientLayer if isinstance(op, nn.DivOp) else ProductLayer)(
        op.location,
        sources,
        output(),
        shape,
        scale=scale_of(ratio, result.zero_point, wide=wide),
        a_zero_point=a.zero_point,
        b_zero_point=b.zero_point,
        bounds=bounds_of(op.result, op.clamp),
    )
    return [*before, layer]
