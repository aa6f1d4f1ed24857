"""How each kind of operation is quantized: one small function a kind, found by the operation's class.

To quantize a further operation, give it a kind in `coverage` and a rule here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from xdsl.dialects.builtin import IntegerType, TensorType, f32
from xdsl.ir import Operation

from intaglio.dialects import nn
from intaglio.dialects.weights import array_of, constant_attr
from intaglio.ir.locations import describe, where
from intaglio.ir.rules import Rules, of_class
from intaglio.passes.quantization.coverage import (
    KEEPS_RANGE,
    MOVES_ELEMENTS,
    constant_of,
    defining_block,
    other_operands,
    range_of,
)
from intaglio.passes.quantization.limits import is_idle
from intaglio.passes.quantization.linear import accumulator_result_type, quantize_linear
from intaglio.passes.quantization.memory import remembered
from intaglio.passes.quantization.node_settings import config_of
from intaglio.passes.quantization.normalization import quantize_norm
from intaglio.passes.quantization.piecewise import quantize_piecewise
from intaglio.passes.quantization.quantizer import Quantizer
from intaglio.remarks import warn

Rule = Callable[[Operation, Quantizer], None]
Op = TypeVar("Op", bound=Operation)

_RULES = Rules[type[Operation], Rule]()


def rule(*kinds: type[Op]) -> Callable[[Callable[[Op, Quantizer], None]], Callable[[Op, Quantizer], None]]:
    """Register the decorated function for operations of the given classes and of those derived from them."""

    def register(function: Callable[[Op, Quantizer], None]) -> Callable[[Op, Quantizer], None]:
        def checked(op: Operation, quantizer: Quantizer) -> None:
            assert isinstance(op, kinds)
            function(op, quantizer)

        _RULES.add(*kinds)(checked)
        return function

    return register


def rule_of(op: Operation) -> Rule:
    """The rule of a quantized operation."""
    found = of_class(_RULES, op)
    assert found is not None, f"{op.name} is quantized, but has no rule"
    return found


@rule(nn.Conv2dOp, nn.ConvTranspose2dOp, nn.DenseOp)
def linear(op: nn.Conv2dOp | nn.ConvTranspose2dOp | nn.DenseOp, quantizer: Quantizer) -> None:
    """Integer weights and bias; the fused activation stays in real values. The accumulator may be the result."""
    weight, bias = constant_of(op.weight), constant_of(op.bias)
    assert weight is not None
    config = config_of(op)
    source = quantizer.element_type(op.input)
    stored = None if config.output_int32 else quantizer.element_type(op.result)
    per_channel = not quantizer.options.weight_per_tensor if config.per_channel is None else config.per_channel
    bits = quantizer.precision.weight_bits
    parameters = remembered(
        (weight.value, bias and bias.value),
        (source, stored, per_channel, bits),
        lambda: quantize_linear(
            array_of(weight.value),
            None if bias is None else array_of(bias.value),
            source,
            stored,
            per_channel=per_channel,
            weight_bits=bits,
        ),
    )
    if parameters.enlarged:
        warn(
            f"the bias of {describe(op)} would overflow its integers; {parameters.enlarged} weight scales are enlarged",
            where(op.location),
        )
    operands = [
        quantizer.activation(op.input),
        quantizer.constant(weight, array_of(weight.value), parameters.weight_type),
    ]
    if bias is not None:
        assert parameters.bias is not None
        operands.append(quantizer.constant(bias, parameters.bias, parameters.bias_type))
    if not config.output_int32:
        quantizer.rebuild(op, operands)
        return
    shape = nn.tensor_of(op.result).get_shape()
    accumulator = TensorType(accumulator_result_type(parameters.bias_type, len(shape)), shape)
    properties, attributes = dict(op.properties), dict(op.attributes)
    new = type(op).create(operands=operands, result_types=[accumulator], properties=properties, attributes=attributes)
    quantizer.replace_by_accumulator(op, new)


@rule(
    nn.AddOp,
    nn.SubOp,
    nn.MulOp,
    nn.ActivationOp,
    nn.AvgPool2dOp,
    nn.ReduceMeanOp,
    nn.ReduceSumOp,
    nn.ReduceL2Op,
    nn.MatmulOp,
    nn.SoftmaxOp,
)
def own_range(op: Operation, quantizer: Quantizer) -> None:
    """The same operation; each operand keeps its parameters, and the result has those of its range."""
    quantizer.rebuild(op, [quantizer.activation(operand) for operand in op.operands])


@rule(nn.HardSigmoidOp, nn.HardSwishOp)
def hard_activation(op: nn.HardSigmoidOp | nn.HardSwishOp, quantizer: Quantizer) -> None:
    """A table of 8-bit values; of 16-bit ones a few operations, because a table would cut the corners off."""
    if quantizer.precision.activation_bits > 8:
        quantize_piecewise(op, quantizer)
    else:
        own_range(op, quantizer)


@rule(nn.MaximumOp, nn.MinimumOp)
def extreme(op: nn.MaximumOp | nn.MinimumOp, quantizer: Quantizer) -> None:
    """The same operation; a constant has the result's parameters.

    What of it lies beyond the result's range saturates, as the result would. A range of its own would be that of its
    largest limit, and leave small ones no resolution. A limit that saturation is enough for goes.
    """
    shared = quantizer.element_type(op.result)
    if quantizer.coverage.limits(op) and is_idle(op, shared):
        quantizer.omit(op)
        return
    quantizer.rebuild(op, [quantizer.activation(operand, shared) for operand in op.operands])


@rule(nn.AxisNormOp)
def normalization(op: nn.AxisNormOp, quantizer: Quantizer) -> None:
    """Scale and offset as integers of 16 bits and of those of the accumulator."""
    scale, *offset = (constant for operand in op.operands[1:] if (constant := constant_of(operand)) is not None)
    parameters = quantize_norm(
        array_of(scale.value), array_of(offset[0].value) if offset else None, storage_width(quantizer, op)
    )
    operands = [
        quantizer.activation(op.operands[0]),
        quantizer.constant(scale, parameters.scale, parameters.scale_type),
    ]
    if parameters.offset is not None:
        operands.append(quantizer.constant(offset[0], parameters.offset, parameters.offset_type))
    quantizer.rebuild(op, operands)


def storage_width(quantizer: Quantizer, op: Operation) -> int:
    """The bits in which the result of an operation is stored."""
    storage = quantizer.element_type(op.results[0]).storage_type
    return storage.width.data if isinstance(storage, IntegerType) else 16


@rule(nn.DivOp)
def division(op: nn.DivOp, quantizer: Quantizer) -> None:
    """A constant divisor becomes a product with its reciprocal, whose integers are cheaper and exact for one number."""
    divisor = constant_of(op.rhs)
    if divisor is None:
        quantizer.rebuild(op, [quantizer.activation(operand) for operand in op.operands])
        return
    reciprocals = (1.0 / array_of(divisor.value).astype(np.float64)).astype(np.float32)
    kind = quantizer.type_of_range(*range_of(reciprocals))
    lhs, rhs = quantizer.activation(op.lhs), quantizer.constant(divisor, reciprocals, kind)
    product = nn.MulOp(lhs, rhs, quantizer.result_type(op.result), clamp=op.clamp)
    product.attributes.update(op.attributes)
    quantizer.replace(op, product)


@rule(nn.ReciprocalOp)
def reciprocal(op: nn.ReciprocalOp, quantizer: Quantizer) -> None:
    """One over the operand as a quotient, which is exact where a table would be steep."""
    shape = nn.tensor_of(op.input).get_shape()
    one = nn.ConstantOp(constant_attr("one", np.ones((1,) * len(shape), np.float32), f32))
    one.location = op.location
    block, _ = defining_block(op.result)
    block.insert_op_before(one, op)
    lhs = quantizer.constant(one, array_of(one.value), quantizer.type_of_range(0.0, 1.0))
    quotient = nn.DivOp(lhs, quantizer.activation(op.input), quantizer.result_type(op.result))
    quotient.attributes.update(op.attributes)
    quantizer.replace(op, quotient)
    one.detach()
    one.erase()


@rule(nn.CastOp)
def conversion(op: nn.CastOp, quantizer: Quantizer) -> None:
    """Integers and truth values are quantized as they are converted."""
    quantizer.rebuild(op, [op.input])


@rule(*KEEPS_RANGE, *MOVES_ELEMENTS)
def common_range(op: Operation, quantizer: Quantizer) -> None:
    """The same operation; operands and result, which form one group, have the same parameters."""
    shared, others = quantizer.element_type(op.results[0]), other_operands(op)
    operands = [operand if operand in others else quantizer.activation(operand, shared) for operand in op.operands]
    quantizer.rebuild(op, operands)
