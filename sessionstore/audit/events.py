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

import re
from collections.abc import Callable, Mapping

import msgspec

from sessionstore.errors import InvalidValueError
from sessionstore.model.ids import is_id

Value = str | int | None

# A cut text keeps both ends: the end of a path says more than its middle.
MAX_TEXT_BYTES = 720
CUT = "\u2026"

_WORD = re.compile(r"[a-z][a-z0-9_]{0,63}")
_KEY_ID = re.compile(r"[0-9a-f]{16}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MAX_COUNT = 2**53


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


def _word(value: object) -> Value:
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise ValueError("a word of lower-case letters, digits and underscores is needed")
    return value


def _count(value: object) -> Value:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _MAX_COUNT:
        raise ValueError("a whole number from 0 is needed")
    return value


def _id(value: object) -> Value:
    if not isinstance(value, str) or not is_id(value):
        raise ValueError("an id is needed")
    return value


def _key_id(value: object) -> Value:
    if not isinstance(value, str) or not _KEY_ID.fullmatch(value):
        raise ValueError("a key id is needed")
    return value


def _digest(value: object) -> Value:
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise ValueError("a SHA-256 digest in hex is needed")
    return value


def _text(value: object) -> Value:
    if not isinstance(value, str):
        raise ValueError("text is needed")
    return cut(value.encode("utf-8", "backslashreplace").decode())


def cut(text: str) -> str:
    """`text`, or its two ends with a mark between them, so that it takes at most 720 bytes as ASCII JSON."""
    if len(text) * 12 <= MAX_TEXT_BYTES or spelled_bytes(text) <= MAX_TEXT_BYTES:
        return text
    half = (MAX_TEXT_BYTES - spelled_bytes(CUT)) // 2
    return f"{_start(text, half)}{CUT}{_start(text[::-1], half)[::-1]}"


def spelled_bytes(text: str) -> int:
    """How many bytes `text` takes as ASCII JSON, at most: six for what is escaped, twelve beyond U+FFFF."""
    return sum(1 if " " <= char <= "~" and char not in '"\\' else 6 if char <= "\uffff" else 12 for char in text)


def _start(text: str, size_bytes: int) -> str:
    # No more characters than bytes are needed, so a text of any length costs the same.
    left_bytes, text = size_bytes, text[:size_bytes]
    for at, char in enumerate(text):
        left_bytes -= spelled_bytes(char)
        if left_bytes < 0:
            return text[:at]
    return text


EVENTS: dict[str, Event] = {
    "resume_attempt": Event(what="somebody asked to resume a session", grants=True),
    "resume_refused": Event(what="a resume was refused", fields={"code": _word, "verdict": _word}, warns=True),
    "resume_committed": Event(
        what="a session was handed over to be worked in", fields={"rev": _count}, grants=True, synced=True
    ),
    "resume_rolled_back": Event(
        what="a resume was left before it was committed", fields={"code": _word, "verdict": _word}
    ),
    "resume_ended": Event(what="the run of a resumed session is over", fields={"status": _count}),
    "rate_limited": Event(
        what="too many attempts",
        fields={"operation": _word, "scope": _word, "retry_after_s": _count},
        warns=True,
    ),
    "rebind": Event(
        what="a session was bound to another project directory",
        fields={"before": _text, "after": _text, "consent": _text, "trust": _text},
        grants=True,
        synced=True,
        warns=True,
    ),
    "limits_off": Event(
        what="a limit is switched off by a setting", fields={"setting": _word}, warns=True, quiet_s=float("inf")
    ),
    "tampering_found": Event(
        what="a session is not what was saved",
        fields={"code": _word, "line": _count},
        synced=True,
        warns=True,
        quiet_s=60.0,
    ),
    "inventory_taken": Event(
        what="unsigned files were taken as genuine when the store began",
        fields={"count": _count},
        grants=True,
        synced=True,
        warns=True,
    ),
    "adoption": Event(
        what="an unsigned file was listed by consent",
        fields={"digest": _digest, "consent": _text},
        grants=True,
        synced=True,
        warns=True,
    ),
    "migration": Event(
        what="a session of an unsigned file was sealed",
        fields={"digest": _digest},
        grants=True,
        synced=True,
    ),
    "policy_raised": Event(
        what="unsigned files are treated more strictly from now on",
        fields={"before": _word, "after": _word, "by": _word},
        grants=True,
        synced=True,
    ),
    "policy_lowered": Event(
        what="unsigned files are treated less strictly from now on",
        fields={"before": _word, "after": _word, "consent": _text},
        grants=True,
        synced=True,
        warns=True,
    ),
    "store_claimed": Event(
        what="the ledger was bound to another data directory",
        fields={"path": _text},
        grants=True,
        synced=True,
        warns=True,
    ),
    "import_trusted": Event(
        what="a document that cannot be checked here was taken in",
        fields={"origin": _id, "key_id": _key_id},
        grants=True,
        synced=True,
        warns=True,
    ),
    "audit_damaged": Event(
        what="a file of this log is not what was written",
        fields={"file": _count, "line": _count, "reason": _word},
        synced=True,
        warns=True,
    ),
    "audit_lost": Event(
        what="lines that were not synced went with the machine",
        fields={"file": _count, "lines": _count},
        synced=True,
        warns=True,
    ),
    "audit_set_aside": Event(
        what="bytes behind the end of this log were set aside",
        fields={"file": _count, "bytes": _count, "kept_as": _text},
        synced=True,
        warns=True,
    ),
    "audit_retired": Event(
        what="files of this log were removed because of their age",
        fields={"first": _count, "last": _count},
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
            _id(session_id)
        for field, check in row.fields.items():
            value = given.get(field)
            fields[field] = None if value is None else check(value)
    except ValueError as exc:
        raise InvalidValueError(what=f"audit event {name}", reason=str(exc)) from None
    return Ready(name, row, session_id, fields)
