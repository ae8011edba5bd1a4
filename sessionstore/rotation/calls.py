"""The keys of a store, as its users see them: which there are, another one, and away with an old one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sessionstore.model import KeyInfo, KeyNeeds, KeysReport, RotationReport, TakeOver
from sessionstore.rotation.needs import Retired, examine, listed, retire
from sessionstore.rotation.rotate import rotate
from sessionstore.rotation.travel import export_key, take_over
from sessionstore.sessions import Ground, Lifecycle, Rewriter, Writer


class StoreKeys:
    """What is done with keys. Its users have a `SessionStore`, which says what holds for all methods."""

    _ground: Ground
    _writer: Writer
    _lifecycle: Lifecycle
    _rewriter: Rewriter

    def list_keys(self) -> tuple[KeyInfo, ...]:
        """Every key of this installation, oldest first, with what can be verified with it only. Never a key itself."""
        return listed(self._ground)

    def verify_keys(self) -> KeysReport:
        """Check keyring, ledger and every row of it, and say what a change of keys has left to do.

        Raises:
            LedgerCorruptError: A row is not what was written.
        """
        return examine(self._ground)

    def rotate_keys(
        self,
        *,
        finish: bool = False,
        leaked: bool = False,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> RotationReport:
        """Make a new signing key and bring every session and row under it; go on where an earlier call was killed.

        Other processes may go on working: they take the new key before their next save. Each session gets one more
        seal, and so one more revision: a snapshot loaded before is behind then. Sessions that are running, damaged or
        locked are left and named; a running one gets the new key with its next save.

        Args:
            finish: Make no new key; see to what an earlier rotation left.
            leaked: Somebody may have the present key. A new one is primary at once, also while an earlier rotation is
                unfinished; a key that only waited to become primary is destroyed. What stands in files behind the
                newest acknowledged save is set aside and not taken for a save.
            progress: Told `settling`, `sessions` or `rows`, how many are done, and how many there are.

        Raises:
            InvalidValueError: Both `finish` and `leaked`.
        """
        told = progress if progress is not None else lambda phase, done, total: None
        parts = (self._ground, self._writer, self._lifecycle, self._rewriter)
        return rotate(*parts, finish=finish, leaked=leaked, progress=told)

    def export_key(self, passphrase: str) -> bytes:
        """The signing key, sealed with a passphrase, for `take_over` on another machine. It is written down.

        Raises:
            InvalidValueError: The passphrase is shorter than 8 characters.
        """
        return export_key(self._ground, passphrase)

    def take_over(
        self, key: bytes, passphrase: str, files: Iterable[tuple[str, bytes]], *, dry_run: bool = False
    ) -> TakeOver:
        """Make sessions of the files of another machine that its exported key vouches for.

        The key is used once and kept nowhere. Each session gets provenance `imported`, its old id as `origin`, the same
        id if that was never used here, and a project that is a name without identity. Its older history is not kept.

        Args:
            key: What `export_key` gave on the other machine.
            passphrase: The one it was sealed with.
            files: Names, `<session id>.jsonl`, and contents.
            dry_run: Only verify.

        Raises:
            MalformedError: It is no exported key.
            InvalidValueError: The passphrase is another one.
            KeyUnavailableError: Another signing salt is set here than there.
        """
        return take_over(self._ground, self._lifecycle, key, passphrase, files, dry_run=dry_run)

    def retire_key(
        self,
        key_id: str,
        *,
        destroy: bool = False,
        leaked: bool = False,
        give_up: bool = False,
        dry_run: bool = False,
    ) -> KeyNeeds:
        """Take an old key out of use; what still needed it.

        Args:
            key_id: 16 hex digits.
            destroy: Remove its bytes from the keyring, for good.
            leaked: Do so although sessions still end under it. They are refused from then on.
            give_up: Do so although files in quarantine, sealed files without a record, or lines of the audit log can
                then not be verified any more.
            dry_run: Only say what needs it.

        Raises:
            UnknownKeyError: There is no such key.
            KeyDisabledError: It is the primary one.
            KeyInUseError: Something needs it.
        """
        to: Retired = "destroyed" if destroy else "disabled"
        return retire(self._ground, key_id, to=to, leaked=leaked, give_up=give_up, dry_run=dry_run)
