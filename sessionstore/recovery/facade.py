"""What gets sessions back, as methods of the store."""

from __future__ import annotations

from sessionstore.edits import StoreEdits
from sessionstore.model import Rebase, Repair, Restored, SealedAdoption
from sessionstore.recovery import adopt as adopting
from sessionstore.recovery import repair as repairing
from sessionstore.recovery import restore as restoring


class StoreRecovery(StoreEdits):
    """The repairs of sessions. Its users have a `SessionStore`, which says what holds for all methods."""

    def repair(self, id: str, *, keep_verified: bool = False, dry_run: bool = False) -> Repair:
        """Bring to an end what a dead writer left of a session, or move a broken file into quarantine.

        Nothing is rewritten that does not verify, and no byte is dropped. What is not damage is left, with the command
        for it: an older file, two histories, a file without a record. Calling it again does nothing more.

        Args:
            keep_verified: Leave the session as it is, and make a new one, whose `parent` it is, of everything up to the
                last good seal. Called again, it finds that one.
            dry_run: Only say what would be done.

        Raises:
            AlreadyRunningError: The session is running.
            InvalidSignatureError: `keep_verified`, and nothing of the file is good.
            KeyDisabledError: `keep_verified`, and only a key that is not primary any more vouches for what is before
                the damage.
        """
        if keep_verified:
            return repairing.keep_verified(self, id, dry_run=dry_run)
        return repairing.repair(self, id, dry_run=dry_run)

    def restore(self, id: str, accept_rev: int | None, *, consent: str, dry_run: bool = False) -> Restored:
        """Take a session as its file is, although a newer or another state is known: after a backup was put back.

        The file must verify and be at exactly `accept_rev`. It is written anew, one revision above everything known.

        Args:
            accept_rev: The revision of the file, as a person who saw it named it; None in a dry run, to see it.
            consent: Who agreed, in words (1 to 200 characters): it goes into the audit log.
            dry_run: Only say what would be done.

        Raises:
            ConflictError: The file is at another revision.
            InvalidValueError: There is nothing to restore, or no consent is given.
            AlreadyRunningError: The session is running.
            KeyDisabledError: Only a key that is not primary any more sealed the file.
        """
        return restoring.restore(self, id, accept_rev, consent=consent, dry_run=dry_run)

    def rebase_heads(self, *, consent: str, dry_run: bool = False) -> Rebase:
        """Bring the ledger up to files that are ahead of it: after an older state directory was put back.

        Only files that hold, or can only have come after, everything that ledger and audit log know. The others are
        in the result with the command that a person has to give for each.

        Args and errors: as `restore`; what goes wrong with one session is in the result.
        """
        return restoring.rebase(self, consent=consent, dry_run=dry_run)

    def adopt_sealed(
        self, id: str, *, consent: str, accept_rev: int | None = None, dry_run: bool = False
    ) -> SealedAdoption:
        """Take in a sealed file without a record here, as you vouch for it: its key or its record was lost.

        The file must be whole, and every signature good whose key is here. It is sealed anew under the present key,
        with provenance `adopted`; the original goes into quarantine. A project that no signature vouches for has to be
        bound again.

        Args:
            consent: Who vouches, in words (1 to 200 characters): it goes into the audit log.
            accept_rev: The revision of the file. Needed if the audit log knows a higher one: `known_rev` of a dry run.
            dry_run: Only check, and say what would be taken in.

        Raises:
            InvalidSignatureError: The file is damaged, or a key that is here did not sign it.
            RollbackError: The audit log knows a higher revision, and that of the file was not named.
            KeyDisabledError: Only a key sealed it that was given up here.
            WrongSessionError: It is the file of another session.
            InvalidValueError: The session is known here, or no consent is given.
            AlreadyExistsError: Its external key is taken.
            MalformedError, TooDeepError, TooLargeError, SessionLimitError: It holds what cannot be kept here.
        """
        return adopting.adopt_sealed(self, id, consent=consent, accept_rev=accept_rev, dry_run=dry_run)
