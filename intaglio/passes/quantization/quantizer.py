"""The machinery of `quantize`: parameters for every value, casts at the edges, operations rebuilt on new types.

What each operation does with it is in `rules`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.quant import (
    DequantizeCastOp,
    ObserveOp,
    QuantizeCastOp,
    UniformQuantizedType,
    UniformType,
    storage_dtype,
    uniform,
)
from intaglio.dialects.weights import WeightsAttr, array_of, constant_attr
from intaglio.errors import UserError
from intaglio.ir.locations import describe, describe_value, where
from intaglio.numerics.quantization import choose_parameters, choose_weight_scales, quantize
from intaglio.passes.quantization.coverage import LAYERS, Coverage, activations, constant_of, defining_block, range_of

FIXED_RANGES: dict[type[Operation], tuple[float, float]] = {
    nn.SigmoidOp: (0.0, 1.0),
    nn.HardSigmoidOp: (0.0, 1.0),
    nn.TanhOp: (-1.0, 1.0),
    nn.ErfOp: (-1.0, 1.0),
}
"""Bounds that a function never leaves, whatever a hand-written range says."""

LARGEST_RATIO = 2.0**20
"""How many steps of a result one unit of its operation's accumulator may be.

It is far below one in a working network. A result that calibration saw as all but constant zero would ask for
more than multiplier and shift can express; its scale is made coarser instead.
"""


@dataclass(frozen=True)
class Options:
    """The choices a user has.

    Attributes:
        activation_symmetric: zero points of activations are 0.
        weight_per_tensor: one scale for all output channels of a weight.
    """

    activation_symmetric: bool = False
    weight_per_tensor: bool = False


class Quantizer:
    """Quantizes one function; `rules` use its public methods.

    Args:
        function: a float function whose observers are calibrated. The observers are removed at once.
        options: the user's choices.

    Raises:
        UserError: a value that needs a range has none.
    """

    def __init__(self, function: func.FuncOp, options: Options) -> None:
        self.options = options
        ranges = _take_observers(function)
        self.coverage = Coverage(function)
        self._types = self._choose_types(ranges)
        self._quantized: dict[SSAValue, SSAValue] = {}
        self._constants: dict[tuple[nn.ConstantOp, Attribute], SSAValue] = {}

    def element_type(self, value: SSAValue) -> UniformQuantizedType:
        """The quantized type of a value's elements: that of its group."""
        return self._types[self.coverage.group(value)]

    def result_type(self, value: SSAValue) -> TensorType[Attribute]:
        """The type of the quantized tensor that takes a value's place."""
        return TensorType(self.element_type(value), nn.tensor_of(value).get_shape())

    def activation(self, value: SSAValue, element_type: UniformQuantizedType | None = None) -> SSAValue:
        """The quantized tensor of an operand.

        It is the new result when the value comes from a quantized operation, a quantized constant, or a cast,
        made once per value and standing right behind its definition.

        Args:
            value: a float value of the original function.
            element_type: parameters for a constant; by default those of its own range.
        """
        if (constant := constant_of(value)) is not None:
            values = array_of(constant.value)
            return self.constant(constant, values, element_type or self._type_of_range(*range_of(values)))
        if value not in self._quantized:
            cast = QuantizeCastOp(value, self.result_type(value))
            _insert_behind(value, cast)
            self._quantized[value] = cast.result
        return self._quantized[value]

    def constant(self, original: nn.ConstantOp, values: np.ndarray, element_type: UniformType) -> SSAValue:
        """A quantized constant in the place of a float one, made once for each set of parameters.

        Args:
            original: the float constant; position, name and location are taken from it.
            values: real values, f32, or stored values if they are integers.
            element_type: per tensor or per axis.
        """
        if (original, element_type) not in self._constants:
            stored = values if values.dtype.kind == "i" else _stored(values, element_type)
            key = original.value.key if isinstance(original.value, WeightsAttr) else ""
            attribute = constant_attr(key, stored, element_type.storage_type)
            op = nn.ConstantOp(attribute, TensorType(element_type, values.shape))
            _insert_behind(original.result, op)
            self._constants[original, element_type] = op.result
        return self._constants[original, element_type]

    def replace(self, op: Operation, new: Operation) -> None:
        """Insert the quantized operation that `op` becomes, at its place and with its location."""
        new.location = op.location
        block, _ = defining_block(op.results[0])
        block.insert_op_before(new, op)
        for old_result, new_result in zip(op.results, new.results, strict=True):
            new_result.name_hint = old_result.name_hint
            self._quantized[old_result] = new_result

    def rebuild(self, op: Operation, operands: Sequence[SSAValue]) -> None:
        """Replace an operation by the same one on quantized operands and results."""
        results = [self.result_type(result) for result in op.results]
        self.replace(
            op,
            type(op).create(
                operands=operands,
                result_types=results,
                properties=dict(op.properties),
                attributes=dict(op.attributes),
            ),
        )

    def finish(self) -> None:
        """Cast what floats still use of the quantized values, and erase the float operations replaced."""
        for op in reversed(self.coverage.quantized):
            for result in op.results:
                if result.first_use is not None:
                    new = self._quantized[result]
                    cast = DequantizeCastOp(new, result.type)
                    _insert_behind(new, cast)
                    result.replace_all_uses_with(cast.result)
            constants = dict.fromkeys(constant for value in op.operands if (constant := constant_of(value)))
            op.detach()
            op.erase()
            for constant in constants:
                if constant.result.first_use is None:
                    constant.detach()
                    constant.erase()

    def _choose_types(self, ranges: dict[SSAValue, tuple[float, float]]) -> dict[SSAValue, UniformQuantizedType]:
        bounds: dict[SSAValue, tuple[float, float]] = {}

        def widen(group: SSAValue, low: float, high: float) -> None:
            known = bounds.get(group, (low, high))
            bounds[group] = min(known[0], low), max(known[1], high)

        for value in self.coverage.values_to_observe():
            low, high = ranges[value] if value in ranges else _missing_range(value)
            owner = value.owner
            if isinstance(owner, Operation) and (fixed := FIXED_RANGES.get(type(owner))) is not None:
                low, high = (min(max(bound, fixed[0]), fixed[1]) for bound in (low, high))
            widen(self.coverage.group(value), low, high)
        for group, (low, high) in self.coverage.constant_ranges():
            widen(group, low, high)
        types = {group: self._type_of_range(*pair) for group, pair in bounds.items()}
        for op in self.coverage.quantized:
            group = self.coverage.group(op.results[0])
            finest = self._step(op, types) / LARGEST_RATIO
            if types[group].scale < finest:
                low, high = min(bounds[group][0], 0.0), max(bounds[group][1], 0.0)
                bounds[group] = low, max(high, low + 255 * finest)
                types[group] = self._type_of_range(*bounds[group])
        return types

    def _step(self, op: Operation, types: dict[SSAValue, UniformQuantizedType]) -> float:
        """The real value of one unit of an operation's accumulator: a product of scales, or the largest one."""
        scales = [
            types[self.coverage.group(value)].scale
            if (constant := constant_of(value)) is None
            else self._type_of_range(*range_of(array_of(constant.value))).scale
            for value in activations(op)
        ]
        if isinstance(op, LAYERS) and (weight := constant_of(op.weight)) is not None:
            scales.append(float(choose_weight_scales(array_of(weight.value), None)))
            return math.prod(scales)
        return math.prod(scales) if isinstance(op, nn.MulOp) else max(scales)

    def _type_of_range(self, low: float, high: float) -> UniformQuantizedType:
        return uniform(8, *choose_parameters(low, high, bits=8, symmetric=self.options.activation_symmetric))


