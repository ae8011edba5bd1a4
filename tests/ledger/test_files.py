from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessionstore.errors import (
    LedgerCorruptError,
    LedgerMissingError,
    SessionStoreError,
    StoreUnavailableError,
)
from sessionstore.fs import Directory
from sessionstore.ledger import Head, Ledger
from sessionstore.signing import Keyring

OpenLedger = Callable[..., Ledger]


@pytest.fixture
def folder(state: Directory) -> Path:
    return Path(state.path)


@pytest.fixture
def reopen(state: Directory, keyring: Keyring, store_id: str, open_ledger: OpenLedger) -> Callable[[], Ledger]:
    """Opens what lies in `state`, whatever that is; a good ledger to begin with."""
    open_ledger().close()
    return lambda: Ledger.open(state, keyring, store_id)


@pytest.fixture
def odd(folder: Path) -> Iterator[Callable[[str, str], None]]:
    """Puts something that is no ordinary file of ours under a name."""
    sockets: list[socket.socket] = []

    def put(name: str, kind: str) -> None:
        path = folder / name
        other = folder / "other"
        if path.exists():
            path.rename(other)
        else:
            other.write_bytes(b"")
            other.chmod(0o600)
        if kind == "symbolic link":
            path.symlink_to(other)
        elif kind == "2 links":
            os.link(other, path)
        elif kind == "directory":
            path.mkdir()
        elif kind == "FIFO":
            os.mkfifo(path, 0o600)
        elif kind == "socket":
            sockets.append(socket.socket(socket.AF_UNIX))
            sockets[-1].bind(str(path))
        elif kind == "user id":
            if os.geteuid() != 0:
                pytest.skip("only root can give a file away")
            other.rename(path)
            os.chown(path, 65534, 65534)
        else:
            other.rename(path)
            path.chmod(int(kind[-4:], 8))

    yield put
    for one in sockets:
        one.close()


class TestOpening:
    @pytest.mark.parametrize("name", ["ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db-journal"])
    @pytest.mark.parametrize(
        "kind",
        ["symbolic link", "2 links", "directory", "FIFO", "socket", "user id", "mode 0640", "mode 0604", "mode 0620"],
    )
    def test_a_file_that_is_not_safely_ours_is_refused_and_left_alone(
        self, reopen: Callable[[], Ledger], odd: Callable[[str, str], None], folder: Path, name: str, kind: str
    ) -> None:
        odd(name, kind)
        before = os.lstat(folder / name)
        with pytest.raises(LedgerCorruptError, match=kind) as caught:
            reopen()
        assert caught.value.fields["reason"].startswith(f"{name}: ")
        after = os.lstat(folder / name)
        assert (after.st_ino, after.st_mode, after.st_mtime_ns) == (before.st_ino, before.st_mode, before.st_mtime_ns)

    def test_a_loose_mode_says_what_to_do(self, reopen: Callable[[], Ledger], folder: Path) -> None:
        (folder / "ledger.db").chmod(0o644)
        with pytest.raises(LedgerCorruptError) as caught:
            reopen()
        assert "chmod 600" in caught.value.hint

    def test_a_missing_ledger_is_never_made(self, reopen: Callable[[], Ledger], folder: Path) -> None:
        (folder / "ledger.db").unlink()
        with pytest.raises(LedgerMissingError):
            reopen()
        assert list(folder.iterdir()) == []

    @pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
    def test_every_file_is_private_whatever_the_umask(
        self, state: Directory, keyring: Keyring, store_id: str, folder: Path, umask: int
    ) -> None:
        old = os.umask(umask)
        try:
            with Ledger.create(state, keyring, store_id) as new:
                assert {os.stat(path).st_mode & 0o777 for path in folder.iterdir()} == {0o600}
                new.bind(store_id, 1, 2)
            Ledger.place(state)
            with Ledger.open(state, keyring, store_id) as ledger:
                ledger.sync()
                assert {path.name for path in folder.iterdir()} == {"ledger.db", "ledger.db-wal", "ledger.db-shm"}
                assert {os.stat(path).st_mode & 0o777 for path in folder.iterdir()} == {0o600}
        finally:
            os.umask(old)

    @pytest.mark.parametrize("name", ["50%25 ? #1", "a?mode=memory", "ü\udcff ;:&", "//double"])
    def test_a_path_of_any_spelling_is_opened_as_it_is(
        self, tmp_path: Path, keyring: Keyring, store_id: str, fresh: bytes, name: str
    ) -> None:
        path = tmp_path / name.strip("/")
        path.mkdir(mode=0o700)
        (path / "ledger.db").touch(mode=0o600)
        (path / "ledger.db").write_bytes(fresh)
        spelled = f"{tmp_path}/{name}"
        with Directory.open(spelled, strict=True) as state, Ledger.open(state, keyring, store_id) as ledger:
            ledger.sync()
            assert (path / "ledger.db-wal").stat().st_size > 0


