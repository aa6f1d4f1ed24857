"""Accuracy of the example networks after quantization, by the interpreter on their evaluation data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from intaglio.compiler import import_phase, run_phase
from intaglio.data import load_samples
from intaglio.interpreter import Interpreter
from intaglio.passes.calibration.float_graph import FloatGraph
from intaglio.phases import PHASES, CompileOptions

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.parametrize(
    ("name", "count", "allowed_loss"), [("fashion_resnet8", 600, 0.003), ("ppocr_cls", 200, 0.015)]
)
def test_int8_accuracy_is_close_to_float(name: str, count: int, allowed_loss: float):
    options = CompileOptions(calibration=EXAMPLES / name / "calibration.npz")
    module = import_phase(EXAMPLES / name / "model.onnx", options)
    float_graph = None
    for phase in PHASES[1:4]:
        run_phase(module, phase, options)
        if phase.name == "graph":
            float_graph = FloatGraph(module)
    assert float_graph is not None
    samples = load_samples(EXAMPLES / name / "evaluation.npz", float_graph.shapes)
    assert len(samples) >= count
    interpreter = Interpreter(module)
    exact, rounded = [], []
    for sample in samples:
        exact.append(float_graph.run(sample)[0][0].argmax())
        rounded.append(interpreter.run("main", [sample[input_name] for input_name in float_graph.shapes])[0].argmax())
    float_accuracy, int8_accuracy = (np.mean(np.array(found) == samples.labels) for found in (exact, rounded))
    assert float_accuracy > 0.9
    assert int8_accuracy >= float_accuracy - allowed_loss
