"""Finding passes and describing them: a pass is a file, and help, docs and lists come from that file.

`intaglio/passes/graph/fold_batch_norm.py` defines the one pass `fold-batch-norm`:

    @dataclass(frozen=True)
    class FoldBatchNorm(ModulePass):
        \"\"\"Fold inference batch norms into the convolution or dense layer before them.

        Options:
            keep_names: keep the name of the batch norm instead of fusing it with the convolution's.
        \"\"\"

        name = "fold-batch-norm"
        keep_names: bool = False

A module of `intaglio.passes` or `intaglio.lowering` that defines no `ModulePass` is an analysis or a helper.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from xdsl.passes import ModulePass
from xdsl.utils.hints import type_repr

import intaglio

_ROOTS = ("passes", "lowering")
_PASS_CLASS = re.compile(r"^class \w+\([^)]*\bModulePass\b", flags=re.MULTILINE)
_OPTION = re.compile(r"(\w+):\s*(.*)")


@cache
def pass_modules() -> dict[str, str]:
    """Return the module of every pass by the pass's name, sorted, without importing them."""
    package = Path(intaglio.__file__).parent
    found: dict[str, str] = {}
    for root in _ROOTS:
        for path in sorted((package / root).rglob("*.py")):
            if path.name == "__init__.py" or not _PASS_CLASS.search(path.read_text(encoding="utf-8")):
                continue
            name = path.stem.replace("_", "-")
            module = ".".join((package.name, *path.relative_to(package).with_suffix("").parts))
            if name in found:
                raise RuntimeError(f"two files define the pass {name}: {found[name]} and {module}")
            found[name] = module
    return dict(sorted(found.items()))


def get_pass(name: str) -> type[ModulePass]:
    """Import and return the pass called `name`.

    Raises:
        KeyError: there is no such pass.
        RuntimeError: its file defines none or several, or one of another name.
    """
    module = importlib.import_module(pass_modules()[name])
    classes = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, ModulePass) and member.__module__ == module.__name__
    ]
    if len(classes) != 1 or getattr(classes[0], "name", None) != name:
        found = ", ".join(str(getattr(cls, "name", cls.__name__)) for cls in classes) or "none"
        raise RuntimeError(f"{module.__name__} must define exactly one pass, {name!r}; it defines {found}")
    return classes[0]


def discover() -> dict[str, type[ModulePass]]:
    """Import and return all passes by name, sorted.

    Raises:
        RuntimeError: a file does not define exactly the pass it is named after.
    """
    return {name: get_pass(name) for name in pass_modules()}


@dataclass(frozen=True)
class OptionHelp:
    """An option of a pass, as help and docs show it."""

    name: str
    """As written in a pipeline, with dashes."""

    type: str
    default: str | None
    """The default as text, or None for an option that must be given."""

    text: str
    """The sentence under `Options:` in the pass's docstring; empty if it is missing there."""


@dataclass(frozen=True)
class PassHelp:
    """A pass, as help and docs show it."""

    name: str
    summary: str
    """The first line of the docstring."""

    description: str
    """The rest of the docstring, without options."""

    options: tuple[OptionHelp, ...]

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.summary}"]
        if self.description:
            lines += ["", self.description]
        if self.options:
            lines += ["", "Options:"]
        for option in self.options:
            default = "required" if option.default is None else f"default {option.default}"
            lines.append(f"  {option.name}: {option.text} ({option.type}, {default})")
        return "\n".join(lines)


def help_of(pass_class: type[ModulePass]) -> PassHelp:
    """Return the help of a pass, read from its docstring and its fields."""
    text = inspect.cleandoc(pass_class.__dict__.get("__doc__") or "")
    body, _, option_text = text.partition("Options:\n")
    summary, _, description = body.partition("\n")
    texts = _option_texts(option_text)
    options = tuple(
        OptionHelp(
            name=field.name.replace("_", "-"),
            type=field.type if isinstance(field.type, str) else type_repr(field.type),
            default=_default_text(field),
            text=texts.get(field.name, ""),
        )
        for field in dataclasses.fields(pass_class)
        if field.init
    )
    return PassHelp(pass_class.name, summary.strip(), description.strip(), options)


def _default_text(field: dataclasses.Field[object]) -> str | None:
    if field.default is not dataclasses.MISSING:
        return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return str(field.default_factory())
    return None


def _option_texts(section: str) -> dict[str, str]:
    """Return the text of each `name: text` entry, continuation lines joined."""
    texts: dict[str, str] = {}
    current = ""
    for line in inspect.cleandoc(section).splitlines():
        if not line.strip():
            break
        if not line.startswith(" ") and (match := _OPTION.match(line)):
            current = match[1]
            texts[current] = match[2].strip()
        elif current:
            texts[current] += " " + line.strip()
    return texts
