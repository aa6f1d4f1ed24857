"""Statistics of channels: those of all values, whatever the division of the data; in the text and in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from intaglio.calibration_methods import MinMaxMethod
from intaglio.dialects.quant import ObserveOp
from intaglio.errors import UserError
from intaglio.ir.parsing import parse_module, read_module
from intaglio.ir.printing import write_module
from intaglio.passes.calibration.calibrate import record_ranges
from intaglio.passes.calibration.channels import ChannelStatistics, ChannelValues, channel_values
from intaglio.passes.calibration.collection import NetworkStatistics

FIELDS = ("means", "mean_squares", "minima", "maxima")


def observed(channels: int) -> ModuleOp:
    kind = f"tensor<1x3x{channels}xf32>"
    return parse_module(
        f'func.func @main(%x: {kind} {{onnx.name = "x"}}) -> ({kind} {{onnx.name = "y"}}) {{\n'
        f'  %o = quant.observe %x {{method = "mse"}} : {kind}\n'
        f"  %y = nn.relu %o : ({kind}) -> {kind}\n"
        f"  func.return %y : {kind}\n}}"
    )


def found_in(module: ModuleOp) -> ChannelValues:
    (observer,) = (op for op in module.walk() if isinstance(op, ObserveOp))
    found = channel_values(observer)
    assert found is not None
    return found


@pytest.mark.parametrize("channels", [1, 7, 150])
def test_channels_are_those_of_all_values(tmp_path: Path, channels: int):
    data = np.random.default_rng(3).normal(1, 2, (40, 1, 3, channels)).astype(np.float32)
    module = observed(channels)
    record_ranges(module, [{"x": sample} for sample in data], channels=True)
    write_module(module, tmp_path / "m.mlir")
    found, flat = found_in(read_module(tmp_path / "m.mlir")), data.reshape(-1, channels).astype(np.float64)
    np.testing.assert_allclose(found.means, flat.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.mean_squares, (flat**2).mean(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(found.minima, flat.min(axis=0))
    np.testing.assert_array_equal(found.maxima, flat.max(axis=0))


def test_parts_merge_into_the_whole(tmp_path: Path):
    data = np.random.default_rng(4).normal(size=(5, 2, 3)).astype(np.float32)
    whole = NetworkStatistics({"t": MinMaxMethod()}, channels=True)
    parts = [NetworkStatistics({"t": MinMaxMethod()}, channels=True) for _ in range(2)]
    for index, sample in enumerate(data):
        whole.update([sample])
        parts[index % 2].update([sample])
    parts[1].save(tmp_path / "part")
    parts[0].merge(NetworkStatistics.load(tmp_path / "part"))
    one, other = whole.channels["t"].values(), parts[0].channels["t"].values()
    assert one is not None and other is not None
    for name in FIELDS:
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-12)


def test_negative_parts_without_channels_do_not_merge():
    whole = NetworkStatistics({"t": MinMaxMethod()}, channels=True)
    with pytest.raises(UserError, match="only one of the parts has statistics of channels"):
        whole.merge(NetworkStatistics({"t": MinMaxMethod()}))


def test_division_by_factors():
    values = ChannelValues(*(np.array(pair) for pair in ([1.0, -4.0], [2.0, 20.0], [-1.0, -8.0], [3.0, 2.0])))
    halves = values.divided(np.array([0.5, 2.0]))
    assert halves.means.tolist() == [2.0, -2.0] and halves.mean_squares.tolist() == [8.0, 5.0]
    assert halves.minima.tolist() == [-2.0, -4.0] and halves.maxima.tolist() == [6.0, 1.0]
    assert halves.magnitudes.tolist() == [6.0, 4.0]


def test_calibrating_without_channels_removes_them():
    module = observed(2)
    sample = {"x": np.ones((1, 3, 2), np.float32)}
    record_ranges(module, [sample], channels=True)
    record_ranges(module, [sample])
    (observer,) = (op for op in module.walk() if isinstance(op, ObserveOp))
    assert channel_values(observer) is None and observer.calibrated_range == (1.0, 1.0)


def test_negative_damaged_state():
    with pytest.raises(ValueError, match="missing or of another kind"):
        ChannelStatistics().restore({"channel_count": np.array([1]), "channel_sums": np.zeros((3, 2))})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_negative_a_value_that_is_no_number_changes_nothing(bad: float):
    good = np.arange(6, dtype=np.float32).reshape(1, 3, 2)
    statistics = NetworkStatistics({"t": MinMaxMethod()}, channels=True)
    statistics.update([good])
    with pytest.raises(UserError, match=r"makes values of 't' (NaN|infinite)"):
        statistics.update([np.where(good == 3, np.float32(bad), good)])
    found = statistics.channels["t"].values()
    assert found is not None and found.maxima.tolist() == [4.0, 5.0]
    assert statistics.ranges() == {"t": (0.0, 5.0)}
