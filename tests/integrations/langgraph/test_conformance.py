"""The suite that LangGraph publishes for checkpointers."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from sessionstore import open_store
from sessionstore.integrations.langgraph import SealedSaver

conformance = pytest.importorskip(
    "langgraph.checkpoint.conformance", reason="pip install langgraph-checkpoint-conformance"
)
from langgraph.checkpoint.conformance.capabilities import Capability  # noqa: E402


@pytest.mark.parametrize("capability", list(Capability), ids=lambda capability: capability.value)
def test_it_does_what_a_checkpointer_has_to(capability: Capability, home: Path) -> None:
    @conformance.checkpointer_test(name=f"SealedSaver {capability.value}")
    async def made() -> AsyncGenerator[SealedSaver, None]:
        with open_store(tempfile.mkdtemp()) as store:
            yield SealedSaver(store)

    report = asyncio.run(conformance.validate(made, capabilities={capability.value}))
    result = report.results[capability.value]
    assert result.detected
    assert result.failures == []
    assert result.tests_passed
