"""Softmax and batch normalization of the `nn` dialect."""

from __future__ import annotations

from xdsl.dialects.builtin import FloatAttr, IntegerAttr, TensorType, f64, i64
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

from intaglio.dialects.nn.types import element, is_float, require, tensor_of


@irdl_op_definition
class SoftmaxOp(IRDLOperation):
    """`exp(x - max) / sum(exp(x - max))` along `axis`, in floats.

    Constraints:
        C1: `axis` is a dimension of the input.
        C2: input and result have one shape and one float element type.

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
            self.input.type == self.result.type and is_float(self.input),
            "input and result must have one shape and one float type",
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
