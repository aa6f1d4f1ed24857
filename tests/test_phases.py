"""Stopping and resuming: the same package from every phase, and text that reads back as itself."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from xdsl.dialects.builtin import bf16

from intaglio.compiler import compile_model, import_phase, run_phase
from intaglio.data import load_samples
from intaglio.dialects.quant import ObserveOp
from intaglio.errors import UserError
from intaglio.ir.parsing import read_module
from intaglio.ir.printing import print_module
from intaglio.ir.verification import verify_module
from intaglio.params import QuantizationParams, default_quantization
from intaglio.passes.base import pass_modules
from intaglio.passes.calibration.observers import observers_of
from intaglio.passes.calibration.ranges_file import CalibratedRange, write_ranges_file
from intaglio.passes.pipeline import parse_pipeline
from intaglio.phases import PHASE_NAMES, PHASES, CompileOptions, phase_index
from intaglio.remarks import collecting
from intaglio.runtime.session import Session

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NETWORKS = ("fashion_resnet8", "ppocr_cls")
BEFORE_PACKAGE = PHASE_NAMES[:-1]


@cache
def straight_through(name: str, target: str = "gen1") -> tuple[bytes, Path]:
    """The package of an example, and the folder with the text of its phases."""
    folder = Path(mkdtemp(prefix="intaglio-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    options = CompileOptions(target=target, calibration=EXAMPLES / name / "calibration.npz")
    compile_model(EXAMPLES / name / "model.onnx", folder / "a.igpkg", options, dump_phases_to=folder / "phases")
    return (folder / "a.igpkg").read_bytes(), folder / "phases"


def resumed(name: str, phase: str, folder: Path, target: str | None = None) -> bytes:
    """The package of an example, compiled in two steps through a file at the end of a phase."""
    calibration = EXAMPLES / name / "calibration.npz"
    text = folder / f"{phase}.mlir"
    compile_model(
        EXAMPLES / name / "model.onnx",
        text,
        CompileOptions(target=target, calibration=calibration),
        compile_to=phase,
    )
    calibrates_later = phase in ("import", "graph")
    partitions_later = phase_index(phase, where="") < phase_index("partition", where="")
    options = CompileOptions(
        target=target if partitions_later else None, calibration=calibration if calibrates_later else None
    )
    compile_model(text, folder / "b.igpkg", options, compile_from=phase)
    return (folder / "b.igpkg").read_bytes()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("phase", BEFORE_PACKAGE)
def test_resuming_gives_the_same_package(name: str, phase: str, tmp_path: Path) -> None:
    assert resumed(name, phase, tmp_path) == straight_through(name)[0]


@pytest.mark.parametrize("phase", ["quantize", "partition", "isa"])
def test_resuming_gives_the_same_package_for_the_host(phase: str, tmp_path: Path) -> None:
    assert resumed("fashion_resnet8", phase, tmp_path, "host") == straight_through("fashion_resnet8", "host")[0]


@pytest.mark.parametrize("seed", ["0", "4242"])
def test_another_process_gives_the_same_package(seed: str, tmp_path: Path) -> None:
    example = EXAMPLES / "fashion_resnet8"
    command = ["compile", example / "model.onnx", "-o", "a.igpkg", "--calibration", example / "calibration.npz"]
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(EXAMPLES.parent)}
    subprocess.run(
        [sys.executable, "-m", "intaglio.tools.cli", *command, "--target", "gen1"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
    )
    assert (tmp_path / "a.igpkg").read_bytes() == straight_through("fashion_resnet8")[0]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("index", range(len(BEFORE_PACKAGE)))
def test_dumped_text_reads_verifies_and_prints_the_same(name: str, index: int) -> None:
    path = straight_through(name)[1] / f"{index + 1:02}_{PHASE_NAMES[index]}.mlir"
    text = path.read_text(encoding="utf-8")
    module = read_module(path)
    verify_module(module)
    assert print_module(module) == text


@pytest.mark.parametrize("name", NETWORKS)
def test_resuming_from_a_dump(name: str, tmp_path: Path) -> None:
    package, phases = straight_through(name)
    compile_model(phases / "05_partition.mlir", tmp_path / "c.igpkg", compile_from="partition")
    assert (tmp_path / "c.igpkg").read_bytes() == package


def test_phases_do_not_refer_to_where_they_were_made() -> None:
    package, phases = straight_through("fashion_resnet8")
    for content in (package, *(path.read_bytes() for path in phases.iterdir())):
        assert str(phases.parent).encode() not in content
        assert str(EXAMPLES).encode() not in content


def test_pipelines_of_phases_are_pipelines_of_passes() -> None:
    for phase in PHASES:
        assert all(step.name in pass_modules() for step in phase.steps)
        for options in (CompileOptions(), CompileOptions(params=EVERYTHING)):
            passes = parse_pipeline(phase.pipeline(options))
            assert [item.name for item in passes] == [step.name for step in phase.steps if step.when(options)]


EVERYTHING = (
    default_quantization.with_precision("a16w8")
    .with_unquantized_nodes({"a,b", "c d"})
    .with_custom_quantization_configs({"stem/*": {"precision": "a8w8", "output_int32": True}})
    .with_requantization_mode("tflite")
    .with_bias_correction()
    .with_channel_equalization()
)


def test_parameters_reach_the_passes() -> None:
    found = {
        item.name: item
        for phase in PHASES
        for item in parse_pipeline(phase.pipeline(CompileOptions(params=EVERYTHING)))
    }
    assert set(found["assign-precision"].nodes) == {"stem/*=a8w8+output_int32", "a,b=float", "c d=float"}
    quantize = found["quantize"]
    assert (quantize.precision, quantize.requantization) == ("a16w8", "tflite")
    assert found["calibrate"].bits == 8 and found["insert-observers"].channels
    assert "equalize-channels" in found
    plain = CompileOptions(params=QuantizationParams())
    names = [item.name for phase in PHASES for item in parse_pipeline(phase.pipeline(plain))]
    repairs = {"equalize-channels", "smooth-quant", "split-tensors", "round-weights", "correct-bias"}
    assert not (repairs | {"assign-precision"}) & set(names)


@pytest.mark.parametrize(
    ("precision", "node", "scales"),
    [
        ("a8w8", None, True),
        ("a16w8", None, True),
        ("a16w16", None, False),
        ("bf16", None, False),
        ("a16w16", "a8w8", True),
    ],
)
def test_channels_are_scaled_only_for_the_sake_of_few_bits(precision: str, node: str | None, scales: bool) -> None:
    params = default_quantization.with_precision(precision)
    if node is not None:
        params = params.with_custom_quantization_configs({"stem": {"precision": node}})
    text = ",".join(phase.pipeline(CompileOptions(params=params)) for phase in PHASES)
    assert ("equalize-channels" in text, "smooth-quant" in text) == (scales, scales)


def test_repairs_read_samples_that_come_once() -> None:
    """Units of channels, ranges, rounding of weights, iterative correction of biases: all read the first samples."""
    params = default_quantization.with_channel_equalization().with_bias_correction("iterative").with_round_weights()
    images = load_samples(EXAMPLES / "fashion_resnet8" / "calibration.npz", {"input": (1, 1, 28, 28)})
    once = ({"input": sample["input"]} for sample in itertools.islice(images, 6))
    options = CompileOptions(calibration=once, params=params)
    module = import_phase(EXAMPLES / "fashion_resnet8" / "model.onnx", options)
    for phase in PHASES[1:3]:
        run_phase(module, phase, options)
    observed = [op for op in module.walk() if isinstance(op, ObserveOp)]
    assert all(op.calibrated_range is not None and op.method.data == str(params.calibration_method) for op in observed)
    run_phase(module, PHASES[3], options)
    assert not any(isinstance(op, ObserveOp) for op in module.walk())


def test_ranges_from_a_file_keep_channels_in_their_units(tmp_path: Path) -> None:
    model, data = (EXAMPLES / "fashion_resnet8" / name for name in ("model.onnx", "calibration.npz"))
    options = CompileOptions(calibration=data, params=QuantizationParams())
    module = import_phase(model, options)
    for phase in PHASES[1:3]:
        run_phase(module, phase, options)
    ranges = {
        name: CalibratedRange(*op.calibrated_range, "mse")
        for name, op in observers_of(module).items()
        if op.calibrated_range
    }
    write_ranges_file(tmp_path / "ranges.json", ranges)
    params = QuantizationParams().with_channel_equalization().with_bias_correction()
    options = CompileOptions(ranges=tmp_path / "ranges.json", params=params)
    module = import_phase(model, options)
    with collecting() as remarks:
        for phase in PHASES[1:3]:
            run_phase(module, phase, options)
    assert "channels keep their units" in str(remarks[0]) and "biases are not corrected" in str(remarks[1])


def test_bfloat16_needs_no_calibration() -> None:
    params = default_quantization.with_precision("bf16")
    module = import_phase(EXAMPLES / "fashion_resnet8" / "model.onnx", CompileOptions())
    for phase in PHASES[1:4]:
        run_phase(module, phase, CompileOptions(params=params))
    kinds = {result.type.get_element_type() for op in module.walk() for result in op.results}
    assert bf16 in kinds and not any(isinstance(op, ObserveOp) for op in module.walk())
    mixed = params.with_custom_quantization_configs({"*": {"precision": "a8w8"}})
    with pytest.raises(UserError, match="calibration data is needed"):
        run_phase(
            import_phase(EXAMPLES / "fashion_resnet8" / "model.onnx", CompileOptions()),
            PHASES[2],
            CompileOptions(params=mixed),
        )


def test_every_pass_of_the_pipeline_is_in_one_phase() -> None:
    used = [step.name for phase in PHASES for step in phase.steps]
    assert set(used) <= set(pass_modules())
    assert [phase.name for phase in PHASES if not phase.steps] == ["import", "package"]


def test_progress_names_the_phases_in_order(tmp_path: Path) -> None:
    seen: list[str] = []
    counted: list[tuple[int, int | None]] = []

    def progress(phase: str, done: int, total: int | None) -> None:
        if not seen or seen[-1] != phase:
            seen.append(phase)
        if done:
            counted.append((done, total))

    compile_model(
        EXAMPLES / "fashion_resnet8" / "model.onnx",
        tmp_path / "a.igpkg",
        CompileOptions(calibration=EXAMPLES / "fashion_resnet8" / "calibration.npz"),
        progress=progress,
    )
    assert tuple(seen) == PHASE_NAMES
    # Once for the channels that are equalized, and once for the ranges after that.
    assert counted == [(count, 128) for count in range(1, 129)] * 2


def test_an_edited_phase_changes_the_package(tmp_path: Path) -> None:
    package, phases = straight_through("fashion_resnet8")
    text = (phases / "02_graph.mlir").read_text(encoding="utf-8")
    assert text.count("clamp <0.0, inf>") > 1
    edited = phases / "edited.mlir"
    edited.write_text(text.replace("clamp <0.0, inf>", "clamp <0.0, 1.0>", 1), encoding="utf-8")
    options = CompileOptions(calibration=EXAMPLES / "fashion_resnet8" / "calibration.npz")
    compile_model(edited, tmp_path / "edited.igpkg", options, compile_from="graph")
    assert (tmp_path / "edited.igpkg").read_bytes() != package


def test_unknown_phases_are_suggested() -> None:
    with pytest.raises(UserError, match="there is no phase 'quantise'") as caught:
        phase_index("quantise", where="--compile-to")
    assert caught.value.hint == "did you mean quantize?"


def test_calibration_data_for_integer_inputs(tmp_path: Path) -> None:
    """Rows of a table, looked up by an int32 input."""
    rng = np.random.default_rng(0)
    table, weight = (rng.standard_normal(shape).astype(np.float32) for shape in ((10, 8), (8, 4)))
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "rows"], ["found"]), helper.make_node("MatMul", ["found", "w"], ["y"])],
        "lookup",
        [helper.make_tensor_value_info("rows", TensorProto.INT32, [1, 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5, 4])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(weight, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "m.onnx")
    rows = rng.integers(0, 10, (8, 1, 5), dtype=np.int32)
    np.savez(tmp_path / "data.npz", rows=rows)
    package = tmp_path / "m.igpkg"
    compile_model(tmp_path / "m.onnx", package, CompileOptions(target="gen1", calibration=tmp_path / "data.npz"))
    found = Session(package).run({"rows": rows[0]})["y"]
    np.testing.assert_allclose(found, table[rows[0]] @ weight, atol=0.2)


def test_an_accelerator_that_gets_nothing_is_remarked_on(tmp_path: Path) -> None:
    """Nobody finds out from an exit code of 0 that the host computes everything."""
    example = EXAMPLES / "fashion_resnet8"
    said = {}
    for precision in ("bf16", "a8w8"):
        params = default_quantization.with_precision(precision)
        options = CompileOptions(target="gen1", calibration=example / "calibration.npz", params=params)
        with collecting() as remarks:
            compile_model(example / "model.onnx", tmp_path / "a.mlir", options, compile_to="partition")
        said[precision] = [str(remark) for remark in remarks if "nothing runs on" in str(remark)]
    assert not said["a8w8"]
    (found,) = said["bf16"]
    assert "nothing runs on gen1; of " in found and found.endswith("got bf16")
