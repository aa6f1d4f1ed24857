"""The executable meaning of every operation: naive, readable, and exact on integers.

`Interpreter` runs a function of a module on NumPy arrays. What an operation computes is said by its *rule*, a
function of the operation and its operands' values, found through `registry`. Rules live in one module per
dialect or family of operations, so a rule is read next to its relatives; the module is found by discovery.

Values are arrays: a tensor of floats or integers has the dtype of its element type, a tensor of quantized
elements that of their storage type. Nothing here is fast on purpose.
"""

from intaglio.interpreter.interpreter import Interpreter, Listener
from intaglio.interpreter.registry import CallingRule, Rule, calling_rule, evaluate, find_rule, rule
from intaglio.interpreter.values import Array, tensor_type, value_dtype, value_shape

__all__ = [
    "Array",
    "CallingRule",
    "Interpreter",
    "Listener",
    "Rule",
    "calling_rule",
    "evaluate",
    "find_rule",
    "rule",
    "tensor_type",
    "value_dtype",
    "value_shape",
]
