from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionstore.config import Config, LoadedConfig, load_config
from sessionstore.config.settings import SETTINGS
from sessionstore.errors import ConfigError

Write = Callable[[str | bytes], Path]
Load = Callable[..., LoadedConfig]

MIB = 1 << 20

# One good value that is not the default, in the forms of the environment and of TOML.
OTHER_VALUES: dict[str, tuple[str, str, object]] = {
    "max_session_bytes": ("256MiB", '"256MiB"', 256 * MIB),
    "max_entry_bytes": ("1048576", "1048576", MIB),
    "max_sessions": ("7", "7", 7),
    "cleanup_days": ("30", "30", 30),
    "lock_timeout_s": ("2.5", "2.5", 2.5),
    "sync_interval_s": ("1", "1", 1.0),
    "legacy": ("refuse", '"refuse"', "refuse"),
    "key_provider": ("keyring", '"keyring"', "keyring"),
    "data_dir": ("/srv/d", '"/srv/d"', Path("/srv/d")),
    "state_dir": ("/srv/s", '"/srv/s"', Path("/srv/s")),
}


def in_child(code: str, cwd: Path, **environ: str) -> str:
    """What a fresh process prints, with exactly these places in its environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "SESSIONSTORE_"))}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=kept | environ, capture_output=True, text=True, check=True
    )
    return done.stdout


SHOW_PLACES = """
import json, os
from sessionstore.config import load_config
from sessionstore.errors import ConfigError
try:
    loaded = load_config(environ=os.environ)
except ConfigError as exc:
    print(json.dumps([exc.setting, exc.source, exc.reason]))
else:
    config = loaded.config
    print(json.dumps([*map(str, (config.data_dir, config.state_dir, loaded.looked_for)), loaded.sources["data_dir"]]))
