"""What a plan decides and why, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from intaglio.ir.locations import names_in
from intaglio.lowering.tiling.emitter import Emitter
from intaglio.lowering.tiling.fusion import MatrixSumLayer
from intaglio.lowering.tiling.geometry import Block
from intaglio.lowering.tiling.layers import Layer, MatrixLayer, Tensor
from intaglio.lowering.tiling.matrix import Accumulators, MatrixTasks
from intaglio.lowering.tiling.residency import CascadePlan, Plan
from intaglio.lowering.tiling.schedule import PackedNetwork
from intaglio.lowering.tiling.vector import KINDS, VectorTasks


def describe_plan(packed: PackedNetwork, plan: Plan) -> list[str]:
    """A line for each cascade, then one for each layer: its tiles, its weights, where its result is and why."""
    names = {layer.output: _name(layer) for layer in packed.network.layers}
    lines = [_cascade(cascade) for cascade in plan.cascades]
    blocks = dict(_first_blocks(packed, plan))
    inside = {tensor for cascade in plan.cascades for tensor in cascade.internal}
    together = {layer.output for cascade in plan.cascades for layer in cascade.layers}
    for layer, layer_plan in zip(packed.network.layers, plan.layers, strict=True):
        parts = [_tiles(packed, *blocks[layer])] if layer in blocks else []
        if layer in packed.weights:
            held = layer_plan.holds_constants or layer.output in together
            parts.append("weights held" if held else "weights loaded slice by slice")
        if isinstance(layer, MatrixSumLayer):
            parts.append(f"added to {names.get(layer.sources[1].tensor, 'an input')} tile by tile")
        if layer.output in inside:
            parts.append("result within the cascade")
        else:
            size = layer_plan.size
            block = f"{size.rows} x {size.columns} x {size.channels}"
            parts.append(_place(plan, layer, names, None if layer.output in together else block))
        lines.append(f"{names[layer.output]}: {', '.join(parts)}")
    return lines


def _name(layer: Layer) -> str:
    return ", ".join(names_in(layer.location))


def _cascade(cascade: CascadePlan) -> str:
    end, size = cascade.layers[-1], sum(tensor.size for tensor in cascade.internal)
    return (
        f"cascade of {', '.join(_name(layer) for layer in cascade.layers)}: {len(cascade.stripes)} stripes of "
        f"{cascade.stripes[0].rows[-1][1]} of {end.shape[1]} rows, as {size} bytes between them have no room"
    )


def _first_blocks(packed: PackedNetwork, plan: Plan) -> Iterator[tuple[Layer, tuple[Layer, Layer, Block]]]:
    """For each layer in tiles: itself, as it is cut, and its first block or the rows of its first stripe."""
    layers = packed.network.layers
    for layer, layer_plan in zip(layers, plan.layers, strict=True):
        if isinstance(layer, MatrixLayer) or type(layer) in KINDS:
            yield layer, (layer, layer, next(layer_plan.size.blocks(layer.shape)))
    for cascade in plan.cascades:
        for number, image in enumerate(cascade.layers):
            flat = layers[cascade.first + number]
            # A layer whose results nobody reads has no rows in any stripe.
            for start, end in [stripe.rows[number] for stripe in cascade.stripes if stripe.rows[number][1]][:1]:
                yield flat, (flat, image, Block(0, start, end, 0, image.shape[2], 0, image.shape[3]))


def _tiles(packed: PackedNetwork, flat: Layer, layer: Layer, block: Block) -> str:
    """The tiles of a block, of which the first is the largest."""
    if isinstance(layer, MatrixLayer):
        tasks = MatrixTasks(Emitter(), layer, packed.target, Accumulators(packed.target.accumulator_rows))
        tiles = tasks.tiles(block, len(packed.packed[flat].groups))
        channels = min(packed.target.array_size, block.channels)
    else:
        tiles = VectorTasks(Emitter(), layer, packed.target).tiles(block)
        channels = tiles[0].channels
    return f"tiles of {tiles[0].rows} x {tiles[0].columns} x {channels} ({len(tiles)} a block)"


def _place(plan: Plan, layer: Layer, names: Mapping[Tensor, str], block: str | None) -> str:
    """Where a layer's result is, and why."""
    tensor = layer.output
    if tensor in plan.aliases:
        return f"result takes the place of {names.get(plan.aliases[tensor], 'an input')}, which nobody needs any more"
    if tensor in plan.resident:
        return "result stays in the scratchpad"
    reason = "" if tensor.outputs and not tensor.uses else ", as it has no room or costs less there"
    blocks = "" if block is None else f" in blocks of {block}"
    return f"{tensor.size} bytes go to DRAM{blocks}{reason}"
