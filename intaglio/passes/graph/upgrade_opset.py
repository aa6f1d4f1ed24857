"""Rewrite the nodes of a model in an older opset as the current one says them.

```mlir
builtin.module attributes {onnx.opset_import = {"" = 9 : i64}} { ...
  %y = onnx.Clip(%x) {min = 0.0} : (tensor<4xf32>) -> tensor<4xf32>
// becomes
builtin.module attributes {onnx.opset_import = {"" = 21 : i64}} { ...
  %0 = onnx.Constant() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %y = onnx.Clip(%x, %0) : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
```

Every operator has a history of versions in ONNX's schemas. A node goes through those that lie between its model's opset
and the target, one by one: a version that only adds to the one before leaves it as it is, for the others there is an
adapter (`intaglio.passes.graph.opset_adapters`). Whether a version only adds follows from the two schemas
(`needs_adapter`); a node that a version breaks and no adapter mends is refused, never guessed at.

Since opset 21 no operator has changed its meaning, so that models of newer opsets stay as they are. Those before opset
7, in which broadcasting was by attributes, do too: what the compiler knows about them is in its rules. Of other
domains than `ai.onnx` nothing is changed.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import DictionaryAttr, IntegerAttr, ModuleOp, i64
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.hints import isa

from intaglio.dialects.onnx import OPSET_IMPORT, OnnxOp
from intaglio.dialects.onnx.schema import Arity, OperatorVersion, canonical_domain, find_operator, violation
from intaglio.errors import UserError
from intaglio.ir.locations import describe
from intaglio.passes.graph.opset_adapters import ADAPTERS, Form

OLDEST = 7
CURRENT = 21

_IR_VERSION = 10
"""The first IR version that knows opset 21."""


@dataclass(frozen=True)
class UpgradeOpset(ModulePass):
    """Rewrite nodes of older opsets as the current opset says them.

    Options:
        opset: the opset to upgrade to; models of this or a newer one stay as they are.
    """

    name = "upgrade-opset"

    opset: int = CURRENT

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Upgrade all nodes of a module.

        Raises:
            UserError: a node says what newer opsets cannot.
        """
        imports = op.attributes.get(OPSET_IMPORT)
        if not isinstance(imports, DictionaryAttr):
            return
        entries = {canonical_domain(name): version for name, version in imports.data.items()}
        version = entries.get("")
        if not isa(version, IntegerAttr) or not OLDEST <= version.value.data < self.opset:
            return
        for node in list(op.walk()):
            if isinstance(node, OnnxOp) and not node.domain:
                upgrade(node, version.value.data, self.opset)
        op.attributes[OPSET_IMPORT] = DictionaryAttr({**entries, "": IntegerAttr(self.opset, i64)})
        ir_version = op.attributes.get("onnx.ir_version")
        if isa(ir_version, IntegerAttr):
            op.attributes["onnx.ir_version"] = IntegerAttr(max(ir_version.value.data, _IR_VERSION), i64)


def upgrade(op: OnnxOp, opset: int, target: int) -> None:
    """Rewrite a node of one opset as another says it.

    Raises:
        UserError: the node says what the target cannot.
    """
    form = Form(op)
    try:
        reached = opset
        while (step := _next_version(form.op_type, reached, target)) is not None:
            before, after = step
            adapter = ADAPTERS.get((form.op_type, after.since))
            if adapter is not None:
                adapter(form)
            elif needs_adapter(before, after):
                raise UserError(f"no rule brings {describe(op)} from opset {before.since} to {after.since}")
            reached = after.since
        form.rebuild()
    except VerifyException as error:
        raise UserError(f"{describe(op)} cannot be upgraded to opset {target}: {error}") from error
    operator = find_operator("", form.op_type)
    assert operator is not None
    message = violation(
        operator,
        target,
        [*form.attributes, *form.op.node_graphs()],
        [value is not None for value in form.inputs],
        [kind is not None for kind in form.result_types],
    )
    if message is not None:
        raise UserError(f"{describe(form.op)} cannot be upgraded: {message}")


def _next_version(op_type: str, opset: int, target: int) -> tuple[OperatorVersion, OperatorVersion] | None:
    """The version in force at an opset and the one that follows, if that is in force at the target or before."""
    operator = find_operator("", op_type)
    before = operator.at(opset) if operator is not None else None
    if operator is None or before is None:
        return None
    later = [version for version in operator.versions if opset < version.since <= target]
    return (before, later[0]) if later else None


def needs_adapter(before: OperatorVersion, after: OperatorVersion) -> bool:
    """Whether a node of one version may be wrong, or mean something else, in the next.

    It is not when the next version only adds: attributes that may be absent, optional inputs and outputs at the end. A
    new attribute is taken to have a default that stands for what was before.
    """
    if after.deprecated:
        return True
    for name, attribute in before.attributes.items():
        new = after.attributes.get(name)
        if new is None or new.kind is not attribute.kind or new.default != attribute.default:
            return True
        if new.required and not attribute.required:
            return True
    if any(after.attributes[name].required for name in after.attributes.keys() - before.attributes.keys()):
        return True
    for old, new in ((before.inputs, after.inputs), (before.outputs, after.outputs)):
        if len(new) < len(old) or any(formal.arity is Arity.SINGLE for formal in new[len(old) :]):
            return True
        for first, second in zip(old, new, strict=False):
            if second.arity is not first.arity and second.arity is not Arity.OPTIONAL:
                return True
    return False
