"""delete and cleanup: nothing is removed unless somebody agreed, and what was removed is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sessionstore import open_store
from sessionstore.storage import Holder

STARTED = "2026-01-31T12:00:00.000000Z"


@pytest.fixture
def three(call) -> list[str]:
    """Ids of three sessions, newest first."""
    return [call("new", "--name", f"number {number}").out.strip() for number in range(3)][::-1]


def listed(call) -> list[str]:
    return [line["id"] for line in call("list", "--all", "--json").value["sessions"]]


class TestConsent:
    @pytest.mark.parametrize(
        "arguments", [["delete", "@last"], ["delete", "--all"], ["cleanup", "--keep-last", "0"]], ids=" ".join
    )
    def test_without_a_terminal_nothing_happens_unless_confirm_is_given(
        self, arguments: list[str], call, three: list[str]
    ) -> None:
        ran = call(*arguments)
        assert ran.code == 2
        assert "error[usage]: without a terminal, removing sessions needs --confirm" in ran.err
        assert listed(call) == three
        assert call(*arguments, "--confirm").code == 0
        assert len(listed(call)) < 3

    @pytest.mark.parametrize(
        "arguments", [["delete", "@last"], ["delete", "--all"], ["cleanup", "--keep-last", "0"]], ids=" ".join
    )
    def test_a_dry_run_says_what_would_go_and_removes_nothing(
        self, arguments: list[str], call, three: list[str]
    ) -> None:
        assert call(*arguments, "--dry-run").code == 0
        assert call(*arguments, "--dry-run", "--confirm").code == 0
        assert listed(call) == three

    @pytest.mark.parametrize(
        ("answer", "code", "left"),
        [(b"YES\n", 0, 2), (b"\n", 1, 3), (b"\x04", 1, 3), (b"yesterday\n", 1, 3)],
    )
    def test_on_a_terminal_it_asks_and_only_yes_is_yes(
        self, answer: bytes, code: int, left: int, call, three: list[str], terminal
    ) -> None:
        screen = terminal("delete", "@last", answer=answer)
        assert "Delete 1 session for good? [y/N] " in screen.text
        assert f"{three[0]}  number 2" in screen.text
        assert screen.code == code
        assert len(listed(call)) == left
        if code:
            assert "sessionstore: error[declined]: nothing was removed" in screen.text

    def test_ctrl_c_at_the_question_removes_nothing(self, call, three: list[str], terminal) -> None:
        screen = terminal("cleanup", "--keep-last", "1", answer=b"\x03")
        assert screen.code == 130
        assert len(listed(call)) == 3


class TestDelete:
    def test_what_was_deleted_is_printed(self, call, three: list[str]) -> None:
        assert call("delete", three[0], "number 1", "--confirm").out == (
            f"deleted {three[0]}  number 2\ndeleted {three[1]}  number 1\n"
        )
        assert listed(call) == three[2:]
        assert call("show", three[0]).code == 3

    def test_programs_get_the_ids(self, call, three: list[str]) -> None:
        assert call("delete", three[0], "--dry-run", "--json").value == {"would_delete": three[:1], "failed": {}}
        ran = call("delete", three[0], "--confirm", "--json")
        assert ran.value == {"deleted": three[:1], "failed": {}}

    def test_a_session_named_twice_is_deleted_once(self, call, three: list[str]) -> None:
        assert call("delete", three[0], "@last", "--confirm", "--json").value["deleted"] == three[:1]

    def test_an_unknown_one_stops_it_before_anything_is_removed(self, call, three: list[str]) -> None:
        assert call("delete", three[0], "00000000-0000-4000-8000-000000000000", "--confirm").code == 3
        assert listed(call) == three

    def test_a_damaged_session_can_be_deleted(self, call, three: list[str], home: Path) -> None:
        (home / "data/sessions" / f"{three[0]}.jsonl").unlink()
        assert call("delete", three[0], "--confirm").code == 0
        assert call("list", "--json").value["unreadable"] == []

    def test_all_takes_damaged_ones_too(self, call, three: list[str], home: Path) -> None:
        file = home / "data/sessions" / f"{three[1]}.jsonl"
        file.write_bytes(file.read_bytes()[:-10])
        assert set(call("delete", "--all", "--confirm", "--json").value["deleted"]) == set(three)
        assert call("list", "--json").value == {"project": None, "sessions": [], "unreadable": []}

    def test_one_that_cannot_be_deleted_does_not_stop_the_others(self, call, three: list[str], home: Path) -> None:
        file = home / "data/sessions" / f"{three[1]}.jsonl"
        file.unlink()
        file.mkdir()
        (file / "in the way").touch()
        ran = call("delete", *three, "--confirm", "--json")
        assert ran.value["deleted"] == [three[0], three[2]]
        assert list(ran.value["failed"]) == [three[1]]
        assert ran.code == {"store_unavailable": 8, "unsafe_file": 4}[ran.value["failed"][three[1]]["code"]]
        assert listed(call) == []

    def test_one_that_is_running_is_not_deleted_and_the_dry_run_says_so(
        self, call, three: list[str], home: Path
    ) -> None:
        with open_store(home, environ={}) as store, store._ground.backend.run(three[1], Holder(4711, STARTED)):
            for options in (["--dry-run"], ["--confirm"]):
                ran = call("delete", three[1], "--json", *options)
                assert (ran.code, ran.value["error"]["code"]) == (7, "already_running")
            planned = call("delete", *three, "--dry-run", "--json")
            assert (planned.code, planned.value["would_delete"]) == (7, [three[0], three[2]])
            ran = call("delete", "--all", "--confirm", "--json")
            assert (ran.code, ran.value["deleted"], list(ran.value["failed"])) == (7, [three[0], three[2]], [three[1]])
            assert ran.value["failed"][three[1]]["pid"] == 4711
        assert call("delete", three[1], "--confirm").code == 0

    def test_all_of_an_empty_store_is_nothing(self, call) -> None:
        assert call("delete", "--all").code == 0

    @pytest.mark.parametrize("arguments", [[], ["--all", "@last"]], ids=["neither", "both"])
    def test_either_ids_or_all_are_needed(self, arguments: list[str], call) -> None:
        assert call("delete", *arguments).code == 2


class TestCleanup:
    def test_the_newest_can_be_kept(self, call, three: list[str]) -> None:
        ran = call("cleanup", "--keep-last", "1", "--confirm")
        assert ran.code == 0
        assert three[1] in ran.out
        assert ran.err == "2 sessions removed\n"
        assert listed(call) == three[:1]

    def test_a_young_session_is_not_old(self, call, three: list[str]) -> None:
        assert call("cleanup", "--older-than", "1m", "--json").value == {"removed": [], "skipped": []}

    def test_the_setting_gives_the_age_where_none_was_said(self, call, three: list[str]) -> None:
        ran = call("cleanup", "--json", env={"SESSIONSTORE_CLEANUP_DAYS": "30"})
        assert (ran.code, ran.value["removed"]) == (0, [])

    def test_an_age_or_a_number_is_needed(self, call) -> None:
        assert call("cleanup").code == 2

    @pytest.mark.parametrize("age", ["30", "d", "0d", "-1d", "1.5d", "1y", "30 d", "1000000d", ""])
    def test_an_age_is_a_whole_number_and_one_unit(self, age: str, call) -> None:
        ran = call("cleanup", "--older-than", age, "--json")
        assert (ran.code, ran.error["code"]) == (2, "usage")
        assert "like 30d" in ran.error["message"]

    @pytest.mark.parametrize("age", ["1m", "12h", "30d", "2w"])
    def test_minutes_hours_days_and_weeks_are_ages(self, age: str, call) -> None:
        assert call("cleanup", "--older-than", age).code == 0

    def test_damaged_sessions_are_left_alone_and_shown(self, call, three: list[str], home: Path) -> None:
        file = home / "data/sessions" / f"{three[0]}.jsonl"
        content = file.read_bytes()
        file.write_bytes(content[:20] + b"x" + content[21:])
        value = call("cleanup", "--keep-last", "0", "--confirm", "--json").value
        assert {line["id"] for line in value["removed"]} <= set(three[1:])
        assert file.exists()

    def test_running_sessions_are_kept_and_shown(self, call, three: list[str], home: Path) -> None:
        with open_store(home, environ={}) as store, store._ground.backend.run(three[2], Holder(4711, STARTED)):
            ran = call("cleanup", "--keep-last", "1", "--confirm")
            assert re.search(r"^KEPT +CODE +WHAT\n" + three[2] + " +already_running +session .*\n", ran.out, re.M)
            assert (ran.code, ran.err) == (0, "1 session removed\n")
        assert listed(call) == [three[0], three[2]]
