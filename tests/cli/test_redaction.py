"""Redacting at the command line: what is shown and shared without secrets, and what is taken out for good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sessionstore import open_store
from sessionstore.storage import Holder

AWS = "AK" + "IA" + "ABCDEFGH12345678"


@pytest.fixture
def leaky(call, session_id: str) -> str:
    """A session whose third entry holds a key."""
    line = json.dumps({"role": "user", "content": f"my key is {AWS} of ACME-1"}).encode() + b"\n"
    assert call("append", session_id, data=line).code == 0
    return session_id


class TestShowRedacted:
    @pytest.mark.parametrize("more", [[], ["--last", "1"]])
    def test_secrets_are_left_out_and_counted_beside_it(self, call, leaky: str, more: list[str]) -> None:
        ran = call("show", leaky, "--redact", *more)
        assert ran.code == 0
        assert "my key is [redacted:aws] of ACME-1\n" in ran.out
        assert AWS not in ran.out
        assert ran.err == "redacted: 1 place taken out: aws 1\n"
        assert AWS in call("show", leaky, *more).out

    @pytest.mark.parametrize("more", [[], ["--last", "1"]])
    def test_programs_get_the_counts(self, call, leaky: str, more: list[str]) -> None:
        ran = call("show", leaky, "--redact", "--json", *more)
        assert ran.value["redacted"] == {"aws": 1}
        assert AWS not in ran.out
        assert "redacted" not in call("show", leaky, "--json", *more).value

    def test_the_name_goes_through_it_too(self, call, leaky: str) -> None:
        assert call("rename", leaky, f"of {AWS}").code == 0
        assert call("tag", leaky, AWS).code == 0
        for more in ([], ["--last", "1"]):
            assert AWS not in call("show", leaky, "--redact", *more).out

    def test_configured_patterns_count_and_nothing_found_is_no_promise(self, call, leaky: str, session_id: str) -> None:
        env = {"SESSIONSTORE_REDACT_PATTERNS": '["ACME-[0-9]"]'}
        assert call("show", leaky, "--redact", env=env).err == "redacted: 2 places taken out: aws 1, pattern 1\n"
        made = call("new").out.strip()
        assert call("show", made, "--redact").err == (
            "redacted: nothing was found to take out; what has no known form is not found\n"
        )


class TestExportRedacted:
    def test_the_document_goes_out_without_secrets_and_says_so(self, call, leaky: str, tmp_path: Path) -> None:
        target = tmp_path / "a.json"
        ran = call("export", leaky, "-o", str(target), "--redact")
        assert ran == (0, f"{target}\n", "redacted: 1 place taken out: aws 1\n")
        assert AWS.encode() not in target.read_bytes()
        taken = call("import", str(target))
        assert taken.code == 0
        assert taken.err == f"{target}: this document was redacted before it was signed: 1 found\n"
        value = call("import", str(target), "--json").value["imported"][0]
        assert [warning["code"] for warning in value["warnings"]] == ["redacted"]

    def test_programs_get_the_counts(self, call, leaky: str, tmp_path: Path) -> None:
        value = call("export", leaky, "-o", str(tmp_path / "a.json"), "--redact", "--json").value
        assert value["redacted"] == {"aws": 1}

    def test_on_stdout_is_the_document_alone(self, child, leaky: str) -> None:
        ran = child("export", leaky, "--redact")
        assert ran.value["export"]["redacted"] == {"aws": 1}
        assert ran.err == "redacted: 1 place taken out: aws 1\n"


class TestRedact:
    def test_a_secret_is_taken_out_for_good_and_all_is_said(self, call, leaky: str, home: Path) -> None:
        ran = call("redact", leaky, "--secrets", "--confirm")
        assert ran.code == 0
        assert ran.out == f"{leaky}  revision 4  1 entry changed\ntaken out: aws 1\n"
        assert ran.err.startswith("not reached: backups, ")
        assert AWS not in call("show", leaky).out
        assert not [path for path in home.rglob("*") if path.is_file() and AWS.encode() in path.read_bytes()]

    def test_by_entry_and_by_pattern(self, call, leaky: str) -> None:
        assert call("redact", leaky, "--entry", "0", "--pattern", "ACME-[0-9]", "--confirm").code == 0
        entries = call("show", leaky, "--json").value["entries"]
        assert [entry["content"] for entry in entries] == [
            "[redacted:entry]",
            "good day",
            f"my key is {AWS} of [redacted:pattern]",
        ]

    def test_a_dry_run_changes_nothing(self, call, leaky: str, home: Path) -> None:
        (home / "data/quarantine").mkdir(mode=0o700)
        (home / "data/quarantine" / f"{leaky}.tail").write_text("x")
        before = call("show", leaky).out
        ran = call("redact", leaky, "--secrets", "--dry-run")
        assert ran.out.splitlines()[1:] == ["would be taken out: aws 1", f"would be removed: quarantine/{leaky}.tail"]
        value = call("redact", leaky, "--secrets", "--dry-run", "--json").value["would_redact"]
        assert (value["found"], value["entries"], value["purged"]) == ({"aws": 1}, 1, [f"quarantine/{leaky}.tail"])
        assert call("show", leaky).out == before
        assert call("redact", leaky, "--secrets", "--confirm", "--json").value["redacted"]["found"] == {"aws": 1}
        assert not (home / "data/quarantine" / f"{leaky}.tail").exists()

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ([], "say what to take out: --secrets, --pattern or --entry"),
            (["--secrets"], "without a terminal, redacting a session needs --confirm"),
            (["--entry", "-1", "--confirm"], "--entry"),
        ],
    )
    def test_without_what_or_consent_nothing_happens(self, call, leaky: str, arguments: list[str], text: str) -> None:
        ran = call("redact", leaky, *arguments)
        assert ran.code == 2
        assert text in ran.err
        assert AWS in call("show", leaky).out

    @pytest.mark.parametrize(("answer", "code"), [(b"yes\n", 0), (b"\n", 1)])
    def test_on_a_terminal_it_shows_what_goes_and_asks(
        self, call, leaky: str, terminal, answer: bytes, code: int
    ) -> None:
        screen = terminal("redact", leaky, "--secrets", answer=answer)
        assert screen.code == code
        assert "1 place taken out: aws 1" in screen.text
        assert "Rewrite this session for good? [y/N]" in screen.text
        assert (AWS in call("show", leaky).out) == bool(code)

    @pytest.mark.parametrize("arguments", [["--entry", "3"], ["--pattern", "(a+)+"], ["--pattern", ""]])
    def test_what_cannot_be_used_is_refused(self, call, leaky: str, arguments: list[str]) -> None:
        ran = call("redact", leaky, *arguments, "--confirm")
        assert ran.code in (1, 2)
        assert "error[" in ran.err

    def test_a_running_session_is_left_alone(self, call, leaky: str, home: Path) -> None:
        with open_store(home) as store, store._ground.backend.run(leaky, Holder(1, "2026-01-31T12:00:00.000000Z")):
            ran = call("redact", leaky, "--secrets", "--confirm")
        assert ran.code == 7
        assert "error[already_running]" in ran.err

    def test_what_could_not_be_removed_is_exit_1(self, call, leaky: str, home: Path) -> None:
        (home / "data/quarantine").mkdir(mode=0o700)
        (home / "data/quarantine" / f"{leaky}.d").mkdir()
        ran = call("redact", leaky, "--secrets", "--confirm")
        assert ran.code == 1
        assert f"warning: not removed: quarantine/{leaky}.d; " in ran.err
