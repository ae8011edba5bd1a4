"""A store opened to read: every question is answered, nothing is written, every change is refused."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sessionstore import SessionStore, errors, open_store

SOMEBODY = 54321
NOBODY = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"


def tree(home: Path) -> dict[str, tuple[object, ...]]:
    """Everything that can be told of every file and directory."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [home, *home.rglob("*")]:
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(home))] = (
            status.st_ino,
            status.st_mode,
            status.st_mtime_ns,
            status.st_ctime_ns,
            content,
        )
    return found


@pytest.fixture
def home() -> Iterator[Path]:
    """A home that every user can reach, unlike those of `tmp_path`."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name).resolve() / "store"


@pytest.fixture
def ids(home: Path) -> list[str]:
    """A used store: a good session with a tail, and a damaged one."""
    with open_store(home) as store:
        good = store.create(name="good", key="k", entries=[{"n": "one"}]).id
        store.append(good, [{"n": "two"}])
        bad = store.create(entries=[{"n": 1}]).id
        document = store.export(good)
    for id, change in ((good, lambda data: data + b"torn"), (bad, lambda data: data.replace(b'"n":1', b'"n":2'))):
        file = home / "data" / "sessions" / f"{id}.jsonl"
        file.write_bytes(change(file.read_bytes()))
    (home.parent / "document").write_bytes(document)
    return [good, bad]


def ask_everything(store: SessionStore, good: str, bad: str) -> None:
    assert store.load(good).warnings[0].code == "uncommitted_tail"
    assert len(list(store.entries(good))) == 2
    assert store.find("k") == store.summary(good)
    assert {line.id for line in store.list().sessions} == {good, bad}
    assert store.list(limit=1).next_cursor is not None
    assert {result.session_id: result.code for result in store.verify()} == {good: "ok", bad: "invalid_signature"}
    assert [hit.entry for hit in store.search("two")] == [1]
    assert store.stats().sessions == 2
    assert store.inspect(bad).code == "invalid_signature"
    assert store.export(good).startswith(b'{"export"')
    assert store.inside("/") is None
    assert store.get_or_create("k").id == good
    with pytest.raises(errors.SessionNotFoundError):
        store.load(NOBODY)


@contextmanager
def unwritable(place: Path) -> Iterator[None]:
    """Take every permission to write away from everybody, and root's own power to do without."""
    root, everything = os.geteuid() == 0, [place, *place.rglob("*")]
    for path in everything:
        if root:
            os.chown(path, SOMEBODY, SOMEBODY)
        path.chmod(0o500 if path.is_dir() else 0o400)
    groups = os.getgroups()
    if root:
        os.setgroups([])
        os.setegid(SOMEBODY)
        os.seteuid(SOMEBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)
        for path in everything:
            path.chmod(0o700)


class TestReadOnly:
    def test_asking_everything_changes_nothing(self, home: Path, ids: list[str]) -> None:
        before = tree(home)
        with open_store(home, read_only=True) as store:
            ask_everything(store, *ids)
        after = tree(home)
        # SQLite makes two working files while it is open, and removes them.
        assert before.pop("state")[:2] == after.pop("state")[:2]
        assert after == before

    def test_in_a_place_that_cannot_be_written_not_even_that(self, home: Path, ids: list[str]) -> None:
        with unwritable(home):
            before = tree(home)
            with open_store(home, read_only=True) as store:
                ask_everything(store, *ids)
                assert tree(home) == before
            assert tree(home) == before
            with pytest.raises(errors.SessionStoreError):
                open_store(home)
            assert tree(home) == before

    def test_what_nobody_knows_is_shown_there_too(self, home: Path, ids: list[str]) -> None:
        (home / "data" / "sessions" / f"{NOBODY}.jsonl").write_bytes(b"x")
        with unwritable(home):
            before = tree(home)
            with open_store(home, read_only=True) as store:
                assert [(line.name, line.code) for line in store.list().unreadable] == [(NOBODY, "unanchored")]
            assert tree(home) == before

    def test_every_change_is_refused(self, home: Path, ids: list[str]) -> None:
        good = ids[0]
        document = (home.parent / "document").read_bytes()
        before = tree(home / "data"), tree(home / "state" / "locks")
        with open_store(home, read_only=True) as store:
            session = store.load(good)
            calls: list[Callable[[], object]] = [
                lambda: store.create(),
                lambda: store.get_or_create("other"),
                lambda: store.append(good, [{"n": 3}]),
                lambda: store.save(session.append({"n": 3})),
                lambda: store.rename(good, "new"),
                lambda: store.tag(good, add=["t"]),
                lambda: store.close_session(good),
                lambda: store.rewind(good, 0),
                lambda: store.clear(good),
                lambda: store.fork(good),
                lambda: store.delete(good),
                lambda: store.import_document(document),
            ]
            for call in calls:
                with pytest.raises(errors.StoreUnavailableError) as caught:
                    call()
                assert "read-only" in caught.value.fields["reason"]
                assert caught.value.fields["outcome"] == "not_written"
            report = store.cleanup(keep_last=0)
            assert (report.removed, len(report.skipped)) == ((), 2)
            assert store.compact(good) is False
        assert (tree(home / "data"), tree(home / "state" / "locks")) == before

    def test_a_store_that_is_not_there_is_not_made(self, home: Path) -> None:
        with pytest.raises(errors.StoreUnavailableError):
            open_store(home, read_only=True)
        assert not home.exists()

    def test_several_at_once_and_beside_a_writer(self, home: Path, ids: list[str]) -> None:
        with (
            open_store(home) as writer,
            open_store(home, read_only=True) as one,
            open_store(home, read_only=True) as two,
        ):
            writer.append(ids[0], [{"n": "three"}])
            assert one.load(ids[0]) == two.load(ids[0]) == writer.load(ids[0])
            assert one.summary(ids[0]).rev == 3


def test_a_file_that_nobody_knows_makes_no_lock_file(home: Path, ids: list[str]) -> None:
    sealed = (home / "data" / "sessions" / f"{ids[0]}.jsonl").read_bytes()
    (home / "data" / "sessions" / f"{NOBODY}.jsonl").write_bytes(sealed)
    before = sorted((home / "state" / "locks").iterdir())
    with open_store(home, read_only=True) as store:
        assert NOBODY in {line.name for line in store.list().unreadable}
        with pytest.raises(errors.UnanchoredError):
            store.load(NOBODY)
    assert sorted((home / "state" / "locks").iterdir()) == before
