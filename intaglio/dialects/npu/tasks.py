"""What all tasks have in common.

A task becomes one executing instruction with its configuration; what it computes is specified in
`docs/accelerator.md` under the instruction of its name. Tasks read and write buffers at byte offsets; they stand in an
order in which they may be executed one after another, and their `after` operands name the tasks of other queues that
must have finished before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, cast

from xdsl.dialects.builtin import IntegerAttr, i64
from xdsl.ir import SSAValue
from xdsl.irdl import (
    IRDLOperation,
    ParsePropInAttrDict,
    operand_def,
    prop_def,
    result_def,
    var_operand_def,
)
from xdsl.utils.exceptions import VerifyException

from intaglio.dialects.npu.accesses import Access, map_intervals, placement_intervals
from intaglio.dialects.npu.attributes import FeatureMapAttr, Grid, GridAttr, OriginAttr, PlacementAttr
from intaglio.dialects.npu.types import BufferType, Space, TokenType

ONE_TAP = Grid(1, 1, 0, 0)

Number = IntegerAttr.constr(i64)


def buffer_type(value: SSAValue) -> BufferType:
    """The type of a buffer value; operand definitions have checked that it is one."""
    return cast(BufferType, value.type)


def space_of(value: SSAValue) -> Space:
    """The memory that a buffer value lies in."""
    return buffer_type(value).space


class TaskOp(IRDLOperation, ABC):
    """Base of all tasks; `QUEUE` names the queue that executes it: `load`, `store`, `matrix` or `vector`."""

    after = var_operand_def(TokenType)
    token = result_def(TokenType)
    irdl_options = (ParsePropInAttrDict(),)

    QUEUE: ClassVar[str] = ""

    @abstractmethod
    def accesses(self) -> Sequence[Access]:
        """What it reads and writes, reads first."""

    @property
    def buffers(self) -> Sequence[SSAValue]:
        """The buffers it works on."""
        return tuple(operand for operand in self.operands if isinstance(operand.type, BufferType))

    def verify_(self) -> None:
        """Check the numbered constraints that all tasks have."""
        # C1
        self.verify_spaces()
        # C2
        for access in self.accesses():
            if access.buffer is None or not len(access.intervals):
                continue
            size = buffer_type(access.buffer).size
            if access.first < 0 or access.end > size:
                verb = "writes" if access.writes else "reads"
                raise VerifyException(f"{verb} bytes {access.first} to {access.end - 1} of a buffer of {size} bytes")

    def verify_spaces(self) -> None:
        """Check that the buffers lie in the memories that the task's unit can reach."""
        for buffer in self.buffers:
            if space_of(buffer) is not Space.SCRATCHPAD:
                raise VerifyException(f"works on buffers in the scratchpad, got {buffer.type}")


class MapTaskOp(TaskOp, ABC):
    """Base of the vector tasks that read a feature map; the output's positions are those of the window.

    Subclasses say what else they read.
    """

    output = operand_def(BufferType)
    map = prop_def(FeatureMapAttr)
    placement = prop_def(PlacementAttr)
    window = prop_def(GridAttr)
    origin = prop_def(OriginAttr)
    channels = prop_def(Number)
    QUEUE: ClassVar[str] = "vector"

    @property
    def source(self) -> SSAValue:
        """The buffer of the feature map, which is the first operand."""
        return self.operands[0]

    @property
    def tap_grid(self) -> Grid:
        """The taps of the kernel; one for tasks without."""
        return ONE_TAP

    def other_reads(self) -> Sequence[Access]:
        """What it reads besides the feature map."""
        return ()

    def accesses(self) -> Sequence[Access]:
        """What it reads and writes."""
        window, channels = self.window.data, self.channels.value.data
        under_window = map_intervals(self.map.data, window, self.tap_grid, self.origin.data, channels)
        return (
            Access(self.source, under_window, False),
            *self.other_reads(),
            Access(self.output, placement_intervals(self.placement.data, window, channels), True),
        )


OUTPUT_FORMAT = "`to` $output $placement `window` $window "
MAP_FORMAT = "`origin` $origin `channels` $channels "
END_FORMAT = "(`after` `(` $after^ `)`)? attr-dict `:` "
"""Parts of the assembly formats of tasks on feature maps."""
