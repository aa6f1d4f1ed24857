"""Layers that quantize their input by the range that it has at run time: integers, host, text, and when it is so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, StringAttr

import intaglio as ig
from intaglio.dialects import nn
from intaglio.dialects.quant import ObserveOp
from intaglio.dialects.weights import constant_attr
from intaglio.errors import UserError
from intaglio.executor import Executor
from intaglio.frontend.qdq_exporter import export_qdq
from intaglio.interpreter import Interpreter
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.ir.printing import print_module
from intaglio.lowering.host_to_relax import host_to_relax
from intaglio.lowering.nn_to_tosa import export_tosa
from intaglio.lowering.tvm import compile_library
from intaglio.network import QuantizedNetwork
from intaglio.passes.quantization.quantize_dynamic import QuantizeDynamic
from intaglio.phases import PHASES, CompileOptions
from intaglio.runtime.host_library import HostLibrary
from intaglio.tools.cli import run_cli

Array = np.ndarray[Any, np.dtype[Any]]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "fashion_resnet8"
DYNAMIC = ig.default_quantization.with_quantization_type("dynamic")

LAYERS = {
    "dense": ("nn.dense %x, %w bias %b clamp <0.0, 3.0>", (2, 5), (3, 5), (2, 3)),
    "conv2d": (
        "nn.conv2d %x, %w bias %b strides [2, 1] pads [1, 0, 1, 2] dilations [1, 2] groups 1",
        (1, 6, 7, 4),
        (3, 3, 2, 4),
        (1, 3, 7, 3),
    ),
    "depthwise": (
        "nn.conv2d %x, %w bias %b strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] groups 3 clamp <0.0, inf>",
        (1, 5, 5, 3),
        (3, 3, 3, 1),
        (1, 5, 5, 3),
    ),
    "conv_transpose2d": (
        "nn.conv_transpose2d %x, %w bias %b strides [2, 2] pads [1, 1, 0, 0] dilations [1, 1] groups 1",
        (1, 4, 4, 2),
        (3, 3, 3, 2),
        (1, 8, 8, 3),
    ),
}


def shaped(shape: tuple[int, ...]) -> str:
    return f"tensor<{''.join(f'{size}x' for size in shape)}f32>"


def layer_module(name: str, seed: int = 0) -> ModuleOp:
    """A float function of one layer with random weights."""
    operation, x, w, y = LAYERS[name]
    rng = np.random.default_rng(seed)
    text = f"""
