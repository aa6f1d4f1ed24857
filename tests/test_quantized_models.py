"""Models that onnxruntime's own quantizer makes: compiled without calibration, run on the simulator, and compared.

`step` is the scale of the model's output, the smallest difference that two results can have.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

import intaglio as ig
from intaglio.errors import UserError

Array = np.ndarray[Any, np.dtype[Any]]
Sample = Mapping[str, Array]

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "fashion_resnet8"
ZOO = ROOT.parent / "shared" / "zoo"
needs_zoo = pytest.mark.skipif(not ZOO.exists(), reason="needs the model zoo beside the repository")

FORMS = {
    "qdq_per_tensor_u8": (QuantFormat.QDQ, False, QuantType.QUInt8),
    "qdq_per_channel_s8": (QuantFormat.QDQ, True, QuantType.QInt8),
    "qoperator_per_tensor_s8": (QuantFormat.QOperator, False, QuantType.QInt8),
    "qoperator_per_channel_u8": (QuantFormat.QOperator, True, QuantType.QUInt8),
}
"""Format, scales, and storage of activations."""


class Reader(CalibrationDataReader):
    """Calibration samples as onnxruntime takes them."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = iter(samples)

    def get_next(self) -> Sample | None:
        return next(self._samples, None)


def quantized_by_onnxruntime(
    model: Path, folder: Path, samples: Iterable[Sample], form: str, weights: QuantType = QuantType.QInt8
) -> Path:
    layout, per_channel, activations = FORMS[form]
    prepared, result = folder / "prepared.onnx", folder / f"{form}.onnx"
    quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        prepared,
        result,
        Reader(samples),
        quant_format=layout,
        per_channel=per_channel,
        activation_type=activations,
        weight_type=weights,
    )
    return result


def integer_session(path: Path) -> onnxruntime.InferenceSession:
    """A session that computes in integers also where activations are signed, which is an option on x86."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    return onnxruntime.InferenceSession(path, options)


def output_step(path: Path) -> float:
    """The scale with which the node of the only output dequantizes."""
    graph = onnx.load(path).graph
    scales = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    (last,) = (node for node in graph.node if graph.output[0].name in node.output)
    assert last.op_type == "DequantizeLinear"
    return float(scales[last.input[1]])


@dataclass
class Agreement:
    """How results compare with onnxruntime's: differences in steps, and which samples have the same first class."""

    differences: Array
    top1: Array
    host: set[str]

    @classmethod
    def of(cls, path: Path, samples: Iterable[Sample], folder: Path, **options: Any) -> Agreement:
        network = ig.load(path, **options)
        assert network.is_quantized
        model = network.quantize()
        model.compile(folder / "model.igpkg", target="gen1")
        session, reference = ig.Session(folder / "model.igpkg"), integer_session(path)
        step = output_step(path)
        differences: list[Array] = []
        top1: list[bool] = []
        for sample in samples:
            (actual,) = (output.reshape(-1) for output in session.run(sample).values())
            expected = reference.run(None, dict(sample))[0].reshape(-1)
            differences.append(np.abs(actual - expected) / step)
            # A class within a step of the first one is as good.
            top1.append(bool(expected[actual.argmax()] >= expected.max() - 1.01 * step))
        assert len(differences) > 0
        return cls(
            np.array(differences), np.array(top1), {place.kind for place in model.placement() if place.device == "host"}
        )

    def check(self) -> None:
        """Within one step for 99.9 % of outputs, and the same first class for 99 % of samples."""
        assert np.mean(self.differences < 1.01) >= 0.999
        assert np.mean(self.top1) >= 0.99


def images(file: str, count: int) -> Iterator[Sample]:
    with np.load(EXAMPLE / file) as archive:
        for image in archive["input"][:count]:
            yield {"input": image}


@pytest.mark.parametrize("form", FORMS)
def test_fashion_resnet8(form: str, tmp_path: Path):
    path = quantized_by_onnxruntime(EXAMPLE / "model.onnx", tmp_path, images("calibration.npz", 64), form)
    agreement = Agreement.of(path, images("evaluation.npz", 300), tmp_path)
    agreement.check()
    assert agreement.host == {"quant.qcast", "quant.dcast"}


def test_unsigned_weights_that_do_not_fit_8_bits_run_on_the_host(tmp_path: Path):
    calibration = images("calibration.npz", 32)
    path = quantized_by_onnxruntime(
        EXAMPLE / "model.onnx", tmp_path, calibration, "qdq_per_tensor_u8", weights=QuantType.QUInt8
    )
    agreement = Agreement.of(path, images("evaluation.npz", 50), tmp_path)
    agreement.check()
    assert "nn.conv2d" in agreement.host


