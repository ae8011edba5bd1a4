"""Unsigned files, as the users of a store deal with them: sign, adopt, take in, and how strictly to treat them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping

from sessionstore.legacy.adoption import adopt
from sessionstore.legacy.migration import migrate
from sessionstore.legacy.transfer import import_legacy
from sessionstore.model import AdoptionReport, MigrationResult, PolicyState, Session, check_consent, check_id
from sessionstore.sessions import Ground, Index, Lifecycle, Reader
from sessionstore.sessions.policy import lower_to, raise_to
from sessionstore.sessions.policy import state as stated_policy
from sessionstore.signing import OriginKey


class StoreLegacy:
    """What is done with unsigned files. Its users have a `SessionStore`, which says what holds for all methods."""

    _ground: Ground
    _reader: Reader
    _index: Index
    _lifecycle: Lifecycle

    def policy(self) -> PolicyState:
        """How unsigned files are treated in this store, and why."""
        return stated_policy(self._ground.ledger, self._ground.config)

    def migrate(self, id: str | None = None, *, dry_run: bool = False) -> Iterator[MigrationResult]:
        """Sign a session that is in an unsigned file of format version 1, as its next save would; or all of them.

        Yields a result for each as it goes, refusals included; what concerns the whole store is raised. Nothing is
        yielded for one that is sealed already, unless its old file was still in the way. It may be stopped and repeated
        at any time.

        Args:
            dry_run: Say what would be done, as far as that can be told without writing.
        """
        if not dry_run:
            self._ground.refuse_read_only()
        return migrate(self._index, self._lifecycle, None if id is None else check_id(id), dry_run=dry_run)

    def raise_policy(self, to: str) -> None:
        """Treat unsigned files more strictly from now on: `accept`, `warn`, `require` or `strict`; see `PolicyState`.

        Raises:
            InvalidValueError: There is no such policy.
            DowngradeRefusedError: It is below the one that is recorded.
        """
        self._ground.refuse_read_only()
        raise_to(self._ground.ledger, self._ground.audit, to)

    def lower_policy(self, to: str, *, consent: str) -> None:
        """Treat unsigned files less strictly from now on. The only way to, and for a person to decide.

        Args:
            consent: Who agreed, in words (1 to 200 characters): it goes into the audit log.

        Raises:
            InvalidValueError: There is no such policy, it is not below the one that is recorded, or no consent.
            DowngradeRefusedError: The settings ask for more.
        """
        self._ground.refuse_read_only()
        lower_to(self._ground.ledger, self._ground.config, self._ground.audit, to, check_consent(consent))

    def adopt(
        self,
        id: str | None = None,
        *,
        directory: str | os.PathLike[str] | None = None,
        consent: str,
        digests: Mapping[str, str] | None = None,
        dry_run: bool = False,
    ) -> AdoptionReport:
        """Let unsigned files of format version 1 be opened that came after the store began, because a person vouches.

        Args:
            id: The session whose file lies in the data directory.
            directory: In its place, a directory: every unsigned file in it, copied into this store unless it is the
                store's own. It must be yours, and closed to others' writing.
            consent: Who agreed, in words (1 to 200 characters): it goes into the audit log.
            digests: SHA-256 in hex by session id: files with another one, or none here, are refused.
            dry_run: Say what would be adopted.

        Raises:
            InvalidValueError: No consent is given, or not exactly one of id and directory.
            VerificationError: The one file named, or the directory, cannot be taken.
        """
        return adopt(self._ground, id, directory, consent=consent, digests=digests, dry_run=dry_run)

    def import_legacy(self, data: bytes, *, key: OriginKey | None = None, trust: Collection[str] = ()) -> Session:
        """Make a new session out of a file of format version 1; its old id becomes `origin`.

        Args:
            key: Checks its signature, see `sessionstore.signing.origin_key`; None for an unsigned file.
            trust: `unsigned` takes an unsigned file, because you vouch for it.

        Raises:
            VerificationError: It was changed, nobody vouches for it, or it is no such file.
        """
        return self._reader.load(import_legacy(self._ground, self._lifecycle, data, key=key, trust=trust))
