"""A key that does not lie in the state directory: given on a descriptor, in the environment, or kept by the system."""

from __future__ import annotations

import base64
import json
import os
import pty
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from sessionstore import Config, SessionStore, errors, open_store
from sessionstore.keystore import given
from sessionstore.signing import key_id

SECRET = bytes(range(32))
OTHER = bytes(range(1, 33))
ENVIRONMENT = "SESSIONSTORE_KEY"


@pytest.fixture(autouse=True)
def nothing_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has not read a key yet."""
    monkeypatch.setattr(given, "_held", {})
    monkeypatch.setattr(given, "_untold", set())


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given, "_held", {})


@pytest.fixture
def opened(home: Path) -> Iterator[Callable[..., SessionStore]]:
    """Opens the store in `home` with a provider."""
    stores: list[SessionStore] = []

    def open_one(provider: str, read_only: bool = False, **settings: Any) -> SessionStore:
        config = Config(data_dir=home / "data", state_dir=home / "state", key_provider=provider, **settings)
        stores.append(open_store(config=config, read_only=read_only))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


def inheritable(*parts: bytes, end: bool = True) -> int:
    """A descriptor as a parent would have left it: a pipe with these bytes."""
    reading, writing = os.pipe()
    for part in parts:
        os.write(writing, part)
    if end:
        os.close(writing)
    else:
        os.set_inheritable(writing, False)
    os.set_inheritable(reading, True)
    return reading


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def stored(home: Path) -> dict[str, Any]:
    return json.loads((home / "state" / "keyring").read_bytes())["keyring"]


def refused(call: Callable[[], object]) -> errors.KeyUnavailableError:
    with pytest.raises(errors.KeyUnavailableError) as caught:
        call()
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    for secret in (SECRET, OTHER):
        for form in (secret.hex(), repr(secret)[2:20], base64.b64encode(secret).decode()):
            assert form not in shown
    assert caught.value.__context__ is None
    return caught.value


class TestEnvironment:
    @pytest.mark.parametrize(
        "text", [SECRET.hex(), SECRET.hex().upper(), base64.b64encode(SECRET).decode()], ids=["hex", "HEX", "base64"]
    )
    def test_it_is_read_once_removed_and_warned_about_once(
        self, opened: Callable[..., SessionStore], home: Path, monkeypatch: pytest.MonkeyPatch, text: str
    ) -> None:
        monkeypatch.setenv(ENVIRONMENT, text)
        store = opened("environment")
        assert ENVIRONMENT not in os.environ
        assert store.notices == (
            "the signing key came from SESSIONSTORE_KEY, which is meant for CI: other processes of this user can read "
            "the environment that a process was started with",
        )
        assert [key.id for key in store.list_keys()] == [key_id(SECRET)]
        id = store.create(entries=[{"n": 1}]).id
        again = opened("environment")
        assert again.notices == ()
        assert again.load(id).entries == ({"n": 1},)
        (kept,) = stored(home)["keys"]
        assert (kept["id"], kept["secret"], kept["status"]) == (key_id(SECRET), "", "primary")
        for file in home.rglob("*"):
            if file.is_file():
                data = file.read_bytes()
                assert SECRET not in data and SECRET.hex().encode() not in data.lower()
                assert base64.b64encode(SECRET) not in data

    def test_a_copy_of_the_environment_does_not_keep_it_either(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(ENVIRONMENT, SECRET.hex())
        environ = {"SESSIONSTORE_KEY_PROVIDER": "environment", ENVIRONMENT: SECRET.hex()}
        open_store(home, environ=environ).close()
        assert environ == {"SESSIONSTORE_KEY_PROVIDER": "environment"}
        assert ENVIRONMENT not in os.environ
        open_store(home, environ=environ).close()

    def test_an_environment_that_cannot_be_changed_is_read_as_it_is(self, home: Path) -> None:
        names = {"SESSIONSTORE_KEY_PROVIDER": "environment", ENVIRONMENT: SECRET.hex()}
        with open_store(home, environ=MappingProxyType(names)) as store:
            assert [key.id for key in store.list_keys()] == [key_id(SECRET)]

    @pytest.mark.parametrize("text", ["", "short", SECRET.hex()[:-1], SECRET.hex() + "\n", "=" * 44, "é" * 44])
    def test_what_is_no_key_is_refused_removed_and_not_repeated(
        self, opened: Callable[..., SessionStore], home: Path, monkeypatch: pytest.MonkeyPatch, text: str
    ) -> None:
        monkeypatch.setenv(ENVIRONMENT, text)
        error = refused(lambda: opened("environment"))
        assert error.fields == {"reason": "another", "path": "environment SESSIONSTORE_KEY"}
        assert not text or text not in f"{error} {error.hint}"
        assert ENVIRONMENT not in os.environ
        assert not (home / "state" / "keyring").exists()

    def test_without_one_no_store_is_made(self, opened: Callable[..., SessionStore], home: Path) -> None:
        error = refused(lambda: opened("environment"))
        assert error.fields == {"reason": "missing", "path": "environment SESSIONSTORE_KEY"}
        assert not (home / "state" / "keyring").exists()
        assert not (home / "state" / "ledger.db").exists()

    @pytest.mark.parametrize("read_only", [False, True])
    def test_another_key_is_refused_and_nothing_is_made_anew(
        self,
        opened: Callable[..., SessionStore],
        home: Path,
        monkeypatch: pytest.MonkeyPatch,
        read_only: bool,
    ) -> None:
        monkeypatch.setenv(ENVIRONMENT, SECRET.hex())
        opened("environment").close()
        before = (home / "state" / "keyring").read_bytes()
        forget(monkeypatch)
        monkeypatch.setenv(ENVIRONMENT, OTHER.hex())
        error = refused(lambda: opened("environment", read_only))
        assert error.fields["reason"] == "another"
        assert error.hint == f"give the key {key_id(SECRET)}, which this store was made with"
        assert (home / "state" / "keyring").read_bytes() == before

    @pytest.mark.parametrize(("made", "used"), [("file", "environment"), ("environment", "file")])
    def test_a_store_has_its_key_in_one_place(
        self, opened: Callable[..., SessionStore], home: Path, monkeypatch: pytest.MonkeyPatch, made: str, used: str
    ) -> None:
        monkeypatch.setenv(ENVIRONMENT, SECRET.hex())
        opened(made).close()
        before = (home / "state" / "keyring").read_bytes()
        error = refused(lambda: opened(used))
        assert error.fields["reason"] == "elsewhere"
        assert error.hint.startswith("set key_provider to ")
        assert (home / "state" / "keyring").read_bytes() == before

    def test_it_cannot_be_rotated_and_it_is_said_how_to_change_it(
        self, opened: Callable[..., SessionStore], home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(ENVIRONMENT, SECRET.hex())
        store = opened("environment")
        for leaked in (False, True):
            with pytest.raises(errors.StoreUnavailableError) as caught:
                store.rotate_keys(leaked=leaked)
            assert "the key is given from outside" in str(caught.value)
            assert "`sessionstore keys export` here, `keys import` there" in caught.value.hint
        assert list(store.audit()) == []
        report = store.rotate_keys(finish=True)
        assert (report.finished, report.added) == (True, False)

    def test_the_way_that_is_told_works(
        self, opened: Callable[..., SessionStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(ENVIRONMENT, SECRET.hex())
        old = opened("environment")
        id = old.create(entries=[{"n": 1}]).id
        key = old.export_key("a long enough phrase")
        file = Path(old.config.data_dir) / "sessions" / f"{id}.jsonl"
        forget(monkeypatch)
        monkeypatch.setenv(ENVIRONMENT, OTHER.hex())
        config = Config(data_dir=tmp_path / "d", state_dir=tmp_path / "s", key_provider="environment")
        with open_store(config=config) as new:
            report = new.take_over(key, "a long enough phrase", [(file.name, file.read_bytes())])
            assert report.taken == ((id, id),)
            assert [one.id for one in new.list_keys()] == [key_id(OTHER)]

    def test_a_store_in_memory_has_a_key_of_its_own(self, home: Path) -> None:
        config = Config(data_dir=home / "d", state_dir=home / "s", key_provider="environment")
        with open_store(config=config, backend="memory") as store:
            assert store.create().rev == 1


class TestDescriptor:
    def test_it_is_read_once_and_closed(self, opened: Callable[..., SessionStore], home: Path) -> None:
        fd = inheritable(SECRET[:7], SECRET[7:])
        store = opened("descriptor", key_fd=fd)
        assert [key.id for key in store.list_keys()] == [key_id(SECRET)]
        assert store.notices == ()
        assert stored(home)["keys"][0]["secret"] == ""
        id = store.create().id
        assert opened("descriptor", key_fd=fd).load(id).rev == 1

    def test_a_file_and_a_socket_will_do_and_are_closed(
        self, opened: Callable[..., SessionStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "key").write_bytes(SECRET)
        fd = os.open(tmp_path / "key", os.O_RDONLY)
        os.set_inheritable(fd, True)
        assert given.from_descriptor(fd).first() == SECRET
        assert not is_open(fd)
        forget(monkeypatch)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(SECRET)
            theirs.shutdown(socket.SHUT_WR)
            fd = os.dup(ours.fileno())
            os.set_inheritable(fd, True)
            assert given.from_descriptor(fd).first() == SECRET
            assert not is_open(fd)

    @pytest.mark.parametrize(
        ("content", "reason"), [(b"", "another"), (SECRET[:-1], "another"), (SECRET + b"\n", "another")]
    )
    def test_32_bytes_and_the_end_are_needed(
        self, opened: Callable[..., SessionStore], home: Path, content: bytes, reason: str
    ) -> None:
        fd = inheritable(content)
        error = refused(lambda: opened("descriptor", key_fd=fd))
        assert error.fields == {"reason": reason, "path": f"descriptor {fd}"}
        assert not (home / "state" / "keyring").exists()

    def test_an_end_that_does_not_come_is_not_waited_for(
        self, opened: Callable[..., SessionStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(given, "READ_TIMEOUT_S", 0.01)
        fd = inheritable(SECRET, end=False)
        error = refused(lambda: opened("descriptor", key_fd=fd))
        assert error.fields["reason"] == "unreadable"
        assert error.hint.endswith("; the end did not come in time")

    def test_a_terminal_is_refused_and_closed(self) -> None:
        leader, follower = pty.openpty()
        os.set_inheritable(follower, True)
        try:
            with pytest.raises(given.Withheld) as caught:
                given.from_descriptor(follower).first()
            assert caught.value.hint.endswith("; a terminal is no place for a key")
            assert not is_open(follower)
        finally:
            os.close(leader)

    def test_a_directory_and_a_file_that_cannot_be_read_are_refused(self, tmp_path: Path) -> None:
        fd = os.open(tmp_path, os.O_RDONLY)
        os.set_inheritable(fd, True)
        with pytest.raises(given.Withheld) as caught:
            given.from_descriptor(fd).first()
        assert caught.value.hint.endswith("; a pipe, a socket or a file is needed")
        (tmp_path / "key").write_bytes(SECRET)
        fd = os.open(tmp_path / "key", os.O_WRONLY)
        os.set_inheritable(fd, True)
        with pytest.raises(given.Withheld) as caught:
            given.from_descriptor(fd).first()
        assert caught.value.hint.endswith("; Bad file descriptor")
        assert not is_open(fd)

    def test_what_this_process_opened_itself_is_left_alone(self, tmp_path: Path) -> None:
        with (tmp_path / "ledger").open("w+b") as file:
            file.write(SECRET)
            file.flush()
            with pytest.raises(given.Withheld) as caught:
                given.from_descriptor(file.fileno()).first()
            assert caught.value.hint.endswith("; this one was opened by the process itself and is left alone")
            assert is_open(file.fileno())

    def test_one_that_is_not_there_is_missing(self, opened: Callable[..., SessionStore]) -> None:
        error = refused(lambda: opened("descriptor", key_fd=1_048_000))
        assert error.fields == {"reason": "missing", "path": "descriptor 1048000"}
        assert error.hint == (
            "start with 32 bytes on descriptor 1048000, such as `1048000<FILE`, and close the writing end"
        )


class TestGivenKey:
    def test_it_keeps_itself_and_nothing_else(self) -> None:
        key = given.GivenKey("environment", "here", lambda: SECRET, "hint")
        key.put(key_id(SECRET), SECRET)
        with pytest.raises(given.Withheld):
            key.put(key_id(OTHER), OTHER)
        key.drop(key_id(SECRET))
        assert key.get(key_id(SECRET)) == SECRET
        assert repr(key) == "GivenKey(environment)"


class TestInAProcessOfItsOwn:
    SCRIPT = """
