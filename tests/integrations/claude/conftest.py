"""The SDK over a store in an empty place, and a command line tool that stands in for the SDK's own."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sessionstore import SessionStore
    from sessionstore.integrations.claude import SealedSessionStore

if find_spec("claude_agent_sdk") is None:

    class Skipped(pytest.Module):
        """A module of tests that cannot even be imported."""

        def collect(self) -> Iterator[pytest.Item]:
            def needs_the_sdk() -> None:
                pytest.skip("pip install sessionstore[claude]")

            yield pytest.Function.from_parent(self, name="needs_the_sdk", callobj=needs_the_sdk)

        def _getobj(self) -> object:
            return object()  # not the module: importing it fails

    def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
        """Skip every module here, each with the reason."""
        return Skipped.from_parent(parent, path=module_path)


# What the SDK starts instead of a model: it speaks the SDK's protocol on its streams and keeps a transcript where the
# real tool does. The answer says how many entries it found when it was started, so a resume shows.
TOOL = """#!{python}
import json, os, re, sys, uuid
from datetime import datetime, timezone
from pathlib import Path

given = dict(re.findall(r"--(resume|session-id)=(\\S+)", " ".join(sys.argv)))
session = given.get("resume") or given.get("session-id") or str(uuid.uuid4())
project = re.sub(r"[^a-zA-Z0-9]", "-", os.path.realpath(os.getcwd()))
home = Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude")
path = home / "projects" / project / (session + ".jsonl")
path.parent.mkdir(parents=True, exist_ok=True)
found = path.read_text().splitlines() if path.exists() else []

def say(message):
    print(json.dumps(message), flush=True)

def entry(kind, content):
    now = datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")
    return dict(type=kind, uuid=str(uuid.uuid4()), timestamp=now, sessionId=session, cwd=os.getcwd(),
                message=dict(role=kind, content=content))

def keep(place, entries):
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a") as file:
        file.writelines(json.dumps(item) + "\\n" for item in entries)
    say(dict(type="transcript_mirror", filePath=str(place), entries=entries))

for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "control_request":
        say(dict(type="control_response",
                 response=dict(subtype="success", request_id=message["request_id"], response=dict(commands=[]))))
    elif message["type"] == "user":
        content = message["message"]["content"]
        answer = [dict(type="text", text=f"{{len(found)}} entries before, you said: {{content}}")]
        keep(path, [entry("user", content)])
        keep(path.with_suffix("") / "subagents" / "agent-1.jsonl", [entry("assistant", "searching")])
        keep(path, [entry("assistant", answer), dict(type="last-prompt", lastPrompt=content, sessionId=session)])
        say(dict(type="assistant", session_id=session, parent_tool_use_id=None,
                 message=dict(role="assistant", model="none", content=answer)))
        say(dict(type="result", subtype="success", duration_ms=1, duration_api_ms=1, is_error=False, num_turns=1,
                 session_id=session, result=answer[0]["text"]))
"""


@pytest.fixture
def plain(home: Path) -> Iterator[SessionStore]:
    """The store below."""
    from sessionstore import Config, open_store

    with open_store(config=Config(data_dir=home / "data", state_dir=home / "state", lock_timeout_s=0.2)) as store:
        yield store


@pytest.fixture
def claude(plain: SessionStore) -> SealedSessionStore:
    """What is tested."""
    from sessionstore.integrations.claude import SealedSessionStore

    return SealedSessionStore(plain)


@pytest.fixture
def flip(home: Path) -> Callable[[str], None]:
    """Changes one byte in the middle of a session's file."""

    def change(session_id: str) -> None:
        path = home / "data" / "sessions" / f"{session_id}.jsonl"
        data = bytearray(path.read_bytes())
        at = data.index(b'"entry"') + 12
        data[at] ^= 1
        path.write_bytes(data)

    return change


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    """The tool that the SDK starts."""
    path = tmp_path / "claude-tool"
    path.write_text(TOOL.format(python=sys.executable), encoding="utf-8")
    path.chmod(0o700)
    return path


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever tries to reach somebody else fails."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("this test has no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
