from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionstore.errors import (
    KeyCorruptError,
    KeyringError,
    KeyUnavailableError,
    StoreUnavailableError,
)
from sessionstore.fs import Directory
from sessionstore.keystore import FileKeyStore
from sessionstore.signing import Key, Keyring, added, closed, new_key, pae, promoted, retired, waiting_key

CREATED_AT = "2026-01-31T12:00:00.000000Z"
Edit = Callable[[dict[str, object]], None]


def secrets(keyring: Keyring | None) -> list[tuple[str, bytes, str, str]]:
    assert keyring is not None
    return [(key.id, key.secret, key.status, key.created_at) for key in keyring.keys]


class TestKeeping:
    def test_there_is_none_before_one_is_made(self, keys: FileKeyStore, folder: Path) -> None:
        assert keys.load() is None
        assert keys.pending() is None
        assert list(folder.iterdir()) == []

    def test_a_fresh_key_is_32_random_bytes(self, keys: FileKeyStore) -> None:
        first, second = keys.fresh(CREATED_AT), keys.fresh(CREATED_AT)
        assert len(first.primary.secret) == 32
        assert first.primary.secret != second.primary.secret
        assert (first.generation, first.primary.status, first.primary.created_at) == (1, "primary", CREATED_AT)

    def test_what_was_stored_is_loaded(self, keys: FileKeyStore, keyring: Keyring) -> None:
        loaded = keys.load()
        assert loaded is not None
        assert secrets(loaded) == secrets(keyring)
        assert loaded.generation == 1

    def test_every_key_comes_back_with_its_status(self, keys: FileKeyStore, state: Directory) -> None:
        stored = Keyring(
            [
                Key(os.urandom(32), "verify_only", CREATED_AT),
                new_key("2026-02-01T00:00:00.000000Z"),
                Key(os.urandom(32), "disabled", CREATED_AT),
            ],
            generation=7,
        )
        keys.prepare(stored)
        keys.promote()
        loaded = FileKeyStore(state).load()
        assert secrets(loaded) == secrets(stored)
        assert loaded is not None
        assert loaded.generation == 7

    def test_derived_keys_are_those_of_the_salt(self, state: Directory) -> None:
        salted = FileKeyStore(state, b"pepper")
        stored = salted.fresh(CREATED_AT)
        salted.prepare(stored)
        salted.promote()
        loaded = FileKeyStore(state, b"pepper").load()
        assert loaded is not None
        loaded.mac_key("head").verify(stored.mac_key("head").tag(b"x"), b"x")

    @pytest.mark.parametrize("umask", [0o000, 0o777])
    def test_the_file_is_private_whatever_the_umask(self, keys: FileKeyStore, folder: Path, umask: int) -> None:
        old = os.umask(umask)
        try:
            keys.prepare(keys.fresh(CREATED_AT))
            assert (folder / "keyring.new").stat().st_mode & 0o777 == 0o600
            keys.promote()
        finally:
            os.umask(old)
        assert (folder / "keyring").stat().st_mode & 0o777 == 0o600
        assert keys.load() is not None

    def test_the_file_is_what_the_format_page_says(self, file: Path, keyring: Keyring) -> None:
        text = file.read_text()
        key = keyring.primary
        stored = f'{{"id":"{key.id}","secret":"{key.secret.hex()}","status":"primary",'
        stored += f'"rows":"counted","created_at":"{CREATED_AT}"}}'
        body = f'{{"format":1,"generation":1,"keys":[{stored}],"check":"'
        assert text.startswith('{"keyring":' + body)
        assert re.fullmatch(r'[0-9a-f]{16}"\},"mac":"[0-9a-f]{64}"\}\n', text[len('{"keyring":' + body) :])
        document = json.loads(text)
        signed = text[len('{"keyring":') : text.index(',"mac"')].encode()
        keyring.mac_key("keyring").verify(bytes.fromhex(document["mac"]), b"sessionstore/keyring/2", signed)
        assert pae(b"sessionstore/keyring/2", signed).endswith(signed)


