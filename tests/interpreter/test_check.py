"""Assertions hold exactly when they should, and say what is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from intaglio.errors import UserError
from intaglio.interpreter import Interpreter
from intaglio.ir.parsing import parse_module

NAN, INF = float("nan"), float("inf")


def run(op: str, kind: str, actual: list[float], expected: list[float], dtype=np.float32) -> None:
    module = parse_module(
        f"func.func @main(%a: {kind}, %b: {kind}) {{\n  {op} : {kind}\n  func.return\n}}", "test.mlir"
    )
    Interpreter(module).run("main", [np.array(actual, dtype), np.array(expected, dtype)])


@pytest.mark.parametrize(
    ("actual", "expected", "holds"),
    [
        ([1, 2], [1, 2], True),
        ([1, 2], [1, 3], False),
        ([NAN, INF], [NAN, INF], True),
        ([0.0, 1], [-0.0, 1], False),
        ([1, 2], [np.nextafter(np.float32(1), np.float32(2)), 2], False),
    ],
)
def test_expect_eq(actual, expected, holds):
    if holds:
        run("check.expect_eq %a, %b", "tensor<2xf32>", actual, expected)
        return
    with pytest.raises(UserError, match=r"check\.expect_eq"):
        run("check.expect_eq %a, %b", "tensor<2xf32>", actual, expected)


@pytest.mark.parametrize(
    ("actual", "expected", "holds"),
    [
        ([1, 2], [1.25, 1.75], True),
        ([1, 2], [1.5, 2], False),
        ([NAN, INF], [NAN, INF], True),
        ([NAN, 1], [1, 1], False),
        ([INF, 1], [-INF, 1], False),
        ([INF, 1], [3e38, 1], False),
    ],
)
def test_expect_close(actual, expected, holds):
    op = "check.expect_close %a, %b tolerance 0.25"
    if holds:
        run(op, "tensor<2xf32>", actual, expected)
        return
    with pytest.raises(UserError, match=r"check\.expect_close"):
        run(op, "tensor<2xf32>", actual, expected)


@pytest.mark.parametrize(("distance", "holds"), [(1, True), (2, False)])
def test_integers_are_compared_exactly(distance, holds):
    big = 2**62
    op, kind = "check.expect_close %a, %b tolerance 1.0", "tensor<1xi64>"
    if holds:
        run(op, kind, [big], [big + distance], np.int64)
        return
    with pytest.raises(UserError, match=f"element \\[0\\] is {big}, expected within 1.0 of {big + distance}"):
        run(op, kind, [big], [big + distance], np.int64)


def test_the_message_names_place_element_and_count():
    with pytest.raises(UserError) as caught:
        run("check.expect_eq %a, %b", "tensor<2x2xf32>", [[1, 2], [3, 4]], [[1, 2], [5, 6]])
    assert str(caught.value) == (
        "test.mlir:2:3: error: check.expect_eq (test.mlir:2:3) does not hold: "
        "element [1, 0] is 3.0, expected 5.0 (2 of 4 elements differ)"
    )


def test_quantized_tensors_are_compared_by_their_integers():
    kind = "tensor<2x!quant.uniform<i8:f32, 0.001>>"
    run("check.expect_close %a, %b tolerance 1.0", kind, [3, 4], [4, 3], np.int8)
    with pytest.raises(UserError, match=r"element \[0\]"):
        run("check.expect_close %a, %b tolerance 1.0", kind, [-128, 4], [127, 3], np.int8)
