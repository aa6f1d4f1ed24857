"""The rules of `onnx-to-nn`, one function per ONNX operator, by family; importing this package registers them.

A rule starts with its guards and returns None when `nn` cannot express the node, which then stays an `onnx` op.
"""

from intaglio.lowering.onnx_rules import elementwise, linear, movement, normalization, pooling

__all__ = ["elementwise", "linear", "movement", "normalization", "pooling"]
