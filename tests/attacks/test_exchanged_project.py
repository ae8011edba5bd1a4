"""The project exchanged for something else before one call of a resume, and back before a later one: every such pair.

The attacker (`exchange.c`, compiled here) sits in the victim (`exchanged.py`) and misses no call, so there is no luck in
it. How strong it is, the controls show: ways of resuming that look safe, each of which it beats.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sessionstore.fs.project import capture

Attack = Callable[..., dict[str, Any]]

WORKS, MISSING = 0, 38  # openat2, or the errno that it fails with

# What a refusal says of the attacker's deed. The last: a link was met by a walk and is gone at the second look.
REFUSALS = {"symlink", "replaced", "not_a_directory"}


@pytest.fixture
def attack(shim: Path, place: Any, tmp_path: Path) -> Attack:
    """Attacks a way of resuming before every pair of its calls; what came of it."""

    def run(way: str, openat2: int = WORKS) -> dict[str, Any]:
        state = tmp_path / "state"
        state.write_bytes(bytes(1 << 17))
        job = {
            "way": way,
            "record": base64.b64encode(msgspec.json.encode(capture(place.project))).decode(),
            "here": str(place.here),
            "there": str(place.there),
            "place": str(place.root),
            "no_openat2": openat2,
        }
        done = subprocess.run(
            [sys.executable, "-P", Path(__file__).with_name("exchanged.py"), json.dumps(job)],
            capture_output=True,
            text=True,
            timeout=300,
            cwd="/",
            env={**os.environ, "LD_PRELOAD": str(shim), "EXCHANGE_STATE": str(state)},
        )
        assert (done.returncode, done.stderr) == (0, "")
        told: dict[str, Any] = json.loads(done.stdout)
        assert not told["odd"] and told["aways"] >= len(told["seen"]) > 0
        assert (place.project / "marker").read_text() == "genuine"
        return told

    return run


@pytest.mark.parametrize("openat2", [WORKS, MISSING])
class TestEveryPairOfCalls:
    def test_the_tool_reads_and_starts_in_the_saved_directory_or_nowhere(self, attack: Attack, openat2: int) -> None:
        told = attack("pinned", openat2)
        assert told["won"] == [];print(told)
        assert told["ended"]["ok"] > 1 and set(told["ended"]) - {"ok"} <= REFUSALS and len(told["ended"]) > 1
        # Pinned and pinned again, and seen by the attacker both times.
        assert told["seen"].count("openat") + told["seen"].count("openat2") >= (2 if openat2 == WORKS else 8)


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
