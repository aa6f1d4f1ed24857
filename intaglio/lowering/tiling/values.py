"""What the readers of operations ask of values: shapes, quantization, constants, and scales as integers."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import IntegerType, TensorType, bf16
from xdsl.ir import Attribute, Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.npu import Bounds, Scale
from intaglio.dialects.quant import UniformQuantizedPerAxisType, UniformQuantizedType
from intaglio.dialects.weights import array_of
from intaglio.errors import UserError
from intaglio.ir.locations import describe
from intaglio.lowering.tiling.geometry import Axis, Window
from intaglio.lowering.tiling.layers import Array, Parameters
from intaglio.numerics.bfloat16 import ordinal
from intaglio.numerics.clamp import clamp_bounds
from intaglio.numerics.rescaling import rescaling


def shape_of(value: SSAValue) -> tuple[int, ...]:
    """The shape of a tensor."""
    return tuple(cast("TensorType[Attribute]", value.type).get_shape())


def is_bfloat16(value: SSAValue) -> bool:
    """Whether the elements of a tensor are bfloat16."""
    return cast("TensorType[Attribute]", value.type).get_element_type() == bf16


def quantization_of(value: SSAValue) -> UniformQuantizedType:
    """The parameters of an activation.

    Raises:
        UserError: its elements are not quantized per tensor; the compiler forms no such region, text may.
    """
    kind = cast("TensorType[Attribute]", value.type).get_element_type()
    if not isinstance(kind, UniformQuantizedType):
        raise UserError(
            f"a region of the accelerator holds {value.type}; it computes on tensors quantized per tensor",
            where=describe(value.owner) if isinstance(value.owner, Operation) else None,
            hint="quantize the function, or leave what computes the value to the host",
        )
    return kind


def element_bytes_of(value: SSAValue) -> int:
    """Bytes that an element of an activation is stored in."""
    if is_bfloat16(value):
        return 2
    storage = quantization_of(value).storage_type
    assert isinstance(storage, IntegerType)
    return storage.width.data // 8


def zero_point_of(value: SSAValue) -> int:
    """What stands for the number 0 in an activation."""
    return 0 if is_bfloat16(value) else quantization_of(value).zero_point


def bounds_of(value: SSAValue, clamp: nn.ClampAttr | None) -> Bounds:
    """Smallest and largest stored value of a result, given the fused activation; ordinals of bfloat16."""
    if is_bfloat16(value):
        return Bounds(*(ordinal(bound) for bound in (clamp.bounds if clamp is not None else (-math.inf, math.inf))))
    kind = quantization_of(value)
    low, high = clamp.bounds if clamp is not None else (None, None)
    return Bounds(*clamp_bounds(low, high, kind.scale, kind.zero_point, kind.storage_min, kind.storage_max))


def weight_scales(value: SSAValue) -> Array:
    """The scale of each output channel, or one of all."""
    kind = cast("TensorType[Attribute]", value.type).get_element_type()
    assert isinstance(kind, UniformQuantizedType | UniformQuantizedPerAxisType)
    return np.atleast_1d(kind.scales)


def constant_of(value: SSAValue) -> Array:
    """The stored elements of a constant."""
    op = value.owner
    assert isinstance(op, nn.ConstantOp)
    return array_of(op.value)


def scale_of(real: float, zero_point: int, *, wide: bool = False) -> Scale:
    """A factor as multiplier and shift, for values of 48 bits where `wide`."""
    multiplier, shift = rescaling(wide=wide).multiplier(real)
    return Scale(int(multiplier), int(shift), zero_point)


def linear_parameters(
    op: nn.Conv2dOp | nn.ConvTranspose2dOp | nn.DenseOp, weight: Array, copies: int = 1
) -> Parameters:
    """Per-channel parameters with the input's zero point folded into the bias: `b - z_x * sum(w)`, modulo 2**32.

    Those of bfloat16 are biases.

    Args:
        op: the operation.
        weight: its weights, output channels first.
        copies: how often the operation's output channels occur in them, one after another.
    """
    if is_bfloat16(op.result):
        none = np.empty(0, np.int32)
        each = weight.shape[0] // copies
        bias = constant_of(op.bias).astype(np.float32) if op.bias is not None else np.zeros(each, np.float32)
        return Parameters(np.tile(bias, copies), none, none)
    kind, result, channels = quantization_of(op.input), quantization_of(op.result), weight.shape[0]
    is_wide = element_bytes_of(op.input) > 1
    ratio = kind.scale * weight_scales(op.weight) / result.scale
    multiplier, shift = rescaling(wide=is_wide).multiplier(ratio)
    each = channels // copies
    bias = constant_of(op.bias).astype(np.int64) if op.bias is not None else np.zeros(each, np.int64)
    folded = np.tile(bias, copies) - kind.zero_point * weight.reshape(channels, -1).sum(axis=1, dtype=np.int64)
    return Parameters(
        folded if is_wide else folded.astype(np.int32),
        np.tile(np.broadcast_to(multiplier, each), copies).astype(np.int32),
        np.tile(np.broadcast_to(shift, each), copies).astype(np.int32),
    )


def window_of(kernel: tuple[int, ...], op: Any, dilations: tuple[int, ...]) -> Window:
    """The window of an operation with strides and pads, as it is tiled."""
    positions = shape_of(op.result)[1:3]
    # A stride between windows of which there is one, or a distance between taps of which there is one, may be larger
    # than an address generator's step.
    strides = [stride if positions[k] > 1 else 1 for k, stride in enumerate(op.strides.get_values())]
    steps = [step if kernel[k] > 1 else 1 for k, step in enumerate(dilations)]
    y, x = (Axis(kernel[k], strides[k], steps[k], op.pads.get_values()[k]) for k in range(2))
    return Window(y, x)
