"""Tasks that move elements: copies inside the scratchpad, and transfers where that saves one.

Within the scratchpad the vector unit copies by `npu.convert` with the identity, `D` bytes a cycle where as many are
contiguous; what is one value is read from the padding of a map. Tensors in DRAM are moved in chunks that are contiguous
in the result: what a chunk needs is loaded without gaps, put in order, and stored as one run. Where runs are long
enough, the load writes them in order itself, or the store reads them so.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from xdsl.ir import SSAValue

from intaglio.dialects import npu
from intaglio.lowering.tiling.emitter import Emitter
from intaglio.lowering.tiling.geometry import divide_up, parts
from intaglio.lowering.tiling.layers import MoveLayer
from intaglio.lowering.tiling.vector import IDENTITY
from intaglio.targets.boxes import Box, Loop, chunks, exchanged_loops, loops_of, row_major
from intaglio.targets.costs import transpose_cost
from intaglio.targets.target import Target

FULL = npu.Bounds(-128, 127)

_TASK_CYCLES = 1024
"""About how long a task takes, so that others can come between."""

_LARGEST_COUNT = 65_535
_LARGEST_STEP = (1 << 20) - 1
_MOST_SPANNED = 16 << 20
"""Rows times bytes of a row that one instruction may span."""

_LARGEST_RUN = 4096
"""Bytes of a run that is one position; longer ones are several."""

_DIRECT_RUN = 32
"""Bytes of runs from which on a load brings them into order: a burst for each costs no more than a copy besides."""

_DIRECT_STORE = 64
"""Likewise of a store, which moves whole bursts."""


@dataclass(frozen=True)
class MovePlace:
    """Where a tensor is: a buffer of the scratchpad that holds all of it, or one in DRAM."""

    buffer: SSAValue
    on_chip: bool
    offset: int = 0


@dataclass(frozen=True)
class MoveTasks:
    """Emits the tasks of movements.

    Args:
        emitter: where tasks go.
        target: the accelerator.
    """

    emitter: Emitter
    target: Target

    def move(self, layer: MoveLayer, sources: Sequence[MovePlace], output: MovePlace, limit: int) -> None:
        """Emit a movement.

        Args:
            layer: the movement.
            sources: where its sources are.
            output: where its result goes.
            limit: bytes that are moved at once.
        """
        strides = row_major(layer.dimensions)

        def address(start: Sequence[int]) -> int:
            return sum(index * step for index, step in zip(start, strides, strict=True))

        for start, shape in chunks(layer.dimensions, limit):
            boxes = [part for box in layer.boxes if (part := box.within(start, shape)) is not None]
            first = address(start)
            if output.on_chip:
                for box in boxes:
                    self._fetch(box, layer.dimensions, sources, replace(output, offset=address(box.start)))
                continue
            if len(boxes) == 1 and self._stores(boxes[0], layer.dimensions, sources, output.buffer, first):
                continue
            buffer = self.emitter.allocate(math.prod(shape))
            for box in boxes:
                self._fetch(box, layer.dimensions, sources, MovePlace(buffer, True, address(box.start) - first))
            self.emitter.store(buffer, output.buffer, npu.Transfer(0, first, math.prod(shape)))

    def _stores(
        self, box: Box, dimensions: tuple[int, ...], sources: Sequence[MovePlace], output: SSAValue, first: int
    ) -> bool:
        """Store a box straight from a tensor in the scratchpad, if its runs are long enough."""
        if box.source is None or not sources[box.source].on_chip:
            return False
        loops = loops_of(box, dimensions)
        if not _is_run(loops) or (len(loops) > 1 and loops[-1].count < _DIRECT_STORE):
            return False
        for source, target, run, inner in _transfers(loops):
            transfer = _transfer(box.offset + source, first + target, run, inner)
            self.emitter.store(sources[box.source].buffer, output, transfer)
        return True

    def _fetch(self, box: Box, dimensions: tuple[int, ...], sources: Sequence[MovePlace], target: MovePlace) -> None:
        """Bring a box to its place in the scratchpad."""
        loops = loops_of(box, dimensions)
        if box.source is None:
            self._fill(box.value, target, loops)
            return
        source = sources[box.source]
        if source.on_chip:
            self.copy(replace(source, offset=box.offset), target, loops)
            return
        if _is_run(loops) and (len(loops) <= 1 or loops[-1].count >= _DIRECT_RUN):
            self._load(source.buffer, box.offset, target, loops)
            return
        # In the order of memory, each element once; loops that repeat elements do so in the copy.
        moving = sorted((loop for loop in loops if loop.source), key=lambda loop: -loop.source)
        steps = row_major([loop.count for loop in moving])
        compact = [Loop(loop.count, loop.source, step) for loop, step in zip(moving, steps, strict=True)]
        buffer = MovePlace(self.emitter.allocate(math.prod(loop.count for loop in moving)), on_chip=True)
        self._load(source.buffer, box.offset, buffer, _merged(compact))
        places = dict(zip(moving, steps, strict=True))
        self.copy(buffer, target, [replace(loop, source=places.get(loop, 0)) for loop in loops])

    def _load(self, source: SSAValue, first: int, target: MovePlace, loops: Sequence[Loop]) -> None:
        for outside, inside, run, inner in _transfers(loops):
            transfer = _transfer(first + outside, target.offset + inside, run, inner)
            self.emitter.load(source, target.buffer, transfer)

    def copy(self, source: MovePlace, target: MovePlace, loops: Sequence[Loop]) -> None:
        """Copy elements within the scratchpad.

        Args:
            source: the buffer that is read, from its offset on.
            target: the buffer that is written, from its offset on.
            loops: over bytes, the outermost first.
        """
        pair = exchanged_loops(loops)
        if pair is not None:
            self._transpose(source, target, loops, *pair)
            return
        run, rest = _split(loops)
        if run > _LARGEST_RUN:
            whole = run // _LARGEST_RUN
            positions = [*rest, Loop(whole, _LARGEST_RUN, _LARGEST_RUN)]
            self._copy_runs(source, target, positions, _LARGEST_RUN)
            if run % _LARGEST_RUN:
                moved = whole * _LARGEST_RUN
                self._copy_runs(_moved(source, moved), _moved(target, moved), rest, run % _LARGEST_RUN)
            return
        self._copy_runs(source, target, rest, run)

    def _transpose(
        self, source: MovePlace, target: MovePlace, loops: Sequence[Loop], columns: Loop, channels: Loop
    ) -> None:
        """Exchange the innermost loop of the target, which are columns, with that of the source, which are channels."""
        rest = sorted((loop for loop in loops if loop not in (columns, channels)), key=lambda loop: -loop.count)
        span = (columns.count - 1) * columns.source + channels.count
        first = rest[:1]
        rows = (
            first[0] if first and first[0].source <= _LARGEST_STEP and first[0].count * span <= _MOST_SPANNED else None
        )
        outer = [loop for loop in rest if loop is not rows]
        size = self.target.array_size
        width = max(size, _TASK_CYCLES // (2 * divide_up(channels.count, size)) // size * size)
        for steps in itertools.product(*(range(loop.count) for loop in outer)):
            a = _moved(source, sum(step * loop.source for step, loop in zip(steps, outer, strict=True)))
            b = _moved(target, sum(step * loop.target for step, loop in zip(steps, outer, strict=True)))
            for x0 in range(0, columns.count, width):
                part = replace(columns, count=min(width, columns.count - x0))
                cost = transpose_cost(1, part.count, channels.count, self.target).work_cycles
                whole = rows or Loop(1, span, 0)
                for y0, y1 in parts(whole.count, divide_up(whole.count, max(1, _TASK_CYCLES // cost))):
                    inside = _moved(a, x0 * columns.source + y0 * whole.source)
                    place = _moved(b, x0 * columns.target + y0 * whole.target)
                    self._transpose_tile(inside, place, replace(whole, count=y1 - y0), part, channels)

    def _transpose_tile(self, source: MovePlace, target: MovePlace, rows: Loop, columns: Loop, channels: Loop) -> None:
        span = (columns.count - 1) * columns.source + channels.count
        self.emitter.task(
            npu.TransposeOp,
            [source.buffer, target.buffer],
            map=npu.FeatureMapAttr(npu.FeatureMap(source.offset, rows.count, span, rows.source, 0)),
            placement=npu.PlacementAttr(npu.Placement(target.offset, rows.target, channels.target)),
            window=npu.GridAttr(npu.Grid(rows.count, columns.count, 1, columns.source)),
            origin=npu.OriginAttr(npu.Origin(0, 0)),
            channels=channels.count,
        )

    def _copy_runs(self, source: MovePlace, target: MovePlace, loops: Sequence[Loop], run: int) -> None:
        for outer, rows, columns in self._grids(loops, run):
            a, b = _moved(source, outer.source), _moved(target, outer.target)
            span = (columns.count - 1) * columns.source + run
            self.emitter.task(
                npu.ConvertOp,
                [a.buffer, b.buffer],
                map=npu.FeatureMapAttr(npu.FeatureMap(a.offset, rows.count, span, rows.source, 0)),
                placement=npu.PlacementAttr(npu.Placement(b.offset, rows.target, columns.target)),
                window=npu.GridAttr(npu.Grid(rows.count, columns.count, 1, columns.source)),
                origin=npu.OriginAttr(npu.Origin(0, 0)),
                channels=run,
                result_scale=npu.ScaleAttr(IDENTITY),
                input_zero_point=0,
                bounds=npu.BoundsAttr(FULL),
            )

    def _fill(self, value: int, target: MovePlace, loops: Sequence[Loop]) -> None:
        """Write one value: what the row above a map reads as."""
        run, rest = (loops[-1].count, loops[:-1]) if loops and loops[-1].target == 1 else (1, list(loops))
        if run > _LARGEST_RUN:
            pieces = [(start, end - start) for start, end in parts(run, divide_up(run, _LARGEST_RUN))]
        else:
            pieces = [(0, run)]
        for start, size in pieces:
            for outer, rows, columns in self._grids(rest, size):
                place = _moved(target, start + outer.target)
                self.emitter.task(
                    npu.ConvertOp,
                    [place.buffer, place.buffer],
                    map=npu.FeatureMapAttr(npu.FeatureMap(0, 1, 1, 1, value)),
                    placement=npu.PlacementAttr(npu.Placement(place.offset, rows.target, columns.target)),
                    window=npu.GridAttr(npu.Grid(rows.count, columns.count, 0, 0)),
                    origin=npu.OriginAttr(npu.Origin(-1, 0)),
                    channels=size,
                    result_scale=npu.ScaleAttr(IDENTITY),
                    input_zero_point=0,
                    bounds=npu.BoundsAttr(FULL),
                )

    def _grids(self, loops: Sequence[Loop], run: int) -> Iterator[tuple[Loop, Loop, Loop]]:
        """Loops as rows and columns of tasks: where each starts (a loop of count 1), its rows and its columns."""
        able = [loop for loop in loops if loop.source <= _LARGEST_STEP]
        chosen = sorted(sorted(able, key=lambda loop: -loop.count)[:2], key=lambda loop: -loop.source)
        rest = list(loops)
        for loop in chosen:
            rest.remove(loop)
        one = Loop(1, 0, 0)
        rows, columns = (one, *chosen)[-2:] if chosen else (one, one)
        groups = divide_up(run, self.target.array_size)
        width = min(_LARGEST_COUNT, max(1, _TASK_CYCLES // groups))
        for steps in itertools.product(*(range(loop.count) for loop in rest)):
            source = sum(step * loop.source for step, loop in zip(steps, rest, strict=True))
            target = sum(step * loop.target for step, loop in zip(steps, rest, strict=True))
            for x0, x1 in parts(columns.count, divide_up(columns.count, width)):
                height = min(_LARGEST_COUNT, max(1, _TASK_CYCLES // (groups * (x1 - x0))))
                for y0, y1 in parts(rows.count, divide_up(rows.count, height)):
                    place = Loop(
                        1,
                        source + x0 * columns.source + y0 * rows.source,
                        target + x0 * columns.target + y0 * rows.target,
                    )
                    yield place, replace(rows, count=y1 - y0), replace(columns, count=x1 - x0)


def _is_run(loops: Sequence[Loop]) -> bool:
    """Whether the innermost loop is a run on both sides; a single element is one too."""
    return not loops or (loops[-1].source, loops[-1].target) == (1, 1)


def _split(loops: Sequence[Loop]) -> tuple[int, list[Loop]]:
    """The run at each position, and the loops over positions."""
    if loops and _is_run(loops):
        return loops[-1].count, list(loops[:-1])
    return 1, list(loops)


def _moved(place: MovePlace, amount: int) -> MovePlace:
    return replace(place, offset=place.offset + amount)


def _merged(loops: Sequence[Loop]) -> list[Loop]:
    """Loops with neighbours that go on alike as one."""
    found: list[Loop] = []
    for loop in loops:
        outer = found[-1] if found else None
        if outer is not None and (outer.source, outer.target) == (loop.count * loop.source, loop.count * loop.target):
            found[-1] = replace(loop, count=outer.count * loop.count)
        else:
            found.append(loop)
    return found


def _transfers(loops: Sequence[Loop]) -> Iterator[tuple[int, int, int, list[Loop]]]:
    """Loops as transfers: offsets on both sides, the run, and at most three loops, the outermost first."""
    run, rest = _split(loops)
    outer, inner = rest[:-3], rest[-3:]
    cuts = [list(parts(loop.count, divide_up(loop.count, _LARGEST_COUNT))) for loop in inner]
    for steps in itertools.product(*(range(loop.count) for loop in outer)):
        source = sum(step * loop.source for step, loop in zip(steps, outer, strict=True))
        target = sum(step * loop.target for step, loop in zip(steps, outer, strict=True))
        for ranges in itertools.product(*cuts):
            pairs = list(zip(ranges, inner, strict=True))
            yield (
                source + sum(start * loop.source for (start, _), loop in pairs),
                target + sum(start * loop.target for (start, _), loop in pairs),
                run,
                [replace(loop, count=end - start) for (start, end), loop in pairs],
            )


def _transfer(source: int, target: int, run: int, loops: Sequence[Loop]) -> npu.Transfer:
    fields = [number for loop in reversed(loops) for number in (loop.count, loop.source, loop.target)]
    return npu.Transfer(source, target, run, *fields)
