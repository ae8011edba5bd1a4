"""What the SDK calls a transcript, and what of it stands in the store: keys, tags, names for people.

One transcript of the SDK is one session of the store, and one more session beside each main transcript holds what the
SDK folds out of it (see `summaries`). Two tags carry what a list needs, so that it opens no file:

* the group: a digest of the project for main transcripts, of project and session for those of subagents;
* the stamp, of main transcripts only: when it was last saved, and the digest of the summary that goes with it. It is
  sealed in the same step as the entries, so the two cannot part.

A digest only narrows a search. Which transcript a session is, its key says; where that had to be shortened, the
session's own `config`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sessionstore.errors import InvalidValueError, MalformedError
from sessionstore.integrations.foreign import key_of
from sessionstore.model import Session, SessionSummary, check_name

SDK = "claude"
MAIN, SUBAGENT, SUMMARY = "main", "subagent", "summary"

_STAMP = re.compile(r"claude:([0-9]{1,16}):([0-9a-f]{32})")


class Transcript(NamedTuple):
    """The SDK's name of a transcript, member for member.

    Attributes:
        project: Its `project_key`.
        session: Its `session_id`.
        subpath: None for the main transcript. The empty text is a name like any other.
    """

    project: str
    session: str
    subpath: str | None = None

    @property
    def key(self) -> str:
        """Key of its session in the store."""
        if self.subpath is None:
            return key_of(SDK, MAIN, self.project, self.session)
        return key_of(SDK, SUBAGENT, self.project, self.session, self.subpath)

    @property
    def summary_key(self) -> str:
        """Key of the session that holds its summaries."""
        return key_of(SDK, SUMMARY, self.project, self.session)

    @property
    def group(self) -> str:
        """The tag that it shares with what is listed together with it."""
        if self.subpath is None:
            return f"{SDK}:project:{_digest(key_of(SDK, self.project))}"
        return f"{SDK}:session:{_digest(key_of(SDK, self.project, self.session))}"

    @property
    def title(self) -> str:
        """A name for people, as far as the SDK's name can be shown."""
        text = self.session if self.subpath is None else f"{self.session} {self.subpath}"
        try:
            return check_name(text)
        except InvalidValueError:
            return "Claude transcript"

    def as_config(self) -> dict[str, Any]:
        """The name as it is kept in the session itself."""
        return {SDK: {"project_key": self.project, "session_id": self.session, "subpath": self.subpath}}


class Stamp(NamedTuple):
    """When a main transcript was last saved, in milliseconds since 1970, and which summary belongs to it."""

    mtime_ms: int
    digest: str

    @property
    def tag(self) -> str:
        """The stamp as a tag."""
        return f"{SDK}:{self.mtime_ms}:{self.digest}"


def transcript_of(key: Mapping[str, Any]) -> Transcript:
    """The name in a key of the SDK.

    Raises:
        InvalidValueError: A member is missing.
    """
    try:
        return Transcript(key["project_key"], key["session_id"], key.get("subpath"))
    except KeyError as exc:
        raise InvalidValueError(what="key", reason="project_key and session_id are needed") from exc


def read_key(key: str | None) -> Transcript | None:
    """The transcript with this key in the store; None if it is none, or if its name did not fit into the key."""
    try:
        sdk, kind, *parts = json.loads(key or "")
    except (TypeError, ValueError):
        return None
    if sdk != SDK or (kind, len(parts)) not in ((MAIN, 2), (SUBAGENT, 3)):
        return None
    return Transcript(*parts)


def is_shortened(key: str | None) -> bool:
    """Whether it is the key of a transcript whose name did not fit into it."""
    return key is not None and key.startswith(f"{SDK}:")


def read_config(session: Session) -> Transcript:
    """The transcript whose name did not fit into the session's key.

    Raises:
        MalformedError: Somebody changed the `config` in which the name stands.
    """
    try:
        found = transcript_of(session.config[SDK])
        if found.key == session.key:
            return found
    except (InvalidValueError, KeyError, TypeError):
        pass
    raise MalformedError(session_id=session.id, reason="its config does not say any more which transcript it is")


def stamp_of(record: SessionSummary) -> Stamp:
    """The stamp of a main transcript; one without a summary if somebody took the tag away."""
    found = next((match for tag in record.tags if (match := _STAMP.fullmatch(tag))), None)
    if found is None:
        return Stamp(int(record.updated_at.timestamp() * 1000), "")
    return Stamp(int(found[1]), found[2])


def stamped(tags: Iterable[str], stamp: Stamp) -> tuple[str, ...]:
    """The tags with this stamp in the place of the old one; what people added stays."""
    return (*(tag for tag in tags if not _STAMP.fullmatch(tag)), stamp.tag)


def digest_of(data: Mapping[str, Any]) -> str:
    """The digest that stands for a summary's data."""
    return _digest(json.dumps(data, sort_keys=True, separators=(",", ":")))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
