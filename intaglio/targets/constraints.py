"""What the accelerator can execute: one small function per constraint.

The docstring of a constraint is its row in the documentation and the first half of the message that a user gets;
the function returns the other half, the offending values, or None when the operation obeys. To add one, write a
function here.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass

from xdsl.dialects.builtin import IntegerType, TensorType, bf16
from xdsl.ir import Attribute, Operation, SSAValue

from intaglio.dialects import nn, quant
from intaglio.dialects.quant import UniformQuantizedPerAxisType, UniformQuantizedType, requantization_mode
from intaglio.numerics.fixed_point import LONGEST_SUM_OF_SQUARES
from intaglio.numerics.normalization import LONGEST_ROW
from intaglio.params import RequantizationMode
from intaglio.precision import Precision
from intaglio.targets.instructions import AFFINE_BYTES, EXPONENTIAL_BYTES, WIDE_AFFINE_BYTES
from intaglio.targets.movement import MOVEMENT, is_movement, movement_of
from intaglio.targets.resampling import MIXED_CHANNELS, mixtures_of
from intaglio.targets.target import Target

Check = Callable[[Operation, Target], str | None]
"""The offending values of an operation, or None."""

LINEAR = (nn.Conv2dOp, nn.ConvTranspose2dOp, nn.DenseOp)
REDUCTIONS = (nn.ReduceSumOp, nn.ReduceMeanOp, nn.ReduceL2Op, nn.ReduceMaxOp, nn.ReduceMinOp)
BINARY = (nn.AddOp, nn.SubOp, nn.MulOp, nn.DivOp, nn.MinimumOp, nn.MaximumOp)
NORMALIZATIONS = (nn.SoftmaxOp, nn.LayerNormOp, nn.RmsNormOp)
SUPPORTED: tuple[type[Operation], ...] = (
    *LINEAR,
    *BINARY,
    nn.ReluOp,
    nn.ClipOp,
    *nn.TABLE_OPS,
    nn.MaxPool2dOp,
    nn.AvgPool2dOp,
    *REDUCTIONS,
    *NORMALIZATIONS,
    nn.MatmulOp,
    nn.ReshapeOp,
    quant.RequantizeOp,
    *MOVEMENT,
)
"""The operations that the accelerator executes, subject to the constraints."""

IN_BFLOAT16: tuple[type[Operation], ...] = (
    *LINEAR,
    *BINARY,
    nn.ReluOp,
    nn.ClipOp,
    *nn.TABLE_OPS,
    nn.MaxPool2dOp,
    nn.AvgPool2dOp,
    nn.ReduceSumOp,
    nn.ReduceMeanOp,
    nn.ReduceMaxOp,
    nn.ReduceMinOp,
    *NORMALIZATIONS,
    nn.MatmulOp,
    nn.ReshapeOp,
    *MOVEMENT,
)
"""Those that it executes on bfloat16."""

LARGEST_DIMENSION = 65_535
LARGEST_ROW_BYTES = (1 << 20) - 1
LARGEST_STEP = 255
MOST_TAPS = 65_535
LARGEST_DEPTH = 32_768
LARGEST_WIDE_DEPTH = 65_536
LARGEST_WEIGHT = 32_767
MOST_MIXTURES = 1_024
MOST_BOXES = 4_096
"""Parts of a movement, each of which is at least a task."""


@dataclass(frozen=True)
class Constraint:
    """A condition on operations of some classes.

    Attributes:
        name: of the function.
        text: the condition, a sentence.
        kinds: the classes it is asked of; None for all operations.
        check: returns the offending values.
    """

    name: str
    text: str
    kinds: tuple[type[Operation], ...] | None
    check: Check

    def applies_to(self, kind: type[Operation]) -> bool:
        """Whether operations of a class are asked."""
        return self.kinds is None or issubclass(kind, self.kinds)


@dataclass(frozen=True)
class Violation:
    """A constraint that an operation breaks, with the values that do."""

    constraint: Constraint
    values: str

    def __str__(self) -> str:
        return f"{self.constraint.text[:-1]}, got {self.values}"


_CONSTRAINTS: list[Constraint] = []


def _constraint(*kinds: type[Operation]) -> Callable[[Check], Check]:
    """Register a constraint on operations of `kinds`, or on all."""

    def register(check: Check) -> Check:
        name = getattr(check, "__name__", "")
        _CONSTRAINTS.append(Constraint(name, inspect.getdoc(check) or "", kinds or None, check))
        return check

    return register


def all_constraints() -> tuple[Constraint, ...]:
    """All constraints, in the order in which they are checked."""
    return tuple(_CONSTRAINTS)


def check(op: Operation, target: Target) -> list[Violation]:
    """The constraints of `target` that an operation breaks; empty when the accelerator can execute it.

    An operation that the accelerator does not know is asked nothing else, nor is one on tensors it cannot hold.

    Args:
        op: an operation after quantization.
        target: the accelerator.
    """
    violations: list[Violation] = []
    for constraint in _CONSTRAINTS:
        if constraint.applies_to(type(op)) and (values := constraint.check(op, target)) is not None:
            violations.append(Violation(constraint, values))
            if constraint.kinds is None:
                break
    return violations


def _activations(op: Operation) -> list[SSAValue]:
    inputs = op.operands[:1] if isinstance(op, (*LINEAR, nn.GatherOp, nn.AxisNormOp)) else op.operands
    return [*inputs, *op.results]


def _shape(value: SSAValue) -> tuple[int, ...]:
    return tuple(nn.tensor_of(value).get_shape())


def is_bfloat16(op: Operation) -> bool:
    """Whether an operation computes on bfloat16 alone."""
    return bool(op.results) and all(_element(value) == bf16 for value in _activations(op))


def _element(value: SSAValue) -> Attribute:
    return nn.tensor_of(value).get_element_type() if isinstance(value.type, TensorType) else value.type


def _element_bytes(value: SSAValue) -> int:
    if _element(value) == bf16:
        return 2
    return (_stored_bits(value) or 8) // 8


@_constraint()
def known_operation(op: Operation, target: Target) -> str | None:
    """Operations are of the kinds that the accelerator executes."""
    return None if isinstance(op, SUPPORTED) or (isinstance(op, IN_BFLOAT16) and is_bfloat16(op)) else op.name


def _stored_bits(value: SSAValue) -> int | None:
    """The width of signed integers that a value is stored in, with one scale for all or one for each channel."""
    element = nn.tensor_of(value).get_element_type() if isinstance(value.type, TensorType) else value.type
    if not isinstance(element, UniformQuantizedType | UniformQuantizedPerAxisType):
        return None
    return next((bits for bits in (4, 8, 16) if element.storage_type == IntegerType(bits)), None)


@_constraint()
def integer_activations(op: Operation, target: Target) -> str | None:
    """Activations are tensors of int8, or of int16 with the zero point 0, quantized per tensor."""
    if is_bfloat16(op):
        return None
    for value in _activations(op):
        element = _element(value)
        bits = _stored_bits(value)
        if not isinstance(element, UniformQuantizedType) or bits not in (8, 16):
            return str(element)
        if bits > 8 and element.zero_point:
            return str(element)
    return None


@_constraint()
def bfloat16_operation(op: Operation, target: Target) -> str | None:
    """Operations on bfloat16 are those below, without roots of sums of squares and bilinear resizing."""
    if not is_bfloat16(op):
        return None
    if isinstance(op, nn.ResizeOp) and not is_movement(op):
        return f"{op.name} of mode {op.mode.data}"
    return None if isinstance(op, IN_BFLOAT16) else op.name


@_constraint()
def requantization(op: Operation, target: Target) -> str | None:
    """Values are requantized in mode `shift`."""
    mode = requantization_mode(op)
    if is_bfloat16(op):
        return None
    return None if mode is RequantizationMode.SHIFT else mode.value


@_constraint()
def precision(op: Operation, target: Target) -> str | None:
    """Operands are as wide as the target's precisions say."""
    if is_bfloat16(op):
        return None if "bf16" in target.precisions else "bf16"
    operands = [_stored_bits(value) or 8 for value in _activations(op)[: -len(op.results)]]
    widths = {(found.activation_bits, found.weight_bits) for found in map(Precision.parse, target.precisions)}
    if isinstance(op, LINEAR):
        stored = _stored_bits(op.weight)
        named = f"a{operands[0]}w{stored}"
        return None if stored is None or (operands[0], stored) in widths else named
    return None if max(operands) in {activations for activations, _ in widths} else f"a{max(operands)}"


