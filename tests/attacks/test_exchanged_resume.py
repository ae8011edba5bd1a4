"""The project exchanged for something else before one call of a whole resume, and back before a later one: every pair.

The attacker is that of `test_exchanged_project.py`. A command is started on the command line as people do it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Attack = Callable[..., dict[str, Any]]


@pytest.fixture
def root(home: Path) -> Path:
    """A store in memory: what a disk does at every commit is not what is tested."""
    return home


class TestWholeResume:
    def test_what_was_exchanged_when_its_name_was_opened_is_refused_and_nothing_else_is(
        self, attack: Attack, place: Any, resumable: Any
    ) -> None:
        place.is_met(attack("resumed", victim=resumable))
        assert resumable.path.read_bytes() == resumable.good

    def test_standing_as_saved_during_two_calls_alone_helps_only_if_these_open_the_name(
        self, attack: Attack, place: Any, resumable: Any
    ) -> None:
        told = attack("resumed", glimpses=True, victim=resumable)
        assert [pair for *pair, end in told["ended"][1:] if end == "ok"] == [place.opened_by(told["seen"])]
        assert told["won"] == []


class TestCommand:
    def test_it_runs_in_the_saved_directory_or_never(self, attack: Attack, place: Any, resumable: Any) -> None:
        told = attack("commanded", pairs=False, victim=resumable)
        place.is_met(told)
        # Moved after the commit, the command goes on in the directory that was saved.
        assert told["ended"][-2][2] == "ok" and told["seen"][-1] == "open marker"
