"""The key is in one file and nowhere else: no other file, no error, no representation, no traceback, no log."""

from __future__ import annotations

import base64
import json
import logging
import os
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionstore import open_store
from sessionstore.errors import SessionStoreError

SALT = "a salt that nobody should see in any log"
TOLD = "what the user said to the agent in private"


def forms(secret: bytes) -> list[bytes]:
    """The ways in which bytes get into text, upper and lower case, and halves of them."""
    found = []
    for part in (secret, secret[:16], secret[16:]):
        encoded = (base64.b64encode(part), base64.urlsafe_b64encode(part), base64.b85encode(part))
        found += [part, part.hex().encode(), part.hex().upper().encode(), repr(part)[2:-1].encode()]
        found += [text.rstrip(b"=")[:-1] for text in encoded]
    return found


def secrets(root: Path) -> list[bytes]:
    """Every form of the install key and of the keys derived from it."""
    from sessionstore.signing import keyring

    (key,) = json.loads((root / "state" / "keyring").read_bytes())["keyring"]["keys"]
    secret = bytes.fromhex(key["secret"])
    purposes = ("session", "audit", "export", "head", "inventory", "keyring", "policy", "store")
    derived = [keyring._hkdf(secret, SALT.encode(), purpose, 32) for purpose in purposes]
    return [form for one in (secret, *derived) for form in forms(one)]


def every_error(store: Any, root: Path) -> Iterator[BaseException]:
    """A broad run: what goes wrong in it, one error after the other."""
    session = store.create(name="atlas")
    store.append(session.id, [{"role": "user", "content": TOLD}])
    path = root / "data" / "sessions" / f"{session.id}.jsonl"
    good = path.read_bytes()
    calls: list[Any] = []
    for damaged in (b"", good[:-1], good[: len(good) // 2], good.replace(b"private", b"PRIVATE"), b"x" * 100):
        calls += [(damaged, lambda: store.load(session.id)), (damaged, lambda: store.append(session.id, [{}]))]
        calls += [(damaged, lambda: list(store.entries(session.id))), (damaged, lambda: store.export(session.id))]
    calls += [(good, lambda: store.load("no id")), (good, lambda: store.append(session.id, [{"a": float("nan")}]))]
    calls += [
        (good, lambda: store.append(session.id, [{}], expected_rev=99)),
        (good, lambda: store.create(id=session.id)),
    ]
    calls += [(good, lambda: store.import_document(store.export(session.id)[:-5] + b'x"}}\n'))]
    calls += [
        (good, lambda: pickle.dumps(store._ground.keyring)),
        (good, lambda: pickle.dumps(store._ground.keyring.primary)),
    ]
    for content, call in calls:
        path.write_bytes(content)
        try:
            call()
        except (SessionStoreError, TypeError) as error:
            yield error
    path.write_bytes(good)
    store.close()
    keyring = root / "state" / "keyring"
    whole = keyring.read_bytes()
    for damaged in (
        b"",
        whole[:-40],
        whole.replace(b'"check":"', b'"check":"0'),
        whole[:60] + b"0" + whole[61:],
        b"{}",
    ):
        keyring.write_bytes(damaged)
        try:
            open_store(root, environ={"SESSIONSTORE_SIGNING_SALT": SALT})
        except SessionStoreError as error:
            yield error
    keyring.write_bytes(whole)
    open_store(root, environ={"SESSIONSTORE_SIGNING_SALT": SALT}).close()  # what goes well is not logged with it either
    for salt in ("another salt of some length", None):
        try:
            open_store(root, environ={} if salt is None else {"SESSIONSTORE_SIGNING_SALT": salt})
        except SessionStoreError as error:
            yield error


class TestSecrets:
    @pytest.fixture
    def salted(self, root: Path) -> Iterator[Any]:
        with open_store(root, environ={"SESSIONSTORE_SIGNING_SALT": SALT}) as store:
            yield store

    def test_the_key_is_in_no_file_but_its_own(self, salted: Any, root: Path) -> None:
        session = salted.create(name="atlas")
        salted.append(session.id, [{"role": "user", "content": TOLD}])
        document = salted.export(session.id)
        salted.export(session.id, passphrase="long enough")
        (root / "document").write_bytes(document)
        files = [path for path in root.rglob("*") if path.is_file()]
        assert {"ledger.db", "ledger.db-wal", f"{session.id}.jsonl", "document"} <= {path.name for path in files}
        for path in files:
            content = path.read_bytes()
            found = [form for form in secrets(root) if form in content]
            assert path.name == "keyring" or not found, path
            assert SALT.encode() not in content, path

    def test_no_error_says_it_with_any_of_its_parts(
        self, salted: Any, root: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        caplog.set_level(logging.DEBUG)
        told, count = [], 0
        known = secrets(root)
        for error in every_error(salted, root):
            count += 1
            told += traceback.format_exception(error)
            told += [repr(error), str(error), repr(getattr(error, "fields", "")), str(getattr(error, "hint", ""))]
            told += [repr(chained.args) for chained in (error.__cause__, error.__context__) if chained]
            told += locals_of(error)
        assert count > 20
        out, err = capfd.readouterr()
        text = "\n".join([*told, caplog.text, out, err]).encode("utf-8", "backslashreplace")
        assert not [form for form in known if form in text]
        assert SALT.encode() not in text
        assert TOLD.encode() not in text

    def test_no_representation_shows_it(self, salted: Any, root: Path) -> None:
        ground = salted._ground
        key = ground.keyring.primary
        shown = [salted, salted.config, ground.keyring, key, ground.keyring.mac_key("session"), ground.ledger]
        text = "\n".join([*map(repr, shown), *map(str, shown)]).encode()
        assert not [form for form in secrets(root) if form in text]
        assert SALT.encode() not in text

    def test_it_is_not_in_the_environment_of_children(self, salted: Any, root: Path) -> None:
        text = "\n".join(f"{name}={value}" for name, value in os.environ.items()).encode("utf-8", "backslashreplace")
        assert not [form for form in secrets(root) if form in text]


def locals_of(error: BaseException) -> list[str]:
    """What a crash reporter shows: the variables of every frame of this package that the error leaves through."""
    found = []
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if "sessionstore/keystore" in frame.f_code.co_filename:
            found += [repr(value) for value in frame.f_locals.values()]
    return found