@_constraint(*LINEAR)
def integer_weights(op: Operation, target: Target) -> str | None:
    """Weights are int4, int8 or int16, quantized per tensor or per output channel; with bfloat16, bfloat16."""
    assert isinstance(op, LINEAR)
    if is_bfloat16(op):
        return None if _element(op.weight) == bf16 else str(_element(op.weight))
    return None if _stored_bits(op.weight) else str(nn.tensor_of(op.weight).get_element_type())


@_constraint(*LINEAR)
def constant_weights(op: Operation, target: Target) -> str | None:
    """Weights and bias are constants."""
    for operand in op.operands[1:]:
        if not isinstance(operand.owner, nn.ConstantOp):
            return f"a value of type {operand.type}"
    return None


@_constraint()
def dimensions(op: Operation, target: Target) -> str | None:
    """Dimensions are 1 to 65535."""
    for value in (*op.operands, *op.results):
        if not all(1 <= size <= LARGEST_DIMENSION for size in _shape(value)):
            return f"shape {list(_shape(value))}"
    return None


@_constraint(*BINARY, nn.ActivationOp, quant.RequantizeOp)
def rank(op: Operation, target: Target) -> str | None:
    """Elementwise operands have at most 4 dimensions."""
    largest = max(len(_shape(value)) for value in op.operands)
    return None if largest <= 4 else f"rank {largest}"


