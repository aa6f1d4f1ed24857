"""Make each task wait for the tasks of other queues whose data it needs or overwrites.

```mlir
%0 = npu.load %in to %x ..                    %0 = npu.load %in to %x ..
%1 = npu.convert %x .. to %y ..          ->   %1 = npu.convert %x .. to %y .. after(%0)
%2 = npu.store %y to %out ..                  %2 = npu.store %y to %out .. after(%1)
```

The order that is needed follows from the bytes and accumulator rows that tasks read and write at their addresses
(`intaglio.passes.npu.dependencies`); tokens that others imply are not inserted. Tokens that are there already are
replaced.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from intaglio.dialects import npu
from intaglio.errors import UserError
from intaglio.ir.locations import where
from intaglio.passes.npu.dependencies import find_dependencies


@dataclass(frozen=True)
class InsertTokens(ModulePass):
    """Make each task wait for the tasks of other queues whose data it needs or overwrites."""

    name = "insert-tokens"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Set the `after` operands of all tasks.

        Raises:
            UserError: buffers have no addresses yet.
        """
        for program in op.ops:
            if isinstance(program, npu.ProgramOp):
                _check_addresses(program)
                tasks = [task for task in program.body.block.ops if isinstance(task, npu.TaskOp)]
                for task, waits in zip(tasks, find_dependencies(tasks), strict=True):
                    task.operands = [*task.buffers, *(tasks[number].token for number in waits)]


def _check_addresses(program: npu.ProgramOp) -> None:
    for child in program.body.block.ops:
        if isinstance(child, npu.AllocateOp | npu.ConstantOp) and child.address is None:
            raise UserError(
                f"a buffer of @{program.sym_name.data} has no address",
                where=where(program.location),
                hint="run allocate-scratchpad before",
            )
