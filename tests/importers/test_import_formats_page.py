"""The reference page names everything that the importers do, and its example runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sessionstore.importers import FORMATS, codex, gemini, read_transcript, survey
from sessionstore.importers.demo import demo_transcript
from sessionstore.importers.detect import MAX_LINES_LOOKED_AT
from sessionstore.importers.strict_json import MAX_RECORD_DEPTH

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "reference" / "import-formats.md"
HOW_TO = DOCS / "howto" / "import-transcripts.md"

pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="no docs directory here: run the tests from a checkout")

NAMES = [
    *FORMATS,
    *codex._CALLS,
    *codex._OUTPUTS,
    *codex._SPEAKERS,
    *codex._TYPES,
    *gemini._TYPES,
    *(
        "sidechain",
        "meta",
        "branch",
        "no-uuid",
        "unparsed",
        "unknown",
        "replaced",
        "rewound",
        "rewind",
        "header",
        "set",
    ),
    *("blank lines", "byte order mark", "turns rolled back", "messages inside a header"),
]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_stands_on_the_page(name: str) -> None:
    assert re.search(rf"\b{re.escape(name)}\b", PAGE.read_text(encoding="utf-8"), re.IGNORECASE)


def test_every_limit_stands_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert f"more than {MAX_RECORD_DEPTH} levels" in page
    assert f"{survey.MAX_LINES:,} lines" in page
    assert f"first {MAX_LINES_LOOKED_AT} lines" in page


@pytest.mark.parametrize("format", FORMATS)
def test_every_fact_of_a_config_stands_on_the_page(format: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    config = read_transcript(demo_transcript(format), max_bytes=100_000).config
    renamed = {"git_branch": "git.branch"}
    assert config
    for name in config:
        assert f"`{name}`" in page or f"`{renamed.get(name)}`" in page


def test_the_example_of_the_how_to_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", HOW_TO.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(example, str(HOW_TO), "exec"), {"__name__": "example"})
    assert capsys.readouterr().out == "Week numbers follow ISO 8601\n18 messages of 35 records\n"
