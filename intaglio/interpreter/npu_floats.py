"""What tasks on bfloat16 do to the machine of `intaglio.interpreter.npu`: `docs/accelerator.md`, section Bfloat16."""

from __future__ import annotations

import numpy as np
from xdsl.ir import SSAValue

from intaglio.dialects import npu
from intaglio.interpreter.npu import Machine, positions, task
from intaglio.interpreter.values import Array
from intaglio.numerics.bfloat16 import floats_of
from intaglio.numerics.float_lanes import COMBINATIONS, POOLINGS, clamped, mapped, normalized, softmax
from intaglio.targets.instruction_format import BIAS_BYTES
from intaglio.targets.instructions import AFFINE_BYTES

MINUS_INFINITY = -128
"""The bits 0xFF80."""


def under_taps(machine: Machine, op: npu.MapTaskOp) -> Array:
    """Bits of what a task reads of its feature map, `[rows, columns, taps, channels]`; int64."""
    where = positions(op.window.data, op.tap_grid, op.origin.data)
    read = op.map.data
    bits = machine.gather(op.source, read, where, op.channels.value.data)
    if read.pad != -1:
        return bits
    # Outside a map, 0xFF in the high byte stands for minus infinity.
    y, x = (index[..., None] for index in where)
    x = x + np.arange(op.channels.value.data) * read.element_bytes
    inside = (y >= 0) & (y < read.rows) & (x >= 0) & (x < read.row_bytes)
    return np.where(inside, bits, MINUS_INFINITY)


def write(machine: Machine, target: SSAValue, placement: npu.Placement, bounds: npu.Bounds, results: Array) -> None:
    """Round results `[rows, columns, channels]` to bfloat16, limit them and write them."""
    rows, columns, channels = np.ix_(*(range(size) for size in results.shape))
    address = placement.offset + rows * placement.row_stride + columns * placement.column_stride + channels * 2
    bits = clamped(results, bounds.low, bounds.high)
    machine.buffers[target][address] = bits.astype(np.int8)
    machine.buffers[target][address + 1] = (bits >> 8).astype(np.int8)


def biases(machine: Machine, op: npu.FloatSumsOp | npu.FloatDepthwiseOp) -> Array:
    """The bias of each channel, float32."""
    first, channels = op.parameters_offset.value.data, op.channels.value.data
    return machine.buffers[op.parameters][first : first + BIAS_BYTES * channels].copy().view("<f4")


@task(npu.FloatSumsOp)
def float_sums(machine: Machine, op: npu.FloatSumsOp) -> None:
    """Accumulator plus bias."""
    window, channels, first = op.window.data, op.channels.value.data, op.accumulator.value.data
    sums = machine.float_accumulators[first : first + window.size, :channels] + biases(machine, op)
    results = sums.reshape(window.rows, window.columns, channels)
    write(machine, op.output, op.placement.data, op.bounds.data, results)


@task(npu.FloatDepthwiseOp)
def float_depthwise(machine: Machine, op: npu.FloatDepthwiseOp) -> None:
    """Sum over taps of value times weight, tap after tap, plus bias."""
    channels, tap_weights = op.channels.value.data, op.tap_weights.data
    tap, channel = np.ix_(range(op.taps.data.size), range(channels))
    address = tap_weights.offset + tap * tap_weights.tap_stride + channel * tap_weights.element_bytes
    weights = floats_of(machine.elements(op.weights, address, tap_weights.element_bytes))
    products = floats_of(under_taps(machine, op)) * weights
    total = products[:, :, 0]
    for number in range(1, op.taps.data.size):
        total = total + products[:, :, number]
    write(machine, op.output, op.placement.data, op.bounds.data, total + biases(machine, op))


@task(npu.FloatPoolOp)
def float_pool(machine: Machine, op: npu.FloatPoolOp) -> None:
    """The taps' elements, one after another; a sum over its divisor."""
    values = floats_of(under_taps(machine, op))
    total = values[:, :, 0]
    for number in range(1, op.taps.data.size):
        total = POOLINGS[op.function.data](total, values[:, :, number])
    if op.function.data == "sum":
        total = total / np.float32(op.divisor.value.data)
    write(machine, op.output, op.placement.data, op.bounds.data, total)


@task(npu.FloatCombineOp)
def float_combine(machine: Machine, op: npu.FloatCombineOp) -> None:
    """Both operands combined."""
    window, channels, operand = op.window.data, op.channels.value.data, op.operand.data
    row, column, channel = np.ix_(range(window.rows), range(window.columns), range(channels))
    start = operand.offset + row * operand.row_stride + column * operand.column_stride
    second = machine.elements(op.b, start + channel * operand.channel_stride * 2, 2)
    with np.errstate(all="ignore"):
        results = COMBINATIONS[op.function.data](floats_of(under_taps(machine, op)[:, :, 0]), floats_of(second))
    write(machine, op.output, op.placement.data, op.bounds.data, results)


@task(npu.FloatMapOp)
def float_map(machine: Machine, op: npu.FloatMapOp) -> None:
    """The function of each element."""
    alpha, beta = (float(np.float32(number.value.data)) for number in (op.alpha, op.beta))
    bits = mapped(op.function.data, under_taps(machine, op)[:, :, 0], alpha, beta)
    write(machine, op.output, op.placement.data, op.bounds.data, floats_of(bits))


@task(npu.FloatSoftmaxOp)
def float_softmax(machine: Machine, op: npu.FloatSoftmaxOp) -> None:
    """Softmax over the channels of each position."""
    results = softmax(floats_of(under_taps(machine, op)[:, :, 0]))
    write(machine, op.output, op.placement.data, op.bounds.data, results)


@task(npu.FloatNormalizeOp)
def float_normalize(machine: Machine, op: npu.FloatNormalizeOp) -> None:
    """Over the deviation, times a factor plus an offset for each channel."""
    first, channels = op.factors_offset.value.data, op.channels.value.data
    records = machine.buffers[op.factors][first : first + AFFINE_BYTES * channels].copy().view("<f4").reshape(-1, 2)
    rows = floats_of(under_taps(machine, op)[:, :, 0])
    around_mean = op.around_mean is not None
    results = normalized(rows, records[:, 0], records[:, 1], op.epsilon.value.data, around_mean=around_mean)
    write(machine, op.output, op.placement.data, op.bounds.data, results)
