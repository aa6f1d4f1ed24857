"""Pooling operations of the `nn` dialect."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import BoolAttr, TensorType
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure

from intaglio.dialects.nn.types import (
    ClampAttr,
    I64Array,
    all_float_or_all_quantized,
    ints,
    require,
    tensor_of,
    verify_pure_movement,
    verify_window,
    window_output_shape,
)

__all__ = [
    "AvgPool2dOp",
    "MaxPool2dOp",
    "PoolOp",
]


class PoolOp(IRDLOperation, ABC):
    """Base of the pooling operations: a window slides over height and width, channel by channel."""

    input = operand_def(TensorType)
    kernel = prop_def(I64Array)
    strides = prop_def(I64Array)
    pads = prop_def(I64Array)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)

    def dilation(self) -> tuple[int, ...]:
        """Distance between the elements of the window, in rows and columns."""
        return (1, 1)

    def verify_pool(self) -> None:
        """Check the constraints that both pooling operations have."""
        source, result = tensor_of(self.input).get_shape(), tensor_of(self.result).get_shape()
        # C1
        require(len(source) == len(result) == 4, "input and result must have rank 4")
        # C2
        kernel = self.kernel.get_values()
        require(
            len(kernel) == 2 and min(kernel) >= 1,
            f"kernel must be 2 integers of at least 1, got {list(kernel)}",
        )
        verify_window(self.strides, self.pads, ints(self.dilation()))
        # C3
        spatial = window_output_shape(
            source[1:3], kernel, self.strides.get_values(), self.pads.get_values(), self.dilation()
        )
        expected = (source[0], *spatial, source[3])
        require(result == expected, f"result must have shape {list(expected)}, got {list(result)}")

    def verify_windows(self) -> None:
        """Check that no window lies wholly in the padding, where neither maximum nor mean exist."""
        for dimension in range(2):
            size = tensor_of(self.input).get_shape()[1 + dimension]
            starts = np.arange(tensor_of(self.result).get_shape()[1 + dimension]) * self.strides.get_values()[dimension]
            taps = np.arange(self.kernel.get_values()[dimension]) * self.dilation()[dimension]
            positions = starts[:, None] + taps - self.pads.get_values()[dimension]
            require(
                bool(np.all(np.any((positions >= 0) & (positions < size), axis=1))),
                f"a window lies wholly in the padding {list(self.pads.get_values())}",
            )


@irdl_op_definition
class MaxPool2dOp(PoolOp):
    """Largest element of each window; padding never wins. Input `[N, H, W, C]`, result `[N, OH, OW, C]`.

    Quantized: the largest storage value, since the parameters do not change.

    Constraints:
        C1: input and result have rank 4.
        C2: two kernel sizes, strides and dilations of at least 1, four pads of at least 0.
        C3: the result's shape follows from the window.
        C4: input and result have one element type, not quantized per axis or block.
        C5: every window holds at least one element of the input.

    Example:
    ```mlir
    func.func @main(%x: tensor<1x8x8x3xf32>) -> tensor<1x4x4x3xf32> {
      %y = nn.max_pool2d %x kernel [2, 2] strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] : (tensor<1x8x8x3xf32>) -> tensor<1x4x4x3xf32>
      func.return %y : tensor<1x4x4x3xf32>
    }
    ```
    """

    name = "nn.max_pool2d"
    dilations = prop_def(I64Array)
    assembly_format = (
        "$input `kernel` $kernel `strides` $strides `pads` $pads `dilations` $dilations attr-dict "
        "`:` functional-type(operands, results)"
    )

    def __init__(
        self,
        source: SSAValue,
        result_type: Attribute,
        *,
        kernel: Sequence[int],
        strides: Sequence[int] = (1, 1),
        pads: Sequence[int] = (0, 0, 0, 0),
        dilations: Sequence[int] = (1, 1),
    ):
        super().__init__(
            operands=[source],
            properties={
                "kernel": ints(kernel),
                "strides": ints(strides),
                "pads": ints(pads),
                "dilations": ints(dilations),
            },
            result_types=[result_type],
        )

    def dilation(self) -> tuple[int, ...]:
        """Distance between the elements of the window, in rows and columns."""
        return tuple(self.dilations.get_values())

    def verify_(self) -> None:
        """Check the numbered constraints."""
        self.verify_pool()
        # C4
        verify_pure_movement(self.result, self.input)
        # C5
        self.verify_windows()


@irdl_op_definition
class AvgPool2dOp(PoolOp):
    """Mean of each window. Input `[N, H, W, C]`, result `[N, OH, OW, C]`.

    The divisor is the window's size if `count_include_pad`, else the number of its elements inside the input.
    A global average pool is one whose kernel is the whole input.

    Quantized: `acc = sum(x - z_x)` over the elements inside the input, then `requantize` with
    `numerics.requantization.average_multiplier(count, s_x, s_y)` (TOSA 1.0 AVG_POOL2D where the scales are equal).

    Constraints:
        C1: input and result have rank 4.
        C2: two kernel sizes and strides of at least 1, four pads of at least 0.
        C3: the result's shape follows from the window.
        C4: one float element type, or both quantized per tensor.
        C5: every window holds at least one element of the input.

    Example:
    ```mlir
    func.func @main(%x: tensor<1x4x4x3xf32>) -> tensor<1x1x1x3xf32> {
      %y = nn.avg_pool2d %x kernel [4, 4] strides [1, 1] pads [0, 0, 0, 0] count_include_pad false : (tensor<1x4x4x3xf32>) -> tensor<1x1x1x3xf32>
      func.return %y : tensor<1x1x1x3xf32>
    }
    ```
    """

    name = "nn.avg_pool2d"
    count_include_pad = prop_def(BoolAttr)
    clamp = opt_prop_def(ClampAttr)
    assembly_format = (
        "$input `kernel` $kernel `strides` $strides `pads` $pads `count_include_pad` $count_include_pad "
        "(`clamp` $clamp^)? attr-dict `:` functional-type(operands, results)"
    )

    def __init__(
        self,
        source: SSAValue,
        result_type: Attribute,
        *,
        kernel: Sequence[int],
        strides: Sequence[int] = (1, 1),
        pads: Sequence[int] = (0, 0, 0, 0),
        count_include_pad: bool = False,
        clamp: ClampAttr | None = None,
    ):
        super().__init__(
            operands=[source],
            properties={
                "kernel": ints(kernel),
                "strides": ints(strides),
                "pads": ints(pads),
                "count_include_pad": BoolAttr.from_bool(count_include_pad),
                "clamp": clamp,
            },
            result_types=[result_type],
        )

    def verify_(self) -> None:
        """Check the numbered constraints."""
        self.verify_pool()
        # C4
        require(
            all_float_or_all_quantized(self.input, self.result),
            "input and result must have one float type or both be quantized per tensor",
        )
        # C5
        self.verify_windows()
