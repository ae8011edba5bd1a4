"""`resume`: what it prints, what it starts and where, what it asks, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessionstore import open_store
from sessionstore.fs.project import stated

NOBODY = "00000000-0000-4000-8000-000000000000"
PROGRAM = [sys.executable, "-m", "sessionstore"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    (project / "whose").write_text("ours\n")
    return project


@pytest.fixture
def bound(call, project: Path) -> str:
    """A session "work" with two messages, made for the project."""
    session_id = call("new", "--name", "work", "--project", str(project)).out.strip()
    lines = b'{"role":"user","content":"hello"}\n{"role":"assistant","content":"good day"}\n'
    assert call("append", session_id, data=lines).code == 0
    return str(session_id)


@pytest.fixture
def unbound(home: Path, project: Path) -> str:
    """A session that only states the path of the project, as one from elsewhere does."""
    with open_store(home) as store:
        return store.create(name="from elsewhere", project=stated(project)).id


@pytest.fixture
def started(bound: str) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Resumes the session with a command that says `up` and goes on; returns when it did."""
    running: list[subprocess.Popen[str]] = []

    def start(script: str, *, first: str = ":") -> subprocess.Popen[str]:
        command = [*PROGRAM, "resume", bound, "--", "sh", "-c", f"{first}; echo up; {script}"]
        made = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        running.append(made)
        assert made.stdout is not None
        assert made.stdout.readline() == "up\n"
        return made

    yield start
    for one in running:
        one.kill()
        one.communicate()


class TestWithoutACommand:
    def test_it_prints_the_session_and_says_that_the_directory_is_the_one(self, call, bound: str) -> None:
        ran = call("resume", bound)
        assert (ran.code, ran.err) == (0, "")
        assert "directory   ok: the one that was saved\n" in ran.out
        assert ran.out.endswith("[0] user\n    hello\n\n[1] assistant\n    good day\n\n")

    def test_with_json_it_is_what_show_prints_and_the_verdict(self, call, bound: str, project: Path) -> None:
        value = call("resume", bound, "--json").value
        assert value.pop("project") == {"verdict": "ok", "path": str(project), "warnings": []}
        shown = call("show", bound, "--json").value
        assert value == shown

    def test_a_session_without_a_project_has_no_verdict(self, call, session_id: str) -> None:
        assert call("resume", session_id, "--json").value["project"] is None
        assert "directory" not in call("resume", session_id).out

    @pytest.mark.parametrize("text", ["work", "@last", "prefix"])
    def test_the_session_may_be_named_in_any_way(self, call, bound: str, text: str) -> None:
        assert call("resume", bound[:8] if text == "prefix" else text, "--json").value["session"]["id"] == bound

    def test_a_changed_session_is_refused(self, call, bound: str, home: Path) -> None:
        file = home / "data/sessions" / f"{bound}.jsonl"
        file.write_bytes(file.read_bytes().replace(b"good day", b"bad days"))
        ran = call("resume", bound)
        assert ran.code == 4
        assert ran.out == ""


