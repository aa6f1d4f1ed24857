"""The whole default pipeline, and every repair with it, on numbers that no trained network should have.

Whatever the data: the float function stays, results are finite and close to it, nothing divides by zero, and what a
warning is about has a name.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import intaglio as ig
from intaglio.errors import UserError

DATA = {
    "normal": lambda rng, count: rng.normal(size=(count, 1, 4, 5, 5)),
    "one sample": lambda rng, count: rng.normal(size=(1, 1, 4, 5, 5)),
    "zeros": lambda rng, count: np.zeros((count, 1, 4, 5, 5)),
    "constant": lambda rng, count: np.full((count, 1, 4, 5, 5), 0.7),
    "a channel of zeros": lambda rng, count: (
        rng.normal(size=(count, 1, 4, 5, 5)) * [[[1.0]], [[0.0]], [[1.0]], [[1.0]]]
    ),
    "a constant channel": lambda rng, count: np.where(
        np.arange(4)[:, None, None] == 2, 3.0, rng.normal(size=(count, 1, 4, 5, 5))
    ),
    "denormal": lambda rng, count: rng.normal(size=(count, 1, 4, 5, 5)) * 1e-40,
    "huge": lambda rng, count: rng.normal(size=(count, 1, 4, 5, 5)) * 1e15,
}

REPAIRS = {
    "default": ig.default_quantization,
    "a16w8": ig.int16_quantization,
    "a16w16": ig.default_quantization.with_precision("a16w16"),
    "bias": ig.default_quantization.with_bias_correction("regular"),
    "bias iterative": ig.default_quantization.with_bias_correction("iterative"),
    "split": ig.default_quantization.with_split_tensors(),
    "rounded": ig.default_quantization.with_round_weights(),
    "dynamic": ig.default_quantization.with_quantization_type("dynamic"),
}


def save_model(path: Path, weights: dict[str, np.ndarray]) -> Path:
    """Two convolutions with a batch norm and a ReLU6 in between, one whose result nobody reads, and a dense layer."""
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], name="first/Conv", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c1", "gamma", "beta", "mean", "variance"], ["n1"], name="first/Norm"),
        helper.make_node("Clip", ["n1", "zero", "six"], ["r1"], name="first/Clip"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], name="second/Conv"),
        helper.make_node("Conv", ["r1", "w2"], ["unread"], name="unread/Conv"),
        helper.make_node("GlobalAveragePool", ["c2"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["f"], name="flatten"),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["y"], name="last/Gemm", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4, 5, 5))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 3))],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def ordinary() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        "w1": rng.normal(size=(6, 4, 3, 3)) * 0.3,
        "b1": rng.normal(size=6),
        "gamma": np.ones(6),
        "beta": np.zeros(6),
        "mean": np.zeros(6),
        "variance": np.ones(6),
        "zero": np.array(0.0),
        "six": np.array(6.0),
        "w2": rng.normal(size=(5, 6, 1, 1)),
        "w3": rng.normal(size=(3, 5)),
        "b3": rng.normal(size=3),
    }


def changed(**entries: tuple[object, float]) -> dict[str, np.ndarray]:
    """Ordinary weights, of which some elements have another value."""
    weights = ordinary()
    for name, (index, value) in entries.items():
        weights[name][index] = value
    return weights


WEIGHTS = {
    "ordinary": ordinary(),
    "a dead output channel": changed(w1=(2, 0.0), b1=(2, 0.0)),
    "a dead channel with a bias": changed(w1=(2, 0.0)),
    "a channel nobody reads": changed(w2=(np.s_[:, 2], 0.0)),
    "a layer of zeros": changed(w2=(np.s_[:], 0.0)),
    "a channel that is never positive": changed(w1=(2, 0.0), b1=(2, -5.0)),
    "no variance": changed(variance=(2, 0.0)),
    "a denormal channel": changed(w1=(2, 1e-41), b1=(2, 0.0)),
}


def check(model: Path, data: np.ndarray, params: ig.QuantizationParams) -> None:
    network = ig.load(model)
    samples = [{"x": np.asarray(x, np.float32)} for x in data]
    with np.errstate(divide="raise", invalid="raise"):
        quantized = network.quantize(samples, params)
        for sample in samples[:2]:
            expected, found = network.run(sample)["y"], quantized.run(sample)["y"]
            assert np.isfinite(found).all()
            largest = max(np.abs(network.run(other)["y"]).max() for other in samples)
            # Of huge inputs a step of 8 bits decides between the two bounds of the ReLU6.
            if max(np.abs(other["x"]).max() for other in samples) < 1e6:
                assert np.abs(found - expected).max() <= 0.15 * largest + 1e-30
            if quantized.float_module is not None:
                repaired = ig.Network(quantized.float_module.clone()).run(sample)["y"]
                tolerance = 0.1 if params.bias_correction != "none" else 1e-4
                np.testing.assert_allclose(repaired, expected, rtol=tolerance, atol=tolerance * largest)


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("repair", REPAIRS)
def test_data(tmp_path: Path, kind: str, repair: str) -> None:
    data = DATA[kind](np.random.default_rng(0), 4)
    check(save_model(tmp_path / "net.onnx", ordinary()), data, REPAIRS[repair])


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("repair", REPAIRS)
def test_weights(tmp_path: Path, kind: str, repair: str) -> None:
    data = DATA["normal"](np.random.default_rng(0), 4)
    check(save_model(tmp_path / "net.onnx", WEIGHTS[kind]), data, REPAIRS[repair])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_data_that_is_not_finite_is_refused(tmp_path: Path, bad: float) -> None:
    data = DATA["normal"](np.random.default_rng(0), 4).astype(np.float32)
    data[2, 0, 1, 2, 3] = bad
    network = ig.load(save_model(tmp_path / "net.onnx", ordinary()))
    with pytest.raises(UserError, match=r"sample 2|'x'"):
        network.quantize([{"x": x} for x in data])


def test_no_data_is_refused(tmp_path: Path) -> None:
    network = ig.load(save_model(tmp_path / "net.onnx", ordinary()))
    with pytest.raises(UserError, match="no samples"):
        network.quantize([])


def test_samples_of_another_shape_are_refused(tmp_path: Path) -> None:
    network = ig.load(save_model(tmp_path / "net.onnx", ordinary()))
    with pytest.raises(UserError, match="shape"):
        network.quantize([{"x": np.zeros((1, 4, 6, 5), np.float32)}])


def test_a_tensor_of_zeros_is_named(tmp_path: Path) -> None:
    network = ig.load(save_model(tmp_path / "net.onnx", ordinary()))
    remarks = network.quantize([{"x": np.zeros((1, 4, 5, 5), np.float32)}]).remarks
    assert any("is zero on all calibration data" in str(found) for found in remarks)
