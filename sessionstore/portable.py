"""Sessions that travel: one signed JSON document out, a new session in.

The document is `{"export":{…},"signature":"sx1.<16 hex>.<64 hex>"}` on one line. The signature is cut by length and
covers every byte before it, under a key of its own purpose, together with the store and the session it came from.
Nothing is decoded before it verifies, except the store id and session id that are part of what is verified.

Sealed by passphrase, the key comes from the passphrase and a random salt, and the key id is sixteen zeros. That
proves who made the document, it does not hide what is in it.

An imported session gets a new id and the provenance `imported`; its old id is kept as `origin`. Its project is a name
without identity: a directory has to be bound before such a session can be resumed in it.

A document may have been redacted: then it says how much was taken out, and the signature is over what is left.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from typing import Any

import msgspec

from sessionstore.errors import (
    InvalidSignatureError,
    InvalidValueError,
    KeyDisabledError,
    MalformedError,
    ProjectPathError,
    UnknownKeyError,
)
from sessionstore.format.lines import State
from sessionstore.format.strict import parse_json
from sessionstore.fs.project import stated
from sessionstore.model import (
    LoadWarning,
    ProjectRecord,
    Session,
    Todo,
    check_id,
    check_name,
    check_tags,
    format_time,
    new_id,
    parse_time,
)
from sessionstore.redaction import Redactor
from sessionstore.sessions import Ground, Lifecycle, Reader, Unsigned
from sessionstore.signing import PASSPHRASE_KEY_ID, SALT_BYTES, MacKey, TagMismatch, passphrase_key

CONTEXT = b"sessionstore/export/1"
SUFFIX_BYTES = 102

_OLD_KEY = "export the session again; or vouch for the document with --trust unknown_key"
_PREFIX = b'{"export":'
_SUFFIX = re.compile(rb',"signature":"sx1\.([0-9a-f]{16})\.([0-9a-f]{64})"\}\n')
_HEADER = re.compile(
    rb'\{"export":\{"format":1,"store":"([0-9a-f-]{36})","id":"([0-9a-f-]{36})","salt":(?:null|"([0-9a-f]{32})"),'
)


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The content of an export. The first four members stand first, in this order.

    `redacted` is there only if something was to be taken out: what was, and how often, by kind.
    """

    format: int
    store: str
    id: str
    salt: str | None
    exported_at: str
    rev: int
    name: str
    tags: tuple[str, ...]
    project: bytes | None
    provenance: str
    created_at: str
    updated_at: str
    closed_at: str | None
    config: dict[str, Any]
    todos: tuple[Todo, ...]
    entries: tuple[dict[str, Any], ...]
    redacted: dict[str, int] | None = None


def redacted(session: Session, redactor: Redactor) -> Session:
    """The session without the secrets in name, tags, config, todos and entries; its project's path stays."""
    entries = tuple(redactor.value(entry) for entry in session.entries)
    return msgspec.structs.replace(redactor.described(session), entries=entries)


def export(
    ground: Ground, session: Session, *, passphrase: str | None = None, redactor: Redactor | None = None
) -> bytes:
    """`session` as a signed document; by this store's key, or by a passphrase for another machine.

    With a redactor, the document holds what that leaves, and its counts.

    Raises:
        InvalidValueError: The passphrase is shorter than 8 characters.
    """
    if redactor is not None:
        session = redacted(session, redactor)
    salt = None if passphrase is None else os.urandom(SALT_BYTES)
    document = Document(
        format=1,
        store=ground.store_id,
        id=session.id,
        salt=None if salt is None else salt.hex(),
        exported_at=format_time(ground.now()),
        rev=session.rev,
        name=session.name,
        tags=session.tags,
        project=None if session.project is None else session.project.path,
        provenance=session.provenance,
        created_at=format_time(session.created_at),
        updated_at=format_time(session.updated_at),
        closed_at=None if session.closed_at is None else format_time(session.closed_at),
        config=session.config,
        todos=session.todos,
        entries=session.entries,
        redacted=None if redactor is None else dict(sorted(redactor.counts.items())),
    )
    content = _PREFIX + msgspec.json.encode(document)
    key = ground.keyring.mac_key("export") if passphrase is None or salt is None else passphrase_key(passphrase, salt)
    tag = key.tag(*_identity(ground.store_id, session.id, key), content)
    return content + f',"signature":"sx1.{key.key_id}.{tag.hex()}"}}\n'.encode()


