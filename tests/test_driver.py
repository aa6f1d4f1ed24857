"""The driver's steps with AFE's meaning, and what can be asked of a network's graph."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from xdsl.dialects.func import FuncOp

import intaglio as ig
from intaglio import driver
from intaglio.analysis.metrics import Statistic, metric
from intaglio.ir.locations import names_in
from intaglio.network import Network, PartitionedNetwork, QuantizedNetwork

Array = np.ndarray[Any, np.dtype[Any]]

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "fashion_resnet8"
GEMM = "/fc/Gemm"


def network() -> Network:
    return ig.load(EXAMPLE / "model.onnx")


def samples(count: int = 8) -> Iterator[dict[str, Array]]:
    with np.load(EXAMPLE / "calibration.npz") as archive:
        yield from ({"input": image} for image in archive["input"][:count])


def test_partitioning_lets_the_user_choose() -> None:
    model = network().quantize(list(samples()))
    places = {place.name: place for place in driver.partitioning()(model).placement if place.computes}
    assert places[GEMM].device == "accelerator"
    chosen = driver.partitioning(index_to_backend={GEMM: ig.Backend.HOST})(model)
    (gemm,) = (place for place in chosen.placement if place.name == GEMM and place.computes)
    assert gemm.device == "host" and "choice of the host" in str(gemm.reason)
    assert [boundary.tensors for boundary in chosen.boundaries.regions] == [2]
    # Operations are counted in program order, without constants.
    index = [op.name for op in model if op.name not in ("nn.constant", "func.return")].index("nn.dense")
    by_index = driver.partitioning(index_to_backend={index: "apu"})(model)
    assert by_index.placement == chosen.placement


def labelled(count: int = 60) -> list[dict[str, Any]]:
    with np.load(EXAMPLE / "evaluation.npz") as archive:
        return [{"input": archive["input"][k], "label": archive["label"][k]} for k in range(count)]


def precision_of(module: Any, name: str) -> str | None:
    found = [op for op in module.walk() if name in names_in(op.location) and "quant.precision" in op.attributes]
    return found[0].attributes["quant.precision"].data if found else None


def test_global_parameters_do_not_override_what_a_node_has_and_custom_ones_do() -> None:
    net = network()
    first = ig.QuantizationParams().with_precision("a16w8")
    assert driver.update_quantization_configs(first)(net) is net
    assert precision_of(net.module, GEMM) == "a16w8"
    driver.update_quantization_configs(ig.QuantizationParams())(net)
    assert precision_of(net.module, GEMM) == "a16w8"
    assert net.recorded_params == first
    driver.update_quantization_configs(
        ig.QuantizationParams(), custom_quantization_configs={GEMM: {"precision": "a8w8"}}
    )(net)
    assert precision_of(net.module, GEMM) == "a8w8"
    assert precision_of(net.module, "/b/b.0/Relu") == "a16w8"
    with pytest.raises(ig.UserError, match="no operation comes from a node of the name 'fc/Gem'"):
        driver.update_quantization_configs(first, custom_quantization_configs={"fc/Gem": {"output_int32": True}})(net)


def test_steps_one_by_one_are_the_same_as_all_at_once() -> None:
    params = ig.QuantizationParams().with_calibration(ig.CalibrationMethod.from_str("mse"))
    net = driver.update_quantization_configs(params)(network())
    assert not net.is_calibrated
    assert driver.calibration(params)(net, samples()) is net
    assert net.is_calibrated
    stepwise = driver.quantization()(net)
    at_once = driver.calibration_quantization(params)(network(), samples())
    assert stepwise.fingerprint == at_once.fingerprint
    directly, image = network().quantize(samples(), params), next(samples())
    np.testing.assert_array_equal(stepwise.run(image)["logits"], directly.run(image)["logits"])
    other = driver.calibration(ig.CalibrationMethod.from_str("min_max"))(network(), samples())
    assert driver.quantization()(other).fingerprint != stepwise.fingerprint
    with pytest.raises(ig.UserError, match="calibration data is needed"):
        driver.quantization()(network())


def test_equalization_does_what_the_parameters_enable_and_calibrates() -> None:
    plain = ig.default_quantization.with_channel_equalization(False).with_smooth_quant(False)
    net = driver.update_quantization_configs(plain)(network())
    enabled = plain.with_channel_equalization()
    assert driver.equalization(ig.CalibrationMethod.from_str("min_max"), enabled)(net, samples()) is net
    assert net.is_calibrated
    together = enabled.with_calibration(ig.CalibrationMethod.from_str("min_max"))
    expected = driver.calibration_quantization(together)(network(), list(samples()))
    assert driver.quantization()(net).fingerprint == expected.fingerprint
    disabled = driver.equalization(enabled, plain)(network(), samples())
    assert driver.quantization()(disabled).fingerprint == network().quantize(list(samples()), plain).fingerprint
    assert driver.quantization()(disabled).fingerprint != expected.fingerprint


def test_evaluation_folds_float_and_quantized_answers() -> None:
    net = network()
    model = net.quantize(samples(64))
    session = onnxruntime.InferenceSession(EXAMPLE / "model.onnx", providers=["CPUExecutionProvider"])
    right = [session.run(None, {"input": s["input"]})[0].argmax() == s["label"] for s in labelled()]
    assert driver.evaluation(metric("top1"))(net, labelled()) == pytest.approx(np.mean(right))
    exact = [model.run({"input": s["input"]})["logits"].argmax() == s["label"] for s in labelled(20)]
    assert driver.evaluation(metric("top1"))(model, labelled(20)) == pytest.approx(np.mean(exact))
    fast = driver.evaluation(metric("top1"), fast_mode=True)(model, labelled(60))
    assert fast == pytest.approx(driver.evaluation(metric("top1"))(model, labelled(60)), abs=1.5 / 60)
    assert model.evaluate(EXAMPLE / "evaluation.npz") > 0.9
    assert model.evaluate(labelled(20), "snr") > 20
    shapes: Statistic[list[Any], list[Any]] = Statistic(
        "shapes", list[Any], lambda state, outputs, truth: [*state, outputs[0].shape], list[Any]
    )
    assert model.evaluate(labelled(2), shapes) == [(1, 10), (1, 10)]
    with pytest.raises(ig.UserError, match="needs labels"):
        net.evaluate(samples(), "top1")


def test_noise_analysis_needs_the_float_network(tmp_path: Path) -> None:
    net = network()
    # Channels keep their units: the network as loaded is the one that was quantized.
    model = net.quantize(samples(16), ig.QuantizationParams())
    report = driver.noise_analysis()(net, model, labelled(4))
    assert report.samples == 4
    assert report.to_dict() == model.analyze(labelled(4)).to_dict()
    model.save(tmp_path / "q.mlir", tmp_path / "f.mlir")
    alone = QuantizedNetwork.load(tmp_path / "q.mlir")
    assert alone.fingerprint == model.fingerprint
    with pytest.raises(ig.UserError, match="is not known"):
        alone.analyze(labelled(4))
    again = QuantizedNetwork.load(tmp_path / "q.mlir", tmp_path / "f.mlir")
    assert again.analyze(labelled(4)).to_dict() == report.to_dict()
    # Equalization gives tensors inside other scales than in the network as it was loaded, but outputs are the same.
    outputs = driver.noise_analysis()(net, alone, labelled(4)).outputs
    assert outputs["logits"].sqnr_db == pytest.approx(report.outputs["logits"].sqnr_db, abs=0.01)
    simulated = model.analyze(labelled(3), local=False, simulated_samples=2).simulator
    assert simulated is not None
    assert (simulated.samples, simulated.divergence) == (2, None)


def test_diagnostic_files(tmp_path: Path) -> None:
    params = ig.QuantizationParams().with_calibration(ig.CalibrationMethod.from_str("percentile"))
    step = driver.dump_diagnostic_files_after(
        driver.calibration_quantization(params), tmp_path, "fashion", params, prefix="a_", suffix="_b"
    )
    model = step(network(), samples(4))
    assert isinstance(model, QuantizedNetwork)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a_fashion_b.mlir",
        "a_fashion_b.safetensors",
        "fashion.toml",
    ]
    assert QuantizedNetwork.load(tmp_path / "a_fashion_b.mlir").fingerprint == model.fingerprint
    assert tomllib.loads((tmp_path / "fashion.toml").read_text())["calibration_method"] == "percentile"
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    driver.dump_diagnostic_files_after(driver.quantization(samples(2)), nothing, "m", condition=False)(network())
    assert list(nothing.iterdir()) == []
    with pytest.raises(ig.UserError, match="plain file name"):
        driver.dump_diagnostic_files(tmp_path, "../m")
    with pytest.raises(ig.UserError, match="does not exist"):
        driver.dump_diagnostic_files(tmp_path / "no", "m")


# What there is in a graph.


def test_figures_about_the_graph() -> None:
    net = network()
    model = onnx.load(EXAMPLE / "model.onnx")
    convolutions = sum(node.op_type == "Conv" for node in model.graph.node)
    assert net.operators["nn.conv2d"] == convolutions == sum(op.name == "nn.conv2d" for op in net)
    assert (net.input_count, net.input_shapes, net.input_dtypes) == (1, [(1, 1, 28, 28)], ["float32"])
    assert (net.output_count, net.output_shapes, net.output_dtypes) == (1, [(1, 10)], ["float32"])
    assert (net.graph_count, net.subgraph_count, list(net.graphs)) == (1, 0, ["main"])
    assert isinstance(net.main, FuncOp)
    assert net.typed_mod is net.mod is net.module
    assert [value.type for value in net.input_nodes] == list(net.main.function_type.inputs)
    assert len(net.output_node.operands) == 1
    weights = {array.shape for array in net.params.values()}
    assert (10, 64) in weights
    image = next(samples())["input"]
    np.testing.assert_array_equal(net.get_inference_function()(image), net.run({"input": image})["logits"])


def test_equality_is_that_of_the_graph_and_fingerprints_cover_weights() -> None:
    net, same = network(), network()
    assert net == same
    assert hash(net) == hash(same)
    assert net.fingerprint == same.fingerprint
    model, other = net.quantize(samples(4)), net.quantize(samples(5))
    assert net != model
    assert model.fingerprint != other.fingerprint
    assert net != "a network"


def test_copies_are_independent() -> None:
    net = driver.calibration(ig.default_quantization)(network(), samples(4))
    copy = net.copy()
    assert copy.is_calibrated
    assert copy == net
    copy.record_params(ig.QuantizationParams().with_precision("a16w8"))
    assert precision_of(net.module, GEMM) is None
    assert net.quantize().fingerprint == network().quantize(samples(4)).fingerprint


def test_partition_has_a_graph_for_each_region() -> None:
    model = network().quantize(samples(4))
    divided = model.partition()
    assert isinstance(divided, PartitionedNetwork)
    assert divided.subgraph_count == 1
    assert divided.placement == model.placement()
    assert divided.operators["npu.launch"] == 1
    image = next(samples())
    np.testing.assert_array_equal(divided.run(image)["logits"], model.run(image)["logits"])


def test_export_and_save(tmp_path: Path) -> None:
    net = network()
    net.export(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    image = next(samples())["input"]
    np.testing.assert_allclose(
        session.run(None, {"input": image})[0], net.run({"input": image})["logits"], rtol=1e-4, atol=1e-4
    )
    net.save(tmp_path / "net.mlir")
    read = ig.load(tmp_path / "net.mlir")
    assert read.fingerprint == net.fingerprint
    assert read.quantize(samples(4)).fingerprint == net.quantize(samples(4)).fingerprint
    with pytest.raises(ig.UserError, match="not of quantize"):
        QuantizedNetwork.load(tmp_path / "net.mlir")
