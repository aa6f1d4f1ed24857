"""Convolution, dense layers and matrix products of the `nn` dialect."""

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

from intaglio.dialects.nn.types import (
    ClampAttr,
    I64Array,
    all_float_or_all_quantized,
    ints,
    require,
    tensor_of,
    verify_linear_quantization,
    verify_window,
    window_output_shape,
)

__all__ = [
    "Conv2dOp",
    "DenseOp",
    "MatmulOp",
]


@irdl_op_definition
class Conv2dOp(IRDLOperation):
    """Two-dimensional convolution, grouped if `groups > 1`, depthwise if `groups` is the channel count.

    Input `[N, H, W, C]`, weight `[O, KH, KW, C / groups]`, bias `[O]`, result `[N, OH, OW, O]`. Output channel
    `o` reads the input channels of group `o // (O / groups)`. Padding counts as real zero.

    Quantized: `acc = sum((x - z_x) * w) + b` in 32-bit integers, or in 48 for an input of more than 8 bits; then
    `requantize` with the ratio `s_x * s_w[o] / s_y`; with `clamp` the result is limited in the integer domain. The
    bias has the accumulator's width and the scale `s_x * s_w[o]` (TOSA 1.0 CONV2D followed by RESCALE). A result of
    that width is the accumulator itself, not requantized, with the bias's scale along the last dimension.

    Quantized dynamically, which a quantized weight between floats says: the input is quantized by the range that it has
    then (`intaglio.numerics.dynamic`), and `clamp(float(acc) * s_x * s_w[o] + b)` computed in double precision.

    Constraints:
        C1: input, weight and result have rank 4.
        C2: channels are divisible into `groups`, and the weight's last dimension is `C / groups`.
        C3: the bias has one element per output channel.
        C4: two strides and two dilations of at least 1, four pads of at least 0.
        C5: the result's shape follows from the window.
        C6: one float element type throughout, or per-tensor quantized input and result, symmetric weights and
            an i32 bias (i48 for an input of more than 8 bits, which has the zero point 0) whose scale is input scale
            times weight scale; a result of the bias's width has its scale. Or f32 input, bias and result, and a
            symmetric weight of at most 8 bits.

    Example:
    ```mlir
    func.func @main(%x: tensor<1x8x8x3xf32>, %w: tensor<4x3x3x3xf32>, %b: tensor<4xf32>) -> tensor<1x4x4x4xf32> {
      %y = nn.conv2d %x, %w bias %b strides [2, 2] pads [1, 1, 0, 0] dilations [1, 1] groups 1 clamp <0.0, inf> : (tensor<1x8x8x3xf32>, tensor<4x3x3x3xf32>, tensor<4xf32>) -> tensor<1x4x4x4xf32>
      func.return %y : tensor<1x4x4x4xf32>
    }
    ```
    """

    name = "nn.conv2d"
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

    @property
    def is_depthwise(self) -> bool:
        """Whether each output channel reads exactly its own input channel."""
        channels = tensor_of(self.input).get_shape()[3]
        return self.groups.value.data == channels == tensor_of(self.weight).get_shape()[0] and channels > 1

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
        verify_window(self.strides, self.pads, self.dilations)
        # C5
        spatial = window_output_shape(
            source[1:3],
            weight[1:3],
            self.strides.get_values(),
            self.pads.get_values(),
            self.dilations.get_values(),
        )
        expected = (source[0], *spatial, weight[0])
        require(result == expected, f"result must have shape {list(expected)}, got {list(result)}")
        # C6
        verify_linear_quantization(self.input, self.weight, self.bias, self.result)


