"""Atomic writes and plain file names."""

from __future__ import annotations

from pathlib import Path

import pytest

from intaglio.errors import UserError
from intaglio.files import plain_file_name, replacing, write_atomically


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
