"""Hostile values and names: each comes back exactly as it was given, or is refused and nothing is written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from sessionstore import Message, Todo
from sessionstore.errors import (
    InvalidIdError,
    InvalidValueError,
    MalformedError,
    SessionStoreError,
    TooDeepError,
    TooLargeError,
)
from sessionstore.format.strict import parse_json


def nested(depth: int, *, of: type = list) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if of is list else {"a": value}
    return value


def endless() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


ROUND_TRIP = {
    "line separators": "a\u2028b\u2029c\u0085d\x0b\x0c\x1c\x1d\x1e",
    "raw line ends": "a\nb\r\nc\rd\n",
    "NUL and other control characters": "".join(map(chr, range(32))) + "\x7f",
    "quotes and backslashes": '"\\"\\\\/\\u0000 \\n',
    "a seal": '\n{"seal":{"rev":1},"signature":"ss2.0000000000000000.' + "0" * 64 + '"}\n',
    "bidirectional": "\u202eevil\u202c \u2066\u2069 \ufeff",
    "beyond the first plane": "\U0001f984\U0010ffff",
    "not normalised": "e\u0301 \u00e9 \u212b",
    "the largest integers": [-(2**63), 2**63 - 1, 2**64 - 1],
    "floats": [0.1, -0.0, 1e308, 5e-324, 1e16, 123456789.123456789],
    "truth and nothing": [True, False, None, 1, 0, ""],
    "names of our own": {"entry": {"seal": {"signature": "ss2."}}, "": 0, "__proto__": {}, "more": True},
    "as deep as allowed": nested(125),
}

REFUSED = {
    "NaN": (float("nan"), MalformedError),
    "infinity": (float("inf"), MalformedError),
    "minus infinity": (float("-inf"), MalformedError),
    "a lone surrogate": ("\ud800", MalformedError),
    "a lone low surrogate": ("a\udc80b", MalformedError),
    "a surrogate in a member name": ({"\udfff": 1}, MalformedError),
    "a member name that is a number": ({1: 2}, MalformedError),
    "a member name that is nothing": ({None: 2}, MalformedError),
    "an integer of 65 bits": (2**64, MalformedError),
    "an integer of 4,300 digits": (10**4300, MalformedError),
    "an integer of 40,000 digits": (10**40_000, MalformedError),
    "bytes": (b"x", MalformedError),
    "a set": ({1}, MalformedError),
    "a time": (datetime(2026, 1, 1, tzinfo=UTC), MalformedError),
    "an object": (object(), MalformedError),
    "200 lists deep": (nested(200), TooDeepError),
    "200 objects deep": (nested(200, of=dict), TooDeepError),
    "100,000 deep": (nested(100_000), TooDeepError),
    "itself": (endless(), TooDeepError),
    "9 MiB": ("x" * (9 << 20), TooLargeError),
}


class TestValues:
    @pytest.mark.parametrize("name", ROUND_TRIP)
    def test_it_comes_back_as_it_was_given(self, victim: Any, name: str) -> None:
        value = ROUND_TRIP[name]
        given = {"role": "user", "content": value}
        rev = victim.store.append(victim.id, [given, {"before": value, "after": 1}], config={"kept": value})
        session = victim.store.load(victim.id)
        assert session.rev == rev and session.warnings == ()
        assert repr(session.entries[-2:]) == repr((given, {"before": value, "after": 1}))
        assert repr(session.config) == repr({"kept": value})
        assert repr(list(victim.store.entries(victim.id, -2))) == repr(list(session.entries[-2:]))
        assert victim.path.read_bytes().count(b"\n") == victim.good.count(b"\n") + 4

    @pytest.mark.parametrize("name", REFUSED)
    def test_it_is_refused_and_nothing_is_written(self, victim: Any, name: str) -> None:
        value, kind = REFUSED[name]
        for call in (
            lambda: victim.store.append(victim.id, [{"content": value}]),
            lambda: victim.store.append(victim.id, [{"fine": 1}, {"content": [value]}]),
            lambda: victim.store.append(victim.id, [Message("user", value)]),
            lambda: victim.store.append(victim.id, config={"content": value}),
            lambda: victim.store.create(config={"content": value}),
            lambda: victim.store.create(entries=[{"content": value}]),
        ):
            with pytest.raises(kind):
                call()
        assert victim.path.read_bytes() == victim.good
        page = victim.store.list()
        assert ([line.id for line in page.sessions], page.unreadable) == ([victim.id], ())


class TestOtherArguments:
    """Everything else that ends in a sealed line or a signed row. One bad row once made every list fail."""

    @pytest.mark.parametrize(
        "arguments",
        [
            {"name": "\ud800"},
            {"name": "a\nb"},
            {"name": ""},
            {"name": "x" * 201},
            {"tags": ["\ud800"]},
            {"tags": ["a\x1b[31m"]},
            {"tags": "text"},
            {"tags": ["x" * 65]},
            {"tags": [str(n) for n in range(65)]},
            {"todos": [Todo("\ud800")]},
            {"todos": [Todo("a", "pending", "\udc80")]},
            {"todos": [Todo(5)]},  # type: ignore[arg-type]
            {"todos": [{"content": "x", "status": "done"}]},
            {"config": []},
            {"key": ""},
            {"key": "\ud800"},
            {"key": "x" * 513},
            {"parent": "x"},
            {"origin": "\ud800"},
            {"origin": 5},
            {"provenance": "made up"},
            {"id": "x"},
            {"project": "\ud800"},
            {"project": "a\0b"},
            {"entries": [Message("user", "x", None, datetime(2026, 1, 1))]},
            {"entries": [Message("user", "x", None, datetime.min.replace(tzinfo=timezone(timedelta(hours=1))))]},
        ],
        ids=repr,
    )
    def test_a_create_that_is_refused_leaves_a_store_that_lists(self, victim: Any, arguments: dict[str, Any]) -> None:
        with pytest.raises(SessionStoreError):
            victim.store.create(**arguments)
        page = victim.store.list()
        assert ([line.id for line in page.sessions], page.unreadable) == ([victim.id], ())
        assert victim.store.stats().sessions == 1
        left = {path.name for path in victim.path.parent.iterdir()}
        assert left == {".gitignore", victim.path.name}

    def test_a_vouched_for_document_with_a_time_that_is_none_is_refused(self, victim: Any) -> None:
        document = victim.store.export(victim.id)[:-102].replace(b'"closed_at":null', b'"closed_at":"never"')
        document += b',"signature":"sx1.' + b"1" * 16 + b"." + b"0" * 64 + b'"}\n'
        with pytest.raises(MalformedError):
            victim.store.import_document(document, trust=["unknown_key"])
        assert [line.id for line in victim.store.list().sessions] == [victim.id]


class TestText:
    """JSON text as it comes in from outside."""

    @pytest.mark.parametrize(
        ("text", "kind"),
        [
            (b'{"a":NaN}', MalformedError),
            (b'{"a":-Infinity}', MalformedError),
            (b'{"a":1,"a":2}', MalformedError),
            (b'{"b":{"a":1,"a":1}}', MalformedError),
            (b'{"a":"\\ud800"}', MalformedError),
            (b'{"\\udc00":1}', MalformedError),
            (b'{"a":"\xed\xa0\x80"}', MalformedError),
            (b'{"a":"\xff"}', MalformedError),
            (b'{"a":"a\nb"}', MalformedError),
            (b'{"a":' + b"9" * 4300 + b"}", MalformedError),
            (b'{"a":' + b"9" * 4301 + b"}", MalformedError),
            (b'{"a":' + b"9" * 100_000 + b"}", MalformedError),
            (b'{"a":1e400}', MalformedError),
            (b'{"a":18446744073709551616}', MalformedError),
            (b"[" * 200 + b"]" * 200, TooDeepError),
            (b"[" * 100_000 + b"]" * 100_000, TooDeepError),
            (b'{"a":' * 200 + b"1" + b"}" * 200, TooDeepError),
            (b"", MalformedError),
            (b"\xef\xbb\xbf{}", MalformedError),
            (b"{} {}", MalformedError),
        ],
        ids=range(20),
    )
    def test_what_a_lenient_reader_would_change_is_refused(self, text: bytes, kind: type[Exception]) -> None:
        with pytest.raises(kind):
            parse_json(text)

    def test_line_separators_are_text(self) -> None:
        assert parse_json('{"a":"\u2028\u2029"}'.encode()) == {"a": "\u2028\u2029"}


GOOD = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
IDS = [
    GOOD.upper(),
    GOOD + "\n",
    "\n" + GOOD,
    GOOD + " ",
    GOOD + "\0",
    GOOD[:-1] + "\0",
    "../" + GOOD,
    "../../state/keyring",
    "./" + GOOD,
    GOOD + "/..",
    GOOD + ".jsonl",
    "",
    ".",
    "..",
    "/etc/passwd",
    GOOD.replace("-", ""),
    "{" + GOOD + "}",
    "urn:uuid:" + GOOD,
    GOOD.replace("0", "\uff10"),
    GOOD.replace("0", "\u0660"),
    GOOD[:-1] + "\ud800",
    "\x1b[31m" + GOOD,
    "%00" + GOOD,
    "x" * 100_000,
    None,
    5,
    GOOD.encode(),
    [GOOD],
]


@pytest.mark.parametrize("bad", IDS, ids=range(len(IDS)))
def test_anything_but_an_id_is_the_same_refusal_without_an_echo(victim: Any, bad: Any) -> None:
    store = victim.store
    calls = (
        lambda: store.load(bad),
        lambda: list(store.entries(bad)),
        lambda: store.append(bad, [{}]),
        lambda: store.rewind(bad, 0),
        lambda: store.delete(bad),
        lambda: store.rename(bad, "x"),
        lambda: store.fork(bad),
        lambda: store.export(bad),
        lambda: store.inspect(bad),
        lambda: store.summary(bad),
        lambda: store.compact(bad),
        *([] if bad is None else [lambda: store.create(id=bad), lambda: store.create(parent=bad)]),
    )
    for call in calls:
        with pytest.raises(InvalidIdError) as caught:
            call()
        assert json.dumps([str(caught.value), repr(caught.value), caught.value.fields]) == json.dumps(
            [str(InvalidIdError()), repr(InvalidIdError()), {}]
        )
    assert not isinstance(caught.value, InvalidValueError)
    assert victim.path.read_bytes() == victim.good
