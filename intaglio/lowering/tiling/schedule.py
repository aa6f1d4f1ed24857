"""One region function as tasks: the layers in order, each in its blocks and tiles."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from xdsl.ir import BlockArgument, Operation, SSAValue

from intaglio.dialects import npu
from intaglio.ir.locations import names_in
from intaglio.lowering.tiling.emitter import Emitter, View, compact_view, resident_view
from intaglio.lowering.tiling.geometry import Block
from intaglio.lowering.tiling.layers import CopyLayer, DepthwiseLayer, Layer, MatrixLayer, Source, TableLayer, Tensor
from intaglio.lowering.tiling.matrix import Accumulators, LoadedSlice, MatrixTasks, largest_run, slice_run
from intaglio.lowering.tiling.network import Network
from intaglio.lowering.tiling.packing import OutputGroup, PackedWeights, depthwise_bytes, pack_matrix
from intaglio.lowering.tiling.residency import LayerPlan, Plan, Weights, plan_network
from intaglio.lowering.tiling.vector import Constants, VectorTasks, vector_layer_cycles
from intaglio.targets.target import Target

_CHUNKS = 4
"""Most parts of the input channels between which other tasks can come."""


@dataclass
class PackedNetwork:
    """What does not depend on the plan: the network, and its weights as the machine reads them."""

    network: Network
    target: Target
    largest_slice: int
    packed: dict[Layer, PackedWeights] = field(default_factory=dict[Layer, PackedWeights])
    weights: dict[Layer, Weights] = field(default_factory=dict[Layer, Weights])


def pack_network(network: Network, target: Target, capacity: int) -> PackedNetwork:
    """Arrange the constants of all layers, in slices that are small against the `capacity` of the scratchpad."""
    network.layers = [layer.flattened(target.array_size) for layer in network.layers]
    packed = PackedNetwork(network, target, capacity // 4)
    for layer in network.layers:
        if isinstance(layer, MatrixLayer):
            tiles = packed.packed[layer] = pack_matrix(layer, target.array_size, packed.largest_slice)
            packed.weights[layer] = Weights(tiles.data.size, largest_run(tiles, packed.largest_slice))
        elif layer.constant_bytes:
            packed.weights[layer] = Weights(layer.constant_bytes, layer.constant_bytes)
    return packed


def schedule(
    packed: PackedNetwork, capacity: int, inputs: Sequence[BlockArgument], outputs: Sequence[BlockArgument]
) -> list[Operation]:
    """The operations of a program.

    Args:
        packed: the network.
        capacity: bytes of the scratchpad to plan with.
        inputs: the program's DRAM buffers of the region's inputs.
        outputs: those of its outputs.
    """
    plan = plan_network(packed.network, packed.weights, capacity)
    scheduler = _Scheduler(packed, plan, inputs, outputs)
    for layer, layer_plan in zip(packed.network.layers, plan.layers, strict=True):
        scheduler.emit(layer, layer_plan)
    return scheduler.emitter.operations


class _Scheduler:
    def __init__(
        self,
        packed: PackedNetwork,
        plan: Plan,
        inputs: Sequence[BlockArgument],
        outputs: Sequence[BlockArgument],
    ) -> None:
        self.emitter = Emitter()
        self._packed = packed
        self._plan = plan
        self._outputs = outputs
        self._accumulators = Accumulators(packed.target.accumulator_rows)
        self._homes: dict[Tensor, SSAValue] = dict(zip(packed.network.inputs, inputs, strict=True))
        self._buffers: dict[Tensor, SSAValue] = {}
        self._loaded: dict[tuple[Tensor, Block], View] = {}
        self._producers = {layer.output: layer for layer in packed.network.layers}

    def emit(self, layer: Layer, plan: LayerPlan) -> None:
        """Emit all tasks of a layer."""
        self.emitter.location = layer.location
        self._loaded.clear()
        if isinstance(layer, CopyLayer):
            self._copy(layer, plan)
        elif isinstance(layer, MatrixLayer):
            self._matrix(layer, plan)
        else:
            self._vector(layer, plan)
        output = layer.output
        if output in self._plan.resident and output.outputs:
            whole = npu.Transfer(0, 0, output.size)
            self.emitter.store(self._buffers[output], self._home(output), whole)

    def _home(self, tensor: Tensor) -> SSAValue:
        """Where a tensor is, or will be, in DRAM."""
        if tensor not in self._homes:
            if tensor.value is not None:
                self._homes[tensor] = self.emitter.constant(_name(tensor.origin), tensor.value)
            elif tensor.outputs and tensor.is_result:
                self._homes[tensor] = self._outputs[tensor.outputs[0]]
            else:
                self._homes[tensor] = self.emitter.allocate(tensor.size, npu.Space.ARENA)
        return self._homes[tensor]

    def _buffer(self, tensor: Tensor) -> SSAValue:
        """The buffer of a tensor that stays; an input is loaded when it is first needed."""
        if tensor not in self._buffers:
            self._buffers[tensor] = self.emitter.allocate(tensor.size)
            if not tensor.is_result:
                self.emitter.load_whole(self._home(tensor), self._buffers[tensor], tensor.size)
        return self._buffers[tensor]

    def _source(self, layer: Layer, source: Source, block: Block) -> View:
        """What a block needs of a source, in the scratchpad."""
        region = layer.region(source, block)
        if source.tensor in self._plan.resident:
            return resident_view(self._buffer(source.tensor), source.shape, region)
        key = (source.tensor, region)
        if key not in self._loaded:
            # Of each tensor the last region is kept: operands that are broadcast need it for all blocks.
            for other in [other for other in self._loaded if other[0] is source.tensor]:
                del self._loaded[other]
            self._loaded[key] = self.emitter.load_region(self._home(source.tensor), source.shape, region)
        return self._loaded[key]

    def _output(self, layer: Layer, block: Block) -> View:
        """Where the results of a block go."""
        if layer.output in self._plan.resident:
            return resident_view(self._buffer(layer.output), layer.shape, block)
        return compact_view(self.emitter.allocate(block.bytes), block)

    def _finish(self, layer: Layer, view: View) -> None:
        """Store the results of a block, if they do not stay."""
        if layer.output not in self._plan.resident:
            self.emitter.store_region(view, self._home(layer.output), layer.shape)

    def _views(self, layer: Layer, plan: LayerPlan) -> Iterator[tuple[Block, list[View], View]]:
        """Each block with its sources and its output; the output is stored when the next one is asked for."""
        for block in plan.size.blocks(layer.shape):
            sources = [self._source(layer, source, block) for source in layer.sources]
            output = self._output(layer, block)
            yield block, sources, output
            self._finish(layer, output)

    def _copy(self, layer: CopyLayer, plan: LayerPlan) -> None:
        (source,) = layer.sources
        target = self._home(layer.output)
        if source.tensor in self._plan.resident:
            whole = npu.Transfer(0, 0, source.tensor.size)
            self.emitter.store(self._buffer(source.tensor), target, whole)
            return
        for block in plan.size.blocks(layer.shape):
            self.emitter.store_region(self._source(layer, source, block), target, layer.shape)

    def _vector(self, layer: Layer, plan: LayerPlan) -> None:
        tasks = VectorTasks(self.emitter, layer, self._packed.target)
        constant = self._constant(layer)
        held: Constants | None = None
        for block, sources, output in self._views(layer, plan):
            if constant is not None and (held is None or not plan.holds_constants):
                held = tasks.load_constants(constant, block, whole=plan.holds_constants)
            tasks.compute(sources, output, block, held)

    def _constant(self, layer: Layer) -> SSAValue | None:
        name = ", ".join(names_in(layer.location))
        if isinstance(layer, DepthwiseLayer):
            return self.emitter.constant(name, depthwise_bytes(layer.weight, layer.parameters))
        if isinstance(layer, TableLayer):
            return self.emitter.constant(name, layer.table)
        if isinstance(layer, MatrixLayer):
            return self.emitter.constant(name, self._packed.packed[layer].data)
        return None

    def _matrix(self, layer: MatrixLayer, plan: LayerPlan) -> None:
        tasks = MatrixTasks(self.emitter, layer, self._packed.target, self._accumulators)
        packed = self._packed.packed[layer]
        constant = self._constant(layer)
        assert constant is not None
        slices = packed.slices(self._packed.largest_slice)
        groups = len(packed.groups)
        if plan.holds_constants:
            loaded = [self._load_slice(constant, members) for members in slices]
            chunks = self._chunks(layer)
            for block, (source,), output in self._views(layer, plan):
                for tile in tasks.tiles(block, groups):
                    tasks.compute(source, output, tile, loaded, chunks)
            return
        stays = layer.output in self._plan.resident and layer.sources[0].tensor in self._plan.resident
        if stays:
            # Nothing is streamed but weights, so each slice is loaded once for all blocks.
            views = list(self._views(layer, plan))
            for members in slices:
                self._compute_slice(tasks, constant, members, views, groups)
            return
        for view in self._views(layer, plan):
            for members in slices:
                self._compute_slice(tasks, constant, members, [view], groups)

    def _chunks(self, layer: MatrixLayer) -> int:
        """Into how many parts to cut the input channels of a layer, so that it can start before all have come.

        Each costs the array's fill once more for each output group. That pays while the vector unit takes longer to
        make the channels than the array to use them.
        """
        producer = self._producers.get(layer.sources[0].tensor)
        groups = self._packed.packed[layer].groups
        if producer is None or not layer.window.is_pointwise or layer.groups != 1 or len(groups[0].pieces) != 1:
            return 1
        if isinstance(producer, MatrixLayer) or not producer.splits_channels:
            return 1
        target = self._packed.target
        positions = math.prod(layer.shape[:3])
        taps = groups[0].pieces[0].columns
        fill = target.array_size * (target.fill_cycles_per_row + 1)
        making = vector_layer_cycles(producer, target)
        using = len(groups) * taps * max(positions, target.array_size)
        return max(1, min(taps, _CHUNKS, int((making - using) // (len(groups) * fill)) + 1))

    def _compute_slice(
        self,
        tasks: MatrixTasks,
        constant: SSAValue,
        members: Sequence[OutputGroup],
        views: Sequence[tuple[Block, list[View], View]],
        groups: int,
    ) -> None:
        """Compute the output channels of a slice, loading its weights, in pieces if they are too large."""
        start, end = slice_run(members)
        if end - start > self._packed.largest_slice:
            for block, (source,), output in views:
                tiles = tasks.tiles(block, groups)
                tasks.compute_by_pieces(source, output, tiles, members[0], constant)
            return
        weights = self._load_slice(constant, members)
        for block, (source,), output in views:
            for tile in tasks.tiles(block, groups):
                tasks.compute(source, output, tile, [weights])

    def _load_slice(self, constant: SSAValue, members: Sequence[OutputGroup]) -> LoadedSlice:
        start, end = slice_run(members)
        return LoadedSlice(self.emitter.load_run(constant, start, end), start, members)


def _name(value: SSAValue | None) -> str:
    """The name of a constant in the model."""
    owner = value.owner if value is not None else None
    return ", ".join(names_in(owner.location)) if isinstance(owner, Operation) else ""
