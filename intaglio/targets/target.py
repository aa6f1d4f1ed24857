"""What the compiler and the simulator know about an accelerator: a TOML description, validated on load.

```python
target = load_target("gen1")           # a preset of this package
target = load_target("my/chip.toml")   # a file
```

Every key is required and no others are accepted, so that a description always says all the clock depends on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import cast

from intaglio.errors import UserError
from intaglio.files import parse_document, read_document


@dataclass(frozen=True)
class Target:
    """An accelerator as `docs/accelerator.md` parametrises it.

    Args:
        name: what reports call it.
        description: one line for people.
        clock_mhz: cycles a microsecond, for converting cycles to time.
        precisions: what the matrix array multiplies: `a8w8`, `a16w8`, `a16w16`, `a8w4`, `bf16`.
        array_size: D, columns of the matrix array and lanes of the vector unit; a line of the scratchpad has D bytes.
        array_rows: rows of the matrix array, `D` unless the array is rectangular.
        fill_cycles_per_row: cycles to fill the array, for each of its rows.
        vector_start_cycles: cycles before a vector instruction's first result.
        depthwise_taps_per_cycle: taps of a depthwise convolution that each lane multiplies in a cycle.
        scratchpad_bytes: size of the scratchpad.
        scratchpad_banks: single-ported banks, interleaved in lines of D bytes.
        accumulator_rows: rows of D 32-bit accumulators, in two halves.
        dram_bytes_per_cycle: bandwidth of the DRAM port, reads and writes together.
        dram_burst_bytes: the unit in which DRAM is read and written, aligned.
        dram_latency_cycles: cycles until the first word of a load.
        dma_descriptor_cycles: cycles to set up a transfer.
        dma_read_channels: loads that may be under way at once.
    """

    name: str
    description: str
    clock_mhz: int
    precisions: tuple[str, ...]
    array_size: int
    array_rows: int
    fill_cycles_per_row: int
    vector_start_cycles: int
    depthwise_taps_per_cycle: int
    scratchpad_bytes: int
    scratchpad_banks: int
    accumulator_rows: int
    dram_bytes_per_cycle: int
    dram_burst_bytes: int
    dram_latency_cycles: int
    dma_descriptor_cycles: int
    dma_read_channels: int

    @property
    def macs_per_cycle(self) -> int:
        """Products of bytes that the array adds in a cycle."""
        return self.array_rows * self.array_size

    def with_scratchpad(self, size_bytes: int) -> Target:
        """Return this accelerator with another size of scratchpad.

        Raises:
            UserError: the size is not one that a description may have.
        """
        return parse_target(replace(self, scratchpad_bytes=size_bytes).to_toml(), where=self.name)

    def to_toml(self) -> str:
        """Return the description as TOML; `parse_target` gives an equal target back."""
        sections: dict[str, list[str]] = {"": []}
        for key in _KEYS:
            value = cast("_Entry", getattr(self, key.attribute))
            text = _text(value)
            sections.setdefault(key.section, []).append(f"{key.name} = {text}\n")
        return "\n".join((f"[{name}]\n" if name else "") + "".join(lines) for name, lines in sections.items())


_Entry = int | str | tuple[str, ...]
"""What a description holds."""


@dataclass(frozen=True)
class _Key:
    """A key of the description: where it stands, and the values it may have."""

    section: str
    name: str
    attribute: str
    least: int | None = None
    most: int | None = None
    choices: tuple[int, ...] = ()
    power_of_two: bool = False
    members: tuple[str, ...] = ()
    """What a list may hold; empty for a key that is no list."""

    @property
    def path(self) -> str:
        return f"{self.section}.{self.name}" if self.section else self.name

    def check(self, value: object, where: str) -> _Entry:
        if self.members:
            return self._check_list(value, where)
        if self.least is None and not self.choices:
            if not isinstance(value, str) or not value or not value.isprintable():
                raise UserError(f"{self.path} must be printable text, got {value!r}", where=where)
            return value
        if not isinstance(value, int) or isinstance(value, bool):
            raise UserError(f"{self.path} must be an integer, got {value!r}", where=where)
        if self.choices and value not in self.choices:
            allowed = ", ".join(map(str, self.choices))
            raise UserError(f"{self.path} must be one of {allowed}, got {value}", where=where)
        if self.least is not None and self.most is not None and not self.least <= value <= self.most:
            raise UserError(f"{self.path} must be {self.least} to {self.most}, got {value}", where=where)
        if self.power_of_two and value & (value - 1):
            raise UserError(f"{self.path} must be a power of two, got {value}", where=where)
        return value

    def _check_list(self, value: object, where: str) -> tuple[str, ...]:
        listed = cast("list[object]", value) if isinstance(value, list) else []
        if not listed or len(set(map(str, listed))) != len(listed) or any(item not in self.members for item in listed):
            raise UserError(f"{self.path} must list some of {', '.join(self.members)}, got {value!r}", where=where)
        return tuple(map(str, listed))


_PRECISIONS = ("a8w8", "a8w4", "a16w8", "a16w4", "a16w16", "bf16")

_KEYS = (
    _Key("", "name", "name"),
    _Key("", "description", "description"),
    _Key("", "clock_mhz", "clock_mhz", 1, 100_000),
    _Key("matrix", "array_size", "array_size", choices=(16, 32, 64)),
    _Key("matrix", "fill_cycles_per_row", "fill_cycles_per_row", 0, 16),
    _Key("matrix", "array_rows", "array_rows", choices=(16, 32, 64)),
    _Key("matrix", "precisions", "precisions", members=_PRECISIONS),
    _Key("vector", "start_cycles", "vector_start_cycles", 0, 1000),
    _Key("vector", "depthwise_taps_per_cycle", "depthwise_taps_per_cycle", 1, 16),
    _Key("scratchpad", "size_bytes", "scratchpad_bytes", 256 << 10, 4 << 20),
    _Key("scratchpad", "banks", "scratchpad_banks", 1, 256, power_of_two=True),
    _Key("accumulators", "rows", "accumulator_rows", choices=(2048,)),
    _Key("dram", "bytes_per_cycle", "dram_bytes_per_cycle", 1, 4096),
    _Key("dram", "burst_bytes", "dram_burst_bytes", 1, 4096, power_of_two=True),
    _Key("dram", "latency_cycles", "dram_latency_cycles", 0, 100_000),
    _Key("dma", "descriptor_cycles", "dma_descriptor_cycles", 0, 10_000),
    _Key("dma", "read_channels", "dma_read_channels", 1, 16),
)
_SECTIONS = tuple(dict.fromkeys(key.section for key in _KEYS if key.section))
_MAX_FILE_BYTES = 1 << 16


def preset_names() -> tuple[str, ...]:
    """Return the names of the descriptions that come with the package, sorted."""
    files = (entry.name for entry in resources.files("intaglio.targets").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml")))


def load_target(name_or_path: str | Path) -> Target:
    """Return the accelerator of a preset's name or of a description file.

    Args:
        name_or_path: `gen1` or another preset; anything that ends in `.toml` is a file.

    Raises:
        UserError: no such preset, no readable file, or a description with a missing, unknown or wrong key.
    """
    text = str(name_or_path)
    if text.endswith(".toml"):
        return _target_of(read_document(name_or_path, "TOML", largest=_MAX_FILE_BYTES), where=text)
    if text not in preset_names():
        raise UserError(
            f"there is no target {text!r}", hint=f"presets: {', '.join(preset_names())}; or give a .toml file"
        )
    preset = resources.files("intaglio.targets").joinpath(f"{text}.toml")
    return parse_target(preset.read_text(encoding="utf-8"), where=text)


def parse_target(text: str, *, where: str) -> Target:
    """Return the accelerator of a description.

    Args:
        text: TOML.
        where: what messages call it.

    Raises:
        UserError: it is not TOML, or has a missing, unknown or wrong key.
    """
    return _target_of(parse_document(text, "TOML", where=where), where=where)


def _target_of(document: object, *, where: str) -> Target:
    given = dict(_flattened(cast("dict[str, object]", document), where))
    known = {key.path for key in _KEYS}
    for path in given:
        if path not in known:
            raise UserError(f"unknown key {path}", where=where, hint=f"known keys: {', '.join(sorted(known))}")
    values: dict[str, _Entry] = {}
    for key in _KEYS:
        if key.path not in given:
            raise UserError(f"the key {key.path} is missing", where=where)
        values[key.attribute] = key.check(given[key.path], where)
    target = Target(**values)  # pyright: ignore[reportArgumentType]  # checked against _KEYS, which a test holds equal
    if target.scratchpad_bytes % (target.array_size * target.scratchpad_banks):
        raise UserError(
            f"scratchpad.size_bytes must be a multiple of banks times array_size "
            f"({target.scratchpad_banks} x {target.array_size}), got {target.scratchpad_bytes}",
            where=where,
        )
    return target


def _flattened(document: Mapping[str, object], where: str) -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = []
    for name, value in document.items():
        if name in _SECTIONS:
            if not isinstance(value, dict):
                raise UserError(f"[{name}] must be a table, got {value!r}", where=where)
            pairs.extend((f"{name}.{inner}", item) for inner, item in cast("dict[str, object]", value).items())
        else:
            pairs.append((name, value))
    return pairs


def _text(value: _Entry) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_quoted, value))}]"
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
