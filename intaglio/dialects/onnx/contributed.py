"""Schemas of onnxruntime's own operators that its quantizer writes into models, in the domain `com.microsoft`.

The `onnx` package does not know them. Inputs, outputs and attributes are those of onnxruntime's documentation
(`docs/ContribOperators.md`), in which each operator has one version. In the table `?` marks what a node may leave
out, `*` what it may give any number of times, and an attribute that has no default and no `!` (required) may be
absent without having a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

DOMAIN = "com.microsoft"

_ELEMENTWISE = "A A_scale A_zero_point? B B_scale B_zero_point? C_scale C_zero_point? -> C"
_UNARY = "X X_scale X_zero_point? Y_scale Y_zero_point? -> Y"
_WINDOW = 'auto_pad: STRING = "NOTSET", kernel_shape: INTS{}, pads: INTS, strides: INTS, channels_last: INT = 0'
_LSTM = (
    "X W R B? sequence_lens? initial_h? initial_c? P? W_scale W_zero_point R_scale R_zero_point -> Y? Y_h? Y_c?",
    "activation_alpha: FLOATS, activation_beta: FLOATS, activations: STRINGS, clip: FLOAT, "
    'direction: STRING = "forward", hidden_size: INT, input_forget: INT = 0',
)

TABLE: dict[str, tuple[str, str]] = {
    "DequantizeLinear": ("x x_scale x_zero_point? -> y", "axis: INT"),
    "DynamicQuantizeLSTM": _LSTM,
    "DynamicQuantizeMatMul": ("A B b_scale b_zero_point? bias? -> Y", ""),
    "MatMulIntegerToFloat": ("A B a_scale b_scale a_zero_point? b_zero_point? bias? -> Y", ""),
    "QGemm": (
        "A a_scale a_zero_point B b_scale b_zero_point C? y_scale? y_zero_point? -> Y",
        "alpha: FLOAT = 1.0, transA: INT = 0, transB: INT = 0",
    ),
    "QLinearAdd": (_ELEMENTWISE, ""),
    "QLinearAveragePool": (
        "X x_scale x_zero_point? y_scale y_zero_point? -> Y",
        _WINDOW.format("!") + ", ceil_mode: INT = 0, count_include_pad: INT = 0",
    ),
    "QLinearConcat": ("Y_scale Y_zero_point inputs* -> Y", "axis: INT!"),
    "QLinearConv": (
        "x x_scale x_zero_point w w_scale w_zero_point y_scale y_zero_point B? -> y",
        _WINDOW.format("") + ", dilations: INTS, group: INT = 1",
    ),
    "QLinearGlobalAveragePool": ("X x_scale x_zero_point y_scale y_zero_point -> Y", "channels_last: INT = 0"),
    "QLinearLeakyRelu": (_UNARY, "alpha: FLOAT = 0.01"),
    "QLinearMul": (_ELEMENTWISE, ""),
    "QLinearReduceMean": (
        "data data_scale data_zero_point? reduced_scale reduced_zero_point? -> reduced",
        "axes: INTS!, keepdims: INT!",
    ),
    "QLinearSigmoid": (_UNARY, ""),
    "QLinearSoftmax": ("X X_scale x_zero_point? y_scale y_zero_point -> Y", "axis: INT = -1, opset: INT!"),
    "QLinearWhere": ("condition X x_scale x_zero_point Y y_scale y_zero_point z_scale z_zero_point -> Z", ""),
    "QuantizeLinear": ("x y_scale y_zero_point? -> y", "axis: INT"),
}
"""By operator: inputs and outputs, and attributes."""


def formals(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and mark (`?`, `*` or nothing) of each formal input or output in a list of them."""
    for word in text.split():
        name = word.rstrip("?*")
        yield name, word[len(name) :]


def attributes(text: str) -> Iterator[tuple[str, str, bool, int | float | str | None]]:
    """Yield name, kind, whether it is required, and default of each attribute in a list of them."""
    for name, kind, required, default in re.findall(r"(\w+): (\w+)(!?)(?: = ([^,]+))?", text):
        yield name, kind, bool(required), _value(kind, default) if default else None


def _value(kind: str, text: str) -> int | float | str:
    match kind:
        case "INT":
            return int(text)
        case "FLOAT":
            return float(text)
        case _:
            return text.strip('"')
