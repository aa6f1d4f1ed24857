"""Atomic writes and plain file names."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from intaglio.errors import UserError
from intaglio.files import parse_document, plain_file_name, read_document, replacing, write_atomically


@pytest.mark.parametrize("name", ["a.safetensors", "model-1.2.bin", "weights file.st", "_x"])
def test_plain_names_are_returned(name: str) -> None:
    assert plain_file_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "a/b", "/etc/passwd", "..\\x", "C:x", "a\0b", "-rf", "x" * 256, "a\n"]
)
def test_names_that_could_leave_the_folder_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="not a plain file name") as info:
        plain_file_name(name, where="model.mlir")
    assert info.value.where == "model.mlir"


def test_content_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    write_atomically(path, "old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [item.name for item in tmp_path.iterdir()] == ["x.txt"]


def test_a_failure_leaves_the_old_content_and_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    write_atomically(path, b"old")

    def write_half() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyError("stop")

    with pytest.raises(KeyError):
        write_half()
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["x.txt"]


def test_an_unwritable_folder_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot write the file") as info:
        write_atomically(tmp_path / "absent" / "x", "")
    assert info.value.where == str(tmp_path / "absent" / "x")


def test_a_file_has_the_permissions_of_any_new_file_whatever_its_writer_set(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    path = tmp_path / "x.txt"
    with replacing(path) as temporary:
        temporary.unlink()
        temporary.touch(mode=0o600)
    assert path.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize(
    ("kind", "text", "where", "message"),
    [
        ("JSON", "{", "f:1:2", "not JSON: Expecting property name enclosed in double quotes"),
        ("JSON", '{"a": 1, "b": 2, "a": 3}', "f", "not JSON: 'a' occurs twice"),
        ("JSON", "[" * 50_000, "f", "not JSON that can be read: nested too deeply"),
        ("JSON", "9" * 5_000, "f", "not JSON: Exceeds the limit"),
        ("TOML", "a = ", "f", "not TOML: Invalid value"),
        ("TOML", "a = " + "[" * 50_000, "f", "not TOML that can be read: nested too deeply"),
        ("TOML", "a = " + "9" * 5_000, "f", "not TOML: Exceeds the limit"),
    ],
)
def test_documents_that_are_wrong(kind: Literal["JSON", "TOML"], text: str, where: str, message: str) -> None:
    with pytest.raises(UserError) as info:
        parse_document(text, kind, where="f")
    assert (info.value.where, info.value.what[: len(message)]) == (where, message)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot read the file"), (b"\xff", "not JSON: byte 0 is not UTF-8"), (b" " * 11, "more than 10 bytes")],
)
def test_documents_that_cannot_be_read(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message) as info:
        read_document(path, "JSON", largest=10)
    assert info.value.where == str(path)


def test_documents_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("a = [1, 2]")
    assert read_document(path, "TOML", largest=10) == {"a": [1, 2]}
