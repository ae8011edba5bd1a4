"""What a backend must keep apart: hostile names, and users of one name at the same time."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

from sessionstore.errors import AlreadyExistsError, InvalidValueError, StoreUnavailableError
from sessionstore.storage.protocol import Backend
from sessionstore.testing.expect import NAME, SESSION, content, expect, opened, refused, run_together

# Each of these is a file name of its own; none of them may meet another.
HOSTILE_NAMES = (
    NAME,
    NAME.upper(),
    NAME + ".",
    NAME + "\n",
    " " + NAME,
    "." + NAME,
    "...",
    "..jsonl",
    "~",
    "-rf",
    "*",
    "%2e%2e%2f",
    "a\\..\\b",
    "con",
    "\u00e9.jsonl",
    "e\u0301.jsonl",
    "\uff0e\uff0e.jsonl",
    "\u202egnp.jsonl",
    "stra\u00dfe",
    "strasse",
    "\u0130",
    "i\u0307",
    "\U0001f984" * 63,
    "n" * 255,
    "n" * 254,
)

_REFUSED_NAMES = ("", ".", "..", "a/b", "/", "a\0b", "n" * 256, "\u00e9" * 128, "\ud800", ".gitignore")


def hostile_names_never_meet(backend: Backend) -> None:
    for number, name in enumerate(HOSTILE_NAMES):
        backend.write(name, [b"%d" % number], replace=False)
    expect(sorted(name for name, _ in backend.scan()) == sorted(HOSTILE_NAMES), "every name must be listed as given")
    for number, name in enumerate(HOSTILE_NAMES):
        expect(content(backend, name) == b"%d" % number, f"{name!r} must lead to its own bytes")
    for name in HOSTILE_NAMES:
        backend.delete(name)
        expect(backend.open(name) is None, f"{name!r} must be gone")
    expect(list(backend.scan()) == [], "and nothing may be left")


def names_that_are_no_single_name_are_refused(backend: Backend) -> None:
    for name in _REFUSED_NAMES:
        calls: tuple[Callable[[str], object], ...] = (
            backend.open,
            backend.stamp,
            backend.delete,
            lambda name: backend.write(name, [b"x"], replace=True),
        )
        for call in calls:
            refused(InvalidValueError, f"{name!r} must be refused", lambda call=call, name=name: call(name))  # type: ignore[misc]
    expect(list(backend.scan()) == [], "a refused name must leave nothing behind")


def one_of_many_makes_a_name(backend: Backend) -> None:
    made: list[bytes] = []
    gate = threading.Barrier(8)

    def make(number: int) -> None:
        gate.wait()
        content = b"%d" % number
        try:
            backend.write(NAME, [content], replace=False)
        except AlreadyExistsError:
            return
        made.append(content)

    run_together([lambda number=number: make(number) for number in range(8)])  # type: ignore[misc]
    expect(len(made) == 1, f"exactly one of eight must make a name, not {len(made)}")
    expect(content(backend, NAME) == made[0], "and the bytes must be those of that one")


def a_lock_keeps_others_out_and_waits_no_longer_than_told(backend: Backend) -> None:
    with backend.lock(SESSION, "write", timeout_s=5):

        def take() -> None:
            with backend.lock(SESSION, "write", timeout_s=0):
                pass

        error = refused(StoreUnavailableError, "a held lock must be refused at the timeout", take)
        expect(error.outcome == "not_written", "a lock not had means that nothing was written")
        with (
            backend.lock(SESSION, "run", timeout_s=0),
            backend.lock(SESSION.replace("0", "1"), "write", timeout_s=0),
        ):
            pass
    with backend.lock(SESSION, "write", shared=True, timeout_s=0):
        pass
    take()


def locks_order_threads(backend: Backend) -> None:
    backend.write(NAME, [], replace=False)
    log = opened(backend, NAME, writable=True)
    numbers = itertools.count()

    def add() -> None:
        for _ in range(20):
            with backend.lock(SESSION, "write", timeout_s=60):
                log.append(log.stamp().size, [b"%d\n" % next(numbers)])

    run_together([add] * 4)
    expected = b"".join(b"%d\n" % number for number in range(80))
    expect(log.read(0, 1 << 20) == expected, "appends under the lock must come one after the other")
    log.close()
