"""Lower `onnx` ops to `nn` ops.

One walk over every function, in order: initializers and constants become `nn.constant`, and every node is given to
the rule of its operator (`intaglio.lowering.onnx_rules`). A node without a rule, or whose rule cannot express it,
stays an `onnx` op; graph-valued attributes are not entered. Values keep the types that ONNX gives them, so the
two kinds of ops mix freely: ops with a spatial layout stand between transposes to NHWC and back, which
`fold-transposes` cancels.

```mlir
%y = onnx.Relu(%x) as "y" : (tensor<1x8x4x4xf32>) -> tensor<1x8x4x4xf32>
// becomes
%y = nn.relu %x : (tensor<1x8x4x4xf32>) -> tensor<1x8x4x4xf32>
```
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, ModuleOp, f32, i64
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.hints import isa

from intaglio.dialects import nn
from intaglio.dialects.onnx import InitializerOp, OnnxOp
from intaglio.dialects.quant import DequantizeCastOp
from intaglio.dialects.weights import WeightsAttr
from intaglio.errors import UserError
from intaglio.ir.locations import name_of, named, where
from intaglio.lowering.onnx_node import Builder, Node, find_rule, location_of
from intaglio.lowering.replacement import erase_unused, function_blocks, replace_outputs


@dataclass(frozen=True)
class OnnxToNn(ModulePass):
    """Lower the operators that `nn` can express, with NHWC layout and explicit padding."""

    name = "onnx-to-nn"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Lower all functions of the module."""
        for block in function_blocks(op):
            _lower_block(block)


def _lower_block(block: Block) -> None:
    for op in list(block.ops):
        if isinstance(op, InitializerOp):
            _lower_initializer(op)
        elif isinstance(op, OnnxOp):
            _lower_node(op)
    erase_unused(block, nn.ConstantOp, InitializerOp, DequantizeCastOp)


def _lower_initializer(op: InitializerOp) -> None:
    value = op.value
    if isa(value, DenseIntOrFPElementsAttr) or isinstance(value, WeightsAttr):
        builder = Builder(op, named(op.tensor_name.data))
        replace_outputs(op, [builder.add(nn.ConstantOp(value))])


def _lower_node(op: OnnxOp) -> None:
    outputs = op.node_outputs()
    if not outputs:
        return
    builder = Builder(op, location_of(op))
    before = op.prev_op
    if op.op_type == "Constant" and not op.domain:
        value = _constant(op, builder)
        made = None if value is None else [value]
    else:
        rule = find_rule(op)
        made = None if rule is None else rule(Node(op), builder)
    if made is not None:
        _verify_made(op, before)
        replace_outputs(op, made)


def _verify_made(op: OnnxOp, before: Operation | None) -> None:
    """Verify what stands between `before` and a node, for ONNX's shape inference lets impossible shapes pass."""
    block = op.parent
    assert block is not None
    made = block.first_op if before is None else before.next_op
    while made is not None and made is not op:
        try:
            made.verify()
        except VerifyException as error:
            message = str(error).splitlines()[0]
            name = name_of(op)
            what = f'node "{name}" ({op.op_type})' if name else op.name
            raise UserError(f"{what} is not valid: {message}", where=where(op.location)) from error
        made = made.next_op


def _constant(op: OnnxOp, builder: Builder) -> SSAValue | None:
    attributes = op.node_attributes()
    value: Attribute | None = attributes.get("value")
    if isa(value, DenseIntOrFPElementsAttr) or isinstance(value, WeightsAttr):
        return builder.add(nn.ConstantOp(value))
    node = Node(op)
    if "value_int" in attributes:
        return builder.constant(np.asarray(node.integer("value_int")), i64)
    if "value_ints" in attributes:
        return builder.constant(np.asarray(node.integers("value_ints"), np.int64), i64)
    if "value_float" in attributes:
        return builder.constant(np.asarray(node.real("value_float"), np.float32), f32)
    return None
