"""`migrate` knows how many sessions there are to be signed, so that its bar ends where the work ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sessionstore import open_store
from sessionstore.cli.migrate import _count

IDS = [f"{number}f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d" for number in range(3)]


@pytest.mark.parametrize("policy", ["accept", "warn", "require", "strict"])
def test_every_file_that_may_be_signed_counts_under_each_policy(
    home: Path, directory: Path, unsigned: Callable[..., bytes], policy: str
) -> None:
    for id in IDS:
        (directory / f"{id}.json").write_bytes(unsigned(id))
    with open_store(home) as store:
        if policy == "accept":
            store.lower_policy(policy, consent="test")
        else:
            store.raise_policy(policy)
        list(store.migrate(IDS[0]))
        store.create()
        (directory / "notes.json").write_text("{}")
        assert _count(store.list()) == 2
