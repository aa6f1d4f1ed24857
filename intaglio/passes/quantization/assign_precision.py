"""Write into the text in which precision each operation is to be quantized.

```mlir
%1 = nn.conv2d %0, %w ... loc("stem/Conv")   ->   %1 = nn.conv2d %0, %w ... {quant.precision = "a16w8"} loc("stem/Conv")
```

Operations are named as the ONNX nodes they come from: a fused one answers to each of its nodes' names, and a node that
became several operations names them all. A default does not override what an operation has already; what is said of a
name or pattern does. What is said of a name counts more than what is said of a pattern, a later pattern more than one
before it, and the option `nodes` more than the file.

The pass does not choose precisions, and it does not look whether an operation can be quantized at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass

from intaglio.assignment import is_pattern, matches, read_assignment
from intaglio.dialects import nn
from intaglio.errors import UserError, suggestion
from intaglio.ir.locations import describe, names_in, where
from intaglio.passes.quantization.coverage import LAYERS, functions_with_body
from intaglio.passes.quantization.node_settings import config_of, set_config
from intaglio.precision import NodeConfig, Precision


@dataclass(frozen=True)
class AssignPrecision(ModulePass):
    """Set the precision of operations by the names of their ONNX nodes.

    Options:
        default: precision of operations that have none and that nothing is said of.
        assignment: a file of precisions by name or pattern, JSON or TOML.
        nodes: more of them, as name=settings with settings joined by a plus sign, such as fc=a16w8+output_int32.
    """

    name = "assign-precision"
    default: str | None = None
    assignment: str | None = None
    nodes: tuple[str, ...] = ()

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Set the attributes.

        Raises:
            UserError: the file cannot be read, there is no such precision or node, or one operation is asked for
                different things by two of its names.
        """
        default = Precision.parse(self.default) if self.default else None
        requests: list[Request] = []
        if self.assignment:
            found = read_assignment(self.assignment)
            default = found.default if default is None else default
            requests += [Request(name, config, self.assignment) for name, config in found.nodes.items()]
        assign(op, [*requests, *self.asked_nodes()], default)

    def asked_nodes(self, files: Mapping[str, str] | None = None) -> list[Request]:
        """What the option `nodes` asks.

        Args:
            files: where names and patterns come from, for messages; those that are not in it come from the option.

        Raises:
            UserError: an item is malformed, or a setting does not exist.
        """
        requests = [Request.parse(text) for text in self.nodes]
        return [replace(request, where=(files or {}).get(request.name, request.where)) for request in requests]


@dataclass(frozen=True)
class Request:
    """What is asked of the operations that a name or pattern means.

    Attributes:
        name: name or pattern.
        config: what is asked of them.
        where: the file or option it stands in.
    """

    name: str
    config: NodeConfig
    where: str

    @staticmethod
    def parse(text: str) -> Request:
        """The request in an item of the pass option `nodes`.

        Raises:
            UserError: it is malformed, or a setting does not exist.
        """
        name, equals, settings = text.strip('"').rpartition("=")
        if not equals or not name:
            raise UserError(f"expected name=settings, got {text!r}", where="option 'nodes' of pass assign-precision")
        return Request(name, NodeConfig.parse(settings), "option 'nodes' of pass assign-precision")


def requests_text(configs: Mapping[str, NodeConfig]) -> tuple[str, ...]:
    """Settings by name as the pass option `nodes` takes them."""
    return tuple(f"{name}={config}" for name, config in configs.items() if str(config))


def assign(module: ModuleOp, requests: Iterable[Request], default: Precision | None = None) -> None:
    """Set the attributes of all operations of the `nn` level.

    Args:
        module: a module on the `nn` level.
        requests: what is asked, in order.
        default: for operations that have no precision and that no request gives one.

    Raises:
        UserError: a name or pattern means no operation, or one operation is asked for different things by two names.
    """
    ops = [op for function in functions_with_body(module) for op in function.body.block.ops if _takes_settings(op)]
    by_name: dict[str, list[Operation]] = {}
    for op in ops:
        for name in names_in(op.location):
            by_name.setdefault(name, []).append(op)
    asked: dict[Operation, NodeConfig] = {}
    exact: dict[Operation, Request] = {}
    ordered = sorted(requests, key=lambda request: request.name in by_name)
    for request in ordered:
        for op in _meant(request, by_name):
            if request.name in by_name:
                _check_agreement(op, exact.get(op), request)
                exact[op] = request
            asked[op] = request.config.over(asked.get(op, NodeConfig()))
    for op in ops:
        set_config(op, asked.get(op, NodeConfig()).over(config_of(op)).over(NodeConfig(precision=default)))


def _takes_settings(op: Operation) -> bool:
    return op.dialect_name() == nn.Nn.name and not isinstance(op, nn.ConstantOp)


def _meant(request: Request, by_name: Mapping[str, list[Operation]]) -> list[Operation]:
    names = [request.name] if request.name in by_name else [name for name in by_name if matches(request.name, name)]
    meant = list(dict.fromkeys(op for name in names for op in by_name[name]))
    if not meant:
        kind = "pattern" if is_pattern(request.name) else "name"
        raise UserError(
            f"no operation comes from a node of the {kind} {request.name!r}",
            where=request.where,
            hint=suggestion(request.name, by_name) or "nodes that were folded away have no operation",
        )
    if not request.config.output_int32:
        return meant
    layers: list[Operation] = [op for op in meant if isinstance(op, LAYERS)]
    if not layers:
        raise UserError(
            f"{describe(meant[0])} has no accumulator to hand on",
            where=request.where,
            hint="output_int32 is for convolutions and dense layers",
        )
    return layers


def _check_agreement(op: Operation, earlier: Request | None, request: Request) -> None:
    """One operation may be named twice, by names of nodes fused into it, if both ask for the same."""
    if (
        earlier is None
        or earlier.name == request.name
        or earlier.config.over(request.config) == request.config.over(earlier.config)
    ):
        return
    raise UserError(
        f"{earlier.name!r} and {request.name!r} are one operation, {describe(op)}, asked to be {earlier.config} and "
        f"{request.config}",
        where=where(op.location) or request.where,
        hint="ask the same of both, or name one",
    )
