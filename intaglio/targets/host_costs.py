"""What the host takes for operations, and what a boundary between host and accelerator costs: constants and formulas.

The accelerator has a clock, the host does not: whatever machine runs the host's part, the compiler assumes this one, so
that equal models are divided equally everywhere. The constants are rounded from what host code compiled by TVM takes
on one core of an x86-64-v3 server (`docs/partitioning.md` has the measurements). Times are in nanoseconds; the target's
clock turns them into cycles.
"""

from __future__ import annotations

import math

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.quant import DequantizeCastOp, QuantizeCastOp, RequantizeOp, is_quantized, storage_tensor_type
from intaglio.dialects.weights import dtype_of
from intaglio.errors import UserError
from intaglio.targets.target import Target

LAUNCH_NS = 5_000.0
"""A launch: descriptors, doorbell, waiting for the interrupt."""

KERNEL_NS = 1_000.0
"""A call of a function of host code, however little it does."""

MAINTENANCE_NS = 0.1
"""A byte that host and accelerator share: caches are cleaned or invalidated."""

PRODUCT_NS = 0.04
"""A product of a convolution, dense layer or matrix product."""

WEIGHT_NS = 0.8
"""A weight of those, which is read and widened in every call."""

DEPTHWISE_NS = 1.5
"""A product of a convolution in which each channel has its own kernel."""

TAP_NS = 0.1
"""An element of a pooling window, or one that a reduction reads."""

INTEGER_NS = 1.0
"""A result of elementwise arithmetic on quantized tensors, or of a requantization."""

FLOAT_NS = 0.5
"""A result of elementwise arithmetic on floats."""

QUANTIZE_NS = 2.0
"""An element of a cast from floats to integers."""

DEQUANTIZE_NS = 0.7
"""An element of a cast from integers to floats."""

NORMALIZE_NS = 10.0
"""An element of a softmax or a normalization."""

MOVE_NS = 0.3
"""A byte that is moved to another place in its tensor."""

_MOVES = (nn.TransposeOp, nn.ConcatOp, nn.PadOp, nn.SliceOp, nn.BroadcastOp, nn.ResizeOp, nn.GatherOp)
_NORMALIZES = (nn.SoftmaxOp, nn.AxisNormOp, nn.BatchNormOp, nn.LocalResponseNormOp)


def host_cycles(op: Operation, target: Target) -> int:
    """What the host takes for an operation, in cycles of the accelerator.

    Args:
        op: an operation of the `nn` or `quant` dialect; others count as elementwise arithmetic.
        target: the accelerator, for its clock.
    """
    return _cycles(0.0 if isinstance(op, nn.ReshapeOp) else KERNEL_NS + _work_ns(op), target)


def boundary_cycles(size: int, target: Target) -> int:
    """What one tensor takes across a boundary, in one direction: the accelerator's transfer, and the host's caches.

    Args:
        size: bytes of the tensor.
        target: the accelerator.
    """
    transfer = target.dma_descriptor_cycles + target.dram_latency_cycles + math.ceil(size / target.dram_bytes_per_cycle)
    return transfer + _cycles(MAINTENANCE_NS * size, target)


def launch_cycles(target: Target) -> int:
    """What starting a region and waiting for it takes, without its tensors."""
    return _cycles(LAUNCH_NS, target)


def move_cycles(size: int, target: Target) -> int:
    """What the host takes to copy a tensor, as into or out of a larger one.

    Args:
        size: bytes of the tensor.
        target: the accelerator, for its clock.
    """
    return _cycles(KERNEL_NS + MOVE_NS * size, target)


def stored_bytes(value: SSAValue) -> int:
    """The bytes of a tensor in memory; none for values that are no tensors of numbers known at compile time."""
    if not isinstance(value.type, TensorType):
        return 0
    kind = nn.tensor_of(value)
    stored = storage_tensor_type(kind) if is_quantized(kind) else kind
    try:
        width = dtype_of(stored.get_element_type()).itemsize
    except UserError:
        return 0
    return _elements(value) * width


def _cycles(nanoseconds: float, target: Target) -> int:
    return round(nanoseconds * target.clock_mhz / 1000)


def _work_ns(op: Operation) -> float:
    results = sum(map(_elements, op.results))
    if isinstance(op, nn.Conv2dOp) and op.is_depthwise:
        return results * (DEPTHWISE_NS * math.prod(_shape(op.weight)[1:]) + INTEGER_NS)
    if isinstance(op, nn.Conv2dOp | nn.DenseOp):
        products = results * math.prod(_shape(op.weight)[1:])
        return PRODUCT_NS * products + WEIGHT_NS * _elements(op.weight) + INTEGER_NS * results
    if isinstance(op, nn.ConvTranspose2dOp):
        products = _elements(op.input) * math.prod(_shape(op.weight)[:-1])
        return PRODUCT_NS * products + WEIGHT_NS * _elements(op.weight) + INTEGER_NS * results
    if isinstance(op, nn.MatmulOp):
        return results * (PRODUCT_NS * _shape(op.lhs)[-1] + INTEGER_NS) + WEIGHT_NS * _elements(op.rhs)
    if isinstance(op, nn.PoolOp):
        return results * (TAP_NS * math.prod(op.kernel.get_values()) + INTEGER_NS)
    if isinstance(op, nn.ReduceOp):
        return TAP_NS * _elements(op.operands[0]) + INTEGER_NS * results
    if isinstance(op, QuantizeCastOp):
        return QUANTIZE_NS * results
    if isinstance(op, DequantizeCastOp):
        return DEQUANTIZE_NS * results
    if isinstance(op, _NORMALIZES):
        return NORMALIZE_NS * results
    if isinstance(op, _MOVES):
        return MOVE_NS * sum(map(stored_bytes, op.results))
    in_integers = isinstance(op, RequantizeOp) or any(is_quantized(result.type) for result in op.results)
    return results * (INTEGER_NS if in_integers else FLOAT_NS)


def _shape(value: SSAValue) -> tuple[int, ...]:
    return tuple(nn.tensor_of(value).get_shape())


def _elements(value: SSAValue) -> int:
    if not isinstance(value.type, TensorType):
        return 0
    kind = nn.tensor_of(value)
    return math.prod(kind.get_shape()) if kind.has_static_shape() else 0
