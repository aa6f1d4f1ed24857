"""Execution of instructions whose results take more than one element of a row: transposition and row statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from intaglio.numerics.normalization import normalized_by
from intaglio.numerics.softmax import probabilities, wide_exponentials
from intaglio.targets.instructions import EXPONENTIAL_BYTES
from intaglio.targets.simulator.arithmetic import INT32_MAX, rescale, saturated, saturated_wide
from intaglio.targets.simulator.steps import Normalize, RowWork, Softmax, Step, Transpose

Array = npt.NDArray[Any]
Action = Callable[[], None]


def row_action(step: Step, work: RowWork, prepare: Action | None, view: Array, scratchpad: Array) -> Action:
    """What an instruction does.

    Args:
        step: the instruction.
        work: what it does.
        prepare: what must be done before its operand is read.
        view: the operand, with dimensions sample, row, column, channel.
        scratchpad: of all samples.
    """
    destination = work.output.batched(scratchpad)
    low, high = work.clamp.low, work.clamp.high

    def transpose() -> None:
        # The output's lattice has the dimensions of the operand, with strides exchanged.
        np.copyto(destination, np.clip(view, np.int8(low), np.int8(high)))

    compute: Callable[[], Array] | None = None
    if isinstance(work, Softmax):
        compute = _softmax(step, work, view, scratchpad)
    elif isinstance(work, Normalize):
        compute = _normalize(work, view, scratchpad)

    def execute() -> None:
        if prepare is not None:
            prepare()
        if compute is None or isinstance(work, Transpose):
            transpose()
            return
        scaled = rescale(compute(), work.result.multiplier, work.result.shift, work.clamp.double_round)
        np.copyto(destination, np.clip(scaled + work.result.zero_point, low, high), casting="unsafe")

    return execute


def _softmax(step: Step, work: Softmax, view: Array, scratchpad: Array) -> Callable[[], Array]:
    table = work.table.batched(scratchpad)
    samples = np.arange(len(view), dtype=np.int64)[:, None, None, None]

    def compute() -> Array:
        entries = np.ascontiguousarray(table).view("<i4").astype(np.int64)
        values = view.astype(np.int64)
        distance = values.max(axis=-1, keepdims=True) - values
        if work.fraction:
            tables = entries.reshape(len(view), 2, EXPONENTIAL_BYTES // 4)
            exponentials = np.stack(
                [
                    wide_exponentials(values, lower, upper, work.fraction)
                    for values, (lower, upper) in zip(distance, tables, strict=True)
                ]
            )
        else:
            exponentials = entries[samples, distance]
        total = exponentials.sum(axis=-1)
        if exponentials.min() < 0 or total.min() < 1 or total.max() > INT32_MAX:
            raise step.error(
                f"exponentials are not negative and their sums are 1 to {INT32_MAX}, "
                f"got {exponentials.min()} and sums of {total.min()} to {total.max()}"
            )
        return probabilities(exponentials)

    return compute


def _normalize(work: Normalize, view: Array, scratchpad: Array) -> Callable[[], Array]:
    affine = work.affine.batched(scratchpad)
    zero_point, epsilon, around_mean = work.operand.zero_point, work.epsilon, work.around_mean
    bits = 8 * work.output.width
    is_wide = bits > 8

    def compute() -> Array:
        stored = np.ascontiguousarray(affine)
        words = stored.view("<i4").astype(np.int64).reshape(len(view), 1, 1, -1, 4 if is_wide else 2)
        factor, offset = words[..., 0], words[..., 1]
        if is_wide:
            factor, offset = words[..., 2], stored.view("<i8").reshape(len(view), 1, 1, -1, 2)[..., 0]
        centered = view.astype(np.int64) - zero_point
        fixed = normalized_by(centered, epsilon, result_bits=bits, around_mean=around_mean)
        return (saturated_wide if is_wide else saturated)(fixed * factor + offset)

    return compute
