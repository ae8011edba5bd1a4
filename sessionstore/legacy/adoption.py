"""Adopting unsigned files by consent: those that came after the store began, or lie in another directory.

Rules:

* The consent is about digests. Whoever agrees has seen them, and a file that is another one by then is refused.
* Nothing is adopted that could not be read. Nor where a session was ever saved: that would be a way to take its
  signature off.
* Every adopted file stands in the audit log, with its digest and who agreed, before it may be opened.
* Files of another directory are copied; that directory is not changed. A copy that nobody lived to list is unknown, and
  refused, until the adoption is repeated.

Not promised: that a file is genuine. Nothing in it says who wrote it; that is what the consent is for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256

from sessionstore.errors import (
    AlreadyExistsError,
    InvalidValueError,
    LedgerCorruptError,
    LegacyModifiedError,
    ResurrectedError,
    SessionNotFoundError,
    SessionStoreError,
    SignatureStrippedError,
    StoreError,
    StoreUnavailableError,
)
from sessionstore.format.legacy import LegacySession, read_legacy
from sessionstore.fs import Directory
from sessionstore.ledger import InventoryEntry
from sessionstore.model import AdoptedFile, AdoptionReport, Unreadable, check_consent, check_id
from sessionstore.model.ids import is_id
from sessionstore.sessions import Ground
from sessionstore.sessions.ground import refuse_lost
from sessionstore.sessions.unsigned import SUFFIX, content_of, read_capped, was_saved

_HINT = "a session of this id was saved here; `sessionstore import --format legacy` takes the file in under a new id"


@dataclass(frozen=True)
class _Candidate:
    """A file that may be listed."""

    session_id: str
    data: bytes
    old: LegacySession
    is_here: bool

    @property
    def entry(self) -> InventoryEntry:
        return InventoryEntry(self.session_id + SUFFIX, sha256(self.data).hexdigest(), len(self.data))

    @property
    def line(self) -> AdoptedFile:
        entry = self.entry
        return AdoptedFile(self.session_id, entry.digest, entry.size, self.old.state.name, len(self.old.entries))


def adopt(
    ground: Ground,
    session_id: str | None,
    directory: str | os.PathLike[str] | None,
    *,
    consent: str,
    digests: Mapping[str, str] | None,
    dry_run: bool,
) -> AdoptionReport:
    """See `SessionStore.adopt`."""
    if (session_id is None) == (directory is None):
        raise InvalidValueError(what="adoption", reason="a session id or a directory is needed, and not both")
    if ground.read_only:
        raise StoreUnavailableError(reason="the store was opened read-only", outcome="not_written")
    check_consent(consent)
    found: list[AdoptedFile] = []
    refused: list[Unreadable] = []
    with ExitStack() as opened:
        away = None if directory is None else _other_directory(ground, os.path.abspath(directory), opened)
        names = [check_id(session_id) + SUFFIX] if session_id is not None else _names(ground, away)
        left_out = tuple(name for name in names if not is_id(name.removesuffix(SUFFIX)))
        for stem in (name.removesuffix(SUFFIX) for name in names if name not in left_out):
            try:
                candidate = _candidate(ground, stem, away, digests)
            except SessionStoreError as error:
                if session_id is not None or isinstance(error, LedgerCorruptError):
                    raise
                refused.append(Unreadable(stem, error.code, str(error)))
            else:
                found += [] if candidate is None else [candidate.line]  # not the file: there may be thousands
        if not dry_run:
            found = _list(ground, found, away, consent, None if session_id is not None else refused)
    return AdoptionReport(tuple(found), tuple(refused), left_out)


def _other_directory(ground: Ground, path: str, opened: ExitStack) -> Directory | None:
    """The directory, held open; None if it is that of the session files itself."""
    away = opened.enter_context(Directory.open(path))
    with Directory.open(ground.config.data_dir / "sessions") as here:
        return None if here.identity == away.identity else away


def _names(ground: Ground, away: Directory | None) -> list[str]:
    names: Iterator[str] = iter(away.names()) if away is not None else (name for name, _ in ground.backend.scan())
    return sorted(name for name in names if name.endswith(SUFFIX))


def _candidate(
    ground: Ground, stem: str, away: Directory | None, digests: Mapping[str, str] | None
) -> _Candidate | None:
    """The file of that name, if it may be adopted; None if it is listed as it is, or its session is sealed.

    Raises:
        SessionNotFoundError: It is missing.
        LedgerCorruptError: Rows of sessions were taken away.
        SessionStoreError: It may not be adopted; the class says why.
    """
    data = _data(ground, stem, away)
    head = ground.ledger.head(stem)
    if data is None:
        if head is not None and head.state == "live":
            return None
        raise SessionNotFoundError
    digest = sha256(data).hexdigest()
    entry = ground.ledger.inventory_entry(stem + SUFFIX)
    here = data if away is None else _data(ground, stem, None)
    if entry is not None and entry.digest == digest and (entry.state == "migrated" or here == data):
        return None
    if head is not None and head.state in ("deleting", "deleted") and head.rev > 0:
        raise ResurrectedError(session_id=stem, hint=_HINT)
    if was_saved(head) or (entry is not None and entry.state == "migrated"):
        raise SignatureStrippedError(session_id=stem, hint=_HINT)
    if head is None:
        refuse_lost(ground, proven=True)  # it may be the row of this one that was taken away
    if here not in (None, data) or (head is not None and head.state == "creating"):
        raise AlreadyExistsError(what="id")
    if digests is not None and digests.get(stem) != digest:
        raise LegacyModifiedError(session_id=stem)
    return _Candidate(stem, data, read_legacy(data, file_stem=stem), is_here=here is not None)


def _data(ground: Ground, stem: str, away: Directory | None) -> bytes | None:
    if away is None:
        content = content_of(ground.backend, stem)
        return None if content is None else content.data
    file = away.open_file(stem + SUFFIX)
    if file is None:
        return None
    with file:
        return read_capped(file.read)


def _list(
    ground: Ground, found: list[AdoptedFile], away: Directory | None, consent: str, refused: list[Unreadable] | None
) -> list[AdoptedFile]:
    """List what was found, each looked at again under its lock, and be it that somebody else adopts or makes it now.

    Args:
        refused: Takes what cannot be adopted any more; None: that is raised.
    """
    entries: list[InventoryEntry] = []
    adopted: list[AdoptedFile] = []
    for line in found:
        try:
            with ground.locked(line.session_id):
                candidate = _candidate(ground, line.session_id, away, {line.session_id: line.digest})
                if candidate is None:
                    continue
                if not candidate.is_here:
                    ground.backend.write(line.session_id + SUFFIX, [candidate.data], replace=False)
                ground.audit.record("adoption", session_id=line.session_id, digest=line.digest, consent=consent)
        except StoreError:
            raise
        except SessionStoreError as error:
            if refused is None:
                raise
            refused.append(Unreadable(line.session_id, error.code, str(error)))
        else:
            entries.append(candidate.entry)
            adopted.append(line)
    if entries:
        ground.ledger.take_inventory(entries)
    return adopted
