"""Tables that commands print on stdout."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_PLAIN_WIDTH = 160
"""Width of tables that are not shown on a terminal."""


def print_table(title: str | None, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; columns of numbers are aligned to the right.

    Args:
        title: a line above it.
        columns: headings.
        rows: cells; integers are shown with thousands separated, floats as percentages, None as nothing.
    """
    table = Table(box=None, pad_edge=False, show_header=any(columns))
    for index, column in enumerate(columns):
        is_number = all(isinstance(row[index], int | float) for row in rows)
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(_cell_text(cell)) for cell in row))
    output = console()
    if title is not None:
        output.print(escape(title), style="bold", soft_wrap=True)
    output.print(table)


def console() -> Console:
    """What prints on stdout, wide enough for tables where that is no terminal."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False)


def _cell_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else str(value)
