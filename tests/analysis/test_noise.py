"""Noise of quantization: every figure of a two-layer network against arithmetic by hand, and faults that are found."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp, i8

from intaglio.analysis.noise import NoiseOptions, noise_analysis
from intaglio.analysis.report import FIGURES
from intaglio.analysis.simulation import compare_with_simulator
from intaglio.compiler import import_phase, run_phase
from intaglio.data import load_samples
from intaglio.dialects import nn
from intaglio.dialects.weights import array_of, constant_attr
from intaglio.errors import UserError
from intaglio.ir.locations import names_in
from intaglio.ir.parsing import parse_module
from intaglio.phases import PHASES, CompileOptions
from intaglio.targets.binary import ProgramBinary

Array = np.ndarray[Any, np.dtype[Any]]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "fashion_resnet8"

FLOAT = """
func.func @main(%x: tensor<1x2xf32>) -> (tensor<1x2xf32> {onnx.name = "y"}) {
  %w = nn.constant dense<[[1.0, 0.0], [0.0, 2.0]]> : tensor<2x2xf32>
  %a = nn.dense %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32> loc("first")
  %b = nn.relu %a : (tensor<1x2xf32>) -> tensor<1x2xf32> loc("second")
  func.return %b : tensor<1x2xf32>
}
"""

QUANTIZED = """
!in = !quant.uniform<i8:f32, 0.5>
!w = !quant.uniform<i8<-127:127>:f32, 1.0>
!out = !quant.uniform<i8:f32, 1.0>
func.func @main(%x: tensor<1x2xf32>) -> (tensor<1x2xf32> {onnx.name = "y"}) {
  %w = nn.constant dense<[[1, 0], [0, 2]]> : tensor<2x2xi8> as tensor<2x2x!w>
  %q = quant.qcast %x : tensor<1x2xf32> to tensor<1x2x!in>
  %a = nn.dense %q, %w : (tensor<1x2x!in>, tensor<2x2x!w>) -> tensor<1x2x!out> loc("first")
  %b = nn.relu %a : (tensor<1x2x!out>) -> tensor<1x2x!out> loc("second")
  %d = quant.dcast %b : tensor<1x2x!out> to tensor<1x2xf32> loc("second")
  func.return %d : tensor<1x2xf32>
}
"""


def two_layers() -> tuple[ModuleOp, ModuleOp]:
    return parse_module(FLOAT), parse_module(QUANTIZED)


def test_every_figure_is_that_of_hand_arithmetic() -> None:
    # Input 0.3, 1.6: floats [0.3, 3.2]. On a grid of 0.5 the input is [0.5, 1.5], and [0.5, 3] rounds to [1, 3].
    report = noise_analysis(*two_layers(), [{"input_0": np.array([[0.3, 1.6]], np.float32)}])
    assert [layer.name for layer in report.layers] == ["first", "second"]
    first, second = report.layers
    for error in (first.accumulated, second.accumulated, report.outputs["y"]):
        assert error.mse == pytest.approx((0.7**2 + 0.2**2) / 2)
        assert error.sqnr_db == pytest.approx(10 * math.log10((0.3**2 + 3.2**2) / (0.7**2 + 0.2**2)))
        assert error.cosine == pytest.approx((0.3 * 1 + 3.2 * 3) / math.sqrt((0.3**2 + 3.2**2) * 10))
        assert error.psnr_db == pytest.approx(10 * math.log10(2.9**2 / 0.265))
        assert error.max_error == pytest.approx(0.7)
        assert error.mean_error == pytest.approx(0.25)
    # Fed floats, the second layer rounds [0.3, 3.2] to [0, 3] and adds nothing.
    assert second.local is not None
    assert second.local.mse == pytest.approx((0.3**2 + 0.2**2) / 2)
    assert second.local.mean_error == pytest.approx(-0.25)
    assert second.local.max_error == pytest.approx(0.3)
    worst = second.worst_channels[0]
    assert (worst.channel, worst.share) == (0, pytest.approx(0.09 / 0.13))
    assert worst.mse == pytest.approx(0.09)
    assert worst.mean_error == pytest.approx(-0.3)
    assert first.representable == (-128.0, 127.0)
    assert (first.low, first.high) == (pytest.approx(0.3), pytest.approx(3.2))
    assert [layer.name for layer in report.ranked()] == ["first", "second"]
    assert first.damage == pytest.approx((0.7**2 + 0.2**2) / (0.3**2 + 3.2**2))


def test_figures_are_sums_over_all_samples_whatever_their_batches() -> None:
    data = np.array([[[0.3, 1.6]], [[-1.2, 0.4]], [[60.0, -3.3]]], np.float32)
    single = noise_analysis(*two_layers(), [{"input_0": sample} for sample in data])
    batched = noise_analysis(*two_layers(), [{"input_0": data[:2]}, {"input_0": data[2]}])
    assert single.to_dict() == batched.to_dict()
    assert single.samples == 3
    # The float results of "first" are [.3, 3.2], [-1.2, .8], [60, -6.6]; its quantized ones [1, 3], [-1, 1], [60, -7].
    expected = [0.7, -0.2, 0.2, 0.2, 0.0, -0.4]
    assert single.layer("first").accumulated.mse == pytest.approx(np.mean(np.square(expected)), rel=1e-5)


def test_values_beyond_the_range_count_as_clipped_and_are_named_in_the_hint() -> None:
    report = noise_analysis(*two_layers(), [{"input_0": np.array([[10.0, 100.0]], np.float32)}])
    assert report.layer("first").clipped == 0.5
    assert "wider range: 100%" in str(report.layer("second").hint)


def test_without_local_feed_nothing_local_is_measured() -> None:
    sample = {"input_0": np.array([[0.3, 1.6]], np.float32)}
    report = noise_analysis(*two_layers(), [sample], NoiseOptions(local=False))
    assert all(layer.local is None for layer in report.layers)
    assert report.figures("mse", local=True) == {}
    assert set(report.figures("mse")) == {"first", "second"}


def test_mistakes_are_user_errors() -> None:
    sample = {"input_0": np.array([[0.3, 1.6]], np.float32)}
    with pytest.raises(UserError, match="no samples"):
        noise_analysis(*two_layers(), [])
    other = parse_module(FLOAT.replace("first", "x").replace("second", "y"))
    with pytest.raises(UserError, match="no tensor in common"):
        noise_analysis(other, parse_module(QUANTIZED), [sample])
    report = noise_analysis(*two_layers(), [sample])
    with pytest.raises(UserError, match="no figure 'snr'"):
        report.figures("snr")
    with pytest.raises(UserError, match="no layer 'third'"):
        report.layer("third")


# A trained network.


def quantized_example() -> tuple[ModuleOp, ModuleOp]:
    options = CompileOptions(calibration=EXAMPLE / "calibration.npz")
    module = import_phase(EXAMPLE / "model.onnx", options)
    for phase in PHASES[1:3]:
        run_phase(module, phase, options)
    quantized = module.clone()
    run_phase(quantized, PHASES[3], options)
    return module, quantized


def images(count: int = 6) -> Iterator[dict[str, Array]]:
    samples = load_samples(EXAMPLE / "evaluation.npz", {"input": (1, 1, 28, 28)})
    yield from (sample for sample, _ in zip(samples, range(count), strict=False))


def spoil(module: ModuleOp, name: str) -> None:
    """Turn the signs of a layer's weights."""
    layer = next(op for op in module.walk() if isinstance(op, nn.Conv2dOp) and name in names_in(op.location))
    constant = layer.weight.owner
    assert isinstance(constant, nn.ConstantOp)
    stored = array_of(constant.value)
    constant.properties["value"] = constant_attr("wrong", -stored, i8)


