"""Somebody has the key from before the last change of keys, and writes what they like with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sessionstore import errors, open_store
from sessionstore.config import load_config
from sessionstore.format.anchored import walk_anchored
from sessionstore.format.cut import cut
from sessionstore.format.log import Batch
from sessionstore.format.seal import Sealed, Sealer, bound_seal, key_id_in
from sessionstore.signing import Key, Keyring
from sessionstore.wiring import recover_ledger

MADE_AT = "2026-01-31T12:00:00.000000Z"


class Leaked:
    """A store after a change of keys, and what somebody holds who has the old one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = open_store(root, environ={})
        self.id = self.store.create(name="target").id
        for number in range(3):
            self.store.append(self.id, [{"n": number}])
        self.store._ground.audit.record("limits_off", setting="resume_limit")
        self.document = self.store.export(self.id)
        key = self.store._ground.keyring.primary
        self.before = root.with_name("before")
        self.store.close()
        shutil.copytree(root, self.before)
        self.store = open_store(root, environ={})
        self.old = Keyring([Key(key.secret, "primary", MADE_AT)], generation=1)
        self.store.rotate_keys()
        self.store.append(self.id, [{"n": 3}])

    @property
    def file(self) -> Path:
        return self.root / "data" / "sessions" / f"{self.id}.jsonl"

    def sealer(self) -> Sealer:
        return Sealer(self.old, self.store.store_id, self.id)

    def last(self) -> Sealed:
        """The last seal, as anybody can read it."""
        data = self.file.read_bytes()
        *_, (_, line) = cut(lambda start, size: data[start : start + size], start=0, end=len(data))
        return bound_seal(line)

    def forged_beginning(self) -> bytes:
        """The file with another first entry, and every seal of the old key made anew to fit."""
        data = self.file.read_bytes()
        made, previous = b"", None
        for body, line in cut(lambda start, size: data[start : start + size], start=0, end=len(data)):
            body = body.replace(b'{"n":0}', b'{"n":9}')
            if key_id_in(line) == self.old.primary.id:
                previous = self.sealer().make(previous, body, bound_seal(line).seal)
                line = previous.line
            made += body + line
        assert made != data
        return made


@pytest.fixture
def leaked(tmp_path: Path) -> Any:
    leaked = Leaked(tmp_path / "store")
    yield leaked
    leaked.store.close()


class TestSeals:
    def test_a_save_behind_the_newest_one_is_a_tail(self, leaked: Leaked) -> None:
        batch = Batch(leaked.sealer(), leaked.last(), leaked.last().seal, max_session_bytes=1 << 20)
        with leaked.file.open("ab") as file:
            for chunk in batch.chunks([b'{"entry":{"n":"forged"}}\n']):
                file.write(chunk)
        session = leaked.store.load(leaked.id)
        assert [entry["n"] for entry in session.entries] == [0, 1, 2, 3]
        assert [warning.code for warning in session.warnings] == ["uncommitted_tail"]
        leaked.store.append(leaked.id, [{"n": 4}])
        assert [entry["n"] for entry in leaked.store.entries(leaked.id)] == [0, 1, 2, 3, 4]

    def test_a_forged_beginning_is_not_handed_out_by_any_way_of_reading(self, leaked: Leaked) -> None:
        store, id = leaked.store, leaked.id
        leaked.file.write_bytes(leaked.forged_beginning())
        calls: tuple[Callable[[], object], ...] = (
            lambda: store.load(id),
            lambda: next(store.entries(id)),
            lambda: next(store.entries(id, -1)),
            lambda: store.fork(id, at=2),
            lambda: store.append(id, [{"n": 4}]),
            lambda: store.rewind(id, 1),
            lambda: store.compact(id),
            lambda: store.export(id),
        )
        for call in calls:
            with pytest.raises(errors.InvalidSignatureError):
                call()
        assert [result.code for result in store.verify()] == ["invalid_signature"]
        assert list(store.search("9")) == []

    def test_nor_if_it_is_exchanged_between_two_looks(self, leaked: Leaked) -> None:
        good, forged = leaked.file.read_bytes(), leaked.forged_beginning()
        reads = 0

        def read(start: int, size: int) -> bytes:
            # The first look sees the forged beginning, the second one that computes the chain the good one, and on.
            nonlocal reads
            reads += start == 0
            return (forged if reads % 2 else good)[start : start + size]

        ground = leaked.store._ground
        sealer = ground.sealer(leaked.id)
        handed_out = []
        with pytest.raises(Exception) as caught:
            for segment in walk_anchored(sealer, read, leaked.last()):
                handed_out.append(segment.body)
        assert type(caught.value).__name__ == "Broken"
        assert not any(b'{"n":9}' in body for body in handed_out)

    def test_a_rewritten_file_is_a_fork(self, leaked: Leaked) -> None:
        last = leaked.last()
        data = leaked.file.read_bytes()
        batch = Batch(
            leaked.sealer(),
            None,
            last.seal,
            max_session_bytes=1 << 20,
            first_rev=last.seal.rev + 1,
            replaces=last.signature,
        )
        leaked.file.write_bytes(b"".join(batch.chunks(data.splitlines(keepends=True)[:2])))
        with pytest.raises(errors.ForkError):
            leaked.store.load(leaked.id)

    def test_a_session_of_its_own_is_not_known(self, leaked: Leaked) -> None:
        other = leaked.file.with_name("0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d.jsonl")
        shutil.copy(leaked.before / "data" / "sessions" / leaked.file.name, other)
        with pytest.raises(errors.UnanchoredError):
            leaked.store.load(other.stem)


