"""Text to IR: xDSL's parser with locations, and every error with its `file:line:column`."""

from __future__ import annotations

import math
import re
import struct
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from xdsl.context import Context
from xdsl.dialects.builtin import (
    AnyFloat,
    FileLineColLoc,
    IntAttr,
    LocationAttr,
    ModuleOp,
    StringAttr,
    UnknownLoc,
    UnregisteredAttr,
)
from xdsl.ir import Attribute, BlockArgument, Data, Operation, ParametrizedAttribute, Region, SSAValue
from xdsl.parser import AttrParser, Parser, ParserState, UnresolvedOperand
from xdsl.traits import IsolatedFromAbove
from xdsl.utils.exceptions import ParseError, VerifyException
from xdsl.utils.lexer import Input, Span
from xdsl.utils.mlir_lexer import MLIRLexer, MLIRTokenKind, StringLiteral

from intaglio.dialects.weights import register_weights_file
from intaglio.errors import UserError
from intaglio.ir.context import make_context
from intaglio.ir.locations import with_position
from intaglio.ir.printing import WEIGHTS_FILE, weights_file_name
from intaglio.ir.syntax_errors import (
    HintedParseError,
    operation_hint,
    syntax_error,
    unexpected_token,
    value_hint,
)
from intaglio.ir.verification import one_line, shorten, verify_module

_MAX_DENSE_ELEMENTS = 1 << 28
"""A splat of a huge type is a few characters of text; larger constants belong into a weights file."""

_FLOAT_BITS = re.compile(r"0x([0-9A-Fa-f]{16}|[0-9A-Fa-f]{8})")


class _Lexer(MLIRLexer):
    """xDSL's lexer without the regular expression that takes exponential time on a string that is not closed."""

    _unescaped_characters_regex = re.compile(r'"(?:[^"\\\n\v\f]++|\\(?:["nt\\]|[0-9A-Fa-f]{2}))*+"')


