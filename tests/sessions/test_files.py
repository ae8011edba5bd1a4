"""Files that are ours but odd: several names, loose modes, a name that leads elsewhere while the store is open."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from sessionstore import errors


def codes(session: Any) -> list[str]:
    return [warning.code for warning in session.warnings]


class TestSeveralLinks:
    def test_a_linked_file_is_read_with_a_warning_and_left_by_the_next_save(self, place: Any) -> None:
        id = place.session()
        before = place.read(id)
        os.link(place.file(id), place.home.parent / "backup")
        assert codes(place.store.load(id)) == ["several_links"]
        assert [warning.code for result in place.store.verify(id) for warning in result.warnings] == ["several_links"]
        assert place.store.list().unreadable == ()
        assert place.store.append(id, [{"n": 3}]) == 5
        assert (place.home.parent / "backup").read_bytes() == before
        assert place.file(id).stat().st_ino != (place.home.parent / "backup").stat().st_ino
        session = place.store.load(id)
        assert ([entry["n"] for entry in session.entries], codes(session)) == ([0, 1, 2, 3], [])
        assert place.read(id).startswith(before)
        assert place.file(id).stat().st_mode & 0o777 == 0o600

    def test_a_link_made_between_two_saves_of_one_process_is_noticed(self, place: Any) -> None:
        id = place.session()
        place.store.append(id, [{"n": 3}])
        before = place.read(id)
        os.link(place.file(id), place.home.parent / "backup")
        place.store.append(id, [{"n": 4}])
        assert (place.home.parent / "backup").read_bytes() == before

    def test_a_rewrite_and_a_delete_leave_the_other_name_alone(self, place: Any) -> None:
        id = place.session()
        before = place.read(id)
        os.link(place.file(id), place.home.parent / "backup")
        place.store.rewind(id, 1)
        assert (place.home.parent / "backup").read_bytes() == before
        os.link(place.file(id), place.home.parent / "second")
        place.store.delete(id)
        assert (place.home.parent / "second").exists()


class TestLooseMode:
    @pytest.mark.parametrize("mode", [0o644, 0o606, 0o660, 0o700 | 0o040])
    def test_it_is_told_when_read_and_closed_by_the_next_save(self, place: Any, mode: int) -> None:
        id = place.session()
        place.file(id).chmod(mode)
        assert codes(place.store.load(id)) == ["loose_mode"]
        assert place.file(id).stat().st_mode & 0o777 == mode
        inode = place.file(id).stat().st_ino
        assert place.store.append(id, [{"n": 3}]) == 5
        assert place.file(id).stat().st_mode & 0o777 == 0o600
        assert place.file(id).stat().st_ino == inode
        assert codes(place.store.load(id)) == []


class TestExchangedWhileOpen:
    def test_a_save_goes_to_the_file_that_has_the_name(self, place: Any) -> None:
        id = place.session()
        data = place.read(id)
        away = place.file(id).rename(place.file(id).with_name("away"))
        place.put(id, data)
        place.file(id).chmod(0o600)
        assert place.store.append(id, [{"n": 3}]) == 5
        assert away.read_bytes() == data
        assert place.read(id).startswith(data)

    def test_a_file_that_went_while_the_store_had_it_open_is_missing(self, place: Any) -> None:
        id = place.session()
        place.store.append(id, [{"n": 3}])
        place.file(id).unlink()
        with pytest.raises(errors.MissingError):
            place.store.append(id, [{"n": 4}])

    def test_damage_in_the_past_is_not_sealed_in(self, place: Any) -> None:
        id = place.session()
        place.store.append(id, [{"n": 3}])
        changed = place.read(id).replace(b'"n":0', b'"n":8')
        place.put(id, changed)
        with pytest.raises(errors.InvalidSignatureError) as caught:
            place.store.append(id, [{"n": 4}])
        assert caught.value.fields["last_good_rev"] == 1
        assert place.read(id) == changed


class TestPrivate:
    def test_everything_is_for_the_owner_alone_whatever_the_umask(self, home: Path, child: Any) -> None:
        script = """
import os, sys
from sessionstore import open_store
os.umask(0)
with open_store(sys.argv[1]) as store:
    id = store.create(entries=[{"n": 1}]).id
    with open(f"{sys.argv[1]}/data/sessions/{id}.jsonl", "ab") as file:
        file.write(b"torn")
    store.append(id, [{"n": 2}])
    store.rewind(id, 1)
"""
        child(script, home)
        found = {path: path.stat().st_mode & 0o777 for path in [home, *home.rglob("*")]}
        assert {mode for path, mode in found.items() if path.is_dir()} == {0o700}
        assert {mode for path, mode in found.items() if path.is_file()} == {0o600}
        directories = [path for path in found if path.is_dir() and path != home]
        assert len(directories) == 6
        for directory in directories:
            assert (directory / ".gitignore").read_text() == "*\n"
