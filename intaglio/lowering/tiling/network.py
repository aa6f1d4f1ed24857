"""A region function of quantized `nn` operations as layers and the tensors between them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import IntegerType
from xdsl.ir import Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.npu import Scale
from intaglio.dialects.quant import RequantizeOp, UniformQuantizedPerAxisType, UniformQuantizedType
from intaglio.dialects.weights import array_of
from intaglio.errors import UserError
from intaglio.interpreter.table_functions import table_function
from intaglio.ir.locations import describe
from intaglio.lowering.tiling.floats import FLOAT_READERS
from intaglio.lowering.tiling.geometry import Shape, Window
from intaglio.lowering.tiling.layers import (
    AveragePoolLayer,
    ConvertLayer,
    CopyLayer,
    DepthwiseLayer,
    InterpolatedLayer,
    Layer,
    LogarithmLayer,
    MatrixLayer,
    MaxPoolLayer,
    MoveLayer,
    Source,
    TableLayer,
    Tensor,
    as_image,
)
from intaglio.lowering.tiling.operands import read_combination, read_extreme_operand, read_product
from intaglio.lowering.tiling.packing import as_bytes
from intaglio.lowering.tiling.products import read_matmul
from intaglio.lowering.tiling.reductions import read_extreme, read_root, read_sum
from intaglio.lowering.tiling.resizing import read_resize
from intaglio.lowering.tiling.rows import read_norm, read_softmax
from intaglio.lowering.tiling.transposed import read_conv_transpose
from intaglio.lowering.tiling.values import (
    bounds_of,
    constant_of,
    element_bytes_of,
    is_bfloat16,
    linear_parameters,
    quantization_of,
    scale_of,
    shape_of,
    window_of,
    zero_point_of,
)
from intaglio.numerics.fixed_point import LOGARITHM_BITS, logarithm_offset
from intaglio.numerics.requantization import average_multiplier
from intaglio.numerics.tables import table_int8, table_int16, table_int16_scale
from intaglio.targets.boxes import in_bytes, is_identity
from intaglio.targets.movement import is_movement, movement_of


@dataclass
class Network:
    """A region: its layers in an order in which they can be computed, and its tensors."""

    inputs: list[Tensor]
    outputs: list[Tensor]
    layers: list[Layer]

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors, in the order in which they first occur."""
        found = dict.fromkeys(self.inputs)
        for layer in self.layers:
            found.update(dict.fromkeys(source.tensor for source in layer.sources))
            found[layer.output] = None
        return list(found)


def read_network(function: func.FuncOp) -> Network:
    """Turn a region function into layers, all with the shapes of images.

    Raises:
        UserError: it holds an operation that the accelerator has no layer for.
    """
    return _Reader(function).network


