"""Redacting at the command line: what is shown and shared without secrets, and what is taken out for good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
