"""The Python interface of the README and the design, name by name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import intaglio as ig

Array = np.ndarray[Any, np.dtype[Any]]

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "fashion_resnet8"


def images(file: str, count: int) -> Array:
    with np.load(EXAMPLE / file) as archive:
        return archive["input"][:count]


def samples(count: int = 16) -> Iterator[dict[str, Array]]:
    for image in images("calibration.npz", count):
        yield {"input": image}


def test_load_quantize_compile_run(tmp_path: Path) -> None:
    network = ig.load(EXAMPLE / "model.onnx", shapes={"input": (1, 1, 28, 28)})
    assert [(tensor.name, tensor.shape, tensor.dtype) for tensor in network.inputs] == [
        ("input", (1, 1, 28, 28), "float32")
    ]
    assert [tensor.name for tensor in network.outputs] == ["logits"]
    params = ig.QuantizationParams().with_calibration(ig.CalibrationMethod.from_str("min_max"))
    model = network.quantize(samples(), params)
    package = model.compile(tmp_path / "model.igpkg", target="gen1")
    assert package.target is not None
    assert package.target.name == "gen1"
    session = ig.Session(tmp_path / "model.igpkg")
    for image in images("evaluation.npz", 10):
        outputs = session.run({"input": image})
        np.testing.assert_array_equal(outputs["logits"], model.run({"input": image})["logits"])


def test_the_float_network_computes_what_onnxruntime_does() -> None:
    network = ig.load(str(EXAMPLE / "model.onnx"))
    session = onnxruntime.InferenceSession(EXAMPLE / "model.onnx", providers=["CPUExecutionProvider"])
    for image in images("evaluation.npz", 5):
        expected = session.run(None, {"input": image})[0]
        np.testing.assert_allclose(network.run({"input": image})["logits"], expected, rtol=1e-4, atol=1e-4)


def test_quantizing_leaves_the_network_alone() -> None:
    network = ig.load(EXAMPLE / "model.onnx")
    image = images("evaluation.npz", 1)[0]
    before = network.run({"input": image})["logits"]
    first = network.quantize(samples(4))
    second = network.quantize(EXAMPLE / "calibration.npz")
    np.testing.assert_array_equal(network.run({"input": image})["logits"], before)
    # Ranges of 4 and of 128 samples differ, and with them the rounding.
    assert not np.array_equal(first.run({"input": image})["logits"], second.run({"input": image})["logits"])


def test_samples_and_their_file_give_the_same_package(tmp_path: Path) -> None:
    network = ig.load(EXAMPLE / "model.onnx")
    network.quantize(samples(128)).compile(tmp_path / "a.igpkg")
    network.quantize(EXAMPLE / "calibration.npz").compile(tmp_path / "b.igpkg")
    options = ig.CompileOptions(calibration=EXAMPLE / "calibration.npz")
    ig.compile_model(EXAMPLE / "model.onnx", tmp_path / "c.igpkg", options)
    contents = {(tmp_path / f"{name}.igpkg").read_bytes() for name in "abc"}
    assert len(contents) == 1


def test_one_model_compiles_for_several_targets(tmp_path: Path) -> None:
    model = ig.load(EXAMPLE / "model.onnx").quantize(samples())
    image = images("evaluation.npz", 1)[0]
    results: list[Array] = []
    for target in ("gen1", "gen1-d16", "host"):
        model.compile(tmp_path / f"{target}.igpkg", target)
        results.append(ig.Session(tmp_path / f"{target}.igpkg").run({"input": image})["logits"])
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def open_batch(folder: Path) -> Path:
    """The example with an open first dimension of input and output, and the reshape in it by inference."""
    model = onnx.load(EXAMPLE / "model.onnx")
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(model, folder / "open.onnx")
    return folder / "open.onnx"


def test_batch_sizes(tmp_path: Path) -> None:
    network = ig.load(open_batch(tmp_path), batch=1)
    image = images("evaluation.npz", 6)[:, 0]
    single = [network.run({"input": image[index : index + 1]})["logits"] for index in range(6)]
    network.set_batch_size(3)
    assert network.inputs[0].shape == (3, 1, 28, 28)
    assert network.outputs[0].shape == (3, 10)
    batches = [network.run({"input": image[start : start + 3]})["logits"] for start in (0, 3)]
    np.testing.assert_allclose(np.concatenate(batches), np.concatenate(single), rtol=1e-5, atol=1e-5)
    with pytest.raises(ig.UserError, match="the first dimension of input"):
        ig.load(EXAMPLE / "model.onnx", batch=2)
    with pytest.raises(ig.UserError, match="not loaded from a model is fixed"):
        ig.Network(network.module).set_batch_size(2)
    assert network.inputs[0].shape == (3, 1, 28, 28)


def test_placement_names_what_is_on_the_host() -> None:
    model = ig.load(EXAMPLE / "model.onnx").quantize(samples())
    by_device = {(place.kind, place.device) for place in model.placement()}
    assert ("nn.conv2d", "accelerator") in by_device
    assert ("quant.qcast", "host") in by_device
    assert {device for _, device in ((p.kind, p.device) for p in model.placement("host"))} == {"host"}


def test_mistakes_are_user_errors(tmp_path: Path) -> None:
    with pytest.raises(ig.UserError, match="no such file"):
        ig.load(tmp_path / "no.onnx")
    network = ig.load(EXAMPLE / "model.onnx")
    with pytest.raises(ig.UserError, match="no array for input 'input'"):
        network.run({"x": np.zeros((1, 1, 28, 28), np.float32)})
    with pytest.raises(ig.UserError, match="there are no samples"):
        network.quantize([])
    with pytest.raises(ig.UserError, match="sample 0"):
        network.quantize([{"input": np.full((1, 1, 28, 28), np.nan, np.float32)}])
    model = network.quantize(samples(2))
    with pytest.raises(ig.UserError, match="there is no target 'gen9'"):
        model.compile(tmp_path / "a.igpkg", "gen9")
    with pytest.raises(ig.UserError, match="the folder does not exist"):
        model.compile(tmp_path / "no" / "a.igpkg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (onnx.TensorProto.STRING, 'input "x" has data type string, which is not supported'),
        (onnx.TensorProto.FLOAT, "output 'y' of onnx.custom \"blur\" is no tensor of a shape known at compile time"),
    ],
)
def test_models_that_are_carried_only(kind: int, message: str, tmp_path: Path) -> None:
    node = onnx.helper.make_node("Blur", ["x"], ["y"], name="blur", domain="com.acme")
    values = [onnx.helper.make_tensor_value_info("x", kind, [2]), onnx.helper.make_empty_tensor_value_info("y")]
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("com.acme", 1)]
    graph = onnx.helper.make_graph([node], "g", values[:1], values[1:])
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "m.onnx")
    with pytest.raises(ig.UserError, match=message):
        ig.load(tmp_path / "m.onnx")
    ig.compile_model(tmp_path / "m.onnx", tmp_path / "m.mlir", compile_to="import")


def test_sequences_are_carried_only(tmp_path: Path) -> None:
    kind = onnx.helper.make_sequence_type_proto(onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, [2]))
    value = onnx.helper.make_value_info("x", kind)
    node = onnx.helper.make_node("SequenceLength", ["x"], ["y"])
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.INT64, [])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [value], [result]), ir_version=9)
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ig.UserError, match='input "x" is no tensor, which is not supported'):
        ig.compile_model(tmp_path / "m.onnx", tmp_path / "m.igpkg", ig.CompileOptions(target="host"))
    module = ig.compile_model(tmp_path / "m.onnx", tmp_path / "m.mlir", compile_to="import")
    assert "!onnx.sequence" in str(module)


def test_all_names_exist_and_nothing_else_does() -> None:
    for name in ig.__all__:
        assert getattr(ig, name) is not None
        assert name in dir(ig)
    with pytest.raises(AttributeError, match="no attribute 'analyse'"):
        _ = ig.analyse


def test_importing_the_package_is_quick() -> None:
    code = (
        "import sys\n"
        "import intaglio\n"
        "heavy = {'onnx', 'onnxruntime', 'tvm', 'numpy', 'xdsl'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "intaglio.UserError\n"
        "intaglio.QuantizationParams\n"
        "assert not {'onnx', 'onnxruntime', 'tvm'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
