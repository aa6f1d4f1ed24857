"""Nodes on quantized tensors as nodes of ONNX's own operators: dequantize, compute in floats, quantize.

For shape inference, which does not know the operators of other domains, and for the interpreter.
"""

from __future__ import annotations

from collections.abc import Mapping

from onnx import AttributeProto, NodeProto, TensorProto, helper

from intaglio.dialects.onnx.quantized_forms import BoundOperand, bind
from intaglio.dialects.onnx.schema import canonical_domain, find_operator
from intaglio.frontend.node_writer import NodeWriter

_AXES_ARE_AN_INPUT = 18
_AXIS_SINCE = 13


def float_nodes(node: NodeProto, opset: int) -> list[NodeProto] | None:
    """The nodes that compute what a node on quantized tensors does; None for other nodes.

    Names of the values in between are the node's first output with a slash and a number.

    Args:
        node: of a model.
        opset: of the domain `ai.onnx` in that model; below 13 scales along an axis are not expressed.
    """
    attributes = {attribute.name: attribute for attribute in node.attribute}
    integers = {name: value.i for name, value in attributes.items() if value.type == AttributeProto.INT}
    inputs = [name or None for name in node.input]
    form = bind(canonical_domain(node.domain), node.op_type, inputs, integers)
    if form is None:
        return None
    writer = _Writer(node.output[0], opset)
    operands = [writer.operand(operand, _scale_factor(attributes)) for operand in form.operands]
    made = helper.make_node(form.operator, operands, [node.output[0]])
    operator = find_operator("", form.operator)
    version = operator.at(opset) if operator is not None else None
    if version is None:
        return None
    made.attribute.extend(value for name, value in attributes.items() if name in version.attributes)
    if "axes" in attributes and opset >= _AXES_ARE_AN_INPUT:
        made.input.append(writer.numbers(attributes["axes"].ints))
    writer.nodes.append(made)
    if form.scale is not None:
        made.output[0] = writer.name()
        parameters = [form.scale] if form.zero_point is None else [form.scale, form.zero_point]
        writer.nodes.append(helper.make_node("QuantizeLinear", [made.output[0], *parameters], [node.output[0]]))
    return writer.nodes


def cast_node(node: NodeProto, data_types: Mapping[str, int]) -> NodeProto | None:
    """A cast with the result type of a node that quantizes or dequantizes, None for other nodes.

    onnxruntime's own `QuantizeLinear` and `DequantizeLinear` take types that ONNX's take only in later opsets.

    Args:
        node: of a model.
        data_types: `TensorProto.DataType` of initializers by name.
    """
    match node.op_type:
        case "QuantizeLinear":
            # Without a zero point the result is uint8.
            kind = data_types.get(node.input[2]) if len(node.input) > 2 and node.input[2] else TensorProto.UINT8
        case "DequantizeLinear":
            kind = data_types.get(node.input[1])
        case _:
            kind = None
    return None if kind is None else helper.make_node("Cast", node.input[:1], node.output, to=kind)


def _scale_factor(attributes: Mapping[str, AttributeProto]) -> float:
    """What the scale of a bias has besides the scales of the operands: the `alpha` of QGemm."""
    return attributes["alpha"].f if "alpha" in attributes else 1.0


class _Writer(NodeWriter):
    def __init__(self, result: str, opset: int) -> None:
        super().__init__(result)
        self._opset = opset

    def operand(self, operand: BoundOperand[str], factor: float) -> str:
        """The float operand."""
        if not operand.scales:
            return operand.value
        scale, *others = operand.scales
        for other in others:
            scale = self.add("Mul", [scale, other])
        if others and factor != 1:
            scale = self.add("Mul", [scale, self.number(factor)])
        inputs = [operand.value, scale]
        if operand.zero_point is not None:
            inputs.append(operand.zero_point)
        axis = {"axis": operand.axis} if self._opset >= _AXIS_SINCE else {}
        return self.add("DequantizeLinear", inputs, **axis)