"""


class TestSources:
    def test_every_setting_of_the_record_is_in_the_table_and_the_other_way_round(self) -> None:
        assert [*Config.__struct_fields__] == [
            *(setting.name for setting in SETTINGS[:2]),
            "config_file",
            *(setting.name for setting in SETTINGS[2:]),
        ]

    @pytest.mark.parametrize("name", OTHER_VALUES)
    def test_the_file_wins_over_the_default(self, name: str, write: Write, load: Load) -> None:
        path = write(f"{name} = {OTHER_VALUES[name][1]}\n")
        loaded = load()
        assert getattr(loaded.config, name) == OTHER_VALUES[name][2]
        assert loaded.sources[name] == f"file {path}"

    @pytest.mark.parametrize("name", [name for name in OTHER_VALUES if not name.endswith("_dir")])
    def test_the_environment_wins_over_the_file(self, name: str, write: Write, load: Load) -> None:
        write('max_session_bytes = "64MiB"\nmax_entry_bytes = "2MiB"\nmax_sessions = 5\ncleanup_days = 5\n')
        loaded = load(**{f"SESSIONSTORE_{name.upper()}": OTHER_VALUES[name][0]})
        assert getattr(loaded.config, name) == OTHER_VALUES[name][2]
        assert loaded.sources[name] == f"environment SESSIONSTORE_{name.upper()}"

    def test_the_salt_comes_from_file_or_environment_too(self, write: Write, load: Load) -> None:
        write('signing_salt = "one"\n')
        assert load().config.signing_salt.reveal() == b"one"  # type: ignore[union-attr]
        loaded = load(SESSIONSTORE_SIGNING_SALT="two")
        assert loaded.config.signing_salt.reveal() == b"two"  # type: ignore[union-attr]

    def test_a_descriptor_goes_with_its_provider_and_with_no_other(self, load: Load) -> None:
        loaded = load(SESSIONSTORE_KEY_PROVIDER="descriptor", SESSIONSTORE_KEY_FD="9")
        assert (loaded.config.key_provider, loaded.config.key_fd) == ("descriptor", 9)
        for given in ({"SESSIONSTORE_KEY_FD": "9"}, {"SESSIONSTORE_KEY_PROVIDER": "descriptor"}):
            with pytest.raises(ConfigError) as caught:
                load(**given)
            assert caught.value.fields["setting"] == "key_fd"
            assert caught.value.reason == "a descriptor is needed with key_provider descriptor, and with no other"
        for number in ("0", "2", "-1", "x"):
            with pytest.raises(ConfigError):
                load(SESSIONSTORE_KEY_PROVIDER="descriptor", SESSIONSTORE_KEY_FD=number)

    def test_a_key_in_the_environment_goes_with_its_provider_and_is_in_no_setting(self, load: Load) -> None:
        value = "5e" * 32
        loaded = load(SESSIONSTORE_KEY_PROVIDER="environment", SESSIONSTORE_KEY=value)
        assert loaded.config.key_provider == "environment"
        assert value not in repr(loaded) and not hasattr(loaded.config, "key")
        for given in ({}, {"SESSIONSTORE_KEY_PROVIDER": "descriptor", "SESSIONSTORE_KEY_FD": "9"}):
            with pytest.raises(ConfigError) as caught:
                load(SESSIONSTORE_KEY=value, **given)
            assert (caught.value.setting, caught.value.source) == ("key_provider", "environment SESSIONSTORE_KEY")
            assert value not in f"{caught.value} {caught.value.hint}"

    def test_a_key_in_the_file_is_no_setting(self, write: Write, load: Load) -> None:
        write(f'key = "{"5e" * 32}"\n')
        with pytest.raises(ConfigError) as caught:
            load(SESSIONSTORE_KEY_PROVIDER="environment")
        assert "5e5e" not in f"{caught.value} {caught.value.hint}"

    def test_what_nobody_sets_is_the_default_and_says_so(self, load: Load) -> None:
        sources = load().sources
        assert {name for name, source in sources.items() if source != "default"} == {
            "data_dir",
            "state_dir",
            "config_file",
        }
        assert set(sources) == set(Config.__struct_fields__)

    def test_off_in_the_environment_takes_back_what_the_file_sets(self, write: Write, load: Load) -> None:
        write("cleanup_days = 30\n")
        assert load().config.cleanup_days == 30
        assert load(SESSIONSTORE_CLEANUP_DAYS="off").config.cleanup_days is None

    def test_the_process_environment_is_not_looked_at(
        self, monkeypatch: pytest.MonkeyPatch, root: Path, load: Load
    ) -> None:
        monkeypatch.setenv("SESSIONSTORE_MAX_SESSIONS", "5")
        monkeypatch.setenv("SESSIONSTORE_HOME", "/elsewhere")
        monkeypatch.setenv("SESSIONSTORE_NONSENSE", "1")
        assert load().config.max_sessions == 10_000
        assert load().config.data_dir == root / "data"

    def test_nothing_is_created(self, root: Path, tmp_path: Path, load: Load) -> None:
        load()
        load_config(root=tmp_path / "new", environ={})
        assert list(root.iterdir()) == []
        assert not (tmp_path / "new").exists()


class TestRefusals:
    @pytest.mark.parametrize(
        ("line", "setting", "reason"),
        [
            ("max_session = 5", "max_session", "there is no such setting; did you mean max_sessions?"),
            ("verify = false", "verify", "there is no such setting"),
            ("config_file = '/x'", "config_file", "there is no such setting"),
            ("[limits]\nmax_sessions = 5", "limits", "there is no such setting"),
            ('"\\u001b[31m" = 5', "(not a name)", "there is no such setting"),
            (f"{'a' * 65} = 5", "(not a name)", "there is no such setting"),
            ("max_sessions = true", "max_sessions", "a whole number from 1 to 10000000 is needed"),
            ("max_sessions = 5.0", "max_sessions", "a whole number from 1 to 10000000 is needed"),
            ("max_sessions = 0", "max_sessions", "a whole number from 1 to 10000000 is needed"),
            ("[max_sessions]", "max_sessions", "a whole number from 1 to 10000000 is needed"),
            ("cleanup_days = 'never'", "cleanup_days", "a whole number from 1 to 36500 or off is needed"),
            ("max_session_bytes = '1MB'", "max_session_bytes", "a number of bytes from 64 KiB to 1 TiB is needed"),
            ("lock_timeout_s = inf", "lock_timeout_s", "a number of seconds from 0 to 3600 is needed"),
            ("lock_timeout_s = nan", "lock_timeout_s", "a number of seconds from 0 to 3600 is needed"),
            ("sync_interval_s = 2026-01-01", "sync_interval_s", "a number of seconds from 0 to 60 is needed"),
            ("legacy = 'Adopt'", "legacy", "one of adopt, ask, refuse is needed"),
            ("data_dir = 'data'", "data_dir", "an absolute path is needed"),
            ("data_dir = '~/data'", "data_dir", "an absolute path is needed"),
            ("signing_salt = 5", "signing_salt", "1 to 1024 bytes of text"),
        ],
    )
    def test_a_bad_line_of_the_file_is_refused_by_name(
        self, line: str, setting: str, reason: str, write: Write, load: Load
    ) -> None:
        path = write(line)
        with pytest.raises(ConfigError) as caught:
            load()
        assert (caught.value.setting, caught.value.source) == (setting, f"file {path}")
        assert caught.value.reason.startswith(reason)
        assert caught.value.code == "config_invalid"

    @pytest.mark.parametrize("value", ["", "1e6", "-1", "true", "5 ", "5KiB", "\x1b[31m"])
    def test_a_bad_value_in_the_environment_is_refused_by_name_and_not_repeated(self, value: str, load: Load) -> None:
        with pytest.raises(ConfigError) as caught:
            load(SESSIONSTORE_MAX_SESSIONS=value)
        assert caught.value.setting == "max_sessions"
        assert caught.value.source == "environment SESSIONSTORE_MAX_SESSIONS"
        assert caught.value.reason == "a whole number from 1 to 10000000 is needed"

    def test_a_bad_line_of_the_file_is_refused_also_where_the_environment_wins(self, write: Write, load: Load) -> None:
        write("max_sessions = 0\n")
        with pytest.raises(ConfigError):
            load(SESSIONSTORE_MAX_SESSIONS="5")

    @pytest.mark.parametrize(
        ("name", "near"),
        [
            ("SESSIONSTORE_MAX_SESSION_BYTE", "SESSIONSTORE_MAX_SESSION_BYTES"),
            ("SESSIONSTORE_MAX_SESSION_SIZE", "SESSIONSTORE_MAX_SESSIONS"),
            ("SESSIONSTORE_RESUME_LIMITS", "SESSIONSTORE_RESUME_LIMIT"),
            ("SESSIONSTORE_RESUME_WINDOW", "SESSIONSTORE_RESUME_WINDOW_SECONDS"),
            ("SESSIONSTORE_SALT", None),
            ("SESSIONSTORE_ROOT", "SESSIONSTORE_"),
            ("SESSIONSTORE_HOMES", "SESSIONSTORE_HOME"),
            ("SESSIONSTORE_", None),
        ],
    )
    def test_an_unknown_name_in_the_environment_is_refused(self, name: str, near: str | None, load: Load) -> None:
        with pytest.raises(ConfigError) as caught:
            load(**{name: "5"})
        assert (caught.value.setting, caught.value.source) == (name, "environment")
        assert caught.value.reason.startswith("there is no such setting")
        if near is not None:
            assert f"did you mean {near}" in caught.value.reason

    def test_an_unknown_name_that_cannot_be_shown_is_not_repeated(self, load: Load) -> None:
        with pytest.raises(ConfigError) as caught:
            load(**{"SESSIONSTORE_\x1b[31m": "5"})
        assert caught.value.setting == "(not a name)"

    def test_names_that_others_use_are_left_alone(self, load: Load) -> None:
        loaded = load(
            SESSIONSTORE_SESSION_FD="3",
            SESSIONSTORE_SESSION_ID="x",
            SESSIONSTORE_TEST_ANYTHING="1",
            SESSIONSTORE="1",
            sessionstore_max_sessions="1",
            _SESSIONSTORE_COMPLETE="bash_source",
            MY_SESSIONSTORE_HOME="/x",
        )
        assert loaded.config.max_sessions == 10_000

    def test_a_contradiction_names_the_source_of_the_setting(self, write: Write, load: Load) -> None:
        path = write('max_entry_bytes = "2MiB"\n')
        with pytest.raises(ConfigError, match="more than max_session_bytes") as caught:
            load(SESSIONSTORE_MAX_SESSION_BYTES="1MiB")
        assert (caught.value.setting, caught.value.source) == ("max_entry_bytes", f"file {path}")
        with pytest.raises(ConfigError) as caught:
            load(SESSIONSTORE_MAX_SESSION_BYTES="1MiB", SESSIONSTORE_MAX_ENTRY_BYTES="8MiB")
        assert caught.value.source == "environment SESSIONSTORE_MAX_ENTRY_BYTES"

    def test_lowering_the_session_limit_alone_is_no_contradiction(self, load: Load) -> None:
        loaded = load(SESSIONSTORE_MAX_SESSION_BYTES="1MiB")
        assert loaded.config.max_entry_bytes == MIB
        assert loaded.sources["max_entry_bytes"] == "default"

    def test_zero_is_no_entry_limit_outside_of_code(self, write: Write, load: Load) -> None:
        with pytest.raises(ConfigError):
            load(SESSIONSTORE_MAX_ENTRY_BYTES="0")
        write("max_entry_bytes = 0\n")
        with pytest.raises(ConfigError):
            load()


class TestRoot:
    def test_a_root_holds_data_state_and_file(self, root: Path, write: Write) -> None:
        path = write("")
        for given in (root, str(root)):
            loaded = load_config(root=given, environ={})
            assert loaded.config.data_dir == root / "data"
            assert loaded.config.state_dir == root / "state"
            assert loaded.config.config_file == loaded.looked_for == path
            assert loaded.sources["data_dir"] == loaded.sources["config_file"] == "argument root"

    def test_the_home_of_the_environment_acts_like_a_root(self, root: Path) -> None:
        loaded = load_config(environ={"SESSIONSTORE_HOME": str(root)})
        assert (loaded.config.data_dir, loaded.config.state_dir) == (root / "data", root / "state")
        assert loaded.looked_for == root / "config.toml"
        assert loaded.sources["state_dir"] == "environment SESSIONSTORE_HOME"

    def test_an_argument_wins_over_every_place_in_the_environment(self, root: Path) -> None:
        environ = {
            "SESSIONSTORE_HOME": "/elsewhere",
            "SESSIONSTORE_DATA_DIR": "/elsewhere/d",
            "SESSIONSTORE_STATE_DIR": "not even a place",
        }
        loaded = load_config(root=root, environ=environ)
        assert (loaded.config.data_dir, loaded.config.state_dir) == (root / "data", root / "state")
        assert loaded.looked_for == root / "config.toml"

    def test_a_place_in_the_environment_refines_the_home(self, root: Path) -> None:
        loaded = load_config(environ={"SESSIONSTORE_HOME": str(root), "SESSIONSTORE_STATE_DIR": "/srv/state"})
        assert (loaded.config.data_dir, loaded.config.state_dir) == (root / "data", Path("/srv/state"))
        assert loaded.sources["state_dir"] == "environment SESSIONSTORE_STATE_DIR"

    def test_a_relative_root_is_settled_at_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "a").mkdir()
        monkeypatch.chdir(tmp_path / "a")
        loaded = load_config(root="store", environ={})
        monkeypatch.chdir(tmp_path)
        assert loaded.config.data_dir == tmp_path / "a" / "store" / "data"

    def test_dot_dot_behind_a_link_is_not_folded_away(self, root: Path) -> None:
        assert load_config(root=root / "link" / "..", environ={}).config.data_dir == root / "link" / ".." / "data"

    @pytest.mark.parametrize("given", ["", "~", "~/store", "a\0b", "a\ud800"])
    def test_what_cannot_be_a_root_is_refused(self, given: str) -> None:
        for root, environ, source in (
            (given, {}, "argument root"),
            (None, {"SESSIONSTORE_HOME": given}, "environment SESSIONSTORE_HOME"),
        ):
            with pytest.raises(ConfigError) as caught:
                load_config(root=root, environ=environ)
            assert (caught.value.setting, caught.value.source) == ("root", source)

    def test_a_relative_root_without_a_current_directory_is_refused(self, tmp_path: Path) -> None:
        code = """
