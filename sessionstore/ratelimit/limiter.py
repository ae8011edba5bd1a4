"""Counts attempts and refuses those over a limit, before anything of a session is read.

Rules:

* Every attempt counts, whether it succeeds or fails afterwards. One that is refused here does not: the time to wait
  stays right, and hammering at one session does not use up what is allowed to all.
* Operations are counted apart. Sessions are counted apart and all together. What is no session id counts only for all.
* With the ledger, both limits are looked at and noted in one transaction: however many processes attempt at once, no
  more get through than the limits allow.

Not promised: that attempts are remembered over a power cut; the ledger's newest commits are not synced.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sessionstore.config import Config, Secret
from sessionstore.errors import InvalidValueError, RateLimitError
from sessionstore.ledger import Ledger
from sessionstore.model.ids import is_id
from sessionstore.ratelimit.clock import moved_on

if TYPE_CHECKING:
    from sessionstore.ratelimit.shared import SharedCounts
    from sessionstore.ratelimit.window import Refusal, Rule, Scope

_OPERATION = re.compile(r"[a-z][a-z_]{0,31}")


class RateLimiter:
    """The limits of one store. Cheap to make; safe to share between threads, and between processes by the ledger.

    Args:
        ledger: Counts the attempts, unless `config` names another storage; says which store it is.
        config: `resume_limit`, `resume_global_limit`, `resume_window_seconds`, `resume_storage_uri`.
    """

    def __init__(self, ledger: Ledger, config: Config) -> None:
        self._ledger = ledger
        self._config = config
        self._shared: list[SharedCounts] = []

    def hit(self, operation: str, session_id: str | None) -> None:
        """Count an attempt. Returns if it is allowed; at the first call of a process after loading `limits`.

        Args:
            operation: What is attempted: 1 to 32 lower-case ASCII letters and `_`, the first a letter.
            session_id: At which session. None, or text that is no session id, counts only towards the global limit.

        Raises:
            RateLimitError: A limit is reached; if both are, the one that takes longer to have room.
            LedgerCorruptError: What was counted was changed outside sessionstore. Nothing is let through.
            StoreUnavailableError: The ledger is read-only, locked or full, or the other storage cannot be reached.
            ConfigError: `resume_storage_uri` names no storage that can be used.
            InvalidValueError: `operation` is not of that form.
        """
        if not _OPERATION.fullmatch(operation):
            raise InvalidValueError(what="operation", reason="1 to 32 lower-case letters and _ are needed")
        config = self._config
        limits: list[tuple[Scope, int, tuple[str, ...]]] = []
        if config.resume_limit and session_id is not None and is_id(session_id):
            limits.append(("session", config.resume_limit, (operation, "session", session_id)))
        if config.resume_global_limit:
            limits.append(("global", config.resume_global_limit, (operation, "global")))
        refusal = self._count(limits) if limits else None
        if refusal is not None:
            raise RateLimitError(
                operation=operation,
                scope=refusal.rule.scope,
                limit=refusal.rule.window.amount,
                window_s=config.resume_window_seconds,
                retry_after_s=refusal.retry_after_s,
            )

    def _count(self, limits: list[tuple[Scope, int, tuple[str, ...]]]) -> Refusal | None:
        from sessionstore.ratelimit.window import Rule, Window

        window_s, uri = self._config.resume_window_seconds, self._config.resume_storage_uri
        # Other stores may count in the same place.
        place = () if uri is None else ("sessionstore", self._ledger.store_id)
        rules = [Rule(scope, Window(limit, window_s), place + names) for scope, limit, names in limits]
        return self._in_ledger(rules) if uri is None else self._elsewhere(uri, rules)

    def _in_ledger(self, rules: list[Rule]) -> Refusal | None:
        from sessionstore.ratelimit.window import attempt_in

        # A refusal is returned out of the block, not raised: an exception would take back what time it is.
        with self._ledger.attempts() as attempts:
            clock = moved_on(attempts.clock())
            attempts.set_clock(clock)
            return attempt_in(attempts, clock.now_us, rules)

    def _elsewhere(self, uri: Secret, rules: list[Rule]) -> Refusal | None:
        from sessionstore.ratelimit.shared import SharedCounts

        if not self._shared:
            self._shared.append(SharedCounts(uri))
        # Of two threads that come first together, both use what the first has put there.
        return self._shared[0].attempt(rules)