class TestWaysBack:
    """They want whoever repairs to give back what the old key made, whether it still verifies here or was retired."""

    @pytest.fixture(params=["verify_only", "disabled", "destroyed"])
    def retired(self, request: pytest.FixtureRequest, leaked: Leaked) -> Leaked:
        if request.param != "verify_only":
            leaked.store.retire_key(leaked.old.primary.id, destroy=request.param == "destroyed", give_up=True)
        return leaked

    def saved_by_them(self, leaked: Leaked, data: bytes, times: int = 1) -> bytes:
        """The file with saves of theirs behind it."""
        *_, (_, line) = cut(lambda start, size: data[start : start + size], start=0, end=len(data))
        last = bound_seal(line)
        for _ in range(times):
            batch = Batch(leaked.sealer(), last, last.seal, max_session_bytes=1 << 20)
            data += b"".join(batch.chunks([b'{"entry":{"n":9}}\n']))
            last = batch.sealed
        return data

    def ways(self, leaked: Leaked) -> None:
        """Everything that gives a session back; nothing of theirs may be in any."""
        store, id = leaked.store, leaked.id
        revs = range(1, 12)
        calls: list[Callable[[], object]] = [
            lambda: store.repair(id, keep_verified=True),
            lambda: store.rebase_heads(consent="deceived"),
            lambda: store.adopt_sealed(id, consent="deceived"),
            *(lambda rev=rev: store.restore(id, rev, consent="deceived") for rev in revs),  # type: ignore[misc]
            lambda: store.repair(id),
        ]
        for call in calls:
            with suppress(errors.SessionStoreError):
                call()
            for line in store.list().sessions:
                with suppress(errors.SessionStoreError):
                    assert {"n": 9} not in store.load(line.id).entries

    def test_none_takes_another_beginning(self, retired: Leaked) -> None:
        retired.file.write_bytes(retired.forged_beginning())
        self.ways(retired)

    def test_none_takes_another_beginning_before_damage_that_they_made(self, retired: Leaked) -> None:
        forged = retired.forged_beginning()
        for entry in (b'{"n":3}', b'{"n":2}'):
            retired.file.write_bytes(forged.replace(entry, b'{"n":5}'))
            self.ways(retired)

    @pytest.mark.parametrize("times", [1, 2, 5])
    def test_none_takes_saves_behind_what_was_saved(self, retired: Leaked, times: int) -> None:
        good = retired.file.read_bytes()
        before = (retired.before / "data" / "sessions" / retired.file.name).read_bytes()
        for data in (good, good[: good.rindex(b'{"entry"')], before):
            retired.file.write_bytes(self.saved_by_them(retired, data, times))
            self.ways(retired)

    def test_none_takes_them_without_a_ledger(self, retired: Leaked) -> None:
        good, before = (
            retired.file.read_bytes(),
            (retired.before / "data" / "sessions" / retired.file.name).read_bytes(),
        )
        retired.store.close()
        for found in (retired.root / "state").glob("ledger.db*"):
            found.unlink()
        config = load_config(root=retired.root, environ={}).config
        for data in (retired.forged_beginning(), self.saved_by_them(retired, before)):
            retired.file.write_bytes(data)
            assert recover_ledger(config, consent="deceived", dry_run=True).taken == ()
        retired.file.write_bytes(self.saved_by_them(retired, good))
        (taken,) = recover_ledger(config, consent="deceived").taken
        assert taken.entries == 4
        retired.store = open_store(retired.root, environ={})
        assert [entry["n"] for entry in retired.store.load(retired.id).entries] == [0, 1, 2, 3]

    def test_nor_is_anybody_told_to_delete_what_an_older_key_sealed(self, retired: Leaked) -> None:
        retired.file.write_bytes(retired.file.read_bytes().replace(b'{"n":1}', b'{"n":5}'))
        hints = [retired.store.repair(retired.id).command]
        for call in (retired.store.load, lambda id: retired.store.repair(id, keep_verified=True)):
            with pytest.raises((errors.InvalidSignatureError, errors.KeyDisabledError)) as caught:
                call(retired.id)
            hints.append(caught.value.hint)
        assert not any("delete" in hint or "keep-verified" in hint for hint in hints)


