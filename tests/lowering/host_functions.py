"""Functions on the host: compiled by TVM, and computed by the interpreter and by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp

from intaglio.interpreter.interpreter import Interpreter
from intaglio.ir.parsing import parse_module
from intaglio.lowering.host_to_relax import host_to_relax
from intaglio.lowering.tvm import compile_library
from intaglio.runtime.host_library import HostLibrary

Array = np.ndarray[Any, np.dtype[Any]]


Launcher = Callable[[int, list[Array]], list[Array]]

QA, QB, QY = (
    "!quant.uniform<i8:f32, 0.043:-5>",
    "!quant.uniform<i8:f32, 0.0171:12>",
    "!quant.uniform<i8:f32, 0.061:3>",
)


def no_regions(region: int, inputs: list[Array]) -> list[Array]:
    raise AssertionError("there is no accelerator region")


def main_of(module: ModuleOp) -> func.FuncOp:
    return next(op for op in module.ops if isinstance(op, func.FuncOp) and op.sym_name.data == "main")


def library_of(text: str, launcher: Launcher = no_regions) -> tuple[ModuleOp, HostLibrary]:
    module = parse_module(text)
    return module, HostLibrary(compile_library(host_to_relax(main_of(module), {"region_0": 0})), launcher)


def function(body: str, arguments: str, result: str, definitions: str = "") -> str:
    return f"{definitions}\nfunc.func @main({arguments}) -> {result} {{\n{body}\n  func.return %y : {result}\n}}\n"


def compare(text: str, arguments: list[Array], rtol: float = 0.0, atol: float = 0.0) -> Array:
    module, library = library_of(text)
    (expected,) = Interpreter(module).run("main", arguments)
    (actual,) = library.run(arguments)
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)
    return actual


def onnx_result(op_type: str, inputs: dict[str, Array], output_shape: tuple[int, ...], **attributes: Any) -> Array:
    """The result of one ONNX operator in onnxruntime; tensors are NCHW there."""
    graph = helper.make_graph(
        [helper.make_node(op_type, list(inputs), ["y"], **attributes)],
        "one",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output_shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def nchw(array: Array) -> Array:
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2))


def nhwc(array: Array) -> Array:
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1))


def normal(shape: tuple[int, ...], seed: int = 0, scale: float = 2.0) -> Array:
    return np.asarray(np.random.default_rng(seed).normal(size=shape) * scale, np.float32)


def bytes_of(shape: tuple[int, ...], seed: int = 0, dtype: type[Any] = np.int8) -> Array:
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max + 1, shape).astype(dtype)
