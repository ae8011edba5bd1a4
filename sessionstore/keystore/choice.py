"""Which provider the settings name."""

from __future__ import annotations

from collections.abc import Mapping

from sessionstore.config import Config
from sessionstore.keystore.given import from_descriptor, from_environment
from sessionstore.keystore.os_keyring import OsKeyring
from sessionstore.keystore.provider import KeyProvider


def provider_of(config: Config, environ: Mapping[str, str]) -> KeyProvider | None:
    """The provider that the settings name; None: the key lies in the keyring file."""
    if config.key_provider == "keyring":
        return OsKeyring()
    if config.key_provider == "descriptor":
        return from_descriptor(config.key_fd or 0)
    if config.key_provider == "environment":
        return from_environment(environ)
    return None
