"""The `isa` dialect: the accelerator's instructions, one op a word.

The instruction ops are made from the table in `intaglio.targets.instructions`: `matrix.multiply` is
`isa.matrix_multiply`, its operands are integer properties with the names of the table's fields, and `wait` and
`signal` list semaphores. What each instruction does is specified in `docs/accelerator.md`.

```mlir
isa.program @region_0 : (tensor<64xi8>) -> tensor<64xi8> constants dense<> : tensor<0xi8> arena 0 target "gen1" {
  isa.load_shape level 0 count 1 dram_stride 0 scratchpad_stride 0
  isa.load_shape level 1 count 1 dram_stride 0 scratchpad_stride 0
  isa.load_shape level 2 count 1 dram_stride 0 scratchpad_stride 0
  isa.load_run region 2 dram_offset 0 scratchpad 0 bytes 64 signal [0] loc("input")
  ...
  isa.end
}
```

Making ops: `instruction("load.run", region=2, dram_offset=0, scratchpad=0, bytes=64, signal=(0,))`.
"""

from xdsl.ir import Dialect

from intaglio.dialects.isa.instructions import INSTRUCTION_OPS, EndOp, InstructionOp, from_word, instruction
from intaglio.dialects.isa.program import ProgramOp

Isa = Dialect("isa", [ProgramOp, *INSTRUCTION_OPS.values()], [])

__all__ = [
    "INSTRUCTION_OPS",
    "EndOp",
    "InstructionOp",
    "Isa",
    "ProgramOp",
    "from_word",
    "instruction",
]
