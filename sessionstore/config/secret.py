"""A value that must not be shown: the signing salt, or an address with a password in it.

Rules:

* No text form of it, or of anything that holds it, contains the value: not `repr`, `str`, `format`, nor an encoder.
* It does not leave the process by accident: pickling it is an error.
* `reveal()` is the one way to the value, so that a search for that word finds every use.

It does not wipe memory, and it does not stop code in this process that wants the value.
"""

from __future__ import annotations

from typing import NoReturn


class Secret:
    """Holds bytes that only `reveal()` gives back.

    Args:
        value: The secret; text is taken as UTF-8.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str | bytes) -> None:
        self._value = value.encode() if isinstance(value, str) else bytes(value)

    def reveal(self) -> bytes:
        """The value itself. Do not log it, print it, or put it into an error."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(hidden)"

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        # The same for all: a hash of a short value would give it away.
        return hash(Secret)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not pickled: read the configuration again in the other process")
