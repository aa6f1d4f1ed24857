"""The observers of a module, and the names by which ranges files and saved statistics know them.

A tensor is called after the ONNX node that it is the result of, a network's input after itself. After fusion that is
the last node of the fused ones: what a convolution with its ReLU computes is the result of the ReLU.
"""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, BlockArgument, Operation, SSAValue

from intaglio.dialects import nn
from intaglio.dialects.quant import ObserveOp
from intaglio.frontend.exporter import main_function
from intaglio.ir.locations import names_in


def observers_of(module: ModuleOp) -> dict[str, ObserveOp]:
    """The observers in `@main` by name, in order.

    Of several with one name, the second has the suffix `#2`, and so on. Values without a name are called after
    the operation that makes them. The same module gives the same names.
    """
    function = main_function(module)
    found: dict[str, ObserveOp] = {}
    for op in function.body.block.ops:
        if not isinstance(op, ObserveOp):
            continue
        name = unique = _name_of(op, function)
        count = 1
        while unique in found:
            count += 1
            unique = f"{name}#{count}"
        found[unique] = op
    return found


def _name_of(observer: ObserveOp, function: FuncOp) -> str:
    source: SSAValue = observer.input
    while isinstance(source.owner, ObserveOp | nn.TransposeOp | nn.ReshapeOp):
        source = source.owner.operands[0]
    if isinstance(source, BlockArgument):
        return _argument_name(source.index, function)
    names = names_in(observer.location)
    owner = observer.input.owner
    return names[-1] if names else owner.name if isinstance(owner, Operation) else "value"


def _argument_name(index: int, function: FuncOp) -> str:
    attributes = function.arg_attrs
    name: Attribute | None = attributes.data[index].data.get("onnx.name") if attributes is not None else None
    return name.data if isinstance(name, StringAttr) else f"input_{index}"
