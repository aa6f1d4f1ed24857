"""The machinery of `quantize`: parameters for every value, casts at the edges, operations rebuilt on new types.

What each operation does with it is in `rules`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import TensorType, bf16, f32
from xdsl.ir import Attribute, Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.quant import (
    DequantizeCastOp,
    ObserveOp,
    QuantizeCastOp,
    RequantizeOp,
    UniformQuantizedPerAxisType,
    UniformQuantizedType,
    UniformType,
    is_quantized,
    storage_dtype,
    uniform,
)
from intaglio.dialects.weights import Constant, WeightsAttr, array_of, constant_attr
from intaglio.errors import UserError
from intaglio.ir.locations import describe, describe_value, where
from intaglio.numerics.bfloat16 import round_to_bfloat16
from intaglio.numerics.quantization import choose_parameters, choose_weight_scales, quantize
from intaglio.params import RequantizationMode
from intaglio.passes.quantization.constants import replace_constants
from intaglio.passes.quantization.coverage import (
    KEEPS_RANGE,
    LAYERS,
    MOVES_ELEMENTS,
    Coverage,
    activations,
    constant_of,
    defining_block,
    range_of,
    shares_parameters,
)
from intaglio.passes.quantization.masks import limit_masks, range_of_value
from intaglio.passes.quantization.memory import remembered
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
        self._function = function
        observed, widest = _take_observers(function)
        ranges = dict(observed)
        limit_masks(function, ranges, options.precision)
        # What masks have narrowed saturates on purpose.
        self._widest = {value: bounds for value, bounds in widest.items() if ranges[value] == observed[value]}
        self.coverage = Coverage(function, options.precision)
        for op in self.coverage.quantized:
            replace_constants(op)
        self._current: Operation | None = None
        self._types: dict[tuple[float, float, int, bool], UniformQuantizedType] = {}
        self._symmetric = self._symmetric_groups()
        self._widths = storage_widths(self.coverage)
        self._reach: dict[SSAValue, float] = {}
        self._bounds = self._choose_bounds(ranges)
        self._quantized: dict[SSAValue, SSAValue] = {}
        self._requantized: dict[tuple[SSAValue, int], SSAValue] = {}
        self._bfloat16: dict[SSAValue, SSAValue] = {}
        self._accumulators: dict[SSAValue, SSAValue] = {}
        self._constants: dict[tuple[nn.ConstantOp, Attribute], SSAValue] = {}

    def quantize(self, op: Operation, rule: Callable[[Operation, Quantizer], None]) -> None:
        """Apply the rule of an operation; until it is done, operands are read in the operation's precision."""
        self._current = op
        with _about(op):
            rule(op, self)
        self._current = None

    @property
    def precision(self) -> Precision:
        """The precision of the operation at hand."""
        assert self._current is not None
        return self.coverage.quantized[self._current]

    def element_type(self, value: SSAValue) -> UniformQuantizedType:
        """The quantized type of a value's elements, that of its group.

        For an operand of the operation at hand it is the type in which that reads it, for any other value the one in
        which it is stored.
        """
        group = self.coverage.group(value)
        reads = self._current is not None and value in self._current.operands
        width = self._reading_width() if reads else None
        return self._type_of_group(group, width or self._widths[group])

    def result_type(self, value: SSAValue) -> TensorType[Attribute]:
        """The type of the quantized tensor that takes a value's place."""
        return TensorType(self.element_type(value), nn.tensor_of(value).get_shape())

    def activation(self, value: SSAValue, element_type: UniformQuantizedType | None = None) -> SSAValue:
        """The quantized tensor of an operand of the operation at hand.

        It is the new result when the value comes from a quantized operation, a quantized constant, or a cast,
        made once per value and standing right behind its definition; requantized where that is stored in another
        width than the operation reads, once for each width.

        Args:
            value: a float value of the original function.
            element_type: parameters for a constant; by default those of its own range.
        """
        if (constant := constant_of(value)) is not None:
            values = array_of(constant.value)
            return self.constant(constant, values, element_type or self.type_of_range(*range_of(values)))
        group, shape = self.coverage.group(value), nn.tensor_of(value).get_shape()
        stored = self._widths[group]
        if value not in self._quantized:
            cast = QuantizeCastOp(value, TensorType(self._type_of_group(group, stored), shape))
            _insert_behind(value, cast)
            self._quantized[value] = cast.result
        wanted = self._reading_width() or stored
        if wanted == stored:
            return self._quantized[value]
        if (value, wanted) not in self._requantized:
            kind = TensorType(self._type_of_group(group, wanted), shape)
            requantize = RequantizeOp(self._quantized[value], kind)
            _insert_behind(self._quantized[value], requantize)
            self._requantized[value, wanted] = requantize.result
        return self._requantized[value, wanted]

    def constant(self, original: nn.ConstantOp, values: np.ndarray, element_type: UniformType) -> SSAValue:
        """A quantized constant in the place of a float one, made once for each set of parameters.

        Args:
            original: the float constant; position, name and location are taken from it.
            values: real values, f32, or stored values if they are integers.
            element_type: per tensor or per axis.
        """
        if (original, element_type) not in self._constants:
            kind = TensorType(element_type, values.shape)
            op = nn.ConstantOp(_stored_constant(original, values, element_type), kind)
            _insert_behind(original.result, op)
            self._constants[original, element_type] = op.result
        return self._constants[original, element_type]

    def insert(self, new: Operation) -> SSAValue:
        """Insert one of several operations that the one at hand becomes; the last one replaces it."""
        assert self._current is not None
        new.location = self._current.location
        if not isinstance(new, nn.ConstantOp):
            new.attributes.update(self._current.attributes)
        block, _ = defining_block(self._current.results[0])
        block.insert_op_before(new, self._current)
        return new.results[0]

    def replace(self, op: Operation, new: Operation) -> None:
        """Insert the quantized operation that `op` becomes, with its place, its location and what was asked of it."""
        new.location = op.location
        new.attributes.update(op.attributes)
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

    def replace_by_accumulator(self, op: Operation, new: Operation) -> None:
        """Insert a layer whose result is its accumulator; whoever reads it reads the float value it stands for."""
        new.location = op.location
        block, _ = defining_block(op.results[0])
        block.insert_op_before(new, op)
        new.results[0].name_hint = op.results[0].name_hint
        self._accumulators[op.results[0]] = new.results[0]

    def run_in_bfloat16(self, op: Operation) -> None:
        """Replace an operation by the same one on bfloat16 operands and results."""
        new = type(op).create(
            operands=[self._as_bfloat16(operand) for operand in op.operands],
            result_types=[_bfloat16_type(result) for result in op.results],
            properties=dict(op.properties),
            attributes=dict(op.attributes),
        )
        new.location = op.location
        block, _ = defining_block(op.results[0])
        block.insert_op_before(new, op)
        for old_result, new_result in zip(op.results, new.results, strict=True):
            new_result.name_hint = old_result.name_hint
            self._bfloat16[old_result] = new_result

    def _as_bfloat16(self, value: SSAValue) -> SSAValue:
        """The bfloat16 tensor of a float value: a new result, a rounded constant, or a cast; others as they are."""
        if nn.tensor_of(value).get_element_type() != f32:
            return value
        if value not in self._bfloat16:
            if (constant := constant_of(value)) is not None:
                key = constant.value.key if isinstance(constant.value, WeightsAttr) else ""
                rounded = round_to_bfloat16(array_of(constant.value))
                op: Operation = nn.ConstantOp(constant_attr(key, rounded, bf16), _bfloat16_type(value))
            else:
                op = nn.CastOp(value, bf16)
            _insert_behind(value, op)
            self._bfloat16[value] = op.results[0]
        return self._bfloat16[value]

    def finish(self) -> None:
        """Cast what floats still use of the new values, and erase the float operations replaced."""
        replaced = [
            op for op in self._function.body.block.ops if op in self.coverage.quantized or op in self.coverage.bfloat16
        ]
        old = frozenset(replaced)
        for op in replaced:
            values = self._bfloat16 if op in self.coverage.bfloat16 else self._integers(op)
            for result in op.results:
                if all(use.operation in old for use in result.uses):
                    continue
                new = values[result]
                cast = DequantizeCastOp(new, result.type) if is_quantized(new.type) else nn.CastOp(new, f32)
                _insert_behind(new, cast)
                result.replace_uses_with_if(cast.results[0], lambda use: use.operation not in old)
        for op in reversed(replaced):
            constants = dict.fromkeys(constant for value in op.operands if (constant := constant_of(value)))
            op.detach()
            op.erase()
            for constant in constants:
                if constant.result.first_use is None:
                    constant.detach()
                    constant.erase()

    def _integers(self, op: Operation) -> dict[SSAValue, SSAValue]:
        """Where the new results of an operation are: an accumulator may have a cast beside it that integers read."""
        return self._accumulators if op.results[0] in self._accumulators else self._quantized

    def _reading_width(self) -> int | None:
        """Bits of the operands of the operation at hand; None if it takes them as they are stored."""
        if self._current is None or shares_parameters(self._current, self.coverage.mode):
            return None
        return self.precision.activation_bits

    def _symmetric_groups(self) -> dict[SSAValue, bool]:
        """Whether zero points of a group are 0 whatever its width, where that is asked of who makes its values."""
        asked: dict[SSAValue, bool] = {}
        for op in self.coverage.quantized:
            if (asymmetric := config_of(op).asymmetric) is not None:
                group = self.coverage.group(op.results[0])
                asked[group] = asked.get(group, False) or not asymmetric
        return asked

    def _choose_bounds(self, ranges: dict[SSAValue, Range]) -> dict[SSAValue, Range]:
        bounds: dict[SSAValue, Range] = {}

        def widen(group: SSAValue, low: float, high: float) -> None:
            known = bounds.get(group, (low, high))
            bounds[group] = min(known[0], low), max(known[1], high)

        for value in self.coverage.values_with_range():
            low, high = _range_of_value(value, ranges)
            owner = value.owner
            if isinstance(owner, Operation) and (fixed := FIXED_RANGES.get(type(owner))) is not None:
                low, high = (min(max(bound, fixed[0]), fixed[1]) for bound in (low, high))
            group = self.coverage.group(value)
            if (
                isinstance(owner, nn.SoftmaxOp)
                and self.coverage.mode is RequantizationMode.TFLITE
                and self._widths[group] == 8
            ):
                low, high = LITERT_PROBABILITIES
            widen(group, low, high)
            self._reach[group] = max(self._reach.get(group, 0.0), self._reach_of(value, low, high))
        for group, (low, high) in self.coverage.constant_ranges():
            widen(group, low, high)
        for group, pair in bounds.items():
            if pair == (0.0, 0.0):
                bounds[group] = EMPTY_RANGE
                warn(f"{_named(group)} is zero on all calibration data", _place(group))
        self._bounds = bounds
        for op, precision in self.coverage.quantized.items():
            group = self.coverage.group(op.results[0])
            if OUTPUT_INT32 in op.attributes:
                continue
            width = self._widths[group]
            with _about(op):
                step = self._step(op, width)
            finest = step / largest_ratio(self.coverage.mode, precision.activation_bits)
            if self._type_of_group(group, width).scale < finest:
                low, high = min(bounds[group][0], 0.0), max(bounds[group][1], 0.0)
                steps = 255 if width == 8 else 32767
                bounds[group] = low, max(high, low + steps * finest if width == 8 else steps * finest)
                if self._type_of_group(group, width).scale < finest / 2:
                    raise UserError(
                        f"the result of {describe(op)} cannot be quantized: its operands have steps of {finest:.3g} or "
                        "more, beyond the largest float",
                        where=where(op.location),
                        hint="check the ranges of its operands, or keep it in float",
                    )
        return bounds

    def _reach_of(self, value: SSAValue, low: float, high: float) -> float:
        """The largest magnitude that 16 bits hold of a value whose range for 8 bits is `low` to `high`."""
        least, most = self._widest.get(value, (low, high))
        seen, limit = max(-low, high, -least, most), _limit_of(value)
        return max(limit, -low, high) if limit <= LIMIT_HEADROOM * seen else WIDE_HEADROOM * seen

    def _step(self, op: Operation, width: int) -> float:
        """The real value of one unit of an operation's accumulator: a product of scales, or the largest one."""
        bits = self.coverage.quantized[op].activation_bits
        stored = shares_parameters(op, self.coverage.mode)

        def scale_of(value: SSAValue) -> float:
            if (constant := constant_of(value)) is None:
                group = self.coverage.group(value)
                return self._type_of_group(group, self._widths[group] if stored else bits).scale
            return self._type(*range_of(array_of(constant.value)), bits, self.options.activation_symmetric).scale

        if isinstance(op, LAYERS) and (weight := constant_of(op.weight)) is not None:
            weight_bits = self.coverage.quantized[op].weight_bits
            return scale_of(op.input) * float(choose_weight_scales(array_of(weight.value), None, weight_bits))
        return accumulator_unit(op, scale_of, width)

    def type_of_range(self, low: float, high: float) -> UniformQuantizedType:
        """The quantized type of activations within two real values, as the operation at hand reads them."""
        return self._type(low, high, self._reading_width() or 8, self.options.activation_symmetric)

    def _type_of_group(self, group: SSAValue, bits: int) -> UniformQuantizedType:
        low, high = self._bounds[group]
        if bits > 8:
            reach = min(max(self._reach.get(group, 0.0), -low, high), _LARGEST_FLOAT)
            return self._type(-reach, reach, bits, True)
        return self._type(low, high, bits, self._symmetric.get(group, self.options.activation_symmetric))

    def _type(self, low: float, high: float, bits: int, symmetric: bool) -> UniformQuantizedType:
        """Zero points are for 8 bits; TOSA 1.0 has none where accumulators have 48."""
        key = low, high, bits, symmetric
        if key not in self._types:
            self._types[key] = uniform(bits, *choose_parameters(low, high, bits, symmetric or bits > 8))
        return self._types[key]


