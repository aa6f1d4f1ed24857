"""Which bytes and accumulator rows a task reads and writes, as sets of intervals.

Passes order tasks and verifiers check bounds by these sets, which are exact: tasks on different channels of the same
positions do not meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.ir import SSAValue

from intaglio.dialects.npu.attributes import (
    FeatureMap,
    Grid,
    Operand,
    Origin,
    Placement,
    TapWeights,
    Transfer,
    WeightTiles,
)
from intaglio.targets.instructions import PARAMETER_BYTES, WIDE_PARAMETER_BYTES

Intervals = np.ndarray[Any, np.dtype[np.int64]]
"""`[count, 2]`: first byte and one past the last, ascending, disjoint, not touching."""


@dataclass(frozen=True, eq=False)
class Access:
    """Bytes of a buffer, or rows of the accumulators where `buffer` is None."""

    buffer: SSAValue | None
    intervals: Intervals
    writes: bool

    @property
    def first(self) -> int:
        """The first byte or row."""
        return int(self.intervals[0, 0])

    @property
    def end(self) -> int:
        """One past the last byte or row."""
        return int(self.intervals[-1, 1])


def merged(starts: Intervals, length: int) -> Intervals:
    """Intervals of `length` bytes at the given starts (any shape, any order), united where they touch."""
    if starts.size == 1:
        first = int(starts.reshape(-1)[0])
        return np.array([[first, first + length]], np.int64)
    ordered = np.unique(starts)
    breaks = np.flatnonzero(np.diff(ordered) > length) + 1
    firsts = ordered[np.concatenate(([0], breaks))]
    lasts = ordered[np.concatenate((breaks - 1, [len(ordered) - 1]))]
    return np.stack((firsts, lasts + length), axis=1)


def _steps(count: int, stride: int) -> Intervals:
    return np.arange(count, dtype=np.int64) * stride


def transfer_intervals(transfer: Transfer, side: int) -> Intervals:
    """Bytes that a transfer touches in its source (`side` 1) or target (`side` 2)."""
    starts = np.array([transfer.source_offset if side == 1 else transfer.target_offset], np.int64)
    length = transfer.run
    for loop in transfer.loops:
        count, stride = loop[0], loop[side]
        if starts.size == 1 and stride == length and count > 1:
            length *= count
        elif count > 1 and stride:
            starts = (starts[:, None] + _steps(count, stride)).reshape(-1)
    return merged(starts, length)


def map_intervals(source: FeatureMap, window: Grid, taps: Grid, origin: Origin, run: int) -> Intervals:
    """Bytes of a feature map under a window: `run` elements at each position and tap, those in the padding left out.

    Returns:
        Intervals of the buffer; none when the window lies in the padding entirely.
    """
    y = origin.y0 + _steps(window.rows, window.step_y)[:, None] + _steps(taps.rows, taps.step_y)
    rows = np.unique(y[(y >= 0) & (y < source.rows)])
    length = run * source.element_bytes
    columns = _united(
        _united(np.array([[0, length]], np.int64), taps.columns, taps.step_x), window.columns, window.step_x
    )
    columns = np.clip(columns + origin.x0, 0, source.row_bytes)
    columns = columns[columns[:, 0] < columns[:, 1]]
    if not rows.size or not len(columns):
        return np.empty((0, 2), np.int64)
    return _of_rows(source.offset + rows * source.row_stride, columns)


def placement_intervals(target: Placement | Operand, window: Grid, channels: int) -> Intervals:
    """Bytes of a result or second operand."""
    elements = 1 if isinstance(target, Operand) and not target.channel_stride else channels
    columns = _united(np.array([[0, elements * target.element_bytes]], np.int64), window.columns, target.column_stride)
    return _of_rows(target.offset + np.unique(_steps(window.rows, target.row_stride)), columns)


def _united(intervals: Intervals, count: int, step: int) -> Intervals:
    """Intervals of one row, repeated `count` times a `step` apart, united where they touch."""
    if count == 1 or not step:
        return intervals
    if len(intervals) == 1:
        first, end = (int(edge) for edge in intervals[0])
        if step <= end - first:
            return np.array([[first, end + (count - 1) * step]], np.int64)
        return intervals + _steps(count, step)[:, None]
    return _sorted_union((intervals[None] + _steps(count, step)[:, None, None]).reshape(-1, 2))


def _of_rows(rows: Intervals, columns: Intervals) -> Intervals:
    """Intervals of each row: `columns`, relative to the starts `rows`, which ascend."""
    if len(columns) == 1:
        return merged(rows + columns[0, 0], int(columns[0, 1] - columns[0, 0]))
    return _sorted_union((rows[:, None, None] + columns[None]).reshape(-1, 2))


def _sorted_union(intervals: Intervals) -> Intervals:
    ordered = intervals[np.argsort(intervals[:, 0], kind="stable")]
    reached = np.maximum.accumulate(ordered[:, 1])
    begins = np.concatenate(([True], ordered[1:, 0] > reached[:-1]))
    ends = np.concatenate((np.flatnonzero(begins)[1:] - 1, [len(ordered) - 1]))
    return np.stack((ordered[begins, 0], reached[ends]), axis=1)


def weight_tile_intervals(weights: WeightTiles, taps: Grid, inner: int, outer: int) -> Intervals:
    """Bytes of weight tiles: `inner` rows of `outer` weights for each tap."""
    row_bytes = (outer + 1) // 2 if weights.packed else outer * weights.element_bytes
    if weights.row_stride == row_bytes:
        return merged(weights.offset + _steps(taps.size, weights.tap_stride), inner * row_bytes)
    starts = _steps(taps.size, weights.tap_stride)[:, None] + _steps(inner, weights.row_stride)
    return merged(weights.offset + starts.reshape(-1), row_bytes)


def tap_weight_intervals(weights: TapWeights, taps: Grid, channels: int) -> Intervals:
    """Bytes of depthwise weights."""
    return merged(weights.offset + _steps(taps.size, weights.tap_stride), channels * weights.element_bytes)


def parameter_interval(first: int, channels: int, *, wide: bool) -> Intervals:
    """Bytes of the parameters of some channels."""
    return run_interval(first, channels * (WIDE_PARAMETER_BYTES if wide else PARAMETER_BYTES))


def run_interval(first: int, length: int) -> Intervals:
    """One interval."""
    return np.array([[first, first + length]], np.int64)
