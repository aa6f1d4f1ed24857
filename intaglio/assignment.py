"""Assignment files: the precision of each node, written by `intaglio search` or by hand, read by the compiler.

JSON, or TOML when the file is called `.toml`; both have a default and a table of nodes by ONNX name or pattern:

```json
{
  "default": "a8w8",
  "nodes": {
    "stem/Conv": "a16w8",
    "head/*": "bf16",
    "logits/Gemm": "a8w8+output_int32"
  }
}
```

What is said of a name counts more than what is said of a pattern (`*`, `?`, `[...]`), and a later pattern more than
one before it. The default is for nodes that nothing is said of; without one they have the precision of the command
line or of the parameters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

import tomli_w

from intaglio.errors import UserError
from intaglio.files import read_document, write_atomically
from intaglio.precision import NodeConfig, Precision

_LARGEST_FILE = 64 << 20
_GLOB_SIGNS = frozenset("*?[")


@dataclass(frozen=True)
class Assignment:
    """Settings of nodes.

    Attributes:
        nodes: by name or pattern, in order.
        default: precision of the nodes that nothing is said of.
    """

    nodes: Mapping[str, NodeConfig] = field(default_factory=dict[str, NodeConfig])
    default: Precision | None = None


def is_pattern(name: str) -> bool:
    """Whether a name may stand for several nodes."""
    return not _GLOB_SIGNS.isdisjoint(name)


def matches(pattern: str, name: str) -> bool:
    """Whether a name is meant by a pattern, or is the pattern itself; upper and lower case differ."""
    return pattern == name or fnmatchcase(name, pattern)


def read_assignment(path: str | Path) -> Assignment:
    """Read an assignment file.

    Raises:
        UserError: the file cannot be read, is no assignment, or names a precision that does not exist.
    """
    path = Path(path)
    content = _load(path)
    unknown = set(content) - {"default", "nodes"}
    nodes = content.get("nodes", {})
    default = content.get("default")
    if unknown or not isinstance(nodes, dict) or not (default is None or isinstance(default, str)):
        raise UserError('expected "default", a precision, and "nodes", a table of them by name', where=str(path))
    try:
        configs = {name: _config(name, value) for name, value in cast("dict[str, object]", nodes).items()}
        return Assignment(configs, None if default is None else Precision.parse(default))
    except UserError as error:
        raise UserError(
            error.what, where=f"{path}: {error.where}" if error.where else str(path), hint=error.hint
        ) from error


def _load(path: Path) -> dict[str, Any]:
    content = read_document(path, "TOML" if path.suffix == ".toml" else "JSON", largest=_LARGEST_FILE)
    if not isinstance(content, dict):
        raise UserError("expected an object", where=str(path))
    return cast("dict[str, Any]", content)


def _config(name: str, value: object) -> NodeConfig:
    if not isinstance(value, str):
        raise UserError(f"expected a precision such as a16w8, got {value!r}", where=name)
    try:
        return NodeConfig.parse(value)
    except UserError as error:
        raise UserError(error.what, where=name, hint=error.hint) from error


def write_assignment(path: str | Path, assignment: Assignment) -> None:
    """Write an assignment file in one step, as TOML when it is called `.toml`, else as JSON.

    Raises:
        UserError: the file cannot be written.
    """
    content: dict[str, Any] = {} if assignment.default is None else {"default": str(assignment.default)}
    content["nodes"] = {name: str(config) for name, config in assignment.nodes.items()}
    is_toml = Path(path).suffix == ".toml"
    text = tomli_w.dumps(content) if is_toml else json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, text)
