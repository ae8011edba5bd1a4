"""The SDK as its users run it, with a tool in the place of the model's and without a network."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from claude_agent_sdk import (
    ClaudeAgentOptions,
    ClaudeSDKClient,
    MirrorErrorMessage,
    ResultMessage,
    get_session_messages_from_store,
    import_session_to_store,
    list_sessions_from_store,
    project_key_for_directory,
    query,
)

from sessionstore import SessionStore
from sessionstore.errors import InvalidSignatureError
from sessionstore.integrations.claude import SealedSessionStore

pytestmark = pytest.mark.usefixtures("no_network")

Ask = Callable[..., Any]


@pytest.fixture
def ask(claude: SealedSessionStore, tool: Path, tmp_path: Path) -> Ask:
    """Asks once; what the SDK yielded, the result first."""

    async def run(prompt: str, **options: Any) -> list[Any]:
        given = ClaudeAgentOptions(session_store=claude, cli_path=tool, cwd=tmp_path, **options)
        messages = [message async for message in query(prompt=prompt, options=given)]
        return sorted(messages, key=lambda message: not isinstance(message, ResultMessage))

    return run


def record_of(plain: SessionStore, kind: str) -> str:
    (found,) = [line.id for line in plain.list().sessions if (line.key or "").startswith(f'["claude","{kind}"')]
    return found


class TestAConversation:
    def test_it_is_stored_resumed_elsewhere_and_continued(
        self, ask: Ask, claude: SealedSessionStore, plain: SessionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def main() -> None:
            first = (await ask("one"))[0]
            assert first.result == "0 entries before, you said: one"
            monkeypatch.setenv("HOME", str(tmp_path / "another"))  # where no transcript is
            again = (await ask("two", resume=first.session_id))[0]
            assert again.result == "3 entries before, you said: two"
            last = (await ask("three", continue_conversation=True))[0]
            assert last.result == "6 entries before, you said: three"
            assert first.session_id == again.session_id == last.session_id
            messages = await get_session_messages_from_store(claude, first.session_id, str(tmp_path))
            assert len(messages) >= 1
            (listed,) = await list_sessions_from_store(claude, str(tmp_path))
            assert (listed.summary, listed.first_prompt) == ("three", "one")

        asyncio.run(main())
        assert [result.ok for result in plain.verify()] == [True] * 3

    def test_a_client_of_several_turns_is_stored_as_it_goes(
        self, claude: SealedSessionStore, tool: Path, tmp_path: Path
    ) -> None:
        async def main() -> None:
            options = ClaudeAgentOptions(session_store=claude, cli_path=tool, cwd=tmp_path, session_store_flush="eager")
            async with ClaudeSDKClient(options) as client:
                for turn in range(1, 4):
                    await client.query(f"turn {turn}")
                    async for message in client.receive_response():
                        if isinstance(message, ResultMessage):
                            key: Any = {
                                "project_key": project_key_for_directory(tmp_path),
                                "session_id": message.session_id,
                            }
                            assert len(await claude.load(key) or ()) == 3 * turn

        asyncio.run(main())

    def test_an_import_of_what_is_there_changes_nothing(
        self, ask: Ask, claude: SealedSessionStore, plain: SessionStore, tmp_path: Path
    ) -> None:
        async def main() -> None:
            result = (await ask("one"))[0]
            key: Any = {"project_key": project_key_for_directory(tmp_path), "session_id": result.session_id}
            before = await claude.load(key)
            await import_session_to_store(result.session_id, SealedSessionStore(plain), directory=str(tmp_path))
            after = await claude.load(key)
            assert before is not None
            assert after is not None
            assert after == [*before, before[-1]]  # the last prompt, which has no uuid

        asyncio.run(main())


class TestATamperedTranscript:
    @pytest.mark.parametrize("kind", ["main", "subagent"])
    def test_it_is_not_resumed(self, ask: Ask, plain: SessionStore, flip: Callable[[str], None], kind: str) -> None:
        async def main() -> None:
            session_id = (await ask("one"))[0].session_id
            flip(record_of(plain, kind))
            with pytest.raises(RuntimeError, match="failed during resume") as caught:
                await ask("two", resume=session_id)
            assert isinstance(caught.value.__cause__, InvalidSignatureError)

        asyncio.run(main())

    @pytest.mark.parametrize("how", ["flipped", "gone", "cut", "empty"])
    def test_the_sdk_does_not_go_on_with_an_older_one_instead(
        self, ask: Ask, plain: SessionStore, flip: Callable[[str], None], home: Path, how: str
    ) -> None:
        async def main() -> None:
            await ask("older")
            newest = (await ask("newest"))[0].session_id
            (broken,) = [
                line.id for line in plain.list().sessions if line.key and "main" in line.key and newest in line.key
            ]
            path = home / "data" / "sessions" / f"{broken}.jsonl"
            if how == "flipped":
                flip(broken)
            elif how == "gone":
                path.unlink()
            else:
                path.write_bytes(path.read_bytes()[:-100] if how == "cut" else b"")
            with pytest.raises(RuntimeError, match="failed during resume"):
                await ask("on", continue_conversation=True)

        asyncio.run(main())

    def test_it_takes_no_more_entries_and_the_sdk_says_so(
        self, ask: Ask, claude: SealedSessionStore, plain: SessionStore, flip: Callable[[str], None], tmp_path: Path
    ) -> None:
        async def main() -> None:
            session_id = (await ask("one"))[0].session_id
            flip(record_of(plain, "main"))
            messages = await ask("two", session_id=session_id)
            assert messages[0].result.endswith("you said: two")
            (lost,) = [message for message in messages if isinstance(message, MirrorErrorMessage)]
            assert re.search("signature|not what was saved|changed", lost.error)
            with pytest.raises(InvalidSignatureError):
                await get_session_messages_from_store(claude, session_id, str(tmp_path))

        asyncio.run(main())

    def test_it_is_still_listed_and_can_be_deleted(
        self, ask: Ask, claude: SealedSessionStore, plain: SessionStore, flip: Callable[[str], None], tmp_path: Path
    ) -> None:
        async def main() -> None:
            session_id = (await ask("one"))[0].session_id
            flip(record_of(plain, "main"))
            (listed,) = await list_sessions_from_store(claude, str(tmp_path))
            assert listed.session_id == session_id
            await claude.delete({"project_key": project_key_for_directory(tmp_path), "session_id": session_id})
            assert await list_sessions_from_store(claude, str(tmp_path)) == []

        asyncio.run(main())
        assert plain.stats().sessions == 0

    def test_a_tampered_summary_is_refused(
        self, ask: Ask, claude: SealedSessionStore, plain: SessionStore, flip: Callable[[str], None], tmp_path: Path
    ) -> None:
        async def main() -> None:
            await ask("one")
            flip(record_of(plain, "summary"))
            with pytest.raises(InvalidSignatureError):
                await list_sessions_from_store(SealedSessionStore(plain), str(tmp_path))

        asyncio.run(main())


class TestThePage:
    def test_its_example_runs(
        self,
        repository: Path,
        tool: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        from claude_agent_sdk._internal.transport.subprocess_cli import SubprocessCLITransport

        page = (repository / "docs" / "howto" / "claude.md").read_text(encoding="utf-8")
        examples = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
        assert examples
        monkeypatch.setattr(SubprocessCLITransport, "_find_cli", lambda self: str(tool))
        place = tmp_path / "place"
        place.mkdir()
        monkeypatch.chdir(place)
        for example in examples:
            exec(compile(example, "docs/howto/claude.md", "exec"), {"__name__": "__main__"})
        assert "entries before, you said:" in capsys.readouterr().out
