"""The base of all errors: fields, sentence, hint, and their survival of `pickle` and `copy`."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar


class SessionStoreError(Exception):
    """Base of every error of this package.

    Args:
        hint: What a person can do, where this case needs other words than the class has.
        **fields: Exactly the fields that the class annotates; a missing or unknown one is a `TypeError`.
    """

    code: ClassVar[str] = "failed"
    sentence: ClassVar[str] = "the operation failed"
    advice: ClassVar[str] = ""

    def __init__(self, *, hint: str | None = None, **fields: Any) -> None:
        expected = self.field_names()
        if fields.keys() != set(expected):
            raise TypeError(f"{type(self).__name__} takes the fields {sorted(expected)}, not {sorted(fields)}")
        self.fields: dict[str, Any] = {name: fields[name] for name in expected}
        self.hint: str = self.advice.format_map(fields) if hint is None else hint
        for name, value in fields.items():
            setattr(self, name, value)
        super().__init__(self.sentence.format_map(fields))

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """The names of this class's fields, base classes first, in the order they are annotated."""
        found: dict[str, None] = {}
        for base in reversed(cls.__mro__):
            if issubclass(base, SessionStoreError):
                annotations = inspect.get_annotations(base)
                found.update((name, None) for name, kind in annotations.items() if "ClassVar" not in str(kind))
        return tuple(found)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.hint, self.fields)


def _rebuild(cls: type[SessionStoreError], hint: str, fields: dict[str, Any]) -> SessionStoreError:
    return cls(hint=hint, **fields)
