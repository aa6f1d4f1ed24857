"""The example networks: accuracy in int8, and the simulator against the interpreter element by element."""

from __future__ import annotations

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import onnxruntime
import pytest
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from intaglio.compiler import compile_model, run_phase
from intaglio.interpreter.interpreter import Interpreter
from intaglio.ir.parsing import read_module
from intaglio.lowering.isa_to_bytes import program_binary
from intaglio.phases import PHASES, CompileOptions
from intaglio.runtime.session import Session
from intaglio.targets.simulator import Program

Array = np.ndarray[Any, np.dtype[Any]]

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
ALLOWED_LOSS = {"fashion_resnet8": 0.003, "ppocr_cls": 0.015}
"""Share of images by which int8 may be less accurate than float."""

COMPARED = 100
"""Images on which simulator and interpreter must agree in every element."""


@cache
def compiled(name: str) -> tuple[Session, Path]:
    """The loaded package of an example, and the folder with the text of its phases."""
    folder = Path(mkdtemp(prefix="intaglio-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    options = CompileOptions(calibration=EXAMPLES / name / "calibration.npz")
    compile_model(EXAMPLES / name / "model.onnx", folder / "a.igpkg", options, dump_phases_to=folder / "phases")
    return Session(folder / "a.igpkg"), folder / "phases"


@cache
def evaluation(name: str) -> tuple[str, Array, Array]:
    """Input name, images and labels."""
    with np.load(EXAMPLES / name / "evaluation.npz") as archive:
        (entry,) = (key for key in archive.files if key != "label")
        return entry, archive[entry], archive["label"]


@pytest.mark.parametrize("name", ALLOWED_LOSS)
def test_accuracy_in_int8_through_the_simulator(name: str) -> None:
    session, _ = compiled(name)
    entry, images, labels = evaluation(name)
    assert len(images) >= (500 if name == "fashion_resnet8" else 200)
    original = onnxruntime.InferenceSession(EXAMPLES / name / "model.onnx", providers=["CPUExecutionProvider"])
    float_answers = np.array([original.run(None, {entry: image})[0].argmax() for image in images])
    answers = np.array([session.run({entry: image})[session.outputs[0].name].argmax() for image in images])
    float_accuracy, accuracy = (float((given == labels).mean()) for given in (float_answers, answers))
    assert accuracy >= float_accuracy - ALLOWED_LOSS[name]
    # Right by chance would not agree with the float network.
    assert (answers == float_answers).mean() >= 0.97


@pytest.mark.parametrize("name", ALLOWED_LOSS)
def test_simulator_equals_interpreter_on_every_output_element(name: str) -> None:
    session, phases = compiled(name)
    entry, images, _ = evaluation(name)
    interpreter = Interpreter(read_module(phases / "04_quantize.mlir"))
    for image in images[:COMPARED]:
        outputs = session.run({entry: image})
        for tensor, expected in zip(session.outputs, interpreter.run("main", [image]), strict=True):
            np.testing.assert_array_equal(outputs[tensor.name], expected)


def region_inputs(module: ModuleOp, image: Array) -> dict[str, list[Array]]:
    """What the host hands to each region for an image, in a module at the end of phase `partition`."""
    produced: dict[Operation, list[Array]] = {}
    interpreter = Interpreter(module, listeners=[lambda op, results: produced.update({op: list(results)})])
    interpreter.run("main", [image])
    launches = [op for op in produced if op.name == "npu.launch"]
    inputs: dict[str, list[Array]] = {}
    for launch in launches:
        operands = [operand.owner for operand in launch.operands]
        assert all(isinstance(owner, Operation) for owner in operands)
        symbol = launch.properties["callee"].string_value()
        inputs[symbol] = [produced[operand.owner][operand.index] for operand in launch.operands]
    return inputs


@pytest.mark.parametrize("name", ALLOWED_LOSS)
def test_simulator_equals_interpreter_layer_by_layer(name: str) -> None:
    """Each region is compiled again with the results of all its layers as outputs, at most ten at a time."""
    _, phases = compiled(name)
    _, images, _ = evaluation(name)
    module = read_module(phases / "05_partition.mlir")
    inputs = region_inputs(module, images[0])
    assert inputs
    for symbol, arrays in inputs.items():
        region = next(op for op in module.ops if isinstance(op, func.FuncOp) and op.sym_name.data == symbol)
        layers = [op for op in region.body.block.ops if op.results and op.name != "nn.constant"]
        assert len(layers) > 10
        compared = 0
        for start in range(0, len(layers), 10):
            chosen = range(start, min(start + 10, len(layers)))
            for actual, expected in zip(*both_ways(phases, symbol, chosen, arrays), strict=True):
                np.testing.assert_array_equal(actual, expected)
                compared += 1
        assert compared == len(layers)


def both_ways(phases: Path, symbol: str, chosen: range, arrays: list[Array]) -> tuple[list[Array], list[Array]]:
    """The results of chosen layers of a region, from the simulator and from the interpreter."""
    module = read_module(phases / "05_partition.mlir")
    region = next(op for op in module.ops if isinstance(op, func.FuncOp) and op.sym_name.data == symbol)
    block = region.body.block
    layers = [op for op in block.ops if op.results and op.name != "nn.constant"]
    terminator = block.last_op
    assert terminator is not None
    terminator.operands = [layers[index].results[0] for index in chosen]
    region.update_function_type()
    for op in list(module.ops):
        if op is not region:
            op.detach()
            op.erase()
    expected = Interpreter(module).run(symbol, arrays)
    for phase in PHASES:
        if phase.name in ("npu", "isa"):
            run_phase(module, phase, CompileOptions())
    (program,) = (op for op in module.ops if op.name == "isa.program")
    return Program(program_binary(program)).run(arrays), expected


@pytest.mark.parametrize("name", ALLOWED_LOSS)
def test_all_but_the_edges_runs_on_the_accelerator(name: str) -> None:
    session, _ = compiled(name)
    on_host = {place.operation for place in session.package.placement if place.device == "host"}
    assert on_host <= {"nn.reshape", "nn.transpose", "nn.softmax", "quant.qcast", "quant.dcast"}
    assert session.profile().regions == 1
