"""From a module at the end of phase `isa` to a package: host code compiled, instructions encoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import cast

from xdsl.dialects import func
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    IntegerAttr,
    IntegerType,
    ModuleOp,
    StringAttr,
    TensorType,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.utils.hints import isa

from intaglio.dialects.isa import ProgramOp
from intaglio.errors import UserError
from intaglio.frontend.exporter import main_function
from intaglio.interpreter.values import value_dtype, value_shape
from intaglio.ir.locations import describe
from intaglio.lowering.host_to_relax import host_to_relax
from intaglio.lowering.isa_to_bytes import program_binary
from intaglio.lowering.tvm import compile_library, host_baseline
from intaglio.passes.partition.boundaries import boundaries_of
from intaglio.passes.partition.placement import HOST, TARGET, placement
from intaglio.runtime.package import Package, PlacedOperation, TensorSpec
from intaglio.runtime.session import load_programs
from intaglio.targets.binary import ProgramBinary
from intaglio.targets.target import load_target

BATCH = "intaglio.batch"
"""Module attribute: how many samples inputs that left their first dimension open were given; one if it is missing."""

_COMPILERS = ("intaglio", "xdsl", "apache-tvm", "ziglang", "numpy")
"""Distributions whose versions decide the content of a package."""


def interface(function: func.FuncOp) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Return the inputs and outputs of a function under their ONNX names.

    Values without one are called `input_0`, `output_0` and so on by their place.

    Raises:
        UserError: a name occurs twice, or a tensor has no shape that is known at compile time.
    """
    terminator = function.body.block.last_op
    assert terminator is not None
    inputs = _specs(function.body.block.args, function.arg_attrs, "input")
    outputs = _specs(terminator.operands, function.res_attrs, "output")
    for tensors in (inputs, outputs):
        names = [tensor.name for tensor in tensors]
        for name in names:
            if names.count(name) > 1:
                raise UserError(f"two tensors of @{function.sym_name.data} are called {name!r}")
    return inputs, outputs


def _specs(
    values: Sequence[SSAValue], attributes: ArrayAttr[DictionaryAttr] | None, label: str
) -> tuple[TensorSpec, ...]:
    specs: list[TensorSpec] = []
    for index, value in enumerate(values):
        name: Attribute | None = attributes.data[index].data.get("onnx.name") if attributes is not None else None
        text = name.data if isinstance(name, StringAttr) else f"{label}_{index}"
        kind = value.type
        if not isa(kind, TensorType) or not kind.has_static_shape():
            owner = value.owner
            source = f" of {describe(owner)}" if isinstance(owner, Operation) else ""
            raise UserError(f"{label} {text!r}{source} is no tensor of a shape known at compile time: {kind}")
        specs.append(TensorSpec(text, value_shape(value), value_dtype(value).name))
    return tuple(specs)


def package_of(module: ModuleOp) -> Package:
    """Compile the host's part of a module and encode its programs.

    Args:
        module: a module at the end of phase `isa`.

    Raises:
        UserError: the module is not at that phase, an operation cannot run on the host, values are missing, or a
            program breaks a rule of the accelerator (text that was edited may).
    """
    function = main_function(module)
    programs = [op for op in module.ops if isinstance(op, ProgramOp)]
    for op in module.ops:
        if not isinstance(op, func.FuncOp | ProgramOp) or (isinstance(op, func.FuncOp) and op is not function):
            raise UserError(f"a module to be packaged has @main and programs, got {op.name}")
    target = _text(module, TARGET, HOST)
    description = load_target(target) if programs and target != HOST else None
    regions = tuple(program_binary(program) for program in programs)
    if description is not None:
        # In the module the target may be the path of a description; packages have no paths.
        regions = tuple(replace(region, target=description.name) for region in regions)
    load_programs(description, regions)
    library = compile_library(host_to_relax(function, {region.name: index for index, region in enumerate(regions)}))
    inputs, outputs = interface(function)
    return Package(
        model=_text(module, "intaglio.model", "model"),
        target=description,
        inputs=inputs,
        outputs=outputs,
        host_library=library,
        host_baseline=host_baseline(),
        regions=regions,
        placement=(*_on_host(module), *(place for region in regions for place in _on_accelerator(region))),
        boundaries=boundaries_of(module),
        batch=batch_of(module),
        versions={name: version(name) for name in _COMPILERS},
    )


def batch_of(module: ModuleOp) -> int:
    """How many samples a module computes at once."""
    attribute = module.attributes.get(BATCH)
    return cast("IntegerAttr[IntegerType]", attribute).value.data if isinstance(attribute, IntegerAttr) else 1


def _text(module: ModuleOp, name: str, default: str) -> str:
    attribute = module.attributes.get(name)
    return attribute.data if isinstance(attribute, StringAttr) else default


def _on_host(module: ModuleOp) -> list[PlacedOperation]:
    return [PlacedOperation(place.name, place.kind, HOST, place.reason) for place in placement(module)]


def _on_accelerator(region: ProgramBinary) -> list[PlacedOperation]:
    names = dict.fromkeys(name for name in region.debug if name is not None)
    return [PlacedOperation(name, None, region.name, None) for name in names]
