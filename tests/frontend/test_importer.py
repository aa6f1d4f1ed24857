"""Importing ONNX models: what the IR says, and what is refused with which message."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from intaglio.dialects.onnx import CustomOp, InitializerOp, NodeOp
from intaglio.dialects.weights import WeightsAttr, array_of
from intaglio.errors import UserError
from intaglio.frontend.importer import import_model, operator_name, value_name
from intaglio.ir.locations import name_of
from intaglio.ir.parsing import parse_module
from intaglio.ir.printing import print_module
from intaglio.ir.verification import verify_module

ZOO = Path(__file__).parents[2].parent / "shared" / "zoo" / "models"
FAST = ["fashion_resnet8", "ppocr_cls", "magika", "silero_vad"]


def make_model(
    nodes: list[NodeProto],
    inputs: dict[str, list[int | str | None] | None],
    outputs: list[str],
    *,
    initializers: dict[str, np.ndarray] | None = None,
    opset: int = 17,
    domains: tuple[str, ...] = (),
    dtype: int = TensorProto.FLOAT,
) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in (initializers or {}).items()],
    )
    for output in graph.output:
        output.ClearField("type")
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="test")


def imported(model: ModelProto, **shapes: tuple[int, ...]):
    module = import_model(model.SerializeToString(), shapes=shapes or None)
    verify_module(module)
    text = print_module(module)
    assert print_module(parse_module(text)) == text
    return module


def nodes_of(module) -> list[NodeOp]:
    return [op for op in module.walk() if isinstance(op, NodeOp)]


def refused(model: ModelProto | bytes | Path, **shapes: tuple[int, ...]) -> str:
    source = model.SerializeToString() if isinstance(model, ModelProto) else model
    with pytest.raises(UserError) as caught:
        import_model(source, shapes=shapes or None)
    return str(caught.value)


def relu(name: str = "", source: str = "x", result: str = "y") -> NodeProto:
    return helper.make_node("Relu", [source], [result], name=name)


def test_names_with_slashes_and_colons_survive():
    model = make_model([relu("scope/a:b", "in:0", "out/1:0")], {"in:0": [2, 3]}, ["out/1:0"])
    module = imported(model)
    (node,) = nodes_of(module)
    assert name_of(node) == "scope/a:b"
    text = print_module(module)
    assert 'onnx.name = "in:0"' in text
    assert 'as "out/1:0"' in text
    assert 'loc("scope/a:b")' in text


def test_absent_optional_inputs_keep_their_places():
    nodes = [
        helper.make_node("Clip", ["x", "", "high"], ["a"]),
        helper.make_node("Clip", ["a", "high", ""], ["b"]),
        helper.make_node("Clip", ["b"], ["y"]),
    ]
    module = imported(make_model(nodes, {"x": [4]}, ["y"], initializers={"high": np.float32(6)}))
    first, second, third = nodes_of(module)
    assert [value is None for value in first.node_inputs()] == [False, True, False]
    assert [value is None for value in second.node_inputs()] == [False, False]
    assert len(third.node_inputs()) == 1


def test_absent_and_several_outputs():
    weights = {"w": np.zeros((1, 16, 3), np.float32), "r": np.zeros((1, 16, 4), np.float32)}
    nodes = [
        helper.make_node("Split", ["x"], ["a", "b"], axis=0),
        helper.make_node("LSTM", ["a", "w", "r"], ["", "last"], hidden_size=4),
        helper.make_node("LSTM", ["b", "w", "r"], ["all", "", "cell"], hidden_size=4),
    ]
    module = imported(make_model(nodes, {"x": [4, 1, 3]}, ["last", "all", "cell"], initializers=weights))
    split, first, second = nodes_of(module)
    assert [result.type.get_shape() for result in split.results] == [(2, 1, 3)] * 2
    assert [value is None for value in first.node_outputs()] == [True, False]
    assert [value is None for value in second.node_outputs()] == [False, True, False]
    assert second.result_names is not None
    assert [name.data for name in second.result_names] == ["all", "cell"]


def test_an_operator_means_what_it_means_in_the_models_opset():
    attribute_form = helper.make_node("Clip", ["x"], ["y"], min=0.0, max=6.0)
    (node,) = nodes_of(imported(make_model([attribute_form], {"x": [4]}, ["y"], opset=10)))
    assert sorted(node.node_attributes()) == ["max", "min"]
    message = refused(make_model([attribute_form], {"x": [4]}, ["y"], opset=11))
    assert message == "error: the node of \"y\" (Clip): operator Clip has no attribute 'max' in opset 11"


def test_large_constants_are_weights_and_small_ones_are_inline():
    values = {"big": np.arange(101, dtype=np.float32), "small": np.arange(101, dtype=np.float32)[:100]}
    nodes = [helper.make_node("Add", ["x", "big"], ["y"]), helper.make_node("Add", ["z", "small"], ["w"])]
    module = imported(make_model(nodes, {"x": [101], "z": [100]}, ["y", "w"], initializers=values))
    big, small = (op for op in module.walk() if isinstance(op, InitializerOp))
    assert isinstance(big.value, WeightsAttr)
    assert not isinstance(small.value, WeightsAttr)
    np.testing.assert_array_equal(array_of(big.value), values["big"])
    np.testing.assert_array_equal(array_of(small.value), values["small"])


@pytest.mark.parametrize(
    ("data_type", "text"),
    [
        (TensorProto.FLOAT16, "f16"),
        (TensorProto.BFLOAT16, "bf16"),
        (TensorProto.DOUBLE, "f64"),
        (TensorProto.INT4, "i4"),
        (TensorProto.UINT4, "ui4"),
        (TensorProto.UINT8, "ui8"),
        (TensorProto.INT32, "i32"),
        (TensorProto.BOOL, "i1"),
        (TensorProto.FLOAT8E4M3FN, "f8E4M3FN"),
    ],
)
def test_data_types_of_initializers(data_type: int, text: str):
    values = [1, 0, 1, 1, 0]
    model = make_model([helper.make_node("Identity", ["w"], ["y"])], {}, ["y"], opset=21)
    model.graph.initializer.append(helper.make_tensor("w", data_type, [5], values))
    module = imported(model)
    (initializer,) = (op for op in module.walk() if isinstance(op, InitializerOp))
    assert str(initializer.result.type) == f"tensor<5x{text}>"
    assert array_of(initializer.value).astype(np.int64).tolist() == values


def test_initializers_listed_as_inputs_are_constants():
    model = make_model([helper.make_node("Add", ["x", "w"], ["y"])], {"w": [2], "x": [2]}, ["y"])
    model.graph.initializer.append(numpy_helper.from_array(np.ones(2, np.float32), "w"))
    text = print_module(imported(model))
    assert '@main(%x: tensor<2xf32> {onnx.name = "x"})' in text
    assert 'onnx.initializer "w" input 0 = dense' in text


def test_unknown_domains_are_carried():
    node = helper.make_node("Blur", ["x", "", "k"], ["y"], domain="com.acme", radius=2, modes=["a", "b"])
    model = make_model([node, relu(source="y", result="z")], {"x": [4], "k": [2]}, ["z"], domains=("com.acme",))
    model.graph.value_info.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [4]))
    custom, after = nodes_of(imported(model))
    assert isinstance(custom, CustomOp)
    assert (custom.domain, custom.op_type) == ("com.acme", "Blur")
    assert [value is None for value in custom.node_inputs()] == [False, True, False]
    assert sorted(custom.node_attributes()) == ["modes", "radius"]
    assert str(after.results[0].type) == "tensor<4xf32>"


def test_what_cannot_be_inferred_is_not_guessed():
    node = helper.make_node("Blur", ["x"], ["y"], domain="com.acme")
    custom, after = nodes_of(
        imported(make_model([node, relu(source="y", result="z")], {"x": [4]}, ["z"], domains=("com.acme",)))
    )
    assert str(custom.results[0].type) == "tensor<*xnone>"
    assert str(after.results[0].type) == "tensor<*xnone>"


def test_graphs_inside_nodes_become_regions():
    def branch(op_type: str) -> object:
        output = helper.make_tensor_value_info("r", TensorProto.FLOAT, [2])
        return helper.make_graph([helper.make_node(op_type, ["x"], ["r"])], op_type, [], [output])

    node = helper.make_node("If", ["c"], ["y"], then_branch=branch("Abs"), else_branch=branch("Neg"))
    model = make_model([node], {"x": [2]}, ["y"])
    model.graph.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
    conditional, negate, absolute = nodes_of(imported(model))
    assert [region.block.first_op for region in conditional.node_graphs().values()] == [negate, absolute]
    assert (negate.op_type, absolute.op_type) == ("Neg", "Abs")
    assert str(conditional.results[0].type) == "tensor<2xf32>"


def test_shapes_bind_dynamic_dimensions_and_symbols_shared_with_other_inputs():
    model = make_model([helper.make_node("Add", ["x", "z"], ["y"])], {"x": ["batch", 3], "z": ["batch", 1]}, ["y"])
    (node,) = nodes_of(imported(model, x=(5, 3)))
    assert [str(operand.type) for operand in node.operands] == ["tensor<5x3xf32>", "tensor<5x1xf32>"]
    assert str(node.results[0].type) == "tensor<5x3xf32>"


def test_shapes_that_follow_from_arithmetic_on_shapes():
    """Flatten as exporters spell it where they do not know the shape, and a constant made of a computed size."""
    constants = {"two": np.array([2]), "four": np.array([4]), "half": np.array([2]), "minus": np.array([-1])}
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Slice", ["s", "two", "four"], ["hw"]),
        helper.make_node("Div", ["hw", "half"], ["small"]),
        helper.make_node("ConstantOfShape", ["small"], ["zeros"]),
        helper.make_node("Shape", ["zeros"], ["zs"]),
        helper.make_node("ReduceProd", ["zs"], ["count"], keepdims=1),
        helper.make_node("Concat", ["count", "minus"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    model = make_model(nodes, {"x": ["n", 3, "h", "w"]}, ["y"], initializers=constants)
    module = imported(model, x=(2, 3, 8, 6))
    types = {node.op_type: str(node.results[0].type) for node in nodes_of(module)}
    assert types["ConstantOfShape"] == "tensor<4x3xf32>"
    assert types["Reshape"] == "tensor<12x24xf32>"


def test_shape_arithmetic_that_asks_for_too_much_is_left_alone():
    constants = {"size": np.array([1 << 20, 1 << 20])}
    nodes = [helper.make_node("ConstantOfShape", ["size"], ["a"]), helper.make_node("NonZero", ["a"], ["y"])]
    node, _ = nodes_of(imported(make_model(nodes, {}, ["y"], initializers=constants)))
    assert str(node.results[0].type) == "tensor<1048576x1048576xf32>"


def test_declared_output_shapes_do_not_hide_inferred_ones():
    model = make_model([relu()], {"x": [1, 2]}, ["y"])
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, [-1, 2]))
    text = print_module(imported(model))
    assert 'tensor<1x2xf32> {onnx.name = "y", onnx.declared_shape = [-1 : i64, 2 : i64]}' in text


def test_functions_of_the_model_are_inlined():
    model = make_model([helper.make_node("Twice", ["x"], ["y"], domain="local")], {"x": [2]}, ["y"], domains=("local",))
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("local", "Twice", ["a"], ["b"], body, opsets))
    assert [node.op_type for node in nodes_of(imported(model))] == ["Add"]


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


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("input", "input"),
        ("/features/features.0/Conv_output_0", "Conv_output"),
        ("stem.0.weight", "weight"),
        ("x:0", None),
        ("123", None),
        ("a_1_2", "a"),
        ("Größe", "Gr__e"),
    ],
)
def test_ssa_names_of_tensors(name: str, expected: str | None):
    assert value_name(name) == expected


def test_ssa_names_of_operators():
    assert operator_name("BatchNormalization") == "batch_normalization"
    assert operator_name("LSTM") == "lstm"
    assert operator_name("QLinearConv") == "q_linear_conv"


@pytest.mark.skipif(not ZOO.exists(), reason="needs the models of ../shared/zoo")
@pytest.mark.parametrize("name", FAST)
def test_zoo_models_import_verify_print_and_parse_back(name: str):
    module = import_model(ZOO / f"{name}.onnx")
    verify_module(module)
    text = print_module(module)
    assert print_module(parse_module(text)) == text
    assert "?" not in text
    assert "tensor<*" not in text


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


def test_long_vectors_are_not_followed_element_by_element():
    """ONNX's propagation of values would take gigabytes for them."""
    nodes = [helper.make_node("Add", ["x", "x"], ["y"]), helper.make_node("Blur", ["y"], ["z"], domain="com.acme")]
    model = make_model(nodes, {"x": [2**40]}, ["z"], domains=("com.acme",))
    assert f"tensor<{2**40}xf32>" in print_module(imported(model))
