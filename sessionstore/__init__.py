"""Agent sessions, saved at the price of an append and given back only if nobody changed them.

    from sessionstore import open_store

    with open_store() as store:
        session = store.create(name="a first session")
        store.append(session.id, [{"role": "user", "content": "hello"}])
        print(store.load(session.id).messages)

The names below are the public ones. Each is imported when it is first used, so that importing this package costs
next to nothing and a program that only wants the error classes never loads a database driver.

Everything that is not named here or in the reference pages may change between releases.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sessionstore import errors
    from sessionstore.aio import AsyncSessionStore
    from sessionstore.config import Config
    from sessionstore.model import Message, Session, SessionSummary, Todo
    from sessionstore.store import SessionStore
    from sessionstore.wiring import open_async_store, open_store

__version__ = "0.1.0"

__all__ = [
    "AsyncSessionStore",
    "Config",
    "Message",
    "Session",
    "SessionStore",
    "SessionSummary",
    "Todo",
    "__version__",
    "errors",
    "open_async_store",
    "open_store",
]

_HOMES = {
    "AsyncSessionStore": "sessionstore.aio",
    "Config": "sessionstore.config",
    "Message": "sessionstore.model",
    "Session": "sessionstore.model",
    "SessionStore": "sessionstore.store",
    "SessionSummary": "sessionstore.model",
    "Todo": "sessionstore.model",
    "open_async_store": "sessionstore.wiring",
    "open_store": "sessionstore.wiring",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("sessionstore.errors")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
