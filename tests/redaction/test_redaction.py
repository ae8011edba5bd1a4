"""The funnel: what it takes out, what it leaves, and what it costs on text that was made to be slow."""

from __future__ import annotations

import random
import re
import string
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore import Todo, errors
from sessionstore.format.lines import State
from sessionstore.redaction import Redactor
from sessionstore.redaction.rules import KINDS, OVERLAP_CHARS, WINDOW_CHARS, Rule, find, known_rules

# Put together here: what looks like a token in a repository is reported as one.
LETTERS = (string.ascii_letters + string.digits) * 4
GITHUB = "gh" + "p_" + LETTERS[:36]
AWS = "AK" + "IA" + "ABCDEFGH12345678"
ANTHROPIC = "sk-" + "ant-api03-" + LETTERS[:60]
SIGNATURE = "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
JWT = "ey" + "JhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + SIGNATURE
PEM = (
    "-----BEGIN "
    + "RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEow"
    + LETTERS
    + "\n-----END RSA PRIVATE KEY-----"
)

KNOWN = {
    "github_token": [GITHUB, "github" + "_pat_" + LETTERS[:40]],
    "aws": [AWS],
    "anthropic": [ANTHROPIC],
    "openai": ["sk-" + "proj-" + LETTERS[20:68]],
    "jwt": [JWT],
    "gitlab_token": ["gl" + "pat-" + LETTERS[:20]],
    "slack": ["xo" + "xb-" + "123456789012-abcdefABCDEF"],
    "stripe": ["sk_" + "live_" + LETTERS[:24]],
    "google_key": ["AI" + "za" + LETTERS[:35]],
    "huggingface": ["h" + "f_" + LETTERS[:34]],
    "private_key": [PEM, PEM.replace("RSA ", ""), PEM[:90]],
}


class TestKnownSecrets:
    @pytest.mark.parametrize(("kind", "secret"), [(kind, one) for kind, several in KNOWN.items() for one in several])
    def test_it_goes_whole_wherever_it_stands_and_its_kind_is_said(self, kind: str, secret: str) -> None:
        redactor = Redactor()
        after = "" if secret == PEM[:90] else ", and more"
        found = redactor.value({"role": "tool", "content": [{"text": f"it is {secret}{after}"}]})
        assert found == {"role": "tool", "content": [{"text": f"it is [redacted:{kind}]{after}"}]}
        assert redactor.counts == {kind: 1}

    @pytest.mark.parametrize(
        ("text", "left"),
        [
            ('password = "hunter2!"', 'password = "[redacted:assigned]"'),
            ('use "AK' + 'Cabcdefghij123" here', 'use "[redacted:artifactory]" here'),
            ("passphrase: 'correct horse'", "passphrase: '[redacted:assigned]'"),
            ('{"api_key": "abcd"}', '{"api_key": "[redacted:assigned]"}'),
            ('{\\"client_secret\\":\\"abcd\\"}', '{\\"client_secret\\":\\"[redacted:assigned]\\"}'),
            ("export DB_PASSWORD=hunter2!", "export DB_PASSWORD=[redacted:assigned_in_shell]"),
            ("a\nAPI_KEY='abcdef1'\nb", "a\nAPI_KEY='[redacted:assigned]'\nb"),
            ("Authorization: Bearer abcdefgh12345678==", "Authorization: Bearer [redacted:bearer]"),
            ("postgres://me:hunter2@db.example/x", "postgres[redacted:basic_auth]db.example/x"),
        ],
    )
    def test_what_is_assigned_as_a_secret_goes(self, text: str, left: str) -> None:
        assert Redactor().text(text) == left

    @pytest.mark.parametrize(
        "text",
        [
            "password = get_password()",
            "the secret of good bread is time",
            "export TOKEN=$OTHER",
            "basic internationalization",
            "task-management-for-beginners-and-others",
            "sha 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d",
            "-----BEGIN CERTIFICATE-----\nMIIEow\n-----END CERTIFICATE-----",
            "",
        ],
    )
    def test_what_is_no_secret_stays(self, text: str) -> None:
        redactor = Redactor()
        assert redactor.text(text) == text
        assert redactor.found == 0

    @pytest.mark.parametrize("name", ["password", "apiKey", "API_KEY", "client-secret", "Authorization", "private_key"])
    @pytest.mark.parametrize("value", ["x", 4711, ["x", 1]])
    def test_the_value_of_a_member_that_is_called_a_secret_goes(self, name: str, value: Any) -> None:
        redactor = Redactor()
        mark = "[redacted:named_value]"
        assert redactor.value({name: value, "n": 1}) == {name: [mark, mark] if type(value) is list else mark, "n": 1}
        assert set(redactor.counts) == {"named_value"}

    @pytest.mark.parametrize("value", ["", None, True, {"n": 1}])
    def test_a_secret_s_name_without_a_value_is_no_secret(self, value: Any) -> None:
        assert Redactor().value({"password": value}) == {"password": value}

    def test_several_in_one_text_are_counted_each_by_kind(self) -> None:
        redactor = Redactor()
        assert redactor.text(f"{AWS} {GITHUB} {AWS}") == "[redacted:aws] [redacted:github_token] [redacted:aws]"
        assert redactor.counts == {"aws": 2, "github_token": 1}
        assert redactor.found == 3

    def test_a_member_name_that_is_a_secret_goes_and_names_stay_apart(self) -> None:
        value = {AWS: 1, "AK" + "IA" + "ABCDEFGH87654321": 2, "[redacted:aws]": 3, "n": 4}
        found = Redactor().value(value)
        assert list(found.values()) == [1, 2, 3, 4]
        assert set(found) == {"[redacted:aws] 2", "[redacted:aws] 3", "[redacted:aws]", "n"}

    def test_a_value_without_secrets_is_the_value_itself(self) -> None:
        value = {"a": [1, 2.5, None, True, "x", {"b": []}], "t": ("x",)}
        assert Redactor(patterns=["zzz"]).value(value) is value

    def test_nothing_is_changed_in_place(self) -> None:
        value = {"a": [GITHUB], "b": {"c": GITHUB}}
        assert Redactor().value(value) != value
        assert value == {"a": [GITHUB], "b": {"c": GITHUB}}