class TestPromoting:
    def test_a_pending_keyring_is_not_the_keyring(self, keys: FileKeyStore) -> None:
        prepared = keys.fresh(CREATED_AT)
        keys.prepare(prepared)
        assert keys.load() is None
        assert secrets(keys.pending()) == secrets(prepared)
        keys.promote()
        assert secrets(keys.load()) == secrets(prepared)
        assert keys.pending() is None

    def test_it_never_replaces_a_keyring(self, keys: FileKeyStore, keyring: Keyring) -> None:
        keys.prepare(keys.fresh(CREATED_AT))
        with pytest.raises(StoreUnavailableError) as caught:
            keys.promote()
        assert caught.value.fields["outcome"] == "not_written"
        assert secrets(keys.load()) == secrets(keyring)

    def test_without_a_pending_keyring_it_is_refused(self, keys: FileKeyStore) -> None:
        with pytest.raises(StoreUnavailableError):
            keys.promote()

    def test_a_later_pending_keyring_takes_the_place_of_an_earlier_one(self, keys: FileKeyStore) -> None:
        keys.prepare(keys.fresh(CREATED_AT))
        second = keys.fresh(CREATED_AT)
        keys.prepare(second)
        assert secrets(keys.pending()) == secrets(second)

    def test_a_discarded_one_is_gone(self, keys: FileKeyStore, folder: Path) -> None:
        keys.discard_pending()
        keys.prepare(keys.fresh(CREATED_AT))
        keys.discard_pending()
        assert keys.pending() is None
        assert list(folder.iterdir()) == []

    @pytest.mark.parametrize("cut", [0, 1, 40, 200, -1, -2])
    def test_one_that_is_not_whole_does_not_count(self, keys: FileKeyStore, folder: Path, cut: int) -> None:
        keys.prepare(keys.fresh(CREATED_AT))
        pending = folder / "keyring.new"
        whole = pending.read_bytes()
        # The last byte is the line feed: without it nothing is missing.
        pending.write_bytes(whole[: cut - 1] if cut < 0 else whole[:cut])
        assert keys.pending() is None


class TestADamagedFile:
    def test_cut_anywhere_is_refused_as_damaged(self, keys: FileKeyStore, file: Path) -> None:
        whole = file.read_bytes()
        for size in range(0, len(whole) - 1, 5):
            file.write_bytes(whole[:size])
            with pytest.raises(KeyCorruptError):
                keys.load()

    def test_changed_anywhere_is_refused(self, keys: FileKeyStore, file: Path) -> None:
        whole = file.read_bytes()
        for position in range(len(whole) - 1):
            changed = bytearray(whole)
            changed[position] ^= 0x01
            file.write_bytes(changed)
            # A damaged check value looks like a wrong salt, and nothing else does.
            with pytest.raises((KeyCorruptError, KeyUnavailableError)) as caught:
                keys.load()
            if isinstance(caught.value, KeyUnavailableError):
                assert whole.index(b'"check":"') < position < whole.index(b',"mac"')

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"null",
            b"[]",
            b"{}",
            b"\xff\xfe",
            b'{"keyring":null,"mac":""}',
            b'{"keyring":{},"mac":""}',
            b'{"keyring":{"format":1,"generation":1,"keys":[],"check":""},"mac":""}',
            b"[" * 50_000,
            b" " * (64 * 1024 + 1),
        ],
    )
    def test_something_else_is_refused(self, keys: FileKeyStore, file: Path, content: bytes) -> None:
        file.write_bytes(content)
        with pytest.raises(KeyCorruptError):
            keys.load()

    @pytest.mark.parametrize(
        ("edit", "reason"),
        [
            (lambda ring: ring.update(format=2), "format"),
            (lambda ring: ring.update(generation=2), "changed outside"),
            (lambda ring: ring.update(more=1), "not a whole keyring"),
            (lambda ring: ring["keys"][0].update(status="verify_only"), "not a whole keyring"),
            (lambda ring: ring["keys"][0].update(status="other"), "not a whole keyring"),
            (lambda ring: ring["keys"][0].update(created_at="2030-01-01T00:00:00.000000Z"), "changed outside"),
            (lambda ring: ring["keys"][0].update(id="0" * 16), "id it is stored under"),
            (lambda ring: ring["keys"][0].update(secret="0" * 64), "id it is stored under"),
            (lambda ring: ring["keys"][0].update(secret="0" * 62), "not a whole keyring"),
            (lambda ring: ring["keys"][0].update(secret="x" * 64), "not a whole keyring"),
            (lambda ring: ring["keys"].append(dict(ring["keys"][0])), "not a whole keyring"),
            (lambda ring: ring["keys"].append({**ring["keys"][0], "status": "verify_only"}), "not a whole keyring"),
        ],
    )
    def test_what_is_wrong_is_told(self, keys: FileKeyStore, file: Path, edit: Edit, reason: str) -> None:
        document = json.loads(file.read_bytes())
        edit(document["keyring"])
        file.write_text(json.dumps(document, separators=(",", ":")))
        with pytest.raises(KeyCorruptError, match=reason) as caught:
            keys.load()
        assert caught.value.fields["path"] == str(file)

    def test_a_status_cannot_be_raised_without_the_key(
        self, keys: FileKeyStore, state: Directory, folder: Path
    ) -> None:
        # Demoting the primary and promoting an old key keeps exactly one primary; the tag is then under the wrong key.
        old = Key(os.urandom(32), "verify_only", CREATED_AT)
        keys.prepare(Keyring([new_key(CREATED_AT), old], generation=2))
        keys.promote()
        text = (folder / "keyring").read_text()
        swapped = text.replace('"primary"', '"?"').replace('"verify_only"', '"primary"').replace('"?"', '"verify_only"')
        (folder / "keyring").write_text(swapped)
        with pytest.raises(KeyringError):
            keys.load()


