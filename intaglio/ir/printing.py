"""IR to text: names kept, file positions dropped, long types and attributes written once.

A type or attribute whose text is long and occurs more than once becomes an alias at the top of the text:

```mlir
!uniform0 = !quant.uniform<i8:f32:0, {0.013, 0.027, 0.019, 0.0084, 0.011, 0.021, 0.0017, 0.0093}>
```

Printing is one pass. Dialect types and attributes are rendered into a table and the body refers to them by
index; which of them become aliases is decided when all mentions have been counted.
"""

from __future__ import annotations

import re
from collections import Counter
from io import StringIO
from pathlib import Path
from typing import Literal, cast

from xdsl.dialects.builtin import (
    ArrayAttr,
    CallSiteLoc,
    DictionaryAttr,
    FileLineColLoc,
    FusedLoc,
    LocationAttr,
    ModuleOp,
    NameLoc,
    StringAttr,
    UnknownLoc,
)
from xdsl.ir import Attribute, BuiltinAttribute, Operation, ParametrizedAttribute, TypeAttribute
from xdsl.printer import Printer

from intaglio.dialects.weights import WeightsAttr, write_weights_file
from intaglio.files import plain_file_name, write_atomically
from intaglio.ir.locations import names_only

WEIGHTS_FILE = "nn.weights_file"
"""Module attribute: the plain name of the weights file beside the module's text."""

Locations = Literal["names", "all", "none"]
"""What is printed of locations: ONNX names, names and file positions, or nothing."""

_ALIAS_LENGTH = 60
"""Text longer than this that occurs more than once becomes an alias."""

_REFERENCE = re.compile("\0([0-9]+)\0")
_NO_LOCATION = "\1"
_LOCATION_CLASSES = (UnknownLoc, FileLineColLoc, NameLoc, FusedLoc, CallSiteLoc)


class _Printer(Printer):
    """Writes references into a table for dialect attributes, and a mark for locations not to be printed."""

    def __init__(self, locations: Locations, aliases: bool, generic: bool) -> None:
        # With print_debuginfo xDSL prints a blank and the location in every place that the grammar allows.
        super().__init__(stream=StringIO(), print_generic_format=generic, print_debuginfo=True)
        self._locations = locations
        self._use_aliases = aliases
        self.table: list[str] = []
        self.alias_names: list[str] = []
        self._index_of_text: dict[str, int] = {}
        self._text_of_type: dict[Attribute, str] = {}

    def print_attribute(self, attribute: Attribute) -> None:
        if isinstance(attribute, _LOCATION_CLASSES):
            self._print_location(attribute)
        elif isinstance(attribute, TypeAttribute):
            if (text := self._text_of_type.get(attribute)) is None:
                text = self._text_of_type[attribute] = self._rendered(attribute)
            self.print_string(text)
        elif isinstance(attribute, BuiltinAttribute):
            super().print_attribute(attribute)
        else:
            self.print_string(self._rendered(attribute))

    def _print_location(self, location: LocationAttr) -> None:
        if self.printing_location:
            super().print_attribute(location)
            return
        shown = location
        if self._locations == "names":
            shown = names_only(location)
        elif self._locations == "none":
            shown = UnknownLoc()
        if isinstance(shown, UnknownLoc):
            self.print_string(_NO_LOCATION)
        else:
            super().print_attribute(shown)

    def _rendered(self, attribute: Attribute) -> str:
        """Return the text of an attribute, or a reference to it when it may become an alias."""
        outer, self.stream = self.stream, StringIO()
        super().print_attribute(attribute)
        text = self.stream.getvalue()
        self.stream = outer
        if not self._use_aliases or isinstance(attribute, BuiltinAttribute):
            return text
        if (index := self._index_of_text.get(text)) is None:
            index = self._index_of_text[text] = len(self.table)
            self.table.append(text)
            sigil = "!" if isinstance(attribute, TypeAttribute) else "#"
            self.alias_names.append(sigil + attribute.name.rsplit(".", 1)[-1])
        return f"\0{index}\0"


