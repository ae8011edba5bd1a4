"""What `config show` prints: every setting, its value as text, and where the value came from."""

from __future__ import annotations

import msgspec

from sessionstore.config.load import LoadedConfig
from sessionstore.config.settings import SETTINGS
from sessionstore.config.values import Place


class SettingLine(msgspec.Struct, frozen=True):
    """One setting as people see it.

    Attributes:
        name: The key in the file.
        value_text: The value, in a form that the file and the environment take too; a salt is never shown.
        source: `default`, `file PATH`, `environment NAME` or `argument root`.
        default_text: The default, in words.
        unit: The unit of plain numbers, or "".
        what: What the setting does, in one line.
    """

    name: str
    value_text: str
    source: str
    default_text: str
    unit: str
    what: str


def describe(loaded: LoadedConfig) -> tuple[SettingLine, ...]:
    """A line for every setting, in the order of the reference page, and a last one for the file itself.

    Control characters of paths are left as they are: escape them before they reach a terminal.
    """
    lines = [
        SettingLine(
            setting.name,
            setting.kind.show(getattr(loaded.config, setting.name)),
            loaded.sources[setting.name],
            setting.default_text,
            setting.kind.unit,
            setting.what,
        )
        for setting in SETTINGS
    ]
    looked_for = Place().show(loaded.looked_for)
    lines.append(
        SettingLine(
            "config_file",
            looked_for if loaded.config.config_file is not None else f"none ({looked_for})",
            loaded.sources["config_file"],
            "config.toml in the user configuration directory",
            "",
            "the file that settings are read from; no setting itself",
        )
    )
    return tuple(lines)
