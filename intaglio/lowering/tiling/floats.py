"""Operations on bfloat16 as layers. Layers with weights are read as those on integers are."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from xdsl.dialects.builtin import FloatAttr
from xdsl.ir import Operation, SSAValue

from intaglio.dialects import nn
from intaglio.lowering.tiling.geometry import Shape
from intaglio.lowering.tiling.layers import (
    FloatCombineLayer,
    FloatMapLayer,
    FloatPoolLayer,
    Layer,
    Source,
    Tensor,
    as_image,
)
from intaglio.lowering.tiling.reductions import reduced_image
from intaglio.lowering.tiling.values import binary_sources, bounds_of, shape_of, window_of

Sources = Callable[[SSAValue, Shape], Source]
Output = Callable[[], Tensor]

MINUS_INFINITY = -1
"""The high byte of the padding that never is the largest element."""


def _pool(op: nn.PoolOp, source: Sources, output: Output) -> Layer:
    kernel, largest = tuple(op.kernel.get_values()), isinstance(op, nn.MaxPool2dOp)
    return FloatPoolLayer(
        op.location,
        (source(op.input, as_image(shape_of(op.input))),),
        output(),
        as_image(shape_of(op.result)),
        window=window_of(kernel, op, tuple(op.dilation())),
        function="max" if largest else "sum",
        bounds=bounds_of(op.result, op.clamp if isinstance(op, nn.AvgPool2dOp) else None),
        divisor=1 if largest else math.prod(kernel),
        pad=MINUS_INFINITY if largest else 0,
    )


def _combination(function: str) -> Callable[[nn.ElementwiseOp, Sources, Output], Layer]:
    def read(op: nn.ElementwiseOp, source: Sources, output: Output) -> Layer:
        sources, shape, _ = binary_sources(op, source)
        bounds = bounds_of(op.result, op.clamp)
        return FloatCombineLayer(op.location, sources, output(), shape, function=function, bounds=bounds)

    return read


def _clip(op: nn.ReluOp | nn.ClipOp, source: Sources, output: Output) -> Layer:
    clamp = op.clamp if isinstance(op, nn.ClipOp) else nn.ClampAttr.of(0.0, math.inf)
    shape = as_image(shape_of(op.input))
    bounds = bounds_of(op.result, clamp)
    return FloatPoolLayer(
        op.location, (source(op.input, shape),), output(), shape, function="max", bounds=bounds, pad=MINUS_INFINITY
    )


def _function(op: nn.ActivationOp, source: Sources, output: Output) -> Layer:
    name = op.name.removeprefix("nn.")
    if isinstance(op, nn.GeluOp) and op.approximate.data == "tanh":
        name = "gelu_tanh"
    given = (op.properties.get(coefficient) for coefficient in ("alpha", "beta"))
    alpha, beta = (number.value.data if isinstance(number, FloatAttr) else 0.0 for number in given)
    shape = as_image(shape_of(op.input))
    return FloatMapLayer(
        op.location, (source(op.input, shape),), output(), shape, function=name, alpha=alpha, beta=beta
    )


def _reduction(op: nn.ReduceOp, source: Sources, output: Output) -> Layer:
    image, window, shape = reduced_image(op)
    count = window.y.kernel * window.x.kernel
    extreme = "min" if isinstance(op, nn.ReduceMinOp) else "max" if isinstance(op, nn.ReduceMaxOp) else None
    return FloatPoolLayer(
        op.location,
        (source(op.input, image),),
        output(),
        shape,
        window=window,
        function=extreme or "sum",
        bounds=bounds_of(op.result, None),
        divisor=count if isinstance(op, nn.ReduceMeanOp) else 1,
    )


FLOAT_READERS: dict[type[Operation], Callable[[Any, Sources, Output], Layer]] = {
    nn.MaxPool2dOp: _pool,
    nn.AvgPool2dOp: _pool,
    nn.AddOp: _combination("add"),
    nn.SubOp: _combination("subtract"),
    nn.MulOp: _combination("multiply"),
    nn.DivOp: _combination("divide"),
    nn.MinimumOp: _combination("minimum"),
    nn.MaximumOp: _combination("maximum"),
    nn.ReluOp: _clip,
    nn.ClipOp: _clip,
    nn.ReduceSumOp: _reduction,
    nn.ReduceMeanOp: _reduction,
    nn.ReduceMaxOp: _reduction,
    nn.ReduceMinOp: _reduction,
    **dict.fromkeys(nn.TABLE_OPS, _function),
}
"""How operations are read where they are on bfloat16."""
