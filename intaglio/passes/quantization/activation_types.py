"""The scale and zero point of every value of a function that runs in integers.

Values with common parameters (`coverage`) get those of their ranges together: calibrated ones, those of functions and
constants, and those that follow from others. 8 bits hold that range, 16 bits reach beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from xdsl.dialects import func
from xdsl.ir import Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.quant import ObserveOp, UniformQuantizedType, uniform
from intaglio.dialects.weights import array_of
from intaglio.errors import UserError
from intaglio.ir.locations import describe, describe_value, where
from intaglio.numerics.quantization import choose_parameters, choose_weight_scales
from intaglio.params import RequantizationMode
from intaglio.passes.quantization.coverage import (
    KEEPS_RANGE,
    LAYERS,
    MOVES_ELEMENTS,
    Coverage,
    activations,
    constant_of,
    range_of,
)
from intaglio.passes.quantization.limits import bounds_of_limit, limit_of, limited_value
from intaglio.passes.quantization.masks import range_of_value
from intaglio.passes.quantization.node_settings import OUTPUT_INT32, config_of
from intaglio.passes.quantization.storage_widths import storage_widths
from intaglio.passes.quantization.units import accumulator_unit
from intaglio.precision import Precision
from intaglio.remarks import warn

Range = tuple[float, float]

_LARGEST_FLOAT = float(np.finfo(np.float32).max)

FIXED_RANGES: dict[type[Operation], tuple[float, float]] = {
    nn.SigmoidOp: (0.0, 1.0),
    nn.HardSigmoidOp: (0.0, 1.0),
    nn.TanhOp: (-1.0, 1.0),
    nn.ErfOp: (-1.0, 1.0),
    nn.SoftmaxOp: (0.0, 1.0),
}
"""Bounds that a function never leaves, whatever a hand-written range says."""

EMPTY_RANGE = 0.0, 2.0**-12
"""The range of values that were all zero.

It is small, so that a layer which reads them has a fine enough unit for its bias, which is all that is left of it.
"""

WIDE_HEADROOM = 2.0
"""How far beyond the values that calibration saw a 16-bit value reaches.

