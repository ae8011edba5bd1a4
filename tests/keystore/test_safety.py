"""A key file that others may have seen is not used, and what is used is shown to nobody."""

from __future__ import annotations

import os
import re
import socket
import traceback
from pathlib import Path

import pytest

from sessionstore.errors import KeyPermissionsError, KeyringError, KeyUnavailableError
from sessionstore.fs import Directory
from sessionstore.keystore import FileKeyStore
from sessionstore.signing import Key, Keyring, MacKey

CREATED_AT = "2026-01-31T12:00:00.000000Z"


class TestAnUnsafeFile:
    @pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o602, 0o601, 0o610])
    def test_open_to_others_is_refused_and_not_repaired(self, keys: FileKeyStore, file: Path, mode: int) -> None:
        file.chmod(mode)
        with pytest.raises(KeyPermissionsError) as caught:
            keys.load()
        assert file.stat().st_mode & 0o777 == mode
        assert "chmod 600" in caught.value.hint

    def test_with_another_name_is_refused(self, keys: FileKeyStore, file: Path) -> None:
        os.link(file, file.with_name("copy"))
        with pytest.raises(KeyPermissionsError, match="2 links"):
            keys.load()

    @pytest.mark.parametrize("kind", ["symbolic link", "dangling", "directory", "FIFO", "socket"])
    def test_that_is_no_ordinary_file_is_refused_at_once(self, keys: FileKeyStore, file: Path, kind: str) -> None:
        file.rename(file.with_name("elsewhere"))
        opened = None
        if kind == "symbolic link":
            file.symlink_to("elsewhere")
        elif kind == "dangling":
            file.symlink_to("nowhere")
        elif kind == "directory":
            file.mkdir()
        elif kind == "FIFO":
            os.mkfifo(file, 0o600)
        else:
            opened = socket.socket(socket.AF_UNIX)
            opened.bind(str(file))
        with pytest.raises(KeyPermissionsError, match="symbolic link" if kind == "dangling" else kind):
            keys.load()
        if opened:
            opened.close()

    def test_of_another_user_is_refused(self, keys: FileKeyStore, file: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can give a file away")
        os.chown(file, 65534, 65534)
        with pytest.raises(KeyPermissionsError, match="user id 65534"):
            keys.load()

    def test_as_the_pending_one_is_refused_too(self, keys: FileKeyStore, folder: Path) -> None:
        keys.prepare(keys.fresh(CREATED_AT))
        (folder / "keyring.new").chmod(0o644)
        with pytest.raises(KeyPermissionsError):
            keys.pending()

    def test_that_the_kernel_does_not_open_is_unreadable_not_missing(
        self, keys: FileKeyStore, state: Directory, file: Path
    ) -> None:
        state.close()
        with pytest.raises(KeyUnavailableError) as caught:
            keys.load()
        assert caught.value.fields["reason"] == "unreadable"


class TestSecrecy:
    def test_no_representation_shows_a_key(self, keys: FileKeyStore, keyring: Keyring) -> None:
        shown = f"{keys!r} {keyring!r} {keyring.primary!r} {keyring.mac_key('head')!r} {keys!s}"
        assert_hidden(shown, keyring)

    @pytest.mark.parametrize("damage", ["status", "mac", "id", "salt", "cut"])
    def test_no_error_carries_a_key_in_text_or_frames(
        self, keys: FileKeyStore, state: Directory, file: Path, keyring: Keyring, damage: str
    ) -> None:
        text = file.read_text()
        changed = {
            "status": text.replace('"status":"primary"', '"status":"p"'),
            "mac": re.sub(r'"mac":"....', '"mac":"0000', text),
            "id": re.sub(r'"id":"....', '"id":"0000', text),
            "salt": text,
            "cut": text[:-5],
        }
        file.write_text(changed[damage])
        with pytest.raises(KeyringError) as caught:
            FileKeyStore(state, b"other" if damage == "salt" else b"").load()
        error: BaseException | None = caught.value
        assert error is not None
        # What crash reporters collect: the chain of errors, and every local variable of every frame of ours.
        assert error.__cause__ is None
        assert error.__context__ is None
        assert_hidden("".join(traceback.format_exception(error)), keyring)
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if "sessionstore/keystore" in frame.f_code.co_filename:
                for value in frame.f_locals.values():
                    assert not isinstance(value, (Key, Keyring, MacKey, bytes)) or value == b"other", frame
                    assert_hidden(repr(value), keyring)


def assert_hidden(text: str, keyring: Keyring) -> None:
    secret = keyring.primary.secret
    assert secret.hex() not in text
    assert repr(secret)[2:-1] not in text
    assert secret.hex()[:16] not in text
