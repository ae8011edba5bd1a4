"""The conversation memory of the OpenAI Agents SDK, kept in a store: a `Session` as that SDK means it.

Needs the extra `openai`. An item is an entry of the store, as it is. What is not an item is an entry whose only member
is `sessionstore`; an item that has such a member itself is wrapped, so that no item can pass for something else:

    {"sessionstore": {"popped": 1}}    the newest item before it that still counts does not any more
    {"sessionstore": {"item": {…}}}    that item

- Adding is one append, whatever the length of the history. A batch is there as a whole or not at all.
- Taking the newest item off is an append too: it is marked and stays in the file. Reading the last few, and finding the
  one to take off, costs that and what was taken off behind it, not the history.
- Clearing deletes the store's session, its bytes included. The next item makes a new one under the same key.
- Blocking work runs in threads of the store's own, and the loop goes on. Any loop will do, also one for every run.
- A cancelled call is over before the cancellation goes on. The same call made again, before anything is read, is its
  retry: it does nothing that was done already, and gives the result that was not heard. The same after a failure.

Several objects for one conversation, in several processes, are in order: each call is one step.

What this does not promise: that another object or another process knows a retry as one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import uuid4

from agents import SessionSettings  # pyright: ignore[reportMissingImports]

from sessionstore.aio.borrowed import pool_of
from sessionstore.errors import (
    ConflictError,
    InvalidValueError,
    MalformedError,
    SessionNotFoundError,
    StoreUnavailableError,
)
from sessionstore.integrations.foreign import key_of
from sessionstore.model import check_name
from sessionstore.store import SessionStore

if TYPE_CHECKING:
    from agents import TResponseInputItem  # pyright: ignore[reportMissingImports]

MARK = "sessionstore"
POPPED: dict[str, Any] = {MARK: {"popped": 1}}
MAX_UNHEARD = 64

T = TypeVar("T")


class SealedSession:
    """One conversation of the OpenAI Agents SDK, sealed: `Runner.run(agent, text, session=SealedSession(id, store))`.

    Making one costs nothing and writes nothing; the store gets a session with the first item. Safe for any number of
    tasks, threads and event loops. What the store refuses is raised as it is, through the SDK's runner too.

    Args:
        session_id: What the conversation is called; any text. Different texts are different conversations, to the byte.
        store: An open store. It stays open.
        session_settings: The SDK's settings, or a dict of them; `limit` is how many items a run reads.

    Raises:
        InvalidValueError: `session_id` is no text.
    """

    def __init__(
        self,
        session_id: str,
        store: SessionStore,
        *,
        session_settings: SessionSettings | dict[str, Any] | None = None,
    ) -> None:
        self.session_id = session_id
        self.session_settings: SessionSettings | None = SessionSettings().resolve(session_settings)
        self._store = store
        self._key = key_of("openai", session_id)
        self._id: str | None = None
        # Calls whose end their caller has not heard of, each with what was asked for; the newest last.
        self._unheard: list[tuple[str, _Attempt]] = []

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.session_id!r})"

    async def get_items(self, limit: int | None = None, *, wrapper: object = None) -> list[TResponseInputItem]:
        """The newest items, oldest first.

        Args:
            limit: At most so many; None for what the settings say, and that None or less than 0 for all.
            wrapper: Taken because the SDK can give it; not used.

        Raises:
            VerificationError: The session is not what was saved.
        """
        if limit is None and self.session_settings is not None:
            limit = self.session_settings.limit
        self._unheard.clear()  # whoever looks sees what was done, and means what is said then
        return await pool_of(self._store).call(self._read, limit)

    async def add_items(self, items: list[TResponseInputItem], *, wrapper: object = None) -> None:
        """Add items, all of them or none, durably. No items are no save.

        Args:
            items: JSON objects; do not change them before this returns.
            wrapper: Taken because the SDK can give it; not used.

        Raises:
            MalformedError, TooDeepError, TooLargeError: An item cannot be kept, or the session is full.
            SessionLimitError: The store is full.
            VerificationError: The session is not what was saved.
            StoreUnavailableError: See its `outcome`; the same call again is safe.
        """
        if items:
            await self._once(lambda: repr(items), lambda attempt: self._add(items, attempt))

    async def pop_item(self, *, wrapper: object = None) -> TResponseInputItem | None:
        """Take the newest item off and return it, None if there is none.

        Args:
            wrapper: Taken because the SDK can give it; not used.

        Raises:
            VerificationError: The session is not what was saved.
            StoreUnavailableError: See its `outcome`; the same call again is safe.
        """
        return cast("TResponseInputItem | None", await self._once(lambda: "pop", self._pop))

    async def clear_session(self, *, wrapper: object = None) -> None:
        """Delete every item for good, also where the session is not what was saved.

        Args:
            wrapper: Taken because the SDK can give it; not used.

        Raises:
            AlreadyRunningError: Somebody has resumed the session in the store.
        """
        self._unheard.clear()
        await pool_of(self._store).finish(self._clear)

    async def _once(self, name: Callable[[], str], work: Callable[[_Attempt], T]) -> T:
        """Do it, or what is left to do of the same call before, whose end was not heard of."""
        attempt = self._taken_up(name()) if self._unheard else _Attempt()
        try:
            return cast(T, await pool_of(self._store).finish(attempt.run, work))
        except BaseException:
            self._unheard = [*self._unheard[1 - MAX_UNHEARD :], (name(), attempt)]
            raise

    def _taken_up(self, name: str) -> _Attempt:
        for found in self._unheard:
            if found[0] == name:
                self._unheard.remove(found)
                return found[1]
        return _Attempt()

    def _read(self, limit: int | None) -> list[TResponseInputItem]:
        if limit == 0:
            return []

        def read(session_id: str) -> list[dict[str, Any]]:
            with self._newest(session_id) as items:
                return list(islice(items, None if limit is None or limit < 0 else limit))

        return cast("list[TResponseInputItem]", (self._in_session(read) or [])[::-1])

    def _add(self, items: list[TResponseInputItem], attempt: _Attempt) -> None:
        entries = [{MARK: {"item": item}} if isinstance(item, dict) and MARK in item else item for item in items]

        def add(session_id: str) -> None:
            if not self._was_saved(session_id, attempt):
                self._store.append(session_id, cast("list[dict[str, Any]]", entries), idempotency_key=attempt.key)

        self._in_session(add, make=True)

    def _pop(self, attempt: _Attempt) -> dict[str, Any] | None:
        def pop(session_id: str) -> dict[str, Any] | None:
            while True:
                if attempt.claim is None or attempt.claim[0] != session_id:
                    rev = self._store.summary(session_id).rev
                    with self._newest(session_id) as items:
                        item = next(items, None)
                    if item is None:
                        return None
                    attempt.claim = (session_id, rev, item)
                _, rev, item = attempt.claim
                try:
                    self._store.append(session_id, [POPPED], expected_rev=rev, idempotency_key=attempt.key)
                except ConflictError:  # somebody saved in between
                    if not self._was_saved(session_id, attempt):
                        attempt.claim = None
                        continue
                return item

        return self._in_session(pop)

    def _was_saved(self, session_id: str, attempt: _Attempt) -> bool:
        """Whether an earlier try was saved after all; others may have saved behind it."""
        return attempt.is_unknown and self._store.saved_under(session_id, attempt.key) is not None

    def _clear(self) -> None:
        self._in_session(self._store.delete)
        self._id = None

    def _in_session(self, use: Callable[[str], T], *, make: bool = False) -> T | None:
        """What `use` makes of the store's session, or None if there is none. One that was cleared is left behind."""
        while True:
            session_id = self._id or self._found(make)
            if session_id is None:
                return None
            try:
                result = use(session_id)
            except SessionNotFoundError:
                self._id = None
                continue
            self._id = session_id
            return result

    @contextmanager
    def _newest(self, session_id: str) -> Iterator[Iterator[dict[str, Any]]]:
        """The items that count, the newest first; the file is closed behind it."""
        newest = cast("Generator[dict[str, Any], None, None]", self._store.newest(session_id))
        with closing(newest):
            yield _counting(newest, session_id)

    def _found(self, make: bool) -> str | None:
        found = self._store.id_of(self._key)
        if found is None and make:
            found = self._store.get_or_create(self._key, name=_name(self.session_id)).id
        return found


