"""The page of the legacy format names every refusal, and its example is the vector."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sessionstore.format.legacy import KEPT, MAX_LEGACY_BYTES, ROLES, STATUSES, YOUNGER
from sessionstore.model.ids import MAX_NAME_CHARS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "legacy-format.md").read_text(encoding="utf-8")
VECTORS = ROOT / "tests" / "vectors"
REFUSED: list[dict[str, Any]] = json.loads((VECTORS / "refused-legacy.json").read_text())
SIGNED: dict[str, Any] = json.loads((VECTORS / "signed-legacy.json").read_text())


def general(reason: str) -> str:
    """The reason without the place it names, and without what the rules for all JSON say."""
    if reason.startswith(("not JSON", "not UTF-8")):
        return reason[:8]
    if reason.startswith("value"):
        return "and the others of entries"
    for ending in (" is missing", " must be text", " must be an object", " must be a list"):
        if reason.endswith(ending):
            return f"…{ending}"
    reason = re.sub(r"^(conversation|todos)\[\d+\]\.", "", reason)
    return re.sub(r"^\w+(?= is younger| must be a time)", "…", reason)


@pytest.mark.parametrize("vector", [v for v in REFUSED if v["error"]], ids=lambda vector: str(vector["name"]))
def test_every_refusal_stands_on_the_page(vector: dict[str, Any]) -> None:
    assert f"`{vector['error']}`" in PAGE
    assert general(vector["reason"]) in PAGE


@pytest.mark.parametrize("word", [*ROLES, *STATUSES, *YOUNGER, KEPT])
def test_every_word_of_the_format_stands_on_the_page(word: str) -> None:
    assert f"`{word}`" in PAGE


def test_the_limits_stand_on_the_page() -> None:
    assert f"{MAX_LEGACY_BYTES:,} bytes" in PAGE
    assert f"1 to {MAX_NAME_CHARS} characters" in PAGE


def test_the_example_is_the_vector_that_the_package_is_held_to() -> None:
    (block,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert json.dumps(json.loads(block), indent=2, sort_keys=True, ensure_ascii=False) == SIGNED["signed_text"]
    for name in ("salt", "host", "key", "signature"):
        assert f"`{SIGNED[name]}`" in PAGE
    assert SIGNED["secret"] == "0123456789abcdef" * 4
