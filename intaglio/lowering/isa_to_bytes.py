"""From an `isa.program` to what the accelerator is given."""

from __future__ import annotations

from typing import cast

import numpy as np
from xdsl.dialects.builtin import DictionaryAttr, IntegerAttr, IntegerType

from intaglio.dialects.isa import ProgramOp
from intaglio.dialects.weights import Constant, array_of
from intaglio.interpreter.values import value_dtype
from intaglio.ir.locations import name_of
from intaglio.passes.npu.allocate_scratchpad import SCRATCHPAD
from intaglio.targets.binary import ProgramBinary
from intaglio.targets.encoding import encode

__all__ = ["ProgramBinary", "constants_of", "program_binary"]


def constants_of(constants: Constant) -> bytes:
    """Return the bytes of a program's constants.

    Raises:
        UserError: the values of weights are not available.
    """
    return array_of(constants).astype(np.int8, copy=False).tobytes()


def _of_scratchpad(program: ProgramOp, key: str) -> int:
    """A figure of the allocator's, 0 where none has run."""
    said = program.attributes.get(SCRATCHPAD)
    found = said.data.get(key) if isinstance(said, DictionaryAttr) else None
    return cast("IntegerAttr[IntegerType]", found).value.data if isinstance(found, IntegerAttr) else 0


def program_binary(program: ProgramOp) -> ProgramBinary:
    """Encode a verified program.

    Raises:
        UserError: an operand is out of bounds, or the values of its constants are not available.
    """
    ops = list(program.instructions)
    return ProgramBinary(
        name=program.sym_name.data,
        words=encode(op.to_word() for op in ops),
        constants=constants_of(program.constants),
        arena_bytes=program.arena_bytes,
        inputs=tuple(tuple(kind.get_shape()) for kind in program.input_types),
        outputs=tuple(tuple(kind.get_shape()) for kind in program.output_types),
        debug=tuple(name_of(op) for op in ops),
        target=program.target.data,
        element_bytes=tuple(value_dtype(kind).itemsize for kind in (*program.input_types, *program.output_types)),
        scratchpad_bytes=_of_scratchpad(program, "bytes"),
        scratchpad_live_bytes=_of_scratchpad(program, "live_bytes"),
    )
