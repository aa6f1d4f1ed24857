"""Movement of elements as boxes: parts of a result, each of which reads a tensor with a constant step per dimension.

Transposition, slicing, concatenation, padding, broadcasting, gathering with known indices and resampling to the nearest
element are all of this form. The dimensions of the result may be finer than those of its tensor: rows that are doubled
are two dimensions, the inner of which reads with step 0.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Box:
    """A rectangular part of a result, and where its elements come from."""

    source: int | None
    """Number of the tensor that is read; None for a box of one value."""

    start: Sizes
    """First index of the box in each dimension of the result."""

    shape: Sizes
    """Its size in each."""

    offset: int = 0
    """Element of the source that the first element is."""

    strides: Sizes = ()
    """Elements of the source from an index to the next, in each dimension."""

    value: int = 0
    """The stored value of a box without a source."""

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def within(self, start: Sizes, shape: Sizes) -> Box | None:
        """The part of the box that lies in another box of the result; None if there is none."""
        first = tuple(max(a, b) for a, b in zip(self.start, start, strict=True))
        end = tuple(min(a + m, b + n) for a, m, b, n in zip(self.start, self.shape, start, shape, strict=True))
        if any(a >= b for a, b in zip(first, end, strict=True)):
            return None
        moved = sum((a - b) * step for a, b, step in zip(first, self.start, self.strides, strict=False))
        size = tuple(b - a for a, b in zip(first, end, strict=True))
        return replace(self, start=first, shape=size, offset=self.offset + moved)


@dataclass(frozen=True)
class Loop:
    """A loop of a copy: how often, and by how many elements source and target go on."""

    count: int
    source: int
    target: int


def row_major(shape: Sequence[int]) -> Sizes:
    """Elements from an index to the next, in each dimension of a tensor without gaps."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def loops_of(box: Box, dimensions: Sizes) -> list[Loop]:
    """The loops of a box, outermost first; neighbours that go on alike are one."""
    steps = box.strides or (0,) * len(dimensions)
    found: list[Loop] = []
    for count, source, target in zip(box.shape, steps, row_major(dimensions), strict=True):
        if count == 1:
            continue
        outer = found[-1] if found else None
        if outer is not None and (outer.source, outer.target) == (count * source, count * target):
            found[-1] = Loop(outer.count * count, source, target)
        else:
            found.append(Loop(count, source, target))
    return found


_LARGEST_STEP = (1 << 20) - 1
_LARGEST_MATRIX = 65_535


def exchanged_loops(loops: Sequence[Loop]) -> tuple[Loop, Loop] | None:
    """The innermost loops of the target and of the source, if they are different ones: a transposition.

    None if one is too small to be worth more than a copy element by element, or too large for an instruction.
    """
    if not loops:
        return None
    columns = loops[-1]
    channels = next((loop for loop in loops if loop.source == 1 and loop is not columns), None)
    if channels is None or columns.target != 1 or not 1 < columns.source <= _LARGEST_STEP:
        return None
    if min(columns.count, channels.count) < 2 or max(columns.count, channels.count) > _LARGEST_MATRIX:
        return None
    return columns, channels


