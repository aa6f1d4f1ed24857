"""Tasks of the load and store queues."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import ClassVar

from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def
from xdsl.utils.exceptions import VerifyException

from intaglio.dialects.npu.accesses import Access, transfer_intervals
from intaglio.dialects.npu.attributes import TransferAttr
from intaglio.dialects.npu.tasks import TaskOp, space_of
from intaglio.dialects.npu.types import BufferType, Space


def _require_spaces(source: SSAValue, target: SSAValue, sources: set[Space], targets: set[Space]) -> None:
    if space_of(source) not in sources or space_of(target) not in targets:
        raise VerifyException(
            f"moves from {' or '.join(sorted(sources))} to {' or '.join(sorted(targets))}, "
            f"got {source.type} and {target.type}"
        )


class TransferOp(TaskOp, ABC):
    """Base of the tasks that copy between DRAM and the scratchpad."""

    source = operand_def(BufferType)
    target = operand_def(BufferType)
    transfer = prop_def(TransferAttr)
    assembly_format = (
        "$source `to` $target $transfer (`after` `(` $after^ `)`)? attr-dict `:` type($source) `to` type($target)"
    )

    def accesses(self) -> Sequence[Access]:
        """What it reads and writes."""
        transfer = self.transfer.data
        return (
            Access(self.source, transfer_intervals(transfer, 1), False),
            Access(self.target, transfer_intervals(transfer, 2), True),
        )


@irdl_op_definition
class LoadOp(TransferOp):
    """Copy from DRAM to the scratchpad (`load.run`). A source stride of 0 repeats the same bytes.

    Constraints:
        C1: the source is in `dram`, `constants` or `arena`, the target in the scratchpad.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.5>> target "gen1" {
    ^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
      %s = npu.allocate : !npu.buffer<scratchpad, 8>
      %0 = npu.load %in to %s <source_offset 0, target_offset 0, run 4, count0 2, source_stride0 4, target_stride0 4> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %1 = npu.store %s to %out <source_offset 0, target_offset 0, run 8> after(%0) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
    }
    ```
    """

    name = "npu.load"
    QUEUE: ClassVar[str] = "load"

    def verify_spaces(self) -> None:
        """Check the source's and the target's memory."""
        _require_spaces(self.source, self.target, {Space.DRAM, Space.CONSTANTS, Space.ARENA}, {Space.SCRATCHPAD})


@irdl_op_definition
class StoreOp(TransferOp):
    """Copy from the scratchpad to DRAM (`store.run`).

    Constraints:
        C1: the source is in the scratchpad, the target in `dram` or `arena`.
        C2: all bytes lie in their buffers.

    Example:
    ```mlir
    npu.program @p : (tensor<8x!quant.uniform<i8:f32, 0.5>>) -> tensor<8x!quant.uniform<i8:f32, 0.5>> target "gen1" {
    ^bb0(%in: !npu.buffer<dram, 8>, %out: !npu.buffer<dram, 8>):
      %s = npu.allocate : !npu.buffer<scratchpad, 8>
      %0 = npu.load %in to %s <source_offset 0, target_offset 0, run 8> : !npu.buffer<dram, 8> to !npu.buffer<scratchpad, 8>
      %1 = npu.store %s to %out <source_offset 0, target_offset 0, run 8> after(%0) : !npu.buffer<scratchpad, 8> to !npu.buffer<dram, 8>
    }
    ```
    """

    name = "npu.store"
    QUEUE: ClassVar[str] = "store"

    def verify_spaces(self) -> None:
        """Check the source's and the target's memory."""
        _require_spaces(self.source, self.target, {Space.SCRATCHPAD}, {Space.DRAM, Space.ARENA})
