"""The key on its way to another machine, and the sessions it vouches for there.

    {"keys":{"format":1,"store":"…","key":"…","exported_at":"…","scrypt":{"n":…,"r":8,"p":1},"salt":"…","nonce":"…",
    "sealed":"<base64>"}}                                                                             (on one line)

Rules:

* What leaves is the primary install key alone, encrypted with a key from a passphrase (scrypt, AES-256-GCM). What
  stands beside it readably is under the same tag. The cost of a guess is judged before anything is computed.
* The bytes of the key are in no variable of a frame that an error leaves through.
* The other machine never puts it into its keyring. It verifies the sessions that are given with it, once, and makes new
  ones of them under its own key: provenance `imported`, the same id if that was never used there.
* Without the ledger of the old machine there is no telling whether a file is the newest state: the last complete save
  counts. A session whose last seal is not of that key is refused.
* The signing salt does not leave with the key: it has to be set on the other machine too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Literal

import msgspec

from sessionstore.errors import (
    InvalidSignatureError,
    InvalidValueError,
    KeyringError,
    KeyUnavailableError,
    MalformedError,
    SessionStoreError,
    UnknownKeyError,
)
from sessionstore.format.chain import Unchained, chained_bodies
from sessionstore.format.log import Content
from sessionstore.format.seal import SEAL_START, Broken, Sealed, Sealer
from sessionstore.fs.project import stated
from sessionstore.model import TakeOver, Unreadable, format_time, new_id
from sessionstore.model.ids import is_id
from sessionstore.rotation.needs import refuse_read_only
from sessionstore.sessions import Ground, Lifecycle
from sessionstore.signing import (
    BLOCK_SIZE,
    KEY_COST,
    KEY_COSTS,
    NONCE_BYTES,
    PARALLEL,
    SALT_BYTES,
    Keyring,
    TagMismatch,
    check_passphrase,
    decrypted,
    encrypted,
    pae,
)

_CONTEXT = b"sessionstore/keys/1"
_SUFFIX = ".jsonl"


class _Inner(msgspec.Struct, forbid_unknown_fields=True):
    """What is hidden: the key, and a check value that tells whether the signing salt is the same."""

    secret: bytes
    check: str


class _Scrypt(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a guess at the passphrase costs."""

    n: int
    r: int
    p: int

    @property
    def is_allowed(self) -> bool:
        return self.n in KEY_COSTS and (self.r, self.p) == (BLOCK_SIZE, PARALLEL)


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    """What stands there readably."""

    format: int
    store: str
    key: str
    exported_at: str
    scrypt: _Scrypt
    salt: str
    nonce: str
    sealed: bytes

    def beside(self) -> bytes:
        """What the tag covers beside the hidden part."""
        cost = (str(self.scrypt.n), str(self.scrypt.r), str(self.scrypt.p))
        members = (str(self.format), self.store, self.key, self.exported_at, *cost, self.salt, self.nonce)
        return pae(_CONTEXT, *(member.encode() for member in members))


class _File(msgspec.Struct, forbid_unknown_fields=True):
    keys: _Envelope


def export_key(ground: Ground, passphrase: str) -> bytes:
    """The primary key, sealed with a passphrase.

    Raises:
        InvalidValueError: The passphrase is shorter than 8 characters.
        StoreUnavailableError: It cannot be written down that the key leaves.
    """
    refuse_read_only(ground)
    check_passphrase(passphrase)
    ground.audit.record("key_exported", key_id=ground.keyring.primary.id)
    return _sealed(ground, passphrase, format_time(ground.now()))


def take_over(
    ground: Ground,
    lifecycle: Lifecycle,
    data: bytes,
    passphrase: str,
    files: Iterable[tuple[str, bytes]],
    *,
    dry_run: bool = False,
) -> TakeOver:
    """Make sessions of the files of another machine that its key vouches for.

    Args:
        ground, lifecycle: Of the store that takes them in.
        data: What `export_key` gave there.
        passphrase: The one it was sealed with.
        files: Names, `<session id>.jsonl`, and contents.
        dry_run: Only verify.

    Raises:
        MalformedError: It is no such file, or its passphrase is too cheap or too dear to try.
        InvalidValueError: The passphrase is another one, or the file was changed.
        KeyUnavailableError: `salt`: another signing salt is set here.
    """
    if not dry_run:
        refuse_read_only(ground)
    envelope, keyring = _opened(ground, data, passphrase)
    taken: list[tuple[str, str]] = []
    refused: list[Unreadable] = []
    good: list[tuple[str, Content, Sealed]] = []
    for name, content in files:
        session_id = name.removesuffix(_SUFFIX)
        try:
            good.append((session_id, *_verified(Sealer(keyring, envelope.store, session_id), session_id, content)))
        except SessionStoreError as error:
            refused.append(Unreadable(name, error.code, str(error)))
    if good and not dry_run:
        ground.audit.record("key_imported", key_id=envelope.key, origin=envelope.store, sessions=len(good))
    for session_id, verified, sealed in good:
        try:
            here = session_id if dry_run else _made(ground, lifecycle, session_id, verified, sealed)
            taken.append((session_id, here))
        except SessionStoreError as error:
            refused.append(Unreadable(session_id + _SUFFIX, error.code, str(error)))
    return TakeOver(store=envelope.store, key_id=envelope.key, taken=tuple(taken), refused=tuple(refused))


