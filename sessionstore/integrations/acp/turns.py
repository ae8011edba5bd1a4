"""`Turn`: what is said in one turn goes to the client and into the session.

The prompt is saved before the agent begins, durably. Updates are sent at once and saved together: when there are
`MAX_UNSAVED` of them, and when the block ends, however it ends. So a turn costs two saves, or a few, at any length of
the session, and a cancelled turn keeps what the client has seen. A killed process loses the updates of its last save.

A save that was cancelled, or whose outcome is unknown, is repeated with the same key by the next one, at the latest at
the end of the block: each update is there once.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from sessionstore.integrations.acp.refusals import refusals
from sessionstore.integrations.acp.updates import Update, entry_of

MAX_UNSAVED = 256

Entries = list[dict[str, Any]]


class Turn:
    """One turn of a session: `async with self.turn(session_id, prompt) as turn`."""

    def __init__(
        self,
        prompt: Entries,
        *,
        save: Callable[[Entries, str], Awaitable[None]],
        send: Callable[[Update], Awaitable[None]],
        begin: Callable[[], None],
        end: Callable[[], None],
    ) -> None:
        self._unsaved = prompt
        self._saving: tuple[Entries, str] | None = None
        self._save_entries, self._send, self._begin, self._end = save, send, begin, end

    async def __aenter__(self) -> Self:
        with refusals():
            self._begin()
        try:
            await self.save()
        except BaseException:
            self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            await self.save()
        finally:
            self._end()

    async def update(self, *updates: Update) -> None:
        """Send updates to the client and keep them."""
        for update in updates:
            self._unsaved.append(entry_of(update))
            await self._send(update)
        if len(self._unsaved) >= MAX_UNSAVED:
            await self.save()

    async def save(self) -> None:
        """Save what was said so far, durably. The end of the block does it too."""
        with refusals():
            while self._saving is not None or self._unsaved:
                if self._saving is None:
                    self._saving, self._unsaved = (self._unsaved, secrets.token_hex(8)), []
                await self._save_entries(*self._saving)
                self._saving = None
