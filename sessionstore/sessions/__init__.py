"""One session: its verified read, its append, its making and end, and the list of all of them."""

from __future__ import annotations

from sessionstore.sessions.ground import Ground
from sessionstore.sessions.index import Index
from sessionstore.sessions.inspect import inspect
from sessionstore.sessions.lifecycle import Lifecycle
from sessionstore.sessions.read import Reader
from sessionstore.sessions.rewrite import Rewriter
from sessionstore.sessions.unsigned import Unsigned
from sessionstore.sessions.write import Writer

__all__ = ["Ground", "Index", "Lifecycle", "Reader", "Rewriter", "Unsigned", "Writer", "inspect"]
