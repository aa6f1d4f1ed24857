"""Running functions: calls, listeners, memory, wrong arguments, missing rules; and the docstrings' examples."""

from __future__ import annotations

import gc
import inspect
import re
import weakref

import numpy as np
import pytest

from intaglio.dialects import check, nn, onnx, quant
from intaglio.errors import UserError
from intaglio.interpreter import Interpreter, evaluate, find_rule
from intaglio.ir.parsing import parse_module

CHAIN = """
func.func @twice(%x: tensor<2xf32>) -> tensor<2xf32> {
  %y = nn.add %x, %x : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32> loc("sum")
  func.return %y : tensor<2xf32>
}

func.func @main(%x: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
  %a = func.call @twice(%x) : (tensor<2xf32>) -> tensor<2xf32>
  %b = func.call @twice(%a) : (tensor<2xf32>) -> tensor<2xf32>
  %c = nn.relu %b : (tensor<2xf32>) -> tensor<2xf32>
  func.return %a, %c : tensor<2xf32>, tensor<2xf32>
}
"""
X = np.array([1, -2], np.float32)


def test_calls():
    first, second = Interpreter(parse_module(CHAIN)).run("main", [X])
    assert first.tolist() == [2, -4]
    assert second.tolist() == [4, 0]


def test_listeners_see_every_operation_in_called_functions_too():
    seen = []
    interpreter = Interpreter(
        parse_module(CHAIN), listeners=[lambda op, results: seen.append((op.name, results[0][0]))]
    )
    interpreter.run("main", [X])
    assert seen == [("nn.add", 2), ("func.call", 2), ("nn.add", 4), ("func.call", 4), ("nn.relu", 4)]


def test_run_many_is_lazy():
    interpreter = Interpreter(parse_module(CHAIN))
    samples = iter([[X], [2 * X]])
    results = interpreter.run_many("main", samples)
    assert next(results)[1].tolist() == [4, 0]
    assert next(samples)[0].tolist() == [2, -4]


def test_values_are_freed_after_their_last_use():
    kind = "tensor<1000xf32>"
    ops = "\n".join(f"%v{i + 1} = nn.tanh %v{i} : ({kind}) -> {kind}" for i in range(20))
    module = parse_module(f"func.func @main(%v0: {kind}) -> {kind} {{\n{ops}\nfunc.return %v20 : {kind}\n}}")
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def listen(op, results):
        nonlocal most
        alive.append(weakref.ref(results[0]))
        gc.collect()
        most = max(most, sum(reference() is not None for reference in alive))

    Interpreter(module, listeners=[listen]).run("main", [np.zeros(1000, np.float32)])
    assert most <= 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "@main takes 1 arguments, got 0"),
        ([np.zeros(3, np.float32)], "argument 0 of @main must be float32 of shape [2], got float32 of shape [3]"),
        ([np.zeros(2)], "argument 0 of @main must be float32 of shape [2], got float64 of shape [2]"),
    ],
)
def test_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(UserError, match=re.escape(message)):
        Interpreter(parse_module(CHAIN)).run("main", arguments)


def test_a_function_that_is_not_there():
    with pytest.raises(UserError, match="no function @other") as caught:
        Interpreter(parse_module(CHAIN)).run("other", [])
    assert caught.value.hint == "it has: @twice, @main"


def test_an_operation_without_a_rule_is_named():
    module = parse_module(
        """
        func.func @main() {
          %x = "test.op"() : () -> tensor<2xf32> loc("stem/Conv")
          func.return
        }
        """,
        "model.mlir",
    )
    with pytest.raises(UserError, match=re.escape('no rule for test.op "stem/Conv" (model.mlir:3:16)')):
        Interpreter(module).run("main", [])
    (op,) = [op for op in module.walk() if op.name == "test.op"]
    with pytest.raises(UserError, match="no rule"):
        evaluate(op, [])


def test_scales_outside_the_formulas_are_the_users_error():
    kind = "tensor<1x!quant.uniform<i8:f32, 1.0e+12>>"
    small = "tensor<1x!quant.uniform<i8:f32, 1.0e-12>>"
    module = parse_module(
        f"""
        func.func @main(%x: {kind}) -> {small} {{
          %y = nn.relu %x : ({kind}) -> {small}
          func.return %y : {small}
        }}
        """
    )
    with pytest.raises(UserError, match=r"cannot compute nn\.relu.*below 2\^29"):
        Interpreter(module).run("main", [np.ones(1, np.int8)])


def test_every_operation_of_these_dialects_has_a_rule():
    kinds = [*nn.Nn.operations, *quant.Quant.operations, *check.Check.operations, onnx.operator_class("Conv")]
    assert len(kinds) >= 29
    missing = [kind.name for kind in kinds if find_rule(kind.__new__(kind)) is None]
    assert not missing


EXAMPLES = [
    (kind.name, text)
    for kind in [*nn.Nn.operations, *check.Check.operations]
    for text in re.findall(r"```mlir\n(.*?)```", inspect.getdoc(kind) or "", re.DOTALL)
]


@pytest.mark.parametrize(("name", "text"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_examples_of_the_docstrings_run(name, text):
    module = parse_module(text)
    assert any(op.name == name for op in module.walk())
    interpreter = Interpreter(module)
    parameters = interpreter.function("main").body.block.args
    arguments = [np.ones(value.type.get_shape(), np.float32) for value in parameters]
    assert all(np.isfinite(result.astype(np.float64)).all() for result in interpreter.run("main", arguments))