@pytest.fixture(scope="module")
def zoo() -> ModuleType:
    specification = importlib.util.spec_from_file_location("zoo", ZOO / "zoo.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def zoo_agreement(zoo: ModuleType, name: str, form: str, folder: Path, calibration: int, count: int) -> Agreement:
    entry = zoo.load(name)
    samples = itertools.islice(entry.samples("calib"), calibration)
    path = quantized_by_onnxruntime(Path(entry.model), folder, samples, form)
    return Agreement.of(path, itertools.islice(entry.samples("eval"), count), folder)


@needs_zoo
@pytest.mark.parametrize("form", FORMS)
def test_mnist_mobilenet(zoo: ModuleType, form: str, tmp_path: Path):
    zoo_agreement(zoo, "mnist_mobilenet", form, tmp_path, 32, 300).check()


@needs_zoo
@pytest.mark.slow
@pytest.mark.parametrize("form", ["qdq_per_tensor_u8", "qoperator_per_tensor_s8"])
def test_mobilenet_v2(zoo: ModuleType, form: str, tmp_path: Path):
    """For scales per channel see `test_quantized_layers`."""
    zoo_agreement(zoo, "mobilenet_v2", form, tmp_path, 32, 40).check()


@needs_zoo
def test_pulsevad_as_its_authors_quantized_it(zoo: ModuleType, tmp_path: Path):
    samples = itertools.islice(zoo.load("pulsevad_2k").samples("eval"), 300)
    path = ZOO / "models" / "pulsevad_2k_int8.onnx"
    Agreement.of(path, samples, tmp_path, shapes={"log_mel": (1, 64, 21)}).check()


def test_a_float_network_needs_data():
    network = ig.load(EXAMPLE / "model.onnx")
    assert not network.is_quantized
    with pytest.raises(UserError, match="calibration data is needed"):
        network.quantize()


def one_operator(nodes: list[onnx.NodeProto], constants: Mapping[str, Array], opset: int = 17) -> bytes:
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items() if name in used],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


def pair(source: str, result: str, scale: str, domain: str = "") -> list[onnx.NodeProto]:
    return [
        helper.make_node("QuantizeLinear", [source, f"{scale}s", f"{scale}z"], [f"{result}q"], domain=domain),
        helper.make_node("DequantizeLinear", [f"{result}q", f"{scale}s", f"{scale}z"], [result], domain=domain),
    ]


PARAMETERS: dict[str, Array] = {
    "as": np.float32(0.031),
    "az": np.uint8(120),
    "bs": np.float32(0.027),
    "bz": np.uint8(3),
    "hs": np.float32(0.0005),
    "hz": np.int16(0),
}
OPERATORS: dict[str, list[onnx.NodeProto]] = {
    "Relu": [helper.make_node("Relu", ["a"], ["o"])],
    "LeakyRelu": [helper.make_node("LeakyRelu", ["a"], ["o"], alpha=0.2)],
    "Sigmoid": [helper.make_node("Sigmoid", ["a"], ["o"])],
    "Softmax": [helper.make_node("Softmax", ["a"], ["o"], axis=1)],
    "Add": [helper.make_node("Add", ["a", "a"], ["o"])],
    "MaxPool": [helper.make_node("MaxPool", ["a"], ["o"], kernel_shape=[2, 2], strides=[2, 2])],
    "AveragePool": [helper.make_node("AveragePool", ["a"], ["o"], kernel_shape=[2, 2])],
    "Concat": [helper.make_node("Concat", ["a", "a"], ["o"], axis=1)],
    "Transpose": [helper.make_node("Transpose", ["a"], ["o"], perm=[0, 2, 3, 1])],
}


@pytest.mark.parametrize("name", OPERATORS)
def test_single_operators(name: str, tmp_path: Path):
    nodes = [*pair("x", "a", "a"), *OPERATORS[name], *pair("o", "y", "b")]
    compare(one_operator(nodes, PARAMETERS), tmp_path, float(PARAMETERS["bs"]))


@pytest.mark.parametrize("domain", ["", "com.microsoft"])
def test_16_bit_activations_stay_float_on_the_host(domain: str, tmp_path: Path):
    nodes = [*pair("x", "a", "h", domain), *OPERATORS["Sigmoid"], *pair("o", "y", "h", domain)]
    model = one_operator(nodes, PARAMETERS, 17 if domain else 21)
    host = compare(model, tmp_path, float(PARAMETERS["hs"]))
    assert "nn.sigmoid" in host


