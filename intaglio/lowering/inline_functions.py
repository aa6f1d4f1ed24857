"""Replace operators that nothing lowers by the functions that ONNX defines them as.

Most newer ONNX operators (`Attention`, `LayerNormalization`, `SoftmaxCrossEntropyLoss`, ...) have a definition in
terms of simpler ones, which may depend on the types and constants they are given. A node is replaced when there is
no rule to run it on the host and ONNX has a definition for it; nodes of the definition are treated likewise.

```mlir
%y = onnx.Mish(%x) as "y" : (tensor<4xf32>) -> tensor<4xf32>
// becomes
%0 = onnx.Softplus(%x) as "..." : (tensor<4xf32>) -> tensor<4xf32>
%1 = onnx.Tanh(%0) as "..." : (tensor<4xf32>) -> tensor<4xf32>
%y = onnx.Mul(%x, %1) as "y" : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
```

It runs after `onnx-to-nn`, which takes what `nn` has an operation for; the results of inlining are for
`onnx-to-nn` again. Nodes that carry graphs are left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from onnx import ModelProto, defs, inliner
from xdsl.context import Context
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.utils.hints import isa

from intaglio.dialects import nn
from intaglio.dialects.onnx import InitializerOp, NodeOp, OnnxOp
from intaglio.dialects.weights import WeightsAttr, array_of
from intaglio.errors import UserError
from intaglio.frontend.exporter import main_function, write_model_attributes
from intaglio.frontend.importer import import_model
from intaglio.frontend.protobuf import Names, node_to_proto, tensor_to_proto, value_info
from intaglio.frontend.shape_values import LARGEST
from intaglio.lowering.host_to_relax.registry import find_rule


@dataclass(frozen=True)
class InlineFunctions(ModulePass):
    """Replace operators that nothing else lowers by their definitions in terms of simpler operators."""

    name = "inline-functions"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Run the pass."""
        for function in op.body.block.ops:
            if isinstance(function, FuncOp) and not function.is_declaration:
                for block in function.body.blocks:
                    _inline_block(op, block)
                function.update_function_type()


def _inline_block(module: ModuleOp, block: Block) -> None:
    current = block.first_op
    while current is not None:
        following = current.next_op
        if isinstance(current, OnnxOp) and _has_definition(current) and find_rule(current) is None:
            first = _inlined(module, current)
            following = first or following
        current = following


def _has_definition(op: OnnxOp) -> bool:
    if op.regions:
        return False
    try:
        # The members are missing from the stubs of onnx.
        schema: Any = defs.get_schema(op.op_type, op.opset, op.domain)
    except defs.SchemaError:
        return False
    return bool(schema.has_function or schema.has_context_dependent_function)


def _inlined(module: ModuleOp, op: OnnxOp) -> Operation | None:
    """Replace a node by its definition.

    Returns:
        The first of the new operations, or None when the definition cannot be had and the node stays.
    """
    names = Names()
    model = ModelProto()
    write_model_attributes(module, model)
    model.ClearField("metadata_props")
    model.graph.Clear()
    model.graph.name = op.op_type
    outside: dict[str, SSAValue] = {}
    for operand in dict.fromkeys(op.operands):
        name = names[operand]
        value = _small_constant(operand)
        if value is not None:
            model.graph.initializer.append(tensor_to_proto(value, name))
        else:
            outside[name] = operand
            model.graph.input.append(value_info(operand, name))
    node = node_to_proto(op, names)
    node.name = node.name or "node"
    model.graph.node.append(node)
    model.graph.output.extend(value_info(result, names[result]) for result in op.results)
    try:
        inlined = inliner.inline_selected_functions(model, [(op.domain, op.op_type)], inline_schema_functions=True)
    except Exception:
        # The inliner is foreign code: a definition that it cannot give is as good as none.
        return None
    if any((inner.domain, inner.op_type) == (node.domain, node.op_type) for inner in inlined.graph.node):
        return None
    del inlined.graph.value_info[:]
    try:
        body = main_function(import_model(inlined.SerializeToString()))
    except UserError:
        return None
    return _spliced(op, body, [outside[name] for name in (value.name for value in inlined.graph.input)])


def _small_constant(value: SSAValue) -> Attribute | None:
    """The value of a constant that may be a shape, an axis or a size."""
    owner = value.owner
    if not isinstance(owner, nn.ConstantOp | InitializerOp):
        return None
    attribute = owner.value
    if not isinstance(attribute, WeightsAttr) and not isa(attribute, DenseIntOrFPElementsAttr):
        return None
    return attribute if array_of(attribute).size <= LARGEST else None


def _spliced(op: OnnxOp, body: FuncOp, operands: list[SSAValue]) -> Operation | None:
    """Put the operations of a function without arguments' uses in place of a node."""
    block = op.parent
    assert block is not None
    source = body.body.block
    for argument, operand in zip(source.args, operands, strict=True):
        argument.replace_all_uses_with(operand)
    end = source.last_op
    assert isinstance(end, ReturnOp)
    results = list(end.operands)
    end.detach()
    end.erase()
    first: Operation | None = None
    for inner in list(source.ops):
        inner.detach()
        inner.location = op.location
        if isinstance(inner, NodeOp):
            inner.result_names = None
        block.insert_op_before(inner, op)
        first = first or inner
    for result, value in zip(op.results, results, strict=True):
        result.replace_all_uses_with(value)
    op.detach()
    op.erase()
    return first
