"""The machinery of `quantize`: parameters for every value, casts at the edges, operations rebuilt on new types.

What each operation does with it is in `rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import TensorType, bf16, f32
from xdsl.ir import Attribute, Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.quant import (
    DequantizeCastOp,
    QuantizeCastOp,
    RequantizeOp,
    UniformQuantizedPerAxisType,
    UniformQuantizedType,
    UniformType,
    is_quantized,
    storage_dtype,
)
from intaglio.dialects.weights import Constant, WeightsAttr, array_of, constant_attr
from intaglio.numerics.bfloat16 import round_to_bfloat16
from intaglio.numerics.quantization import quantize
from intaglio.passes.quantization.activation_types import ActivationTypes, Options, about, take_observers
from intaglio.passes.quantization.constants import replace_constants
from intaglio.passes.quantization.coverage import (
    Coverage,
    constant_of,
    defining_block,
    range_of,
)
from intaglio.passes.quantization.masks import limit_masks
from intaglio.passes.quantization.memory import remembered
from intaglio.precision import Precision

Range = tuple[float, float]


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
        ranges = take_observers(function)
        limit_masks(function, ranges.calibrated, options.precision)
        self.coverage = Coverage(function, options.precision)
        for op in self.coverage.quantized:
            replace_constants(op)
        self._types = ActivationTypes(self.coverage, options, ranges)
        self._current: Operation | None = None
        self._quantized: dict[SSAValue, SSAValue] = {}
        self._requantized: dict[tuple[SSAValue, int], SSAValue] = {}
        self._bfloat16: dict[SSAValue, SSAValue] = {}
        self._accumulators: dict[SSAValue, SSAValue] = {}
        self._constants: dict[tuple[nn.ConstantOp, Attribute], SSAValue] = {}

    def quantize(self, op: Operation, rule: Callable[[Operation, Quantizer], None]) -> None:
        """Apply the rule of an operation; until it is done, operands are read in the operation's precision."""
        self._current = op
        with about(op):
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
        return self._types.of_group(group, width or self._types.widths[group])

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
        stored = self._types.widths[group]
        if value not in self._quantized:
            cast = QuantizeCastOp(value, TensorType(self._types.of_group(group, stored), shape))
            _insert_behind(value, cast)
            self._quantized[value] = cast.result
        wanted = self._reading_width() or stored
        if wanted == stored:
            return self._quantized[value]
        if (value, wanted) not in self._requantized:
            kind = TensorType(self._types.of_group(group, wanted), shape)
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

    def omit(self, op: Operation) -> None:
        """Let what reads the result of `op` read its one operand that is no constant and has the same parameters."""
        (value,) = (operand for operand in op.operands if constant_of(operand) is None)
        self._quantized[op.results[0]] = self.activation(value)

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
        if self._current is None or self.coverage.shares_parameters(self._current):
            return None
        return self.precision.activation_bits

    def type_of_range(self, low: float, high: float) -> UniformQuantizedType:
        """The quantized type of activations within two real values, as the operation at hand reads them."""
        return self._types.of_range(low, high, self._reading_width() or 8)


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