import os
from sessionstore.config import load_config
from sessionstore.errors import ConfigError
os.mkdir("gone"); os.chdir("gone"); os.rmdir("../gone")
try:
    load_config(root="store", environ={})
except ConfigError as exc:
    print(exc.setting, exc.reason)
"""
        assert in_child(code, tmp_path) == "root it is relative and there is no current directory\n"


class TestPlatformDirectories:
    def test_they_follow_the_desktop_standard(self, tmp_path: Path) -> None:
        shown = in_child(
            SHOW_PLACES,
            tmp_path,
            XDG_DATA_HOME="/srv/d",
            XDG_STATE_HOME="/srv/s",
            XDG_CONFIG_HOME=str(tmp_path / "c"),
        )
        expected = [
            "/srv/d/sessionstore",
            "/srv/s/sessionstore",
            str(tmp_path / "c/sessionstore/config.toml"),
            "default",
        ]
        assert json.loads(shown) == expected

    def test_without_it_they_lie_in_the_home_directory(self, tmp_path: Path) -> None:
        data, state, file, _ = json.loads(in_child(SHOW_PLACES, tmp_path, HOME=str(tmp_path)))
        assert data == str(tmp_path / ".local/share/sessionstore")
        assert state == str(tmp_path / ".local/state/sessionstore")
        assert file == str(tmp_path / ".config/sessionstore/config.toml")

    def test_the_name_of_the_application_is_part_of_them(self) -> None:
        loaded = load_config(app="my-tool", environ={})
        assert loaded.config.data_dir.name == loaded.config.state_dir.name == "my-tool"
        assert loaded.looked_for.parts[-2:] == ("my-tool", "config.toml")

    @pytest.mark.parametrize("app", ["", ".", "..", "../x", "a/b", "/abs", "a\0", "a b", "-x", "a\n", "ä", "a" * 65])
    def test_a_name_that_could_lead_elsewhere_is_refused(self, app: str) -> None:
        with pytest.raises(ConfigError) as caught:
            load_config(app=app, environ={})
        assert (caught.value.setting, caught.value.source) == ("app", "argument")

    def test_one_directory_for_both_is_split(self, tmp_path: Path) -> None:
        shown = in_child(SHOW_PLACES, tmp_path, XDG_DATA_HOME="/srv/x", XDG_STATE_HOME="/srv/x", HOME=str(tmp_path))
        assert json.loads(shown)[:2] == ["/srv/x/sessionstore/data", "/srv/x/sessionstore/state"]

    @pytest.mark.parametrize(
        "environ",
        [
            {"XDG_CONFIG_HOME": "."},
            {"XDG_CONFIG_HOME": ""},
            {"XDG_CONFIG_HOME": "sub/.."},
            {"HOME": "."},
            {"HOME": "sub"},
        ],
    )
    def test_the_current_directory_is_never_the_configuration_directory(
        self, environ: dict[str, str], tmp_path: Path
    ) -> None:
        for planted in ("", "sessionstore", "sub", ".config/sessionstore", "sub/.config/sessionstore"):
            (tmp_path / planted).mkdir(parents=True, exist_ok=True)
            (tmp_path / planted / "config.toml").write_text("planted = 1\n")
        (tmp_path / "home").mkdir()
        answer = json.loads(in_child(SHOW_PLACES, tmp_path, **({"HOME": str(tmp_path / "home")} | environ)))
        # Which of the two depends on the release of platformdirs: newer ones pass over a relative directory themselves.
        refused = [
            "data_dir",
            "default",
            "the platform's directories are not absolute paths; correct HOME or XDG_…, or give a root",
        ]
        assert answer == refused or all(Path(place).is_absolute() for place in answer[:3])


class TestImportCost:
    def test_importing_it_loads_no_parser_no_platform_table_and_no_event_loop(self, tmp_path: Path) -> None:
        heavy = {"tomllib", "platformdirs", "asyncio", "sqlite3", "cryptography", "logging"}
        # Compared with before: a coverage measurement brings modules of its own into every child.
        code = f"import sys; b = {{*sys.modules}}; import sessionstore.config; print(({{*sys.modules}} - b) & {heavy})"
        assert in_child(code, tmp_path) == "set()\n"
