"""Running phases: from a file to a file, or on a module in memory, from any phase to any.

Compilation may stop after any phase before `package` and resume from the text, with the same package in the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, StringAttr

from intaglio.batch_division import divide_batches
from intaglio.calibration_methods import CalibrationMethod
from intaglio.data import Samples as FileSamples
from intaglio.data import load_samples
from intaglio.dialects.quant import ObserveOp
from intaglio.errors import UserError
from intaglio.files import check_output
from intaglio.frontend.exporter import main_function
from intaglio.frontend.importer import import_model
from intaglio.frontend.interface import check_compilable
from intaglio.ir.context import make_context
from intaglio.ir.parsing import read_module
from intaglio.ir.printing import WEIGHTS_FILE, weights_in, write_module
from intaglio.ir.verification import verify_module
from intaglio.lowering.host_to_relax import check_host_function
from intaglio.params import BiasCorrectionType, QuantizationType
from intaglio.passes.calibration.apply_ranges import apply_ranges
from intaglio.passes.calibration.calibrate import Calibrate, record_ranges
from intaglio.passes.calibration.statistics import Grid
from intaglio.passes.calibration.tensor_names import read_tensor_names
from intaglio.passes.manager import InvalidIRError
from intaglio.passes.partition.boundaries import launches_of, refuse_regions
from intaglio.passes.partition.placement import HOST, TARGET, fail_on_host, host_computation
from intaglio.passes.quantization.assign_precision import AssignPrecision, assign
from intaglio.passes.quantization.correct_bias import CorrectBias, correct_biases
from intaglio.passes.quantization.quantized_models import is_quantized
from intaglio.passes.quantization.round_weights import RoundWeights, round_weights
from intaglio.phases import (
    PHASE,
    PHASE_NAMES,
    PHASES,
    CompileOptions,
    Phase,
    Samples,
    corrects_bias,
    needs_ranges,
    phase_index,
    scales_channels,
)
from intaglio.remarks import remark
from intaglio.runtime.package import Package, write_package
from intaglio.runtime.packaging import BATCH, batch_of, interface, package_of
from intaglio.targets.target import load_target

_SHARED_WEIGHTS = "weights.safetensors"
"""The weights file of dumped phases."""

MOST_FIRST_SAMPLES = 256
"""How many samples decide about units of channels at most, before ranges are calibrated on all."""

Progress = Callable[[str, int, int | None], None]
"""Called with a phase, the units of work done in it, and how many there are, if that is known."""


def compile_model(
    source: str | Path,
    output: str | Path,
    options: CompileOptions | None = None,
    *,
    compile_to: str = "package",
    compile_from: str | None = None,
    dump_phases_to: str | Path | None = None,
    progress: Progress | None = None,
) -> ModuleOp | Package:
    """Compile a file to a file.

    Args:
        source: an ONNX model, or with `compile_from` the text of a module.
        output: the package, or with `compile_to` the text of the module at the end of that phase. Written in one
            step, when everything has succeeded.
        options: see `CompileOptions`.
        compile_to: the last phase to run.
        compile_from: the phase that `source` is the result of.
        dump_phases_to: folder to write the module at the end of every phase to, as `01_import.mlir` and so on,
            with one weights file.
        progress: called as the work goes on.

    Returns:
        The package, or with `compile_to` the module.

    Raises:
        UserError: something is wrong with the input or the options.
    """
    options = options or CompileOptions()
    last = phase_index(compile_to, where="--compile-to")
    first = 0 if compile_from is None else phase_index(compile_from, where="--compile-from") + 1
    if first > last:
        raise UserError(
            f"there is nothing to do from {compile_from} to {compile_to}",
            where="--compile-from",
            hint=f"the phases are, in order: {', '.join(PHASE_NAMES)}",
        )
    if compile_from is not None and (options.shapes or options.batch is not None):
        raise UserError(
            f"the shapes of a module at the end of {compile_from} are fixed",
            where="--batch" if options.batch is not None else "--shape",
            hint="give shapes when the ONNX model is compiled",
        )
    check_output(output)
    if compile_from is None:
        if Path(source).suffix == ".mlir":
            raise UserError(
                "this is the text of a module, not an ONNX model",
                where=str(source),
                hint="name the phase it comes from with --compile-from",
            )
        check_target(options)
        if options.ranges is not None:
            options = replace(options, tensor_names=read_tensor_names(source))
        module = import_phase(source, options, progress)
        check_calibration(module, options, 1, last)
        _dump(module, 0, dump_phases_to)
        first = 1
    else:
        module = resume(source, compile_from)
        check_target(options)
        check_calibration(module, options, first, last)
        _check_partitioned(module, options, first, str(source))
    for index in range(first, min(last + 1, len(PHASES) - 1)):
        run_phase(module, PHASES[index], options, progress)
        _dump(module, index, dump_phases_to)
    if compile_to != "package":
        write_text(module, output)
        return module
    return package_phase(module, output, progress)


def check_target(options: CompileOptions) -> None:
    """Find out before work begins that there is no such target.

    Raises:
        UserError: there is none.
    """
    if options.target is not None and options.target != HOST:
        load_target(options.target)


def check_calibration(module: ModuleOp, options: CompileOptions, first: int, last: int) -> None:
    """Find out before work begins that calibration data is missing; a quantized model needs none.

    Args:
        module: the module before the first phase.
        options: what the user asked for.
        first: index of the first phase to run.
        last: index of the last phase to run.

    Raises:
        UserError: it is needed and missing.
    """
    options = _with_known_type(module, options)
    calibrates = first <= PHASE_NAMES.index("calibrate") <= last
    if (
        calibrates
        and needs_ranges(options.params)
        and options.calibration is None
        and options.ranges is None
        and not _skips_quantization(module, options)
    ):
        raise UserError(
            "calibration data is needed to quantize the model",
            hint="--calibration DATA.npz, with one array for each model input, or --ranges FILE; "
            "--target host compiles floats",
        )


def _with_known_type(module: ModuleOp, options: CompileOptions) -> CompileOptions:
    """Options whose quantization type is not `any`: static where ranges are known or can be, else dynamic."""
    if options.params.quantization_type is not QuantizationType.ANY:
        return options
    can_be_static = (
        options.calibration is not None
        or options.ranges is not None
        or any(isinstance(op, ObserveOp) and op.range is not None for op in module.walk())
    )
    kind = QuantizationType.STATIC if can_be_static else QuantizationType.DYNAMIC
    return replace(options, params=options.params.with_quantization_type(kind))


def _skips_quantization(module: ModuleOp, options: CompileOptions) -> bool:
    """Whether the phases that quantize leave a module alone.

    It comes quantized, or is to run in floats: on the host, with nothing given to calibrate it by.
    """
    has_ranges = options.calibration is not None or options.ranges is not None or not needs_ranges(options.params)
    return (options.target == HOST and not has_ranges) or is_quantized(module)


def import_phase(source: str | Path, options: CompileOptions, progress: Progress | None = None) -> ModuleOp:
    """Run the phase `import`.

    Raises:
        UserError: the file is no ONNX model that can be compiled, or calibration data does not fit its inputs.
    """
    _report(progress, "import", 0, None)
    module = import_model(source, shapes=options.shapes or None, batch=options.batch)
    if isinstance(options.calibration, str | Path):
        # Wrong names and shapes are found here and not after the graph has been optimised.
        _file_samples(module, options.calibration)
    if options.batch is not None:
        module.attributes[BATCH] = IntegerAttr(options.batch, 64)
    module.attributes[PHASE] = StringAttr("import")
    return module


def resume(path: str | Path, phase: str) -> ModuleOp:
    """Read the module that a phase has left.

    Raises:
        UserError: the file cannot be read or is not what that phase leaves.
    """
    module = read_module(path)
    attribute = module.attributes.get(PHASE)
    found = attribute.data if isinstance(attribute, StringAttr) else None
    if found != phase:
        what = f"of the phase {found}" if found else "of no phase"
        raise UserError(
            f"this is the text {what}, not of {phase}",
            where=str(path),
            hint=f"--compile-from={found}" if found in PHASE_NAMES else f"the module needs {PHASE} = {phase!r}",
        )
    module.attributes.pop(WEIGHTS_FILE, None)
    return module


def _check_partitioned(module: ModuleOp, options: CompileOptions, first: int, where: str) -> None:
    """Hold options that belong to the phase `partition` against a module that has it behind it."""
    if first <= PHASE_NAMES.index("partition"):
        return
    attribute = module.attributes.get(TARGET)
    found = attribute.data if isinstance(attribute, StringAttr) else HOST
    if options.target not in (None, found):
        raise UserError(
            f"the module is partitioned for {found}, not for {options.target}",
            where=where,
            hint="resume from quantize or earlier to compile for another target",
        )
    if options.index_to_backend:
        raise UserError(
            "the module is partitioned",
            where="--backend",
            hint="resume from quantize or earlier to choose devices",
        )
    _check_placement(module, options)


def _check_placement(module: ModuleOp, options: CompileOptions) -> None:
    """Hold a partitioned module against what the user allows."""
    if options.fail_on_host:
        fail_on_host(module)
    if options.max_regions is not None:
        refuse_regions(module, options.max_regions)


def run_phase(module: ModuleOp, phase: Phase, options: CompileOptions, progress: Progress | None = None) -> None:
    """Run one of the phases between `import` and `package` on a module, in place.

    The phases that quantize leave a model alone that comes quantized, and one for the host without calibration
    data; what is float in it stays float. The phase `partition` refuses what neither device can run.

    Raises:
        UserError: something is wrong with the module or the options, or calibration data is missing.
        InvalidIRError: the phase left a module that does not verify.
    """
    _report(progress, phase.name, 0, None)
    options = _with_known_type(module, options)
    if phase.name == "graph":
        check_compilable(module)
    if phase.name == "calibrate":
        check_calibration(module, options, phase_index(phase.name, where="phase"), len(PHASES))
        _remark_on_ranges(options)
    run_steps(module, phase, options, progress)
    try:
        verify_module(module)
    except UserError as error:
        raise InvalidIRError(f"the last of phase {phase.name}", error) from error
    if phase.name == "partition":
        check_host_function(main_function(module))
        _check_placement(module, options)
        _remark_on_unused_target(module)
        divide_batches(module, batch_of(module))
    module.attributes[PHASE] = StringAttr(phase.name)


def run_steps(module: ModuleOp, phase: Phase, options: CompileOptions, progress: Progress | None = None) -> None:
    """Run the passes of a phase, without the checks before and the verification behind them.

    Raises:
        UserError: something is wrong with the module or the options, or calibration data is missing.
    """
    options = _with_known_type(module, options)
    quantizes = phase.name in ("calibrate", "quantize")
    context = make_context()
    for step in () if quantizes and _skips_quantization(module, options) else phase.steps:
        if not step.when(options):
            continue
        current = step.make(options)
        if isinstance(current, Calibrate):
            _calibrate(module, options, current, progress)
        elif isinstance(current, AssignPrecision):
            assign(module, current.asked_nodes(options.node_files))
        elif isinstance(current, RoundWeights):
            round_weights(module, current.quantize, _needed_samples(module, options, "rounding of weights by results"))
        elif isinstance(current, CorrectBias) and current.iterative:
            samples = _needed_samples(module, options, "iterative correction of biases")
            correct_biases(module, current.quantize, samples)
        else:
            current.apply(context, module)


def _remark_on_unused_target(module: ModuleOp) -> None:
    """Say that the host computes everything although an accelerator was named, and what is most often the reason."""
    attribute = module.attributes.get(TARGET)
    if not isinstance(attribute, StringAttr) or attribute.data == HOST or any(launches_of(module)):
        return
    reasons = Counter(place.reason for place in host_computation(module) if place.reason)
    for reason, count in reasons.most_common(1):
        total = sum(1 for _ in host_computation(module))
        remark(
            f"nothing runs on {attribute.data}; of {count} of {total} operations the reason is: {reason}", "partition"
        )


def _remark_on_ranges(options: CompileOptions) -> None:
    """Say what ranges from a file rule out."""
    if options.ranges is None:
        return
    params = options.params
    if params.channel_equalization or params.smooth_quant or params.split_tensors:
        remark("ranges from a file are those of the network as it is: channels keep their units", str(options.ranges))
    if params.bias_correction is not BiasCorrectionType.NONE and not corrects_bias(options):
        remark("ranges say nothing of means: biases are not corrected", str(options.ranges))


def _samples(module: ModuleOp, options: CompileOptions) -> Samples | FileSamples | None:
    data = options.calibration
    return _file_samples(module, data) if isinstance(data, str | Path) else data


def _file_samples(module: ModuleOp, path: str | Path) -> FileSamples:
    """The samples in a file for the inputs of a module."""
    inputs, _ = interface(main_function(module))
    return load_samples(
        path,
        {tensor.name: tensor.shape for tensor in inputs},
        {tensor.name: np.dtype(tensor.dtype) for tensor in inputs},
    )


def _needed_samples(module: ModuleOp, options: CompileOptions, what: str) -> Samples | FileSamples:
    samples = _samples(module, options)
    if samples is None:
        raise UserError(f"the {what} needs calibration data", hint="--calibration DATA.npz")
    return samples


def _calibrate(module: ModuleOp, options: CompileOptions, step: Calibrate, progress: Progress | None) -> None:
    data = _samples(module, options)
    total = len(data) if isinstance(data, FileSamples) else None
    is_last = step.method is not None or not scales_channels(options)
    if data is not None:
        statistics = record_ranges(
            module,
            data if is_last else islice(data, MOST_FIRST_SAMPLES),
            method=CalibrationMethod.from_str(step.method) if step.method else None,
            grid=Grid(step.bits, step.symmetric),
            channels=step.channels,
            progress=lambda done: _report(progress, "calibrate", done, total),
        )
        if is_last and options.keep_statistics is not None:
            options.keep_statistics(statistics)
    if options.ranges is not None:
        apply_ranges(module, options.ranges, options.tensor_names, partial=data is not None)


def package_phase(module: ModuleOp, output: str | Path, progress: Progress | None = None) -> Package:
    """Run the phase `package` and write the file.

    Raises:
        UserError: an operation cannot run on the host, values are missing, or the file cannot be written.
    """
    _report(progress, "package", 0, None)
    package = package_of(module)
    write_package(package, output)
    return package


def _report(progress: Progress | None, phase: str, done: int, total: int | None) -> None:
    if progress is not None:
        progress(phase, done, total)


def write_text(module: ModuleOp, path: str | Path) -> None:
    """Write a module as text, and its weights into a file of the same name beside it; `resume` reads it.

    Raises:
        UserError: a file cannot be written.
    """
    _write(module, Path(path), f"{Path(path).stem}.safetensors")


def _dump(module: ModuleOp, index: int, folder: str | Path | None) -> None:
    if folder is None:
        return
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot create the folder: {error.strerror or error}", where=str(folder)) from error
    _write(module, Path(folder) / f"{index + 1:02}_{PHASE_NAMES[index]}.mlir", _SHARED_WEIGHTS)


def _write(module: ModuleOp, path: Path, weights_file: str) -> None:
    """Write a module and its weights, which are in a file of the given name beside it."""
    if weights_in(module):
        module.attributes[WEIGHTS_FILE] = StringAttr(weights_file)
    write_module(module, path)
    module.attributes.pop(WEIGHTS_FILE, None)
