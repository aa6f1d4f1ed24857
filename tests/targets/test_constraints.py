"""Every constraint of the accelerator: what breaks it, the message, and what just obeys it."""

from __future__ import annotations

import re

import pytest
from xdsl.dialects import func

from intaglio.dialects import nn
from intaglio.ir.parsing import parse_module
from intaglio.targets.constraints import SUPPORTED, all_constraints, check
from intaglio.targets.target import load_target

GEN1 = load_target("gen1")
Q = "!quant.uniform<i8:f32, 0.5>"
W = "!quant.uniform<i8<-127:127>:f32, 0.5>"
Q16 = "!quant.uniform<i16:f32, 0.5>"
W16 = "!quant.uniform<i16<-32767:32767>:f32, 0.5>"


def t(*shape: int, kind: str = Q) -> str:
    return f"tensor<{''.join(f'{size}x' for size in shape)}{kind}>"


def pool(name: str, source: str, result: str, *, kernel: str, strides: str = "[1, 1]", more: str) -> str:
    return f"nn.{name} %a kernel {kernel} strides {strides} pads {more} : ({source}) -> {result}"


def conv(source: str, weight: str, result: str, *, strides: str = "[1, 1]", dilations: str = "[1, 1]") -> str:
    return (
        f"nn.conv2d %a, %b strides {strides} pads [0, 0, 0, 0] dilations {dilations} groups 1 "
        f": ({source}, {weight}) -> {result}"
    )


def binary(name: str, lhs: str, rhs: str, result: str) -> str:
    return f"nn.{name} %a, %b : ({lhs}, {rhs}) -> {result}"


def elementwise(name: str, lhs: tuple[int, ...], rhs: tuple[int, ...], result: tuple[int, ...]):
    return [t(*lhs), t(*rhs)], binary(name, t(*lhs), t(*rhs), t(*result))


def messages(arguments: list[str], op: str, mode: str = "shift") -> list[str]:
    """Violations of an operation on %a and %b, where %b is a constant if its type has a storage range."""
    names = dict(zip("ab", arguments, strict=False))
    body = ""
    if (weight := re.fullmatch(r"tensor<(.*)!quant\.uniform<(i\d+)<-.*", names.get("b", ""))) is not None:
        body = f"%b = nn.constant dense<1> : tensor<{weight[1]}{weight[2]}> as {names.pop('b')}\n"
    signature = ", ".join(f"%{name}: {kind}" for name, kind in names.items())
    attributes = f'attributes {{quant.requantization = "{mode}"}}'
    module = parse_module(f"func.func @main({signature}) {attributes} {{ {body} %y = {op} func.return }}")
    function = module.body.block.first_op
    assert isinstance(function, func.FuncOp)
    (found,) = (op for op in function.body.block.ops if op.results and not isinstance(op, nn.ConstantOp))
    return [str(violation) for violation in check(found, GEN1)]


