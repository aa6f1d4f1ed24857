"""Searching in a network: evaluations are exact whatever was kept, and results do not depend on where they are made."""

from __future__ import annotations

import importlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intaglio.analysis.metrics import Statistic, metric
from intaglio.assignment import read_assignment
from intaglio.errors import UserError
from intaglio.interpreter.interpreter import Interpreter
from intaglio.network import load
from intaglio.params import default_quantization
from intaglio.precision import Precision
from intaglio.remarks import collecting
from intaglio.search import mixed_precision, workers
from intaglio.search.engine import SearchOptions
from intaglio.search.evaluations import Task
from intaglio.search.groups import quantizer_groups
from intaglio.search.mixed_precision import MixedPrecision, SearchSettings, calibrated, choose_precisions
from intaglio.search.report import page, summary, write_results
from intaglio.search.study import Study, gathered, quantize_as

PARAMS = default_quantization.with_channel_equalization(False)
CANDIDATES = (Precision.parse("a16w16"), Precision.parse("a8w8"))


@pytest.fixture(scope="module")
def study(tiny: Any) -> Study:
    network = load(tiny.model)
    return Study(
        calibrated(network, tiny.calibration, PARAMS),
        PARAMS,
        CANDIDATES,
        gathered(tiny.evaluation, network.inputs),
        gathered(tiny.calibration, network.inputs, most=8),
        metric("top1"),
        "top1",
    )


def found_in(tiny: Any, **settings: Any) -> MixedPrecision:
    network = load(tiny.model)
    together = replace(
        SearchSettings(candidates=CANDIDATES, allowed_drop=0.05, options=SearchOptions(drop_limit=8, swap_limit=2)),
        **settings,
    )
    return choose_precisions(network, tiny.calibration, tiny.evaluation, "top1", params=PARAMS, settings=together)


def test_evaluations_equal_those_of_a_network_quantized_for_the_purpose(study: Study) -> None:
    evaluator = study.evaluator()
    rng = np.random.default_rng(0)
    groups = len(quantizer_groups(study.module))
    for _ in range(6):
        choice = tuple(int(k) for k in rng.integers(0, 2, groups))
        module = evaluator.quantized(choice)
        interpreter = Interpreter(module)
        outputs = [interpreter.run("main", [sample])[0] for sample in study.data.feeds["input"]]
        assert study.data.labels is not None
        right = [output.argmax() == label for output, label in zip(outputs, study.data.labels, strict=True)]
        assert evaluator(Task("score", choice)).value == np.mean(right)


def test_what_is_known_is_not_computed_again(study: Study) -> None:
    evaluator = study.evaluator()
    groups = quantizer_groups(study.module)
    whole = groups.macs * len(study.data)
    narrow = (1,) * len(groups)
    assert evaluator(Task("score", narrow)).macs == whole
    assert evaluator(Task("score", narrow)).macs == 0
    last_wide = (*narrow[:-1], 0)
    # Only the head reads what is new; what it reads is stored wider by the layer before it, which is computed again.
    again = evaluator(Task("score", last_wide)).macs
    assert 0 < again <= len(study.data) * (groups.groups[-1].macs + groups.groups[-2].macs)


def test_an_evaluation_stops_as_soon_as_the_score_is_out_of_reach(study: Study, monkeypatch: Any) -> None:
    monkeypatch.setattr("intaglio.search.network._PART", 10)
    evaluator = study.evaluator()
    narrow = (1,) * len(quantizer_groups(study.module))
    exact = evaluator(Task("score", narrow))
    assert not exact.is_bound and exact.value < 1
    bound = study.evaluator()(Task("score", narrow, at_least=1.0))
    assert bound.is_bound and exact.value <= bound.value < 1 and bound.macs < exact.macs
    reached = study.evaluator()(Task("score", narrow, at_least=exact.value))
    assert (reached.value, reached.is_bound) == (exact.value, False)


def test_samples_that_are_close_to_scoring_worse_come_first(study: Study, monkeypatch: Any) -> None:
    monkeypatch.setattr("intaglio.search.network._PART", 10)
    narrow = (1,) * len(quantizer_groups(study.module))
    in_order = replace(study, criterion=replace(study.criterion, margin=None))
    exact = study.evaluator()(Task("score", narrow))
    assert exact == in_order.evaluator()(Task("score", narrow))
    # Stopped after the samples that are missed: they are few, and stand anywhere in the data.
    target = exact.value + 1 / len(study.data)
    first, later = (each.evaluator()(Task("score", narrow, at_least=target)) for each in (study, in_order))
    assert first.is_bound and first.macs < later.macs


