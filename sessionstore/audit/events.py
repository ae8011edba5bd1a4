"""Every event of the audit log: which particulars it has, how loud it is, and what happens if it cannot be written.

Rules:

* What is not in the table is refused. A particular is a word of ours, a number, an id, or a short text that the table
  names: there is no field for content, keys, tags, tokens or idempotency keys.
* A row stands here only if something in this package writes it.
* An event that *grants* something is written before it is granted; if it cannot be written, nothing is granted. Other
  events tell of something that was refused or is over: the refusal goes its way, and the failure goes to `logging`.
* A *synced* event is on the disk when `record` returns. Others are synced with the next synced one, after
  `sync_interval_s`, and at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from sessionstore.audit.kinds import Value, count, digest, key_id, session, text, word
from sessionstore.errors import InvalidValueError


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table.

    Attributes:
        what: What happened, in a few words.
        fields: Name and kind of each particular; one that is not given is null.
        grants: Written before the act, which is refused if it cannot be.
        synced: On the disk when `record` returns.
        warns: `WARNING` in `logging`, else `INFO`.
        quiet_s: For so many seconds, the process writes the same event of the same session no second time.
    """

    what: str
    fields: dict[str, Callable[[object], Value]] = {}
    grants: bool = False
    synced: bool = False
    warns: bool = False
    quiet_s: float = 0.0


