"""From an `isa.program` to a binary."""

from __future__ import annotations

import numpy as np
import pytest

from intaglio.dialects import isa
from intaglio.dialects.weights import constant_attr
from intaglio.errors import UserError
from intaglio.ir.parsing import parse_module
from intaglio.lowering.isa_to_bytes import program_binary
from intaglio.targets.assembler import disassemble
from intaglio.targets.encoding import decode

TEXT = """
!q = !quant.uniform<i8:f32, 0.5:3>
isa.program @region_0 : (tensor<1x2x3xi8>, tensor<4xi8>) -> tensor<5x!q> constants CONSTANTS arena 96 target "gen1" {
  isa.vector_window columns 1 rows 2 step_x 3 step_y 4 loc("stem/Conv")
  isa.vector_table base 64 wait [1, 15] signal [0] loc(fused["pool", "relu"])
  isa.vector_table base 65
  isa.end
}
"""


def parsed(constants: str) -> isa.ProgramOp:
    (op,) = parse_module(TEXT.replace("CONSTANTS", constants)).ops
    assert isinstance(op, isa.ProgramOp)
    return op


def test_a_program_becomes_words_and_sizes() -> None:
    binary = program_binary(parsed("dense<[1, -1, 127]> : tensor<3xi8>"))
    assert (binary.name, binary.target, binary.arena_bytes) == ("region_0", "gen1", 96)
    assert (binary.inputs, binary.outputs) == (((1, 2, 3), (4,)), ((5,),))
    assert binary.constants == bytes([1, 255, 127])
    assert binary.region_bytes == (3, 96, 6, 4, 5)
    assert binary.debug == ("stem/Conv", "pool, relu", None, None)
    assert binary.instructions == 4 and len(binary.words) == 64
    assert disassemble(binary.words, binary.debug).splitlines() == [
        "vector.window columns=1 rows=2 step_x=3 step_y=4  ; stem/Conv",
        "vector.table base=64 wait=1,15 signal=0  ; pool, relu",
        "vector.table base=65",
        "end",
    ]


def test_ops_and_words_are_the_same_thing() -> None:
    op = parsed("dense<0> : tensor<2xi8>")
    words = decode(program_binary(op).words)
    assert [isa.from_word(word).properties for word in words] == [each.properties for each in op.instructions]


def test_a_splat_and_weights_are_written_out() -> None:
    assert program_binary(parsed("dense<7> : tensor<4xi8>")).constants == bytes([7] * 4)
    op = parsed("dense<7> : tensor<4xi8>")
    values = np.arange(-100, 100, dtype=np.int8)
    op.properties["constants"] = constant_attr("constants", values)
    assert program_binary(op).constants == values.tobytes()


def test_weights_that_are_not_at_hand() -> None:
    op = parsed('#nn.weights<"constants", "00112233445566778899aabbccddeeff"> : tensor<1000xi8>')
    with pytest.raises(UserError, match="constants"):
        program_binary(op)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mnemonic": "vector.tabel"}, "there is no instruction 'vector.tabel'"),
        ({"mnemonic": "vector.table"}, "vector.table needs the operand 'base'"),
        ({"mnemonic": "vector.table", "base": -1}, "base of vector.table must be 0 to 4194303, got -1"),
        ({"mnemonic": "vector.table", "base": 0, "top": 1}, "vector.table has no operand 'top'"),
        ({"mnemonic": "end", "wait": [16]}, "semaphore 16 does not exist"),
    ],
)
def test_making_wrong_instructions_fails_at_once(arguments, message: str) -> None:
    with pytest.raises(UserError, match=message):
        isa.instruction(**arguments)
