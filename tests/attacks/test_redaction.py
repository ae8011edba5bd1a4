"""Looking for what was redacted, and getting something past a redaction."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sessionstore import errors, open_store

AWS = "AK" + "IA" + "ABCDEFGH12345678"


def places(root: Path, secret: str) -> list[str]:
    """The files below `root` that hold the secret, by name."""
    found = [path for path in root.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    return [str(path.relative_to(root)) for path in found]


class TestOldBytes:
    @pytest.fixture
    def leaky(self, home: Path) -> str:
        """A session with a secret in every place below the store that can hold one."""
        with open_store(home) as store:
            id = store.create(name=f"of {AWS}", entries=[{"content": AWS}]).id
            other = store.create(name="another").id
            for number in range(40):
                store.rename(id, f"{number} {AWS}")
                store.tag(id, add=[AWS])
                store.tag(id, remove=[AWS])
            store._ground.backend.keep(f"{id}.tail", [AWS.encode()])
            store._ground.backend.keep(f"{other}.tail", [b"of another"])
        # Many builds of SQLite leave what a row was in the free part of its page; others wipe it unless told not to.
        with closing(sqlite3.connect(home / "state" / "ledger.db", isolation_level=None)) as raw:
            raw.execute("PRAGMA secure_delete = OFF")
            row = ("x", "live", "", "", AWS.encode() * 50, b"")
            raw.execute("INSERT INTO heads VALUES ('x', ?, ?, ?, NULL, ?, ?, ?)", row)
            raw.execute("DELETE FROM heads WHERE store_id = 'x'")
        data = home / "data"
        with (data / "sessions" / f"{id}.jsonl").open("ab") as log:
            log.write(f'{{"entry":{{"torn":"{AWS}'.encode())
        (data / "retired").mkdir()
        (data / "retired" / f"{id}.json").write_text(AWS)
        (data / "sessions" / f"{id}.json").write_text(AWS)
        (data / "sessions" / f".sessionstore-1-{'0' * 16}.tmp").write_text(AWS)
        (data / "quarantine" / f".sessionstore-1-{'0' * 16}.tmp").write_text(AWS)
        return id

    def test_after_it_they_are_in_no_file_of_data_and_state(self, home: Path, leaky: str) -> None:
        # A process that is killed leaves the ledger's log as it is; an orderly end would have emptied it.
        script = """
import os, sys
from sessionstore import open_store
store = open_store(sys.argv[1])
store.rename(sys.argv[2], "again " + sys.argv[3])
os._exit(0)
"""
        subprocess.run([sys.executable, "-c", script, home, leaky, AWS], check=True)
        assert {"state/ledger.db", "state/ledger.db-wal", f"data/sessions/{leaky}.jsonl"} < set(places(home, AWS))
        with open_store(home) as store:
            done = store.redact(leaky, secrets=True)
            assert places(home, AWS) == []
            assert store.load(leaky).name == "again [redacted:aws]"
            store._ground.ledger.check()
        assert places(home, AWS) == []
        assert done.unfinished == ()
        assert sum("quarantine/" in name for name in done.purged) >= 2
        assert {f"retired/{leaky}.json", f"sessions/{leaky}.json", "quarantine/(temporary)"} <= set(done.purged)

    def test_while_another_process_has_the_store_open_too(self, home: Path, leaky: str) -> None:
        with open_store(home) as other, open_store(home) as store:
            other.rename(leaky, f"by another {AWS}")
            store.redact(leaky, secrets=True)
            assert places(home, AWS) == []
            assert other.load(leaky).name == "by another [redacted:aws]"
            other.append(leaky, [{"n": 1}])

    def test_files_of_other_sessions_stay(self, home: Path, leaky: str) -> None:
        with open_store(home) as store:
            store.redact(leaky, secrets=True)
        assert len(places(home / "data" / "quarantine", "of another")) == 1

    def test_a_ledger_that_somebody_is_reading_is_told_and_a_second_time_finishes(self, home: Path, leaky: str) -> None:
        with open_store(home) as store:
            with closing(sqlite3.connect(home / "state" / "ledger.db", isolation_level=None)) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM heads").fetchall()
                with closing(open_store(home, environ={"SESSIONSTORE_LOCK_TIMEOUT_S": "0"})) as hasty:
                    done = hasty.redact(leaky, secrets=True)
                assert len(done.unfinished) == 1
                assert done.unfinished[0].startswith("free pages of the ledger: ")
                assert store.load(leaky).entries == ({"content": "[redacted:aws]"},)
            assert store.redact(leaky, secrets=True).unfinished == ()
            assert places(home, AWS) == []

    def test_what_cannot_be_removed_is_told(self, home: Path, leaky: str) -> None:
        (home / "data" / "quarantine" / f"{leaky}.directory").mkdir()
        (home / "data" / "elsewhere").mkdir(mode=0o700)
        (home / "data" / "elsewhere").chmod(0o722)
        with open_store(home) as store:
            done = store.redact(leaky, secrets=True)
        assert f"quarantine/{leaky}.directory" in done.unfinished

    def test_a_link_is_removed_and_what_it_leads_to_stays(self, home: Path, leaky: str, tmp_path: Path) -> None:
        target = tmp_path / "target"
        target.write_text("x")
        (home / "data" / "retired" / f"{leaky}.old").symlink_to(target)
        with open_store(home) as store:
            store.redact(leaky, secrets=True)
        assert target.read_text() == "x"
        assert not (home / "data" / "retired" / f"{leaky}.old").is_symlink()

    def test_a_crash_before_the_purge_is_made_good_by_doing_it_again(self, home: Path, leaky: str) -> None:
        script = """