def test_noise_is_that_of_the_outputs_relative_to_their_power(study: Study) -> None:
    evaluator = study.evaluator()
    narrow = (1,) * len(quantizer_groups(study.module))
    module = evaluator.quantized(narrow)
    quantized, floats = Interpreter(module), Interpreter(study.module)
    pairs = [(quantized.run("main", [x])[0], floats.run("main", [x])[0]) for x in study.analysis_data.feeds["input"]]
    noise = sum(float(np.square(np.float64(a) - b).sum()) for a, b in pairs)
    power = sum(float(np.square(np.float64(b)).sum()) for _, b in pairs)
    assert evaluator(Task("noise", narrow)).value == pytest.approx(noise / power, rel=1e-4)


def test_the_float_network_has_its_own_score(study: Study) -> None:
    assert study.evaluator().float_score() == 1.0


def test_a_search_finds_an_assignment_that_meets_the_target(tiny: Any, tmp_path: Path) -> None:
    found = found_in(tiny, results_dir=tmp_path)
    assert found.target == 0.95 and found.best.score >= 0.95
    assert {layer.precision for layer in found.layers()} == set(CANDIDATES)
    assert found.relative_bitops() < 1
    assert found.network is not None
    assert found.network.evaluate(tiny.evaluation, "top1") == found.best.score
    files = {path.name for path in write_results(found, tmp_path)}
    texts = {"assignment.json", "pareto.csv", "pareto.json", "report.html", "sensitivity.csv"}
    assert files == {*texts, "pareto.png", "sensitivity.png"}
    for name in ("pareto.png", "sensitivity.png"):
        picture = (tmp_path / name).read_bytes()
        assert picture.startswith(b"\x89PNG") and len(picture) > 5000
    nodes = read_assignment(tmp_path / "assignment.json")
    network = load(tiny.model)
    again = network.quantize(tiny.calibration, PARAMS.with_custom_quantization_configs(nodes.nodes))
    assert nodes.default == CANDIDATES[1]
    assert again.evaluate(tiny.evaluation, "top1") == found.best.score
    text = page(found)
    assert "http" not in text and text.count("<circle") == len(found.result.points)
    assert json.loads(json.dumps(summary(found)))["best"]["score"] == found.best.score


