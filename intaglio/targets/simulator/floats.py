"""Fast execution of the instructions on bfloat16, for one or several samples at once.

Products of the array are computed by float64 BLAS, in which those of a tap are exact; the vector unit's lanes by
float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from intaglio.numerics.bfloat16 import floats_of
from intaglio.numerics.float_lanes import COMBINATIONS, POOLINGS, accumulated, clamped, mapped, normalized, softmax
from intaglio.targets.simulator.geometry import Lattice
from intaglio.targets.simulator.steps import (
    Clamp,
    FloatCombine,
    FloatDepthwise,
    FloatMap,
    FloatNormalize,
    FloatPool,
    FloatRowWork,
    FloatSums,
    Multiply,
)

Array = npt.NDArray[Any]
Action = Callable[[], None]


def multiply_action(
    work: Multiply, prepare: Action | None, view: Array, scratchpad: Array, accumulators: Array
) -> Action:
    """What multiplies bfloat16.

    Args:
        work: the instruction.
        prepare: what is to be done before `view` is read, if anything.
        view: the bits of what it reads: sample, row, column, tap row, tap column, element.
        scratchpad: the samples' memories.
        accumulators: their rows of float32.
    """
    tiles = work.weights.batched(scratchpad)
    rows = accumulators[:, work.accumulator : work.accumulator + work.positions, : work.outer]
    shape = (len(scratchpad), work.read.taps.count, work.positions, work.inner)
    by_tap = view.transpose(0, 3, 4, 1, 2, 5)

    def multiply() -> None:
        if prepare is not None:
            prepare()
        sums = rows if work.accumulate else np.zeros_like(rows)
        np.copyto(rows, accumulated(sums, floats_of(by_tap).reshape(shape), floats_of(tiles)))

    return multiply


def _writer(output: Lattice, clamp: Clamp, scratchpad: Array) -> Callable[[Array], None]:
    """Function that rounds values to bfloat16, limits and writes them."""
    destination = output.batched(scratchpad)

    def write(values: Array) -> None:
        np.copyto(destination, clamped(values, clamp.low, clamp.high).reshape(destination.shape))

    return write


def _biases_of(biases: Lattice, scratchpad: Array) -> Callable[[], Array]:
    """Reader of the bias of each channel, `(samples, 1, channels)`."""
    view = biases.batched(scratchpad)
    return lambda: np.ascontiguousarray(view).view("<f4")[:, None, :]


def sums_action(work: FloatSums, accumulators: Array, scratchpad: Array) -> Action:
    """What adds biases to accumulators."""
    rows, columns, channels = work.output.shape
    values = accumulators[:, work.accumulator : work.accumulator + rows * columns, :channels]
    biases, write = _biases_of(work.biases, scratchpad), _writer(work.output, work.clamp, scratchpad)
    return lambda: write(values + biases())


def float_action(
    work: FloatDepthwise | FloatPool | FloatCombine | FloatMap | FloatRowWork,
    prepare: Action | None,
    view: Array,
    scratchpad: Array,
) -> Action:
    """What executes an instruction that reads a feature map.

    Args:
        work: the instruction.
        prepare: what is to be done before `view` is read, if anything.
        view: the bits of what it reads: sample, row, column, tap row, tap column, element.
        scratchpad: the samples' memories.
    """
    write = _writer(work.output, work.clamp, scratchpad)
    if isinstance(work, FloatDepthwise):
        compute = _depthwise(work, view, scratchpad)
    elif isinstance(work, FloatPool):
        compute = _pool(work, view)
    elif isinstance(work, FloatCombine):
        compute = _combine(work, view, scratchpad)
    elif isinstance(work, FloatRowWork):
        compute = _rows(work, view, scratchpad)
    else:
        function, alpha, beta = work.function, work.alpha, work.beta

        def compute() -> Array:
            return floats_of(mapped(function, view[:, :, :, 0, 0], alpha, beta))

    def act() -> None:
        if prepare is not None:
            prepare()
        with np.errstate(all="ignore"):
            write(compute())

    return act


def _taps(view: Array) -> list[Array]:
    """The view at each tap."""
    return [view[:, :, :, row, column] for row in range(view.shape[3]) for column in range(view.shape[4])]


def _depthwise(work: FloatDepthwise, view: Array, scratchpad: Array) -> Callable[[], Array]:
    samples, (rows, columns, channels) = len(scratchpad), work.output.shape
    weights, biases, by_tap = work.weights.batched(scratchpad), _biases_of(work.biases, scratchpad), _taps(view)

    def compute() -> Array:
        factors = floats_of(weights)[:, :, None, None, :]
        total = floats_of(by_tap[0]) * factors[:, 0]
        for tap, bits in enumerate(by_tap[1:], 1):
            total += floats_of(bits) * factors[:, tap]
        return total.reshape(samples, rows * columns, channels) + biases()

    return compute


def _pool(work: FloatPool, view: Array) -> Callable[[], Array]:
    function, by_tap = POOLINGS[work.function], _taps(view)
    divisor = np.float32(work.divisor) if work.function == "sum" else None

    def compute() -> Array:
        total = floats_of(by_tap[0])
        for bits in by_tap[1:]:
            total = function(total, floats_of(bits))
        return total if divisor is None else total / divisor

    return compute


def _combine(work: FloatCombine, view: Array, scratchpad: Array) -> Callable[[], Array]:
    function, second = COMBINATIONS[work.function], work.second.batched(scratchpad)
    return lambda: function(floats_of(view[:, :, :, 0, 0]), floats_of(second))


def _rows(work: FloatRowWork, view: Array, scratchpad: Array) -> Callable[[], Array]:
    rows = view[:, :, :, 0, 0]
    if not isinstance(work, FloatNormalize):
        return lambda: softmax(floats_of(rows))
    affine, epsilon, around_mean = work.affine.batched(scratchpad), work.epsilon, work.around_mean

    def compute() -> Array:
        records = np.ascontiguousarray(affine).view("<f4").reshape(len(affine), 1, 1, -1, 2)
        return normalized(floats_of(rows), records[..., 0], records[..., 1], epsilon, around_mean=around_mean)

    return compute
