"""AIMET's `choose_mixed_precision`."""

from __future__ import annotations

import enum
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
        {"amp_search_algo": AMPSearchAlgo.Interpolation},
        {"amp_search_algo": AMPSearchAlgo.BruteForce},
        {"amp_search_algo": AMPSearchAlgo.Exact},
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
    with pytest.raises(UserError, match="fp16 is not supported: the only 16-bit float is bfloat16"):
        chosen(tiny, tmp_path, candidates=[((16, "fp16"), (16, "fp16")), CANDIDATES[1]])


def test_candidates_are_those_of_aimet() -> None:
    kind = enum.Enum("QuantizationDataType", "undefined int float")
    assert Precision.of_candidate(((16, kind.int), (8, kind.int))) == Precision.parse("a16w8")  # type: ignore[arg-type]
    for name in ("float", "bf16"):
        assert Precision.of_candidate(((16, name), (16, name))).is_bfloat16
    for candidate in [((16, "int"), (16, "bf16")), ((8, "float"), (8, "float")), ((16, "bf16"), (8, "bf16"))]:
        with pytest.raises(UserError, match="there is no precision for the candidate"):
            Precision.of_candidate(candidate)


def test_what_the_target_does_not_support_is_left_out_unless_all_candidates_are_asked_for(
    tiny: Any, tmp_path: Path
) -> None:
    candidates = [((16, "bf16"), (16, "bf16")), ((8, "int"), (8, "int"))]
    left, _, _ = chosen(tiny, tmp_path / "left", None, target="gen1", candidates=candidates)
    taken, _, _ = chosen(
        tiny, tmp_path / "all", None, target="gen1", candidates=candidates, use_all_amp_candidates=True
    )
    assert left is not None and taken is not None
    assert {precision.is_integer for point in left for precision in point.candidates} == {True}
    assert {precision.is_integer for point in taken for precision in point.candidates} == {True, False}
    with pytest.raises(UserError, match="no candidate is supported for stem"):
        chosen(tiny, tmp_path / "none", None, target="gen1", candidates=candidates[:1])


def test_a_callback_that_raises_leaves_what_is_known(tiny: Any, tmp_path: Path) -> None:
    accuracy = Counting(tiny)

    def failing(model: QuantizedNetwork, count: int) -> float:
        if accuracy.calls == 3:
            raise RuntimeError("the camera is gone")
        return accuracy(model, count)

    def run(phase1: Any) -> Any:
        callback = CallbackFunc(accuracy, None)
        return choose_mixed_precision(
            load(tiny.model), tiny.calibration, CANDIDATES, phase1, callback, 0.05, tmp_path, False, params=PARAMS
        )

    with pytest.raises(UserError, match="evaluation callback 'failing' failed: RuntimeError: the camera is gone"):
        run(CallbackFunc(failing, 24))
    known = accuracy.calls
    (journal,) = tmp_path.glob("evaluations-*.jsonl")
    assert len(journal.read_text().splitlines()) == known + 1
    with pytest.raises(UserError, match="returned 'good', not a number"):
        run(CallbackFunc(lambda model, count: "good", 24))


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
