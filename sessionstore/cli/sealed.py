"""`sessionstore adopt ID --sealed`: a sealed file whose record or key was lost, taken in because somebody vouches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sessionstore.cli import confirm, output
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import count_text, exact_time
from sessionstore.cli.resolve import resolve

if TYPE_CHECKING:
    from sessionstore.model import SealedAdoption


def adopt_sealed(
    invocation: Invocation, session: str, *, accept_rev: int | None = None, dry_run: bool, confirmed: bool
) -> None:
    """Show what the file says and what could be checked, ask, and take it in."""
    consent = "adopt --sealed --confirm" if confirmed else "adopt --sealed, asked on a terminal"
    with invocation.open_store() as store:
        session_id = resolve(store, session)
        done = store.adopt_sealed(session_id, consent=consent, dry_run=True)
        if not dry_run:
            if done.known_rev > done.file_rev != accept_rev:
                store.adopt_sealed(
                    session_id, consent=consent, accept_rev=accept_rev
                )  # refused before anybody is asked
            output.say_lines("\n".join(_lines(done)))
            question = "Do you know where this file comes from, and take it as genuine?"
            confirm.ask(question, confirmed=confirmed, doing="adopting a file", declined="nothing was adopted")
            done = store.adopt_sealed(session_id, consent=consent, accept_rev=accept_rev)
    if invocation.json:
        members: dict[str, Any] = {name: getattr(done, name) for name in done.__struct_fields__}
        output.value({"would_adopt" if dry_run else "adopted": members})
    elif dry_run:
        for text in _lines(done):
            output.line(text)
    else:
        output.line(f"adopted {session_id}  revision {done.rev}")


def _lines(adoption: SealedAdoption) -> list[str]:
    """What a person has to see before they vouch."""
    signatures = "all good" if adoption.checked else f"prove nothing: key {adoption.key_id} is not the primary key here"
    entries = count_text(adoption.entries, "entry", "entries")
    lines = [
        adoption.session_id,
        f"  name        {adoption.name}",
        f"  file        revision {adoption.file_rev}, saved {exact_time(adoption.file_at)}, {entries}",
        f"  signatures  {signatures}",
    ]
    if adoption.known_rev > adoption.file_rev:
        lines.append(f"  known       revision {adoption.known_rev}, audit log: the file is an older state")
    else:
        known = (
            f"revision {adoption.known_rev}, audit log"
            if adoption.known_rev
            else "nothing: no record says how far it got"
        )
        lines.append(f"  known       {known}")
    return [*lines, f"  becomes     revision {adoption.rev}, provenance adopted"]
