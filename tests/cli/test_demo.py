"""The demo behaves, says so, and leaves nothing behind, however it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sessionstore.cli import demo_steps
from sessionstore.errors import SessionNotFoundError

REFUSALS = [
    "invalid_signature",
    "invalid_signature",
    "rollback",
    "wrong_session",
    "project_path_security_violation",
    "resurrected",
]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory for temporary files, empty."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    return temporary


class TestDemo:
    def test_everything_is_as_promised_and_nothing_is_left(
        self, child, temporary: Path, home: Path, tmp_path: Path
    ) -> None:
        ran = child("demo")
        assert (ran.code, ran.err) == (0, "")
        assert "✗" not in ran.out
        assert ran.out.endswith("\n14 steps, as promised.\n")
        assert list(temporary.iterdir()) == []
        assert not home.exists()
        assert not (tmp_path / "home").exists()

    def test_programs_get_the_steps(self, call, temporary: Path) -> None:
        value = call("demo", "--json").value
        assert value["ok"] is True
        assert [step["code"] for step in value["steps"] if step["code"]] == REFUSALS

    def test_marks_are_words_where_the_terminal_has_no_others(self, child, temporary: Path) -> None:
        ran = child("demo", env={"PYTHONIOENCODING": "ascii"})
        assert ran.code == 0
        assert ran.out.isascii()
        assert "ok  7. Change one byte" in ran.out

    def test_the_settings_of_whoever_runs_it_have_no_part(self, call, temporary: Path) -> None:
        assert call("demo", env={"SESSIONSTORE_MAX_SESSIONS": "1", "SESSIONSTORE_MAX_SESSION_BYTES": "64KiB"}).code == 0

    def test_a_promise_that_was_not_kept_is_an_exit_of_one(
        self, call, temporary: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(demo_steps, "_flipped", lambda data: data)
        ran = call("demo")
        assert ran.code == 1
        assert "✗  7. Change one byte of a saved message\n      the changed session was loaded" in ran.out
        assert ran.out.endswith("\n14 steps, 1 NOT as promised.\n")
        assert call("demo", "--json").value["ok"] is False

    def test_another_refusal_than_the_promised_one_is_not_as_promised(
        self, call, temporary: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put = demo_steps._put
        monkeypatch.setattr(demo_steps, "_shortened", lambda data: b"")
        monkeypatch.setattr(demo_steps, "_put", lambda file, data: put(file, data) if data else file.unlink())
        steps = call("demo", "--json").value["steps"]
        assert [step["title"] for step in steps if not step["ok"]] == ["Take one line out"]

    def test_the_directory_is_removed_after_a_failure(
        self, call, temporary: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(data: bytes) -> bytes:
            raise SessionNotFoundError

        monkeypatch.setattr(demo_steps, "_shortened", fails)
        assert call("demo").code == 3
        assert list(temporary.iterdir()) == []

    def test_the_directory_is_removed_after_ctrl_c(self, home: Path, temporary: Path) -> None:
        # All modules are there before it begins: an interrupt in the middle of an import may be lost in Python's own.
        code = "import sys, sessionstore.ratelimit; from sessionstore.cli import main; sys.exit(main())"
        child = subprocess.Popen(
            [sys.executable, "-c", code, "demo"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # What a shell starts in the background ignores interrupts, and so would its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert child.stdout is not None
        for line in child.stdout:
            if b" 1. Import" in line:
                child.send_signal(signal.SIGINT)
                break
        _, err = child.communicate(timeout=60)
        assert child.returncode == 130
        assert b"Traceback" not in err
        assert list(temporary.iterdir()) == []

    def test_it_can_be_kept_to_look_at(self, call, temporary: Path, tmp_path: Path) -> None:
        kept = tmp_path / "kept"
        ran = call("demo", "--keep", str(kept))
        assert ran.code == 0
        assert f"`sessionstore --root {kept} list`" in ran.err
        assert len(call("--root", str(kept), "list", "--json").value["sessions"]) == 2
        assert call("demo", "--keep", str(kept)).code == 2
