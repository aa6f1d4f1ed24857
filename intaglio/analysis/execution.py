"""Running modules on samples: floats in onnxruntime, quantized modules bit for bit as the accelerator computes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import onnxruntime
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from intaglio.dialects.quant import UniformType, is_quantized
from intaglio.errors import UserError
from intaglio.executor import Executor
from intaglio.frontend.qdq_exporter import export_qdq
from intaglio.interpreter.values import tensor_type
from intaglio.numerics.quantization import dequantize
from intaglio.passes.calibration.float_graph import FloatGraph

Array = np.ndarray[Any, np.dtype[Any]]

_onnxruntime: Any = onnxruntime
"""The package has no types."""

Runner = Callable[[Sequence[Array]], list[Array]]
"""Runs a function on one array for each argument and returns one for each result."""


def exact_runner(module: ModuleOp) -> Runner:
    """Run `@main` of a module exactly as it is defined, quantized tensors as stored values.

    Args:
        module: any module up to the phase `partition`; it must not change afterwards.
    """
    executor = Executor(module)
    return lambda arguments: list(executor.run(dict(zip(executor.inputs, arguments, strict=True))).values())


def float_runner(module: ModuleOp) -> Runner:
    """Run `@main` of a float module in onnxruntime.

    Args:
        module: a module of the phase `graph` or `calibrate`.

    Raises:
        UserError: an operation has no ONNX form, as those on quantized tensors.
    """
    graph = FloatGraph(module)
    return lambda arguments: graph.run(dict(zip(graph.shapes, arguments, strict=True)))[0]


def fast_runner(module: ModuleOp) -> Runner:
    """Run `@main` of a quantized module in onnxruntime, between QuantizeLinear and DequantizeLinear.

    Rounding is onnxruntime's, so that results may differ by a step of quantization here and there.

    Args:
        module: a module of the phase `quantize`.

    Raises:
        UserError: an operation has no ONNX form, or onnxruntime does not take the model.
    """
    model = export_qdq(module)
    options = _onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = _onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common public base
        raise UserError(f"onnxruntime cannot run the quantized network: {error}"[:400]) from error
    names = [entry.name for entry in model.graph.input]
    return lambda arguments: cast("list[Array]", session.run(None, dict(zip(names, arguments, strict=True))))


def real_values(stored: Array, value: SSAValue) -> Array:
    """The real values of a tensor in float32.

    Args:
        stored: the array that holds it: stored values when it is quantized.
        value: the tensor.
    """
    kind = tensor_type(value)
    element = kind.get_element_type()
    if not is_quantized(kind) or not isinstance(element, UniformType):
        return stored.astype(np.float32)
    return dequantize(stored, *element.broadcast_parameters(stored.shape))
