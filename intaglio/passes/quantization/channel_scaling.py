"""Giving the channels of a group another unit: weights, biases, constants and bounds take the factors up.

The values of a group become `value / factor`, channel by channel, and the network computes what it did. Factors of
several rounds are collected in double precision; constants are written, rounded once, at the end.

A bound above, as of ReLU6, becomes one for each channel. It stays fused when it is the same for all channels; otherwise
the fused bound goes and an `nn.minimum` with the bounds of the channels follows.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import ModuleOp, UnitAttr, f32
from xdsl.ir import Operation

from intaglio.dialects import nn
from intaglio.dialects.quant import ObserveOp
from intaglio.dialects.weights import array_of
from intaglio.executor.jit import compiled
from intaglio.ir.locations import name_of
from intaglio.passes.calibration.channels import channel_values, write_channel_values
from intaglio.passes.graph.matching import new_constant
from intaglio.passes.quantization.channel_groups import ChannelGroup, Layer, bounds_of, channels_of
from intaglio.passes.quantization.coverage import constant_of

SCALED = "intaglio.scaled_channels"
"""Module attribute: channels have other units than in the model that the module was imported from."""

Floats = npt.NDArray[np.float64]
Magnitudes = npt.NDArray[np.float32]

_SAME = 1e-6
"""Bounds that differ relatively by less are one bound: float32 does not tell them apart."""


class ChannelScaling:
    """Factors for groups of one function; nothing is rewritten before `finish`."""

    def __init__(self) -> None:
        self._parameters: dict[tuple[Operation, int], Floats] = {}
        self._bounds: dict[Operation, Floats] = {}
        self._changed: dict[Operation, None] = {}
        self._observers: dict[ObserveOp, Floats] = {}

    def row_ranges(self, source: Layer) -> Floats:
        """The largest magnitude in the weight of each output channel."""
        weight = self._parameter(source, 1)
        return np.abs(weight).max(axis=tuple(range(1, weight.ndim)), initial=0.0)

    def column_ranges(self, consumer: Layer) -> Floats:
        """The largest magnitude in the weight that each input channel meets."""
        return column_ranges(np.abs(self._parameter(consumer, 1)), groups_of(consumer))

    def weight(self, layer: Layer) -> Floats:
        """The weight of a layer with the factors so far."""
        return self._parameter(layer, 1)

    def upper_bounds(self, op: Operation) -> Floats:
        """The bound above of each channel of a result, infinite where there is none."""
        if op not in self._bounds:
            self._bounds[op] = np.full(channels_of(op.results[0]), bounds_of(op)[1])
        return self._bounds[op]

    def divide(self, group: ChannelGroup, factors: Floats) -> None:
        """Divide the values of a group by positive factors, one for each channel."""
        for source in group.sources:
            for index in range(1, len(source.operands)):
                parameter = self._parameter(source, index)
                self._parameters[source, index] = parameter / along_rows(factors, parameter.ndim)
            self._changed[source] = None
        for consumer in group.consumers:
            weight = self._parameter(consumer, 1)
            self._parameters[consumer, 1] = weight * columns(factors, weight, groups_of(consumer))
            self._changed[consumer] = None
        for op, index in group.constants:
            self._parameters[op, index] = self._parameter(op, index) / factors
            self._changed[op] = None
        for op in group.bounded:
            self._bounds[op] = self.upper_bounds(op) / factors
            self._changed[op] = None
        for value in group.values:
            if isinstance(observer := value.owner, ObserveOp):
                self._observers[observer] = self._observers.get(observer, 1.0) * factors

    def finish(self) -> None:
        """Write constants, bounds and what observers know of the channels; a range has to be observed again."""
        self._mark()
        for op in self._changed:
            for index in range(len(op.operands)):
                if (op, index) in self._parameters:
                    _replace_constant(op, index, self._parameters[op, index])
        for op, bounds in self._bounds.items():
            if op in self._changed:
                _bound(op, bounds)
        for observer, factors in self._observers.items():
            observer.properties.pop("range", None)
            observer.properties.pop("extrema", None)
            known = channel_values(observer)
            write_channel_values(observer, None if known is None else known.divided(factors))

    def _mark(self) -> None:
        """Leave word in the module, if the operations are in one, that its values are not the imported ones."""
        op = next(iter(self._changed), None)
        while op is not None and not isinstance(op, ModuleOp):
            op = op.parent_op()
        if op is not None:
            op.attributes[SCALED] = UnitAttr()

    def _parameter(self, op: Operation, index: int) -> Floats:
        if (op, index) not in self._parameters:
            constant = constant_of(op.operands[index])
            assert constant is not None, "groups end in constants"
            self._parameters[op, index] = array_of(constant.value).astype(np.float64)
        return self._parameters[op, index]


class WeightRanges:
    """What weights would range over if groups were divided; no weight is made for that."""

    def __init__(self) -> None:
        self._magnitudes: dict[Layer, tuple[Magnitudes, Magnitudes]] = {}
        self._rows: dict[Layer, Floats] = {}
        self._columns: dict[Layer, Floats] = {}

    def of_rows(self, source: Layer) -> Floats:
        """The largest magnitude in the weight of each output channel."""
        _, by_column = self._of(source)
        return (self._rows[source] * _largest_in_columns(by_column, self._columns[source])).reshape(-1)

    def of_columns(self, consumer: Layer) -> Floats:
        """The largest magnitude in the weight that each input channel meets."""
        by_row, _ = self._of(consumer)
        return (self._columns[consumer] * _largest_in_columns(by_row, self._rows[consumer])).reshape(-1)

    def divide(self, group: ChannelGroup, factors: Floats) -> None:
        """Divide the values of a group of layers by positive factors, one for each channel."""
        for source in group.sources:
            assert isinstance(source, Layer), "the weights of a normalization have no ranges here"
            self._of(source)
            self._rows[source] = self._rows[source] / factors.reshape(self._rows[source].shape)
        for consumer in group.consumers:
            self._of(consumer)
            self._columns[consumer] = self._columns[consumer] * factors.reshape(self._columns[consumer].shape)

    def _of(self, layer: Layer) -> tuple[Magnitudes, Magnitudes]:
        """The largest magnitudes over the kernel, `[groups, outputs, inputs]` and `[groups, inputs, outputs]`.

        Factors of both, `[groups, outputs]` and `[groups, inputs]`, are 1 at first.
        """
        if layer not in self._magnitudes:
            constant = constant_of(layer.weight)
            assert constant is not None, "groups end in constants"
            weight = np.abs(array_of(constant.value)).astype(np.float32)
            largest = weight.max(axis=tuple(range(1, weight.ndim - 1)), initial=0.0)
            by_row = np.ascontiguousarray(largest.reshape(groups_of(layer), -1, weight.shape[-1]))
            self._magnitudes[layer] = by_row, np.ascontiguousarray(by_row.transpose(0, 2, 1))
            self._rows[layer], self._columns[layer] = np.ones(by_row.shape[:2]), np.ones_like(by_row[:, 0], np.float64)
        return self._magnitudes[layer]


@compiled
def _largest_in_columns(magnitudes: Magnitudes, factors: Floats) -> Floats:
    """The largest of each column of each group `[G, N, M]`, whose rows have factors `[G, N]`; `[G, M]`."""
    groups, rows, columns = magnitudes.shape
    found = np.zeros((groups, columns))
    for group in range(groups):
        for row in range(rows):
            factor = factors[group, row]
            for column in range(columns):
                found[group, column] = max(found[group, column], np.float64(magnitudes[group, row, column]) * factor)
    return found


def groups_of(layer: Layer) -> int:
    """The number of groups of a convolution; 1 for a dense layer."""
    return 1 if isinstance(layer, nn.DenseOp) else layer.groups.value.data


def along_rows(factors: Floats, rank: int) -> Floats:
    """Factors of output channels in a shape that broadcasts over a weight (of rank 1: a bias) of that rank."""
    return factors.reshape(-1, *[1] * (rank - 1))


def columns(factors: Floats, weight: Floats, groups: int) -> Floats:
    """Factors of input channels in a shape that broadcasts over a weight, `[O, .., C / groups]`."""
    by_group = factors.reshape(groups, -1)
    rows = np.repeat(by_group, weight.shape[0] // groups, axis=0)
    return rows.reshape(weight.shape[0], *[1] * (weight.ndim - 2), weight.shape[-1])


def column_ranges(magnitudes: Floats, groups: int) -> Floats:
    """The largest element of a weight `[O, .., C / groups]` that each of the C input channels meets."""
    by_row = magnitudes.max(axis=tuple(range(1, magnitudes.ndim - 1)), initial=0.0)
    return by_row.reshape(groups, -1, magnitudes.shape[-1]).max(axis=1, initial=0.0).reshape(-1)


def _replace_constant(op: Operation, index: int, values: Floats) -> None:
    old = constant_of(op.operands[index])
    assert old is not None and op.parent is not None
    new = new_constant(name_of(op) or op.name, values, f32, old)
    op.parent.insert_op_before(new, op)
    op.operands[index] = new.result
    if old.result.first_use is None:
        old.detach()
        old.erase()


def _bound(op: Operation, bounds: Floats) -> None:
    """Limit a result from above, by one bound for each channel."""
    assert op.parent is not None
    result = op.results[0]
    low, _ = bounds_of(op)
    high = float(bounds.max())
    if bounds.min() >= high * (1 - _SAME):
        op.properties["clamp"] = nn.ClampAttr.of(low, high)
        return
    op.properties["clamp"] = nn.ClampAttr.of(low, math.inf)
    limits = new_constant(f"{name_of(op) or op.name}.bounds", bounds, f32)
    limited = nn.MinimumOp(result, limits.result, result.type)
    limits.location = limited.location = op.location
    op.parent.insert_op_after(limits, op)
    op.parent.insert_op_after(limited, limits)
    result.replace_uses_with_if(limited.result, lambda use: use.operation is not limited)
