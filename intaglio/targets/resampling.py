"""Bilinear resizing as convolutions of each channel: which positions share their weights.

The positions of a result that mix elements by the same weights, evenly apart, read windows evenly apart: each such part
is a depthwise convolution that writes every so many rows and columns. Twice as many rows, for example, are two
parts, and a row at each border, where the nearest element counts for those outside.

Where sizes are in no simple ratio each row and column is a part of its own. Rows are then mixed first, and columns of
what that gives: sums of bytes times weights of up to 8 bits, which elements of two bytes hold without rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import i8

from intaglio.dialects import nn
from intaglio.dialects.quant import UniformQuantizedType

MIXED_CHANNELS = 64
"""Channels that share weights in memory: a multiple of as many, the lanes of the widest machine."""

MANY_PARTS = 256
"""Parts from which on rows are mixed before columns."""

LARGEST_EXACT_UNIT = 255
"""The largest unit of rows of which a sum of bytes, each times its weight, fits two bytes."""


@dataclass(frozen=True)
class Run:
    """Positions of a result along one dimension, evenly apart, and the windows that they read."""

    first: int
    """The first position."""

    every: int
    """From one position to the next."""

    count: int
    """How many positions."""

    start: int
    """The first element under the first window."""

    step: int
    """Elements from one window to the next."""

    weights: tuple[int, ...]
    """Of the elements under each window, in units."""

    def within(self, low: int, high: int) -> Run | None:
        """The positions from `low` on and below `high`; None if there are none."""
        skipped = max(0, -((self.first - low) // self.every))
        count = min(self.count, -((self.first - high) // self.every)) - skipped
        if count <= 0:
            return None
        first, start = self.first + skipped * self.every, self.start + skipped * self.step
        # What is alone is no distance apart from others, which may be more than an instruction can say.
        every, step = (self.every, self.step) if count > 1 else (1, 0)
        return Run(first, every, count, start, step, self.weights)


def runs_of(op: nn.ResizeOp, direction: int) -> list[Run]:
    """The rows (0) or columns (1) of a bilinear result, cut into runs; windows lie inside the input."""
    size = nn.tensor_of(op.input).get_shape()[1 + direction]
    indices, weights = op.integer_taps(direction)
    taps = min(2, size)
    starts = np.minimum(indices[:, 0], size - taps)
    under = np.zeros((len(indices), taps), np.int64)
    for tap in range(indices.shape[1]):
        np.add.at(under, (np.arange(len(indices)), indices[:, tap] - starts), weights[:, tap])
    runs: list[Run] = []
    for combination in np.unique(under, axis=0):
        (alike,) = np.nonzero((under == combination).all(axis=1))
        runs += _evenly_apart(alike, starts[alike], tuple(int(weight) for weight in combination))
    return runs


@dataclass(frozen=True)
class Mixture:
    """One step of a bilinear resize: the runs of its rows and of its columns."""

    rows: tuple[Run, ...]
    columns: tuple[Run, ...]

    @property
    def parts(self) -> int:
        """How many depthwise convolutions it is."""
        return len(self.rows) * len(self.columns)

    @property
    def weight_bytes(self) -> int:
        """Bytes of a weight, which is a product of those of rows and columns."""
        largest = max(max(run.weights) for run in self.rows) * max(max(run.weights) for run in self.columns)
        return 1 if largest < 1 << 7 else 2

    @property
    def combinations(self) -> dict[tuple[tuple[int, ...], tuple[int, ...]], int]:
        """The number of each combination of weights of rows and columns."""
        found = dict.fromkeys((y.weights, x.weights) for y in self.rows for x in self.columns)
        return {pair: number for number, pair in enumerate(found)}

    @property
    def taps(self) -> tuple[int, int]:
        """Rows and columns of each window."""
        return len(self.rows[0].weights), len(self.columns[0].weights)

    @property
    def bytes_of_a_channel(self) -> int:
        """Bytes of the weights of all combinations, for one channel."""
        return len(self.combinations) * math.prod(self.taps) * self.weight_bytes


def mixtures_of(op: nn.ResizeOp) -> tuple[Mixture, ...]:
    """The steps of a bilinear resize: one, or rows and then columns where that is exact and far fewer parts."""
    rows, columns = (tuple(runs_of(op, direction)) for direction in range(2))
    kind = nn.tensor_of(op.input).get_element_type()
    is_exact = isinstance(kind, UniformQuantizedType) and kind.storage_type == i8
    if len(rows) * len(columns) <= MANY_PARTS or not is_exact or op.units.get_values()[0] > LARGEST_EXACT_UNIT:
        return (Mixture(rows, columns),)
    height, width = nn.tensor_of(op.result).get_shape()[1], nn.tensor_of(op.input).get_shape()[2]
    return Mixture(rows, (_same(width),)), Mixture((_same(height),), columns)


def _same(size: int) -> Run:
    return Run(0, 1, size, 0, 1, (1,))


def _evenly_apart(
    positions: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], weights: tuple[int, ...]
) -> list[Run]:
    """Positions of the same weights as the longest runs, from the first on, that are evenly apart."""
    runs: list[Run] = []
    steps = np.stack((np.diff(positions), np.diff(starts)), axis=1)
    index = 0
    while index < len(positions):
        every, step = (int(number) for number in steps[index]) if index < len(steps) else (1, 0)
        others = np.nonzero((steps[index:] != (every, step)).any(axis=1))[0]
        count = 1 + (int(others[0]) if len(others) else len(steps) - index)
        runs.append(Run(int(positions[index]), every, count, int(starts[index]), step, weights))
        index += count
    return runs
