"""The terminal of the picker: raw keys in, frames out, and the terminal as it was at every end.

Rules:

* Frames go to stderr, on the terminal's second screen; stdout stays for results, and what was on the screen comes back.
* The terminal is restored however the block is left: a choice, an error, Ctrl-C, SIGTERM, SIGHUP. A signal that ends
  the program takes its effect after that.
* Stopped from outside (SIGTSTP, SIGSTOP) and continued, the picker takes the terminal again and draws anew.

Not promised: anything after SIGKILL. Must be used in the main thread.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import signal
import sys
import termios
from collections.abc import Callable, Iterable, Iterator, Sequence

from rich.console import Console
from rich.text import Text

from sessionstore.cli import output
from sessionstore.cli.escape import escape
from sessionstore.cli.keypresses import Key, Keys
from sessionstore.cli.picker import Chosen, Left, Row, State, begin, cursor_column, layout, press, view

# How long the rest of an escape sequence may take before the escape byte counts as the Esc key.
ESCAPE_WAIT_S = 0.1

_BEGIN = "\x1b[?1049h\x1b[?2004h"
_END = "\x1b[?2004l\x1b[?1049l"
_DEADLY = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
_HEARD = (*_DEADLY, signal.SIGWINCH, signal.SIGCONT)


def pick(rows: Iterable[Row], preview: Callable[[Row], Sequence[str]]) -> str | None:
    """Let the person at stdin choose a row; None if they leave.

    Args:
        rows: Newest first; those with a `mark` cannot be chosen.
        preview: The last lines of a session; called once a row.

    Raises:
        KeyboardInterrupt: Ctrl-C.
    """
    previews: dict[Row, Sequence[str]] = {}

    def remembered(row: Row) -> Sequence[str]:
        if row not in previews:
            previews[row] = preview(row)
        return previews[row]

    state: State | Chosen | Left = begin(rows)
    with _Screen() as screen:
        while isinstance(state, State):
            screen.draw(state, remembered)
            for key in screen.read():
                state = press(state, key, page=layout(screen.size()[1]).rows)
                if not isinstance(state, State):
                    break
    if isinstance(state, Chosen):
        return state.id
    if state.interrupted:
        raise KeyboardInterrupt
    return None


class _Screen:
    """The terminal, ours for the length of a block."""

    def __init__(self) -> None:
        self._keys = Keys()
        self._deadly: int | None = None
        self._ends = contextlib.ExitStack()

    def __enter__(self) -> _Screen:
        with contextlib.ExitStack() as ends:
            ends.callback(self._die_of_signal)
            self._woken = ends.enter_context(_signals_as_bytes())
            self._settings = termios.tcgetattr(0)
            ends.callback(self._give_back)
            self._take()
            self._ends = ends.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ends.close()

    def size(self) -> tuple[int, int]:
        """Columns and lines, 1 or more."""
        try:
            found = os.get_terminal_size(2)
        except OSError:
            return 80, 24
        return found.columns or 80, found.lines or 24

    def draw(self, state: State, preview: Callable[[Row], Sequence[str]]) -> None:
        """Show the state over what was there."""
        width, height = self.size()
        plain = not output.can_show("─·↑↓", sys.stderr)
        lines = view(state, width=width, height=height, preview=preview, shown=_shown, plain=plain)
        drawn = _rendered(lines, width)
        # Line by line, so that nothing flickers; before the line, as behind a full one the last cell would go with it.
        frame = "\x1b[?25l\x1b[H" + "\r\n".join(f"\x1b[K{line}" for line in drawn)
        if layout(height).question:
            frame += f"\x1b[1;{cursor_column(state, width, _shown) + 1}H\x1b[?25h"
        _write(frame)

    def read(self) -> list[Key]:
        """The next keys; none if only the size has changed."""
        wait = ESCAPE_WAIT_S if self._keys.waiting else None
        ready, _, _ = select.select([0, self._woken], [], [], wait)
        if self._woken in ready:
            for number in os.read(self._woken, 512):
                if number in _DEADLY:
                    self._deadly = number
                    return [Key("interrupt")]
                if number == signal.SIGCONT:
                    self._take()
            return []
        if not ready:
            return self._keys.give_up_waiting()
        data = os.read(0, 4096)
        return self._keys.feed(data) if data else [Key("escape")]  # The terminal is gone.

    def _take(self) -> None:
        mode = [*self._settings[:6], list(self._settings[6])]
        mode[0] &= ~(termios.IXON | termios.ICRNL | termios.INLCR | termios.ISTRIP)
        mode[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN)
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
        termios.tcsetattr(0, termios.TCSADRAIN, mode)
        _write(_BEGIN)

    def _give_back(self) -> None:
        # A terminal that was closed has nothing to be restored.
        with contextlib.suppress(OSError, termios.error):
            _write("\x1b[?25h" + _END)
        with contextlib.suppress(OSError, termios.error):
            termios.tcsetattr(0, termios.TCSADRAIN, self._settings)

    def _die_of_signal(self) -> None:
        """The last thing of all: what came while the terminal was ours."""
        if self._deadly is not None:
            os.kill(os.getpid(), self._deadly)


@contextlib.contextmanager
def _signals_as_bytes() -> Iterator[int]:
    """In the block, signals do nothing by themselves: their numbers can be read from the descriptor this gives."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = {}
    woken_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        for number in _HEARD:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, lambda number, frame: None)
        yield reading
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(woken_before)
        os.close(reading)
        os.close(writing)


def _rendered(lines: Sequence[Text], width: int) -> list[str]:
    console = Console(
        file=io.StringIO(),
        force_terminal=True,
        color_system=None if output.no_colour() else "standard",
        width=width,
        highlight=False,
        legacy_windows=False,
    )
    drawn = []
    for line in lines:
        with console.capture() as captured:
            console.print(line, end="", no_wrap=True, overflow="ignore", crop=True)
        drawn.append(captured.get())
    return drawn


def _shown(text: str) -> str:
    """Data as it can be shown: control characters, and what the terminal's encoding has not, written out."""
    encoding = sys.stderr.encoding or "utf-8"
    return escape(text).encode(encoding, "backslashreplace").decode(encoding)


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
