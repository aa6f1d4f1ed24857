"""The instruction ops of the `isa` dialect, made from the instruction table."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, ClassVar, cast

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, IntegerType, LocationAttr, i64
from xdsl.ir import Attribute
from xdsl.irdl import IRDLOperation, irdl_op_definition, opt_prop_def, prop_def, traits_def
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import IsTerminator
from xdsl.utils.exceptions import VerifyException

from intaglio.errors import UserError
from intaglio.targets.encoding import Word, check_operands, mask_of, ordered, semaphores_of
from intaglio.targets.instructions import BY_MNEMONIC, INSTRUCTIONS, Instruction

_MASKS = ("wait", "signal")


class InstructionOp(IRDLOperation):
    """Base of the instruction ops.

    Constraints:
        C1: every operand lies within the bounds of its field.
        C2: `wait` and `signal` list existing semaphores, each at most once.
    """

    INSTRUCTION: ClassVar[Instruction]

    @property
    def values(self) -> tuple[int, ...]:
        """Operand values in the order of the table's fields."""
        properties = self.properties
        return tuple(_integer(properties[field.name]) for field in self.INSTRUCTION.fields)

    @property
    def wait_semaphores(self) -> tuple[int, ...]:
        """Semaphores it takes one from before it begins."""
        return _semaphores(self.properties.get("wait"))

    @property
    def signal_semaphores(self) -> tuple[int, ...]:
        """Semaphores it adds one to when it has finished."""
        return _semaphores(self.properties.get("signal"))

    def to_word(self) -> Word:
        """Return the instruction word.

        Raises:
            UserError: a semaphore does not exist or is listed twice.
        """
        return Word(self.INSTRUCTION, self.values, mask_of(self.wait_semaphores), mask_of(self.signal_semaphores))

    def verify_(self) -> None:
        """Check the numbered constraints."""
        try:
            # C1
            check_operands(self.INSTRUCTION, self.values)
            # C2
            for name, semaphores in (("wait", self.wait_semaphores), ("signal", self.signal_semaphores)):
                try:
                    mask_of(semaphores)
                except UserError as error:
                    raise UserError(f"{name}: {error.what}") from error
        except UserError as error:
            raise VerifyException(error.what) from error

    @classmethod
    def parse(cls, parser: Parser) -> InstructionOp:
        """Parse `name value` for each field in order, then the semaphores: `inner 9 ... wait [1] signal [6]`.

        Fields may be left out that have a default.
        """
        properties: dict[str, Attribute] = {}
        for field in cls.INSTRUCTION.fields:
            if field.default is not None and parser.parse_optional_keyword(field.name) is None:
                properties[field.name] = _attribute(field.default)
                continue
            if field.default is None:
                parser.parse_keyword(field.name)
            properties[field.name] = _attribute(parser.parse_integer(allow_boolean=False))
        for name in _MASKS:
            if parser.parse_optional_keyword(name) is not None:
                numbers = parser.parse_comma_separated_list(
                    parser.Delimiter.SQUARE, lambda: parser.parse_integer(allow_boolean=False)
                )
                properties[name] = _semaphore_attribute(tuple(numbers))
        attributes = parser.parse_optional_attr_dict()
        return cls.create(properties=properties, attributes=attributes)

    def print(self, printer: Printer) -> None:
        """Print the form that `parse` reads."""
        for field, value in zip(self.INSTRUCTION.fields, self.values, strict=True):
            if value != field.default:
                printer.print_string(f" {field.name} {value}")
        for name, semaphores in (("wait", self.wait_semaphores), ("signal", self.signal_semaphores)):
            if name in self.properties:
                printer.print_string(f" {name} [{', '.join(map(str, semaphores))}]")
        printer.print_op_attributes(self.attributes)


def _integer(attribute: Attribute) -> int:
    return cast("IntegerAttr[Any]", attribute).value.data


def _semaphores(attribute: Attribute | None) -> tuple[int, ...]:
    if attribute is None:
        return ()
    return cast("DenseArrayBase[IntegerType]", attribute).get_values()


@cache
def _attribute(value: int) -> IntegerAttr[Any]:
    return IntegerAttr(value, i64)


@cache
def _semaphore_attribute(semaphores: tuple[int, ...]) -> DenseArrayBase:
    return DenseArrayBase.from_list(i64, semaphores)


def _op_class(entry: Instruction) -> type[InstructionOp]:
    operands = "".join(f" {field.name} {max(0, field.minimum)}" for field in entry.fields if field.default is None)
    name = "isa." + entry.mnemonic.replace(".", "_")
    documentation = f"{entry.doc}\n\n    Example:\n    ```mlir\n    {name}{operands}\n    ```\n    "
    namespace: dict[str, object] = {
        "name": name,
        "__doc__": documentation,
        "__module__": __name__,
        "__annotations__": {},
    }
    for field in entry.fields:
        # The prefix keeps a field from shadowing a member of Operation.
        namespace[f"field_{field.name}"] = prop_def(IntegerAttr.constr(i64), prop_name=field.name)
    for mask in _MASKS:
        namespace[f"{mask}_list"] = opt_prop_def(DenseArrayBase.constr(i64), prop_name=mask)
    if entry.mnemonic == "end":
        namespace["traits"] = traits_def(IsTerminator())
    class_name = "".join(part.capitalize() for part in entry.mnemonic.replace(".", "_").split("_")) + "Op"
    op_class = irdl_op_definition(type(class_name, (InstructionOp,), namespace))
    op_class.INSTRUCTION = entry
    return op_class


INSTRUCTION_OPS: dict[str, type[InstructionOp]] = {entry.mnemonic: _op_class(entry) for entry in INSTRUCTIONS}
"""The op class of each mnemonic."""

EndOp = INSTRUCTION_OPS["end"]


def instruction(
    mnemonic: str,
    *,
    wait: Iterable[int] = (),
    signal: Iterable[int] = (),
    location: LocationAttr | None = None,
    **operands: int,
) -> InstructionOp:
    """Make an instruction op.

    Args:
        mnemonic: its name in the table, `matrix.multiply`.
        wait: semaphores it takes one from before it begins.
        signal: semaphores it adds one to when it has finished.
        location: where it comes from, as a rule the ONNX name.
        operands: its operands by field name; those with a default may be left out.

    Raises:
        UserError: unknown mnemonic, a missing, unknown or out-of-range operand, or a bad semaphore.
    """
    if mnemonic not in BY_MNEMONIC:
        raise UserError(f"there is no instruction {mnemonic!r}")
    entry = BY_MNEMONIC[mnemonic]
    values = ordered(entry, operands)
    check_operands(entry, values)
    return from_word(Word(entry, values, mask_of(wait), mask_of(signal)), location)


def from_word(word: Word, location: LocationAttr | None = None) -> InstructionOp:
    """Make the op of an instruction word, at a location."""
    properties: dict[str, Attribute] = {
        field.name: _attribute(value) for field, value in zip(word.instruction.fields, word.values, strict=True)
    }
    if word.wait:
        properties["wait"] = _semaphore_attribute(semaphores_of(word.wait))
    if word.signal:
        properties["signal"] = _semaphore_attribute(semaphores_of(word.signal))
    op = INSTRUCTION_OPS[word.instruction.mnemonic].create(properties=properties)
    if location is not None:
        op.location = location
    return op
