"""Files of the data directory that no row of the ledger stands for: unsigned ones that may be opened, and strangers.

An unsigned file is hashed whole before anything is said of it, and read, for its name and times stand nowhere else.
What was found out about its bytes is remembered as long as its stamp is the same; whether they may be opened is asked
every time. So a list costs one reading of every file that is not migrated yet, once a process.

Safe for many threads: two of them may do the same work twice, no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sessionstore.errors import (
    InvalidIdError,
    LedgerCorruptError,
    MissingError,
    ResurrectedError,
    SessionNotFoundError,
    SessionStoreError,
    UnsignedRefusedError,
)
from sessionstore.ledger import Head
from sessionstore.model import Unreadable
from sessionstore.model.ids import is_id
from sessionstore.sessions.ground import Ground, refuse_lost
from sessionstore.sessions.policy import at_least
from sessionstore.sessions.read import Reader
from sessionstore.sessions.unsigned import SUFFIX, Unsigned, content_of, was_saved
from sessionstore.storage import Stamp

LOG_SUFFIX = ".jsonl"
LEDGER = "ledger.db"
LEFT = "migrated"
_LEFT_TEXT = "the unsigned file of a session that is sealed by now; `sessionstore migrate` puts it away"


@dataclass(frozen=True)
class _Seen:
    """What an unsigned file with this stamp holds."""

    stamp: Stamp
    digest: str
    line: Head | Unreadable


class Beside:
    """Finds such files of one store."""

    def __init__(self, ground: Ground, reader: Reader) -> None:
        self._ground = ground
        self._unsigned = reader.unsigned
        self._reader = reader
        self._remembered: tuple[object, tuple[tuple[Unreadable, ...], tuple[str, ...]]] | None = None
        self._seen: dict[str, _Seen] = {}

    def lines(self, stamps: Mapping[str, Stamp | None] | None) -> tuple[list[Unreadable], list[Head]]:
        """What cannot be opened, and the unsigned sessions that can, newest first.

        Args:
            stamps: Every file of the data directory, where somebody has just looked.
        """
        strangers, unsigned = self._names(stamps)
        unreadable, heads = list(strangers), []
        for stem in unsigned:
            name = stem + SUFFIX
            line = self._line(stem, self._ground.backend.stamp(name) if stamps is None else stamps.get(name))
            if isinstance(line, Head):
                heads.append(line)
            elif line is not None:
                unreadable.append(line)
        heads.sort(key=lambda head: (head.updated_at, head.session_id), reverse=True)
        return unreadable, heads

    def unsigned_ids(self) -> list[str]:
        """The ids of unsigned files, and of those that were listed and are gone; in order. Damaged lists give none."""
        return list(self._names(None)[1])

    def _names(self, stamps: Mapping[str, Stamp | None] | None) -> tuple[tuple[Unreadable, ...], tuple[str, ...]]:
        """Strangers, and the ids of unsigned files. Remembered while neither names nor rows change."""
        names, rows = self._ground.backend.names_token(), self._ground.ledger.changed_token()
        if self._remembered is not None and names is not None and self._remembered[0] == (names, rows):
            return self._remembered[1]
        states = self._ground.ledger.ids()
        scanned = dict(self._ground.backend.scan()) if stamps is None else stamps
        lines = (self._stranger(name, stamp) for name, stamp in scanned.items() if not _is_known(name, states))
        strangers = tuple(line for line in lines if line is not None)
        found = {name.removesuffix(SUFFIX) for name in scanned if name.endswith(SUFFIX)}
        damage, listed = self._listed(states)
        strangers += damage
        unsigned = tuple(sorted(stem for stem in found | listed if is_id(stem)))
        self._seen = {stem: seen for stem, seen in self._seen.items() if stem in found}
        self._remembered = ((names, rows), (strangers, unsigned))
        return strangers, unsigned

    def _listed(self, states: Mapping[str, str]) -> tuple[tuple[Unreadable, ...], set[str]]:
        """What is wrong with the ledger's own lists, and the ids of files that ought to be here."""
        damage: list[Unreadable] = []
        listed: set[str] = set()
        try:
            for name, entry in self._unsigned.inventory().items():
                stem = name.removesuffix(SUFFIX)
                if entry.state == "listed" and states.get(stem) not in ("live", "deleting"):
                    listed.add(stem)
        except LedgerCorruptError as error:
            damage.append(Unreadable(LEDGER, error.code, str(error)))
        try:
            refuse_lost(self._ground)
        except LedgerCorruptError as error:
            damage.append(Unreadable(LEDGER, error.code, str(error)))
        return tuple(damage), listed

    def _stranger(self, name: str, stamp: Stamp | None) -> Unreadable | None:
        """The line for a file that is neither sealed and known, nor unsigned with an id; None if it is on its way."""
        stem = name.rpartition(".")[0]
        try:
            if not is_id(stem):
                return Unreadable(_printable(name), InvalidIdError.code, "the file name is no session id")
            if stamp is None:
                log = self._ground.backend.open(name)  # refuses what is no ordinary file of ours
                if log is not None:
                    log.close()
            else:
                self._reader.settled(stem).log.close()
        except SessionNotFoundError:
            return None
        except SessionStoreError as error:
            return Unreadable(stem, error.code, str(error))
        return None

    def _line(self, stem: str, stamp: Stamp | None) -> Head | Unreadable | None:
        """The line for an unsigned file; None if it came, went or was migrated since the names were read.

        What is wrong is looked at once more if head or file moved meanwhile: somebody migrates or deletes it right now.
        """
        ledger, backend = self._ground.ledger, self._ground.backend
        head = ledger.head(stem)
        line = self._judged(stem, stamp, head)
        if isinstance(line, Unreadable):
            now = ledger.head(stem), backend.stamp(stem + SUFFIX)
            if now != (head, stamp):
                line = self._judged(stem, now[1], now[0])
        return line

    def _judged(self, stem: str, stamp: Stamp | None, head: Head | None) -> Head | Unreadable | None:
        try:
            if stamp is None:
                return self._gone(stem, head)
            seen = self._seen.get(stem)
            if seen is None or seen.stamp != stamp:
                content = content_of(self._ground.backend, stem)
                if content is None:
                    return self._gone(stem, head)
                seen = self._seen[stem] = _Seen(content.stamp, content.digest, _read(Unsigned(stem, content)))
            entry = self._unsigned.inventory().get(stem + SUFFIX)
            if head is not None and entry is not None and entry.state == "migrated" and entry.digest == seen.digest:
                if head.state == "live":
                    return Unreadable(stem, LEFT, _LEFT_TEXT)
                if head.state == "deleting":
                    return None
                raise ResurrectedError(session_id=stem)
            self._unsigned.judge(stem, seen.digest, head if head is None or head.state != "deleted" else None)
            if at_least(self._unsigned.policy(), "require"):
                raise UnsignedRefusedError(session_id=stem)
            return seen.line
        except SessionStoreError as error:
            return Unreadable(stem, error.code, str(error))

    def _gone(self, stem: str, head: Head | None) -> Unreadable | None:
        """The line for one that ought to be there: it was listed, and neither migrated nor deleted.

        Raises:
            UnsafeFileError: Something else has its name.
        """
        log = self._ground.backend.open(stem + SUFFIX)  # refuses what is no ordinary file of ours
        if log is not None:
            log.close()
        if log is not None or was_saved(head) or not self._unsigned.is_listed(stem):
            return None
        error = MissingError(session_id=stem, head_rev=0)
        return Unreadable(stem, error.code, str(error))


def _read(unsigned: Unsigned) -> Head | Unreadable:
    try:
        return unsigned.head()
    except SessionStoreError as error:
        return Unreadable(unsigned.session_id, error.code, str(error))


def _is_known(name: str, states: Mapping[str, str]) -> bool:
    """Whether a name is no stranger's: a session's log, an unsigned file with an id, or no session file at all."""
    stem, _, suffix = name.rpartition(".")
    if suffix == "jsonl":
        return states.get(stem) == "live"
    return suffix != "json" or is_id(stem)


def _printable(name: str) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name)
