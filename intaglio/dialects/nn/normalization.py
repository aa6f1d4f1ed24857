"""Softmax and normalizations of the `nn` dialect."""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Sequence

from xdsl.dialects.builtin import FloatAttr, IntegerAttr, IntegerType, TensorType, f64, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure

from intaglio.dialects.nn.types import (
    all_float_or_all_quantized,
    element,
    is_float,
    per_tensor,
    require,
    storage_bits,
    tensor_of,
)
from intaglio.numerics.normalization import normalized_fraction_bits

__all__ = [
    "AxisNormOp",
    "BatchNormOp",
    "LayerNormOp",
    "LocalResponseNormOp",
    "RmsNormOp",
    "SoftmaxOp",
]


@irdl_op_definition
class SoftmaxOp(IRDLOperation):
    """`exp(x - max) / sum(exp(x - max))` along `axis`.

    Quantized: exponentials from tables, their exact sum and its reciprocal in integers, as specified in
    `intaglio.numerics.softmax`, then `requantize` with `2^-30 / s_y`.

    Constraints:
        C1: `axis` is a dimension of the input.
        C2: input and result have one shape, and one float element type or are both quantized per tensor.

    Example:
    ```mlir
    func.func @main(%x: tensor<1x10xf32>) -> tensor<1x10xf32> {
      %y = nn.softmax %x axis 1 : (tensor<1x10xf32>) -> tensor<1x10xf32>
      func.return %y : tensor<1x10xf32>
    }
    ```
    """

    name = "nn.softmax"
    input = operand_def(TensorType)
    axis = prop_def(IntegerAttr.constr(i64))
    result = result_def(TensorType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$input `axis` $axis attr-dict `:` functional-type(operands, results)"

    def __init__(self, source: SSAValue, axis: int, result_type: Attribute):
        super().__init__(operands=[source], properties={"axis": IntegerAttr(axis, i64)}, result_types=[result_type])

    def verify_(self) -> None:
        """Check the numbered constraints."""
        rank = len(tensor_of(self.input).get_shape())
        # C1
        require(0 <= self.axis.value.data < rank, f"axis must be 0 to {rank - 1}, got {self.axis.value.data}")
        # C2
        require(
            tensor_of(self.input).get_shape() == tensor_of(self.result).get_shape()
            and all_float_or_all_quantized(self.input, self.result),
            "input and result must have one shape, and one float type or be quantized per tensor",
        )


@irdl_op_definition
class BatchNormOp(IRDLOperation):
    """Inference batch normalization over the last dimension, in floats.

    `result = (input - mean) / sqrt(variance + epsilon) * scale + offset`; the four parameters have one element per
    channel.

    Constraints:
        C1: input and result have one shape, of rank 1 or more, and one float element type.
        C2: the four parameters are of shape `[C]` and of the input's element type.

    Example:
    ```mlir
    func.func @main(%x: tensor<1x4x4x3xf32>, %p: tensor<3xf32>) -> tensor<1x4x4x3xf32> {
      %y = nn.batch_norm %x scale %p offset %p mean %p variance %p epsilon 1.0e-05 : f64 : (tensor<1x4x4x3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<1x4x4x3xf32>
      func.return %y : tensor<1x4x4x3xf32>
    }
    ```
    """

    name = "nn.batch_norm"
    input = operand_def(TensorType)
    scale = operand_def(TensorType)
    offset = operand_def(TensorType)
    mean = operand_def(TensorType)
    variance = operand_def(TensorType)
    epsilon = prop_def(FloatAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = (
        "$input `scale` $scale `offset` $offset `mean` $mean `variance` $variance `epsilon` $epsilon attr-dict "
        "`:` functional-type(operands, results)"
    )

    def __init__(
        self,
        source: SSAValue,
        scale: SSAValue,
        offset: SSAValue,
        mean: SSAValue,
        variance: SSAValue,
        epsilon: float,
    ):
        super().__init__(
            operands=[source, scale, offset, mean, variance],
            properties={"epsilon": FloatAttr(epsilon, f64)},
            result_types=[source.type],
        )

    def verify_(self) -> None:
        """Check the numbered constraints."""
        shape = tensor_of(self.input).get_shape()
        # C1
        require(
            self.input.type == self.result.type and is_float(self.input) and len(shape) >= 1,
            "input and result must have one shape of rank 1 or more and one float type",
        )
        # C2
        expected = TensorType(element(self.input), shape[-1:])
        for parameter in (self.scale, self.offset, self.mean, self.variance):
            require(parameter.type == expected, f"parameters must be {expected}, got {parameter.type}")


class AxisNormOp(IRDLOperation, ABC):
    """Base of the normalizations along one dimension; operands after the input are its parameters.

    Quantized: the integers of `intaglio.numerics.normalization`, which need no more of the input's scale than it takes
    to bring `epsilon` to its unit; then `requantize` with `s_scale * 2^-f / s_y`, `f` being the bits after the point
    of a normalized element.
    """

    axis = prop_def(IntegerAttr.constr(i64))
    epsilon = prop_def(FloatAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)

    def verify_(self) -> None:
        """Check the numbered constraints."""
        source, *parameters = self.operands
        shape, axis = tensor_of(source).get_shape(), self.axis.value.data
        # C1
        require(0 <= axis < len(shape), f"axis must be 0 to {len(shape) - 1}, got {axis}")
        # C2
        require(
            shape == tensor_of(self.result).get_shape() and all_float_or_all_quantized(source, self.result),
            "input and result must have one shape, and one float type or be quantized per tensor",
        )
        # C3
        if is_float(source):
            expected = TensorType(element(source), [shape[axis]])
            for parameter in parameters:
                require(parameter.type == expected, f"parameters must be {expected}, got {parameter.type}")
            return
        self._verify_stored(parameters, shape[axis])

    def _verify_stored(self, parameters: Sequence[SSAValue], count: int) -> None:
        """Check C3 of a quantized normalization: parameters in the units in which its integers add up."""
        bits = storage_bits(self.result)
        widths = (16, 32 if bits == 8 else 48)
        scales: list[float] = []
        for parameter, width in zip(parameters, widths, strict=False):
            kind = per_tensor(parameter)
            require(
                kind is not None
                and kind.zero_point == 0
                and kind.storage_type == IntegerType(width)
                and tensor_of(parameter).get_shape() == (count,),
                f"parameters must be {count} symmetric integers of {width} bits, got {parameter.type}",
            )
            assert kind is not None
            scales.append(kind.scale)
        expected = scales[0] * 2.0 ** -normalized_fraction_bits(count, bits)
        require(
            len(scales) == 1 or math.isclose(scales[1], expected, rel_tol=1e-6),
            f"the offset's scale must be that of the scale times 2^-f, {expected}, got {scales[-1]}",
        )


@irdl_op_definition
class LayerNormOp(AxisNormOp):
    """Normalization to mean 0 and variance 1 along `axis`, then a scale and an offset per element of it.

    `result = (input - mean) / sqrt(variance + epsilon) * scale + offset`, the variance being the mean of the squared
    distances from the mean (ONNX LayerNormalization over one dimension).

    Constraints:
        C1: `axis` is a dimension of the input.
        C2: input and result have one shape, and one float element type or are both quantized per tensor.
        C3: scale and offset are of shape `[C]`, the extent of `axis`, and of the input's element type; quantized, they
            are symmetric, the scale of 16 bits, the offset of 32 (48 for 16-bit results) in units of `s_scale * 2^-f`.

    Example:
    ```mlir
    func.func @main(%x: tensor<1x4x8xf32>, %p: tensor<8xf32>) -> tensor<1x4x8xf32> {
      %y = nn.layer_norm %x scale %p offset %p axis 2 epsilon 1.0e-05 : f64 : (tensor<1x4x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<1x4x8xf32>
      func.return %y : tensor<1x4x8xf32>
    }
    ```
    """

    name = "nn.layer_norm"
    input = operand_def(TensorType)
    scale = operand_def(TensorType)
    offset = operand_def(TensorType)
    assembly_format = (
        "$input `scale` $scale `offset` $offset `axis` $axis `epsilon` $epsilon attr-dict "
        "`:` functional-type(operands, results)"
    )

    def __init__(self, source: SSAValue, scale: SSAValue, offset: SSAValue, axis: int, epsilon: float):
        super().__init__(
            operands=[source, scale, offset],
            properties={"axis": IntegerAttr(axis, i64), "epsilon": FloatAttr(epsilon, f64)},
            result_types=[source.type],
        )


@irdl_op_definition
class RmsNormOp(AxisNormOp):
    """Division by the root of the mean square along `axis`, then a scale per element of it.

    `result = input / sqrt(mean(input ** 2) + epsilon) * scale` (ONNX RMSNormalization over one dimension).

    Constraints:
        C1: `axis` is a dimension of the input.
        C2: input and result have one shape, and one float element type or are both quantized per tensor.
        C3: the scale is of shape `[C]`, the extent of `axis`, and of the input's element type; quantized, it is
            symmetric of 16 bits.

    Example:
    ```mlir
    func.func @main(%x: tensor<1x4x8xf32>, %p: tensor<8xf32>) -> tensor<1x4x8xf32> {
      %y = nn.rms_norm %x scale %p axis 2 epsilon 1.0e-05 : f64 : (tensor<1x4x8xf32>, tensor<8xf32>) -> tensor<1x4x8xf32>
      func.return %y : tensor<1x4x8xf32>
    }
    ```
    """

    name = "nn.rms_norm"
    input = operand_def(TensorType)
    scale = operand_def(TensorType)
    assembly_format = (
        "$input `scale` $scale `axis` $axis `epsilon` $epsilon attr-dict `:` functional-type(operands, results)"
    )

    def __init__(self, source: SSAValue, scale: SSAValue, axis: int, epsilon: float):
        super().__init__(
            operands=[source, scale],
            properties={"axis": IntegerAttr(axis, i64), "epsilon": FloatAttr(epsilon, f64)},
            result_types=[source.type],
        )


@irdl_op_definition
class LocalResponseNormOp(IRDLOperation):
    """Division by a power of the squares of neighbouring channels, in floats (ONNX LRN, channels last).

    `result = input / (bias + alpha / size * sum(input ** 2)) ** beta`, the sum going over the `size` channels around
    each, from `(size - 1) // 2` below to `size // 2` above, as far as they exist.

    Constraints:
        C1: input and result have one shape, of rank 1 or more, and one float element type.
        C2: `size` is at least 1.

    Example:
    ```mlir
    func.func @main(%x: tensor<1x4x4x8xf32>) -> tensor<1x4x4x8xf32> {
      %y = nn.local_response_norm %x size 5 alpha 1.0e-04 : f64 beta 7.5e-01 : f64 bias 1.0 : f64 : (tensor<1x4x4x8xf32>) -> tensor<1x4x4x8xf32>
      func.return %y : tensor<1x4x4x8xf32>
    }
    ```
    """

    name = "nn.local_response_norm"
    input = operand_def(TensorType)
    size = prop_def(IntegerAttr.constr(i64))
    alpha = prop_def(FloatAttr)
    beta = prop_def(FloatAttr)
    bias = prop_def(FloatAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = (
        "$input `size` $size `alpha` $alpha `beta` $beta `bias` $bias attr-dict `:` functional-type(operands, results)"
    )

    def __init__(self, source: SSAValue, size: int, alpha: float, beta: float, bias: float):
        super().__init__(
            operands=[source],
            properties={
                "size": IntegerAttr(size, i64),
                "alpha": FloatAttr(alpha, f64),
                "beta": FloatAttr(beta, f64),
                "bias": FloatAttr(bias, f64),
            },
            result_types=[source.type],
        )

    def verify_(self) -> None:
        """Check the numbered constraints."""
        # C1
        require(
            self.input.type == self.result.type
            and is_float(self.input)
            and len(tensor_of(self.input).get_shape()) >= 1,
            "input and result must have one shape of rank 1 or more and one float type",
        )
        # C2
        require(self.size.value.data >= 1, f"size must be at least 1, got {self.size.value.data}")
