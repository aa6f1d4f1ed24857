"""Which dialects exist: found by looking into `intaglio/dialects/`, loaded when the first op is parsed."""

from __future__ import annotations

import importlib
import pkgutil
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from xdsl.context import Context
from xdsl.dialects.builtin import Builtin
from xdsl.dialects.func import Func
from xdsl.dialects.test import Test
from xdsl.ir import Dialect

import intaglio.dialects


@cache
def dialect_names() -> tuple[str, ...]:
    """Return the names of our dialects.

    A module or package `name` of `intaglio.dialects` is a dialect when its source defines `Name`, directly or
    by a module `__getattr__` that makes it when first asked for. Modules are not imported to find out.
    """
    return tuple(
        module.name
        for module in pkgutil.iter_modules(intaglio.dialects.__path__)
        if re.search(rf"^{module.name.capitalize()}\b|^def __getattr__\b", _source(module.name), flags=re.MULTILINE)
    )


def _source(module: str) -> str:
    spec = find_spec(f"{intaglio.dialects.__name__}.{module}")
    if spec is None or spec.origin is None:
        return ""
    return Path(spec.origin).read_text(encoding="utf-8")


def get_dialect(name: str) -> Dialect:
    """Import and return one of our dialects.

    Raises:
        KeyError: there is no such dialect.
    """
    if name not in dialect_names():
        raise KeyError(name)
    module = importlib.import_module(f"{intaglio.dialects.__name__}.{name}")
    dialect = getattr(module, name.capitalize())
    assert isinstance(dialect, Dialect)
    return dialect


def make_context() -> Context:
    """Return a context with `builtin`, `func`, our dialects and xDSL's `test` dialect.

    Ours and `test` are registered only: xDSL loads a dialect when an op, type or attribute of it is looked up.
    """
    context = Context()
    context.load_dialect(Builtin)
    context.load_dialect(Func)
    context.register_dialect("test", lambda: Test)
    for name in dialect_names():
        context.register_dialect(name, lambda name=name: get_dialect(name))
    return context
