"""Fast functional execution of a checked program, for one or several samples at once.

Every step is turned into a closure over views of the machine's memories once; running the program calls them in
program order, which is one of the orders the checks have found all timings equivalent to. Memories have a
leading axis of samples, so that one call serves several.

Products are computed by float32 BLAS in chunks of at most 1,024 terms: the magnitude of a product of bytes is at
most 2^14, so all partial sums stay within 2^24 and are exact in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from intaglio.targets.simulator.geometry import Lattice, WindowRead
from intaglio.targets.simulator.steps import (
    Binary,
    Clamp,
    Convert,
    Depthwise,
    Elementwise,
    Lookup,
    Multiply,
    Pool,
    Pooling,
    Requantize,
    Scale,
    Step,
    Transfer,
    window_read_of,
)
from intaglio.targets.target import Target

Array = npt.NDArray[Any]
Int8Array = npt.NDArray[np.int8]
Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
Action = Callable[[], None]

_EXACT_TERMS = 1024
"""Products of two bytes whose sum is exact in float32."""

_SERIAL_PRODUCTS = 1 << 18
"""OpenBLAS computes a matrix product of at most this many scalar products in the calling thread. Tiles are so small
that handing parts to other threads costs more than it saves, a hundred times more when those have to wait for a
processor; so larger products are cut into blocks of this size."""

_FEW_TAPS = 64
"""Up to this many taps a loop over them is faster than a reduction over a view."""

_INT32_MIN, _INT32_MAX = -(1 << 31), (1 << 31) - 1

_BYTES = np.arange(256).astype(np.uint8).view(np.int8).astype(np.int64)
"""The signed value of each byte: a table's entry for byte b is that of the value `_BYTES[b]`."""


