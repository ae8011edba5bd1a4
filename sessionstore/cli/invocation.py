"""What the options before the command say: whose store, and for whom the result is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from sessionstore.cli import failures, output

if TYPE_CHECKING:
    from sessionstore.config import LoadedConfig
    from sessionstore.store import SessionStore

HOME_NAME = "SESSIONSTORE_HOME"


class Invocation:
    """One call of the program; every command gets it as its first argument.

    Args:
        ctx: The context of the group.
        prog: How this group is typed.
        app: The application name that places are derived from.
        root: `--root`, or None.
        app_given: Whether `--app` was typed; it then wins over `SESSIONSTORE_HOME`, as `--root` does.
    """

    def __init__(self, ctx: click.Context, *, prog: str, app: str, root: str | None, app_given: bool) -> None:
        self._ctx = ctx
        self.prog = prog
        self.app = app
        self.root = root
        self._app_given = app_given

    @property
    def json(self) -> bool:
        """Whether the result goes to a program."""
        return failures.wants_json(self._ctx)

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment that settings are read from."""
        if self._app_given:
            return {name: text for name, text in os.environ.items() if name != HOME_NAME}
        return os.environ

    def load_config(self) -> LoadedConfig:
        """The settings and where each came from. Creates nothing."""
        from sessionstore.config import load_config

        return load_config(root=self.root, app=self.app, environ=self.environ)

    def open_store(self, *, read_only: bool = False, without_policy: bool = False) -> SessionStore:
        """The store, opened; what it has to say about itself goes to stderr. Use it as a context manager.

        Args:
            read_only: See `sessionstore.open_store`.
            without_policy: Leave the setting `policy` out of it, for commands about what is recorded.
        """
        from sessionstore.wiring import open_store

        config = None
        if without_policy:
            import msgspec

            config = msgspec.structs.replace(self.load_config().config, policy="floor")
        store = open_store(self.root, app=self.app, environ=self.environ, read_only=read_only, config=config)
        for notice in store.notices:
            output.note(notice)
        return store
