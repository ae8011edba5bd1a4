"""What a resumed project is allowed with, and what a person is told about it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from msgspec.structs import replace

from sessionstore.fs.project import capture, pin
from sessionstore.fs.syscalls import Kernel

Run = Callable[..., list[str]]
Resumed = Callable[..., list[str]]
ActingAs = Callable[[int], AbstractContextManager[None]]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    made = tmp_path.resolve() / "p"
    made.mkdir()
    return made


class TestWarnings:
    def test_a_device_with_another_number_beside_an_identity_that_is_sure(self, place: Path, resumed: Resumed) -> None:
        record = capture(place)
        if record.handle is None and record.birth_time_ns is None:
            pytest.skip("the file system of the temporary directory has neither handles nor birth times")
        assert resumed(replace(record, device=record.device + 1)) == ["device_changed"]  # type: ignore[operator]

    def test_an_identity_that_rests_on_the_device(self, place: Path, resumed: Resumed) -> None:
        record = capture(place)
        assert "weak_identity" in resumed(record, kernel=Kernel(None))
        assert "weak_identity" in resumed(replace(record, handle=None, handle_type=None, birth_time_ns=None))
        assert "weak_identity" not in resumed(record) or record.handle is None

    @pytest.mark.parametrize(("mode", "warned"), [(0o777, True), (0o1777, False), (0o757, True), (0o755, False)])
    def test_a_directory_above_that_everybody_may_change(
        self, place: Path, kernel: Kernel, resumed: Resumed, mode: int, warned: bool
    ) -> None:
        (place / "a" / "b").mkdir(parents=True)
        (place / "a").chmod(mode)
        record = capture(place / "a" / "b")
        assert ("ancestor_writable" in resumed(record, kernel=kernel)) is warned
        with pin(record, kernel=kernel) as root:
            shown = [warning.text for warning in root.warnings if warning.code == "ancestor_writable"]
        assert all(f"{place}/a: mode {mode:04o}" in text for text in shown)

    def test_a_directory_above_that_a_group_of_others_may_change(
        self, place: Path, kernel: Kernel, resumed: Resumed, somebody: int
    ) -> None:
        (place / "a" / "b").mkdir(parents=True)
        os.chown(place / "a", -1, somebody)
        (place / "a").chmod(0o775)
        assert "ancestor_writable" in resumed(capture(place / "a" / "b"), kernel=kernel)

    def test_a_directory_above_that_belongs_to_a_stranger(
        self, shared: Path, kernel: Kernel, resumed: Resumed, somebody: int
    ) -> None:
        (shared / "a" / "b").mkdir(parents=True)
        os.chown(shared / "a", somebody, somebody)
        assert "ancestor_writable" in resumed(capture(shared / "a" / "b"), kernel=kernel)

    def test_a_loose_directory_a_thousand_levels_up(
        self, place: Path, resumed: Resumed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place.chmod(0o777)
        monkeypatch.chdir(place)
        for _ in range(1005):
            os.mkdir("d")
            os.chdir("d")
        record = capture(b".")
        assert "ancestor_writable" in resumed(record)
        with pin(record) as root:
            assert f"the project: {place}: mode 0777" in root.warnings[-1].text
        for _ in range(1005):
            os.chdir("..")
            os.rmdir("d")

    def test_directories_above_that_cannot_be_looked_at(
        self, shared: Path, resumed: Resumed, acting_as: ActingAs, somebody: int
    ) -> None:
        (shared / "p").mkdir()
        os.chown(shared / "p", somebody, somebody)
        (shared / "p").chmod(0o600)
        with acting_as(somebody):
            assert resumed(capture(shared / "p")) == ["ancestor_writable"]

    @pytest.mark.parametrize("change", ["elsewhere", "removed", "a circle"])
    def test_a_link_that_no_longer_leads_there(
        self, tmp_path: Path, place: Path, kernel: Kernel, resumed: Resumed, change: str
    ) -> None:
        (tmp_path / "own").symlink_to("p")
        record = capture(tmp_path / "own")
        (tmp_path / "own").unlink()
        if change != "removed":
            (tmp_path / "own").symlink_to("own" if change == "a circle" else "/")
        assert "alias_moved" in resumed(record, kernel=kernel)
