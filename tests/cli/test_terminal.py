"""What differs when a person looks: a drawn table, shortened ids, colour, and none of it elsewhere."""

from __future__ import annotations

import re

import pytest

from sessionstore.cli.table import Column, table


class TestTable:
    def test_on_a_terminal_it_fits_and_ids_are_short(self, call, terminal) -> None:
        made = call("new", "--name", "a long name " * 10, "--tag", "t").out.strip()
        screen = terminal("list", columns=80, env={"NO_COLOR": "1"})
        head, line = screen.text.splitlines()
        assert re.fullmatch(r"ID {8}NAME .* UPDATED +ENTRIES +SIZE +TAGS +PROJECT", head)
        assert line.startswith(made[:8] + "  a long name")
        assert "…" in line
        assert max(map(len, screen.text.splitlines())) <= 80

    def test_long_explanations_take_several_lines_and_are_whole(self, call, session_id: str, terminal, home) -> None:
        (home / "data/sessions" / f"{session_id}.jsonl").unlink()
        screen = terminal("list", columns=70, env={"NO_COLOR": "1"})
        words = " ".join(screen.text.split())
        assert "is gone" in words
        assert "(revision 2 was saved" in words

    def test_ids_grow_until_they_differ(self, call, terminal) -> None:
        for last in "12":
            call("new", "--id", f"aaaaaaaa-bb{last}0-4000-8000-000000000000")
        lines = terminal("list", env={"NO_COLOR": "1"}).text.splitlines()
        assert [line.split()[0] for line in lines[1:]] == ["aaaaaaaa-bb2", "aaaaaaaa-bb1"]

    @pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"])
    def test_there_is_no_escape_sequence_where_none_is_wanted(
        self, env: dict[str, str], session_id: str, terminal
    ) -> None:
        assert "\x1b" not in terminal("list", env=env).text

    def test_otherwise_the_heading_is_bold(self, session_id: str, terminal) -> None:
        assert terminal("list").text.startswith("\x1b[1m")

    def test_rich_markup_and_emoji_codes_in_names_are_plain_text(self, call, terminal) -> None:
        call("new", "--name", "[red]x[/red] :smile: [link=http://a]b[/link]")
        assert "[red]x[/red] :smile: [link=http://a]b[/link]" in terminal("list").text

    def test_a_terminal_with_another_encoding_is_no_failure(self, call, terminal) -> None:
        call("new", "--name", "日本語 " * 30)
        screen = terminal("list", columns=80, env={"PYTHONIOENCODING": "latin-1", "NO_COLOR": "1"})
        assert screen.code == 0
        assert "\\u65e5" in screen.text

    def test_a_cell_of_wide_and_combining_characters_keeps_the_columns(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        table([Column("A"), Column("N", right=True)], [("日本", "1"), ("e\u0301", "22"), ("abcd", "333")])
        assert capsys.readouterr().out == "A       N\n日本    1\ne\u0301      22\nabcd  333\n"


class TestJson:
    def test_it_is_the_same_on_a_terminal(self, call, session_id: str, terminal) -> None:
        assert terminal("list", "--json").text == call("list", "--json").out
