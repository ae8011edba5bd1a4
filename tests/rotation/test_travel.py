"""A key that goes to another machine, and the sessions that are made there of what it vouches for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sessionstore import Config, SessionStore, errors, open_store
from sessionstore.rotation import travel
from sessionstore.signing import KEY_COST, KEY_COSTS

PHRASE = "a long enough phrase"
Open = Callable[..., SessionStore]


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lowest cost of a guess that is allowed: what a key really costs has a test of its own."""
    monkeypatch.setattr(travel, "KEY_COST", KEY_COSTS[0])


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Open]:
    """Opens the store of a machine by its name."""
    opened: list[SessionStore] = []

    def open_one(name: str, **settings: Any) -> SessionStore:
        config = Config(data_dir=tmp_path / name / "data", state_dir=tmp_path / name / "state", **settings)
        opened.append(open_store(config=config))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def old(machine: Open) -> SessionStore:
    return machine("old")


@pytest.fixture
def new(machine: Open) -> SessionStore:
    return machine("new")


def session(store: SessionStore, project: Path | None = None) -> str:
    made = store.create(name="travels", tags=["t"], config={"model": "m"}, project=project)
    store.append(made.id, [{"n": 1}])
    store.append(made.id, [{"n": 2}])
    return made.id


def files(store: SessionStore) -> list[tuple[str, bytes]]:
    directory = Path(store.config.data_dir) / "sessions"
    return [(file.name, file.read_bytes()) for file in sorted(directory.glob("*.jsonl"))]


