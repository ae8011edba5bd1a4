"""keys: what each command prints, how it ends, and that a passphrase is never an argument."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

PHRASE = "correct horse battery"


@pytest.fixture
def phrase_file(tmp_path: Path) -> str:
    file = tmp_path / "secret.txt"
    file.write_text(PHRASE + "\n", encoding="utf-8")
    return str(file)


def keys(call) -> list[dict]:
    return call("keys", "list", "--json").value["keys"]


class TestRotate:
    def test_what_is_left_is_named(self, call, session_id: str, home: Path) -> None:
        file = home / "data/sessions" / f"{session_id}.jsonl"
        good = file.read_bytes()
        file.write_bytes(good.replace(b"hello", b"hellO"))
        ran = call("keys", "rotate")
        assert ran.code == 1
        assert f"{session_id}  invalid_signature" in ran.out
        assert "hint: mend or end these, then `sessionstore keys rotate --finish`" in ran.err
        file.write_bytes(good)
        ran = call("keys", "rotate", "--finish", "--json")
        assert (ran.code, ran.value["sessions"], ran.value["added"]) == (0, 1, False)
        assert [key["status"] for key in keys(call)] == ["verify_only", "primary"]

    def test_on_a_terminal_it_shows_how_far_it_is(self, call, terminal) -> None:
        for number in range(3):
            call("new", "--name", f"number {number}")
        screen = terminal("keys", "rotate")
        assert screen.code == 0
        assert "sealing sessions anew" in screen.text
        assert "3 sessions sealed anew" in screen.text

    def test_the_bar_follows_rows_that_come_by_the_page(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from contextlib import contextmanager

        from sessionstore.cli import keyring
        from sessionstore.cli.progress import Progress

        steps: dict[str, int] = {}

        @contextmanager
        def counted(label: str, total: int):
            steps[label] = 0

            def advance() -> None:
                steps[label] += 1

            yield Progress(advance)

        monkeypatch.setattr(keyring, "progress", counted)
        with keyring._bars() as told:
            for phase, done in (("sessions", 1), ("sessions", 2), ("rows", 500), ("rows", 1000), ("rows", 1203)):
                told(phase, done, 1203)
        assert steps == {"sealing sessions anew": 2, "signing rows anew": 1203}


class TestProvider:
    SECRET = bytes(range(32))

    def test_it_is_named_and_the_key_is_not_shown(self, child, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        given = {"SESSIONSTORE_KEY_PROVIDER": "environment", "SESSIONSTORE_KEY": self.SECRET.hex()}
        warned = (
            "note: the signing key came from SESSIONSTORE_KEY, which is meant for CI: other processes of this user can "
            "read the environment that a process was started with\n"
        )
        listed = child("keys", "list", env=given)
        assert (listed.code, listed.err) == (0, f"{warned}kept by: environment\n")
        told = child("keys", "list", "--json", env=given).value
        assert (told["provider"], len(told["keys"])) == ("environment", 1)
        doctor = child("doctor", env=given)
        assert doctor.code == 0
        assert doctor.err.count(warned) == 1
        assert f"primary key {told['keys'][0]['id']}, kept by: environment" in " ".join(doctor.out.split())
        shown = child("config", "show", env=given)
        assert shown.code == 0
        (line,) = (line for line in shown.out.splitlines() if line.startswith("key_provider "))
        assert line.split()[1:4] == ["environment", "environment", "SESSIONSTORE_KEY_PROVIDER"]
        rotated = child("keys", "rotate", env=given)
        assert rotated.code == 8
        assert "hint: give the new key to a new store, and take the sessions over" in rotated.err
        for ran in (listed, doctor, shown, rotated):
            assert self.SECRET.hex() not in ran.out + ran.err

    def test_without_the_key_it_is_said_how_to_give_it(self, child, home: Path) -> None:
        ran = child("list", env={"SESSIONSTORE_KEY_PROVIDER": "environment"})
        assert (ran.code, ran.out) == (8, "")
        assert "error[key_unavailable]: the signing key is not available (missing)" in ran.err
        assert "hint: set SESSIONSTORE_KEY to the key: 32 bytes as 64 hex digits or in base64" in ran.err

    def test_a_shell_gives_it_on_a_descriptor(self, home: Path, tmp_path: Path) -> None:
        (tmp_path / "key").write_bytes(self.SECRET)
        environ = {**os.environ, "SESSIONSTORE_KEY_PROVIDER": "descriptor", "SESSIONSTORE_KEY_FD": "9"}
        script = f'"{sys.executable}" -m sessionstore keys list --json 9<"{tmp_path}/key"'
        for _ in range(2):
            done = subprocess.run(["sh", "-c", script], env=environ, capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (0, "")
            assert '"provider": "descriptor"' in done.stdout


class TestLeaked:
    def test_it_is_said_which_key_is_primary_and_what_became_of_the_leaked_one(self, call, session_id: str) -> None:
        ran = call("keys", "rotate", "--leaked")
        old, new = (key["id"] for key in keys(call))
        assert (ran.code, ran.err) == (0, "")
        first, *told = ran.out.splitlines()
        assert first.startswith(f"key {new}  1 session sealed anew, ")
        assert told == [
            f"key {new} is primary now: everything new is signed with it",
            f"key {old}, which leaked, signs and extends nothing any more and still verifies what is recorded under "
            f"it: `sessionstore keys retire {old} --leaked --destroy`",
        ]

    def test_a_key_that_waited_is_named_too(
        self, call, session_id: str, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def stop(*args: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr("sessionstore.rotation.rotate._settle", stop)
            assert call("keys", "rotate").code == 130
        leaked, waited = (key["id"] for key in keys(call))
        ran = call("keys", "rotate", "--leaked", "--json")
        assert ran.code == 0
        assert (ran.value["replaced"], ran.value["destroyed"], ran.value["reason"]) == (leaked, [waited], "")
        assert [key["status"] for key in keys(call)] == ["verify_only", "destroyed", "primary"]
        with monkeypatch.context() as patched:
            patched.setattr("sessionstore.rotation.rotate._settle", stop)
            assert call("keys", "rotate").code == 130
        waited = keys(call)[-1]["id"]
        ran = call("keys", "rotate", "--leaked")
        assert f"\nkey {waited}, which waited to become primary, never signed anything and is destroyed\n" in ran.out

    def test_with_finish_it_is_refused(self, call, session_id: str) -> None:
        ran = call("keys", "rotate", "--leaked", "--finish")
        assert (ran.code, len(keys(call))) == (2, 1)
        assert "a leaked key needs a new one, and finishing makes none" in ran.err

    @pytest.mark.parametrize("promoted", [False, True])
    def test_after_a_failure_it_is_said_which_key_is_primary(
        self, call, session_id: str, monkeypatch: pytest.MonkeyPatch, promoted: bool
    ) -> None:
        from sessionstore.errors import StoreUnavailableError

        def refuse(*args: object, **named: object) -> None:
            raise StoreUnavailableError(reason="no room", outcome="not_written")

        where = "sessionstore.rotation.rotate._renew" if promoted else "sessionstore.rotation.rotate._replaced"
        with monkeypatch.context() as patched:
            patched.setattr(where, refuse)
            ran = call("keys", "rotate", "--leaked")
        (primary,) = (key["id"] for key in keys(call) if key["status"] == "primary")
        assert (ran.code, ran.out, len(keys(call))) == (8, "", 1 + promoted)
        note, error = ran.err.splitlines()[:2]
        assert note.startswith(f"note: key {primary}, made 20")
        assert note.endswith(", is primary now; run the command again until it ends well")
        assert error.startswith("sessionstore: error[store_unavailable]: ")

    def test_who_was_overtaken_is_told_how_to_go_on(
        self, call, session_id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patched:
            patched.setattr("sessionstore.rotation.rotate._closed", lambda ground, keyring: None)
            ran = call("keys", "rotate")
        assert ran.code == 1
        assert ran.err == (
            "not finished: another process began to change the key meanwhile: "
            "`sessionstore keys rotate --finish` goes on\n"
        )
        assert call("keys", "rotate", "--finish").code == 0


class TestRetire:
    def test_it_is_refused_while_something_needs_the_key(self, call, session_id: str, home: Path) -> None:
        file = home / "data/sessions" / f"{session_id}.jsonl"
        file.write_bytes(file.read_bytes().replace(b"hello", b"hellO"))
        call("keys", "rotate")
        old = keys(call)[0]["id"]
        error = call("keys", "retire", old, "--confirm", "--json").error
        assert (error["code"], error["needs"]) == ("key_in_use", "1 session")
        ran = call("keys", "retire", old, "--dry-run")
        assert ran == (0, f"key {old}  verify_only  needed for 1 session\n", "")
        assert call("keys", "retire", old, "--leaked", "--confirm", "--json").value["status"] == "disabled"
        ran = call("keys", "verify")
        assert ran.code == 1
        assert f"finding: key {old} (disabled) cannot verify the 1 sessions" in ran.err

    def test_a_no_changes_nothing(self, call, session_id: str, terminal) -> None:
        call("keys", "rotate")
        old = keys(call)[0]["id"]
        screen = terminal("keys", "retire", old, answer=b"n\n")
        assert screen.code == 1
        assert "nothing was changed" in screen.text
        assert keys(call)[0]["status"] == "verify_only"


class TestVerify:
    def test_for_programs(self, call, session_id: str) -> None:
        value = call("keys", "verify", "--json").value
        assert (value["ok"], value["findings"], value["notes"]) == (True, [], [])
        assert value["keys"] == keys(call)


class TestTravel:
    def test_sessions_go_to_another_machine(self, call, session_id: str, home: Path, phrase_file: str) -> None:
        target = home.parent / "key.json"
        ran = call("keys", "export", str(target), "--passphrase-file", phrase_file, "--json")
        assert ran.value == {"id": keys(call)[0]["id"], "file": str(target)}
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        there = ["--root", str(home.parent / "elsewhere")]
        take = ["keys", "import", str(target), str(home / "data/sessions"), "--passphrase-file", phrase_file]
        assert call(*there, *take, "--dry-run").out == "1 session would be taken over, 0 refused\n"
        value = call(*there, *take, "--json").value
        assert value["taken"] == [{"origin": session_id, "id": session_id}]
        assert call(*there, "verify", session_id).code == 0

    def test_what_the_key_does_not_vouch_for_is_named(
        self, call, session_id: str, home: Path, phrase_file: str
    ) -> None:
        target = home.parent / "key.json"
        call("keys", "export", str(target), "--passphrase-file", phrase_file)
        file = home.parent / f"{session_id}.jsonl"
        file.write_bytes((home / "data/sessions" / file.name).read_bytes().replace(b"hello", b"hellO"))
        there = ["--root", str(home.parent / "elsewhere")]
        ran = call(*there, "keys", "import", str(target), str(file), "--passphrase-file", phrase_file)
        assert ran.code == 4
        assert f"{file.name}  invalid_signature" in ran.out
        assert ran.out.endswith("0 sessions taken over, 1 refused\n")

    def test_a_place_without_session_files_is_an_error(
        self, call, session_id: str, home: Path, phrase_file: str
    ) -> None:
        target = home.parent / "key.json"
        call("keys", "export", str(target), "--passphrase-file", phrase_file)
        empty = home.parent / "empty"
        empty.mkdir()
        (empty / "notes.txt").write_text("no session")
        there = ["--root", str(home.parent / "elsewhere"), "keys", "import", str(target)]
        for paths, where in [
            ([empty], f"in {empty}\n"),
            ([home / "data/sessions", empty], f"in {empty}\n"),
            ([home], f"in {home}; did you mean {home}/data/sessions?\n"),
            ([home / "data"], f"in {home}/data; did you mean {home}/data/sessions?\n"),
        ]:
            ran = call(*there, *map(str, paths), "--passphrase-file", phrase_file)
            assert (ran.code, ran.out) == (2, "")
            assert f"there is no session file (*.jsonl) {where}" in ran.err
        assert not (home.parent / "elsewhere").exists()

    def test_what_cannot_be_read_is_named_and_the_others_are_taken(
        self, call, session_id: str, home: Path, phrase_file: str
    ) -> None:
        target = home.parent / "key.json"
        call("keys", "export", str(target), "--passphrase-file", phrase_file)
        place = home / "data/sessions"
        large = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d.jsonl"
        with (place / large).open("wb") as file:
            file.truncate(10 * 1024 * 1024 + 1)
        pipe = "1f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d.jsonl"
        os.mkfifo(place / pipe)
        (place / "gone.jsonl").symlink_to("nowhere")
        there = ["--root", str(home.parent / "elsewhere")]
        take = [*there, "keys", "import", str(target), str(place), "--passphrase-file", phrase_file]
        ran = call(*take)
        assert ran.code == 4
        assert ran.out.endswith("1 session taken over, 3 refused\n")
        ran = call(*take, "--json")
        assert ran.code == 4
        refused = [(one["name"], one["code"]) for one in ran.value["refused"]]
        assert refused == [(large, "too_large"), (pipe, "unsafe_file"), ("gone.jsonl", "unsafe_file")]
        assert len(ran.value["taken"]) == 1
        assert call(*there, "verify", session_id).code == 0

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_a_file_that_may_not_be_read_is_named(self, call, session_id: str, home: Path, phrase_file: str) -> None:
        target = home.parent / "key.json"
        call("keys", "export", str(target), "--passphrase-file", phrase_file)
        file = home.parent / f"{session_id}.jsonl"
        file.write_bytes(b"")
        file.chmod(0)
        there = ["--root", str(home.parent / "elsewhere")]
        ran = call(*there, "keys", "import", str(target), str(file), "--passphrase-file", phrase_file, "--json")
        assert (ran.code, [one["code"] for one in ran.value["refused"]]) == (4, ["unreadable"])

    def test_a_descriptor_gives_the_passphrase(self, session_id: str, home: Path, phrase_file: str) -> None:
        fd = os.open(phrase_file, os.O_RDONLY)
        try:
            command = [sys.executable, "-m", "sessionstore", "keys", "export", str(home.parent / "key.json")]
            done = subprocess.run([*command, "--passphrase-fd", str(fd)], pass_fds=[fd], capture_output=True)
        finally:
            os.close(fd)
        assert done.returncode == 0, done.stderr
        assert PHRASE.encode() not in done.stdout + done.stderr

    def test_both_ways_at_once_are_refused(self, call, home: Path, phrase_file: str) -> None:
        ran = call("keys", "export", "key.json", "--passphrase-file", phrase_file, "--passphrase-fd", "0")
        assert ran.code == 2
        assert "exclude each other" in ran.err

    def test_without_a_terminal_nobody_is_asked(self, call, home: Path) -> None:
        ran = call("keys", "export", "key.json")
        assert ran.code == 2
        assert "without a terminal, --passphrase-file or --passphrase-fd is needed" in ran.err

    def test_on_a_terminal_it_is_asked_and_not_shown(
        self, call, session_id: str, home: Path, phrase_file: str, terminal
    ) -> None:
        target = home.parent / "key.json"
        call("keys", "export", str(target), "--passphrase-file", phrase_file)
        take = ["keys", "import", str(target), str(home / "data/sessions"), "--dry-run"]
        screen = terminal(*take, answer=PHRASE.encode() + b"\n", waits_for=b"Passphrase: ")
        assert screen.code == 0
        assert "1 session would be taken over" in screen.text
        assert PHRASE not in screen.text
