"""How each kind of operation is quantized: one small function a kind, found by the operation's class.

To quantize a further operation, give it a kind in `coverage` and a rule here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from xdsl.ir import Operation

from intaglio.dialects import nn
from intaglio.dialects.weights import array_of
from intaglio.passes.quantization.coverage import KEEPS_RANGE, MOVES_ELEMENTS, constant_of
from intaglio.passes.quantization.linear import quantize_linear
from intaglio.passes.quantization.quantizer import Quantizer

Rule = Callable[[Operation, Quantizer], None]
Op = TypeVar("Op", bound=Operation)

_RULES: dict[type[Operation], Rule] = {}


def rule(*kinds: type[Op]) -> Callable[[Callable[[Op, Quantizer], None]], Callable[[Op, Quantizer], None]]:
    """Register the decorated function for operations of the given classes and of those derived from them."""

    def register(function: Callable[[Op, Quantizer], None]) -> Callable[[Op, Quantizer], None]:
        def checked(op: Operation, quantizer: Quantizer) -> None:
            assert isinstance(op, kinds)
            function(op, quantizer)

        _RULES.update(dict.fromkeys(kinds, checked))
        return function

    return register


def rule_of(op: Operation) -> Rule:
    """The rule of a quantized operation."""
    return next(_RULES[kind] for kind in type(op).__mro__ if kind in _RULES)


@rule(nn.Conv2dOp, nn.ConvTranspose2dOp, nn.DenseOp)
def linear(op: nn.Conv2dOp | nn.ConvTranspose2dOp | nn.DenseOp, quantizer: Quantizer) -> None:
    """Integer weights and bias; the fused activation stays in real values."""
    weight, bias = constant_of(op.weight), constant_of(op.bias)
    assert weight is not None
    parameters = quantize_linear(
        array_of(weight.value),
        None if bias is None else array_of(bias.value),
        quantizer.element_type(op.input),
        quantizer.element_type(op.result),
        per_channel=not quantizer.options.weight_per_tensor,
    )
    operands = [
        quantizer.activation(op.input),
        quantizer.constant(weight, array_of(weight.value), parameters.weight_type),
    ]
    if bias is not None:
        assert parameters.bias is not None
        operands.append(quantizer.constant(bias, parameters.bias, parameters.bias_type))
    quantizer.rebuild(op, operands)


@rule(nn.AddOp, nn.SubOp, nn.MulOp, nn.ActivationOp, nn.AvgPool2dOp, nn.ReduceMeanOp, nn.ReduceSumOp)
def own_range(op: Operation, quantizer: Quantizer) -> None:
    """The same operation; each operand keeps its parameters, and the result has those of its range."""
    quantizer.rebuild(op, [quantizer.activation(operand) for operand in op.operands])


@rule(*KEEPS_RANGE, *MOVES_ELEMENTS)
def common_range(op: Operation, quantizer: Quantizer) -> None:
    """The same operation; operands and result, which form one group, have the same parameters."""
    shared = quantizer.element_type(op.results[0])
    quantizer.rebuild(op, [quantizer.activation(operand, shared) for operand in op.operands])
