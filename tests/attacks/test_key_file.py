"""The key file: short, damaged, readable by others, linked, gone. Never a weaker key, a second one, or silence."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionstore import open_store
from sessionstore.errors import ConfigError, KeyCorruptError, KeyPermissionsError, KeyringError, KeyUnavailableError


def key(victim: Any) -> Path:
    return victim.root / "state" / "keyring"


@pytest.fixture
def closed(victim: Any) -> Any:
    victim.store.close()
    return victim


def refused(victim: Any) -> KeyringError:
    """The error of opening, after which nothing is there that was not there before."""

    def everything() -> dict[Path, int]:
        return {path: path.lstat().st_size for path in victim.root.rglob("*") if "ledger.db-" not in path.name}

    before = everything()
    for read_only in (False, True):
        with pytest.raises(KeyringError) as caught:
            open_store(victim.root, environ={}, read_only=read_only)
    assert everything() == before
    assert victim.path.read_bytes() == victim.good
    return caught.value


class TestContent:
    def test_every_shorter_key_file(self, closed: Any) -> None:
        good = key(closed).read_bytes()
        for length in range(0, len(good) - 1, 9):
            key(closed).write_bytes(good[:length])
            assert isinstance(refused(closed), KeyCorruptError)

    def test_changed_bytes(self, closed: Any) -> None:
        good = key(closed).read_bytes()
        for at in range(0, len(good) - 1, 5):
            data = bytearray(good)
            data[at] ^= 1 << at % 7
            key(closed).write_bytes(data)
            assert isinstance(refused(closed), (KeyCorruptError, KeyUnavailableError))
        key(closed).write_bytes(good)
        with open_store(closed.root, environ={}) as again:
            assert again.load(closed.id) == closed.session

    @pytest.mark.parametrize("content", [b"\xff" * 400, b"[]", b"{}" * 40_000, b"\0" * 32])
    def test_something_else(self, closed: Any, content: bytes) -> None:
        key(closed).write_bytes(content)
        assert isinstance(refused(closed), KeyCorruptError)

    def test_the_key_of_another_store(self, closed: Any, tmp_path: Path) -> None:
        open_store(tmp_path / "elsewhere", environ={}).close()
        key(closed).write_bytes((tmp_path / "elsewhere" / "state" / "keyring").read_bytes())
        assert refused(closed).code == "unknown_key"

    def test_another_signing_salt(self, closed: Any) -> None:
        with pytest.raises(KeyUnavailableError) as caught:
            open_store(closed.root, environ={"SESSIONSTORE_SIGNING_SALT": "another salt of some length"})
        assert caught.value.reason == "salt"


class TestPlace:
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o660, 0o777])
    def test_one_that_others_can_use(self, closed: Any, mode: int) -> None:
        key(closed).chmod(mode)
        assert isinstance(refused(closed), KeyPermissionsError)

    def test_one_of_another_user(self, closed: Any) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can give a file away")
        os.chown(key(closed), 65534, 65534)
        assert isinstance(refused(closed), KeyPermissionsError)

    @pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symbolic", "hard"])
    def test_one_that_is_a_link_to_the_real_one(self, closed: Any, link: Callable[..., None]) -> None:
        key(closed).rename(closed.root / "moved")
        link(closed.root / "moved", key(closed))
        assert isinstance(refused(closed), KeyPermissionsError)

    @pytest.mark.parametrize("put", [os.mkfifo, os.mkdir], ids=["FIFO", "directory"])
    def test_one_that_is_no_file(self, closed: Any, put: Callable[[Path], None]) -> None:
        key(closed).unlink()
        put(key(closed))
        assert isinstance(refused(closed), KeyPermissionsError)

    def test_one_that_may_not_be_read(self, shared_root: Path, unmeasured: dict[str, str]) -> None:
        child = (
            "import os, sys\n"
            "from pathlib import Path\n"
            "from sessionstore import open_store\n"
            "from sessionstore.errors import KeyUnavailableError\n"
            "root = Path(sys.argv[1])\n"
            # Everything is imported before the change of user, who may not be able to read this Python.
            "with open_store(root, environ={}) as store: store.append(store.create().id, [{}]); store.list()\n"
            "if os.geteuid() == 0:\n"
            "    for path in [root, *root.rglob('*')]: os.chown(path, 65534, 65534)\n"
            "    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "    open_store(root, environ={}).close()\n"
            "(root / 'state' / 'keyring').chmod(0)\n"
            "try: open_store(root, environ={})\n"
            "except KeyUnavailableError as error: print(error.reason)\n"
        )
        command = [sys.executable, "-c", child, str(shared_root)]
        done = subprocess.run(command, capture_output=True, text=True, env=unmeasured)
        if "setgroups" in done.stderr or "chown" in done.stderr:
            pytest.skip("this root cannot become another user")
        assert (done.stdout, done.stderr) == ("unreadable\n", "")


class TestMissing:
    def test_it_is_not_made_anew_beside_a_ledger(self, closed: Any) -> None:
        key(closed).unlink()
        error = refused(closed)
        assert isinstance(error, KeyUnavailableError) and error.reason == "missing"

    def test_it_is_not_made_anew_beside_sealed_files_alone(self, closed: Any) -> None:
        for path in [key(closed), *(closed.root / "state").glob("ledger.db*")]:
            path.unlink()
        error = refused(closed)
        assert isinstance(error, KeyUnavailableError) and error.reason == "missing"

    @pytest.mark.parametrize("rest", ["ledger.db-wal", "ledger.db-shm", "ledger.db-journal"])
    def test_it_is_not_made_anew_beside_a_trace_of_a_ledger(self, closed: Any, rest: str) -> None:
        for path in [key(closed), closed.path, *(closed.root / "state").glob("ledger.db*")]:
            path.unlink()
        (closed.root / "state" / rest).touch(0o600)
        with pytest.raises(KeyringError):
            open_store(closed.root, environ={})
        assert not key(closed).exists()

    def test_a_key_left_beside_it_by_somebody_else_is_not_taken(self, closed: Any, tmp_path: Path) -> None:
        """A planted `keyring.new` is what a killed first start would leave."""
        open_store(tmp_path / "elsewhere", environ={}).close()
        planted = key(closed).with_name("keyring.new")
        planted.write_bytes((tmp_path / "elsewhere" / "state" / "keyring").read_bytes())
        planted.chmod(0o600)
        key(closed).unlink()
        error = refused(closed)
        assert isinstance(error, KeyUnavailableError) and error.reason == "missing"


class TestElsewhere:
    """The bytes of the key lie elsewhere: what somebody makes of the file, of the place, or of the setting."""

    NAME = "SESSIONSTORE_KEY"

    @pytest.fixture(autouse=True)
    def nothing_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sessionstore.keystore.given._held", {})

    def opened(self, home: Path, provider: str, key: str | None) -> Any:
        given = {} if key is None else {self.NAME: key}
        return open_store(home, environ={"SESSIONSTORE_KEY_PROVIDER": provider, **given})

    def test_another_key_makes_no_other_identity(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened(home, "environment", "11" * 32).close()
        before = {file: file.read_bytes() for file in home.rglob("*") if file.is_file() and "ledger" not in file.name}
        with pytest.raises(KeyUnavailableError) as caught:
            self.opened(home, "environment", "22" * 32)
        assert caught.value.fields["reason"] == "another"
        assert {file: file.read_bytes() for file in before} == before

    def test_a_planted_keyring_file_is_not_preferred_to_the_place(self, home: Path, tmp_path: Path) -> None:
        self.opened(home, "environment", "11" * 32).close()
        open_store(tmp_path / "theirs").close()
        planted = (tmp_path / "theirs" / "state" / "keyring").read_bytes()
        (home / "state" / "keyring").write_bytes(planted)
        with pytest.raises(KeyUnavailableError) as caught:
            self.opened(home, "environment", "11" * 32)
        assert caught.value.fields["reason"] == "elsewhere"

    @pytest.mark.parametrize(("old", "new"), [(b"primary", b"disabled"), (b"counted", b"closed"), (b"2026", b"2025")])
    def test_what_the_file_says_of_the_key_is_signed_as_ever(self, home: Path, old: bytes, new: bytes) -> None:
        self.opened(home, "environment", "11" * 32).close()
        file = home / "state" / "keyring"
        file.write_bytes(file.read_bytes().replace(old, new) if old in file.read_bytes() else b"{}")
        with pytest.raises(KeyCorruptError):
            self.opened(home, "environment", "11" * 32)

    def test_a_key_beside_another_provider_is_refused(self, home: Path) -> None:
        for provider in ("file", "keyring"):
            with pytest.raises(ConfigError) as caught:
                self.opened(home, provider, "11" * 32)
            assert caught.value.fields == {
                "setting": "key_provider",
                "source": "environment SESSIONSTORE_KEY",
                "reason": f"a key is given there, and key_provider is {provider}, not environment",
            }
        assert not home.exists()
