"""`Turn`: what is said in one turn goes to the client and into the session.

The prompt is saved before the agent begins, durably. Updates are sent at once and saved together: when there are
`MAX_UNSAVED` of them, and when the block ends, however it ends. So a turn costs two saves, or a few, at any length of
the session, and a cancelled turn keeps what the client has seen. A killed process loses the updates of its last save.

Saves follow one another, whoever asks for them: any number of tasks may speak in one turn. What the store could not
keep, such as a number of more than 64 bits or an entry over the cap, is refused before it is sent: in a save it would
take the other updates along.

A save that was cancelled, or whose outcome is unknown, is repeated with the same key by the next one, at the latest at
the end of the block: each update is there once.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Any, Self

from sessionstore.integrations.acp.refusals import refusals
from sessionstore.integrations.acp.updates import Update, check_kept, entry_of

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
        counted: AbstractContextManager[None],
        max_bytes: int,
    ) -> None:
        self._unsaved = prompt
        self._saving: tuple[Entries, str] | None = None
        self._one_by_one = asyncio.Lock()
        self._save_entries, self._send, self._counted, self._max_bytes = save, send, counted, max_bytes
        self._held = ExitStack()

    async def __aenter__(self) -> Self:
        with refusals(), ExitStack() as held:
            for entry in self._unsaved:
                check_kept(entry, max_bytes=self._max_bytes)
            held.enter_context(self._counted)
            await self.save()
            self._held = held.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        with self._held:
            await self.save()

    async def update(self, *updates: Update) -> None:
        """Send updates to the client and keep them. One that cannot be kept is refused, and not sent."""
        for update in updates:
            entry = entry_of(update)
            with refusals():
                check_kept(entry, max_bytes=self._max_bytes)
            self._unsaved.append(entry)
            await self._send(update)
        if len(self._unsaved) >= MAX_UNSAVED:
            await self.save()

    async def save(self) -> None:
        """Save what was said so far, durably. The end of the block does it too."""
        with refusals():
            async with self._one_by_one:
                await self._save_all()

    async def _save_all(self) -> None:
        while self._saving is not None or self._unsaved:
            if self._saving is None:
                self._saving, self._unsaved = (self._unsaved, secrets.token_hex(8)), []
            await self._save_entries(*self._saving)
            self._saving = None
