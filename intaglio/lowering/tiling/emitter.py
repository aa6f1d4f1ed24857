"""Buffers, constants, transfers, and views of tensors in the scratchpad: what the tasks of all layers are made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, LocationAttr, UnitAttr, i64
from xdsl.ir import Attribute, Operation, SSAValue

from intaglio.dialects import npu
from intaglio.dialects.weights import constant_attr
from intaglio.lowering.tiling.geometry import Block, Shape, divide_up
from intaglio.lowering.tiling.layers import Array

UNIT = UnitAttr()
_PIECE_BYTES = 16_384
_PIECES = 4
"""In how many parts a region is loaded, so that work on the first rows can start before the last have come."""
_LARGEST_LOAD = 1 << 22


@lru_cache(maxsize=65_536)
def number(value: int) -> IntegerAttr:
    """An i64 attribute; they are shared, as making one takes longer than all else in making a task."""
    return IntegerAttr(value, i64)


@dataclass(frozen=True)
class View:
    """A rectangle of a tensor in a buffer of the scratchpad."""

    buffer: SSAValue
    offset: int
    """Byte of its first row's first column's first channel."""

    row_stride: int
    column_stride: int
    region: Block
    """Which rows, columns and channels of the tensor."""

    valid_row_bytes: int
    """Bytes from the first column's first channel to the end of the row in the buffer."""

    element_bytes: int = 1

    def feature_map(self, pad: int) -> npu.FeatureMap:
        """The view as a feature map; its coordinates start at the region's first row and column."""
        return npu.FeatureMap(
            self.offset, self.region.rows, self.valid_row_bytes, self.row_stride, pad, self.element_bytes
        )

    def origin(self, y: int, x: int) -> npu.Origin:
        """A row and column of the tensor as coordinates of the feature map."""
        return npu.Origin(y - self.region.y0, (x - self.region.x0) * self.column_stride)

    def placement(self, y: int, x: int, c: int = 0) -> npu.Placement:
        """Where the results for a row, column and channel of the tensor are written."""
        return npu.Placement(self.at(y, x, c), self.row_stride, self.column_stride, self.element_bytes)

    def at(self, y: int, x: int, c: int = 0) -> int:
        """Byte of the buffer for a row, column and channel (counted from the region's first) of the tensor."""
        rows, columns = y - self.region.y0, x - self.region.x0
        return self.offset + rows * self.row_stride + columns * self.column_stride + c * self.element_bytes


