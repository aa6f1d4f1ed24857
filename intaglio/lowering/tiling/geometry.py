"""Windows over feature maps, blocks of output positions, and the parts of the input that they need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Shape = tuple[int, int, int, int]
"""`N, H, W, C`."""


def divide_up(value: int, by: int) -> int:
    """The quotient rounded up."""
    return -(-value // by)


def parts(length: int, count: int) -> Iterator[tuple[int, int]]:
    """Cut `0..length` into `count` ranges whose lengths differ by at most the rounding; fewer if it is shorter."""
    size = divide_up(length, count)
    for start in range(0, length, size):
        yield start, min(start + size, length)


@dataclass(frozen=True)
class Axis:
    """A window along one dimension."""

    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0
    """Padding in front."""

    @property
    def extent(self) -> int:
        """Input positions from the first tap to the last."""
        return (self.kernel - 1) * self.dilation + 1

    def span(self, count: int, size: int) -> int:
        """Most input positions, of `size` there are, under `count` consecutive output positions."""
        return min((count - 1) * self.stride + self.extent, size)

    def reach(self, start: int, end: int, size: int) -> tuple[int, int]:
        """The input positions under output positions `start..end`, at least one, clipped to `0..size`."""
        first = start * self.stride - self.before
        last = (end - 1) * self.stride - self.before + self.extent
        first = min(max(first, 0), size - 1)
        return first, min(max(last, first + 1), size)


@dataclass(frozen=True)
class Window:
    """A window along rows and columns."""

    y: Axis = Axis()
    x: Axis = Axis()

    @property
    def is_pointwise(self) -> bool:
        """Whether each output position reads the input position of the same number."""
        return self == Window()


@dataclass(frozen=True)
class Block:
    """Output positions that are computed together: one image's rows `y0..y1`, columns `x0..x1`, channels `c0..c1`."""

    n: int
    y0: int
    y1: int
    x0: int
    x1: int
    c0: int
    c1: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.y1 - self.y0

    @property
    def columns(self) -> int:
        """Number of columns."""
        return self.x1 - self.x0

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.c1 - self.c0

    @property
    def elements(self) -> int:
        """Number of elements."""
        return self.rows * self.columns * self.channels


@dataclass(frozen=True)
class BlockSize:
    """How many rows, columns and channels a block has at most."""

    rows: int
    columns: int
    channels: int

    def blocks(self, shape: Shape) -> Iterator[Block]:
        """The blocks of an output, image by image, row by row."""
        images, rows, columns, channels = shape
        for n in range(images):
            for y0 in range(0, rows, self.rows):
                for x0 in range(0, columns, self.columns):
                    for c0 in range(0, channels, self.channels):
                        yield Block(
                            n,
                            y0,
                            min(y0 + self.rows, rows),
                            x0,
                            min(x0 + self.columns, columns),
                            c0,
                            min(c0 + self.channels, channels),
                        )

    def count(self, shape: Shape) -> int:
        """How many blocks an output has."""
        sizes = zip(shape[1:], (self.rows, self.columns, self.channels), strict=True)
        total = shape[0]
        for length, size in sizes:
            total *= divide_up(length, size)
        return total