class TestADirectoryThatMoved:
    def test_is_not_followed_by_its_old_path(self, reopen: Callable[[], Ledger], folder: Path, fresh: bytes) -> None:
        folder.rename(folder.with_name("moved"))
        folder.mkdir(mode=0o700)
        with pytest.raises(StoreUnavailableError, match="cannot be opened"):
            reopen()
        (folder / "ledger.db").touch(mode=0o600)
        (folder / "ledger.db").write_bytes(fresh)
        with pytest.raises(StoreUnavailableError, match="moved or replaced"):
            reopen()

    def test_a_ledger_replaced_while_it_is_open_is_not_written_to(
        self, ledger: Ledger, folder: Path, fresh: bytes, make_head: Callable[..., Head]
    ) -> None:
        # A restored backup. What is written to the old file would be lost.
        (folder / "backup").write_bytes(fresh)
        (folder / "backup").rename(folder / "ledger.db")
        with pytest.raises(StoreUnavailableError, match="replaced while it was open"):
            ledger.commit(make_head(), old=None)

    def test_a_ledger_removed_while_it_is_open_is_missed(
        self, ledger: Ledger, folder: Path, make_head: Callable[..., Head]
    ) -> None:
        ledger.commit(make_head(), old=None)
        (folder / "ledger.db").unlink()
        with pytest.raises(LedgerMissingError):
            ledger.commit(make_head(rev=2), old=make_head())
        with pytest.raises(LedgerMissingError):
            ledger.close()


class TestCreate:
    def test_nothing_has_the_ledgers_name_before_it_is_placed(
        self, state: Directory, keyring: Keyring, store_id: str, folder: Path
    ) -> None:
        with Ledger.create(state, keyring, store_id) as new:
            new.bind(store_id, 1, 2)
            assert not Ledger.exists(state)
        assert [path.name for path in folder.iterdir()] == ["ledger.db.new"]
        Ledger.place(state)
        assert [path.name for path in folder.iterdir()] == ["ledger.db"]
        with Ledger.open(state, keyring, store_id) as ledger:
            assert len(ledger.stores()) == 1

    def test_what_a_killed_start_left_is_removed(
        self, state: Directory, keyring: Keyring, store_id: str, folder: Path
    ) -> None:
        for suffix in ("", "-wal", "-journal"):
            (folder / f"ledger.db.new{suffix}").write_bytes(b"half")
        (folder / "ledger.db.new-shm").symlink_to("elsewhere")
        with Ledger.create(state, keyring, store_id) as new:
            assert new.stores() == ()
        assert [path.name for path in folder.iterdir()] == ["ledger.db.new"]

    @pytest.mark.parametrize("trace", ["ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db-journal"])
    def test_nothing_is_made_beside_a_ledger_or_a_trace_of_one(
        self, state: Directory, keyring: Keyring, store_id: str, folder: Path, trace: str
    ) -> None:
        # SQLite would take the log of a lost ledger for the new one's own.
        (folder / trace).write_bytes(b"")
        assert Ledger.exists(state)
        with pytest.raises(StoreUnavailableError, match="a ledger already"):
            Ledger.create(state, keyring, store_id)

    @pytest.mark.parametrize("beside", ["ledger.db", "ledger.db.new-wal"])
    def test_it_is_not_placed_over_another_or_unfinished(
        self, state: Directory, keyring: Keyring, store_id: str, folder: Path, beside: str
    ) -> None:
        Ledger.create(state, keyring, store_id).close()
        (folder / beside).write_bytes(b"precious")
        with pytest.raises(SessionStoreError):
            Ledger.place(state)
        assert (folder / beside).read_bytes() == b"precious"

    def test_a_placing_cut_between_two_links_is_finished(
        self, reopen: Callable[[], Ledger], state: Directory, folder: Path
    ) -> None:
        os.link(folder / "ledger.db", folder / "ledger.db.new")
        assert Ledger.exists(state)
        assert [path.name for path in folder.iterdir()] == ["ledger.db"]
        reopen().close()