def chunks(dimensions: Sizes, limit: int) -> Iterator[tuple[Sizes, Sizes]]:
    """Cut a result into boxes without gaps in memory, of at most `limit` elements: start and shape of each."""
    axis = next((k for k in range(len(dimensions)) if math.prod(dimensions[k + 1 :]) <= limit), len(dimensions))
    if axis == len(dimensions):
        yield (0,) * axis, dimensions
        return
    rows = max(1, min(dimensions[axis], limit // math.prod(dimensions[axis + 1 :])))
    for outer in itertools.product(*(range(size) for size in dimensions[:axis])):
        for first in range(0, dimensions[axis], rows):
            shape = (1,) * axis + (min(rows, dimensions[axis] - first), *dimensions[axis + 1 :])
            yield (*outer, first) + (0,) * (len(dimensions) - axis - 1), shape


def whole(source: int, shape: Sizes, start: Sizes | None = None) -> Box:
    """A tensor as it is."""
    return Box(source, start or (0,) * len(shape), shape, 0, row_major(shape))


def permuted(shape: Sizes, permutation: Sequence[int]) -> tuple[Sizes, list[Box]]:
    """Dimensions in another order."""
    strides = row_major(shape)
    result = tuple(shape[axis] for axis in permutation)
    return result, [Box(0, (0,) * len(shape), result, 0, tuple(strides[axis] for axis in permutation))]


def sliced(shape: Sizes, starts: Sequence[int], steps: Sequence[int], result: Sizes) -> tuple[Sizes, list[Box]]:
    """Every so many elements of each dimension; dimensions that are read backwards become single elements."""
    strides = row_major(shape)
    axes = [
        [(0, start, count, step)] if step >= 0 else [(k, start + k * step, 1, 0) for k in range(count)]
        for start, step, count in zip(starts, steps, result, strict=True)
    ]
    return result, list(_product(axes, strides))


def concatenated(shapes: Sequence[Sizes], axis: int) -> tuple[Sizes, list[Box]]:
    """Tensors one after another."""
    boxes: list[Box] = []
    position = 0
    for source, shape in enumerate(shapes):
        start = tuple(position if k == axis else 0 for k in range(len(shape)))
        if 0 not in shape:
            boxes.append(whole(source, shape, start))
        position += shape[axis]
    first = shapes[0]
    return (*first[:axis], position, *first[axis + 1 :]), boxes


def padded(shape: Sizes, low: Sequence[int], high: Sequence[int], value: int) -> tuple[Sizes, list[Box]]:
    """A tensor with one value around it."""
    result = tuple(a + n + b for a, n, b in zip(low, shape, high, strict=True))
    boxes = [whole(0, shape, tuple(low))]
    for axis in range(len(shape)):
        # The dimensions in front keep to the tensor, as those boxes have their corners already.
        for start, size in ((0, low[axis]), (low[axis] + shape[axis], high[axis])):
            if size:
                begin = (*low[:axis], start, *(0,) * (len(shape) - axis - 1))
                boxes.append(Box(None, begin, (*shape[:axis], size, *result[axis + 1 :]), value=value))
    return result, boxes


def broadcast(shape: Sizes, result: Sizes) -> tuple[Sizes, list[Box]]:
    """Dimensions of size 1, and missing ones in front, repeated."""
    given = (1,) * (len(result) - len(shape)) + shape
    steps = tuple(0 if size == 1 else step for size, step in zip(given, row_major(given), strict=True))
    return result, [Box(0, (0,) * len(result), result, 0, steps)]


def gathered(shape: Sizes, axes: dict[int, npt.NDArray[np.int64]]) -> tuple[Sizes, list[Box]]:
    """Elements of some dimensions by number, the others as they are.

    Args:
        shape: of the tensor.
        axes: for each dimension that is gathered the numbers, not negative; what the result has in its place.
    """
    strides = row_major(shape)
    dimensions: list[int] = []
    steps: list[int] = []
    runs: list[list[tuple[int, int, int, int]]] = []
    for axis, size in enumerate(shape):
        if axis not in axes:
            dimensions.append(size)
            steps.append(strides[axis])
            runs.append([(0, 0, size, 1)])
            continue
        outer, step, inner = _periods(axes[axis])
        dimensions += [outer, len(inner)]
        steps += [strides[axis], strides[axis]]
        runs += [[(0, 0, outer, step)], list(_progressions(inner))]
    return tuple(dimensions), list(_product(runs, tuple(steps)))


def _product(axes: Sequence[Sequence[tuple[int, int, int, int]]], strides: Sizes) -> Iterator[Box]:
    """Boxes of all combinations of runs, `(first of the result, first of the source, count, step)` per dimension."""
    for chosen in itertools.product(*axes):
        offset = sum(first * stride for (_, first, _, _), stride in zip(chosen, strides, strict=True))
        steps = tuple(step * stride for (_, _, _, step), stride in zip(chosen, strides, strict=True))
        yield Box(0, tuple(run[0] for run in chosen), tuple(run[2] for run in chosen), offset, steps)


def _periods(numbers: npt.NDArray[np.int64]) -> tuple[int, int, npt.NDArray[np.int64]]:
    """Numbers as `outer` repetitions of an inner part, each `step` more than the one before, in the fewest runs."""
    count = len(numbers)
    best = (1, 0, numbers)
    fewest = sum(1 for _ in _progressions(numbers))
    for length in (size for size in range(1, count // 2 + 1) if count % size == 0):
        rows = numbers.reshape(-1, length)
        step = int(rows[1, 0] - rows[0, 0])
        if step >= 0 and np.array_equal(rows, rows[:1] + step * np.arange(len(rows))[:, None]):
            runs = sum(1 for _ in _progressions(rows[0]))
            if runs < fewest or (runs == fewest == 1 and best[0] == 1 and length == 1):
                best, fewest = (len(rows), step, rows[0]), runs
    return best


def _progressions(numbers: npt.NDArray[np.int64]) -> Iterator[tuple[int, int, int, int]]:
    """Cut numbers into runs with one step that is not negative: `(place, first number, count, step)`."""
    place = 0
    while place < len(numbers):
        end, step = place + 1, 0
        if end < len(numbers) and numbers[end] >= numbers[place]:
            step = int(numbers[end] - numbers[place])
            while end < len(numbers) and numbers[end] - numbers[end - 1] == step:
                end += 1
        yield place, int(numbers[place]), end - place, step
        place = end


def in_bytes(dimensions: Sizes, boxes: Sequence[Box], width: int) -> tuple[Sizes, list[Box]]:
    """The same movement with the bytes of elements as the innermost dimension."""
    if width == 1:
        return dimensions, list(boxes)
    found: list[Box] = []
    for box in boxes:
        if box.source is not None:
            steps = (*(step * width for step in box.strides), 1)
            found.append(Box(box.source, (*box.start, 0), (*box.shape, width), box.offset * width, steps))
            continue
        for byte, value in enumerate(box.value.to_bytes(width, "little", signed=True)):
            found.append(Box(None, (*box.start, byte), (*box.shape, 1), value=value - (value & 128) * 2))
    return (*dimensions, width), found


def is_identity(dimensions: Sizes, boxes: Sequence[Box], sizes: Sequence[int]) -> bool:
    """Whether a result is a tensor as it lies in memory.

    Args:
        dimensions: of the result.
        boxes: of the result.
        sizes: elements of each source.
    """
    if len(boxes) != 1 or boxes[0].source is None or boxes[0].offset or math.prod(dimensions) != sizes[boxes[0].source]:
        return False
    return all(loop.source == loop.target for loop in loops_of(boxes[0], dimensions))
