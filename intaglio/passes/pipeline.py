"""Pipelines as text: `fold-batch-norm,quantize{bits=8 per-channel}`, also inside `builtin.module(...)`.

xDSL's own reader rejects a bare `{per-channel}` for a bool and `x=1` for a float and raises `ValueError`s; this one
takes what the option's type allows and says what is wrong, with the nearest name that exists.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Iterable
from enum import Enum
from typing import Any

from xdsl.passes import ModulePass

from intaglio.errors import UserError, suggestion
from intaglio.passes.base import get_pass, pass_modules

_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_OPTION_TOKEN = re.compile(r'(?:"(?:\\.|[^"\\])*"|[^\s"])+')
_VALUE_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|[^,"]+')
_WORDS = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}


def parse_pipeline(text: str) -> tuple[ModulePass, ...]:
    """Return the passes of a pipeline.

    Args:
        text: pass names separated by commas, each with options in braces separated by blanks: `name`,
            `name=value` or `name=value,value`. Values with blanks, commas or braces are quoted. Names may have
            dashes or underscores. `builtin.module(...)` around a part of it is allowed and changes nothing.

    Raises:
        UserError: the text is malformed, or a pass, an option or a value does not exist.
    """
    return tuple(_make_pass(name, options) for name, options in _elements(text.strip()))


def _elements(text: str) -> Iterable[tuple[str, str]]:
    position = 0
    while position < len(text):
        if (match := _NAME.match(text, position)) is None:
            raise _malformed(text, position, "a pass name")
        name, position = match[0], match.end()
        following = text[position : position + 1]
        if following == "(":
            end = _closing(text, position, "()")
            if name not in {"builtin.module", "any"}:
                raise UserError(
                    f"passes cannot be nested in {name!r}", where="pipeline", hint="passes run on builtin.module"
                )
            yield from _elements(text[position + 1 : end].strip())
            position = end + 1
        elif following == "{":
            end = _closing(text, position, "{}")
            yield name, text[position + 1 : end]
            position = end + 1
        else:
            yield name, ""
        if position < len(text):
            if text[position] != ",":
                raise _malformed(text, position, "','")
            position += 1
            position += len(text[position:]) - len(text[position:].lstrip())
            if position == len(text):
                raise _malformed(text, position, "a pass name")


def _malformed(text: str, position: int, expected: str) -> UserError:
    found = repr(text[position : position + 12]) if position < len(text) else "the end"
    return UserError(f"expected {expected}, found {found} at character {position + 1}", where="pipeline")


def _closing(text: str, start: int, brackets: str) -> int:
    """Return the position of the bracket that closes the one at `start`, skipping quoted text."""
    depth = 0
    for match in re.compile(r'"(?:\\.|[^"\\])*"|[' + re.escape(brackets) + "]").finditer(text, start):
        depth += {brackets[0]: 1, brackets[1]: -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    raise _malformed(text, len(text), repr(brackets[1]))


def _make_pass(name: str, option_text: str) -> ModulePass:
    if name not in pass_modules():
        raise UserError(
            f"there is no pass {name!r}",
            where="pipeline",
            hint=suggestion(name, pass_modules()) or "--list-passes shows all",
        )
    pass_class = get_pass(name)
    fields = {field.name: field for field in dataclasses.fields(pass_class) if field.init}
    types_of = typing.get_type_hints(pass_class)
    arguments: dict[str, Any] = {}
    for token in _OPTION_TOKEN.findall(option_text):
        option, equals, value = token.partition("=")
        key = option.replace("-", "_")
        where = f"option {option!r} of pass {name}"
        if key not in fields:
            known = [field.replace("_", "-") for field in fields]
            hint = suggestion(option, known) or (f"it has {', '.join(known)}" if known else "it has no options")
            raise UserError(f"pass {name} has no option {option!r}", where="pipeline", hint=hint)
        if key in arguments:
            raise UserError("given twice", where=where)
        arguments[key] = _convert(value if equals else None, types_of[key], where)
    for field in fields.values():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and field.name not in arguments:
            raise UserError(f"pass {name} needs option {field.name.replace('_', '-')!r}", where="pipeline")
    return pass_class(**arguments)


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _convert(value: str | None, expected: Any, where: str) -> Any:
    """Return the value of an option from its text (None: given by name only)."""
    origin = typing.get_origin(expected)
    if origin in {typing.Union, types.UnionType}:
        return _convert_union(value, typing.get_args(expected), where)
    if expected is bool:
        if value is None:
            return True
        if value.lower() in _WORDS:
            return _WORDS[value.lower()]
        raise UserError(f"expected true or false, got {value!r}", where=where)
    if value is None:
        raise UserError("needs a value", where=where, hint="write it as name=value")
    if origin is tuple:
        element = typing.get_args(expected)[0]
        return tuple(_convert(item, element, where) for item in _VALUE_TOKEN.findall(value))
    text = _unquoted(value)
    if origin is typing.Literal:
        choices = {str(choice): choice for choice in typing.get_args(expected)}
        return _chosen(text, choices, where)
    if isinstance(expected, type) and issubclass(expected, Enum):
        return _chosen(text, {str(member.value): member for member in expected}, where)
    if expected is str:
        return text
    try:
        return {int: lambda: int(text, 0), float: lambda: float(text)}[expected]()
    except ValueError:
        kind = "an integer" if expected is int else "a number"
        raise UserError(f"expected {kind}, got {text!r}", where=where) from None


def _convert_union(value: str | None, members: tuple[Any, ...], where: str) -> Any:
    if types.NoneType in members and (value is None or value == "none"):
        return True if value is None and bool in members else None
    error: UserError | None = None
    # Narrow types first, so that `int | str` takes 3 as a number.
    for member in sorted((m for m in members if m is not types.NoneType), key=lambda m: m is str):
        try:
            return _convert(value, member, where)
        except UserError as failed:
            error = error or failed
    assert error is not None
    raise error


def _chosen(text: str, choices: dict[str, Any], where: str) -> Any:
    if text not in choices:
        raise UserError(f"expected one of {', '.join(choices)}, got {text!r}", where=where)
    return choices[text]
