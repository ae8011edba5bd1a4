"""Step 0001 of the session format: every file before gives, byte for byte, the file after of the same case."""

from __future__ import annotations

import hashlib
import json
from importlib.resources.abc import Traversable
from typing import Any

import pytest

from sessionstore.format.legacy import LegacySession, read_legacy
from sessionstore.format.lines import Open, StateChange, entry_line, open_line, state_line
from sessionstore.format.log import Batch, Content, Summary, walk
from sessionstore.format.seal import Sealer
from sessionstore.migrations import migrations_dir
from sessionstore.model import format_time, parse_time
from sessionstore.signing import Key, Keyring

STEP = migrations_dir().joinpath("format", "0001-legacy-v1-to-sealed")
STORE = "5d9c3b52-7f1e-4c0a-9a64-0a1b2c3d4e5f"
LIMIT = 1 << 20

# A file that landed is never edited, not even by a mistake that changes the function and the files alike.
DIGESTS = {
    "after.empty.jsonl": "905ba650470a09331311db88d8600b85035bbe51bd6592502cd4964b23624699",
    "after.names-and-lines.jsonl": "c04542f83b0f536dd61cfe3d93683506b45cab3d749a5ef521c712839697f01a",
    "after.newest-first.jsonl": "ea2d58513d78b37e804059a3c2af7948fcbae26b61f1579bdd465bbfe6dfe09c",
    "after.one-moment.jsonl": "56ea17f8305fa9097459aec71fdb7ea92c5b96f2130795b92793b2a206279336",
    "after.unknown-members.jsonl": "984a6382d9a984c8cccde9dee700c6da9e9f4addacd51e364406f0a3ecd4cb4d",
    "before.empty.json": "caa18e706ac53c3069dcd053787e580d6b575bcc4ddcef57f697c7f966fdd0bc",
    "before.names-and-lines.json": "0ecd1849caa125a4166de6b5bb5bc85cf7cf2c3d1aced218fd04a5f5311bf32f",
    "before.newest-first.json": "5389443d1927fbd251693a63b825758c2e67ec665e6fce760f1abde0f4a987c4",
    "before.one-moment.json": "71004267a9e0ec9648ede28eb502f2bc7fa8070845b79c6efe999b9b7f287039",
    "before.unknown-members.json": "3cc7a49a0dffb56053c98fd20ef9acb27ee0728887ca94376bafc1c0f64a0382",
}


def named(start: str, end: str) -> dict[str, Traversable]:
    """The files of the step by case."""
    files = (file for file in STEP.iterdir() if file.name.startswith(start) and file.name.endswith(end))
    return {file.name.removeprefix(start).removesuffix(end): file for file in files}


BEFORE, AFTER = named("before.", ".json"), named("after.", ".jsonl")


def sealer(session_id: str) -> Sealer:
    keyring = Keyring([Key(bytes(range(32)), "primary", "2026-01-31T12:00:00.000000Z")], generation=1)
    return Sealer(keyring, STORE, session_id)


def sealed(session: LegacySession) -> bytes:
    """The file that a migration without any other change writes."""
    created_at, updated_at = format_time(session.created_at), format_time(session.updated_at)
    summary = Summary(
        name=session.state.name,
        tags=session.state.tags,
        project=None,
        place=None,
        provenance="legacy-adopted",
        created_at=created_at,
        updated_at=updated_at,
        closed_at=session.state.closed_at,
    ).changed(StateChange(project=session.state.project), updated_at)
    lines = [
        open_line(Open(id=session.id, store=STORE, created_at=created_at)),
        state_line(session.state.as_change(), max_bytes=LIMIT),
        *(entry_line(entry, max_bytes=LIMIT) for entry in session.entries),
    ]
    return b"".join(Batch(sealer(session.id), None, summary, max_session_bytes=LIMIT).chunks(lines))


def test_the_files_stand_in_pairs() -> None:
    assert BEFORE.keys() == AFTER.keys()
    assert len(BEFORE) >= 5
    assert {file.name for file in STEP.iterdir()} == {"README.md", *DIGESTS}


@pytest.mark.parametrize("name", DIGESTS)
def test_a_file_that_landed_is_never_edited(name: str) -> None:
    assert hashlib.sha256(STEP.joinpath(name).read_bytes()).hexdigest() == DIGESTS[name]


@pytest.mark.parametrize("case", BEFORE)
class TestEveryPair:
    @pytest.fixture
    def before(self, case: str) -> dict[str, Any]:
        """The object of the file before, by a lenient reader that knows nothing of ours."""
        value = json.loads(BEFORE[case].read_bytes())
        assert isinstance(value, dict)
        return value

    @pytest.fixture
    def after(self, case: str, before: dict[str, Any]) -> Content:
        """What a reader of sealed files finds in the file after."""
        data, content = AFTER[case].read_bytes(), Content()
        for segment in walk(sealer(before["id"]), lambda start, size: data[start : start + size], end=len(data)):
            content.add(segment)
        return content

    def test_the_function_gives_the_file_after_byte_for_byte(self, case: str, before: dict[str, Any]) -> None:
        session = read_legacy(BEFORE[case].read_bytes(), file_stem=before["id"])
        assert sealed(session) == AFTER[case].read_bytes()

    def test_every_message_is_there_as_it_stood_in_the_order_of_its_time(
        self, before: dict[str, Any], after: Content
    ) -> None:
        in_order = sorted(before["conversation"], key=lambda message: parse_time(message["timestamp"]))
        assert after.entries == in_order

    def test_every_other_member_of_the_file_is_there(self, before: dict[str, Any], after: Content) -> None:
        state, kept = after.state, after.state.config.get("legacy", {})
        assert kept.get("name", state.name) == before["name"]
        assert state.project is not None
        assert state.project.path.decode() == before["project_path"]
        assert {**state.config, **before["config"]} == {**before["config"], **({"legacy": kept} if kept else {})}
        todos = [{"content": t.content, "status": t.status, "active_form": t.active_form} for t in state.todos]
        assert kept.get("todos", todos) == before["todos"]
        assert parse_time(state.closed_at or "") == parse_time(before["closed_at"])
        assert after.opened is not None
        assert parse_time(after.opened.created_at) == parse_time(before["created_at"])
        known = {"version", "id", "name", "project_path", "config", "created_at", "updated_at", "closed_at"}
        others = {name: value for name, value in before.items() if name not in known | {"conversation", "todos"}}
        assert {name: kept[name] for name in others} == others
