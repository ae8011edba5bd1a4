"""The words of the backend checks: expect something, expect a refusal, run threads together.

Rules: a broken expectation is an `AssertionError` with a sentence; it is raised, not asserted, so that `python -O`
keeps it. Not promised: these words are for this room, other programs use `BACKEND_CHECKS` alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from sessionstore.errors import SessionStoreError
from sessionstore.storage.protocol import Backend, Log

NAME = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d.jsonl"
OTHER = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4e.jsonl"
SESSION = NAME.removesuffix(".jsonl")

_E = TypeVar("_E", bound=SessionStoreError)


def expect(met: bool, sentence: str) -> None:
    """Fail with `sentence` unless `met`."""
    if not met:
        raise AssertionError(sentence)


def refused(kind: type[_E], sentence: str, call: Callable[[], object]) -> _E:
    """The error of that kind that `call` raises; fail with `sentence` if it raises none."""
    try:
        call()
    except kind as exc:
        return exc
    raise AssertionError(sentence)


def opened(backend: Backend, name: str, *, writable: bool = False) -> Log:
    """The log of that name, which must be there."""
    log = backend.open(name, writable=writable)
    if log is None:
        raise AssertionError(f"a log that was written is not there: {name!r}")
    return log


def content(backend: Backend, name: str) -> bytes:
    """All bytes of the log of that name, up to 1 MiB."""
    log = opened(backend, name)
    try:
        return log.read(0, 1 << 20)
    finally:
        log.close()


def run_together(calls: Sequence[Callable[[], None]]) -> None:
    """Run each call in a thread of its own, wait for all, raise the first failure."""
    failures: list[BaseException] = []

    def run(call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
