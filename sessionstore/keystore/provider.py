"""What gives the bytes of install keys where they do not lie in the keyring file.

Rules:

* The keyring file stays the record of which keys there are and what each may do, signed as ever; only `secret` is
  empty. A store has its keys in one place: a provider that does not fit the file is refused, and never makes a new key.
* A key that is given is the one whose id the file names, or it is refused.
* Key bytes are in no error, representation or log, and in no local variable of a frame that an error leaves through.
"""

from __future__ import annotations

from typing import Literal, Protocol


class Withheld(Exception):
    """Why a provider does not give a key. The keyring file makes the error of it that users see.

    Args:
        kind: `missing`: there is none. `unreadable`: it cannot be had now. `other`: it is not the key of that id.
        where: The place that was asked, in words.
        hint: What mends it.
    """

    def __init__(self, kind: Literal["missing", "unreadable", "other"], where: str, hint: str) -> None:
        super().__init__(kind)
        self.kind = kind
        self.where = where
        self.hint = hint


class KeyProvider(Protocol):
    """A place that keeps key bytes by the id of the key. Safe to use from several threads."""

    @property
    def name(self) -> str:
        """The word of the setting `key_provider`."""
        ...

    @property
    def takes(self) -> bool:
        """Whether it takes new keys, as a rotation needs."""
        ...

    def first(self) -> bytes | None:
        """The key for a store that is being made; None: make a random one.

        Raises:
            Withheld: There has to be one, and there is none.
        """
        ...

    def get(self, key_id: str) -> bytes:
        """The 32 bytes of that key.

        Raises:
            Withheld: It is not to be had.
        """
        ...

    def put(self, key_id: str, secret: bytes) -> None:
        """Keep a key; the same again changes nothing. Only where `takes`.

        Raises:
            Withheld: It was not kept.
        """
        ...

    def drop(self, key_id: str) -> None:
        """Forget a key, if it is there. Only where `takes`.

        Raises:
            Withheld: It is still there.
        """
        ...

    def warnings(self) -> tuple[str, ...]:
        """What is worth telling of the way the key came; each is told once in a process."""
        ...
