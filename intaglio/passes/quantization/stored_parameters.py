"""Weights and biases of models that are quantized already, in the form that quantized layers take.

A weight is symmetric there: its zero point is subtracted from the stored values at compile time. If they do not fit
8 bits then, they are stored in 16, which the host computes with. A bias has 32 bits and the scale of the products.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import AnyFloat, IntegerType, TensorType
from xdsl.ir import SSAValue

from intaglio.dialects import nn
from intaglio.dialects.nn import tensor_of
from intaglio.dialects.quant import (
    DequantizeCastOp,
    UniformQuantizedPerAxisType,
    UniformQuantizedType,
    UniformType,
    element_type_of,
    storage_dtype,
    uniform,
    uniform_per_axis,
)
from intaglio.dialects.weights import array_of
from intaglio.ir.locations import name_of
from intaglio.numerics.float_ratios import ratios_as_in_float32
from intaglio.passes.graph.matching import constant_of, new_constant

LARGEST_RATIO = 2.0**20
"""Steps of a result that one step of its operation's accumulator may be, as in `quantize`."""

LARGEST_SUM = (1 << 31) - 1
_SCALE_TOLERANCE = 1e-6


@dataclass(frozen=True)
class StoredConstant:
    """A constant to be: stored values, their type, and the constant whose place it takes."""

    values: npt.NDArray[np.generic]
    kind: UniformType
    original: nn.ConstantOp

    def constant(self) -> nn.ConstantOp:
        """The constant."""
        key = name_of(self.original) or "constant"
        made = new_constant(key, self.values, self.kind.storage_type, self.original)
        constant = nn.ConstantOp(made.value, TensorType(self.kind, self.values.shape))
        constant.location = self.original.location
        constant.result.name_hint = self.original.result.name_hint
        return constant


def dequantized(value: SSAValue | None) -> SSAValue | None:
    """The quantized tensor that a value is the cast of, None when it is none."""
    owner = value.owner if value is not None else None
    return owner.input if isinstance(owner, DequantizeCastOp) else None


def symmetric_weight(
    value: SSAValue, source: UniformQuantizedType, result: UniformQuantizedType
) -> StoredConstant | None:
    """A layer's weight with zero points 0, from the cast of a constant that the layer has.

    Its scales are those of the model to seven digits: they are what makes the ratio by which sums are scaled,
    `s_x * s_w / s_y`, round as that of kernels that scale in float32 (see `numerics.float_ratios`).

    Args:
        value: output channels first.
        source: the type of the layer's input.
        result: the type of its result.

    Returns:
        None when it is no cast of a constant, or has scales other than one, or one for each output channel, or a
        step of a sum would be too many of the result.
    """
    stored = dequantized(value)
    constant = constant_of(stored)
    kind = element_type_of(stored.type) if stored is not None else None
    if constant is None or not isinstance(kind, UniformQuantizedType | UniformQuantizedPerAxisType):
        return None
    if (isinstance(kind, UniformQuantizedPerAxisType) and kind.axis != 0) or storage_dtype(kind).itemsize != 1:
        return None
    values = array_of(constant.value)
    _, zero_points = kind.broadcast_parameters(values.shape)
    centered = values.astype(np.int64) - zero_points
    bits = 8 if centered.size == 0 or (centered.min() >= -128 and centered.max() <= 127) else 16
    ratios = np.float32(source.scale) * kind.scales.astype(np.float32) / np.float32(result.scale)
    if not bool(np.all((ratios > 0) & (ratios <= LARGEST_RATIO))):
        return None
    exact = ratios.astype(np.float64)
    if storage_dtype(result).itemsize == 1:
        exact = ratios_as_in_float32(ratios, result.zero_point, result.storage_min, result.storage_max)
    scales = exact * result.scale / source.scale
    made = uniform(bits, float(scales)) if isinstance(kind, UniformQuantizedType) else uniform_per_axis(bits, 0, scales)
    return StoredConstant(centered.astype(storage_dtype(made)), made, constant)


def stored_bias(value: SSAValue, source: UniformQuantizedType, weight: StoredConstant) -> StoredConstant | None:
    """A layer's bias as integers of the scale of its products, from a float constant or the cast of one.

    Args:
        value: one element for each output channel.
        source: the type of the layer's input.
        weight: of the layer.

    Returns:
        None when it is not constant, or the sums could take more than 32 bits.
    """
    scales = source.scale * weight.kind.scales
    stored = dequantized(value)
    constant = constant_of(value if stored is None else stored)
    if constant is None:
        return None
    values = _bias_values(constant, scales)
    magnitudes = np.abs(weight.values.astype(np.int64)).reshape(len(weight.values), -1).sum(axis=1)
    reach = max(source.storage_max - source.zero_point, source.zero_point - source.storage_min)
    if not bool(np.all(np.abs(values) + magnitudes * reach <= LARGEST_SUM)):
        return None
    kind = (
        uniform(32, float(scales))
        if isinstance(weight.kind, UniformQuantizedType)
        else uniform_per_axis(32, 0, np.broadcast_to(scales, values.shape))
    )
    return StoredConstant(values.astype(np.int32), kind, constant)


def _bias_values(constant: nn.ConstantOp, scales: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The values of a bias in units of `scales`, rounded; those stored in such units stay as they are."""
    array = array_of(constant.value)
    kind = tensor_of(constant.result).get_element_type()
    if isinstance(kind, AnyFloat):
        return np.rint(array.astype(np.float64) / scales)
    assert isinstance(kind, UniformType)
    own, zero_points = kind.broadcast_parameters(array.shape)
    centered = array.astype(np.float64) - zero_points
    if isinstance(kind.storage_type, IntegerType) and np.allclose(own, scales, rtol=_SCALE_TOLERANCE, atol=0):
        return centered
    return np.rint(centered * (own / scales))
