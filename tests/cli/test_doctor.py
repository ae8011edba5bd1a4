"""doctor: every sick part is found, named and given its remedy; nothing is changed by the examination."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionstore.config import load_config
from sessionstore.fs.mount import FileSystemKind
from sessionstore.fs.project import Pinning, PinningReport
from sessionstore.health import Finding, diagnose, judge_limits, judge_pinning, judge_place
from sessionstore.wiring import open_store


@pytest.fixture
def examine(home: Path) -> Callable[..., dict[str, list[Finding]]]:
    """The findings by what was examined."""

    def run(**environ: str) -> dict[str, list[Finding]]:
        found: dict[str, list[Finding]] = {}
        for finding in diagnose(
            load_config(root=home, environ=environ), lambda: open_store(home, environ=environ, read_only=True)
        ):
            found.setdefault(finding.check, []).append(finding)
        return found

    return run


def tree(directory: Path) -> dict[str, tuple[int, int, int]]:
    """Every path below a directory with its inode, size and mode."""
    return {
        str(path.relative_to(directory)): (status.st_ino, status.st_size, status.st_mode)
        for path in directory.rglob("*")
        for status in [path.lstat()]
    }


class TestDiagnose:
    def test_before_the_first_use_nothing_is_wrong_and_nothing_is_made(self, examine, home: Path) -> None:
        found = examine()
        assert not home.exists()
        assert {finding.level for findings in found.values() for finding in findings} <= {"ok", "note"}
        assert found["data directory"][0].text.endswith(": not made yet")

    def test_a_healthy_store_is_all_ok(self, examine, session_id: str) -> None:
        found = examine()
        assert list(found) == [
            "settings",
            "rate limits",
            "data directory",
            "state directory",
            "key",
            "store",
            "ledger",
            "audit log",
            "sessions",
            "unsigned files",
            "session files",
            "project pinning",
        ]
        wrong = [finding for findings in found.values() for finding in findings if finding.level == "problem"]
        assert wrong == []

    def test_a_change_of_keys_that_was_not_finished_is_told(
        self, examine, session_id: str, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with open_store(home) as store, monkeypatch.context() as patched:
            patched.setattr(store._ground.ledger.renewal, "page", lambda: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                store.rotate_keys()
        told = [finding for finding in examine()["key"] if finding.level == "problem"]
        assert [finding.mend for finding in told] == ["`sessionstore keys rotate` goes on with it"]

    def test_looking_changes_nothing(self, examine, session_id: str, home: Path) -> None:
        file = home / "data/sessions" / f"{session_id}.jsonl"
        file.chmod(0o644)
        before = tree(home)
        examine()
        assert tree(home) == before

    @pytest.mark.parametrize(("place", "check"), [("data", "data directory"), ("state", "state directory")])
    def test_a_directory_open_to_others_is_found(
        self, place: str, check: str, examine, session_id: str, home: Path
    ) -> None:
        (home / place).chmod(0o755)
        (finding,) = examine()[check]
        assert finding.level == "problem"
        assert "0755" in finding.text
        assert "chmod 700" in finding.mend

    def test_a_link_in_the_place_of_a_directory_is_found(self, examine, session_id: str, home: Path) -> None:
        (home / "data").rename(home / "moved")
        (home / "data").symlink_to(home / "moved")
        (finding,) = examine()["data directory"]
        assert (finding.level, finding.code) == ("problem", "unsafe_file")

    def test_a_key_that_others_may_read_is_found(self, examine, session_id: str, home: Path) -> None:
        (home / "state/keyring").chmod(0o640)
        (finding,) = examine()["key"]
        assert (finding.level, finding.code) == ("problem", "key_permissions")
        assert "chmod 600" in finding.mend

    def test_a_missing_key_is_found(self, examine, session_id: str, home: Path) -> None:
        (home / "state/keyring").unlink()
        found = examine()
        assert [finding.code for finding in found["store"]] == ["key_unavailable"]

    def test_another_salt_is_found(self, examine, session_id: str) -> None:
        (finding,) = examine(SESSIONSTORE_SIGNING_SALT="pepper")["key"]
        assert (finding.level, finding.code) == ("problem", "key_unavailable")

    def test_a_damaged_key_is_found(self, examine, session_id: str, home: Path) -> None:
        (home / "state/keyring").write_bytes(b"{}")
        (finding,) = examine()["key"]
        assert (finding.level, finding.code) == ("problem", "key_corrupt")

    def test_a_missing_ledger_is_found(self, examine, session_id: str, home: Path) -> None:
        for file in (home / "state").glob("ledger.db*"):
            file.unlink()
        assert [finding.code for finding in examine()["store"]] == ["ledger_missing"]

    def test_a_damaged_ledger_is_found(self, examine, session_id: str, home: Path) -> None:
        file = home / "state/ledger.db"
        content = bytearray(file.read_bytes())
        content[100:200] = os.urandom(100)
        file.write_bytes(content)
        codes = {finding.code for findings in examine().values() for finding in findings if finding.level == "problem"}
        assert codes == {"ledger_corrupt"}

    def test_a_row_that_somebody_took_out_of_the_ledger_is_found(self, examine, session_id: str, home: Path) -> None:
        connection = sqlite3.connect(home / "state/ledger.db")
        with connection:
            connection.execute("DELETE FROM heads")
        connection.close()
        assert [finding.code for finding in examine()["ledger"]] == ["ledger_corrupt"]

    def test_unsigned_files_are_told_with_what_to_do(self, examine, call, home: Path, unsigned) -> None:
        sessions = home / "data/sessions"
        sessions.mkdir(parents=True, mode=0o700)
        for number in range(2):
            id = f"{number}f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
            (sessions / f"{id}.json").write_bytes(unsigned(id))
            (sessions / f"{id}.json").chmod(0o600)
        for directory in (home, home / "data", sessions):
            directory.chmod(0o700)
        call("list")
        notes = [finding for finding in examine()["sessions"] if finding.level == "note"]
        assert [(finding.text, finding.mend) for finding in notes] == [
            ("2 not signed yet", "`sessionstore migrate` signs them")
        ]
        call("migrate")
        (sessions / f"{id}.json").write_bytes(unsigned(id))
        (sessions / f"{id}.json").chmod(0o600)
        notes = [finding for finding in examine()["sessions"] if finding.level == "note"]
        assert [(finding.code, finding.mend) for finding in notes] == [
            ("migrated", "`sessionstore migrate` puts them away")
        ]

    def test_a_copied_data_directory_is_found(self, examine, session_id: str, home: Path) -> None:
        (home / "data").rename(home / "original")
        shutil.copytree(home / "original", home / "data")
        (home / "data").chmod(0o700)
        (home / "data/sessions").chmod(0o700)
        assert [finding.code for finding in examine()["store"]] == ["store_mismatch"]

    def test_session_files_open_to_others_or_linked_are_found(self, examine, session_id: str, home: Path) -> None:
        file = home / "data/sessions" / f"{session_id}.jsonl"
        file.chmod(0o644)
        os.link(file, home / "second")
        loose, linked = examine()["session files"]
        assert (loose.level, linked.level) == ("problem", "note")
        assert f"{session_id}.jsonl" in loose.text
        assert loose.mend.startswith("chmod 600 ")

    def test_sessions_that_cannot_be_opened_are_counted_by_code(self, examine, session_id: str, home: Path) -> None:
        (home / "data/sessions" / f"{session_id}.jsonl").unlink()
        _, finding = examine()["sessions"]
        assert (finding.level, finding.code, finding.text) == ("problem", "missing", "1 that cannot be opened: missing")

    def test_a_store_that_is_nearly_full_is_worth_a_word(self, examine, session_id: str) -> None:
        (finding,) = examine(SESSIONSTORE_MAX_SESSIONS="1")["sessions"]
        assert finding.level == "note"
        assert "cleanup" in finding.mend

    def test_a_lost_state_directory_is_found(self, examine, session_id: str, home: Path) -> None:
        shutil.rmtree(home / "state")
        assert [(finding.level, finding.code) for finding in examine()["store"]] == [("problem", "key_unavailable")]
        assert not (home / "state").exists()

    def test_a_lost_data_directory_is_found(self, examine, session_id: str, home: Path) -> None:
        shutil.rmtree(home / "data")
        assert [(finding.level, finding.code) for finding in examine()["store"]] == [("problem", "store_unavailable")]
        assert not (home / "data").exists()


class TestJudgePlace:
    @pytest.mark.parametrize(
        ("kind", "mode", "strict", "level"),
        [
            (FileSystemKind("ext4", False), 0o700, True, "ok"),
            (FileSystemKind("ext4", False), 0o700, False, "ok"),
            (FileSystemKind("nfs4", True), 0o700, True, "problem"),
            (FileSystemKind("nfs4", True), 0o700, False, "note"),
            (FileSystemKind("nfs4", True), 0o755, False, "problem"),
            (FileSystemKind("ext4", False), 0o750, False, "problem"),
        ],
    )
    def test_state_needs_a_local_disk_and_both_need_privacy(
        self, kind: FileSystemKind, mode: int, strict: bool, level: str
    ) -> None:
        finding = judge_place("place", "/a b", kind, mode, strict=strict)
        assert finding.level == level
        assert (finding.mend != "") == (level == "problem")
        if mode != 0o700:
            assert finding.mend == "chmod 700 '/a b'"


class TestJudgeLimits:
    @pytest.mark.parametrize(
        ("environ", "level", "text"),
        [
            ({}, "ok", "resumes within 60 s: one session: 5; all sessions: 60"),
            (
                {"SESSIONSTORE_RESUME_LIMIT": "0"},
                "note",
                "resumes within 60 s: one session: no limit; all sessions: 60",
            ),
            (
                {"SESSIONSTORE_RESUME_GLOBAL_LIMIT": "0", "SESSIONSTORE_RESUME_WINDOW_SECONDS": "9"},
                "note",
                "resumes within 9 s: one session: 5; all sessions: no limit",
            ),
        ],
    )
    def test_a_limit_that_is_off_is_worth_a_word(
        self, environ: dict[str, str], level: str, text: str, tmp_path: Path
    ) -> None:
        finding = judge_limits(load_config(root=tmp_path, environ=environ).config)
        assert (finding.level, finding.text) == (level, text)


class TestJudgePinning:
    @pytest.mark.parametrize(
        ("pinning", "handles", "birth_times", "level"),
        [
            ("full", True, True, "ok"),
            ("full", False, True, "ok"),
            ("leaf_only", False, False, "note"),
            ("none", False, False, "note"),
        ],
    )
    def test_what_weakens_it_is_a_note(self, pinning: Pinning, handles: bool, birth_times: bool, level: str) -> None:
        report = PinningReport(pinning, "missing", handles=handles, birth_times=birth_times, proc=True)
        assert judge_pinning(report).level == level


class TestDoctor:
    def test_without_findings_it_ends_with_0(self, call, session_id: str) -> None:
        ran = call("doctor")
        hint = "`sessionstore keys export FILE`, and keep FILE and passphrase apart from this machine"
        assert (ran.code, ran.err) == (0, f"hint: key: {hint}\nall well\n")
        assert ran.out.splitlines()[0].split() == ["CHECK", "STATE", "WHAT"]

    def test_once_the_key_was_exported_it_is_quiet_until_there_is_another(
        self, call, session_id: str, home: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "phrase").write_text("a long enough phrase")
        export = ["keys", "export", str(tmp_path / "key.json"), "--passphrase-file", str(tmp_path / "phrase")]
        assert call(*export).code == 0
        ran = call("doctor")
        assert (ran.code, ran.err) == (0, "all well\n")
        assert "never exported" not in ran.out
        call("keys", "rotate")
        ran = call("doctor", "--json")
        (primary,) = (key["id"] for key in call("keys", "list", "--json").value["keys"] if key["status"] == "primary")
        (note,) = (finding for finding in ran.value["findings"] if finding["level"] == "note")
        assert (ran.code, ran.value["ok"], note["check"]) == (0, True, "key")
        assert note["text"] == f"key {primary} was never exported, as far back as the audit log goes"

    def test_an_audit_log_that_cannot_be_read_is_no_second_finding(self, call, session_id: str, home: Path) -> None:
        (home / "state/audit").write_text("in the way")
        ran = call("doctor", "--json")
        assert ran.code == 1
        assert [finding["check"] for finding in ran.value["findings"] if finding["level"] != "ok"] == ["audit log"]

    def test_findings_end_with_1_and_each_says_what_mends_it(self, call, session_id: str, home: Path) -> None:
        (home / "state/keyring").chmod(0o640)
        ran = call("doctor")
        assert ran.code == 1
        assert "key_permissions" not in ran.out
        assert "hint: key: if nobody else can have read it: chmod 600 the file" in ran.err
        assert ran.err.endswith("1 problem\n")

    def test_programs_get_the_findings(self, call, session_id: str, home: Path) -> None:
        assert call("doctor", "--json").value["ok"] is True
        (home / "state/keyring").chmod(0o640)
        ran = call("doctor", "--json")
        assert (ran.code, ran.value["ok"]) == (1, False)
        codes = [finding["code"] for finding in ran.value["findings"] if finding["level"] == "problem"]
        assert codes == ["key_permissions"]

    def test_what_is_missing_is_not_made(self, call, session_id: str, home: Path) -> None:
        shutil.rmtree(home / "state/locks")
        assert call("doctor").code == 1
        assert not (home / "state/locks").exists()

    def test_wrong_settings_are_an_error_of_their_own(self, call) -> None:
        assert call("doctor", env={"SESSIONSTORE_MAX_SESSIONS": "many"}).code == 2
