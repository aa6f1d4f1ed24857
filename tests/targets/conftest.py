"""Building small programs from assembly text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from xdsl.dialects.builtin import TensorType, i8

from intaglio.dialects import isa
from intaglio.dialects.weights import constant_attr
from intaglio.interpreter import evaluate
from intaglio.ir.locations import named
from intaglio.lowering.isa_to_bytes import program_binary
from intaglio.targets.assembler import assemble
from intaglio.targets.encoding import decode
from intaglio.targets.simulator import Program
from intaglio.targets.target import Target, load_target


@dataclass
class Case:
    """A program in both forms."""

    op: isa.ProgramOp
    target: Target

    def simulated(self) -> Program:
        return Program.from_binary(program_binary(self.op), self.target)

    def interpreted(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return evaluate(self.op, list(inputs))

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """Simulate, alone and in a batch, interpret, hold all equal and return the outputs."""
        program = self.simulated()
        outputs = program.run(inputs)
        for expected, actual in zip(self.interpreted(inputs), outputs, strict=True):
            np.testing.assert_array_equal(actual, expected)
        batch = [np.stack([array, np.roll(array, 1), array]) for array in inputs]
        if batch:
            for single, several in zip(outputs, program.run_batch(batch), strict=True):
                np.testing.assert_array_equal(several[0], single)
                np.testing.assert_array_equal(several[2], single)
        return outputs


MakeCase = Callable[..., Case]


@pytest.fixture
def make_case() -> MakeCase:
    """Make a program from assembly; lines may end in `; name`."""

    def make(
        text: str,
        *,
        constants: np.ndarray | None = None,
        arena: int = 0,
        inputs: Sequence[tuple[int, ...]] = (),
        outputs: Sequence[tuple[int, ...]] = (),
        target: str = "gen1-d16",
    ) -> Case:
        lines = [line for line in text.splitlines() if line.partition(";")[0].strip()]
        names = [line.partition(";")[2].strip() for line in lines]
        ops = [
            isa.from_word(word, named(name) if name else None)
            for word, name in zip(decode(assemble(text)), names, strict=True)
        ]
        content = np.zeros(0, np.int8) if constants is None else np.frombuffer(constants.tobytes(), np.int8)
        program = isa.ProgramOp(
            "region",
            [TensorType(i8, shape) for shape in inputs],
            [TensorType(i8, shape) for shape in outputs],
            constant_attr("constants", content),
            arena,
            target,
            ops,
        )
        program.verify()
        return Case(program, load_target(target))

    return make


@pytest.fixture
def transfer() -> Callable[..., str]:
    """Text of a load or store of one contiguous run."""

    def text(kind: str, region: int, scratchpad: int, size: int, *, offset: int = 0, masks: str = "") -> str:
        shape = "".join(f"{kind}.shape level={level} count=1 dram_stride=0 scratchpad_stride=0\n" for level in range(3))
        return f"{shape}{kind}.run region={region} dram_offset={offset} scratchpad={scratchpad} bytes={size} {masks}\n"

    return text
