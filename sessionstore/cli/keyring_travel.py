"""`sessionstore keys export` and `keys import`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from sessionstore.cli import exits, inputs, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import count_text
from sessionstore.cli.table import Column, table

MAX_KEY_FILE_BYTES = 64 * 1024


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
    meanings={exits.NOT_TRUSTED: "some files were refused: they are not what the key vouches for"},
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
    data = inputs.read_up_to(key_file, MAX_KEY_FILE_BYTES, setting="")
    passphrase = inputs.asked_passphrase(passphrase_file, passphrase_fd, twice=False)
    with invocation.open_store() as store:
        files = _files(paths, store.config.max_session_bytes)
        report = store.take_over(data, passphrase, files, dry_run=dry_run)
    code = exits.NOT_TRUSTED if report.refused else None
    if invocation.json:
        taken = [{"origin": origin, "id": id} for origin, id in report.taken]
        name = "would_take" if dry_run else "taken"
        output.value({"store": report.store, "key": report.key_id, name: taken, "refused": report.refused})
        return code
    if report.refused:
        columns = [Column("REFUSED"), Column("CODE"), Column("WHAT", wraps=True)]
        table(columns, [(refused.name, refused.code, refused.text) for refused in report.refused])
    done = "would be taken over" if dry_run else "taken over"
    output.line(f"{count_text(len(report.taken), 'session')} {done}, {len(report.refused):,} refused")
    return code


def _files(paths: tuple[str, ...], max_bytes: int) -> Iterator[tuple[str, bytes]]:
    for path in map(Path, paths):
        for file in sorted(path.glob("*.jsonl")) if path.is_dir() else [path]:
            yield file.name, inputs.read_up_to(str(file), max_bytes, setting="max_session_bytes")
