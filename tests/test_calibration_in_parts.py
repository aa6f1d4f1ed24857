"""Calibration that goes on with further data, as Forge's `calibrate(reset=False)`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import intaglio as ig
from intaglio import driver
from intaglio.errors import UserError
from intaglio.network import QuantizedNetwork

Array = np.ndarray[Any, np.dtype[Any]]

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "fashion_resnet8"
PLAIN = ig.QuantizationParams()


def samples(first: int, last: int) -> Iterator[dict[str, Array]]:
    with np.load(EXAMPLE / "calibration.npz") as archive:
        images = archive["input"][first:last]
    for image in images:
        yield {"input": image}


def text(network: ig.Network) -> str:
    return str(network.quantize().module)


@pytest.mark.parametrize("method", ["mse", "moving_average"])
def test_parts_give_what_the_whole_gives(method: str) -> None:
    params = PLAIN.with_calibration(ig.CalibrationMethod.from_str(method)).with_bias_correction()
    network = ig.load(EXAMPLE / "model.onnx")
    whole = text(network.copy().calibrate(samples(0, 12), params))
    first = network.copy().calibrate(samples(0, 5), params)
    of_the_first = text(first)
    assert text(first.copy().calibrate(samples(5, 12), reset=False)) == whole
    assert text(first) == of_the_first != whole
    assert text(first.calibrate(samples(0, 12))) == whole


def test_channels_keep_the_units_of_the_first_data() -> None:
    network = ig.load(EXAMPLE / "model.onnx").calibrate(samples(0, 4), ig.default_quantization)
    before = network.quantize()
    after = network.calibrate(samples(4, 12), reset=False).quantize()
    image = next(samples(20, 21))
    assert before.float_module is not None and after.float_module is not None
    floats = [ig.Network(module).run(image)["logits"] for module in (before.float_module, after.float_module)]
    np.testing.assert_array_equal(*floats)
    assert str(before.module) != str(after.module)


def test_noise_analysis_knows_the_units_of_a_calibrated_network(tmp_path: Path) -> None:
    network = ig.load(EXAMPLE / "model.onnx").calibrate(samples(0, 16), ig.default_quantization)
    network.quantize().save(tmp_path / "model.mlir")
    loaded = QuantizedNetwork.load(tmp_path / "model.mlir")
    report = driver.noise_analysis()(network, loaded, list(samples(20, 22)))
    assert min(layer.accumulated.sqnr_db for layer in report.layers) > 20


def test_an_error_leaves_the_earlier_calibration() -> None:
    network = ig.load(EXAMPLE / "model.onnx").calibrate(samples(0, 4), PLAIN)
    before = text(network)
    with pytest.raises(UserError, match="other parameters"):
        network.calibrate(samples(4, 5), PLAIN.with_precision("a16w8"), reset=False)
    bad = {"input": np.full((1, 1, 28, 28), np.nan, np.float32)}
    with pytest.raises(UserError, match="NaN"):
        network.calibrate([next(samples(4, 5)), bad], reset=False)
    assert text(network) == before


def test_without_an_earlier_calibration_it_is_one() -> None:
    network = ig.load(EXAMPLE / "model.onnx")
    assert text(network.copy().calibrate(samples(0, 4), PLAIN, reset=False)) == text(
        network.calibrate(samples(0, 4), PLAIN)
    )
