"""Bytes of a terminal into keys: escape sequences however they are split, UTF-8, pastes.

Rules:

* A key has a name (`up`, `enter`, …), or is text. What is not known is dropped whole, never half of it taken as text.
* An escape byte with nothing behind it is the Esc key, once the caller says that nothing more came in time.
* What is pasted is text and nothing else: no line end in it is an Enter, no byte of it a command.
"""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

TEXT = "text"

_ESC = "\x1b"
_PASTE_BEGINS, _PASTE_ENDS = "\x1b[200~", "\x1b[201~"
# A sequence that goes on longer than this is none.
_MAX_SEQUENCE_CHARS = 32
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|[^\[O\x1b])", re.DOTALL)

_SEQUENCES = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\x1b[5~": "page_up",
    "\x1b[6~": "page_down",
    "\x1b[H": "home",
    "\x1b[F": "end",
    "\x1bOH": "home",
    "\x1bOF": "end",
    "\x1b[1~": "home",
    "\x1b[4~": "end",
    "\x1b[7~": "home",
    "\x1b[8~": "end",
    "\x1bOM": "enter",
}
_CONTROLS = {
    "\r": "enter",
    "\n": "enter",
    "\x03": "interrupt",
    "\x04": "escape",
    "\x08": "backspace",
    "\x7f": "backspace",
    "\x0e": "down",
    "\x10": "up",
    "\x15": "clear",
    "\x17": "clear_word",
}


class Key(NamedTuple):
    """One key that was pressed, or a piece of text.

    Attributes:
        name: `TEXT`, or the name of the key.
        text: The characters, for `TEXT`.
    """

    name: str
    text: str = ""


class Keys:
    """Turns what is read from a terminal into keys. Keeps what is not complete yet."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._pasted: str | None = None

    @property
    def waiting(self) -> bool:
        """Whether something began that more bytes would complete; a paste takes as long as it takes."""
        return self._pasted is None and bool(self._rest)

    def feed(self, data: bytes) -> list[Key]:
        """The keys that are complete with these bytes."""
        self._rest += self._decoder.decode(data)
        found: list[Key] = []
        while self._rest:
            before = self._rest
            key = self._pasting() if self._pasted is not None else self._next()
            if key is not None:
                found.append(key)
            elif self._rest == before:
                break
        return found

    def give_up_waiting(self) -> list[Key]:
        """Nothing more came in time: an escape byte alone is Esc, and the rest of a broken sequence is dropped."""
        alone, self._rest = self._rest == _ESC, ""
        return [Key("escape")] if alone else []

    def _next(self) -> Key | None:
        """The first key of the rest; None if it is not complete, or none of ours and taken away."""
        char = self._rest[0]
        if char == _ESC:
            return self._sequence()
        if char in _CONTROLS:
            self._rest = self._rest[1:]
            return Key(_CONTROLS[char])
        end = next((at for at, one in enumerate(self._rest) if one < " " or one == "\x7f"), len(self._rest))
        text, self._rest = self._rest[:end], self._rest[max(end, 1) :]
        return Key(TEXT, text) if text else None

    def _sequence(self) -> Key | None:
        found = _SEQUENCE.match(self._rest)
        if found is None:
            if self._rest.startswith(_ESC * 2):  # Esc twice, or Alt with an escape sequence
                self._rest = self._rest[1:]
                return Key("escape")
            if len(self._rest) > _MAX_SEQUENCE_CHARS:
                self._rest = ""
            return None
        self._rest = self._rest[found.end() :]
        if found[0] == _PASTE_BEGINS:
            self._pasted = ""
            return None
        name = _SEQUENCES.get(found[0])
        return None if name is None else Key(name)

    def _pasting(self) -> Key | None:
        inside, mark, behind = self._rest.partition(_PASTE_ENDS)
        if not mark:
            # The mark itself may be split.
            kept = next((n for n in range(len(_PASTE_ENDS) - 1, 0, -1) if inside.endswith(_PASTE_ENDS[:n])), 0)
            self._pasted = (self._pasted or "") + inside[: len(inside) - kept]
            self._rest = inside[len(inside) - kept :]
            return None
        pasted, self._pasted, self._rest = (self._pasted or "") + inside, None, behind
        text = " ".join(re.sub(r"[\x00-\x1f\x7f]+", " ", pasted).split())
        return Key(TEXT, text) if text else None
