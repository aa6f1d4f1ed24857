"""The journal of evaluations survives whatever ends a search."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from intaglio.errors import UserError
from intaglio.remarks import collecting
from intaglio.search.journal import Journal, fingerprint

ABOUT = {"model": "m", "candidates": ["a16w8", "a8w8"]}


def filled(folder: Path) -> Path:
    with closing(Journal(folder, ABOUT)) as journal:
        journal.record("score", "0,1", value=0.5, macs=7)
        journal.record("noise", "0,1", value=0.25, macs=1)
        return journal.path


def test_what_was_recorded_is_found_again(tmp_path: Path) -> None:
    filled(tmp_path)
    with closing(Journal(tmp_path, ABOUT)) as journal:
        assert (journal.resumed, len(journal)) == (2, 2)
        assert journal.find("score", "0,1") == {"kind": "score", "key": "0,1", "value": 0.5, "macs": 7}
        assert journal.find("score", "1,1") is None


def test_a_later_record_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    filled(tmp_path)
    with closing(Journal(tmp_path, ABOUT)) as journal:
        journal.record("score", "0,1", value=0.75)
    with closing(Journal(tmp_path, ABOUT)) as journal:
        found = journal.find("score", "0,1")
        assert found is not None and found["value"] == 0.75


def test_every_length_of_a_torn_file_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    path = filled(tmp_path)
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        with closing(Journal(tmp_path, ABOUT)) as journal:
            lines = whole[:length].count(b"\n")
            assert len(journal) == max(lines - 1, 0)
            journal.record("score", "1,1", value=1.0)
        with closing(Journal(tmp_path, ABOUT)) as journal:
            assert journal.find("score", "1,1") is not None


def test_another_configuration_has_its_own_file_and_says_so(tmp_path: Path) -> None:
    first = filled(tmp_path)
    with collecting() as remarks, closing(Journal(tmp_path, {**ABOUT, "model": "n"})) as journal:
        assert journal.path != first and len(journal) == 0
        assert journal.others() == [first]
    assert [found.message for found in remarks] == [
        "1 journal(s) in the folder are of another model or configuration and are not used"
    ]
    assert first.exists()


def test_a_clean_start_forgets_only_its_own(tmp_path: Path) -> None:
    filled(tmp_path)
    with closing(Journal(tmp_path, {"other": 1})) as other:
        other.record("score", "", value=1.0)
    with closing(Journal(tmp_path, ABOUT, clean_start=True)) as journal:
        assert len(journal) == 0
    with closing(Journal(tmp_path, {"other": 1})) as other:
        assert len(other) == 1


@pytest.mark.parametrize(
    "line", [b"nonsense\n", b"[1]\n", b'{"kind": "score"}\n', b'{"kind": 3, "key": ""}\n', b"\xff\n"]
)
def test_damage_in_the_middle_is_an_error_with_its_line(line: bytes, tmp_path: Path) -> None:
    path = filled(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + line + lines[2])
    with pytest.raises(UserError, match="damaged") as error:
        Journal(tmp_path, ABOUT)
    assert error.value.where == f"{path}:2"


def test_a_file_that_says_another_fingerprint_is_refused(tmp_path: Path) -> None:
    path = filled(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(json.dumps({"fingerprint": "0" * 32}).encode() + b"\n" + lines[1])
    with pytest.raises(UserError, match="damaged"):
        Journal(tmp_path, ABOUT)


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot use the folder"):
        Journal(tmp_path / "file", ABOUT)


def test_fingerprints_do_not_depend_on_the_order_of_entries() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1}) != fingerprint({"a": 1, "b": [3]})
