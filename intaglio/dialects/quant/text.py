"""Parsing and printing the text of quantized types, with errors at the offending token.

The grammar is that of upstream MLIR (`mlir/lib/Dialect/Quant/IR/TypeParser.cpp` of LLVM 22 and 24):

```
uniform    ::= `<` storage `:` float-type (`:` layout)? `,` parameters `>`
storage    ::= (`i` | `u` | float-name) width? (`<` integer `:` integer `>`)?
layout     ::= axis | `{` (axis `:` block-size (`,` axis `:` block-size)*)? `}`
parameters ::= scale (`:` zero-point)? | `{` parameters (`,` parameters)* `}`
any        ::= `<` storage (`:` float-type)? `>`
calibrated ::= `<` float-type `<` float `:` float `>` `>`
```

A float is decimal with a point, or the bits of a double in hexadecimal (`0x41AEDD831E000000`), as LLVM prints
whole numbers of more than six digits. It prints sub-channel scales as numbers of the expressed type, so there
`0x4A30246C` are the bits of an f32; LLVM itself reads those wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import AnyFloat, f64
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from intaglio.compat import resume_parsing_at
from intaglio.dialects.quant.formats import (
    StorageType,
    check_expressed_type,
    check_scales,
    check_storage_range,
    check_storage_type,
    check_zero_points,
    default_storage_range,
    float_of_bits,
    storage_name,
    storage_type_named,
)

_PLAIN_LIST = re.compile(r"\{((?:\s*[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?(?::-?[0-9]{1,18})?\s*[,}])+)")


_HEXADECIMAL = re.compile("0x([0-9a-fA-F]+)")

_MAX_RANK = 32


@dataclass(frozen=True)
class StorageText:
    """What stands before the first `:` of a type: `i8<-127:127>`."""

    type: StorageType
    minimum: int
    maximum: int


@dataclass(frozen=True)
class UniformText:
    """What stands between the angle brackets of `!quant.uniform`.

    Attributes:
        storage: storage type and range.
        expressed: the float type the quantized values stand for.
        layout: None for per tensor, the axis for per axis, `{axis: block size}` for sub-channel.
        scales: f64 of shape `()` per tensor, `(channels,)` per axis, any shape for sub-channel.
        zero_points: i64 of the same shape.
    """

    storage: StorageText
    expressed: AnyFloat
    layout: int | dict[int, int] | None
    scales: npt.NDArray[np.float64]
    zero_points: npt.NDArray[np.int64]


@contextmanager
def errors_from(parser: AttrParser, start: int) -> Generator[None, None, None]:
    """Turn a VerifyException raised inside into a parse error that points at the text since `start`."""
    try:
        yield
    except VerifyException as error:
        parser.raise_error(str(error), start, parser.pos)


def parse_float(parser: AttrParser, bits_of: AnyFloat = f64) -> float:
    """Parse a decimal float with a point, or the bits of a float in hexadecimal.

    Args:
        parser: at the number or its sign.
        bits_of: the type whose bits a hexadecimal number with as many digits as that type is wide stands for;
            others are the bits of a double.

    Raises:
        ParseError: for a decimal integer, as upstream does, and for bits wider than a double.
    """
    start = parser.pos
    negative = parser.parse_optional_punctuation("-") is not None
    bits_start = parser.pos
    number = parser.parse_number(context_msg=" in quantized type")
    if isinstance(number, int):
        match = _HEXADECIMAL.match(parser.lexer.input.content, bits_start)
        if match is None:
            parser.raise_error("unexpected decimal integer literal for a floating point value", start, parser.pos)
        if len(match[1]) > 16:
            parser.raise_error("hexadecimal float out of range for a double", start, parser.pos)
        number = float_of_bits(number, bits_of if len(match[1]) * 4 == bits_of.bitwidth else f64)
    if not math.isfinite(number):
        parser.raise_error("expected a finite number", start, parser.pos)
    return -number if negative else number


def float_text(value: float) -> str:
    """The shortest decimal with a point that reads back as the same double: `0.1`, `1.0e-05`."""
    text = repr(value)
    mantissa, exponent_mark, exponent = text.partition("e")
    if exponent_mark and "." not in mantissa:
        return f"{mantissa}.0e{exponent}"
    return text


def parse_storage(parser: AttrParser) -> StorageText:
    """Parse a storage type with its optional range."""
    start = parser.pos
    name = parser.parse_identifier(": storage type")
    storage = storage_type_named(name)
    if storage is None:
        parser.raise_error(f"illegal storage type: {name}", start, parser.pos)
    with errors_from(parser, start):
        check_storage_type(storage)
    minimum, maximum = default_storage_range(storage)
    if parser.parse_optional_punctuation("<") is not None:
        start = parser.pos
        minimum = parser.parse_integer(allow_boolean=False)
        parser.parse_punctuation(":")
        maximum = parser.parse_integer(allow_boolean=False)
        with errors_from(parser, start):
            check_storage_range(storage, minimum, maximum)
        parser.parse_punctuation(">")
    return StorageText(storage, minimum, maximum)


def print_storage(printer: Printer, storage: StorageType, minimum: int, maximum: int) -> None:
    """Print a storage type, and its range unless it is the type's own."""
    printer.print_string(storage_name(storage))
    if (minimum, maximum) != default_storage_range(storage):
        printer.print_string(f"<{minimum}:{maximum}>")