def import_document(
    ground: Ground,
    lifecycle: Lifecycle,
    data: bytes,
    *,
    trust: Collection[str] = (),
    passphrase: str | None = None,
    keep_id: bool = False,
) -> tuple[str, tuple[LoadWarning, ...]]:
    """Make a session out of a document that `export` made; return its id, and what is worth saying of it.

    Args:
        ground, lifecycle: Of the store that takes it in.
        data: The document.
        trust: `unknown_key` takes a document whose signature cannot be checked here: the caller vouches for it.
        passphrase: For a document that was sealed with one.
        keep_id: Use the document's own id; refused if it was ever used here.

    Raises:
        UnknownKeyError: Another machine's key signed it, or it needs a passphrase.
        KeyDisabledError: It was made before the last change of keys.
        InvalidSignatureError: It was changed, or the passphrase is wrong.
        MalformedError, TooDeepError, TooLargeError, InvalidValueError: It is no export document, or holds
            what cannot be kept.
        AlreadyExistsError: `keep_id`, and the id was used here before.
    """
    if not set(trust) <= {"unknown_key"}:
        raise InvalidValueError(what="trust", reason="only unknown_key can be trusted here")
    header = _HEADER.match(data)
    suffix = _SUFFIX.fullmatch(data, max(0, len(data) - SUFFIX_BYTES))
    if header is None or suffix is None:
        raise MalformedError(session_id="", reason="not a document that export made")
    store_id, session_id = header[1].decode(), check_id(header[2].decode())
    key = _key_of(ground, suffix[1].decode(), header[3], passphrase, vouched="unknown_key" in trust)
    if key is not None:
        try:
            tag = bytes.fromhex(suffix[2].decode())
            key.verify(tag, *_identity(store_id, session_id, key), data[:-SUFFIX_BYTES])
        except TagMismatch:
            raise InvalidSignatureError(session_id=session_id, line=1, last_good_rev=0) from None
    document = _decode(data[len(_PREFIX) : -SUFFIX_BYTES])
    new = session_id if keep_id else new_id()
    state = State(
        name=check_name(document.name),
        tags=check_tags(document.tags),
        config=document.config,
        todos=document.todos,
        project=None if document.project is None else _project(document.project),
        closed_at=None if document.closed_at is None else _time(document.closed_at),
    )
    if key is None:
        # Before the session is there: what cannot be written down is not taken on trust.
        ground.audit.record("import_trusted", session_id=new, origin=session_id, key_id=suffix[1].decode())
    new = lifecycle.create(
        state,
        entries=document.entries,
        session_id=new,
        origin=session_id,
        provenance="imported",
    )
    if document.redacted is None:
        return new, ()
    text = f"this document was redacted before it was signed: {sum(document.redacted.values())} found"
    return new, (LoadWarning("redacted", text),)


def copy_at(reader: Reader, lifecycle: Lifecycle, session_id: str, at: int | None) -> str:
    """Make a new session with what `session_id` held at revision `at` (None: now); return its id.

    Raises:
        InvalidValueError: No save ended with that revision, or it was rewritten away.
    """
    found = reader.seen(session_id)
    if isinstance(found, Unsigned):
        if at is not None:
            raise InvalidValueError(what="revision", reason="this session is not signed yet: it has no revisions")
        old = found.read()
        state = msgspec.structs.replace(old.state, closed_at=None)
        return lifecycle.create(state, entries=old.entries, parent=session_id, provenance="legacy-adopted")
    try:
        content, sealed = reader.content(found, at=at)
    except LookupError:
        raise InvalidValueError(what="revision", reason="no save of this session ended with it") from None
    finally:
        found.log.close()
    state = msgspec.structs.replace(content.state, closed_at=None)
    return lifecycle.create(state, entries=content.entries, parent=session_id, provenance=sealed.seal.provenance)


def _identity(store_id: str, session_id: str, key: MacKey) -> tuple[bytes, ...]:
    return CONTEXT, store_id.encode(), session_id.encode(), key.key_id.encode()


def _key_of(ground: Ground, key_id: str, salt: bytes | None, passphrase: str | None, *, vouched: bool) -> MacKey | None:
    if key_id == PASSPHRASE_KEY_ID and salt is not None and passphrase is not None:
        return passphrase_key(passphrase, bytes.fromhex(salt.decode()))
    try:
        key = ground.keyring.mac_key("export", key_id)
        if key_id != ground.keyring.primary.id:
            # Whoever has an old key can make documents with it, and no ledger knows which were made while it was new.
            raise KeyDisabledError(key_id=key_id, status="not primary any more", hint=_OLD_KEY)
        return key
    except (UnknownKeyError, KeyDisabledError) as error:
        if vouched:
            return None
        if isinstance(error, KeyDisabledError):
            raise
        if key_id == PASSPHRASE_KEY_ID:
            raise UnknownKeyError(key_id=key_id, hint="this document was sealed with a passphrase; give it") from None
        raise


def _decode(content: bytes) -> Document:
    value = parse_json(content)
    try:
        return msgspec.convert(value, Document)
    except msgspec.ValidationError as exc:
        raise MalformedError(session_id="", reason=f"export document: {exc}") from None


# A document that somebody vouched for is checked by nobody else: what it says must be what this format can hold.


def _project(path: bytes) -> ProjectRecord:
    try:
        return stated(path)
    except (InvalidValueError, ProjectPathError) as exc:
        raise MalformedError(session_id="", reason=f"export document: {exc}") from None


def _time(text: str) -> str:
    try:
        return format_time(parse_time(text))
    except ValueError as exc:
        raise MalformedError(session_id="", reason=f"export document: {exc}") from None