FLOAT = t(4, kind="f32")
WIDE = t(1, 1, 70_000, 1)
CASES = {
    "known_operation": ([FLOAT], f"nn.pow %a, %a : ({FLOAT}, {FLOAT}) -> {FLOAT}", "got nn.pow"),
    "integer_activations": (
        [t(4, kind="!quant.uniform<i16:f32, 0.5:3>")],
        f"nn.relu %a : ({t(4, kind='!quant.uniform<i16:f32, 0.5:3>')}) -> {t(4)}",
        "got !quant.uniform<i16:f32, 0.5:3>",
    ),
    "bfloat16_operation": (
        [t(4, kind="bf16")],
        f"nn.reduce_l2 %a axes [0] : ({t(4, kind='bf16')}) -> {t(1, kind='bf16')}",
        "got nn.reduce_l2",
    ),
    "requantization": ([t(4)], f"nn.relu %a : ({t(4)}) -> {t(4)}", "got tflite"),
    "precision": (
        [t(1, 4), t(2, 4, kind=W16)],
        f"nn.dense %a, %b : ({t(1, 4)}, {t(2, 4, kind=W16)}) -> {t(1, 2)}",
        "got a8w16",
    ),
    "integer_weights": (
        [t(1, 4), t(2, 4, kind="!quant.uniform<i2<-1:1>:f32, 0.5>")],
        f"nn.dense %a, %b : ({t(1, 4)}, {t(2, 4, kind='!quant.uniform<i2<-1:1>:f32, 0.5>')}) -> {t(1, 2)}",
        "got !quant.uniform<i2<-1:1>:f32, 0.5>",
    ),
    "constant_weights": (
        [t(1, 4), t(2, 4)],
        f"nn.dense %a, %b : ({t(1, 4)}, {t(2, 4)}) -> {t(1, 2)}",
        f"got a value of type {t(2, 4)}",
    ),
    "dimensions": ([WIDE], f"nn.relu %a : ({WIDE}) -> {WIDE}", "got shape [1, 1, 70000, 1]"),
    "rank": (*elementwise("add", (1, 1, 1, 1, 2), (2,), (1, 1, 1, 1, 2)), "got rank 5"),
    "row_size": (*elementwise("mul", (1, 1, 1025, 1024), (1,), (1, 1, 1025, 1024)), "got shape [1, 1, 1025, 1024]"),
    "kernel_size": (
        [t(1, 257, 256, 1)],
        pool("max_pool2d", t(1, 257, 256, 1), t(1, 1, 1, 1), kernel="[257, 256]", more="[0, 0, 0, 0] dilations [1, 1]"),
        "got kernel [257, 256]",
    ),
    "strides": (
        [t(1, 257, 1, 1), t(1, 2, 1, 1, kind=W)],
        conv(t(1, 257, 1, 1), t(1, 2, 1, 1, kind=W), t(1, 1, 1, 1), dilations="[256, 1]"),
        "got strides [1, 1] and dilations [256, 1]",
    ),
    "window_size": (
        [t(1, 511, 511, 4), t(1, 3, 3, 4, kind=W)],
        conv(t(1, 511, 511, 4), t(1, 3, 3, 4, kind=W), t(1, 1, 1, 1), dilations="[255, 255]"),
        "got 1044484 bytes of 1048576",
    ),
    "accumulator_depth": (
        [t(1, 32_769), t(1, 32_769, kind=W)],
        f"nn.dense %a, %b : ({t(1, 32_769)}, {t(1, 32_769, kind=W)}) -> {t(1, 1)}",
        "got 32769 (weight [1, 32769])",
    ),
    "uniform_average": (
        [t(1, 2, 2, 1)],
        pool("avg_pool2d", t(1, 2, 2, 1), t(1, 2, 2, 1), kernel="[2, 2]", more="[1, 1, 0, 0] count_include_pad false"),
        "got pads [1, 1, 0, 0], not counted",
    ),
    "phase_channels": (
        [t(1, 1, 1, 1), t(2, 255, 255, 1, kind=W)],
        f"nn.conv_transpose2d %a, %b strides [255, 255] pads [0, 0, 0, 0] dilations [1, 1] groups 1 "
        f": ({t(1, 1, 1, 1)}, {t(2, 255, 255, 1, kind=W)}) -> {t(1, 255, 255, 2)}",
        "got strides [255, 255] and 2 channels",
    ),
    "neighbouring_dimensions": (
        [t(2, 3, 4)],
        f"nn.reduce_mean %a axes [0, 2] : ({t(2, 3, 4)}) -> {t(1, 3, 1)}",
        "got axes [0, 2] of [2, 3, 4]",
    ),
    "reduced_elements": (
        [t(2, 32_769)],
        f"nn.reduce_sum %a axes [1] : ({t(2, 32_769)}) -> {t(2, 1)}",
        "got 32769",
    ),
    "constant_factors": (
        [t(3, 4), t(4, kind="!quant.uniform<i16:f32, 0.5>")],
        "nn.rms_norm %a scale %b axis 1 epsilon 1.0e-05 : f64 "
        f": ({t(3, 4)}, {t(4, kind='!quant.uniform<i16:f32, 0.5>')}) -> {t(3, 4)}",
        f"got a value of type {t(4, kind='!quant.uniform<i16:f32, 0.5>')}",
    ),
    "normalized_row": (
        [t(2, 20_000), t(20_000, kind=W16)],
        f"nn.rms_norm %a scale %b axis 1 epsilon 1.0e-05 : f64 : ({t(2, 20_000)}, {t(20_000, kind=W16)}) "
        f"-> {t(2, 20_000)}",
        "got 180000 bytes of 1048576",
    ),
    "product_depth": (
        [t(2, 9_000), t(9_000, 4)],
        f"nn.matmul %a, %b : ({t(2, 9_000)}, {t(9_000, 4)}) -> {t(2, 4)}",
        "got 9000",
    ),
    "known_indices": (
        [t(9, 4), t(2, kind="i64")],
        f"nn.gather %a, %b axis 0 : ({t(9, 4)}, {t(2, kind='i64')}) -> {t(2, 4)}",
        f"got a value of type {t(2, kind='i64')}",
    ),
    "mixed_weights": (
        [t(1, 2, 2, 1)],
        'nn.resize %a mode "linear" steps [1, 1] offsets [0, 0] units [2, 16384] cubic_coefficient -7.5e-01 : f64 '
        f"exclude_outside false : ({t(1, 2, 2, 1)}) -> {t(1, 4, 4, 1)}",
        "got units [2, 16384]",
    ),
    "regular_mixture": (
        [t(1, 40, 40, 1, kind=Q16)],
        'nn.resize %a mode "linear" steps [39, 39] offsets [0, 0] units [72, 72] cubic_coefficient -7.5e-01 : f64 '
        f"exclude_outside false : ({t(1, 40, 40, 1, kind=Q16)}) -> {t(1, 73, 73, 1, kind=Q16)}",
        "got 320000 bytes of 1048576",
    ),
    "regular_movement": (
        [t(1, 150, 150, 1)],
        'nn.resize %a mode "floor" steps [150, 150] offsets [0, 0] units [299, 299] cubic_coefficient -7.5e-01 : f64 '
        f"exclude_outside false : ({t(1, 150, 150, 1)}) -> {t(1, 299, 299, 1)}",
        "got 22500",
    ),
}


