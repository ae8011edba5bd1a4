"""The picker: keys make states, states make lines, and no line is wider than the terminal, whatever is in a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from sessionstore.cli.keypresses import TEXT, Key
from sessionstore.cli.picker import RUNNING, Chosen, Left, Row, State, begin, cursor_column, layout, press, view

ROWS = [
    Row("aaaaaaaa-1", "Fix the login", "2026-11-21 10:00", "/home/a", tags="review"),
    Row("bbbbbbbb-2", "日本語のセッション", "2026-11-20 10:00", "/home/b", here=True),
    Row("cccccccc-3", "Écrire", "2026-11-19 10:00", mark=RUNNING, reason="process 12 has it"),
    Row("dddddddd-4", "", mark="invalid_signature", reason="was changed"),
    Row("eeeeeeee-5", "old", "2026-11-18 10:00", "/home/b", here=True),
]


def after(state: State, *keys: Key | str, page: int = 3) -> State:
    for key in keys:
        pressed = press(state, Key(key) if isinstance(key, str) else key, page=page)
        assert isinstance(pressed, State)
        state = pressed
    return state


def typed(text: str) -> Key:
    return Key(TEXT, text)


def lines_of(state: State, width: int = 80, height: int = 24, preview: tuple[str, ...] = ("said",)) -> list[str]:
    return [line.plain for line in view(state, width=width, height=height, preview=lambda row: preview)]


class TestOrder:
    def test_this_project_comes_first_and_what_cannot_be_opened_last(self) -> None:
        assert [row.id[0] for row in begin(ROWS).rows] == ["b", "e", "a", "c", "d"]


class TestMoving:
    def test_it_stays_within_the_rows(self) -> None:
        state = begin(ROWS)
        assert after(state, "up").at == 0
        assert after(state, "down", "down").at == 2
        assert after(state, "page_down").at == 3
        assert after(state, "page_down", "page_down").at == 4
        assert after(state, "end").at == 4
        assert after(state, "end", "page_up").at == 1
        assert after(state, "end", "home").at == 0

    def test_without_a_row_there_is_nowhere_to_go(self) -> None:
        state = after(begin([]), "down", "end", "page_down")
        assert (state.at, state.current) == (0, None)


class TestFilter:
    @pytest.mark.parametrize(
        ("query", "found"),
        [("login", "a"), ("LOGIN fix", "a"), ("review", "a"), ("/home/b", "be"), ("écr", "c"), ("日本", "b"),
         ("invalid", "d"), ("cccc", "c"), ("login old", ""), ("  ", "beacd")],
    )  # fmt: skip
    def test_every_word_must_be_somewhere_in_any_case(self, query: str, found: str) -> None:
        assert "".join(row.id[0] for row in after(begin(ROWS), typed(query)).fitting) == found

    def test_typing_goes_back_to_the_first_row_that_fits(self) -> None:
        state = after(begin(ROWS), "end", typed("o"))
        assert state.at == 0

    def test_it_can_be_taken_back(self) -> None:
        state = after(begin(ROWS), typed("fix"), typed(" log"))
        assert after(state, "backspace").query == "fix lo"
        assert after(state, "clear_word").query == "fix"
        assert after(state, "clear_word", "clear_word").query == ""
        assert after(state, "clear").fitting == begin(ROWS).rows
        assert after(begin(ROWS), "backspace").query == ""


class TestTheEnd:
    def test_enter_chooses_the_row_one_is_at(self) -> None:
        assert press(after(begin(ROWS), typed("login")), Key("enter"), page=3) == Chosen("aaaaaaaa-1")

    @pytest.mark.parametrize(("query", "reason"), [("cccc", "process 12 has it"), ("dddd", "was changed")])
    def test_what_is_marked_cannot_be_chosen_and_says_why(self, query: str, reason: str) -> None:
        state = after(begin(ROWS), typed(query), "enter")
        assert state.told == f"cannot be resumed: {reason}"
        assert lines_of(state)[-1] == state.told
        assert after(state, "down").told == ""

    def test_enter_where_nothing_fits_chooses_nothing(self) -> None:
        state = after(begin(ROWS), typed("nothing like it"), "enter")
        assert state.told == "no session fits what was typed"

    def test_escape_and_ctrl_c_leave(self) -> None:
        assert press(begin(ROWS), Key("escape"), page=3) == Left(interrupted=False)
        assert press(begin(ROWS), Key("interrupt"), page=3) == Left(interrupted=True)


class TestView:
    def test_it_shows_question_rows_preview_and_help(self) -> None:
        lines = lines_of(after(begin(ROWS), "down"), preview=("[1] user", "    hello"))
        assert lines[0].startswith("Resume: ")
        assert lines[0].endswith("5/5")
        assert lines[1] == "  bbbbbbbb  2026-11-20 10:00  日本語のセッション"
        assert lines[2] == "> eeeeeeee  2026-11-18 10:00  old"
        assert lines[3] == "  aaaaaaaa  2026-11-21 10:00  Fix the login  /home/a"
        assert lines[4].endswith("[running] Écrire")
        assert lines[5].endswith("[invalid_signature] ")
        assert "    hello" in lines
        assert "Enter" in lines[-1]

    def test_a_marked_row_says_in_the_preview_what_is_wrong(self) -> None:
        assert "invalid_signature: was changed" in lines_of(after(begin(ROWS), "end"))

    def test_the_row_one_is_at_is_always_seen(self) -> None:
        state = begin([Row(f"{number:08}", f"n{number}") for number in range(100)])
        for height in (1, 2, 3, 5, 24):
            for at in (0, 1, 49, 98, 99):
                lines = lines_of(state._replace(at=at), height=height)
                assert sum(line.startswith("> ") for line in lines) == 1
                assert any(line.startswith(f"> {at:08}") for line in lines)

    def test_a_low_terminal_gives_up_the_preview_first_and_the_row_never(self) -> None:
        assert layout(1) == (0, 1, 0, 0)
        assert layout(2) == (1, 1, 0, 0)
        assert layout(4) == (1, 2, 0, 1)
        assert layout(8).preview == 0
        assert layout(9).preview == 4
        assert layout(60).preview == 11

    def test_a_narrow_one_gives_up_the_time_then_the_id(self) -> None:
        state = after(begin(ROWS), typed("login"))
        assert lines_of(state, width=59)[1].startswith("> aaaaaaaa  Fix the login")
        assert lines_of(state, width=30)[1] == "> Fix the login  /home/a"
        assert lines_of(state, width=10)[1] == "> Fix the "

    def test_the_preview_is_read_for_one_row_and_only_where_it_is_shown(self) -> None:
        asked: list[str] = []

        def preview(row: Row) -> list[str]:
            asked.append(row.id)
            return []

        view(begin(ROWS), width=80, height=8, preview=preview)
        assert asked == []
        view(begin(ROWS), width=80, height=24, preview=preview)
        assert asked == ["bbbbbbbb-2"]

    def test_of_a_long_preview_the_end_is_shown(self) -> None:
        lines = lines_of(begin(ROWS), preview=tuple(f"line {number}" for number in range(50)))
        assert lines[-2] == "line 49"

    def test_control_characters_of_data_are_written_out(self) -> None:
        hostile = "\x1b[2J\u202e\r\n\x9b"
        state = begin([Row(hostile, hostile, hostile, hostile, mark=hostile, reason=hostile)])
        shown = "".join(lines_of(after(state, typed(hostile[0]), "enter"), preview=(hostile,), width=200))
        assert not (set(hostile) - set("[2J")) & set(shown)

    def test_its_own_characters_can_be_ascii(self) -> None:
        lines = view(begin([]), width=80, height=24, preview=lambda row: [], plain=True)
        assert "".join(line.plain for line in lines).isascii()

    NAMES = st.text(
        st.sampled_from("ab 日本語👩‍👩‍👧é\u0301\u200d\ufe0f\U0001f1e9\U0001f1ea\x00\x1b\u202e\n"), max_size=80
    )

    @given(NAMES, NAMES, NAMES, st.integers(1, 90), st.integers(1, 30))
    def test_no_line_is_wider_than_the_terminal_and_there_are_as_many_as_it_has(
        self, name: str, project: str, query: str, width: int, height: int
    ) -> None:
        state = after(begin([Row("0" * 36, name, "2026-11-21 10:00", project), *ROWS]), typed(query))
        lines = view(state, width=width, height=height, preview=lambda row: [name, project])
        assert len(lines) == height
        assert all(cell_len(line.plain) <= width for line in lines)
        assert 0 <= cursor_column(state, width) < width
