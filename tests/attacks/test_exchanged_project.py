"""The project exchanged for something else before one call of a resume, and back before a later one: every such pair.

The attacker (`exchange.c`, compiled here) sits in the victim (`exchanged.py`) and misses no call, so no luck is needed.
How strong it is, the controls show: ways of resuming that look safe, each of which it beats.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

Attack = Callable[..., dict[str, Any]]


class TestEveryPairOfCalls:
    def test_what_was_exchanged_when_its_name_was_opened_is_refused_and_nothing_else_is(
        self, attack: Attack, place: Any
    ) -> None:
        place.is_met(attack("pinned"))

    def test_without_openat2_it_is_the_same(self, attack: Attack, place: Any) -> None:
        told = attack("pinned", no_openat2=errno.ENOSYS)
        place.is_met(told)
        assert sum(call.startswith("openat ") for call in told["seen"]) >= 8

    def test_standing_as_saved_during_two_calls_alone_helps_only_if_these_open_the_name(
        self, attack: Attack, place: Any
    ) -> None:
        told = attack("pinned", glimpses=True)
        assert [pair for *pair, end in told["ended"][1:] if end == "ok"] == [place.opened_by(told["seen"])]
        assert told["won"] == []


class TestControls:
    """What must lose, or the attacker proves nothing."""

    def test_realpath_and_then_the_text(self, attack: Attack) -> None:
        assert unnoticed(attack("realpath_then_text"))

    def test_the_identity_by_name_before_and_after(self, attack: Attack) -> None:
        assert unnoticed(attack("check_before_and_after"))

    def test_a_walk_without_links_that_knows_no_identity(self, attack: Attack, place: Any) -> None:
        told = attack("walk_without_identity")
        assert bool(unnoticed(told)) == (not place.there.is_symlink())

    def test_a_pinned_directory_of_which_the_tool_gets_the_text(self, attack: Attack) -> None:
        assert unnoticed(attack("text_handed_over"))


def unnoticed(told: dict[str, Any]) -> list[Any]:
    """The wins after which the victim went on as if nothing had been."""
    return [win for win in told["won"] if win[3] == "ok"]
