"""`sessionstore audit show` and `sessionstore audit verify`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from sessionstore.cli import exits, output
from sessionstore.cli.definition import Commands
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import MIN_ID_CHARS, count_text
from sessionstore.cli.resolve import complete_id, resolve
from sessionstore.cli.table import Column, table

if TYPE_CHECKING:
    from sessionstore.model import AuditRecord, AuditReport

_AGE = re.compile(r"([1-9][0-9]{0,5})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _moment(ctx: click.Context, parameter: click.Parameter, text: str | None) -> datetime | None:
    """The aware time that the text means: RFC 3339, a date or date and time as it is here, or an age such as `2h`."""
    if text is None:
        return None
    try:
        if match := _AGE.fullmatch(text):
            return datetime.now().astimezone() - timedelta(**{_UNITS[match[2]]: int(match[1])})
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        wanted = "a time such as 2026-01-31T12:00:00Z, a date, or an age such as 90m, 12h, 7d, 2w is needed"
        raise click.BadParameter(wanted) from None


@click.group("audit", cls=Commands)
def command() -> None:
    """Read and check the audit log."""


@command_of(
    "show",
    examples=["sessionstore audit show --event resume_refused --since 7d"],
    exit_codes=(exits.NOT_FOUND,),
)
@click.option("--event", "events", metavar="EVENT", multiple=True, help="Only this kind of event; may be repeated.")
@click.option("--session", metavar="ID", shell_complete=complete_id, help="Only events of this session.")
@click.option("--since", metavar="TIME", callback=_moment, help="Only from this time on, or so long ago: 90m, 12h, 7d.")
@click.option("--until", metavar="TIME", callback=_moment, help="Only before this time.")
@click.option("-n", "limit", metavar="N", type=click.IntRange(min=1), help="The newest N. Default: all.")
def show(
    invocation: Invocation,
    events: tuple[str, ...],
    session: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int | None,
) -> None:
    """Print security events, the newest last. Only lines that verify are printed.

    Without a zone, a TIME is meant as it is here.
    """
    with invocation.open_store() as store:
        session_id = None if session is None else resolve(store, session)
        records = list(store.audit(events=events, session=session_id, since=since, until=until, limit=limit))
        damaged = not store.verify_audit().ok
    if invocation.json:
        output.value({"damaged": damaged, "events": records})
    elif records:
        _events_table(records)
    else:
        narrowed = bool(events or session or since or until)
        output.say("no event fits" if narrowed else "no event can be shown" if damaged else "no events yet")
    if damaged and not invocation.json:
        output.note(
            f"the audit log was changed, and lines may be missing here; see `{invocation.prog} audit verify`",
            label="warning",
        )


@command_of(
    "verify",
    examples=["sessionstore audit verify"],
    exit_codes=(exits.NOT_TRUSTED,),
    meanings={exits.NOT_TRUSTED: "the log is not what was written; the first bad line of each file is named"},
)
def verify(invocation: Invocation) -> int | None:
    """Check every line of the audit log, and that none is missing."""
    with invocation.open_store() as store:
        report = store.verify_audit()
    code = None if report.ok else exits.NOT_TRUSTED
    if invocation.json:
        output.value({"ok": report.ok, **_members(report)})
        return code
    if report.findings:
        columns = [Column("FILE"), Column("LINE", right=True), Column("KIND"), Column("WHAT", wraps=True)]
        rows = [(found.file, str(found.line or "-"), found.kind, found.text) for found in report.findings]
        table(columns, rows)
    for note in report.notes:
        output.note(note)
    retired = f", {count_text(report.retired, 'file')} retired" if report.retired else ""
    found = count_text(len(report.findings), "finding") if report.findings else "nothing found"
    output.line(f"{count_text(report.lines, 'event')} in {count_text(report.files, 'file')} verified{retired}, {found}")
    return code


def _events_table(records: list[AuditRecord]) -> None:
    chars = MIN_ID_CHARS if output.stdout_is_terminal() else 36
    columns = [Column("TIME"), Column("EVENT"), Column("SESSION"), Column("WHAT", wraps=True)]
    rows = []
    for record in records:
        particulars = ((name, value) for name, value in record.fields.items() if value not in (None, ""))
        what = "  ".join(f"{name}={value}" for name, value in particulars)
        time = record.at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        rows.append((time, record.event, (record.session_id or "")[:chars], what))
    table(columns, rows)


def _members(report: AuditReport) -> dict[str, Any]:
    return {
        "lines": report.lines,
        "files": report.files,
        "retired": report.retired,
        "findings": report.findings,
        "notes": report.notes,
    }


command.add_command(show)
command.add_command(verify)
