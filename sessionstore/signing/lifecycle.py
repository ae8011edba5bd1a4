"""The life of a key, as steps from one keyring to the next: added, promoted, closed, retired.

Rules:

* Each step makes a keyring of the next generation and leaves the given one alone. Nothing is stored here.
* A step that is done already gives None, so that a rotation that was killed anywhere is simply run again.
* A key becomes primary once. An old one never does again: who has a leaked key must not get it back into use.
"""

from __future__ import annotations

from typing import Literal

from sessionstore.errors import KeyDisabledError, UnknownKeyError
from sessionstore.signing.keyring import Key, Keyring


def unfinished(keyring: Keyring) -> bool:
    """Whether a rotation was begun and not finished: a key waits to be primary, or rows under an old one count."""
    return waiting(keyring) is not None or any(key.rows == "counted" for key in _others(keyring))


def waiting(keyring: Keyring) -> Key | None:
    """The key that was added to become primary, None if none was."""
    return next((key for key in _others(keyring) if key.status == "verify_only" and key.rows == "none"), None)


def added(keyring: Keyring, key: Key) -> Keyring | None:
    """The keyring with a `waiting_key` more; None if a rotation is under way."""
    return None if unfinished(keyring) else keyring.changed((*keyring.keys, key))


def promoted(keyring: Keyring) -> Keyring | None:
    """The keyring whose waiting key is primary; the old one verifies only. None if no key waits."""
    next_one = waiting(keyring)
    if next_one is None:
        return None
    keys = []
    for key in keyring.keys:
        if key is next_one:
            key = key.changed("primary", "counted")
        elif key is keyring.primary:
            key = key.changed("verify_only")
        keys.append(key)
    return keyring.changed(keys)


def replaced(keyring: Keyring, key: Key) -> Keyring:
    """The keyring in which a `waiting_key` is primary at once; what waited before it, is destroyed.

    For a leaked keyring: whoever has the primary key has the waiting one too, so neither may serve. A rotation that was
    left unfinished does not stand in the way; rows under its old keys count until they are made anew.
    """
    waiting_one = waiting(keyring)
    keys = []
    for held in keyring.keys:
        if held is keyring.primary:
            held = held.changed("verify_only")
        elif held is waiting_one:
            held = held.changed("destroyed")
        keys.append(held)
    return keyring.changed((*keys, key.changed("primary", "counted")))


def closed(keyring: Keyring) -> Keyring | None:
    """The keyring in which only rows under the primary key count, all of them being made anew; None if it is so."""
    keys = [key.changed(key.status, "closed") if _is_open(keyring, key) else key for key in keyring.keys]
    return None if keys == list(keyring.keys) else keyring.changed(keys)


def retired(keyring: Keyring, key_id: str, to: Literal["disabled", "destroyed"]) -> Keyring | None:
    """The keyring in which that key does nothing any more; None if it is so.

    Raises:
        UnknownKeyError: There is no such key.
        KeyDisabledError: It is the primary one.
    """
    found = keyring.find(key_id)
    if found is None:
        raise UnknownKeyError(key_id=key_id)
    if found is keyring.primary:
        raise KeyDisabledError(key_id=key_id, status="primary", hint="rotate first: the primary key signs everything")
    if found.status in (to, "destroyed"):
        return None
    return keyring.changed([key.changed(to, "closed") if key is found else key for key in keyring.keys])


def _others(keyring: Keyring) -> list[Key]:
    return [key for key in keyring.keys if key is not keyring.primary]


def _is_open(keyring: Keyring, key: Key) -> bool:
    return key is not keyring.primary and key.rows == "counted"