def test_4_bit_weights_run_on_the_accelerator(tmp_path: Path):
    rng = np.random.default_rng(0)
    weight = helper.make_tensor("w", TensorProto.INT4, [6, 4, 3, 3], rng.integers(-8, 8, 216))
    nodes = [
        *pair("x", "a", "a"),
        helper.make_node("DequantizeLinear", ["w", "ws"], ["wf"], axis=0),
        helper.make_node("Conv", ["a", "wf"], ["o"], pads=[1, 1, 1, 1]),
        *pair("o", "y", "b"),
    ]
    scales = rng.uniform(0.005, 0.02, 6).astype(np.float32)
    model = onnx.load_model_from_string(one_operator(nodes, {**PARAMETERS, "ws": scales}, 21))
    model.graph.initializer.append(weight)
    host = compare(model.SerializeToString(), tmp_path, float(PARAMETERS["bs"]))
    assert host == {"quant.qcast", "quant.dcast"}


STORED_WEIGHTS: dict[str, tuple[int, dict[str, int], tuple[int, ...], tuple[int, int] | None]] = {
    "int8 per channel": (TensorProto.INT8, {"axis": 1}, (6,), None),
    "uint4 per channel with zero points": (TensorProto.UINT4, {"axis": 1}, (6,), (6, 9)),
    "int16": (TensorProto.INT16, {}, (), None),
    "int4 in blocks": (TensorProto.INT4, {"axis": 0, "block_size": 4}, (2, 6), None),
    "uint4 in blocks with zero points": (TensorProto.UINT4, {"axis": 0, "block_size": 4}, (2, 6), (6, 9)),
}
"""Element type, attributes of the dequantization, shape of the scales, and interval of the zero points."""


@pytest.mark.parametrize("name", STORED_WEIGHTS)
def test_stored_weights(name: str, tmp_path: Path):
    """Whatever weights are stored as: layers run in integers where scales belong to output channels."""
    kind, attributes, shape, zero_points = STORED_WEIGHTS[name]
    rng = np.random.default_rng(0)
    low, high = {TensorProto.INT4: (-8, 8), TensorProto.UINT4: (0, 16), TensorProto.INT8: (-127, 128)}.get(
        kind, (-20000, 20000)
    )
    scales = (rng.uniform(1.0, 2.0, shape) / high).astype(np.float32)
    parameters = ["w", "ws", *(["wz"] if zero_points is not None else [])]
    nodes = [
        *pair("x", "a", "a"),
        helper.make_node("DequantizeLinear", parameters, ["wf"], **attributes),
        helper.make_node("MatMul", ["a", "wf"], ["o"]),
        *pair("o", "y", "b"),
    ]
    model = onnx.load_model_from_string(one_operator(nodes, {**PARAMETERS, "ws": scales}, 21))
    model.graph.initializer.append(helper.make_tensor("w", kind, [8, 6], rng.integers(low, high, 48)))
    if zero_points is not None:
        zeros = rng.integers(*zero_points, scales.size)
        model.graph.initializer.append(helper.make_tensor("wz", kind, list(shape), zeros))
    host = compare(model.SerializeToString(), tmp_path, float(PARAMETERS["bs"]))
    assert ("nn.dense" in host) == ("blocks" in name or "int16" in name)


@pytest.mark.parametrize("name", ["Relu", "Add", "AveragePool", "Concat"])
def test_unsigned_16_bit_activations_stay_float_on_the_host(name: str, tmp_path: Path):
    parameters = {**PARAMETERS, "us": np.float32(0.0003), "uz": np.uint16(30000)}
    nodes = [*pair("x", "a", "u"), *OPERATORS[name], *pair("o", "y", "u")]
    model = one_operator(nodes, parameters, 21)
    (tmp_path / "text.onnx").write_bytes(model)
    assert "!quant.uniform<u16:f32, 0.000300" in str(ig.load(tmp_path / "text.onnx").module)
    assert {"quant.qcast", "quant.dcast"} < compare(model, tmp_path, 0.0003)


def compare(model: bytes, folder: Path, step: float) -> set[str]:
    """Compile a model and compare it with onnxruntime on random inputs; return what runs on the host."""
    (folder / "model.onnx").write_bytes(model)
    network = ig.load(folder / "model.onnx")
    assert network.is_quantized
    quantized = network.quantize()
    quantized.compile(folder / "model.igpkg")
    session, reference = ig.Session(folder / "model.igpkg"), onnxruntime.InferenceSession(model)
    rng = np.random.default_rng(0)
    for _ in range(3):
        feeds = {"x": rng.normal(scale=2, size=(1, 4, 8, 8)).astype(np.float32)}
        (actual,), (expected,) = session.run(feeds).values(), reference.run(None, feeds)
        difference = np.abs(actual - expected) / step
        assert difference.max() <= 1.01
        assert np.mean(difference > 0.01) < 0.02
        assert np.ptp(expected) > 10 * step
    return {place.kind for place in quantized.placement() if place.device == "host"}
