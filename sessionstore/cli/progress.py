"""A progress bar on stderr for long work. rich is imported only to draw."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator

from sessionstore.cli import output
from sessionstore.cli.escape import escape


class Progress:
    """Told after each step; draws nothing where there is no bar."""

    def __init__(self, advance: Callable[[], None] | None = None) -> None:
        self._advance = advance

    def step(self) -> None:
        """One more step is done."""
        if self._advance is not None:
            self._advance()


@contextlib.contextmanager
def progress(label: str, total: int) -> Iterator[Progress]:
    """A bar while the block runs, if stderr is a terminal and there is more than one step."""
    if total < 2 or not output.is_terminal(sys.stderr) or os.environ.get("TERM") == "dumb":
        yield Progress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(file=sys.stderr, color_system=None if output.no_colour() else "auto")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(escape(label), total=total)
        yield Progress(lambda: bar.advance(task))
