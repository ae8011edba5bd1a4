"""The shipped checks, on both backends of the package."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sessionstore.storage import Backend
from sessionstore.testing import BACKEND_CHECKS, logs, sharing


@pytest.mark.parametrize("check", BACKEND_CHECKS, ids=lambda check: check.__name__)
def test_every_backend_keeps_the_contract(check: Callable[[Backend], None], backend: Backend) -> None:
    check(backend)


def test_every_check_is_in_the_list() -> None:
    found = {
        value
        for module in (logs, sharing)
        for value in vars(module).values()
        if getattr(value, "__module__", "") == module.__name__ and not getattr(value, "__name__", "_").startswith("_")
    }
    assert found == set(BACKEND_CHECKS)
