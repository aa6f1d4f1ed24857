"""Descriptions of accelerators."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from intaglio.errors import UserError
from intaglio.targets.target import Target, load_target, parse_target, preset_names

GEN1 = load_target("gen1")


def test_gen1_has_the_documented_constants() -> None:
    assert (GEN1.array_size, GEN1.scratchpad_bytes, GEN1.scratchpad_banks) == (32, 1 << 20, 16)
    assert (GEN1.dram_latency_cycles, GEN1.dram_burst_bytes, GEN1.dram_bytes_per_cycle) == (100, 64, 16)
    assert (GEN1.dma_descriptor_cycles, GEN1.dma_read_channels, GEN1.accumulator_rows) == (16, 2, 2048)


@pytest.mark.parametrize("name", preset_names())
def test_presets_load_and_survive_as_text(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    assert parse_target(target.to_toml(), where="text") == target


def test_a_description_says_every_parameter() -> None:
    assert len(GEN1.to_toml().split(" = ")) - 1 == len(fields(Target))


def test_a_file_is_a_target(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GEN1.to_toml().replace('"gen1"', '"mine"').replace("= 1048576", "= 524288"))
    target = load_target(path)
    assert (target.name, target.scratchpad_bytes) == ("mine", 524288)


def test_other_scratchpad_sizes() -> None:
    assert GEN1.with_scratchpad(1 << 19).scratchpad_bytes == 1 << 19
    with pytest.raises(UserError, match=r"scratchpad\.size_bytes must be 262144 to 4194304, got 1"):
        GEN1.with_scratchpad(1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("clock_mhz = 1000", "clock_mhz = 0", "clock_mhz must be 1 to 100000, got 0"),
        ("clock_mhz = 1000", "", "the key clock_mhz is missing"),
        ("clock_mhz = 1000", "clock_mhz = 1000\nspeed = 3", "unknown key speed"),
        ("banks = 16", "banks = 16\nports = 2", "unknown key scratchpad.ports"),
        ("array_size = 32", "array_size = 33", "matrix.array_size must be one of 16, 32, 64, got 33"),
        ("array_size = 32", "array_size = 32.0", "matrix.array_size must be an integer, got 32.0"),
        ("array_size = 32", "array_size = true", "matrix.array_size must be an integer, got True"),
        ("banks = 16", "banks = 12", "scratchpad.banks must be a power of two, got 12"),
        ("size_bytes = 1048576", "size_bytes = 1048577", "size_bytes must be a multiple of banks times array_size"),
        ('name = "gen1"', "name = 1", "name must be printable text, got 1"),
        ("[dma]\n", "[dma\n", "not TOML"),
        ("[matrix]\narray_size = 32\nfill_cycles_per_row = 2\n", "matrix = 3\n", "matrix"),
    ],
)
def test_wrong_descriptions_are_refused(old: str, new: str, message: str) -> None:
    text = GEN1.to_toml()
    assert old in text
    with pytest.raises(UserError, match=message) as error:
        parse_target(text.replace(old, new), where="chip.toml")
    assert error.value.where == "chip.toml"


def test_a_section_must_be_a_table() -> None:
    with pytest.raises(UserError, match=r"\[matrix\] must be a table, got 3"):
        parse_target("matrix = 3", where="chip.toml")


def test_unknown_names_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no target 'gen9'") as error:
        load_target("gen9")
    assert error.value.hint is not None and "gen1" in error.value.hint
    with pytest.raises(UserError, match="cannot read the file"):
        load_target(tmp_path / "absent.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="byte 0 is not UTF-8"):
        load_target(tmp_path / "binary.toml")
    (tmp_path / "large.toml").write_text("#" * 70000)
    with pytest.raises(UserError, match="more than 65,536 bytes"):
        load_target(tmp_path / "large.toml")