class TestWhatStays:
    def test_ids_roles_types_and_times_stay_whatever_a_pattern_fits(self) -> None:
        entry = {"id": "msg_2026", "role": "2026", "timestamp": "2026-01-31", "content": "in 2026", "usage": 2026}
        redactor = Redactor(patterns=["2026"])
        assert redactor.value(entry) == {**entry, "content": "in [redacted:pattern]", "usage": "[redacted:pattern]"}
        assert (redactor.kept, redactor.counts) == (3, {"pattern": 2})

    def test_a_token_in_the_place_of_an_id_goes_all_the_same(self) -> None:
        assert Redactor().value({"id": GITHUB, "created": 5, "status": None}) == {
            "id": "[redacted:github_token]",
            "created": 5,
            "status": None,
        }

    def test_what_is_called_an_id_but_is_an_object_is_searched(self) -> None:
        assert Redactor().value({"id": {"text": AWS}}) == {"id": {"text": "[redacted:aws]"}}


class TestPatterns:
    def test_without_secrets_only_the_patterns_count(self) -> None:
        redactor = Redactor(secrets=False, patterns=["ACME-[0-9]{4}", "(?i)project x"])
        text = redactor.text(f"ACME-1234 of Project X, {AWS}, password: 'hunter2'")
        assert text == f"[redacted:pattern] of [redacted:pattern], {AWS}, password: 'hunter2'"
        assert redactor.value({"password": "hunter2"}) == {"password": "hunter2"}

    def test_matches_that_overlap_become_one(self) -> None:
        redactor = Redactor(secrets=False, patterns=["abc", "bcd", "cde"])
        assert redactor.text("xabcdex abc") == "x[redacted:pattern]x [redacted:pattern]"
        assert redactor.counts == {"pattern": 2}

    @pytest.mark.parametrize("pattern", ["(", "(a+)+", "a*", "", "x" * 501])
    def test_a_pattern_that_cannot_be_used_is_refused_without_being_repeated(self, pattern: str) -> None:
        with pytest.raises(errors.InvalidValueError) as caught:
            Redactor(secrets=False, patterns=[pattern])
        assert caught.value.what == "redaction pattern"
        assert not pattern or pattern not in str(caught.value)


