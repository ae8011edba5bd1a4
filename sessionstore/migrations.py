"""Where the migration files are: steps of the session format and of SQL schemas, kept as data.

In a checkout they lie in `migrations/` beside the package, in an installed wheel in `_migrations` inside it. This
module finds them in both, so that nobody else builds a path of their own.

* A `migrations` directory beside an installed package belongs to somebody else and is never taken: outside the package
  only a directory counts that stands beside our own `pyproject.toml`.
* The files are data. They are read, never imported or executed, and nothing here follows what they say.

It does not promise that the files are unchanged; whoever applies one compares its recorded checksum.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from sessionstore.errors import StoreUnavailableError

_PACKAGE = "sessionstore"


def migrations_dir() -> Traversable:
    """The directory that holds the migration files, as they came with this very package.

    Reads the file system at every call and keeps nothing. Safe from any thread.

    Raises:
        StoreUnavailableError: This installation came without them (`not_written`); install it again from a wheel.
    """
    installed = files(_PACKAGE).joinpath("_migrations")
    if installed.is_dir():
        return installed
    root = Path(str(files(_PACKAGE))).parent
    if _is_checkout(root):
        return root / "migrations"
    raise StoreUnavailableError(
        reason="this installation has no migration files",
        outcome="not_written",
        hint="install sessionstore again from a wheel",
    )


def _is_checkout(root: Path) -> bool:
    project_file = root / "pyproject.toml"
    if not (project_file.is_file() and (root / "migrations").is_dir()):
        return False
    try:
        project = tomllib.loads(project_file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return False
    return bool(project.get("project", {}).get("name") == _PACKAGE)
