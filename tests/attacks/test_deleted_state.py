"""Key, ledger, audit log and session file deleted, each alone and in every pair: what is said is typed, and works."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionstore import errors, open_store
from sessionstore.cli import main
from sessionstore.config import load_config
from sessionstore.wiring import recover_ledger

OTHER = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
LOST = "1f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
TIMES = {LOST: 3, OTHER: 1}
WHO = "the test"


def lose_ledger(home: Path) -> None:
    for path in (home / "state").glob("ledger.db*"):
        path.unlink()


PARTS: dict[str, Callable[[Path], None]] = {
    "key": lambda home: (home / "state" / "keyring").unlink(),
    "ledger": lambda home: lose_ledger(home),
    "audit log": lambda home: shutil.rmtree(home / "state" / "audit"),
    "session file": lambda home: (home / "data" / "sessions" / f"{LOST}.jsonl").unlink(),
}

# What showing the session and checking the audit log end with: exit code and error; then each command that was printed,
# with how it ends, and at last what the session is.
Told = tuple[int, str]
KEY: Told = (8, "key_unavailable")
NO_LEDGER: Told = (8, "ledger_missing")
OK: Told = (0, "")
EXPECTED: dict[str, tuple[Told, Told, dict[str, Told], Told]] = {
    "key": (KEY, KEY, {f"adopt {LOST} --sealed": KEY}, KEY),
    "ledger": (NO_LEDGER, NO_LEDGER, {"recover-ledger": OK}, OK),
    "audit log": (OK, (4, ""), {}, OK),
    "session file": ((4, "missing"), OK, {f"delete {LOST}": OK}, (3, "not_found")),
    "key + ledger": (KEY, KEY, {f"adopt {LOST} --sealed": KEY}, KEY),
    "key + audit log": (KEY, KEY, {f"adopt {LOST} --sealed": KEY}, KEY),
    "key + session file": (KEY, KEY, {f"adopt {LOST} --sealed": KEY}, KEY),
    "ledger + audit log": (NO_LEDGER, NO_LEDGER, {"recover-ledger": OK}, OK),
    "ledger + session file": (NO_LEDGER, NO_LEDGER, {"recover-ledger": (4, "")}, (3, "not_found")),
    "audit log + session file": ((4, "missing"), (4, ""), {f"delete {LOST}": OK}, (3, "not_found")),
}
CASES = [*((part,) for part in PARTS), *itertools.combinations(PARTS, 2)]


@pytest.fixture
def store(home: Path) -> Path:
    """A closed store with two sessions, and lines of the audit log about one of them, under two keys."""
    with open_store(home, environ={}) as store:
        for id, saves in TIMES.items():
            store.create(id=id, entries=[{"n": 0}])
            for number in range(1, saves):
                store.append(id, [{"n": number}])
        store._ground.audit.record("resume_committed", session_id=LOST, rev=3)
        store.rotate_keys()
        store._ground.audit.record("resume_committed", session_id=LOST, rev=4)
    return home


@pytest.fixture
def typed(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], tuple[Told, str]]:
    """Types a command; its exit code, the code of its error, and what it said."""
    monkeypatch.setenv("SESSIONSTORE_HOME", str(store))

    def run(command: str) -> tuple[Told, str]:
        monkeypatch.setattr("sys.argv", ["sessionstore", *command.split()])
        code, said = main(), capsys.readouterr()
        found = re.search(r"error\[(\w+)\]", said.err)
        return (code, found[1] if found else ""), said.out + said.err

    return run


def commands(said: str) -> set[str]:
    """The commands of recovery in a text, as they are typed by somebody who agrees."""
    found = re.findall(r"`sessionstore ((?:adopt|recover-ledger|restore|repair|delete) ?[^`]*)`", said)
    return {command.replace("--dry-run", "").replace(" ID", f" {LOST}").strip() for command in found}


class TestDeleted:
    @pytest.mark.parametrize("parts", CASES, ids=" + ".join)
    def test_each_alone_and_in_every_pair_is_named_and_the_command_that_is_printed_does_what_it_says(
        self, store: Path, typed: Callable[[str], tuple[Told, str]], parts: tuple[str, ...]
    ) -> None:
        for part in parts:
            PARTS[part](store)
        shown, audited, recovered, last = EXPECTED[" + ".join(parts)]
        ended, said = typed(f"show {LOST}")
        assert ended == shown
        assert typed("audit verify")[0] == audited
        assert typed("doctor")[0][0] == 1
        assert commands(said) == set(recovered)
        for command, told in recovered.items():
            ended, said = typed(f"{command} --confirm")
            assert ended == told
            if told == (4, ""):
                assert f"{LOST}  missing  " in said
        ended, said = typed(f"show {LOST}")
        assert ended == last
        if "key" not in parts:
            assert typed(f"show {OTHER}")[0] == OK
            assert typed("list")[0] == OK

    def test_with_the_key_gone_the_way_that_is_described_ends_with_every_session(
        self, store: Path, typed: Callable[[str], tuple[Told, str]]
    ) -> None:
        PARTS["key"](store)
        (store / "state").rename(store / "old-state")
        (store / "data" / "sessions").rename(store / "aside")
        assert typed("list")[0] == OK
        for path in (store / "aside").iterdir():
            path.rename(store / "data" / "sessions" / path.name)
        for id, saves in TIMES.items():
            assert typed(f"show {id}")[0] == (8, "unknown_key")
            assert typed(f"adopt {id} --sealed --confirm")[0] == OK
            ended, said = typed(f"show {id}")
            assert (ended, said.count('{"n": ')) == (OK, saves)
            assert "provenance  adopted" in said

    def test_a_file_that_comes_back_after_all_is_older_than_the_witness_says(
        self, store: Path, typed: Callable[[str], tuple[Told, str]]
    ) -> None:
        path = store / "data" / "sessions" / f"{LOST}.jsonl"
        kept = path.read_bytes()
        PARTS["ledger"](store)
        PARTS["session file"](store)
        assert typed("recover-ledger --confirm")[0] == (4, "")
        older = kept[: kept.rindex(b'{"seal":')]
        path.write_bytes(older)
        path.chmod(0o600)
        assert typed(f"show {LOST}")[0] == (4, "unanchored")
        ended, said = typed(f"adopt {LOST} --sealed --confirm")
        assert ended == (4, "rollback") and "revision 3" in said and "revision 4" in said
        assert path.read_bytes() == older


class TestWitness:
    def test_an_older_file_passes_behind_no_changed_cut_or_thinned_out_log(self, store: Path, home: Path) -> None:
        audit = sorted((store / "state" / "audit").glob("*.jsonl"))
        good = {path: path.read_bytes() for path in audit}
        session = store / "data" / "sessions" / f"{LOST}.jsonl"
        newest = session.read_bytes()
        config = load_config(root=store, environ={}).config
        first, second = audit
        changes: dict[str, tuple[dict[Path, bytes | None], bool]] = {
            "an event renamed": ({first: good[first].replace(b"resume_committed", b"resume_COMMITTED")}, True),
            "a line removed": ({first: b"".join(good[first].splitlines(keepends=True)[:-1])}, True),
            "the older file removed": ({first: None}, True),
            "another session's id": ({second: good[second].replace(LOST.encode(), OTHER.encode())}, True),
            # What nobody can notice: the newest of it is gone. The older file still knows a revision.
            "the newer file removed": ({second: None}, False),
        }
        for name, (change, is_found) in changes.items():
            for path, data in good.items():
                path.write_bytes(data)
                path.chmod(0o600)
                if path in change:
                    new = change[path]
                    path.write_bytes(new) if new is not None else path.unlink()
            PARTS["ledger"](store)
            for stale in set((store / "state" / "audit").glob("*.jsonl")) - set(audit):
                stale.unlink()
            done = recover_ledger(config, consent=WHO)
            assert {line.id for line in done.taken} == {LOST, OTHER}, name
            with open_store(store, environ={}) as again:
                assert again.verify_audit().ok is not is_found, name
                assert again.load(LOST).rev == 4
            assert session.read_bytes() == newest

    def test_a_forged_higher_revision_under_an_old_key_does_not_lock_a_session_out(self, store: Path) -> None:
        # Whoever got the old key writes lines that verify under it. No line of the primary key stands behind them.
        with open_store(store, environ={}) as opened:
            from sessionstore.audit.events import prepare
            from sessionstore.audit.lines import Lines, Place

            ring = opened._ground.keyring
            old = ring.foreign(ring.keys[0].secret)
            event = prepare("resume_committed", LOST, {"rev": 99})
            line, _ = Lines(old, opened.store_id).make(1, Place(), "2026-01-31T12:00:00.000000Z", 1, event)
        for path in (store / "state" / "audit").glob("*.jsonl"):
            path.unlink()
        forged = store / "state" / "audit" / "000001.jsonl"
        forged.write_bytes(line)
        forged.chmod(0o600)
        PARTS["ledger"](store)
        done = recover_ledger(load_config(root=store, environ={}).config, consent=WHO)
        assert ({line.id for line in done.taken}, done.audit_doubts) == ({LOST, OTHER}, 1)
        with open_store(store, environ={}) as again:
            assert [record.event for record in again.audit()] == ["ledger_rebuilt"]
            with pytest.raises(errors.InvalidValueError, match="known here"):
                again.adopt_sealed(LOST, consent=WHO)
