"""Whoever can write the state directory, but has no key, against the audit log."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionstore import SessionStore, errors, open_store

HOSTILE = '\n{"audit":{"file":1}}\n\r\x1b[2J\x1b]0;title\x07\u202egpj.exe\u2028\x00\x7f"\\'


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[SessionStore]:
    """A store whose log has a closed file and a newest one."""
    environ = {"SESSIONSTORE_AUDIT_MAX_FILE_BYTES": "16KiB"}
    with open_store(tmp_path / "store", environ=environ) as store:
        for number in range(60):
            store._ground.audit.record("resume_refused", code=f"code_{number}", verdict="symlink")
        assert [path.name for path in files(store)] == ["000001.jsonl", "000002.jsonl"]
        yield store


def files(store: SessionStore) -> list[Path]:
    return sorted((store.config.state_dir / "audit").glob("*.jsonl"))


def found(store: SessionStore) -> list[tuple[str, int]]:
    return [(finding.file, finding.line) for finding in store.verify_audit().findings]


class TestLines:
    @pytest.mark.parametrize("which", [0, 1])
    @pytest.mark.parametrize("at", [0, 1, 2])
    def test_what_is_changed_is_named(self, at: int, which: int, kept: SessionStore) -> None:
        file = files(kept)[which]
        lines = file.read_bytes().splitlines(keepends=True)
        for harm in (
            [*lines[:at], lines[at].replace(b"symlink", b"replaced"), *lines[at + 1 :]],
            [*lines[:at], *lines[at + 1 :]],
            [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]],
            [*lines[:at], lines[at].replace(b'"pid"', b'"PID"'), *lines[at + 1 :]],
            [*lines[:at], files(kept)[1 - which].read_bytes().splitlines(keepends=True)[at], *lines[at + 1 :]],
        ):
            file.write_bytes(b"".join(harm))
            assert found(kept) == [(file.name, at + 1)]
        file.write_bytes(b"".join(lines))
        assert found(kept) == []


class TestFiles:
    def test_a_cut_end_is_named(self, kept: SessionStore) -> None:
        newest = files(kept)[1]
        lines = newest.read_bytes().splitlines(keepends=True)
        newest.write_bytes(b"".join(lines[:-2]))
        assert found(kept) == [(newest.name, len(lines) - 1)]

    def test_what_is_removed_replaced_or_planted_is_named(self, kept: SessionStore) -> None:
        first, second = files(kept)
        planted = second.with_name("000003.jsonl")
        planted.write_bytes(second.read_bytes())
        planted.chmod(0o600)
        assert found(kept) == [("000003.jsonl", 1)]
        first.write_bytes(second.read_bytes())
        second.unlink()
        assert found(kept) == [("000001.jsonl", 1), ("000002.jsonl", 0), ("000003.jsonl", 1)]

    def test_rows_that_were_edited_or_removed_are_a_damaged_ledger(self, kept: SessionStore) -> None:
        database = kept._ground.ledger._database
        for harm in (
            "UPDATE audit SET payload = (SELECT payload FROM audit WHERE file = 1) WHERE file = 0",
            "DELETE FROM audit WHERE file = 1",
            "DELETE FROM audit WHERE file = 0",
            "DELETE FROM audit",
        ):
            database.write(harm, (), durable=False)
            with pytest.raises(errors.LedgerCorruptError):
                kept.verify_audit()


class TestGoingOn:
    def test_damage_stops_neither_the_log_nor_the_store(self, kept: SessionStore) -> None:
        session = kept.create(name="atlas")
        for _ in range(3):
            newest = files(kept)[-1]
            newest.write_bytes(b"")
            kept._ground.audit.record("resume_committed", session_id=session.id, rev=1)
        last = list(kept.audit())[-1]
        assert (last.event, last.file) == ("resume_committed", 5)
        assert found(kept) == [(f"00000{number}.jsonl", 1) for number in (2, 3, 4)]

    def test_links_and_directories_in_the_way_of_the_next_file_overwrite_nothing(self, kept: SessionStore) -> None:
        precious = kept.config.state_dir.parent / "precious"
        precious.write_bytes(b"precious")
        (kept.config.state_dir / "audit" / "000003.jsonl").symlink_to(precious)
        kept._ground.audit.record("resume_attempt")
        assert precious.read_bytes() == b"precious"
        assert [record.event for record in kept.audit()][-2:] == ["audit_set_aside", "resume_attempt"]


class TestInTheWay:
    def test_a_directory_in_the_place_of_the_next_file_grants_nothing(self, kept: SessionStore) -> None:
        (kept.config.state_dir / "audit" / "000003.jsonl").mkdir()
        with pytest.raises(errors.StoreUnavailableError):
            kept._ground.audit.record("resume_committed", rev=1)

    @pytest.mark.parametrize("mode", [0o777, 0o750, 0o701])
    def test_a_directory_open_to_others_grants_nothing(self, mode: int, tmp_path: Path) -> None:
        with open_store(tmp_path / "store", environ={}) as store:
            (store.config.state_dir / "audit").mkdir()
            (store.config.state_dir / "audit").chmod(mode)
            with pytest.raises(errors.StoreUnavailableError):
                store._ground.audit.record("resume_attempt")


class TestFlood:
    def test_reading_a_damaged_session_a_thousand_times_is_one_line(self, tmp_path: Path) -> None:
        with open_store(tmp_path / "store", environ={}) as store:
            session = store.create(name="atlas")
            (store.config.data_dir / "sessions" / f"{session.id}.jsonl").write_bytes(b"x")
            for _ in range(1000):
                with pytest.raises(errors.VerificationError):
                    store.load(session.id)
            assert len(list(store.audit())) == 1


class TestText:
    def test_hostile_text_is_one_printable_line_and_comes_back_as_it_was(self, kept: SessionStore) -> None:
        before = len(files(kept)[1].read_bytes().splitlines())
        kept._ground.audit.record("rebind", before=HOSTILE, after="x" * 100_000, consent=HOSTILE * 1000)
        data = files(kept)[1].read_bytes()
        assert all(byte == 0x0A or 0x20 <= byte <= 0x7E for byte in data)
        assert data.count(b"\n") == before + 1 and len(data.splitlines()[-1]) < 4096
        (record,) = kept.audit(events=["rebind"])
        assert record.fields["before"] == HOSTILE
        assert kept.verify_audit().ok


class TestSecrets:
    def test_no_event_takes_what_must_not_be_told(self, kept: SessionStore) -> None:
        secret = json.loads((kept.config.state_dir / "keyring").read_bytes())["keyring"]["keys"][0]["secret"]
        for fields in (
            {"code": secret},
            {"verdict": secret.upper()},
            {"token": "x"},
            {"content": "x"},
            {"key": os.urandom(32)},
        ):
            with pytest.raises(errors.InvalidValueError) as refused:
                kept._ground.audit.record("resume_refused", **fields)
            assert secret not in str(refused.value)
