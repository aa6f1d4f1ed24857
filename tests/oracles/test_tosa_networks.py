"""Whole networks of 8 and 16 bits, exported to TOSA: the reference model gives the interpreter's integers.

Every tensor is compared, not the last one alone: two scores of a classifier hide most mistakes before them.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from intaglio.dialects import nn
from intaglio.frontend.exporter import main_function
from intaglio.interpreter import Interpreter
from intaglio.lowering.nn_to_tosa import TosaExport, export_tosa
from intaglio.runtime.packaging import interface
from tests.oracles.networks import EXAMPLES, load_zoo, quantized, samples_of
from tests.oracles.quantized_cases import Array
from tests.oracles.tosa_model import run, serialized

NETWORKS = {
    "fashion_resnet8": 20,
    "ppocr_cls": 4,
    "mnist_cnn": 10,
    "mnist_mobilenet": 10,
    "mnist_mobilenet_hard": 10,
    "mobilenet_v2": 2,
    "crepe_tiny": 3,
    "blazeface_front": 2,
    "ppocrv4_det": 1,
}
"""The number of samples that are compared; calibration takes eight."""

INSIDE = {"nn.reshape", "nn.transpose", "quant.qcast", "quant.dcast", "nn.softmax", "nn.sigmoid"}
"""What may stay outside of a network that is exported as a whole."""


class Recorder:
    """Keeps the values that are arguments and results of the exported function."""

    def __init__(self, exported: TosaExport) -> None:
        self.values: dict[SSAValue, Array] = {}
        self._wanted = {port.value for port in (*exported.inputs, *exported.outputs)}

    def __call__(self, op: Operation, results: list[Array]) -> None:
        self.values.update((r, v) for r, v in zip(op.results, results, strict=True) if r in self._wanted)


def compare(module: ModuleOp, samples: list[dict[str, Array]], *, validate: bool = False) -> None:
    """Run samples on both sides and compare what each quantized operation computes."""
    body = main_function(module).body.block
    layers = [op.results[0] for op in body.ops if op.results and not isinstance(op, nn.ConstantOp)]
    exported = export_tosa(module, watched=layers)
    assert len(exported.outputs) == len(layers) - len(exported.outside)
    assert {op.name for op in exported.outside} <= INSIDE
    flatbuffer = serialized(exported.text, validate=validate)
    recorder = Recorder(exported)
    interpreter = Interpreter(module, listeners=[recorder])
    names = [tensor.name for tensor in interface(main_function(module))[0]]
    for sample in samples:
        interpreter.run("main", [sample[name] for name in names])
        outputs, status = run(flatbuffer, [recorder.values[port.value] for port in exported.inputs])
        assert status == "TOSA_VALID"
        for port, output in zip(exported.outputs, outputs, strict=True):
            np.testing.assert_array_equal(output, recorder.values[port.value], err_msg=port.name)
        assert np.mean([len(np.unique(output)) > 16 for output in outputs if output.size > 100]) > 0.9


@pytest.fixture(scope="module")
def zoo() -> ModuleType:
    return load_zoo()


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_the_zoo(zoo: ModuleType, name: str):
    entry = zoo.load(name)
    module = quantized(Path(entry.model), list(islice(entry.samples("calib"), 8)))
    compare(module, list(islice(entry.samples("eval"), NETWORKS[name])))


@pytest.mark.parametrize("precision", ["a8w8", "a16w8"])
@pytest.mark.parametrize("name", ["fashion_resnet8", "ppocr_cls"])
def test_an_example(name: str, precision: str):
    folder = EXAMPLES / name
    module = quantized(folder / "model.onnx", samples_of(folder / "calibration.npz", 8), precision)
    compare(module, samples_of(folder / "evaluation.npz", 2), validate=True)
