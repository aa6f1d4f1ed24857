"""What all ops that stand for an ONNX node have in common, and their readable text.

```mlir
%y = onnx.Conv(%x, %w, _) as "y" {strides = [2, 2], group = 1} : (tensor<...>, tensor<...>) -> tensor<...>
```

- `_` stands for an input or output that the node leaves out; only present ones have types. Positions are those
  of the ONNX node, and trailing absent ones are not written.
- `as` gives the ONNX names of the present outputs, so that a model goes out as it came in. A node's own name
  is the op's location, `loc("name")`.
- Attributes are written as ONNX has them: `1` is an integer, `1.5` a float (f32), `[1, 2]` and `[1.5]` are
  lists of them (empty ones `array<i64>` and `array<f32>`), and `["a"]` is a list of texts; anything else is a
  builtin attribute. Names with a dot are discardable attributes of the IR, in builtin syntax.
- Graph-valued attributes follow as regions under their names, ended by `onnx.yield`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    DictionaryAttr,
    FloatAttr,
    IntegerAttr,
    ModuleOp,
    StringAttr,
    f32,
    f64,
    i64,
)
from xdsl.ir import Attribute, Operation, Region, SSAValue
from xdsl.irdl import IRDLOperation, opt_prop_def
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.hints import isa

from intaglio.dialects.onnx.schema import canonical_domain, newest_opset
from intaglio.dialects.onnx.types import floats_attr, floats_of, ints_attr, ints_of

T = TypeVar("T")

ABSENT = "_"
OPSET_IMPORT = "onnx.opset_import"
"""Module attribute with the opset of every domain: `{"" = 17 : i64}`."""


class NodeOp(IRDLOperation, ABC):
    """Base of the ops that stand for an ONNX node."""

    result_names = opt_prop_def(ArrayAttr[StringAttr])

    @property
    @abstractmethod
    def domain(self) -> str:
        """ONNX domain, "" for `ai.onnx`."""

    @property
    @abstractmethod
    def op_type(self) -> str:
        """ONNX operator name."""

    @abstractmethod
    def node_attributes(self) -> Mapping[str, Attribute]:
        """The node's attributes by ONNX name, graphs excepted."""

    @abstractmethod
    def node_graphs(self) -> Mapping[str, Region]:
        """The node's graph-valued attributes by ONNX name."""

    @abstractmethod
    def node_inputs(self) -> list[SSAValue | None]:
        """The inputs by the node's positions, None where absent; the last one is present."""

    @abstractmethod
    def node_outputs(self) -> list[SSAValue | None]:
        """The outputs by the node's positions, None where absent; the last one is present."""

    @property
    def opset(self) -> int:
        """The opset of the op's domain in the model it stands in; outside a model the newest one known."""
        return opset_of(self, self.domain)

    def verify_result_names(self) -> None:
        """Check that every present output has one name, if names are kept at all."""
        if self.result_names is not None and len(self.result_names) != len(self.results):
            raise VerifyException(f"{len(self.results)} results have {len(self.result_names)} names")


def opset_of(op: Operation, domain: str) -> int:
    """The opset of a domain in the model that an op stands in; outside a model the newest one known."""
    top: Operation = op
    while (parent := top.parent_op()) is not None:
        top = parent
    imports = top.attributes.get(OPSET_IMPORT) if isinstance(top, ModuleOp) else None
    if isinstance(imports, DictionaryAttr):
        for name, version in imports.data.items():
            if canonical_domain(name) == domain and isinstance(version, IntegerAttr):
                return version.value.data
    return newest_opset(domain)


@dataclass
class NodeText:
    """The parts of an op's text after its name, operands and types not yet brought together."""

    inputs: list[SSAValue | None]
    result_types: list[Attribute | None]
    result_names: list[str] | None
    attributes: dict[str, Attribute] = field(default_factory=dict[str, Attribute])
    discardable: dict[str, Attribute] = field(default_factory=dict[str, Attribute])
    graphs: dict[str, Region] = field(default_factory=dict[str, Region])


def print_node(printer: Printer, op: NodeOp) -> None:
    """Print what follows the op's name."""
    with printer.in_parens():
        printer.print_list(op.node_inputs(), lambda value: _print_present(printer, value, printer.print_ssa_value))
    if op.result_names is not None:
        printer.print_string(" as ")
        names = op.result_names.data
        if len(names) == 1:
            printer.print_attribute(names[0])
        else:
            with printer.in_parens():
                printer.print_list(names, printer.print_attribute)
    _print_attributes(printer, op.node_attributes(), op.attributes)
    for name, region in op.node_graphs().items():
        printer.print_string(f" {name} ")
        printer.print_region(region)
    printer.print_string(" : ")
    with printer.in_parens():
        printer.print_list(op.operand_types, printer.print_attribute)
    printer.print_string(" -> ")
    outputs = [value and value.type for value in op.node_outputs()]
    if len(outputs) == 1 and outputs[0] is not None:
        printer.print_attribute(outputs[0])
        return
    with printer.in_parens():
        printer.print_list(outputs, lambda kind: _print_present(printer, kind, printer.print_attribute))


def _print_present(printer: Printer, part: T | None, print_part: Callable[[T], object]) -> None:
    if part is None:
        printer.print_string(ABSENT)
    else:
        print_part(part)


