"""Reductions of the `nn` dialect; the reduced dimensions stay, with one element."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import TensorType
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
    I64Array,
    all_float_or_all_quantized,
    element,
    ints,
    is_float,
    require,
    same_element_types,
    tensor_of,
)

__all__ = [
    "ReduceL2Op",
    "ReduceMaxOp",
    "ReduceMeanOp",
    "ReduceMinOp",
    "ReduceOp",
    "ReduceProdOp",
    "ReduceSumOp",
]


class ReduceOp(IRDLOperation, ABC):
    """Base of the reductions over some dimensions."""

    input = operand_def(TensorType)
    axes = prop_def(I64Array)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$input `axes` $axes attr-dict `:` functional-type(operands, results)"
    TAKES_QUANTIZED: ClassVar[bool] = True
    KEEPS_TYPE: ClassVar[bool] = False

    def __init__(self, source: SSAValue, axes: Sequence[int], element_type: Attribute | None = None):
        kind = element(source) if element_type is None else element_type
        shape = [1 if axis in axes else size for axis, size in enumerate(tensor_of(source).get_shape())]
        super().__init__(
            operands=[source], properties={"axes": ints(sorted(axes))}, result_types=[TensorType(kind, shape)]
        )

    def verify_(self) -> None:
        """Check the numbered constraints."""
        source, result = tensor_of(self.input).get_shape(), tensor_of(self.result).get_shape()
        axes = list(self.axes.get_values())
        # C1
        require(
            bool(axes) and axes == sorted(set(axes)) and axes[0] >= 0 and axes[-1] < len(source),
            f"axes must be increasing dimensions of an input of rank {len(source)}, got {axes}",
        )
        # C2
        expected = tuple(1 if axis in axes else size for axis, size in enumerate(source))
        require(result == expected, f"result must have shape {list(expected)}, got {list(result)}")
        # C3
        kinds = "one float type"
        if self.TAKES_QUANTIZED:
            kinds += ", or be quantized per tensor" + (" with the same parameters" if self.KEEPS_TYPE else "")
        require(
            (self.TAKES_QUANTIZED or is_float(self.input))
            and all_float_or_all_quantized(self.input, self.result)
            and (not self.KEEPS_TYPE or same_element_types(self.input, self.result)),
            f"input and result must have {kinds}",
        )


@irdl_op_definition
class ReduceMeanOp(ReduceOp):
    """Mean over the dimensions `axes`.

    Quantized: `sum(x - z_x)` requantized as in `nn.avg_pool2d`, the count being that of the elements reduced.

    Constraints:
        C1: `axes` holds dimensions of the input in increasing order, at least one.
        C2: the result's shape is the input's, with 1 for the reduced dimensions.
        C3: one float element type, or both quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2x1xf32> {
      %x = nn.constant dense<[[1.0, 2.0], [3.0, 5.0]]> : tensor<2x2xf32>
      %y = nn.reduce_mean %x axes [1] : (tensor<2x2xf32>) -> tensor<2x1xf32>
      func.return %y : tensor<2x1xf32>
    }
    ```
    """

    name = "nn.reduce_mean"


@irdl_op_definition
class ReduceSumOp(ReduceOp):
    """Sum over the dimensions `axes`. Quantized: `requantize(sum(x - z_x))` with `s_x / s_y`.

    Constraints:
        C1: `axes` holds dimensions of the input in increasing order, at least one.
        C2: the result's shape is the input's, with 1 for the reduced dimensions.
        C3: one float element type, or both quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2x1xf32> {
      %x = nn.constant dense<[[1.0, 2.0], [3.0, 5.0]]> : tensor<2x2xf32>
      %y = nn.reduce_sum %x axes [1] : (tensor<2x2xf32>) -> tensor<2x1xf32>
      func.return %y : tensor<2x1xf32>
    }
    ```
    """

    name = "nn.reduce_sum"


@irdl_op_definition
class ReduceMaxOp(ReduceOp):
    """Largest element over the dimensions `axes`; of none, the smallest there is. Quantized: of the stored values.

    Constraints:
        C1: `axes` holds dimensions of the input in increasing order, at least one.
        C2: the result's shape is the input's, with 1 for the reduced dimensions.
        C3: one float element type, or both quantized per tensor with the same parameters.

    Example:
    ```mlir
    func.func @main() -> tensor<1x2xf32> {
      %x = nn.constant dense<[[1.0, 2.0], [3.0, -5.0]]> : tensor<2x2xf32>
      %y = nn.reduce_max %x axes [0] : (tensor<2x2xf32>) -> tensor<1x2xf32>
      func.return %y : tensor<1x2xf32>
    }
    ```
    """

    name = "nn.reduce_max"
    KEEPS_TYPE: ClassVar[bool] = True


@irdl_op_definition
class ReduceMinOp(ReduceOp):
    """Smallest element over the dimensions `axes`; of none, the largest there is. Quantized: of the stored values.

    Constraints:
        C1: `axes` holds dimensions of the input in increasing order, at least one.
        C2: the result's shape is the input's, with 1 for the reduced dimensions.
        C3: one float element type, or both quantized per tensor with the same parameters.

    Example:
    ```mlir
    func.func @main() -> tensor<1x2xf32> {
      %x = nn.constant dense<[[1.0, 2.0], [3.0, -5.0]]> : tensor<2x2xf32>
      %y = nn.reduce_min %x axes [0] : (tensor<2x2xf32>) -> tensor<1x2xf32>
      func.return %y : tensor<1x2xf32>
    }
    ```
    """

    name = "nn.reduce_min"
    KEEPS_TYPE: ClassVar[bool] = True


@irdl_op_definition
class ReduceL2Op(ReduceOp):
    """Square root of the sum of squares over the dimensions `axes` (ONNX ReduceL2).

    Squares of small elements vanish beside those of large ones when they are stored in as many bits. Quantized, they
    are summed exactly and the root is `intaglio.numerics.fixed_point.square_root` with `f` bits after the point, 14 for
    8-bit inputs and 7 for wider ones; then `requantize` with `s_x * 2^-f / s_y`.

    Constraints:
        C1: `axes` holds dimensions of the input in increasing order, at least one.
        C2: the result's shape is the input's, with 1 for the reduced dimensions.
        C3: one float element type, or both quantized per tensor.

    Example:
    ```mlir
    func.func @main() -> tensor<2x1xf32> {
      %x = nn.constant dense<[[3.0, 4.0], [-5.0, 12.0]]> : tensor<2x2xf32>
      %y = nn.reduce_l2 %x axes [1] : (tensor<2x2xf32>) -> tensor<2x1xf32>
      func.return %y : tensor<2x1xf32>
    }
    ```
    """

    name = "nn.reduce_l2"


@irdl_op_definition
class ReduceProdOp(ReduceOp):
    """Product over the dimensions `axes`, in floats only.

    Constraints:
        C1: `axes` holds dimensions of the input in increasing order, at least one.
        C2: the result's shape is the input's, with 1 for the reduced dimensions.
        C3: one float element type.

    Example:
    ```mlir
    func.func @main() -> tensor<1x1xf32> {
      %x = nn.constant dense<[[1.0, 2.0], [3.0, -5.0]]> : tensor<2x2xf32>
      %y = nn.reduce_prod %x axes [0, 1] : (tensor<2x2xf32>) -> tensor<1x1xf32>
      func.return %y : tensor<1x1xf32>
    }
    ```
    """

    name = "nn.reduce_prod"
    TAKES_QUANTIZED: ClassVar[bool] = False
