"""The SDK that the adapter is made for. Where it is not installed, this is the one test of the adapter that is left."""

from __future__ import annotations

from importlib.metadata import version

import pytest


def test_it_is_of_a_release_that_the_extra_allows() -> None:
    pytest.importorskip("google.adk.sessions", reason="Google ADK is not here: pip install sessionstore[adk]")
    assert (2, 13) <= tuple(int(part) for part in version("google-adk").split(".")[:2]) < (3,)
