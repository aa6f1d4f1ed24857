"""What commands that quantize have in common: parameters from their options, and the report of a quantized module."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xdsl.dialects.builtin import ModuleOp, StringAttr, TensorType
from xdsl.ir import Operation

from intaglio.assignment import read_assignment
from intaglio.compiler import import_phase, resume, run_phase
from intaglio.dialects import nn
from intaglio.dialects.quant import UniformType, is_quantized
from intaglio.errors import UserError
from intaglio.frontend.exporter import main_function
from intaglio.interpreter.values import tensor_type
from intaglio.ir.locations import name_of
from intaglio.ir.parsing import read_module
from intaglio.params import (
    CalibrationMethod,
    NodeConfig,
    Precision,
    QuantizationParams,
    QuantizationType,
    default_quantization,
)
from intaglio.params_file import read_params
from intaglio.passes.calibration.tensor_names import read_tensor_names
from intaglio.passes.quantization.quantized_models import is_quantized as is_quantized_model
from intaglio.phases import PHASE, PHASES, CompileOptions, needs_ranges, phase_index
from intaglio.tools.command import QuantizationChoices, parse_shapes
from intaglio.tools.progress import PhaseProgress

Report = dict[str, Any]


def options_of(chosen: QuantizationChoices) -> CompileOptions:
    """The options of compilation that the command line chose.

    Raises:
        UserError: a file cannot be read or a value does not exist.
    """
    params = params_of(chosen["params"], chosen["method"], chosen["precision"], chosen["assignment"])
    return CompileOptions(
        shapes=parse_shapes(chosen["shapes"]),
        batch=chosen["batch"],
        calibration=chosen["calibration"],
        ranges=chosen["ranges"],
        params=params,
        node_files=_node_files(params, chosen["params"], chosen["assignment"]),
    )


def params_of(
    path: str | None, method: str | None, precision: str | None = None, assignment: str | None = None
) -> QuantizationParams:
    """The parameters that `--params`, `--method`, `--precision` and `--assignment` ask for; later ones count more.

    Args:
        path: of a file of parameters.
        method: of calibration.
        precision: of all nodes.
        assignment: a file of the precisions of single nodes.

    Raises:
        UserError: a file cannot be read or a value does not exist.
    """
    params = default_quantization if path is None else read_params(path)
    if method is not None:
        params = params.with_calibration(CalibrationMethod.from_str(method))
    if precision is not None:
        params = params.with_precision(precision)
    return params if assignment is None else _assigned(params, assignment)


def _node_files(params: QuantizationParams, path: str | None, assignment: str | None) -> dict[str, str]:
    """The file that each name or pattern in the parameters comes from."""
    assigned = () if assignment is None else read_assignment(assignment).nodes
    files = {name: assignment if name in assigned else path for name in params.node_configs}
    return {name: file for name, file in files.items() if file is not None}


def _assigned(params: QuantizationParams, path: str) -> QuantizationParams:
    assignment = read_assignment(path)
    configs: dict[str, NodeConfig] = dict(params.custom_quantization_configs)
    if assignment.default == Precision.FLOAT:
        # Of all patterns the first one counts least.
        configs = {"*": NodeConfig(precision=Precision.FLOAT), **configs}
    elif assignment.default is not None:
        params = params.with_precision(assignment.default)
    return params.with_custom_quantization_configs({**configs, **assignment.nodes})


def quantized_report(module: ModuleOp) -> Report:
    """How the operations of a quantized module are stored, and which of them stay float.

    Args:
        module: a module of the phase `quantize`.
    """
    stored: Counter[str] = Counter()
    in_float: list[dict[str, str | None]] = []
    for op in main_function(module).body.block.ops:
        if not op.results or isinstance(op, nn.ConstantOp) or op.dialect_name() == "quant":
            continue
        kind = _storage(op)
        stored[kind] += 1
        if kind == "f32":
            in_float.append({"name": name_of(op), "operation": op.name})
    return {"operations": dict(stored.most_common()), "float_operations": in_float}


def _storage(op: Operation) -> str:
    kind = op.results[0].type
    if not isinstance(kind, TensorType):
        return str(kind)
    tensor = tensor_type(op.results[0])
    element = tensor.get_element_type()
    return str(element.storage_type if is_quantized(tensor) and isinstance(element, UniformType) else element)


@dataclass(frozen=True)
class LoadedModel:
    """A model that a command was given, as modules.

    Attributes:
        float_module: the float module: at the end of the phase `calibrate`, when it was calibrated; None when only a
            quantized module was given.
        module: the quantized module, None when nothing was quantized.
    """

    float_module: ModuleOp | None
    module: ModuleOp | None

    @property
    def quantized(self) -> ModuleOp:
        """The quantized module.

        Raises:
            UserError: nothing was quantized, for want of data.
        """
        if self.module is None:
            raise UserError(
                "calibration data is needed to quantize the model", hint="--calibration DATA.npz or --ranges FILE"
            )
        return self.module


def load_model(model: str, options: CompileOptions, progress: PhaseProgress | None = None) -> LoadedModel:
    """Read a model and quantize it, if there is anything to calibrate it with.

    Args:
        model: an ONNX model, or the text of a module at the end of the phase `graph`, `calibrate` or `quantize`.
        options: how to quantize, and what with.
        progress: called as the work goes on.

    Raises:
        UserError: something is wrong with the model, the data or the options.
    """
    if Path(model).suffix == ".mlir":
        module, phase = _read(model)
    else:
        if options.ranges is not None:
            options = replace(options, tensor_names=read_tensor_names(model))
        module, phase = import_phase(model, options, progress), "graph"
        run_phase(module, PHASES[phase_index("graph", where="phase")], options, progress)
    if phase == "quantize":
        _refuse_options(model, options)
        return LoadedModel(None, module)
    if phase == "graph" and is_quantized_model(module):
        return LoadedModel(None, module)
    if phase == "graph":
        if options.calibration is None and options.ranges is None and _is_static(options.params):
            return LoadedModel(module, None)
        run_phase(module, PHASES[phase_index("calibrate", where="phase")], options, progress)
    float_module = module.clone()
    run_phase(module, PHASES[phase_index("quantize", where="phase")], options, progress)
    return LoadedModel(float_module, module)


def _is_static(params: QuantizationParams) -> bool:
    """Whether there is no way to quantize without ranges."""
    return needs_ranges(params) and params.quantization_type is QuantizationType.STATIC


def _refuse_options(path: str, options: CompileOptions) -> None:
    """Raise if anything is asked for that had to be asked for when a module was quantized."""
    if options.calibration is not None or options.ranges is not None or options.params != default_quantization:
        raise UserError(
            "the module is quantized: calibration data, ranges and parameters come too late",
            where=path,
            hint="give the ONNX model, or what `intaglio quantize --float` wrote",
        )


def _read(path: str) -> tuple[ModuleOp, str]:
    """The module in a text, and the phase that has left it."""
    found = read_module(path).attributes.get(PHASE)
    phase = found.data if isinstance(found, StringAttr) else ""
    if phase not in ("graph", "calibrate", "quantize"):
        raise UserError(
            f"this is the text of {f'the phase {phase}' if phase else 'no phase'}",
            where=path,
            hint="give an ONNX model, or text at the end of the phase graph, calibrate or quantize",
        )
    return resume(path, phase), phase
