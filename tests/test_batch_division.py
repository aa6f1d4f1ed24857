"""Batches: computed at once or in parts, whichever the clock finds faster, with the results of the interpreter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from xdsl.dialects import func
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, StringAttr

from intaglio import batch_division
from intaglio.batch_division import divide_batches
from intaglio.compiler import run_phase
from intaglio.dialects import nn, npu
from intaglio.interpreter import Interpreter
from intaglio.ir.parsing import parse_module
from intaglio.ir.verification import verify_module
from intaglio.passes.partition.boundaries import launches_of, refuse_regions
from intaglio.passes.partition.placement import fail_on_host
from intaglio.phases import PHASES, CompileOptions, phase_index
from intaglio.remarks import collecting
from intaglio.runtime.packaging import BATCH, package_of
from intaglio.runtime.session import Session
from tests.lowering.operator_cases import machine_file

POINTWISE: dict[str, Any] = {"kernel": (1, 1), "pads": (0, 0, 0, 0), "strides": (1, 1), "dilations": (1, 1)}
WINDOW: dict[str, Any] = {"kernel": (3, 3), "pads": (1, 1, 1, 1), "strides": (1, 1), "dilations": (1, 1)}


def feature_maps(builder: Any, batch: int, side: int) -> ModuleOp:
    """Inverted residuals: few weights, large feature maps."""
    value = builder.input(batch, side, side, 8)
    for _ in range(3):
        wide = builder.depthwise(builder.conv2d(value, 32, **POINTWISE), **WINDOW)
        value = builder.binary(nn.AddOp, value, builder.conv2d(wide, 8, **POINTWISE))
    return builder.module(value)


def weights(builder: Any, batch: int) -> ModuleOp:
    """Layers that are all weights."""
    value = builder.input(batch, 512)
    for _ in range(2):
        value = builder.dense(value, 512)
    return builder.module(value)


def divided(module: ModuleOp, batch: int, folder: Path) -> tuple[ModuleOp, list[npu.LaunchOp]]:
    module.attributes["intaglio.target"] = StringAttr(str(machine_file(folder, 32, 256 << 10)))
    module.attributes[BATCH] = IntegerAttr(batch, 64)
    divide_batches(module, batch)
    verify_module(module)
    return module, list(launches_of(module))


def compiled(module: ModuleOp) -> Session:
    for name in ("npu", "isa"):
        run_phase(module, PHASES[phase_index(name, where="the test")], CompileOptions())
    return Session(package_of(module))


def test_a_batch_in_parts_has_the_results_of_the_whole(
    regions: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Today's schedules keep the feature maps of such batches moving in stripes, so that parts of them gain nothing.
    costs = batch_division._costs

    def dear_wholes(*arguments: Any) -> Iterator[tuple[int, int]]:
        for part, cycles in costs(*arguments):
            yield part, cycles * part

    monkeypatch.setattr(batch_division, "_costs", dear_wholes)
    module = feature_maps(regions.builder(1), 4, 12)
    inputs = regions.inputs_of(module)
    (expected,) = Interpreter(module).run("main", inputs)
    with collecting() as remarks:
        module, launches = divided(module, 4, tmp_path)
    assert len(launches) == 4 and launches[0].operands[0].type.get_shape()[0] == 1
    (said,) = remarks
    assert "a batch of 4 takes" in str(said) and "in parts of 1 it takes" in str(said)
    np.testing.assert_array_equal(Interpreter(module).run("main", inputs)[0], expected)
    # Slices of a batch are no fallback, and there is still one region.
    fail_on_host(module)
    refuse_regions(module, 1)
    session = compiled(module)
    (found,) = session.run({"input_0": inputs[0]}).values()
    np.testing.assert_array_equal(found, expected)
    profile = session.profile()
    # Constants are aligned, and what is between them is not read.
    assert profile.batch == 4 and profile.achieved_batch == pytest.approx(1, rel=0.05)
    assert profile.cycles == 4 * session.programs[0].profile().cycles
    assert sum(layer.cycles for layer in profile.layers) == profile.cycles


def test_weights_serve_all_samples_of_a_batch(regions: Any, tmp_path: Path) -> None:
    module, launches = divided(weights(regions.builder(2), 4), 4, tmp_path)
    assert len(launches) == 1
    profile = compiled(module).profile()
    one = compiled(divided(weights(regions.builder(2), 1), 1, tmp_path)[0]).profile()
    assert profile.achieved_batch == 4 and one.achieved_batch == 1
    assert profile.constant_bytes_read == one.constant_bytes_read == 2 * 512 * 512 + 2 * 512 * 12
    assert profile.cycles_per_sample < one.cycles / 3
    assert profile.to_dict()["achieved_batch"] == 4


KIND = "tensor<2x60000x!quant.uniform<i8:f32, 0.5>>"
MERGED = "tensor<120000x!quant.uniform<i8:f32, 0.5>>"


@pytest.mark.parametrize(
    "body",
    [
        f"""%0 = nn.reshape %x : ({KIND}) -> {MERGED}
            %1 = nn.tanh %0 : ({MERGED}) -> {MERGED}
            %y = nn.reshape %1 : ({MERGED}) -> {KIND}""",
        f"""%c = nn.constant dense<3> : tensor<2x60000xi8> as {KIND}
            %y = nn.add %x, %c : ({KIND}, {KIND}) -> {KIND}""",
        f"%y = nn.softmax %x axis 0 : ({KIND}) -> {KIND}",
    ],
)
def test_samples_that_are_not_apart_stay_together(body: str, tmp_path: Path) -> None:
    module = parse_module(
        f"""
        func.func @main(%x: {KIND}) -> {KIND} {{
          %y = npu.launch @region_0(%x) : ({KIND}) -> {KIND}
          func.return %y : {KIND}
        }}
        func.func @region_0(%x: {KIND}) -> {KIND} attributes {{intaglio.device = "accelerator"}} {{
          {body}
          func.return %y : {KIND}
        }}
        """
    )
    before = str(module.body.block.first_op)
    module, launches = divided(module, 2, tmp_path)
    assert len(launches) == 1 and str(module.body.block.first_op) == before
    assert all(isinstance(op, func.FuncOp) for op in module.ops)