class TestTakeOver:
    def test_a_session_is_made_anew_under_the_key_here(
        self, old: SessionStore, new: SessionStore, tmp_path: Path
    ) -> None:
        (tmp_path / "atlas").mkdir(mode=0o700)
        id = session(old, tmp_path / "atlas")
        report = new.take_over(old.export_key(PHRASE), PHRASE, files(old))
        assert (report.store, report.taken, report.refused) == (old.store_id, ((id, id),), ())
        before, after = old.load(id), new.load(id)
        assert (after.entries, after.name, after.tags, after.config) == (
            before.entries,
            before.name,
            before.tags,
            before.config,
        )
        assert (after.provenance, after.origin, after.rev) == ("imported", id, 1)
        assert before.project is not None and after.project is not None
        assert (after.project.path, after.project.inode) == (before.project.path, None)
        assert [result.code for result in new.verify()] == ["ok"]

    def test_the_other_key_is_kept_nowhere(self, old: SessionStore, new: SessionStore, tmp_path: Path) -> None:
        session(old)
        key = old._ground.keyring.primary
        new.take_over(old.export_key(PHRASE), PHRASE, files(old))
        assert len(new.list_keys()) == 1
        for file in (tmp_path / "new" / "state").rglob("*"):
            if file.is_file():
                data = file.read_bytes()
                assert key.secret not in data and key.secret.hex().encode() not in data
        kept = [event.fields for event in new.audit(events=["key_imported"])]
        assert kept == [{"key_id": key.id, "origin": old.store_id, "sessions": 1}]
        assert [event.fields for event in old.audit(events=["key_exported"])] == [{"key_id": key.id}]

    def test_an_id_that_was_used_here_is_not_used_again(self, old: SessionStore, new: SessionStore) -> None:
        id = session(old)
        key = old.export_key(PHRASE)
        new.take_over(key, PHRASE, files(old))
        new.delete(id)
        ((origin, here),) = new.take_over(key, PHRASE, files(old)).taken
        assert origin == id != here
        assert new.load(here).origin == id

    def test_a_dry_run_makes_nothing(self, old: SessionStore, new: SessionStore) -> None:
        id = session(old)
        report = new.take_over(old.export_key(PHRASE), PHRASE, files(old), dry_run=True)
        assert report.taken == ((id, id),)
        assert new.stats().sessions == 0
        assert list(new.audit()) == []

    def test_an_unfinished_line_at_the_end_is_left_behind(self, old: SessionStore, new: SessionStore) -> None:
        id = session(old)
        ((name, data),) = files(old)
        report = new.take_over(old.export_key(PHRASE), PHRASE, [(name, data + b'{"entry":')])
        assert report.taken == ((id, id),)

    def test_sealed_anew_after_a_change_of_keys_it_is_good(self, old: SessionStore, new: SessionStore) -> None:
        id = session(old)
        old.rotate_keys()
        assert new.take_over(old.export_key(PHRASE), PHRASE, files(old)).taken == ((id, id),)

    def test_what_does_not_fit_here_is_refused_and_the_others_are_taken(self, old: SessionStore, machine: Open) -> None:
        for _ in range(2):
            session(old)
        small = machine("small", max_sessions=1)
        report = small.take_over(old.export_key(PHRASE), PHRASE, files(old))
        assert (len(report.taken), [refused.code for refused in report.refused]) == (1, ["session_limit_reached"])


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "code"),
        [
            (lambda data: data.replace(b'{"n":1}', b'{"n":7}'), "invalid_signature"),
            (lambda data: data[:-40] + b"\n", "invalid_signature"),
            (lambda data: data.replace(b'"name":"travels"', b'"name":"forged!"'), "invalid_signature"),
            (lambda data: data[data.index(b'{"entry"') :], "invalid_signature"),
            (lambda data: data[: data.index(b'{"seal"')], "invalid_signature"),
            (lambda data: b"", "invalid_signature"),
            (lambda data: b"\n" * 5, "invalid_signature"),
        ],
    )
    def test_a_file_that_was_changed(
        self, old: SessionStore, new: SessionStore, change: Callable[[bytes], bytes], code: str
    ) -> None:
        session(old)
        ((name, data),) = files(old)
        report = new.take_over(old.export_key(PHRASE), PHRASE, [(name, change(data))])
        assert (report.taken, [refused.code for refused in report.refused]) == ((), [code])
        assert new.stats().sessions == 0
        assert list(new.audit()) == []

    def test_a_file_under_another_name(self, old: SessionStore, new: SessionStore) -> None:
        session(old)
        ((_, data),) = files(old)
        names = ["0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d.jsonl", "notes.jsonl", "../x.jsonl"]
        report = new.take_over(old.export_key(PHRASE), PHRASE, [(name, data) for name in names])
        codes = [refused.code for refused in report.refused]
        assert codes == ["invalid_signature", "invalid_value", "invalid_value"]

    def test_a_file_of_a_third_machine_and_one_under_an_older_key(
        self, old: SessionStore, new: SessionStore, machine: Open
    ) -> None:
        third = machine("third")
        session(third)
        session(old)
        before = files(old)
        old.rotate_keys()
        report = new.take_over(old.export_key(PHRASE), PHRASE, [*files(third), *before])
        assert [refused.code for refused in report.refused] == ["unknown_key", "unknown_key"]

    def test_half_of_a_long_save(self, old: SessionStore, new: SessionStore) -> None:
        id = old.create().id
        old.append(id, [{"x": "y" * 600_000} for _ in range(3)])
        ((name, data),) = files(old)
        half = data[: data.index(b'"more":true')]
        end = data.index(b"\n", len(half)) + 1
        report = new.take_over(old.export_key(PHRASE), PHRASE, [(name, data[:end])])
        assert [refused.code for refused in report.refused] == ["invalid_signature"]

    def test_another_passphrase_and_a_short_one(self, old: SessionStore, new: SessionStore) -> None:
        key = old.export_key(PHRASE)
        for phrase in (PHRASE + " ", "short"):
            with pytest.raises(errors.InvalidValueError):
                new.take_over(key, phrase, [])
        with pytest.raises(errors.InvalidValueError):
            old.export_key("short")

    @pytest.mark.parametrize("member", ["store", "key", "exported_at", "salt", "nonce", "sealed"])
    def test_a_key_that_was_changed(self, old: SessionStore, new: SessionStore, member: str) -> None:
        document = json.loads(old.export_key(PHRASE))
        value = document["keys"][member]
        document["keys"][member] = value[:2] + ("1" if value[2] != "1" else "2") + value[3:]
        with pytest.raises(errors.SessionStoreError) as caught:
            new.take_over(json.dumps(document).encode(), PHRASE, [])
        assert caught.value.code in ("invalid_value", "malformed")

    @pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"keys":{"format":2}}', b'{"keys":{"format":1,"more":1}}'])
    def test_what_is_no_exported_key(self, new: SessionStore, data: bytes) -> None:
        with pytest.raises(errors.MalformedError):
            new.take_over(data, PHRASE, [])

    def test_a_key_of_another_format(self, old: SessionStore, new: SessionStore) -> None:
        document = json.loads(old.export_key(PHRASE))
        document["keys"]["format"] = 2
        with pytest.raises(errors.MalformedError):
            new.take_over(json.dumps(document).encode(), PHRASE, [])

    @pytest.mark.parametrize(
        ("member", "value"),
        [("n", 2**14), ("n", 2**19), ("n", 2**40), ("n", 100_000), ("n", 0), ("n", -1), ("r", 9), ("p", 2), ("p", 0)],
    )
    def test_a_cost_out_of_bounds_is_refused_before_anything_is_computed(
        self, old: SessionStore, new: SessionStore, monkeypatch: pytest.MonkeyPatch, member: str, value: int
    ) -> None:
        document = json.loads(old.export_key(PHRASE))
        document["keys"]["scrypt"][member] = value
        monkeypatch.setattr("sessionstore.signing.passphrase._derived", lambda *args: pytest.fail("it was computed"))
        with pytest.raises(errors.MalformedError) as caught:
            new.take_over(json.dumps(document).encode(), PHRASE, [])
        assert caught.value.fields["reason"] == (
            "its scrypt cost is not allowed: N from 32,768 to 262,144, r = 8, p = 1 are"
        )

    def test_an_allowed_cost_that_is_not_the_one_it_was_made_with(self, old: SessionStore, new: SessionStore) -> None:
        document = json.loads(old.export_key(PHRASE))
        document["keys"]["scrypt"]["n"] = 2**16
        with pytest.raises(errors.InvalidValueError):
            new.take_over(json.dumps(document).encode(), PHRASE, [])

    @pytest.mark.parametrize(
        "inner",
        [
            b"",
            b"{}",
            b"\xff",
            b'{"secret":"","check":"0000000000000000"}',
            b'{"secret":"!","check":"0000000000000000"}',
            b'{"secret":5,"check":""}',
            b'{"secret":"AAAA","check":"0000000000000000"}',
            b'{"secret":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","check":"0000000000000000"}',
            b'{"secret":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","check":"","more":1}',
        ],
    )
    def test_a_good_seal_over_what_is_no_key_or_another_one(
        self, old: SessionStore, new: SessionStore, monkeypatch: pytest.MonkeyPatch, inner: bytes
    ) -> None:
        seal = travel.encrypted
        with monkeypatch.context() as patched:
            patched.setattr(travel, "encrypted", lambda *args, cost: seal(*args[:3], inner, args[4], cost=cost))
            data = old.export_key(PHRASE)
        with pytest.raises(errors.MalformedError) as caught:
            new.take_over(data, PHRASE, files(old))
        assert caught.value.fields["reason"] == "what it hides is not the key that it names"
        assert caught.value.__context__ is None
        assert new.list_keys()[0].id == new._ground.keyring.primary.id

    def test_another_signing_salt(self, new: SessionStore, machine: Open) -> None:
        from sessionstore.config.secret import Secret

        salted = machine("salted", signing_salt=Secret(b"pepper" * 4))
        session(salted)
        with pytest.raises(errors.KeyUnavailableError) as caught:
            new.take_over(salted.export_key(PHRASE), PHRASE, files(salted))
        assert caught.value.fields["reason"] == "salt"


