"""What a terminal sends becomes keys, however its bytes are cut, and a paste is never a command."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.cli.keypresses import TEXT, Key, Keys

KNOWN = [
    (b"\x1b[A", "up"),
    (b"\x1b[B", "down"),
    (b"\x1bOA", "up"),
    (b"\x1b[5~", "page_up"),
    (b"\x1b[6~", "page_down"),
    (b"\x1b[H", "home"),
    (b"\x1bOF", "end"),
    (b"\r", "enter"),
    (b"\n", "enter"),
    (b"\x7f", "backspace"),
    (b"\x03", "interrupt"),
    (b"\x15", "clear"),
    (b"\x17", "clear_word"),
]


def names(keys: list[Key]) -> list[str]:
    return [key.name for key in keys]


class TestFeed:
    @pytest.mark.parametrize(("data", "name"), KNOWN)
    def test_a_key_is_known_however_its_bytes_come(self, data: bytes, name: str) -> None:
        assert names(Keys().feed(data)) == [name]
        keys = Keys()
        assert [key for byte in data for key in keys.feed(bytes([byte]))] == [Key(name)]

    def test_text_and_keys_in_one_piece_are_told_apart(self) -> None:
        assert Keys().feed("ab\x1b[Aé日\r".encode()) == [Key(TEXT, "ab"), Key("up"), Key(TEXT, "é日"), Key("enter")]

    def test_a_character_in_two_pieces_is_one(self) -> None:
        keys = Keys()
        whole = "日".encode()
        assert keys.feed(whole[:1]) == []
        assert keys.feed(whole[1:]) == [Key(TEXT, "日")]

    @pytest.mark.parametrize(
        "data", [b"\x1b[1;5A", b"\x1b[99~", b"\x1b[<0;10;5M", b"\x1bOP", b"\x1bx", b"\x00", b"\x1a"]
    )
    def test_what_is_no_key_of_ours_is_dropped_whole(self, data: bytes) -> None:
        assert Keys().feed(data + b"a") == [Key(TEXT, "a")]

    def test_a_sequence_without_an_end_is_dropped_before_it_grows(self) -> None:
        keys = Keys()
        assert keys.feed(b"\x1b[" + b"1" * 100) == []
        assert keys.feed(b"a") == [Key(TEXT, "a")]

    @given(st.binary(max_size=200), st.integers(1, 7))
    def test_any_bytes_in_any_pieces_give_the_same_keys(self, data: bytes, size: int) -> None:
        def text(keys: list[Key]) -> str:
            return "".join(key.text if key.name == TEXT else f"<{key.name}>" for key in keys)

        whole, pieces = Keys(), Keys()
        if b"\x1b[" in data and len(data) > 32:
            return  # where an endless sequence is given up depends on how much came at once
        in_pieces = [key for at in range(0, len(data), size) for key in pieces.feed(data[at : at + size])]
        if data.count(b"\x1b\x1b") == 0:
            assert text(in_pieces) == text(whole.feed(data))


class TestEscape:
    def test_alone_it_is_a_key_once_nothing_more_came(self) -> None:
        keys = Keys()
        assert keys.feed(b"\x1b") == []
        assert keys.waiting
        assert keys.give_up_waiting() == [Key("escape")]
        assert not keys.waiting

    def test_twice_it_is_the_key(self) -> None:
        keys = Keys()
        assert names(keys.feed(b"\x1b\x1b")) == ["escape"]

    def test_the_rest_of_a_broken_sequence_is_dropped(self) -> None:
        keys = Keys()
        keys.feed(b"\x1b[1")
        assert keys.give_up_waiting() == []
        assert keys.feed(b"a") == [Key(TEXT, "a")]


class TestPaste:
    def test_it_is_text_on_one_line_whatever_is_in_it(self) -> None:
        data = b"\x1b[200~rm\r\n\x03\x1b[A\tx\x1b[201~\r"
        assert Keys().feed(data) == [Key(TEXT, "rm [A x"), Key("enter")]

    @pytest.mark.parametrize("size", [1, 2, 3, 5])
    def test_its_marks_may_be_split(self, size: int) -> None:
        data = b"\x1b[200~a\x1b[20b\x1b[201~c"
        keys = Keys()
        found = [key for at in range(0, len(data), size) for key in keys.feed(data[at : at + size])]
        assert found == [Key(TEXT, "a [20b"), Key(TEXT, "c")]

    def test_it_may_take_its_time(self) -> None:
        keys = Keys()
        keys.feed(b"\x1b[200~half")
        assert not keys.waiting
        assert keys.feed(b" whole\x1b[201~") == [Key(TEXT, "half whole")]

    def test_of_nothing_it_is_nothing(self) -> None:
        assert Keys().feed(b"\x1b[200~\r\n\x1b[201~") == []
