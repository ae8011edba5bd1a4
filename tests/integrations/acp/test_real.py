"""An agent in a process of its own, as an editor starts it; no model and no network."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from acp import PROTOCOL_VERSION, RequestError, spawn_agent_process, text_block

pytestmark = pytest.mark.usefixtures("no_network")


@pytest.fixture
def script(repository: Path, tmp_path: Path) -> Path:
    """The agent of the how-to page, with its store in this test's place."""
    page = (repository / "docs" / "howto" / "acp.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    path = tmp_path / "agent.py"
    path.write_text(code.replace('"sessions-of-my-agent"', repr(str(tmp_path / "store"))), encoding="utf-8")
    return path


class Editor:
    """A client."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def session_update(self, session_id: str, update: Any, **kwargs: Any) -> None:
        self.heard.append(update.content.text)


def start(script: Path, editor: Editor) -> Any:
    return spawn_agent_process(editor, sys.executable, str(script), use_unstable_protocol=True)  # type: ignore[arg-type]


class TestTheAgentOfThePage:
    def test_a_conversation_survives_its_process_and_is_loaded_by_the_next(self, script: Path, project: Path) -> None:
        async def main() -> None:
            first, second = Editor(), Editor()
            async with start(script, first) as (agent, _):
                await agent.initialize(protocol_version=PROTOCOL_VERSION)
                session_id = (await agent.new_session(cwd=str(project), mcp_servers=[])).session_id
                await agent.prompt(session_id=session_id, prompt=[text_block("Hello.")])
            async with start(script, second) as (agent, process):
                await agent.load_session(cwd=str(project), session_id=session_id, mcp_servers=[])
                assert second.heard == ["Hello.", *first.heard]
                third = Editor()
                async with start(script, third) as (other, _):
                    with pytest.raises(RequestError) as caught:
                        await other.load_session(cwd=str(project), session_id=session_id, mcp_servers=[])
                    assert caught.value.data["code"] == "already_running"
                    process.send_signal(signal.SIGKILL)
                    await process.wait()
                    await other.load_session(cwd=str(project), session_id=session_id, mcp_servers=[])
                    assert third.heard == second.heard

        asyncio.run(main())

    def test_a_tampered_session_is_not_loaded(self, script: Path, project: Path, tmp_path: Path) -> None:
        async def main() -> None:
            editor = Editor()
            async with start(script, editor) as (agent, _):
                session_id = (await agent.new_session(cwd=str(project), mcp_servers=[])).session_id
                await agent.prompt(session_id=session_id, prompt=[text_block("Hello.")])
            path = tmp_path / "store" / "data" / "sessions" / f"{session_id}.jsonl"
            path.write_bytes(path.read_bytes().replace(b"Hello.", b"Hallo."))
            editor.heard.clear()
            async with start(script, editor) as (agent, _):
                with pytest.raises(RequestError) as caught:
                    await agent.load_session(cwd=str(project), session_id=session_id, mcp_servers=[])
                assert caught.value.data == {"code": "verification_failed"}
            assert editor.heard == []

        asyncio.run(main())
