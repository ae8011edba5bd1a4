"""Tables: drawn by rich on a terminal, plain text in aligned columns elsewhere. rich is imported only to draw."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sessionstore.cli import output
from sessionstore.cli.escape import escape


class Column(NamedTuple):
    """One column of a table.

    Attributes:
        title: Its heading.
        right: Whether its cells end at the same place, for numbers.
        flexible: Whether its cells may be cut where a terminal is too narrow.
        wraps: Whether they take several lines there instead.
    """

    title: str
    right: bool = False
    flexible: bool = False
    wraps: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """A table, drawn on a terminal and plain elsewhere. Cells are text from data: they are escaped here."""
    cells = [[escape(cell) for cell in row] for row in rows]
    if output.stdout_is_terminal():
        _draw(columns, cells)
        return
    every = [[column.title for column in columns], *cells]
    widths = [max(_width(row[index]) for row in every) for index in range(len(columns))]
    for row in every:
        padded = (
            " " * (width - _width(cell)) + cell if column.right else cell + " " * (width - _width(cell))
            for column, width, cell in zip(columns, widths, row, strict=True)
        )
        output.write("  ".join(padded).rstrip() + "\n")


def _draw(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, color_system=None if output.no_colour() else "auto", highlight=False)
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    # The ellipsis is no ASCII character; without it a shortened cell is simply cut.
    overflow: Any = "ellipsis" if output.can_show("…") else "crop"
    for column in columns:
        # rich narrows the columns that may wrap, so only those may; their cells are cut all the same, see below.
        justify: Any = "right" if column.right else "left"
        drawn.add_column(Text(column.title), justify=justify, no_wrap=not (column.flexible or column.wraps))
    for row in cells:
        drawn.add_row(
            *(
                Text(cell, overflow="fold") if column.wraps else Text(cell, no_wrap=True, overflow=overflow)
                for column, cell in zip(columns, row, strict=True)
            )
        )
    with console.capture() as captured:
        console.print(drawn)
    output.write("".join(part.rstrip() + "\n" for part in captured.get().splitlines()))


def _width(text: str) -> int:
    """Terminal cells of `text`: two for wide characters, none for combining marks."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
