"""What a rewrite does to each line of a session: whether it stays, and what is taken out of it. Writes nothing.

An edit goes through a session once, in order, and counts on the way; another time needs another edit.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sessionstore.errors import InvalidValueError
from sessionstore.format.lines import State, decode_entry
from sessionstore.redaction import Redactor


class Edit:
    """What becomes of each line: the first `keep` entries stay, changed where there is something to take out."""

    def __init__(self, keep: int, redactor: Redactor | None = None, blank: Collection[int] = ()) -> None:
        self.keep = keep
        self.entries = 0
        self._redactor = redactor
        self._blank = frozenset(blank)

    @property
    def found(self) -> dict[str, int]:
        """How often something was taken out, by kind."""
        return {} if self._redactor is None else dict(sorted(self._redactor.counts.items()))

    @property
    def kept(self) -> int:
        """How many ids, roles, types and times a pattern fits."""
        return 0 if self._redactor is None else self._redactor.kept

    def state(self, state: State) -> State:
        """The state as it is to be."""
        return state if self._redactor is None else self._redactor.described(state)

    def entry(self, index: int, line: bytes) -> dict[str, Any] | None:
        """The entry as it is to be, None for as it stands."""
        if self._redactor is None:
            return None
        old = decode_entry(line)
        new = self._redactor.value(self._redactor.entry(old) if index in self._blank else old)
        if new is old:
            return None
        self.entries += 1
        return dict(new)

    def clean(self, text: str | None) -> str | None:
        """The text, if there is nothing in it to take out; else None."""
        if text is None or self._redactor is None:
            return text
        return text if self._redactor.text(text) == text else None

    def fits(self, *texts: str | None) -> bool:
        """Whether there is something to take out of one of these."""
        return any(text is not None and self.clean(text) is None for text in texts)


def refuse_beyond(blank: Collection[int], entries: int) -> None:
    """Return if a session of so many entries has all of these.

    Raises:
        InvalidValueError: It has not.
    """
    if not all(0 <= index < entries for index in blank):
        raise InvalidValueError(what="entry", reason=f"this session has {entries}, the first one is 0")
