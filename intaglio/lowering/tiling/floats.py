"""Operations on bfloat16 as layers. Layers with weights are read as those on integers are."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.dialects.builtin import FloatAttr, LocationAttr, f64
from xdsl.ir import Operation, SSAValue

from intaglio.dialects import nn, npu
from intaglio.lowering.tiling.emitter import UNIT, View
from intaglio.lowering.tiling.geometry import Block, Shape
from intaglio.lowering.tiling.layers import (
    FloatCombineLayer,
    FloatMapLayer,
    FloatPoolLayer,
    Layer,
    Source,
    Tensor,
    as_image,
)
from intaglio.lowering.tiling.operands import binary_sources
from intaglio.lowering.tiling.reductions import reduced_image
from intaglio.lowering.tiling.rows import RowLayer, along_axis
from intaglio.lowering.tiling.values import bounds_of, constant_of, shape_of, window_of
from intaglio.lowering.tiling.vector import FAMILIES, IDENTITY, KINDS, UNLIMITED, VectorTasks

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


def _combination(function: str) -> Callable[[nn.ElementwiseOp, Sources, Output], list[Layer]]:
    def read(op: nn.ElementwiseOp, source: Sources, output: Output) -> list[Layer]:
        before, sources, shape, _ = binary_sources(op, source)
        bounds = bounds_of(op.result, op.clamp)
        return [*before, FloatCombineLayer(op.location, sources, output(), shape, function=function, bounds=bounds)]

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


@dataclass(eq=False)
class FloatSoftmaxLayer(Layer):
    """Exponentials over their sum, of bfloat16."""

    def __post_init__(self) -> None:
        self.splits_channels = False

    def flattened(self, lanes: int) -> Layer:
        """The layer itself, whose positions are rows already."""
        return self


@dataclass(eq=False)
class FloatNormalizeLayer(RowLayer):
    """Elements of bfloat16 over their deviation, times a factor plus an offset."""

    epsilon: float
    around_mean: bool


def _softmax(op: nn.SoftmaxOp, source: Sources, output: Output) -> list[Layer]:
    return along_axis(op.location, op.input, op.axis.value.data, source, output, _softmax_layer)


def _softmax_layer(location: LocationAttr, given: Source, made: Tensor, shape: Shape) -> Layer:
    return FloatSoftmaxLayer(location, (given,), made, shape)


def _norm(op: nn.AxisNormOp, source: Sources, output: Output) -> list[Layer]:
    value, factor, *offset = op.operands
    factors = constant_of(factor).astype("<f4")
    offsets = constant_of(offset[0]).astype("<f4") if offset else np.zeros_like(factors)
    data = np.stack((factors, offsets), axis=1).reshape(-1).view(np.int8)

    def make(location: LocationAttr, given: Source, made: Tensor, shape: Shape) -> Layer:
        return FloatNormalizeLayer(
            location,
            (given,),
            made,
            shape,
            data=data,
            scale=IDENTITY,
            bounds=bounds_of(op.result, None),
            epsilon=op.epsilon.value.data,
            around_mean=isinstance(op, nn.LayerNormOp),
        )

    return along_axis(op.location, value, op.axis.value.data, source, output, make)


def _softmax_task(tasks: VectorTasks, sources: list[View], output: View, tile: Block, loaded: Any) -> None:
    tasks.emit(npu.FloatSoftmaxOp, [], sources[0], output, tile, bounds=npu.BoundsAttr(UNLIMITED))


def _normalize_task(tasks: VectorTasks, sources: list[View], output: View, tile: Block, loaded: Any) -> None:
    layer = tasks.layer
    assert isinstance(layer, FloatNormalizeLayer) and loaded is not None
    tasks.emit(
        npu.FloatNormalizeOp,
        [loaded.buffer],
        sources[0],
        output,
        tile,
        factors_offset=0,
        epsilon=FloatAttr(layer.epsilon, f64),
        around_mean=UNIT if layer.around_mean else None,
        bounds=npu.BoundsAttr(layer.bounds),
    )


KINDS.update({FloatSoftmaxLayer: "float_softmax", FloatNormalizeLayer: "float_normalize"})
FAMILIES.update({FloatSoftmaxLayer: _softmax_task, FloatNormalizeLayer: _normalize_task})

FLOAT_READERS: dict[type[Operation], Callable[[Any, Sources, Output], Layer | list[Layer]]] = {
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
    nn.SoftmaxOp: _softmax,
    nn.LayerNormOp: _norm,
    nn.RmsNormOp: _norm,
    **dict.fromkeys(nn.TABLE_OPS, _function),
}
"""How operations are read where they are on bfloat16."""