class TestRows:
    def test_a_head_under_it_is_a_changed_row(self, leaked: Leaked) -> None:
        import sqlite3
        from contextlib import closing

        # The genuine row of before, with its file: what would be a rollback that nobody notices.
        with closing(sqlite3.connect(leaked.before / "state" / "ledger.db")) as old:
            row = old.execute("SELECT updated_at, key_id, payload, mac FROM heads").fetchone()
        with closing(sqlite3.connect(leaked.root / "state" / "ledger.db")) as new, new:
            new.execute("UPDATE heads SET updated_at = ?, key_id = ?, payload = ?, mac = ?", row)
        leaked.file.write_bytes((leaked.before / "data" / "sessions" / leaked.file.name).read_bytes())
        with pytest.raises(errors.LedgerCorruptError, match="old key"):
            leaked.store.load(leaked.id)
        with pytest.raises(errors.LedgerCorruptError):
            leaked.store.list()
        with pytest.raises(errors.LedgerCorruptError):
            leaked.store.verify_keys()


class TestOtherThings:
    def test_a_document_under_it_is_refused(self, leaked: Leaked) -> None:
        with pytest.raises(errors.KeyDisabledError):
            leaked.store.import_document(leaked.document)

    def test_a_line_of_the_audit_log_under_it_is_set_aside(self, leaked: Leaked) -> None:
        first, second = sorted((leaked.root / "state" / "audit").glob("*.jsonl"))
        with second.open("ab") as file:
            file.write(first.read_bytes().splitlines(keepends=True)[0])
        assert not leaked.store.verify_audit().ok
        leaked.store._ground.audit.record("limits_off", setting="resume_global_limit")
        assert leaked.store.verify_audit().ok
        assert [event.event for event in leaked.store.audit()][-2:] == ["audit_set_aside", "limits_off"]

    def test_a_closed_file_of_the_audit_log_is_what_it_was(self, leaked: Leaked) -> None:
        first = min((leaked.root / "state" / "audit").glob("*.jsonl"))
        first.write_bytes(first.read_bytes().replace(b"limits_off", b"limits_on_"))
        assert [finding.kind for finding in leaked.store.verify_audit().findings] == ["changed"]


class TestWaiting:
    def test_a_key_that_waited_in_a_leaked_keyring_never_signs(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def stop(*args: object) -> None:
            raise KeyboardInterrupt

        with open_store(home) as store:
            with monkeypatch.context() as patched:
                patched.setattr(store._lifecycle, "finish", stop)
                with pytest.raises(KeyboardInterrupt):
                    store.rotate_keys()
            leaked, waited = (key.id for key in store.list_keys())
            report = store.rotate_keys(leaked=True)
            assert report.primary not in (leaked, waited)
            with pytest.raises(errors.KeyDisabledError):
                store._ground.keyring.mac_key("session", waited)
            with pytest.raises(errors.KeyDisabledError):
                store._ground.keyring.row_key("head", leaked)
            assert store.rotate_keys().primary not in (leaked, waited)


class TestPutBack:
    def test_the_old_key_file(self, leaked: Leaked) -> None:
        leaked.store.close()
        shutil.copy(leaked.before / "state" / "keyring", leaked.root / "state" / "keyring")
        os.chmod(leaked.root / "state" / "keyring", 0o600)
        with pytest.raises(errors.KeyringError):
            open_store(leaked.root, environ={})

    def test_the_old_generation_in_the_ledger(self, leaked: Leaked) -> None:
        import sqlite3
        from contextlib import closing

        with closing(sqlite3.connect(leaked.before / "state" / "ledger.db")) as old:
            row = old.execute("SELECT key_id, payload, mac FROM generation").fetchone()
        with closing(sqlite3.connect(leaked.root / "state" / "ledger.db")) as new, new:
            genuine = new.execute("SELECT key_id, payload, mac FROM generation").fetchone()
            new.execute("UPDATE generation SET key_id = ?, payload = ?, mac = ?", row)
        with pytest.raises(errors.LedgerCorruptError):
            leaked.store.append(leaked.id, [{"n": 4}])
        with pytest.raises(errors.LedgerCorruptError):
            open_store(leaked.root, environ={})
        with closing(sqlite3.connect(leaked.root / "state" / "ledger.db")) as new, new:
            new.execute("UPDATE generation SET key_id = ?, payload = ?, mac = ?", genuine)
        assert leaked.store.append(leaked.id, [{"n": 4}])
