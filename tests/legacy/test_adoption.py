"""Unsigned files that came later: opened only after somebody vouched for exactly these bytes."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sessionstore import SessionStore, errors, open_store
from sessionstore.fs import Directory
from sessionstore.legacy import adoption

OLD = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
OTHER = "1f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
THIRD = "2f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"

Unsigned = Callable[..., bytes]


@pytest.fixture
def opened(home: Path, directory: Path) -> Iterator[SessionStore]:
    with open_store(home) as store:
        yield store


@pytest.fixture
def away(tmp_path: Path) -> Path:
    """A directory elsewhere."""
    made = tmp_path / "away"
    made.mkdir(mode=0o755)
    return made


def put(directory: Path, content: bytes, id: str = OLD) -> Path:
    file = directory / f"{id}.json"
    file.write_bytes(content)
    return file


def told(report: Any) -> tuple[list[str], dict[str, str]]:
    return [file.session_id for file in report.adopted], {line.name: line.code for line in report.refused}


class TestOne:
    def test_it_is_opened_once_somebody_vouched_and_that_is_on_record(
        self, opened: SessionStore, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD))
        digest = hashlib.sha256(unsigned(OLD)).hexdigest()
        (file,) = opened.adopt(OLD, consent="me", dry_run=True).adopted
        assert (file.session_id, file.digest, file.entries, file.name) == (OLD, digest, 2, "Atlas")
        with pytest.raises(errors.UnsignedUnknownError):
            opened.load(OLD)
        assert opened.adopt(OLD, consent="me", digests={OLD: digest}).adopted == (file,)
        assert opened.load(OLD).provenance == "legacy-adopted"
        (event,) = opened.audit(events=["adoption"])
        assert (event.session_id, event.fields) == (OLD, {"digest": digest, "consent": "me"})
        assert opened.append(OLD, [{"n": 1}]) == 2
        assert told(opened.adopt(OLD, consent="me")) == ([], {})

    def test_what_was_not_shown_is_not_agreed_to(
        self, opened: SessionStore, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD))
        for digests in ({}, {OLD: "0" * 64}, {OTHER: hashlib.sha256(unsigned(OLD)).hexdigest()}):
            with pytest.raises(errors.LegacyModifiedError):
                opened.adopt(OLD, consent="me", digests=digests)
        with pytest.raises(errors.UnsignedUnknownError):
            opened.load(OLD)
        assert list(opened.audit(events=["adoption"])) == []

    def test_a_listed_one_that_was_changed_is_taken_as_it_is_now(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD))
        with open_store(home) as store:
            assert told(store.adopt(OLD, consent="me")) == ([], {})
            put(directory, unsigned(OLD, name="changed"))
            with pytest.raises(errors.LegacyModifiedError):
                store.load(OLD)
            store.adopt(OLD, consent="me")
            assert store.load(OLD).name == "changed"
            put(directory, unsigned(OLD))
            with pytest.raises(errors.LegacyModifiedError):
                store.load(OLD)

    @pytest.mark.parametrize("change", [{"version": 2}, {"signature": ""}, {"usage": {}}, {"id": OTHER}])
    def test_what_cannot_be_read_is_not_adopted(
        self, opened: SessionStore, directory: Path, unsigned: Unsigned, change: dict[str, Any]
    ) -> None:
        put(directory, unsigned(OLD, **change))
        with pytest.raises(errors.VerificationError) as caught:
            opened.adopt(OLD, consent="me")
        assert caught.value.code in ("malformed", "unsupported_version", "wrong_session")
        assert opened._ground.ledger.inventory() == {}

    def test_where_a_session_was_saved_nothing_is_adopted(
        self, opened: SessionStore, directory: Path, unsigned: Unsigned
    ) -> None:
        opened.create(id=OLD)
        put(directory, unsigned(OLD))
        with pytest.raises(errors.SignatureStrippedError) as caught:
            opened.adopt(OLD, consent="me")
        assert "import --format legacy" in caught.value.hint
        opened.delete(OLD)
        with pytest.raises(errors.ResurrectedError):
            opened.adopt(OLD, consent="me")

    def test_where_one_was_only_begun_and_never_saved_there_is_nothing_in_the_way(
        self, opened: SessionStore, directory: Path, unsigned: Unsigned
    ) -> None:
        with pytest.raises(errors.MalformedError):
            opened.create(id=OLD, entries=[{"n": float("nan")}])
        head = opened._ground.ledger.head(OLD)
        assert head is not None and (head.state, head.rev) == ("deleted", 0)
        with pytest.raises(errors.SessionNotFoundError):
            opened.adopt(OLD, consent="me")
        put(directory, unsigned(OLD))
        assert told(opened.adopt(OLD, consent="me")) == ([OLD], {})
        assert opened.load(OLD).provenance == "legacy-adopted"

    def test_nor_where_one_was_migrated_and_its_row_is_gone(
        self, home: Path, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD))
        with open_store(home) as store:
            store.append(OLD, [{"n": 1}])
            put(directory, unsigned(OLD, name="other"))
            with pytest.raises(errors.SignatureStrippedError):
                store.adopt(OLD, consent="me")
            with closing(sqlite3.connect(home / "state" / "ledger.db")) as ledger, ledger:
                ledger.execute("DELETE FROM heads")
            with pytest.raises(errors.SignatureStrippedError):
                store.adopt(OLD, consent="me")

    def test_nor_where_a_row_is_gone_that_may_be_its_own(
        self, opened: SessionStore, home: Path, directory: Path, unsigned: Unsigned, away: Path
    ) -> None:
        opened.create(id=OLD)
        (directory / f"{OLD}.jsonl").unlink()
        put(directory, unsigned(OLD))
        put(away, unsigned(OTHER), OTHER)
        with closing(sqlite3.connect(home / "state" / "ledger.db")) as ledger, ledger:
            ledger.execute("DELETE FROM heads")
        for arguments in ({"id": OLD}, {"directory": away}):
            with pytest.raises(errors.LedgerCorruptError):
                opened.adopt(**arguments, consent="me")
        assert opened._ground.ledger.inventory() == {}

    def test_the_unknown_the_unsafe_and_wrong_arguments(
        self, opened: SessionStore, directory: Path, away: Path, home: Path
    ) -> None:
        with pytest.raises(errors.SessionNotFoundError):
            opened.adopt(OLD, consent="me")
        (directory / f"{OLD}.json").symlink_to("nowhere")
        with pytest.raises(errors.UnsafeFileError):
            opened.adopt(OLD, consent="me")
        with pytest.raises(errors.InvalidIdError):
            opened.adopt("x", consent="me")
        for arguments in ({}, {"id": OLD, "directory": away}):
            with pytest.raises(errors.InvalidValueError):
                opened.adopt(**arguments, consent="me")
        for consent in ("", "x" * 201, "\n"):
            with pytest.raises(errors.InvalidValueError, match="consent"):
                opened.adopt(OLD, consent=consent)
        with open_store(home, read_only=True) as reading, pytest.raises(errors.StoreUnavailableError):
            reading.adopt(OLD, consent="me")

    def test_a_session_that_somebody_is_making_has_its_id(
        self, opened: SessionStore, directory: Path, unsigned: Unsigned
    ) -> None:
        put(directory, unsigned(OLD))

        def entries() -> Iterator[dict[str, int]]:
            with pytest.raises(errors.AlreadyExistsError):
                opened.adopt(OLD, consent="me")
            yield {"n": 1}

        assert opened.create(id=OLD, entries=entries()).rev == 1


class TestDirectory:
    def test_good_ones_are_copied_and_the_others_told(
        self, opened: SessionStore, directory: Path, away: Path, unsigned: Unsigned
    ) -> None:
        for id in (OLD, OTHER):
            put(away, unsigned(id), id)
        put(away, unsigned(THIRD, version=2), THIRD)
        put(away, b"{}", "notes")
        (away / "readme.txt").write_text("x")
        before = {file.name: file.read_bytes() for file in away.iterdir()}
        expected = ([OLD, OTHER], {THIRD: "unsupported_version"})
        assert told(opened.adopt(directory=away, consent="me", dry_run=True)) == expected
        assert not list(directory.glob("*.json"))
        report = opened.adopt(directory=away, consent="me")
        assert (told(report), report.left_out) == (expected, ("notes.json",))
        assert {file.name: file.read_bytes() for file in away.iterdir()} == before
        assert {line.id for line in opened.list().sessions} == {OLD, OTHER}
        assert len(list(opened.audit(events=["adoption"]))) == 2
        assert told(opened.adopt(directory=away, consent="me")) == ([], expected[1])
        assert [result.outcome for result in opened.migrate()] == ["migrated", "migrated"]
        assert told(opened.adopt(directory=away, consent="me")) == ([], expected[1])

    def test_only_what_was_agreed_to_is_taken(self, opened: SessionStore, away: Path, unsigned: Unsigned) -> None:
        put(away, unsigned(OLD))
        shown = opened.adopt(directory=away, consent="me", dry_run=True).adopted
        digests = {file.session_id: file.digest for file in shown}
        put(away, unsigned(OLD, name="exchanged"))
        put(away, unsigned(OTHER), OTHER)
        report = opened.adopt(directory=away, consent="me", digests=digests)
        assert told(report) == ([], {OLD: "legacy_modified", OTHER: "legacy_modified"})

    def test_the_stores_own_directory_is_taken_in_place(
        self, opened: SessionStore, directory: Path, unsigned: Unsigned
    ) -> None:
        file = put(directory, unsigned(OLD))
        opened.create(id=OTHER)
        put(directory, unsigned(OTHER), OTHER)
        inode = file.stat().st_ino
        report = opened.adopt(directory=directory, consent="me")
        assert told(report) == ([OLD], {OTHER: "signature_stripped"})
        assert file.stat().st_ino == inode and opened.load(OLD)

    def test_another_file_of_that_name_is_not_replaced(
        self, opened: SessionStore, directory: Path, away: Path, unsigned: Unsigned
    ) -> None:
        file = put(directory, unsigned(OLD, name="here"))
        put(away, unsigned(OLD, name="there"))
        assert told(opened.adopt(directory=away, consent="me")) == ([], {OLD: "already_exists"})
        assert file.read_bytes() == unsigned(OLD, name="here")

    def test_a_copy_that_nobody_lived_to_list_is_unknown_until_it_is_repeated(
        self, opened: SessionStore, directory: Path, away: Path, unsigned: Unsigned
    ) -> None:
        for place in (away, directory):
            put(place, unsigned(OLD))
        with pytest.raises(errors.UnsignedUnknownError):
            opened.load(OLD)
        assert told(opened.adopt(directory=away, consent="me")) == ([OLD], {})
        assert opened.load(OLD)

    def test_a_listed_one_that_is_gone_comes_back_from_there(
        self, home: Path, directory: Path, away: Path, unsigned: Unsigned
    ) -> None:
        file = put(directory, unsigned(OLD))
        with open_store(home) as store:
            file.unlink()
            put(away, unsigned(OLD))
            assert told(store.adopt(directory=away, consent="me")) == ([OLD], {})
            assert store.load(OLD)

    def test_what_vanishes_meanwhile_is_told_as_missing(
        self, opened: SessionStore, away: Path, unsigned: Unsigned
    ) -> None:
        with Directory.open(away) as held, pytest.raises(errors.SessionNotFoundError):
            adoption._candidate(opened._ground, OLD, held, None)

    def test_a_directory_that_others_may_write_to_is_not_taken_from(
        self, opened: SessionStore, away: Path, unsigned: Unsigned
    ) -> None:
        put(away, unsigned(OLD))
        away.chmod(0o777)
        with pytest.raises(errors.UnsafeFileError):
            opened.adopt(directory=away, consent="me")

    def test_a_store_in_memory_takes_them_too(self, away: Path, unsigned: Unsigned) -> None:
        put(away, unsigned(OLD))
        with open_store(backend="memory", environ={}) as store:
            assert told(store.adopt(directory=away, consent="me")) == ([OLD], {})
            assert store.append(OLD, [{"n": 1}]) == 2 and store.load(OLD).provenance == "legacy-adopted"
