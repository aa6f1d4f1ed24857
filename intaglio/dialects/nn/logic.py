"""Comparison, selection and conversion: what moves between floats, integers and truth values."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import AnyFloat, IntegerType, StringAttr, TensorType, i1
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

from intaglio.dialects.nn.types import element, per_tensor, require, same_element_types, tensor_of

__all__ = [
    "CastOp",
    "CompareOp",
    "SelectOp",
]

PREDICATES = ("equal", "less", "less_or_equal", "greater", "greater_or_equal")
"""What `nn.compare` asks, in the words of the ONNX operators."""


def _broadcast(*values: SSAValue) -> tuple[int, ...] | None:
    """The shape that the values broadcast to, None if they do not."""
    try:
        return np.broadcast_shapes(*(tuple(tensor_of(value).get_shape()) for value in values))
    except ValueError:
        return None


def _is_number(value: SSAValue) -> bool:
    return isinstance(element(value), AnyFloat | IntegerType)


@irdl_op_definition
class CompareOp(IRDLOperation):
    """Elementwise comparison with broadcasting; the result is a truth value. NaN is unordered and equal to nothing.

    Constraints:
        C1: the result's shape is that of the broadcast operands.
        C2: operands are of one float or integer type, and the result of i1.
        C3: `predicate` is equal, less, less_or_equal, greater or greater_or_equal.

    Example:
    ```mlir
    func.func @main() -> tensor<3xi1> {
      %a = nn.constant dense<[1.0, 2.0, 3.0]> : tensor<3xf32>
      %b = nn.constant dense<2.0> : tensor<f32>
      %y = nn.compare %a, %b predicate "less" : (tensor<3xf32>, tensor<f32>) -> tensor<3xi1>
      func.return %y : tensor<3xi1>
    }
    ```
    """

    name = "nn.compare"
    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    predicate = prop_def(StringAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$lhs `,` $rhs `predicate` $predicate attr-dict `:` functional-type(operands, results)"

    def __init__(self, lhs: SSAValue, rhs: SSAValue, predicate: str, shape: tuple[int, ...]):
        super().__init__(
            operands=[lhs, rhs],
            properties={"predicate": StringAttr(predicate)},
            result_types=[TensorType(i1, shape)],
        )

    def verify_(self) -> None:
        """Check the numbered constraints."""
        result = tuple(tensor_of(self.result).get_shape())
        shapes = [list(tensor_of(value).get_shape()) for value in (self.lhs, self.rhs)]
        # C1
        require(
            result == _broadcast(self.lhs, self.rhs), f"{shapes[0]} and {shapes[1]} do not broadcast to {list(result)}"
        )
        # C2
        require(
            _is_number(self.lhs) and same_element_types(self.lhs, self.rhs) and element(self.result) == i1,
            "operands must have one float or integer type, and the result i1",
        )
        # C3
        require(
            self.predicate.data in PREDICATES,
            f'predicate must be one of {", ".join(PREDICATES)}, got "{self.predicate.data}"',
        )


@irdl_op_definition
class SelectOp(IRDLOperation):
    """Elements of `lhs` where the condition holds, else of `rhs`; all three broadcast (ONNX Where).

    Constraints:
        C1: the result's shape is that of the broadcast operands.
        C2: the condition is of i1; the others and the result are of one float or integer type, or quantized per tensor
            with the same parameters.

    Example:
    ```mlir
    func.func @main() -> tensor<3xf32> {
      %c = nn.constant dense<[true, false, true]> : tensor<3xi1>
      %a = nn.constant dense<[1.0, 2.0, 3.0]> : tensor<3xf32>
      %b = nn.constant dense<0.0> : tensor<f32>
      %y = nn.select %c, %a, %b : (tensor<3xi1>, tensor<3xf32>, tensor<f32>) -> tensor<3xf32>
      func.return %y : tensor<3xf32>
    }
    ```
    """

    name = "nn.select"
    condition = operand_def(TensorType)
    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$condition `,` $lhs `,` $rhs attr-dict `:` functional-type(operands, results)"

    def __init__(self, condition: SSAValue, lhs: SSAValue, rhs: SSAValue, result_type: Attribute):
        super().__init__(operands=[condition, lhs, rhs], result_types=[result_type])

    def verify_(self) -> None:
        """Check the numbered constraints."""
        result = tuple(tensor_of(self.result).get_shape())
        shapes = [list(tensor_of(value).get_shape()) for value in self.operands]
        # C1
        require(
            result == _broadcast(*self.operands),
            f"{shapes[0]}, {shapes[1]} and {shapes[2]} do not broadcast to {list(result)}",
        )
        # C2
        require(
            element(self.condition) == i1
            and (_is_number(self.lhs) or per_tensor(self.lhs) is not None)
            and same_element_types(self.lhs, self.rhs, self.result),
            "the condition must be i1, the others one float or integer type or quantized with the same parameters",
        )


@irdl_op_definition
class CastOp(IRDLOperation):
    """Conversion between float, integer and truth values (ONNX Cast).

    Floats become integers by cutting off the fraction, and what the integer type cannot hold is undefined; integers
    wrap. A truth value is whether a number is not zero, and becomes 0 or 1. A quantized result is made of integers
    only: what `quant.qcast` makes of them as f32.

    Constraints:
        C1: input and result have one shape.
        C2: both element types are floats or integers, or the input's is an integer and the result quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2xi32> {
      %x = nn.constant dense<[-1.5, 2.0]> : tensor<2xf32>
      %y = nn.cast %x : (tensor<2xf32>) -> tensor<2xi32>
      func.return %y : tensor<2xi32>
    }
    ```
    """

    name = "nn.cast"
    input = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$input attr-dict `:` functional-type(operands, results)"

    def __init__(self, source: SSAValue, element_type: Attribute):
        super().__init__(operands=[source], result_types=[TensorType(element_type, tensor_of(source).get_shape())])

    def verify_(self) -> None:
        """Check the numbered constraints."""
        source, result = tensor_of(self.input).get_shape(), tensor_of(self.result).get_shape()
        # C1
        require(source == result, f"input {list(source)} and result {list(result)} must have one shape")
        # C2
        require(
            _is_number(self.input)
            and (
                _is_number(self.result)
                or (isinstance(element(self.input), IntegerType) and per_tensor(self.result) is not None)
            ),
            f"numbers are cast to numbers, got {element(self.input)} to {element(self.result)}",
        )
