"""The stub of the generated ONNX ops says what the classes are."""

from __future__ import annotations

import ast
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner

from intaglio.dialects.onnx import OnnxOp, operator_class, operator_classes, ops
from intaglio.tools import stubs


def stub_classes() -> dict[str, list[str]]:
    """The annotated members by class, as written in the tree."""
    tree = ast.parse(stubs.STUB.read_text(encoding="utf-8"))
    return {
        node.name: [
            item.target.id
            for item in node.body
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
        ]
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }


needs_same_onnx = pytest.mark.skipif(
    stubs.made_from() != onnx.__version__, reason="the stub was made from another version of onnx"
)


@needs_same_onnx
def test_the_stub_is_fresh():
    assert stubs.STUB.read_text(encoding="utf-8") == stubs.stub(), "run `make docs`"


@needs_same_onnx
def test_the_stub_has_all_classes_with_their_accessors():
    found = stub_classes()
    assert sorted(found) == dir(ops)
    assert len(found) == len(operator_classes())
    for name, members in found.items():
        kind = getattr(ops, name)
        assert issubclass(kind, OnnxOp)
        assert kind is operator_class(kind.SCHEMA.name, kind.SCHEMA.domain)
        accessors = {member for member in vars(kind) if member.startswith(("in_", "out_", "attr_", "graph_"))}
        assert set(members) == accessors


def test_classes_of_other_domains_have_its_name():
    assert ops.MlScalerOp.name == "onnx.ml.Scaler"
    assert ops.PreviewTrainingAdamOp.name == "onnx.preview.training.Adam"
    assert ops.QLinearConvOp is not ops.MicrosoftQLinearConvOp
    with pytest.raises(AttributeError, match="no ONNX operator has the class BlurOp"):
        _ = ops.BlurOp


def test_check_finds_a_stale_stub_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "ops.pyi"
    monkeypatch.setattr(stubs, "STUB", path)
    path.write_text("stale\n")
    assert CliRunner().invoke(stubs.main, ["--check"]).exit_code == 1
    assert path.read_text() == "stale\n"
    assert CliRunner().invoke(stubs.main, []).exit_code == 0
    assert path.read_text(encoding="utf-8") == stubs.stub()
    assert CliRunner().invoke(stubs.main, ["--check"]).exit_code == 0