import os, sys
from sessionstore.storage import FileBackend
FileBackend.purge = lambda *args, **options: os._exit(9)
from sessionstore import open_store
open_store(sys.argv[1]).redact(sys.argv[2], secrets=True)
"""
        assert subprocess.run([sys.executable, "-c", script, home, leaky]).returncode == 9
        assert places(home / "data" / "quarantine", AWS)
        with open_store(home) as store:
            assert store.load(leaky).entries == ({"content": "[redacted:aws]"},)
            store.redact(leaky, secrets=True)
        assert places(home, AWS) == []


class TestText:
    """Whoever writes into a session knows that it may be redacted one day."""

    @pytest.mark.parametrize(
        "text",
        [
            "eyJ" * 50_000,
            "passwordpassword " * 10_000,
            "//" * 30_000,
            "sk-" * 50_000,
            "AKIA" * 50_000,
            "xoxb-1-" * 50_000,
            "AccountKey=" * 30_000,
            "sq0csp-" * 40_000,
        ],
    )
    def test_text_that_was_made_to_be_slow_does_not_keep_a_redaction_from_ending(self, home: Path, text: str) -> None:
        with open_store(home) as store:
            id = store.create(entries=[{"content": text + f" {AWS}"}]).id
            assert AWS.encode() not in store.export(id, redact=True)

    @pytest.mark.parametrize(
        "entry",
        [
            {"id": AWS},
            {"role": AWS},
            {AWS: 1},
            {"deep": [[[[{"a": {"b": [AWS]}}]]]]},
            {"content": f"[redacted:{AWS}]"},
            {"content": f"[redacted:aws]{AWS}[redacted:aws]"},
            {"content": "x" * 8190 + AWS},
            {"content": "\u202e" + AWS + "\x00"},
        ],
    )
    def test_there_is_no_place_in_an_entry_that_hides_a_token(self, home: Path, entry: dict[str, object]) -> None:
        with open_store(home) as store:
            id = store.create(entries=[entry]).id
            assert AWS.encode() not in store.export(id, redact=True)
            store.redact(id, secrets=True)
        assert places(home, AWS) == []

    @pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)+b", "((a*)b)+c", r"(a)\1"])
    def test_a_pattern_that_could_take_for_ever_is_refused_before_anything_is_read(
        self, home: Path, pattern: str
    ) -> None:
        with open_store(home) as store, pytest.raises(errors.InvalidValueError):
            store.redact(store.create(entries=[{"content": "a" * 50}]).id, patterns=[pattern])
