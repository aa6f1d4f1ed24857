"""An onnxruntime run of a bfloat16 network: floats, rounded to bfloat16 wherever the network stores them so.

What a quantized module stores as bf16 becomes float32 followed by a cast to bf16 and back, which onnxruntime carries
out; constants are the rounded ones. Everything between two roundings is onnxruntime's own float32. Its optimizations
are off: they are free to move roundings and to change the order of sums, and a sum that falls on the other side of a
tie is another bfloat16, which grows in a deep network. (On mobilenet_v2, whose first layer has ten such sums in a
million, onnxruntime with and without them differs by one sample of 140.)
"""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import ModuleOp, TensorType, bf16, f32
from xdsl.ir import SSAValue
from xdsl.rewriter import Rewriter

from intaglio.dialects import nn
from intaglio.dialects.weights import WeightsAttr, array_of, constant_attr
from intaglio.frontend.exporter import main_function
from intaglio.passes.calibration.float_graph import FloatGraph


def rounding_module(quantized: ModuleOp) -> ModuleOp:
    """A float module with the roundings of a bfloat16 one.

    Args:
        quantized: a module of the phase `quantize` whose operations are in bfloat16 or float; it does not change.
    """
    module = quantized.clone()
    block = main_function(module).body.block
    for op in list(block.ops):
        for result in op.results:
            if not _is_bf16(result):
                continue
            kind = TensorType(f32, nn.tensor_of(result).get_shape())
            if isinstance(op, nn.ConstantOp):
                key = op.value.key if isinstance(op.value, WeightsAttr) else ""
                op.properties["value"] = constant_attr(key, array_of(op.value).astype(np.float32), f32)
                Rewriter.replace_value_with_new_type(result, kind)
                continue
            if isinstance(op, nn.CastOp):
                widened = nn.CastOp(result, f32)
                block.insert_op_after(widened, op)
                result.replace_uses_with_if(widened.result, lambda use, own=widened: use.operation is not own)
                continue
            exact = Rewriter.replace_value_with_new_type(result, kind)
            narrowed = nn.CastOp(exact, bf16)
            widened = nn.CastOp(narrowed.result, f32)
            block.insert_op_after(narrowed, op)
            block.insert_op_after(widened, narrowed)
            exact.replace_uses_with_if(widened.result, lambda use, own=narrowed: use.operation is not own)
    return module


def _is_bf16(value: SSAValue) -> bool:
    return isinstance(value.type, TensorType) and value.type.element_type == bf16


def reference_graph(quantized: ModuleOp) -> FloatGraph:
    """The onnxruntime session of `rounding_module`."""
    return FloatGraph(rounding_module(quantized), is_optimized=False)
