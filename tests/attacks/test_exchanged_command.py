"""The project exchanged for something else while a command of its session waits at the gate: every pair of calls.

The attacker is that of `test_exchanged_project.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Attack = Callable[..., dict[str, Any]]


class TestGate:
    def test_a_command_runs_in_the_saved_directory_or_never(self, attack: Attack, place: Any) -> None:
        told = attack("gated")
        place.is_met(told)
        assert told["seen"][-1] == "open marker" and any(call.startswith("execve") for call in told["seen"])
