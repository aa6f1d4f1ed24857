"""Layer by layer against onnxruntime: each quantized operation on the very inputs that onnxruntime gave its own.

onnxruntime scales sums in float32, `quant` scales them by an integer and a shift. Both round alike but where a product
of float32 falls on a half that the exact one misses. Some such sums no integer ratio rounds as float32 does
(`intaglio.numerics.float_ratios`), and a deep network with scales per channel makes of one of them another result.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from xdsl.ir import Operation

import intaglio as ig
from intaglio.dialects.weights import array_of
from intaglio.interpreter.registry import evaluate
from tests.test_quantized_models import (
    EXAMPLE,
    FORMS,
    Sample,
    images,
    integer_session,
    needs_zoo,
    output_step,
    quantized_by_onnxruntime,
    zoo,
)

__all__ = ["zoo"]

Array = np.ndarray[Any, np.dtype[Any]]

COUNTERPARTS = {"QLinearConv": "nn.conv2d", "QLinearAdd": "nn.add", "QGemm": "nn.dense"}
"""onnxruntime's fused operators that compute in integers, and what computes the same here."""


class Reference:
    """onnxruntime's own integer network, with all values in between.

    Args:
        path: a quantized model.
        folder: for the network that onnxruntime makes of it.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.qdqisint8allowed", "1")
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(folder / "optimized.onnx")
        options.log_severity_level = 3
        onnxruntime.InferenceSession(path, options)
        model = onnx.load(folder / "optimized.onnx")
        self.nodes = [node for node in model.graph.node if node.op_type in COUNTERPARTS]
        names = dict.fromkeys(name for node in self.nodes for name in (*node.input, *node.output))
        constants = {tensor.name for tensor in model.graph.initializer}
        self._names = [name for name in names if name and name not in constants]
        del model.graph.output[:]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in self._names)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), options)

    def values(self, sample: Sample) -> dict[str, Array]:
        """Stored values by name, signed and channels last as they are here."""
        return {
            name: self._converted(value)
            for name, value in zip(self._names, self._session.run(None, dict(sample)), strict=True)
        }

    @staticmethod
    def _converted(value: Array) -> Array:
        signed = (value.astype(np.int16) - 128).astype(np.int8) if value.dtype == np.uint8 else value
        return np.moveaxis(signed, 1, -1) if signed.ndim == 4 else signed


def differences(path: Path, folder: Path, samples: Iterable[Sample]) -> Iterator[tuple[str, Array]]:
    """Yield node and difference in steps of every operation, on the inputs of onnxruntime's."""
    reference = Reference(path, folder)
    module = ig.load(path).quantize().module
    counterparts: dict[str, Iterator[Operation]] = {
        kind: iter([op for op in module.walk() if op.name == kind]) for kind in COUNTERPARTS.values()
    }
    pairs = [(node, next(counterparts[COUNTERPARTS[node.op_type]])) for node in reference.nodes]
    assert all(next(left, None) is None for left in counterparts.values())
    for sample in samples:
        values = reference.values(sample)
        for node, op in pairs:
            operands = [values[name] for name in node.input if name in values]
            operands += [array_of(operand.owner.value) for operand in op.operands[len(operands) :]]
            (result,) = evaluate(op, operands)
            yield node.op_type, result.astype(np.int16) - values[node.output[0]]


@pytest.mark.parametrize("form", FORMS)
def test_every_layer_of_fashion_resnet8(form: str, tmp_path: Path):
    path = quantized_by_onnxruntime(EXAMPLE / "model.onnx", tmp_path, images("calibration.npz", 64), form)
    found = list(differences(path, tmp_path, images("evaluation.npz", 20)))
    assert {operator for operator, _ in found} == set(COUNTERPARTS)
    elements, different = (sum(map(count, (d for _, d in found))) for count in (np.size, np.count_nonzero))
    assert all(np.abs(difference).max() <= 1 for _, difference in found)
    assert elements > 600_000
    assert different <= elements * 5e-6, (form, elements, different)


@needs_zoo
@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_every_layer_of_mobilenet_v2(zoo: ModuleType, form: str, tmp_path: Path):
    """Never more than a step; with scales per channel one element of ten million differs at all."""
    entry = zoo.load("mobilenet_v2")
    calibration = itertools.islice(entry.samples("calib"), 32)
    path = quantized_by_onnxruntime(Path(entry.model), tmp_path, calibration, form)
    elements = different = 0
    for operator, difference in differences(path, tmp_path, itertools.islice(entry.samples("eval"), 6)):
        assert np.abs(difference).max() <= 1, operator
        elements += difference.size
        different += np.count_nonzero(difference)
    assert elements > 40_000_000
    assert different <= (elements * 5e-7 if "per_channel" in form else 0)


@needs_zoo
@pytest.mark.slow
@pytest.mark.parametrize("form", [form for form in FORMS if "per_channel" in form])
def test_mobilenet_v2_with_scales_per_channel(zoo: ModuleType, form: str, tmp_path: Path):
    """The simulator is closer to onnxruntime than that is, in QDQ form, to itself without its graph optimisations."""
    entry = zoo.load("mobilenet_v2")
    calibration = itertools.islice(entry.samples("calib"), 32)
    path = quantized_by_onnxruntime(Path(entry.model), tmp_path, calibration, form)
    ig.load(path).quantize().compile(tmp_path / "model.igpkg")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session, reference = ig.Session(tmp_path / "model.igpkg"), integer_session(path)
    plain, step = onnxruntime.InferenceSession(path, options), output_step(path)
    own: list[Array] = []
    simulated: list[Array] = []
    for sample in itertools.islice(entry.samples("eval"), 30):
        expected = reference.run(None, dict(sample))[0]
        own.append(np.abs(plain.run(None, dict(sample))[0] - expected) / step)
        simulated.append(np.abs(next(iter(session.run(sample).values())) - expected) / step)
    exact = np.mean([difference.max() < 0.01 for difference in simulated])
    within, own_within = (np.mean(np.array(found) < 1.01) for found in (simulated, own))
    assert exact >= 0.5
    assert within >= (own_within + 0.2 if form.startswith("qdq") else 0.7)
