"""Which bytes an instruction touches: regular lattices of addresses, and the address generator of feature maps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class Lattice:
    """The addresses `base + sum of i[k] * strides[k]` for `0 <= i[k] < shape[k]`.

    Args:
        base: address of the element with all indices 0.
        shape: number of elements in each dimension, all positive.
        strides: distance of neighbours in each dimension, of any sign.
        width: bytes of an element, from its address on.
    """

    base: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    width: int = 1

    @property
    def size(self) -> int:
        """Number of elements, addresses that occur more than once counted each time."""
        return math.prod(self.shape)

    @cached_property
    def bytes(self) -> Lattice:
        """The addresses of all bytes of the elements, element by element."""
        if self.width == 1:
            return self
        if self.strides[-1] == self.width:
            return Lattice(self.base, (*self.shape[:-1], self.shape[-1] * self.width), (*self.strides[:-1], 1))
        return Lattice(self.base, (*self.shape, self.width), (*self.strides, 1))

    @cached_property
    def lowest(self) -> int:
        """Smallest address."""
        return self.base + sum(min(0, (n - 1) * d) for n, d in zip(self.shape, self.strides, strict=True))

    @cached_property
    def highest(self) -> int:
        """Largest address of a byte."""
        steps = sum(max(0, (n - 1) * d) for n, d in zip(self.shape, self.strides, strict=True))
        return self.base + steps + self.width - 1

    def indices(self) -> Int64Array:
        """Return every element's address, in the order of the last index fastest."""
        total = np.full((1,), self.base, np.int64)
        for n, d in zip(self.shape, self.strides, strict=True):
            total = (total[:, None] + np.arange(n, dtype=np.int64) * d).reshape(-1)
        return total

    def view(self, array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
        """Return a view of the elements in a one-dimensional contiguous array, in the lattice's shape.

        Raises:
            ValueError: an address lies outside of the array.
        """
        size = array.itemsize
        return np.ndarray(
            self.shape, array.dtype, array, self.base * size, tuple(stride * size for stride in self.strides)
        )

    def batched(self, memory: npt.NDArray[np.int8]) -> npt.NDArray[Any]:
        """Return a view of the elements in each row of a two-dimensional array of bytes, rows first."""
        shape, strides = (memory.shape[0], *self.shape), (memory.strides[0], *self.strides)
        return np.ndarray(shape, _STORED[self.width], _buffer(memory), self.base, strides)

    @cached_property
    def is_injective(self) -> bool:
        """Whether no byte occurs twice."""
        if self.width > 1:
            return self.bytes.is_injective
        dimensions = sorted((abs(d), n) for n, d in zip(self.shape, self.strides, strict=True) if n > 1)
        reach = 0
        for distance, count in dimensions:
            if distance <= reach:
                return len(np.unique(self.indices())) == self.size
            reach += distance * (count - 1)
        return True


_STORED = {1: np.dtype(np.int8), 2: np.dtype("<i2")}
"""How elements of so many bytes are stored."""


def _buffer(memory: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array that a view into rows may use as its buffer: the first row when all rows are the same memory."""
    return memory[0] if memory.strides[0] == 0 else memory


class Footprint:
    """A set of addresses in one memory, with the few operations that checks need.

    Args:
        addresses: a lattice, or an array of distinct addresses.
    """

    def __init__(self, addresses: Lattice | Int64Array) -> None:
        if isinstance(addresses, Lattice):
            addresses = addresses.bytes
            # Repeated addresses (stride 0) are looked at once.
            kept = [(n, d) for n, d in zip(addresses.shape, addresses.strides, strict=True) if d != 0 and n > 1]
            self._lattice = Lattice(addresses.base, tuple(n for n, _ in kept), tuple(d for _, d in kept))
            self._indices: Int64Array | None = None
            self.lowest, self.highest = addresses.lowest, addresses.highest
        else:
            self._lattice = None
            self._indices = addresses
            self.lowest, self.highest = int(addresses.min()), int(addresses.max())

    def of(self, array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
        """Return the elements of a one-dimensional array at the addresses."""
        return array[self._indices] if self._lattice is None else self._lattice.view(array)

    def set(self, array: npt.NDArray[Any], value: int) -> None:
        """Set the elements of a one-dimensional array at the addresses."""
        if self._lattice is None:
            array[self._indices] = value
        else:
            self._lattice.view(array)[...] = value

    def indices(self) -> Int64Array:
        """Return the addresses in the order of `of`."""
        if self._lattice is not None:
            return self._lattice.indices()
        assert self._indices is not None
        return self._indices


@dataclass(frozen=True)
class FeatureMap:
    """A feature map in the scratchpad, as `*.input` describes it: elements outside read as `pad`."""

    base: int
    row_stride: int
    row_bytes: int
    rows: int
    pad: int
    element_bytes: int = 1
    is_float: bool = False
    """Whether elements are bfloat16, of which 0xFF in the high byte of the padding is minus infinity."""

    @property
    def outside(self) -> int:
        """What elements outside are: `pad`, or with `pad` in the high byte."""
        if self.is_float and self.pad == -1:
            return -128
        return self.pad if self.element_bytes == 1 else self.pad << 8


@dataclass(frozen=True)
class Grid:
    """Window positions or kernel taps: counts, and steps in the input in bytes (x) and rows (y)."""

    columns: int
    rows: int
    step_x: int
    step_y: int

    @property
    def count(self) -> int:
        """Number of positions or taps."""
        return self.columns * self.rows


ONE_TAP = Grid(1, 1, 0, 0)


@dataclass(frozen=True)
class WindowRead:
    """What an instruction reads of a feature map: `width` bytes at each tap of each position."""

    map: FeatureMap
    window: Grid
    taps: Grid
    x0: int
    y0: int
    width: int

    @property
    def height_spanned(self) -> int:
        """Rows from the first that is read to the last, those in the padding included."""
        return (self.window.rows - 1) * self.window.step_y + (self.taps.rows - 1) * self.taps.step_y + 1

    @property
    def width_spanned(self) -> int:
        """Bytes from the first of a row that is read to the last, those in the padding included."""
        steps = (self.window.columns - 1) * self.window.step_x + (self.taps.columns - 1) * self.taps.step_x
        return steps + self.width

    @property
    def is_inside(self) -> bool:
        """Whether nothing lies in the padding."""
        return (
            self.x0 >= 0
            and self.y0 >= 0
            and self.x0 + self.width_spanned <= self.map.row_bytes
            and self.y0 + self.height_spanned <= self.map.rows
        )

    def valid_rows(self) -> tuple[int, int]:
        """Return the first valid row of the span, and one past the last; empty if they are equal."""
        first = min(max(self.y0, 0), self.map.rows)
        return first, max(first, min(self.y0 + self.height_spanned, self.map.rows))

    def valid_bytes(self) -> tuple[int, int]:
        """Return the first valid byte in a row of the span, and one past the last; empty if they are equal."""
        first = min(max(self.x0, 0), self.map.row_bytes)
        return first, max(first, min(self.x0 + self.width_spanned, self.map.row_bytes))

    def footprint(self) -> Footprint | None:
        """Return the scratchpad bytes that are read, or None if all values are padding."""
        columns, taps = self.window, self.taps
        xs = _touched(
            self.x0, columns.columns, columns.step_x, taps.columns, taps.step_x, self.width, self.map.row_bytes
        )
        ys = _touched(self.y0, columns.rows, columns.step_y, taps.rows, taps.step_y, 1, self.map.rows)
        if not len(xs) or not len(ys):
            return None
        if xs[-1] - xs[0] + 1 == len(xs) and ys[-1] - ys[0] + 1 == len(ys):
            start = self.map.base + int(ys[0]) * self.map.row_stride + int(xs[0])
            return Footprint(Lattice(start, (len(ys), len(xs)), (self.map.row_stride, 1)))
        return Footprint(np.unique(self.map.base + (ys * self.map.row_stride)[:, None] + xs))

    def addresses(self) -> Int64Array:
        """Return the address of each byte of each position at the only tap, -1 in the padding."""
        assert self.taps.count == 1
        y = self.y0 + np.arange(self.window.rows, dtype=np.int64) * self.window.step_y
        starts = self.x0 + np.arange(self.window.columns, dtype=np.int64) * self.window.step_x
        x = starts[:, None] + np.arange(self.width, dtype=np.int64)
        found = self.map.base + (y * self.map.row_stride)[:, None, None] + x
        found[(y < 0) | (y >= self.map.rows)] = -1
        found[:, (x < 0) | (x >= self.map.row_bytes)] = -1
        return found.reshape(-1)


@lru_cache(maxsize=256)
def _touched(first: int, count: int, step: int, taps: int, tap_step: int, width: int, limit: int) -> Int64Array:
    """The coordinates in `[0, limit)` that a window touches in one dimension, ascending."""
    if count < taps:
        count, step, taps, tap_step = taps, tap_step, count, step
    reach = (count - 1) * step
    starts = np.zeros(reach + (taps - 1) * tap_step + 1, bool)
    for tap in range(taps if tap_step else 1):
        starts[tap * tap_step : tap * tap_step + reach + 1 : max(step, 1)] = True
    found = np.flatnonzero(starts)
    if width > 1:
        edges = np.zeros(len(starts) + width, np.int32)
        edges[found] += 1
        edges[found + width] -= 1
        found = np.flatnonzero(np.cumsum(edges))
    found = found + first
    return found[(found >= 0) & (found < limit)]
