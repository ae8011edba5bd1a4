"""Checks that every storage backend has to pass, for the authors of backends; no test framework is needed.

    from sessionstore.testing import BACKEND_CHECKS

    for check in BACKEND_CHECKS:
        check(a_fresh_empty_backend())

Rules: a check takes one empty backend, leaves it in any state, raises `AssertionError` with a sentence where the
contract of `sessionstore.storage.protocol` is broken, and lets everything else pass through. The checks run unchanged
under `python -O`. They use threads, never processes: what only a file or a database can do wrong has tests of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from sessionstore.storage.protocol import Backend
from sessionstore.testing import logs, sharing
from sessionstore.testing.sharing import HOSTILE_NAMES

__all__ = ["BACKEND_CHECKS", "HOSTILE_NAMES"]

BACKEND_CHECKS: tuple[Callable[[Backend], None], ...] = (
    logs.missing_names_are_none_and_no_error,
    logs.written_bytes_come_back,
    logs.an_empty_log_is_a_log,
    logs.reading_is_by_position,
    logs.a_taken_name_is_not_replaced_unasked,
    logs.replacing_makes_another_log_of_the_name,
    logs.a_deleted_log_is_gone_and_knows_it,
    logs.appending_adds_at_the_end_and_nowhere_else,
    logs.a_failing_source_leaves_the_old_bytes,
    logs.cutting_drops_the_end_and_never_grows,
    logs.a_log_opened_to_read_is_not_changed,
    logs.a_name_that_comes_or_goes_is_told_by_the_token,
    logs.kept_bytes_are_out_of_the_way,
    logs.a_purge_takes_what_lies_beside_a_log_and_nothing_else,
    logs.kept_bytes_are_found_by_what_they_hold,
    logs.a_retired_log_is_out_of_the_way,
    sharing.hostile_names_never_meet,
    sharing.names_that_are_no_single_name_are_refused,
    sharing.one_of_many_makes_a_name,
    sharing.a_lock_keeps_others_out_and_waits_no_longer_than_told,
    sharing.locks_order_threads,
    sharing.one_of_many_runs_a_session,
    sharing.what_runs_is_told_with_what_its_holder_said,
    sharing.a_run_ends_with_its_block_however_that_ends,
    sharing.a_session_at_rest_is_not_run_and_a_running_one_not_at_rest,
)