class TestExported:
    def test_the_key_is_not_readable_in_it(self, old: SessionStore) -> None:
        secret = old._ground.keyring.primary.secret
        data = old.export_key(PHRASE)
        assert secret.hex().encode() not in data and secret not in data
        assert old.export_key(PHRASE) != data
        members = ["format", "store", "key", "exported_at", "scrypt", "salt", "nonce", "sealed"]
        assert list(json.loads(data)["keys"]) == members

    def test_it_is_what_the_format_page_says(self, old: SessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
        from base64 import b64decode
        from hashlib import scrypt

        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        from sessionstore.signing import pae

        monkeypatch.setattr(travel, "KEY_COST", KEY_COST)
        told = json.loads(old.export_key(PHRASE))["keys"]
        salt = b"sessionstore/keys/1" + bytes.fromhex(told["salt"])
        assert told["scrypt"] == {"n": 131_072, "r": 8, "p": 1}
        key = scrypt(PHRASE.encode(), salt=salt, n=131_072, r=8, p=1, dklen=32, maxmem=256 * 1024 * 1024)
        beside = [str(told["format"]), told["store"], told["key"], told["exported_at"], "131072", "8", "1"]
        beside += [told["salt"], told["nonce"]]
        plain = AESGCM(key).decrypt(
            bytes.fromhex(told["nonce"]),
            b64decode(told["sealed"], validate=True),
            pae(b"sessionstore/keys/1", *(member.encode() for member in beside)),
        )
        inner = json.loads(plain)
        assert b64decode(inner["secret"]) == old._ground.keyring.primary.secret
        assert inner["check"] == old._ground.keyring.check()

    def test_what_cannot_be_written_down_does_not_leave(self, old: SessionStore, tmp_path: Path) -> None:
        (tmp_path / "old" / "state" / "audit").write_text("in the way")
        with pytest.raises(errors.StoreUnavailableError):
            old.export_key(PHRASE)
