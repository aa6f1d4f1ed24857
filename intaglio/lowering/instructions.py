"""The instruction that executes each kind of task, and the state that it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import SSAValue

from intaglio.dialects import npu
from intaglio.numerics.float_lanes import COMBINATIONS, FUNCTIONS, POOLINGS, single_bits

Configuration = tuple[int, ...]
"""The operands of a configuring instruction."""

Places = Mapping[SSAValue, tuple[int, int]]
"""DRAM region and address of every buffer; the region of those in the scratchpad has no meaning."""


@dataclass(frozen=True)
class Setting:
    """A state that a task needs; None stands for a quantity that its instruction does not look at."""

    mnemonic: str
    values: tuple[int | None, ...]

    def agrees(self, current: Configuration) -> bool:
        """Whether a state is as good."""
        return all(value is None or value == is_now for value, is_now in zip(self.values, current, strict=True))


@dataclass(frozen=True)
class Execution:
    """The instruction that does a task's work."""

    mnemonic: str
    values: Configuration


def instructions_of(task: npu.TaskOp, places: Places) -> tuple[list[Setting], Execution]:
    """The states that a task needs, in the order in which to set them, and its instruction."""
    *settings, executed = _LOWERINGS[type(task)](task, places)
    return [item for item in settings if isinstance(item, Setting)], _execution(executed)


def _execution(item: Setting | Execution) -> Execution:
    assert isinstance(item, Execution)
    return item


Items = Iterator[Setting | Execution]

FULL = npu.Bounds(-128, 127)
"""The bounds of bytes."""


def _number(attribute: IntegerAttr[Any]) -> int:
    return attribute.value.data


def _transfer(task: npu.TransferOp, places: Places) -> Items:
    transfer, loads = task.transfer.data, isinstance(task, npu.LoadOp)
    queue = "load" if loads else "store"
    for level, (count, source, target) in enumerate(transfer.loops):
        dram, scratchpad = (source, target) if loads else (target, source)
        if count == 1:
            yield Setting(f"{queue}.shape", (level, 1, None, None))
        else:
            yield Setting(f"{queue}.shape", (level, count, dram, scratchpad))
    outside, inside = (task.source, task.target) if loads else (task.target, task.source)
    outside_offset, inside_offset = transfer.source_offset, transfer.target_offset
    if not loads:
        outside_offset, inside_offset = inside_offset, outside_offset
    region, address = places[outside]
    yield Execution(f"{queue}.run", (region, address + outside_offset, places[inside][1] + inside_offset, transfer.run))


def _feature_map(queue: str, read: npu.FeatureMap, address: int) -> Setting:
    values = (address + read.offset, read.row_stride, read.row_bytes, read.rows, read.pad, read.element_bytes)
    return Setting(f"{queue}.input", values)


def _grid(mnemonic: str, grid: npu.Grid) -> Setting:
    return Setting(mnemonic, (grid.columns, grid.rows, grid.step_x, grid.step_y))


def _matrix_multiply(task: npu.MatrixMultiplyOp, places: Places) -> Items:
    tiles, origin = task.tiles.data, task.origin.data
    yield _feature_map("matrix", task.map.data, places[task.input][1])
    yield _grid("matrix.window", task.window.data)
    yield _grid("matrix.taps", task.taps.data)
    base = places[task.weights][1] + tiles.offset
    zero_points = tiles.zero_point, tiles.input_zero_point, tiles.bfloat16
    layout = tiles.tap_stride, tiles.row_stride, tiles.element_bytes, tiles.packed
    yield Setting("matrix.weights", (base, *layout, *zero_points))
    yield Execution(
        "matrix.multiply",
        (
            _number(task.inner),
            _number(task.outer),
            origin.x0,
            origin.y0,
            _number(task.accumulator),
            int(task.accumulate is not None),
        ),
    )


def _output(target: SSAValue, placement: npu.Placement, bounds: npu.Bounds, places: Places) -> Items:
    base = places[target][1] + placement.offset
    strides = placement.row_stride, placement.column_stride
    yield Setting("vector.output", (base, *strides, placement.element_bytes))
    yield Setting("vector.clamp", (bounds.low, bounds.high, 0))


def _scale(operand: int, scale: npu.Scale) -> Setting:
    return Setting("vector.scale", (operand, scale.multiplier, scale.shift, scale.zero_point))


def _zero_point(operand: int, zero_point: IntegerAttr[Any]) -> Setting:
    return Setting("vector.scale", (operand, None, None, _number(zero_point)))


def _parameters(task: npu.RequantizeOp | npu.DepthwiseOp, places: Places) -> Setting:
    base = places[task.parameters][1] + _number(task.parameters_offset)
    return Setting("vector.parameters", (base, int(task.wide is not None)))