@irdl_op_definition
class DenseOp(IRDLOperation):
    """Fully connected layer: `result[.., o] = sum_k input[.., k] * weight[o, k] + bias[o]`.

    Input `[..., K]`, weight `[O, K]`, bias `[O]`, result `[..., O]`. Quantized as `nn.conv2d` (TOSA 1.0 MATMUL or
    CONV2D 1x1 followed by RESCALE).

    Constraints:
        C1: the weight has rank 2, the input's last dimension is K and the result's is O, the others are equal.
        C2: the bias has one element per output channel.
        C3: one float element type throughout, or quantized as in `nn.conv2d`.

    Example:
    ```mlir
    func.func @main(%x: tensor<1x64xf32>, %w: tensor<10x64xf32>, %b: tensor<10xf32>) -> tensor<1x10xf32> {
      %y = nn.dense %x, %w bias %b : (tensor<1x64xf32>, tensor<10x64xf32>, tensor<10xf32>) -> tensor<1x10xf32>
      func.return %y : tensor<1x10xf32>
    }
    ```
    """

    name = "nn.dense"
    input = operand_def(TensorType)
    weight = operand_def(TensorType)
    bias = opt_operand_def(TensorType)
    clamp = opt_prop_def(ClampAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = (
        "$input `,` $weight (`bias` $bias^)? (`clamp` $clamp^)? attr-dict `:` functional-type(operands, results)"
    )

    def __init__(
        self,
        source: SSAValue,
        weight: SSAValue,
        bias: SSAValue | None,
        result_type: Attribute,
        *,
        clamp: ClampAttr | None = None,
    ):
        super().__init__(operands=[source, weight, bias], properties={"clamp": clamp}, result_types=[result_type])

    def verify_(self) -> None:
        """Check the numbered constraints."""
        source, weight, result = (tensor_of(v).get_shape() for v in (self.input, self.weight, self.result))
        # C1
        require(
            len(weight) == 2 and len(source) >= 1 and source[-1] == weight[1] and result == (*source[:-1], weight[0]),
            f"input {list(source)} and weight {list(weight)} do not give a result of shape {list(result)}",
        )
        # C2
        if self.bias is not None:
            require(
                tensor_of(self.bias).get_shape() == (weight[0],),
                f"bias must have shape [{weight[0]}], got {list(tensor_of(self.bias).get_shape())}",
            )
        # C3
        verify_linear_quantization(self.input, self.weight, self.bias, self.result)


@irdl_op_definition
class MatmulOp(IRDLOperation):
    """Product of two activations, batched over equal leading dimensions: `[.., M, K] x [.., K, N] -> [.., M, N]`.

    Quantized: `acc = sum((a - z_a) * (b - z_b))` in 32-bit integers, or in 48 if an operand has more than 8 bits,
    then `requantize` with `s_a * s_b / s_y`.

    Constraints:
        C1: ranks are equal and at least 2, leading dimensions equal, inner dimensions match, the result follows.
        C2: one float element type throughout, or all quantized per tensor.

    Example:
    ```mlir
    func.func @main(%a: tensor<2x3x4xf32>, %b: tensor<2x4x5xf32>) -> tensor<2x3x5xf32> {
      %y = nn.matmul %a, %b : (tensor<2x3x4xf32>, tensor<2x4x5xf32>) -> tensor<2x3x5xf32>
      func.return %y : tensor<2x3x5xf32>
    }
    ```
    """

    name = "nn.matmul"
    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    clamp = opt_prop_def(ClampAttr)
    result = result_def(TensorType)
    traits = traits_def(Pure())
    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$lhs `,` $rhs (`clamp` $clamp^)? attr-dict `:` functional-type(operands, results)"

    def __init__(self, lhs: SSAValue, rhs: SSAValue, result_type: Attribute, *, clamp: ClampAttr | None = None):
        super().__init__(operands=[lhs, rhs], properties={"clamp": clamp}, result_types=[result_type])

    def verify_(self) -> None:
        """Check the numbered constraints."""
        lhs, rhs, result = (tensor_of(v).get_shape() for v in (self.lhs, self.rhs, self.result))
        # C1
        require(
            len(lhs) == len(rhs) >= 2
            and lhs[:-2] == rhs[:-2]
            and lhs[-1] == rhs[-2]
            and result == (*lhs[:-1], rhs[-1]),
            f"{list(lhs)} times {list(rhs)} does not give {list(result)}",
        )
        # C2
        require(
            all_float_or_all_quantized(self.lhs, self.rhs, self.result),
            "operands and result must have one float type or all be quantized per tensor",
        )
