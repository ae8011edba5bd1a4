"""What `repair`, `restore`, `rebase-heads` and `adopt` say in the same words: revisions, times, what to type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sessionstore.cli.present import exact_time

if TYPE_CHECKING:
    from sessionstore.model import Restored, Standing

_WORDS = {
    "file_older": "the file is older than what was saved here",
    "ledger_older": "the file is newer than what the ledger knows",
    "two_histories": "the file holds another save under a known revision",
    "no_record": "this machine has no record of it",
    "file_gone": "its file is gone",
    "deleted_here": "it was deleted here, and its file is back",
}


def typed(command: str, prog: str) -> str:
    """A command of the library's words as a person types it here."""
    return prog + command.removeprefix("sessionstore")


def standing_lines(stands: Standing, prog: str, rev: int | None = None) -> list[str]:
    """Both revisions, both times and the exact command; `rev` is the revision that the session would get."""
    file = (
        f"revision {stands.file_rev}, saved {exact_time(stands.file_at)}" if stands.file_rev else "none that verifies"
    )
    known = f"revision {stands.known_rev}, {exact_time(stands.known_at)}, {stands.known_by}"
    lines = [
        stands.session_id,
        f"  what     {_WORDS[stands.direction]}",
        f"  file     {file}",
        f"  known    {known if stands.known_rev else 'nothing'}",
    ]
    if rev is not None:
        lines.append(f"  becomes  revision {rev}")
    return [*lines, f"  command  {typed(stands.command, prog)}"]


def standing_object(stands: Standing, prog: str) -> dict[str, Any]:
    """The same for programs."""
    members = {name: getattr(stands, name) for name in stands.__struct_fields__}
    return {**members, "command": typed(stands.command, prog)}


def restored_object(restored: Restored, prog: str) -> dict[str, Any]:
    """A session that was, or would be, taken as its file is."""
    return {**standing_object(restored.before, prog), "rev": restored.rev}