import os, subprocess, sys
from sessionstore import open_store
with open_store(sys.argv[1]) as store:
    print([key.id for key in store.list_keys()])
    print(subprocess.run([sys.executable, "-c", sys.argv[2]], close_fds=False, capture_output=True, text=True).stdout)
"""
    LOOK = """
import os
def there(fd):
    try: return bool(os.fstat(fd))
    except OSError: return False
print(os.environ.get("SESSIONSTORE_KEY"), there(%d))
"""

    @pytest.mark.parametrize("provider", ["descriptor", "environment"])
    def test_the_key_does_not_reach_a_child(self, home: Path, unmeasured: dict[str, str], provider: str) -> None:
        fd = inheritable(SECRET)
        environ = {**unmeasured, "SESSIONSTORE_KEY_PROVIDER": provider}
        environ |= {"SESSIONSTORE_KEY_FD": str(fd)} if provider == "descriptor" else {ENVIRONMENT: SECRET.hex()}
        command = [sys.executable, "-W", "error", "-c", self.SCRIPT, str(home), self.LOOK % fd]
        fds = [fd] if provider == "descriptor" else []
        try:
            done = subprocess.run(command, env=environ, pass_fds=fds, capture_output=True, text=True, timeout=60)
        finally:
            os.close(fd)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split("\n")[:2] == [f"['{key_id(SECRET)}']", "None False"]


class TestKeyringOfTheSystem:
    @pytest.fixture
    def backend(self) -> Iterator[Any]:
        keyring = pytest.importorskip("keyring", reason="the extra `keyring` is not installed")
        from keyring.backend import KeyringBackend
        from keyring.errors import KeyringLocked, PasswordDeleteError

        class Kept(KeyringBackend):
            """A real backend, registered as a user would; what it keeps is in this object."""

            priority = 1  # type: ignore[assignment]

            def __init__(self) -> None:
                super().__init__()
                self.entries: dict[tuple[str, str], str] = {}
                self.is_locked = self.is_stuck = False
                self.keeps = True

            def get_password(self, service: str, username: str) -> str | None:
                if self.is_locked:
                    raise KeyringLocked("locked")
                return self.entries.get((service, username))

            def set_password(self, service: str, username: str, password: str) -> None:
                if self.keeps:
                    self.entries[service, username] = password

            def delete_password(self, service: str, username: str) -> None:
                if self.is_stuck:
                    raise PasswordDeleteError("stuck")
                del self.entries[service, username]

        before, kept = keyring.get_keyring(), Kept()
        keyring.set_keyring(kept)
        yield kept
        keyring.set_keyring(before)

    def test_the_key_is_an_entry_under_its_id(
        self, backend: Any, opened: Callable[..., SessionStore], home: Path
    ) -> None:
        store = opened("keyring")
        (key,) = store.list_keys()
        assert list(backend.entries) == [("sessionstore", key.id)]
        assert key_id(bytes.fromhex(backend.entries["sessionstore", key.id])) == key.id
        id = store.create(entries=[{"n": 1}]).id
        store.close()
        assert stored(home)["keys"][0]["secret"] == ""
        again = opened("keyring")
        assert (again.load(id).entries, again.notices) == (({"n": 1},), ())

    def test_a_rotation_adds_an_entry_and_destroying_a_key_removes_one(
        self, backend: Any, opened: Callable[..., SessionStore]
    ) -> None:
        store, beside = opened("keyring"), opened("keyring")
        id = beside.create().id
        (old,) = store.list_keys()
        report = store.rotate_keys()
        assert {name for _, name in backend.entries} == {old.id, report.primary}
        beside.append(id, [{"n": 1}])
        store.rotate_keys(finish=True)
        store.retire_key(old.id, destroy=True)
        assert {name for _, name in backend.entries} == {report.primary}
        assert opened("keyring").load(id).entries == ({"n": 1},)
        backend.entries["sessionstore", old.id] = "00" * 32
        report = store.rotate_keys(leaked=True)
        assert ("sessionstore", old.id) not in backend.entries

    def test_a_destroyed_key_whose_entry_could_not_be_removed_is_removed_the_next_time(
        self, backend: Any, opened: Callable[..., SessionStore]
    ) -> None:
        store = opened("keyring")
        (old,) = store.list_keys()
        store.rotate_keys()
        backend.is_stuck = True
        for _ in range(2):
            refused(lambda: store.retire_key(old.id, destroy=True))
            assert ("sessionstore", old.id) in backend.entries
        backend.is_stuck = False
        store.retire_key(old.id, dry_run=True, destroy=True)
        store.retire_key(old.id)
        assert ("sessionstore", old.id) in backend.entries
        store.retire_key(old.id, destroy=True)
        assert ("sessionstore", old.id) not in backend.entries

    def test_an_entry_that_is_gone_or_another_is_refused_and_never_made_anew(
        self, backend: Any, opened: Callable[..., SessionStore]
    ) -> None:
        store = opened("keyring")
        (key,) = store.list_keys()
        store.close()
        entry = ("sessionstore", key.id)
        good = backend.entries.pop(entry)
        for value, reason in [(None, "missing"), (SECRET.hex(), "another"), ("", "another"), ("x", "another")]:
            if value is not None:
                backend.entries[entry] = value
            error = refused(lambda: opened("keyring"))
            assert error.fields == {"reason": reason, "path": "the keyring of the operating system"}
            assert backend.entries.get(entry) == value
        backend.entries[entry] = good
        opened("keyring")

    def test_one_that_is_locked_or_keeps_nothing_is_refused(
        self, backend: Any, opened: Callable[..., SessionStore], home: Path
    ) -> None:
        backend.keeps = False
        error = refused(lambda: opened("keyring"))
        assert (error.fields["reason"], error.hint) == (
            "unreadable",
            "it did not keep the key; unlock it, or see `keyring --list-backends` for what is there",
        )
        assert not (home / "state" / "keyring").exists()
        backend.keeps = True
        opened("keyring").close()
        backend.is_locked = True
        error = refused(lambda: opened("keyring"))
        assert error.hint == "unlock it, or see `keyring --list-backends` for what is there (KeyringLocked)"

    def test_an_id_in_the_file_that_is_none_is_never_asked_for(
        self, backend: Any, opened: Callable[..., SessionStore], home: Path
    ) -> None:
        opened("keyring").close()
        file = home / "state" / "keyring"
        (key,) = stored(home)["keys"]
        file.write_bytes(file.read_bytes().replace(key["id"].encode(), b"some other entry"))
        backend.entries["sessionstore", "some other entry"] = SECRET.hex()
        with pytest.raises(errors.KeyCorruptError):
            opened("keyring")

    def test_without_the_library_it_is_said_what_to_install(
        self, opened: Callable[..., SessionStore], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "keyring", None)
        error = refused(lambda: opened("keyring"))
        assert (error.fields["reason"], error.hint) == ("unreadable", "pip install 'sessionstore[keyring]'")

    def test_the_library_is_loaded_only_for_this(self, home: Path, unmeasured: dict[str, str]) -> None:
        script = "import sys; from sessionstore import open_store as o; o(sys.argv[1]); print('keyring' in sys.modules)"
        command = [sys.executable, "-W", "error", "-c", script, str(home)]
        done = subprocess.run(command, env=unmeasured, capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout == "False\n"

    def test_its_repr_tells_nothing(self) -> None:
        from sessionstore.keystore.os_keyring import OsKeyring

        assert repr(OsKeyring()) == "OsKeyring()"
