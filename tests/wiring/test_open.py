"""Opening a store: where things lie, what each missing or foreign part is called."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionstore import Config, errors, open_store
from sessionstore.wiring import claim_store

ID = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"


def config_of(home: Path, **settings: Any) -> Config:
    return Config(data_dir=home / "data", state_dir=home / "state", **settings)


@pytest.fixture
def used(home: Path) -> str:
    """A store that was used: the id of its one session."""
    with open_store(home) as store:
        return store.create(entries=[{"n": 1}]).id


def names(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.name != ".gitignore"}


class TestPlaces:
    def test_a_root_holds_everything(self, home: Path) -> None:
        with open_store(home):
            assert names(home) >= {
                "data/store.json",
                "data/sessions",
                "state/keyring",
                "state/ledger.db",
                "state/locks",
            }
        store_id = json.loads((home / "data" / "store.json").read_text())["store"]
        with open_store(str(home)) as store:
            assert store.store_id == store_id
            assert (store.config.data_dir, store.config.state_dir) == (home / "data", home / "state")

    def test_without_a_root_they_are_the_users_own_of_that_app(self, tmp_path: Path, monkeypatch: Any) -> None:
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "d"))
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "s"))
        with open_store(app="mytool") as store:
            assert store.config.data_dir.parts[-1] == "mytool"
            assert store.config.data_dir != store.config.state_dir
            mine = store.store_id
        with open_store() as store:
            assert store.store_id != mine

    def test_the_environment_is_read_or_given(self, tmp_path: Path, monkeypatch: Any) -> None:
        monkeypatch.setenv("SESSIONSTORE_MAX_SESSIONS", "7")
        with open_store(tmp_path / "a") as store:
            assert store.config.max_sessions == 7
        given = {"SESSIONSTORE_HOME": str(tmp_path / "b"), "SESSIONSTORE_MAX_SESSIONS": "8"}
        with open_store(environ=given) as store:
            assert (store.config.max_sessions, store.config.data_dir) == (8, tmp_path / "b" / "data")

    def test_a_config_is_taken_as_it_is(self, home: Path, monkeypatch: Any) -> None:
        monkeypatch.setenv("SESSIONSTORE_MAX_SESSIONS", "7")
        with open_store(config=config_of(home)) as store:
            assert store.config.max_sessions == 10_000

    def test_a_setting_that_cannot_be_used_makes_nothing(self, home: Path) -> None:
        with pytest.raises(errors.ConfigError):
            open_store(home, environ={"SESSIONSTORE_MAX_SESSIONS": "many"})
        assert not home.exists()

    @pytest.mark.parametrize("backend", ["postgres", "", "FILE", 5])
    def test_an_unknown_backend_is_refused_and_makes_nothing(self, home: Path, backend: Any) -> None:
        with pytest.raises(errors.InvalidValueError):
            open_store(home, backend=backend)
        assert not home.exists()

    def test_windows_is_refused(self, home: Path, monkeypatch: Any) -> None:
        monkeypatch.setattr(sys, "platform", "win32")
        with pytest.raises(errors.StoreUnavailableError):
            open_store(home)

    @pytest.mark.parametrize("name", ["data", "state"])
    def test_a_directory_that_others_may_write_to_is_refused(self, home: Path, used: str, name: str) -> None:
        (home / name).chmod(0o777)
        with pytest.raises(errors.UnsafeFileError):
            open_store(home)
        (home / name).chmod(0o700)
        open_store(home).close()

    def test_a_directory_that_is_a_link_is_refused(self, home: Path, used: str) -> None:
        (home / "data").rename(home / "elsewhere")
        (home / "data").symlink_to("elsewhere")
        with pytest.raises(errors.UnsafeFileError):
            open_store(home)

    def test_state_on_a_network_file_system_is_refused(self, home: Path, child: Callable[..., str]) -> None:
        # Mounts of its own, in which the kernel's table says that everything lies on NFS.
        script = """
