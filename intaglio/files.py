"""Writing files so that readers see either the old content or the new one, and checking names taken from data."""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

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
