"""Rules of the operators of `ai.onnx.ml` that work on numbers."""

from __future__ import annotations

from intaglio.lowering.host_to_relax.node import HostNode
from intaglio.lowering.host_to_relax.registry import onnx_rule
from intaglio.lowering.tvm import Expr


@onnx_rule("Binarizer", domain="ai.onnx.ml")
def binarizer(node: HostNode) -> list[Expr]:
    """One where an element is above the threshold, else zero."""
    emitter, dtype = node.emitter, node.dtype(0)
    above = emitter.apply("greater", node.operands[0], emitter.constant(node.real("threshold", 0.0), dtype))
    return [emitter.cast(above, dtype)]
