"""The error tree: every class survives its journeys, says what it should, and stands where the drawing says."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from typing import Any

import pytest

from sessionstore import errors
from sessionstore.errors import (
    ConflictError,
    InvalidIdError,
    SessionStoreError,
    StoreUnavailableError,
    TooLargeError,
    VerificationError,
)


def below(cls: type[SessionStoreError]) -> list[type[SessionStoreError]]:
    return [
        found
        for child in cls.__subclasses__()
        if child.__module__.startswith("sessionstore.errors")
        for found in [child, *below(child)]
    ]


CLASSES = below(SessionStoreError)
GROUPS = [cls for cls in CLASSES if cls.__subclasses__()]
LEAVES = [cls for cls in CLASSES if not cls.__subclasses__()]
SAMPLES: dict[str, Any] = {"str": "wörter {braces} %s", "int": 7}


def sample_fields(cls: type[SessionStoreError]) -> dict[str, Any]:
    kinds = {name: kind for base in cls.__mro__ for name, kind in inspect.get_annotations(base).items()}
    return {name: SAMPLES[str(kinds[name])] for name in cls.field_names()}


def drawn_tree() -> dict[str, tuple[str, str]]:
    """Class name -> (name of its parent, code or remark), from the drawing in the docstring."""
    found: dict[str, tuple[str, str]] = {}
    branch = ["SessionStoreError"]
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^ {4}([│ ]*)[├└]── (\w+) +(\S.*)$", line)
        if match:
            depth = len(match[1]) // 4 + 1
            branch[depth:] = [match[2]]
            found[match[2]] = (branch[depth - 1], match[3])
    return found


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
class TestEveryClass:
    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_it_survives_pickle(self, cls: type[SessionStoreError], protocol: int) -> None:
        original = cls(**sample_fields(cls))
        self.assert_same(pickle.loads(pickle.dumps(original, protocol)), original)  # noqa: S301 (our own bytes)

    @pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
    def test_it_survives_copying(self, cls: type[SessionStoreError], duplicate: Any) -> None:
        original = cls(hint="{not a template}", **sample_fields(cls))
        self.assert_same(duplicate(original), original)

    def test_its_fields_can_be_read_as_attributes(self, cls: type[SessionStoreError]) -> None:
        fields = sample_fields(cls)
        error = cls(**fields)
        assert error.fields == fields
        assert {name: getattr(error, name) for name in fields} == fields

    def test_its_sentence_and_hint_are_filled_in(self, cls: type[SessionStoreError]) -> None:
        fields = sample_fields(cls)
        error = cls(**fields)
        assert str(error) == cls.sentence.format_map(fields)
        assert error.hint == cls.advice.format_map(fields)

    def test_its_sentence_reads_like_a_line_of_a_terminal(self, cls: type[SessionStoreError]) -> None:
        # `sessionstore: error: …` goes before it: lower case, one line, no full stop.
        for text in filter(None, [cls.sentence, cls.advice]):
            assert "\n" not in text
            assert not text.endswith(".")
            first_word = text.split()[0]
            assert first_word == "JSON" or not first_word[0].isupper()

    def test_another_hint_replaces_the_usual_one(self, cls: type[SessionStoreError]) -> None:
        assert cls(hint="do this", **sample_fields(cls)).hint == "do this"
        assert cls(hint="", **sample_fields(cls)).hint == ""

    def test_a_missing_field_is_refused(self, cls: type[SessionStoreError]) -> None:
        fields = sample_fields(cls)
        for name in fields:
            with pytest.raises(TypeError, match=cls.__name__):
                cls(**{other: value for other, value in fields.items() if other != name})

    def test_an_unknown_field_is_refused(self, cls: type[SessionStoreError]) -> None:
        with pytest.raises(TypeError, match="no_such_field"):
            cls(**sample_fields(cls), no_such_field=1)

    def test_positional_arguments_are_refused(self, cls: type[SessionStoreError]) -> None:
        with pytest.raises(TypeError):
            cls("some text")  # type: ignore[misc]

    def test_it_is_exported_and_described(self, cls: type[SessionStoreError]) -> None:
        assert getattr(errors, cls.__name__) is cls
        assert cls.__name__ in errors.__all__
        assert cls.__name__.endswith("Error")
        assert cls.__dict__["__doc__"]

    @staticmethod
    def assert_same(found: SessionStoreError, original: SessionStoreError) -> None:
        assert type(found) is type(original)
        assert found is not original
        assert found.fields == original.fields
        assert (str(found), found.hint, found.code) == (str(original), original.hint, original.code)
        assert vars(found) == vars(original)


class TestTheTree:
    def test_the_drawing_shows_every_class_under_its_parent_and_no_other(self) -> None:
        drawn = {name: parent for name, (parent, _) in drawn_tree().items()}
        assert drawn == {cls.__name__: cls.__base__.__name__ for cls in CLASSES if cls.__base__}

    def test_the_drawing_shows_the_codes(self) -> None:
        remarks = {name: remark for name, (_, remark) in drawn_tree().items()}
        assert {cls.__name__: cls.code for cls in LEAVES} == {cls.__name__: remarks[cls.__name__] for cls in LEAVES}
        assert all(remarks[cls.__name__].startswith("(never raised itself") for cls in GROUPS)

    def test_no_two_classes_share_a_code(self) -> None:
        codes = [cls.code for cls in LEAVES]
        assert len(codes) == len(set(codes))

    @pytest.mark.parametrize("cls", LEAVES, ids=lambda cls: cls.__name__)
    def test_every_class_that_is_raised_has_its_own_code_and_sentence(self, cls: type[SessionStoreError]) -> None:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", cls.__dict__["code"])
        assert cls.__dict__["sentence"]

    def test_the_list_of_exports_is_exactly_the_tree(self) -> None:
        assert set(errors.__all__) == {cls.__name__ for cls in [SessionStoreError, *CLASSES]}

    def test_no_class_can_be_taken_for_an_error_of_the_operating_system(self) -> None:
        assert not [cls for cls in CLASSES if issubclass(cls, OSError | ValueError | LookupError)]

    def test_the_codes_are_the_ones_that_programs_rely_on(self) -> None:
        # Exit codes, scripts and other languages branch on these words: add, never rename.
        assert {cls.code for cls in LEAVES} >= {
            "already_exists",
            "conflict",
            "fork",
            "invalid_signature",
            "key_corrupt",
            "key_disabled",
            "key_permissions",
            "key_unavailable",
            "ledger_corrupt",
            "ledger_missing",
            "legacy_modified",
            "malformed",
            "missing",
            "not_found",
            "project_path_security_violation",
            "resurrected",
            "rollback",
            "session_limit_reached",
            "signature_stripped",
            "store_mismatch",
            "store_unavailable",
            "too_deep",
            "too_large",
            "unanchored",
            "unknown_key",
            "unsafe_file",
            "unsigned_unknown",
            "unsupported_version",
            "wrong_session",
        }

    def test_no_field_is_named_after_something_secret(self) -> None:
        secret = {"secret", "mac", "tag", "signature", "expected_mac", "content", "text", "salt", "token"}
        assert not secret & {name for cls in CLASSES for name in cls.field_names()}


class TestExamples:
    def test_a_conflict_tells_both_revisions(self) -> None:
        error = ConflictError(session_id="an-id", expected=3, found=5)
        assert str(error) == "session an-id is at revision 5, not 3 as the caller believed"
        assert (error.expected, error.found) == (3, 5)

    def test_fields_of_the_base_class_come_first(self) -> None:
        assert errors.RollbackError.field_names() == ("session_id", "rev", "head_rev")

    def test_a_refused_id_is_not_repeated(self) -> None:
        assert InvalidIdError.field_names() == ()

    def test_the_hint_names_the_setting_to_raise(self) -> None:
        error = TooLargeError(what="entry", size_bytes=10, limit_bytes=5, setting="max_entry_bytes")
        assert error.hint == "shorten it, or raise max_entry_bytes"

    def test_one_clause_catches_everything_that_must_not_be_trusted(self) -> None:
        with pytest.raises(VerificationError):
            raise errors.RollbackError(session_id="an-id", rev=1, head_rev=2)

    def test_text_that_looks_like_a_template_stays_text(self) -> None:
        error = StoreUnavailableError(reason="{outcome} {reason.__class__}", outcome="not_written")
        assert "{outcome} {reason.__class__}" in str(error)
