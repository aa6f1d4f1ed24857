"""Files of ranges: ours and AIMET's, read, written and applied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper, save

from intaglio.errors import UserError
from intaglio.ir.context import make_context
from intaglio.ir.parsing import parse_module
from intaglio.passes.calibration.apply_ranges import ApplyRanges, apply_ranges
from intaglio.passes.calibration.observers import observers_of
from intaglio.passes.calibration.ranges_file import (
    CalibratedRange,
    read_ranges,
    write_encodings,
    write_ranges_file,
)
from intaglio.passes.calibration.statistics import Grid
from intaglio.passes.calibration.tensor_names import read_tensor_names

RANGES = {
    "input": CalibratedRange(-1.0, 2.55, "mse"),
    "stem/Relu": CalibratedRange(0.0, 5.1, "percentile{percentile_value=99.5}"),
    'odd "name"\n': CalibratedRange(-1e-30, 3.4e38),
    "wide": CalibratedRange(-1.0, 1.0, "mse", (-1.5, 8.0)),
}

NETWORK = """
func.func @main(%x: tensor<2xf32> {onnx.name = "input"}) -> tensor<2xf32> {
  %0 = quant.observe %x {method = "min_max"} : tensor<2xf32>
  %1 = nn.add %0, %0 clamp <0.0, 6.0> : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
    loc(fused["stem/Add", "stem/Relu"])
  %2 = quant.observe %1 {method = "min_max"} : tensor<2xf32> loc(fused["stem/Add", "stem/Relu"])
  func.return %2 : tensor<2xf32>
}
"""


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def applied(file: Path, **options: Any) -> dict[str, tuple[float, float] | None]:
    module = parse_module(NETWORK)
    apply_ranges(module, file, **options)
    return {name: op.calibrated_range for name, op in observers_of(module).items()}


def make_model(path: Path) -> Path:
    nodes = [
        helper.make_node("Add", ["input", "input"], ["sum_tensor"], name="stem/Add"),
        helper.make_node("Relu", ["sum_tensor"], ["relu_tensor"], name="stem/Relu"),
    ]
    tensor = helper.make_tensor_value_info("input", TensorProto.FLOAT, [2])
    output = helper.make_tensor_value_info("relu_tensor", TensorProto.FLOAT, [2])
    save(helper.make_model(helper.make_graph(nodes, "net", [tensor], [output])), path)
    return path


def test_ranges_read_back_exactly(tmp_path: Path):
    file = tmp_path / "ranges.json"
    write_ranges_file(file, RANGES)
    assert read_ranges(file).ranges == RANGES
    assert json.loads(file.read_text())["input"] == {"min": -1.0, "max": 2.55, "method": "mse"}


def test_methods_come_with_the_ranges(tmp_path: Path):
    file = write(
        tmp_path / "r.json", {"input": {"min": -1, "max": 2}, "stem/Relu": {"min": 0, "max": 3, "method": "mse"}}
    )
    module = parse_module(NETWORK)
    ApplyRanges(file=str(file)).apply(make_context(), module)
    found = {name: (op.method.data, op.calibrated_range) for name, op in observers_of(module).items()}
    assert found == {"input": ("min_max", (-1.0, 2.0)), "stem/Relu": ("mse", (0.0, 3.0))}


def test_extrema_come_with_the_ranges(tmp_path: Path):
    entry: dict[str, Any] = {"min": 0, "max": 3}
    content = {"input": {"min": -1, "max": 2}, "stem/Relu": entry | {"extrema": [0, 8.5]}}
    module = parse_module(NETWORK)
    ApplyRanges(file=str(write(tmp_path / "r.json", content))).apply(make_context(), module)
    assert [op.widest_range for op in observers_of(module).values()] == [(-1.0, 2.0), (0.0, 8.5)]
    content["stem/Relu"] = entry
    ApplyRanges(file=str(write(tmp_path / "r.json", content))).apply(make_context(), module)
    assert [op.widest_range for op in observers_of(module).values()] == [(-1.0, 2.0), (0.0, 3.0)]


def test_a_partial_file_leaves_the_others(tmp_path: Path):
    file = write(tmp_path / "r.json", {"input": {"min": -1, "max": 2}})
    with pytest.raises(UserError, match="no range for 'stem/Relu'"):
        applied(file)
    assert applied(file, partial=True) == {"input": (-1.0, 2.0), "stem/Relu": None}


def test_names_of_tensors_are_understood_with_the_model(tmp_path: Path):
    names = read_tensor_names(make_model(tmp_path / "model.onnx"))
    assert names == {"input": "input", "sum_tensor": "stem/Add", "relu_tensor": "stem/Relu"}
    entry = {"min": 0, "max": 3}
    file = write(tmp_path / "r.json", {"input": {"min": -1, "max": 2}, "sum_tensor": entry, "relu_tensor": entry})
    # The sum is inside of a fused operation and needs no range.
    assert applied(file, tensor_names=names) == {"input": (-1.0, 2.0), "stem/Relu": (0.0, 3.0)}
    ApplyRanges(file=str(file), model=str(tmp_path / "model.onnx")).apply(make_context(), parse_module(NETWORK))


def test_unknown_names_are_errors_with_a_suggestion(tmp_path: Path):
    file = write(tmp_path / "r.json", {"inptu": {"min": -1, "max": 2}, "stem/Relu": {"min": 0, "max": 3}})
    with pytest.raises(UserError) as error:
        applied(file)
    assert "no tensor 'inptu'" in str(error.value)
    assert "did you mean input?" in str(error.value)


# 0.01 is a step and -100 the stored value's offset, so that the range is -1.00 to 1.55.
AIMET = {
    "0.4.0": {
        "activation_encodings": {
            "relu_tensor": [
                {"bitwidth": 8, "is_symmetric": "False", "max": 1.55, "min": -1.0, "offset": -100, "scale": 0.01}
            ]
        },
        "param_encodings": {"weight": []},
    },
    "0.6.1 without limits": {
        "version": "0.6.1",
        "activation_encodings": {
            "relu_tensor": [{"bitwidth": 8, "dtype": "int", "is_symmetric": "False", "offset": -100, "scale": 0.01}],
            "half": [{"bitwidth": 16, "dtype": "float"}],
        },
        "param_encodings": {},
    },
    "1.0.0": {
        "version": "1.0.0",
        "activation_encodings": [
            {"name": "relu_tensor", "enc_type": "PER_TENSOR", "dtype": "INT", "bw": 8, "is_sym": False}
            | {"scale": [0.01], "offset": [-100.0]},
            {"name": "half", "enc_type": "PER_TENSOR", "dtype": "FLOAT", "bw": 16},
        ],
        "param_encodings": [],
    },
    "2.0.0 unsigned": {
        "version": "2.0.0",
        "encodings": [{"name": "relu_tensor", "output_dtype": "uint8", "y_scale": 0.01, "y_zero_point": 100}],
    },
    "2.0.0 signed": {
        "version": "2.0.0",
        "encodings": [{"name": "relu_tensor", "output_dtype": "int8", "y_scale": 0.01, "y_zero_point": -28}],
    },
}


@pytest.mark.parametrize("version", AIMET)
def test_encodings_of_aimet_are_read(version: str, tmp_path: Path):
    file = read_ranges(write(tmp_path / "e.json", AIMET[version]))
    assert file.is_encodings
    assert list(file.ranges) == ["relu_tensor"]
    assert file.ranges["relu_tensor"].bounds == (pytest.approx(-1.0), pytest.approx(1.55))


def test_encodings_of_aimet_are_written(tmp_path: Path):
    file = tmp_path / "e.json"
    write_encodings(file, {"relu_tensor": CalibratedRange(-1.0, 1.55)})
    entry = json.loads(file.read_text())["activation_encodings"][0]
    assert entry.pop("scale") == [pytest.approx(0.01)]
    assert entry == {
        "name": "relu_tensor",
        "enc_type": "PER_TENSOR",
        "dtype": "INT",
        "bw": 8,
        "is_sym": False,
        "offset": [-100],
    }
    write_encodings(file, {"t": CalibratedRange(-2.54, 1.0)}, Grid(8, symmetric=True), version="0.6.1")
    (old,) = json.loads(file.read_text())["activation_encodings"]["t"]
    assert old["offset"] == -128
    assert old["is_symmetric"] == "True"
    assert (old["scale"], old["min"], old["max"]) == (pytest.approx(0.02), pytest.approx(-2.56), pytest.approx(2.54))
    with pytest.raises(UserError, match=r"version '3.0.0' cannot be written"):
        write_encodings(file, {}, version="3.0.0")


@pytest.mark.parametrize("version", ["1.0.0", "0.6.1"])
def test_encodings_pass_through_a_network(version: str, tmp_path: Path):
    names = read_tensor_names(make_model(tmp_path / "model.onnx"))
    encodings = {
        "input": CalibratedRange(-1.0, 1.55),
        "sum_tensor": CalibratedRange(-9.0, 9.0),
        "relu_tensor": RANGES["input"],
    }
    write_encodings(tmp_path / "e.json", encodings, version=version)
    found = applied(tmp_path / "e.json", tensor_names=names)
    assert found["input"] == (pytest.approx(-1.0, abs=0.01), pytest.approx(1.55, abs=0.01))
    assert found["stem/Relu"] == (pytest.approx(-1.0, abs=0.01), pytest.approx(2.55, abs=0.01))
    # Without the model, the names of its tensors mean nothing.
    with pytest.raises(UserError, match="no range for 'stem/Relu'"):
        applied(tmp_path / "e.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"broken.json:1:2: error: not JSON"),
        ("[]", "expected a JSON object"),
        ('{"a": {"min": 1, "max": 2}, "a": {"min": 1, "max": 2}}', "'a' occurs twice"),
        ({"a": 3}, "the range of 'a' is not complete"),
        ({"a": {"min": 1}}, "the range of 'a' is not complete"),
        ({"a": {"min": 1, "max": 2, "mode": ""}}, "the range of 'a' has 'mode'"),
        ({"a": {"min": 1, "max": 2, "extrema": [1]}}, "the extrema of 'a' are not two numbers"),
        ({"a": {"min": 1, "max": 2, "extrema": [3, 1]}}, "not finite and ordered: 3.0 to 1.0"),
        ({"a": {"min": "1", "max": 2}}, "limits of 'a' are not numbers: '1' to 2"),
        ({"a": {"min": True, "max": 2}}, "not numbers"),
        ({"a": {"min": 3, "max": 2}}, "not finite and ordered: 3.0 to 2.0"),
        ('{"a": {"min": 0, "max": NaN}}', "not finite and ordered"),
        ({"a": {"min": 0, "max": 10**400}}, "not finite and ordered"),
        ({"activation_encodings": 3}, "neither a list nor an object"),
        ({"activation_encodings": [3]}, "an encoding is no JSON object"),
        ({"activation_encodings": {"a": [{"scale": 1.0}]}}, "encoding of 'a' is not that of a whole tensor"),
        ({"activation_encodings": {"a": [{}, {}]}}, "encoding of 'a' is not that of a whole tensor"),
        ({"activation_encodings": [{"name": "a", "scale": [1.0, 2.0], "offset": [0, 0]}]}, "not that of a whole"),
    ],
)
def test_broken_files(content: Any, message: str, tmp_path: Path):
    with pytest.raises(UserError) as error:
        read_ranges(write(tmp_path / "broken.json", content))
    assert message in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(UserError, match="cannot read the file"):
        read_ranges(tmp_path / "none.json")
    (tmp_path / "latin.json").write_bytes(b'{"\xe4": 1}')
    with pytest.raises(UserError, match="not UTF-8"):
        read_ranges(tmp_path / "latin.json")


def test_a_module_without_observers_has_nothing_to_give_ranges_to(tmp_path: Path):
    module = parse_module("func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> { func.return %x : tensor<2xf32> }")
    with pytest.raises(UserError, match="no observers"):
        apply_ranges(module, tmp_path / "none.json")
