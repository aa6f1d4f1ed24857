"""Reading documents of the user's, writing files so that readers see either the old content or the new one, and names.

JSON and TOML are read in one place, because their readers of the standard library raise four kinds of exceptions: on
syntax, on deep nesting, on integers of more than 4,300 digits, and on bytes that are no text.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from intaglio.errors import UserError

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+ -]*")
"""No separators, no leading dot or dash: such a name cannot leave its folder on any platform."""


def plain_file_name(name: str, *, where: str | None = None) -> str:
    """Return `name` when it names a file in its own folder.

    Args:
        name: a file name found in a module, a manifest or a model.
        where: the place it was found in, for the message.

    Raises:
        UserError: the name has separators, a drive, a leading dot, or is over 255 characters.
    """
    if len(name) > 255 or not _PLAIN_NAME.fullmatch(name):
        raise UserError(
            f"{name[:80]!r} is not a plain file name",
            where=where,
            hint="use letters, digits, '.', '_' and '-', without folders",
        )
    return name


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Yield a temporary path in the folder of `path` that becomes `path` when the block succeeds.

    Raises:
        UserError: the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        # Some writers create files for their owner alone; the result gets the permissions of any new file.
        temporary.touch()
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"cannot write the file: {error.strerror or error}", where=str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: str | Path, content: bytes | str) -> None:
    """Write `content` (text as UTF-8, line ends unchanged) to `path` in one step.

    Raises:
        UserError: the file cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(data)


def check_output(path: str | Path) -> None:
    """Find out before the work begins whether a file can be written at its end.

    Raises:
        UserError: the folder does not exist, or the path is a folder.
    """
    path = Path(path)
    if not path.absolute().parent.is_dir():
        raise UserError("the folder does not exist", where=str(path.parent))
    if path.is_dir():
        raise UserError("this is a folder, not a file to write", where=str(path))


def read_document(path: str | Path, kind: Literal["JSON", "TOML"], *, largest: int) -> object:
    """Read a JSON or TOML file that a user may have written.

    Args:
        path: the file.
        kind: what it is.
        largest: bytes it may have; a larger one is refused before it is read.

    Raises:
        UserError: it cannot be read, is too large, no text, or wrong; with line and column where these are known.
    """
    where = str(path)
    try:
        with Path(path).open("rb") as file:
            content = file.read(largest + 1)
    except OSError as error:
        raise UserError(f"cannot read the file: {error.strerror or error}", where=where) from error
    if len(content) > largest:
        raise UserError(f"the file has more than {largest:,} bytes", where=where)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"not {kind}: byte {error.start} is not UTF-8", where=where) from error
    return parse_document(text, kind, where=where)


def parse_document(text: str, kind: Literal["JSON", "TOML"], *, where: str) -> object:
    """The content of JSON or TOML text; an object of JSON has no name twice.

    Args:
        text: the text.
        kind: what it is.
        where: what messages call it.

    Raises:
        UserError: it is wrong; with line and column where these are known.
    """
    try:
        return json.loads(text, object_pairs_hook=_without_repeats) if kind == "JSON" else tomllib.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"not JSON: {error.msg}", where=f"{where}:{error.lineno}:{error.colno}") from error
    except RecursionError as error:
        raise UserError(f"not {kind} that can be read: nested too deeply", where=where) from error
    except ValueError as error:
        raise UserError(f"not {kind}: {error}", where=where) from error


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name!r} occurs twice")
        found[name] = value
    return found
