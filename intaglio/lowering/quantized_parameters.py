"""Scales and zero points as an ONNX model gives them, and the quantized types that they make."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, IntegerType, TensorType, f32
from xdsl.ir import Attribute, SSAValue
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.hints import isa

from intaglio.dialects import nn
from intaglio.dialects.onnx import InitializerOp, OnnxOp
from intaglio.dialects.quant import (
    UniformQuantizedPerAxisType,
    UniformQuantizedSubChannelType,
    UniformQuantizedType,
    UniformType,
    check_container,
)
from intaglio.dialects.weights import Array, Constant, WeightsAttr, array_of
from intaglio.lowering.onnx_node import normal_axis


def constant_attribute(value: SSAValue | None) -> Constant | None:
    """The value of a constant in any form that a model has it in, None for anything else."""
    owner = value.owner if value is not None else None
    attribute: Attribute | None = None
    if isinstance(owner, InitializerOp | nn.ConstantOp):
        attribute = owner.value
    elif isinstance(owner, OnnxOp) and owner.op_type == "Constant" and not owner.domain:
        attribute = owner.node_attributes().get("value")
    return attribute if isinstance(attribute, WeightsAttr) or isa(attribute, DenseIntOrFPElementsAttr) else None


def known_value(value: SSAValue | None) -> Array | None:
    """As `constant_attribute`, as an array."""
    attribute = constant_attribute(value)
    return None if attribute is None else array_of(attribute)


def quantized_type(
    storage: Attribute | None,
    expressed: Attribute | None,
    scales: Array,
    zero_points: Array | None,
    shape: Sequence[int],
    axis: int,
) -> UniformType | None:
    """The quantized type of a tensor with the given parameters.

    Args:
        storage: the element type of the stored values.
        expressed: the element type of the real ones.
        scales: one, one for each index of `axis`, or one for each block, then of the rank of the tensor.
        zero_points: as many as scales, or None when all are 0.
        shape: of the tensor.
        axis: may count from the back.

    Returns:
        None when storage is no integer, real values are not float32, or these are no parameters of a quantized
        type: a scale of zero, blocks that do not divide a dimension.
    """
    if not isa(storage, IntegerType) or expressed != f32:
        return None
    zeros = _zero_points(scales, zero_points)
    if zeros.size != scales.size:
        return None
    try:
        kind = _type_of(storage, scales.astype(np.float64), zeros.reshape(scales.shape), shape, axis)
        if kind is not None:
            kind.verify()
            check_container(kind, TensorType(kind, shape))
    except VerifyException:
        return None
    return kind


def _zero_points(scales: Array, zero_points: Array | None) -> npt.NDArray[np.int64]:
    zeros: npt.NDArray[np.int64] = np.zeros(tuple(map(int, scales.shape)), np.int64)
    return zeros if zero_points is None else zero_points.astype(np.int64)


def _type_of(
    storage: IntegerType,
    scales: npt.NDArray[np.float64],
    zeros: npt.NDArray[np.int64],
    shape: Sequence[int],
    axis: int,
) -> UniformType | None:
    if scales.size == 1:
        return UniformQuantizedType(storage, f32, float(scales.item()), int(zeros.item()))
    if scales.ndim == 1:
        return UniformQuantizedPerAxisType(storage, f32, normal_axis(axis, len(shape)), scales, zeros)
    if scales.ndim != len(shape):
        return None
    longest = int(np.argmax(scales.shape))
    if scales.shape[longest] == scales.size == shape[longest]:
        return UniformQuantizedPerAxisType(storage, f32, longest, scales.reshape(-1), zeros.reshape(-1))
    if any(size % count for size, count in zip(shape, scales.shape, strict=True)):
        return None
    blocks = {index: size // count for index, (size, count) in enumerate(zip(shape, scales.shape, strict=True))}
    return UniformQuantizedSubChannelType(storage, f32, blocks, scales, zeros)
