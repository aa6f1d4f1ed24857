"""The `nn` dialect: what the optimiser, the quantizer and the accelerator reason about.

Activations are NHWC, convolution weights OHWI, padding explicit as `[top, left, bottom, right]`, shapes
static. The same operations take float tensors or tensors of `!quant.uniform` types; what they compute on the
latter is said in each docstring and defined to the last bit in `intaglio.numerics`.

Every operation refuses a tensor whose shape is not static; the numbered constraints of each come on top.

In the formulas `s` and `z` are scale and zero point of a quantized tensor, `requantize` is
`intaglio.numerics.requantization.requantize` (TOSA RESCALE, single rounding).
"""

from xdsl.ir import Dialect, Operation

from intaglio.dialects.nn.activation import *
from intaglio.dialects.nn.constant import *
from intaglio.dialects.nn.convolution import *
from intaglio.dialects.nn.elementwise import *
from intaglio.dialects.nn.function import *
from intaglio.dialects.nn.linear import *
from intaglio.dialects.nn.logic import *
from intaglio.dialects.nn.normalization import *
from intaglio.dialects.nn.pooling import *
from intaglio.dialects.nn.reduction import *
from intaglio.dialects.nn.resize import *
from intaglio.dialects.nn.selection import *
from intaglio.dialects.nn.shape import *
from intaglio.dialects.nn.types import *
from intaglio.dialects.weights import WeightsAttr as WeightsAttr

_OPERATIONS = [
    member
    for member in dict(globals()).values()
    if isinstance(member, type) and issubclass(member, Operation) and "name" in vars(member)
]

Nn = Dialect("nn", _OPERATIONS, [ClampAttr, WeightsAttr])

TABLE_OPS: tuple[type[ActivationOp], ...] = tuple(
    kind for kind in _OPERATIONS if issubclass(kind, ActivationOp) and kind not in (ClipOp, ReluOp)
)
"""The activations that on quantized tensors are tables: all but those that limit."""
