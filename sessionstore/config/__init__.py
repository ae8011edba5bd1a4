"""Limits, policies and places: `Config`, and how it is read from a file and the environment.

There is no setting that turns verification off.
"""

from __future__ import annotations

from sessionstore.config.load import LoadedConfig, load_config
from sessionstore.config.record import Config, Legacy, PolicySetting
from sessionstore.config.secret import Secret
from sessionstore.config.settings import KEY_NAME
from sessionstore.config.show import SettingLine, describe

__all__ = [
    "KEY_NAME",
    "Config",
    "Legacy",
    "LoadedConfig",
    "PolicySetting",
    "Secret",
    "SettingLine",
    "describe",
    "load_config",
]