class Emitter:
    """Appends operations to a list, all with the location of the layer at work."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.location: LocationAttr | None = None
        self._constants: dict[Attribute, SSAValue] = {}

    def add(self, op: Operation) -> Operation:
        """Append an operation."""
        if self.location is not None:
            op.location = self.location
        self.operations.append(op)
        return op

    def allocate(self, size: int, space: npu.Space = npu.Space.SCRATCHPAD) -> SSAValue:
        """A new buffer."""
        return self.add(npu.AllocateOp(npu.BufferType.of(space, size))).results[0]

    def constant(self, key: str, data: Array) -> SSAValue:
        """The buffer of constant bytes; equal bytes are one buffer.

        Args:
            key: a name for people.
            data: int8.
        """
        value = constant_attr(key, np.ascontiguousarray(data, np.int8))
        if value not in self._constants:
            self._constants[value] = self.add(npu.ConstantOp(value)).results[0]
        return self._constants[value]

    def task(self, kind: type[npu.TaskOp], operands: list[SSAValue], **properties: Attribute | int | None) -> None:
        """Append a task; integers become attributes, and None is left out."""
        attributes = {
            name: number(value) if isinstance(value, int) else value
            for name, value in properties.items()
            if value is not None
        }
        self.add(kind.create(operands=operands, properties=attributes, result_types=[npu.TOKEN]))

    def load(self, source: SSAValue, target: SSAValue, transfer: npu.Transfer) -> None:
        """Append a load."""
        self.task(npu.LoadOp, [source, target], transfer=npu.TransferAttr(transfer))

    def store(self, source: SSAValue, target: SSAValue, transfer: npu.Transfer) -> None:
        """Append a store."""
        self.task(npu.StoreOp, [source, target], transfer=npu.TransferAttr(transfer))

    def load_run(self, source: SSAValue, start: int, end: int) -> SSAValue:
        """Load contiguous bytes of a DRAM buffer into a new buffer."""
        target = self.allocate(end - start)
        self.load(source, target, npu.Transfer(start, 0, end - start))
        return target

    def load_whole(self, source: SSAValue, target: SSAValue, size: int) -> None:
        """Load a whole tensor, in pieces, so that work on the first rows can start before the last have come."""
        piece = max(_PIECE_BYTES, -(-size // _PIECES // 64) * 64)
        for start in range(0, size, piece):
            self.load(source, target, npu.Transfer(start, start, min(piece, size - start)))

    def load_region(self, source: SSAValue, shape: Shape, region: Block, element_bytes: int = 1) -> View:
        """Load a part of a tensor, row by row in pieces, into a new buffer without gaps."""
        buffer = self.allocate(region.elements * element_bytes)
        row = region.columns * region.channels * element_bytes
        rows = max(divide_up(_PIECE_BYTES, row), divide_up(region.rows, _PIECES))
        for first in range(0, region.rows, rows):
            part = replace(region, y0=region.y0 + first, y1=min(region.y0 + first + rows, region.y1))
            self.load(source, buffer, _transfer(shape, part, element_bytes, first * row))
        return compact_view(buffer, region, element_bytes)

    def store_region(self, view: View, target: SSAValue, shape: Shape, phases: int = 1) -> None:
        """Store a view without gaps to its place in a tensor in DRAM.

        Args:
            view: the view.
            target: the tensor.
            shape: of the tensor.
            phases: rows of the tensor that each row of the shape is.
        """
        if phases > 1 and view.region.columns < shape[2]:
            self.store(view.buffer, target, _phased(shape, view.region, phases, view.element_bytes))
            return
        self.store(view.buffer, target, _reversed(_transfer(shape, view.region, view.element_bytes)))


def compact_view(buffer: SSAValue, region: Block, element_bytes: int = 1) -> View:
    """A region that fills a buffer of its own."""
    column = region.channels * element_bytes
    row = region.columns * column
    return View(buffer, 0, row, column, region, row, element_bytes)


def resident_view(buffer: SSAValue, shape: Shape, region: Block, element_bytes: int = 1) -> View:
    """A region of a tensor that is in the scratchpad as a whole; its rows are complete.

    Columns outside the region's can be read, so a window that reaches over its edge needs no padding there.
    """
    _, height, width, channels = shape
    whole_rows = Block(region.n, region.y0, region.y1, 0, width, region.c0, region.c1)
    column, first = channels * element_bytes, region.c0 * element_bytes
    row = width * column
    offset = (region.n * height + region.y0) * row + first
    return View(buffer, offset, row, column, whole_rows, row - first, element_bytes)


def _transfer(shape: Shape, region: Block, element_bytes: int, at: int = 0) -> npu.Transfer:
    """From a region of a tensor to a buffer, from its byte `at` on."""
    _, height, width, channels = shape
    column, part = channels * element_bytes, region.channels * element_bytes
    start = ((region.n * height + region.y0) * width + region.x0) * column + region.c0 * element_bytes
    row, run = width * column, region.columns * part
    if region.channels == channels:
        size = region.elements * element_bytes
        if region.columns == width and size <= _LARGEST_LOAD:
            return npu.Transfer(start, at, size)
        return npu.Transfer(start, at, run, region.rows, row, run)
    return npu.Transfer(start, at, part, region.columns, column, part, region.rows, row, run)


def _phased(shape: Shape, region: Block, phases: int, element_bytes: int) -> npu.Transfer:
    """From a buffer of its own to some columns of a tensor each row of whose shape is several rows in memory."""
    _, height, width, channels = shape
    row = width * channels * element_bytes
    run = region.columns * channels // phases * element_bytes
    start = (region.n * height + region.y0) * row + region.x0 * channels // phases * element_bytes
    return npu.Transfer(0, start, run, phases, run, row // phases, region.rows, phases * run, row)


def _reversed(transfer: npu.Transfer) -> npu.Transfer:
    """The same bytes the other way."""
    (count0, source0, target0), (count1, source1, target1), (count2, source2, target2) = transfer.loops
    return npu.Transfer(
        transfer.target_offset,
        transfer.source_offset,
        transfer.run,
        count0,
        target0,
        source0,
        count1,
        target1,
        source1,
        count2,
        target2,
        source2,
    )
