"""Modules that return values from inside: all layers of a network, or each layer fed what the float network computes.

Both are ordinary modules, so that whatever runs a quantized network runs them.

```mlir
%1 = nn.conv2d %0 ...                                 %x = quant.qcast %arg1        // what the float network has for %0
%2 = nn.relu %1 ...          -> (local feed)          %1 = nn.conv2d %x ...
return %2                                             %y = quant.qcast %arg2        // ... and for %1
                                                      %2 = nn.relu %y ...
                                                      return %1, %2
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, BlockArgument, OpResult, SSAValue

from intaglio.analysis.correspondence import is_cast, uncast
from intaglio.dialects import nn
from intaglio.dialects.quant import QuantizeCastOp, is_quantized
from intaglio.frontend.exporter import main_function
from intaglio.interpreter.values import tensor_type
from intaglio.ir.verification import verify_module


def expose(module: ModuleOp, values: Sequence[SSAValue]) -> ModuleOp:
    """A copy of a module whose `@main` returns some of its values, and nothing else.

    Args:
        module: any module; it does not change.
        values: values in its `@main`.
    """
    mapping: dict[SSAValue, SSAValue] = {}
    copy = module.clone(mapping)
    _return(main_function(copy), [mapping.get(value, value) for value in values])
    verify_module(copy)
    return copy


def _return(function: FuncOp, values: Sequence[SSAValue]) -> None:
    """Return other values, under names that can be no others'."""
    block = function.body.block
    terminator = block.last_op
    assert isinstance(terminator, ReturnOp)
    block.erase_op(terminator)
    block.add_op(ReturnOp(*values))
    names = [DictionaryAttr({"onnx.name": StringAttr(f"exposed:{index}")}) for index in range(len(values))]
    function.properties["res_attrs"] = ArrayAttr(names)
    function.update_function_type()
    for op in reversed(list(block.ops)):
        if op is not block.last_op and op.results and all(result.first_use is None for result in op.results):
            block.erase_op(op)


@dataclass(frozen=True)
class LocalFeed:
    """A module in which every layer is fed what the float network computes.

    Attributes:
        module: its `@main` takes the values of `inputs` and returns the layers' results.
        inputs: the values of the float module that it takes, in order; arguments of its `@main` among them.
    """

    module: ModuleOp
    inputs: list[SSAValue]


def local_feed(quantized: ModuleOp, floats: Mapping[SSAValue, SSAValue], layers: Sequence[OpResult]) -> LocalFeed:
    """Cut a quantized network before every layer.

    An operand is replaced by what the float network has for it, quantized as the layer takes it. What has no
    counterpart in the float network, such as the inner steps of an integer softmax, is computed as before.

    Args:
        quantized: the module; it does not change.
        floats: the float network's value for values of the quantized one; all arguments of `@main` must be there.
        layers: the results to return.
    """
    mapping: dict[SSAValue, SSAValue] = {}
    copy = quantized.clone(mapping)
    function = main_function(copy)
    block = function.body.block
    sources = {mapping[value]: reference for value, reference in floats.items()}
    originals = list(block.args)
    inputs: dict[SSAValue, BlockArgument] = {}
    casts: dict[tuple[SSAValue, Attribute], SSAValue] = {}

    def feed(reference: SSAValue, kind: Attribute) -> SSAValue:
        """The float network's value as a layer takes it; arguments and casts are made once."""
        if reference not in inputs:
            inputs[reference] = block.insert_arg(reference.type, len(block.args))
        argument = inputs[reference]
        if kind == argument.type:
            return argument
        if (reference, kind) not in casts:
            tensor = tensor_type(kind)
            cast = (
                QuantizeCastOp(argument, tensor)
                if is_quantized(tensor)
                else nn.CastOp(argument, tensor.get_element_type())
            )
            first = block.first_op
            assert first is not None
            block.insert_op_before(cast, first)
            casts[reference, kind] = cast.results[0]
        return casts[reference, kind]

    for op in list(block.ops):
        for index, operand in enumerate(op.operands if not is_cast(op) else ()):
            if (reference := sources.get(uncast(operand))) is not None:
                op.operands[index] = feed(reference, operand.type)
    _return(function, [mapping[value] for value in layers])
    for argument in originals:
        block.erase_arg(argument)
    names = [DictionaryAttr({"onnx.name": StringAttr(f"fed:{index}")}) for index in range(len(block.args))]
    function.properties["arg_attrs"] = ArrayAttr(names)
    function.update_function_type()
    verify_module(copy)
    return LocalFeed(copy, list(inputs))