def _print_attributes(
    printer: Printer, attributes: Mapping[str, Attribute], discardable: Mapping[str, Attribute]
) -> None:
    if not attributes and not discardable:
        return

    def print_entry(entry: tuple[str, Attribute]) -> None:
        name, value = entry
        printer.print_identifier_or_string_literal(name)
        if name in discardable:
            printer.print_string(" = ")
            printer.print_attribute(value)
            return
        printer.print_string(" = ")
        print_value(printer, value)

    printer.print_string(" ")
    with printer.in_braces():
        printer.print_list([*sorted(attributes.items()), *discardable.items()], print_entry)


def print_value(printer: Printer, value: Attribute) -> None:
    """Print the value of an ONNX attribute in the short form."""
    text = _short_form(value)
    if text is None:
        printer.print_attribute(value)
    else:
        printer.print_string(text)


def _short_form(value: Attribute) -> str | None:
    """The text of a number or a list of numbers without its type, None if it needs one."""
    if isa(value, IntegerAttr) and value.type == i64:
        return str(value.value.data)
    if isa(value, FloatAttr) and value.type == f32 and math.isfinite(value.value.data):
        return short_float(value.value.data)
    if isa(value, DenseArrayBase) and value.data.data:
        if value.elt_type == i64:
            return str(ints_of(value))
        if value.elt_type == f32 and all(map(math.isfinite, floats := floats_of(value))):
            return f"[{', '.join(map(short_float, floats))}]"
    return None


def short_float(value: float) -> str:
    """The shortest decimal with a point that reads back as the same f32."""
    single = np.float32(value)
    if value == 0 or 1e-4 <= abs(value) < 1e7:
        return np.format_float_positional(single, unique=True, trim="0")
    return np.format_float_scientific(single, unique=True, trim="0")


def parse_node(parser: Parser, graph_names: Sequence[str] | None = ()) -> NodeText:
    """Parse what follows the op's name.

    Args:
        parser: stands after the name.
        graph_names: the graph-valued attributes that may follow, in order; None to take any.
    """
    unresolved = parser.parse_comma_separated_list(
        parser.Delimiter.PAREN, lambda: _parse_present(parser, parser.parse_unresolved_operand)
    )
    names = _parse_result_names(parser)
    attributes, discardable = _parse_attributes(parser)
    graphs = _parse_graphs(parser, graph_names)
    parser.parse_punctuation(":", " before the types")
    position = parser.pos
    operand_types = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
    parser.parse_punctuation("->", " before the result types")
    result_types = parser.parse_optional_comma_separated_list(
        parser.Delimiter.PAREN, lambda: _parse_present(parser, parser.parse_type)
    )
    if result_types is None:
        result_types = [parser.parse_type()]
    present = [operand for operand in unresolved if operand is not None]
    resolved = iter(parser.resolve_operands(present, operand_types, position))
    inputs = [None if operand is None else next(resolved) for operand in unresolved]
    return NodeText(inputs, list[Attribute | None](result_types), names, attributes, discardable, graphs)


def _parse_present(parser: Parser, parse_part: Callable[[], T]) -> T | None:
    return None if parser.parse_optional_keyword(ABSENT) is not None else parse_part()


def _parse_result_names(parser: Parser) -> list[str] | None:
    if parser.parse_optional_keyword("as") is None:
        return None
    names = parser.parse_optional_comma_separated_list(parser.Delimiter.PAREN, parser.parse_str_literal)
    return [parser.parse_str_literal()] if names is None else names


def _parse_attributes(parser: Parser) -> tuple[dict[str, Attribute], dict[str, Attribute]]:
    attributes: dict[str, Attribute] = {}
    discardable: dict[str, Attribute] = {}

    def parse_entry() -> None:
        start = parser.pos
        name = parser.parse_identifier_or_str_literal()
        if name in attributes or name in discardable:
            parser.raise_error(f"attribute '{name}' is given twice", start, parser.pos)
        parser.parse_punctuation("=", " after an attribute's name")
        if "." in name:
            discardable[name] = parser.parse_attribute()
        else:
            attributes[name] = parse_value(parser)

    parser.parse_optional_comma_separated_list(parser.Delimiter.BRACES, parse_entry)
    return attributes, discardable


def _parse_graphs(parser: Parser, names: Sequence[str] | None) -> dict[str, Region]:
    graphs: dict[str, Region] = {}
    if names is not None:
        for name in names:
            if parser.parse_optional_keyword(name) is not None:
                graphs[name] = parser.parse_region()
        return graphs
    while (name := parser.parse_optional_identifier()) is not None:
        graphs[name] = parser.parse_region()
    return graphs


def parse_value(parser: Parser) -> Attribute:
    """Parse the value of an ONNX attribute, in the short form or as a builtin attribute."""
    entries = parser.parse_optional_comma_separated_list(parser.Delimiter.SQUARE, lambda: _parse_scalar(parser))
    if entries is None:
        return _parse_scalar(parser)
    numbers = [entry.value.data for entry in entries if isa(entry, IntegerAttr) or isa(entry, FloatAttr)]
    if not entries or len(numbers) < len(entries):
        return ArrayAttr(entries)
    integers = [number for number in numbers if isinstance(number, int)]
    return ints_attr(integers) if len(integers) == len(numbers) else floats_attr(numbers)


def _parse_scalar(parser: Parser) -> Attribute:
    value = parser.parse_attribute()
    if isa(value, FloatAttr) and value.type == f64:
        return FloatAttr(value.value.data, f32)
    return value
