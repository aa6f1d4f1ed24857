"""Rules of comparison, selection and conversion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from intaglio.dialects import nn
from intaglio.interpreter.registry import rule
from intaglio.interpreter.values import Array, quantization, storage_bounds, value_dtype
from intaglio.numerics.quantization import quantize

COMPARISONS: dict[str, Callable[[Array, Array], Any]] = {
    "equal": np.equal,
    "less": np.less,
    "less_or_equal": np.less_equal,
    "greater": np.greater,
    "greater_or_equal": np.greater_equal,
}


@rule(nn.CompareOp)
def compare(op: nn.CompareOp, operands: list[Array]) -> list[Array]:
    """Compare element by element."""
    return [np.asarray(COMPARISONS[op.predicate.data](*operands))]


@rule(nn.SelectOp)
def select(op: nn.SelectOp, operands: list[Array]) -> list[Array]:
    """Choose element by element."""
    return [np.where(*operands)]


@rule(nn.CastOp)
def cast(op: nn.CastOp, operands: list[Array]) -> list[Array]:
    """Convert element by element; floats lose their fraction, and integers are quantized as floats are."""
    if (kind := quantization(op.result)) is not None:
        real = operands[0].astype(np.float32)
        bounds = storage_bounds(kind, None)
        return [quantize(real, kind.scale, kind.zero_point, *bounds, value_dtype(op.result))]
    return [operands[0].astype(value_dtype(op.result))]