def _resolve_aliases(body: str, table: list[str], alias_names: list[str]) -> str:
    """Replace the references in `body` by text or aliases, and put the definitions in front."""
    mentions = Counter(int(index) for index in _REFERENCE.findall(body))
    full: list[str] = []
    for text in table:
        full.append(_REFERENCE.sub(lambda match: full[int(match[1])], text))
    # An attribute is rendered before the ones that contain it, so its mentions are known when it is reached.
    aliased = set[int]()
    for index in reversed(range(len(table))):
        is_alias = mentions[index] > 1 and len(full[index]) > _ALIAS_LENGTH
        if is_alias:
            aliased.add(index)
        for inner in _REFERENCE.findall(table[index]):
            mentions[int(inner)] += 1 if is_alias else mentions[index]
    used = Counter[str]()
    written: list[str] = []
    definitions: list[str] = []
    for index, text in enumerate(table):
        resolved = _REFERENCE.sub(lambda match: written[int(match[1])], text)
        if index in aliased:
            stem = alias_names[index]
            alias = f"{stem}{used[stem]}"
            used[stem] += 1
            definitions.append(f"{alias} = {resolved}\n")
            resolved = alias
        written.append(resolved)
    return "".join(definitions) + _REFERENCE.sub(lambda match: written[int(match[1])], body)


def print_module(
    module: Operation, *, locations: Locations = "names", aliases: bool = True, generic: bool = False
) -> str:
    """Return the text of a module (or of any op), ending with a line end.

    With the defaults, `print_module(parse_module(text)) == text` for every text this function returned.

    Args:
        module: what to print.
        locations: what to print of locations.
        aliases: whether long types and attributes that occur more than once become aliases.
        generic: print every op in MLIR's generic form.
    """
    printer = _Printer(locations, aliases, generic)
    printer.print_op(module)
    assert isinstance(printer.stream, StringIO)
    text = printer.stream.getvalue().replace(" " + _NO_LOCATION, "") + "\n"
    return _resolve_aliases(text, printer.table, printer.alias_names)


def weights_in(module: Operation) -> list[WeightsAttr]:
    """Return the `#nn.weights` of a module, each digest once, in the order of their ops."""
    found: dict[str, WeightsAttr] = {}
    for op in module.walk():
        pending = [*op.properties.values(), *op.attributes.values()]
        while pending:
            attribute = pending.pop(0)
            if isinstance(attribute, WeightsAttr):
                found.setdefault(attribute.digest, attribute)
            elif isinstance(attribute, ArrayAttr):
                pending.extend(cast("ArrayAttr[Attribute]", attribute))
            elif isinstance(attribute, DictionaryAttr):
                pending.extend(attribute.data.values())
            elif isinstance(attribute, ParametrizedAttribute) and not isinstance(attribute, TypeAttribute):
                pending.extend(attribute.parameters)
    return list(found.values())


def write_module(module: ModuleOp, path: str | Path) -> None:
    """Write a module as text to `path` and its weights to the file beside it.

    A module with weights and no `nn.weights_file` attribute gets one, named after `path`. Values that the weights
    file lacks are added to it, so that several modules in one folder may share it.

    Raises:
        UserError: a file cannot be written, or values of weights are not available.
    """
    path = Path(path)
    write_weights_of(module, path)
    write_atomically(path, print_module(module))


def write_weights_of(module: ModuleOp, path: Path) -> None:
    """Write the weights of a module whose text is to be at `path`, as `write_module` does.

    Raises:
        UserError: the file cannot be written, or values of weights are not available.
    """
    if weights := weights_in(module):
        attribute = module.attributes.setdefault(WEIGHTS_FILE, StringAttr(f"{path.stem}.safetensors"))
        write_weights_file(path.parent / weights_file_name(attribute, where=str(path)), weights)


def weights_file_name(attribute: Attribute, *, where: str) -> str:
    """Return the checked content of a module's `nn.weights_file` attribute.

    Raises:
        UserError: it is not the plain name of a file.
    """
    name = attribute.data if isinstance(attribute, StringAttr) else str(attribute)
    return plain_file_name(name, where=f"{where}: {WEIGHTS_FILE}")