def _requantize(task: npu.RequantizeOp, places: Places) -> Items:
    window = task.window.data
    yield Setting("vector.window", (window.columns, window.rows, None, None))
    yield from _output(task.output, task.placement.data, task.bounds.data, places)
    yield _parameters(task, places)
    yield _zero_point(0, task.zero_point)
    yield Execution("vector.requantize", (_number(task.accumulator), _number(task.channels)))


def _map_task(task: npu.MapTaskOp, bounds: npu.Bounds, places: Places) -> Items:
    yield _feature_map("vector", task.map.data, places[task.source][1])
    yield _grid("vector.window", task.window.data)
    yield from _output(task.output, task.placement.data, bounds, places)


def _executed(kind: str, task: npu.MapTaskOp) -> Execution:
    origin = task.origin.data
    return Execution(f"vector.{kind}", (_number(task.channels), origin.x0, origin.y0))


def _depthwise(task: npu.DepthwiseOp, places: Places) -> Items:
    weights = task.tap_weights.data
    yield from _map_task(task, task.bounds.data, places)
    yield _grid("vector.taps", task.taps.data)
    base = places[task.weights][1] + weights.offset
    yield Setting("vector.weights", (base, weights.tap_stride, weights.element_bytes))
    yield _parameters(task, places)
    yield _zero_point(0, task.zero_point)
    yield _executed("depthwise", task)


def _max(task: npu.MaxOp, places: Places) -> Items:
    yield from _map_task(task, task.bounds.data, places)
    yield _grid("vector.taps", task.taps.data)
    yield _executed("max", task)


def _sum(kind: str) -> Callable[[npu.SumOp | npu.RootOp, Places], Items]:
    def lower(task: npu.SumOp | npu.RootOp, places: Places) -> Items:
        yield from _map_task(task, task.bounds.data, places)
        yield _grid("vector.taps", task.taps.data)
        yield _scale(0, task.result_scale.data)
        yield _zero_point(1, task.input_zero_point)
        yield _executed(kind, task)

    return lower


def _binary(task: npu.BinaryTaskOp, places: Places) -> Items:
    operand = task.operand.data
    yield from _map_task(task, task.bounds.data, places)
    base = places[task.b][1] + operand.offset
    strides = operand.row_stride, operand.column_stride, operand.channel_stride
    yield Setting("vector.operand", (base, *strides, operand.element_bytes))
    yield _scale(0, task.result_scale.data)


def _scaled_sum(kind: str) -> Callable[[npu.ScaledSumOp, Places], Items]:
    def lower(task: npu.ScaledSumOp, places: Places) -> Items:
        yield from _binary(task, places)
        yield _scale(1, task.a_scale.data)
        yield _scale(2, task.b_scale.data)
        yield _executed(kind, task)

    return lower


def _centered(kind: str) -> Callable[[npu.CenteredTaskOp, Places], Items]:
    def lower(task: npu.CenteredTaskOp, places: Places) -> Items:
        yield from _binary(task, places)
        yield _zero_point(1, task.a_zero_point)
        yield _zero_point(2, task.b_zero_point)
        yield _executed(kind, task)

    return lower


def _logarithm(task: npu.LogarithmOp, places: Places) -> Items:
    yield from _map_task(task, task.bounds.data, places)
    yield Setting("vector.offset", (_number(task.offset),))
    yield _scale(0, task.result_scale.data)
    yield _executed("logarithm", task)


def _convert(task: npu.ConvertOp, places: Places) -> Items:
    yield from _map_task(task, task.bounds.data, places)
    yield _scale(0, task.result_scale.data)
    yield _zero_point(1, task.input_zero_point)
    yield _executed("convert", task)


def _lookup(task: npu.LookupOp, places: Places) -> Items:
    yield from _map_task(task, task.bounds.data, places)
    yield Setting("vector.table", (places[task.table][1] + _number(task.table_offset),))
    yield _executed("lookup", task)


def _interpolate(task: npu.InterpolateOp, places: Places) -> Items:
    yield from _map_task(task, task.bounds.data, places)
    yield Setting("vector.table", (places[task.table][1] + _number(task.table_offset),))
    yield _scale(0, task.result_scale.data)
    yield _executed("interpolate", task)


def _transpose(task: npu.TransposeOp, places: Places) -> Items:
    yield from _map_task(task, FULL, places)
    yield _executed("transpose", task)


def _softmax(task: npu.SoftmaxOp, places: Places) -> Items:
    yield from _map_task(task, task.bounds.data, places)
    fraction = _number(task.fraction) if task.fraction is not None else 0
    yield Setting("vector.exponentials", (places[task.table][1] + _number(task.table_offset), fraction))
    yield _scale(0, task.result_scale.data)
    yield _executed("softmax", task)


