"""`sessionstore keys export` and `keys import`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sessionstore.cli import exits, inputs, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import count_text
from sessionstore.cli.table import Column, table

if TYPE_CHECKING:
    from sessionstore.model import Unreadable

MAX_KEY_FILE_BYTES = 64 * 1024
_SUFFIX = ".jsonl"


@command_of("export", examples=["sessionstore keys export key.json"])
@click.argument("target", metavar="FILE", type=click.Path(dir_okay=False))
@inputs.passphrase_options
def export(invocation: Invocation, target: str, passphrase_file: str | None, passphrase_fd: int | None) -> None:
    """Write the signing key into a new FILE, sealed with a passphrase, for `keys import` on another machine."""
    passphrase = inputs.asked_passphrase(passphrase_file, passphrase_fd, twice=True)
    with invocation.open_store() as store:
        data = store.export_key(passphrase)
        key_id = next(key.id for key in store.list_keys() if key.status == "primary")
    inputs.write_new(target, data)
    if invocation.json:
        output.value({"id": key_id, "file": target})
        return
    output.line(f"key {key_id}  written to {target}")


@command_of(
    "import",
    examples=["sessionstore keys import key.json old-machine/data/sessions"],
    exit_codes=(exits.NOT_TRUSTED, exits.TOO_LARGE),
    meanings={
        exits.USAGE: "wrong usage, value or setting; or a PATH without session files",
        exits.NOT_TRUSTED: "some files were refused, each with the reason; the others were taken over",
    },
)
@click.argument("key_file", metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True))
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(exists=True))
@inputs.passphrase_options
@click.option("--dry-run", is_flag=True, help="Only verify.")
def import_(
    invocation: Invocation,
    key_file: str,
    paths: tuple[str, ...],
    passphrase_file: str | None,
    passphrase_fd: int | None,
    dry_run: bool,
) -> int | None:
    """Take over sessions of another machine: session files, or directories of them, that its key in FILE vouches for.

    Each is verified once and signed anew here; the other key is kept nowhere.
    """
    found = [file for path in paths for file in _session_files(Path(path))]
    data = inputs.read_up_to(key_file, MAX_KEY_FILE_BYTES, setting="")
    passphrase = inputs.asked_passphrase(passphrase_file, passphrase_fd, twice=False)
    unread: list[Unreadable] = []
    with invocation.open_store() as store:
        files = _contents(found, store.config.max_session_bytes, unread)
        report = store.take_over(data, passphrase, files, dry_run=dry_run)
    refused = (*unread, *report.refused)
    code = exits.NOT_TRUSTED if refused else None
    if invocation.json:
        taken = [{"origin": origin, "id": id} for origin, id in report.taken]
        name = "would_take" if dry_run else "taken"
        output.value({"store": report.store, "key": report.key_id, name: taken, "refused": refused})
        return code
    if refused:
        columns = [Column("REFUSED"), Column("CODE"), Column("WHAT", wraps=True)]
        table(columns, [(one.name, one.code, one.text) for one in refused])
    done = "would be taken over" if dry_run else "taken over"
    output.line(f"{count_text(len(report.taken), 'session')} {done}, {len(refused):,} refused")
    return code


def _session_files(path: Path) -> list[Path]:
    """The file itself, or the session files of a directory.

    Raises:
        InputError: It is a directory without any, or cannot be listed: taking nothing over would look like success.
    """
    try:
        if not path.is_dir():
            return [path]
        files = sorted(file for file in path.iterdir() if file.name.endswith(_SUFFIX))
        below = path / "data" / "sessions" if (path / "data" / "sessions").is_dir() else path / "sessions"
        is_below = below.is_dir()
    except OSError as exc:
        raise inputs.InputError(f"cannot read {path}: {inputs.reason(exc)}") from exc
    if files:
        return files
    where = f"; did you mean {below}?" if is_below else ""
    raise inputs.InputError(f"there is no session file (*{_SUFFIX}) in {path}{where}")


def _contents(files: list[Path], max_bytes: int, unread: list[Unreadable]) -> Iterator[tuple[str, bytes]]:
    """Name and content of each; what cannot be read is put into `unread`, and the others go on."""
    from sessionstore.errors import TooLargeError
    from sessionstore.model import Unreadable

    for file in files:
        if not file.is_file():
            unread.append(Unreadable(file.name, "unsafe_file", "it is no ordinary file"))
            continue
        try:
            data = inputs.read_up_to(str(file), max_bytes, setting="max_session_bytes")
        except TooLargeError as error:
            unread.append(Unreadable(file.name, error.code, str(error)))
        except inputs.InputError as error:
            unread.append(Unreadable(file.name, "unreadable", error.message))
        else:
            yield file.name, data
