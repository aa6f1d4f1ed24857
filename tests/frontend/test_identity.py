"""ONNX -> IR -> text -> IR -> ONNX on all models that the onnx package brings along, and on the zoo.

A sample of them runs in `make test`, all of them in `make test-full`.
"""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.case.test_case import TestCase

from intaglio.frontend.exporter import export_model, normal_form
from intaglio.frontend.importer import import_model
from intaglio.ir.parsing import parse_module, read_module
from intaglio.ir.printing import print_module, weights_in, write_module

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
MODELS = sorted(DATA.rglob("*.onnx"))
ZOO_FOLDER = Path(__file__).parents[2].parent / "shared" / "zoo"
ZOO = sorted(ZOO_FOLDER.glob("*/*.onnx"))
SAMPLE = ["blazeface_front", "fashion_resnet8", "mnist_cnn", "ppocr_cls", "pulsevad_2k", "pulsevad_2k_int8"]


def data_name(path: Path) -> str:
    return path.relative_to(DATA).as_posix()


def zoo_name(path: Path) -> str:
    return path.relative_to(ZOO_FOLDER).as_posix()


def assert_equal(exported: ModelProto, original: ModelProto) -> None:
    left, right = normal_form(exported), normal_form(original)
    if left.SerializeToString(deterministic=True) != right.SerializeToString(deterministic=True):
        assert str(left) == str(right)
    onnx.checker.check_model(exported)


def assert_identity(source: Path | bytes, original: ModelProto) -> None:
    module = import_model(source, open_shapes=True)
    text = print_module(module)
    parsed = parse_module(text)
    assert print_module(parsed) == text
    # Large values are not in the text; they are found as long as the first module is there.
    assert_equal(export_model(parsed), original)
    assert module.body.block.first_op is not None


@cache
def node_cases() -> list[TestCase]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # Some cases overflow or divide by zero on purpose while they are made.
        warnings.simplefilter("ignore")
        return collect_testcases(None)


def test_a_sample_of_the_node_cases():
    """Every 25th, and those with types and forms that few models have."""
    special = {"test_scan_sum", "test_identity_opt", "test_loop16_seq_none", "test_string_split_basic", "test_if_seq"}
    sample = [case for index, case in enumerate(node_cases()) if index % 25 == 0 or case.name in special]
    assert special <= {case.name for case in sample}
    for case in sample:
        assert_identity(case.model.SerializeToString(), case.model)


@pytest.mark.slow
def test_all_node_cases():
    assert len(node_cases()) >= 1500
    for case in node_cases():
        assert_identity(case.model.SerializeToString(), case.model)


@pytest.mark.parametrize("path", MODELS[::10], ids=data_name)
def test_a_sample_of_the_models_of_the_onnx_package(path: Path):
    assert_identity(path, onnx.load(path))


@pytest.mark.slow
@pytest.mark.parametrize("path", MODELS, ids=data_name)
def test_all_models_of_the_onnx_package(path: Path):
    assert_identity(path, onnx.load(path))


def through_files(source: Path, folder: Path) -> ModelProto:
    """The model by way of a text and a weights file; nothing of the first module is left when they are read."""
    write_module(import_model(source, open_shapes=True), folder / "model.mlir")
    module = read_module(folder / "model.mlir")
    assert weights_in(module)
    assert all(weights.data.values is None for weights in weights_in(module))
    return export_model(module)


@pytest.mark.parametrize("path", [path for path in ZOO if path.stem in SAMPLE], ids=zoo_name)
def test_a_sample_of_the_zoo(path: Path, tmp_path: Path):
    assert_equal(through_files(path, tmp_path), onnx.load(path))


@pytest.mark.slow
@pytest.mark.parametrize("path", ZOO, ids=zoo_name)
def test_the_zoo(path: Path, tmp_path: Path):
    assert_equal(through_files(path, tmp_path), onnx.load(path))


SHAPES = {
    "models/pulsevad_2k_int8": {"log_mel": (5, 64, 21)},
    "raw/ppocr_cls": {"x": (2, 3, 48, 192)},
}


@pytest.mark.parametrize("name", SHAPES)
def test_binding_shapes_does_not_change_what_goes_out(name: str):
    path = ZOO_FOLDER / f"{name}.onnx"
    if not path.exists():
        pytest.skip("needs the models of ../shared/zoo")
    module = import_model(path, shapes=SHAPES[name])
    text = print_module(module)
    (shape,) = SHAPES[name].values()
    assert f"tensor<{'x'.join(map(str, shape))}xf32>" in text
    assert_equal(export_model(module), onnx.load(path))
