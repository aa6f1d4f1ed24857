"""Which operations of a function run quantized, and which values must share one scale and zero point.

This is what calibration and quantization agree on: observers stand on the values that need a range, and the
quantizer gives every group of values that share parameters the union of their ranges.

An operation is one of four kinds, by its class:

- *own range*: its result gets parameters of its own (convolution, addition, table functions, average pool);
- *keeps range*: its result has its input's parameters, and it is always quantized (max pool, largest element; a
  minimum or maximum with a constant, see `limits`);
- *moves elements*: likewise, but quantized only when an input already is, so that a change of layout at the
  network's input stays in floats and the cast comes after it (reshape, transpose, concat, pad, slice, resize, select,
  gather, the last also from a constant table);
- anything else stays float.

Precisions asked for single operations (`node_settings`) come before the default: an operation may be kept in float, or
run in bfloat16, which nearly every operation can; what moves elements then goes with its input.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import Block, Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.quant import ObserveOp, requantization_mode
from intaglio.dialects.weights import array_of
from intaglio.params import RequantizationMode
from intaglio.passes.quantization.limits import limited_value
from intaglio.passes.quantization.masks import needs_no_observer
from intaglio.passes.quantization.node_settings import OUTPUT_INT32, precision_of
from intaglio.passes.quantization.refusals import refusal
from intaglio.precision import Precision

LAYERS = (nn.Conv2dOp, nn.ConvTranspose2dOp, nn.DenseOp)
"""The operations with constant weights and bias."""

OWN_RANGE: tuple[type[Operation], ...] = (
    *LAYERS,
    nn.AddOp,
    nn.SubOp,
    nn.MulOp,
    nn.ActivationOp,
    nn.AvgPool2dOp,
    nn.ReduceMeanOp,
    nn.ReduceSumOp,
    nn.ReduceL2Op,
    nn.MatmulOp,
    nn.DivOp,
    nn.MaximumOp,
    nn.MinimumOp,
    nn.SoftmaxOp,
    nn.AxisNormOp,
    nn.CastOp,
)
KEEPS_RANGE: tuple[type[Operation], ...] = (nn.MaxPool2dOp, nn.ReduceMaxOp, nn.ReduceMinOp)
MOVES_ELEMENTS: tuple[type[Operation], ...] = (
    nn.ReshapeOp,
    nn.TransposeOp,
    nn.ConcatOp,
    nn.PadOp,
    nn.SliceOp,
    nn.BroadcastOp,
    nn.ResizeOp,
    nn.GatherOp,
    nn.SelectOp,
)
SPANS_MAGNITUDES: tuple[type[Operation], ...] = (nn.ExpOp, nn.LogOp, nn.ReciprocalOp)
"""Functions whose results span orders of magnitude, which 8 bits cannot: these, and what reads their results, have
16-bit activations unless a precision is asked of them."""


def constant_of(value: SSAValue | None) -> nn.ConstantOp | None:
    """The constant that defines a value, if one does."""
    owner = value.owner if value is not None else None
    return owner if isinstance(owner, nn.ConstantOp) else None


def unobserved(value: SSAValue) -> SSAValue:
    """The value that an observer hands on, or the value itself when none does."""
    while isinstance(value.owner, ObserveOp):
        value = value.owner.input
    return value


def activations(op: Operation) -> list[SSAValue]:
    """The operands that are quantized as activations: all but weights and biases; observers looked through."""
    operands = op.operands[:1] if isinstance(op, (*LAYERS, nn.AxisNormOp)) else op.operands
    others = other_operands(op)
    return [unobserved(operand) for operand in operands if operand not in others]


def other_operands(op: Operation) -> tuple[SSAValue, ...]:
    """The operands that are no real numbers: what is converted, indices, the condition of a choice."""
    match op:
        case nn.CastOp():
            return (op.input,)
        case nn.GatherOp():
            return (op.indices,)
        case nn.SelectOp():
            return (op.condition,)
        case _:
            return ()


class Coverage:
    """The quantized operations of a function, and its groups of values with common parameters.

    Attributes:
        quantized: the operations that run in integers, in order, with their precision.
        bfloat16: the operations that run in bfloat16, in order.
        mode: the function's requantization mode.

    Args:
        function: a function of one block on the `nn` level; observers in it count as their input.
        default: precision of operations that none is asked of.

    Raises:
        UserError: a precision in the text does not exist.
    """

    def __init__(self, function: func.FuncOp, default: Precision = Precision.INT8) -> None:
        self.quantized: dict[Operation, Precision] = {}
        self.bfloat16: dict[Operation, None] = {}
        self.mode = requantization_mode(function)
        self._parents: dict[SSAValue, SSAValue] = {}
        self._constants: dict[SSAValue, list[tuple[float, float]]] = {}
        self._results: set[SSAValue] = set()
        self._spanning: set[SSAValue] = set()
        self._limits: dict[Operation, SSAValue] = {}
        for op in function.body.block.ops:
            precision = precision_of(op) or self._usual(op, default)
            if precision.is_float:
                continue
            if self._runs_quantized(op, precision):
                self.quantized[op] = precision if precision.is_integer else self._inherited(op)
                # An accumulator handed on as it is has no parameters that an operation could read it with.
                if OUTPUT_INT32 not in op.attributes:
                    self._results.update(op.results)
                if (limited := limited_value(op)) is not None:
                    self._limits[op] = limited
                if self.shares_parameters(op):
                    self._share(op)
            elif self._runs_in_bfloat16(op, precision):
                self.bfloat16[op] = None

    def _usual(self, op: Operation, default: Precision) -> Precision:
        """The precision of an operation that none is asked of: wider than the default around spans of magnitudes."""
        if not default.is_integer or default.activation_bits > 8:
            return default
        reads = any(unobserved(operand) in self._spanning for operand in op.operands)
        if isinstance(op, SPANS_MAGNITUDES) or (reads and not isinstance(op, OWN_RANGE)):
            self._spanning.update(op.results)
        return Precision("int", 16, default.weight_bits) if reads or isinstance(op, SPANS_MAGNITUDES) else default

    def is_quantized(self, value: SSAValue) -> bool:
        """Whether a value is the result of a quantized operation."""
        return value in self._results

    def limits(self, op: Operation) -> bool:
        """Whether a quantized operation limits a value that nothing else reads, by a constant."""
        return op in self._limits

    def shares_parameters(self, op: Operation) -> bool:
        """Whether a quantized operation's result has its input's scale and zero point.

        TensorFlow Lite's average pooling knows no other way.
        """
        if op in self._limits or not isinstance(op, OWN_RANGE):
            return True
        return self.mode is RequantizationMode.TFLITE and isinstance(op, nn.AvgPool2dOp)

    def group(self, value: SSAValue) -> SSAValue:
        """The value that stands for the group of those that share parameters with `value`."""
        root = value
        while (parent := self._parents.get(root, root)) is not root:
            root = parent
        while (parent := self._parents.get(value, value)) is not root:
            self._parents[value] = root
            value = parent
        return root

    def constant_ranges(self) -> Iterator[tuple[SSAValue, tuple[float, float]]]:
        """Yield groups with the range of a constant that takes part in them."""
        for value, ranges in self._constants.items():
            for bounds in ranges:
                yield self.group(value), bounds

    def values_to_observe(self) -> list[SSAValue]:
        """The values to calibrate, in order: those whose range does not follow from another one, as in `masks`."""
        return [value for value in self.values_with_range() if not needs_no_observer(value)]

    def values_with_range(self) -> list[SSAValue]:
        """The values that need a range, in order: results with their own, and casts' float inputs."""
        values: dict[SSAValue, None] = {}
        limited = set(self._limits.values())
        for op in self.quantized:
            for value in activations(op):
                if not self.is_quantized(value) and constant_of(value) is None:
                    values[value] = None
            if isinstance(op, OWN_RANGE) and OUTPUT_INT32 not in op.attributes:
                values.update(dict.fromkeys(op.results))
        return [value for value in values if value not in limited]

    def _runs_quantized(self, op: Operation, precision: Precision) -> bool:
        if not (precision.is_integer or isinstance(op, MOVES_ELEMENTS)):
            return False
        real = [value for value in (*op.operands, *op.results) if value not in other_operands(op)]
        if not all(_is_f32_tensor(value) for value in real):
            return False
        if refusal(op, precision.activation_bits):
            return False
        if isinstance(op, nn.CastOp):
            return True
        inputs = [value for value in activations(op) if constant_of(value) is None]
        if isinstance(op, MOVES_ELEMENTS):
            looks_up = isinstance(op, nn.GatherOp) and not inputs and precision.is_integer
            return looks_up or any(self.is_quantized(value) for value in inputs)
        return isinstance(op, OWN_RANGE + KEEPS_RANGE) and bool(inputs)

    def _runs_in_bfloat16(self, op: Operation, precision: Precision) -> bool:
        if op.dialect_name() != nn.Nn.name or isinstance(op, nn.ConstantOp | nn.CastOp):
            return False
        inputs = [unobserved(value) for value in op.operands if constant_of(value) is None]
        if isinstance(op, MOVES_ELEMENTS) and not (isinstance(op, nn.ResizeOp) and op.mode.data not in nn.NEAREST):
            return any(isinstance(value.owner, Operation) and value.owner in self.bfloat16 for value in inputs)
        return precision.is_bfloat16 and bool(inputs) and all(_is_f32_tensor(result) for result in op.results)

    def _inherited(self, op: Operation) -> Precision:
        """The precision of what an operation moves, which was computed in integers."""
        makers = [unobserved(value).owner for value in op.operands]
        return next(self.quantized[op] for op in makers if isinstance(op, Operation) and op in self.quantized)

    def _share(self, op: Operation) -> None:
        (result,) = op.results
        for value in activations(op):
            if (constant := constant_of(value)) is None:
                self._parents[self.group(value)] = self.group(result)
            elif op not in self._limits:
                self._constants.setdefault(result, []).append(range_of(array_of(constant.value)))
        if isinstance(op, nn.PadOp) and np.isfinite(padding := op.value.value.data):
            self._constants.setdefault(result, []).append((padding, padding))


def _is_f32_tensor(value: SSAValue) -> bool:
    return isinstance(value.type, TensorType) and nn.tensor_of(value).get_element_type() == f32


def range_of(array: np.ndarray) -> tuple[float, float]:
    """Smallest and largest value of an array, of those that are finite; `(0, 0)` if there is none."""
    if array.dtype.kind == "f":
        array = array[np.isfinite(array)]
    return (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)


def functions_with_body(module: Operation) -> Iterator[func.FuncOp]:
    """Yield the functions of a module that have a body."""
    for block in (block for region in module.regions for block in region.blocks):
        yield from (op for op in block.ops if isinstance(op, func.FuncOp) and op.body.blocks)


def defining_block(value: SSAValue) -> tuple[Block, Operation | None]:
    """The block a value is defined in, and the operation that defines it (None for a block argument)."""
    owner = value.owner
    if isinstance(owner, Block):
        return owner, None
    block = owner.parent
    assert block is not None
    return block, owner
