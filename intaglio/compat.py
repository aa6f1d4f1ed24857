"""Every import of an xDSL name that has moved between releases or is not public.

xDSL releases about twice a month without semantic versioning; keeping such names here makes an upgrade a
one-file change.
"""

from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import SpacedOpaqueSyntaxAttribute
from xdsl.parser import AttrParser
from xdsl.utils.str_enum import StrEnum

__all__ = ["EnumAttribute", "SpacedOpaqueSyntaxAttribute", "StrEnum", "resume_parsing_at"]


def resume_parsing_at(parser: AttrParser, position: int) -> None:
    """Continue with the token that starts at or after `position` of the parser's text."""
    parser._resume_from(position)  # pyright: ignore[reportPrivateUsage]
