"""What can be wrong with the signing key."""

from __future__ import annotations

from sessionstore.errors.base import SessionStoreError


class KeyringError(SessionStoreError):
    """Base of what can be wrong with the signing key."""


class UnknownKeyError(KeyringError):
    """Signed with a key that this keyring does not hold. This is not a sign of tampering."""

    code = "unknown_key"
    sentence = "signed with key {key_id}, which is not in this keyring"
    advice = "bring the key over from the machine that signed it, or export there with a passphrase"
    key_id: str


class KeyDisabledError(KeyringError):
    """The key is in the keyring, but its status forbids this use."""

    code = "key_disabled"
    sentence = "key {key_id} is {status} and cannot be used for this"
    advice = "use the primary key"
    key_id: str
    status: str


class KeyUnavailableError(KeyringError):
    """The install key cannot be had; no new one is made while signed data depends on it.

    Attributes:
        reason: `missing`, `unreadable`, `salt` (the key is there, the configured salt is another one), `older` (than
            the ledger: an older copy of the keyring was put back), `elsewhere` (the keys of this store are not where
            `key_provider` says) or `another` (key was given).
        path: The file, or the place that was asked.
    """

    code = "key_unavailable"
    sentence = "the signing key is not available ({reason})"
    advice = (
        "restore {path} from a backup; without one nothing can be verified: move the state directory and the session "
        "files aside, begin anew, put the files back, and vouch for each with `sessionstore adopt ID --sealed`"
    )
    reason: str
    path: str


class KeyPermissionsError(KeyringError):
    """The key file is linked, foreign, or open to others."""

    code = "key_permissions"
    sentence = "the key file {path} is not safe: {reason}"
    advice = "if nobody else can have read it: chmod 600 the file, 700 its directory, and make them your own"
    path: str
    reason: str


class KeyCorruptError(KeyringError):
    """The key file is damaged."""

    code = "key_corrupt"
    sentence = "the key file {path} is damaged: {reason}"
    advice = "restore it from a backup; sessions are not affected by this"
    path: str
    reason: str


class KeyInUseError(KeyringError):
    """The key cannot be retired: something can only be verified with it.

    Attributes:
        needs: What that is, counted, in words.
    """

    code = "key_in_use"
    sentence = "key {key_id} is still needed: {needs}"
    advice = "run `sessionstore keys rotate` until nothing is left, then retire it"
    key_id: str
    needs: str