class LocatedParser(Parser):
    """xDSL's parser, which also sets locations and says where an undefined value is used.

    Args:
        context: the dialects.
        text: the text to parse.
        name: the file name for locations and messages.
        line_offset: lines before `text` in the file it is a part of.
    """

    def __init__(self, context: Context, text: str, name: str, line_offset: int = 0) -> None:
        self._line_starts = [0]
        start = text.find("\n")
        while start != -1:
            self._line_starts.append(start + 1)
            start = text.find("\n", start + 1)
        self._text = text
        self._file = StringAttr(name)
        self._line_offset = line_offset
        self._first_use: dict[str, Span[Any]] = {}
        self._op_name_start = 0
        super().__init__(context, "", name)
        self._parser_state = ParserState(_Lexer(Input(text, name)))

    def line_and_column(self, position: int) -> tuple[int, int]:
        """Return the one-based line and column of an offset into the text."""
        index = bisect_right(self._line_starts, position) - 1
        return index + 1 + self._line_offset, position - self._line_starts[index] + 1

    def source_line(self, position: int) -> str:
        """Return the line of text that holds an offset."""
        index = bisect_right(self._line_starts, position) - 1
        return self._text[self._line_starts[index] :].split("\n", 1)[0].rstrip("\r")

    def _location(self, position: int) -> FileLineColLoc:
        line, column = self.line_and_column(position)
        return FileLineColLoc(self._file, IntAttr(line), IntAttr(column))

    def parse_module(self, allow_implicit_module: bool = True) -> ModuleOp:
        """Parse a module; ops at the top level are put into one."""
        try:
            module = super().parse_module(allow_implicit_module)
        except ParseError:
            if self.forward_ssa_references and self._current_token.text == "":
                self._reject_undefined(self.forward_ssa_references)
            raise
        if isinstance(module.location, UnknownLoc):
            module.location = self._location(0)
        return module

    def parse_operation(self) -> Operation:
        """Parse an op and give it the position of its name."""
        start = name_start = self.pos
        if self._current_token.text.startswith("%"):
            name_start = self._text.find("=", start) + 1
            while self._text[name_start : name_start + 1].isspace():
                name_start += 1
        self._op_name_start = name_start
        pending = self.forward_ssa_references.copy()
        try:
            op = super().parse_operation()
        except VerifyException as error:
            self.raise_error(str(error), start)
        op.location = with_position(op.location, self._location(name_start))
        if self.forward_ssa_references and op.has_trait(IsolatedFromAbove, value_if_unregistered=False):
            self._reject_undefined(name for name in self.forward_ssa_references if name not in pending)
        return op

    def _get_op_by_name(self, name: str) -> type[Operation]:
        if op_type := self.ctx.get_optional_op(name, dialect_stack=self._parser_state.dialect_stack):
            return op_type
        self._raise_with_hint(
            f"operation {name} is not registered", self._op_name_start, operation_hint(name, self.ctx)
        )

    def parse_optional_str_literal(self) -> str | None:
        """Parse a string literal, also one with escaped non-ASCII text, which xDSL prints but takes for bytes."""
        token = self._current_token
        if token.kind != MLIRTokenKind.BYTES_LIT:
            return super().parse_optional_str_literal()
        try:
            text = StringLiteral.from_span(token.span).string_contents
        except UnicodeDecodeError:
            return None
        self._consume_token()
        return text

    def resolve_operand(self, operand: UnresolvedOperand, type: Attribute) -> SSAValue[Any]:
        """Resolve an operand, remembering where a value is used before its definition."""
        if operand.operand_name not in self.ssa_values:
            self._first_use.setdefault(operand.operand_name, operand.span)
        return super().resolve_operand(operand, type)

    def parse_optional_region(self, arguments: Iterable[Parser.Argument] | None = None) -> Region | None:
        """Parse a region; arguments with a name as location get their position too."""
        if arguments is not None:
            arguments = list(arguments)
            for argument in arguments:
                if argument.location is not None:
                    argument.location = self._located(argument.location, argument.name)
        return super().parse_optional_region(arguments)

    def _register_ssa_definition(self, name: str, values: Iterable[SSAValue], span: Span[Any]) -> None:
        values = tuple(values)
        super()._register_ssa_definition(name, values, span)
        for value in values:
            if isinstance(value, BlockArgument):
                value.location = self._located(value.location, span)

    def _located(self, location: LocationAttr, span: Span[Any]) -> LocationAttr:
        return with_position(location, self._location(span.start))

    def _reject_undefined(self, names: Iterable[str]) -> None:
        for name in names:
            place = self._first_use.get(name)
            hint = value_hint(name, self._text, self.pos if place is None else place.start)
            self._raise_with_hint(f"use of undefined value %{name}", place, hint)

    def _raise_with_hint(self, message: str, place: int | Span[Any] | None, hint: str | None) -> NoReturn:
        try:
            self.raise_error(message, place)
        except ParseError as error:
            raise HintedParseError(error, hint) from None

    def _parse_dialect_type_or_attribute_body(
        self, attr_name: str, is_type: bool, is_opaque: bool, starting_opaque_pos: int | None
    ) -> UnregisteredAttr | ParametrizedAttribute | Data[Any]:
        start = self.pos
        try:
            return super()._parse_dialect_type_or_attribute_body(attr_name, is_type, is_opaque, starting_opaque_pos)
        except VerifyException as error:
            self.raise_error(str(error), start)

    def parse_optional_float(self, *, allow_negative: bool = True) -> float | None:
        """Parse a float, also as the bits of an f32 or f64 in hexadecimal.

        xDSL prints whole numbers of more than six digits so, and does not read them in `array<f64: ...>`.
        """
        if (bits := _FLOAT_BITS.fullmatch(self._current_token.text)) is None:
            return super().parse_optional_float(allow_negative=allow_negative)
        self._consume_token()
        return struct.unpack(">f" if len(bits[1]) == 8 else ">d", bytes.fromhex(bits[1]))[0]

    def _parse_tensor_literal_element(self) -> Any:
        """Parse an element of `dense<...>`, also a float as its bits in hexadecimal, which xDSL prints but misreads."""
        element = super()._parse_tensor_literal_element()
        return _FloatBits(element) if element.span.text[:2] in ("0x", "0X") else element

    def _parse_dense_literal_type(self) -> Any:
        start = self.pos
        dense_type = super()._parse_dense_literal_type()
        elements = math.prod(dense_type.get_shape())
        if elements > _MAX_DENSE_ELEMENTS:
            self.raise_error(f"a dense constant of {elements} elements is too large for the text", start)
        return dense_type


