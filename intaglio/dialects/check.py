"""The `check` dialect: assertions inside the IR.

A test computes something, computes or states what it should be, and says so beside it; the interpreter stops at
the first assertion that does not hold, naming the op and the element. After StableHLO's dialect of that name.

Not here: assertions on shapes and types, which verifiers make, and on float results without a tolerance, for which
`check.expect_eq` compares bits and is seldom what one wants.
"""

from __future__ import annotations

import math
from typing import ClassVar

from xdsl.dialects.builtin import FloatAttr, TensorType, f64
from xdsl.ir import Dialect, SSAValue
from xdsl.irdl import IRDLOperation, VarConstraint, base, irdl_op_definition, operand_def, prop_def
from xdsl.utils.exceptions import VerifyException


@irdl_op_definition
class ExpectEqOp(IRDLOperation):
    """Assert that two tensors are equal in every element.

    Floats are equal when their bits are: NaN equals the same NaN, and -0.0 is not 0.0. Quantized tensors are
    compared by their stored integers.

    Constraints:
        C1: both operands have the same tensor type.

    Example:
    ```mlir
    func.func @main() {
      %x = nn.constant dense<[1.0, -2.0]> : tensor<2xf32>
      %y = nn.relu %x : (tensor<2xf32>) -> tensor<2xf32>
      %expected = nn.constant dense<[1.0, 0.0]> : tensor<2xf32>
      check.expect_eq %y, %expected : tensor<2xf32>
      func.return
    }
    ```
    """

    name = "check.expect_eq"
    # C1
    T: ClassVar = VarConstraint("T", base(TensorType))
    actual = operand_def(T)
    expected = operand_def(T)
    assembly_format = "$actual `,` $expected attr-dict `:` type($actual)"

    def __init__(self, actual: SSAValue, expected: SSAValue) -> None:
        super().__init__(operands=[actual, expected])


@irdl_op_definition
class ExpectCloseOp(IRDLOperation):
    """Assert that two tensors differ by at most `tolerance` in every element.

    The difference is absolute, in the unit of the elements: real for floats, steps of the stored integer for
    quantized and integer tensors. NaN is close to NaN only, an infinity to itself only.

    Constraints:
        C1: both operands have the same tensor type.
        C2: the tolerance is finite and not negative.

    Example:
    ```mlir
    func.func @main() {
      %x = nn.constant dense<[0.0, 1.0]> : tensor<2xf32>
      %y = nn.sigmoid %x : (tensor<2xf32>) -> tensor<2xf32>
      %expected = nn.constant dense<[0.5, 0.731]> : tensor<2xf32>
      check.expect_close %y, %expected tolerance 1.0e-03 : tensor<2xf32>
      func.return
    }
    ```
    """

    name = "check.expect_close"
    # C1
    T: ClassVar = VarConstraint("T", base(TensorType))
    actual = operand_def(T)
    expected = operand_def(T)
    tolerance = prop_def(FloatAttr.constr(f64))
    assembly_format = "$actual `,` $expected `tolerance` $tolerance attr-dict `:` type($actual)"

    def __init__(self, actual: SSAValue, expected: SSAValue, tolerance: float) -> None:
        super().__init__(operands=[actual, expected], properties={"tolerance": FloatAttr(tolerance, f64)})

    def verify_(self) -> None:
        """Check the numbered constraints that the declaration does not."""
        # C2
        tolerance = self.tolerance.value.data
        if not math.isfinite(tolerance) or tolerance < 0:
            raise VerifyException(f"the tolerance must be finite and not negative, got {tolerance}")


Check = Dialect("check", [ExpectEqOp, ExpectCloseOp], [])