class TestAgain:
    @pytest.mark.parametrize(
        "value",
        [
            {"t": f"{AWS} {JWT} {PEM}", "password": "x"},
            {"t": f'API_TOKEN={GITHUB}\npassword="{GITHUB}"'},
            {"t": "Bearer " + LETTERS[:40] + "1"},
        ],
    )
    def test_a_second_time_finds_nothing(self, value: Any) -> None:
        once = Redactor().value(value)
        again = Redactor()
        assert again.value(once) is once or again.value(once) == once
        assert again.found == 0

    def test_a_pattern_that_fits_the_replacement_leaves_it(self) -> None:
        redactor = Redactor(patterns=["redacted", "aws"])
        assert redactor.text("[redacted:aws]") == "[redacted:aws]"

    def test_what_reaches_beyond_a_replacement_goes(self) -> None:
        assert Redactor(secrets=False, patterns=["a.*z"]).text("a [redacted:aws] z") == "[redacted:pattern]"

    @pytest.mark.parametrize("kind", ["nightjar", "aws_nightjar", "nightjar_aws", ""])
    def test_what_only_looks_like_a_replacement_hides_nothing(self, kind: str) -> None:
        redactor = Redactor(secrets=False, patterns=["nightjar", r"redacted:\]"])
        mark = "[redacted:pattern]"
        left = f"[redacted:{kind.replace('nightjar', mark)}]" if kind else f"[{mark}"
        assert redactor.text(f"[redacted:{kind}]") == left
        assert redactor.counts == {"pattern": 1}
        assert redactor.text(left) == left

    def test_a_password_that_looks_like_a_replacement_goes(self) -> None:
        redactor = Redactor()
        assert redactor.value({"password": "[redacted:hunter]"}) == {"password": "[redacted:named_value]"}
        assert redactor.counts == {"named_value": 1}

    @pytest.mark.parametrize("kind", sorted({*KINDS, "pattern", "named_value", "entry"}))
    def test_a_replacement_of_every_kind_that_there_is_is_left(self, kind: str) -> None:
        redactor = Redactor(patterns=["redacted", "[a-z]"])
        assert redactor.text(f"[redacted:{kind}]") == f"[redacted:{kind}]"
        assert redactor.found == 0
        named = Redactor()
        assert named.value({"password": f"[redacted:{kind}]"}) == {"password": f"[redacted:{kind}]"}
        assert named.found == 0

    def test_every_rule_has_a_kind_that_is_known_for_a_replacement(self) -> None:
        assert {rule.kind for rule in known_rules()} <= KINDS

    json = st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )

    @given(json)
    def test_of_any_value_the_second_time_changes_nothing(self, value: Any) -> None:
        once = Redactor(patterns=["[a-z]{3}"]).value(value)
        assert Redactor(patterns=["[a-z]{3}"]).value(once) == once


