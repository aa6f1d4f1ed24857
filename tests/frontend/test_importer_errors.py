"""Models that are wrong, damaged files and external data included: each is refused with what is wrong and where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper

from intaglio.dialects.onnx import InitializerOp
from intaglio.dialects.weights import array_of
from intaglio.errors import UserError
from intaglio.frontend.importer import import_model
from intaglio.ir.parsing import parse_module
from intaglio.ir.printing import print_module
from tests.frontend.models import make_model, refused, relu


@pytest.mark.parametrize(
    ("inputs", "shapes", "expected"),
    [
        (
            {"x": ["batch", 3]},
            {},
            'error: input "x" has the dynamic dimension 0 ("batch") in its shape [batch, 3]\n'
            "  hint: give its shape, for instance: --shape x=1,3",
        ),
        (
            {"x": [2, None]},
            {},
            'error: input "x" has the dynamic dimension 1 in its shape [2, ?]\n'
            "  hint: give its shape, for instance: --shape x=2,1",
        ),
        (
            {"x": None},
            {},
            'error: input "x" has no shape in the model\n  hint: give one: --shape x=1,...',
        ),
        (
            {"x": [2]},
            {"q": (2,)},
            'error: a shape is given for "q", which is not an input\n  hint: inputs: "x"',
        ),
        (
            {"x": [2, 3]},
            {"x": (2, 4)},
            'error: the shape [2, 4] given for input "x" contradicts the model: dimension 1 is 3',
        ),
        (
            {"x": [2, 3]},
            {"x": (2,)},
            'error: the shape [2] given for input "x" has 1 dimensions, the model has 2: [2, 3]',
        ),
        (
            {"x": ["n"], "z": ["n"]},
            {"x": (2,), "z": (3,)},
            'error: the given shapes contradict each other: "n" is 2 in input "x" and 3 in input "z"',
        ),
        (
            {"x": ["n"]},
            {"x": (0,)},
            'error: the shape [0] given for input "x" must be positive',
        ),
    ],
)
def test_shapes_that_are_missing_or_wrong(inputs, shapes, expected):
    assert refused(make_model([relu()], inputs, ["y"]), **shapes) == expected


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        (
            [relu("n", "nowhere")],
            'error: node "n" (Relu) uses "nowhere", which no input, initializer or node before it defines',
        ),
        (
            [relu("n", "y", "z"), relu("m", "x", "y")],
            'error: node "n" (Relu) uses "y", which no input, initializer or node before it defines',
        ),
        ([relu("n"), relu("m")], 'error: node "m" (Relu) defines "y", which is defined already'),
        ([relu("n", result="z")], 'error: nothing defines the output "y"'),
        (
            [helper.make_node("Rely", ["x"], ["y"], name="n")],
            'error: node "n" (Rely): there is no ONNX operator Rely',
        ),
        (
            [helper.make_node("Blur", ["x"], ["y"], name="n", domain="com.acme")],
            'error: node "n" (Blur) is of domain "com.acme", which the model does not import',
        ),
        (
            [helper.make_node("Gelu", ["x"], ["y"], name="n")],
            'error: node "n" (Gelu): operator Gelu exists since opset 20, the model has 17',
        ),
        (
            [helper.make_node("Relu", ["x"], ["y"], name="n", alpha=1.0)],
            'error: attribute "alpha" of node "n" (Relu) (of kind FLOAT) is none of this operator',
        ),
        (
            [helper.make_node("LeakyRelu", ["x"], ["y"], name="n", alpha=1)],
            'error: attribute "alpha" of node "n" (LeakyRelu) (of kind INT) is none of this operator',
        ),
        (
            [helper.make_node("Concat", ["x"], ["y"], name="n")],
            "error: node \"n\" (Concat): operator Concat requires the attribute 'axis' in opset 17",
        ),
        (
            [helper.make_node("Relu", ["x", "x"], ["y"], name="n")],
            'error: node "n" (Relu): operator Relu has 1 inputs in opset 17, got 2',
        ),
        (
            [helper.make_node("Add", ["x"], ["y"], name="n")],
            "error: node \"n\" (Add): operator Add requires the input 'B' in opset 17",
        ),
    ],
)
def test_graphs_that_are_not_valid(nodes, expected):
    assert refused(make_model(nodes, {"x": [2]}, ["y"])) == expected


def test_shapes_that_an_operator_cannot_take_are_refused_with_the_node():
    nodes = [helper.make_node("MatMul", ["x", "x"], ["y"], name="n")]
    message = refused(make_model(nodes, {"x": [2, 3]}, ["y"]))
    assert (
        message == 'error: node "n" (MatMul) cannot take its inputs: Incompatible dimensions for matrix multiplication'
    )


def test_a_data_type_of_the_future():
    model = make_model([relu()], {"x": [2]}, ["y"], dtype=99)
    assert refused(model) == 'error: input "x" has the unknown data type 99'


def test_an_opset_of_the_future():
    message = refused(make_model([relu()], {"x": [2]}, ["y"], opset=1000))
    assert message.startswith("error: the model has opset 1000; the installed onnx package knows up to ")


def test_a_missing_file(tmp_path: Path):
    assert refused(tmp_path / "none.onnx") == f"{tmp_path / 'none.onnx'}: error: no such file"


@pytest.mark.parametrize("content", [b"", b"not an onnx file", b"\x00" * 64, b"\x08\x08"])
def test_files_that_are_no_models(tmp_path: Path, content: bytes):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    message = refused(path)
    assert message.startswith(f"{path}: error: not an ONNX model")
    assert len(message.splitlines()) <= 6


def test_a_truncated_file(tmp_path: Path):
    content = make_model([relu()], {"x": [200]}, ["y"]).SerializeToString()
    path = tmp_path / "model.onnx"
    path.write_bytes(content[:-7])
    assert "not an ONNX model, or a truncated one" in refused(path)


def test_names_that_are_not_utf_8():
    content = make_model([relu("AAAA")], {"x": [2]}, ["y"]).SerializeToString().replace(b"AAAA", b"A\xff\xfeA")
    assert refused(content) == "error: the model has a text that is not UTF-8: b'A\\xff\\xfeA'"


SEED = make_model(
    [
        helper.make_node("Shape", ["x"], ["s"], name="shape"),
        helper.make_node("Reshape", ["x", "s"], ["r"], name="reshape"),
        helper.make_node("Conv", ["r", "w"], ["c"], name="conv", strides=[1, 1], pads=[1, 1, 1, 1]),
        helper.make_node("Clip", ["c", "", "high"], ["y"], name="clip"),
    ],
    {"x": [1, 2, 4, 4]},
    ["y"],
    initializers={"w": np.ones((1, 2, 3, 3), np.float32), "high": np.float32(6)},
).SerializeToString()


@given(
    st.lists(st.tuples(st.integers(0, len(SEED) - 1), st.integers(0, 255)), max_size=8),
    st.integers(0, len(SEED)),
)
@settings(max_examples=150, deadline=None)
def test_damaged_files_are_imported_or_refused(changes: list[tuple[int, int]], length: int):
    content = bytearray(SEED)
    for position, byte in changes:
        content[position] = byte
    if not changes:
        del content[length:]
    try:
        module = import_model(bytes(content))
    except UserError as error:
        message = str(error)
    else:
        message = ""
        assert print_module(parse_module(print_module(module))) == print_module(module)
    assert len(message.splitlines()) <= 6


def external_model(location: str, *, length: int = 404, offset: int = 0) -> ModelProto:
    model = make_model([helper.make_node("Add", ["x", "w"], ["y"])], {"x": [101]}, ["y"])
    tensor = model.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[101])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    return model


def test_external_data(tmp_path: Path):
    values = np.arange(101, dtype=np.float32)
    (tmp_path / "model.bin").write_bytes(b"abcd" + values.tobytes())
    path = tmp_path / "model.onnx"
    path.write_bytes(external_model("model.bin", offset=4).SerializeToString())
    (initializer,) = (op for op in import_model(path).walk() if isinstance(op, InitializerOp))
    np.testing.assert_array_equal(array_of(initializer.value), values)


def test_external_data_that_tensors_share(tmp_path: Path):
    (tmp_path / "model.bin").write_bytes(np.arange(101, dtype=np.float32).tobytes())
    model = external_model("model.bin")
    tied = model.graph.initializer.add()
    tied.CopyFrom(model.graph.initializer[0])
    tied.name = "tied"
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    first, second = (op.value for op in import_model(path).walk() if isinstance(op, InitializerOp))
    assert array_of(first) is array_of(second)
    for index, offset in ((0, 4), (1, 8)):
        tensor = model.graph.initializer[index]
        tensor.dims[0] = 99
        tensor.ClearField("external_data")
        for key, value in (("location", "model.bin"), ("offset", str(offset))):
            tensor.external_data.add(key=key, value=value)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 99
    path.write_bytes(model.SerializeToString())
    assert refused(path).endswith("tensors overlap in the external file 'model.bin': initializer \"tied\"")


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "", "sub/../../secret.bin", "link.bin", "."])
def test_external_data_stays_in_the_models_folder(tmp_path: Path, location: str):
    (tmp_path / "secret.bin").write_bytes(bytes(404))
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    path = folder / "model.onnx"
    path.write_bytes(external_model(location).SerializeToString())
    expected = f'error: initializer "w" names external data outside the model\'s folder: {location!r}'
    assert expected in refused(path)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (external_model("model.bin", offset=1), "needs bytes 1 to 405 of 'model.bin', which has 404"),
        (external_model("model.bin", length=400), "takes 404 bytes, the model says 400 at offset 0 of 'model.bin'"),
        (external_model("none.bin"), "cannot read external data of initializer \"w\": 'none.bin'"),
    ],
)
def test_damaged_external_data(tmp_path: Path, model: ModelProto, expected: str):
    (tmp_path / "model.bin").write_bytes(bytes(404))
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    assert expected in refused(path)


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        (
            TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], raw_data=bytes(7)),
            'error: initializer "w" has 7 bytes, but float of shape [2] takes 8',
        ),
        (
            TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 40], raw_data=bytes(8)),
            'error: initializer "w" has 8 bytes, but float of shape [1099511627776] takes 4398046511104',
        ),
        (
            TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-1], raw_data=bytes(8)),
            'error: initializer "w" has the negative shape [-1]',
        ),
        (
            TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2]),
            'error: initializer "w" of shape [2] has no values',
        ),
        (
            TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], float_data=[1.0]),
            'error: initializer "w" is damaged: cannot reshape array of size 1 into shape (2,)',
        ),
    ],
)
def test_damaged_tensors(tensor: TensorProto, expected: str):
    model = make_model([helper.make_node("Identity", ["w"], ["y"])], {}, ["y"])
    model.graph.initializer.append(tensor)
    assert refused(model) == expected


def test_two_inputs_of_one_name():
    model = make_model([relu(source="w")], {"w": [2]}, ["y"], initializers={"w": np.ones(2, np.float32)})
    model.graph.input.append(model.graph.input[0])
    assert refused(model) == "error: two inputs of a graph have one name"


def test_shapes_of_too_many_dimensions():
    """Shape inference would make a result of as many dimensions as the input has elements."""
    model = make_model([helper.make_node("Expand", ["x", "s"], ["y"], name="e")], {"x": [2]}, ["y"])
    model.graph.input.append(helper.make_tensor_value_info("s", TensorProto.INT64, [2**62]))
    expected = f'error: node "e" (Expand) takes a shape from "s", which has {2**62} elements, more than 1024'
    assert refused(model) == expected