@_constraint(nn.Conv2dOp, nn.PoolOp, nn.ResizeOp, *BINARY, nn.ActivationOp, quant.RequantizeOp)
def row_size(op: Operation, target: Target) -> str | None:
    """A row of a feature map, its width with padding times its channels, has at most 1048575 bytes."""
    if is_movement(op):
        return None
    padding = sum(op.pads.get_values()[1::2]) if isinstance(op, nn.Conv2dOp | nn.PoolOp) else 0
    for value in _activations(op):
        shape = _shape(value)
        width = shape[-2] if len(shape) > 1 else 1
        if (width + padding) * (shape[-1] if shape else 1) * _element_bytes(value) > LARGEST_ROW_BYTES:
            return f"shape {list(shape)}" + (f" and {padding} columns of padding" if padding else "")
    return None


@_constraint(nn.Conv2dOp, nn.ConvTranspose2dOp, nn.PoolOp)
def kernel_size(op: Operation, target: Target) -> str | None:
    """Kernels have at most 65535 elements."""
    kernel = _kernel_of(op)
    return None if math.prod(kernel) <= MOST_TAPS else f"kernel {list(kernel)}"


@_constraint(nn.Conv2dOp, nn.ConvTranspose2dOp, nn.PoolOp)
def strides(op: Operation, target: Target) -> str | None:
    """Strides and dilations are at most 255."""
    assert isinstance(op, nn.Conv2dOp | nn.ConvTranspose2dOp | nn.PoolOp)
    steps = list(op.strides.get_values())
    dilations = list(op.dilation()) if isinstance(op, nn.PoolOp) else list(op.dilations.get_values())
    return None if max(*steps, *dilations) <= LARGEST_STEP else f"strides {steps} and dilations {dilations}"


@_constraint(nn.Conv2dOp, nn.PoolOp)
def window_size(op: Operation, target: Target) -> str | None:
    """What one output position reads, from the first row and column to the last, fits half of the scratchpad."""
    assert isinstance(op, nn.Conv2dOp | nn.PoolOp)
    convolves = isinstance(op, nn.Conv2dOp)
    kernel = _kernel_of(op)
    dilations = tuple(op.dilations.get_values()) if convolves else op.dilation()
    _, height, width, channels = _shape(op.input)
    extents = [(taps - 1) * apart + 1 for taps, apart in zip(kernel, dilations, strict=True)]
    # Channels that have nothing to do with each other can be computed one after another.
    together = channels if convolves and not op.is_depthwise else 1
    needed = min(extents[0], height) * min(extents[1], width) * together * _element_bytes(op.input)
    return None if needed <= target.scratchpad_bytes // 2 else f"{needed} bytes of {target.scratchpad_bytes}"


@_constraint(nn.Conv2dOp, nn.DenseOp)
def accumulator_depth(op: Operation, target: Target) -> str | None:
    """An output element sums at most 32768 products of bytes, or 65536 others, so that no accumulator overflows."""
    assert isinstance(op, nn.Conv2dOp | nn.DenseOp)
    depth = math.prod(_shape(op.weight)[1:])
    return (
        None
        if depth <= (LARGEST_DEPTH if _element_bytes(op.input) == 1 else LARGEST_WIDE_DEPTH)
        else f"{depth} (weight {list(_shape(op.weight))})"
    )


@_constraint(nn.AvgPool2dOp)
def uniform_average(op: Operation, target: Target) -> str | None:
    """All windows of an average have the same number of elements: there is no padding, or it is counted."""
    assert isinstance(op, nn.AvgPool2dOp)
    pads = list(op.pads.get_values())
    return f"pads {pads}, not counted" if any(pads) and not op.count_include_pad.value.data else None


