"""Finding the integer part of a function, and writing it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr, TensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import BlockArgument, Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.nn.types import element
from intaglio.dialects.quant import UniformType, is_quantized, requantization_mode
from intaglio.errors import UserError
from intaglio.frontend.exporter import main_function
from intaglio.interpreter.values import value_shape
from intaglio.ir.locations import describe, names_in, where
from intaglio.lowering.nn_to_tosa.writer import Value, Writer, rule_of
from intaglio.params import RequantizationMode

STORAGE = ("i8", "i16", "i32")
"""The storage types that arguments and results may have."""


@dataclass(frozen=True)
class Port:
    """An argument or result of the TOSA function.

    Attributes:
        name: its `tosa.tensor_name`.
        value: the value of the `nn` module whose stored integers it holds.
        type: of these.
    """

    name: str
    value: SSAValue
    type: UniformType

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return value_shape(self.value)


@dataclass(frozen=True)
class TosaExport:
    """A TOSA module and its interface.

    Attributes:
        text: the module.
        inputs: the arguments of `@main`.
        outputs: its results.
        outside: the operations at the edges that floats compute, in order.
    """

    text: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    outside: tuple[Operation, ...]


def export_tosa(module: ModuleOp, *, cuts: bool = False, watched: Iterable[SSAValue] = ()) -> TosaExport:
    """Write the integer part of `@main`.

    Args:
        module: a module after the phase `quantize`, not yet partitioned.
        cuts: write it also where floats compute between integers: what they read are results of the function, what
            they make arguments.
        watched: values that become results too, so that two executions can be compared tensor by tensor; those that
            are outside are passed over.

    Raises:
        UserError: nothing is quantized, floats stand in the middle, or an operation has no form in TOSA; named.
    """
    function = main_function(module)
    if (mode := requantization_mode(function)) is not RequantizationMode.SHIFT:
        raise UserError(
            f'TOSA has no requantization in the mode "{mode.value}"', hint='quantize with the mode "shift" to export'
        )
    inner = [op for op in function.body.block.ops if _is_integer(op)]
    if not any(not isinstance(op, nn.ConstantOp) for op in inner):
        raise UserError(
            "the module has no quantized operations",
            hint="export a module after the phase quantize; floats and bfloat16 are not exported",
        )
    if not cuts:
        _refuse_cuts(function, set(inner))
    inputs, outputs, used = _interface(function, inner, watched)
    arguments = {port.value: _argument(index, port) for index, port in enumerate(inputs)}
    writer = Writer(arguments)
    for op in used:
        writer.write(op)
    text = writer.text(
        [(arguments[port.value], port.name) for port in inputs],
        [(writer.value(port.value), port.name) for port in outputs],
    )
    outside = tuple(op for op in function.body.block.ops if op not in set(inner) and not isinstance(op, ReturnOp))
    return TosaExport(_comments("argument", inputs) + _comments("result", outputs) + text, inputs, outputs, outside)


def _argument(index: int, port: Port) -> Value:
    stored = str(port.type.storage_type)
    if stored not in STORAGE:
        raise UserError(
            f"TOSA has no tensors of {stored}, which {port.name!r} is", hint="the pass use-signed-storage may help"
        )
    return Value(f"%a{index}", port.shape, stored)


def _is_integer(op: Operation) -> bool:
    """Whether an operation computes on stored integers alone, indices and conditions aside, and TOSA has it."""
    if isinstance(op, ReturnOp) or rule_of(op) is None:
        return False
    operands = [op.lhs, op.rhs] if isinstance(op, nn.SelectOp) else op.operands
    values = op.operands[:1] if isinstance(op, nn.GatherOp) else operands
    return bool(op.results) and all(
        isinstance(value.type, TensorType) and is_quantized(nn.tensor_of(value)) for value in (*values, *op.results)
    )


def _refuse_cuts(function: FuncOp, inner: set[Operation]) -> None:
    """Raise if a float operation reads what integers computed and integers read what it makes."""
    after: set[SSAValue] = set()
    for op in function.body.block.ops:
        if op in inner:
            after.update(() if isinstance(op, nn.ConstantOp) else op.results)
            continue
        reads = [value for value in op.operands if value in after]
        if not reads:
            continue
        after.update(op.results)
        if any(use.operation in inner for result in op.results for use in result.uses):
            culprit = _float_before(op, inner)
            raise UserError(
                f"{describe(culprit)} stands between quantized operations, and TOSA has no integer form of it",
                where=where(culprit.location),
                hint="quantize it if it is float, or export the pieces with --cuts",
            )


def _float_before(op: Operation, inner: set[Operation]) -> Operation:
    """The operation to blame: that before a cast."""
    while op.name in ("quant.qcast", "quant.dcast") and isinstance(owner := op.operands[0].owner, Operation):
        if owner in inner:
            break
        op = owner
    return op


def _interface(
    function: FuncOp, inner: Sequence[Operation], watched: Iterable[SSAValue]
) -> tuple[tuple[Port, ...], tuple[Port, ...], list[Operation]]:
    """Arguments, results, and the operations that the results need."""
    members = set(inner)
    outputs: dict[SSAValue, None] = {}
    for op in function.body.block.ops:
        if op not in members:
            read = (value for value in op.operands if isinstance(value.owner, Operation) and value.owner in members)
            outputs.update(dict.fromkeys(read))
    outputs.update(dict.fromkeys(value for value in watched if value.owner in members))
    needed: set[SSAValue] = set(outputs)
    used: list[Operation] = []
    for op in reversed(inner):
        if needed.intersection(op.results):
            used.append(op)
            needed.update(_read(op))
    used.reverse()
    made = {result for op in used for result in op.results}
    inputs: dict[SSAValue, None] = {}
    for op in used:
        inputs.update(dict.fromkeys(value for value in _read(op) if value not in made))
    names: dict[str, int] = {}
    entries = [_port(value, _input_name(value, function), names) for value in inputs]
    return tuple(entries), tuple(_port(value, _output_name(value, function), names) for value in outputs), used


def _read(op: Operation) -> Sequence[SSAValue]:
    """The tensors that become operands: the rules write weights, biases, indices and conditions as constants."""
    if isinstance(op, nn.SelectOp):
        return op.operands[1:]
    if isinstance(op, nn.Conv2dOp | nn.ConvTranspose2dOp | nn.DenseOp | nn.GatherOp):
        return op.operands[:1]
    return op.operands


def _port(value: SSAValue, name: str, taken: dict[str, int]) -> Port:
    count = taken[name] = taken.get(name, 0) + 1
    kind = element(value)
    assert isinstance(kind, UniformType)
    return Port(name if count == 1 else f"{name}#{count}", value, kind)


def _input_name(value: SSAValue, function: FuncOp) -> str:
    """The network's input where casts and layout alone stand between, else the operation that makes it."""
    source = value
    while isinstance(owner := source.owner, Operation) and (
        owner.name == "quant.qcast" or isinstance(owner, nn.TransposeOp | nn.ReshapeOp)
    ):
        source = owner.operands[0]
    if isinstance(source, BlockArgument):
        return _onnx_name(function.arg_attrs, source.index) or f"input{source.index}"
    return _made_by(source)