import ctypes, os, re, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x20000) or libc.mount(b"none", b"/", None, ctypes.c_ulong(0x44000), None):
    sys.exit(print("skip"))
table = re.sub(rb"(?m) - [^ ]+ ", b" - nfs4 ", open("/proc/self/mountinfo", "rb").read())
open(sys.argv[1] + ".table", "wb").write(table)
if libc.mount((sys.argv[1] + ".table").encode(), b"/proc/self/mountinfo", None, ctypes.c_ulong(0x1000), None):
    sys.exit(print("skip"))
from sessionstore import errors, open_store
try:
    open_store(sys.argv[1])
except errors.StoreUnavailableError as error:
    print(error.reason, error.outcome, error.hint, sep="|")
"""
        printed = child(script, home)
        if printed == "skip":
            pytest.skip("this system does not let a test set up mounts of its own")
        reason, outcome, hint = printed.split("|")
        assert (reason, outcome) == ("the state directory lies on a network file system (nfs4)", "not_written")
        assert "state_dir" in hint
        assert not (home / "state" / "keyring").exists()


class TestLostParts:
    def test_sessions_without_a_key_are_an_error_and_never_a_new_key(self, home: Path, used: str) -> None:
        shutil.rmtree(home / "state")
        for _ in range(2):
            with pytest.raises(errors.KeyUnavailableError) as caught:
                open_store(home)
            assert caught.value.fields["reason"] == "missing"
            assert {path.name for path in (home / "state").rglob("*") if path.is_file()} <= {".gitignore", "init"}

    def test_a_ledger_without_its_key_is_one_too(self, home: Path, used: str) -> None:
        (home / "state" / "keyring").unlink()
        before = (home / "state" / "ledger.db").read_bytes()
        for read_only in (False, True):
            with pytest.raises(errors.KeyUnavailableError):
                open_store(home, read_only=read_only)
        assert not (home / "state" / "keyring").exists()
        assert (home / "state" / "ledger.db").read_bytes() == before

    def test_another_stores_key_is_one_too(self, home: Path, used: str, tmp_path: Path) -> None:
        with open_store(tmp_path / "other"):
            pass
        shutil.copyfile(tmp_path / "other" / "state" / "keyring", home / "state" / "keyring")
        with pytest.raises(errors.UnknownKeyError):
            open_store(home)

    @pytest.mark.parametrize("read_only", [False, True])
    def test_a_key_without_its_ledger_is_an_error_and_never_a_new_ledger(
        self, home: Path, used: str, read_only: bool
    ) -> None:
        (home / "state" / "ledger.db").unlink()
        with pytest.raises(errors.LedgerMissingError) as caught:
            open_store(home, read_only=read_only)
        assert caught.value.fields["path"] == str(home / "state" / "ledger.db")
        assert not (home / "state" / "ledger.db").exists()

    @pytest.mark.parametrize("content", [None, b"", b"{}", b'{"store":"x"}', b'{"store":"x","y":1}', b"\xff"])
    def test_a_data_directory_without_its_id_does_not_fit(self, home: Path, used: str, content: bytes | None) -> None:
        (home / "data" / "store.json").unlink()
        if content is not None:
            (home / "data" / "store.json").write_bytes(content)
        with pytest.raises(errors.StoreMismatchError) as caught:
            open_store(home)
        assert "store.json" in caught.value.fields["reason"]

    def test_an_audit_log_alone_is_a_sign_of_a_lost_key(self, home: Path) -> None:
        (home / "state").mkdir(parents=True, mode=0o700)
        (home / "state" / "audit").write_bytes(b"")
        with pytest.raises(errors.KeyUnavailableError):
            open_store(home)

    def test_a_damaged_key_is_told_from_tampering(self, home: Path, used: str) -> None:
        key = home / "state" / "keyring"
        key.write_bytes(key.read_bytes()[:-9])
        with pytest.raises(errors.KeyCorruptError):
            open_store(home)

    def test_another_salt_is_told_from_tampering(self, home: Path) -> None:
        salted = {"SESSIONSTORE_SIGNING_SALT": "one"}
        with open_store(home, environ=salted) as store:
            id = store.create().id
        for other in ({}, {"SESSIONSTORE_SIGNING_SALT": "two"}):
            with pytest.raises(errors.KeyUnavailableError) as caught:
                open_store(home, environ=other)
            assert caught.value.fields["reason"] == "salt"
        with open_store(home, environ=salted) as store:
            assert store.load(id).rev == 1


def copied(home: Path) -> None:
    """The data directory as a copy of itself, as after a restored backup."""
    shutil.copytree(home / "data", home / "copy")
    # Kept, so that its inode is not given out again.
    (home / "data").rename(home / "original")
    (home / "copy").rename(home / "data")
    (home / "data").chmod(0o700)


class TestMismatch:
    @pytest.mark.parametrize("read_only", [False, True])
    def test_a_copied_data_directory_is_refused(self, home: Path, used: str, read_only: bool) -> None:
        copied(home)
        with pytest.raises(errors.StoreMismatchError) as caught:
            open_store(home, read_only=read_only)
        assert "copy" in caught.value.fields["reason"]
        assert "doctor --claim" in caught.value.hint

    def test_a_renamed_home_is_the_same_store(self, home: Path, used: str) -> None:
        renamed = home.rename(home.with_name("renamed"))
        with open_store(renamed) as store:
            assert store.load(used).rev == 1

    def test_the_data_directory_of_another_store_is_refused(self, home: Path, used: str, tmp_path: Path) -> None:
        with open_store(tmp_path / "other"):
            pass
        config = Config(data_dir=tmp_path / "other" / "data", state_dir=home / "state")
        with pytest.raises(errors.StoreMismatchError) as caught:
            open_store(config=config)
        assert "does not know" in caught.value.fields["reason"]
        with pytest.raises(errors.StoreMismatchError):
            claim_store(config)


class TestClaim:
    def test_a_claimed_copy_is_the_store_and_the_original_is_not_any_more(self, home: Path, used: str) -> None:
        copied(home)
        store_id = claim_store(config_of(home))
        with open_store(home) as store:
            assert store.store_id == store_id
            assert store.append(used, [{"n": 2}]) == 2
        (home / "data").rename(home / "copy")
        (home / "original").rename(home / "data")
        with pytest.raises(errors.StoreMismatchError):
            open_store(home)

    def test_a_claim_forgives_no_session_that_is_older_than_was_acknowledged(self, home: Path, used: str) -> None:
        shutil.copytree(home / "data", home / "backup")
        with open_store(home) as store:
            store.append(used, [{"n": 2}])
        (home / "data").rename(home / "original")
        (home / "backup").rename(home / "data")
        (home / "data").chmod(0o700)
        claim_store(config_of(home))
        with open_store(home) as store, pytest.raises(errors.RollbackError):
            store.load(used)

    def test_claiming_what_is_bound_already_changes_nothing(self, home: Path, used: str) -> None:
        claim_store(config_of(home))
        with open_store(home) as store:
            assert store.load(used).rev == 1

    def test_a_store_that_was_never_started_cannot_be_claimed_and_nothing_is_made(self, home: Path) -> None:
        with pytest.raises(errors.StoreUnavailableError):
            claim_store(config_of(home))
        assert not home.exists()

    def test_without_key_or_ledger_it_is_refused(self, home: Path, used: str) -> None:
        (home / "state" / "ledger.db").unlink()
        with pytest.raises(errors.LedgerMissingError):
            claim_store(config_of(home))
        (home / "state" / "keyring").unlink()
        with pytest.raises(errors.KeyUnavailableError):
            claim_store(config_of(home))
