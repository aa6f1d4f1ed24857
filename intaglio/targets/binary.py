"""What the accelerator is given: instruction words, constants, and the sizes of the memory it works on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from intaglio.targets.instructions import WORD_BYTES

Shape = tuple[int, ...]
"""Dimensions of a tensor in DRAM: row-major."""


@dataclass(frozen=True)
class ProgramBinary:
    """One accelerator region, compiled.

    Args:
        name: the region's symbol.
        words: the instruction stream, 16 bytes an instruction.
        constants: the content of DRAM region 0.
        arena_bytes: size of region 1.
        inputs: shapes of the inputs, regions 2 upwards.
        outputs: shapes of the outputs, whose regions follow.
        debug: for each word the ONNX name it comes from, or None.
        target: name of the accelerator it was compiled for.
        element_bytes: for each input, then each output, 1 for int8 or 2 for int16; by default all are int8.
        scratchpad_bytes: how many bytes of the scratchpad the allocator used; 0 where none had to.
        scratchpad_live_bytes: most bytes that are live at once, which no allocation can go below.
    """

    name: str
    words: bytes
    constants: bytes
    arena_bytes: int
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    debug: tuple[str | None, ...]
    target: str
    element_bytes: tuple[int, ...] = ()
    scratchpad_bytes: int = 0
    scratchpad_live_bytes: int = 0

    @property
    def input_types(self) -> tuple[np.dtype[Any], ...]:
        """How each input is stored."""
        return self._types[: len(self.inputs)]

    @property
    def output_types(self) -> tuple[np.dtype[Any], ...]:
        """How each output is stored."""
        return self._types[len(self.inputs) :]

    @property
    def _types(self) -> tuple[np.dtype[Any], ...]:
        sizes = self.element_bytes or (1,) * (len(self.inputs) + len(self.outputs))
        return tuple(np.dtype(f"<i{size}") for size in sizes)

    @property
    def instructions(self) -> int:
        """Number of words."""
        return len(self.words) // WORD_BYTES

    @property
    def region_bytes(self) -> tuple[int, ...]:
        """Size of each DRAM region: constants, arena, inputs, outputs."""
        shapes = (*self.inputs, *self.outputs)
        tensors = (math.prod(shape) * kind.itemsize for shape, kind in zip(shapes, self._types, strict=True))
        return (len(self.constants), self.arena_bytes, *tensors)
