"""The rules of `onnx-to-nn`, one function per ONNX operator, by family; importing this package registers them.

A rule starts with its guards and returns None when `nn` cannot express the node, which then stays an `onnx` op.
"""

from intaglio.lowering.onnx_rules import (
    activation,
    einsum,
    elementwise,
    linear,
    movement,
    normalization,
    pooling,
    recurrent,
    reduction,
    resampling,
    selection,
)

__all__ = [
    "activation",
    "einsum",
    "elementwise",
    "linear",
    "movement",
    "normalization",
    "pooling",
    "recurrent",
    "reduction",
    "resampling",
    "selection",
]
