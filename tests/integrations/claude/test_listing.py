"""Names never meet, times grow, summaries are the SDK's own, and a deletion takes everything along."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from claude_agent_sdk import (
    InMemorySessionStore,
    delete_session_via_store,
    fork_session_via_store,
    get_session_messages_from_store,
    get_subagent_messages_from_store,
    list_sessions_from_store,
    project_key_for_directory,
    rename_session_via_store,
    tag_session_via_store,
)
from freezegun import freeze_time

from sessionstore import SessionStore
from sessionstore.errors import LedgerCorruptError, MalformedError, TooLargeError
from sessionstore.integrations.claude import SealedSessionStore
from sessionstore.integrations.claude.summaries import MAX_KEPT

LOOK_ALIKES = [
    "",
    "a",
    "A",
    "\u0430",  # Cyrillic
    "\uff41",  # full width
    "a ",
    "a\n",
    "a\x00",
    "a/b",
    "a/b/c",
    "../a",
    "/a",
    ".",
    'a","b',
    "a\\",
    "é",
    "e\u0301",
    "x" * 600,
    "x" * 601,
    "X" * 600,
    "claude:main",
]


def key(project: str, session: str, subpath: str | None = None) -> Any:
    return {"project_key": project, "session_id": session} | ({} if subpath is None else {"subpath": subpath})


def entry(number: int, **members: Any) -> Any:
    return {"type": "user", "uuid": f"u{number}", "message": {"role": "user", "content": f"turn {number}"}, **members}


class TestNames:
    def test_no_two_names_share_a_transcript(self, claude: SealedSessionStore, plain: SessionStore) -> None:
        keys = [key(name, "s") for name in LOOK_ALIKES]
        keys += [key("p", name) for name in LOOK_ALIKES]
        keys += [key("p", "s", name) for name in LOOK_ALIKES]

        async def main() -> None:
            for number, one in enumerate(keys):
                await claude.append(one, [entry(number)])
            other = SealedSessionStore(plain)
            for number, one in enumerate(keys):
                assert await other.load(one) == [entry(number)]
            for name in LOOK_ALIKES:
                assert [found["session_id"] for found in await other.list_sessions(name)] == ["s"]
                assert [found["session_id"] for found in await other.list_session_summaries(name)] == ["s"]
            assert {found["session_id"] for found in await other.list_sessions("p")} == set(LOOK_ALIKES)
            assert sorted(await other.list_subkeys(key("p", "s"))) == sorted(LOOK_ALIKES)
            for name in LOOK_ALIKES:
                assert await other.list_subkeys(key(name, "s")) == []

        asyncio.run(main())

    def test_other_sessions_of_the_store_are_not_touched(self, claude: SealedSessionStore, plain: SessionStore) -> None:
        mine = plain.create(name="mine", key='["mine"]')

        async def main() -> None:
            await claude.append(key("p", "s"), [entry(1)])
            assert len(await claude.list_sessions("p")) == 1
            await claude.delete(key("p", "s"))

        asyncio.run(main())
        assert [line.id for line in plain.list().sessions] == [mine.id]


class TestTimes:
    def test_they_grow_with_every_save_and_are_the_same_in_both_lists(
        self, claude: SealedSessionStore, plain: SessionStore
    ) -> None:
        async def main() -> None:
            seen = []
            for number in range(20):
                session = f"s{number % 2}"
                await (claude if number % 4 < 2 else SealedSessionStore(plain)).append(
                    key("p", session), [entry(number)]
                )
                times = {found["session_id"]: found["mtime"] for found in await claude.list_sessions("p")}
                summaries = await claude.list_session_summaries("p")
                assert {found["session_id"]: found["mtime"] for found in summaries} == times
                seen.append((session, times[session]))
            for session in ("s0", "s1"):
                times_of_one = [mtime for name, mtime in seen if name == session]
                assert times_of_one == sorted(set(times_of_one))

        asyncio.run(main())

    def test_they_grow_while_the_clock_stands_still_or_goes_back(
        self, claude: SealedSessionStore, plain: SessionStore
    ) -> None:
        async def save(number: int) -> int:
            await SealedSessionStore(plain).append(key("p", "s"), [entry(number)])
            (found,) = await claude.list_sessions("p")
            return found["mtime"]

        times = []
        for number, moment in enumerate(["2026-11-21", "2026-11-21", "2026-11-20", "2026-11-22"]):
            with freeze_time(moment):
                times.append(asyncio.run(save(number)))
        assert times == [1795219200001, 1795219200002, 1795219200003, 1795305600000]


class TestSummaries:
    def test_they_are_those_of_the_sdks_own_store(self, claude: SealedSessionStore, plain: SessionStore) -> None:
        batches = [
            [entry(1, timestamp="2999-01-31T12:00:00Z", cwd="/srv"), {"type": "tag", "tag": "blue"}],
            [entry(2, gitBranch="main")],
            [{"type": "custom-title", "customTitle": "Half an emoji \ud83d"}],
            [{"type": "tag", "tag": ""}, {"type": "last-prompt", "lastPrompt": "turn 3"}],
            [entry(3, gitBranch="main")],
        ]

        async def main() -> None:
            reference = InMemorySessionStore()
            for batch in batches:
                await claude.append(key("p", "s"), batch)
                await claude.append(key("p", "s", "subagents/agent-1"), batch)
                await reference.append(key("p", "s"), batch)
                for one in (claude, SealedSessionStore(plain)):
                    (found,) = await one.list_session_summaries("p")
                    assert found["data"] == (await reference.list_session_summaries("p"))[0]["data"]

        asyncio.run(main())

    def test_a_fresh_process_goes_on_folding_without_reading_the_transcript(
        self, claude: SealedSessionStore, plain: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(plain, "entries", None)

        async def main() -> None:
            for number in range(2 * MAX_KEPT + 10):  # old summaries are dropped on the way
                batch = [entry(number), {"type": "custom-title", "customTitle": f"title {number}"}]
                await SealedSessionStore(plain).append(key("p", "s"), batch)
                (found,) = await claude.list_session_summaries("p")
                assert (found["data"]["custom_title"], found["data"]["first_prompt"]) == (f"title {number}", "turn 0")

        asyncio.run(main())
        assert plain.stats().entries < 2 * (2 * MAX_KEPT + 10) + MAX_KEPT + 1

    def test_a_lost_one_is_left_out_and_folded_anew_with_the_next_batch(
        self, claude: SealedSessionStore, plain: SessionStore
    ) -> None:
        async def main() -> None:
            await claude.append(key("p", "s"), [entry(1), {"type": "custom-title", "customTitle": "kept"}])
            record = plain.recorded(key='["claude","summary","p","s"]')
            assert record is not None
            plain.delete(record.id)
            assert await claude.list_session_summaries("p") == []
            assert len(await claude.list_sessions("p")) == 1
            await SealedSessionStore(plain).append(key("p", "s"), [entry(2)])
            (found,) = await claude.list_session_summaries("p")
            assert (found["data"]["custom_title"], found["data"]["first_prompt"]) == ("kept", "turn 1")

        asyncio.run(main())

    def test_tags_that_people_add_stay_and_the_stamp_may_be_taken_away(
        self, claude: SealedSessionStore, plain: SessionStore
    ) -> None:
        async def main() -> None:
            await claude.append(key("p", "s"), [entry(1)])
            record = plain.recorded(key='["claude","main","p","s"]')
            assert record is not None
            group, stamp = record.tags
            plain.tag(record.id, add=["mine"], remove=[stamp])
            assert [found["session_id"] for found in await claude.list_sessions("p")] == ["s"]
            assert await claude.list_session_summaries("p") == []
            await claude.append(key("p", "s"), [entry(2)])
            after = plain.summary(record.id).tags
            assert after[:2] == (group, "mine")
            assert len(after) == 3
            assert len(await claude.list_session_summaries("p")) == 1

        asyncio.run(main())


class TestDeleting:
    def test_a_main_transcript_takes_everything_of_it_along(
        self, claude: SealedSessionStore, plain: SessionStore
    ) -> None:
        async def main() -> None:
            for one in (
                key("p", "s"),
                key("p", "s", "a"),
                key("p", "s", "b/c"),
                key("p", "other"),
                key("p", "other", "a"),
            ):
                await claude.append(one, [entry(1)])
            await claude.delete(key("p", "s"))
            await claude.delete(key("p", "s"))
            assert await claude.list_subkeys(key("p", "s")) == []
            assert await claude.list_subkeys(key("p", "other")) == ["a"]
            await claude.append(key("p", "s"), [entry(2)])
            assert await claude.load(key("p", "s")) == [entry(2)]
            (found,) = [item for item in await claude.list_session_summaries("p") if item["session_id"] == "s"]
            assert found["data"]["first_prompt"] == "turn 2"

        asyncio.run(main())
        assert plain.stats().sessions == 5

    def test_subagents_of_a_session_without_a_main_transcript_go_too(
        self, claude: SealedSessionStore, plain: SessionStore
    ) -> None:
        async def main() -> None:
            await claude.append(key("p", "s", "a"), [entry(1)])
            await claude.delete(key("p", "s"))

        asyncio.run(main())
        assert plain.stats().sessions == 0

    def test_subagents_belong_to_their_session_in_the_store_too(
        self, claude: SealedSessionStore, plain: SessionStore
    ) -> None:
        async def main() -> None:
            await claude.append(key("p", "s"), [entry(1)])
            await claude.append(key("p", "s", "a"), [entry(1)])

        asyncio.run(main())
        main_record = plain.recorded(key='["claude","main","p","s"]')
        sub_record = plain.recorded(key='["claude","subagent","p","s","a"]')
        assert main_record is not None
        assert sub_record is not None
        assert len(sub_record.tags) == 1  # no stamp: it is no part of the summary
        assert sorted(line.parent or "" for line in plain.list().sessions) == ["", main_record.id, main_record.id]


class TestTheSdksFunctions:
    def test_they_list_rename_tag_fork_and_delete(self, claude: SealedSessionStore, tmp_path: Path) -> None:
        project, session = project_key_for_directory(tmp_path), "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
        uuids = [f"0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c{number:02d}" for number in range(4)]
        chain = [
            {
                **entry(number),
                "uuid": uuids[number],
                "parentUuid": uuids[number - 1] if number else None,
                "sessionId": session,
            }
            for number in range(4)
        ]

        async def main() -> None:
            await claude.append(key(project, session), chain)
            await claude.append(key(project, session, "subagents/agent-7"), chain)
            await rename_session_via_store(claude, session, "A title", str(tmp_path))
            await tag_session_via_store(claude, session, "blue", str(tmp_path))
            (found,) = await list_sessions_from_store(claude, str(tmp_path))
            assert (found.summary, found.first_prompt, found.tag) == ("A title", "turn 0", "blue")
            messages = await get_session_messages_from_store(claude, session, str(tmp_path))
            assert [message.uuid for message in messages] == uuids
            assert len(await get_subagent_messages_from_store(claude, session, "7", str(tmp_path))) == 4
            forked = await fork_session_via_store(claude, session, str(tmp_path))
            assert len(await get_session_messages_from_store(claude, forked.session_id, str(tmp_path))) == 4
            newest, _ = await list_sessions_from_store(claude, str(tmp_path))
            assert newest.session_id == forked.session_id
            await delete_session_via_store(claude, session, str(tmp_path))
            assert [one.session_id for one in await list_sessions_from_store(claude, str(tmp_path))] == [
                forked.session_id
            ]

        asyncio.run(main())


class TestOtherHands:
    def test_a_copy_is_no_second_transcript_and_stays_when_it_is_deleted(
        self, claude: SealedSessionStore, plain: SessionStore
    ) -> None:
        main, sub, long = key("p", "s"), key("p", "s", "x"), key("p", "s" * 600)

        async def copied() -> list[str]:
            copies = []
            for transcript in (main, sub, long):
                await claude.append(transcript, [entry(1)])
            for line in plain.list().sessions:
                copies.append(plain.fork(line.id).id)
                copies.append(plain.import_document(plain.export(line.id)).id)
            assert sorted(item["session_id"] for item in await claude.list_sessions("p")) == ["s", "s" * 600]
            assert len(await claude.list_session_summaries("p")) == 2
            assert await claude.list_subkeys(main) == ["x"]
            for transcript in (main, long):
                await claude.delete(transcript)
            return copies

        copies = asyncio.run(copied())
        assert {line.id for line in plain.list().sessions} == set(copies)

    def test_a_name_that_was_changed_is_no_other_transcript(
        self, claude: SealedSessionStore, plain: SessionStore
    ) -> None:
        async def main() -> None:
            await claude.append(key("p", "s" * 600), [entry(1)])
            (line,) = [line for line in plain.list().sessions if line.tags]
            for config in ({}, {"claude": 7}, {"claude": {"project_key": "p", "session_id": "s", "subpath": None}}):
                plain.append(line.id, config=config)
                with pytest.raises(MalformedError):
                    await SealedSessionStore(plain).list_sessions("p")

        asyncio.run(main())

    def test_a_session_with_a_key_of_its_own_and_our_tag_is_no_transcript(
        self, claude: SealedSessionStore, plain: SessionStore
    ) -> None:
        async def main() -> None:
            await claude.append(key("p", "s"), [entry(1)])
            (tags,) = {line.tags for line in plain.list().sessions if line.tags}
            for number, mine in enumerate(("7", "mine", '["mine"]', '["mine","main","p","t"]', '["claude","x","p"]')):
                plain.create(key=mine, tags=tags, entries=[entry(number)])
            assert [item["session_id"] for item in await claude.list_sessions("p")] == ["s"]

        asyncio.run(main())

    def test_a_transcript_whose_record_was_taken_away_is_not_as_if_it_had_never_been(
        self, claude: SealedSessionStore, plain: SessionStore, home: Path
    ) -> None:
        async def main() -> None:
            for session in ("s", "t"):
                await claude.append(key("p", session), [entry(1)])
            found = plain.recorded(key='["claude","main","p","s"]')
            assert found is not None
            with closing(sqlite3.connect(home / "state" / "ledger.db")) as ledger, ledger:
                ledger.execute("DELETE FROM heads WHERE session_id = ?", (found.id,))
            (home / "data" / "sessions" / f"{found.id}.jsonl").unlink()
            again = SealedSessionStore(plain)
            for call in (
                again.load(key("p", "s")),
                again.append(key("p", "s"), [entry(2)]),
                again.list_sessions("p"),
                again.list_session_summaries("p"),
                again.delete(key("p", "s")),
            ):
                with pytest.raises(LedgerCorruptError):
                    await call

        asyncio.run(main())

    def test_a_summary_that_was_redacted_or_added_to_by_hand_is_folded_anew(
        self, claude: SealedSessionStore, plain: SessionStore
    ) -> None:
        async def main() -> None:
            await claude.append(key("p", "s"), [entry(1)])
            before = await claude.list_session_summaries("p")
            summary = plain.recorded(key='["claude","summary","p","s"]')
            assert summary is not None
            plain.append(summary.id, [{"role": "user"}])
            assert await claude.list_session_summaries("p") == before
            plain.redact(summary.id, entries=[0])
            assert await claude.list_session_summaries("p") == []
            again = SealedSessionStore(plain)
            await again.append(key("p", "s"), [entry(2)])
            (after,) = await again.list_session_summaries("p")
            assert after["data"]["first_prompt"] == "turn 1"

        asyncio.run(main())

    def test_nothing_stays_in_the_summary_of_a_transcript_that_was_deleted_by_other_hands(
        self, claude: SealedSessionStore, plain: SessionStore
    ) -> None:
        async def main() -> None:
            await claude.append(key("p", "s"), [entry(1)])
            (main,) = [line for line in plain.list().sessions if line.tags]
            plain.delete(main.id)
            await claude.append(key("p", "s"), [entry(2)])

        asyncio.run(main())
        (new,) = [line for line in plain.list().sessions if line.tags]
        (summary,) = [line for line in plain.list().sessions if not line.tags]
        assert summary.parent == new.id
        assert list(plain.search("turn 1")) == []

    def test_long_titles_do_not_fill_the_summaries(self, claude: SealedSessionStore, plain: SessionStore) -> None:
        async def main() -> None:
            for number in range(16):
                await claude.append(
                    key("p", "s"), [{"type": "custom-title", "customTitle": f"{number} " + "x" * 900_000}]
                )
            # One transcript may be this long, and each title stands in the summary too.

        with pytest.raises(TooLargeError):
            asyncio.run(main())
        summary = plain.recorded(key='["claude","summary","p","s"]')
        assert summary is not None
        assert summary.size_bytes < 2_000_000

    def test_names_decide_and_digests_only_narrow(
        self, claude: SealedSessionStore, plain: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sessionstore.integrations.claude.names._digest", lambda text: "0" * 32)

        async def main() -> None:
            for project, session in (("p", "s"), ("q", "t")):
                await claude.append(key(project, session), [entry(1)])
                await claude.append(key(project, session, f"of {session}"), [entry(1)])
            assert [item["session_id"] for item in await claude.list_sessions("p")] == ["s"]
            assert await claude.list_subkeys(key("p", "s")) == ["of s"]
            await claude.delete(key("p", "s"))
            assert await claude.load(key("q", "t", "of t")) == [entry(1)]
            assert await claude.load(key("p", "s", "of s")) is None

        asyncio.run(main())

    def test_a_stray_file_is_no_transcript_and_hides_none(
        self, claude: SealedSessionStore, plain: SessionStore, home: Path
    ) -> None:
        async def main() -> None:
            await claude.append(key("p", "s"), [entry(1)])
            stray = home / "data" / "sessions" / "3f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d.jsonl"
            stray.write_text("{}\n", encoding="utf-8")
            assert [item["session_id"] for item in await claude.list_sessions("p")] == ["s"]

        asyncio.run(main())

    def test_a_stray_file_beside_a_transcript_shows_it_neither_twice_nor_elsewhere(
        self, claude: SealedSessionStore, plain: SessionStore, home: Path
    ) -> None:
        async def main() -> None:
            for transcript in (key("p", "s"), key("p", "s", "x"), key("q", "t")):
                await claude.append(transcript, [entry(1)])
            for line in plain.list().sessions:
                (home / "data" / "sessions" / f"{line.id}.json").write_text("{}", encoding="utf-8")
            assert plain.list().unreadable
            assert [item["session_id"] for item in await claude.list_sessions("p")] == ["s"]
            assert await claude.list_subkeys(key("p", "s")) == ["x"]

        asyncio.run(main())

    @pytest.mark.parametrize("call", ["load", "summaries", "delete", "append"])
    def test_what_somebody_deletes_between_two_steps_is_gone(
        self, claude: SealedSessionStore, plain: SessionStore, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        recorded = plain.recorded

        def then_deleted(*, id: str | None = None, key: str | None = None) -> Any:
            found = recorded(id=id, key=key)
            if found is not None and ("summary" in str(found.key)) is (call in ("summaries", "append")):
                monkeypatch.undo()
                plain.delete(found.id)
            return found

        async def main() -> None:
            await claude.append(key("p", "s"), [entry(1)])
            monkeypatch.setattr(plain, "recorded", then_deleted)
            if call == "load":
                assert await claude.load(key("p", "s")) is None
            elif call == "summaries":
                assert await claude.list_session_summaries("p") == []
            elif call == "delete":
                await claude.delete(key("p", "s"))
                assert plain.list().sessions == ()
            else:
                await claude.append(key("p", "s"), [{"type": "custom-title", "customTitle": "t"}])
                (found,) = await claude.list_session_summaries("p")
                assert found["data"]["custom_title"] == "t"

        asyncio.run(main())
