"""Convolution, dense layers, matrix products and pooling."""

from __future__ import annotations

from typing import Any

from intaglio.dialects import nn
from intaglio.dialects.nn.types import element, tensor_of
from intaglio.dialects.onnx import ints_of
from intaglio.dialects.quant import DequantizeCastOp
from intaglio.dialects.weights import array_of
from intaglio.frontend.nn_writer import TO_NCHW, Writer, exports


@exports(nn.Conv2dOp)
def _conv2d(writer: Writer, op: nn.Conv2dOp) -> None:
    made = writer.node(
        "Conv",
        [writer.nchw(op.input), writer.weight(op.weight, TO_NCHW), writer.name(op.bias)],
        strides=ints_of(op.strides),
        pads=ints_of(op.pads),
        dilations=ints_of(op.dilations),
        group=op.groups.value.data,
    )
    writer.finish_nchw(made, op.result, op.clamp)


@exports(nn.DenseOp)
def _dense(writer: Writer, op: nn.DenseOp) -> None:
    if isinstance(op.weight.owner, DequantizeCastOp) and len(tensor_of(op.input).get_shape()) == 2:
        # Runtimes fuse this, but not a product with a sum, into one integer layer.
        inputs = [writer.name(op.input), writer.weight(op.weight, [0, 1]), writer.name(op.bias)]
        writer.finish(writer.node("Gemm", inputs, transB=1), op.result, op.clamp)
        return
    made = writer.node("MatMul", [writer.name(op.input), writer.weight(op.weight, [1, 0])])
    if op.bias is not None:
        made = writer.node("Add", [made, writer.name(op.bias)])
    writer.finish(made, op.result, op.clamp)


@exports(nn.MatmulOp)
def _matmul(writer: Writer, op: nn.MatmulOp) -> None:
    writer.finish(writer.node("MatMul", map(writer.name, op.operands)), op.result, op.clamp)


@exports(nn.MaxPool2dOp)
def _max_pool2d(writer: Writer, op: nn.MaxPool2dOp) -> None:
    dilations = ints_of(op.dilations)
    # Before opset 10 the attribute does not exist.
    dilated: dict[str, Any] = {} if dilations == [1, 1] else {"dilations": dilations}
    made = writer.node(
        "MaxPool",
        [writer.nchw(op.input)],
        kernel_shape=ints_of(op.kernel),
        strides=ints_of(op.strides),
        pads=ints_of(op.pads),
        **dilated,
    )
    writer.finish_nchw(made, op.result)


@exports(nn.AvgPool2dOp)
def _avg_pool2d(writer: Writer, op: nn.AvgPool2dOp) -> None:
    made = writer.node(
        "AveragePool",
        [writer.nchw(op.input)],
        kernel_shape=ints_of(op.kernel),
        strides=ints_of(op.strides),
        pads=ints_of(op.pads),
        count_include_pad=int(bool(op.count_include_pad.value.data)),
    )
    writer.finish_nchw(made, op.result, op.clamp)


@exports(nn.ConvTranspose2dOp)
def _conv_transpose2d(writer: Writer, op: nn.ConvTranspose2dOp) -> None:
    """Rows and columns that pads cut off or add are so outside the operator, which knows some of them only."""
    groups, pads = op.groups.value.data, ints_of(op.pads)
    outputs, *window, depth = tensor_of(op.weight).get_shape()
    # ONNX has [C, O / groups, KH, KW]: groups come first here and in the inputs' order there.
    owner = op.weight.owner
    grouped = (groups, outputs // groups, *window, depth)
    ordered = (groups * depth, outputs // groups, *window)
    if isinstance(owner, nn.ConstantOp):
        array = array_of(owner.value).reshape(grouped).transpose(0, 4, 1, 2, 3).reshape(ordered)
        weight = writer.constant(array, element(op.weight))
    else:
        weight = writer.reshaped(writer.name(op.weight), grouped)
        weight = writer.reshaped(writer.node("Transpose", [weight], perm=[0, 4, 1, 2, 3]), ordered)
    made = writer.node(
        "ConvTranspose",
        [writer.nchw(op.input), weight],
        strides=ints_of(op.strides),
        dilations=ints_of(op.dilations),
        pads=[max(pad, 0) for pad in pads],
        group=groups,
    )
    if min(pads) < 0:
        added = [max(-pad, 0) for pad in pads]
        made = writer.padded(made, [0, 0, *added[:2], 0, 0, *added[2:]], 0.0, op.input)
    if op.bias is not None:
        bias = writer.reshaped(writer.name(op.bias), (outputs, 1, 1))
        made = writer.node("Add", [made, bias])
    writer.finish_nchw(made, op.result, op.clamp)
