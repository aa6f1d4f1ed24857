"""Activation functions of the `nn` dialect.

Their tables have 256 entries for an 8-bit input. For a 16-bit input they have 513, between which interpolation is
linear (TOSA 1.0 TABLE followed by RESCALE).
"""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

from xdsl.dialects.builtin import FloatAttr, TensorType, f64
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

from intaglio.dialects.nn.types import ClampAttr, all_float_or_all_quantized, require, tensor_of

__all__ = [
    "ActivationOp",
    "ClipOp",
    "HardSigmoidOp",
    "HardSwishOp",
    "ReluOp",
    "SigmoidOp",
    "TanhOp",
]


class ActivationOp(IRDLOperation, ABC):
    """Base of the one-operand elementwise functions.

    Attributes:
        ONNX_OPERATOR: the ONNX operator that is the same function and has no attributes; empty where there is none.
    """

    input = operand_def(TensorType)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$input attr-dict `:` functional-type(operands, results)"
    ONNX_OPERATOR: ClassVar[str] = ""

    def __init__(self, source: SSAValue, result_type: Attribute):
        super().__init__(operands=[source], result_types=[result_type])

    def verify_(self) -> None:
        """Check the numbered constraints."""
        # C1
        source, result = tensor_of(self.input).get_shape(), tensor_of(self.result).get_shape()
        require(source == result, f"input {list(source)} and result {list(result)} must have one shape")
        # C2
        require(
            all_float_or_all_quantized(self.input, self.result),
            "input and result must have one float type or both be quantized per tensor",
        )


@irdl_op_definition
class ReluOp(ActivationOp):
    """`max(x, 0)`. Quantized: `requantize(x - z_x)` with `s_x / s_y`, limited below at the result's zero point.

    Constraints:
        C1: input and result have one shape.
        C2: one float element type, or both quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %x = nn.constant dense<[-1.0, 2.0]> : tensor<2xf32>
      %y = nn.relu %x : (tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.relu"
    ONNX_OPERATOR: ClassVar[str] = "Relu"


@irdl_op_definition
class ClipOp(ActivationOp):
    """Limit to an interval of real values. Quantized: `requantize(x - z_x)`, limited to the rounded bounds.

    Constraints:
        C1: input and result have one shape.
        C2: one float element type, or both quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %x = nn.constant dense<[-1.0, 8.0]> : tensor<2xf32>
      %y = nn.clip %x to <0.0, 6.0> : (tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.clip"
    clamp = prop_def(ClampAttr)
    assembly_format = "$input `to` $clamp attr-dict `:` functional-type(operands, results)"

    def __init__(self, source: SSAValue, result_type: Attribute, clamp: ClampAttr):
        IRDLOperation.__init__(self, operands=[source], properties={"clamp": clamp}, result_types=[result_type])


@irdl_op_definition
class HardSigmoidOp(ActivationOp):
    """`clip(alpha * x + beta, 0, 1)` (ONNX HardSigmoid). Quantized: a table of 256 entries.

    Constraints:
        C1: input and result have one shape.
        C2: one float element type, or both quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %x = nn.constant dense<[-4.0, 1.0]> : tensor<2xf32>
      %y = nn.hard_sigmoid %x alpha 0.2 : f64 beta 0.5 : f64 : (tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.hard_sigmoid"
    alpha = prop_def(FloatAttr)
    beta = prop_def(FloatAttr)
    assembly_format = "$input `alpha` $alpha `beta` $beta attr-dict `:` functional-type(operands, results)"

    def __init__(self, source: SSAValue, result_type: Attribute, alpha: float, beta: float):
        IRDLOperation.__init__(
            self,
            operands=[source],
            properties={"alpha": FloatAttr(alpha, f64), "beta": FloatAttr(beta, f64)},
            result_types=[result_type],
        )


@irdl_op_definition
class HardSwishOp(ActivationOp):
    """`x * clip(x + 3, 0, 6) / 6` (ONNX HardSwish). Quantized: a table of 256 entries.

    Constraints:
        C1: input and result have one shape.
        C2: one float element type, or both quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %x = nn.constant dense<[-1.0, 2.0]> : tensor<2xf32>
      %y = nn.hard_swish %x : (tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.hard_swish"
    ONNX_OPERATOR: ClassVar[str] = "HardSwish"


@irdl_op_definition
class SigmoidOp(ActivationOp):
    """`1 / (1 + exp(-x))`. Quantized: a table of 256 entries.

    Constraints:
        C1: input and result have one shape.
        C2: one float element type, or both quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %x = nn.constant dense<[-1.0, 2.0]> : tensor<2xf32>
      %y = nn.sigmoid %x : (tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.sigmoid"
    ONNX_OPERATOR: ClassVar[str] = "Sigmoid"


@irdl_op_definition
class TanhOp(ActivationOp):
    """Hyperbolic tangent. Quantized: a table of 256 entries.

    Constraints:
        C1: input and result have one shape.
        C2: one float element type, or both quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %x = nn.constant dense<[-1.0, 2.0]> : tensor<2xf32>
      %y = nn.tanh %x : (tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.tanh"
    ONNX_OPERATOR: ClassVar[str] = "Tanh"
