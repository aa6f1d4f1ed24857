"""Every import of an xDSL name that has moved between releases or is not public.

xDSL releases about twice a month without semantic versioning; keeping such names here makes an upgrade a
one-file change.
"""

from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import SpacedOpaqueSyntaxAttribute
from xdsl.utils.str_enum import StrEnum

__all__ = ["EnumAttribute", "SpacedOpaqueSyntaxAttribute", "StrEnum"]