def _opened(ground: Ground, data: bytes, passphrase: str) -> tuple[_Envelope, Keyring]:
    try:
        envelope = msgspec.json.decode(data, type=_File).keys
        salt, nonce = bytes.fromhex(envelope.salt), bytes.fromhex(envelope.nonce)
        if envelope.format != 1 or not is_id(envelope.store) or (len(salt), len(nonce)) != (SALT_BYTES, NONCE_BYTES):
            raise ValueError("of another format")
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as exc:
        raise MalformedError(session_id="", reason="not a key that keys export made") from exc
    if not envelope.scrypt.is_allowed:
        reason = f"its scrypt cost is not allowed: N from {KEY_COSTS[0]:,} to {KEY_COSTS[-1]:,}, r = 8, p = 1 are"
        raise MalformedError(session_id="", reason=reason)
    check_passphrase(passphrase)
    keyring = _unsealed(ground, envelope, passphrase, salt, nonce)
    if isinstance(keyring, Keyring):
        return envelope, keyring
    if keyring == "passphrase":
        raise InvalidValueError(what="passphrase", reason="it is another one, or the file was changed")
    if keyring == "content":
        raise MalformedError(session_id="", reason="what it hides is not the key that it names")
    hint = "set the signing salt of the other machine here for this command (SESSIONSTORE_SIGNING_SALT)"
    raise KeyUnavailableError(reason="salt", path="", hint=hint)


def _sealed(ground: Ground, passphrase: str, exported_at: str) -> bytes:
    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    key = ground.keyring.primary
    cost = _Scrypt(KEY_COST, BLOCK_SIZE, PARALLEL)
    envelope = _Envelope(1, ground.store_id, key.id, exported_at, cost, salt.hex(), nonce.hex(), b"")
    inner = msgspec.json.encode(_Inner(key.secret, ground.keyring.check()))
    envelope.sealed = encrypted(passphrase, salt, nonce, inner, envelope.beside(), cost=cost.n)
    return msgspec.json.encode(_File(envelope)) + b"\n"


def _unsealed(
    ground: Ground, envelope: _Envelope, passphrase: str, salt: bytes, nonce: bytes
) -> Keyring | Literal["passphrase", "content", "salt"]:
    """The keyring of the other machine, or what is wrong: no error leaves from here, for its frame would hold a key."""
    try:
        plain = decrypted(passphrase, salt, nonce, envelope.sealed, envelope.beside(), cost=envelope.scrypt.n)
        inner = msgspec.json.decode(plain, type=_Inner)
        keyring = ground.keyring.foreign(inner.secret)
    except TagMismatch:
        return "passphrase"
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        return "content"
    if keyring.primary.id != envelope.key:
        return "content"
    return keyring if keyring.check() == inner.check else "salt"


def _verified(sealer: Sealer, session_id: str, data: bytes) -> tuple[Content, Sealed]:
    """The content up to the last complete save of a file, every byte of it verified."""
    if not is_id(session_id):
        raise InvalidValueError(what="file name", reason="a session id and .jsonl are needed")
    data = data[: data.rfind(b"\n") + 1]
    line = data[data.rfind(SEAL_START) + 1 :]
    line = line[: line.find(b"\n") + 1]
    try:
        sealed = sealer.verify_line(line)
        bodies = [] if sealed.seal.more else chained_bodies(data, sealed)
    except (Broken, Unchained):
        raise InvalidSignatureError(session_id=session_id, line=1, last_good_rev=0) from None
    except KeyringError as error:
        raise UnknownKeyError(key_id=getattr(error, "key_id", "")) from error
    if not bodies:
        raise InvalidSignatureError(session_id=session_id, line=1, last_good_rev=0)
    content = Content()
    for start, stop in bodies:
        content.add_body(data, is_first=start == 0, start=start, stop=stop)
    return content, sealed


def _made(ground: Ground, lifecycle: Lifecycle, session_id: str, content: Content, sealed: Sealed) -> str:
    record = content.state.project
    state = msgspec.structs.replace(
        content.state,
        # Device and inode are those of another machine: what is left is the name.
        project=None if record is None else stated(record.path),
    )
    is_free = ground.ledger.head(session_id) is None and session_id not in ground.ledger.ids()
    return lifecycle.create(
        state,
        entries=content.entries,
        session_id=session_id if is_free else new_id(),
        origin=session_id,
        provenance="imported",
    )
