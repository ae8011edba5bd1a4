"""The worked example of the audit log: derived again from the page's rules alone, and made again by the package."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from pathlib import Path
from typing import Any

import pytest

from sessionstore.audit.events import EVENTS, prepare
from sessionstore.audit.kinds import CUT, MAX_TEXT_BYTES
from sessionstore.audit.lines import CONTEXT, MAX_LINE_BYTES, SUFFIX_BYTES, Lines, Place
from sessionstore.audit.shelf import MAX_ASIDE_BYTES
from sessionstore.signing import Key, Keyring

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "reference" / "audit-log.md").read_text(encoding="utf-8")
VECTOR: dict[str, Any] = json.loads((HERE / "audit-log.json").read_text(encoding="utf-8"))

EXAMPLE: tuple[tuple[int, str, str | None, dict[str, object]], ...] = (
    (1, "resume_attempt", VECTOR["session"], {}),
    (
        1,
        "rebind",
        VECTOR["session"],
        {"before": "/srv/atlas", "after": "/srv/Grüße\u202e\x7f", "consent": "the owner, by mail", "trust": ""},
    ),
    (2, "audit_retired", None, {"first": 1, "last": 1}),
)


def encoded(parts: list[bytes]) -> bytes:
    """The pre-authentication encoding."""
    return len(parts).to_bytes(8, "little") + b"".join(len(part).to_bytes(8, "little") + part for part in parts)


def from_the_rules_alone() -> list[dict[str, Any]]:
    """The pre-images and MACs of the vector's lines, with nothing but the standard library."""
    secret = bytes.fromhex(VECTOR["install_key"])
    extracted = hmac.digest(bytes(32), secret, "sha256")
    key = hmac.digest(extracted, b"sessionstore/v2/audit\x01", "sha256")
    before, found = bytes(32), []
    for sequence, known in enumerate(VECTOR["lines"], 1):
        line = known["text"].encode() + b"\n"
        content, suffix = line[:-102], line[-102:]
        identity = [VECTOR["store"].encode(), VECTOR["key_id"].encode()]
        place = [str(known["file"]).encode(), str(sequence).encode(), before]
        pre_image = encoded([b"sessionstore/audit/2", *identity, *place, content])
        before = hmac.digest(key, pre_image, "sha256")
        assert suffix == f',"signature":"sa2.{VECTOR["key_id"]}.{before.hex()}"}}\n'.encode()
        found.append({"file": known["file"], "text": known["text"], "pre_image": pre_image.hex(), "mac": before.hex()})
    return found


def made_by_the_package() -> list[dict[str, Any]]:
    keyring = Keyring([Key(bytes.fromhex(VECTOR["install_key"]), "primary", "")], generation=1)
    lines, place, made = Lines(keyring, VECTOR["store"]), Place(), []
    for second, (file, name, session_id, fields) in enumerate(EXAMPLE):
        at = f"2026-01-31T12:00:0{second}.000000Z"
        line, place = lines.make(file, place, at, VECTOR["pid"], prepare(name, session_id, fields))
        made.append({"file": file, "text": line.decode().removesuffix("\n"), "mac": place.mac.hex()})
    return made


def test_the_vector_follows_from_the_rules_alone() -> None:
    assert from_the_rules_alone() == VECTOR["lines"]


def test_the_package_makes_the_same_bytes() -> None:
    assert made_by_the_package() == [{k: v for k, v in line.items() if k != "pre_image"} for line in VECTOR["lines"]]


def test_the_digest_of_the_closed_file() -> None:
    closed = "".join(line["text"] + "\n" for line in VECTOR["lines"] if line["file"] == 1)
    assert hashlib.sha256(closed.encode()).hexdigest() == VECTOR["digest_of_file_1"]


class TestPage:
    def test_the_example_is_the_vector(self) -> None:
        for line in VECTOR["lines"]:
            assert line["text"] in PAGE and f"`{line['mac']}`" in PAGE
        assert VECTOR["digest_of_file_1"] in PAGE and VECTOR["store"] in PAGE

    def test_the_beginning_of_a_pre_image_is_right(self) -> None:
        block = re.search(r"pre-image of the first line.*?```text\n(.*?)```", PAGE, re.DOTALL)
        assert block is not None
        shown = bytes.fromhex("".join(line.partition("  ")[0] for line in block[1].splitlines()))
        assert bytes.fromhex(VECTOR["lines"][0]["pre_image"]).startswith(shown) and len(shown) > 100

    def test_the_verifier_on_the_page_takes_the_vector_and_nothing_else(self) -> None:
        (program,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
        room: dict[str, Any] = {}
        exec(program, room)
        secret, store = bytes.fromhex(VECTOR["install_key"]), VECTOR["store"]
        files = {
            number: "".join(line["text"] + "\n" for line in VECTOR["lines"] if line["file"] == number).encode()
            for number in (1, 2)
        }
        assert len(room["verified_lines"](files, secret, store)) == 3
        for number, data in files.items():
            for at in range(0, len(data), 11):
                changed = {**files, number: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]}
                with pytest.raises(ValueError):
                    room["verified_lines"](changed, secret, store)

    def test_every_event_and_field_is_listed_and_no_other(self) -> None:
        table = PAGE.partition("## Events")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (\w+) \| (\w+) \| (\w+) \|$", table, re.MULTILINE)
        listed = {
            name: (re.findall(r"`(\w+)`", fields), level, grants, synced)
            for name, _, fields, level, grants, synced in rows
        }
        assert listed == {
            name: (
                list(event.fields),
                "WARNING" if event.warns else "INFO",
                "yes" if event.grants else "no",
                "yes" if event.synced else "no",
            )
            for name, event in EVENTS.items()
        }

    @pytest.mark.parametrize(
        "number",
        [
            f"{SUFFIX_BYTES} bytes",
            f"{MAX_LINE_BYTES:,} bytes",
            f"{MAX_TEXT_BYTES} bytes",
            f"U+{ord(CUT):04X}",
            f"{MAX_ASIDE_BYTES // 1024} KiB",
            f"`{CONTEXT.decode()}`",
        ],
    )
    def test_every_limit(self, number: str) -> None:
        assert number in PAGE