def test_the_layer_with_an_injected_fault_is_the_first_to_diverge() -> None:
    module, quantized = quantized_example()
    sound = noise_analysis(module, quantized, images())
    assert sound.divergence is None
    assert all(layer.local is not None and layer.local.sqnr_db > 25 for layer in sound.layers)
    name = "/b/b.1/b2/BatchNormalization"
    spoil(quantized, name)
    report = noise_analysis(module, quantized, images())
    assert report.divergence is not None
    assert report.divergence.name == name
    assert "made by the layer itself" in report.divergence.detail
    assert report.ranked()[0].name == name
    # Layers after it are wrong as well, but not by themselves.
    later, before = "/b/b.2/Relu", sound.figures("sqnr_db")
    assert report.figures("sqnr_db", local=True)[later] == sound.figures("sqnr_db", local=True)[later]
    assert report.figures("sqnr_db")[later] < 20 < before[later]


def test_the_report_is_strict_json_and_a_table() -> None:
    report = noise_analysis(*quantized_example(), images(2))
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert {entry["name"] for entry in found["layers"]} == {layer.name for layer in report.layers}
    assert set(found["layers"][0]["accumulated"]) == set(FIGURES)
    assert set(found["ranking"]) < {layer.name for layer in report.layers}
    text = str(report)
    for expected in ("/fc/Gemm", "nn.max_pool2d", "output logits", "no layer has an accumulated SQNR below 10 dB"):
        assert expected in text


def test_the_simulator_computes_every_tensor_bit_for_bit() -> None:
    _, quantized = quantized_example()
    report = compare_with_simulator(quantized, [[sample["input"]] for sample in images(2)])
    assert report.divergence is None
    assert report.tensors >= 16


def test_a_flipped_constant_is_found_in_the_tensor_that_it_spoils(monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    from intaglio.analysis import simulation

    original = simulation.program_binary

    def flipped(program: Any) -> ProgramBinary:
        binary = original(program)
        constants = bytearray(binary.constants)
        constants[0] ^= 0x7F
        return dataclasses.replace(binary, constants=bytes(constants))

    monkeypatch.setattr(simulation, "program_binary", flipped)
    _, quantized = quantized_example()
    report = compare_with_simulator(quantized, [[next(images())["input"]]])
    assert report.divergence is not None
    assert report.divergence.between == "quantized and simulator"
    assert report.divergence.name == "/stem/stem.2/Relu"
    assert "elements differ" in report.divergence.detail