EVENTS: dict[str, Event] = {
    "resume_attempt": Event(what="somebody asked to resume a session", grants=True),
    "resume_refused": Event(what="a resume was refused", fields={"code": word, "verdict": word}, warns=True),
    "resume_committed": Event(
        what="a session was handed over to be worked in", fields={"rev": count}, grants=True, synced=True
    ),
    "resume_rolled_back": Event(
        what="a resume was left before it was committed", fields={"code": word, "verdict": word}
    ),
    "resume_ended": Event(what="the run of a resumed session is over", fields={"status": count}),
    "rate_limited": Event(
        what="too many attempts",
        fields={"operation": word, "scope": word, "retry_after_s": count},
        warns=True,
    ),
    "rebind": Event(
        what="a session was bound to another project directory",
        fields={"before": text, "after": text, "consent": text, "trust": text},
        grants=True,
        synced=True,
        warns=True,
    ),
    "redaction": Event(
        what="secrets were taken out of a session for good",
        fields={"entries": count, "found": count},
        grants=True,
        synced=True,
        warns=True,
    ),
    "eviction": Event(
        what="the oldest closed session was deleted, because the store was full",
        fields={"rev": count, "limit": count},
        grants=True,
        synced=True,
        warns=True,
    ),
    "limits_off": Event(
        what="a limit is switched off by a setting", fields={"setting": word}, warns=True, quiet_s=float("inf")
    ),
    "tampering_found": Event(
        what="a session is not what was saved",
        fields={"code": word, "line": count},
        synced=True,
        warns=True,
        quiet_s=60.0,
    ),
    "inventory_taken": Event(
        what="unsigned files were taken as genuine when the store began",
        fields={"count": count},
        grants=True,
        synced=True,
        warns=True,
    ),
    "repair": Event(
        what="a damaged session was repaired, or what is good of it was taken out",
        fields={"code": word, "action": word, "rev": count, "bytes": count, "fork": session},
        grants=True,
        synced=True,
        warns=True,
    ),
    "restore": Event(
        what="an older or other state of a session was taken because a person named its revision",
        fields={"file_rev": count, "known_rev": count, "consent": text},
        grants=True,
        synced=True,
        warns=True,
    ),
    "rebase": Event(
        what="the ledger was brought up to a session file that is ahead of it",
        fields={"file_rev": count, "known_rev": count, "consent": text},
        grants=True,
        synced=True,
        warns=True,
    ),
    "sealed_adopted": Event(
        what="a sealed file without a record here was taken in because somebody vouched for it",
        fields={"key_id": key_id, "file_rev": count, "entries": count, "consent": text},
        grants=True,
        synced=True,
        warns=True,
    ),
    "ledger_rebuilt": Event(
        what="the ledger was lost, and a new one was made of the session files",
        fields={"taken": count, "left": count, "audit_files": count, "audit_doubts": count, "consent": text},
        grants=True,
        synced=True,
        warns=True,
    ),
    "adoption": Event(
        what="an unsigned file was listed by consent",
        fields={"digest": digest, "consent": text},
        grants=True,
        synced=True,
        warns=True,
    ),
    "migration": Event(
        what="a session of an unsigned file was sealed",
        fields={"digest": digest},
        grants=True,
        synced=True,
    ),
    "policy_raised": Event(
        what="unsigned files are treated more strictly from now on",
        fields={"before": word, "after": word, "by": word},
        grants=True,
        synced=True,
    ),
    "policy_lowered": Event(
        what="unsigned files are treated less strictly from now on",
        fields={"before": word, "after": word, "consent": text},
        grants=True,
        synced=True,
        warns=True,
    ),
    "store_claimed": Event(
        what="the ledger was bound to another data directory",
        fields={"path": text},
        grants=True,
        synced=True,
        warns=True,
    ),
    "import_trusted": Event(
        what="a document that cannot be checked here was taken in",
        fields={"origin": session, "key_id": key_id},
        grants=True,
        synced=True,
        warns=True,
    ),
    "key_added": Event(
        what="a new signing key was made, to become the primary one",
        fields={"key_id": key_id},
        grants=True,
        synced=True,
        warns=True,
    ),
    "key_promoted": Event(
        what="another key is primary from here on; what was written before is anchored by its digest",
        fields={"key_id": key_id},
        synced=True,
        warns=True,
    ),
    "key_retired": Event(
        what="a key was taken out of use",
        fields={"key_id": key_id, "status": word, "sessions_lost": count},
        grants=True,
        synced=True,
        warns=True,
    ),
    "key_exported": Event(
        what="the signing key left this machine, sealed with a passphrase",
        fields={"key_id": key_id},
        grants=True,
        synced=True,
        warns=True,
    ),
    "key_imported": Event(
        what="sessions were taken over that another machine's key vouches for",
        fields={"key_id": key_id, "origin": session, "sessions": count},
        grants=True,
        synced=True,
        warns=True,
    ),
    "audit_damaged": Event(
        what="a file of this log is not what was written",
        fields={"file": count, "line": count, "reason": word},
        synced=True,
        warns=True,
    ),
    "audit_lost": Event(
        what="lines that were not synced went with the machine",
        fields={"file": count, "lines": count},
        synced=True,
        warns=True,
    ),
    "audit_set_aside": Event(
        what="bytes behind the end of this log were set aside",
        fields={"file": count, "bytes": count, "kept_as": text},
        synced=True,
        warns=True,
    ),
    "audit_retired": Event(
        what="files of this log were removed because of their age",
        fields={"first": count, "last": count},
        synced=True,
    ),
}


class Ready(msgspec.Struct, frozen=True):
    """An event that may be written.

    Attributes:
        name: Of the row.
        row: What the table says of it.
        session_id: Whose, or None.
        fields: Every particular of the row.
    """

    name: str
    row: Event
    session_id: str | None
    fields: dict[str, Value]


def prepare(name: str, session_id: str | None, given: Mapping[str, object]) -> Ready:
    """The event with all of its fields, checked and cut.

    Raises:
        InvalidValueError: There is no such event, it has no such field, or a value is not of the field's kind. The
            value is not repeated.
    """
    row = EVENTS.get(name)
    if row is None:
        raise InvalidValueError(what="audit event", reason="there is no such event")
    if not given.keys() <= row.fields.keys():
        raise InvalidValueError(
            what=f"audit event {name}", reason=f"it has the fields {sorted(row.fields)} and no other"
        )
    fields: dict[str, Value] = {}
    try:
        if session_id is not None:
            session(session_id)
        for field, check in row.fields.items():
            value = given.get(field)
            fields[field] = None if value is None else check(value)
    except ValueError as exc:
        raise InvalidValueError(what=f"audit event {name}", reason=str(exc)) from None
    return Ready(name, row, session_id, fields)
