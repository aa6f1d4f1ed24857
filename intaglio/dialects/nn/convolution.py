"""Transposed convolution of the `nn` dialect."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import IntegerAttr, TensorType, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import Pure

from intaglio.dialects.nn.types import ClampAttr, I64Array, ints, require, tensor_of, verify_linear_quantization

__all__ = [
    "ConvTranspose2dOp",
]


@irdl_op_definition
class ConvTranspose2dOp(IRDLOperation):
    """Transposed two-dimensional convolution: every input element adds the kernel, times its value, to the result.

    Input `[N, H, W, C]`, weight `[O, KH, KW, C / groups]`, bias `[O]`, result `[N, OH, OW, O]`. The element in row
    `y` meets row `y * stride + i * dilation - top` of the result through row `i` of the kernel. `pads` cut rows and
    columns off the full result; negative ones add some, which hold the bias. Result channel `o` reads the input
    channels of group `o // (O / groups)`.

    Quantized: as `nn.conv2d` (TOSA 1.0 TRANSPOSE_CONV2D followed by RESCALE).

    Constraints:
        C1: input, weight and result have rank 4.
        C2: channels are divisible into `groups`, and the weight's last dimension is `C / groups`.
        C3: the bias has one element per output channel.
        C4: two strides and two dilations of at least 1, four pads.
        C5: a spatial dimension of the result is `(size - 1) * stride + (kernel - 1) * dilation + 1 - pads`.
        C6: one float element type throughout, or quantized as in `nn.conv2d`.

    Example:
    ```mlir
    func.func @main(%x: tensor<1x4x4x3xf32>, %w: tensor<2x2x2x3xf32>, %b: tensor<2xf32>) -> tensor<1x8x8x2xf32> {
      %y = nn.conv_transpose2d %x, %w bias %b strides [2, 2] pads [0, 0, 0, 0] dilations [1, 1] groups 1 : (tensor<1x4x4x3xf32>, tensor<2x2x2x3xf32>, tensor<2xf32>) -> tensor<1x8x8x2xf32>
      func.return %y : tensor<1x8x8x2xf32>
    }
    ```
    """

    name = "nn.conv_transpose2d"
    input = operand_def(TensorType)
    weight = operand_def(TensorType)
    bias = opt_operand_def(TensorType)
    strides = prop_def(I64Array)
    pads = prop_def(I64Array)
    dilations = prop_def(I64Array)
    groups = prop_def(IntegerAttr.constr(i64))
    clamp = opt_prop_def(ClampAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = (
        "$input `,` $weight (`bias` $bias^)? `strides` $strides `pads` $pads `dilations` $dilations "
        "`groups` $groups (`clamp` $clamp^)? attr-dict `:` functional-type(operands, results)"
    )

    def __init__(
        self,
        source: SSAValue,
        weight: SSAValue,
        bias: SSAValue | None,
        result_type: Attribute,
        *,
        strides: Sequence[int] = (1, 1),
        pads: Sequence[int] = (0, 0, 0, 0),
        dilations: Sequence[int] = (1, 1),
        groups: int = 1,
        clamp: ClampAttr | None = None,
    ):
        super().__init__(
            operands=[source, weight, bias],
            properties={
                "strides": ints(strides),
                "pads": ints(pads),
                "dilations": ints(dilations),
                "groups": IntegerAttr(groups, i64),
                "clamp": clamp,
            },
            result_types=[result_type],
        )

    def verify_(self) -> None:
        """Check the numbered constraints."""
        source, weight, result = (tensor_of(v).get_shape() for v in (self.input, self.weight, self.result))
        # C1
        require(len(source) == len(weight) == len(result) == 4, "input, weight and result must have rank 4")
        # C2
        groups = self.groups.value.data
        require(
            groups > 0 and source[3] == groups * weight[3] and weight[0] % groups == 0,
            f"{source[3]} input channels in {groups} groups do not match a weight of shape {list(weight)}",
        )
        # C3
        if self.bias is not None:
            require(
                tensor_of(self.bias).get_shape() == (weight[0],),
                f"bias must have shape [{weight[0]}], got {list(tensor_of(self.bias).get_shape())}",
            )
        # C4
        strides, dilations = self.strides.get_values(), self.dilations.get_values()
        pads = self.pads.get_values()
        require(
            len(strides) == len(dilations) == 2 and min(*strides, *dilations) >= 1 and len(pads) == 4,
            f"strides and dilations must be 2 integers of at least 1 and pads 4 integers, "
            f"got {list(strides)}, {list(dilations)} and {list(pads)}",
        )
        # C5
        spatial = tuple(
            (source[1 + k] - 1) * strides[k] + (weight[1 + k] - 1) * dilations[k] + 1 - pads[k] - pads[k + 2]
            for k in range(2)
        )
        expected = (source[0], *spatial, weight[0])
        require(result == expected, f"result must have shape {list(expected)}, got {list(result)}")
        # C6
        verify_linear_quantization(self.input, self.weight, self.bias, self.result)
