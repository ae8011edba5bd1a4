"""The same events to the standard `logging` logger `sessionstore`, with the particulars as attributes of the record.

Rules: the library sets no level and no output: whoever wants to see them configures `logging`. Text in messages and
attributes is printable ASCII, so that no formatter can be made to print a line of somebody else's.
"""

from __future__ import annotations

import json
import logging

from sessionstore.audit.events import Ready
from sessionstore.audit.kinds import Value
from sessionstore.errors import SessionStoreError

LOGGER = logging.getLogger("sessionstore")
LOGGER.addHandler(logging.NullHandler())


def tell(event: Ready) -> None:
    """Log an event. The record has `event`, `session_id`, and the event's fields under their names."""
    level = logging.WARNING if event.row.warns else logging.INFO
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, "%s", _message(event), extra=_extra(event))


def tell_failure(event: Ready, error: SessionStoreError) -> None:
    """Log that an event could not be written into the audit log."""
    text = f"not in the audit log: {_message(event)}: {_plain(str(error))}"
    LOGGER.error("%s", text, extra={**_extra(event), "audit_error": error.code})


def tell_trouble(what: str, error: SessionStoreError) -> None:
    """Log trouble with the audit log that is about no single event."""
    LOGGER.error("%s", f"{what}: {_plain(str(error))}", extra={"audit_error": error.code})


def _message(event: Ready) -> str:
    parts = [event.name, *(f"{name}={_plain(value)}" for name, value in event.fields.items() if value is not None)]
    if event.session_id is not None:
        parts.insert(1, f"session={event.session_id}")
    return " ".join(parts)


def _extra(event: Ready) -> dict[str, Value]:
    fields = {name: _plain(value) if isinstance(value, str) else value for name, value in event.fields.items()}
    return {**fields, "event": event.name, "session_id": event.session_id}


def _plain(value: Value) -> str:
    text = value if isinstance(value, str) else str(value)
    return json.dumps(text, ensure_ascii=True)[1:-1]
