"""Which value of a quantized module stands for which value of the float module that it was made from.

Passes keep the locations of the operations that they replace. A float operation is therefore found again by the names
in its location and its kind, several of one kind in their order; an operation that became several (an integer softmax)
by the last of them with its names and shape. Casts, constants and observers have no part in it, nor have values that
are limited before anything reads them: integers saturate at the limit already.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, OpResult, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.weights import dtype_of
from intaglio.frontend.exporter import main_function
from intaglio.interpreter.values import value_shape
from intaglio.ir.locations import names_in
from intaglio.passes.quantization.limits import limit_of


@dataclass(frozen=True)
class Layer:
    """A tensor in both modules.

    Attributes:
        name: that of the last ONNX node it comes from, as in files of ranges; the second of a name has the suffix
            `#2`. Operations without a name are called after their kind.
        kind: name of the float operation, such as `nn.conv2d`.
        reference: the value in the float module.
        value: the value in the quantized module, of the same shape.
    """

    name: str
    kind: str
    reference: OpResult
    value: OpResult


def matching_layers(float_module: ModuleOp, quantized_module: ModuleOp) -> list[Layer]:
    """The tensors that both modules compute in `@main`, in the order of the float module.

    Args:
        float_module: a module of the phase `graph` or `calibrate`.
        quantized_module: the module of the phase `quantize` that was made from it.
    """
    exact: dict[tuple[tuple[str, ...], str], list[Operation]] = defaultdict(list)
    by_name: dict[tuple[str, ...], list[Operation]] = defaultdict(list)
    for op in _computing(main_function(quantized_module)):
        names = tuple(names_in(op.location))
        exact[names, op.name].append(op)
        by_name[names].append(op)
    layers: list[Layer] = []
    used: dict[str, int] = defaultdict(int)
    taken: dict[tuple[tuple[str, ...], str], int] = defaultdict(int)
    for op in _computing(main_function(float_module)):
        names = tuple(names_in(op.location))
        place = taken[names, op.name]
        taken[names, op.name] += 1
        alike = exact[names, op.name]
        found = alike[place] if place < len(alike) else _last(by_name[names], op) if names else None
        base = names[-1] if names else op.name
        if any(limit_of(result) is not None for result in op.results):
            continue
        used[base] += 1
        name = base if used[base] == 1 else f"{base}#{used[base]}"
        if found is None:
            continue
        for reference, value in zip(op.results, found.results, strict=False):
            if _is_real(reference) and value_shape(reference) == value_shape(value):
                suffix = f":{reference.index}" if reference.index else ""
                layers.append(Layer(f"{name}{suffix}", op.name, reference, value))
    return layers


def _computing(function: FuncOp) -> Iterator[Operation]:
    for op in function.body.block.ops:
        if op.results and not isinstance(op, nn.ConstantOp) and not is_cast(op):
            yield op


def _last(candidates: list[Operation], op: Operation) -> Operation | None:
    """The last operation with the names of `op` that has its shape, but not a part of another float operation."""
    shapes = [value_shape(result) for result in op.results if isinstance(result.type, TensorType)]
    for found in reversed(candidates):
        if [value_shape(result) for result in found.results if isinstance(result.type, TensorType)] == shapes:
            return found
    return None


def is_cast(op: Operation) -> bool:
    """Whether an operation hands its operand on, in another type perhaps: the `quant` dialect, and `nn.cast`."""
    return op.name.startswith("quant.") or isinstance(op, nn.CastOp)


def uncast(value: SSAValue) -> SSAValue:
    """The value that casts and observers have handed on, or the value itself."""
    while isinstance(value, OpResult) and is_cast(value.op):
        value = value.op.operands[0]
    return value


def _is_real(value: SSAValue) -> bool:
    kind = value.type
    return isinstance(kind, TensorType) and dtype_of(nn.tensor_of(value).get_element_type()).kind not in "iub"
