"""Taking in a sealed file that this machine has no record of, because a person vouches for it.

Its key or its record was lost, or it was copied from elsewhere. The file must be whole: every seal in order, the chain
over every byte right, every signature good whose key is here. Then its content goes through the same checks as anything
that is saved, and is sealed anew under the present key, with provenance `adopted` for ever.

* What an older key of this store sealed is taken as far as a seal commits it whose key can still be used; none of it
  behind the present key's seals, for the older key was out of use by then.
* The original goes into quarantine first, byte for byte.
* A project that no signature vouches for keeps its name and loses its identity: a directory has to be bound before the
  session can be resumed in it.
* Killed half way, the file has still no record, and the call can be repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import NamedTuple

import msgspec

from sessionstore.edits import StoreEdits
from sessionstore.errors import (
    AlreadyExistsError,
    InvalidIdError,
    InvalidValueError,
    MalformedError,
    ProjectPathError,
    RollbackError,
    SessionLimitError,
    SessionNotFoundError,
    TooLargeError,
    WrongSessionError,
)
from sessionstore.format.held import Held, walk_held
from sessionstore.format.lines import Open, State, StateChange, entry_line, open_line, state_line
from sessionstore.format.log import Batch, Content, Segment, Summary
from sessionstore.format.seal import Broken, Sealed
from sessionstore.fs.project import stated
from sessionstore.model import (
    SealedAdoption,
    check_id,
    check_key,
    check_name,
    check_tags,
    format_time,
    next_time,
    parse_time,
)
from sessionstore.recovery.evidence import check_consent, heard, pieces, refuse_read_only
from sessionstore.sessions import Ground
from sessionstore.sessions.ground import file_name, head_after, new_head, refuse_lost
from sessionstore.sessions.judge import damaged, refuse_given_up
from sessionstore.storage import Log

_MAX_REV = 2**53 - 2


class _Whole(NamedTuple):
    """A file that was read to its last complete save.

    Attributes:
        opened: Its first line.
        content: What is in it.
        last: The seal of that save.
        checked: Whether every signature could be checked, the last under the primary key.
    """

    opened: Open
    content: Content
    last: Sealed
    checked: bool


def adopt_sealed(
    edits: StoreEdits, session_id: str, *, consent: str, accept_rev: int | None, dry_run: bool
) -> SealedAdoption:
    """See `SessionStore.adopt_sealed`."""
    ground = edits._ground
    check_id(session_id)
    check_consent(consent)
    if not dry_run:
        refuse_read_only(ground)
    with ExitStack() as held:
        if not dry_run:
            held.enter_context(ground.backend.at_rest(session_id))
        held.enter_context(ground.locked(session_id, shared=dry_run))
        if ground.ledger.head(session_id) is not None:
            edits._reader.find(session_id).log.close()  # raises what is wrong with it
            raise InvalidValueError(what="adopt", reason="this session is known here and needs no adoption")
        refuse_lost(ground, proven=True)  # it may be the row of this one that was taken away, and this an older state
        log = ground.backend.open(file_name(session_id))
        if log is None:
            raise SessionNotFoundError
        held.enter_context(closing(log))
        whole = _read(edits, session_id, log)
        _refuse_taken(edits, whole.opened)
        seal = whole.last.seal
        known = heard(ground, session_id).get(session_id)
        known_rev = 0 if known is None else known.rev
        adoption = SealedAdoption(
            session_id=session_id,
            key_id=whole.last.key_id,
            checked=whole.checked,
            name=seal.name,
            file_rev=seal.rev,
            file_at=parse_time(_time(seal.updated_at)),
            entries=len(whole.content.entries),
            known_rev=known_rev,
            rev=max(seal.rev, known_rev) + 1,
        )
        if not dry_run and known_rev > seal.rev and accept_rev != seal.rev:
            hint = f"an older copy of the file was put here; to take it all the same, add `--accept-rev {seal.rev}`"
            raise RollbackError(session_id=session_id, rev=seal.rev, head_rev=known_rev, hint=hint)
        made = _Making(edits, whole, adoption)
        if dry_run:
            for _ in made.lines():
                pass  # whatever could not be kept is found now
            return adoption
        ground.audit.record(
            "sealed_adopted",
            session_id=session_id,
            key_id=adoption.key_id,
            file_rev=adoption.file_rev,
            entries=adoption.entries,
            consent=consent,
        )
        kept_as = ground.backend.keep(f"{session_id}.adopted", pieces(log, 0, log.stamp().size))
        return msgspec.structs.replace(adoption, rev=made.write(), kept_as=kept_as)


class _Making:
    """The new file of an adopted session."""

    def __init__(self, edits: StoreEdits, whole: _Whole, adoption: SealedAdoption) -> None:
        self._ground = edits._ground
        self._whole = whole
        self._id = adoption.session_id
        self._rev = adoption.rev
        self._state = _state(whole)
        seal, opened = whole.last.seal, whole.opened
        # A time that nobody signed does not hold back those that follow: it may lie far ahead.
        clock = self._ground.now()
        now = format_time(next_time(clock, adoption.file_at) if whole.checked else clock)
        nothing = Summary(
            name=self._state.name,
            tags=self._state.tags,
            project=None,
            place=None,
            provenance="adopted",
            created_at=_time(seal.created_at),
            updated_at=now,
            closed_at=self._state.closed_at,
        )
        self._summary = nothing.changed(StateChange(project=self._state.project), now)
        self._opened = Open(
            id=self._id,
            store=self._ground.store_id,
            created_at=_time(opened.created_at),
            key=opened.key,
            parent=opened.parent,
            origin=opened.origin,
        )

    def lines(self) -> Iterator[bytes]:
        """Everything in it but the seals, each line checked as anything that is saved."""
        max_bytes = self._ground.config.max_entry_bytes
        yield open_line(self._opened)
        yield state_line(self._state.as_change(), max_bytes=max_bytes)
        for entry in self._whole.content.entries:
            yield entry_line(entry, max_bytes=max_bytes)

    def write(self) -> int:
        """Put it in the place of the old file, and begin its record; its revision."""
        ground, last = self._ground, self._whole.last
        batch = Batch(
            ground.sealer(self._id),
            None,
            self._summary,
            max_session_bytes=ground.config.max_session_bytes,
            first_rev=self._rev,
            replaces=last.signature,
        )
        stamp = ground.backend.write(file_name(self._id), batch.chunks(self.lines()), replace=True)
        opened = self._opened
        head = new_head(self._id, self._summary, key=opened.key, parent=opened.parent, origin=opened.origin)
        ground.ledger.commit(head_after(head, batch.sealed, stamp), old=None, durable=True)
        return batch.sealed.seal.rev


def _read(edits: StoreEdits, session_id: str, log: Log) -> _Whole:
    """The whole file, checked before anything of it is decoded."""
    ground, size = edits._ground, log.stamp().size
    limit = ground.config.max_session_bytes
    if size > limit:
        raise TooLargeError(what="session", size_bytes=size, limit_bytes=limit, setting="max_session_bytes")
    segments: list[Segment] = []
    vouched = _Vouched(ground)
    try:
        for held in walk_held(ground.sealer(session_id), log.read, end=size):
            if not vouched.takes(held):
                break
            segments.append(held.segment)
    except Broken:
        raise damaged(session_id, vouched.last) from None
    last = vouched.last
    if last is None and vouched.held:
        refuse_given_up(ground, vouched.held, session_id)
    if last is None or not 0 < last.seal.rev <= _MAX_REV:
        raise damaged(session_id, None)
    content = Content()
    for segment in segments:
        if segment.sealed.end <= last.end:
            content.add(segment)
    if content.opened is None or content.opened.id != session_id:
        raise WrongSessionError(session_id=session_id)
    return _Whole(content.opened, content, last, vouched.checked)


class _Vouched:
    """Which seals of a file a person may vouch for, as they come.

    Attributes:
        last: The last one that ends a save and is committed by a seal that counts.
        checked: Whether everything up to `last` is committed by the primary key. A key that is not primary any more
            may be in other hands: what only it signed is as good as unsigned.
        held: Id of a key that was given up here, whose seals nothing commits so far; "" for none.
    """

    def __init__(self, ground: Ground) -> None:
        self._keyring = ground.keyring
        self._whole: Sealed | None = None
        self._primary_came = self._strange = False
        self.last: Sealed | None = None
        self.checked = False
        self.held = ""

    def takes(self, held: Held) -> bool:
        """Whether this seal may follow those before."""
        sealed = held.segment.sealed
        key = self._keyring.find(sealed.key_id)
        primary = key is self._keyring.primary
        if self._primary_came and key is not None and not primary:
            return False
        self._primary_came |= primary
        self._strange |= key is None
        if not sealed.seal.more:
            self._whole = sealed
        if held.checked:
            self.held = ""
        elif key is not None:
            self.held = sealed.key_id
        if not self.held and self._whole is not None:
            self.last = self._whole
            self.checked = primary and not self._strange
        return True


def _refuse_taken(edits: StoreEdits, opened: Open) -> None:
    ground = edits._ground
    try:
        _ = opened.key is None or check_key(opened.key)
        _ = opened.origin is None or check_key(opened.origin)
        _ = opened.parent is None or check_id(opened.parent)
    except (InvalidValueError, InvalidIdError) as exc:
        raise MalformedError(session_id=opened.id, reason=f"open line: {exc}") from None
    if opened.key is not None and ground.ledger.find_key(opened.key) is not None:
        raise AlreadyExistsError(what="key")
    if ground.ledger.count(("creating", "live")) >= ground.config.max_sessions:
        raise SessionLimitError(limit=ground.config.max_sessions)


def _state(whole: _Whole) -> State:
    """The state, with nothing in it that only a signature could vouch for."""
    state = whole.content.state
    try:
        project = state.project
        if project is not None and not whole.checked:
            project = stated(project.path)
        return msgspec.structs.replace(
            state,
            name=check_name(state.name),
            tags=check_tags(state.tags),
            project=project,
            closed_at=None if state.closed_at is None else _time(state.closed_at),
        )
    except (InvalidValueError, ProjectPathError) as exc:
        raise MalformedError(session_id=whole.opened.id, reason=f"state: {exc}") from None


def _time(text: str) -> str:
    try:
        return format_time(parse_time(text))
    except ValueError as exc:
        raise MalformedError(session_id="", reason=f"time: {exc}") from None