class _Reader:
    def __init__(self, function: func.FuncOp) -> None:
        block = function.body.block
        self._tensors: dict[SSAValue, Tensor] = {}
        inputs = [self._define(argument, argument) for argument in block.args]
        self._layers: list[Layer] = []
        outputs: list[Tensor] = []
        for op in block.ops:
            if isinstance(op, func.ReturnOp):
                outputs = [self._tensors[value] for value in op.operands]
            elif isinstance(op, nn.ReshapeOp):
                self._tensors[op.result] = self._tensors[op.input]
            elif isinstance(op, nn.ConstantOp):
                self._define_constant(op)
            elif is_movement(op):
                self._move(op)
            else:
                self._layers += self._read(op)
        for index, tensor in enumerate(outputs):
            tensor.outputs.append(index)
        self._append_copies(outputs, inputs)
        self.network = Network(inputs, outputs, self._layers)
        set_lifetimes(self.network)

    def _define(self, value: SSAValue, origin: SSAValue | None) -> Tensor:
        width = element_bytes_of(value)
        tensor = Tensor(math.prod(shape_of(value)) * width, origin, element_bytes=width)
        self._tensors[value] = tensor
        return tensor

    def _define_constant(self, op: nn.ConstantOp) -> None:
        values = array_of(op.value)
        tensor = Tensor(values.nbytes, op.result, value=as_bytes(values), element_bytes=values.itemsize)
        self._tensors[op.result] = tensor

    def _move(self, op: Operation) -> None:
        """Add a movement, unless elements stay as they lie in memory."""
        (result,) = op.results
        dimensions, boxes, values = movement_of(op)
        dimensions, boxes = in_bytes(dimensions, boxes, element_bytes_of(result))
        tensors = [self._tensors[value] for value in values]
        if is_identity(dimensions, boxes, [tensor.size for tensor in tensors]):
            self._tensors[result] = tensors[boxes[0].source or 0]
            return
        sources = tuple(self._source(value, as_image(shape_of(value))) for value in values)
        shape = as_image(shape_of(result))
        output = self._define(result, None)
        layer = MoveLayer(op.location, sources, output, shape, dimensions=dimensions, boxes=tuple(boxes))
        self._layers.append(layer)

    def _append_copies(self, outputs: list[Tensor], inputs: list[Tensor]) -> None:
        """Copy what is an output twice, or is one without being computed, to the outputs that lack it."""
        for tensor in dict.fromkeys(outputs):
            for index in tensor.outputs[1 if tensor.is_result else 0 :]:
                width = tensor.element_bytes
                shape = as_image((tensor.size // width,))
                producer = next((i for i, layer in enumerate(self._layers) if layer.output is tensor), None)
                position = len(self._layers) if producer is None else producer + 1
                location = self._layers[producer].location if producer is not None else _location(tensor)
                target = Tensor(tensor.size, outputs=[index], element_bytes=width)
                self._layers.insert(position, CopyLayer(location, (Source(tensor, shape),), target, shape))

    def _source(self, value: SSAValue, shape: Shape) -> Source:
        return Source(self._tensors[value], shape)

    def _read(self, op: Operation) -> list[Layer]:
        floats = FLOAT_READERS.items() if is_bfloat16(op.results[0]) else ()
        for kind, read in (*floats, *_READERS.items()):
            if isinstance(op, kind):
                found = read(op, self._source, partial(self._define, op.results[0], None))
                return found if isinstance(found, list) else [found]
        raise UserError(
            f"the accelerator has no layer for {describe(op)}", hint="run assign-devices and outline-regions before"
        )


Reader = Callable[[Any, Callable[[SSAValue, Shape], Source], Callable[[], Tensor]], Layer | list[Layer]]


def _location(tensor: Tensor) -> Any:
    assert tensor.origin is not None
    owner = tensor.origin.owner
    return owner.location if isinstance(owner, Operation) else tensor.origin.location  # type: ignore[union-attr]


def set_lifetimes(network: Network) -> None:
    """Find for each tensor the layers from the first to the last that needs it, and how many read it."""
    for tensor in network.tensors:
        tensor.uses = 0
    for tensor in network.inputs:
        tensor.first = len(network.layers)
    for index, layer in enumerate(network.layers):
        layer.output.first = layer.output.last = index
        for tensor in dict.fromkeys(source.tensor for source in layer.sources):
            tensor.first = index if tensor.uses == 0 and not tensor.is_result else tensor.first
            tensor.last = index
            tensor.uses += 1


def _has_four_bits(weight: SSAValue) -> bool:
    """Whether weights are stored in 4 bits."""
    kind = nn.tensor_of(weight).get_element_type()
    if is_bfloat16(weight):
        return False
    assert isinstance(kind, UniformQuantizedType | UniformQuantizedPerAxisType)
    return kind.storage_type == IntegerType(4)


def _conv2d(op: nn.Conv2dOp, source: Callable[..., Source], output: Callable[[], Tensor]) -> Layer:
    weight = constant_of(op.weight)
    groups = op.groups.value.data
    window = window_of(weight.shape[1:3], op, tuple(op.dilations.get_values()))
    shared: dict[str, Any] = {
        "location": op.location,
        "sources": (source(op.input, as_image(shape_of(op.input))),),
        "output": output(),
        "shape": as_image(shape_of(op.result)),
        "window": window,
        "parameters": linear_parameters(op, weight),
        "input_zero_point": zero_point_of(op.input),
        "zero_point": zero_point_of(op.result),
        "bounds": bounds_of(op.result, op.clamp),
    }
    if op.is_depthwise:
        return DepthwiseLayer(**shared, weight=weight)
    layer = MatrixLayer(**shared, weight=weight, groups=groups, packs_weights=_has_four_bits(op.weight))
    return _along_rows(layer) if _is_narrow(layer) else layer


_FEW_CHANNELS = 16
"""Channels that leave lanes of the array idle, unless it reads several columns at once."""


def _is_narrow(layer: MatrixLayer) -> bool:
    """Whether an image of few channels has one column, so that its kernel cannot fill the array as it stands."""
    (source,) = layer.sources
    narrow = source.shape[2] == layer.shape[2] == layer.window.x.kernel == 1
    return narrow and layer.window.x.before == 0 and source.shape[3] <= _FEW_CHANNELS and layer.window.y.kernel > 1


def _along_rows(layer: MatrixLayer) -> MatrixLayer:
    """The same layer with its column as a row: elements lie in memory as before."""

    def turned(shape: Shape) -> Shape:
        return shape[0], shape[2], shape[1], shape[3]

    return replace(
        layer,
        sources=tuple(Source(source.tensor, turned(source.shape)) for source in layer.sources),
        shape=turned(layer.shape),
        window=Window(replace(layer.window.x, stride=1), layer.window.y),
        weight=np.swapaxes(layer.weight, 1, 2),
    )


def _dense(op: nn.DenseOp, source: Callable[..., Source], output: Callable[[], Tensor]) -> Layer:
    weight = constant_of(op.weight)
    return MatrixLayer(
        op.location,
        (source(op.input, as_image(shape_of(op.input))),),
        output(),
        as_image(shape_of(op.result)),
        weight=weight[:, None, None, :],
        parameters=linear_parameters(op, weight),
        input_zero_point=zero_point_of(op.input),
        zero_point=zero_point_of(op.result),
        bounds=bounds_of(op.result, op.clamp),
        groups=1,
        packs_weights=_has_four_bits(op.weight),
    )


def _max_pool(op: nn.MaxPool2dOp, source: Callable[..., Source], output: Callable[[], Tensor]) -> Layer:
    window = window_of(tuple(op.kernel.get_values()), op, op.dilation())
    return MaxPoolLayer(
        op.location,
        (source(op.input, as_image(shape_of(op.input))),),
        output(),
        as_image(shape_of(op.result)),
        window=window,
    )


def _average_pool(op: nn.AvgPool2dOp, source: Callable[..., Source], output: Callable[[], Tensor]) -> Layer:
    kind, result = quantization_of(op.input), quantization_of(op.result)
    kernel = tuple(op.kernel.get_values())
    multiplier, shift = average_multiplier(math.prod(kernel), kind.scale, result.scale)
    return AveragePoolLayer(
        op.location,
        (source(op.input, as_image(shape_of(op.input))),),
        output(),
        as_image(shape_of(op.result)),
        window=window_of(kernel, op, (1, 1)),
        scale=Scale(multiplier, shift, result.zero_point),
        input_zero_point=kind.zero_point,
        bounds=bounds_of(op.result, op.clamp),
    )


def _clip(op: nn.ReluOp | nn.ClipOp, source: Callable[..., Source], output: Callable[[], Tensor]) -> Layer:
    kind, result = quantization_of(op.input), quantization_of(op.result)
    shape = as_image(shape_of(op.input))
    clamp = op.clamp if isinstance(op, nn.ClipOp) else nn.ClampAttr.of(0.0, math.inf)
    return ConvertLayer(
        op.location,
        (source(op.input, shape),),
        output(),
        shape,
        scale=scale_of(kind.scale / result.scale, result.zero_point),
        input_zero_point=kind.zero_point,
        bounds=bounds_of(op.result, clamp),
    )


def _table(op: nn.ActivationOp, source: Callable[..., Source], output: Callable[[], Tensor]) -> Layer:
    kind, result = quantization_of(op.input), quantization_of(op.result)
    shape, function = as_image(shape_of(op.input)), table_function(op)
    width = element_bytes_of(op.result)
    if element_bytes_of(op.input) > 1 and isinstance(op, nn.LogOp):
        return LogarithmLayer(
            op.location,
            (source(op.input, shape),),
            output(),
            shape,
            scale=scale_of(2.0**-LOGARITHM_BITS / result.scale, result.zero_point),
            input_zero_point=kind.zero_point,
            bounds=bounds_of(op.result, None),
            offset=logarithm_offset(kind.scale),
        )
    if element_bytes_of(op.input) > 1:
        unit = table_int16_scale(result.scale, 8 * width)
        table = table_int16(function, kind.scale, unit)
        # Interpolation leaves seven fraction bits.
        scale = scale_of(unit / result.scale / 128, result.zero_point)
        bounds = bounds_of(op.result, None)
        sources = (source(op.input, shape),)
        return InterpolatedLayer(op.location, sources, output(), shape, table=table, scale=scale, bounds=bounds)
    table = table_int8(
        function,
        kind.scale,
        kind.zero_point,
        result.scale,
        result.zero_point,
        result.storage_min,
        result.storage_max,
        dtype=np.dtype(f"i{width}"),
    )
    return TableLayer(op.location, (source(op.input, shape),), output(), shape, table=table)


def _requantize(op: RequantizeOp, source: Callable[..., Source], output: Callable[[], Tensor]) -> Layer:
    kind, result = quantization_of(op.input), quantization_of(op.result)
    shape = as_image(shape_of(op.input))
    return ConvertLayer(
        op.location,
        (source(op.input, shape),),
        output(),
        shape,
        scale=scale_of(kind.scale / result.scale, result.zero_point),
        input_zero_point=kind.zero_point,
        bounds=bounds_of(op.result, None),
    )


_READERS: dict[type[Operation], Reader] = {
    nn.Conv2dOp: _conv2d,
    nn.DenseOp: _dense,
    nn.MaxPool2dOp: _max_pool,
    nn.AvgPool2dOp: _average_pool,
    nn.AddOp: read_combination,
    nn.SubOp: read_combination,
    nn.MulOp: read_product,
    nn.DivOp: read_product,
    nn.ReluOp: _clip,
    nn.ClipOp: _clip,
    RequantizeOp: _requantize,
    nn.MinimumOp: read_extreme_operand,
    nn.MaximumOp: read_extreme_operand,
    nn.ConvTranspose2dOp: read_conv_transpose,
    nn.MatmulOp: read_matmul,
    nn.ResizeOp: read_resize,
    nn.SoftmaxOp: read_softmax,
    nn.AxisNormOp: read_norm,
    nn.ReduceSumOp: read_sum,
    nn.ReduceMeanOp: read_sum,
    nn.ReduceL2Op: read_root,
    nn.ReduceMaxOp: read_extreme,
    nn.ReduceMinOp: read_extreme,
    **dict.fromkeys(nn.TABLE_OPS, _table),
}