def _normalize(task: npu.NormalizeOp, places: Places) -> Items:
    yield from _map_task(task, task.bounds.data, places)
    base = places[task.factors][1] + _number(task.factors_offset)
    yield Setting("vector.normalization", (base, int(task.around_mean is not None), _number(task.epsilon)))
    yield _scale(0, task.result_scale.data)
    yield _zero_point(1, task.input_zero_point)
    yield _executed("normalize", task)


def _bias_address(task: npu.FloatSumsOp | npu.FloatDepthwiseOp, places: Places) -> Setting:
    return Setting("vector.parameters", (places[task.parameters][1] + _number(task.parameters_offset), 0))


def _float_sums(task: npu.FloatSumsOp, places: Places) -> Items:
    window = task.window.data
    yield Setting("vector.window", (window.columns, window.rows, None, None))
    yield from _output(task.output, task.placement.data, task.bounds.data, places)
    yield _bias_address(task, places)
    yield Execution("vector.float_sums", (_number(task.accumulator), _number(task.channels)))


def _float_depthwise(task: npu.FloatDepthwiseOp, places: Places) -> Items:
    weights = task.tap_weights.data
    yield from _map_task(task, task.bounds.data, places)
    yield _grid("vector.taps", task.taps.data)
    base = places[task.weights][1] + weights.offset
    yield Setting("vector.weights", (base, weights.tap_stride, weights.element_bytes))
    yield _bias_address(task, places)
    yield _executed("float_depthwise", task)


def _float_pool(task: npu.FloatPoolOp, places: Places) -> Items:
    yield from _map_task(task, task.bounds.data, places)
    yield _grid("vector.taps", task.taps.data)
    number = tuple(POOLINGS).index(task.function.data)
    yield Execution("vector.float_pool", (*_executed("float_pool", task).values, number, _number(task.divisor)))


def _float_combine(task: npu.FloatCombineOp, places: Places) -> Items:
    operand = task.operand.data
    yield from _map_task(task, task.bounds.data, places)
    base = places[task.b][1] + operand.offset
    strides = operand.row_stride, operand.column_stride, operand.channel_stride
    yield Setting("vector.operand", (base, *strides, operand.element_bytes))
    number = tuple(COMBINATIONS).index(task.function.data)
    yield Execution("vector.float_combine", (*_executed("float_combine", task).values, number))


def _float_map(task: npu.FloatMapOp, places: Places) -> Items:
    yield from _map_task(task, task.bounds.data, places)
    alpha, beta = (single_bits(number.value.data) for number in (task.alpha, task.beta))
    yield Setting("vector.coefficients", (alpha, beta))
    number = FUNCTIONS.index(task.function.data)
    yield Execution("vector.float_map", (*_executed("float_map", task).values, number))


def _float_softmax(task: npu.FloatSoftmaxOp, places: Places) -> Items:
    yield from _map_task(task, task.bounds.data, places)
    yield _executed("float_softmax", task)


def _float_normalize(task: npu.FloatNormalizeOp, places: Places) -> Items:
    yield from _map_task(task, task.bounds.data, places)
    base, epsilon = places[task.factors][1] + _number(task.factors_offset), single_bits(task.epsilon.value.data)
    yield Setting("vector.normalization", (base, int(task.around_mean is not None), epsilon))
    yield _executed("float_normalize", task)


_LOWERINGS: dict[type[npu.TaskOp], Callable[[Any, Places], Items]] = {
    npu.LoadOp: _transfer,
    npu.StoreOp: _transfer,
    npu.MatrixMultiplyOp: _matrix_multiply,
    npu.RequantizeOp: _requantize,
    npu.DepthwiseOp: _depthwise,
    npu.MaxOp: _max,
    npu.SumOp: _sum("sum"),
    npu.RootOp: _sum("root"),
    npu.AddOp: _scaled_sum("add"),
    npu.SubtractOp: _scaled_sum("subtract"),
    npu.MultiplyOp: _centered("multiply"),
    npu.DivideOp: _centered("divide"),
    npu.LogarithmOp: _logarithm,
    npu.ConvertOp: _convert,
    npu.LookupOp: _lookup,
    npu.InterpolateOp: _interpolate,
    npu.MinimumOp: _scaled_sum("minimum"),
    npu.MaximumOp: _scaled_sum("maximum"),
    npu.TransposeOp: _transpose,
    npu.SoftmaxOp: _softmax,
    npu.NormalizeOp: _normalize,
    npu.FloatSumsOp: _float_sums,
    npu.FloatDepthwiseOp: _float_depthwise,
    npu.FloatPoolOp: _float_pool,
    npu.FloatCombineOp: _float_combine,
    npu.FloatMapOp: _float_map,
    npu.FloatSoftmaxOp: _float_softmax,
    npu.FloatNormalizeOp: _float_normalize,
}