@dataclass(frozen=True)
class _FloatBits:
    """An element of `dense<...>` written in hexadecimal: an integer, or the bits of a float."""

    element: Any

    def to_type(self, parser: AttrParser, type: Attribute) -> Any:
        """Convert to a value of `type`."""
        if not isinstance(type, AnyFloat):
            return self.element.to_type(parser, type)
        if self.element.value >> (8 * type.size):
            parser.raise_error(f"{self.element.span.text} has more bits than {type}", self.element.span)
        return type.unpack(self.element.value.to_bytes(type.size, "little"), 1)[0]


def parse_module(
    text: str,
    file_name: str = "<string>",
    ctx: Context | None = None,
    *,
    verify: bool = True,
    line_offset: int = 0,
    implicit_module: bool = True,
) -> ModuleOp:
    """Parse and verify a module.

    Ops and block arguments get the position of their name in the text; those with `loc("name")` have it inside
    the name.

    Args:
        text: MLIR text.
        file_name: the file name for locations and messages.
        ctx: the dialects; by default ours, `builtin`, `func` and `test`.
        verify: verify ops and dominance after parsing.
        line_offset: lines before `text` in the file it is a part of.
        implicit_module: put ops that are outside a module into one.

    Raises:
        UserError: the text does not parse or the module does not verify, with its `file:line:column`.
    """
    parser: LocatedParser | None = None
    try:
        parser = LocatedParser(make_context() if ctx is None else ctx, text, file_name, line_offset)
        module = parser.parse_module(implicit_module)
    except ParseError as error:
        raise syntax_error(error, file_name, line_offset) from error
    except AssertionError as error:
        if parser is None or not str(error).startswith("Unexpected token"):
            raise
        raise syntax_error(unexpected_token(parser), file_name, line_offset) from error
    except (VerifyException, ValueError, OverflowError, NotImplementedError, struct.error) as error:
        where = file_name
        if parser is not None:
            where = "{}:{}:{}".format(file_name, *parser.line_and_column(parser.pos))
        raise UserError(shorten(one_line(str(error))) or "cannot be parsed", where=where) from error
    except RecursionError as error:
        raise UserError("the text is nested too deeply", where=file_name) from error
    if verify:
        verify_module(module)
    return module


def read_module(path: str | Path, ctx: Context | None = None) -> ModuleOp:
    """Read and verify a module, and register the weights file that its `nn.weights_file` attribute names.

    The weights file need not be there: its absence is an error only when somebody asks for a value.

    Raises:
        UserError: a file cannot be read, is not UTF-8, does not parse or verify, or is no plain file name.
    """
    path = Path(path)
    module = parse_module(read_text(path), str(path), ctx)
    register_weights_of(module, path.parent, where=str(path))
    return module


def read_text(path: str | Path) -> str:
    """Return the content of a UTF-8 file.

    Raises:
        UserError: it cannot be read or is not UTF-8.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read the file: {error.strerror or error}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"not a text file: byte {error.start} is not UTF-8", where=str(path), hint="expected MLIR text"
        ) from error


def register_weights_of(module: ModuleOp, folder: Path, *, where: str) -> None:
    """Register the weights file that a module from `folder` names, if it names one.

    Raises:
        UserError: the name is not a plain file name, or the file is damaged.
    """
    if (attribute := module.attributes.get(WEIGHTS_FILE)) is not None:
        register_weights_file(folder / weights_file_name(attribute, where=where), required=False)
