"""Move the accelerator's operations into functions of their own that the host launches.

```mlir
%1 = quant.qcast %0                                    %1 = quant.qcast %0
%2 = nn.conv2d %1, ... {device = "accelerator"}        %3 = npu.launch @region_0(%1)
%3 = nn.relu %2 {device = "accelerator"}          ->   %4 = quant.dcast %3
%4 = quant.dcast %3                                    func.func @region_0(...) attributes {device = "accelerator"}
```

A region must not wait for the host in its middle; which operations form one is decided in `regions.py`, so that there
are as few as can be and little crosses their boundaries. Constants are copied into the regions that use them.

A launch has at most 14 tensors (DRAM has 16 regions, two of which are constants and arena). A region with more is
cut into consecutive ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Block, Operation, OpResult, Region, SSAValue
from xdsl.passes import ModulePass

from intaglio.dialects import nn, npu
from intaglio.ir.locations import named
from intaglio.passes.partition.placement import ACCELERATOR, DEVICE, device_of
from intaglio.passes.partition.regions import Graph, region_levels
from intaglio.passes.quantization.coverage import constant_of, functions_with_body

LARGEST_INTERFACE = 14


@dataclass(frozen=True)
class OutlineRegions(ModulePass):
    """Move the accelerator's operations into region functions that the host launches."""

    name = "outline-regions"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Outline the regions of every host function."""
        taken = {function.sym_name.data for function in op.ops if isinstance(function, func.FuncOp)}
        names = (name for index in itertools.count() if (name := f"region_{index}") not in taken)
        for function in list(functions_with_body(op)):
            if device_of(function) == ACCELERATOR:
                continue
            for members in _regions(function.body.block):
                op.body.block.add_op(_outline(members, next(names)))
            _erase_dead_constants(function.body.block)


def _regions(block: Block) -> list[list[Operation]]:
    """The operations of each region, after sorting the block so that each region's stand together."""
    graph = Graph.of(block)
    on_accelerator = [device_of(op) == ACCELERATOR for op in graph.ops]
    if not any(on_accelerator):
        return []
    levels = dict(zip(graph.ops, region_levels(graph, on_accelerator), strict=True))
    # Host operations of a level run before its region.
    constants = [op for op in block.ops if isinstance(op, nn.ConstantOp)]
    order = [*constants, *sorted(levels, key=lambda op: (levels[op], device_of(op) == ACCELERATOR))]
    terminator = block.last_op
    assert terminator is not None
    for op in order:
        op.detach()
        block.insert_op_before(op, terminator)
    members = [op for op in order if device_of(op) == ACCELERATOR]
    by_level = itertools.groupby(members, key=lambda op: levels[op])
    return [part for _, region in by_level for part in _cut(list(region))]


def _cut(ops: list[Operation]) -> Iterator[list[Operation]]:
    """Yield a region's operations, in consecutive parts if it has too many tensors for one launch."""
    while ops:
        end = len(ops)
        while end > 1 and sum(map(len, _interface(ops[:end]))) > LARGEST_INTERFACE:
            end -= 1
        yield ops[:end]
        ops = ops[end:]


def _interface(members: Sequence[Operation]) -> tuple[list[SSAValue], list[OpResult]]:
    """The values that go into a region and those that come out, in order of use and definition."""
    inside = set(members)
    inputs = dict.fromkeys(
        operand
        for op in members
        for operand in op.operands
        if operand.owner not in inside and constant_of(operand) is None
    )
    outputs = [
        result for op in members for result in op.results if any(use.operation not in inside for use in result.uses)
    ]
    return list(inputs), outputs


def _outline(members: Sequence[Operation], name: str) -> func.FuncOp:
    """Move operations, which stand together, into a function, and launch it in their place."""
    inside = set(members)
    inputs, outputs = _interface(members)
    block = members[0].parent
    assert block is not None
    launch = npu.LaunchOp(name, inputs, [value.type for value in outputs])
    launch.location = named(name)
    block.insert_op_before(launch, members[0])
    for value, result in zip(outputs, launch.results, strict=True):
        result.name_hint = value.name_hint
        value.replace_uses_with_if(result, lambda use: use.operation not in inside)
    body = Block(arg_types=[value.type for value in inputs])
    for value, argument in zip(inputs, body.args, strict=True):
        argument.name_hint = value.name_hint
        value.replace_uses_with_if(argument, lambda use: use.operation in inside)
    constants = dict.fromkeys(constant for op in members for value in op.operands if (constant := constant_of(value)))
    for constant in constants:
        copy = constant.clone()
        copy.location = constant.location
        body.add_op(copy)
        constant.result.replace_uses_with_if(copy.result, lambda use: use.operation in inside)
    for op in members:
        op.detach()
        op.attributes.pop(DEVICE, None)
        body.add_op(op)
    body.add_op(func.ReturnOp(*outputs))
    types = [value.type for value in inputs], [value.type for value in outputs]
    function = func.FuncOp(name, types, Region(body))
    function.attributes[DEVICE] = StringAttr(ACCELERATOR)
    function.location = named(name)
    return function


def _erase_dead_constants(block: Block) -> None:
    for op in list(block.ops):
        if isinstance(op, nn.ConstantOp) and op.result.first_use is None:
            op.detach()
            op.erase()
