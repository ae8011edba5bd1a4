"""The moving window of the library `limits` over the ledger, and over any other storage that `limits` knows.

The only modules that import `limits` are this one and `shared`; it is slow to import, so they are imported late.

Rules:

* An attempt counts while it is younger than the window; when it is exactly as old, it has left.
* First both limits are looked at, then the attempt is noted for both: a refused one is noted for neither.
* The name of a bucket holds no limit, so that a changed setting keeps what was counted under the old one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, NoReturn

from limits import RateLimitItemPerSecond
from limits.storage import MovingWindowSupport, Storage
from limits.strategies import MovingWindowRateLimiter

from sessionstore.errors import SessionStoreError
from sessionstore.ledger import Attempts

_US_PER_S = 1_000_000

Scope = Literal["session", "global"]


class Window(RateLimitItemPerSecond):
    """So many attempts within so many seconds."""

    def key_for(self, *identifiers: bytes | str | int | float) -> str:
        """The name of a bucket: its parts, and not the limit."""
        return "/".join(map(str, identifiers))


class Rule(NamedTuple):
    """One limit that an attempt has to keep.

    Attributes:
        scope: Which limit it is.
        window: How much it allows.
        names: The parts of the bucket's name.
    """

    scope: Scope
    window: Window
    names: tuple[str, ...]


class Refusal(NamedTuple):
    """The rule that an attempt would break, and the whole seconds after which it would not."""

    rule: Rule
    retry_after_s: int


def attempt(limiter: MovingWindowRateLimiter, rules: Sequence[Rule], wait_s: Callable[[Rule], int]) -> Refusal | None:
    """Note an attempt, or say why not.

    Args:
        limiter: Of the storage that counts.
        rules: The narrowest first.
        wait_s: How many seconds until a rule that is full allows one attempt again.
    """
    broken = [rule for rule in rules if not limiter.test(rule.window, *rule.names)]
    if not broken:
        broken = [rule for rule in rules if not limiter.hit(rule.window, *rule.names)]
    # If several are full, it takes all of them to have room.
    refusals = [Refusal(rule, wait_s(rule)) for rule in broken]
    return max(refusals, key=lambda refusal: refusal.retry_after_s, default=None)


def attempt_in(attempts: Attempts, now_us: int, rules: Sequence[Rule]) -> Refusal | None:
    """The same in the ledger, inside its transaction, at the time `now_us`."""
    storage = LedgerStorage(attempts, now_us)
    return attempt(MovingWindowRateLimiter(storage), rules, storage.wait_s)


class LedgerStorage(Storage, MovingWindowSupport):
    """Buckets of the ledger as a storage of `limits`, for the length of one transaction.

    Args:
        attempts: The open transaction.
        now_us: What time it is in it, in microseconds of the attempts' own time.
    """

    STORAGE_SCHEME = None  # no address leads here

    def __init__(self, attempts: Attempts, now_us: int) -> None:
        super().__init__()
        self._attempts = attempts
        self._now_us = now_us

    @property
    def base_exceptions(self) -> type[Exception]:
        """What reading and writing can raise."""
        return SessionStoreError

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Note `amount` attempts, if there is room for all."""
        entries = self._counting(key, expiry)
        if len(entries) + amount > limit:
            return False
        leaves_at = self._now_us + expiry * _US_PER_S
        self._attempts.put(key, (*entries, *(self._now_us,) * amount), leaves_at=leaves_at)
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """The time of the oldest attempt that counts, in seconds, and how many count."""
        entries = self._counting(key, expiry)
        return (entries[0] if entries else self._now_us) / _US_PER_S, len(entries)

    def wait_s(self, rule: Rule) -> int:
        """Whole seconds until a full rule allows one attempt again; in integers, so that it is right to the second."""
        window_s = rule.window.get_expiry()
        entries = self._counting(rule.window.key_for(*rule.names), window_s)
        # More than the limit may count, if it was higher before: so many have to leave that one less than it is left.
        blocking = entries[-rule.window.amount]
        return -(-(blocking + window_s * _US_PER_S - self._now_us) // _US_PER_S)

    def check(self) -> bool:
        """Whether the ledger can be used: the transaction is open."""
        return True

    def incr(self, key: str, expiry: int, amount: int = 1) -> NoReturn:
        """No other strategy of `limits` than the moving window counts here; nor do the methods below."""
        raise NotImplementedError

    def get(self, key: str) -> NoReturn:
        """See `incr`."""
        raise NotImplementedError

    def get_expiry(self, key: str) -> NoReturn:
        """See `incr`."""
        raise NotImplementedError

    def reset(self) -> NoReturn:
        """See `incr`."""
        raise NotImplementedError

    def clear(self, key: str) -> NoReturn:
        """See `incr`."""
        raise NotImplementedError

    def _counting(self, key: str, expiry: int) -> tuple[int, ...]:
        since = self._now_us - expiry * _US_PER_S
        return tuple(entry for entry in self._attempts.entries(key) if entry > since)
