"""One region function as tasks: the layers in order, each in its blocks and tiles."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from xdsl.ir import BlockArgument, Operation, SSAValue

from intaglio.dialects import npu
from intaglio.ir.locations import names_in
from intaglio.lowering.tiling.blocks import ALIGNMENT, LayerPlan, Weights
from intaglio.lowering.tiling.cascades import Stripe
from intaglio.lowering.tiling.emitter import Emitter, View, compact_view, resident_view
from intaglio.lowering.tiling.fusion import MatrixSumLayer, fuse_sums
from intaglio.lowering.tiling.geometry import Block, divide_up
from intaglio.lowering.tiling.layers import (
    CopyLayer,
    DepthwiseLayer,
    Layer,
    MatrixLayer,
    MoveLayer,
    Source,
    TableLayer,
    Tensor,
)
from intaglio.lowering.tiling.matrix import Accumulators, LoadedSlice, MatrixTasks, largest_run, slice_run
from intaglio.lowering.tiling.moving import MovePlace, MoveTasks
from intaglio.lowering.tiling.network import Network, set_lifetimes
from intaglio.lowering.tiling.packing import OutputGroup, PackedWeights, as_bytes, depthwise_bytes, pack_matrix
from intaglio.lowering.tiling.products import MatmulLayer, MatmulTasks
from intaglio.lowering.tiling.residency import CascadePlan, Machine, Plan, plan_network
from intaglio.lowering.tiling.resizing import ResizeLayer, ResizeTasks
from intaglio.lowering.tiling.rows import RowLayer
from intaglio.lowering.tiling.vector import Constants, VectorTasks, copy_rows, vector_layer_cycles
from intaglio.targets.target import Target

_CHUNKS = 4
"""Most parts of the input channels between which other tasks can come."""


@dataclass
class PackedNetwork:
    """What does not depend on the plan: the network, and its weights as the machine reads them."""

    network: Network
    target: Target
    largest_slice: int
    images: dict[Layer, Layer] = field(default_factory=dict[Layer, Layer])
    """Each layer with the shapes of images."""
    packed: dict[Layer, PackedWeights] = field(default_factory=dict[Layer, PackedWeights])
    weights: dict[Layer, Weights] = field(default_factory=dict[Layer, Weights])


def pack_network(network: Network, target: Target, capacity: int) -> PackedNetwork:
    """Arrange the constants of all layers, in slices that are small against the `capacity` of the scratchpad."""
    network.layers = fuse_sums(network.layers, target, capacity)
    set_lifetimes(network)
    images = {layer.flattened(target.array_size): layer for layer in network.layers}
    network.layers = list(images)
    packed = PackedNetwork(network, target, capacity // 4, images)
    for layer in network.layers:
        if isinstance(layer, MatrixLayer):
            tiles = packed.packed[layer] = pack_matrix(
                layer, target.array_rows, target.array_size, packed.largest_slice
            )
            packed.weights[layer] = Weights(tiles.data.size, largest_run(tiles, packed.largest_slice))
        elif isinstance(layer, DepthwiseLayer) and layer.constant_bytes > packed.largest_slice:
            channel = layer.constant_bytes // layer.shape[3]
            few = channel * min(layer.shape[3], ALIGNMENT)
            packed.weights[layer] = Weights(layer.constant_bytes, min(few, packed.largest_slice), channel)
        elif layer.constant_bytes:
            packed.weights[layer] = Weights(layer.constant_bytes, layer.constant_bytes)
    return packed


def plan_of(packed: PackedNetwork, capacity: int) -> Plan:
    """How a network is computed with some bytes of the scratchpad."""
    target = packed.target
    machine = Machine(
        target.array_size,
        (target.fill_cycles_per_row + 1) * target.array_rows,
        target.accumulator_rows // 2,
        target.dram_bytes_per_cycle,
    )
    return plan_network(packed.network, packed.images, packed.weights, _work_cycles(packed), capacity, machine)


def _work_cycles(packed: PackedNetwork) -> dict[Layer, tuple[int, int]]:
    """Cycles of each layer on the matrix and on the vector unit, starts and fills left out."""
    cycles: dict[Layer, tuple[int, int]] = {}
    for layer in packed.network.layers:
        matrix = vector = 0
        if isinstance(layer, MatrixLayer):
            positions = math.prod(layer.shape[:3])
            matrix = positions * layer.weight.size * layer.element_bytes.steps // packed.target.macs_per_cycle
            vector = positions * divide_up(layer.shape[3], packed.target.array_size)
            if isinstance(layer, MatrixSumLayer):
                vector += vector_layer_cycles(layer.sum, packed.target)
        elif isinstance(layer, MoveLayer):
            vector = layer.output.size // packed.target.array_size
        elif isinstance(layer, ResizeLayer):
            vector = layer.vector_cycles(packed.target)
        elif isinstance(layer, MatmulLayer):
            positions = math.prod(layer.shape[:3])
            matrix = positions * layer.sources[0].shape[3] * layer.shape[3] // packed.target.macs_per_cycle
            vector = positions * divide_up(layer.shape[3], packed.target.array_size)
        elif not isinstance(layer, CopyLayer):
            vector = vector_layer_cycles(layer, packed.target)
        cycles[layer] = matrix, vector
    return cycles


def schedule(
    packed: PackedNetwork, plan: Plan, inputs: Sequence[BlockArgument], outputs: Sequence[BlockArgument]
) -> list[Operation]:
    """The operations of a program.

    Args:
        packed: the network.
        plan: how it is computed.
        inputs: the program's DRAM buffers of the region's inputs.
        outputs: those of its outputs.
    """
    scheduler = _Scheduler(packed, plan, inputs, outputs)
    cascades = {cascade.first: cascade for cascade in plan.cascades}
    index = 0
    while index < len(plan.layers):
        if index in cascades:
            scheduler.emit_cascade(cascades[index])
            index = cascades[index].last + 1
        else:
            scheduler.emit(packed.network.layers[index], plan.layers[index])
            index += 1
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
        self.packed = packed
        self.plan = plan
        self._outputs = outputs
        self.accumulators = Accumulators(packed.target.accumulator_rows)
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
        elif isinstance(layer, MoveLayer):
            self._move(layer, plan)
        elif isinstance(layer, MatrixLayer):
            self._matrix(layer, plan)
        elif isinstance(layer, MatmulLayer | ResizeLayer):
            self._streamed(layer, plan)
        else:
            self._vector(layer, plan)
        self.store_result(layer.output)

    def store_result(self, output: Tensor) -> None:
        """Store a tensor that stays and is a result of the region."""
        if output in self.plan.resident and output.outputs:
            whole = npu.Transfer(0, 0, output.size)
            self.emitter.store(self.buffer(output), self.home(output), whole)

    def emit_cascade(self, cascade: CascadePlan) -> None:
        """Emit all tasks of a cascade, stripe by stripe."""
        CascadeEmitter(self, cascade).emit()

    def home(self, tensor: Tensor) -> SSAValue:
        """Where a tensor is, or will be, in DRAM."""
        if tensor not in self._homes:
            if tensor.value is not None:
                self._homes[tensor] = self.emitter.constant(_name(tensor.origin), tensor.value)
            elif tensor.outputs and tensor.is_result:
                self._homes[tensor] = self._outputs[tensor.outputs[0]]
            else:
                self._homes[tensor] = self.emitter.allocate(tensor.size, npu.Space.ARENA)
        return self._homes[tensor]

    def buffer(self, tensor: Tensor) -> SSAValue:
        """The buffer of a tensor that stays; an input is loaded when it is first needed."""
        if tensor in self.plan.aliases:
            return self.buffer(self.plan.aliases[tensor])
        if tensor not in self._buffers:
            self._buffers[tensor] = self.emitter.allocate(tensor.size)
            if not tensor.is_result:
                self.emitter.load_whole(self.home(tensor), self._buffers[tensor], tensor.size)
        return self._buffers[tensor]

    def _source(self, layer: Layer, source: Source, block: Block) -> View:
        """What a block needs of a source, in the scratchpad."""
        region = layer.region(source, block)
        if source.tensor in self.plan.resident:
            return resident_view(self.buffer(source.tensor), source.shape, region, source.tensor.element_bytes)
        key = (source.tensor, region)
        if key not in self._loaded:
            # Of each tensor the last region is kept: operands that are broadcast need it for all blocks.
            for other in [other for other in self._loaded if other[0] is source.tensor]:
                del self._loaded[other]
            home, width = self.home(source.tensor), source.tensor.element_bytes
            self._loaded[key] = self.emitter.load_region(home, source.shape, region, width)
        return self._loaded[key]

    def _output(self, layer: Layer, block: Block) -> View:
        """Where the results of a block go."""
        width = layer.output.element_bytes
        if layer.output in self.plan.resident:
            return resident_view(self.buffer(layer.output), layer.shape, block, width)
        return compact_view(self.emitter.allocate(block.elements * width), block, width)

    def _finish(self, layer: Layer, view: View) -> None:
        """Store the results of a block, if they do not stay."""
        if layer.output not in self.plan.resident:
            self.emitter.store_region(view, self.home(layer.output), layer.shape, row_phases(layer))

    def _views(self, layer: Layer, plan: LayerPlan) -> Iterator[tuple[Block, list[View], View]]:
        """Each block with its sources and its output; the output is stored when the next one is asked for."""
        for block in plan.size.blocks(layer.shape):
            sources = [self._source(layer, source, block) for source in layer.sources]
            output = self._output(layer, block)
            yield block, sources, output
            self._finish(layer, output)

    def _copy(self, layer: CopyLayer, plan: LayerPlan) -> None:
        (source,) = layer.sources
        target = self.home(layer.output)
        if source.tensor in self.plan.resident:
            whole = npu.Transfer(0, 0, source.tensor.size)
            self.emitter.store(self.buffer(source.tensor), target, whole)
            return
        for block in plan.size.blocks(layer.shape):
            self.emitter.store_region(self._source(layer, source, block), target, layer.shape)

    def _move(self, layer: MoveLayer, plan: LayerPlan) -> None:
        def place(tensor: Tensor) -> MovePlace:
            if tensor in self.plan.resident:
                return MovePlace(self.buffer(tensor), on_chip=True)
            return MovePlace(self.home(tensor), on_chip=False)

        sources = [place(source.tensor) for source in layer.sources]
        output = place(layer.output)
        tasks = MoveTasks(self.emitter, self.packed.target)
        if output.on_chip and all(source.on_chip for source in sources):
            limit = layer.output.size
        else:
            elements = plan.size.rows * plan.size.columns * plan.size.channels
            limit = elements * layer.output.element_bytes
        tasks.move(layer, sources, output, limit)

    def _vector(self, layer: Layer, plan: LayerPlan) -> None:
        tasks = VectorTasks(self.emitter, layer, self.packed.target)
        constant = self.constant(layer)
        held: Constants | None = None
        for block, sources, output in self._views(layer, plan):
            if constant is not None and (held is None or not plan.holds_constants):
                held = tasks.load_constants(constant, block, whole=plan.holds_constants)
            tasks.compute(sources, output, block, held)

    def constant(self, layer: Layer) -> SSAValue | None:
        name = ", ".join(names_in(layer.location))
        if isinstance(layer, DepthwiseLayer):
            return self.emitter.constant(name, depthwise_bytes(layer.weight, layer.parameters))
        if isinstance(layer, TableLayer):
            return self.emitter.constant(name, as_bytes(layer.table))
        if isinstance(layer, MatrixLayer):
            return self.emitter.constant(name, self.packed.packed[layer].data)
        if isinstance(layer, RowLayer | ResizeLayer):
            return self.emitter.constant(name, layer.data)
        if isinstance(layer, MatmulLayer):
            return self.emitter.constant(name, layer.parameters())
        return None

    def _streamed(self, layer: MatmulLayer | ResizeLayer, plan: LayerPlan) -> None:
        """Emit a layer whose constant is small and needed by all blocks."""
        if isinstance(layer, MatmulLayer):
            tasks = MatmulTasks(self.emitter, layer, self.packed.target, self.accumulators)
        else:
            tasks = ResizeTasks(self.emitter, layer, self.packed.target)
        constant = self.constant(layer)
        assert constant is not None
        loaded = self.emitter.load_run(constant, 0, layer.constant_bytes)
        for block, sources, output in self._views(layer, plan):
            tasks.compute(sources, output, block, loaded)

    def _matrix(self, layer: MatrixLayer, plan: LayerPlan) -> None:
        tasks = MatrixTasks(self.emitter, layer, self.packed.target, self.accumulators)
        packed = self.packed.packed[layer]
        constant = self.constant(layer)
        assert constant is not None
        slices = packed.slices(self.packed.largest_slice)
        groups = len(packed.groups)
        if plan.holds_constants:
            loaded = [self.load_slice(constant, members) for members in slices]
            chunks = self.chunks(layer)
            for block, sources, output in self._views(layer, plan):
                for tile in tasks.tiles(block, groups):
                    tasks.compute(sources, output, tile, loaded, chunks)
                tasks.finish()
            return
        stays = {layer.output, *(source.tensor for source in layer.sources)} <= self.plan.resident
        if stays:
            # Nothing is streamed but weights, so each slice is loaded once for all blocks.
            views = list(self._views(layer, plan))
            for members in slices:
                self._compute_slice(tasks, constant, members, views, groups)
            tasks.finish()
            return
        for view in self._views(layer, plan):
            block = view[0]
            for members in packed.slices(self.packed.largest_slice, block.c0, block.c1):
                self._compute_slice(tasks, constant, members, [view], groups)
            tasks.finish()

    def chunks(self, layer: MatrixLayer) -> int:
        """Into how many parts to cut the input channels of a layer, so that it can start before all have come.

        Each costs the array's fill once more for each output group. That pays while the vector unit takes longer to
        make the channels than the array to use them.
        """
        producer = self._producers.get(layer.sources[0].tensor)
        groups = self.packed.packed[layer].groups
        if producer is None or not layer.window.is_pointwise or layer.groups != 1 or len(groups[0].pieces) != 1:
            return 1
        if isinstance(producer, MatrixLayer) or not producer.works_by_rows or not producer.splits_channels:
            return 1
        target = self.packed.target
        positions = math.prod(layer.shape[:3])
        taps = groups[0].pieces[0].columns
        fill = target.array_rows * (target.fill_cycles_per_row + 1)
        making = vector_layer_cycles(producer, target)
        using = len(groups) * taps * max(positions * layer.element_bytes.steps, target.array_rows)
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
        if end - start > self.packed.largest_slice:
            for block, sources, output in views:
                tiles = tasks.tiles(block, groups)
                tasks.compute_by_pieces(sources, output, tiles, members[0], constant)
            return
        weights = self.load_slice(constant, members)
        for block, sources, output in views:
            for tile in tasks.tiles(block, groups):
                tasks.compute(sources, output, tile, [weights])

    def load_slice(self, constant: SSAValue, members: Sequence[OutputGroup]) -> LoadedSlice:
        start, end = slice_run(members)
        return LoadedSlice(self.emitter.load_run(constant, start, end), start, members)


class CascadeEmitter:
    """Emits the tasks of one cascade.

    Args:
        scheduler: of the program.
        cascade: the cascade.
    """

    def __init__(self, scheduler: _Scheduler, cascade: CascadePlan) -> None:
        self._scheduler = scheduler
        self._emitter = scheduler.emitter
        self._cascade = cascade
        self._flat = scheduler.packed.network.layers[cascade.first : cascade.last + 1]
        self._shapes = {layer.output: layer.shape for layer in cascade.layers}
        self._stripes: dict[Tensor, View] = {}
        self._loaded: dict[Tensor, View] = {}
        self._slices: dict[Layer, list[LoadedSlice]] = {}
        self._constants: dict[Layer, Constants | None] = {}

    def emit(self) -> None:
        """Emit the stripes of all images."""
        for image in range(self._cascade.layers[-1].shape[0]):
            self._stripes.clear()
            for stripe in self._cascade.stripes:
                self._loaded.clear()
                for number, layer in enumerate(self._cascade.layers):
                    start, end = stripe.rows[number]
                    if start < end:
                        self._emitter.location = layer.location
                        block = Block(image, start, end, 0, layer.shape[2], 0, layer.shape[3])
                        self._compute(layer, self._flat[number], stripe, block)
        for layer in self._cascade.layers:
            self._emitter.location = layer.location
            self._scheduler.store_result(layer.output)

    def _compute(self, layer: Layer, flat: Layer, stripe: Stripe, block: Block) -> None:
        scheduler = self._scheduler
        output = self._output(layer, stripe, block)
        sources = [self._source(layer, source, stripe, block) for source in layer.sources]
        target = scheduler.packed.target
        if isinstance(layer, MatrixLayer) and isinstance(flat, MatrixLayer):
            tasks = MatrixTasks(self._emitter, layer, target, scheduler.accumulators)
            chunks = scheduler.chunks(flat)
            for tile in tasks.tiles(block, len(scheduler.packed.packed[flat].groups)):
                tasks.compute(sources, output, tile, self._weights(flat), chunks)
            tasks.finish()
        else:
            vector = VectorTasks(self._emitter, layer, target)
            vector.compute(sources, output, block, self._held(flat, vector, block))
        if layer.output not in self._cascade.internal and layer.output not in scheduler.plan.resident:
            self._emitter.store_region(output, scheduler.home(layer.output), layer.shape, row_phases(layer))

    def _weights(self, flat: MatrixLayer) -> list[LoadedSlice]:
        """The weights of a layer, loaded before its first stripe."""
        if flat not in self._slices:
            scheduler = self._scheduler
            constant = scheduler.constant(flat)
            assert constant is not None
            slices = scheduler.packed.packed[flat].slices(scheduler.packed.largest_slice)
            self._slices[flat] = [scheduler.load_slice(constant, members) for members in slices]
        return self._slices[flat]

    def _held(self, flat: Layer, tasks: VectorTasks, block: Block) -> Constants | None:
        if flat not in self._constants:
            constant = self._scheduler.constant(flat)
            self._constants[flat] = None if constant is None else tasks.load_constants(constant, block, whole=True)
        return self._constants[flat]

    def _output(self, layer: Layer, stripe: Stripe, block: Block) -> View:
        """Where the new rows of a layer go: for tensors of the cascade, after those that are needed again."""
        tensor = layer.output
        width = tensor.element_bytes
        if tensor in self._cascade.internal:
            first, end = stripe.needs.get(tensor, (block.y0, block.y1))
            region = replace(block, y0=first, y1=max(end, block.y1))
            view = compact_view(self._emitter.allocate(region.elements * width), region, width)
            if first < block.y0:
                copy_rows(self._emitter, self._stripes[tensor], view, replace(block, y0=first, y1=block.y0))
            self._stripes[tensor] = view
            return view
        if tensor in self._scheduler.plan.resident:
            return resident_view(self._scheduler.buffer(tensor), layer.shape, block, width)
        return compact_view(self._emitter.allocate(block.elements * width), block, width)

    def _source(self, layer: Layer, source: Source, stripe: Stripe, block: Block) -> View:
        """What some rows need of a source."""
        tensor = source.tensor
        if tensor in self._cascade.internal:
            return self._stripes[tensor]
        region = layer.region(source, block)
        if tensor in self._scheduler.plan.resident:
            return resident_view(self._scheduler.buffer(tensor), source.shape, region, tensor.element_bytes)
        if tensor not in self._loaded or not _covers(self._loaded[tensor].region, region):
            first, end = stripe.needs[tensor]
            whole = Block(region.n, first, end, 0, source.shape[2], 0, source.shape[3])
            home = self._scheduler.home(tensor)
            self._loaded[tensor] = self._emitter.load_region(home, source.shape, whole, tensor.element_bytes)
        return self._loaded[tensor]


def row_phases(layer: Layer) -> int:
    """Rows of the tensor that each row of a layer's shape is."""
    return layer.phases[0] if isinstance(layer, MatrixLayer) else 1


def _covers(outer: Block, inner: Block) -> bool:
    """Whether a region holds another of the same image."""
    return (
        outer.n == inner.n
        and outer.y0 <= inner.y0
        and inner.y1 <= outer.y1
        and outer.x0 <= inner.x0
        and inner.x1 <= outer.x1
        and outer.c0 <= inner.c0
        and inner.c1 <= outer.c1
    )


def _name(value: SSAValue | None) -> str:
    """The name of a constant in the model."""
    owner = value.owner if value is not None else None
    return ", ".join(names_in(owner.location)) if isinstance(owner, Operation) else ""