def _take_observers(function: func.FuncOp) -> tuple[dict[SSAValue, Range], dict[SSAValue, Range]]:
    """Remove the observers of a function and return two ranges of each value that had one: calibrated, and widest."""
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
    return ranges, widest


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
    return range_of_value(value, ranges) or _missing_range(value)


def _limit_of(value: SSAValue) -> float:
    """The magnitude that a value never exceeds, whatever comes: the bound of its function or clamp."""
    owner = value.owner
    if not isinstance(owner, Operation):
        return math.inf
    if (fixed := FIXED_RANGES.get(type(owner))) is not None:
        return max(map(abs, fixed))
    clamp = owner.properties.get("clamp")
    return max(map(abs, clamp.bounds)) if isinstance(clamp, nn.ClampAttr) else math.inf


def _missing_range(value: SSAValue) -> Range:
    raise UserError(
        f"{_named(value)} has no calibrated range",
        where=_place(value),
        hint="run insert-observers and calibrate first",
    )


@contextmanager
def _about(op: Operation) -> Generator[None]:
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


def _stored(values: np.ndarray, kind: UniformType) -> np.ndarray:
    scales, zero_points = kind.broadcast_parameters(values.shape)
    return quantize(values, scales, zero_points, kind.storage_min, kind.storage_max, storage_dtype(kind))


