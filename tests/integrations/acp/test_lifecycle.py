"""new, load, resume, list, delete, close and fork, as a client of the SDK sees them."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from acp import PROTOCOL_VERSION, RequestError, text_block

from sessionstore import open_store

Connect = Callable[..., Any]
NOBODY = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"


def chunk(kind: str, text: str) -> dict[str, Any]:
    return {"sessionUpdate": kind, "content": {"type": "text", "text": text}}


def said(*texts: str) -> list[dict[str, Any]]:
    """The updates of turns in which these were said."""
    return [
        update
        for text in texts
        for update in (chunk("user_message_chunk", text), chunk("agent_message_chunk", f"you said: {text}"))
    ]


async def begin(ends: Any, project: Path, *texts: str) -> str:
    session_id: str = (await ends.client.new_session(cwd=str(project), mcp_servers=[])).session_id
    for text in texts:
        await ends.client.prompt(session_id=session_id, prompt=[text_block(text)])
    return session_id


async def delete(ends: Any, session_id: str) -> Any:
    return await ends.client._conn.send_request("session/delete", {"sessionId": session_id})


class TestInitialize:
    def test_a_client_that_is_no_connection_of_the_sdk_will_do(self, connect: Connect) -> None:
        async def main() -> None:
            async with connect() as ends:
                client = object()
                ends.agent.on_connect(client)
                assert ends.agent.client is client

        asyncio.run(main())

    def test_it_says_what_the_agent_can_do(self, connect: Connect) -> None:
        async def main() -> None:
            async with connect() as ends:
                answer = await ends.client.initialize(protocol_version=PROTOCOL_VERSION + 7)
                assert answer.protocol_version == PROTOCOL_VERSION
                assert answer.agent_capabilities.load_session is True
                able = answer.agent_capabilities.session_capabilities.model_dump(exclude_none=True)
                assert set(able) == {"list", "delete", "resume", "close", "fork"}

        asyncio.run(main())


class TestLoadAndResume:
    def test_a_load_replays_everything_before_it_answers_and_a_resume_nothing(
        self, connect: Connect, project: Path
    ) -> None:
        async def main() -> None:
            async with connect() as ends:
                session_id = await begin(ends, project, "one", "two")
            async with connect() as ends:
                await ends.client.load_session(cwd=str(project), session_id=session_id, mcp_servers=[])
                assert ends.seen == [(session_id, update) for update in said("one", "two")]
                await ends.client.prompt(session_id=session_id, prompt=[text_block("three")])
            async with connect() as ends:
                await ends.client.resume_session(cwd=str(project), session_id=session_id)
                assert ends.seen == []
                await ends.client.prompt(session_id=session_id, prompt=[text_block("four")])
                await ends.client.load_session(cwd=str(project), session_id=session_id, mcp_servers=[])
                replayed = [update for _, update in ends.seen if update != said("four")[1]]
                assert [update for _, update in ends.seen][1:] == said("one", "two", "three", "four")
                assert len(replayed) == 7

        asyncio.run(main())

    @pytest.mark.parametrize("method", ["load_session", "resume_session", "fork_session"])
    @pytest.mark.parametrize("wrong", ["", ".", "project", "/", "{parent}", "{project}/sub", "{project}/../other"])
    def test_a_directory_that_is_not_the_sessions_is_refused_and_nothing_runs(
        self, connect: Connect, project: Path, method: str, wrong: str
    ) -> None:
        async def main() -> None:
            async with connect() as ends:
                session_id = await begin(ends, project, "one")
                await ends.client.close_session(session_id=session_id)
                cwd = wrong.format(project=project, parent=project.parent)
                with pytest.raises(RequestError) as caught:
                    await getattr(ends.client, method)(cwd=cwd, session_id=session_id, mcp_servers=[])
                assert (caught.value.code, caught.value.data["code"]) == (-32602, "invalid_value")
                assert len((await ends.client.list_sessions()).sessions) == 1
                await ends.client.resume_session(cwd=f"{project}/", session_id=session_id)  # the run was given back

        asyncio.run(main())

    def test_the_spelling_of_a_link_is_good_as_long_as_it_leads_there(self, connect: Connect, project: Path) -> None:
        link = project.parent / "link"
        link.symlink_to(project)

        async def main() -> None:
            async with connect() as ends:
                session_id = await begin(ends, link, "one")
                for cwd in (link, project):
                    await ends.client.resume_session(cwd=str(cwd), session_id=session_id)
                    assert ends.agent.project(session_id) is not None
                other = project.parent / "other"
                other.mkdir()
                link.unlink()
                link.symlink_to(other)
                with pytest.raises(RequestError) as caught:
                    await ends.client.resume_session(cwd=str(link), session_id=session_id)
                assert caught.value.data["code"] == "invalid_value"
                await ends.client.resume_session(cwd=str(project), session_id=session_id)

        asyncio.run(main())

    def test_a_directory_that_was_exchanged_is_refused(self, connect: Connect, project: Path) -> None:
        async def main() -> None:
            async with connect() as ends:
                session_id = await begin(ends, project, "one")
                project.rename(project.parent / "aside")
                project.mkdir()
                with pytest.raises(RequestError) as caught:
                    await ends.client.load_session(cwd=str(project), session_id=session_id, mcp_servers=[])
                assert caught.value.data["code"] == "project_path_security_violation"
                assert caught.value.data["verdict"] == "replaced"
                assert ends.agent.project(session_id) is None

        asyncio.run(main())

    def test_the_pinned_directory_is_at_hand_until_the_session_is_closed(self, connect: Connect, project: Path) -> None:
        async def main() -> None:
            async with connect() as ends:
                session_id = await begin(ends, project)
                assert ends.agent.project(session_id) is None
                await ends.client.resume_session(cwd=str(project), session_id=session_id)
                pinned = ends.agent.project(session_id)
                assert os.path.samestat(os.fstat(pinned.dir_fd), project.stat())
                await ends.client.close_session(session_id=session_id)
                assert ends.agent.project(session_id) is None

        asyncio.run(main())

    def test_too_many_attempts_are_refused_with_the_time_to_wait(self, connect: Connect, project: Path) -> None:
        async def main() -> None:
            async with connect(resume_limit=2) as ends:
                session_id = await begin(ends, project)
                for _ in range(2):
                    await ends.client.resume_session(cwd=str(project), session_id=session_id)
                with pytest.raises(RequestError) as caught:
                    await ends.client.load_session(cwd=str(project), session_id=session_id, mcp_servers=[])
                assert caught.value.data["code"] == "rate_limit_exceeded"
                assert 1 <= caught.value.data["retryAfterS"] <= 60

        asyncio.run(main())

    def test_a_directory_that_is_not_absolute_is_no_attempt_and_makes_no_fork(
        self, connect: Connect, project: Path, home: Path
    ) -> None:
        async def main() -> None:
            async with connect(resume_limit=1) as ends:
                session_id = await begin(ends, project)
                for call in (ends.client.load_session, ends.client.resume_session, ends.client.fork_session):
                    with pytest.raises(RequestError):
                        await call(cwd="project", session_id=session_id, mcp_servers=[])
                await ends.client.resume_session(cwd=str(project), session_id=session_id)

        asyncio.run(main())
        with open_store(home, environ={}) as store:
            assert len(list(store.audit(events=["resume_attempt"]))) == 1
            assert len(store._ground.ledger.ids()) == 1  # not even a deleted fork

    def test_it_is_loaded_once_at_a_time_and_freed_with_the_agent(self, connect: Connect, project: Path) -> None:
        async def main() -> None:
            async with connect() as one, connect() as other:
                session_id = await begin(one, project, "one")
                await one.client.load_session(cwd=str(project), session_id=session_id, mcp_servers=[])
                with pytest.raises(RequestError) as caught:
                    await other.client.load_session(cwd=str(project), session_id=session_id, mcp_servers=[])
                assert caught.value.data["code"] == "already_running"
                with pytest.raises(RequestError):
                    await delete(other, session_id)
                async with one.agent:
                    pass
                await other.client.load_session(cwd=str(project), session_id=session_id, mcp_servers=[])

        asyncio.run(main())

    @pytest.mark.parametrize(
        "session_id", [NOBODY, NOBODY.upper(), "", "../x", f"{NOBODY}\n", "\u0660" * 36, "x" * 600]
    )
    def test_what_is_no_session_here_is_not_found(self, connect: Connect, project: Path, session_id: str) -> None:
        async def main() -> None:
            async with connect() as ends:
                for call in (ends.client.load_session, ends.client.resume_session, ends.client.fork_session):
                    with pytest.raises(RequestError) as caught:
                        await call(cwd=str(project), session_id=session_id, mcp_servers=[])
                    assert caught.value.code == -32002
                    assert session_id == "" or session_id not in str(caught.value)
                with pytest.raises(RequestError) as caught:
                    await ends.client.close_session(session_id=session_id)
                assert caught.value.code == -32002
                assert await delete(ends, session_id) == {}

        asyncio.run(main())

    def test_messages_of_the_command_line_are_replayed_and_what_has_no_form_is_passed_over(
        self, connect: Connect, project: Path, home: Path
    ) -> None:
        with open_store(home, environ={}) as store:
            session = store.create(name="by hand", project=project)
            entries: list[dict[str, Any]] = [
                {"role": "user", "content": "Hello."},
                {"role": "tool", "content": "x"},
                {"role": "assistant", "content": "Yes?"},
                {"role": "assistant", "content": [{"type": "text"}]},
            ]
            store.append(session.id, entries)
            odd = store.create(name="odd", project=project)
            store.append(odd.id, [{"sessionUpdate": "of_tomorrow"}])
            nowhere = store.create(name="without a project")

        async def main() -> None:
            async with connect() as ends:
                await ends.client.load_session(cwd=str(project), session_id=session.id, mcp_servers=[])
                wanted = [chunk("user_message_chunk", "Hello."), chunk("agent_message_chunk", "Yes?")]
                assert [update for _, update in ends.seen] == wanted
                for session_id in (odd.id, nowhere.id):
                    with pytest.raises(RequestError) as caught:
                        await ends.client.load_session(cwd=str(project), session_id=session_id, mcp_servers=[])
                    assert caught.value.data["code"] == "invalid_value"

        asyncio.run(main())


class TestNew:
    @pytest.mark.parametrize("cwd", ["", ".", "project", "~"])
    def test_a_directory_that_is_not_absolute_is_refused(self, connect: Connect, cwd: str) -> None:
        async def main() -> None:
            async with connect() as ends:
                with pytest.raises(RequestError) as caught:
                    await ends.client.new_session(cwd=cwd, mcp_servers=[])
                assert caught.value.code == -32602
                assert (await ends.client.list_sessions()).sessions == []

        asyncio.run(main())

    def test_a_directory_that_is_not_there_is_refused(self, connect: Connect, project: Path) -> None:
        async def main() -> None:
            async with connect() as ends:
                with pytest.raises(RequestError) as caught:
                    await ends.client.new_session(cwd=str(project / "missing"), mcp_servers=[])
                assert caught.value.data["verdict"] == "missing"

        asyncio.run(main())


class TestList:
    def test_it_is_filtered_by_directory_newest_first_page_by_page(
        self, connect: Connect, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from sessionstore.integrations.acp import listing

        monkeypatch.setattr(listing, "PAGE", 3)
        other = project.parent / "other"
        other.mkdir()

        async def main() -> None:
            async with connect() as ends:
                ids = [await begin(ends, project) for _ in range(7)]
                elsewhere = await begin(ends, other, "x")
                found, cursor = [], None
                while True:
                    page = await ends.client.list_sessions(cwd=str(project), cursor=cursor)
                    found += page.sessions
                    cursor = page.next_cursor
                    if cursor is None:
                        break
                assert [info.session_id for info in found] == ids[::-1]
                assert {info.cwd for info in found} == {str(project)}
                assert all(info.title and info.updated_at for info in found)
                assert (await ends.client.list_sessions()).sessions[0].session_id == elsewhere
                assert (await ends.client.list_sessions(cwd=str(project / "missing"))).sessions == []
                for bad in ({"cwd": "project"}, {"cursor": "x"}):
                    with pytest.raises(RequestError) as caught:
                        await ends.client.list_sessions(**bad)
                    assert caught.value.code == -32602

        asyncio.run(main())

    def test_broken_ones_are_shown_and_marked(self, connect: Connect, project: Path, home: Path) -> None:
        async def main() -> None:
            async with connect() as ends:
                gone, good = await begin(ends, project, "one"), await begin(ends, project, "two")
                (home / "data" / "sessions" / f"{gone}.jsonl").unlink()
                for cwd in (None, str(project)):
                    found = {info.session_id: info for info in (await ends.client.list_sessions(cwd=cwd)).sessions}
                    assert set(found) == {gone, good}
                    assert found[gone].field_meta == {"sessionstore": {"code": "missing"}}
                    assert found[good].field_meta is None

        asyncio.run(main())

    def test_a_broken_one_is_shown_under_any_spelling_of_its_directory(
        self, connect: Connect, project: Path, home: Path
    ) -> None:
        (project.parent / "alias").symlink_to(project)

        async def main() -> None:
            async with connect() as ends:
                broken = await begin(ends, project, "one")
                (home / "data" / "sessions" / f"{broken}.jsonl").unlink()
                for cwd in (f"{project}/", str(project.parent / "alias")):
                    found = (await ends.client.list_sessions(cwd=cwd)).sessions
                    assert [(info.session_id, info.field_meta) for info in found] == [
                        (broken, {"sessionstore": {"code": "missing"}})
                    ]

        asyncio.run(main())

    def test_one_whose_record_was_taken_away_is_not_passed_over(
        self, connect: Connect, project: Path, home: Path
    ) -> None:
        async def main() -> None:
            async with connect() as ends:
                lost, _ = await begin(ends, project, "one"), await begin(ends, project, "two")
                with closing(sqlite3.connect(home / "state" / "ledger.db")) as ledger, ledger:
                    ledger.execute("DELETE FROM heads WHERE session_id = ?", (lost,))
                (home / "data" / "sessions" / f"{lost}.jsonl").unlink()
                with pytest.raises(RequestError) as caught:
                    await ends.client.list_sessions()
                assert caught.value.data["code"] == "ledger_corrupt"

        asyncio.run(main())

    def test_an_unsigned_file_in_its_place_shows_it_once(self, connect: Connect, project: Path, home: Path) -> None:
        async def main() -> None:
            async with connect() as ends:
                session_id = await begin(ends, project, "one")
                sealed = home / "data" / "sessions" / f"{session_id}.jsonl"
                sealed.rename(sealed.with_suffix(".json"))
                found = (await ends.client.list_sessions()).sessions
                assert [info.session_id for info in found] == [session_id]

        asyncio.run(main())

    def test_a_stray_file_beside_a_session_shows_it_neither_twice_nor_elsewhere(
        self, connect: Connect, project: Path, home: Path
    ) -> None:
        other = project.parent / "other"
        other.mkdir()

        async def main() -> None:
            async with connect() as ends:
                session_id = await begin(ends, other, "one")
                await ends.agent._store.create(name="without a project")
                for name in (f"{session_id}.json", f"{NOBODY}.jsonl"):
                    (home / "data" / "sessions" / name).write_text("{}", encoding="utf-8")
                for cwd, wanted in ((None, [session_id]), (str(other), [session_id]), (str(project), [])):
                    found = (await ends.client.list_sessions(cwd=cwd)).sessions
                    assert [info.session_id for info in found] == wanted

        asyncio.run(main())


class TestDelete:
    def test_the_second_time_is_silent(self, connect: Connect, project: Path) -> None:
        async def main() -> None:
            async with connect() as ends:
                session_id = await begin(ends, project, "one")
                await ends.client.resume_session(cwd=str(project), session_id=session_id)
                assert await delete(ends, session_id) == {}
                assert await delete(ends, session_id) == {}
                assert (await ends.client.list_sessions()).sessions == []
                with pytest.raises(RequestError):
                    await ends.client.prompt(session_id=session_id, prompt=[text_block("x")])

        asyncio.run(main())


class TestClose:
    def test_it_cancels_frees_and_marks_the_session_and_it_can_be_loaded_again(
        self, connect: Connect, project: Path, home: Path
    ) -> None:
        async def main() -> None:
            async with connect() as ends, connect() as other:
                session_id = await begin(ends, project, "one")
                await ends.client.resume_session(cwd=str(project), session_id=session_id)
                await ends.client.close_session(session_id=session_id)
                assert ends.agent.cancelled == session_id
                with pytest.raises(RequestError) as caught:
                    await ends.client.prompt(session_id=session_id, prompt=[text_block("x")])
                assert caught.value.data["code"] == "invalid_value"
                await other.client.load_session(cwd=str(project), session_id=session_id, mcp_servers=[])
                assert [update for _, update in other.seen] == said("one")

        asyncio.run(main())
        with open_store(home, environ={}) as store:
            assert store.list().sessions[0].closed_at is not None


class TestFork:
    def test_it_is_a_session_of_its_own_with_the_same_past(self, connect: Connect, project: Path) -> None:
        async def main() -> None:
            async with connect() as ends, connect() as other:
                session_id = await begin(ends, project, "one")
                await other.client.resume_session(cwd=str(project), session_id=session_id)  # it may be running
                fork = (await ends.client.fork_session(cwd=str(project), session_id=session_id)).session_id
                assert ends.agent.project(fork) is not None
                await ends.client.prompt(session_id=fork, prompt=[text_block("two")])
                await ends.client.load_session(cwd=str(project), session_id=fork, mcp_servers=[])
                replayed = [update for session, update in ends.seen if session == fork]
                assert replayed[1:] == said("one", "two")
                await other.client.load_session(cwd=str(project), session_id=session_id, mcp_servers=[])
                assert [update for _, update in other.seen] == said("one")

        asyncio.run(main())

    def test_one_whose_directory_is_refused_leaves_nothing_behind(self, connect: Connect, project: Path) -> None:
        async def main() -> None:
            async with connect() as ends:
                session_id = await begin(ends, project, "one")
                shutil.rmtree(project)
                with pytest.raises(RequestError):
                    await ends.client.fork_session(cwd=str(project), session_id=session_id)
                assert [info.session_id for info in (await ends.client.list_sessions()).sessions] == [session_id]

        asyncio.run(main())


class TestATamperedSession:
    def test_it_is_neither_continued_loaded_resumed_nor_forked_and_can_be_deleted(
        self, connect: Connect, project: Path, flip: Callable[[str], None]
    ) -> None:
        async def main() -> None:
            async with connect() as ends:
                session_id = await begin(ends, project, "one")
                flip(session_id)
                with pytest.raises(RequestError) as caught:
                    await ends.client.prompt(session_id=session_id, prompt=[text_block("two")])
                assert caught.value.data == {"code": "verification_failed"}
                for call in (ends.client.load_session, ends.client.resume_session, ends.client.fork_session):
                    with pytest.raises(RequestError) as caught:
                        await call(cwd=str(project), session_id=session_id, mcp_servers=[])
                    assert caught.value.data == {"code": "verification_failed"}
                assert ends.seen == [(session_id, said("one")[1])]  # of the turn before
                assert await delete(ends, session_id) == {}

        asyncio.run(main())
