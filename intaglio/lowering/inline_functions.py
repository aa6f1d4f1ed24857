"""Replace operators that nothing lowers by the functions that ONNX defines them as, and graphs by their nodes.

Most newer ONNX operators (`Attention`, `LayerNormalization`, `SoftmaxCrossEntropyLoss`, ...) have a definition in
terms of simpler ones, which may depend on the types and constants they are given. A node is replaced when there is
no rule to run it on the host and ONNX has a definition for it; nodes of the definition are treated likewise.

```mlir
%y = onnx.Mish(%x) as "y" : (tensor<4xf32>) -> tensor<4xf32>
// becomes
%0 = onnx.Softplus(%x) : (tensor<4xf32>) -> tensor<4xf32>
%1 = onnx.Tanh(%0) : (tensor<4xf32>) -> tensor<4xf32>
%y = onnx.Mul(%x, %1) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
```

Definitions compute shapes and choose between graphs by them. Therefore nodes are visited in order, and on the way
constants are folded, shapes that become known are filled in, and `If`, `Loop` and `Scan` give way to the nodes of
their graphs (`intaglio.lowering.control_flow`).

It runs after `onnx-to-nn`, which takes what `nn` has an operation for; the results are for `onnx-to-nn` again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from onnx import FunctionProto, ModelProto, NodeProto, checker, defs, helper, inliner, shape_inference
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.passes import ModulePass

from intaglio.dialects.onnx import NodeOp, OnnxOp, contributed, opset_of
from intaglio.errors import UserError
from intaglio.frontend.dynamic_nodes import dynamic_nodes, has_dynamic_form
from intaglio.frontend.exporter import main_function
from intaglio.frontend.importer import import_model
from intaglio.frontend.node_model import node_model
from intaglio.interpreter.values import tensor_type, value_shape
from intaglio.lowering.control_flow import CONTROL_FLOW, replaced_control_flow
from intaglio.lowering.host_to_relax.registry import find_rule
from intaglio.lowering.onnx_node import Node, normal_axis
from intaglio.passes.graph.fold_constants import computed_constants, known_value

_MAX_ELEMENTS = 65536
"""Constants of more elements are not folded here."""

_DEFINITIONS = "intaglio.definitions"
"""Domain of definitions while they are being inlined."""


_INLINER_ERRORS = (RuntimeError, ValueError, checker.ValidationError, shape_inference.InferenceError, DecodeError)
"""What ONNX's inliner and its schemas raise about nodes that they cannot define."""