def _stored_constant(original: nn.ConstantOp, values: np.ndarray, kind: UniformType) -> Constant:
    """The attribute of a quantized constant."""
    weights = original.value if isinstance(original.value, WeightsAttr) else None

    def make() -> Constant:
        stored = values if values.dtype.kind == "i" else _stored(values, kind)
        return constant_attr("" if weights is None else weights.key, stored, kind.storage_type)

    if weights is None or values is not weights.data.values:
        return make()
    # Types with many scales take long to compare, and `linear` gives the same object again.
    by_identity = isinstance(kind, UniformQuantizedPerAxisType)
    return remembered((weights, kind if by_identity else None), None if by_identity else kind, make)


def _bfloat16_type(value: SSAValue) -> TensorType[Attribute]:
    kind = nn.tensor_of(value)
    return TensorType(bf16, kind.get_shape()) if kind.get_element_type() == f32 else kind


def _insert_behind(value: SSAValue, op: Operation) -> None:
    """Insert an operation as soon as `value` is defined, with the location and name of what defines it."""
    block, definition = defining_block(value)
    op.results[0].name_hint = value.name_hint
    if definition is not None:
        op.location = definition.location
        block.insert_op_after(op, definition)
    elif block.first_op is not None:
        block.insert_op_before(op, block.first_op)
