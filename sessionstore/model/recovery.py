"""What repairing and restoring sessions give back: what was found, what was done, and the command for what is left."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from sessionstore.model.session import SessionSummary, Unreadable

RepairAction = Literal["nothing", "settled", "quarantined", "kept_verified", "left"]
Direction = Literal["file_older", "ledger_older", "two_histories", "no_record", "file_gone", "deleted_here"]


class Repair(msgspec.Struct, frozen=True, kw_only=True):
    """What a repair did, or would do in a dry run.

    Attributes:
        session_id: Which.
        code: What loading it said before: `ok`, or the code of the error.
        action: `nothing`: it is whole. `settled`: what a dead writer left was brought to an end. `quarantined`: its
            file was moved into quarantine. `kept_verified`: what verifies is a new session. `left`: it is not for a
            repair.
        text: The same in words, one sentence.
        rev: Revision up to which the file is good, 0 if nothing of it is.
        head_rev: Revision that this machine has seen, None if it has no record.
        set_aside_bytes: How many bytes went into quarantine.
        kept_as: Where they are, None if nothing was moved, and in a dry run.
        fork: Id of the new session, None if there is none, and in a dry run.
        command: What a person can do next, "" if nothing is left to be done.
    """

    session_id: str
    code: str
    action: RepairAction
    text: str
    rev: int = 0
    head_rev: int | None = None
    set_aside_bytes: int = 0
    kept_as: str | None = None
    fork: str | None = None
    command: str = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A session whose file and records do not tell of the same revision.

    Attributes:
        session_id: Which.
        direction: `file_older`: an older file stands where a newer one was saved. `ledger_older`: the file goes on, or
            was rewritten, after the newest state that the ledger knows. `two_histories`: it holds another save under a
            known revision. `no_record`: sealed, but never seen here. `file_gone`: known, without a file.
            `deleted_here`: deleted, and its file is back.
        file_rev: Revision of the file, 0 without one that can be read.
        file_at: When that was saved, according to its seal.
        known_rev: Highest revision that ledger and audit log know, 0 for none.
        known_at: When that was written down.
        known_by: `ledger` or `audit log`.
        command: The exact command that takes the file as it is or ends the matter; a person decides.
    """

    session_id: str
    direction: Direction
    file_rev: int
    file_at: datetime | None
    known_rev: int
    known_at: datetime | None
    known_by: Literal["ledger", "audit log"] = "ledger"
    command: str = ""


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """A session that was taken as its file is, or would be in a dry run.

    Attributes:
        before: File and records as they stood.
        rev: Its revision now: one above the highest that was known. In a dry run, what it would be.
        done: False in a dry run, and where there was nothing to be done.
    """

    before: Standing
    rev: int
    done: bool


class Rebase(msgspec.Struct, frozen=True, kw_only=True):
    """What moving the ledger's heads came to.

    Attributes:
        taken: Sessions whose file the ledger had fallen behind; in a dry run, those that would be taken.
        left: Sessions that a person has to decide on one by one, each with its command.
        failed: Id and code of those that could not be taken, such as `already_running`.
    """

    taken: tuple[Restored, ...]
    left: tuple[Standing, ...]
    failed: tuple[tuple[str, str], ...] = ()


class SealedAdoption(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed file without a record that was taken in, or would be in a dry run.

    Attributes:
        session_id: Which.
        key_id: The key that the file names.
        checked: Whether every signature in it could be checked and is good, the last one under the primary key.
        name: Of the session, as the file says.
        file_rev: Revision of the file.
        file_at: When that was saved, according to its seal.
        entries: How many it has.
        known_rev: Highest revision of it that the audit log speaks of, 0 if it does not. Above `file_rev`, this is an
            older state.
        rev: Its revision now; in a dry run, what it would be.
        kept_as: Where the original file is, None in a dry run.
    """

    session_id: str
    key_id: str
    checked: bool
    name: str
    file_rev: int
    file_at: datetime
    entries: int
    known_rev: int
    rev: int
    kept_as: str | None = None


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """A new ledger, made of the session files because the old one was lost.

    Attributes:
        taken: Sessions that have a record again.
        left: Sessions that are refused from now on, and files without a record, with the code and the reason.
        unproven: Of those taken, how many nothing but their file says to be at that revision.
        audit_files: Files of the audit log that were taken over.
        audit_doubts: How many of those are missing, damaged, or hold lines that could not be checked.
    """

    taken: tuple[SessionSummary, ...]
    left: tuple[Unreadable, ...]
    unproven: int = 0
    audit_files: int = 0
    audit_doubts: int = 0