def _output_name(value: SSAValue, function: FuncOp) -> str:
    """The network's output where casts and layout alone stand between, else the operation that makes it."""
    end = function.body.block.last_op
    assert isinstance(end, ReturnOp)
    for index, returned in enumerate(end.arguments):
        source = returned
        while (
            source is not value
            and isinstance(owner := source.owner, Operation)
            and (owner.name == "quant.dcast" or isinstance(owner, nn.TransposeOp | nn.ReshapeOp))
        ):
            source = owner.operands[0]
        if source is value:
            return _onnx_name(function.res_attrs, index) or f"output{index}"
    return _made_by(value)


def _onnx_name(attributes: ArrayAttr[DictionaryAttr] | None, index: int) -> str | None:
    entry = attributes.data[index].data.get("onnx.name") if attributes is not None else None
    return entry.data if isinstance(entry, StringAttr) else None


def _made_by(value: SSAValue) -> str:
    owner = value.owner
    names = names_in(owner.location) if isinstance(owner, Operation) else []
    return names[-1] if names else value.name_hint or "value"


def _comments(role: str, ports: Sequence[Port]) -> str:
    """What the integers of each argument or result stand for."""
    lines: list[str] = []
    for port in ports:
        scales, zero_points = port.type.scales.tolist(), port.type.zero_points.tolist()
        if port.type.parameter_shape:
            text = f"real value = scale of the channel * stored value, scales {scales}"
        else:
            text = f"real value = {scales!r} * (stored value - {zero_points})"
        lines.append(f"// {role} {port.name!r}: {text}\n")
    return "".join(lines)
