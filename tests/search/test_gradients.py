"""Sensitivity from gradients: the Fisher information in place of phase 1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intaglio.errors import UserError
from intaglio.network import load
from intaglio.params import default_quantization
from intaglio.precision import Precision
from intaglio.search.costs import bit_operation_problem
from intaglio.search.engine import SearchOptions
from intaglio.search.gradients import fisher_sensitivities, read_gradients
from intaglio.search.groups import quantizer_groups
from intaglio.search.mixed_precision import SearchSettings, calibrated, choose_precisions
from intaglio.search.study import gathered

PARAMS = default_quantization.with_channel_equalization(False)
CANDIDATES = (Precision.parse("a16w16"), Precision.parse("a16w8"), Precision.parse("a8w8"))
LAYERS = ("stem", "depthwise", "mix", "head")
TENSORS = ("input", "relu", "depthwise", "relu2", *(f"{name}:weight" for name in LAYERS))


def sensitivities(tiny: Any, gradients: dict[str, float]) -> dict[str, np.ndarray]:
    network = load(tiny.model)
    module = calibrated(network, tiny.calibration, PARAMS)
    groups = quantizer_groups(module)
    data = gathered(tiny.calibration, network.inputs, most=8)
    found = fisher_sensitivities(module, bit_operation_problem(groups, CANDIDATES), data, gradients, False)
    return {name: row for group, row in zip(groups.groups, found, strict=True) for name in group.names}


def test_only_tensors_with_a_gradient_count(tiny: Any) -> None:
    found = sensitivities(tiny, {**dict.fromkeys(TENSORS, 0.0), "mix:weight": 2.0})
    # Weights of 8 bits are the same whatever the activations are.
    assert found["mix"][0] == 0 and found["mix"][1] == pytest.approx(found["mix"][2]) and found["mix"][1] > 0
    assert all(not row.any() for name, row in found.items() if name not in ("mix", "relu2"))
    found = sensitivities(tiny, {**dict.fromkeys(TENSORS, 0.0), "depthwise": 2.0})
    assert found["mix"][2] > found["mix"][1] == 0


def test_it_is_the_noise_times_half_the_gradient(tiny: Any) -> None:
    found = sensitivities(tiny, {**dict.fromkeys(TENSORS, 0.0), "input": 3.0})["stem"]
    with np.load(tiny.calibration) as file:
        low, high = min(float(file["input"].min()), 0.0), float(file["input"].max())
        count = file["input"][0].size
    # Rounding errors are uniform within a step.
    assert found[2] == pytest.approx(3.0 / 2 * count * ((high - low) / 255) ** 2 / 12, rel=0.2)


def test_a_search_takes_them_without_evaluating_phase_one(tiny: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "gradients.npz", **{name: np.ones(3, np.float32) for name in TENSORS})
    settings = SearchSettings(
        candidates=CANDIDATES,
        allowed_drop=0.05,
        gradients=tmp_path / "gradients.npz",
        options=SearchOptions(drop_limit=8, swap_limit=2),
    )
    found = choose_precisions(
        load(tiny.model), tiny.calibration, tiny.evaluation, "top1", params=PARAMS, settings=settings
    )
    assert found.best.score >= 0.95 and found.relative_bitops() < 1
    assert found.evaluations["noise"] == 0 and found.evaluations["score"] > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"relu": None}, "there is no gradient of 'relu'"),
        ({"relu": None, "mix:weight": None}, "of 'relu' and of 1 other tensors"),
        ({"rely": 1.0}, "the network has no tensor 'rely'"),
    ],
)
def test_names_that_do_not_fit_are_refused(change: dict[str, float | None], message: str, tiny: Any) -> None:
    entries = {**dict.fromkeys(TENSORS, 1.0), **change}
    with pytest.raises(UserError, match=message):
        sensitivities(tiny, {name: value for name, value in entries.items() if value is not None})


@pytest.mark.parametrize("value", [np.array([1.0, -1.0]), np.array(np.nan), np.array([]), np.array("text")])
def test_entries_that_are_no_mean_squares_are_refused(value: np.ndarray) -> None:
    with pytest.raises(UserError, match="the entry 'mix' is no mean square"):
        read_gradients({"mix": value})


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(UserError, match="cannot read the gradients"):
        read_gradients(tmp_path / "text.npz")
    with pytest.raises(UserError, match="cannot read the gradients"):
        read_gradients(tmp_path / "none.npz")