class TestACommand:
    def test_it_runs_in_the_project_with_the_session_and_its_end_is_ours(
        self, child, call, bound: str, project: Path
    ) -> None:
        script = 'pwd; cat whose; echo "$SESSIONSTORE_SESSION_ID"; cat <&$SESSIONSTORE_SESSION_FD; exit 9'
        ran = child("resume", bound, "--", "sh", "-c", script)
        assert (ran.code, ran.err) == (9, "")
        where, whose, session_id, session = ran.out.splitlines()
        assert (where, whose, session_id) == (str(project), "ours", bound)
        assert json.loads(session) == call("resume", bound, "--json").value

    def test_what_looks_like_our_options_is_the_command_s(self, child, bound: str) -> None:
        ran = child("resume", bound, "--", "echo", "--json", "--help", "--", "x")
        assert (ran.code, ran.out) == (0, "--json --help -- x\n")

    def test_it_may_save_while_it_runs(self, child, call, bound: str) -> None:
        save = '"$0" -m sessionstore append "$SESSIONSTORE_SESSION_ID" --role user --text more'
        assert child("resume", bound, "--", "sh", "-c", save, sys.executable).code == 0
        assert call("show", bound, "--json").value["entries"][-1]["content"] == "more"

    def test_moved_after_the_start_it_goes_on_in_the_directory_that_was_saved(self, started, project: Path) -> None:
        running = started("read x; cat whose; /bin/pwd")
        project.rename(project.with_name("moved"))
        project.mkdir()
        (project / "whose").write_text("theirs\n")
        out, _ = running.communicate("go\n", timeout=60)
        assert out == f"ours\n{project.with_name('moved')}\n"

    @pytest.mark.parametrize("verdict", ["missing", "replaced", "symlink", "not_a_directory"])
    def test_in_another_directory_than_the_saved_one_it_does_not_run(
        self, child, bound: str, project: Path, verdict: str
    ) -> None:
        moved = project.rename(project.with_name("moved"))
        if verdict == "replaced":
            project.mkdir()
        elif verdict == "symlink":
            project.symlink_to(moved)
        elif verdict == "not_a_directory":
            project.write_text("")
        ran = child("--json", "resume", bound, "--", "sh", "-c", "touch ran; cat whose")
        assert ran.code == 5
        assert ran.error["verdict"] == verdict
        assert f"`sessionstore rebind {bound} DIR`" in ran.error["hint"]
        assert not (moved / "ran").exists()

    def test_a_session_without_a_project_has_nowhere_to_run_it(self, child, session_id: str) -> None:
        ran = child("resume", session_id, "--", "true")
        assert ran.code == 2
        assert f"hint: give it one with `sessionstore rebind {session_id} DIR`" in ran.err

    @pytest.mark.parametrize(("program", "code"), [("no-such-program", 127), ("./whose", 126)])
    def test_one_that_cannot_be_started_is_our_failure(self, child, bound: str, program: str, code: int) -> None:
        ran = child("--json", "resume", bound, "--", program)
        assert ran.code == code
        assert ran.error["code"] == {127: "command_not_found", 126: "command_not_started"}[code]
        (ended,) = child("--json", "audit", "show", "--event", "resume_ended").value["events"]
        assert ended["fields"] == {"status": code}
        assert ran.error["program"] == program

    def test_while_it_runs_the_session_is_running_and_afterwards_not(self, started, child, bound: str) -> None:
        running = started("read x; exit 0")
        ran = child("--json", "resume", bound)
        assert ran.code == 7
        assert ran.error["code"] == "already_running"
        assert ran.error["pid"] == running.pid
        running.communicate("go\n", timeout=60)
        assert child("resume", bound).code == 0

    def test_killed_we_free_the_session_and_take_the_command_along(self, started, child, bound: str) -> None:
        running = started("while :; do read x; done", first="trap 'echo ended; exit' TERM")
        running.kill()
        assert running.stdout.read() == "ended\n"
        assert child("resume", bound).code == 0

    def test_sigterm_reaches_the_command(self, started) -> None:
        running = started("read x", first="trap 'echo ended; exit 5' TERM")
        running.send_signal(signal.SIGTERM)
        assert running.stdout.read() == "ended\n"
        assert running.wait(60) == 5


class TestAttempts:
    def test_an_id_that_fits_nothing_counts_over_all(self, child, bound: str) -> None:
        env = {"SESSIONSTORE_RESUME_GLOBAL_LIMIT": "3"}
        for text, code in (("no such name", 3), (NOBODY, 3), ("ffff", 3), (bound, 6), ("no such name", 6)):
            ran = child("--json", "resume", text, env=env)
            assert ran.code == code, ran
        assert ran.error["scope"] == "global"
        assert 0 < ran.error["retry_after_s"] <= 60

    def test_the_sixth_of_one_session_is_refused_good_and_bad_mixed(self, child, bound: str, project: Path) -> None:
        for code in (0, 5, 0, 5, 0):
            project.chmod(0o757 if code else 0o755)
            assert child("resume", bound).code == code
        ran = child("--json", "resume", bound)
        assert ran.code == 6
        assert ran.error["scope"] == "session"


