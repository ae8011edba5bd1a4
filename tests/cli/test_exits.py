"""Every error has its exit code, and the table is the promised one."""

from __future__ import annotations

import pytest

from sessionstore import errors
from sessionstore.cli import exits

ABSTRACT = {"SessionStoreError", "VerificationError", "KeyringError", "StoreError"}
CLASSES = [getattr(errors, name) for name in errors.__all__ if name not in ABSTRACT]

PROMISED = {
    2: {"config_invalid", "invalid_value", "invalid_id", "ambiguous_id"},
    3: {"not_found"},
    5: {"project_path_security_violation"},
    6: {"rate_limit_exceeded"},
    7: {"conflict", "already_exists", "already_running"},
    9: {"too_large", "session_limit_reached"},
    1: {"import_failed", "run_state", "downgrade_refused"},
}


def promised(error: type[errors.SessionStoreError]) -> int:
    if issubclass(error, errors.VerificationError):
        return 4
    if issubclass(error, errors.KeyringError | errors.StoreError):
        return 8
    return next(code for code, names in PROMISED.items() if error.code in names)


class TestExitCode:
    @pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.code)
    def test_each_error_class_has_the_promised_code(self, error: type[errors.SessionStoreError]) -> None:
        assert error.code in exits._BY_CODE, "every code stands in the table, also those that end with 1"
        assert exits.exit_code(error.code) == promised(error)

    def test_an_unknown_code_ends_with_one(self) -> None:
        assert exits.exit_code("something else") == 1

    def test_every_number_has_a_meaning(self) -> None:
        assert set(exits._BY_CODE.values()) <= set(exits.MEANINGS)
