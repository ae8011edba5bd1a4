"""The SDK that the adapter is made for. Where it is not installed, this is the one test of the adapter that is left."""

from __future__ import annotations

from importlib.metadata import version

import pytest


def test_it_is_of_a_release_that_the_extra_allows() -> None:
    pytest.importorskip("langgraph.checkpoint.base", reason="LangGraph is missing: pip install sessionstore[langgraph]")
    assert (4, 3) <= tuple(int(part) for part in version("langgraph-checkpoint").split(".")[:2]) < (5,)
