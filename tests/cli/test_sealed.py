"""Adopting a sealed file on the command line: what could be checked is shown, and somebody has to vouch."""

from __future__ import annotations

import shutil
import sys
import types
from pathlib import Path

import click
import pytest

from sessionstore import open_store
from sessionstore.cli import confirm, exits
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.resolve import session_argument
from sessionstore.cli.root import COMMANDS
from sessionstore.cli.sealed import adopt_sealed


@pytest.fixture
def stranger(call, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A sealed file of another installation in the store; and a command that does nothing but adopt such files."""

    @command_of("adopt-it", examples=["sessionstore adopt-it ID"], exit_codes=(exits.NOT_TRUSTED,))
    @session_argument
    @confirm.consent_options("Only say.")
    @click.option("--accept-rev", type=int)
    def made(invocation: Invocation, session: str, accept_rev: int | None, dry_run: bool, confirmed: bool) -> None:
        """Adopt a sealed file."""
        adopt_sealed(invocation, session, accept_rev=accept_rev, dry_run=dry_run, confirmed=confirmed)

    module = types.ModuleType("adopting_for_a_test")
    module.command = made  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(COMMANDS, "adopt-it", module.__name__)
    assert isinstance(made, click.Command)
    call("list")
    with open_store(tmp_path / "elsewhere", environ={}) as other:
        id = other.create(name="far", entries=[{"n": 0}]).id
    shutil.copy2(tmp_path / "elsewhere/data/sessions" / f"{id}.jsonl", home / "data/sessions")
    return id


class TestSealed:
    def test_what_could_be_checked_is_shown(self, call, stranger: str) -> None:
        ran = call("adopt-it", stranger, "--dry-run")
        assert ran.code == 0
        assert "  name        far\n" in ran.out
        assert "  signatures  prove nothing: key " in ran.out
        assert "  becomes     revision 2, provenance adopted\n" in ran.out
        assert call("show", stranger).code == 8

    def test_it_needs_somebody_who_vouches(self, call, stranger: str) -> None:
        ran = call("adopt-it", stranger)
        assert (ran.code, "adopting a file needs --confirm" in ran.err) == (2, True)
        ran = call("adopt-it", stranger, "--confirm")
        assert (ran.code, ran.out) == (0, f"adopted {stranger}  revision 2\n")
        assert call("show", stranger).code == 0
        (event,) = call("audit", "show", "--event", "sealed_adopted", "--json").value["events"]
        assert event["fields"]["consent"] == "adopt --sealed --confirm"
        assert call("adopt-it", stranger, "--confirm", "--json").error["code"] == "invalid_value"

    def test_an_older_state_is_called_one(self, call, stranger: str, home: Path) -> None:
        with open_store(home, environ={}) as store:
            store._ground.audit.record("resume_committed", session_id=stranger, rev=7)
        ran = call("adopt-it", stranger, "--dry-run")
        assert "  known       revision 7, audit log: the file is an older state\n" in ran.out
        refused = call("adopt-it", stranger, "--confirm")
        assert refused.code == 4 and "`--accept-rev 1`" in refused.err
        assert call("adopt-it", stranger, "--confirm", "--accept-rev", "7", "--json").error["code"] == "rollback"
        value = call("adopt-it", stranger, "--confirm", "--accept-rev", "1", "--json").value["adopted"]
        assert (value["file_rev"], value["known_rev"], value["rev"]) == (1, 7, 8)
