"""AIMET's `choose_mixed_precision`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intaglio.errors import UserError
from intaglio.network import Network, QuantizedNetwork, load
from intaglio.params import default_quantization
from intaglio.precision import Precision
from intaglio.search.aimet import AMPSearchAlgo, CallbackFunc, ParetoPoint, choose_mixed_precision

CANDIDATES = [((16, "int"), (16, "int")), ((8, "int"), (8, "int"))]
PARAMS = default_quantization.with_channel_equalization(False)


class Counting:
    """An accuracy on the first samples, and how often it was asked for."""

    def __init__(self, tiny: Any) -> None:
        with np.load(tiny.evaluation) as file:
            self.inputs, self.labels = file["input"], file["label"]
        self.calls = 0

    def __call__(self, model: QuantizedNetwork, count: int | None) -> float:
        self.calls += 1
        pairs = zip(self.inputs[:count], self.labels[:count], strict=True)
        return float(np.mean([model.run({"input": x[None]})["logits"].argmax() == label for x, label in pairs]))


def chosen(
    tiny: Any, folder: Path, drop: float | None = 0.05, **options: Any
) -> tuple[list[ParetoPoint] | None, Network, Counting]:
    network, accuracy = load(tiny.model), Counting(tiny)
    settings: dict[str, Any] = {"candidates": CANDIDATES, "clean_start": False, "params": PARAMS, **options}
    front = choose_mixed_precision(
        network,
        tiny.calibration,
        eval_callback_for_phase1=CallbackFunc(accuracy, 24),
        eval_callback_for_phase2=CallbackFunc(accuracy, None),
        allowed_accuracy_drop=drop,
        results_dir=folder,
        **settings,
    )
    return front, network, accuracy


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"amp_search_algo": AMPSearchAlgo.INTERPOLATION},
        {"amp_search_algo": AMPSearchAlgo.BRUTE_FORCE},
        {"amp_search_algo": AMPSearchAlgo.EXACT},
        {"phase2_reverse": True, "phase1_optimize": False},
    ],
)
def test_the_network_is_left_with_what_was_chosen(options: dict[str, Any], tiny: Any, tmp_path: Path) -> None:
    front, network, accuracy = chosen(tiny, tmp_path, **options)
    assert front is not None and front[-1].eval_score >= 0.95
    assert [point.relative_bitops for point in front] == sorted(point.relative_bitops for point in front)
    quantized = network.quantize(tiny.calibration)
    assert accuracy(quantized, None) >= 0.95
    listed = json.loads((tmp_path / "pareto_list.json").read_text())
    assert [entry["eval_score"] for entry in listed] == [point.eval_score for point in front]
    assert {entry["candidate"] for entry in json.loads((tmp_path / "accuracy_list.json").read_text())} == {
        "a16w16",
        "a8w8",
    }


def test_what_is_known_is_used_again(tiny: Any, tmp_path: Path) -> None:
    first, _, _ = chosen(tiny, tmp_path)
    again, _, accuracy = chosen(tiny, tmp_path)
    assert accuracy.calls == 0
    assert again == first
    _, _, anew = chosen(tiny, tmp_path, clean_start=True)
    assert anew.calls > 0


def test_without_a_drop_the_whole_curve_is_given_and_the_network_left_alone(tiny: Any, tmp_path: Path) -> None:
    front, network, _ = chosen(tiny, tmp_path, drop=None)
    assert front is not None and front[0].relative_bitops == 0.25
    assert not network.recorded_params.custom_quantization_configs


def test_none_when_the_most_exact_candidate_misses_the_target(tiny: Any, tmp_path: Path) -> None:
    front, _, _ = chosen(tiny, tmp_path, drop=-1.0)
    assert front is None


def test_candidates_that_do_not_exist_are_refused(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no candidates"):
        chosen(tiny, tmp_path, candidates=[])
    with pytest.raises(UserError, match="a7w8"):
        chosen(tiny, tmp_path, candidates=[((7, "int"), (8, "int"))])
    with pytest.raises(UserError, match="given twice"):
        chosen(tiny, tmp_path, candidates=[CANDIDATES[0], CANDIDATES[0]])
    assert Precision.of_candidate(((16, "float"), (16, "float"))).is_bfloat16


def test_a_callback_whose_result_is_not_a_number_is_an_error(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a number"):
        choose_mixed_precision(
            load(tiny.model),
            tiny.calibration,
            CANDIDATES,
            CallbackFunc(lambda model, count: float("nan")),
            CallbackFunc(lambda model, count: float("nan")),
            None,
            tmp_path,
            clean_start=True,
        )
