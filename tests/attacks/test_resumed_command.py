"""What somebody who writes into a project, or into a session, can make of the command that is started there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sessionstore import open_store
from sessionstore.cli.keypresses import TEXT, Key
from sessionstore.cli.picker import Row, begin, press, view


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    return project


def resume(home: Path, project: Path, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
    with open_store(home) as store:
        session_id = store.create(name="work", project=project).id
    return subprocess.run(
        [sys.executable, "-m", "sessionstore", "--root", str(home), "resume", session_id, "--", *command],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


class TestCommand:
    @pytest.mark.parametrize("path", ["", ":", ".", "./:/usr/bin", "/usr/bin:", "bin:/bin"])
    def test_a_program_planted_in_the_project_does_not_stand_in_for_another(
        self, home: Path, project: Path, path: str
    ) -> None:
        for place in (project, project / "bin"):
            place.mkdir(exist_ok=True)
            (place / "my-agent").write_text("#!/bin/sh\necho planted\n")
            (place / "my-agent").chmod(0o755)
        ran = resume(home, project, "my-agent", PATH=path)
        assert (ran.returncode, ran.stdout) == (127, "")

    def test_it_holds_no_file_of_the_store(self, home: Path, project: Path) -> None:
        script = """
import json, os
found = {}
for name in os.listdir("/proc/self/fd"):
    try:
        found[name] = os.readlink(f"/proc/self/fd/{name}")
    except OSError:
        pass
print(json.dumps(found))
"""
        if not Path("/proc/self/fd").is_dir():
            pytest.skip("looks at descriptors through /proc")
        ran = resume(home, project, sys.executable, "-c", script)
        found = json.loads(ran.stdout)
        assert set(found) == {"0", "1", "2", "3"}
        assert not [place for place in found.values() if str(home) in place]

    @pytest.mark.parametrize("provider", ["environment", "descriptor"])
    def test_it_gets_nothing_of_the_signing_key(self, home: Path, project: Path, provider: str) -> None:
        secret = bytes(range(32))
        script = "import json, os; print(json.dumps([dict(os.environ), sorted(os.listdir('/proc/self/fd'))]))"
        command = [sys.executable, "-m", "sessionstore", "--root", str(home)]

        def run(*arguments: str) -> str:
            reading, writing = os.pipe()
            os.write(writing, secret)
            os.close(writing)
            environ = {**os.environ, "SESSIONSTORE_KEY_PROVIDER": provider}
            if provider == "descriptor":
                environ["SESSIONSTORE_KEY_FD"] = str(reading)
            else:
                environ["SESSIONSTORE_KEY"] = secret.hex()
            fds = [reading] if provider == "descriptor" else []
            done = subprocess.run(
                [*command, *arguments], env=environ, pass_fds=fds, capture_output=True, text=True, check=True
            )
            os.close(reading)
            return done.stdout

        run("new", "--name", "work", "--project", str(project))
        environ, open_fds = json.loads(run("resume", "work", "--", sys.executable, "-c", script))
        assert set(open_fds) <= {"0", "1", "2", "3", "4"}  # 4 is the listing itself
        assert not {"SESSIONSTORE_KEY", "SESSIONSTORE_KEY_FD"} & set(environ)
        assert not [name for name, value in environ.items() if secret.hex() in value]

    def test_it_is_not_told_the_directory_as_text(self, home: Path, project: Path) -> None:
        ran = resume(home, project, "env", PWD=str(project), OLDPWD=str(project))
        assert ran.returncode == 0
        assert str(project) not in ran.stdout


class TestPicker:
    HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b1A\u202egnp.exe\r\n> 00000000  Fix the login"

    def test_a_session_draws_nothing_but_its_own_line(self) -> None:
        row = Row(self.HOSTILE, self.HOSTILE, "", self.HOSTILE, mark="", reason=self.HOSTILE)
        lines = view(begin([row]), width=300, height=24, preview=lambda row: [self.HOSTILE])
        assert len(lines) == 24
        assert sum(line.plain.startswith("> ") for line in lines) == 1
        assert not {char for line in lines for char in line.plain} & set("\x1b\x07\x9b\u202e\r\n")

    def test_what_is_typed_for_an_unopened_session_chooses_none(self) -> None:
        state = begin([Row("0" * 36, "good"), Row("1" * 36, "good", mark="rollback", reason="an older copy")])
        for key in (Key(TEXT, "1111"), Key("enter"), Key("enter")):
            pressed = press(state, key, page=5)
            assert isinstance(pressed, type(state))
            state = pressed