class TestAnUnboundProject:
    def test_without_consent_it_is_refused_with_the_way_on(self, child, unbound: str) -> None:
        ran = child("resume", unbound, "--", "true")
        assert ran.code == 5
        assert "no_identity" in ran.err
        assert "--accept-project" in ran.err

    def test_with_consent_it_is_bound_and_stays_so(self, child, call, unbound: str) -> None:
        ran = child("resume", unbound, "--accept-project", "--", "cat", "whose")
        assert (ran.code, ran.out) == (0, "ours\n")
        assert child("resume", unbound, "--", "cat", "whose").code == 0
        (record,) = call("audit", "show", "--event", "rebind", "--json").value["events"]
        assert record["fields"]["consent"] == "resume --accept-project"

    def test_consent_overrules_nothing_else(self, child, bound: str, project: Path) -> None:
        project.rename(project.with_name("moved"))
        project.mkdir()
        ran = child("--json", "resume", bound, "--accept-project", "--", "true")
        assert ran.code == 5
        assert ran.error["verdict"] == "replaced"

    @pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 1), (b"\n", 1)])
    def test_a_terminal_is_asked(self, terminal, unbound: str, project: Path, answer: bytes, code: int) -> None:
        screen = terminal("resume", unbound, "--", "cat", "whose", answer=answer)
        assert f"nobody has bound the directory of this session yet: {project}" in screen.text
        assert screen.code == code
        assert ("ours" in screen.text) == (code == 0)

    def test_where_the_name_leads_is_said(self, terminal, home: Path, project: Path) -> None:
        link = project.with_name("link")
        link.symlink_to(project)
        with open_store(home) as store:
            session_id = store.create(project=stated(link)).id
        screen = terminal("resume", session_id, answer=b"n\n")
        assert f"that leads to {project}" in screen.text

    def test_a_name_that_is_relative_is_never_taken_from_here(self, child, home: Path, project: Path) -> None:
        with open_store(home) as store:
            session_id = store.create(project=stated("project")).id
        ran = child("resume", session_id, "--accept-project", "--", "true", cwd=project.parent)
        assert ran.code == 5
        assert "no_identity" in ran.err
        assert f"`sessionstore rebind {session_id} DIR`" in ran.err


class TestChoosing:
    def test_the_session_of_this_project_is_first_and_enter_starts_the_command_in_it(
        self, converse, call, bound: str, project: Path
    ) -> None:
        call("new", "--name", "newer")
        terminal = converse(*PROGRAM, "resume", "--", "cat", "whose", env={"NO_COLOR": "1"})
        frame = terminal.wait_for("good day")
        assert "newer" in frame
        terminal.type("work\r")
        terminal.wait_for("ours")
        assert terminal.end()[0] == 0

    def test_only_the_result_goes_to_stdout(self, converse, bound: str) -> None:
        reading, writing = os.pipe()
        terminal = converse(*PROGRAM, "--json", "resume", stdout=writing)
        os.close(writing)
        terminal.wait_for("good day")
        terminal.type("\r")
        assert terminal.end()[0] == 0
        with open(reading, "rb") as file:
            assert json.load(file)["session"]["id"] == bound

    @pytest.mark.parametrize(("key", "code", "word"), [("\x1b", 1, "declined"), ("\x03", 130, "interrupted")])
    def test_leaving_resumes_nothing(self, converse, bound: str, key: str, code: int, word: str) -> None:
        terminal = converse(*PROGRAM, "resume")
        terminal.wait_for("good day")
        terminal.type(key)
        terminal.wait_for(f"error[{word}]")
        assert terminal.end()[0] == code

    def test_what_cannot_be_opened_or_started_cannot_be_chosen(self, converse, bound: str, call, home: Path) -> None:
        call("new", "--name", "nowhere")
        (home / "data/sessions" / f"{bound}.jsonl").unlink()
        terminal = converse(*PROGRAM, "resume", "--", "true", env={"NO_COLOR": "1"})
        terminal.wait_for("[missing]")
        terminal.type("nowhere\r")
        terminal.wait_for("cannot be resumed: it has no project directory to start a command in")
        terminal.type("\x15missing\r")
        terminal.wait_for("cannot be resumed: the file of session")
        terminal.type("\x1b")
        assert terminal.end()[0] == 1

    def test_an_empty_store_has_nothing_to_choose(self, converse, home: Path) -> None:
        terminal = converse(*PROGRAM, "resume")
        terminal.wait_for("error[declined]: there is no session to choose from")


class TestUsage:
    @pytest.mark.parametrize("arguments", [["resume"], ["resume", "--", "true"]])
    def test_without_a_terminal_an_id_is_needed(self, call, arguments: list[str]) -> None:
        ran = call(*arguments)
        assert ran.code == 2
        assert "`sessionstore resume ID`, or @last" in ran.err

    def test_a_terminal_without_control_sequences_is_none_to_choose_on(self, converse, home: Path) -> None:
        terminal = converse(*PROGRAM, "resume", env={"TERM": "dumb"})
        terminal.wait_for("error[usage]")
        assert terminal.end()[0] == 2

    def test_an_empty_command_is_none(self, call, bound: str) -> None:
        assert "a command is needed behind --" in call("resume", bound, "--").err

    def test_a_command_without_dashes_is_told_apart_from_an_id(self, call, bound: str) -> None:
        ran = call("resume", bound, "ls")
        assert ran.code == 2
        assert "a command to start goes behind --" in ran.err