def test_without_matplotlib_there_are_no_pictures_and_a_remark(tiny: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("intaglio.search.report.can_draw", lambda: False)
    found = found_in(tiny, results_dir=tmp_path)
    with collecting() as remarks:
        files = {path.suffix for path in write_results(found, tmp_path)}
    assert ".png" not in files and ".html" in files
    assert [remark.message for remark in remarks] == [
        'pareto.png and sensitivity.png need Matplotlib: pip install "intaglio[plot]"'
    ]


def test_a_search_that_is_repeated_evaluates_nothing(tiny: Any, tmp_path: Path) -> None:
    first = found_in(tiny, results_dir=tmp_path)
    second = found_in(tiny, results_dir=tmp_path)
    assert (second.best, second.result.front) == (first.best, first.result.front)
    assert not any(second.evaluations.values())
    # A change of what the results depend on starts a journal of its own.
    third = found_in(tiny, results_dir=tmp_path, candidates=(*CANDIDATES, Precision.parse("a16w8")))
    assert third.resumed == 0 and len(list(tmp_path.glob("evaluations-*.jsonl"))) == 2


def test_processes_give_the_same_result(tiny: Any, tmp_path: Path) -> None:
    here = found_in(tiny)
    there = found_in(tiny, executor="processes:2", results_dir=tmp_path)
    assert (there.best, there.result.front) == (here.best, here.result.front)
    assert there.full_evaluations >= here.full_evaluations  # caches are each process's own


def test_a_worker_that_dies_is_replaced(tiny: Any, tmp_path: Path) -> None:
    executor = workers.ProcessExecutor(2)
    killed: list[int] = []

    def kill(event: Any) -> None:
        if event.evaluations >= 3 and not killed:
            killed.extend(executor.process_ids[:1])
            os.kill(killed[0], signal.SIGKILL)

    try:
        found = found_in(tiny, executor=executor, results_dir=tmp_path, watch=kill)
    finally:
        executor.shutdown()
    assert killed
    here = found_in(tiny)
    assert (found.best, found.result.front) == (here.best, here.result.front)


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_result_and_survives_a_worker(tiny: Any, tmp_path: Path) -> None:
    distributed: Any = importlib.import_module("distributed")
    here = found_in(tiny)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        address = cluster.scheduler_address.removeprefix("tcp://")
        there = found_in(tiny, executor=f"dask://{address}", results_dir=tmp_path / "whole")
        assert (there.best, there.result.front) == (here.best, here.result.front)
        killed: list[int] = []

        def kill(event: Any) -> None:
            if event.evaluations >= 3 and not killed:
                killed.append(next(iter(cluster.workers.values())).pid)
                os.kill(killed[0], signal.SIGKILL)

        survived = found_in(tiny, executor=f"dask://{address}", results_dir=tmp_path / "killed", watch=kill)
        assert killed and (survived.best, survived.result.front) == (here.best, here.result.front)


KILLED = """
import sys
sys.path.insert(0, {root!r})
from intaglio.tools.cli import run_cli
sys.exit(run_cli({arguments!r}))
"""


@pytest.mark.slow
def test_a_search_killed_at_random_moments_ends_as_if_it_had_not_been(tiny: Any, tmp_path: Path) -> None:
    def arguments(folder: Path) -> list[str]:
        options = {"--calibration": tiny.calibration, "--data": tiny.evaluation, "--results-dir": folder}
        flat = [str(part) for pair in options.items() for part in pair]
        return ["search", str(tiny.model), "--drop", "0.05", "--candidates", "a16w16,a8w8", *flat, "--json"]

    def run(folder: Path, seconds: float | None) -> dict[str, Any] | None:
        code = KILLED.format(root=str(Path(mixed_precision.__file__).parents[2]), arguments=arguments(folder))
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        timer = None if seconds is None else threading.Timer(seconds, process.kill)
        if timer is not None:
            timer.start()
        output, _ = process.communicate()
        if timer is not None:
            timer.cancel()
        return json.loads(output) if process.returncode == 0 else None

    start = time.monotonic()
    whole = run(tmp_path / "whole", None)
    duration = time.monotonic() - start
    assert whole is not None
    rng = np.random.default_rng(20)
    finished = None
    recorded: set[bytes] = set()
    for moment in rng.uniform(0.3, 1.0, 20) * duration:
        finished = run(tmp_path / "killed", float(moment))
        journals = list((tmp_path / "killed").glob("evaluations-*.jsonl"))
        lines = [line for path in journals for line in path.read_bytes().splitlines()]
        assert len(lines) == len(set(lines)), "an evaluation was repeated"
        assert recorded <= set(lines), "an evaluation was forgotten"
        recorded = {line for line in lines if line.endswith(b"}")}
    finished = finished or run(tmp_path / "killed", None)
    assert finished is not None
    assert (finished["best"], finished["pareto"]) == (whole["best"], whole["pareto"])


def test_searching_in_a_quantized_network_is_refused(tiny: Any) -> None:
    network = load(tiny.model)
    network.module = calibrated(network, tiny.calibration, PARAMS)
    quantize_as(network.module, PARAMS)
    with pytest.raises(UserError, match="came quantized"):
        calibrated(network, tiny.calibration, PARAMS)


def test_a_drop_from_an_infinite_score_is_refused(tiny: Any) -> None:
    with pytest.raises(UserError, match="the float network scores inf"):
        choose_precisions(
            load(tiny.model),
            tiny.calibration,
            tiny.evaluation,
            "snr",
            params=PARAMS,
            settings=SearchSettings(candidates=CANDIDATES, allowed_drop=1.0),
        )


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (KeyError("boxes"), "metric own failed: KeyError: 'boxes'"),
        (math.nan, "score of an evaluation is not a number"),
        (np.array([0.5, 0.5]), "metric own failed: TypeError"),
    ],
)
def test_a_metric_that_fails_leaves_what_is_known(failure: Any, message: str, tiny: Any, tmp_path: Path) -> None:
    finished = [0, 99]

    def finish(state: list[bool]) -> Any:
        finished[0] += 1
        if finished[0] != finished[1]:
            return float(np.mean(state))
        if isinstance(failure, Exception):
            raise failure
        return failure

    def update(state: list[bool], outputs: Any, truth: Any) -> list[bool]:
        return [*state, bool(outputs[0].argmax() == truth.label)]

    own = Statistic("own", list[bool], update, finish, needs_label=True)

    def run(folder: Path) -> MixedPrecision:
        settings = SearchSettings(candidates=CANDIDATES, allowed_drop=0.05, results_dir=folder)
        return choose_precisions(
            load(tiny.model), tiny.calibration, tiny.evaluation, own, params=PARAMS, settings=settings
        )

    whole = run(tmp_path / "whole")
    finished[:] = [0, 4]
    with pytest.raises(UserError, match=message):
        run(tmp_path / "failed")
    finished[:] = [0, 99]
    again = run(tmp_path / "failed")
    assert (again.best, again.result.front) == (whole.best, whole.result.front)
    # The float network and two choices were known.
    assert again.evaluations["score"] == whole.evaluations["score"] - 2 and again.evaluations["noise"] == 0


