"""Fast functional execution of a checked program, for one or several samples at once.

Every step is turned into a closure over views of the machine's memories once; running the program calls them in
program order, which is one of the orders the checks have found all timings equivalent to. Memories have a
leading axis of samples, so that one call serves several.

Products of bytes are computed by float32 BLAS in chunks of at most 1,024 terms: their magnitude is at most 2^14, so
all partial sums stay within 2^24 and are exact in any order. Where an operand has two bytes, float64 does the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from intaglio.numerics.fixed_point import (
    LARGEST_SQUARES,
    ROOT_FRACTION_BITS,
    quotient,
    square_root,
    stored_logarithm,
)
from intaglio.numerics.tables import lookup_int16
from intaglio.targets.simulator.arithmetic import (
    INT32_MAX,
    add_narrow,
    add_wide,
    operand,
    rescale,
    saturated,
    saturated_wide,
    unpacked,
)
from intaglio.targets.simulator.floats import float_action, multiply_action, sums_action
from intaglio.targets.simulator.geometry import Lattice, WindowRead
from intaglio.targets.simulator.products import (
    EXACT_TERMS,
    FloatType,
    cut_into_blocks,
    float_type,
    patch_elements,
    tap_chunks,
    wrapping,
)
from intaglio.targets.simulator.rows import row_action
from intaglio.targets.simulator.steps import (
    Binary,
    Clamp,
    Convert,
    Depthwise,
    Elementwise,
    FloatSums,
    FloatWork,
    Interpolate,
    Logarithm,
    Lookup,
    Multiply,
    Parameters,
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

_FEW_TAPS = 64
"""Up to this many taps a loop over them is faster than a reduction over a view."""


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
        multiplies = [step.work for step in steps if isinstance(step.work, Multiply) and not step.work.is_float]
        # Rows of 32 bits suffice where nothing makes more of them.
        kind = np.int64 if any(work.is_wide for work in multiplies) else np.int32
        self._accumulators: Array = np.zeros((samples, target.accumulator_rows, target.array_size), kind)
        self._float_accumulators = np.zeros(self._accumulators.shape, np.float32)
        content: Int8Array = np.frombuffer(constants, np.int8)
        self._regions = [np.broadcast_to(content, (samples, len(content)))]
        self._regions += [np.zeros((samples, size), np.int8) for size in region_bytes[1:]]
        self._inputs = self._regions[2 : 2 + inputs]
        self._outputs = self._regions[2 + inputs :]
        reads = [read for step in steps if (read := window_read_of(step.work)) is not None]
        self._padded: Int8Array = np.zeros((samples, _largest_span(reads)), np.int8)
        self._patches: dict[FloatType, Array] = {}
        self._products: dict[FloatType, Array] = {}
        for exact in (np.float32, np.float64):
            works = [work for work in multiplies if float_type(work) is exact]
            self._patches[exact] = np.empty(samples * max(map(patch_elements, works), default=0), exact)
            self._products[exact] = np.empty(
                samples * max((work.positions * work.outer for work in works), default=0), exact
            )
        self._patches_of: tuple[WindowRead, FloatType, int] | None = None
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
        elif isinstance(work, Lookup):
            action = self._lookup(work)
        elif isinstance(work, Interpolate):
            action = self._interpolate(work)
        elif isinstance(work, FloatSums):
            action = sums_action(work, self._float_accumulators, self._scratchpad)
        elif isinstance(work, FloatWork):
            action = float_action(work, *self._window(work.read), self._scratchpad)
        elif isinstance(work, Logarithm):
            action = self._logarithm(work)
        else:
            prepare, view = self._window(work.read)
            action = row_action(step, work, prepare, view[:, :, :, 0, 0], self._scratchpad)
        self._forget_patches(work.scratchpad if isinstance(work, Transfer) else work.output)
        return action

    def _forget_patches(self, written: Lattice) -> None:
        """Do not reuse the matrix of patches when the feature map it was made from may change."""
        if self._patches_of is not None:
            footprint = self._patches_of[0].footprint()
            if footprint and written.lowest <= footprint.highest and footprint.lowest <= written.highest:
                self._patches_of = None

    def _transfer(self, work: Transfer) -> Action:
        dram = work.dram.batched(self._regions[work.region])
        scratchpad = work.scratchpad.batched(self._scratchpad)
        source, destination = (dram, scratchpad) if work.is_load else (scratchpad, dram)

        def transfer() -> None:
            np.copyto(destination, source)

        return transfer

    def _window(self, read: WindowRead) -> tuple[Action | None, Array]:
        """What must be done before a read, and the view that then has it.

        The view has dimensions sample, row, column, tap row, tap column, element. Windows that reach into the
        padding read a padded copy of what they span.
        """
        window, taps, size = read.window, read.taps, read.map.element_bytes
        shape = (window.rows, window.columns, taps.rows, taps.columns, read.width // size)

        def elements(first: int, row: int) -> Lattice:
            strides = (window.step_y * row, window.step_x, taps.step_y * row, taps.step_x, size)
            return Lattice(first, shape, strides, size)

        stride = read.map.row_stride
        if read.is_inside:
            return None, elements(read.map.base + read.y0 * stride + read.x0, stride).batched(self._scratchpad)
        width = read.width_spanned
        spanned = Lattice(0, (read.height_spanned * width // size,), (size,), size).batched(self._padded)
        (top, bottom), (left, right) = read.valid_rows(), read.valid_bytes()
        view = elements(0, width).batched(self._padded)
        pad = read.map.outside
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
        if work.is_float:
            return multiply_action(work, *self._window(work.read), self._scratchpad, self._float_accumulators)
        positions, inner, outer = work.positions, work.inner, work.outer
        prepare, view = self._window(work.read)
        tiles = work.weights.batched(self._scratchpad)
        kind = float_type(work)
        rows = self._accumulators[:, work.accumulator : work.accumulator + positions, :outer]
        products = self._products[kind][: self._samples * positions * outer].reshape(-1, positions, outer)
        parts: list[tuple[Array, Array, list[tuple[Array, Array]], Array, int]] = []
        for top, bottom, left, right in tap_chunks(work.read.taps.rows, work.read.taps.columns, inner):
            patch = view[:, :, :, top:bottom, left:right, :]
            terms = patch.shape[3] * patch.shape[4] * inner
            matrix = self._patches[kind][: self._samples * positions * terms]
            first = top * work.read.taps.columns + left
            tile = tiles[:, first : first + terms // inner]
            blocks = cut_into_blocks(matrix.reshape(-1, positions, terms), products)
            parts.append((patch, matrix.reshape(patch.shape), blocks, tile, terms))
        made = (work.read, kind, work.zero_points[0])
        zero_point, weights_zero_point = work.zero_points
        reusable = len(parts) == 1 and self._patches_of == made
        self._patches_of = made if len(parts) == 1 else None
        overwrite, samples, packed = not work.accumulate, self._samples, work.is_packed
        summed = np.int64 if work.is_wide else np.int32
        wrap = wrapping(rows.dtype, is_wide=work.is_wide)

        def multiply() -> None:
            if prepare is not None and not reusable:
                prepare()
            first = overwrite
            for patch, matrix, blocks, tile, terms in parts:
                if not reusable:
                    np.copyto(matrix, patch, casting="unsafe")
                    if zero_point:
                        np.subtract(matrix, zero_point, out=matrix)
                values_of = unpacked(tile, outer) if packed else tile
                weights = values_of.astype(kind).reshape(samples, 1, terms, outer)
                if weights_zero_point:
                    weights -= weights_zero_point
                for values, product in blocks:
                    np.matmul(values, weights, out=product)
                if first:
                    np.copyto(rows, products, casting="unsafe")
                    first = False
                else:
                    np.add(rows, products.astype(summed), out=rows)
                if wrap is not None:
                    wrap(rows)

        return multiply

    def _parameters(self, step: Step, parameters: Parameters) -> Callable[[], tuple[Array, Int64Array, Int64Array]]:
        """Reader of bias, multiplier and shift, each `(samples, 1, channels)`."""
        view, samples = parameters.bytes.batched(self._scratchpad), self._samples
        is_wide, base = parameters.is_wide, parameters.bytes.base
        largest = 32_767 if is_wide else INT32_MAX

        def read() -> tuple[Array, Int64Array, Int64Array]:
            stored = np.ascontiguousarray(view)
            values: Int32Array = stored.view("<i4").reshape(samples, 1, -1, 4 if is_wide else 3)
            bias = stored.view("<i8").reshape(samples, 1, -1, 2)[..., 0] if is_wide else values[..., 0]
            multiplier, shift = values[..., -2].astype(np.int64), values[..., -1].astype(np.int64)
            if multiplier.min() < 0 or multiplier.max() > largest or shift.min() < 2 or shift.max() > 62:
                raise step.error(
                    f"parameters at scratchpad byte {base} need multipliers from 0"
                    + (f" to {largest}" if is_wide else "")
                    + f" and shifts of 2 to 62, got {multiplier.min()}"
                    + (f" to {multiplier.max()}" if is_wide else "")
                    + f" and {shift.min()} to {shift.max()}"
                )
            return bias, multiplier, shift

        return read

    def _requantize(self, step: Step, work: Requantize) -> Action:
        rows, columns, channels = work.output.shape
        values = self._accumulators[:, work.accumulator : work.accumulator + rows * columns, :channels]
        parameters = self._parameters(step, work.parameters)
        write = self._writer(work.output, work.result, work.clamp)
        double_round = work.clamp.double_round
        add = add_wide if work.parameters.is_wide else add_narrow

        def requantize() -> None:
            bias, multiplier, shift = parameters()
            write(rescale(add(values, bias), multiplier, shift, double_round))

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
        is_narrow = max(work.read.map.element_bytes, work.weights.width) == 1 and taps <= EXACT_TERMS
        kind = np.float32 if is_narrow else np.float64
        add = add_wide if work.parameters.is_wide else add_narrow
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
            # Sums beyond the lanes' bits wrap.
            sums = total.reshape(samples, rows * columns, channels).astype(np.int64)
            write(rescale(add(sums, bias), multiplier, shift, double_round))

        return depthwise

    def _maximum(self, work: Pool) -> Action:
        prepare, view = self._window(work.read)
        destination = work.output.batched(self._scratchpad)
        by_tap = _taps_of(view, work.read)
        kind = np.result_type(view.dtype, destination.dtype).type
        low, high = kind(work.clamp.low), kind(work.clamp.high)

        def maximum() -> None:
            if prepare is not None:
                prepare()
            if by_tap is None:
                largest = view.max(axis=(3, 4))
            else:
                largest = by_tap[0].copy()
                for values in by_tap[1:]:
                    np.maximum(largest, values, out=largest)
            np.copyto(destination, np.clip(largest.astype(kind, copy=False), low, high), casting="same_kind")

        return maximum

    def _sum(self, work: Pool) -> Action:
        assert work.result is not None and work.operand is not None
        prepare, view = self._window(work.read)
        by_tap = _taps_of(view, work.read)
        write = self._writer(work.output, work.result, work.clamp)
        zero = work.read.taps.count * work.operand.zero_point
        result, double_round = work.result, work.clamp.double_round
        zero_point, is_root = work.operand.zero_point, work.kind is Pooling.ROOT
        bits = 8 * work.read.map.element_bytes
        fraction, most = ROOT_FRACTION_BITS[bits], LARGEST_SQUARES[bits]

        def total() -> None:
            if prepare is not None:
                prepare()
            if is_root:
                squares = ((view.astype(np.int64) - zero_point) ** 2).sum(axis=(3, 4))
                roots = square_root(np.minimum(squares, most), fraction)
                write(rescale(np.minimum(roots, INT32_MAX), result.multiplier, result.shift, double_round))
                return
            if by_tap is None:
                sums = view.sum(axis=(3, 4), dtype=np.int64)
            else:
                sums = by_tap[0].astype(np.int64)
                for values in by_tap[1:]:
                    sums += values
            sums -= zero
            write(rescale(sums.astype(np.int32), result.multiplier, result.shift, double_round))

        return total

    def _elements(self, read: WindowRead) -> tuple[Action | None, Array]:
        """As `_window` for one tap, with dimensions sample, row, column, channel."""
        prepare, view = self._window(read)
        return prepare, view[:, :, :, 0, 0, :]

    def _elementwise(self, work: Elementwise) -> Action:
        prepare, first = self._elements(work.read)
        second = _without_repetition(work.second.batched(self._scratchpad))
        write = self._writer(work.output, work.result, work.clamp)
        result, double_round = work.result, work.clamp.double_round
        # Sums need a common scale.
        is_product = work.kind in {Binary.MULTIPLY, Binary.DIVIDE}

        def prepared(scale: Scale) -> Callable[[Int64Array], Int64Array]:
            """What happens to one operand before the two are combined."""
            if is_product:
                return lambda values: values - scale.zero_point
            return lambda values: saturated(
                rescale(values - scale.zero_point, scale.multiplier, scale.shift, double_round)
            )

        (take_a, largest_a), (take_b, largest_b) = (
            operand(view, prepared(scale)) for view, scale in zip((first, second), work.scales, strict=True)
        )
        width = max(work.read.map.element_bytes, work.second.width)
        combine = _COMBINE[work.kind] if work.kind is not Binary.DIVIDE else partial(quotient, bits=8 * width)
        may_saturate = work.kind is Binary.DIVIDE or (not is_product and largest_a + largest_b > INT32_MAX)
        limit = saturated_wide if work.kind is Binary.DIVIDE and width > 1 else saturated

        def elementwise() -> None:
            if prepare is not None:
                prepare()
            values = combine(take_a(), take_b())
            if may_saturate:
                values = limit(values)
            write(rescale(values, result.multiplier, result.shift, double_round))

        return elementwise

    def _convert(self, work: Convert) -> Action:
        prepare, source = self._elements(work.read)
        destination = work.output.batched(self._scratchpad)
        result, zero_point, clamp = work.result, work.operand.zero_point, work.clamp

        def converted(values: Int64Array) -> Int64Array:
            scaled = rescale(values - zero_point, result.multiplier, result.shift, clamp.double_round)
            return np.clip(scaled + result.zero_point, clamp.low, clamp.high)

        take, _ = operand(source, converted, destination.dtype)

        def convert() -> None:
            if prepare is not None:
                prepare()
            np.copyto(destination, take())

        return convert

    def _lookup(self, work: Lookup) -> Action:
        prepare, source = self._elements(work.read)
        indices = source.view(np.uint8)
        tables = work.table.batched(self._scratchpad)
        destination = work.output.batched(self._scratchpad)
        low, high = destination.dtype.type(work.clamp.low), destination.dtype.type(work.clamp.high)

        def lookup() -> None:
            if prepare is not None:
                prepare()
            # The entry of -128 comes first, a byte's index is its unsigned value.
            clamped = np.roll(np.clip(tables, low, high), 128, axis=1)
            for table, index, result in zip(clamped, indices, destination, strict=True):
                np.copyto(result, table[index])

        return lookup

    def _interpolate(self, work: Interpolate) -> Action:
        tables = work.table.batched(self._scratchpad)

        def between(source: Array) -> Array:
            return np.stack([lookup_int16(table, values) for table, values in zip(tables, source, strict=True)])

        return self._function(work, between)

    def _logarithm(self, work: Logarithm) -> Action:
        return self._function(work, lambda source: saturated(stored_logarithm(source, work.offset)))

    def _function(self, work: Interpolate | Logarithm, function: Callable[[Array], Array]) -> Action:
        """Write a function of each element, rescaled."""
        prepare, source = self._elements(work.read)
        write = self._writer(work.output, work.result, work.clamp)
        result, double_round = work.result, work.clamp.double_round

        def compute() -> None:
            if prepare is not None:
                prepare()
            write(rescale(function(source), result.multiplier, result.shift, double_round))

        return compute


_COMBINE: dict[Binary, Callable[[Array, Array], Array]] = {
    Binary.ADD: np.add,
    Binary.SUBTRACT: np.subtract,
    Binary.MULTIPLY: np.multiply,
    Binary.MINIMUM: np.minimum,
    Binary.MAXIMUM: np.maximum,
}


def _scratchpad_used(steps: Sequence[Step]) -> int:
    """The number of scratchpad bytes from 0 to the highest one that the program touches, rounded up to even."""
    highest = 0
    for step in steps:
        if step.work is None:
            continue
        for lattice in vars(step.work).values():
            if isinstance(lattice, Lattice) and lattice is not getattr(step.work, "dram", None):
                highest = max(highest, lattice.highest + 1)
            elif isinstance(lattice, WindowRead) and (footprint := lattice.footprint()) is not None:
                highest = max(highest, footprint.highest + 1)
            elif isinstance(lattice, Parameters):
                highest = max(highest, lattice.bytes.highest + 1)
    return highest + highest % 2


def _largest_span(reads: Sequence[WindowRead]) -> int:
    """The most bytes that windows with padding span, even as elements of two bytes ask for it."""
    largest = max((read.height_spanned * read.width_spanned for read in reads if not read.is_inside), default=0)
    return largest + largest % 2


def _taps_of(view: Array, read: WindowRead) -> list[Array] | None:
    """One view a tap, or None when there are too many."""
    if read.taps.count > _FEW_TAPS:
        return None
    return [view[:, :, :, row, column, :] for row in range(read.taps.rows) for column in range(read.taps.columns)]


def _without_repetition(view: Array) -> Array:
    """The view with one element along dimensions whose elements are all the same memory."""
    return view[tuple(slice(0, 1) if stride == 0 else slice(None) for stride in view.strides)]
