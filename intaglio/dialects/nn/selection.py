"""Operations of the `nn` dialect that choose or repeat elements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, IntegerType, TensorType, i64
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

from intaglio.dialects.nn.types import I64Array, element, ints, require, tensor_of, verify_pure_movement

__all__ = [
    "BroadcastOp",
    "GatherOp",
    "SliceOp",
]


@irdl_op_definition
class SliceOp(IRDLOperation):
    """Every `steps[k]`-th element from `starts[k]` on, in each dimension `k`, as many as the result has.

    A negative step goes backwards, so that `starts [7] steps [-1]` reverses eight elements.

    Constraints:
        C1: `starts` and `steps` hold one integer per dimension, steps other than 0, and the result has the rank.
        C2: the first and the last element taken are elements of the input.
        C3: input and result have one element type, not quantized per axis or block.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %x = nn.constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>
      %y = nn.slice %x starts [3] steps [-2] : (tensor<4xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.slice"
    input = operand_def(TensorType)
    starts = prop_def(I64Array)
    steps = prop_def(I64Array)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$input `starts` $starts `steps` $steps attr-dict `:` functional-type(operands, results)"

    def __init__(self, source: SSAValue, starts: Sequence[int], steps: Sequence[int], shape: Sequence[int]):
        super().__init__(
            operands=[source],
            properties={"starts": ints(starts), "steps": ints(steps)},
            result_types=[TensorType(element(source), shape)],
        )

    def verify_(self) -> None:
        """Check the numbered constraints."""
        source, result = tensor_of(self.input).get_shape(), tensor_of(self.result).get_shape()
        starts, steps = list(self.starts.get_values()), list(self.steps.get_values())
        # C1
        require(
            len(starts) == len(steps) == len(source) == len(result) and 0 not in steps,
            f"starts and steps must hold {len(source)} integers, steps none of 0, got {starts} and {steps}",
        )
        # C2
        for axis, (size, count) in enumerate(zip(source, result, strict=True)):
            last = starts[axis] + (count - 1) * steps[axis]
            require(
                count == 0 or (0 <= starts[axis] < size and 0 <= last < size),
                f"elements {starts[axis]} to {last} of dimension {axis} are not all among its {size}",
            )
        # C3
        verify_pure_movement(self.result, self.input)


@irdl_op_definition
class BroadcastOp(IRDLOperation):
    """The input repeated along dimensions where it has one element or that it lacks in front (ONNX Expand).

    Constraints:
        C1: the input broadcasts to the result's shape.
        C2: input and result have one element type, not quantized per axis or block.

    Example:
    ```mlir
    func.func @main() -> tensor<2x3xf32> {
      %x = nn.constant dense<[[1.0], [2.0]]> : tensor<2x1xf32>
      %y = nn.broadcast %x : (tensor<2x1xf32>) -> tensor<2x3xf32>
      func.return %y : tensor<2x3xf32>
    }
    ```
    """

    name = "nn.broadcast"
    input = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$input attr-dict `:` functional-type(operands, results)"

    def __init__(self, source: SSAValue, result_type: Attribute):
        super().__init__(operands=[source], result_types=[result_type])

    def verify_(self) -> None:
        """Check the numbered constraints."""
        source, result = tuple(tensor_of(self.input).get_shape()), tuple(tensor_of(self.result).get_shape())
        # C1
        try:
            broadcast = np.broadcast_shapes(source, result)
        except ValueError:
            broadcast = None
        require(broadcast == result, f"{list(source)} does not broadcast to {list(result)}")
        # C2
        verify_pure_movement(self.result, self.input)


@irdl_op_definition
class GatherOp(IRDLOperation):
    """The slices of the input along `axis` that the indices name (ONNX Gather).

    The result has the indices' shape in place of that dimension. Negative indices count from the end; those of no
    slice are undefined.

    Constraints:
        C1: `axis` is a dimension of the input.
        C2: the result's shape is the input's with the indices' in place of `axis`.
        C3: indices are i32 or i64; input and result have one element type, not quantized per axis or block.

    Example:
    ```mlir
    func.func @main() -> tensor<2x2xf32> {
      %x = nn.constant dense<[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]> : tensor<3x2xf32>
      %i = nn.constant dense<[2, 0]> : tensor<2xi64>
      %y = nn.gather %x, %i axis 0 : (tensor<3x2xf32>, tensor<2xi64>) -> tensor<2x2xf32>
      func.return %y : tensor<2x2xf32>
    }
    ```
    """

    name = "nn.gather"
    input = operand_def(TensorType)
    indices = operand_def(TensorType)
    axis = prop_def(IntegerAttr.constr(i64))
    result = result_def(TensorType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$input `,` $indices `axis` $axis attr-dict `:` functional-type(operands, results)"

    def __init__(self, source: SSAValue, indices: SSAValue, axis: int):
        shape = list(tensor_of(source).get_shape())
        shape[axis : axis + 1] = tensor_of(indices).get_shape()
        super().__init__(
            operands=[source, indices],
            properties={"axis": IntegerAttr(axis, i64)},
            result_types=[TensorType(element(source), shape)],
        )

    def verify_(self) -> None:
        """Check the numbered constraints."""
        source, result = tensor_of(self.input).get_shape(), tensor_of(self.result).get_shape()
        axis = self.axis.value.data
        # C1
        require(0 <= axis < len(source), f"axis must be 0 to {len(source) - 1}, got {axis}")
        # C2
        expected = (*source[:axis], *tensor_of(self.indices).get_shape(), *source[axis + 1 :])
        require(result == expected, f"result must have shape {list(expected)}, got {list(result)}")
        # C3
        kind = element(self.indices)
        require(kind in (IntegerType(32), IntegerType(64)), f"indices must be i32 or i64, got {kind}")
        verify_pure_movement(self.result, self.input)
