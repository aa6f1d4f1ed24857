"""Two-operand elementwise operations of the `nn` dialect."""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure

from intaglio.dialects.nn.types import (
    ClampAttr,
    all_float_or_all_quantized,
    is_float,
    require,
    tensor_of,
)

__all__ = [
    "AddOp",
    "DivOp",
    "ElementwiseOp",
    "MaximumOp",
    "MinimumOp",
    "MulOp",
    "PowOp",
    "SubOp",
]


class ElementwiseOp(IRDLOperation, ABC):
    """Base of the two-operand elementwise operations; operands broadcast as in NumPy."""

    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    clamp = opt_prop_def(ClampAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$lhs `,` $rhs (`clamp` $clamp^)? attr-dict `:` functional-type(operands, results)"
    TAKES_QUANTIZED: ClassVar[bool] = True

    def __init__(self, lhs: SSAValue, rhs: SSAValue, result_type: Attribute, *, clamp: ClampAttr | None = None):
        super().__init__(operands=[lhs, rhs], properties={"clamp": clamp}, result_types=[result_type])

    def verify_(self) -> None:
        """Check the numbered constraints."""
        lhs, rhs, result = (tensor_of(v).get_shape() for v in (self.lhs, self.rhs, self.result))
        # C1
        try:
            expected = np.broadcast_shapes(lhs, rhs)
        except ValueError:
            expected = None
        require(result == expected, f"{list(lhs)} and {list(rhs)} do not broadcast to {list(result)}")
        # C2
        require(
            all_float_or_all_quantized(self.lhs, self.rhs, self.result)
            and (self.TAKES_QUANTIZED or is_float(self.result)),
            "operands and result must have one float type"
            + (" or all be quantized per tensor" if self.TAKES_QUANTIZED else ""),
        )


@irdl_op_definition
class AddOp(ElementwiseOp):
    """Elementwise sum with broadcasting.

    Quantized: both operands are rescaled to a common scale `2 * max(s_a, s_b) / 2**20`, added in 32 bits and
    requantized (the sequence TensorFlow Lite's ADD becomes in TOSA): see `numerics.requantization.add_multipliers`.

    Constraints:
        C1: the result's shape is that of the broadcast operands.
        C2: one float element type throughout, or all quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2x2xf32> {
      %a = nn.constant dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>
      %b = nn.constant dense<[10.0, -10.0]> : tensor<2xf32>
      %y = nn.add %a, %b clamp <0.0, 13.0> : (tensor<2x2xf32>, tensor<2xf32>) -> tensor<2x2xf32>
      func.return %y : tensor<2x2xf32>
    }
    ```
    """

    name = "nn.add"


@irdl_op_definition
class SubOp(ElementwiseOp):
    """Elementwise difference with broadcasting; quantized as `nn.add` with the second operand negated.

    Constraints:
        C1: the result's shape is that of the broadcast operands.
        C2: one float element type throughout, or all quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %a = nn.constant dense<[1.0, 2.0]> : tensor<2xf32>
      %b = nn.constant dense<0.5> : tensor<f32>
      %y = nn.sub %a, %b : (tensor<2xf32>, tensor<f32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.sub"


@irdl_op_definition
class MulOp(ElementwiseOp):
    """Elementwise product with broadcasting.

    Quantized: `requantize((a - z_a) * (b - z_b))` with the ratio `s_a * s_b / s_y` (TOSA MUL, RESCALE).

    Constraints:
        C1: the result's shape is that of the broadcast operands.
        C2: one float element type throughout, or all quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %a = nn.constant dense<[1.0, 2.0]> : tensor<2xf32>
      %b = nn.constant dense<[0.5, -1.0]> : tensor<2xf32>
      %y = nn.mul %a, %b : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.mul"


@irdl_op_definition
class DivOp(ElementwiseOp):
    """Elementwise quotient with broadcasting.

    Quantized: `requantize(quotient(a - z_a, b - z_b))` with the ratio `2^-f * s_a / (s_b * s_y)`, where `quotient` has
    `f` bits after the point and is defined in `intaglio.numerics.fixed_point`. Division by zero saturates.

    Constraints:
        C1: the result's shape is that of the broadcast operands.
        C2: one float element type throughout, or all quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %a = nn.constant dense<[1.0, 2.0]> : tensor<2xf32>
      %b = nn.constant dense<[0.5, 4.0]> : tensor<2xf32>
      %y = nn.div %a, %b : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.div"


@irdl_op_definition
class MaximumOp(ElementwiseOp):
    """Elementwise larger operand with broadcasting; NaN if either is.

    Quantized: the larger of `apply_scale(a - z_a)` with `s_a / s_y` and `apply_scale(b - z_b)` with `s_b / s_y`, plus `z_y`
    and saturated.

    Constraints:
        C1: the result's shape is that of the broadcast operands.
        C2: one float element type throughout, or all quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %a = nn.constant dense<[1.0, 2.0]> : tensor<2xf32>
      %b = nn.constant dense<[0.5, 4.0]> : tensor<2xf32>
      %y = nn.maximum %a, %b : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.maximum"


@irdl_op_definition
class MinimumOp(ElementwiseOp):
    """Elementwise smaller operand with broadcasting; NaN if either is.

    Quantized: the smaller of `apply_scale(a - z_a)` with `s_a / s_y` and `apply_scale(b - z_b)` with `s_b / s_y`, plus `z_y`
    and saturated.

    Constraints:
        C1: the result's shape is that of the broadcast operands.
        C2: one float element type throughout, or all quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %a = nn.constant dense<[1.0, 2.0]> : tensor<2xf32>
      %b = nn.constant dense<[0.5, 4.0]> : tensor<2xf32>
      %y = nn.minimum %a, %b : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.minimum"


@irdl_op_definition
class PowOp(ElementwiseOp):
    """Elementwise power, `lhs` to that of `rhs`, with broadcasting, in floats only.

    Constraints:
        C1: the result's shape is that of the broadcast operands.
        C2: one float element type throughout.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %a = nn.constant dense<[1.0, 2.0]> : tensor<2xf32>
      %b = nn.constant dense<[0.5, 4.0]> : tensor<2xf32>
      %y = nn.pow %a, %b : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.pow"
    TAKES_QUANTIZED: ClassVar[bool] = False