class Executor:
    """A machine of several identical copies, one for each sample, that runs one program.

    Args:
        steps: the program, checked.
        target: the accelerator.
        constants: content of region 0.
        region_bytes: size of each DRAM region.
        inputs: how many of the regions are inputs.
        samples: how many samples are run at once.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        target: Target,
        constants: bytes,
        region_bytes: Sequence[int],
        inputs: int,
        samples: int,
    ) -> None:
        self._samples = samples
        self._scratchpad = np.zeros((samples, _scratchpad_used(steps)), np.int8)
        self._accumulators = np.zeros((samples, target.accumulator_rows, target.array_size), np.int32)
        content: Int8Array = np.frombuffer(constants, np.int8)
        self._regions = [np.broadcast_to(content, (samples, len(content)))]
        self._regions += [np.zeros((samples, size), np.int8) for size in region_bytes[1:]]
        self._inputs = self._regions[2 : 2 + inputs]
        self._outputs = self._regions[2 + inputs :]
        reads = [read for step in steps if (read := window_read_of(step.work)) is not None]
        self._padded: Int8Array = np.zeros((samples, _largest_span(reads)), np.int8)
        multiplies = [step.work for step in steps if isinstance(step.work, Multiply)]
        self._patches = np.empty(samples * max((_patch_elements(work) for work in multiplies), default=0), np.float32)
        results = max((work.positions * work.outer for work in multiplies), default=0)
        self._products = np.empty(samples * results, np.float32)
        self._patches_of: WindowRead | None = None
        self._actions = [action for step in steps if (action := self._action(step)) is not None]

    def run(self, inputs: Sequence[Int8Array]) -> list[Int8Array]:
        """Run the program.

        Args:
            inputs: for each input an array of the samples' bytes, `(samples, bytes)`.

        Returns:
            For each output a new array `(samples, bytes)`.

        Raises:
            ProgramError: a channel's parameters in memory are no multiplier and shift.
        """
        for region, array in zip(self._inputs, inputs, strict=True):
            np.copyto(region, array)
        for action in self._actions:
            action()
        return [region.copy() for region in self._outputs]

    def _action(self, step: Step) -> Action | None:
        work = step.work
        if work is None:
            return None
        if isinstance(work, Transfer):
            action = self._transfer(work)
        elif isinstance(work, Multiply):
            return self._multiply(work)
        elif isinstance(work, Requantize):
            action = self._requantize(step, work)
        elif isinstance(work, Depthwise):
            action = self._depthwise(step, work)
        elif isinstance(work, Pool):
            action = self._maximum(work) if work.kind is Pooling.MAX else self._sum(work)
        elif isinstance(work, Elementwise):
            action = self._elementwise(work)
        elif isinstance(work, Convert):
            action = self._convert(work)
        else:
            action = self._lookup(work)
        self._forget_patches(work.scratchpad if isinstance(work, Transfer) else work.output)
        return action

    def _forget_patches(self, written: Lattice) -> None:
        """Do not reuse the matrix of patches when the feature map it was made from may change."""
        if self._patches_of is not None:
            footprint = self._patches_of.footprint()
            if footprint and written.lowest <= footprint.highest and footprint.lowest <= written.highest:
                self._patches_of = None

    def _transfer(self, work: Transfer) -> Action:
        dram = work.dram.batched(self._regions[work.region])
        scratchpad = work.scratchpad.batched(self._scratchpad)
        source, destination = (dram, scratchpad) if work.is_load else (scratchpad, dram)

        def transfer() -> None:
            np.copyto(destination, source)

        return transfer

    def _window(self, read: WindowRead) -> tuple[Action | None, Int8Array]:
        """What must be done before a read, and the view that then has it.

        The view has dimensions sample, row, column, tap row, tap column, byte. Windows that reach into the
        padding read a padded copy of what they span.
        """
        window, taps = read.window, read.taps
        shape = (window.rows, window.columns, taps.rows, taps.columns, read.width)

        def strides(row: int) -> tuple[int, ...]:
            return (window.step_y * row, window.step_x, taps.step_y * row, taps.step_x, 1)

        stride = read.map.row_stride
        if read.is_inside:
            first = read.map.base + read.y0 * stride + read.x0
            return None, Lattice(first, shape, strides(stride)).batched(self._scratchpad)
        width = read.width_spanned
        spanned = self._padded[:, : read.height_spanned * width]
        (top, bottom), (left, right) = read.valid_rows(), read.valid_bytes()
        view = Lattice(0, shape, strides(width)).batched(self._padded)
        pad = read.map.pad
        if top == bottom or left == right:
            return lambda: spanned.fill(pad), view
        valid = (bottom - top, right - left)
        inside = Lattice((top - read.y0) * width + left - read.x0, valid, (width, 1)).batched(self._padded)
        source = Lattice(read.map.base + top * stride + left, valid, (stride, 1)).batched(self._scratchpad)

        def pad_and_copy() -> None:
            spanned.fill(pad)
            np.copyto(inside, source)

        return pad_and_copy, view

    def _multiply(self, work: Multiply) -> Action:
        positions, inner, outer = work.positions, work.inner, work.outer
        prepare, view = self._window(work.read)
        tiles = work.weights.batched(self._scratchpad)
        rows = self._accumulators[:, work.accumulator : work.accumulator + positions, :outer]
        products = self._products[: self._samples * positions * outer].reshape(-1, positions, outer)
        parts: list[tuple[Array, Array, list[tuple[Array, Array]], Array, int]] = []
        for top, bottom, left, right in _tap_chunks(work.read.taps.rows, work.read.taps.columns, inner):
            patch = view[:, :, :, top:bottom, left:right, :]
            terms = patch.shape[3] * patch.shape[4] * inner
            matrix = self._patches[: self._samples * positions * terms]
            first = top * work.read.taps.columns + left
            tile = tiles[:, first : first + terms // inner]
            blocks = _blocks(matrix.reshape(-1, positions, terms), products)
            parts.append((patch, matrix.reshape(patch.shape), blocks, tile, terms))
        reusable = len(parts) == 1 and self._patches_of == work.read
        self._patches_of = work.read if len(parts) == 1 else None
        overwrite, samples = not work.accumulate, self._samples

        def multiply() -> None:
            if prepare is not None and not reusable:
                prepare()
            first = overwrite
            for patch, matrix, blocks, tile, terms in parts:
                if not reusable:
                    np.copyto(matrix, patch, casting="unsafe")
                weights = tile.astype(np.float32).reshape(samples, 1, terms, outer)
                for values, product in blocks:
                    np.matmul(values, weights, out=product)
                if first:
                    np.copyto(rows, products, casting="unsafe")
                    first = False
                else:
                    np.add(rows, products.astype(np.int32), out=rows)

        return multiply

    def _parameters(self, step: Step, lattice: Lattice) -> Callable[[], tuple[Int32Array, Int64Array, Int64Array]]:
        """Reader of bias, multiplier and shift, each `(samples, 1, channels)`."""
        view, samples = lattice.batched(self._scratchpad), self._samples

        def read() -> tuple[Int32Array, Int64Array, Int64Array]:
            values: Int32Array = np.ascontiguousarray(view).view("<i4").reshape(samples, 1, -1, 3)
            multiplier, shift = values[..., 1].astype(np.int64), values[..., 2].astype(np.int64)
            if multiplier.min() < 0 or shift.min() < 2 or shift.max() > 62:
                raise step.error(
                    f"parameters at scratchpad byte {lattice.base} need multipliers from 0 and shifts of 2 to 62, "
                    f"got {multiplier.min()} and {shift.min()} to {shift.max()}"
                )
            return values[..., 0], multiplier, shift

        return read

    def _requantize(self, step: Step, work: Requantize) -> Action:
        rows, columns, channels = work.output.shape
        values = self._accumulators[:, work.accumulator : work.accumulator + rows * columns, :channels]
        parameters = self._parameters(step, work.parameters)
        write = self._writer(work.output, work.result, work.clamp)
        double_round = work.clamp.double_round

        def requantize() -> None:
            bias, multiplier, shift = parameters()
            write(rescale(values + bias, multiplier, shift, double_round))

        return requantize

    def _writer(self, output: Lattice, result: Scale, clamp: Clamp) -> Callable[[Int64Array], None]:
        """Function that adds the zero point to rescaled values, clamps and writes them."""
        destination = output.batched(self._scratchpad)
        zero_point, low, high = result.zero_point, clamp.low, clamp.high

        def write(values: Int64Array) -> None:
            values += zero_point
            np.maximum(values, low, out=values)
            np.minimum(values, high, out=values)
            np.copyto(destination, values.reshape(destination.shape), casting="unsafe")

        return write

    def _depthwise(self, step: Step, work: Depthwise) -> Action:
        prepare, view = self._window(work.read)
        rows, columns, channels = work.output.shape
        weights = work.weights.batched(self._scratchpad)
        parameters = self._parameters(step, work.parameters)
        write = self._writer(work.output, work.result, work.clamp)
        double_round, samples, taps = work.clamp.double_round, self._samples, work.read.taps.count
        kind = np.float32 if taps <= _EXACT_TERMS else np.float64
        by_tap = [view[:, :, :, *divmod(tap, work.read.taps.columns), :] for tap in range(taps)]

        def depthwise() -> None:
            if prepare is not None:
                prepare()
            bias, multiplier, shift = parameters()
            factors = weights.astype(kind).reshape(samples, taps, 1, 1, channels)
            total = by_tap[0] * factors[:, 0]
            term = np.empty_like(total)
            for tap in range(1, taps):
                np.multiply(by_tap[tap], factors[:, tap], out=term)
                total += term
            # Sums beyond 32 bits wrap, as the lanes do.
            sums = total.reshape(samples, rows * columns, channels).astype(np.int64).astype(np.int32)
            write(rescale(sums + bias, multiplier, shift, double_round))

        return depthwise

    def _maximum(self, work: Pool) -> Action:
        prepare, view = self._window(work.read)
        destination = work.output.batched(self._scratchpad)
        by_tap = _taps_of(view, work.read)
        low, high = np.int8(work.clamp.low), np.int8(work.clamp.high)

        def maximum() -> None:
            if prepare is not None:
                prepare()
            if by_tap is None:
                largest = view.max(axis=(3, 4))
            else:
                largest = by_tap[0].copy()
                for values in by_tap[1:]:
                    np.maximum(largest, values, out=largest)
            np.copyto(destination, np.clip(largest, low, high))

        return maximum

    def _sum(self, work: Pool) -> Action:
        assert work.result is not None and work.operand is not None
        prepare, view = self._window(work.read)
        by_tap = _taps_of(view, work.read)
        write = self._writer(work.output, work.result, work.clamp)
        zero = work.read.taps.count * work.operand.zero_point
        result, double_round = work.result, work.clamp.double_round

        def total() -> None:
            if prepare is not None:
                prepare()
            if by_tap is None:
                sums = view.sum(axis=(3, 4), dtype=np.int64)
            else:
                sums = by_tap[0].astype(np.int64)
                for values in by_tap[1:]:
                    sums += values
            sums -= zero
            write(rescale(sums.astype(np.int32), result.multiplier, result.shift, double_round))

        return total

    def _indices(self, read: WindowRead) -> tuple[Action | None, npt.NDArray[np.uint8]]:
        """As `_window` for one tap, the values as table indices, with dimensions sample, row, column, channel."""
        prepare, view = self._window(read)
        return prepare, view[:, :, :, 0, 0, :].view(np.uint8)

    def _elementwise(self, work: Elementwise) -> Action:
        prepare, first = self._indices(work.read)
        second = _without_repetition(work.second.batched(self._scratchpad)).view(np.uint8)
        write = self._writer(work.output, work.result, work.clamp)
        result, double_round = work.result, work.clamp.double_round
        tables = [_BYTES - scale.zero_point for scale in work.scales]
        if work.kind is not Binary.MULTIPLY:
            tables = [
                _saturated(rescale(table, scale.multiplier, scale.shift, double_round))
                for table, scale in zip(tables, work.scales, strict=True)
            ]
        if work.kind is Binary.SUBTRACT:
            tables[1] = -tables[1]
        table_a, table_b = tables
        is_product = work.kind is Binary.MULTIPLY
        may_saturate = not is_product and int(np.abs(table_a).max() + np.abs(table_b).max()) > _INT32_MAX

        def elementwise() -> None:
            if prepare is not None:
                prepare()
            a, b = table_a[first], table_b[second]
            values = a * b if is_product else a + b
            if may_saturate:
                values = _saturated(values)
            write(rescale(values, result.multiplier, result.shift, double_round))

        return elementwise

    def _convert(self, work: Convert) -> Action:
        prepare, indices = self._indices(work.read)
        destination = work.output.batched(self._scratchpad)
        scaled = rescale(
            _BYTES - work.operand.zero_point, work.result.multiplier, work.result.shift, work.clamp.double_round
        )
        table = np.clip(scaled + work.result.zero_point, work.clamp.low, work.clamp.high).astype(np.int8)

        def convert() -> None:
            if prepare is not None:
                prepare()
            np.copyto(destination, table[indices])

        return convert

    def _lookup(self, work: Lookup) -> Action:
        prepare, indices = self._indices(work.read)
        tables = work.table.batched(self._scratchpad)
        destination = work.output.batched(self._scratchpad)
        low, high = np.int8(work.clamp.low), np.int8(work.clamp.high)

        def lookup() -> None:
            if prepare is not None:
                prepare()
            # The entry of -128 comes first, a byte's index is its unsigned value.
            clamped = np.roll(np.clip(tables, low, high), 128, axis=1)
            for table, index, result in zip(clamped, indices, destination, strict=True):
                np.copyto(result, table[index])

        return lookup


def rescale(values: Array, multiplier: Any, shift: Any, double_round: bool) -> Int64Array:
    """Return `values * multiplier / 2^shift` as APPLY_SCALE_32 rounds it, exact in int64 and not yet saturated.

    Args:
        values: integers that fit 32 bits.
        multiplier: 0 to 2^31 - 1, broadcast.
        shift: 2 to 62, broadcast.
        double_round: TOSA's DOUBLE_ROUND.
    """
    wide = values.astype(np.int64)
    rounding = np.left_shift(np.int64(1), np.asarray(shift, np.int64) - 1)
    if double_round:
        nudge = np.where(wide >= 0, np.int64(1 << 30), np.int64(-(1 << 30)))
        rounding = rounding + np.where(np.asarray(shift) > 31, nudge, 0)
    wide *= multiplier
    wide += rounding
    wide >>= shift
    return wide


def _saturated(values: Int64Array) -> Int64Array:
    return np.clip(values, _INT32_MIN, _INT32_MAX)


def _scratchpad_used(steps: Sequence[Step]) -> int:
    """The number of scratchpad bytes from 0 to the highest one that the program touches."""
    highest = 0
    for step in steps:
        if step.work is None:
            continue
        for lattice in vars(step.work).values():
            if isinstance(lattice, Lattice) and lattice is not getattr(step.work, "dram", None):
                highest = max(highest, lattice.highest + 1)
            elif isinstance(lattice, WindowRead) and (footprint := lattice.footprint()) is not None:
                highest = max(highest, footprint.highest + 1)
    return highest


def _largest_span(reads: Sequence[WindowRead]) -> int:
    return max((read.height_spanned * read.width_spanned for read in reads if not read.is_inside), default=0)


def _patch_elements(work: Multiply) -> int:
    terms = max(
        (bottom - top) * (right - left) * work.inner
        for top, bottom, left, right in _tap_chunks(work.read.taps.rows, work.read.taps.columns, work.inner)
    )
    return work.positions * terms


def _tap_chunks(rows: int, columns: int, inner: int) -> Iterator[tuple[int, int, int, int]]:
    """Rectangles of taps (top, bottom, left, right), consecutive in tap order, short enough for exact sums."""
    at_once = max(_EXACT_TERMS // inner, 1)
    if columns <= at_once:
        height = at_once // columns
        for top in range(0, rows, height):
            yield top, min(top + height, rows), 0, columns
    else:
        for row in range(rows):
            for left in range(0, columns, at_once):
                yield row, row + 1, left, min(left + at_once, columns)


def _blocks(values: Array, products: Array) -> list[tuple[Array, Array]]:
    """Cut a product of `(samples, positions, terms)` by weights into blocks of positions.

    Returns:
        Views of operand and result `(samples, blocks, positions, terms or columns)`, for all but the last positions
        and for those.
    """
    samples, positions, terms = values.shape
    columns = products.shape[2]
    height = min(positions, max(1, _SERIAL_PRODUCTS // (terms * columns)))
    whole = positions // height * height
    pairs = [
        (
            values[:, :whole].reshape(samples, -1, height, terms),
            products[:, :whole].reshape(samples, -1, height, columns),
        )
    ]
    if whole < positions:
        pairs.append((values[:, None, whole:], products[:, None, whole:]))
    return pairs


def _taps_of(view: Int8Array, read: WindowRead) -> list[Int8Array] | None:
    """One view a tap, or None when there are too many."""
    if read.taps.count > _FEW_TAPS:
        return None
    return [view[:, :, :, row, column, :] for row in range(read.taps.rows) for column in range(read.taps.columns)]


def _without_repetition(view: Int8Array) -> Int8Array:
    """The view with one element along dimensions whose elements are all the same memory."""
    return view[tuple(slice(0, 1) if stride == 0 else slice(None) for stride in view.strides)]
