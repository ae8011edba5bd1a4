"""The picker of `resume` without an id: which rows there are, what a key does, and what is seen. No terminal in here.

Rules:

* A state never changes; `press` gives the next one, or how the picking ended.
* Every row can be gone to and looked at. One that cannot be resumed says why, and Enter on it only says so again.
* A view has exactly as many lines as it is given, and none is wider: cells are counted, not characters.
* Names and messages are data: they are escaped before they are measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.text import Text

from sessionstore.cli.escape import escape
from sessionstore.cli.keypresses import TEXT, Key

RUNNING = "running"

_QUESTION = "Resume: "
_HELP = "type to filter · ↑↓ PgUp PgDn · Enter resumes · Esc leaves"
_HELP_ASCII = "type to filter, arrows, PgUp PgDn, Enter resumes, Esc leaves"
_MIN_LINES_FOR_PREVIEW = 9
_MAX_PREVIEW_LINES = 10
# Below these widths the time, and then the id, make room for the name.
_MIN_COLUMNS_FOR_TIME, _MIN_COLUMNS_FOR_ID = 60, 36


class Row(NamedTuple):
    """One session, or what stands in the place of one.

    Attributes:
        id: Its id, or the name of a file that is none.
        name: What people call it, or what is wrong with it.
        when: Its last save, for people.
        project: Its directory, for people, or "".
        tags: Its tags in one text.
        here: Whether it belongs to the directory the person is in.
        mark: `RUNNING` or the code of the error, "" for one that can be resumed.
        reason: Why it cannot be resumed.
    """

    id: str
    name: str
    when: str = ""
    project: str = ""
    tags: str = ""
    here: bool = False
    mark: str = ""
    reason: str = ""


class Chosen(NamedTuple):
    """The end of the picking: this session."""

    id: str


class Left(NamedTuple):
    """The end of the picking without a session."""

    interrupted: bool


class State(NamedTuple):
    """What the person sees and did. `begin` makes the first one.

    Attributes:
        rows: All rows, in their order.
        fitting: Those that hold every word of the query somewhere, in any case of letters.
        query: What was typed.
        at: The index of the row the person is at, among those that fit.
        told: What the last key had to say.
    """

    rows: tuple[Row, ...]
    fitting: tuple[Row, ...]
    query: str = ""
    at: int = 0
    told: str = ""

    @property
    def current(self) -> Row | None:
        """The row the person is at; None if none fits."""
        return self.fitting[self.at] if self.fitting else None


def begin(rows: Iterable[Row]) -> State:
    """Nothing typed yet: the rows of this project first, then the others; what cannot be opened at all goes last."""
    known = tuple(sorted(rows, key=lambda row: (bool(row.mark) and row.mark != RUNNING, not row.here)))
    return State(known, known)


def press(state: State, key: Key, *, page: int) -> State | Chosen | Left:
    """What a key makes of the state; `page` is how many rows are seen at once."""
    if key.name in ("escape", "interrupt"):
        return Left(interrupted=key.name == "interrupt")
    if key.name == "enter":
        row = state.current
        if row is None:
            return state._replace(told="no session fits what was typed")
        if row.mark:
            return state._replace(told=f"cannot be resumed: {row.reason or row.mark}")
        return Chosen(row.id)
    query = _typed(state.query, key)
    if query != state.query:
        words = query.casefold().split()
        fitting = tuple(row for row in state.rows if all(word in _haystack(row) for word in words))
        return State(state.rows, fitting, query)
    last = max(len(state.fitting) - 1, 0)
    at = {
        "up": state.at - 1,
        "down": state.at + 1,
        "page_up": state.at - max(page, 1),
        "page_down": state.at + max(page, 1),
        "home": 0,
        "end": last,
    }.get(key.name, state.at)
    return state._replace(at=min(max(at, 0), last), told="")


class Layout(NamedTuple):
    """How many lines each part gets; their sum is the height.

    Attributes:
        question, help: 0 or 1.
        rows: 1 or more.
        preview: Its lines, with the rule above it; 0 where there is no room.
    """

    question: int
    rows: int
    preview: int
    help: int


def layout(height: int) -> Layout:
    """What fits into `height` lines, 1 or more: the rows before all else, then the question, the help, the preview."""
    question = 1 if height >= 2 else 0
    below = 1 if height >= 4 else 0
    preview = min(height // 2, _MAX_PREVIEW_LINES + 1) if height >= _MIN_LINES_FOR_PREVIEW else 0
    return Layout(question, height - question - below - preview, preview, below)


def view(
    state: State,
    *,
    width: int,
    height: int,
    preview: Callable[[Row], Sequence[str]],
    shown: Callable[[str], str] = escape,
    plain: bool = False,
) -> list[Text]:
    """What is seen: `height` lines of at most `width` cells.

    Args:
        state: What to show.
        width, height: Of the terminal, 1 or more.
        preview: The last lines of a session, asked only for the row the person is at, and only if they are shown.
        shown: Makes data safe to show.
        plain: Only ASCII characters of our own.
    """
    room = layout(height)
    lines: list[Text] = []
    if room.question:
        lines.append(_question(state, width, shown))
    first = min(max(state.at - room.rows // 2, 0), max(len(state.fitting) - room.rows, 0))
    seen = state.fitting[first : first + room.rows]
    listed = [_row(row, width, at == state.at, shown) for at, row in enumerate(seen, first)]
    if not listed:
        listed = [_cut("  no session fits", width, "dim")]
    lines += listed + [Text()] * (room.rows - len(listed))
    if room.preview:
        lines.append(Text(("-" if plain else "─") * width, "dim"))
        row = state.current
        if row is not None:
            said = [f"{row.mark}: {row.reason}"] if row.mark else []
            inside = [shown(line) for line in [*said, *preview(row)]][-(room.preview - 1) :]
            lines += [_cut(line, width) for line in inside]
        lines += [Text()] * (height - room.help - len(lines))
    if room.help:
        told = shown(state.told)
        lines.append(_cut(told or (_HELP_ASCII if plain else _HELP), width, "bold" if told else "dim"))
    return lines


def cursor_column(state: State, width: int, shown: Callable[[str], str] = escape) -> int:
    """The cell of the question where the next character goes, 0 at the left."""
    return min(cell_len(_QUESTION) + cell_len(_query(state, width, shown)), max(width - 1, 0))


def _haystack(row: Row) -> str:
    return " ".join((row.id, row.name, row.project, row.tags, row.mark)).casefold()


def _typed(query: str, key: Key) -> str:
    if key.name == TEXT:
        return query + key.text
    if key.name == "backspace":
        return query[:-1]
    if key.name == "clear_word":
        return query.rstrip().rpartition(" ")[0]
    return "" if key.name == "clear" else query


def _query(state: State, width: int, shown: Callable[[str], str]) -> str:
    """The end of what was typed, as much as there is room for."""
    query = shown(state.query)
    room = max(width - cell_len(_QUESTION) - 1, 0)
    while cell_len(query) > room:
        query = query[1:]
    return query


def _question(state: State, width: int, shown: Callable[[str], str]) -> Text:
    line = Text()
    line.append(_QUESTION, "bold")
    line.append(_query(state, width, shown))
    count = f"{len(state.fitting)}/{len(state.rows)}"
    gap = width - line.cell_len - len(count)
    if gap > 1:
        line.append(" " * gap + count, "dim")
    line.truncate(width)
    return line


def _row(row: Row, width: int, current: bool, shown: Callable[[str], str]) -> Text:
    line = Text("> " if current else "  ")
    if width >= _MIN_COLUMNS_FOR_ID:
        line.append(f"{shown(row.id)[:8]:<8}  ", "dim")
    if width >= _MIN_COLUMNS_FOR_TIME:
        line.append(f"{shown(row.when):<16}  ")
    if row.mark:
        line.append(f"[{shown(row.mark)}] ", "red" if row.mark != RUNNING else "yellow")
    line.append(shown(row.name), "bold" if current else "dim" if row.mark else "none")
    if row.project and not row.here:
        line.append(f"  {shown(row.project)}", "dim")
    line.truncate(width)
    if current:
        line.stylize("reverse")
    return line


def _cut(text: str, width: int, style: str = "none") -> Text:
    line = Text(text, style)
    line.truncate(width)
    return line