def test_a_target_above_the_float_score_is_an_error_and_what_is_known_is_kept(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"target 1.01 cannot be reached: the widest precisions \(a16w16\) score"):
        found_in(tiny, results_dir=tmp_path, allowed_drop=-0.01)
    (journal,) = tmp_path.glob("evaluations-*.jsonl")
    assert [json.loads(line)["kind"] for line in journal.read_text().splitlines()[1:]] == ["float", "score", "score"]


def test_no_candidates_are_an_error(tiny: Any) -> None:
    with pytest.raises(UserError, match="there are no candidates to choose from"):
        found_in(tiny, candidates=())


def test_a_time_budget_ends_it_with_the_best_so_far(tiny: Any, tmp_path: Path) -> None:
    found = found_in(tiny, results_dir=tmp_path, time_budget=0.0)
    assert (found.result.stopped, found.result.best, found.network) == ("time budget", None, None)
    with pytest.raises(UserError, match="before the search ended"):
        _ = found.best


def test_data_with_wrong_names_is_refused(tiny: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "wrong.npz", image=np.zeros((2, 1, 6, 6), np.float32))
    with pytest.raises(UserError, match="image"):
        choose_precisions(load(tiny.model), tiny.calibration, tmp_path / "wrong.npz", "top1", params=PARAMS)
    with pytest.raises(UserError, match="image"):
        choose_precisions(load(tiny.model), tmp_path / "wrong.npz", tiny.evaluation, "top1", params=PARAMS)
    with pytest.raises(UserError, match="image"):
        choose_precisions(
            load(tiny.model),
            tiny.calibration,
            tiny.evaluation,
            "top1",
            params=PARAMS,
            analysis_data=tmp_path / "wrong.npz",
        )


def test_workers_need_a_metric_that_they_can_look_up(tiny: Any, tmp_path: Path) -> None:
    from intaglio.analysis.metrics import mean

    own = mean(lambda outputs, truth: 1.0, "own")
    network = load(tiny.model)
    settings = SearchSettings(candidates=CANDIDATES, executor="processes:1", results_dir=tmp_path)
    with pytest.raises(UserError, match="workers cannot look the metric 'own' up"):
        choose_precisions(network, tiny.calibration, tiny.evaluation, own, params=PARAMS, settings=settings)


@pytest.mark.parametrize("name", ["threads", "processes:0", "processes:x"])
def test_executors_that_do_not_exist_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="there is no executor"), workers.workers(name):
        pass


def test_a_scheduler_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(UserError, match="no Dask scheduler answers"), workers.workers("dask://127.0.0.1:9"):
        pass


@pytest.mark.parametrize("damage", [b"", b"no archive", None], ids=["empty", "text", "cut"])
def test_damaged_data_of_a_stored_study_is_one_message(study: Study, tmp_path: Path, damage: bytes | None) -> None:
    stored = study.store(tmp_path, "0" * 32)
    data = tmp_path / f"{stored.stem}-data.npz"
    data.write_bytes(data.read_bytes()[:200] if damage is None else damage)
    with pytest.raises(UserError) as raised:
        stored.evaluator()
    assert str(data) in str(raised.value)
