"""Values of the library in the words and shapes that people read, and as objects that programs read.

Times in tables are local, to the minute; single values are UTC in full (RFC 3339), as in JSON. Sizes count 1,024s.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sessionstore.cli import output
from sessionstore.cli.escape import escape_lines
from sessionstore.cli.table import Column, table

if TYPE_CHECKING:
    from sessionstore.model import Session, SessionSummary, Unreadable

# How much of a value that is no text of a message is shown to people; programs get all of it.
MAX_VALUE_CHARS = 300
MIN_ID_CHARS = 8
# What is said of a project that is not where it was; nothing is said where all is well or nobody knows.
MISSED = ("gone", "replaced")


def size_text(size_bytes: int) -> str:
    """`size_bytes` for people: `512 B`, `14.2 KiB`, `9.0 MiB`."""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    size, unit = size_bytes / 1024, "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        if size < 1023.95:
            break
        size, unit = size / 1024, larger
    return f"{size:.1f} {unit}"


def count_text(count: int, one: str, many: str = "") -> str:
    """`1 session`, `2 sessions`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def redacted_text(counts: Mapping[str, int]) -> str:
    """How much a redaction took out, by kind."""
    if not counts:
        return "nothing was found to take out; what has no known form is not found"
    kinds = ", ".join(f"{kind.replace('_', ' ')} {number:,}" for kind, number in sorted(counts.items()))
    return f"{count_text(sum(counts.values()), 'place')} taken out: {kinds}"


def local_time(moment: datetime) -> str:
    """`moment` where the person is, to the minute."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def exact_time(moment: datetime | None) -> str:
    """`moment` in UTC, in full; "" for None."""
    from sessionstore.model import format_time

    return "" if moment is None else format_time(moment)


def summary_object(session: Session | SessionSummary) -> dict[str, Any]:
    """The members of a summary, also for a loaded session."""
    entries = session.entries
    project = session.project
    members: dict[str, Any] = {
        "id": session.id,
        "key": session.key,
        "name": session.name,
        "project": project if project is None or isinstance(project, str) else project.display_path,
        "parent": session.parent,
        "created_at": session.created_at,
        "updated_at": session.updated_at,
        "closed_at": session.closed_at,
        "entries": entries if isinstance(entries, int) else len(entries),
        "size_bytes": session.size_bytes,
        "rev": session.rev,
        "tags": list(session.tags),
        "provenance": session.provenance,
    }
    for member in ("state", "integrity", "project_state"):
        if hasattr(session, member):
            members[member] = getattr(session, member)
    if members.get("project_state") == "unchecked":
        del members["project_state"]
    return members


def summary_pairs(session: Session | SessionSummary) -> list[tuple[str, str]]:
    """Label and text of what is known about one session; what is empty is left out."""
    known = summary_object(session)
    rows = [
        ("id", known["id"]),
        ("name", known["name"]),
        ("key", known["key"] or ""),
        ("project", known["project"] or ""),
        ("parent", known["parent"] or ""),
        ("tags", ", ".join(known["tags"])),
        ("state", _state_text(known.get("state"), known["rev"])),
        ("created", exact_time(known["created_at"])),
        ("updated", exact_time(known["updated_at"])),
        ("closed", exact_time(known["closed_at"])),
        ("revision", str(known["rev"])),
        ("entries", f"{known['entries']:,}"),
        ("size", size_text(known["size_bytes"])),
        ("provenance", known["provenance"]),
    ]
    return [(label, text) for label, text in rows if text]


def sessions_table(sessions: Sequence[SessionSummary], *, with_project: bool) -> None:
    """The list of sessions: short ids on a terminal, full ones elsewhere. A project that is not there is marked."""
    chars = _id_chars([session.id for session in sessions]) if output.stdout_is_terminal() else 36
    tagged = any(session.tags for session in sessions)
    stated = any(session.state == "running" or session.integrity == "legacy" for session in sessions)
    with_project = with_project or any(session.project_state in MISSED for session in sessions)
    columns = [Column("ID"), Column("NAME", flexible=True), Column("UPDATED")]
    columns += [Column("ENTRIES", right=True), Column("SIZE", right=True)]
    columns += [Column("STATE")] * stated + [Column("TAGS", flexible=True)] * tagged
    columns += [Column("PROJECT", flexible=True)] * with_project
    rows = []
    for session in sessions:
        row = [session.id[:chars], session.name, local_time(session.updated_at)]
        row += [f"{session.entries:,}", size_text(session.size_bytes)]
        row += [_state_text(session.state, session.rev) or session.state] * stated + [", ".join(session.tags)] * tagged
        row += [project_text(session)] * with_project
        rows.append(row)
    table(columns, rows)


def unreadable_table(unreadable: Sequence[Unreadable], *, title: str = "UNREADABLE") -> None:
    """Files that are no session that could be opened, each with the code of the error that opening it raises."""
    rows = [(broken.name, broken.code, broken.text) for broken in unreadable]
    table([Column(title), Column("CODE"), Column("WHAT", wraps=True)], rows)


def entry_lines(number: int, entry: dict[str, Any]) -> list[str]:
    """An entry for people: a heading, then its text, indented so that no text can pass for a heading."""
    role = entry.get("role")
    kind = role if isinstance(role, str) else entry.get("type")
    heading = f"[{number}] {kind if isinstance(kind, str) and kind else 'entry'}"
    stamp = entry.get("timestamp")
    if isinstance(stamp, str) and stamp:
        heading += f"  {stamp}"
    body = _content_lines(entry["content"]) if isinstance(role, str) and "content" in entry else [_shortened(entry)]
    return [heading, *(f"    {line}" for part in body for line in escape_lines(part)), ""]


def _content_lines(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        return [_shortened(content)]
    return [_block_text(block) for block in content]


def _block_text(block: Any) -> str:
    if not isinstance(block, dict):
        return block if isinstance(block, str) else _shortened(block)
    kind = block.get("type")
    if isinstance(block.get("text"), str) and set(block) <= {"type", "text"}:
        return str(block["text"])
    rest = {name: member for name, member in block.items() if name != "type"}
    return f"<{kind}> {_shortened(rest)}" if isinstance(kind, str) else _shortened(block)


def _shortened(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= MAX_VALUE_CHARS:
        return text
    return f"{text[:MAX_VALUE_CHARS]}… ({len(text) - MAX_VALUE_CHARS:,} more characters)"


def _state_text(state: str | None, rev: int) -> str:
    """What is not ordinary about a session: that somebody works in it, that it is not signed yet."""
    return ", ".join(["running"] * (state == "running") + ["legacy"] * (rev == 0))


def project_text(session: SessionSummary) -> str:
    """The project, with the mark in front: the end of a long path is cut on a terminal."""
    if session.project is None:
        return ""
    return f"{session.project_state}: {session.project}" if session.project_state in MISSED else session.project


def _id_chars(ids: Sequence[str]) -> int:
    """How many characters tell these ids apart."""
    chars = MIN_ID_CHARS
    while chars < 36 and len({text[:chars] for text in ids}) < len(ids):
        chars += 1
    return chars
