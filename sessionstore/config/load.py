"""Where the settings come from: defaults, then the file, then the environment; each value remembers its source.

Rules:

* The environment is an argument. Only the platform's directories are asked of the process (`HOME`, `XDG_…`).
* A name that means nothing is refused, in the file and among `SESSIONSTORE_…`: a misspelt limit or salt that is passed
  over is a weaker store that nobody notices.
* A root is a whole store. Given as an argument, it wins over every place named in the environment.
* Nothing is created.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from sessionstore.config.file import read_file
from sessionstore.config.record import Config
from sessionstore.config.settings import (
    BY_ENVIRONMENT_NAME,
    BY_NAME,
    ENVIRONMENT_PREFIX,
    HOME_NAME,
    KEY_NAME,
    SETTINGS,
    Setting,
    is_passed,
    unknown_name_reason,
)
from sessionstore.config.values import Place, is_path
from sessionstore.errors import ConfigError

FILE_NAME = "config.toml"
DEFAULT_APP = "sessionstore"

_APP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class LoadedConfig(msgspec.Struct, frozen=True):
    """A configuration and where each of its values came from.

    Attributes:
        config: The settings.
        sources: For every member of `config`: `default`, `file PATH`, `environment NAME` or `argument root`.
        looked_for: Where the file was looked for, whether or not there was one.
    """

    config: Config
    sources: Mapping[str, str]
    looked_for: Path


class _Places(msgspec.Struct, frozen=True):
    data_dir: Path
    state_dir: Path
    config_file: Path
    source: str


def load_config(
    *, root: str | os.PathLike[str] | None = None, app: str = DEFAULT_APP, environ: Mapping[str, str]
) -> LoadedConfig:
    """The configuration from defaults, file and environment, the later ones winning. Creates nothing.

    Args:
        root: A directory that holds everything: `root/data`, `root/state`, `root/config.toml`. A relative one is taken
            from the current directory, once, now; `~` is not expanded. None: `SESSIONSTORE_HOME` of `environ`, else
            the user's directories of this platform.
        app: Whose directories those are: 1 to 64 ASCII letters, digits, `.`, `_`, `-`, the first a letter or digit.
        environ: The environment, usually `os.environ`.

    Raises:
        ConfigError: A setting is unknown, of the wrong type, out of range or contradicts another; the file is not safe
            to trust or not TOML; `root` or `app` cannot be used. It names setting and source and repeats no value.
    """
    _refuse_unknown_names(environ)
    places = _places(root, app, environ)
    file_source = f"file {Place().show(places.config_file)}"
    table = read_file(places.config_file, source=file_source)
    values: dict[str, Any] = {"data_dir": places.data_dir, "state_dir": places.state_dir}
    sources = dict.fromkeys(BY_NAME, "default") | dict.fromkeys(("data_dir", "state_dir", "config_file"), places.source)
    if table is not None:
        values["config_file"] = places.config_file
        for name, raw in table.items():
            setting = _known(name, file_source)
            values[name] = _read(setting, raw, file_source)
            sources[name] = file_source
    for setting in SETTINGS:
        name = setting.environment_name
        if name not in environ or (root is not None and isinstance(setting.kind, Place)):
            continue
        sources[setting.name] = f"environment {name}"
        values[setting.name] = _read(setting, environ[name], sources[setting.name])
    try:
        config = Config(**values)
    except ConfigError as exc:
        raise ConfigError(setting=exc.setting, source=sources[exc.setting], reason=exc.reason) from exc
    if KEY_NAME in environ and config.key_provider != "environment":
        # Passed over, it would be inherited by every child, and nobody would notice that it is not used.
        reason = f"a key is given there, and key_provider is {config.key_provider}, not environment"
        raise ConfigError(setting="key_provider", source=f"environment {KEY_NAME}", reason=reason)
    return LoadedConfig(config, sources, places.config_file)


def _places(root: str | os.PathLike[str] | None, app: str, environ: Mapping[str, str]) -> _Places:
    if root is not None:
        return _rooted(os.fspath(root), "argument root")
    if HOME_NAME in environ:
        if not os.path.isabs(environ[HOME_NAME]):
            # From the current directory it would be whatever a cloned project brings along, key and settings included.
            raise ConfigError(setting="root", source=f"environment {HOME_NAME}", reason="an absolute path is needed")
        return _rooted(environ[HOME_NAME], f"environment {HOME_NAME}")
    if not isinstance(app, str) or not _APP.fullmatch(app):
        raise ConfigError(
            setting="app",
            source="argument",
            reason="1 to 64 letters, digits, '.', '_' or '-' are needed, the first a letter or digit",
        )
    import platformdirs

    data = platformdirs.user_data_path(app, appauthor=False)
    state = platformdirs.user_state_path(app, appauthor=False)
    file = platformdirs.user_config_path(app, appauthor=False) / FILE_NAME
    # A relative one would let whoever wrote the current directory say what is trusted.
    if not (data.is_absolute() and state.is_absolute() and file.is_absolute()):
        raise ConfigError(
            setting="data_dir",
            source="default",
            reason="the platform's directories are not absolute paths; correct HOME or XDG_…, or give a root",
        )
    if data == state:  # macOS has one directory for both
        data, state = data / "data", state / "state"
    return _Places(data, state, file, "default")


def _rooted(given: str | bytes, source: str) -> _Places:
    if not isinstance(given, str) or not given or not is_path(given):
        raise ConfigError(setting="root", source=source, reason="the path of a directory is needed")
    if given == "~" or given.startswith("~/"):
        raise ConfigError(setting="root", source=source, reason="~ is not expanded here; give the full path")
    try:
        # Not os.path.abspath: it would fold `link/..`, which is another directory than the one meant.
        base = Path(given).absolute()
    except OSError as exc:
        raise ConfigError(
            setting="root", source=source, reason="it is relative and there is no current directory"
        ) from exc
    return _Places(base / "data", base / "state", base / FILE_NAME, source)


def _refuse_unknown_names(environ: Mapping[str, str]) -> None:
    known = {*BY_ENVIRONMENT_NAME, HOME_NAME, KEY_NAME}
    for name in sorted(environ):
        if name.startswith(ENVIRONMENT_PREFIX) and name not in known and not is_passed(name):
            raise ConfigError(
                setting=_plain(name), source="environment", reason=unknown_name_reason(_plain(name), sorted(known))
            )


def _known(name: str, source: str) -> Setting:
    if name not in BY_NAME:
        reason = unknown_name_reason(_plain(name), BY_NAME)
        raise ConfigError(setting=_plain(name), source=source, reason=reason)
    return BY_NAME[name]


def _plain(name: str) -> str:
    """The name, if it can be shown: a key in quotes may hold anything."""
    return name if _PLAIN_NAME.fullmatch(name) else "(not a name)"


def _read(setting: Setting, raw: object, source: str) -> object:
    try:
        return setting.kind.read(raw)
    except ValueError as exc:
        raise ConfigError(setting=setting.name, source=source, reason=str(exc)) from exc