@_constraint(nn.ConvTranspose2dOp)
def phase_channels(op: Operation, target: Target) -> str | None:
    """The phases of a transposed convolution have at most 65535 channels in all, and sum 32768 products at most."""
    assert isinstance(op, nn.ConvTranspose2dOp)
    strides, outputs = list(op.strides.get_values()), _shape(op.result)[3]
    channels = _shape(op.input)[3]
    if strides[0] * strides[1] * outputs > LARGEST_DIMENSION:
        return f"strides {strides} and {outputs} channels"
    window = math.prod(size // step + 2 for size, step in zip(_shape(op.weight)[1:3], strides, strict=True))
    return None if window * channels <= LARGEST_DEPTH else f"{window * channels} for {channels} channels"


@_constraint(*REDUCTIONS)
def neighbouring_dimensions(op: Operation, target: Target) -> str | None:
    """The dimensions that are reduced are neighbours."""
    assert isinstance(op, nn.ReduceOp)
    shape, axes = _shape(op.input), list(op.axes.get_values())
    reduced = [axis for axis in axes if shape[axis] > 1]
    kept = [axis for axis in range(len(shape)) if axis not in axes and shape[axis] > 1]
    return f"axes {axes} of {list(shape)}" if any(reduced[0] < axis < reduced[-1] for axis in kept) else None


@_constraint(*REDUCTIONS)
def reduced_elements(op: Operation, target: Target) -> str | None:
    """A reduction is over at most 32768 elements, 16384 of squares, which fit half of the scratchpad."""
    assert isinstance(op, nn.ReduceOp)
    count = math.prod(_shape(op.input)) // math.prod(_shape(op.result))
    most = min(LONGEST_SUM_OF_SQUARES if isinstance(op, nn.ReduceL2Op) else LARGEST_DEPTH, target.scratchpad_bytes // 2)
    return None if count <= most else f"{count}"


@_constraint(nn.LayerNormOp, nn.RmsNormOp)
def constant_factors(op: Operation, target: Target) -> str | None:
    """Scale and offset of a normalization are constants."""
    for operand in op.operands[1:]:
        if not isinstance(operand.owner, nn.ConstantOp):
            return f"a value of type {operand.type}"
    return None


@_constraint(*NORMALIZATIONS)
def normalized_row(op: Operation, target: Target) -> str | None:
    """What is normalized together, with its factors, fits an eighth of the scratchpad; of 16 bits 16384 elements do."""
    assert isinstance(op, NORMALIZATIONS)
    count, width = _shape(op.operands[0])[op.axis.value.data], _element_bytes(op.operands[0])
    record = AFFINE_BYTES if _element_bytes(op.results[0]) == 1 else WIDE_AFFINE_BYTES
    needed = count * width + (EXPONENTIAL_BYTES * width if isinstance(op, nn.SoftmaxOp) else record * count)
    if needed > target.scratchpad_bytes // 8:
        return f"{needed} bytes of {target.scratchpad_bytes}"
    return f"{count} elements" if isinstance(op, nn.AxisNormOp) and count > LONGEST_ROW[8 * width] else None


@_constraint(nn.MatmulOp)
def product_depth(op: Operation, target: Target) -> str | None:
    """A product of two activations sums at most 32768 products, which fit a quarter of the scratchpad for D columns."""
    assert isinstance(op, nn.MatmulOp)
    depth, width = _shape(op.lhs)[-1], max(map(_element_bytes, op.operands))
    most = min(LARGEST_DEPTH, target.scratchpad_bytes // 4 // target.array_size // width)
    return None if depth <= most else f"{depth}"


@_constraint(nn.GatherOp)
def known_indices(op: Operation, target: Target) -> str | None:
    """Indices of a gather are constants."""
    assert isinstance(op, nn.GatherOp)
    return None if isinstance(op.indices.owner, nn.ConstantOp) else f"a value of type {op.indices.type}"


@_constraint(nn.ResizeOp)
def mixed_weights(op: Operation, target: Target) -> str | None:
    """The units of bilinear weights have a product of at most 32767, so that weights have 16 bits."""
    assert isinstance(op, nn.ResizeOp)
    units = list(op.units.get_values())
    return None if is_movement(op) or math.prod(units) <= LARGEST_WEIGHT else f"units {units}"


@_constraint(nn.ResizeOp)
def regular_mixture(op: Operation, target: Target) -> str | None:
    """A bilinear resize has at most 1024 parts, evenly apart, of equal weights, which fit an eighth of the memory."""
    assert isinstance(op, nn.ResizeOp)
    if is_movement(op):
        return None
    steps = list(op.steps.get_values())
    if min(steps) < 0:
        return f"steps {steps}"
    for mixture in mixtures_of(op):
        needed = mixture.bytes_of_a_channel * MIXED_CHANNELS
        if mixture.parts > MOST_MIXTURES:
            return f"{mixture.parts}"
        if needed > target.scratchpad_bytes // 8:
            return f"{needed} bytes of {target.scratchpad_bytes}"
    return None


@_constraint(*MOVEMENT)
def regular_movement(op: Operation, target: Target) -> str | None:
    """A movement has at most 4096 parts that read with constant steps."""
    if not is_movement(op):
        return None
    boxes = len(movement_of(op)[1])
    return None if boxes <= MOST_BOXES else f"{boxes}"


def _kernel_of(op: Operation) -> tuple[int, ...]:
    if isinstance(op, nn.Conv2dOp | nn.ConvTranspose2dOp):
        return _shape(op.weight)[1:3]
    assert isinstance(op, nn.PoolOp)
    return tuple(op.kernel.get_values())
