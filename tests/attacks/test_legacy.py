"""Hostile files of format version 1 in the data directory: each is refused by its own code and disturbs nobody."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionstore import SessionStore, errors, open_store

VECTORS = Path(__file__).resolve().parent.parent / "vectors" / "refused-legacy.json"
SPECIMENS: list[dict[str, Any]] = [one for one in json.loads(VECTORS.read_text()) if one["error"]]
ID = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
GOOD = [f"{number:08x}-aaaa-4d7a-9c58-7e4f1a2b3c4d" for number in range(300)]


def unsigned(id: str, number: int = 0) -> dict[str, Any]:
    times = dict.fromkeys(("created_at", "closed_at"), "2025-12-08T09:00:00Z")
    return {
        "version": 1,
        "id": id,
        "name": f"good {number}",
        "project_path": "",
        "config": {"provider": "p", "model": "m"},
        "updated_at": f"2025-12-08T09:{number // 60:02}:{number % 60:02}Z",
        "conversation": [{"id": "1", "role": "user", "content": "hello", "timestamp": "2025-12-08T09:00:00Z"}],
        "todos": [],
        **times,
    }


def specimen(vector: dict[str, Any], id: str) -> bytes:
    """The file of a vector, about another session."""
    if "base64" in vector:
        data = base64.b64decode(vector["base64"])
    elif "nested" in vector:
        data = b'{"version":1,"x":' + b"[" * vector["nested"] + b"]" * vector["nested"] + b"}"
    else:
        data = vector["text"].encode()
    if vector["error"] != "WrongSessionError":
        data = data.replace(ID.encode(), id.encode())
    return data.rjust(vector.get("pad_to", 0))


@pytest.fixture
def sessions(root: Path) -> Path:
    """The directory of session files of a store that is not there yet."""
    found = root / "data" / "sessions"
    found.mkdir(parents=True, mode=0o700)
    for directory in (root, root / "data"):
        directory.chmod(0o700)
    return found


@pytest.fixture
def zoo(sessions: Path) -> dict[str, str]:
    """Three hundred good files, and beside them every specimen; the code that each of these must have, by its name."""
    for number, id in enumerate(GOOD):
        (sessions / f"{id}.json").write_text(json.dumps(unsigned(id, number)))
    expected = {}
    for number, vector in enumerate(SPECIMENS):
        id = f"{number:08x}-bbbb-4d7a-9c58-7e4f1a2b3c4d"
        if vector["error"] == "InvalidIdError":
            id = vector["file_stem"]
        (sessions / f"{id}.json").write_bytes(specimen(vector, id))
        code = getattr(errors, vector["error"]).code
        name = f"{id}.json" if code == "invalid_id" else id
        # Longer than any file of that format: it was not listed.
        expected[name] = "unsigned_unknown" if code == "too_large" else code
    (sessions / f"{ID}.json").symlink_to(sessions / f"{GOOD[0]}.json")
    return expected | {ID: "unsafe_file"}


@pytest.fixture
def opened(root: Path, zoo: dict[str, str]) -> Iterator[SessionStore]:
    with open_store(root, environ={}) as store:
        yield store


class TestHostileFiles:
    def test_each_has_its_code_and_three_hundred_good_ones_are_listed_in_order(
        self, opened: SessionStore, zoo: dict[str, str]
    ) -> None:
        for _ in range(2):
            page = opened.list()
            assert [line.id for line in page.sessions] == GOOD[::-1]
            assert {line.name: line.code for line in page.unreadable} == zoo
        assert len(zoo) > 80 and len(set(zoo.values())) == 7
        verified = {result.session_id: result.code for result in opened.verify()}
        assert verified == {id: code for id, code in zoo.items() if code != "invalid_id"} | dict.fromkeys(GOOD, "ok")

    def test_each_is_refused_by_that_code_and_stays_what_it_is(
        self, opened: SessionStore, zoo: dict[str, str], sessions: Path
    ) -> None:
        before = {name: (sessions / f"{name}.json").read_bytes() for name, code in zoo.items() if code != "invalid_id"}
        for id in before:
            calls: tuple[Callable[[], object], ...] = (
                lambda id=id: opened.load(id),  # type: ignore[misc]
                lambda id=id: opened.append(id, [{"n": 1}]),  # type: ignore[misc]
                lambda id=id: opened.export(id),  # type: ignore[misc]
            )
            for call in calls:
                with pytest.raises(errors.VerificationError) as caught:
                    call()
                assert caught.value.code == zoo[id]
        assert before == {name: (sessions / f"{name}.json").read_bytes() for name in before}
        assert opened._ground.ledger.heads(states=("creating", "live", "deleting", "deleted")) == []

    def test_all_good_ones_are_migrated_and_the_others_are_told(
        self, opened: SessionStore, zoo: dict[str, str]
    ) -> None:
        # A tenth of them: each costs several syncs.
        for id in GOOD[30:]:
            opened.delete(id) if id in GOOD[250:] else None
        results = {result.session_id: result for result in opened.migrate(dry_run=True)}
        assert {id for id, result in results.items() if result.outcome == "migrated"} == set(GOOD[:250])
        refused = {id: result.code for id, result in results.items() if result.outcome == "refused"}
        assert refused == {id: code for id, code in zoo.items() if code != "invalid_id"}
        for id in GOOD[:20]:
            assert [result.outcome for result in opened.migrate(id)] == ["migrated"]
        assert [line.id for line in opened.list().sessions] == GOOD[:250][::-1]


class TestSignatures:
    @pytest.mark.parametrize("signature", [None, "", 5, [], "AAAA", "A" * 43 + "="])
    def test_no_signature_is_as_good_as_none(self, root: Path, sessions: Path, signature: object) -> None:
        (sessions / f"{ID}.json").write_text(json.dumps({**unsigned(ID), "signature": signature}))
        with open_store(root, environ={}) as store:
            with pytest.raises(errors.MalformedError, match="signature"):
                store.load(ID)
            assert [line.code for line in store.list().unreadable] == ["malformed"]

    def test_two_members_of_one_name_are_refused(self, root: Path, sessions: Path) -> None:
        text = json.dumps(unsigned(ID))
        (sessions / f"{ID}.json").write_text(text[:-1] + ', "signature": "x", "signature": "y"}')
        with open_store(root, environ={}) as store, pytest.raises(errors.MalformedError, match="same name"):
            store.load(ID)