def parse_expressed(parser: AttrParser) -> AnyFloat:
    """Parse the float type that the quantized values stand for."""
    start = parser.pos
    expressed = parser.parse_type()
    with errors_from(parser, start):
        check_expressed_type(expressed)
    return cast(AnyFloat, expressed)


def parse_uniform(parser: AttrParser) -> UniformText:
    """Parse `<storage:expressed(:layout)?, parameters>`."""
    parser.parse_punctuation("<")
    storage = parse_storage(parser)
    parser.parse_punctuation(":")
    expressed = parse_expressed(parser)
    layout = _parse_layout(parser) if parser.parse_optional_punctuation(":") is not None else None
    parser.parse_punctuation(",")
    parameters = _ParameterParser(parser, storage, expressed, expressed if isinstance(layout, dict) else f64)
    if layout is None:
        scales, zero_points = parameters.parse_pair()
    elif isinstance(layout, int):
        scales, zero_points = parameters.parse_flat_list()
    else:
        scales, zero_points = parameters.parse_nested_list()
    parser.parse_punctuation(">")
    return UniformText(storage, expressed, layout, scales, zero_points)


def _parse_layout(parser: AttrParser) -> int | dict[int, int]:
    start = parser.pos
    blocks = parser.parse_optional_comma_separated_list(parser.Delimiter.BRACES, lambda: _parse_axis_block(parser))
    if blocks is None:
        return _parse_at_least(parser, 0, "quantized dimension")
    if len(dict(blocks)) < len(blocks):
        parser.raise_error("duplicate quantized dimension", start, parser.pos)
    return dict(blocks)


def _parse_axis_block(parser: AttrParser) -> tuple[int, int]:
    axis = _parse_at_least(parser, 0, "quantized dimension")
    parser.parse_punctuation(":")
    return axis, _parse_at_least(parser, 1, "block size")


def _parse_at_least(parser: AttrParser, least: int, what: str) -> int:
    start = parser.pos
    value = parser.parse_integer(allow_boolean=False)
    if value < least:
        parser.raise_error(f"illegal {what}: {value}", start, parser.pos)
    return value


