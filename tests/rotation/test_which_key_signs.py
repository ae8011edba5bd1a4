"""Whatever is signed is signed with the primary key: never with one that only verifies, is disabled or destroyed."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionstore import Config, SessionStore, errors, open_store
from sessionstore.signing import MacKey

PHRASE = "a long enough phrase"


@pytest.fixture
def signers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The id of every key that makes a tag; checking one makes one too, and does not count."""
    made: list[str] = []
    tag, verify = MacKey.tag, MacKey.verify
    checking: list[bool] = []

    def counted(key: MacKey, *parts: bytes) -> bytes:
        if not checking:
            made.append(key.key_id)
        return tag(key, *parts)

    def checked(key: MacKey, given: bytes, *parts: bytes) -> None:
        checking.append(True)
        try:
            verify(key, given, *parts)
        finally:
            checking.pop()

    monkeypatch.setattr(MacKey, "tag", counted)
    monkeypatch.setattr(MacKey, "verify", checked)
    return made


@pytest.fixture
def store(home: Path) -> Iterator[SessionStore]:
    with open_store(config=Config(data_dir=home / "data", state_dir=home / "state")) as store:
        yield store


def everything(store: SessionStore, old: str, tmp_path: Path) -> None:
    """Each kind of thing that is signed, made on top of a session that began under another key."""
    store.append(old, [{"n": 2}], idempotency_key="turn")
    store.rename(old, "renamed")
    store.pop(old, 1)
    store.compact(old)
    document = store.export(store.load(old).id)
    store.import_document(document)
    store.fork(old)
    (tmp_path / "project").mkdir(exist_ok=True)
    bound = store.create(project=tmp_path / "project").id
    with store.resume(bound) as run:
        run.commit()
    store.delete(bound)
    store.verify()
    store.export_key(PHRASE)


@pytest.mark.parametrize("destroy", [None, False, True], ids=["verify_only", "disabled", "destroyed"])
def test_after_a_change_of_keys_only_the_primary_key_signs(
    store: SessionStore, signers: list[str], tmp_path: Path, home: Path, destroy: bool | None
) -> None:
    id = store.create(entries=[{"n": 1}]).id
    first = store.list_keys()[0].id
    assert set(signers) == {first}
    report = store.rotate_keys()
    if destroy is not None:
        store.retire_key(first, destroy=destroy)
    signers.clear()
    everything(store, id, tmp_path)
    assert len(signers) > 20
    assert set(signers) == {report.primary}
    with sqlite3.connect(home / "state" / "ledger.db") as ledger:
        tables = [name for (name,) in ledger.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        keyed = [
            name for name in tables if "key_id" in [row[1] for row in ledger.execute(f"PRAGMA table_info({name})")]
        ]
        named = {key for name in keyed for (key,) in ledger.execute(f"SELECT key_id FROM {name}")}
    ledger.close()
    assert len(keyed) >= 6
    assert named == {report.primary}
    last = [re.findall(rb"ss2\.([0-9a-f]{16})\.", file.read_bytes())[-1] for file in home.glob("data/sessions/*.jsonl")]
    assert len(last) == 3
    assert {key.decode() for key in last} == {report.primary}


def test_a_rotation_signs_nothing_with_the_old_key_once_the_new_one_is_primary(
    store: SessionStore, signers: list[str]
) -> None:
    for _ in range(3):
        store.create(entries=[{"n": 1}])
    old = store.list_keys()[0].id
    renew = store._ground.audit.renew

    def promoted() -> bool:
        signers.clear()
        return renew()

    store._ground.audit.renew = promoted  # type: ignore[method-assign]
    report = store.rotate_keys()
    assert set(signers) == {report.primary} != {old}


@pytest.mark.parametrize(("destroy", "status"), [(False, "disabled"), (True, "destroyed")])
def test_a_session_under_a_key_that_is_out_of_use_is_refused(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch, destroy: bool, status: str
) -> None:
    id = store.create(entries=[{"n": 1}]).id
    old = store.list_keys()[0].id
    with monkeypatch.context() as patched:
        patched.setattr("sessionstore.rotation.rotate._reseal", lambda *args: (0, []))
        store.rotate_keys()
    store.retire_key(old, leaked=True, destroy=destroy)
    for use in (lambda: store.load(id), lambda: store.append(id, [{"n": 2}])):
        with pytest.raises(errors.KeyDisabledError) as caught:
            use()
        assert caught.value.fields == {"key_id": old, "status": status}
