"""The parameters of a quantized module as AIMET's encodings, version 1.0.0.

An encoding gives scale and offset of a tensor of the ONNX model: a stored value `q` from 0 to `2^bw - 1` stands for
`scale * (q + offset)`. Activations are called after the tensors that the model's nodes make, weights after their
initializers. Biases are left out, as AIMET leaves them out: their scale follows from the others.

Source of the format: AIMET documentation, "Encoding format specification".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xdsl.dialects.builtin import IntegerType, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import BlockArgument, Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.nn.types import element
from intaglio.dialects.quant import UniformQuantizedPerAxisType, UniformType, is_quantized
from intaglio.dialects.weights import WeightsAttr
from intaglio.errors import UserError
from intaglio.frontend.exporter import main_function
from intaglio.frontend.model_file import read_model
from intaglio.frontend.protobuf import text_of
from intaglio.ir.locations import describe, names_in

Encoding = dict[str, object]


@dataclass(frozen=True)
class Encodings:
    """The encodings of a module.

    Attributes:
        activations: of tensors that nodes compute, and of inputs.
        parameters: of weights.
    """

    activations: tuple[Encoding, ...]
    parameters: tuple[Encoding, ...]

    def to_dict(self) -> dict[str, object]:
        """The content of the JSON file."""
        return {
            "version": VERSION,
            "activation_encodings": list(self.activations),
            "param_encodings": list(self.parameters),
        }


VERSION = "1.0.0"

MOVES = ("quant.qcast", "quant.dcast", "nn.transpose", "nn.reshape")
"""What a tensor goes through between the network's interface and the first or last operation that computes."""


def export_encodings(module: ModuleOp, model: str | Path | None = None) -> Encodings:
    """The encodings of all quantized tensors of `@main`.

    Args:
        module: a module after the phase `quantize`, not yet partitioned.
        model: path of the ONNX model that it comes from. With it tensors have the names that they have there; without
            it, results inside of the network are called after their nodes.

    Raises:
        UserError: nothing is quantized, a type has no encoding, or the model cannot be read.
    """
    function = main_function(module)
    tensors = {} if model is None else _tensor_of_node(model)
    activations: dict[str, Encoding] = {}
    for name, value in _activations(function):
        tensor = tensors.get(name, name)
        activations.setdefault(tensor, encoding(tensor, value))
    if not activations:
        raise UserError("the module has no quantized tensors", hint="export a module after the phase quantize")
    parameters: dict[str, Encoding] = {}
    for name, value in _weights(function):
        parameters.setdefault(name, encoding(name, value))
    return Encodings(tuple(activations.values()), tuple(parameters.values()))


def encoding(name: str, value: SSAValue) -> Encoding:
    """The encoding of one tensor.

    Raises:
        UserError: it is stored in floats, or has parameters for each block.
    """
    kind = element(value)
    if (
        not isinstance(kind, UniformType)
        or not isinstance(kind.storage_type, IntegerType)
        or len(kind.parameter_shape) > 1
    ):
        raise UserError(f"{kind}, the type of {name!r}, has no encoding")
    bits = kind.storage_type.width.data
    lowest = -(1 << (bits - 1)) if kind.is_signed else 0
    middle = lowest + (1 << (bits - 1))
    symmetric = bool((kind.zero_points == middle).all())
    return {
        "name": name,
        "enc_type": "PER_CHANNEL" if isinstance(kind, UniformQuantizedPerAxisType) else "PER_TENSOR",
        "dtype": "INT",
        "bw": bits,
        "is_sym": symmetric,
        "scale": kind.scales.reshape(-1).tolist(),
        "offset": (lowest - kind.zero_points.reshape(-1)).tolist(),
    }


def _tensor_of_node(model: str | Path) -> dict[str, str]:
    graph = read_model(model).proto.graph
    return {node.name: node.output[0] for node in graph.node if node.name and node.output}


def _activations(function: FuncOp) -> Iterator[tuple[str, SSAValue]]:
    """Quantized values but constants and accumulators, each with the name of its tensor or node."""
    outputs = dict(_outputs(function))
    for op in function.body.block.ops:
        for result in op.results:
            if isinstance(op, nn.ConstantOp) or not is_quantized(result.type) or nn.is_accumulator(result):
                continue
            source: SSAValue = result
            while isinstance(owner := source.owner, Operation) and owner.name in MOVES:
                source = owner.operands[0]
            if isinstance(source, BlockArgument):
                yield _interface_name(function, source.index), result
            elif result in outputs:
                yield outputs[result], result
            elif names := names_in(op.location):
                yield names[-1], result


def _outputs(function: FuncOp) -> Iterator[tuple[SSAValue, str]]:
    """Values that become outputs of the network through moves alone, with its names."""
    end = function.body.block.last_op
    assert isinstance(end, ReturnOp)
    attributes = function.res_attrs
    for index, returned in enumerate(end.arguments):
        name, value = text_of(attributes.data[index].data.get("onnx.name")) if attributes is not None else "", returned
        while name:
            yield value, name
            if not (isinstance(owner := value.owner, Operation) and owner.name in MOVES):
                break
            value = owner.operands[0]


def _interface_name(function: FuncOp, index: int) -> str:
    attributes = function.arg_attrs
    name = text_of(attributes.data[index].data.get("onnx.name")) if attributes is not None else ""
    return name or f"input{index}"


def _weights(function: FuncOp) -> Iterator[tuple[str, SSAValue]]:
    """Quantized weights with the names of their initializers, or after their layers where those are not known."""
    for op in function.body.block.ops:
        if not isinstance(op, nn.Conv2dOp | nn.ConvTranspose2dOp | nn.DenseOp) or not is_quantized(op.weight.type):
            continue
        owner = op.weight.owner
        key = owner.value.key if isinstance(owner, nn.ConstantOp) and isinstance(owner.value, WeightsAttr) else ""
        yield key or f"{(names_in(op.location) or [describe(op)])[0]}.weight", op.weight
