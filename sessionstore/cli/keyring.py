"""`sessionstore keys list`, `rotate`, `retire` and `verify`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from sessionstore.cli import confirm, exits, output
from sessionstore.cli.definition import Commands
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.keyring_travel import export, import_
from sessionstore.cli.present import count_text
from sessionstore.cli.progress import progress
from sessionstore.cli.table import Column, table
from sessionstore.errors import SessionStoreError

if TYPE_CHECKING:
    from sessionstore.model import KeyInfo, RotationReport
    from sessionstore.store import SessionStore

_PHASES = {"settling": "looking at sessions", "sessions": "sealing sessions anew", "rows": "signing rows anew"}


@click.group("keys", cls=Commands)
def command() -> None:
    """Look at the signing keys and change them."""


@command_of("list", examples=["sessionstore keys list"])
def list_(invocation: Invocation) -> None:
    """Print every key, oldest first, what can be verified with it only, and where they are kept. Never a key itself."""
    with invocation.open_store() as store:
        keys = store.list_keys()
        provider = store.config.key_provider
    if invocation.json:
        output.value({"provider": provider, "keys": [_object(key) for key in keys]})
        return
    _keys_table(keys)
    output.say(f"kept by: {provider}")


@command_of("verify", examples=["sessionstore keys verify"], meanings={exits.FAILED: "something has to be done"})
def verify(invocation: Invocation) -> int | None:
    """Check the keyring and every signed row of the ledger, and say what a change of keys has left to do."""
    with invocation.open_store() as store:
        report = store.verify_keys()
    code = None if report.ok else exits.FAILED
    if invocation.json:
        keys = [_object(key) for key in report.keys]
        output.value({"ok": report.ok, "keys": keys, "findings": report.findings, "notes": report.notes})
        return code
    _keys_table(report.keys)
    for finding in report.findings:
        output.note(finding, label="finding")
    for note in report.notes:
        output.note(note)
    output.say("all well" if report.ok else count_text(len(report.findings), "finding"))
    return code


@command_of(
    "rotate",
    examples=["sessionstore keys rotate"],
    meanings={exits.FAILED: "failed, or some sessions are left"},
)
@click.option("--finish", is_flag=True, help="Make no new key; see to what an earlier rotation left.")
@click.option("--leaked", is_flag=True, help="Somebody may have the present key: promote another at once.")
def rotate(invocation: Invocation, finish: bool, leaked: bool) -> int | None:
    """Make a new signing key and bring every session and row under it.

    Other processes may go on working. If it is interrupted, run it again: it goes on.
    """
    with invocation.open_store() as store:
        try:
            with _bars() as told:
                report = store.rotate_keys(finish=finish, leaked=leaked, progress=told)
        except SessionStoreError:
            if leaked and not invocation.json:
                _tell_primary(store)
            raise
    code = None if report.finished and not report.left else exits.FAILED
    if invocation.json:
        output.value(report)
        return code
    if report.left:
        columns = [Column("LEFT"), Column("CODE"), Column("WHAT", wraps=True)]
        table(columns, [(left.name, left.code, left.text) for left in report.left])
        output.note("mend or end these, then `sessionstore keys rotate --finish`", label="hint")
    output.line(
        f"key {report.primary}  {count_text(report.sessions, 'session')} sealed anew, "
        f"{count_text(report.rows, 'more row')} signed anew, {len(report.left):,} left"
    )
    for line in _told(report, leaked=leaked):
        output.line(line)
    if report.reason:
        output.note(report.reason, label="not finished")
    elif code is None and not leaked:
        text = f"`{invocation.prog} keys list` shows which older key nothing needs any more; `keys retire KEY` ends it"
        output.note(text, label="hint")
    return code


@command_of(
    "retire",
    examples=["sessionstore keys retire 1f2e3d4c5b6a7988 --dry-run"],
    meanings={exits.FAILED: "failed, or the answer was no", exits.STORE: "something needs the key, or it is primary"},
)
@click.argument("key_id", metavar="KEY")
@click.option("--destroy", is_flag=True, help="Remove its bytes from the keyring, for good.")
@click.option("--leaked", is_flag=True, help="Even if sessions still end under it: they are refused from then on.")
@click.option("--give-up", is_flag=True, help="Even if files in quarantine, strays or audit lines need it.")
@confirm.consent_options("Only say what needs the key.")
def retire(
    invocation: Invocation, key_id: str, destroy: bool, leaked: bool, give_up: bool, dry_run: bool, confirmed: bool
) -> None:
    """Take an old key out of use, once nothing needs it."""
    with invocation.open_store() as store:
        needs = store.retire_key(key_id, destroy=destroy, leaked=leaked, give_up=give_up, dry_run=True)
        if not dry_run:
            lost = f" {needs} cannot be verified any more." if needs.any else ""
            question = f"{'Destroy' if destroy else 'Disable'} key {key_id} for good?{lost}"
            confirm.ask(question, confirmed=confirmed, doing="retiring a key", declined="nothing was changed")
            needs = store.retire_key(key_id, destroy=destroy, leaked=leaked, give_up=give_up)
        status = next(key.status for key in store.list_keys() if key.id == key_id)
    if invocation.json:
        output.value({"id": key_id, "status": status, "needs": needs})
        return
    output.line(f"key {key_id}  {status}" + (f"  needed for {needs}" if needs.any or dry_run else ""))


def _told(report: RotationReport, *, leaked: bool) -> Iterator[str]:
    """Which key signs now, and what became of the others; only after a leak, where a mistake is dear."""
    if not leaked:
        return
    yield f"key {report.primary} is primary now: everything new is signed with it"
    for key_id in report.destroyed:
        yield f"key {key_id}, which waited to become primary, never signed anything and is destroyed"
    yield (
        f"key {report.replaced}, which leaked, signs and extends nothing any more and still verifies what is recorded "
        f"under it: `sessionstore keys retire {report.replaced} --leaked --destroy`"
    )


def _tell_primary(store: SessionStore) -> None:
    """After a failed rotation, which key is primary: the leaked one, or its successor."""
    with suppress(SessionStoreError):
        keys = store.list_keys()
        primary = next(key for key in keys if key.status == "primary")
        made = primary.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        output.note(f"key {primary.id}, made {made}, is primary now; run the command again until it ends well")


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """One bar for each phase; given to a rotation as its `progress`."""
    open_bars: list[Any] = []
    phase_now, shown = "", 0

    def told(phase: str, done: int, total: int) -> None:
        nonlocal phase_now, shown
        if phase != phase_now:
            close()
            phase_now, shown = phase, 0
            bar = progress(_PHASES[phase], total)
            open_bars.extend((bar, bar.__enter__()))
        for _ in range(done - shown):  # rows come by the page
            open_bars[1].step()
        shown = done

    def close() -> None:
        if open_bars:
            open_bars[0].__exit__(None, None, None)
            open_bars.clear()

    try:
        yield told
    finally:
        close()


def _keys_table(keys: tuple[KeyInfo, ...]) -> None:
    columns = [Column("KEY"), Column("STATUS"), Column("MADE"), Column("NEEDED FOR", wraps=True)]
    rows = []
    for key in keys:
        made = key.created_at.astimezone().strftime("%Y-%m-%d %H:%M")
        needed = f"everything new; {key.needs}" if key.status == "primary" else str(key.needs)
        rows.append((key.id, key.status, made, needed))
    table(columns, rows)


def _object(key: KeyInfo) -> dict[str, Any]:
    return {"id": key.id, "status": key.status, "rows": key.rows, "created_at": key.created_at, "needs": key.needs}


for _one in (list_, verify, rotate, retire, export, import_):
    command.add_command(_one)
