"""The policy about unsigned files: what each level opens, who raises it, and that only a command lowers it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionstore import Config, SessionStore, errors, open_store
from sessionstore.model import POLICIES
from sessionstore.sessions.policy import combined

OLD = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"
OTHER = "1f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"

FLOORS = [("warn", "floor", "warn"), ("warn", "strict", "strict"), ("strict", "warn", "strict")]

Unsigned = Callable[..., bytes]


@pytest.fixture
def opened(home: Path, directory: Path, unsigned: Unsigned) -> Callable[..., SessionStore]:
    """Opens a store with one unsigned file, with the policy given as a setting."""
    (directory / f"{OLD}.json").write_bytes(unsigned(OLD, project_path=""))

    def make(policy: Any = "floor", **more: Any) -> SessionStore:
        return open_store(config=Config(data_dir=home / "data", state_dir=home / "state", policy=policy), **more)

    return make


def codes(store: SessionStore) -> list[str]:
    return [line.code for line in store.list().unreadable]


class TestLevels:
    @pytest.mark.parametrize(("policy", "warnings"), [("accept", []), ("warn", ["legacy"])])
    def test_listed_files_are_opened_with_or_without_a_warning(
        self, opened: Callable[..., SessionStore], policy: str, warnings: list[str]
    ) -> None:
        with opened() as store:
            if policy == "accept":
                store.lower_policy("accept", consent="test")
            assert store.policy().policy == policy
            assert [warning.code for warning in store.load(OLD).warnings] == warnings
            assert store.append(OLD, [{"n": 1}]) == 2

    @pytest.mark.parametrize("policy", ["require", "strict"])
    def test_none_is_opened_before_a_command_signed_it(
        self, opened: Callable[..., SessionStore], directory: Path, policy: str
    ) -> None:
        with opened(policy) as store:
            calls: tuple[Callable[[], object], ...] = (
                lambda: store.load(OLD),
                lambda: store.append(OLD, [{"n": 1}]),
                lambda: store.append(OLD),
                lambda: store.summary(OLD),
                lambda: store.export(OLD),
                lambda: store.resume(OLD).__enter__(),
            )
            for call in calls:
                with pytest.raises(errors.UnsignedRefusedError):
                    call()
            assert codes(store) == ["unsigned_refused"] and store.list().sessions == ()
            assert list(store.audit(events=["tampering_found"])) == []
            assert (directory / f"{OLD}.json").exists()
            for dry_run in (True, False):
                assert [result.outcome for result in store.migrate(dry_run=dry_run)] == ["migrated"]
            assert store.append(OLD, [{"n": 1}]) == 2 and codes(store) == []

    def test_one_may_be_deleted_unopened(self, opened: Callable[..., SessionStore], directory: Path) -> None:
        with opened("require") as store:
            store.delete(OLD)
            assert codes(store) == [] and not (directory / f"{OLD}.json").exists()

    @pytest.mark.parametrize("policy", POLICIES)
    def test_hard_errors_are_the_same_under_each(
        self, opened: Callable[..., SessionStore], directory: Path, unsigned: Unsigned, policy: Any
    ) -> None:
        with opened() as store:
            if policy == "accept":
                store.lower_policy(policy, consent="test")
            else:
                store.raise_policy(policy)
            sealed = store.create()
            (directory / f"{OTHER}.json").write_bytes(unsigned(OTHER))
            (directory / f"{OLD}.json").write_bytes(unsigned(OLD, name="changed"))
            (directory / f"{sealed.id}.jsonl").unlink()
            (directory / f"{sealed.id}.json").write_bytes(unsigned(sealed.id))
            wanted = {OTHER: "unsigned_unknown", OLD: "legacy_modified", sealed.id: "signature_stripped"}
            for id, code in wanted.items():
                for call in (store.load, store.export, lambda id: store.append(id, [{"n": 1}])):
                    with pytest.raises(errors.VerificationError) as caught:
                        call(id)
                    assert caught.value.code == code
                assert [result.code for result in store.migrate(id)] in ([code], [])
            assert {line.name: line.code for line in store.list().unreadable} == wanted

    @pytest.mark.parametrize("policy", ["floor", "strict"])
    def test_strict_also_refuses_a_project_below_what_others_may_change(
        self, opened: Callable[..., SessionStore], tmp_path: Path, policy: str
    ) -> None:
        loose = tmp_path / "loose"
        project = loose / "project"
        project.mkdir(parents=True)
        loose.chmod(0o777)
        with opened(policy) as store:
            session = store.create(project=project)
            if policy == "floor":
                with store.resume(session.id) as run:
                    assert "ancestor_writable" in [warning.code for warning in run.warnings]
                return
            with pytest.raises(errors.ProjectPathError) as caught, store.resume(session.id):
                pass
            assert caught.value.verdict == "unsafe_ancestor"


class TestChanges:
    def test_a_setting_raises_it_for_good_and_that_is_on_record(self, opened: Callable[..., SessionStore]) -> None:
        with opened("require") as store:
            assert store.policy().floor == "require"
            (event,) = store.audit(events=["policy_raised"])
            assert event.fields == {"before": "warn", "after": "require", "by": "setting"}
        for setting in ("floor", "require"):
            with opened(setting) as store:
                assert store.policy().policy == "require"
                assert len(list(store.audit(events=["policy_raised"]))) == 1

    @pytest.mark.parametrize("read_only", [False, True])
    @pytest.mark.parametrize("setting", ["accept", "warn", "require"])
    def test_a_setting_below_it_is_refused_and_lowers_nothing(
        self, opened: Callable[..., SessionStore], setting: str, read_only: bool
    ) -> None:
        opened("strict").close()
        with pytest.raises(errors.DowngradeRefusedError) as caught:
            opened(setting, read_only=read_only)
        assert caught.value.fields == {"asked": setting, "floor": "strict"}
        assert "policy lower" in caught.value.hint
        with opened() as store:
            assert store.policy().policy == "strict"

    def test_a_store_opened_to_read_obeys_a_higher_setting_and_records_nothing(
        self, opened: Callable[..., SessionStore]
    ) -> None:
        opened().close()
        with opened("require", read_only=True) as store:
            state = store.policy()
            assert (state.policy, state.floor, state.setting) == ("require", "warn", "require")
            with pytest.raises(errors.UnsignedRefusedError):
                store.load(OLD)
            for change in (lambda: store.raise_policy("strict"), lambda: store.lower_policy("accept", consent="x")):
                with pytest.raises(errors.StoreUnavailableError):
                    change()
        with opened() as store:
            assert store.policy().floor == "warn"

    def test_a_command_raises_it_and_never_lowers_it(self, opened: Callable[..., SessionStore]) -> None:
        with opened() as store:
            store.raise_policy("warn")
            assert list(store.audit(events=["policy_raised"])) == []
            store.raise_policy("strict")
            with pytest.raises(errors.DowngradeRefusedError):
                store.raise_policy("require")
            with pytest.raises(errors.InvalidValueError):
                store.raise_policy("none")
            assert store.policy().policy == "strict"

    def test_only_its_own_command_lowers_it_with_consent_on_record(self, opened: Callable[..., SessionStore]) -> None:
        with opened("require") as store:
            for consent in ("", "x" * 201):
                with pytest.raises(errors.InvalidValueError, match="consent"):
                    store.lower_policy("warn", consent=consent)
            with pytest.raises(errors.DowngradeRefusedError, match="require"):
                store.lower_policy("warn", consent="me")  # the setting would raise it again
        with opened() as store:
            for same in ("require", "strict", "none"):
                with pytest.raises(errors.InvalidValueError):
                    store.lower_policy(same, consent="me")
            store.lower_policy("accept", consent="me")
            assert store.policy().policy == "accept"
            (event,) = store.audit(events=["policy_lowered"])
            assert event.fields == {"before": "require", "after": "accept", "consent": "me"}

    def test_a_setting_stands_in_the_way_of_nothing_but_less_than_it_asks_for(
        self, opened: Callable[..., SessionStore]
    ) -> None:
        with opened("require") as store:
            store.raise_policy("strict")
            store.lower_policy("require", consent="me")
            assert store.policy().floor == "require"

    @pytest.mark.parametrize(("floor", "setting", "policy"), FLOORS)
    def test_in_force_is_the_higher_one_of_both(self, floor: Any, setting: Any, policy: str) -> None:
        assert combined(floor, setting).policy == policy

    def test_nothing_is_changed_where_nothing_can_be_written_down(
        self, opened: Callable[..., SessionStore], home: Path
    ) -> None:
        with opened() as store:
            os.rename(home / "state" / "audit", home / "state" / "away")
            (home / "state" / "audit").touch()
            for change in (lambda: store.raise_policy("strict"), lambda: store.lower_policy("accept", consent="x")):
                with pytest.raises(errors.SessionStoreError):
                    change()
            assert store.policy().policy == "warn"
            (home / "state" / "audit").unlink()
            os.rename(home / "state" / "away", home / "state" / "audit")

    def test_nothing_is_read_from_the_project_or_the_current_directory(
        self, opened: Callable[..., SessionStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path
    ) -> None:
        project = tmp_path / "project"
        for place in (project, project / ".sessionstore", project / ".config" / "sessionstore"):
            place.mkdir(parents=True, exist_ok=True)
            (place / "config.toml").write_text('policy = "strict"\nlegacy = "refuse"\n')
        monkeypatch.chdir(project)
        with open_store(home) as store:
            store.create(project=project)
            assert store.policy().policy == "warn" and store.load(OLD)