def _take_observers(function: func.FuncOp) -> dict[SSAValue, tuple[float, float]]:
    """Remove the observers of a function and return the calibrated range of each value that had one."""
    ranges: dict[SSAValue, tuple[float, float]] = {}
    for op in list(function.body.block.ops):
        if not isinstance(op, ObserveOp):
            continue
        if op.calibrated_range is not None:
            ranges[op.input] = op.calibrated_range
        op.result.replace_all_uses_with(op.input)
        op.detach()
        op.erase()
    return ranges


def _missing_range(value: SSAValue) -> tuple[float, float]:
    owner = value.owner
    op = owner if isinstance(owner, Operation) else None
    what = f"the result of {describe(op)}" if op is not None else describe_value(value)
    raise UserError(
        f"{what} has no calibrated range",
        where=where(op.location) if op is not None else None,
        hint="run insert-observers and calibrate first",
    )


def _stored(values: np.ndarray, kind: UniformType) -> np.ndarray:
    scales, zero_points = kind.broadcast_parameters(values.shape)
    return quantize(values, scales, zero_points, kind.storage_min, kind.storage_max, storage_dtype(kind))


def _insert_behind(value: SSAValue, op: Operation) -> None:
    """Insert an operation as soon as `value` is defined, with the location and name of what defines it."""
    block, definition = defining_block(value)
    op.results[0].name_hint = value.name_hint
    if definition is not None:
        op.location = definition.location
        block.insert_op_after(op, definition)
    elif block.first_op is not None:
        block.insert_op_before(op, block.first_op)