Calibration never sees all that comes. Of 8 bits none can be spared for it, of 16 one is worth less than what
clipping costs.
"""

LIMIT_HEADROOM = 4.0
"""How far beyond them it reaches where that rules clipping out, because a function or clamp never goes further."""

LITERT_PROBABILITIES = (0.0, 255 / 256)
"""What 8 bits hold in steps of 1/256, in which alone the softmax of LiteRT gives its result."""


def largest_ratio(mode: RequantizationMode, bits: int) -> float:
    """How many steps of a result one unit of its operation's accumulator may be.

    It is far below one in a working network. A result that calibration saw as all but constant zero would ask for
    more than multiplier and shift can express; its scale is made coarser instead, which loses nothing, since the
    accumulator is coarser still.

    Args:
        mode: of the function.
        bits: width of the operation's activations: above 8, multipliers have 15 bits.
    """
    if mode is RequantizationMode.TFLITE:
        return 2.0**6
    return 2.0**20 if bits <= 8 else 2.0**12


@dataclass(frozen=True)
class Options:
    """The choices a user has for operations of which nothing else is asked.

    Attributes:
        activation_symmetric: zero points of activations are 0.
        weight_per_tensor: one scale for all output channels of a weight.
        precision: bits of activations and weights, or bfloat16.
    """

    activation_symmetric: bool = False
    weight_per_tensor: bool = False
    precision: Precision = Precision.INT8


@dataclass(frozen=True)
class ObservedRanges:
    """What observers say of the values of a function.

    Attributes:
        calibrated: the range of each value; it may be narrowed.
        observed: what it was at first.
        widest: the extrema that were seen, where they are known.
    """

    calibrated: dict[SSAValue, Range]
    observed: dict[SSAValue, Range]
    widest: dict[SSAValue, Range]

    def seen(self, value: SSAValue, otherwise: Range) -> Range:
        """The extrema of a value; `otherwise` where they are not known, or its range was narrowed on purpose."""
        if self.calibrated.get(value) != self.observed.get(value):
            return otherwise
        return self.widest.get(value, otherwise)


class ActivationTypes:
    """The quantized types of a function's activations.

    Attributes:
        widths: the bits in which the values of each group are stored.

    Args:
        coverage: of the function, which has no observers any more.
        options: the user's choices.
        ranges: what the observers said.

    Raises:
        UserError: a value that needs a range has none, or is too large.
    """

    def __init__(self, coverage: Coverage, options: Options, ranges: ObservedRanges) -> None:
        self._coverage = coverage
        self._options = options
        self._ranges = ranges
        self._types: dict[tuple[float, float, int, bool], UniformQuantizedType] = {}
        self._symmetric = self._symmetric_groups()
        self.widths = storage_widths(coverage)
        self._reach: dict[SSAValue, float] = {}
        self._bounds: dict[SSAValue, Range] = {}
        self._choose_bounds(ranges.calibrated)

    def of_group(self, group: SSAValue, bits: int) -> UniformQuantizedType:
        """The type of the values of a group, stored or read in that many bits."""
        low, high = self._bounds[group]
        if bits > 8:
            reach = min(max(self._reach.get(group, 0.0), -low, high), _LARGEST_FLOAT)
            return self._of(-reach, reach, bits, True)
        return self._of(low, high, bits, self._symmetric.get(group, self._options.activation_symmetric))

    def of_range(self, low: float, high: float, bits: int) -> UniformQuantizedType:
        """The type of activations within two real values, in that many bits."""
        return self._of(low, high, bits, self._options.activation_symmetric)

    def _of(self, low: float, high: float, bits: int, symmetric: bool) -> UniformQuantizedType:
        """Zero points are for 8 bits; TOSA 1.0 has none where accumulators have 48."""
        key = low, high, bits, symmetric
        if key not in self._types:
            self._types[key] = uniform(bits, *choose_parameters(low, high, bits, symmetric or bits > 8))
        return self._types[key]

    def _symmetric_groups(self) -> dict[SSAValue, bool]:
        """Whether zero points of a group are 0 whatever its width, where that is asked of who makes its values."""
        asked: dict[SSAValue, bool] = {}
        for op in self._coverage.quantized:
            if (asymmetric := config_of(op).asymmetric) is not None:
                group = self._coverage.group(op.results[0])
                asked[group] = asked.get(group, False) or not asymmetric
        return asked

    def _choose_bounds(self, ranges: dict[SSAValue, Range]) -> None:
        bounds = self._bounds

        def widen(group: SSAValue, low: float, high: float) -> None:
            known = bounds.get(group, (low, high))
            bounds[group] = min(known[0], low), max(known[1], high)

        for value in self._coverage.values_with_range():
            low, high = _range_of_value(value, ranges)
            owner = value.owner
            if isinstance(owner, Operation) and (fixed := FIXED_RANGES.get(type(owner))) is not None:
                low, high = (min(max(bound, fixed[0]), fixed[1]) for bound in (low, high))
            group = self._coverage.group(value)
            if (
                isinstance(owner, nn.SoftmaxOp)
                and self._coverage.mode is RequantizationMode.TFLITE
                and self.widths[group] == 8
            ):
                low, high = LITERT_PROBABILITIES
            widen(group, low, high)
            self._reach[group] = max(self._reach.get(group, 0.0), self._reach_of(value, low, high))
        for group, (low, high) in self._coverage.constant_ranges():
            widen(group, low, high)
        for group, pair in bounds.items():
            if pair == (0.0, 0.0):
                bounds[group] = EMPTY_RANGE
                warn(f"{_named(group)} is zero on all calibration data", _place(group))
        for op, precision in self._coverage.quantized.items():
            group = self._coverage.group(op.results[0])
            if OUTPUT_INT32 in op.attributes:
                continue
            width = self.widths[group]
            with about(op):
                step = self._step(op, width)
            finest = step / largest_ratio(self._coverage.mode, precision.activation_bits)
            if self.of_group(group, width).scale < finest:
                low, high = min(bounds[group][0], 0.0), max(bounds[group][1], 0.0)
                steps = 255 if width == 8 else 32767
                bounds[group] = low, max(high, low + steps * finest if width == 8 else steps * finest)
                if self.of_group(group, width).scale < finest / 2:
                    raise UserError(
                        f"the result of {describe(op)} cannot be quantized: its operands have steps of {finest:.3g} or "
                        "more, beyond the largest float",
                        where=where(op.location),
                        hint="check the ranges of its operands, or keep it in float",
                    )

    def _reach_of(self, value: SSAValue, low: float, high: float) -> float:
        """The largest magnitude that 16 bits hold of a value whose range for 8 bits is `low` to `high`."""
        least, most = self._ranges.seen(value, (low, high))
        seen = max(-low, high, -least, most)
        limit = _limit_of(value, seen)
        return max(limit, -low, high) if limit <= LIMIT_HEADROOM * seen else WIDE_HEADROOM * seen

    def _step(self, op: Operation, width: int) -> float:
        """The real value of one unit of an operation's accumulator: a product of scales, or the largest one."""
        bits = self._coverage.quantized[op].activation_bits
        if self._coverage.limits(op):
            return 0.0
        stored = self._coverage.shares_parameters(op)

        def scale_of(value: SSAValue) -> float:
            if (constant := constant_of(value)) is None:
                group = self._coverage.group(value)
                return self.of_group(group, self.widths[group] if stored else bits).scale
            return self.of_range(*range_of(array_of(constant.value)), bits).scale

        if isinstance(op, LAYERS) and (weight := constant_of(op.weight)) is not None:
            weight_bits = self._coverage.quantized[op].weight_bits
            return scale_of(op.input) * float(choose_weight_scales(array_of(weight.value), None, weight_bits))
        return accumulator_unit(op, scale_of, width)


