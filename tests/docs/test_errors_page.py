"""The page on errors is complete: every class, code and field, and none that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

from sessionstore import errors

ROW = re.compile(r"^\| `(\w+)` \| `(\w+)` \| (.+?) \| .+ \|$", re.MULTILINE)


def test_every_error_stands_on_the_page_with_its_code_and_fields(repository: Path) -> None:
    page = (repository / "docs" / "reference" / "errors.md").read_text()
    described = {name: (code, tuple(re.findall(r"`(\w+)`", fields))) for code, name, fields in ROW.findall(page)}
    classes = (getattr(errors, name) for name in errors.__all__)
    raised = {cls.__name__: (cls.code, cls.field_names()) for cls in classes if "code" in vars(cls)}
    assert described == raised
