"""In how many bits an operation computes, and what else may be asked of one node.

A precision is written `a8w8`, `a16w8`, `a16w16`, `a8w4`, `a16w4` (bits of activations and of weights), `bf16` or
`float`. That text is what the attribute `quant.precision` of an operation, assignment files and command lines hold.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from intaglio.errors import UserError

Kind = Literal["int", "bf16", "float"]

ACTIVATION_BITS = (8, 16)
"""Widths of stored activations."""

WEIGHT_BITS = (4, 8, 16)
"""Widths of stored weights."""

_INTEGERS = re.compile(r"a(\d{1,3})w(\d{1,3})")


@dataclass(frozen=True, order=False)
class Precision:
    """How an operation's activations and weights are stored while it computes.

    Attributes:
        kind: integers, bfloat16, or float32.
        activation_bits: of its activation operands; 16 for bfloat16, 32 for float.
        weight_bits: of its weights; likewise.

    Raises:
        UserError: there are no integers of these widths, or weights are wider than activations.
    """

    kind: Kind
    activation_bits: int
    weight_bits: int

    INT8: ClassVar[Precision]
    INT16: ClassVar[Precision]
    BF16: ClassVar[Precision]
    FLOAT: ClassVar[Precision]

    def __post_init__(self) -> None:
        if self.kind != "int":
            return
        known = self.activation_bits in ACTIVATION_BITS and self.weight_bits in WEIGHT_BITS
        if not known or self.weight_bits > self.activation_bits:
            raise UserError(
                f"there is no precision a{self.activation_bits}w{self.weight_bits}", hint=f"use one of {_NAMES}"
            )

    @staticmethod
    def parse(text: str) -> Precision:
        """The precision that a text names; `int8` and `int16` stand for `a8w8` and `a16w8`.

        Raises:
            UserError: there is no such precision.
        """
        name = text.strip().lower()
        if name in _BY_NAME:
            return _BY_NAME[name]
        if name in _HALF_FLOATS:
            raise _no_half_float()
        if (match := _INTEGERS.fullmatch(name)) is None:
            raise UserError(f"there is no precision {text!r}", hint=f"use one of {_NAMES}")
        return Precision("int", int(match[1]), int(match[2]))

    @staticmethod
    def of_candidate(candidate: tuple[tuple[int, str], tuple[int, str]]) -> Precision:
        """The precision of a candidate as AIMET writes one: `((16, "int"), (8, "int"))`, activations first.

        A kind is `int`, `float` or `bf16`, or a member of AIMET's enumeration. Floats of 16 bits are bfloat16.

        Raises:
            UserError: there is no such precision; fp16 is none.
        """
        (activation_bits, activation_kind), (weight_bits, weight_kind) = candidate
        kind, other = (str(getattr(kind, "name", kind)) for kind in (activation_kind, weight_kind))
        if {kind, other} & _HALF_FLOATS:
            raise _no_half_float()
        if kind == other == "int":
            return Precision("int", activation_bits, weight_bits)
        floats = {("bf16", 16): Precision.BF16, ("float", 16): Precision.BF16, ("float", 32): Precision.FLOAT}
        found = floats.get((kind, activation_bits))
        if found is not None and (other, weight_bits) == (kind, activation_bits):
            return found
        raise UserError(f"there is no precision for the candidate {candidate}", hint=f"use one of {_NAMES}")

    @property
    def candidate(self) -> tuple[tuple[int, str], tuple[int, str]]:
        """The precision as AIMET writes it."""
        kind = "int" if self.is_integer else "float"
        return (self.activation_bits, kind), (self.weight_bits, kind)

    @property
    def is_integer(self) -> bool:
        """Whether values are integers."""
        return self.kind == "int"

    @property
    def is_bfloat16(self) -> bool:
        """Whether values are bfloat16."""
        return self.kind == "bf16"

    @property
    def is_float(self) -> bool:
        """Whether values stay float32: the operation is not quantized."""
        return self.kind == "float"

    def __str__(self) -> str:
        """The text that `parse` reads."""
        return f"a{self.activation_bits}w{self.weight_bits}" if self.is_integer else self.kind


def _no_half_float() -> UserError:
    return UserError("fp16 is not supported: the only 16-bit float is bfloat16", hint=f"use one of {_NAMES}")


_HALF_FLOATS = {"fp16", "float16", "half"}
_NAMES = "a8w8, a16w8, a16w16, a8w4, a16w4, bf16, float"
Precision.INT8 = Precision("int", 8, 8)
Precision.INT16 = Precision("int", 16, 8)
Precision.BF16 = Precision("bf16", 16, 16)
Precision.FLOAT = Precision("float", 32, 32)
_BY_NAME = {"int8": Precision.INT8, "int16": Precision.INT16, "bf16": Precision.BF16, "float": Precision.FLOAT}


@dataclass(frozen=True)
class NodeConfig:
    """What is asked of one node; None where the network's own setting holds.

    As text, settings are joined by `+`: `a16w8+output_int32`, `symmetric+per_tensor`.

    Attributes:
        precision: how its operands and weights are stored.
        output_int32: hand the accumulator of a layer on as it is, in 32 bits (48 for 16-bit activations).
        asymmetric: whether the zero point of its 8-bit result is free.
        per_channel: whether each output channel of its weight has its own scale.
    """

    precision: Precision | None = None
    output_int32: bool = False
    asymmetric: bool | None = None
    per_channel: bool | None = None

    @staticmethod
    def parse(text: str) -> NodeConfig:
        """The settings in a text.

        Raises:
            UserError: a setting does not exist or is given twice.
        """
        settings: dict[str, Any] = {}
        for word in text.split("+"):
            name, value = _WORDS.get(word.strip()) or ("precision", Precision.parse(word))
            if name in settings:
                raise UserError(f"{name} is set twice: {text!r}")
            settings[name] = value
        return NodeConfig(**settings)

    @staticmethod
    def of(settings: Mapping[str, Any], where: str | None = None) -> NodeConfig:
        """The settings in a mapping from the names of the attributes, as AFE's custom configurations are.

        Args:
            settings: a precision may be text.
            where: the place they were found in, for messages.

        Raises:
            UserError: a setting does not exist, or its value is of another type.
        """
        known = [field.name for field in dataclasses.fields(NodeConfig)]
        found = dict(settings)
        for name, value in settings.items():
            if name not in known:
                raise UserError(f"nodes have no setting {name!r}", where=where, hint=f"they have {', '.join(known)}")
            if name == "precision" and isinstance(value, str):
                found[name] = Precision.parse(value)
            elif not isinstance(value, Precision if name == "precision" else bool):
                kind = "a precision such as a16w8" if name == "precision" else "true or false"
                raise UserError(f"{name} must be {kind}, got {value!r}", where=where)
        return NodeConfig(**found)

    def settings(self) -> dict[str, str | bool]:
        """What is set, by name; `of` reads it."""
        found: dict[str, str | bool] = {} if self.precision is None else {"precision": str(self.precision)}
        if self.output_int32:
            found["output_int32"] = True
        pairs = {"asymmetric": self.asymmetric, "per_channel": self.per_channel}
        return found | {name: value for name, value in pairs.items() if value is not None}

    def over(self, other: NodeConfig) -> NodeConfig:
        """These settings, and those of `other` where nothing is set here."""
        return NodeConfig(
            other.precision if self.precision is None else self.precision,
            self.output_int32 or other.output_int32,
            other.asymmetric if self.asymmetric is None else self.asymmetric,
            other.per_channel if self.per_channel is None else self.per_channel,
        )

    def __str__(self) -> str:
        """The text that `parse` reads."""
        found = self.settings()
        words = [str(found.pop("precision"))] if "precision" in found else []
        return "+".join(words + [word for word, (name, value) in _WORDS.items() if found.get(name) == value])


_WORDS: dict[str, tuple[str, bool]] = {
    "output_int32": ("output_int32", True),
    "asymmetric": ("asymmetric", True),
    "symmetric": ("asymmetric", False),
    "per_channel": ("per_channel", True),
    "per_tensor": ("per_channel", False),
}