class TestLongTexts:
    @pytest.mark.parametrize("at", [0, WINDOW_CHARS - OVERLAP_CHARS, WINDOW_CHARS - 20, WINDOW_CHARS, 100_000])
    def test_a_secret_is_found_wherever_the_windows_meet(self, at: int) -> None:
        for secret, kind in ((GITHUB, "github_token"), (PEM, "private_key"), (JWT, "jwt")):
            redactor = Redactor()
            text = " " * at + secret + " " * 50_000
            assert redactor.text(text) == " " * at + f"[redacted:{kind}]" + " " * 50_000
            assert redactor.counts == {kind: 1}

    def test_a_match_longer_than_a_window_goes_whole(self) -> None:
        redactor = Redactor(secrets=False, patterns=["BEGIN.*?END"])
        assert (
            redactor.text("x" * 10 + "BEGIN" + "y" * 60_000 + "END" + "x") == "x" * 10 + "BEGIN" + "y" * 60_000 + "ENDx"
        )
        whole = Redactor(secrets=False, patterns=["BEGIN[yE].*"])
        assert whole.text("x" * 10 + "BEGIN" + "y" * 60_000 + "END\nx") == "x" * 10 + "[redacted:pattern]\nx"

    def test_the_end_of_a_window_is_no_end_of_the_text(self) -> None:
        text = "x" * (WINDOW_CHARS - 3) + "abc" + "d" * 9
        assert Redactor(secrets=False, patterns=["abc$"]).text(text) == text

    @pytest.mark.parametrize("text", ["eyJ" * 20_000, "=" * 60_000, "passwordpassword " * 5_000, "sk-" * 20_000])
    def test_text_that_was_made_to_be_slow_is_done_in_steps_of_a_window(self, text: str) -> None:
        calls = 0

        def count(frame: Any, event: str, arg: Any) -> None:
            nonlocal calls
            calls += event == "c_call" and getattr(arg, "__name__", "") == "finditer"

        redactor = Redactor()
        sys.setprofile(count)
        try:
            redactor.text(text)
        finally:
            sys.setprofile(None)
        windows = len(text) // (WINDOW_CHARS - OVERLAP_CHARS) + 2
        assert calls <= windows * (len(known_rules()) + 1)

    @pytest.mark.parametrize("unit", [AWS, "xo" + "xb-1-", "Account" + "Key=", "sq0" + "csp-", "sk-", "eyJ", "a.b."])
    @pytest.mark.parametrize("tail", ["", "=" * 88, "." * 88, " "])
    def test_what_it_goes_through_grows_as_the_text_does(self, unit: str, tail: str) -> None:
        # Every span was gone through from its start to its end to be made.
        for length in (20_000, 40_000):
            text = unit * (length // len(unit)) + tail
            for rule in known_rules():
                assert sum(span.end - span.start for span in find(text, rule)) <= 2 * len(text), rule.kind

    def test_a_match_that_is_longer_than_many_windows_is_followed_once(self) -> None:
        rule = Rule("pattern", re.compile("(?:ab)+"), "given")
        assert [(span.start, span.end) for span in find("ab" * 50_000, rule)] == [(0, 100_000)]

    def test_what_begins_before_the_rest_of_a_token_is_found_although_it_ends_inside(self) -> None:
        # The second match is cut by its window and followed far; the first one shows in the next window only.
        text = "x" * 6_150 + "B" + "x" * 1_900 + "A" + "x" * 250 + "E" + "x" * 700
        rule = Rule("pattern", re.compile("B[^E]{2100,2200}E|Ax{100}[xE]+"), "given")
        assert {(span.start, span.end) for span in find(text, rule)} == {(8_051, len(text)), (6_150, 8_303)}


class TestWholeEntries:
    def test_what_frames_an_entry_stays_and_every_content_goes(self) -> None:
        redactor = Redactor()
        entry = {
            "role": "assistant",
            "id": "msg_1",
            "timestamp": "2026-01-31T12:00:00Z",
            "usage": {"tokens": 5},
            "content": [{"type": "tool_use", "tool_use_id": "t1", "input": {"key": "x"}}, "text"],
            "message": {"role": "user", "content": "hi"},
        }
        mark = "[redacted:entry]"
        assert redactor.entry(entry) == {
            "role": "assistant",
            "id": "msg_1",
            "timestamp": "2026-01-31T12:00:00Z",
            "usage": mark,
            "content": [{"type": "tool_use", "tool_use_id": "t1", "input": mark}, mark],
            "message": {"role": "user", "content": mark},
        }
        assert redactor.counts == {"entry": 1}

    def test_an_entry_that_is_blank_already_is_not_counted(self) -> None:
        redactor = Redactor()
        entry = redactor.entry({"role": "user", "content": "x"})
        assert redactor.entry(entry) is entry
        assert redactor.found == 1


class TestState:
    def test_name_tags_config_and_todos_are_searched(self) -> None:
        state = State(
            name=f"about {AWS}", tags=(AWS, GITHUB, "t"), config={"k": [JWT]}, todos=(Todo(AWS, "pending", AWS),)
        )
        found = Redactor().described(state)
        assert found.name == "about [redacted:aws]"
        assert found.tags == ("[redacted:aws]", "[redacted:github_token]", "t")
        assert found.config == {"k": ["[redacted:jwt]"]}
        assert found.todos == (Todo("[redacted:aws]", "pending", "[redacted:aws]"),)

    def test_a_name_stays_as_short_as_names_must_be(self) -> None:
        state = Redactor(secrets=False, patterns=["a"]).described(State(name="ab" * 100, tags=("ab" * 32,)))
        assert (len(state.name), len(state.tags[0])) == (200, 64)


class TestTheLibrary:
    def test_nothing_of_it_is_loaded_before_it_is_needed(self, child: Callable[..., str]) -> None:
        script = (
            "import sys; from sessionstore.redaction import Redactor as R; R(secrets=False, patterns=['x']).text('x')\n"
            "print('detect_secrets' in sys.modules); R(); print('detect_secrets' in sys.modules)"
        )
        assert child(script).split() == ["False", "True"]

    def test_without_it_a_redaction_is_refused_and_says_what_to_install(self, child: Callable[..., str]) -> None:
        script = """
import sys
sys.modules["detect_secrets"] = None
from sessionstore.redaction import Redactor
from sessionstore import errors
try:
    Redactor()
except errors.InvalidValueError as error:
    print(error.hint)
"""
        assert child(script) == "pip install 'sessionstore[redact]'"

    def test_it_opens_no_connection(self, child: Callable[..., str]) -> None:
        script = """
import sys
seen = []
sys.addaudithook(lambda event, args: seen.append(event) if event.startswith("socket.connect") else None)
from sessionstore.redaction import Redactor
print(Redactor().text(sys.argv[1]), seen)
"""
        assert child(script, f"{AWS} aws_secret = '{LETTERS[:40]}'").startswith("[redacted:aws] ")
        assert child(script, GITHUB).endswith(" []")


def test_no_character_of_a_secret_is_left() -> None:
    rng = random.Random(4)
    for _ in range(50):
        body = "".join(rng.choices(string.ascii_letters + string.digits, k=36))
        text = f"{rng.randbytes(4).hex()} gh" + f"o_{body} {rng.randbytes(4).hex()}"
        left = Redactor().text(text)
        assert not any(body[at : at + 4] in left for at in range(33))