class _Attempt:
    """One call, however often it is tried.

    Attributes:
        key: Tells the store that a save is a repetition.
        is_done: Whether it came to its end.
        is_unknown: Whether a try ended without the store being able to tell if it was saved.
        claim: Session, revision and item that a pop is about to take off.
    """

    def __init__(self) -> None:
        self.key = uuid4().hex
        self.is_done = False
        self.is_unknown = False
        self.claim: tuple[str, int, dict[str, Any]] | None = None
        self._result: object = None

    def run(self, work: Callable[[_Attempt], object]) -> object:
        """What `work` gives, or gave when it was done."""
        if not self.is_done:
            try:
                self._result = work(self)
            except StoreUnavailableError as error:
                self.is_unknown = self.is_unknown or error.outcome == "unknown"
                raise
            self.is_done = True
        return self._result


def _counting(newest: Iterator[dict[str, Any]], session_id: str) -> Iterator[dict[str, Any]]:
    """The items that still count, of entries whose newest comes first.

    Raises:
        MalformedError: An entry is marked as something that this release does not know.
    """
    popped = 0
    for entry in newest:
        if MARK in entry:
            if entry == POPPED:
                popped += 1
                continue
            entry = _wrapped(entry, session_id)
        if popped:
            popped -= 1
        else:
            yield entry


def _wrapped(entry: dict[str, Any], session_id: str) -> dict[str, Any]:
    match entry:
        case {"sessionstore": {"item": dict(item), **more}, **others} if not more and not others:
            return item
    raise MalformedError(session_id=session_id, reason="an entry is marked by another release, or by hand")


def _name(session_id: str) -> str | None:
    """The conversation's name for people, None if it can be none."""
    try:
        return check_name(session_id)
    except InvalidValueError:
        return None
