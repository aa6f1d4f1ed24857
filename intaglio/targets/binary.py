"""What the accelerator is given: instruction words, constants, and the sizes of the memory it works on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from intaglio.targets.instructions import WORD_BYTES

Shape = tuple[int, ...]
"""Dimensions of a tensor in DRAM: row-major, one byte an element."""


@dataclass(frozen=True)
class ProgramBinary:
    """One accelerator region, compiled.

    Args:
        name: the region's symbol.
        words: the instruction stream, 16 bytes an instruction.
        constants: the content of DRAM region 0.
        arena_bytes: size of region 1.
        inputs: shapes of the int8 inputs, regions 2 upwards.
        outputs: shapes of the int8 outputs, whose regions follow.
        debug: for each word the ONNX name it comes from, or None.
        target: name of the accelerator it was compiled for.
    """

    name: str
    words: bytes
    constants: bytes
    arena_bytes: int
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    debug: tuple[str | None, ...]
    target: str

    @property
    def instructions(self) -> int:
        """Number of words."""
        return len(self.words) // WORD_BYTES

    @property
    def region_bytes(self) -> tuple[int, ...]:
        """Size of each DRAM region: constants, arena, inputs, outputs."""
        tensors = (math.prod(shape) for shape in (*self.inputs, *self.outputs))
        return (len(self.constants), self.arena_bytes, *tensors)
