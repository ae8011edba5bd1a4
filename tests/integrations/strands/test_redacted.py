"""Conversations that the command line redacts or rewinds between two calls, and values deleted while being listed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("strands", reason="needs Strands Agents: pip install 'sessionstore[strands]'")

from strands.types.exceptions import SessionException
from strands.types.session import Session, SessionAgent, SessionMessage, SessionType

from sessionstore import SessionStore, errors
from sessionstore.integrations.strands import SealedSessionRepository, SealedStorage

LONG = "k" * 600


def message(number: int, text: str = "") -> SessionMessage:
    return SessionMessage({"role": "user", "content": [{"text": text or f"Message {number}"}]}, number)


def texts(found: list[SessionMessage]) -> list[str]:
    return [one.to_message()["content"][0]["text"] for one in found]


@pytest.fixture
def repository(store: SessionStore) -> SealedSessionRepository:
    """One with a session `chat` in which the agent `ada` has four messages, the second of them changed."""
    made = SealedSessionRepository(store)
    made.create_session(Session("chat", SessionType.AGENT))
    made.create_agent("chat", SessionAgent("ada", {}, {}))
    for number in range(4):
        made.create_message("chat", "ada", message(number))
    made.update_message("chat", "ada", message(1, "Changed"))
    return made


@pytest.fixture
def log(repository: SealedSessionRepository, store: SessionStore) -> str:
    """The store's id of the messages: the agent's beginning, messages 0 to 3, and the change."""
    found = store.id_of('["strands","chat","messages"]')
    assert found is not None
    return found


class TestRedacted:
    def test_a_message_that_was_taken_out_is_none_and_the_others_stay(
        self, repository: SealedSessionRepository, store: SessionStore, log: str
    ) -> None:
        store.redact(log, entries=[3, 4])
        assert texts(repository.list_messages("chat", "ada")) == ["Message 0", "Changed"]
        assert texts(repository.list_messages("chat", "ada", offset=1)) == ["Changed"]
        assert repository.read_message("chat", "ada", 3) is None
        for number in (2, 3):
            repository.create_message("chat", "ada", message(number, f"Again {number}"))
        assert texts(repository.list_messages("chat", "ada")) == ["Message 0", "Changed", "Again 2", "Again 3"]

    def test_an_agent_whose_beginning_was_taken_out_is_there_by_its_messages(
        self, repository: SealedSessionRepository, store: SessionStore, log: str
    ) -> None:
        store.redact(log, entries=[0])
        assert len(repository.list_messages("chat", "ada")) == 4
        repository.create_message("chat", "ada", message(4))
        assert len(repository.list_messages("chat", "ada")) == 5
        with pytest.raises(SessionException):
            repository.list_messages("chat", "other")

    def test_a_change_that_was_taken_out_does_not_bring_back_what_it_replaced(
        self, repository: SealedSessionRepository, store: SessionStore, log: str
    ) -> None:
        store.redact(log, entries=[5])
        for call in (
            lambda: repository.list_messages("chat", "ada"),
            lambda: repository.read_message("chat", "ada", 1),
            lambda: repository.create_message("chat", "ada", message(4)),
        ):
            with pytest.raises(errors.MalformedError):
                call()
        repository.delete_session("chat")
        assert repository.read_session("chat") is None

    def test_a_pattern_that_fits_the_agents_id_leaves_its_messages_its_own(
        self, repository: SealedSessionRepository, store: SessionStore, log: str
    ) -> None:
        repository.create_message("chat", "ada", message(4, "I am ada."))
        store.redact(log, patterns=["ada"])
        assert texts(repository.list_messages("chat", "ada"))[-1] == "I am [redacted:pattern]."

    def test_a_position_that_was_taken_out_is_the_stores_error(
        self, repository: SealedSessionRepository, store: SessionStore, log: str
    ) -> None:
        store.redact(log, patterns=["^3$"])
        with pytest.raises(errors.MalformedError):
            repository.list_messages("chat", "ada")

    def test_a_message_with_members_of_these_names_comes_back_as_it_was(
        self, repository: SealedSessionRepository
    ) -> None:
        odd: Any = {"role": "user", "content": [{"text": "x"}], "type": "strands/change", "strands": 7}
        repository.create_message("chat", "ada", SessionMessage(odd, 4))
        repository.update_message("chat", "ada", SessionMessage({**odd, "role": "assistant"}, 4))
        found = repository.read_message("chat", "ada", 4)
        assert found is not None
        assert found.to_message() == {**odd, "role": "assistant"}


def test_one_that_was_rewound_goes_on_from_there(
    repository: SealedSessionRepository, store: SessionStore, log: str
) -> None:
    store.rewind(log, 3)
    assert texts(repository.list_messages("chat", "ada")) == ["Message 0", "Message 1"]
    repository.create_message("chat", "ada", message(2, "Another 2"))
    assert texts(repository.list_messages("chat", "ada", offset=2)) == ["Another 2"]


def test_a_value_of_a_long_key_that_is_deleted_while_keys_are_listed_is_left_out(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = SealedStorage(store)

    async def main() -> None:
        for key in (LONG, "short"):
            await storage.write(key, b"x")
        keys = store.keys

        def deleting(prefix: str = "") -> dict[str, str]:
            found = keys(prefix)
            if prefix == "strands-storage:":
                store.delete(found.popitem()[1])
                found = keys(prefix) or {LONG: "00000000-0000-4000-8000-000000000000"}
            return found

        monkeypatch.setattr(store, "keys", deleting)
        assert await storage.list() == ["short"]

    asyncio.run(main())
