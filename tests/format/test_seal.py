"""One seal: made with the primary key, cut by length, and good for one place only."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionstore.errors import KeyDisabledError, TooLargeError, UnknownKeyError
from sessionstore.format.seal import (
    MAX_SEAL_BYTES,
    SEAL,
    SUFFIX_BYTES,
    ZERO_CHAIN,
    Broken,
    Seal,
    Sealed,
    Sealer,
)
from sessionstore.signing import Key, Keyring, key_id, pae

CREATED = "2026-01-31T12:00:00.000000Z"
FIELDS: dict[str, Any] = {
    "rev": 1,
    "at": 0,
    "entries": 0,
    "lines": 0,
    "name": "Atlas",
    "tags": (),
    "project": None,
    "place": None,
    "provenance": "native",
    "created_at": CREATED,
    "updated_at": CREATED,
    "closed_at": None,
}


def made(sealer: Sealer, previous: Sealed | None = None, body: bytes = b"", **fields: Any) -> Sealed:
    at = (previous.end if previous else 0) + len(body)
    rev = previous.seal.rev + 1 if previous else 1
    return sealer.make(previous, body, Seal(**{**FIELDS, "at": at, "rev": rev, "chain": "", **fields}))


class TestMake:
    def test_the_bytes_of_a_seal_line(self, shop: Any) -> None:
        line = made(shop.sealer(), body=b"x\n", name="Ä", tags=("a",), place=(1, 2)).line
        chain = hashlib.sha256(bytes(32) + b"x\n").hexdigest()
        content = (
            '{"seal":{"rev":1,"at":2,"entries":0,"lines":0,"name":"Ä","tags":["a"],"project":null,"place":[1,2],'
            f'"provenance":"native","created_at":"{CREATED}","updated_at":"{CREATED}","closed_at":null,'
            f'"idempotency_key":null,"replaces":null,"more":false,"chain":"{chain}"}}'
        ).encode()
        key = hmac.digest(hmac.digest(bytes(32), shop.secret, "sha256"), b"sessionstore/v2/session\x01", "sha256")
        parts = (b"sessionstore/session/2", shop.store_id.encode(), shop.session_id.encode())
        tag = hmac.digest(key, pae(*parts, key_id(shop.secret).encode(), content), "sha256")
        assert line == content + f',"signature":"ss2.{key_id(shop.secret)}.{tag.hex()}"}}\n'.encode()

    def test_the_suffix_has_one_length(self, shop: Any) -> None:
        line = made(shop.sealer()).line
        assert re.fullmatch(rb',"signature":"ss2\.[0-9a-f]{16}\.[0-9a-f]{64}"\}\n', line[-SUFFIX_BYTES:])
        assert SUFFIX_BYTES == 102
        assert msgspec.json.decode(line[:-1]).keys() == {"seal", "signature"}

    def test_it_tells_its_signature_its_key_and_its_end(self, shop: Any) -> None:
        first = made(shop.sealer(), body=b"abc\n")
        assert first.signature.encode() == first.line[-88:-3]
        assert first.key_id == key_id(shop.secret)
        assert first.end == 4 + len(first.line)

    def test_it_chains_to_the_seal_before_with_its_signature(self, shop: Any) -> None:
        first = made(shop.sealer(), body=b"abc\n")
        second = made(shop.sealer(), first, b"def\n")
        expected = hashlib.sha256(bytes.fromhex(first.seal.chain) + first.line + b"def\n").hexdigest()
        assert second.seal.chain == expected
        assert first.seal.chain == hashlib.sha256(ZERO_CHAIN + b"abc\n").hexdigest()

    def test_it_is_made_with_the_primary_key_only(self, shop: Any) -> None:
        rotated = shop.keyring("verify_only", "primary")
        assert made(shop.sealer(rotated)).key_id == key_id(shop.other_secret)

    def test_16_kib_are_allowed_and_one_byte_more_is_not(self, shop: Any) -> None:
        sealer = shop.sealer()
        room = MAX_SEAL_BYTES - len(made(sealer, name="").line)
        assert len(made(sealer, name="n" * room).line) == MAX_SEAL_BYTES == 16 * 1024
        with pytest.raises(TooLargeError) as caught:
            made(sealer, name="n" * (room + 1))
        assert caught.value.fields == {
            "what": "seal",
            "size_bytes": MAX_SEAL_BYTES + 1,
            "limit_bytes": MAX_SEAL_BYTES,
            "setting": "",
        }


class TestVerifyLine:
    def test_what_was_made_is_verified_and_the_same(self, shop: Any) -> None:
        sealed = made(shop.sealer(), body=b"x\n", idempotency_key='k"\n', more=True)
        found = shop.sealer().verify_line(sealed.line)
        assert (found.seal, found.signature, found.line) == (sealed.seal, sealed.signature, sealed.line)

    def test_no_byte_of_it_can_change(self, shop: Any) -> None:
        line = made(shop.sealer()).line
        for at in range(len(line)):
            for bit in range(8):
                changed = bytearray(line)
                changed[at] ^= 1 << bit
                with pytest.raises((Broken, UnknownKeyError)):
                    shop.sealer().verify_line(bytes(changed))

    @given(st.data())
    def test_nothing_can_be_cut_out_or_put_in(self, shop: Any, data: st.DataObject) -> None:
        line = made(shop.sealer()).line
        start = data.draw(st.integers(0, len(line)))
        end = data.draw(st.integers(start, len(line)))
        changed = line[:start] + data.draw(st.binary(max_size=4)) + line[end:]
        if changed != line:
            with pytest.raises((Broken, UnknownKeyError)):
                shop.sealer().verify_line(changed)

    @pytest.mark.parametrize("line", [b"", b"\n", b"{}\n", SEAL, SEAL + b"\n", b"x" * 200, b"\n" * 200])
    def test_what_is_no_seal_line_is_broken(self, shop: Any, line: bytes) -> None:
        with pytest.raises(Broken):
            shop.sealer().verify_line(line)

    @pytest.mark.parametrize(
        "change",
        [
            lambda line: line[:-1],
            lambda line: line[:-1] + b"\r\n",
            lambda line: line + b"\n",
            lambda line: b" " + line,
            lambda line: line[:-88] + line[-88:-3].upper() + line[-3:],
            lambda line: line.replace(b"ss2.", b"ss1."),
            lambda line: line.replace(b"ss2.", b"SS2."),
            lambda line: line.replace(b'"signature"', b'"Signature"'),
            lambda line: line.replace(b',"signature"', b', "signature"'),
            lambda line: line.replace(b',"signature"', b',"alg":"none","signature"'),
            lambda line: line[:-3] + b'","alg":"none"}\n',
            lambda line: line.replace(b'{"seal":', b'{ "seal":'),
            lambda line: line.replace(b'{"seal":', b'{"Seal":'),
            lambda line: line.replace(b'{"seal":', b'{"entry":'),
            lambda line: line.replace(b'"rev":1', b'"rev": 1'),
            lambda line: line[:-67] + b"0" * 64 + line[-3:],
        ],
    )
    def test_one_way_of_writing_is_a_seal_line_and_no_other(self, shop: Any, change: Any) -> None:
        line = made(shop.sealer()).line
        changed = change(line)
        assert changed != line
        with pytest.raises(Broken):
            shop.sealer().verify_line(changed)

    def test_a_signature_in_upper_case_is_broken_and_not_another_spelling(self, shop: Any) -> None:
        line = made(shop.sealer()).line
        for start, end in ((-84, -68), (-67, -3)):
            with pytest.raises(Broken):
                shop.sealer().verify_line(line[:start] + line[start:end].upper() + line[end:])

    def test_a_seal_of_one_session_is_refused_for_another(self, shop: Any) -> None:
        other = shop.sealer(session="0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4e")
        with pytest.raises(Broken):
            other.verify_line(made(shop.sealer()).line)

    def test_a_seal_of_one_store_is_refused_in_another(self, shop: Any) -> None:
        other = shop.sealer(store="5d9c3b52-7f1e-4c0a-9a64-0a1b2c3d4e50")
        with pytest.raises(Broken):
            other.verify_line(made(shop.sealer()).line)

    def test_store_and_session_cannot_trade_bytes(self, shop: Any) -> None:
        line = made(Sealer(shop.keyring(), "ab", "c")).line
        with pytest.raises(Broken):
            Sealer(shop.keyring(), "a", "bc").verify_line(line)

    def test_a_key_we_do_not_have_is_unknown_and_no_sign_of_tampering(self, shop: Any) -> None:
        with pytest.raises(UnknownKeyError) as caught:
            shop.sealer(shop.other_keyring()).verify_line(made(shop.sealer()).line)
        assert caught.value.fields == {"key_id": key_id(shop.secret)}

    def test_another_key_of_ours_is_not_tried_on_the_chance(self, shop: Any) -> None:
        line = made(shop.sealer()).line
        claimed = line.replace(key_id(shop.secret).encode(), key_id(shop.other_secret).encode())
        with pytest.raises(Broken):
            shop.sealer(shop.keyring("primary", "verify_only")).verify_line(claimed)

    @pytest.mark.parametrize("status", ["disabled", "destroyed"])
    def test_a_key_that_was_disabled_verifies_nothing(self, shop: Any, status: Any) -> None:
        with pytest.raises(KeyDisabledError):
            shop.sealer(shop.keyring(status, "primary")).verify_line(made(shop.sealer()).line)

    def test_a_key_that_only_verifies_verifies(self, shop: Any) -> None:
        line = made(shop.sealer()).line
        assert shop.sealer(shop.keyring("verify_only", "primary")).verify_line(line).line == line

    def test_another_salt_is_broken_although_the_key_has_the_same_id(self, shop: Any) -> None:
        salted = Keyring([Key(shop.secret, "primary", CREATED)], generation=1, salt=b"pepper")
        with pytest.raises(Broken):
            shop.sealer(salted).verify_line(made(shop.sealer()).line)

    def test_a_good_tag_on_a_line_that_is_too_long_does_not_help(self, shop: Any) -> None:
        content = made(shop.sealer()).line[:-SUFFIX_BYTES]
        room = MAX_SEAL_BYTES - len(content) - SUFFIX_BYTES
        fits, longer = (content.replace(b'"Atlas"', b'"Atlas"' + b" " * size) for size in (room, room + 1))
        assert len(shop.sealer().verify_line(shop.forge(fits)).line) == MAX_SEAL_BYTES
        with pytest.raises(Broken):
            shop.sealer().verify_line(shop.forge(longer))

    @pytest.mark.parametrize(
        "content",
        [
            SEAL,
            SEAL + b"null",
            SEAL + b"{}",
            SEAL + b'{"rev":1}',
            SEAL + b'{"rev":"1"',
            b'{"seal":{"rev":1,"x":2}',
            b'{"else":{}',
        ],
    )
    def test_a_good_tag_on_what_is_no_seal_does_not_help(self, shop: Any, content: bytes) -> None:
        with pytest.raises(Broken):
            shop.sealer().verify_line(shop.forge(content))

    def test_a_good_tag_in_another_frame_does_not_help(self, shop: Any) -> None:
        content = made(shop.sealer()).line[:-SUFFIX_BYTES]
        assert shop.sealer().verify_line(shop.forge(content))
        for frame in (b'{"zeal":', b'{"open":', b'["seal":', b"        "):
            with pytest.raises(Broken):
                shop.sealer().verify_line(shop.forge(frame + content[len(SEAL) :]))

    def test_an_unknown_member_is_broken_and_not_skipped(self, shop: Any) -> None:
        content = made(shop.sealer()).line[:-SUFFIX_BYTES].replace(b'"rev":1', b'"rev":1,"newer":1')
        with pytest.raises(Broken):
            shop.sealer().verify_line(shop.forge(content))
