"""Where an op comes from: its name in the ONNX model and its place in the text.

An op imported from a node named `stem/Conv` has `loc("stem/Conv")`, a `NameLoc`. The parser puts the place in
the text inside it, `NameLoc("stem/Conv", FileLineColLoc)`, and gives ops without a name the place alone. An op
that replaces several has the fused locations of all. Only names are printed by default, so that text stays
the same whichever file it is in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from xdsl.dialects.builtin import (
    ArrayAttr,
    CallSiteLoc,
    FileLineColLoc,
    FusedLoc,
    LocationAttr,
    NameLoc,
    NoneAttr,
    StringAttr,
    UnknownLoc,
)
from xdsl.ir import Attribute, BlockArgument, Operation, OpResult, SSAValue

UNKNOWN: LocationAttr = UnknownLoc()


def named(name: str, position: FileLineColLoc | None = None) -> NameLoc:
    """Return the location of an op called `name` (any text), at `position` in a file if known."""
    return NameLoc(StringAttr(name), position or NoneAttr())


def _fused(location: FusedLoc) -> Sequence[LocationAttr]:
    return cast("ArrayAttr[LocationAttr]", location.locations).data


def leaves(location: Attribute) -> Iterator[NameLoc | FileLineColLoc]:
    """Yield the names and places a location is made of, in order."""
    if isinstance(location, NameLoc | FileLineColLoc):
        yield location
    elif isinstance(location, FusedLoc):
        for inner in _fused(location):
            yield from leaves(inner)
    elif isinstance(location, CallSiteLoc):
        yield from leaves(location.callee)
        yield from leaves(location.caller)


def names_in(location: Attribute) -> list[str]:
    """Return the distinct names of a location, in order."""
    return list(dict.fromkeys(leaf.desc.data for leaf in leaves(location) if isinstance(leaf, NameLoc)))


def name_of(op: Operation) -> str | None:
    """Return the op's name in the model, those of a fused location joined by `, `, or None."""
    return ", ".join(names_in(op.location)) or None


def position_of(location: Attribute) -> FileLineColLoc | None:
    """Return the first place in a text that a location has, or None."""
    for leaf in leaves(location):
        if isinstance(leaf, FileLineColLoc):
            return leaf
        if (inner := position_of(leaf.location)) is not None:
            return inner
    return None


def where(location: Attribute) -> str | None:
    """Return a location's first place as `file:line:column`, or None."""
    if (position := position_of(location)) is None:
        return None
    return f"{position.filename.data}:{position.line.data}:{position.column.data}"


def describe(op: Operation) -> str:
    """Return an op for a message: `nn.conv2d "stem/Conv" (model.mlir:3:5)`, as much of it as is known."""
    name = name_of(op)
    place = where(op.location)
    return op.name + (f' "{name}"' if name else "") + (f" ({place})" if place else "")


def describe_value(value: SSAValue) -> str:
    """Return a value for a message: `%name`, `result 1 of nn.relu` or `argument 0`."""
    if value.name_hint:
        return f"%{value.name_hint}"
    if isinstance(value, OpResult):
        return f"result {value.index} of {value.op.name}"
    if isinstance(value, BlockArgument):
        return f"argument {value.index}"
    return "a value"


def fuse(locations: Iterable[LocationAttr]) -> LocationAttr:
    """Return one location for what replaces several ops.

    Names win: where there are any, places of unnamed ops are dropped, and each name is kept once. Without names,
    the first place is kept.
    """
    found = [leaf for location in locations for leaf in leaves(location)]
    by_name: dict[str, LocationAttr] = {}
    for leaf in found:
        if isinstance(leaf, NameLoc):
            by_name.setdefault(leaf.desc.data, leaf)
    kept = list(by_name.values()) or found[:1]
    if not kept:
        return UNKNOWN
    return kept[0] if len(kept) == 1 else FusedLoc(tuple(kept), NoneAttr())


def with_position(location: LocationAttr, position: FileLineColLoc) -> LocationAttr:
    """Return `location` with `position` in its names, unless it has a place already."""
    if isinstance(location, UnknownLoc):
        return position
    return location if position_of(location) is not None else _positioned(location, position)


def _positioned(location: LocationAttr, position: FileLineColLoc) -> LocationAttr:
    if isinstance(location, NameLoc):
        return NameLoc(location.desc, position)
    if isinstance(location, FusedLoc):
        return FusedLoc(tuple(_positioned(inner, position) for inner in _fused(location)), location.metadata)
    return location


def names_only(location: LocationAttr) -> LocationAttr:
    """Return `location` without places: a name, several fused names, or unknown."""
    names: list[LocationAttr] = [named(name) for name in names_in(location)]
    if not names:
        return UNKNOWN
    return names[0] if len(names) == 1 else FusedLoc(tuple(names), NoneAttr())
