"""Lower each accelerator region to a program of tasks on buffers.

```mlir
func.func @region_0(%x: ..) -> .. {           npu.program @region_0 : (..) -> .. target "gen1" {
  %w = nn.constant ..                    ->   ^bb0(%in: !npu.buffer<dram, 784>, %out: !npu.buffer<dram, 784>):
  %y = nn.conv2d %x, %w ..                      %w = npu.constant ..
  func.return %y                                %0 = npu.load ..   %1 = npu.matrix_multiply .. ...
}                                             }
```

How a region is cut into tiles is decided in `intaglio.lowering.tiling`. The tasks stand in the order of the layers,
each transfer beside the task that needs it; moving transfers apart is `overlap-transfers`, addresses are
`allocate-scratchpad`, order between queues is `insert-tokens`.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr
from xdsl.ir import Block, Region
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from intaglio.dialects import npu
from intaglio.dialects.npu.program import tensor_bytes
from intaglio.errors import UserError
from intaglio.ir.locations import where
from intaglio.lowering.tiling.description import describe_plan
from intaglio.lowering.tiling.network import read_network
from intaglio.lowering.tiling.schedule import PackedNetwork, pack_network, plan_of, schedule
from intaglio.passes.npu.allocation import allocate, ranges_of
from intaglio.passes.partition.placement import ACCELERATOR, TARGET, device_of
from intaglio.targets.target import Target, load_target

SCHEDULE = "npu.schedule"
"""Attribute of a program: its cascades, and the tiles, weights and result of each layer, in words."""

_SHARES = (16, 15, 14, 13, 12, 10, 8, 6, 4, 2)
"""Sixteenths of the scratchpad to plan with, tried until addresses can be found for all buffers."""

_TOLERATED_TRAFFIC = 1.04
"""By how much traffic may grow when less than all of the scratchpad is planned with."""


@dataclass(frozen=True)
class NnToNpu(ModulePass):
    """Lower the accelerator's region functions to programs of tasks in tiles.

    Options:
        target: a preset such as gen1, or a description file; by default the module's.
        scratchpad: bytes of the scratchpad to use, at most what there are; by default all.
    """

    name = "nn-to-npu"
    target: str | None = None
    scratchpad: int | None = None

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Replace the functions whose device is the accelerator.

        Raises:
            UserError: there is no target, or a layer does not fit its scratchpad.
        """
        functions = [f for f in op.ops if isinstance(f, func.FuncOp) and device_of(f) == ACCELERATOR]
        if not functions:
            return
        name = self.target or _target_of(op)
        target = load_target(name)
        for function in functions:
            Rewriter.replace_op(function, _lowered(function, name, target, self.scratchpad), [])


def _target_of(module: ModuleOp) -> str:
    attribute = module.attributes.get(TARGET)
    if not isinstance(attribute, StringAttr):
        raise UserError("the module does not say for which target", hint=f"give the option target, or set {TARGET}")
    return attribute.data


def _lowered(function: func.FuncOp, name: str, target: Target, scratchpad: int | None) -> npu.ProgramOp:
    """The program of a region, planned with as much of the scratchpad as can be allocated."""
    capacity = min(scratchpad or target.scratchpad_bytes, target.scratchpad_bytes)
    packed = pack_network(read_network(function), target, capacity)
    found: list[npu.ProgramOp] = []
    for share in _SHARES:
        program = _scheduled(function, name, packed, capacity * share // 16)
        tasks = (op for op in program.body.block.ops if isinstance(op, npu.TaskOp))
        if allocate(ranges_of(tasks, npu.Space.SCRATCHPAD), capacity) is not None:
            found.append(program)
            if len(found) > 1 or share < _SHARES[0]:
                break
    if found:
        # What a smaller share leaves is for transfers ahead of time, which hide more than they are worth in traffic.
        return found[-1] if _moved(found[-1]) <= _TOLERATED_TRAFFIC * _moved(found[0]) else found[0]
    raise UserError(
        f"the layers of @{function.sym_name.data} do not fit {capacity} bytes of scratchpad",
        where=where(function.location),
        hint="a target with a larger scratchpad, or the host, can run them",
    )


def _moved(program: npu.ProgramOp) -> int:
    """Bytes that a program transfers."""
    return sum(op.transfer.data.bytes for op in program.body.block.ops if isinstance(op, npu.TransferOp))


def _scheduled(function: func.FuncOp, name: str, packed: PackedNetwork, capacity: int) -> npu.ProgramOp:
    kind = function.function_type
    sizes = [tensor_bytes(tensor) for tensor in (*kind.inputs, *kind.outputs)]
    block = Block(arg_types=[npu.BufferType.of(npu.Space.DRAM, size) for size in sizes])
    count = len(kind.inputs)
    for index, argument in enumerate(block.args):
        given = function.body.block.args[index].name_hint if index < count else None
        argument.name_hint = given or (f"input{index}" if index < count else f"output{index - count}")
    plan = plan_of(packed, capacity)
    block.add_ops(schedule(packed, plan, block.args[:count], block.args[count:]))
    program = npu.ProgramOp(function.sym_name.data, kind, name, Region(block))
    program.location = function.location
    if lines := describe_plan(packed, plan):
        program.attributes[SCHEDULE] = ArrayAttr([StringAttr(line) for line in lines])
    return program