@dataclass(frozen=True)
class InlineFunctions(ModulePass):
    """Replace operators that nothing else lowers by their definitions, and graphs inside nodes by their nodes."""

    name = "inline-functions"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Run the pass."""
        for function in op.body.block.ops:
            if isinstance(function, FuncOp) and not function.is_declaration:
                for block in function.body.blocks:
                    _Inliner(op).process(block.first_op, None)
                function.update_function_type()


class _Inliner:
    """Visits operations in order, those included that take the place of others."""

    def __init__(self, module: ModuleOp) -> None:
        self._module = module

    def process(self, first: Operation | None, end: Operation | None) -> None:
        """Visit the operations from `first` to before `end`."""
        current = first
        while current is not None and current is not end:
            current = self._visit(current)

    def _visit(self, op: Operation) -> Operation | None:
        """Treat one operation and return the one to go on with."""
        if isinstance(op, OnnxOp) and not all(_is_static(result) for result in op.results):
            op = self._with_shapes(op)
        constants = computed_constants(op, _MAX_ELEMENTS)
        if constants is not None:
            following = op.next_op
            _replace(op, list(constants), [constant.result for constant in constants])
            return following
        if not isinstance(op, OnnxOp):
            return op.next_op
        if op.op_type in CONTROL_FLOW and not op.domain:
            following = op.next_op
            first = replaced_control_flow(op, self.process)
            return following if first is None else first
        following = op.next_op
        if op.regions or find_rule(op) is not None or not _has_definition(op):
            return following
        return self._defined(op) or following

    def _with_shapes(self, op: OnnxOp) -> OnnxOp:
        """The node with the result types that ONNX infers now that more is known of its operands."""
        kinds = self._inferred(op)
        if kinds == [result.type for result in op.results]:
            return op
        made = type(op).create(
            operands=list(op.operands),
            result_types=kinds,
            properties=op.properties,
            attributes=op.attributes,
            location=op.location,
        )
        _replace(op, [made], list(made.results))
        return made

    def _inferred(self, op: OnnxOp) -> list[Attribute]:
        body = self._imported(op, inline=False)
        kinds: list[Attribute] = [result.type for result in op.results]
        if body is not None and isinstance(body.body.block.last_op, ReturnOp):
            kinds = [value.type for value in body.body.block.last_op.operands]
        condition = known_value(op.operands[1]) if op.op_type == "Compress" else None
        if condition is not None and _is_static(op.operands[0]):
            # ONNX does not infer this one, whose shape depends on values.
            shape, node = list(value_shape(op.operands[0])), Node(op)
            axis = normal_axis(node.integer("axis"), len(shape)) if node.has("axis") else None
            if axis is None:
                shape, axis = [math.prod(shape)], 0
            shape[axis] = int(np.count_nonzero(condition[: shape[axis]]))
            kinds[0] = TensorType(tensor_type(op.operands[0]).get_element_type(), shape)
        return kinds

    def _defined(self, op: OnnxOp) -> Operation | None:
        """Replace a node by its definition.

        Returns:
            The first of the new operations, or None when the definition cannot be had and the node stays.
        """
        body = self._imported(op, inline=True)
        if body is None:
            return None
        source = body.body.block
        for argument, operand in zip(source.args, node_model(self._module, op).inputs, strict=True):
            argument.replace_all_uses_with(operand)
        end = source.last_op
        assert isinstance(end, ReturnOp)
        results = list(end.operands)
        end.detach()
        end.erase()
        added = list(source.ops)
        for inner in added:
            inner.detach()
            inner.location = op.location
            for nested in inner.walk():
                if isinstance(nested, NodeOp):
                    nested.result_names = None
        following = op.next_op
        _replace(op, added, results)
        return added[0] if added else following

    def _imported(self, op: OnnxOp, *, inline: bool) -> FuncOp | None:
        """The node, or its definition, as a function; None when ONNX does not give it."""
        if op.regions or not all(_is_static(operand) for operand in op.operands):
            return None
        try:
            model = node_model(self._module, op).model
            if inline:
                model = _with_definition(model, op)
            for output in model.graph.output:
                output.type.tensor_type.ClearField("shape")
            return main_function(import_model(model.SerializeToString()))
        except (UserError, *_INLINER_ERRORS):
            # A definition that cannot be given is as good as none.
            return None


def _with_definition(model: ModelProto, op: OnnxOp) -> ModelProto:
    """A model of one node with its definition instead.

    Raises:
        UserError: ONNX has no definition for the model's opset.
    """
    node = model.graph.node[0]
    _add_defaults(node, op)
    written = dynamic_nodes(node, opset_of(op, ""))
    if written is None and op.domain == contributed.DOMAIN:
        raise UserError(f"this form of {op.op_type} has no definition")
    if written is not None:
        del model.graph.node[:]
        model.graph.node.extend(written)
        return model
    if "" in node.input:
        return _with_local_definition(model, op)
    model = inliner.inline_selected_functions(model, [(op.domain, op.op_type)], inline_schema_functions=True)
    if any((inner.domain, inner.op_type) == (op.domain, op.op_type) for inner in model.graph.node):
        raise UserError(f"there is no definition of {op.op_type} in opset {op.opset}")
    del model.graph.value_info[:]
    return model


def _with_local_definition(model: ModelProto, op: OnnxOp) -> ModelProto:
    """As `_with_definition`, with the definition as a function of the model.

    ONNX's inliner (1.23) fails on nodes that leave out an input in the middle.
    """
    node = model.graph.node[0]
    # The members are missing from the stubs of onnx.
    schema: Any = defs.get_schema(op.op_type, op.opset, op.domain)
    kinds = {value.name: value.type.SerializeToString() for value in model.graph.input}
    for tensor in model.graph.initializer:
        kinds[tensor.name] = helper.make_tensor_type_proto(tensor.data_type, tensor.dims).SerializeToString()
    versions = [version for version in schema.context_dependent_function_opset_versions if version <= op.opset]
    function = FunctionProto()
    if versions:
        arguments = [kinds.get(name, b"") for name in node.input]
        body = schema.get_context_dependent_function_with_opset_version(
            max(versions), node.SerializeToString(), arguments
        )
        function.ParseFromString(body)
    else:
        function.CopyFrom(schema.function_body)
    function.domain = node.domain = _DEFINITIONS
    del function.opset_import[:]
    function.opset_import.extend(model.opset_import)
    model.opset_import.append(helper.make_opsetid(_DEFINITIONS, 1))
    model.functions.append(function)
    return model


def _is_static(value: SSAValue) -> bool:
    kind = value.type
    return isinstance(kind, TensorType) and kind.has_static_shape()


def _add_defaults(node: NodeProto, op: OnnxOp) -> None:
    """Give a node the attributes that it leaves to their defaults, which the inliner does not know."""
    given = {attribute.name for attribute in node.attribute}
    for name, attribute in op.version.attributes.items():
        if name not in given and attribute.default is not None:
            node.attribute.append(helper.make_attribute(name, attribute.default, attr_type=attribute.kind.value))


def _has_definition(op: OnnxOp) -> bool:
    if has_dynamic_form(op.domain, op.op_type):
        return True
    try:
        # The members are missing from the stubs of onnx.
        schema: Any = defs.get_schema(op.op_type, op.opset, op.domain)
    except defs.SchemaError:
        return False
    return bool(schema.has_function or schema.has_context_dependent_function)


def _replace(op: Operation, added: list[Operation], results: list[SSAValue]) -> None:
    """Put operations in place of one, whose results their values become."""
    block = op.parent
    assert isinstance(block, Block)
    for inner in added:
        if inner.parent is None:
            inner.location = op.location
            block.insert_op_before(inner, op)
    for result, value in zip(op.results, results, strict=True):
        result.replace_all_uses_with(value)
    op.detach()
    op.erase()
