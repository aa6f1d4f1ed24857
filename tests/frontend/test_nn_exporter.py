"""Float `nn` modules as ONNX models: extra outputs, mixed dialects, older opsets; `onnx-to-nn` tests each rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from intaglio.errors import UserError
from intaglio.frontend.nn_exporter import export_float
from intaglio.interpreter import Interpreter
from intaglio.ir.parsing import parse_module

NETWORK = """
func.func @main(%x: tensor<1x2x4x4xf32> {onnx.name = "in/0"}) -> (tensor<1x3x4x4xf32> {onnx.name = "out:0"}) {
  %w = nn.constant dense<0.5> : tensor<3x3x3x2xf32>
  %t = nn.transpose %x permutation [0, 2, 3, 1] : (tensor<1x2x4x4xf32>) -> tensor<1x4x4x2xf32>
  %c = nn.conv2d %t, %w strides [1, 1] pads [1, 1, 1, 1] dilations [1, 1] groups 1 clamp <0.0, 6.0>
    : (tensor<1x4x4x2xf32>, tensor<3x3x3x2xf32>) -> tensor<1x4x4x3xf32>
  %o = quant.observe %c {method = "min_max"} : tensor<1x4x4x3xf32>
  %s = nn.hard_swish %o : (tensor<1x4x4x3xf32>) -> tensor<1x4x4x3xf32>
  %y = nn.transpose %s permutation [0, 3, 1, 2] : (tensor<1x4x4x3xf32>) -> tensor<1x3x4x4xf32>
  %unused = nn.relu %c : (tensor<1x4x4x3xf32>) -> tensor<1x4x4x3xf32>
  func.return %y : tensor<1x3x4x4xf32>
}
"""


def value(module: ModuleOp, name: str) -> SSAValue:
    (function,) = module.body.block.ops
    candidates = [*function.regions[0].block.args, *(result for op in module.walk() for result in op.results)]
    return next(candidate for candidate in candidates if candidate.name_hint == name)


def run(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString())
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, feeds), strict=True))


def test_names_and_layouts_are_those_of_the_module():
    module = parse_module(NETWORK)
    model, extra = export_float(module)
    assert extra == {}
    assert [value.name for value in model.graph.input] == ["in/0"]
    x = np.random.default_rng(0).standard_normal((1, 2, 4, 4)).astype(np.float32)
    results = run(model, {"in/0": x})
    assert list(results) == ["out:0"]
    (expected,) = Interpreter(module).run("main", [x])
    np.testing.assert_allclose(results["out:0"], expected, rtol=1e-5, atol=1e-6)


def test_transposes_between_layouts_and_what_nobody_reads_are_dropped():
    model, _ = export_float(parse_module(NETWORK))
    assert [node.op_type for node in model.graph.node].count("Relu") == 0
    assert [node.op_type for node in model.graph.node][:2] == ["Conv", "Clip"]


def test_extra_outputs_have_the_layout_of_the_value():
    module = parse_module(NETWORK)
    values = [value(module, name) for name in ("c", "x", "o", "w", "c", "y")]
    model, extra = export_float(module, extra_outputs=values)
    assert set(extra) == set(values)
    x = np.random.default_rng(0).standard_normal((1, 2, 4, 4)).astype(np.float32)
    results = run(model, {"in/0": x})
    seen: dict[SSAValue, np.ndarray] = {}

    def remember(op: Operation, results: Sequence[np.ndarray]) -> None:
        seen.update(zip(op.results, results, strict=True))

    Interpreter(module, listeners=[remember]).run("main", [x])
    seen[values[1]] = x
    for one in values:
        np.testing.assert_allclose(results[extra[one]], seen[one], rtol=1e-5, atol=1e-6)
    assert extra[value(module, "y")] == "out:0"


MIXED = """
builtin.module attributes {{onnx.opset_import = {{"" = {opset} : i64}}}} {{
  func.func @main(%x: tensor<2x3x4xf32> {{onnx.name = "x"}}) -> (tensor<2x3x6xf32> {{onnx.name = "y"}}) {{
    %a = onnx.Softplus(%x) : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
    %b = nn.hard_swish %a : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
    %c = nn.clip %b to <-1.0, inf> : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
    %d = nn.softmax %c axis 1 : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
    %y = nn.pad %d low [0, 0, 1] high [0, 0, 1] value 0.5 : f64 : (tensor<2x3x4xf32>) -> tensor<2x3x6xf32>
    func.return %y : tensor<2x3x6xf32>
  }}
}}
"""


@pytest.mark.parametrize("opset", [9, 11, 13, 17])
def test_remaining_onnx_ops_keep_the_models_opset(opset: int):
    module = parse_module(MIXED.format(opset=opset))
    model, _ = export_float(module)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", opset)]
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    (expected,) = Interpreter(module).run("main", [x])
    np.testing.assert_allclose(run(model, {"x": x})["y"], expected, rtol=1e-5, atol=1e-6)


def test_quantized_tensors_are_refused():
    text = """
    func.func @main(%x: tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x!quant.uniform<i8:f32, 0.5>> {
      %y = nn.relu %x : (tensor<2x!quant.uniform<i8:f32, 0.5>>) -> tensor<2x!quant.uniform<i8:f32, 0.5>> loc("act")
      func.return %y : tensor<2x!quant.uniform<i8:f32, 0.5>>
    }"""
    with pytest.raises(UserError) as caught:
        export_float(parse_module(text))
    assert 'nn.relu "act"' in caught.value.what
    assert "only float modules can be exported to ONNX" in caught.value.what
