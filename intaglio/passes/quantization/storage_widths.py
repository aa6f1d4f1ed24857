"""In how many bits the values between quantized operations are stored.

A value is stored in the widest precision in which an operation reads it, so that nobody reads what has been rounded
away; who needs fewer bits gets them by a `quant.requantize`. Where floats or bfloat16 read it, or nobody does, it is
stored in what it was computed in, if that is wider. Values with common parameters have one width.
"""

from __future__ import annotations

from xdsl.ir import SSAValue

from intaglio.passes.quantization.coverage import Coverage, activations, constant_of
from intaglio.passes.quantization.node_settings import OUTPUT_INT32


def storage_widths(coverage: Coverage) -> dict[SSAValue, int]:
    """Bits by group of values with common parameters.

    Args:
        coverage: of a function without observers.
    """
    readers: dict[SSAValue, int] = {}
    makers: dict[SSAValue, int] = {}

    def widen(widths: dict[SSAValue, int], value: SSAValue, bits: int) -> None:
        group = coverage.group(value)
        widths[group] = max(widths.get(group, 0), bits)

    for op, precision in coverage.quantized.items():
        for value in () if coverage.shares_parameters(op) else activations(op):
            if constant_of(value) is None:
                widen(readers, value, precision.activation_bits)
        if OUTPUT_INT32 not in op.attributes:
            widen(makers, op.results[0], precision.activation_bits)
    for op in coverage.quantized:
        value = op.results[0]
        if any(use.operation not in coverage.quantized for use in value.uses) and coverage.group(value) in makers:
            widen(readers, value, makers[coverage.group(value)])
    return {**makers, **readers}
