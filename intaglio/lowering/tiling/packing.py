"""Constants in the order in which the machine reads them.

The matrix unit reads, at each tap, `inner` elements of the feature map and a tile of `inner x outer` weights. Elements
that are contiguous in the map are one sequence, whether they belong to one column of the kernel or to several: with
dilation 1 a whole kernel row (`KW * C` elements) is cut into as few tiles of at most `D` rows as it needs, so that a
convolution of few channels fills the array. Columns apart (dilation, groups) are taps of their own, and the channels
are cut. Tiles are filled up with zero weights, which make whatever the array reads there harmless.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from intaglio.lowering.tiling.geometry import divide_up
from intaglio.lowering.tiling.layers import Array, MatrixLayer, Parameters
from intaglio.numerics.bfloat16 import BFLOAT16

LOAD_BYTES = 4096
"""Weights are loaded in runs of about this size: enough to hide the latency of DRAM."""


@dataclass(frozen=True)
class Piece:
    """The taps of one multiplication."""

    offset: int
    """First byte of its tiles, relative to the group's weights."""

    row: int
    """First kernel row."""

    rows: int
    columns: int

    first_byte: int
    """Byte, from the first tap's first channel of the kernel row, where the first column of the piece reads."""

    step: int
    """Bytes from one column to the next."""

    inner: int
    """Elements read at each tap."""

    weight_bytes: int = 1
    """Bytes of a weight."""

    packed: bool = False
    """Whether weights have 4 bits, two in a byte."""

    def row_bytes(self, outer: int) -> int:
        """Bytes of a row of a tile."""
        return divide_up(outer, 2) if self.packed else outer * self.weight_bytes

    def size(self, outer: int) -> int:
        """Bytes of its tiles."""
        return self.rows * self.columns * self.inner * self.row_bytes(outer)

    def columns_of(self, part: int, parts: int, outer: int) -> Piece:
        """A part of a piece of one row, cut into `parts` of as many columns as the rounding allows."""
        first, end = (self.columns * number // parts for number in (part, part + 1))
        start = self.offset + first * self.inner * self.row_bytes(outer)
        return replace(self, offset=start, columns=end - first, first_byte=self.first_byte + first * self.step)


@dataclass(frozen=True)
class OutputGroup:
    """Output channels that one pass through the array computes."""

    first: int
    """First output channel."""

    channels: int
    parameters: int
    """Byte of the layer's constant where their parameters are."""

    weights: int
    """Byte of the layer's constant where their tiles start."""

    end: int
    """Byte after the last tile."""

    pieces: tuple[Piece, ...]


@dataclass(frozen=True, eq=False)
class PackedWeights:
    """Parameters and tiles of a layer, group after group."""

    data: Array
    """int8."""

    groups: tuple[OutputGroup, ...]

    def slices(self, largest: int, first: int = 0, end: int | None = None) -> list[tuple[OutputGroup, ...]]:
        """Consecutive groups that are loaded together: about `LOAD_BYTES`, never more than `largest` if possible.

        Args:
            largest: bytes.
            first: the first output channel.
            end: one past the last; by default of all.
        """
        slices: list[list[OutputGroup]] = []
        for group in (group for group in self.groups if first <= group.first and (end is None or group.first < end)):
            start = slices[-1][0].parameters if slices else 0
            if slices and slices[-1][-1].end - start < LOAD_BYTES and group.end - start <= largest:
                slices[-1].append(group)
            else:
                slices.append([group])
        return [tuple(members) for members in slices]


def parameter_bytes(parameters: Parameters, first: int, end: int) -> Array:
    """The records of some channels: bias, multiplier, shift as little-endian integers, or a float32 bias alone."""
    if parameters.is_float:
        return parameters.bias[first:end].astype("<f4").view(np.int8)
    kind = [("bias", "<i8" if parameters.is_wide else "<i4"), ("multiplier", "<i4"), ("shift", "<i4")]
    records = np.empty(end - first, kind)
    for name, _ in kind:
        records[name] = getattr(parameters, name)[first:end]
    return records.view(np.int8)


def as_nibbles(weights: Array) -> Array:
    """The bytes of weights of 4 bits: along the last dimension two in a byte, the first one in the lower bits."""
    odd = weights.shape[-1] % 2
    padded = np.pad(weights, [(0, 0)] * (weights.ndim - 1) + [(0, odd)])
    return (padded[..., ::2] & 15 | padded[..., 1::2] << 4).astype(np.int8).reshape(-1)


def as_bytes(weights: Array) -> Array:
    """The bytes of int8, int16 or bfloat16 weights."""
    if weights.dtype == BFLOAT16:
        weights = weights.view(np.int16)
    return np.ascontiguousarray(weights, f"<i{weights.itemsize}").reshape(-1).view(np.int8)


def pack_matrix(layer: MatrixLayer, array_rows: int, array_size: int, largest: int) -> PackedWeights:
    """Arrange the weights of a layer on the matrix unit.

    Args:
        layer: the layer.
        array_rows: rows of the array.
        array_size: its columns.
        largest: bytes that one group may have; the taps of a larger one are cut into pieces of half of that.
    """
    weight, groups = bundle_groups(layer.weight, layer.groups, array_rows, array_size)
    outputs, kernel_rows, kernel_columns, channels = weight.shape
    per_group = outputs // groups
    element_bytes = layer.sources[0].tensor.element_bytes
    contiguous = groups == 1 and (layer.window.x.dilation == 1 or kernel_columns == 1)
    chunks: list[Array] = []
    packed: list[OutputGroup] = []
    position = 0
    for group in range(groups):
        for start, stop in _output_ranges(per_group, per_group // layer.phases[0], array_size):
            first, end = group * per_group + start, group * per_group + stop
            outer = end - first
            kernel = np.moveaxis(weight[first:end], 0, -1)
            if contiguous:
                rows = kernel.reshape(kernel_rows, 1, kernel_columns * channels, outer)
                runs = [(0, rows)]
                step = 0
            else:
                step = layer.window.x.dilation * channels * groups
                inner = divide_up(channels, divide_up(channels, array_rows))
                runs = [(first, kernel[:, :, first : first + inner]) for first in range(0, channels, inner)]
            pieces: list[Piece] = []
            tiles: list[Array] = []
            offset = 0
            limit = largest if kernel.nbytes + layer.parameters.record_bytes * outer <= largest else largest // 2
            for byte, run in runs:
                tile, inner = _as_tiles(run, array_rows)
                first_byte, apart = ((byte + group * channels) * element_bytes, (step or inner) * element_bytes)
                rows, columns, width = *tile.shape[:2], tile.itemsize
                whole = Piece(offset, 0, rows, columns, first_byte, apart, inner, width, layer.packs_weights)
                pieces += _cut(whole, outer, limit)
                stored = as_nibbles(tile) if layer.packs_weights else as_bytes(tile)
                offset += stored.size
                tiles.append(stored)
            parameters = parameter_bytes(layer.parameters, first, end)
            chunks += [parameters, *tiles]
            weights = position + parameters.size
            packed.append(OutputGroup(first, outer, position, weights, weights + offset, tuple(pieces)))
            position = weights + offset
    return PackedWeights(np.concatenate(chunks), tuple(packed))


def _output_ranges(outputs: int, together: int, array_size: int) -> Iterator[tuple[int, int]]:
    """Cut output channels into ranges that fit the array, each among as many as are written together."""
    for row in range(0, outputs, together):
        for start in range(row, row + together, array_size):
            yield start, min(start + array_size, row + together)


def _as_tiles(run: Array, array_rows: int) -> tuple[Array, int]:
    """Weights `[KH, KW, K, outer]` as tiles `[KH, taps, inner, outer]`; K is cut when there is one column."""
    kernel_rows, kernel_columns, depth, outer = run.shape
    cuts = divide_up(depth, array_rows)
    inner = divide_up(depth, cuts)
    if cuts * inner != depth:
        run = np.concatenate((run, np.zeros((kernel_rows, kernel_columns, cuts * inner - depth, outer), run.dtype)), 2)
    return np.ascontiguousarray(run).reshape(kernel_rows, kernel_columns * cuts, inner, outer), inner


def _cut(whole: Piece, outer: int, largest: int) -> Iterator[Piece]:
    """Cut the taps of a run into pieces of at most `largest` bytes: by rows, then by columns."""
    rows, columns, step = whole.rows, whole.columns, whole.step
    tile = whole.inner * whole.row_bytes(outer)
    rows_at_once = min(rows, max(1, largest // (columns * tile)))
    columns_at_once = columns if columns * tile <= largest else max(1, largest // tile)
    for row in range(0, rows, rows_at_once):
        for column in range(0, columns, columns_at_once):
            yield replace(
                whole,
                offset=whole.offset + (row * columns + column) * tile,
                row=row,
                rows=min(rows_at_once, rows - row),
                columns=min(columns_at_once, columns - column),
                first_byte=whole.first_byte + column * step,
            )


def bundle_groups(weight: Array, groups: int, array_rows: int, array_size: int) -> tuple[Array, int]:
    """Join small groups into fewer, with zero weights between them, as far as they fit the array.

    Args:
        weight: `O, KH, KW, C / groups`.
        groups: how many there are.
        array_rows: rows of the array.
        array_size: its columns.

    Returns:
        The weights `O, KH, KW, C / fewer`, and how many groups there are now.
    """
    outputs, kernel_rows, kernel_columns, channels = weight.shape
    per_group = outputs // groups
    most = min(array_rows // channels, array_size // per_group)
    bundle = next((size for size in range(min(most, groups), 1, -1) if groups % size == 0), 1)
    if bundle == 1:
        return weight, groups
    joined = np.zeros((outputs, kernel_rows, kernel_columns, bundle, channels), weight.dtype)
    output = np.arange(outputs, dtype=np.int64)
    joined[output, :, :, output // per_group % bundle] = weight
    return joined.reshape(outputs, kernel_rows, kernel_columns, bundle * channels), groups // bundle


def depthwise_bytes(weight: Array, parameters: Parameters) -> Array:
    """Parameters of all channels, then one weight a channel for each tap."""
    taps = np.moveaxis(weight[..., 0], 0, -1)
    return np.concatenate((parameter_bytes(parameters, 0, weight.shape[0]), as_bytes(taps)))
