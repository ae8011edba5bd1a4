"""From what a person types for a session to its id; and which sessions "here" means.

A full id is taken as it is: whether there is such a session, the command finds out. Anything else is looked for in the
signed list of the whole store: the beginning of an id (4 characters or more), or the exact name. `@last` is the newest
session of the scope that `list` shows here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
from click.shell_completion import CompletionItem

from sessionstore.cli.escape import escape
from sessionstore.cli.invocation import Invocation

if TYPE_CHECKING:
    from sessionstore.store import SessionStore

_Function = TypeVar("_Function", bound=Callable[..., object])

LAST = "@last"
_DAMAGED = "some sessions cannot be opened and are known by their id only; `sessionstore list --all` names them"
MIN_PREFIX_CHARS = 4

_PREFIX = re.compile(r"[0-9a-f][0-9a-f-]{3,34}")


def resolve(store: SessionStore, text: str) -> str:
    """The id of the session that `text` means.

    Raises:
        SessionNotFoundError: No session has such an id or name.
        AmbiguousIdError: More than one has.
    """
    from sessionstore.errors import AmbiguousIdError, SessionNotFoundError
    from sessionstore.model.ids import is_id

    if is_id(text):
        return text
    if text == LAST:
        page = store.list(project=scope(store), limit=1)
        found = {session.id for session in page.sessions}
        damaged = len(page.unreadable)
    else:
        found, damaged = _matches(store, text)
    if len(found) > 1:
        raise AmbiguousIdError(matches=len(found))
    if not found and damaged:
        raise SessionNotFoundError(hint=_DAMAGED)
    if not found:
        raise SessionNotFoundError
    return found.pop()


def scope(store: SessionStore) -> str | None:
    """The recorded project directory that the current directory is or lies in, as text for `store.list`, else None."""
    try:
        here = Path.cwd()
    except OSError:  # The current directory was removed: we are nowhere.
        return None
    return store.inside(here)


def complete_id(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Ids for the shell's completion, from a store that exists already; nothing is created, nothing is said."""
    from sessionstore.errors import SessionStoreError

    invocation = ctx.find_object(Invocation)
    if invocation is None:
        return []
    try:
        with invocation.open_store(read_only=True) as store:
            listed = store.list(search=incomplete or None, limit=100).sessions
    except (SessionStoreError, OSError):
        return []
    items = [CompletionItem(found.id, help=escape(found.name)) for found in listed if found.id.startswith(incomplete)]
    return items


def session_argument(function: _Function) -> _Function:
    """Give a command the argument ID, as `session`."""
    return click.argument("session", metavar="ID", shell_complete=complete_id)(function)


def _matches(store: SessionStore, text: str) -> tuple[set[str], int]:
    """The ids that `text` fits, and how many sessions of the store cannot be opened, whose names are unknown."""
    as_prefix = _PREFIX.fullmatch(text) is not None
    page = store.list(search=text)
    found = {one.id for one in page.sessions if one.name == text or (as_prefix and one.id.startswith(text))}
    # A damaged session is one too: it can be inspected and deleted.
    found |= {broken.name for broken in page.unreadable if as_prefix and broken.name.startswith(text)}
    return found, len(page.unreadable)
