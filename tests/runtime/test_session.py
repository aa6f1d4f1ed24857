"""Running packages: against the interpreter, from several threads, and with inputs that do not fit."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from intaglio.compiler import run_phase
from intaglio.errors import UserError
from intaglio.interpreter.interpreter import Interpreter
from intaglio.ir.parsing import parse_module
from intaglio.phases import PHASES, CompileOptions
from intaglio.runtime.package import package_bytes, read_package
from intaglio.runtime.packaging import package_of
from intaglio.runtime.session import Session

Array = np.ndarray[Any, np.dtype[Any]]

# A layer for the accelerator between two halves of the host, and one more layer after the softmax.
MODULE = """
!a = !quant.uniform<i8:f32, 0.05:3>
!b = !quant.uniform<i8:f32, 0.11:-20>
!w = !quant.uniform<i8<-127:127>:f32, 0.02>
func.func @main(%x: tensor<1x4x6x8xf32> {onnx.name = "images:0"}) -> (tensor<1x6x8x4xf32> {onnx.name = "scores/0"}) {
  %t = nn.transpose %x permutation [0, 2, 3, 1] : (tensor<1x4x6x8xf32>) -> tensor<1x6x8x4xf32>
  %q = quant.qcast %t : tensor<1x6x8x4xf32> to tensor<1x6x8x4x!a>
  %w = nn.constant dense<WEIGHTS> : tensor<4x1x1x4xi8> as tensor<4x1x1x4x!w>
  %c = nn.conv2d %q, %w strides [1, 1] pads [0, 0, 0, 0] dilations [1, 1] groups 1
    : (tensor<1x6x8x4x!a>, tensor<4x1x1x4x!w>) -> tensor<1x6x8x4x!b> loc("conv")
  %d = quant.dcast %c : tensor<1x6x8x4x!b> to tensor<1x6x8x4xf32>
  %s = nn.softmax %d axis 3 : (tensor<1x6x8x4xf32>) -> tensor<1x6x8x4xf32> loc("softmax")
  %e = quant.qcast %s : tensor<1x6x8x4xf32> to tensor<1x6x8x4x!a>
  %r = nn.relu %e : (tensor<1x6x8x4x!a>) -> tensor<1x6x8x4x!b> loc("relu")
  %y = quant.dcast %r : tensor<1x6x8x4x!b> to tensor<1x6x8x4xf32>
  func.return %y : tensor<1x6x8x4xf32>
}
"""


@cache
def compiled(seed: int = 3, target: str = "gen1") -> tuple[ModuleOp, Session]:
    weights = np.random.default_rng(seed).integers(-127, 128, (4, 1, 1, 4)).tolist()
    module = parse_module(MODULE.replace("WEIGHTS", str(weights)))
    reference = module.clone()
    for phase in PHASES:
        if phase.name in ("partition", "npu", "isa"):
            # The host would take less for layers as small as these than for launching them.
            choices = {} if target == "host" else {"*": "accelerator"}
            run_phase(module, phase, CompileOptions(target=target, index_to_backend=choices))
    return reference, Session(package_of(module))


def image(seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(1, 4, 6, 8)).astype(np.float32)


@pytest.mark.parametrize("target", ["gen1", "gen1-d16", "host"])
def test_a_package_computes_what_the_interpreter_does(target: str) -> None:
    module, session = compiled(target=target)
    assert len(session.programs) == (0 if target == "host" else 2)
    interpreter = Interpreter(module)
    for seed in range(5):
        outputs = session.run({"images:0": image(seed)})
        assert list(outputs) == ["scores/0"]
        np.testing.assert_array_equal(outputs["scores/0"], interpreter.run("main", [image(seed)])[0])


def test_a_package_runs_from_its_file(tmp_path: Path) -> None:
    _, session = compiled()
    path = tmp_path / "net.igpkg"
    path.write_bytes(package_bytes(session.package))
    expected = session.run({"images:0": image()})["scores/0"]
    np.testing.assert_array_equal(Session(path).run({"images:0": image()})["scores/0"], expected)
    np.testing.assert_array_equal(Session(str(path)).run({"images:0": image()})["scores/0"], expected)


def test_results_do_not_change_with_the_next_run() -> None:
    _, session = compiled()
    first = session.run({"images:0": image(1)})["scores/0"]
    before = first.copy()
    session.run({"images:0": image(2)})
    np.testing.assert_array_equal(first, before)


def test_sessions_in_several_threads_do_not_mix() -> None:
    sessions = {weights: compiled(weights)[1] for weights in (3, 4)}
    expected = {
        (weights, seed): session.run({"images:0": image(seed)})["scores/0"]
        for weights, session in sessions.items()
        for seed in range(4)
    }
    assert not np.array_equal(expected[3, 0], expected[4, 0])
    tasks = list(expected) * 10
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda task: sessions[task[0]].run({"images:0": image(task[1])})["scores/0"], tasks))
    for task, result in zip(tasks, results, strict=True):
        np.testing.assert_array_equal(result, expected[task])


@pytest.mark.parametrize("target", ["gen1", "host"])
def test_batches_give_the_results_of_single_runs(target: str) -> None:
    _, session = compiled(target=target)
    images = np.stack([image(seed) for seed in range(19)])
    expected = np.stack([session.run({"images:0": one})["scores/0"] for one in images])
    np.testing.assert_array_equal(session.run_batch({"images:0": images})["scores/0"], expected)
    np.testing.assert_array_equal(session.run_batch({"images:0": one} for one in images)["scores/0"], expected)
    np.testing.assert_array_equal(session.run_batch([{"images:0": images[0]}])["scores/0"], expected[:1])


def test_an_error_in_a_region_of_a_batch_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    _, session = compiled()

    def fail(inputs: list[Array]) -> list[Array]:
        raise UserError("the second region broke")

    monkeypatch.setattr(session.programs[1], "run_batch", fail)
    with pytest.raises(Exception, match="the second region broke"):
        session.run_batch({"images:0": np.stack([image(), image(1)])})
    monkeypatch.undo()
    assert session.run_batch({"images:0": np.stack([image(), image(1)])})["scores/0"].shape == (2, 1, 6, 8, 4)


def test_batches_that_do_not_fit() -> None:
    _, session = compiled()
    with pytest.raises(UserError, match="no samples"):
        session.run_batch([])
    with pytest.raises(UserError, match="no samples"):
        session.run_batch({"images:0": np.zeros((0, 1, 4, 6, 8), np.float32)})
    with pytest.raises(UserError, match="has shape"):
        session.run_batch({"images:0": image()})


def test_float64_is_taken_for_float32() -> None:
    _, session = compiled()
    expected = session.run({"images:0": image()})["scores/0"]
    np.testing.assert_array_equal(session.run({"images:0": image().astype(np.float64)})["scores/0"], expected)
    strided = np.asfortranarray(image())
    np.testing.assert_array_equal(session.run({"images:0": strided})["scores/0"], expected)


WRONG: list[tuple[Mapping[str, Array], str]] = [
    ({}, "no array for input 'images:0'"),
    ({"x": image()}, "no array for input 'images:0'"),
    ({"images:0": image(), "x": image()}, "the model has no input 'x'"),
    ({"images:0": image()[0]}, r"has shape \[4, 6, 8\], expected \[1, 4, 6, 8\]"),
    ({"images:0": image().astype(np.complex64)}, "has type complex64, expected float32"),
    ({"images:0": np.full((1, 4, 6, 8), "a")}, "has type <U1, expected float32"),
]


@pytest.mark.parametrize(("feeds", "message"), WRONG)
def test_feeds_that_do_not_fit(feeds: Mapping[str, Array], message: str) -> None:
    _, session = compiled()
    with pytest.raises(UserError, match=message):
        session.run(feeds)


def test_profile_sums_up_the_regions() -> None:
    _, session = compiled()
    profile = session.profile()
    parts = [program.profile() for program in session.programs]
    assert profile.regions == 2
    assert profile.cycles == sum(part.cycles for part in parts) == sum(layer.cycles for layer in profile.layers)
    assert profile.instructions == sum(region.instructions for region in session.package.regions)
    # 48 positions, 4 input and 4 output channels.
    assert profile.macs == 48 * 4 * 4
    assert profile.mac_utilization == pytest.approx(profile.macs / (profile.cycles * 32 * 32))
    assert profile.dram_bytes == profile.dram_bytes_read + profile.dram_bytes_written > 2 * 2 * 192
    assert {"conv", "relu"} <= {layer.name for layer in profile.layers}
    assert profile.to_dict()["layers"][0]["region"] == "region_0"
    assert compiled(target="host")[1].profile().cycles == 0


def test_placement_says_what_is_where() -> None:
    places = {(place.name, place.device) for place in compiled()[1].package.placement}
    assert {("softmax", "host"), ("conv", "region_0"), ("relu", "region_1")} <= places
    reasons = [place.reason for place in compiled()[1].package.placement if place.name == "softmax"]
    assert "got f32" in str(reasons[0])


def test_a_stream_that_breaks_a_rule_is_refused_when_loaded(tmp_path: Path) -> None:
    _, session = compiled()
    region = session.package.regions[0]
    cut = replace(region, words=region.words[:-16], debug=region.debug[:-1])
    path = tmp_path / "cut.igpkg"
    path.write_bytes(package_bytes(replace(session.package, regions=(cut, *session.package.regions[1:]))))
    assert read_package(path).regions[0] == cut
    with pytest.raises(UserError, match="end"):
        Session(path)


def test_running_does_not_replace_the_exception_hook() -> None:
    hook = sys.excepthook
    compiled()[1].run({"images:0": image()})
    assert sys.excepthook is hook