class TestTheSalt:
    @pytest.mark.parametrize(("made", "used"), [(b"", b"pepper"), (b"pepper", b""), (b"pepper", b"Pepper")])
    def test_another_one_is_not_called_damage(self, state: Directory, made: bytes, used: bytes) -> None:
        keys = FileKeyStore(state, made)
        keys.prepare(keys.fresh(CREATED_AT))
        keys.promote()
        with pytest.raises(KeyUnavailableError) as caught:
            FileKeyStore(state, used).load()
        assert caught.value.fields["reason"] == "salt"
        assert "SESSIONSTORE_SIGNING_SALT" in caught.value.hint
        assert keys.load() is not None


class TestReplace:
    def test_a_changed_keyring_takes_the_place_of_the_old_one(
        self, keys: FileKeyStore, keyring: Keyring, folder: Path
    ) -> None:
        newer = added(keyring, waiting_key(CREATED_AT))
        assert newer is not None
        keys.replace(newer)
        assert secrets(keys.load()) == secrets(newer)
        assert keys.found().generation == 2
        assert (folder / "keyring").stat().st_mode & 0o777 == 0o600

    def test_every_status_comes_back(self, keys: FileKeyStore, keyring: Keyring) -> None:
        ring, old = keyring, keyring.primary.id
        steps = (
            lambda ring: added(ring, waiting_key(CREATED_AT)),
            promoted,
            closed,
            lambda ring: retired(ring, old, "disabled"),
            lambda ring: retired(ring, old, "destroyed"),
        )
        for step in steps:
            newer = step(ring)
            assert newer is not None
            keys.replace(newer)
            ring = keys.found()
            assert ring.generation == newer.generation
            states = [(key.id, key.status, key.rows, key.secret) for key in ring.keys]
            assert states == [(key.id, key.status, key.rows, key.secret) for key in newer.keys]

    def test_what_cannot_be_is_a_damaged_file(self, keys: FileKeyStore, keyring: Keyring, file: Path) -> None:
        data = file.read_bytes()
        file.write_bytes(data.replace(b'"rows":"counted"', b'"rows":"closed"'))
        with pytest.raises(KeyCorruptError, match="whole keyring"):
            keys.load()

    def test_a_keyring_that_is_gone_is_said_to_be_missing(self, keys: FileKeyStore) -> None:
        with pytest.raises(KeyUnavailableError) as caught:
            keys.found()
        assert caught.value.fields["reason"] == "missing"
