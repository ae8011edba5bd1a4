"""What the SDK asks of a repository, and what a turn costs."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

pytest.importorskip("strands", reason="needs Strands Agents: pip install 'sessionstore[strands]'")

from hypothesis import example, given, settings
from hypothesis import strategies as st
from strands.types.exceptions import SessionException
from strands.types.session import Session, SessionAgent, SessionMessage, SessionType

from sessionstore import SessionStore, errors, open_store
from sessionstore.integrations.strands import SealedSessionRepository

NAMES = [
    "",
    " ",
    "a",
    "A",
    "\u0430",
    "\uff41",
    "a\u0301",
    "á",
    "../a",
    "a/b",
    "a\\b",
    "a\x00",
    '","',
    "x" * 600,
    "X" * 600,
]


def session(name: str = "chat") -> Session:
    return Session(session_id=name, session_type=SessionType.AGENT)


def agent(name: str = "guide", **state: Any) -> SessionAgent:
    return SessionAgent(agent_id=name, state=state, conversation_manager_state={"removed_message_count": 0})


def message(number: int, text: str | None = None) -> SessionMessage:
    content: Any = {"role": "user", "content": [{"text": text or f"Message {number}"}]}
    return SessionMessage(message=content, message_id=number)


def texts(messages: list[SessionMessage]) -> list[str]:
    return [each.to_message()["content"][0]["text"] for each in messages]


class Orchestrator:
    def __init__(self, name: str, state: Any) -> None:
        self.id, self.state = name, state

    def serialize_state(self) -> Any:
        return self.state


@pytest.fixture
def repository(store: SessionStore) -> SealedSessionRepository:
    return SealedSessionRepository(store)


@pytest.fixture
def talking(repository: SealedSessionRepository) -> SealedSessionRepository:
    repository.create_session(session())
    repository.create_agent("chat", agent())
    return repository


class TestSessions:
    def test_one_that_was_made_is_read_as_it_was(self, repository: SealedSessionRepository) -> None:
        made = session()
        assert repository.create_session(made) is made
        assert repository.read_session("chat") == made

    def test_one_that_is_missing_is_none_and_one_made_twice_is_refused(
        self, repository: SealedSessionRepository
    ) -> None:
        assert repository.read_session("chat") is None
        repository.create_session(session())
        with pytest.raises(SessionException):
            repository.create_session(session())

    def test_deleting_takes_everything_along_and_the_name_is_free_again(
        self, talking: SealedSessionRepository, store: SessionStore
    ) -> None:
        talking.create_message("chat", "guide", message(0))
        talking.delete_session("chat")
        assert store.list().sessions == ()
        assert talking.read_session("chat") is None
        assert talking.read_agent("chat", "guide") is None
        assert talking.read_message("chat", "guide", 0) is None
        with pytest.raises(SessionException):
            talking.delete_session("chat")
        talking.create_session(session())
        talking.create_agent("chat", agent())
        assert talking.list_messages("chat", "guide") == []

    def test_look_alikes_case_twins_paths_long_and_empty_names_are_different(
        self, repository: SealedSessionRepository
    ) -> None:
        numbers = count()
        for name in NAMES:
            repository.create_session(session(name))
            for other in NAMES[:6]:
                repository.create_agent(name, agent(other, of=name))
                repository.create_message(name, other, message(0, f"{next(numbers)}"))
        numbers = count()
        for name in NAMES:
            for other in NAMES[:6]:
                found = repository.read_agent(name, other)
                assert found is not None and found.state == {"of": name}
                assert texts(repository.list_messages(name, other)) == [f"{next(numbers)}"]

    @pytest.mark.parametrize("name", [None, 7, "\ud800"])
    def test_what_is_no_text_is_refused(self, repository: SealedSessionRepository, name: Any) -> None:
        with pytest.raises(errors.InvalidValueError):
            repository.read_session(name)


class TestAgents:
    def test_one_that_was_made_is_read_as_it_was(self, talking: SealedSessionRepository) -> None:
        made = agent("other", picture=b"\x00\xff", nested=[1, {"two": None}])
        talking.create_agent("chat", made)
        assert talking.read_agent("chat", "other") == made

    def test_a_change_keeps_the_time_it_was_made(self, talking: SealedSessionRepository) -> None:
        before = talking.read_agent("chat", "guide")
        changed = agent(mood="fine")
        assert before is not None and changed.created_at != before.created_at
        talking.update_agent("chat", changed)
        after = talking.read_agent("chat", "guide")
        assert after is not None and (after.created_at, after.state) == (before.created_at, {"mood": "fine"})

    def test_what_is_missing_is_none_or_refused(self, talking: SealedSessionRepository) -> None:
        assert talking.read_agent("chat", "nobody") is None
        assert talking.read_agent("no session", "guide") is None
        for call in (talking.update_agent, talking.create_agent):
            with pytest.raises(SessionException):
                call("no session", agent("nobody"))
        with pytest.raises(SessionException):
            talking.update_agent("chat", agent("nobody"))
        with pytest.raises(SessionException):
            talking.create_agent("chat", agent())

    def test_a_state_that_cannot_be_kept_is_refused_and_the_old_one_stays(
        self, talking: SealedSessionRepository
    ) -> None:
        for bad in (float("nan"), {1, 2}, "\ud800"):
            with pytest.raises(errors.MalformedError):
                talking.update_agent("chat", agent(bad=bad))
        found = talking.read_agent("chat", "guide")
        assert found is not None and found.state == {}

    def test_a_thousand_changes_stay_small(self, talking: SealedSessionRepository, store: SessionStore) -> None:
        for number in range(150):
            talking.update_agent("chat", agent(number=number, filling="x" * 30_000))
        assert sum(line.size_bytes for line in store.list().sessions) < 3 * 1024 * 1024
        found = talking.read_agent("chat", "guide")
        assert found is not None and found.state["number"] == 149


class TestOrchestrators:
    def test_they_are_made_read_and_changed(self, talking: SealedSessionRepository) -> None:
        talking.create_multi_agent("chat", Orchestrator("graph", {"at": 1, "raw": b"\x00"}))  # type: ignore[arg-type]
        assert talking.read_multi_agent("chat", "graph") == {"at": 1, "raw": b"\x00"}
        talking.update_multi_agent("chat", Orchestrator("graph", {"at": 2}))  # type: ignore[arg-type]
        assert talking.read_multi_agent("chat", "graph") == {"at": 2}
        assert talking.read_multi_agent("chat", "nobody") is None
        for call, name in [
            (talking.create_multi_agent, "graph"),
            (talking.update_multi_agent, "nobody"),
        ]:
            with pytest.raises(SessionException):
                call("chat", Orchestrator(name, {}))  # type: ignore[arg-type]


class TestMessages:
    def test_they_are_read_as_they_were_written(self, talking: SealedSessionRepository, store: SessionStore) -> None:
        first, second = message(0), message(1)
        second.message["content"] = [{"image": {"format": "png", "source": {"bytes": b"\x89PNG"}}}]
        third: Any = SessionMessage(message={"role": "user", "content": [], "strands": {"agent": "x"}}, message_id=2)  # type: ignore[typeddict-unknown-key]
        for each in (first, second, third):
            talking.create_message("chat", "guide", each)
        assert talking.list_messages("chat", "guide") == [first, second, third]
        assert [talking.read_message("chat", "guide", n) for n in range(4)] == [first, second, third, None]
        (log,) = [line for line in store.list().sessions if line.name == "chat (messages)"]
        assert store.load(log.id).messages[0].content == [{"text": "Message 0"}]  # and the store can show them

    def test_a_change_takes_the_place_and_keeps_the_time(self, talking: SealedSessionRepository) -> None:
        for number in range(3):
            talking.create_message("chat", "guide", message(number))
        before = talking.read_message("chat", "guide", 1)
        changed = message(1)
        changed.redact_message = {"role": "user", "content": [{"text": "[redacted]"}]}
        talking.update_message("chat", "guide", changed)
        after = talking.read_message("chat", "guide", 1)
        assert before is not None and after is not None and after.created_at == before.created_at
        assert texts(talking.list_messages("chat", "guide")) == ["Message 0", "[redacted]", "Message 2"]
        talking.update_message("chat", "guide", message(1, "again"))
        assert texts(talking.list_messages("chat", "guide", offset=1)) == ["again", "Message 2"]

    def test_what_is_missing_or_twice_is_none_or_refused(self, talking: SealedSessionRepository) -> None:
        talking.create_message("chat", "guide", message(0))
        assert talking.read_message("chat", "guide", 1) is None
        assert talking.read_message("chat", "nobody", 0) is None
        assert talking.read_message("no session", "guide", 0) is None
        refused: list[Any] = [
            (talking.create_message, "chat", "guide", message(0)),
            (talking.create_message, "chat", "nobody", message(0)),
            (talking.create_message, "no session", "guide", message(0)),
            (talking.update_message, "chat", "guide", message(1)),
            (talking.update_message, "chat", "nobody", message(0)),
            (talking.update_message, "no session", "guide", message(0)),
            (talking.list_messages, "chat", "nobody"),
            (talking.list_messages, "no session", "guide"),
        ]
        for call, *arguments in refused:
            with pytest.raises(SessionException):
                call(*arguments)
        for bad in ("0", None, True, 1.0):
            with pytest.raises(errors.InvalidValueError):
                talking.read_message("chat", "guide", bad)  # type: ignore[arg-type]

    def test_an_entry_that_is_none_is_refused(self, talking: SealedSessionRepository, store: SessionStore) -> None:
        (log,) = [line for line in store.list().sessions if line.name == "chat (messages)"]
        for entry in (
            {"role": "user", "content": "by hand"},
            {"strands": {"agent": "guide", "record": {"message_id": 0}}, "role": "user"},
            {"strands": {"agent": "guide", "record": {"message_id": "0"}, "replaces": True}},
        ):
            store.append(log.id, [entry])
            with pytest.raises(errors.MalformedError):
                talking.list_messages("chat", "guide")
            store.pop(log.id)

    @settings(max_examples=15)
    @given(
        ids=st.lists(st.integers(0, 12), max_size=12),
        changed=st.lists(st.integers(0, 12), max_size=3),
        offset=st.integers(-3, 14),
        limit=st.none() | st.integers(0, 5),
    )
    @example(ids=[5, 2, 9, 2], changed=[2], offset=1, limit=None)
    def test_any_order_of_ids_gives_pages_by_id(
        self, ids: list[int], changed: list[int], offset: int, limit: int | None
    ) -> None:
        with open_store(backend="memory", environ={}) as store:
            repository = SealedSessionRepository(store)
            repository.create_session(session())
            expected: dict[int, str] = {}
            for name in ("guide", "other"):
                repository.create_agent("chat", agent(name))
            for number in ids:
                repository.create_message("chat", "other", message(len(repository.list_messages("chat", "other")), "x"))
                if number in expected:
                    with pytest.raises(SessionException):
                        repository.create_message("chat", "guide", message(number))
                else:
                    repository.create_message("chat", "guide", message(number))
                    expected[number] = f"Message {number}"
            for number in set(changed) & set(ids):
                repository.update_message("chat", "guide", message(number, f"changed {number}"))
                expected[number] = f"changed {number}"
            in_order = [expected[number] for number in sorted(expected)]
            cut = in_order[offset:] if limit is None else in_order[offset : offset + limit]
            assert texts(repository.list_messages("chat", "guide", limit=limit, offset=offset)) == cut
            for number in range(13):
                found = repository.read_message("chat", "guide", number)
                assert (None if found is None else texts([found])[0]) == expected.get(number)


class TestCost:
    def test_a_turn_reads_the_same_at_any_length(
        self, talking: SealedSessionRepository, store: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = type(store._ground.backend.open(f"{store.list().sessions[0].id}.jsonl"))
        original = log.read  # type: ignore[union-attr]
        numbers = count()

        def turn() -> int:
            """Bytes read for a turn by an object that knows nothing yet."""
            read: list[int] = []

            def counting(self: Any, start: int, size: int) -> bytes:
                data: bytes = original(self, start, size)
                read.append(len(data))
                return data

            with monkeypatch.context() as patch:
                patch.setattr(log, "read", counting)
                fresh, number = SealedSessionRepository(store), next(numbers)
                fresh.create_message("chat", "guide", message(number, f"{number} " + "x" * 1000))
                fresh.update_message("chat", "guide", message(number, f"{number} " + "y" * 1000))
                fresh.update_agent("chat", agent(number=1000 + number))
                fresh.list_messages("chat", "guide", offset=number - 5)
            return sum(read)

        for _ in range(150):
            turn()
        early = turn()
        for _ in range(600):
            talking.create_message("chat", "guide", message(next(numbers), "x" * 1000))
        for _ in range(100):
            late = turn()
        assert late <= early * 1.1
