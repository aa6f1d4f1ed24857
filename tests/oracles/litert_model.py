"""LiteRT's reference kernels, fed with flatbuffers built by hand: many operators in one model.

Only `BUILTIN_REF` is the arithmetic that the `tflite` mode means. The default kernels round once, and the optimized
ones again otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

Array = np.ndarray[Any, np.dtype[Any]]

ACTIVATIONS = {None: 0, (0.0, np.inf): 1, (-1.0, 1.0): 2, (0.0, 6.0): 3}
"""Codes of fused activations by their bounds: none, RELU, RELU_N1_TO_1, RELU6."""

VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "ADD": 2, "MUL": 2, "SUB": 2, "SOFTMAX": 2}


def schema() -> Any:
    """The generated classes of the file format; skips the test when `ai-edge-litert` is not installed."""
    return pytest.importorskip("ai_edge_litert.schema_py_generated", reason="ai-edge-litert is not installed")


@dataclass
class Model:
    """A model of independent operators.

    Attributes:
        inputs: the values of the arguments.
    """

    inputs: list[Array] = field(default_factory=list)
    _tensors: list[Any] = field(default_factory=list)
    _buffers: list[Any] = field(default_factory=list)
    _operators: list[Any] = field(default_factory=list)
    _codes: list[str] = field(default_factory=list)
    _arguments: list[int] = field(default_factory=list)
    _results: list[int] = field(default_factory=list)

    def tensor(
        self,
        shape: Sequence[int],
        dtype: str,
        scales: Sequence[float] | float,
        zero_point: int = 0,
        *,
        values: Array | None = None,
        axis: int = 0,
    ) -> int:
        """Add a tensor, constant if it has values, and return its number."""
        s = schema()
        scale_list = np.atleast_1d(np.asarray(scales, np.float32))
        quantization = s.QuantizationParametersT()
        quantization.scale = scale_list
        quantization.zeroPoint = np.full(len(scale_list), zero_point, np.int64)
        quantization.quantizedDimension = axis
        if not self._buffers:
            self._buffers.append(s.BufferT())
        tensor = s.TensorT()
        tensor.shape = np.asarray(shape, np.int32)
        tensor.type = {"int8": s.TensorType.INT8, "int32": s.TensorType.INT32}[dtype]
        tensor.name = f"t{len(self._tensors)}".encode()
        tensor.quantization = quantization
        tensor.buffer = 0
        if values is not None:
            buffer = s.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
            tensor.buffer = len(self._buffers)
            self._buffers.append(buffer)
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def argument(self, values: Array, scale: float, zero_point: int) -> int:
        """Add a tensor that is given at run time."""
        number = self.tensor(values.shape, "int8", scale, zero_point)
        self.inputs.append(values)
        self._arguments.append(number)
        return number

    def operator(self, name: str, operands: Sequence[int], result: int, options: str, **fields: int) -> None:
        """Add an operator whose result is an output of the model."""
        s = schema()
        if name not in self._codes:
            self._codes.append(name)
        made = getattr(s, f"{options}T")()
        for key, value in fields.items():
            assert hasattr(made, key), f"{options} has no field {key}"
            setattr(made, key, value)
        op = s.OperatorT()
        op.opcodeIndex = self._codes.index(name)
        op.inputs = np.asarray(operands, np.int32)
        op.outputs = np.asarray([result], np.int32)
        op.builtinOptionsType = getattr(s.BuiltinOptions, options)
        op.builtinOptions = made
        self._operators.append(op)
        self._results.append(result)

    def serialized(self) -> bytes:
        """The flatbuffer."""
        flatbuffers = pytest.importorskip("flatbuffers", reason="flatbuffers is not installed")
        s = schema()
        graph = s.SubGraphT()
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs = np.asarray(self._arguments, np.int32)
        graph.outputs = np.asarray(self._results, np.int32)
        model = s.ModelT()
        model.version, model.subgraphs, model.buffers = 3, [graph], self._buffers
        model.operatorCodes = []
        for name in self._codes:
            code = s.OperatorCodeT()
            code.builtinCode = getattr(s.BuiltinOperator, name)
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)
            code.version = VERSIONS.get(name, 2)
            model.operatorCodes.append(code)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def run(self) -> list[Array]:
        """The results of the operators by the reference kernels, in order."""
        litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
        interpreter = litert.Interpreter(
            model_content=self.serialized(), experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF
        )
        interpreter.allocate_tensors()
        details = {int(entry["index"]): entry for entry in interpreter.get_input_details()}
        assert len(details) == len(self.inputs)
        for number, values in zip(self._arguments, self.inputs, strict=True):
            interpreter.set_tensor(number, values)
        interpreter.invoke()
        return [interpreter.get_tensor(number) for number in self._results]