def take_observers(function: func.FuncOp) -> ObservedRanges:
    """Remove the observers of a function and return what they said."""
    ranges: dict[SSAValue, Range] = {}
    widest: dict[SSAValue, Range] = {}
    for op in list(function.body.block.ops):
        if not isinstance(op, ObserveOp):
            continue
        if (found := op.calibrated_range) is not None:
            ranges[op.input], widest[op.input] = found, op.widest_range or found
        op.result.replace_all_uses_with(op.input)
        op.detach()
        op.erase()
    return ObservedRanges(ranges, dict(ranges), widest)


def _range_of_value(value: SSAValue, ranges: dict[SSAValue, Range]) -> Range:
    """The calibrated range of a value, or that of what it is moved from.

    Observers are placed before precisions are known; a value that only an operation kept in float hands on has none.
    """
    if value in ranges:
        return ranges[value]
    owner = value.owner
    if isinstance(owner, Operation) and isinstance(owner, MOVES_ELEMENTS + KEEPS_RANGE):
        found = [
            range_of(array_of(constant.value))
            if (constant := constant_of(operand))
            else _range_of_value(operand, ranges)
            for operand in activations(owner)
        ]
        return min(low for low, _ in found), max(high for _, high in found)
    if (limit := limit_of(value)) is not None:
        return _range_of_value(limit.result, ranges)
    return range_of_value(value, ranges) or _missing_range(value)


def _limit_of(value: SSAValue, seen: float) -> float:
    """The magnitude that a value never exceeds, whatever comes: the bound of its function or clamp.

    Of bounds of channels it is the smallest that none has exceeded: where units of channels were chosen, the values of
    the others stay well below it.
    """
    owner = value.owner
    if not isinstance(owner, Operation):
        return math.inf
    if (fixed := FIXED_RANGES.get(type(owner))) is not None:
        return max(map(abs, fixed))
    low, high = _clamp_of(owner)
    if isinstance(owner, nn.MinimumOp) and (limited := limited_value(owner)) is not None:
        least = float(bounds_of_limit(owner).min(initial=math.inf))
        low = max(low, _clamp_of(limited.owner)[0] if isinstance(limited.owner, Operation) else -math.inf)
        high = min(high, least if least >= seen else math.inf)
    return max(-low, high)


def _clamp_of(op: Operation) -> Range:
    clamp = op.properties.get("clamp")
    return clamp.bounds if isinstance(clamp, nn.ClampAttr) else (-math.inf, math.inf)


def _missing_range(value: SSAValue) -> Range:
    raise UserError(
        f"{_named(value)} has no calibrated range",
        where=_place(value),
        hint="run insert-observers and calibrate first",
    )


@contextmanager
def about(op: Operation) -> Generator[None]:
    """Name the operation whose numbers are not ones that numerics is defined on, such as a weight of NaN."""
    try:
        yield
    except ValueError as error:
        raise UserError(f"{describe(op)} cannot be quantized: {error}", where=where(op.location)) from error


def _named(value: SSAValue) -> str:
    owner = value.owner
    return f"the result of {describe(owner)}" if isinstance(owner, Operation) else describe_value(value)


def _place(value: SSAValue) -> str | None:
    return where(value.owner.location) if isinstance(value.owner, Operation) else None
