"""Bytes that were genuine once, or somewhere else: every one of them was really signed by this store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from sessionstore.errors import (
    AlreadyExistsError,
    ForkError,
    InvalidSignatureError,
    ResurrectedError,
    RollbackError,
    SessionNotFoundError,
    UnanchoredError,
    VerificationError,
    WrongSessionError,
)

NEXT = {"role": "user", "content": "next"}


def watched(directory: Path) -> dict[str, bytes]:
    """What stands in a directory, hidden files too."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


class TestOlderFile:
    def test_put_back_it_is_a_rollback(self, victim: Any) -> None:
        victim.store.append(victim.id, [NEXT])
        victim.put(victim.good)
        error = victim.refusal()
        assert isinstance(error, RollbackError) and (error.rev, error.head_rev) == (4, 5)
        assert victim.listed() == {victim.id: "rollback"}
        with pytest.raises(RollbackError):
            victim.store.append(victim.id, [NEXT])
        assert victim.path.read_bytes() == victim.good

    def test_renamed_over_the_newer_one_it_is_a_rollback_for_a_writer_that_has_that_open(self, victim: Any) -> None:
        victim.store.append(victim.id, [NEXT])
        copy = victim.root / "copy"
        copy.write_bytes(victim.good)
        copy.chmod(0o600)
        copy.rename(victim.path)
        with pytest.raises(RollbackError):
            victim.store.append(victim.id, [NEXT])

    def test_put_back_with_its_times_it_is_a_rollback(self, victim: Any) -> None:
        before = victim.path.stat()
        victim.store.append(victim.id, [NEXT])
        victim.put(victim.good)
        os.utime(victim.path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert isinstance(victim.refusal(), RollbackError)
        assert victim.listed() == {victim.id: "rollback"}

    def test_of_the_same_length_as_the_newer_one(self, victim: Any) -> None:
        victim.store.rewind(victim.id, 2)
        victim.store.append(victim.id, [NEXT])
        victim.put(victim.good + b"\n" * (victim.path.stat().st_size - len(victim.good)))
        victim.refusal()

    def test_from_before_a_rewrite(self, victim: Any) -> None:
        victim.store.rewind(victim.id, 1)
        newer = victim.path.read_bytes()
        victim.put(victim.good)
        assert isinstance(victim.refusal(), RollbackError)
        victim.put(newer + victim.good[len(newer) :])
        assert victim.store.load(victim.id).entries == victim.session.entries[:1]


class TestDeletedFile:
    def test_put_back_it_is_resurrected(self, victim: Any) -> None:
        victim.store.delete(victim.id)
        victim.put(victim.good)
        victim.path.chmod(0o600)
        assert isinstance(victim.refusal(), ResurrectedError)
        assert victim.listed() == {victim.id: "resurrected"}
        for refused in (victim.store.append, victim.store.delete, victim.store.rewind):
            arguments = ([NEXT],) if refused == victim.store.append else (0,) if refused == victim.store.rewind else ()
            with pytest.raises(ResurrectedError):
                refused(victim.id, *arguments)
        with pytest.raises(AlreadyExistsError):
            victim.store.create(id=victim.id)

    def test_its_id_stays_taken_also_without_the_file(self, victim: Any) -> None:
        victim.store.delete(victim.id)
        with pytest.raises(AlreadyExistsError):
            victim.store.create(id=victim.id)
        with pytest.raises(SessionNotFoundError):
            victim.store.load(victim.id)


class TestOtherName:
    def test_two_sessions_exchanged(self, victim: Any, another: Any) -> None:
        victim.put(another.good)
        another.put(victim.good)
        assert isinstance(victim.refusal(), WrongSessionError)
        assert isinstance(another.refusal(), WrongSessionError)
        assert victim.listed() == {victim.id: "wrong_session", another.id: "wrong_session"}
        with pytest.raises(WrongSessionError):
            victim.store.append(victim.id, [NEXT])

    def test_a_hard_link_to_another_session(self, victim: Any, another: Any) -> None:
        victim.path.unlink()
        os.link(another.path, victim.path)
        assert isinstance(victim.refusal(), WrongSessionError)

    def test_a_copy_under_a_new_id_is_no_session(self, victim: Any) -> None:
        copy_id = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
        copy = victim.file(copy_id)
        copy.write_bytes(victim.good)
        copy.chmod(0o600)
        with pytest.raises(UnanchoredError):
            victim.store.load(copy_id)
        assert victim.listed() == {copy_id: "unanchored"}
        with pytest.raises(AlreadyExistsError):
            victim.store.create(id=copy_id)
        with pytest.raises(UnanchoredError):
            victim.store.append(copy_id, [NEXT])
        assert copy.read_bytes() == victim.good


class TestAbandonedBytes:
    """What this store sealed, and then did not acknowledge."""

    @pytest.mark.parametrize("mebibytes", [0, 3], ids=["of one seal", "of several seals"])
    def test_an_abandoned_rewrite_put_in_place_after_later_saves(
        self, victim: Any, monkeypatch: Any, mebibytes: int
    ) -> None:
        if mebibytes:
            victim.store.append(victim.id, ({"text": "x" * 1_100_000} for _ in range(mebibytes)))
            victim.acknowledge()
        # The new file as it is just before it gets its name.
        caught: list[bytes] = []
        rename = os.rename

        def stopped(old: str, new: str, **directories: Any) -> None:
            if new == victim.path.name:
                caught.append((victim.path.parent / old).read_bytes())
                raise OSError(5, "stopped here")
            rename(old, new, **directories)

        monkeypatch.setattr("os.rename", stopped)
        with pytest.raises(Exception, match="disk failed"):
            victim.store.rewind(victim.id, len(victim.session.entries) - 1)
        monkeypatch.undo()
        (abandoned,) = caught
        assert victim.store.load(victim.id) == victim.session
        for _ in range(2):
            victim.store.append(victim.id, [NEXT])
            victim.acknowledge()
            victim.put(abandoned)
            assert isinstance(victim.refusal(), (ForkError, RollbackError))
            victim.put(victim.good)

    def test_an_aborted_save_appended_again_after_a_later_one(self, victim: Any) -> None:
        aborted: list[bytes] = []
        big = {"role": "user", "content": "x" * 1_200_000}

        def entries() -> Any:
            yield big
            yield big
            yield big
            aborted.append(victim.path.read_bytes()[len(victim.good) :])
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            victim.store.append(victim.id, entries())
        assert victim.path.read_bytes() == victim.good
        (bytes_,) = aborted
        assert b'"more":true' in bytes_
        victim.put(victim.good + bytes_)
        assert victim.tail().startswith(f"{len(bytes_)} bytes")
        victim.store.append(victim.id, [NEXT])
        assert victim.quarantined() == [bytes_]
        victim.acknowledge()
        victim.put(victim.good + bytes_)
        assert victim.tail().startswith(f"{len(bytes_)} bytes")

    def test_a_file_that_grew_apart_in_a_restored_copy_is_a_fork(self, victim: Any, child: Any) -> None:
        """The state directory is put back, another save is made, and the file of the first history comes back."""
        victim.store.close()
        state = watched(victim.root / "state")
        (first,) = child(
            "with open_store(root, environ={}) as store:\n"
            "    store.append(sys.argv[2], [{'role': 'user', 'content': 'one history'}])\n"
            "tell(0)\n",
            victim.id,
        )
        assert first == 0
        one = victim.path.read_bytes()
        victim.put(victim.good)
        for name in watched(victim.root / "state"):
            (victim.root / "state" / name).unlink()
        for name, content in state.items():
            (victim.root / "state" / name).write_bytes(content)
            (victim.root / "state" / name).chmod(0o600)
        told = child(
            "with open_store(root, environ={}) as store:\n"
            "    store.append(sys.argv[2], [{'role': 'user', 'content': 'another one'}])\n"
            "    path = root + '/data/sessions/' + sys.argv[2] + '.jsonl'\n"
            "    open(path, 'wb').write(open(sys.argv[3], 'rb').read())\n"
            "    try: store.load(sys.argv[2])\n"
            "    except errors.SessionStoreError as error: tell(type(error).__name__)\n",
            victim.id,
            _saved(tmp := victim.root / "one", one),
        )
        assert told == [ForkError.__name__] and tmp.exists()


def _saved(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


class TestSwappedTails:
    def test_the_end_of_another_history_under_the_same_beginning(self, victim: Any) -> None:
        fork = victim.store.fork(victim.id)
        mine, theirs = victim.good, victim.file(fork.id).read_bytes()
        victim.put(mine[: len(mine) // 2] + theirs[len(theirs) // 2 :])
        assert isinstance(victim.refusal(), (InvalidSignatureError, VerificationError))
