"""A node of the `onnx` dialect as a model of its own, so that ONNX's tools can say things about it."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import ModelProto
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, ModuleOp
from xdsl.ir import Attribute, SSAValue
from xdsl.utils.hints import isa

from intaglio.dialects import nn
from intaglio.dialects.onnx import InitializerOp, OnnxOp
from intaglio.dialects.weights import WeightsAttr, array_of
from intaglio.frontend.exporter import write_model_attributes
from intaglio.frontend.protobuf import Names, node_to_proto, tensor_to_proto, value_info
from intaglio.frontend.shape_values import LARGEST


@dataclass(frozen=True)
class NodeModel:
    """A model with one node.

    Args:
        model: the model.
        inputs: the values that its graph inputs stand for. Small constants are initializers.
    """

    model: ModelProto
    inputs: list[SSAValue]


def node_model(module: ModuleOp, op: OnnxOp) -> NodeModel:
    """The model of a node without graphs, with the operator sets of the module.

    Raises:
        UserError: a type or attribute has no ONNX counterpart.
    """
    names = Names()
    model = ModelProto()
    write_model_attributes(module, model)
    model.graph.Clear()
    model.graph.name = op.op_type
    inputs: list[SSAValue] = []
    for operand in dict.fromkeys(op.operands):
        name = names[operand]
        value = small_constant(operand)
        if value is not None:
            model.graph.initializer.append(tensor_to_proto(value, name))
        else:
            inputs.append(operand)
            model.graph.input.append(value_info(operand, name))
    model.graph.node.append(node_to_proto(op, names))
    model.graph.output.extend(value_info(result, names[result]) for result in op.results)
    return NodeModel(model, inputs)


def small_constant(value: SSAValue) -> Attribute | None:
    """The value of a constant that may be a shape, an axis or a size, None for any other value."""
    owner = value.owner
    if not isinstance(owner, nn.ConstantOp | InitializerOp):
        return None
    attribute = owner.value
    if not isinstance(attribute, WeightsAttr) and not isa(attribute, DenseIntOrFPElementsAttr):
        return None
    return attribute if array_of(attribute).size <= LARGEST else None