def test_every_constraint_has_a_case_and_a_sentence():
    assert [constraint.name for constraint in all_constraints()] == list(CASES)
    for constraint in all_constraints():
        assert constraint.text.endswith(".") and "\n" not in constraint.text


@pytest.mark.parametrize("name", CASES)
def test_a_violation_names_the_constraint_and_the_values(name: str):
    arguments, op, got = CASES[name]
    (constraint,) = (constraint for constraint in all_constraints() if constraint.name == name)
    mode = "tflite" if name == "requantization" else "shift"
    assert messages(arguments, op, mode) == [f"{constraint.text[:-1]}, {got}"]


@pytest.mark.parametrize(
    ("arguments", "op"),
    [
        elementwise("add", (1, 4), (3, 4), (3, 4)),
        elementwise("mul", (2, 8, 8, 4), (2, 1, 1, 4), (2, 8, 8, 4)),
        elementwise("sub", (3, 4), (), (3, 4)),
        elementwise("div", (1, 4), (3, 1), (3, 4)),
        ([t(4, kind=Q16)], f"nn.log %a : ({t(4, kind=Q16)}) -> {t(4)}"),
        ([t(4, kind=Q16)], f"nn.tanh %a : ({t(4, kind=Q16)}) -> {t(4)}"),
        ([t(3, 4), t(4, kind=Q16)], binary("add", t(3, 4), t(4, kind=Q16), t(3, 4, kind=Q16))),
        ([t(4, kind=Q16)], f"nn.reduce_max %a axes [0] : ({t(4, kind=Q16)}) -> {t(1, kind=Q16)}"),
        ([t(4)], f"quant.requantize %a : {t(4)} to {t(4, kind=Q16)}"),
        (
            [t(1, 40_000, kind=Q16), t(1, 40_000, kind=W16)],
            f"nn.dense %a, %b : ({t(1, 40_000, kind=Q16)}, {t(1, 40_000, kind=W16)}) -> {t(1, 1)}",
        ),
        ([t(1, 65_535, 1, 16)], f"nn.tanh %a : ({t(1, 65_535, 1, 16)}) -> {t(1, 65_535, 1, 16)}"),
        ([t(1, 1, 1, 2, 3)], f"nn.reshape %a : ({t(1, 1, 1, 2, 3)}) -> {t(6)}"),
        (
            [t(1, 256, 1, 1), t(1, 2, 1, 1, kind=W)],
            conv(t(1, 256, 1, 1), t(1, 2, 1, 1, kind=W), t(1, 1, 1, 1), strides="[255, 255]", dilations="[255, 1]"),
        ),
        (
            [t(1, 40, 60, 8)],
            'nn.resize %a mode "floor" steps [2, 2] offsets [0, 0] units [3, 3] cubic_coefficient -7.5e-01 : f64 '
            f"exclude_outside false : ({t(1, 40, 60, 8)}) -> {t(1, 60, 90, 8)}",
        ),
        (
            [t(1, 20, 30, 256, kind=Q16)],
            'nn.resize %a mode "linear" steps [2, 2] offsets [-1, -1] units [4, 4] cubic_coefficient -7.5e-01 : f64 '
            f"exclude_outside false : ({t(1, 20, 30, 256, kind=Q16)}) -> {t(1, 40, 60, 256, kind=Q16)}",
        ),
        (
            [t(1, 40, 40, 1)],
            'nn.resize %a mode "linear" steps [39, 39] offsets [0, 0] units [79, 79] cubic_coefficient -7.5e-01 : f64 '
            f"exclude_outside false : ({t(1, 40, 40, 1)}) -> {t(1, 80, 80, 1)}",
        ),
        ([t(1, 3, 4)], f"nn.reduce_max %a axes [0, 2] : ({t(1, 3, 4)}) -> {t(1, 3, 1)}"),
        ([t(4, 5)], f"nn.transpose %a permutation [1, 0] : ({t(4, 5)}) -> {t(5, 4)}"),
        (
            [t(1, 32_768), t(1, 32_768, kind=W)],
            f"nn.dense %a, %b : ({t(1, 32_768)}, {t(1, 32_768, kind=W)}) -> {t(1, 1)}",
        ),
        (
            [t(1, 2, 2, 1)],
            pool(
                "avg_pool2d", t(1, 2, 2, 1), t(1, 2, 2, 1), kernel="[2, 2]", more="[1, 1, 0, 0] count_include_pad true"
            ),
        ),
    ],
)
def test_what_obeys_has_no_violations(arguments: list[str], op: str):
    assert messages(arguments, op) == []


def test_a_gather_with_known_indices_obeys():
    text = f"""
    func.func @main(%a: {t(9, 4)}) {{
      %i = nn.constant dense<[3, 0]> : tensor<2xi64>
      %y = nn.gather %a, %i axis 0 : ({t(9, 4)}, tensor<2xi64>) -> {t(2, 4)}
      func.return
    }}
    """
    (gather,) = (op for op in parse_module(text).walk() if isinstance(op, nn.GatherOp))
    assert check(gather, GEN1) == []


def test_constraints_are_about_supported_operations():
    for constraint in all_constraints():
        assert constraint.kinds is None or any(constraint.applies_to(kind) for kind in SUPPORTED)
