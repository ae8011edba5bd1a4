"""The worked examples of the file format: derived again from the page's rules alone, and made again by the package.

The first class knows nothing of the package: hashing, HMAC and JSON from the standard library are all it uses.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from pathlib import Path
from typing import Any

import pytest

import sessionstore
from sessionstore.format.chain import chained_bodies
from sessionstore.format.lines import Open, State, StateChange, entry_line, open_line, state_line
from sessionstore.format.log import MAX_PROJECT_CHARS, Batch, Content, Segment, Summary, walk
from sessionstore.format.seal import CONTEXT, MAX_SEAL_BYTES, SEGMENT_BYTES, SUFFIX_BYTES, Sealed, Sealer
from sessionstore.format.strict import MAX_DEPTH, MAX_INT, MIN_INT
from sessionstore.model import ProjectRecord, Todo
from sessionstore.model.ids import MAX_KEY_BYTES, MAX_NAME_CHARS, MAX_TAG_CHARS, MAX_TAGS
from sessionstore.signing import Key, Keyring, key_id, pae, salt_check
from sessionstore.signing.keyring import _hkdf

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "reference" / "file-format.md"
VECTORS: dict[str, Any] = json.loads((HERE / "file-format.json").read_text())
FILES: dict[str, dict[str, Any]] = VECTORS["files"]
IN_USE = ("session", "export", "head", "inventory", "keyring", "store", "attempts", "audit", "policy")

LABEL = b"sessionstore/v2/"


def hkdf(secret: bytes, salt: bytes, label: str, length: int) -> bytes:
    """RFC 5869 with SHA-256, for at most 32 bytes."""
    prk = hmac.digest(salt or bytes(32), secret, "sha256")
    return hmac.digest(prk, LABEL + label.encode() + b"\x01", "sha256")[:length]


def encoded(parts: list[bytes]) -> bytes:
    """The pre-authentication encoding."""
    return len(parts).to_bytes(8, "little") + b"".join(len(part).to_bytes(8, "little") + part for part in parts)


def lines_of(data: bytes) -> list[bytes]:
    return [line + b"\n" for line in data.split(b"\n")[:-1]]


class TestDerivedFromTheRulesAlone:
    secret = bytes.fromhex(VECTORS["install_key"])
    id = VECTORS["key_id"]

    def test_the_key_is_the_one_everybody_can_type(self) -> None:
        assert self.secret == bytes(range(32))

    def test_the_key_id(self) -> None:
        assert hkdf(self.secret, b"", "kid", 8).hex() == self.id

    def test_the_salt_checks(self) -> None:
        for salt, check in VECTORS["salt_checks"].items():
            assert hkdf(self.secret, salt.encode(), "check", 8).hex() == check

    def test_the_derived_keys(self) -> None:
        assert set(VECTORS["derived_keys"]) == set(IN_USE)
        for purpose, key in VECTORS["derived_keys"].items():
            assert hkdf(self.secret, b"", purpose, 32).hex() == key
        for purpose, key in VECTORS["derived_keys_with_salt_pepper"].items():
            assert hkdf(self.secret, b"pepper", purpose, 32).hex() == key

    def test_the_pre_authentication_encodings(self) -> None:
        for example in VECTORS["pae"]:
            assert encoded([part.encode() for part in example["parts"]]).hex() == example["encoded"]

    @pytest.mark.parametrize("name", FILES)
    def test_every_chain_pre_image_and_tag_of_a_file(self, name: str) -> None:
        data = FILES[name]["text"].encode()
        session_key = hkdf(self.secret, b"", "session", 32)
        chain, start, offset, found = bytes(32), 0, 0, []
        for line in lines_of(data):
            if line.startswith(b'{"seal":'):
                chain = hashlib.sha256(chain + data[start:offset]).digest()
                start = offset
                content, suffix = line[:-102], line[-102:]
                parts = [b"sessionstore/session/2", VECTORS["store"].encode(), VECTORS["session"].encode()]
                pre_image = encoded([*parts, self.id.encode(), content])
                tag = hmac.digest(session_key, pre_image, "sha256").hex()
                assert suffix == f',"signature":"ss2.{self.id}.{tag}"}}\n'.encode()
                assert content.endswith(f'"chain":"{chain.hex()}"}}'.encode())
                seal = json.loads(line)["seal"]
                before = lines_of(data[:offset])
                entries = sum(other.startswith(b'{"entry":') for other in before)
                assert (seal["at"], seal["lines"], seal["entries"]) == (offset, len(before), entries)
                found.append({"at": offset, "chain": chain.hex(), "pre_image": pre_image.hex(), "tag": tag})
            offset += len(line)
        assert found == FILES[name]["seals"]
        assert hashlib.sha256(data).hexdigest() == FILES[name]["sha256"]
        assert len(data) == FILES[name]["size_bytes"]

    def test_the_rewritten_file_names_the_last_seal_of_the_file_it_replaces(self) -> None:
        last = json.loads(lines_of(FILES["saved"]["text"].encode())[-1])
        first = next(json.loads(line) for line in lines_of(FILES["rewritten"]["text"].encode()) if b'{"seal"' in line)
        assert first["seal"]["replaces"] == last["signature"]
        assert first["seal"]["rev"] == last["seal"]["rev"] + 1

    def test_the_verifier_on_the_page_says_the_same(self) -> None:
        (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
        names: dict[str, Any] = {}
        exec(compile(code, str(PAGE), "exec"), names)
        for name, file in FILES.items():
            data = file["text"].encode()
            found = names["verified_lines"](data, self.secret, VECTORS["store"], VECTORS["session"])
            assert found == [line for line in lines_of(data) if not line.startswith(b'{"seal":')], name
            for at in range(0, len(data), 5):
                with pytest.raises(ValueError):
                    names["verified_lines"](
                        data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :],
                        self.secret,
                        VECTORS["store"],
                        VECTORS["session"],
                    )


def keyring(salt: bytes = b"") -> Keyring:
    return Keyring([Key(bytes(range(32)), "primary", "2026-01-31T12:00:00.000000Z")], generation=1, salt=salt)


def derived(purpose: str, salt: bytes = b"") -> str:
    return _hkdf(bytes(range(32)), salt, purpose, 32).hex()


def made_by_the_package() -> dict[str, Any]:
    """What `file-format.json` holds."""
    store, session, created = VECTORS["store"], VECTORS["session"], "2026-01-31T12:00:00.000000Z"
    ring = keyring()
    sealer = Sealer(ring, store, session)
    project = ProjectRecord(path=b"/srv/atlas", given_path=b"atlas", inode=77, device=2049, owner_uid=1000, mode=0o755)
    state = State(
        name="Grüße", tags=("demo",), config={"model": "m-1"}, todos=(Todo("Read", "in_progress", "Reading"),)
    )
    opened = Open(id=session, store=store, created_at=created, key="ticket-7")
    summary = Summary(
        name=state.name,
        tags=state.tags,
        project=None,
        place=None,
        provenance="native",
        created_at=created,
        updated_at=created,
        closed_at=None,
    )

    def line(entry: dict[str, Any]) -> bytes:
        return entry_line(entry, max_bytes=MAX_SEAL_BYTES)

    def save(previous: Sealed | None, summary: Summary, lines: list[bytes], **options: Any) -> tuple[bytes, Sealed]:
        batch = Batch(sealer, previous, summary, max_session_bytes=1 << 20, **options)
        return b"".join(batch.chunks(lines)), batch.sealed

    bound = StateChange(project=project)
    closed = StateChange(closed_at="2026-01-31T12:00:02.000000Z")
    hello = line({"role": "user", "content": "Hello\n"})
    answer = line({"role": "assistant", "content": [{"type": "text", "text": "Hi"}], "usage": {"cost": 0.25}})
    changed = summary.changed(bound, "2026-01-31T12:00:01.000000Z")
    ended = changed.changed(closed, "2026-01-31T12:00:02.000000Z")
    one, first = save(None, summary, [open_line(opened), state_line(state.as_change(), max_bytes=1 << 20)])
    two, second = save(first, changed, [state_line(bound, max_bytes=1 << 20), hello, answer], idempotency_key="turn-1")
    three, third = save(second, ended, [state_line(closed, max_bytes=1 << 20)])
    whole = state.merged(bound).merged(closed).as_change()
    again = ended.changed(None, "2026-01-31T12:00:03.000000Z")
    lines = [open_line(opened), state_line(whole, max_bytes=1 << 20), hello]
    four, _ = save(None, again, lines, first_rev=4, replaces=third.signature)
    return {
        "about": VECTORS["about"],
        "install_key": bytes(range(32)).hex(),
        "key_id": key_id(bytes(range(32))),
        "salt_checks": {salt: salt_check(bytes(range(32)), salt.encode()) for salt in ("", "pepper")},
        "derived_keys": {purpose: derived(purpose) for purpose in IN_USE},
        "derived_keys_with_salt_pepper": {"session": derived("session", b"pepper")},
        "pae": [
            {"parts": parts, "encoded": pae(*(part.encode() for part in parts)).hex()}
            for parts in ([], [""], ["test"], ["a", "", "bc"])
        ],
        "store": store,
        "session": session,
        "files": {"saved": facts(one + two + three), "rewritten": facts(four)},
    }


def facts(data: bytes) -> dict[str, Any]:
    identity = (CONTEXT, VECTORS["store"].encode(), VECTORS["session"].encode())
    seals = []
    for segment in segments(data):
        sealed = segment.sealed
        pre_image = pae(*identity, sealed.key_id.encode(), sealed.line[:-SUFFIX_BYTES])
        at, chain = sealed.seal.at, sealed.seal.chain
        seals.append({"at": at, "chain": chain, "pre_image": pre_image.hex(), "tag": sealed.signature[-64:]})
    digest = hashlib.sha256(data).hexdigest()
    return {"text": data.decode(), "size_bytes": len(data), "sha256": digest, "seals": seals}


def segments(data: bytes) -> list[Segment]:
    sealer = Sealer(keyring(), VECTORS["store"], VECTORS["session"])
    return list(walk(sealer, lambda start, size: data[start : start + size], end=len(data)))


class TestThePackage:
    def test_it_makes_exactly_these_bytes(self) -> None:
        assert made_by_the_package() == VECTORS

    @pytest.mark.parametrize("name", FILES)
    def test_it_reads_them(self, name: str) -> None:
        data = FILES[name]["text"].encode()
        found = segments(data)
        bodies = [data[start:stop] for start, stop in chained_bodies(data, found[-1].sealed)]
        assert bodies == [segment.body for segment in found]
        content = Content()
        for segment in found:
            content.add(segment)
        assert content.opened is not None and content.opened.key == "ticket-7"
        assert content.entries[0] == {"role": "user", "content": "Hello\n"}
        assert len(content.entries) == {"saved": 2, "rewritten": 1}[name]
        assert (content.state.name, content.state.closed_at) == ("Grüße", "2026-01-31T12:00:02.000000Z")
        assert content.state.project is not None and content.state.project.path == b"/srv/atlas"


class TestThePage:
    """The page holds the same numbers, and every rule that has one."""

    page = PAGE.read_text()

    def test_the_worked_examples(self) -> None:
        for file in FILES.values():
            assert f"```text\n{file['text']}```\n" in self.page
            for seal in file["seals"]:
                assert seal["chain"] in self.page and seal["tag"] in self.page
            assert file["sha256"] in self.page
            assert f"{file['size_bytes']:,} bytes" in self.page

    def test_the_first_pre_image_byte_by_byte(self) -> None:
        dump = re.search(r"```text\n((?:[0-9a-f]{2}.*\n)+)```", self.page)
        assert dump is not None
        shown = "".join(re.sub(r" {2,}.*", "", line).replace(" ", "") for line in dump[1].splitlines())
        head = FILES["saved"]["seals"][0]["pre_image"]
        assert head.startswith(shown)
        rest = bytes.fromhex(head[len(shown) :])
        assert rest == lines_of(FILES["saved"]["text"].encode())[2][:-102]

    def test_keys_and_checks(self) -> None:
        for value in (
            VECTORS["install_key"],
            VECTORS["key_id"],
            *VECTORS["salt_checks"].values(),
            *VECTORS["derived_keys"].values(),
            *VECTORS["derived_keys_with_salt_pepper"].values(),
            *(example["encoded"] for example in VECTORS["pae"] if example["parts"]),
        ):
            assert f"`{value}`" in self.page

    def test_every_context_of_the_package_is_in_the_table_and_no_other(self) -> None:
        package = Path(sessionstore.__file__).parent
        used = {
            name
            for path in package.rglob("*.py")
            for name in re.findall(r'b"(sessionstore/\w+/\d+)"', path.read_text())
        }
        assert used == set(re.findall(r"`(sessionstore/\w+/\d+)`", self.page))
        assert {name.split("/")[1] for name in used} == {*IN_USE, "auditrow", "generation", "keys"}

    @pytest.mark.parametrize(
        "number",
        [
            f"{SUFFIX_BYTES} bytes",
            f"{MAX_SEAL_BYTES:,} bytes",
            f"{SEGMENT_BYTES:,} bytes",
            f"{MAX_DEPTH} levels",
            f"{MIN_INT:,}",
            f"{MAX_INT:,}",
            f"{MAX_NAME_CHARS} characters",
            f"{MAX_TAGS} tags",
            f"{MAX_TAG_CHARS} characters",
            f"{MAX_KEY_BYTES} bytes",
            f"{MAX_PROJECT_CHARS:,} characters",
        ],
    )
    def test_every_limit(self, number: str) -> None:
        assert number in self.page

    @pytest.mark.parametrize("struct", [Open, StateChange, Todo, ProjectRecord])
    def test_every_member_of_every_line(self, struct: Any) -> None:
        assert not [name for name in struct.__struct_fields__ if f"`{name}`" not in self.page]

    def test_every_member_of_a_seal_in_order(self) -> None:
        members = json.loads(lines_of(FILES["saved"]["text"].encode())[2])["seal"]
        rows = re.findall(
            r"^\| `(\w+)` \|", self.page.split("### The members of a seal")[1].split("\n#")[0], re.MULTILINE
        )
        assert rows == list(members)
