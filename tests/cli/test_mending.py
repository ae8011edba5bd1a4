"""repair, restore, rebase-heads, doctor --claim: shown first, done with consent, and never more than was shown."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from sessionstore import errors


@pytest.fixture
def file(home: Path, session_id: str) -> Path:
    """The file of the session `first`, revision 2, with the entry `hello`."""
    return home / "data/sessions" / f"{session_id}.jsonl"


@pytest.fixture
def damaged(call, file: Path, session_id: str) -> str:
    call("append", session_id, "--role", "user", "--text", "second")
    file.write_bytes(file.read_bytes().replace(b"second", b"sekond"))
    return session_id


@pytest.fixture
def older(call, file: Path, session_id: str) -> str:
    """The session, at revision 3, with its file of revision 2."""
    before = file.read_bytes()
    call("append", session_id, "--role", "user", "--text", "second")
    file.write_bytes(before)
    return session_id


def put_back(home: Path, ledger: Path) -> None:
    for beside in (home / "state").glob("ledger.db*"):
        beside.unlink()
    shutil.copy2(ledger, home / "state/ledger.db")


class TestRepair:
    def test_a_dry_run_says_what_and_changes_nothing(self, call, damaged: str, file: Path) -> None:
        before = file.read_bytes()
        ran = call("repair", damaged, "--dry-run")
        assert ran == (
            0,
            f"{damaged}\n"
            "  state       invalid_signature\n"
            "  good up to  revision 2\n"
            "  known       revision 3\n"
            "  what        its file goes into quarantine; it is good up to revision 2 of 3\n",
            f"hint: `sessionstore repair {damaged} --keep-verified`\n",
        )
        assert file.read_bytes() == before

    def test_without_a_terminal_it_needs_consent(self, call, damaged: str, file: Path) -> None:
        ran = call("repair", damaged)
        assert ran.code == 2
        assert "repairing needs --confirm" in ran.err
        assert file.exists()

    @pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 1)])
    def test_a_terminal_is_asked_once(self, call, terminal, damaged: str, file: Path, answer: bytes, code: int) -> None:
        screen = terminal("repair", damaged, answer=answer)
        assert "good up to  revision 2" in screen.text
        assert (screen.code, file.exists()) == (code, code == 1)

    def test_the_broken_file_is_moved_and_the_place_is_told(self, call, damaged: str, file: Path) -> None:
        before = file.read_bytes()
        ran = call("repair", damaged, "--confirm")
        assert ran.code == 0
        found = re.fullmatch(rf"quarantined {damaged}  (.+)\n", ran.out)
        assert found and Path(found[1]).read_bytes() == before
        assert call("show", damaged).code == 4
        again = call("repair", damaged, "--confirm")
        assert (again.code, again.err) == (4, f"hint: `sessionstore delete {damaged}`\n")

    def test_what_verifies_is_a_new_session_without_a_question(self, call, damaged: str, file: Path) -> None:
        before = file.read_bytes()
        ran = call("repair", damaged, "--keep-verified")
        assert ran.code == 0
        made = ran.out.split()[0]
        shown = call("show", made, "--json").value
        words = [entry["content"] for entry in shown["entries"]]
        assert (shown["session"]["parent"], words) == (damaged, ["hello", "good day"])
        assert file.read_bytes() == before
        value = call("repair", damaged, "--keep-verified", "--json").value
        assert (value["repaired"], value["repair"]["fork"]) == (True, made)

    def test_a_tail_is_set_aside(self, call, session_id: str, file: Path) -> None:
        good = file.read_bytes()
        file.write_bytes(good + b'{"entry":{"half')
        ran = call("repair", session_id, "--confirm")
        assert (ran.code, ran.out) == (0, f"repaired {session_id}  revision 2, 15 B set aside\n")
        assert file.read_bytes() == good
        assert call("repair", session_id) == (0, f"unchanged {session_id}  it is whole\n", "")

    def test_an_older_file_is_left_with_its_command(self, call, older: str) -> None:
        ran = call("repair", older, "--confirm", "--json")
        assert ran.code == 4
        assert ran.value["repaired"] is False
        assert ran.value["repair"]["command"] == f"sessionstore restore {older} --accept-rev 2"

    def test_an_unknown_session_is_not_found(self, call) -> None:
        assert call("repair", "00000000-0000-4000-8000-000000000000").code == 3


class TestRestore:
    def test_both_revisions_both_times_and_the_command_are_shown(self, call, older: str) -> None:
        ran = call("restore", older, "--dry-run")
        time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
        assert ran.code == 0
        assert re.fullmatch(
            rf"{older}\n"
            r"  what     the file is older than what was saved here\n"
            rf"  file     revision 2, saved {time}\n"
            rf"  known    revision 3, {time}, ledger\n"
            r"  becomes  revision 4\n"
            rf"  command  sessionstore restore {older} --accept-rev 2\n",
            ran.out,
        )

    def test_without_the_revision_it_is_shown_and_refused(self, call, older: str) -> None:
        ran = call("restore", older, "--confirm")
        assert ran.code == 2
        assert "revision 3" in ran.err
        assert f"name the revision to take: `sessionstore restore {older} --accept-rev 2`" in ran.err
        assert call("show", older).code == 4

    def test_it_is_taken_by_its_revision_and_with_consent(self, call, older: str) -> None:
        assert call("restore", older, "--accept-rev", "2").code == 2
        assert call("restore", older, "--accept-rev", "3", "--confirm").code == 7
        assert call("show", older).code == 4
        ran = call("restore", older, "--accept-rev", "2", "--confirm")
        assert (ran.code, ran.out) == (0, f"restored {older}  revision 4\n")
        assert call("show", older).code == 0
        (event,) = call("audit", "show", "--event", "restore", "--json").value["events"]
        assert event["fields"] == {"file_rev": 2, "known_rev": 3, "consent": "restore --confirm"}
        assert call("restore", older, "--accept-rev", "2", "--confirm").code == 2

    @pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 1)])
    def test_a_terminal_is_asked_once(self, call, terminal, older: str, answer: bytes, code: int) -> None:
        screen = terminal("restore", older, "--accept-rev", "2", answer=answer)
        assert "Give up what was saved after revision 2" in screen.text
        assert screen.code == code
        assert call("show", older).code == (0 if code == 0 else 4)

    def test_a_file_exchanged_before_the_answer_is_not_taken(self, call, terminal, file: Path, session_id: str) -> None:
        files = [file.read_bytes()]
        for text in ("second", "third"):
            call("append", session_id, "--role", "user", "--text", text)
            files.append(file.read_bytes())
        file.write_bytes(files[1])
        screen = terminal(
            "restore", session_id, "--accept-rev", "3", answer=b"y\n", meanwhile=lambda: file.write_bytes(files[0])
        )
        assert screen.code == 7
        assert call("show", session_id).code == 4

    def test_programs_get_an_object(self, call, older: str) -> None:
        value = call("restore", older, "--dry-run", "--json").value["would_restore"]
        assert (value["direction"], value["file_rev"], value["known_rev"], value["rev"]) == ("file_older", 2, 3, 4)
        value = call("restore", older, "--accept-rev", "2", "--confirm", "--json").value["restored"]
        assert (value["session_id"], value["rev"]) == (older, 4)


class TestRebase:
    def test_a_whole_store_has_nothing(self, call, session_id: str) -> None:
        assert call("rebase-heads") == (0, "", "no file is older or newer than what is known\n")

    def test_a_rollback_is_listed_and_never_taken(self, call, older: str) -> None:
        ran = call("rebase-heads", "--confirm")
        assert ran.code == 4
        assert f"  command  sessionstore restore {older} --accept-rev 2\n" in ran.out
        assert call("show", older).code == 4
        assert call("rebase-heads", "--json").value["left"][0]["direction"] == "file_older"

    def test_newer_files_are_taken_with_consent(self, call, home: Path, session_id: str, tmp_path: Path) -> None:
        ledger = tmp_path / "ledger.copy"
        shutil.copy2(home / "state/ledger.db", ledger)
        call("append", session_id, "--role", "user", "--text", "second")
        put_back(home, ledger)
        planned = call("rebase-heads", "--dry-run", "--json").value
        assert [one["file_rev"] for one in planned["would_rebase"]] == [3]
        assert call("rebase-heads").code == 2
        ran = call("rebase-heads", "--confirm")
        assert (ran.code, ran.out) == (0, f"rebased {session_id}  revision 4\n")
        assert "  file     revision 3, saved " in ran.err
        assert call("show", session_id).code == 0


class TestClaim:
    def test_a_restored_directory_is_claimed_with_consent(self, call, home: Path, session_id: str) -> None:
        shutil.copytree(home / "data", home / "copy")
        shutil.rmtree(home / "data")
        (home / "copy").rename(home / "data")
        refused = call("list")
        assert (refused.code, "doctor --claim" in refused.err) == (8, True)
        assert call("doctor", "--claim").code == 2
        ran = call("doctor", "--claim", "--confirm")
        assert (ran.code, ran.out.startswith("claimed ")) == (0, True)
        assert call("verify").code == 0
        assert call("doctor", "--claim", "--confirm", "--json").value["claimed"]


class TestRecoverLedger:
    @pytest.fixture
    def lost(self, home: Path, session_id: str) -> str:
        (home / "state/ledger.db").unlink()
        return session_id

    def test_until_then_every_command_names_it(self, call, lost: str) -> None:
        for arguments in (["list"], ["show", lost], ["verify"], ["new"]):
            ran = call(*arguments)
            assert ran.code == 8
            assert "`sessionstore recover-ledger --dry-run`" in ran.err
        doctor = call("doctor")
        assert doctor.code == 1
        assert "`sessionstore recover-ledger --dry-run`" in doctor.err

    def test_it_is_made_with_consent_only(self, call, home: Path, lost: str) -> None:
        summary = (
            "1 session can be recorded anew, 0 are left; of 1, nothing but the file says that it is the newest state\n"
        )
        assert call("recover-ledger", "--dry-run") == (0, f"would record {lost}  revision 2  first\n", summary)
        assert call("recover-ledger").code == 2
        assert not (home / "state/ledger.db").exists()
        ran = call("recover-ledger", "--confirm")
        assert (ran.code, ran.out) == (0, f"recorded {lost}  revision 2  first\n")
        assert call("verify").code == 0
        refused = call("recover-ledger", "--confirm", "--json")
        assert (refused.code, refused.error["code"]) == (8, "store_unavailable")

    def test_what_is_left_ends_with_4(self, call, home: Path, lost: str, file: Path) -> None:
        file.write_bytes(file.read_bytes().replace(b"hello", b"hallo"))
        ran = call("recover-ledger", "--confirm")
        assert ran.code == 4
        assert re.search(rf"^{lost}  invalid_signature ", ran.out, re.MULTILINE)
        assert call("recover-ledger", "--dry-run", "--json").code == 8

    def test_a_lost_key_is_got_over_by_adoption_alone(self, call, home: Path, session_id: str, file: Path) -> None:
        from sessionstore import open_store

        (home / "state/keyring").unlink()
        assert call("list").code == 8
        assert call("recover-ledger", "--confirm", "--json").error["code"] == "key_unavailable"
        file.rename(home / "aside")
        (home / "state").rename(home / "old-state")
        assert call("list").code == 0
        (home / "aside").rename(file)
        assert call("show", session_id, "--json").error["code"] == "unknown_key"
        with open_store(home, environ={}) as store:
            store.adopt_sealed(session_id, consent="the test")
        assert call("show", session_id, "--json").value["session"]["provenance"] == "adopted"


class TestDoctor:
    def test_each_problem_of_a_session_has_its_command(
        self, call, home: Path, older: str, file: Path, session_id: str
    ) -> None:
        stranger = file.with_name("0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d.jsonl")
        stranger.write_bytes(file.read_bytes())
        gone = call("new").out.strip()
        file.with_name(f"{gone}.jsonl").unlink()
        found = {one["code"]: one["mend"] for one in call("doctor", "--json").value["findings"] if one["code"]}
        assert "`sessionstore rebase-heads --dry-run`" in found["rollback"]
        assert "`sessionstore adopt ID --sealed --dry-run`" in found["unanchored"]
        assert "`sessionstore delete ID`" in found["missing"]

    def test_every_code_of_a_session_that_cannot_be_opened_has_a_mend(self) -> None:
        from sessionstore.health.findings import mend_sessions

        for name in errors.__all__:
            cls = getattr(errors, name)
            if issubclass(cls, errors.VerificationError) and "code" in vars(cls) and cls.code != "too_deep":
                assert mend_sessions(cls.code) != mend_sessions("no such code")

    def test_each_command_that_a_mend_names_is_there(self) -> None:
        from sessionstore.cli.root import COMMANDS
        from sessionstore.health import findings

        named = set(re.findall(r"`sessionstore ([a-z-]+)", " ".join(findings._MENDS.values())))
        assert named <= set(COMMANDS)


class TestInspect:
    def test_what_it_gives_cannot_be_saved_or_resumed(self, home: Path, damaged: str) -> None:
        from sessionstore import open_store
        from sessionstore.model import Inspection, Session

        with open_store(home, environ={}, read_only=True) as store:
            found = store.inspect(damaged)
            assert isinstance(found, Inspection) and not isinstance(found, Session)
            assert found.code == "invalid_signature"
        with open_store(home, environ={}) as store:
            for call in (store.save, store.resume, store.append):
                with pytest.raises((AttributeError, TypeError, ValueError, errors.SessionStoreError)):
                    result = call(found)  # type: ignore[arg-type]
                    if hasattr(result, "__enter__"):
                        result.__enter__()
            with pytest.raises(AttributeError):
                found.code = "ok"  # type: ignore[misc]


class TestEveryHint:
    def test_each_command_that_an_error_names_is_there(self) -> None:
        from sessionstore.cli.root import COMMANDS

        named = set()
        for name in errors.__all__:
            named |= set(re.findall(r"`sessionstore ([a-z-]+)", getattr(errors, name).advice))
        assert named <= set(COMMANDS)
        assert {"repair", "restore", "inspect", "doctor", "delete", "recover-ledger"} <= named
