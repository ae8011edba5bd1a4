from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from sessionstore.config import Config, LoadedConfig, Secret, describe, load_config
from sessionstore.errors import ConfigError

SALT = "pepper-7b1e"


def hides(*texts: object) -> bool:
    """Whether no text holds the salt, plainly, or as hexadecimal or base64."""
    joined = "\n".join(str(text) for text in texts).lower()
    return not any(form in joined for form in (SALT, SALT.encode().hex(), "cgvwcgvyltdimwu"))


class TestSecret:
    def test_only_reveal_gives_the_value(self) -> None:
        secret = Secret(SALT)
        assert secret.reveal() == SALT.encode()
        assert hides(secret, repr(secret), f"{secret}", f"{secret!r:>30}", [secret], {1: secret})
        assert not hasattr(secret, "__dict__")

    def test_text_is_taken_as_utf8_and_bytes_as_they_are(self) -> None:
        assert Secret("ä").reveal() == Secret(b"\xc3\xa4").reveal()
        assert Secret(bytearray(b"\xff")).reveal() == b"\xff"

    def test_equal_values_are_equal_and_the_hash_says_nothing(self) -> None:
        assert Secret("a") == Secret(b"a")
        assert Secret("a") != Secret("b")
        assert Secret("a") != "a"
        assert hash(Secret("a")) == hash(Secret("b"))

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_it_does_not_leave_the_process_in_a_pickle(self, protocol: int) -> None:
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(Secret(SALT), protocol)

    def test_copies_in_the_process_keep_the_value(self) -> None:
        secret = Secret(SALT)
        assert copy.copy(secret) == copy.deepcopy([secret])[0] == secret


class TestTheSaltStaysHidden:
    @pytest.fixture
    def loaded(self, load: Callable[..., LoadedConfig]) -> LoadedConfig:
        return load(SESSIONSTORE_SIGNING_SALT=SALT)

    def test_it_reaches_the_code_that_asks_for_it(self, loaded: LoadedConfig) -> None:
        assert loaded.config.signing_salt is not None
        assert loaded.config.signing_salt.reveal() == SALT.encode()

    def test_no_text_form_of_a_configuration_shows_it(self, loaded: LoadedConfig) -> None:
        config = loaded.config
        texts = [
            loaded,
            config,
            msgspec.structs.asdict(config),
            msgspec.structs.astuple(config),
            list(config.__rich_repr__()),
        ]
        assert hides(*map(repr, texts), *map(str, texts), f"{config}", loaded.sources)

    def test_config_show_says_only_that_it_is_set(
        self, loaded: LoadedConfig, load: Callable[..., LoadedConfig]
    ) -> None:
        lines = describe(loaded)
        assert hides(lines, msgspec.json.encode(lines).decode(), json.dumps([msgspec.structs.asdict(x) for x in lines]))
        assert {line.name: line.value_text for line in lines}["signing_salt"] == "set (hidden)"
        assert {line.name: line.value_text for line in describe(load())}["signing_salt"] == "not set"

    def test_no_encoder_and_no_pickle_takes_it_along(self, loaded: LoadedConfig) -> None:
        for encode in (msgspec.json.encode, msgspec.msgpack.encode, pickle.dumps, json.dumps):
            with pytest.raises(TypeError) as caught:
                encode(loaded.config)
            assert hides(caught.value)

    def test_a_log_line_about_the_configuration_does_not_show_it(
        self, loaded: LoadedConfig, caplog: pytest.LogCaptureFixture
    ) -> None:
        logging.getLogger("embedder").warning("configured: %s %r", loaded, loaded.config)
        assert "signing_salt" in caplog.text
        assert hides(caplog.text)

    @pytest.mark.parametrize(
        "content",
        [
            f'signing_salt = "{SALT}"\nsigning_salt = "{SALT}"\n',
            f'signing_salt = "{SALT}\n',
            f'signing_salt = "{SALT}\\q"\n',
            f"signing_salt = {SALT}\n",
            f'["{SALT}"]\n["{SALT}"]\n',
            f'signing_salt = "{SALT}"\n'.encode() + b"\xff",
            f'signing_salt = "{SALT}"\nmax_sessions = "many"\n',
            f'signing_salt = "{SALT}"\nmax_session = 5\n',
            f'signing_salt = "{SALT}"\nmax_session_bytes = "1MiB"\nmax_entry_bytes = "2MiB"\n',
            f'signing_salt = ["{SALT}"]\n',
            f'signing_salt = "{SALT}\\u0000"\n',
            f'max_sessions = "{SALT}"\n',
            f'legacy = "{SALT}"\n',
            f'state_dir = "{SALT}"\n',
            f'"{SALT} " = 1\n',
        ],
    )
    def test_no_refusal_of_a_file_repeats_it(
        self, content: str | bytes, write: Callable[[str | bytes], Path], load: Callable[..., LoadedConfig]
    ) -> None:
        write(content)
        with pytest.raises(ConfigError) as caught:
            load()
        assert self.error_hides(caught.value)

    @pytest.mark.parametrize("name", ["SIGNING_SALT", "MAX_SESSIONS", "LEGACY", "LOCK_TIMEOUT_S", "MAX_ENTRY_BYTES"])
    def test_no_refusal_of_the_environment_repeats_it(self, name: str, load: Callable[..., LoadedConfig]) -> None:
        with pytest.raises(ConfigError) as caught:
            load(**{f"SESSIONSTORE_{name}": f"{SALT}\n"})
        assert self.error_hides(caught.value)

    def test_no_refusal_of_a_directly_made_configuration_repeats_it(self, make: Callable[..., Config]) -> None:
        for given in ({"signing_salt": SALT}, {"signing_salt": Secret(SALT * 200)}, {"max_sessions": SALT}):
            with pytest.raises(ConfigError) as caught:
                make(**given)
            assert self.error_hides(caught.value)

    def test_a_misspelt_name_of_the_salt_is_refused_without_its_value(self) -> None:
        with pytest.raises(ConfigError, match="did you mean SESSIONSTORE_SIGNING_SALT") as caught:
            load_config(root="/nowhere", environ={"SESSIONSTORE_SIGNINGSALT": SALT})
        assert self.error_hides(caught.value)

    def test_a_password_in_the_address_of_a_storage_stays_hidden_too(
        self, load: Callable[..., LoadedConfig], make: Callable[..., Config]
    ) -> None:
        loaded = load(SESSIONSTORE_RESUME_STORAGE_URI=f"redis://:{SALT}@host:6379")
        assert hides(loaded, f"{loaded.config}", describe(loaded), msgspec.structs.asdict(loaded.config))
        for refused in (f"redis://:{SALT} @host", f"{SALT}", f"redis://:{SALT}\x1b@host"):
            with pytest.raises(ConfigError) as caught:
                load(SESSIONSTORE_RESUME_STORAGE_URI=refused)
            assert self.error_hides(caught.value)
            for given in (refused, Secret(refused)):
                with pytest.raises(ConfigError) as caught:
                    make(resume_storage_uri=given)
                assert self.error_hides(caught.value)

    def error_hides(self, error: ConfigError) -> bool:
        """The error, its copy, and everything that hangs on it."""
        chain: list[BaseException] = []
        link: BaseException | None = error
        while link is not None:
            chain.append(link)
            link = link.__cause__ or link.__context__
        held = [vars(each) for each in chain]
        assert hides(pickle.dumps(error))
        return hides(*chain, *map(repr, chain), *held, error.fields, error.hint, *traceback.format_exception(error))
