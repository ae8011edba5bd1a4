"""Attempts counted in another storage that `limits` knows, such as a Redis server that several machines share.

Rules:

* The address may hold a password. No error repeats anything of it, and no error of a driver is passed on or kept as a
  cause: it may hold the address.
* A storage that cannot be reached refuses: the limit cannot be got around by taking its server away.

Not promised, other than with the ledger: the two limits are looked at and noted in steps, so of several attempts at
once one can be refused by the global limit and still count for its session. Time is that of this machine's wall clock.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from limits.storage import MovingWindowSupport, Storage, storage_from_string
from limits.strategies import MovingWindowRateLimiter

from sessionstore.config import Secret
from sessionstore.errors import ConfigError, StoreUnavailableError
from sessionstore.ratelimit.window import Refusal, Rule, attempt

T = TypeVar("T")


class SharedCounts:
    """Counts attempts in the storage of an address. Safe to share between threads.

    Args:
        uri: The address, with a scheme of `limits`.

    Raises:
        ConfigError: `limits` has no such storage, or its client library is missing, or it cannot keep a moving window.
    """

    def __init__(self, uri: Secret) -> None:
        storage, failure = _quietly(lambda: storage_from_string(uri.reveal().decode("ascii")))
        if storage is None:
            raise _unusable(
                f"limits cannot use it ({failure}): the scheme is not known, the address is not complete, or the "
                "client library of that storage is not installed"
            )
        if not isinstance(storage, Storage) or not isinstance(storage, MovingWindowSupport):
            raise _unusable("that storage cannot keep a moving window; redis and mongodb can, memcached cannot")
        self._limiter = MovingWindowRateLimiter(storage)

    def attempt(self, rules: Sequence[Rule]) -> Refusal | None:
        """Note an attempt, or say why not.

        Raises:
            StoreUnavailableError: The storage failed or cannot be reached.
        """
        answer, failure = _quietly(lambda: [attempt(self._limiter, rules, self._wait_s)])
        if answer is None:
            raise StoreUnavailableError(
                reason=f"the storage where attempts are counted failed ({failure})",
                outcome="not_written",
                hint="see whether the server of resume_storage_uri is running and lets this machine in",
            )
        return answer[0]

    def _wait_s(self, rule: Rule) -> int:
        reset_at = self._limiter.get_window_stats(rule.window, *rule.names).reset_time
        # Here an attempt that is exactly as old as the window still counts, and older releases of `limits` cut the
        # fraction of a second off.
        margin_s = 2 if isinstance(reset_at, int) else 1
        return max(1, math.floor(reset_at - time.time()) + margin_s)


def _quietly(action: Callable[[], T]) -> tuple[T | None, str]:
    """What the action gives, or None and the kind of its error.

    Drivers raise whatever they like, with the address in it. Only the kind leaves this function, and the error is gone
    before another is raised: it would come along as its context.
    """
    try:
        return action(), ""
    except Exception as exc:
        return None, type(exc).__name__


def _unusable(reason: str) -> ConfigError:
    return ConfigError(setting="resume_storage_uri", source="configuration", reason=reason)
