"""What all networks of the Python interface have in common: names, figures about the graph, and running it.

The names of the properties are those of Latent AI's Forge (`RelayModule`), whose graphs are functions here: `main`, and
after the phase `partition` one for each accelerator region.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from intaglio.data import Samples, load_samples
from intaglio.dialects import nn
from intaglio.dialects.weights import WeightsAttr, array_of
from intaglio.frontend.exporter import main_function
from intaglio.interpreter.interpreter import Interpreter
from intaglio.ir.locations import names_in
from intaglio.ir.printing import print_module
from intaglio.ir.verification import verify_module
from intaglio.runtime.package import TensorSpec
from intaglio.runtime.packaging import interface
from intaglio.runtime.session import checked_feeds

Array = np.ndarray[Any, np.dtype[Any]]


class Runnable:
    """A module with named inputs and outputs that the interpreter runs.

    Two are equal when their graphs are, whatever the weights; `fingerprint` covers the weights as well. Iterating
    yields the operations of the main graph in order.

    Attributes:
        module: the module in the IR.

    Args:
        module: the module; it belongs to this object from now on.
    """

    def __init__(self, module: ModuleOp) -> None:
        self._take(module)

    def _take(self, module: ModuleOp) -> None:
        self.module = module
        self._inputs, self._outputs = interface(main_function(module))
        self._interpreter = Interpreter(module)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Name, shape and dtype of each input."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Name, shape and dtype of each output."""
        return self._outputs

    def samples(self, path: str | Path) -> Samples:
        """The samples in a file that fits the inputs.

        Raises:
            UserError: the file cannot be read, or names, shapes or types do not fit.
        """
        shapes = {tensor.name: tensor.shape for tensor in self.inputs}
        return load_samples(path, shapes, {tensor.name: np.dtype(tensor.dtype) for tensor in self.inputs})

    def run(self, feeds: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """Run the model once in the interpreter.

        Args:
            feeds: one array for each input by name.

        Returns:
            One array for each output by name.

        Raises:
            UserError: names, shapes or types do not fit the inputs.
        """
        results = self._interpreter.run("main", checked_feeds(feeds, self.inputs))
        return {tensor.name: result for tensor, result in zip(self.outputs, results, strict=True)}

    def get_inference_function(self) -> Callable[..., Array | list[Array]]:
        """A function of the input arrays, in the order of `inputs`, that returns the output, or a list of several."""

        def infer(*arrays: ArrayLike) -> Array | list[Array]:
            feeds = dict(zip((tensor.name for tensor in self.inputs), arrays, strict=True))
            results = list(self.run(feeds).values())
            return results[0] if len(results) == 1 else results

        return infer

    # What there is in the graph.

    @property
    def mod(self) -> ModuleOp:
        """The module in the IR."""
        return self.module

    @property
    def typed_mod(self) -> ModuleOp:
        """The module, verified.

        Raises:
            UserError: an operation breaks a rule, after the module was changed by hand.
        """
        verify_module(self.module)
        return self.module

    @property
    def main(self) -> FuncOp:
        """The main graph."""
        return main_function(self.module)

    @property
    def graphs(self) -> dict[str, FuncOp]:
        """All graphs by name, `main` among them."""
        return {op.sym_name.data: op for op in self.module.ops if isinstance(op, FuncOp)}

    @property
    def graph_count(self) -> int:
        """How many graphs there are, `main` among them."""
        return len(self.graphs)

    @property
    def subgraph_count(self) -> int:
        """How many graphs there are besides `main`."""
        return self.graph_count - 1

    @property
    def operators(self) -> dict[str, int]:
        """How often each operation occurs in all graphs, the most frequent first; constants are not counted."""
        found = (op.name for graph in self.graphs.values() for op in _computing(graph))
        return dict(Counter(found).most_common())

    @property
    def params(self) -> dict[str, Array]:
        """The weights by their names in the model; those without one are called after the layer that uses them."""
        found: dict[str, Array] = {}
        for op in self.module.walk():
            if not isinstance(op, nn.ConstantOp):
                continue
            name = op.value.key if isinstance(op.value, WeightsAttr) and op.value.key else _user_of(op)
            unique, count = name, 1
            while unique in found:
                count += 1
                unique = f"{name}#{count}"
            found[unique] = array_of(op.value)
        return found

    @property
    def input_count(self) -> int:
        """How many inputs there are."""
        return len(self.inputs)

    @property
    def input_shapes(self) -> list[tuple[int, ...]]:
        """The shape of each input."""
        return [tensor.shape for tensor in self.inputs]

    @property
    def input_dtypes(self) -> list[str]:
        """The data type of each input."""
        return [tensor.dtype for tensor in self.inputs]

    @property
    def input_nodes(self) -> list[SSAValue]:
        """The inputs of the main graph as values of the IR."""
        return list(self.main.body.block.args)

    @property
    def output_count(self) -> int:
        """How many outputs there are."""
        return len(self.outputs)

    @property
    def output_shapes(self) -> list[tuple[int, ...]]:
        """The shape of each output."""
        return [tensor.shape for tensor in self.outputs]

    @property
    def output_dtypes(self) -> list[str]:
        """The data type of each output."""
        return [tensor.dtype for tensor in self.outputs]

    @property
    def output_node(self) -> Operation:
        """The operation that ends the main graph; its operands are the outputs."""
        terminator = self.main.body.block.last_op
        assert terminator is not None
        return terminator

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that stand for graph and weights; equal on every machine."""
        text = print_module(self.module, locations="none")
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def __iter__(self) -> Iterator[Operation]:
        return _computing(self.main)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Runnable) and self._structure() == other._structure()

    def __hash__(self) -> int:
        return hash(self._structure())

    def _structure(self) -> str:
        """The text of the module without the values of constants and without names."""
        copy = self.module.clone()
        copy.attributes.clear()
        for op in copy.walk():
            if isinstance(op, nn.ConstantOp):
                del op.properties["value"]
        return print_module(copy, locations="none", generic=True)


def _computing(graph: FuncOp) -> Iterator[Operation]:
    for block in graph.body.blocks:
        yield from (op for op in block.ops if op.results and not isinstance(op, nn.ConstantOp))


def _user_of(constant: nn.ConstantOp) -> str:
    names = names_in(constant.location)
    for use in constant.result.uses:
        names += [f"{name}.{use.index}" for name in names_in(use.operation.location)[-1:]]
    return names[0] if names else "constant"
