"""Functions of one operand that are neither clamps nor gates of clamps: on the accelerator each is a table."""

from __future__ import annotations

from typing import ClassVar

from xdsl.dialects.builtin import FloatAttr, StringAttr, f64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import IRDLOperation, irdl_op_definition, prop_def

from intaglio.dialects.nn.activation import ActivationOp
from intaglio.dialects.nn.types import require

__all__ = [
    "AbsOp",
    "EluOp",
    "ErfOp",
    "ExpOp",
    "GeluOp",
    "LeakyReluOp",
    "LogOp",
    "MishOp",
    "ReciprocalOp",
    "SiluOp",
    "SoftplusOp",
    "SqrtOp",
]


@irdl_op_definition
class AbsOp(ActivationOp):
    """Absolute value. Quantized: a table of 256 entries.

    Constraints:
        C1: input and result have one shape.
        C2: one float element type, or both quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %x = nn.constant dense<[-1.0, 2.0]> : tensor<2xf32>
      %y = nn.abs %x : (tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.abs"
    ONNX_OPERATOR: ClassVar[str] = "Abs"


@irdl_op_definition
class ExpOp(ActivationOp):
    """`e` to the power of each element. Quantized: a table of 256 entries.

    Constraints:
        C1: input and result have one shape.
        C2: one float element type, or both quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %x = nn.constant dense<[-1.0, 2.0]> : tensor<2xf32>
      %y = nn.exp %x : (tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.exp"
    ONNX_OPERATOR: ClassVar[str] = "Exp"


@irdl_op_definition
class LogOp(ActivationOp):
    """Natural logarithm; NaN below zero and minus infinity at zero.

    Quantized: a table of 256 entries; minus infinity becomes the smallest stored value and NaN the zero point. From 16
    bits `intaglio.numerics.fixed_point.logarithm`, since a table with interpolation is steep near zero.

    Constraints:
        C1: input and result have one shape.
        C2: one float element type, or both quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %x = nn.constant dense<[0.5, 2.0]> : tensor<2xf32>
      %y = nn.log %x : (tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.log"
    ONNX_OPERATOR: ClassVar[str] = "Log"


@irdl_op_definition
class SqrtOp(ActivationOp):
    """Square root; NaN below zero. Quantized: a table of 256 entries, where NaN becomes the zero point.

    Constraints:
        C1: input and result have one shape.
        C2: one float element type, or both quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %x = nn.constant dense<[0.25, 2.0]> : tensor<2xf32>
      %y = nn.sqrt %x : (tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.sqrt"
    ONNX_OPERATOR: ClassVar[str] = "Sqrt"


@irdl_op_definition
class ReciprocalOp(ActivationOp):
    """`1 / x`, as IEEE 754 has it at zero. Quantized: a table of 256 entries; infinities saturate.

    Constraints:
        C1: input and result have one shape.
        C2: one float element type, or both quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %x = nn.constant dense<[0.25, -2.0]> : tensor<2xf32>
      %y = nn.reciprocal %x : (tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.reciprocal"
    ONNX_OPERATOR: ClassVar[str] = "Reciprocal"


@irdl_op_definition
class ErfOp(ActivationOp):
    """The error function. Quantized: a table of 256 entries.

    Constraints:
        C1: input and result have one shape.
        C2: one float element type, or both quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %x = nn.constant dense<[-1.0, 0.5]> : tensor<2xf32>
      %y = nn.erf %x : (tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.erf"
    ONNX_OPERATOR: ClassVar[str] = "Erf"


@irdl_op_definition
class SiluOp(ActivationOp):
    """`x * sigmoid(x)` (ONNX Swish with `alpha` 1). Quantized: a table of 256 entries.

    Constraints:
        C1: input and result have one shape.
        C2: one float element type, or both quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %x = nn.constant dense<[-1.0, 2.0]> : tensor<2xf32>
      %y = nn.silu %x : (tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.silu"


@irdl_op_definition
class SoftplusOp(ActivationOp):
    """`log(1 + exp(x))`. Quantized: a table of 256 entries.

    Constraints:
        C1: input and result have one shape.
        C2: one float element type, or both quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %x = nn.constant dense<[-1.0, 2.0]> : tensor<2xf32>
      %y = nn.softplus %x : (tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.softplus"
    ONNX_OPERATOR: ClassVar[str] = "Softplus"


@irdl_op_definition
class MishOp(ActivationOp):
    """`x * tanh(softplus(x))` (ONNX Mish). Quantized: a table of 256 entries.

    Constraints:
        C1: input and result have one shape.
        C2: one float element type, or both quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %x = nn.constant dense<[-1.0, 2.0]> : tensor<2xf32>
      %y = nn.mish %x : (tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.mish"
    ONNX_OPERATOR: ClassVar[str] = "Mish"


@irdl_op_definition
class EluOp(ActivationOp):
    """`x` where it is positive, else `alpha * (exp(x) - 1)` (ONNX Elu). Quantized: a table of 256 entries.

    Constraints:
        C1: input and result have one shape.
        C2: one float element type, or both quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %x = nn.constant dense<[-1.0, 2.0]> : tensor<2xf32>
      %y = nn.elu %x alpha 1.0 : f64 : (tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.elu"
    alpha = prop_def(FloatAttr)
    assembly_format = "$input `alpha` $alpha attr-dict `:` functional-type(operands, results)"

    def __init__(self, source: SSAValue, result_type: Attribute, alpha: float):
        IRDLOperation.__init__(
            self, operands=[source], properties={"alpha": FloatAttr(alpha, f64)}, result_types=[result_type]
        )


@irdl_op_definition
class LeakyReluOp(ActivationOp):
    """`x` where it is positive, else `alpha * x` (ONNX LeakyRelu). Quantized: a table of 256 entries.

    Constraints:
        C1: input and result have one shape.
        C2: one float element type, or both quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %x = nn.constant dense<[-1.0, 2.0]> : tensor<2xf32>
      %y = nn.leaky_relu %x alpha 0.125 : f64 : (tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.leaky_relu"
    alpha = prop_def(FloatAttr)
    assembly_format = "$input `alpha` $alpha attr-dict `:` functional-type(operands, results)"

    def __init__(self, source: SSAValue, result_type: Attribute, alpha: float):
        IRDLOperation.__init__(
            self, operands=[source], properties={"alpha": FloatAttr(alpha, f64)}, result_types=[result_type]
        )


@irdl_op_definition
class GeluOp(ActivationOp):
    """Gaussian error linear unit (ONNX Gelu). Quantized: a table of 256 entries.

    With `approximate "none"` it is `x / 2 * (1 + erf(x / sqrt(2)))`, with `"tanh"` it is
    `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))`.

    Constraints:
        C1: input and result have one shape.
        C2: one float element type, or both quantized per tensor.
        C3: `approximate` is "none" or "tanh".

    Example:
    ```mlir
    func.func @main() -> tensor<2xf32> {
      %x = nn.constant dense<[-1.0, 2.0]> : tensor<2xf32>
      %y = nn.gelu %x approximate "none" : (tensor<2xf32>) -> tensor<2xf32>
      func.return %y : tensor<2xf32>
    }
    ```
    """

    name = "nn.gelu"
    approximate = prop_def(StringAttr)
    assembly_format = "$input `approximate` $approximate attr-dict `:` functional-type(operands, results)"

    def __init__(self, source: SSAValue, result_type: Attribute, approximate: str = "none"):
        IRDLOperation.__init__(
            self, operands=[source], properties={"approximate": StringAttr(approximate)}, result_types=[result_type]
        )

    def verify_(self) -> None:
        """Check the numbered constraints."""
        super().verify_()
        # C3
        require(
            self.approximate.data in ("none", "tanh"),
            f'approximate must be "none" or "tanh", got "{self.approximate.data}"',
        )
