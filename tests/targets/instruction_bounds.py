"""What instructions cannot take less than, from their bytes alone: a judge of the clock that shares nothing with it.

Words are taken apart by the widths of their fields; of the rest of the package only the table of instructions is
used. Rates and constants are those of the issue that asks for them: products over the array's size, bytes over the
bandwidth, vector operations over D, `2R` cycles to fill the array, 16 for a descriptor, 100 for DRAM's first word.
A product of words counts as that of its bytes with each other: two, or four.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from intaglio.targets.instructions import BY_OPCODE, WORD_BYTES
from intaglio.targets.simulator import Program
from intaglio.targets.target import Target

TAPPED = {"vector.depthwise", "vector.max", "vector.sum", "vector.root"}
MULTIPLIED = {"matrix.multiply", "matrix.product"}


@dataclass
class Work:
    """What the instructions of a layer do."""

    products: int = 0
    multiplications: int = 0
    moved: int = 0
    loads: int = 0
    stores: int = 0
    operations: int = 0
    vectors: int = 0

    def add(self, other: Work) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def matrix_cycles(self, target: Target) -> float:
        """Least cycles of the matrix queue."""
        fill = 2 * target.array_rows * self.multiplications
        return self.products / (target.array_rows * target.array_size) + fill

    def port_cycles(self, target: Target) -> float:
        """Least cycles of the DRAM port, with one descriptor and the latency of one load."""
        started = 16 * bool(self.loads or self.stores) + 100 * bool(self.loads)
        return self.moved / target.dram_bytes_per_cycle + started

    def vector_cycles(self, target: Target) -> float:
        """Least cycles of the vector queue."""
        return self.operations / target.array_size + 8 * self.vectors

    def cycles(self, target: Target) -> float:
        """Least cycles of all."""
        return max(self.matrix_cycles(target), self.port_cycles(target), self.vector_cycles(target))


def operands_of(word: bytes) -> tuple[str, dict[str, int]]:
    """The mnemonic and the fields of a word."""
    instruction = BY_OPCODE[word[0]]
    bits = int.from_bytes(word, "little") >> 40
    fields: dict[str, int] = {}
    for field in instruction.fields:
        value = bits & ((1 << field.bits) - 1)
        if field.signed and value >> (field.bits - 1):
            value -= 1 << field.bits
        fields[field.name] = value + field.offset
        bits >>= field.bits
    return instruction.mnemonic, fields


def work_of(words: bytes, names: Sequence[str | None]) -> Mapping[str | None, Work]:
    """What the instructions of each layer do."""
    counts = {"load": [1, 1, 1], "store": [1, 1, 1]}
    grids: dict[str, int] = {}
    widths = {"matrix.input": 1, "matrix.weights": 1}
    found: dict[str | None, Work] = {}
    for index in range(len(words) // WORD_BYTES):
        mnemonic, fields = operands_of(words[index * WORD_BYTES :][:WORD_BYTES])
        queue, _, kind = mnemonic.partition(".")
        if kind == "shape":
            counts[queue][fields["level"]] = fields["count"]
        elif kind in {"window", "taps"}:
            grids[mnemonic] = fields["rows"] * fields["columns"]
        elif mnemonic in widths:
            widths[mnemonic] = fields["element_bytes"]
        name = names[index] if index < len(names) else None
        work = found.setdefault(name, Work())
        if kind == "run":
            first, second, third = counts[queue]
            size = fields["bytes"] * first * second * third
            work.add(Work(moved=size, loads=queue == "load", stores=queue == "store"))
        elif mnemonic in MULTIPLIED:
            products = grids["matrix.window"] * grids["matrix.taps"] * fields["inner"] * fields["outer"]
            products *= widths["matrix.input"] * widths["matrix.weights"]
            work.add(Work(products=products, multiplications=1))
        elif queue == "vector" and "channels" in fields:
            results = grids["vector.window"] * fields["channels"]
            # Three taps a cycle are the fastest that lanes do.
            each = max(1, grids["vector.taps"] / 3) if mnemonic in TAPPED else 1
            work.add(Work(operations=int(results * each), vectors=1))
    return found


def check_layers(program: Program, target: Target) -> Work:
    """Hold a program's profile to what its words allow, layer by layer and in total; returns all work."""
    profile = program.profile()
    works = work_of(program.binary.words, program.binary.debug)
    everything = Work()
    for layer in profile.layers:
        # Layers overlap, so that one has at least the time from its first instruction to its last.
        assert layer.finish - layer.start >= works[layer.name].cycles(target) - 1, layer.name
        everything.add(works[layer.name])
    assert profile.cycles >= everything.cycles(target)
    assert profile.dram_bytes["read"] + profile.dram_bytes["written"] >= everything.moved
    return everything
