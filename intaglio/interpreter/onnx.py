"""Rules of the `onnx` dialect: each node is a model of its own for ONNX's reference evaluator.

Its opset is that of the module the op stands in. Nodes that carry graphs (`If`, `Loop`) and nodes of operators
without a schema have no meaning here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast
from weakref import WeakKeyDictionary

import numpy as np
from onnx import AttributeProto, NodeProto, TypeProto, ValueInfoProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    f32,
    i64,
)
from xdsl.ir import Attribute, Operation

from intaglio.dialects.onnx import InitializerOp, OctetsAttr, OnnxOp, contributed, floats_of, ints_of
from intaglio.dialects.weights import WeightsAttr, array_of
from intaglio.errors import UserError
from intaglio.frontend.dynamic_nodes import dynamic_nodes
from intaglio.frontend.quantized_nodes import float_nodes
from intaglio.frontend.types import type_to_proto
from intaglio.interpreter.registry import rule
from intaglio.interpreter.values import Array
from intaglio.ir.locations import describe, where

_OPSET_OF_FORMS = 21
"""The opset whose operators stand for those of onnxruntime: int16 and int4 can be quantized to from it on."""

_EVALUATORS: WeakKeyDictionary[Operation, ReferenceEvaluator] = WeakKeyDictionary()


def attribute_value(attribute: Attribute) -> Any:
    """The value of a node attribute as `onnx.helper.make_attribute` takes it."""
    match attribute:
        case IntegerAttr() | FloatAttr():
            return attribute.value.data
        case StringAttr() | OctetsAttr():
            return attribute.data
        case DenseArrayBase() if attribute.elt_type == f32:
            return floats_of(attribute)
        case DenseArrayBase():
            return ints_of(attribute)
        case ArrayAttr():
            return [attribute_value(entry) for entry in attribute]
        case DenseIntOrFPElementsAttr() | WeightsAttr():
            return numpy_helper.from_array(array_of(attribute))
        case _:
            return type_to_proto(attribute)


def attribute_proto(op: OnnxOp, name: str, attribute: Attribute) -> AttributeProto:
    """A node attribute, of the kind that the schema declares even where a list is empty.

    Raises:
        UserError: the reference evaluator takes no such value.
    """
    value = attribute_value(attribute)
    if value is None:
        raise UserError(f"attribute '{name}' of {describe(op)} cannot be evaluated", where=where(op.location))
    (kind, *others) = op.SCHEMA.attributes[name]
    return helper.make_attribute(name, value, attr_type=None if others else kind.value)


def is_inference_batch_norm(op: OnnxOp) -> bool:
    """Whether a node is an inference batch norm of opset 7 to 13: one that has a single output.

    ONNX's reference (1.23) takes the presence of `momentum`, which has a default, for training there.
    """
    return op.op_type == "BatchNormalization" and 7 <= op.opset < 14 and len(op.results) == 1


def flattens_to_two_dimensions(op: OnnxOp) -> bool:
    """Whether a node normalizes over all dimensions from `axis` on, as softmax and its kin did before opset 13.

    ONNX's reference (1.23) normalizes over `axis` alone in every opset.
    """
    return op.op_type in ("Softmax", "LogSoftmax", "Hardmax") and not op.domain and op.opset < 13


def faithful_form(op: OnnxOp) -> tuple[int, Mapping[str, Attribute]]:
    """The opset and attributes with which ONNX's reference computes what the node means."""
    attributes = op.node_attributes()
    if is_inference_batch_norm(op):
        return 15, {name: value for name, value in attributes.items() if name == "epsilon"}
    if flattens_to_two_dimensions(op):
        return 13, {"axis": IntegerAttr(1, i64)}
    return op.opset, attributes


def known_nodes(node: NodeProto) -> list[NodeProto]:
    """Nodes of ONNX's own operators that do what one of onnxruntime's does; the node itself if there are none."""
    made = float_nodes(node, _OPSET_OF_FORMS) or dynamic_nodes(node, _OPSET_OF_FORMS)
    if made is None and node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        made = [helper.make_node(node.op_type, node.input, node.output)]
        made[0].attribute.extend(node.attribute)
    return made or [node]


def evaluator_of(op: OnnxOp) -> ReferenceEvaluator:
    """The reference evaluator of a model with this one node.

    Raises:
        UserError: the node carries graphs, or attributes that the evaluator does not take.
    """
    if op.regions:
        raise UserError(
            f"the interpreter does not run nodes that carry graphs: {describe(op)}", where=where(op.location)
        )
    inputs = ["" if value is None else f"input_{index}" for index, value in enumerate(op.node_inputs())]
    outputs = ["" if value is None else f"output_{index}" for index, value in enumerate(op.node_outputs())]
    node = helper.make_node(op.op_type, inputs, outputs, domain=op.domain)
    opset, attributes = faithful_form(op)
    node.attribute.extend(attribute_proto(op, name, value) for name, value in attributes.items())
    present = [(name, value) for name, value in zip(inputs, op.node_inputs(), strict=True) if value is not None]
    nodes = [node]
    if op.domain == contributed.DOMAIN:
        nodes, opset = known_nodes(node), _OPSET_OF_FORMS
    graph = helper.make_graph(
        nodes,
        "node",
        [ValueInfoProto(name=name, type=type_to_proto(value.type) or TypeProto()) for name, value in present],
        [ValueInfoProto(name=name) for name in outputs if name],
    )
    opsets = [helper.make_opsetid(nodes[0].domain, opset)]
    if nodes[0].domain:
        opsets.append(helper.make_opsetid("", helper.VERSION_TABLE[-1][2]))
    return ReferenceEvaluator(helper.make_model(graph, opset_imports=opsets))


@rule(InitializerOp)
def initializer(op: InitializerOp, operands: list[Array]) -> list[Array]:
    """The tensor, read-only."""
    return [array_of(op.value)]


@rule(OnnxOp)
def node(op: OnnxOp, operands: list[Array]) -> list[Array]:
    """What ONNX's reference evaluator computes, given the node in a form that it understands as ONNX says."""
    if flattens_to_two_dimensions(op):
        axis = op.node_attributes().get("axis")
        shape = operands[0].shape
        leading = math.prod(shape[: attribute_value(axis) if axis is not None else 1])
        return [result.reshape(shape) for result in evaluated(op, [operands[0].reshape(leading, -1)])]
    return evaluated(op, operands)


def evaluated(op: OnnxOp, operands: list[Array]) -> list[Array]:
    """The results of a node's evaluator.

    Raises:
        UserError: the evaluator cannot run the node on these values.
    """
    try:
        if op not in _EVALUATORS:
            _EVALUATORS[op] = evaluator_of(op)
        evaluator = _EVALUATORS[op]
        feeds = {str(name): value for name, value in zip(evaluator.input_names, operands, strict=True)}
        results = cast("list[Any]", evaluator.run(None, feeds))  # pyright: ignore[reportUnknownMemberType]  # untyped
        return [np.asarray(result) for result in results]
    except UserError:
        raise
    except Exception as error:
        # The evaluator is foreign code that raises what it pleases about operators and values it cannot run.
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"ONNX's reference cannot run {describe(op)}: {message}", where=where(op.location)) from error