@dataclass
class _ParameterParser:
    """Parses scales and zero points, each checked where it stands."""

    parser: AttrParser
    storage: StorageText
    expressed: AnyFloat
    bits_of: AnyFloat

    def parse_pair(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Parse `scale(:zero-point)?`."""
        parser = self.parser
        start = parser.pos
        scale = np.float64(parse_float(parser, self.bits_of))
        with errors_from(parser, start):
            check_scales(np.array([scale]), self.expressed)
        zero_point = 0
        if parser.parse_optional_punctuation(":") is not None:
            start = parser.pos
            zero_point = parser.parse_integer(allow_boolean=False)
            self._check_zero_point(zero_point, start)
        return np.array(scale), np.array(zero_point, np.int64)

    def parse_flat_list(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Parse `{scale(:zero-point)?, ...}`, at least one."""
        if (fast := self._parse_plain_list()) is not None:
            return fast
        pairs = self.parser.parse_comma_separated_list(self.parser.Delimiter.BRACES, self.parse_pair)
        return self._stacked(pairs)

    def parse_nested_list(self, depth: int = 1) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Parse nested braces, each level with elements of one shape."""
        if depth > _MAX_RANK:
            self.parser.raise_error(f"scales nested deeper than {_MAX_RANK} levels")

        def parse_element() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
            # A nested list shows by its opening brace, which only the list parser may consume.
            if self.parser.lexer.input.content.startswith("{", self.parser.pos):
                return self.parse_nested_list(depth + 1)
            return self.parse_pair()

        return self._stacked(self.parser.parse_comma_separated_list(self.parser.Delimiter.BRACES, parse_element))

    def _stacked(
        self, pairs: list[tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        if not pairs:
            self.parser.raise_error("expected at least one scale")
        if len({scales.shape for scales, _ in pairs}) > 1:
            self.parser.raise_error("ranks or sizes are not consistent between elements")
        return np.stack([scales for scales, _ in pairs]), np.stack([zeros for _, zeros in pairs])

    def _check_zero_point(self, zero_point: int, start: int) -> None:
        low, high = max(self.storage.minimum, -(1 << 63)), min(self.storage.maximum, (1 << 63) - 1)
        if not low <= zero_point <= high:
            message = f"zero point {zero_point} out of storage range [{low}, {high}]"
            self.parser.raise_error(message, start, self.parser.pos)

    def _parse_plain_list(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]] | None:
        """Parse a list of decimal parameters ten times faster than token by token.

        Anything unusual or wrong is left to the token parser, which knows where it stands.
        """
        parser = self.parser
        content = parser.lexer.input.content
        closing = content.find("}", parser.pos)
        if closing < 0 or _PLAIN_LIST.fullmatch(content, parser.pos, closing + 1) is None:
            return None
        pairs = [pair.partition(":") for pair in content[parser.pos + 1 : closing].split(",")]
        scales = np.array([float(scale) for scale, _, _ in pairs])
        zero_points = np.array([int(zero) if zero else 0 for _, _, zero in pairs], np.int64)
        try:
            check_scales(scales, self.expressed)
            check_zero_points(zero_points, self.storage.minimum, self.storage.maximum)
        except VerifyException:
            return None
        resume_parsing_at(parser, closing + 1)
        return scales, zero_points


def print_parameters(
    printer: Printer, scales: npt.NDArray[np.float64], zero_points: npt.NDArray[np.int64], separator: str
) -> None:
    """Print scales and zero points, nested as their shape; `separator` follows upstream's spacing."""
    printer.print_string(_parameters_text(scales, zero_points, separator))


def _parameters_text(scales: npt.NDArray[np.float64], zero_points: npt.NDArray[np.int64], separator: str) -> str:
    if scales.ndim == 0:
        zero = int(zero_points)
        return float_text(float(scales)) + (f":{zero}" if zero else "")
    if scales.ndim == 1:
        items = [
            float_text(scale) + (f":{zero}" if zero else "")
            for scale, zero in zip(scales.tolist(), zero_points.tolist(), strict=True)
        ]
    else:
        items = [
            _parameters_text(inner_scales, inner_zeros, separator)
            for inner_scales, inner_zeros in zip(scales, zero_points, strict=True)
        ]
    return "{" + separator.join(items) + "}"