func.func @main(%x: {shaped(x)}) -> {shaped(y)} {{
  %w = nn.constant dense<0.0> : {shaped(w)}
  %b = nn.constant dense<0.0> : {shaped((w[0],))}
  %y = {operation} : ({shaped(x)}, {shaped(w)}, {shaped((w[0],))}) -> {shaped(y)}
  func.return %y : {shaped(y)}
}}"""
    module = parse_module(text)
    for op, shape in zip(constants(module), (w, (w[0],)), strict=True):
        values = rng.normal(size=shape).astype(np.float32)
        op.properties["value"] = constant_attr(
            f"constant{len(shape)}", values, nn.tensor_of(op.result).get_element_type()
        )
    return module


def constants(module: ModuleOp) -> list[nn.ConstantOp]:
    return [op for op in module.walk() if isinstance(op, nn.ConstantOp)]


def quantized(module: ModuleOp) -> ModuleOp:
    result = module.clone()
    QuantizeDynamic().apply(make_context(), result)
    result.verify()
    return result


def inputs(name: str) -> Array:
    return np.random.default_rng(7).normal(0.3, 1.5, LAYERS[name][1]).astype(np.float32)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_stay_close_to_floats(name: str) -> None:
    module, x = layer_module(name), inputs(name)
    (expected,) = Interpreter(module).run("main", [x])
    (actual,) = Interpreter(quantized(module)).run("main", [x])
    assert actual.dtype == np.float32
    assert not np.array_equal(actual, expected)
    assert np.abs(actual - expected).max() < 0.02 * np.abs(expected).max()


def test_a_dense_layer_by_hand() -> None:
    module, x = quantized(layer_module("dense")), inputs("dense")
    (weight, bias) = sorted(constants(module), key=lambda op: "b" in (op.result.name_hint or ""))
    scales = np.asarray(nn.tensor_of(weight.result).get_element_type().scales)
    w, b = np.array(weight.value.get_values()).reshape(3, 5), np.array(bias.value.get_values())
    low, high = np.float32(min(x.min(), 0)), np.float32(max(x.max(), 0))
    scale = np.float32((high - low) / np.float32(255))
    zero = int(np.rint(-low / scale))
    (actual,) = Interpreter(module).run("main", [x])
    for row, column in np.ndindex(2, 3):
        stored = [min(max(int(np.rint(value / scale)) + zero, 0), 255) - zero for value in x[row]]
        total = sum(a * int(c) for a, c in zip(stored, w[column], strict=True))
        real = total * (float(scale) * scales[column]) + float(b[column])
        assert actual[row, column] == np.float32(min(max(real, 0.0), 3.0))


@pytest.mark.parametrize("name", LAYERS)
def test_the_host_gives_the_bits_of_the_interpreter(name: str) -> None:
    module = quantized(layer_module(name))
    main = next(op for op in module.ops if isinstance(op, func.FuncOp))
    library = HostLibrary(compile_library(host_to_relax(main, {})), lambda region, arguments: [])
    for x in (inputs(name), np.zeros(LAYERS[name][1], np.float32)):
        (expected,) = Interpreter(module).run("main", [x])
        (actual,) = library.run([x])
        np.testing.assert_array_equal(actual, expected)


def test_every_sample_of_a_batch_has_its_own_range() -> None:
    module = quantized(layer_module("conv2d"))
    batch = np.stack([inputs("conv2d"), 100 * inputs("conv2d")])
    results = next(iter(Executor(module).run_batch({"input_0": batch}).values()))
    for x, result in zip(batch, results, strict=True):
        np.testing.assert_array_equal(result, Interpreter(module).run("main", [x])[0])


def test_text_reads_back() -> None:
    module = quantized(layer_module("conv2d"))
    again = parse_module(print_module(module))
    x = inputs("conv2d")
    np.testing.assert_array_equal(*(Interpreter(each).run("main", [x])[0] for each in (module, again)))


def images(file: str, count: int) -> Array:
    with np.load(EXAMPLE / file) as archive:
        return archive["input"][:count]


def samples(count: int = 4) -> Iterator[dict[str, Array]]:
    for image in images("calibration.npz", count):
        yield {"input": image}


def is_dynamic(model: QuantizedNetwork) -> bool:
    layers = [op for op in model if isinstance(op, nn.Conv2dOp | nn.DenseOp)]
    kinds = {nn.is_dynamic(op.input, op.weight) for op in layers}
    assert layers and len(kinds) == 1
    return kinds.pop()


def test_a_network_needs_no_data(tmp_path: Path) -> None:
    network = ig.load(EXAMPLE / "model.onnx")
    model = network.quantize(params=DYNAMIC)
    assert is_dynamic(model)
    assert not any(isinstance(op, ObserveOp) for op in model.module.walk())
    model.compile(tmp_path / "gen1.igpkg", target="gen1")
    session = ig.Session(tmp_path / "gen1.igpkg")
    for image in images("evaluation.npz", 3):
        expected, exact = network.run({"input": image})["logits"], model.run({"input": image})["logits"]
        # What is float between the layers is computed in single precision there.
        np.testing.assert_allclose(session.run({"input": image})["logits"], exact, atol=5e-3)
        assert 0 < np.abs(exact - expected).max() < 0.2
    assert all(entry.device == "host" for entry in model.placement("gen1"))
    model.save(tmp_path / "model.mlir")
    again = QuantizedNetwork.load(tmp_path / "model.mlir")
    np.testing.assert_array_equal(again.run({"input": image})["logits"], exact)
    report = model.analyze([{"input": image}])
    assert report.layers and all(layer.accumulated.sqnr_db > 20 for layer in report.layers)


def test_forms_that_hold_scales_are_refused() -> None:
    module = ig.load(EXAMPLE / "model.onnx").quantize(params=DYNAMIC).module
    with pytest.raises(UserError, match=r"nn.conv2d .* quantizes its input as it comes"):
        export_qdq(module)
    with pytest.raises(UserError, match="floats and bfloat16 are not exported"):
        export_tosa(module)


def test_any_is_static_where_there_is_data() -> None:
    params = ig.default_quantization.with_quantization_type("any")
    network = ig.load(EXAMPLE / "model.onnx")
    assert is_dynamic(network.quantize(params=params))
    assert not is_dynamic(network.quantize(samples(), params))
    network.calibrate(samples(), params)
    assert not is_dynamic(network.quantize(params=params))
    assert is_dynamic(network.quantize(params=params.with_quantization_type("dynamic")))


def test_any_takes_the_ranges_in_a_text(tmp_path: Path) -> None:
    params = ig.default_quantization.with_quantization_type("any")
    options = ig.CompileOptions(calibration=list(samples()), params=params)
    ig.compile_model(EXAMPLE / "model.onnx", tmp_path / "net.mlir", options, compile_to="calibrate")
    options = ig.CompileOptions(params=params)
    static = ig.compile_model(
        tmp_path / "net.mlir", tmp_path / "q.mlir", options, compile_from="calibrate", compile_to="quantize"
    )
    assert isinstance(static, ModuleOp) and not is_dynamic(QuantizedNetwork(static))


def test_no_pass_of_static_quantization_runs() -> None:
    names = ",".join(phase.pipeline(CompileOptions(params=DYNAMIC)) for phase in PHASES)
    for name in ("calibrate{", "insert-observers", "smooth-quant", "correct-bias", ",quantize{"):
        assert name not in names
    # Weights alone say enough to equalize channels by.
    assert "equalize-channels" in names and "quantize-dynamic" in names


def test_nodes_stay_in_float_on_request() -> None:
    network = ig.load(EXAMPLE / "model.onnx")
    dense = next(op for op in network.module.walk() if isinstance(op, nn.DenseOp))
    dense.attributes["quant.precision"] = StringAttr("float")
    layers = [op for op in network.quantize(params=DYNAMIC) if isinstance(op, nn.DenseOp | nn.Conv2dOp)]
    assert {type(op): nn.is_dynamic(op.input, op.weight) for op in layers} == {nn.DenseOp: False, nn.Conv2dOp: True}


def test_other_widths_are_refused() -> None:
    with pytest.raises(UserError, match="dynamic quantization is of 8 bits, got the precision a16w8"):
        DYNAMIC.with_precision("a16w8")
    network = ig.load(EXAMPLE / "model.onnx")
    with pytest.raises(UserError, match="the precision a16w8, which is not quantized dynamically"):
        network.quantize(params=DYNAMIC.with_custom_quantization_configs({"*": {"precision": "a16w8"}}))
    narrow = network.quantize(params=DYNAMIC.with_precision("a8w4"))
    assert is_dynamic(narrow)


def test_the_command_needs_no_data(tmp_path: Path) -> None:
    (tmp_path / "params.toml").write_text('quantization_type = "dynamic"\n')
    command = ["quantize", str(EXAMPLE / "model.onnx"), "-o", str(tmp_path / "net.mlir")]
    assert run_cli([*command, "--params", str(tmp_path / "params.toml")]) == 0
    assert is_dynamic(QuantizedNetwork.load(tmp_path / "net.mlir"))
    assert run_cli(command) == 2
