"""The text of a TOSA function being written: values, operations, constants; and the table of rules.

Small constants stand in the text, large ones in the `dialect_resources` section at its end, as hexadecimal bytes,
because decimal numbers take the parsers of MLIR a thousand times as long.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from xdsl.ir import Operation, SSAValue

from intaglio.errors import UserError
from intaglio.ir.locations import describe, name_of
from intaglio.ir.rules import Rules, of_class

IntegerArray = npt.NDArray[np.integer[Any]]

_INLINE = 16
"""Constants of more elements are resources."""

_BLOB_ALIGNMENT = (4).to_bytes(4, "little")
"""A resource begins with its alignment."""

_DTYPES: dict[str, str] = {"i8": "<i1", "i16": "<i2", "i32": "<i4"}
_PROMOTED = {"i4": "i8"}
"""Element types that are written as wider ones, which hold the same numbers."""

Op = TypeVar("Op", bound=Operation)


@dataclass(frozen=True)
class Value:
    """A tensor in the TOSA function.

    Attributes:
        name: with its percent sign.
        shape: static.
        element: `i8`, `i16`, `i32` or `i48`.
    """

    name: str
    shape: tuple[int, ...]
    element: str

    @property
    def type(self) -> str:
        """The type as text."""
        return f"tensor<{''.join(f'{size}x' for size in self.shape)}{self.element}>"


class Writer:
    """Collects the operations of a TOSA function.

    Args:
        values: the function's arguments by the value of the `nn` module that each stands for.
    """

    def __init__(self, values: Mapping[SSAValue, Value]) -> None:
        self._values = dict(values)
        self._lines: list[str] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Value] = {}
        self._shapes: dict[tuple[int, ...], str] = {}
        self._resources: dict[str, bytes] = {}
        self._location = ""
        self.extensions: set[str] = set()

    def write(self, op: Operation) -> None:
        """Add the operations that an operation with a rule becomes.

        Raises:
            UserError: TOSA has only other forms of it.
        """
        name = name_of(op)
        self._location = f" loc({json.dumps(name)})" if name and name.isascii() else ""
        rule = rule_of(op)
        assert rule is not None
        self._values[op.results[0]] = rule(self, op)

    def value(self, value: SSAValue) -> Value:
        """What stands for a value of the `nn` module."""
        return self._values[value]

    def op(
        self, name: str, operands: Sequence[Value | str], shape: Sequence[int], element: str, attributes: str = ""
    ) -> Value:
        """Add an operation with one result.

        Args:
            name: without `tosa.`.
            operands: tensors, and names of shapes.
            shape: of the result.
            element: element type of the result.
            attributes: the attribute dictionary without braces.
        """
        result = Value(f"%{len(self._lines)}", tuple(shape), element)
        known = [operand.element for operand in operands if isinstance(operand, Value)]
        if not {"i16", "i48"}.isdisjoint((element, *known)):
            self.extensions.add("int16")
        names = [operand if isinstance(operand, str) else operand.name for operand in operands]
        types = [self._shape_type(operand) if isinstance(operand, str) else operand.type for operand in operands]
        dictionary = f" {{{attributes}}}" if attributes else ""
        self._lines.append(
            f"{result.name} = tosa.{name} {', '.join(names)}{dictionary} : ({', '.join(types)}) -> {result.type}"
            f"{self._location}"
        )
        return result

    def constant(self, values: npt.ArrayLike, element: str) -> Value:
        """A constant tensor of integers, made once."""
        element = _PROMOTED.get(element, element)
        array = np.asarray(values)
        key = element, array.shape, array.astype(np.int64).tobytes()
        if key not in self._constants:
            result = Value(f"%{len(self._lines)}", array.shape, element)
            self._constants[key] = result
            text = self._elements(array, element)
            self._lines.append(
                f'{result.name} = "tosa.const"() <{{values = {text} : {result.type}}}> : () -> {result.type}'
            )
        return self._constants[key]

    def shape(self, sizes: Sequence[int]) -> str:
        """A constant shape, made once; its name."""
        key = tuple(sizes)
        if key not in self._shapes:
            name = self._shapes[key] = f"%s{'_'.join(map(str, key)).replace('-', 'm')}"
            rank = len(key)
            # A shape of rank 0 has no elements.
            numbers = f"dense<{list(key)}>" if key else "dense<>"
            self._lines.append(
                f"{name} = tosa.const_shape {{values = {numbers} : tensor<{rank}xindex>}} : () -> !tosa.shape<{rank}>"
            )
        return self._shapes[key]

    def text(self, arguments: Sequence[tuple[Value, str]], results: Sequence[tuple[Value, str]]) -> str:
        """The module.

        Args:
            arguments: of the function, with the names of the tensors.
            results: likewise.
        """
        inputs = ", ".join(f"{value.name}: {value.type} {_tensor_name(name)}" for value, name in arguments)
        outputs = ", ".join(f"{value.type} {_tensor_name(name)}" for value, name in results)
        returned = ", ".join(value.name for value, _ in results)
        types = ", ".join(value.type for value, _ in results)
        lines = [
            f"module{self._environment()} {{",
            f"  func.func @main({inputs}) -> ({outputs}) {{",
            *(f"    {line}" for line in self._lines),
            f"    return {returned} : {types}",
            "  }",
            "}",
        ]
        if self._resources:
            lines += ["{-#", "  dialect_resources: {", "    builtin: {"]
            entries = [f'      {key}: "0x{blob.hex().upper()}"' for key, blob in self._resources.items()]
            lines += [",\n".join(entries), "    }", "  }", "#-}"]
        return "\n".join(lines) + "\n"

    def _environment(self) -> str:
        """The target environment; without extensions it is the default, since an empty list is no valid text."""
        if not self.extensions:
            return ""
        return (
            ' attributes {tosa.target_env = #tosa.target_env<specification_version = "1.0", level = "8k", '
            f"profiles = [pro_int], extensions = [{', '.join(sorted(self.extensions))}]>}}"
        )

    def _shape_type(self, name: str) -> str:
        return f"!tosa.shape<{next(len(key) for key, known in self._shapes.items() if known == name)}>"

    def _elements(self, array: IntegerArray, element: str) -> str:
        if array.size and bool(np.all(array == array.flat[0])):
            return f"dense<{_nested(array.reshape(-1)[0:1].reshape(()))}>"
        if array.size <= _INLINE or element not in _DTYPES:
            return f"dense<{_nested(array)}>"
        key = f"constant_{len(self._resources)}"
        self._resources[key] = _BLOB_ALIGNMENT + np.ascontiguousarray(array.astype(_DTYPES[element])).tobytes()
        return f"dense_resource<{key}>"


def _nested(array: IntegerArray) -> str:
    # Truth values are `true` and `false`.
    return str(array.tolist()).lower()


def _tensor_name(name: str) -> str:
    return f"{{tosa.tensor_name = {json.dumps(name)}}}"


Rule = Callable[[Writer, Op], Value]
_RULES = Rules[type[Operation], Rule[Any]]()


def lowers(*kinds: type[Op]) -> Callable[[Rule[Op]], Rule[Op]]:
    """Register the decorated function as the rule of operations and of those derived from them."""
    return _RULES.add(*kinds)


def rule_of(op: Operation) -> Rule[Any] | None:
    """The rule of an operation, None if TOSA has nothing like it."""
    return of_class(_RULES, op)


def unsupported(op: Operation, what: str) -> UserError:
    """The error for an operation of which TOSA has only other forms."""
    return UserError(f"TOSA cannot say {describe(op)}: {what}")
