"""Operations of the `nn` dialect that only move elements."""

from __future__ import annotations

import math
from collections.abc import Sequence

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
    var_operand_def,
)
from xdsl.traits import Pure

from intaglio.dialects.nn.types import I64Array, ints, require, tensor_of, verify_pure_movement

__all__ = [
    "ConcatOp",
    "PadOp",
    "ReshapeOp",
    "TransposeOp",
]


@irdl_op_definition
class ReshapeOp(IRDLOperation):
    """The same elements, in row-major order, under another shape.

    Constraints:
        C1: input and result have as many elements.
        C2: input and result have one element type, not quantized per axis or block.

    Example:
    ```mlir
    func.func @main(%x: tensor<1x1x1x64xf32>) -> tensor<1x64xf32> {
      %y = nn.reshape %x : (tensor<1x1x1x64xf32>) -> tensor<1x64xf32>
      func.return %y : tensor<1x64xf32>
    }
    ```
    """

    name = "nn.reshape"
    input = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$input attr-dict `:` functional-type(operands, results)"

    def __init__(self, source: SSAValue, result_type: Attribute):
        super().__init__(operands=[source], result_types=[result_type])

    def verify_(self) -> None:
        """Check the numbered constraints."""
        source, result = tensor_of(self.input).get_shape(), tensor_of(self.result).get_shape()
        # C1
        require(math.prod(source) == math.prod(result), f"cannot reshape {list(source)} to {list(result)}")
        # C2
        verify_pure_movement(self.result, self.input)


@irdl_op_definition
class TransposeOp(IRDLOperation):
    """Dimensions in another order: dimension `k` of the result is dimension `permutation[k]` of the input.

    Constraints:
        C1: `permutation` holds each dimension once.
        C2: the result's shape follows.
        C3: input and result have one element type, not quantized per axis or block.

    Example:
    ```mlir
    func.func @main(%x: tensor<1x3x8x4xf32>) -> tensor<1x8x4x3xf32> {
      %y = nn.transpose %x permutation [0, 2, 3, 1] : (tensor<1x3x8x4xf32>) -> tensor<1x8x4x3xf32>
      func.return %y : tensor<1x8x4x3xf32>
    }
    ```
    """

    name = "nn.transpose"
    input = operand_def(TensorType)
    permutation = prop_def(I64Array)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$input `permutation` $permutation attr-dict `:` functional-type(operands, results)"

    def __init__(self, source: SSAValue, permutation: Sequence[int]):
        source_type = tensor_of(source)
        shape = source_type.get_shape()
        super().__init__(
            operands=[source],
            properties={"permutation": ints(permutation)},
            result_types=[TensorType(source_type.get_element_type(), [shape[k] for k in permutation])],
        )

    def verify_(self) -> None:
        """Check the numbered constraints."""
        source, result = tensor_of(self.input).get_shape(), tensor_of(self.result).get_shape()
        permutation = self.permutation.get_values()
        # C1
        require(
            sorted(permutation) == list(range(len(source))),
            f"permutation must hold 0 to {len(source) - 1} once each, got {list(permutation)}",
        )
        # C2
        expected = tuple(source[k] for k in permutation)
        require(result == expected, f"result must have shape {list(expected)}, got {list(result)}")
        # C3
        verify_pure_movement(self.result, self.input)


@irdl_op_definition
class ConcatOp(IRDLOperation):
    """The inputs one after another along `axis`.

    Constraints:
        C1: there is at least one input, all have one rank, and `axis` is one of its dimensions.
        C2: shapes agree but for `axis`, where they add up to the result's.
        C3: inputs and result have one element type, not quantized per axis or block.

    Example:
    ```mlir
    func.func @main(%a: tensor<1x8x8x3xf32>, %b: tensor<1x8x8x5xf32>) -> tensor<1x8x8x8xf32> {
      %y = nn.concat %a, %b axis 3 : (tensor<1x8x8x3xf32>, tensor<1x8x8x5xf32>) -> tensor<1x8x8x8xf32>
      func.return %y : tensor<1x8x8x8xf32>
    }
    ```
    """

    name = "nn.concat"
    inputs = var_operand_def(TensorType)
    axis = prop_def(IntegerAttr.constr(i64))
    result = result_def(TensorType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$inputs `axis` $axis attr-dict `:` functional-type(operands, results)"

    def __init__(self, inputs: Sequence[SSAValue], axis: int, result_type: Attribute):
        super().__init__(
            operands=[list(inputs)], properties={"axis": IntegerAttr(axis, i64)}, result_types=[result_type]
        )

    def verify_(self) -> None:
        """Check the numbered constraints."""
        shapes = [tensor_of(value).get_shape() for value in self.inputs]
        result = tensor_of(self.result).get_shape()
        axis = self.axis.value.data
        # C1
        require(
            bool(shapes) and 0 <= axis < len(result) and all(len(shape) == len(result) for shape in shapes),
            f"inputs must have the result's rank {len(result)}, and axis {axis} be one of its dimensions",
        )
        # C2
        expected = (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])
        require(
            result == expected
            and all(shape[:axis] == result[:axis] and shape[axis + 1 :] == result[axis + 1 :] for shape in shapes),
            f"inputs {[list(shape) for shape in shapes]} do not join to {list(result)} along axis {axis}",
        )
        # C3
        verify_pure_movement(self.result, *self.inputs)


@irdl_op_definition
class PadOp(IRDLOperation):
    """The input surrounded by a constant real value, `low` elements before and `high` after in each dimension.

    Quantized: the value is quantized with the tensor's parameters.

    Constraints:
        C1: `low` and `high` hold one non-negative integer per dimension.
        C2: the result's shape follows.
        C3: input and result have one element type, not quantized per axis or block.

    Example:
    ```mlir
    func.func @main(%x: tensor<1x2x2x1xf32>) -> tensor<1x4x3x1xf32> {
      %y = nn.pad %x low [0, 1, 0, 0] high [0, 1, 1, 0] value 0.0 : f64 : (tensor<1x2x2x1xf32>) -> tensor<1x4x3x1xf32>
      func.return %y : tensor<1x4x3x1xf32>
    }
    ```
    """

    name = "nn.pad"
    input = operand_def(TensorType)
    low = prop_def(I64Array)
    high = prop_def(I64Array)
    value = prop_def(FloatAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$input `low` $low `high` $high `value` $value attr-dict `:` functional-type(operands, results)"

    def __init__(self, source: SSAValue, low: Sequence[int], high: Sequence[int], value: float, result_type: Attribute):
        super().__init__(
            operands=[source],
            properties={"low": ints(low), "high": ints(high), "value": FloatAttr(value, f64)},
            result_types=[result_type],
        )

    def verify_(self) -> None:
        """Check the numbered constraints."""
        source, result = tensor_of(self.input).get_shape(), tensor_of(self.result).get_shape()
        low, high = self.low.get_values(), self.high.get_values()
        # C1
        require(
            len(low) == len(high) == len(source) and all(amount >= 0 for amount in (*low, *high)),
            f"low and high must hold {len(source)} non-negative integers, got {list(low)} and {list(high)}",
        )
        # C2
        expected = tuple(a + b + c for a, b, c in zip(low, source, high, strict=True))
        require(result == expected, f"result must have shape {list(expected)}, got {list(result)}")
        # C3
        verify_pure_movement(self.result, self.input)
