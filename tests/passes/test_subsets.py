"""Watching subsets of feature maps: which values are picked, and that the network is the same."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from intaglio.errors import UserError
from intaglio.frontend.nn_exporter import export_float
from intaglio.ir.parsing import parse_module
from intaglio.params import HistogramMSEMethod, MinMaxMethod
from intaglio.passes.calibration.calibrate import record_ranges
from intaglio.passes.calibration.float_graph import FloatGraph
from intaglio.passes.calibration.histogram import COUNTED_VALUES
from intaglio.passes.calibration.observers import observers_of
from intaglio.passes.calibration.subsets import watch_subsets

NETWORK = """
!map = tensor<2x30x40x6xf32>
func.func @main(%x: tensor<2x6x30x40xf32> {onnx.name = "x"}) -> (tensor<2x6x30x40xf32> {onnx.name = "y"}) {
  %t = nn.transpose %x permutation [0, 2, 3, 1] : (tensor<2x6x30x40xf32>) -> !map
  %0 = quant.observe %t {method = "mse"} : !map
  %w = nn.constant dense<0.5> : tensor<6x1x1x1xf32>
  %a = nn.conv2d %0, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 6 : (!map, tensor<6x1x1x1xf32>) -> !map
  %1 = quant.observe %a {method = "mse"} : !map
  %b = nn.conv2d %1, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 6 : (!map, tensor<6x1x1x1xf32>) -> !map
  %r = nn.transpose %b permutation [0, 3, 1, 2] : (!map) -> tensor<2x6x30x40xf32>
  func.return %r : tensor<2x6x30x40xf32>
}
"""


def random_input() -> np.ndarray:
    return np.random.default_rng(4).normal(size=(2, 6, 30, 40)).astype(np.float32)


@pytest.mark.parametrize(
    ("most", "stride"), [(7200, 1), (7199, 3), (840, 3), (839, 5), (288, 5), (287, 7), (6, 41), (5, 1), (None, 1)]
)
def test_every_channel_of_every_stride_th_place_is_returned(most: int | None, stride: int):
    module = parse_module(NETWORK)
    values = [op.input for op in observers_of(module).values()]
    x = random_input()
    results, watched = FloatGraph(module, values, [most, most]).run({"x": x})
    nhwc = x.transpose(0, 2, 3, 1)
    assert np.array_equal(results[0], x / 4)
    assert np.array_equal(watched[0], nhwc[:, ::stride, ::stride])
    assert np.array_equal(watched[1], nhwc[:, ::stride, ::stride] / 2)


def test_unneeded_transposes_are_gone_and_the_pools_stand_behind_their_source():
    module = parse_module(NETWORK)
    value = list(observers_of(module).values())[1].input
    model, names = export_float(module, extra_outputs=[value])
    replaced = watch_subsets(model, {names[value]: 100})
    assert list(replaced) == [names[value]]
    onnx.checker.check_model(model, full_check=True)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.index("MaxPool") == kinds.index("Conv") + 1
    assert names[value] not in {name for node in model.graph.node for name in node.output}


def test_results_of_the_network_are_never_cut():
    text = """
    func.func @main(%x: tensor<1x8x8x2xf32> {onnx.name = "x"}) -> tensor<1x8x8x2xf32> {
      %w = nn.constant dense<0.5> : tensor<2x1x1x1xf32>
      %a = nn.conv2d %x, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 2
        : (tensor<1x8x8x2xf32>, tensor<2x1x1x1xf32>) -> tensor<1x8x8x2xf32>
      func.return %a : tensor<1x8x8x2xf32>
    }
    """
    module = parse_module(text)
    value = module.body.block.first_op.body.block.last_op.operands[0]  # type: ignore[union-attr]
    x = np.ones((1, 8, 8, 2), np.float32)
    results, watched = FloatGraph(module, [value], [4]).run({"x": x})
    assert np.array_equal(results[0], x / 2)
    assert np.array_equal(watched[0], x / 2)


def test_min_max_sees_what_a_histogram_passes_over():
    """A single outlier at a place that no stride of an 80x80 map with more values than are counted meets."""
    text = NETWORK.replace("30x40", "80x80").replace("tensor<2x", "tensor<1x")
    image = np.zeros((1, 6, 80, 80), np.float32)
    image[0, :, ::7, ::7] = 1.0
    image[0, 2, 1, 1] = 50.0
    assert image.size > COUNTED_VALUES
    highest = {}
    for method in (MinMaxMethod(), HistogramMSEMethod()):
        module = parse_module(text)
        record_ranges(module, [{"x": image}], method=method)
        highest[method] = next(iter(observers_of(module).values())).calibrated_range
    assert highest[MinMaxMethod()] == (0.0, 50.0)
    assert highest[HistogramMSEMethod()] == (0.0, pytest.approx(1.0, rel=0.01))


def test_what_is_not_finite_is_found_at_the_results():
    text = NETWORK.replace("30x40", "80x80").replace("tensor<2x", "tensor<1x").replace("dense<0.5>", "dense<3.0>")
    image = np.zeros((1, 6, 80, 80), np.float32)
    image[0, 2, 1, 1] = 3e38
    with pytest.raises(UserError, match="sample 0 makes values of the result 'y' NaN or infinite"):
        record_ranges(parse_module(text), [{"x": image}], method=HistogramMSEMethod())
