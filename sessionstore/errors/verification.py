"""What load refuses: the stored bytes, or the directory, are not what was saved."""

from __future__ import annotations

from sessionstore.errors.base import SessionStoreError


class SessionNotFoundError(SessionStoreError):
    """No session of that id was ever saved here, or it was deleted."""

    code = "not_found"
    sentence = "there is no such session"
    advice = "`sessionstore list --all` shows every session of this store"


class VerificationError(SessionStoreError):
    """The stored bytes are not what this store saved under that id. Nothing of them was handed out."""

    session_id: str


class InvalidSignatureError(VerificationError):
    """Bytes that a seal commits were changed, removed, inserted or reordered.

    Attributes:
        line: 1-based number of the first line that no good seal covers.
        last_good_rev: Revision of the last seal that still verifies, 0 if none does.
    """

    code = "invalid_signature"
    sentence = (
        "session {session_id} was changed outside this store "
        "(first bad line: {line}, good up to revision {last_good_rev})"
    )
    advice = (
        "restore the file from a backup, or look at it with `sessionstore inspect {session_id} --unverified`; "
        "`sessionstore repair {session_id} --keep-verified` takes what is good into a new session"
    )
    line: int
    last_good_rev: int


class MalformedError(VerificationError):
    """A value or a file is not the JSON this format allows; `reason` says where and why."""

    code = "malformed"
    sentence = "not valid session data: {reason}"
    advice = "nothing was written; mend the value that is named and try again"
    reason: str


class TooDeepError(VerificationError):
    """JSON nested deeper than `limit` levels."""

    code = "too_deep"
    sentence = "JSON is nested deeper than {limit} levels"
    advice = "nothing was written; store the deep part as a string, or flatten it"
    limit: int


class UnsupportedVersionError(VerificationError):
    """The file is of a format version that this release does not read."""

    code = "unsupported_version"
    sentence = "session {session_id} is stored in format version {version}, which this release does not read"
    advice = "open it with the release that wrote it, or a newer one"
    version: int


class UnsafeFileError(VerificationError):
    """A file that must be an ordinary file of ours is something else; `reason` names what."""

    code = "unsafe_file"
    sentence = "refusing to use {name}: {reason}"
    advice = "move it away and restore the original; sessionstore never follows links or reads other users' files here"
    name: str
    reason: str


class WrongSessionError(VerificationError):
    """The file was genuinely written by this store, but for another session id."""

    code = "wrong_session"
    sentence = "the file under the name of session {session_id} belongs to another session"
    advice = (
        "put both files back under their own names; `sessionstore inspect {session_id} --unverified` shows this one"
    )


class SignatureStrippedError(VerificationError):
    """An unsigned file stands where a signed session is known."""

    code = "signature_stripped"
    sentence = "session {session_id} was saved signed, but only an unsigned file is here"
    advice = "restore the sealed file from a backup"


class LegacyModifiedError(VerificationError):
    """An unsigned file of the inventory no longer has the digest it was listed with."""

    code = "legacy_modified"
    sentence = "unsigned session {session_id} was changed since it was first seen"
    advice = "restore the original file from a backup; what it is now needs `sessionstore adopt {session_id}`"


class UnsignedUnknownError(VerificationError):
    """An unsigned file from elsewhere, or one that was not here when its data directory was first opened."""

    code = "unsigned_unknown"
    sentence = "session {session_id} is in an unsigned file that this store does not know, and nobody vouched for it"
    advice = "find out where the file comes from; if you vouch for it, `sessionstore adopt {session_id}`"


class UnsignedRefusedError(VerificationError):
    """The unsigned file is listed and whole; the policy of this store is not to open unsigned files."""

    code = "unsigned_refused"
    sentence = "session {session_id} is not signed, and by its policy this store opens no unsigned files"
    advice = "`sessionstore migrate {session_id}` signs it"


class RollbackError(VerificationError):
    """The file is an older, once genuine state."""

    code = "rollback"
    sentence = "session {session_id} is at revision {rev}, but revision {head_rev} was saved here"
    advice = (
        "an older copy of the file was put back; restore the newest one, or see what is lost with "
        "`sessionstore restore {session_id} --dry-run`"
    )
    rev: int
    head_rev: int


class ForkError(VerificationError):
    """The file's last seal has the known revision but is not the seal that was saved."""

    code = "fork"
    sentence = "session {session_id} has another revision {rev} than the one saved here"
    advice = (
        "two histories of this session exist; restore the file that this machine wrote, or compare with "
        "`sessionstore restore {session_id} --dry-run`"
    )
    rev: int


class ResurrectedError(VerificationError):
    """A deleted session's file is back."""

    code = "resurrected"
    sentence = "session {session_id} was deleted here, but its file is back"
    advice = "`sessionstore repair {session_id}` moves the file away"


class MissingError(VerificationError):
    """The session is known, its file is gone."""

    code = "missing"
    sentence = "the file of session {session_id} is gone (revision {head_rev} was saved here)"
    advice = "restore it from a backup, or give it up with `sessionstore delete {session_id}`"
    head_rev: int


class UnanchoredError(VerificationError):
    """A sealed file whose id this machine has no record of."""

    code = "unanchored"
    sentence = "session {session_id} carries a seal, but this machine has no record of it"
    advice = (
        "a copied file is not a session: move it between stores with `sessionstore export` and `import`; "
        "if the ledger was lost or set back: `sessionstore adopt {session_id} --sealed`"
    )


class ProjectPathError(SessionStoreError):
    """The project directory is refused; `verdict` is the stable word for why, `detail` the particulars."""

    code = "project_path_security_violation"
    sentence = "project directory {path}: {verdict} ({detail})"
    advice = "check what stands under that name now"
    verdict: str
    path: str
    detail: str
