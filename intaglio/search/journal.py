"""What has been evaluated, on disk as soon as it is known: a search that dies loses nothing.

A journal is a file of JSON lines in the results folder, `evaluations-FINGERPRINT.jsonl`. The first line says what the
evaluations are of, each further line is one of them:

```json
{"fingerprint": "6d1f...", "about": {"model": "...", "candidates": ["a16w8", "a8w8"]}}
{"kind": "score", "key": "0010", "value": 0.9722, "macs": 1496793600}
```

Lines are appended and flushed to the disk one by one. A process killed while it writes leaves a torn last line, which
the next reader drops. The fingerprint covers model, data, parameters and metric, so that results of another model or
configuration in the same folder are never taken for one's own: they stay in their own file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

from intaglio.errors import UserError
from intaglio.remarks import remark

_PREFIX, _SUFFIX = "evaluations-", ".jsonl"
_LARGEST_FILE = 1 << 30


def fingerprint(about: Mapping[str, Any]) -> str:
    """32 hexadecimal digits of a description: BLAKE2b of its JSON with sorted keys."""
    text = json.dumps(about, sort_keys=True, allow_nan=False)
    return blake2b(text.encode(), digest_size=16).hexdigest()


class Journal:
    """The evaluations of one model and configuration.

    Args:
        folder: the results folder; made if it does not exist.
        about: what the evaluations are of, as JSON.
        clean_start: forget what is known of them.

    Raises:
        UserError: the folder cannot be written, or the journal in it is damaged elsewhere than in its last line.
    """

    def __init__(self, folder: str | Path, about: Mapping[str, Any], *, clean_start: bool = False) -> None:
        self.fingerprint = fingerprint(about)
        self._folder = Path(folder)
        self.path = self._folder / f"{_PREFIX}{self.fingerprint}{_SUFFIX}"
        self._records: dict[tuple[str, str], dict[str, Any]] = {}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if clean_start:
                self.path.unlink(missing_ok=True)
            kept = self._read() if self.path.exists() else 0
            self._file = self.path.open("ab")
            self._file.truncate(kept)
        except OSError as error:
            raise UserError(f"cannot use the folder: {error.strerror or error}", where=str(folder)) from error
        self.resumed = len(self._records)
        if kept == 0:
            self._append({"fingerprint": self.fingerprint, "about": dict(about)})
            if others := [path.name for path in self.others()]:
                remark(
                    f"{len(others)} journal(s) in the folder are of another model or configuration and are not used",
                    where=str(folder),
                )

    def others(self) -> list[Path]:
        """Journals of other models or configurations in the folder."""
        found = self._folder.glob(f"{_PREFIX}*{_SUFFIX}")
        return sorted(path for path in found if path != self.path)

    def __len__(self) -> int:
        """How many evaluations are known."""
        return len(self._records)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the evaluations in the order they were first recorded."""
        return iter(self._records.values())

    def find(self, kind: str, key: str) -> dict[str, Any] | None:
        """The evaluation of a kind with a key, if it is known."""
        return self._records.get((kind, key))

    def record(self, kind: str, key: str, **values: object) -> dict[str, Any]:
        """Record an evaluation at once; a later one with the same key takes the place of an earlier one.

        Raises:
            UserError: the file cannot be written.
        """
        found = {"kind": kind, "key": key, **values}
        self._append(found)
        self._records[kind, key] = found
        return found

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _append(self, line: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(line).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise UserError(f"cannot write the file: {error.strerror or error}", where=str(self.path)) from error

    def _read(self) -> int:
        """Read the file, and return how many of its bytes hold whole lines."""
        if self.path.stat().st_size > _LARGEST_FILE:
            raise UserError(f"the file is larger than {_LARGEST_FILE >> 30} GiB", where=str(self.path))
        content = self.path.read_bytes()
        kept = content.rfind(b"\n") + 1
        for number, line in enumerate(content[:kept].splitlines(), start=1):
            found = self._parsed(line, number)
            if number > 1:
                self._records[found["kind"], found["key"]] = found
        return kept

    def _parsed(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            found: object = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        expected = ("fingerprint",) if number == 1 else ("kind", "key")
        if isinstance(found, dict):
            entry = cast("dict[str, Any]", found)
            texts = all(isinstance(entry.get(name), str) for name in expected)
            if texts and (number > 1 or entry["fingerprint"] == self.fingerprint):
                return entry
        raise UserError(
            "the journal is damaged", where=f"{self.path}:{number}", hint="delete it, or ask for a clean start"
        )
