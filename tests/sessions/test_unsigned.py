"""Unsigned files of the old format: which were here at the start, what each is called; none is ever touched."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionstore import Config, SessionStore, errors, open_store

OLD = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
OTHER = "1f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
TEN_MIB = 10 * 1024 * 1024


@pytest.fixture
def directory(home: Path) -> Path:
    """The directory of session files, before the store is first opened."""
    found = home / "data" / "sessions"
    found.mkdir(parents=True, mode=0o700)
    (home / "data").chmod(0o700)
    return found


def shown(store: SessionStore) -> list[tuple[str, str]]:
    return [(line.name, line.code) for line in store.list().unreadable]


class TestInventory:
    def test_files_that_were_here_at_the_start_are_listed_with_one_notice(self, home: Path, directory: Path) -> None:
        for id in (OTHER, OLD):
            (directory / f"{id}.json").write_text("{}")
        with open_store(home) as store:
            assert len(store.notices) == 1
            assert store.notices[0].startswith("2 unsigned session files")
            assert "sessionstore list" in store.notices[0]
            assert shown(store) == [(OLD, "legacy"), (OTHER, "legacy")]
            assert (store.list().sessions, store.stats().unreadable) == ((), 2)
        with open_store(home) as store:
            assert store.notices == ()
            assert shown(store) == [(OLD, "legacy"), (OTHER, "legacy")]

    def test_loading_one_says_that_this_release_does_not_read_it(self, home: Path, directory: Path) -> None:
        (directory / f"{OLD}.json").write_text("{}")
        with open_store(home) as store:
            with pytest.raises(errors.UnsupportedVersionError) as caught:
                store.load(OLD)
            assert caught.value.fields == {"session_id": OLD, "version": 1}
            assert "left alone" in caught.value.hint
            with pytest.raises(errors.UnsupportedVersionError):
                store.append(OLD, [{"n": 1}])
            with pytest.raises(errors.SessionNotFoundError):
                store.inspect(OLD)
        assert (directory / f"{OLD}.json").read_text() == "{}"

    def test_a_file_that_came_later_is_unknown(self, home: Path, directory: Path) -> None:
        with open_store(home) as store:
            (directory / f"{OLD}.json").write_text("{}")
            assert shown(store) == [(OLD, "unsigned_unknown")]
            with pytest.raises(errors.UnsignedUnknownError):
                store.load(OLD)
            with pytest.raises(errors.UnsignedUnknownError):
                store.delete(OLD)
        with open_store(home) as store:
            assert (store.notices, shown(store)) == ((), [(OLD, "unsigned_unknown")])

    @pytest.mark.parametrize("content", [b'{"x":1}', b"", b"[]"])
    def test_a_changed_file_is_modified(self, home: Path, directory: Path, content: bytes) -> None:
        (directory / f"{OLD}.json").write_text("{}")
        with open_store(home) as store:
            (directory / f"{OLD}.json").write_bytes(content)
            with pytest.raises(errors.LegacyModifiedError):
                store.load(OLD)
            if len(content) != 2:  # the list compares sizes only
                assert shown(store) == [(OLD, "legacy_modified")]

    @pytest.mark.parametrize("legacy", ["ask", "refuse"])
    def test_nothing_is_taken_unless_it_is_to_be_adopted(self, home: Path, directory: Path, legacy: str) -> None:
        (directory / f"{OLD}.json").write_text("{}")
        config = Config(data_dir=home / "data", state_dir=home / "state", legacy=legacy)  # type: ignore[arg-type]
        with open_store(config=config) as store:
            assert (store.notices, shown(store)) == ((), [(OLD, "unsigned_unknown")])
            with pytest.raises(errors.UnsignedUnknownError):
                store.load(OLD)

    def test_a_file_longer_than_any_of_that_format_is_not_taken(self, home: Path, directory: Path) -> None:
        for id, size in ((OLD, TEN_MIB), (OTHER, TEN_MIB + 1)):
            with (directory / f"{id}.json").open("wb") as file:
                file.truncate(size)
        with open_store(home) as store:
            assert shown(store) == [(OLD, "legacy"), (OTHER, "unsigned_unknown")]
            assert store.notices[0].startswith("1 unsigned")
            with pytest.raises(errors.UnsupportedVersionError):
                store.load(OLD)

    @pytest.mark.parametrize("name", ["notes.json", f"{OLD.upper()}.json", f"{OLD}.json.bak", f"{OLD}", ".json"])
    def test_other_names_are_not_taken(self, home: Path, directory: Path, name: str) -> None:
        (directory / name).write_text("{}")
        with open_store(home) as store:
            assert store.notices == ()
            assert {code for _, code in shown(store)} <= {"invalid_id"}

    def test_links_and_other_kinds_are_not_taken(self, home: Path, directory: Path) -> None:
        (directory / "target").write_text("{}")
        (directory / f"{OLD}.json").symlink_to("target")
        os.mkfifo(directory / f"{OTHER}.json")
        with open_store(home) as store:
            assert store.notices == ()
            assert shown(store) == [(OLD, "unsafe_file"), (OTHER, "unsafe_file")]
            with pytest.raises(errors.UnsafeFileError):
                store.load(OLD)


class TestBesideSealedSessions:
    def test_an_unsigned_file_in_place_of_a_sealed_one_is_a_stripped_signature(self, home: Path) -> None:
        with open_store(home) as store:
            store.create(id=OLD)
            sealed = home / "data" / "sessions" / f"{OLD}.jsonl"
            sealed.unlink()
            sealed.with_suffix(".json").write_text("{}")
            with pytest.raises(errors.SignatureStrippedError):
                store.load(OLD)
            assert shown(store) == [(OLD, "signature_stripped")]
            assert store.stats().unreadable == 1

    def test_a_stray_one_beside_it_is_shown_and_does_not_disturb_it(self, home: Path) -> None:
        with open_store(home) as store:
            store.create(id=OLD, entries=[{"n": 1}])
            (home / "data" / "sessions" / f"{OLD}.json").write_text("{}")
            assert shown(store) == [(OLD, "signature_stripped")]
            assert [line.id for line in store.list().sessions] == [OLD]
            assert store.append(OLD, [{"n": 2}]) == 2
            assert len(store.load(OLD).entries) == 2

    def test_one_from_the_start_does_not_stand_in_for_a_deleted_session(self, home: Path, directory: Path) -> None:
        (directory / f"{OLD}.json").write_text("{}")
        with open_store(home) as store:
            store.create(id=OLD)
            store.delete(OLD)
            with pytest.raises(errors.SessionNotFoundError):
                store.load(OLD)
        assert (directory / f"{OLD}.json").read_text() == "{}"


class TestTheFilesThemselves:
    def test_no_call_changes_one(self, home: Path, directory: Path) -> None:
        file = directory / f"{OLD}.json"
        file.write_bytes(b'{"a": 1}\r\n')
        file.chmod(0o644)
        before = os.stat(file)
        with open_store(home) as store:
            calls: list[Callable[[], object]] = [
                lambda: store.load(OLD),
                lambda: store.append(OLD, [{"n": 1}]),
                lambda: store.rewind(OLD, 0),
                lambda: store.delete(OLD),
                lambda: store.export(OLD),
            ]
            for call in calls:
                with pytest.raises(errors.UnsupportedVersionError):
                    call()
            store.list()
            list(store.verify())
            store.cleanup(keep_last=0)
        after = os.stat(file)
        assert (after.st_ino, after.st_size, after.st_mtime_ns, after.st_ctime_ns, after.st_mode) == (
            before.st_ino,
            before.st_size,
            before.st_mtime_ns,
            before.st_ctime_ns,
            before.st_mode,
        )
