"""Which operations of a function run quantized, and which values must share one scale and zero point.

This is what calibration and quantization agree on: observers stand on the values that need a range, and the
quantizer gives every group of values that share parameters the union of their ranges.

An operation is one of four kinds, by its class:

- *own range*: its result gets parameters of its own (convolution, addition, table functions, average pool);
- *keeps range*: its result has its input's parameters, and it is always quantized (max pool, largest element);
- *moves elements*: likewise, but quantized only when an input already is, so that a change of layout at the
  network's input stays in floats and the cast comes after it (reshape, transpose, concat, pad, slice, nearest resize);
- anything else stays float.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import TensorType, f32
from xdsl.ir import Block, Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.quant import ObserveOp
from intaglio.dialects.weights import array_of

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
)
STAYS_FLOAT: tuple[type[Operation], ...] = (nn.ExpOp, nn.LogOp, nn.ReciprocalOp)
"""Functions whose results span orders of magnitude, which one scale cannot."""


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
    operands = op.operands[:1] if isinstance(op, LAYERS) else op.operands
    return [unobserved(operand) for operand in operands]


class Coverage:
    """The quantized operations of a function, and its groups of values with common parameters.

    Attributes:
        quantized: the operations that run quantized, in order.

    Args:
        function: a function of one block on the `nn` level; observers in it count as their input.
    """

    def __init__(self, function: func.FuncOp) -> None:
        self.quantized: dict[Operation, None] = {}
        self._parents: dict[SSAValue, SSAValue] = {}
        self._constants: dict[SSAValue, list[tuple[float, float]]] = {}
        self._results: set[SSAValue] = set()
        for op in function.body.block.ops:
            if self._runs_quantized(op):
                self.quantized[op] = None
                self._results.update(op.results)
                if not isinstance(op, OWN_RANGE):
                    self._share(op)

    def is_quantized(self, value: SSAValue) -> bool:
        """Whether a value is the result of a quantized operation."""
        return value in self._results

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
        """The values that need a calibrated range, in order: results with their own, and casts' float inputs."""
        values: dict[SSAValue, None] = {}
        for op in self.quantized:
            for value in activations(op):
                if not self.is_quantized(value) and constant_of(value) is None:
                    values[value] = None
            if isinstance(op, OWN_RANGE):
                values.update(dict.fromkeys(op.results))
        return list(values)

    def _runs_quantized(self, op: Operation) -> bool:
        if not all(_is_f32_tensor(value) for value in (*op.operands, *op.results)) or isinstance(op, STAYS_FLOAT):
            return False
        if isinstance(op, nn.ResizeOp) and op.mode.data not in nn.NEAREST:
            return False
        inputs = [value for value in activations(op) if constant_of(value) is None]
        if isinstance(op, MOVES_ELEMENTS):
            return any(self.is_quantized(value) for value in inputs)
        if not isinstance(op, OWN_RANGE + KEEPS_RANGE) or not inputs:
            return False
        return all(constant_of(parameter) is not None for parameter in _parameters(op))

    def _share(self, op: Operation) -> None:
        (result,) = op.results
        for value in activations(op):
            if (constant := constant_of(value)) is None:
                self._parents[self.group(value)] = self.group(result)
            else:
                self._constants.setdefault(result, []).append(range_of(array_of(constant.value)))
        if isinstance(op, nn.PadOp) and np.isfinite(padding := op.value.value.data):
            self._constants.setdefault(result, []).append((padding, padding))


def _parameters(op: Operation) -> Sequence[SSAValue]:
    """Weights and biases."""
    return op.operands[1:] if isinstance(op, LAYERS) else ()


def _is_f32_tensor(value: SSAValue) -> bool:
    return isinstance(value.type, TensorType) and nn.tensor_of(value).get_element_type() == f32


def range_of(array: np.ndarray) -> tuple[float, float]:
    """Smallest and largest value of an array; `(0, 0)` if it is empty."""
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
