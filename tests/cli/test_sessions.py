"""new, append, list, show, stats, search, rename, tag and fork, as a person and a program meet them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from sessionstore import open_store
from sessionstore.storage import Holder

ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class TestNew:
    def test_it_prints_the_id_and_nothing_else(self, call) -> None:
        ran = call("new")
        assert (ran.code, ran.err) == (0, "")
        assert str(UUID(ran.out.removesuffix("\n"))) + "\n" == ran.out

    def test_with_json_the_whole_summary_is_printed(self, call, tmp_path: Path) -> None:
        given = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
        ran = call(
            "new",
            "--json",
            "--name",
            "N",
            "--key",
            "k",
            "--id",
            given,
            "--tag",
            "a",
            "--tag",
            "b",
            "--project",
            str(tmp_path),
        )
        value = ran.value
        assert {name: value[name] for name in ("id", "name", "key", "tags", "project", "rev", "entries")} == {
            "id": given,
            "name": "N",
            "key": "k",
            "tags": ["a", "b"],
            "project": os.path.realpath(tmp_path),
            "rev": 1,
            "entries": 0,
        }

    @pytest.mark.parametrize(
        ("arguments", "code", "exit_code"),
        [
            (["--name", "two\nlines"], "invalid_value", 2),
            (["--id", "0F5C2A9E-3B61-4D7A-9C58-7E4F1A2B3C4D"], "invalid_id", 2),
            (["--id", "../../etc/passwd"], "invalid_id", 2),
            (["--project", "/nonexistent/place"], "project_path_security_violation", 5),
            (["--key", "k" * 513], "too_large", 9),
        ],
        ids=lambda value: value[0] if isinstance(value, list) else "",
    )
    def test_what_cannot_be_used_is_refused_and_nothing_is_made(
        self, arguments: list[str], code: str, exit_code: int, call
    ) -> None:
        ran = call("new", "--json", *arguments)
        assert (ran.code, ran.error["code"]) == (exit_code, code)
        assert call("list", "--all", "--json").value["sessions"] == []

    def test_a_key_or_id_is_given_once(self, call) -> None:
        first = call("new", "--json", "--key", "k").value["id"]
        assert call("new", "--key", "k").code == 7
        assert call("new", "--id", first).code == 7


class TestAppend:
    def test_lines_from_stdin_become_entries(self, call, session_id: str) -> None:
        ran = call("append", session_id, data=b'{"a":1}\n{"b":[1,2]}\n')
        assert ran == (0, f"{session_id}  revision 3  2 entries\n", "")
        assert call("show", session_id, "--json").value["entries"][2:] == [{"a": 1}, {"b": [1, 2]}]

    def test_the_last_line_needs_no_line_end(self, call, session_id: str) -> None:
        assert call("append", session_id, "--json", data=b'{"a":1}').value == {"id": session_id, "rev": 3, "entries": 1}

    def test_lines_from_a_file_become_entries(self, call, session_id: str, tmp_path: Path) -> None:
        file = tmp_path / "turns.jsonl"
        file.write_bytes(b'{"a":1}\r\n{"a":2}\r\n')
        assert call("append", session_id, str(file)).code == 0
        assert call("show", session_id, "--json").value["entries"][2:] == [{"a": 1}, {"a": 2}]

    def test_one_message_can_be_given_in_words(self, call, session_id: str) -> None:
        assert call("append", session_id, "--role", "user", "--text", "Try again").code == 0
        assert call("append", session_id, "--role", "user", "--text", "-", data="zwei\nZeilen ü\n".encode()).code == 0
        assert call("show", session_id, "--json").value["entries"][2:] == [
            {"role": "user", "content": "Try again"},
            {"role": "user", "content": "zwei\nZeilen ü"},
        ]

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            (b"", "not JSON"),
            (b"{", "not JSON"),
            (b"[1]", "an entry is a JSON object"),
            (b'"text"', "an entry is a JSON object"),
            (b'{"a":NaN}', "NaN is not JSON"),
            (b'{"a":-Infinity}', "-Infinity is not JSON"),
            (b'{"a":1,"a":2}', "two members of one object have the same name"),
            (b'{"a":"\\ud800"}', "half a surrogate pair"),
            (b'{"a":"\xff"}', "not UTF-8"),
            (b'{"a":18446744073709551616}', "an integer beyond 64 bit"),
            (b'{"a":' + b"1" * 4301 + b"}", "too many digits"),
            (b'\xef\xbb\xbf{"a":1}', "not JSON"),
        ],
        ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else "",
    )
    def test_a_wrong_line_is_named_and_nothing_is_written(
        self, line: bytes, reason: str, call, session_id: str
    ) -> None:
        ran = call("append", "--json", session_id, data=b'{"good":1}\n' + line + b'\n{"good":2}\n')
        assert ran.code == 4
        assert ran.error["code"] == "malformed"
        assert ran.error["reason"].startswith("line 2: ")
        assert reason in ran.error["reason"]
        assert ran.error["session_id"] == session_id
        assert call("show", session_id, "--json").value["session"]["rev"] == 2

    def test_a_wrong_line_behind_many_good_ones_of_a_file_takes_them_all_back(
        self, call, session_id: str, home: Path, tmp_path: Path
    ) -> None:
        file = tmp_path / "turns.jsonl"
        file.write_bytes((b'{"good":"' + b"x" * 1000 + b'"}\n') * 3001 + b"wrong\n")
        before = (home / "data/sessions" / f"{session_id}.jsonl").read_bytes()
        ran = call("append", "--json", session_id, str(file))
        assert (ran.code, ran.error["reason"].partition(":")[0]) == (4, "line 3002")
        assert (home / "data/sessions" / f"{session_id}.jsonl").read_bytes() == before

    def test_a_line_that_is_nested_too_deep_is_named(self, call, session_id: str) -> None:
        ran = call("append", "--json", session_id, data=b'{"a":1}\n{"a":' + b"[" * 200 + b"]" * 200 + b"}\n")
        assert (ran.code, ran.error["code"]) == (4, "too_deep")
        assert ran.error["hint"].startswith("line 2; ")

    def test_a_line_over_the_cap_is_not_read_to_its_end(self, call, session_id: str) -> None:
        line = b'{"a":"' + b"x" * 2048 + b'"}\n'
        ran = call("append", "--json", session_id, data=b"{}\n" + line, env={"SESSIONSTORE_MAX_ENTRY_BYTES": "1KiB"})
        assert (ran.code, ran.error["code"], ran.error["what"]) == (9, "too_large", "entry")
        assert ran.error["hint"].startswith("line 2; ")

    @pytest.mark.skipif(shutil.which("yes") is None, reason="needs yes, a program that prints the same line for ever")
    def test_an_endless_input_ends_at_the_session_cap(self, call, session_id: str) -> None:
        with subprocess.Popen(
            ["yes", '{"a":"0123456789"}'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as endless:
            done = subprocess.run(
                [sys.executable, "-m", "sessionstore", "append", "--json", session_id],
                stdin=endless.stdout,
                capture_output=True,
                env={**os.environ, "SESSIONSTORE_MAX_SESSION_BYTES": "64KiB"},
                timeout=30,
                check=False,
            )
            endless.kill()
        error = json.loads(done.stdout)["error"]
        assert (done.returncode, error["code"], error["what"]) == (9, "too_large", "session")
        assert call("show", session_id, "--json").value["session"]["rev"] == 2

    def test_others_can_append_while_stdin_is_still_open(self, call, session_id: str, terminal) -> None:
        others = []
        screen = terminal(
            "append",
            session_id,
            waits_for=b"on a line of its own\r\n",
            meanwhile=lambda: others.append(
                call("append", session_id, data=b"{}\n", env={"SESSIONSTORE_LOCK_TIMEOUT_S": "0"})
            ),
            answer=b'{"typed":1}\n\x04',
        )
        assert [ran.code for ran in others] == [0]
        assert screen.code == 0
        assert f"{session_id}  revision 4  1 entry" in screen.text

    def test_an_old_revision_is_a_conflict(self, call, session_id: str) -> None:
        ran = call("append", "--json", session_id, "--expected-rev", "1", data=b"{}\n")
        assert (ran.code, ran.error["code"]) == (7, "conflict")
        assert (ran.error["expected"], ran.error["found"]) == (1, 2)

    def test_the_same_idempotency_key_appends_once(self, call, session_id: str) -> None:
        for _ in range(2):
            assert call("append", "--json", session_id, "--idempotency-key", "t1", data=b"{}\n").value["rev"] == 3

    def test_no_lines_are_no_save(self, call, session_id: str) -> None:
        assert call("append", "--json", session_id).value == {"id": session_id, "rev": 2, "entries": 0}

    @pytest.mark.parametrize(
        "arguments",
        [["--role", "user"], ["--text", "x"], ["f.jsonl", "--role", "user", "--text", "x"]],
        ids=" ".join,
    )
    def test_options_that_do_not_fit_together_are_refused(self, arguments: list[str], call, session_id: str) -> None:
        assert call("append", session_id, *arguments).code == 2

    @pytest.mark.parametrize(("name", "reason"), [("missing", "no such file or directory"), (".", "is a directory")])
    def test_a_file_that_cannot_be_read_is_named(self, name: str, reason: str, call, session_id: str) -> None:
        ran = call("append", session_id, name)
        assert ran == (2, "", f"sessionstore: error[usage]: cannot read {name}: {reason}\n")


class TestList:
    def test_an_empty_store_names_the_ways_in(self, call) -> None:
        ran = call("list")
        assert (ran.code, ran.out) == (0, "")
        assert ran.err.splitlines() == [
            "no sessions yet",
            "hint: `sessionstore demo` shows what this does, `sessionstore import FILE` brings a transcript in",
        ]
        assert call("list", "--json").value == {"project": None, "sessions": [], "unreadable": []}

    def test_the_table_is_aligned_and_whole_where_there_is_no_terminal(self, call, session_id: str) -> None:
        call("new", "--name", "a much longer name " * 8)
        head, first, second = call("list").out.splitlines()
        at = head.index("UPDATED")
        assert re.fullmatch(r"ID +NAME +UPDATED +ENTRIES +SIZE +PROJECT", head)
        assert ("a much longer name " * 8).strip() in first
        assert second.startswith(f"{session_id}  first ")
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d +2 ", second[at:])

    def test_wide_characters_keep_the_columns(self, call) -> None:
        call("new", "--name", "日本語")
        call("new", "--name", "plain")
        plain, wide = (line.partition(" 0 ")[0] for line in call("list").out.splitlines()[1:])
        assert len(plain) == len(wide) + 3, "three characters of two cells each"

    def test_control_characters_of_names_are_written_out(self, call) -> None:
        call("new", "--name", "a\u202eb")
        ran = call("list")
        assert "a\\u202eb" in ran.out
        assert "\u202e" not in ran.out
        assert call("list", "--json").value["sessions"][0]["name"] == "a\u202eb"

    def test_newest_first_and_at_most_n(self, call) -> None:
        ids = [call("new").out.strip() for _ in range(3)]
        assert [line["id"] for line in call("list", "--json").value["sessions"]] == ids[::-1]
        ran = call("list", "-n", "2")
        assert [line[:36] for line in ran.out.splitlines()[1:]] == ids[:0:-1]
        assert ran.err == "note: only the newest 2 sessions; leave out -n to see all\n"

    def test_it_narrows_by_tag_and_text(self, call) -> None:
        tagged = call("new", "--tag", "review").out.strip()
        named = call("new", "--name", "The Parser").out.strip()
        assert [line["id"] for line in call("list", "--tag", "review", "--json").value["sessions"]] == [tagged]
        assert [line["id"] for line in call("list", "--search", "parser", "--json").value["sessions"]] == [named]
        assert call("list", "--tag", "none").err == "no session fits\n"

    def test_inside_a_recorded_project_its_sessions_are_listed(self, call, tmp_path: Path) -> None:
        project = tmp_path / "project"
        below = project / "src" / "deep"
        below.mkdir(parents=True)
        mine = call("new", "--project", str(project)).out.strip()
        other = call("new").out.strip()
        ran = call("list", "--json", cwd=below)
        assert ran.value["project"] == str(project)
        assert [line["id"] for line in ran.value["sessions"]] == [mine]
        assert "PROJECT" not in call("list", cwd=below).out
        assert f"note: sessions of {project}; --all shows the whole store\n" == call("list", cwd=below).err
        for everywhere in (call("list", "--all", "--json", cwd=below), call("list", "--json")):
            assert [line["id"] for line in everywhere.value["sessions"]] == [other, mine]
        assert [line["id"] for line in call("list", "--project", str(project), "--json").value["sessions"]] == [mine]

    def test_a_current_directory_that_is_gone_is_no_project(self, child, session_id: str, tmp_path: Path) -> None:
        gone = tmp_path / "gone"
        gone.mkdir()
        done = subprocess.run(
            ["sh", "-c", 'rmdir ../gone && exec "$0" -m sessionstore list', sys.executable],
            cwd=gone,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert session_id in done.stdout

    def test_all_and_project_exclude_each_other(self, call) -> None:
        assert call("list", "--all", "--project", ".").code == 2

    def test_what_cannot_be_opened_is_listed_with_its_code(self, call, session_id: str, home: Path) -> None:
        good = call("new", "--name", "good").out.strip()
        file = home / "data/sessions" / f"{session_id}.jsonl"
        file.unlink()
        (file.parent / "stray\x1b[31m.jsonl").write_bytes(b"")
        ran = call("list")
        assert ran.code == 0
        assert good in ran.out
        assert re.search(rf"^{session_id} +missing +the file of session", ran.out, re.MULTILINE)
        assert "\x1b" not in ran.out
        codes = {line["name"]: line["code"] for line in call("list", "--json").value["unreadable"]}
        assert codes[session_id] == "missing"

    def test_what_is_running_is_marked_and_can_be_listed_alone(self, call, home: Path) -> None:
        ids = [call("new", "--name", name).out.strip() for name in ("one", "two")]
        assert "STATE" not in call("list").out
        with open_store(home, environ={}) as store, store._ground.backend.run(ids[0], Holder()):
            head, first, second = call("list").out.splitlines()
            at = head.index("STATE")
            assert (first[at:].split()[0], second[at:].split()[0]) == ("saved", "running")
            assert [line["state"] for line in call("list", "--json").value["sessions"]] == ["saved", "running"]
            assert [line["id"] for line in call("list", "--running", "--json").value["sessions"]] == ids[:1]
            assert re.search(r"^state +running$", call("show", ids[0], "--last", "1").out, re.M)
        assert call("list", "--running").err == "no session fits\n"
        assert "running" not in call("show", ids[0], "--last", "1").out

    def test_a_project_that_is_gone_or_replaced_is_marked(self, call, tmp_path: Path) -> None:
        top = tmp_path.resolve()
        for name in ("here", "gone", "other"):
            (top / name).mkdir()
            call("new", "--project", str(top / name))
        call("new")
        (top / "gone").rmdir()
        (top / "other").rename(top / "aside")
        (top / "other").mkdir()
        out = call("list").out
        at = out.index("PROJECT")
        assert [line[at:] for line in out.splitlines()[1:]] == [
            "",
            f"replaced: {top / 'other'}",
            f"gone: {top / 'gone'}",
            f"{top / 'here'}",
        ]
        value = call("list", "--json").value["sessions"]
        assert [line["project_state"] for line in value] == ["unknown", "replaced", "gone", "here"]
        assert "project_state" not in call("stats", value[0]["id"], "--json").value

    def test_the_list_of_a_project_that_was_renamed_shows_the_mark_too(self, call, tmp_path: Path) -> None:
        (tmp_path / "old").mkdir()
        call("new", "--project", str(tmp_path / "old"))
        assert "PROJECT" not in call("list", "--project", str(tmp_path / "old")).out
        (tmp_path / "old").rename(tmp_path / "new")
        assert f"gone: {tmp_path.resolve() / 'old'}" in call("list", "--project", str(tmp_path / "new")).out

    def test_on_a_narrow_terminal_the_mark_is_not_cut_away(self, call, terminal, tmp_path: Path) -> None:
        deep = tmp_path.joinpath("d" * 100, "e" * 100)
        deep.mkdir(parents=True)
        call("new", "--project", str(deep))
        deep.rmdir()
        assert "gone: /" in terminal("list", columns=80).text


class TestShow:
    def test_the_facts_come_first_then_every_entry_indented(self, call, session_id: str) -> None:
        call("append", session_id, "--role", "user", "--text", "[9] system\nforged\x1b[2J")
        ran = call("show", session_id)
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.startswith(f"id          {session_id}\nname        first\n")
        assert ran.out.endswith(
            "\n[0] user\n    hello\n\n[1] assistant\n    good day\n\n[2] user\n    [9] system\n    forged\\x1b[2J\n\n"
        )

    def test_blocks_and_other_entries_have_their_own_lines(self, call, session_id: str) -> None:
        entries = [
            {
                "role": "assistant",
                "timestamp": "2026-01-31T12:00:00Z",
                "content": [
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "name": "ls", "input": {"path": "/"}},
                    "bare",
                    7,
                ],
            },
            {"type": "summary", "text": "x" * 1000},
            {"role": 5},
        ]
        call("append", session_id, data="".join(json.dumps(entry) + "\n" for entry in entries).encode())
        shown = call("show", session_id, "--last", "3").out.partition("\n\n")[2]
        assert shown.splitlines()[:6] == [
            "[2] assistant  2026-01-31T12:00:00Z",
            "    I look.",
            '    <tool_use> {"name": "ls", "input": {"path": "/"}}',
            "    bare",
            "    7",
            "",
        ]
        assert "[3] summary\n" in shown
        assert "more characters)\n" in shown
        assert shown.endswith('[4] entry\n    {"role": 5}\n\n')

    def test_only_the_last_entries_can_be_asked_for(self, call, session_id: str) -> None:
        value = call("show", session_id, "--last", "1", "--json").value
        assert value["first"] == 1
        assert value["entries"] == [{"role": "assistant", "content": "good day"}]
        assert call("show", session_id, "--last", "9", "--json").value["first"] == 0

    def test_json_has_everything_of_the_session(self, call, session_id: str) -> None:
        value = call("show", session_id, "--json").value
        assert set(value) == {"session", "first", "entries"}
        assert value["session"]["todos"] == []
        assert value["session"]["config"] == {}
        assert value["session"]["rev"] == 2

    @pytest.mark.parametrize("arguments", [[], ["--last", "1"]], ids=["all", "last"])
    @pytest.mark.parametrize("form", [[], ["--json"]], ids=["people", "programs"])
    def test_nothing_of_a_changed_session_is_printed(
        self, arguments: list[str], form: list[str], call, session_id: str, home: Path
    ) -> None:
        file = home / "data/sessions" / f"{session_id}.jsonl"
        file.write_bytes(file.read_bytes().replace(b"hello", b"hellO"))
        ran = call("show", session_id, *arguments, *form)
        assert ran.code == 4
        assert "hellO" not in ran.out + ran.err
        if form:
            assert ran.error["code"] == "invalid_signature"
            assert ran.error["session_id"] == session_id
        else:
            assert ran.out == ""
            assert ran.err.startswith("sessionstore: error[invalid_signature]: ")

    def test_an_uncommitted_tail_is_a_warning(self, call, session_id: str, home: Path) -> None:
        file = home / "data/sessions" / f"{session_id}.jsonl"
        with file.open("ab") as stream:
            stream.write(b'{"entry":{"half')
        ran = call("show", session_id)
        assert ran.code == 0
        assert ran.err.startswith("warning: ")
        assert call("show", session_id, "--json").value["session"]["warnings"][0]["code"] == "uncommitted_tail"


class TestResolve:
    @pytest.fixture
    def ids(self, call) -> list[str]:
        made = ["aaaa1111-0000-4000-8000-000000000001", "aaaa2222-0000-4000-8000-000000000002"]
        for number, given in enumerate(made):
            call("new", "--id", given, "--name", f"name {number}")
        return made

    def test_a_session_is_meant_by_id_prefix_name_or_last(self, call, ids: list[str]) -> None:
        for text, meant in [
            (ids[0], ids[0]),
            ("aaaa1", ids[0]),
            ("aaaa2222-00", ids[1]),
            ("name 0", ids[0]),
            ("@last", ids[1]),
        ]:
            assert call("stats", text, "--json").value["id"] == meant, text

    @pytest.mark.parametrize(
        "text", ["aaaa", "aaaa0", "aaa", "name", "NAME 0", "aaaa1111-0000-4000-8000-00000000000g", "../x", ""]
    )
    def test_what_fits_none_or_several_is_refused(self, text: str, call, ids: list[str]) -> None:
        ran = call("stats", text, "--json")
        expected = ("ambiguous_id", 2) if text == "aaaa" else ("not_found", 3)
        assert (ran.error["code"], ran.code) == expected

    def test_a_prefix_that_is_also_a_name_is_ambiguous(self, call, ids: list[str]) -> None:
        call("new", "--name", "aaaa1")
        assert call("stats", "aaaa1", "--json").error["matches"] == 2

    def test_the_refusal_does_not_repeat_the_text(self, call, ids: list[str]) -> None:
        assert "secret" not in call("show", "my secret path").err

    def test_last_is_the_newest_of_the_project_we_are_in(self, call, ids: list[str], tmp_path: Path) -> None:
        project = tmp_path / "project"
        project.mkdir()
        mine = call("new", "--project", str(project)).out.strip()
        call("rename", ids[0], "newer")
        assert call("stats", "@last", "--json", cwd=project).value["id"] == mine
        assert call("stats", "@last", "--json").value["id"] == ids[0]

    def test_without_any_session_last_is_not_found(self, call) -> None:
        assert call("show", "@last").code == 3

    @pytest.mark.parametrize("text", ["name 0", "@last"])
    def test_a_damaged_session_has_no_name_and_the_refusal_says_so(
        self, text: str, call, ids: list[str], home: Path
    ) -> None:
        for given in ids:
            (home / "data/sessions" / f"{given}.jsonl").unlink()
        ran = call("show", text)
        assert ran.code == 3
        assert "hint: some sessions cannot be opened and are known by their id only" in ran.err

    def test_a_damaged_session_is_found_by_prefix_too(self, call, ids: list[str], home: Path) -> None:
        (home / "data/sessions" / f"{ids[0]}.jsonl").unlink()
        assert call("show", "aaaa1", "--json").error["code"] == "missing"


class TestStats:
    def test_the_store_is_counted(self, call, session_id: str) -> None:
        value = call("stats", "--json").value
        assert (value["sessions"], value["entries"], value["by_provenance"]) == (1, 2, {"native": 1})
        assert call("stats").out.splitlines()[:2] == ["sessions    1 of at most 10,000", "- native    1"]

    def test_an_empty_store_has_no_times(self, call) -> None:
        assert call("stats").out.splitlines()[-1] == "newest      -"

    def test_one_session_is_described(self, call, session_id: str) -> None:
        assert f"id          {session_id}\n" in call("stats", session_id).out


class TestSearch:
    def test_hits_name_session_entry_and_place(self, call, session_id: str) -> None:
        ran = call("search", "GOOD")
        assert ran.code == 0
        assert re.search(rf"^{session_id}  first +1  good day$", ran.out, re.MULTILINE)
        assert ran.err == "1 hit\n"
        (hit,) = call("search", "GOOD", "--json").value["hits"]
        assert (hit["session"]["id"], hit["entry"], hit["snippet"]) == (session_id, 1, "good day")

    def test_no_hit_is_no_failure(self, call, session_id: str) -> None:
        assert call("search", "nowhere") == (0, "", "0 hits\n")

    def test_at_most_n_hits(self, call, session_id: str) -> None:
        call("append", session_id, data=b'{"a":"hello 1"}\n{"a":"hello 2"}\n')
        assert len(call("search", "hello", "-n", "2", "--json").value["hits"]) == 2

    def test_an_empty_text_is_refused(self, call, session_id: str) -> None:
        assert call("search", "").code == 2


class TestRename:
    def test_the_new_name_is_listed(self, call, session_id: str) -> None:
        assert call("rename", session_id, "second") == (0, f"{session_id}  revision 3\n", "")
        assert call("rename", "second", "third", "--json").value == {"id": session_id, "name": "third", "rev": 4}

    def test_a_bad_name_is_refused(self, call, session_id: str) -> None:
        assert call("rename", session_id, "x" * 201).code == 2


class TestTag:
    def test_tags_are_added_removed_and_printed(self, call, session_id: str) -> None:
        assert call("tag", session_id, "a", "b").out == "a\nb\n"
        assert call("tag", session_id, "c", "--remove", "a", "--json").value == {"id": session_id, "tags": ["b", "c"]}
        assert call("tag", session_id).out == "b\nc\n"


class TestFork:
    def test_a_fork_begins_as_a_copy_and_names_its_parent(self, call, session_id: str) -> None:
        made = call("fork", session_id, "--json").value
        assert made["parent"] == session_id
        assert made["entries"] == 2
        assert ID.fullmatch(call("fork", session_id, "--at", "1").out.strip())

    def test_a_revision_that_never_was_is_refused(self, call, session_id: str) -> None:
        assert call("fork", session_id, "--at", "99").code == 2
