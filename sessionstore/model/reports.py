"""What searches, inspections, clean-ups, rebindings and checks of the audit log give back."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from sessionstore.model.records import ProjectRecord
from sessionstore.model.session import SessionSummary, Unreadable


class SearchHit(msgspec.Struct, frozen=True):
    """One place where a text was found, in verified content.

    Attributes:
        session: The session's line.
        entry: Index of the entry.
        snippet: The text around it, on one line.
    """

    session: SessionSummary
    entry: int
    snippet: str


class InspectedLine(msgspec.Struct, frozen=True):
    """One line of a file that nobody vouches for.

    Attributes:
        number: 1-based.
        kind: What the line says it is; `other` for anything else.
        size_bytes: Its length without the line end.
        sealed: Whether a good seal commits it.
        text: Its first characters, undecoded, control characters replaced.
    """

    number: int
    kind: Literal["open", "entry", "state", "seal", "other"]
    size_bytes: int
    sealed: bool
    text: str


class Inspection(msgspec.Struct, frozen=True):
    """A look into a session file without trust. It cannot be saved, resumed or turned into a session.

    Attributes:
        session_id: Which.
        size_bytes: Size of the file.
        head_rev: Revision this machine has seen, None if it knows nothing of the session.
        code, text: The error that loading raises, `ok` and "" if there is none.
        lines: The lines of the file, in order.
    """

    session_id: str
    size_bytes: int
    head_rev: int | None
    code: str
    text: str
    lines: tuple[InspectedLine, ...]


class CleanupReport(msgspec.Struct, frozen=True):
    """What a clean-up removed, or would remove in a dry run.

    Attributes:
        removed: Sessions that were verified and deleted.
        skipped: Sessions that are due but are running, were saved meanwhile, or could not be verified, with the reason;
            they were left alone.
    """

    removed: tuple[SessionSummary, ...]
    skipped: tuple[Unreadable, ...]


class MigrationResult(msgspec.Struct, frozen=True):
    """What became, or in a dry run would become, of one unsigned file.

    Attributes:
        session_id: Whose.
        outcome: `migrated`: sealed. `put_away`: it was sealed before, and its file is out of the way now. `refused`: it
            was left as it is; `code` says why.
        code: `ok`, or the code of the error.
        text: The error for people, or "".
        hint: What can be done, or "".
    """

    session_id: str
    outcome: Literal["migrated", "put_away", "refused"]
    code: str = "ok"
    text: str = ""
    hint: str = ""


Policy = Literal["accept", "warn", "require", "strict"]
"""How unsigned files are treated, from the least to the most. Each holds what the one before it holds.

`accept`: listed ones are opened. `warn`: with one warning each. `require`: none is opened; a command signs them.
`strict`: a project below a directory that somebody else may change is not resumed either.
"""

POLICIES: tuple[Policy, ...] = ("accept", "warn", "require", "strict")


class PolicyState(msgspec.Struct, frozen=True):
    """The policy of a store and where it comes from.

    Attributes:
        policy: In force: the higher one of the two below.
        floor: What the ledger holds, signed.
        setting: What the settings ask for, or `floor` if they ask for nothing.
    """

    policy: Policy
    floor: Policy
    setting: str


class AdoptedFile(msgspec.Struct, frozen=True):
    """An unsigned file that was listed by consent, or would be.

    Attributes:
        session_id: Whose it is.
        digest: SHA-256 of its bytes, in hex: what the consent is about.
        size_bytes: Its size.
        name, entries: What it says of itself.
    """

    session_id: str
    digest: str
    size_bytes: int
    name: str
    entries: int


class AdoptionReport(msgspec.Struct, frozen=True):
    """What came of adopting unsigned files, or would in a dry run.

    Attributes:
        adopted: Files that may be opened now, by session id.
        refused: Files that were left alone, by name, with the code and the reason.
        left_out: Names of a directory that end like those of unsigned files and are no session ids.
    """

    adopted: tuple[AdoptedFile, ...]
    refused: tuple[Unreadable, ...]
    left_out: tuple[str, ...] = ()


class Rebinding(msgspec.Struct, frozen=True):
    """A session's project directory before and after somebody bound it anew.

    Attributes:
        session_id: Which.
        before: The record that was signed, None for a session that had no project.
        after: The record of the directory as it was opened now.
    """

    session_id: str
    before: ProjectRecord | None
    after: ProjectRecord

    @property
    def changed(self) -> tuple[str, ...]:
        """The members of the record that differ, in their order; empty if it is the same directory as before."""
        if self.before is None:
            return ProjectRecord.__struct_fields__
        return tuple(
            name for name in ProjectRecord.__struct_fields__ if getattr(self.before, name) != getattr(self.after, name)
        )


class Redaction(msgspec.Struct, frozen=True):
    """What a redaction in place took out, or would in a dry run.

    Attributes:
        session_id: Which.
        rev: The revision now.
        entries: How many entries were changed.
        found: How often something was taken out, by kind; state and entries together.
        purged: Other files that held bytes of the session and were removed: directory and name.
        unfinished: What holds old bytes here and could not be removed; doing it again may.
        unreached: What may hold the old bytes and is out of reach, in words.
    """

    session_id: str
    rev: int
    entries: int
    found: dict[str, int]
    purged: tuple[str, ...]
    unfinished: tuple[str, ...]
    unreached: tuple[str, ...]


class AuditRecord(msgspec.Struct, frozen=True):
    """One event of the audit log, verified.

    Attributes:
        file, line: Number of the file, and 1-based number of the line in it.
        seq: Counts the events of the log from 1, over all files.
        at: When it was written.
        event: What happened, one of a fixed table.
        session_id: The session it is about, or None.
        pid: The process that wrote it.
        fields: The particulars of that kind of event.
    """

    file: int
    line: int
    seq: int
    at: datetime
    event: str
    session_id: str | None
    pid: int
    fields: dict[str, str | int | None]


class AuditFinding(msgspec.Struct, frozen=True):
    """A place where the audit log is not what was written.

    Attributes:
        file: Name of the file.
        line: 1-based number of the first bad line, 0 if it is about the file as a whole.
        kind: `changed`, `missing`, `unsafe_file`, or `unknown_file`: the ledger knows of no such file.
        text: The same in words.
    """

    file: str
    line: int
    kind: Literal["changed", "missing", "unsafe_file", "unknown_file"]
    text: str


class AuditReport(msgspec.Struct, frozen=True):
    """What a check of the whole audit log came to.

    Attributes:
        lines: How many lines verify.
        files: How many files are there and whole.
        retired: How many were removed because of their age.
        findings: What is wrong, in the order of files; empty if nothing is.
        notes: What is worth knowing and no sign of tampering, in words.
    """

    lines: int
    files: int
    retired: int
    findings: tuple[AuditFinding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings
