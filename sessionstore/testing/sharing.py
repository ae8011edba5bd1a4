"""What a backend must keep apart: hostile names, and users of one name at the same time."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

from sessionstore.errors import AlreadyExistsError, AlreadyRunningError, InvalidValueError, StoreUnavailableError
from sessionstore.storage.protocol import Backend, Holder
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

HOLDER = Holder(4711, "2026-01-31T12:00:00.000000Z")
OTHER_SESSION = SESSION.replace("0", "1")

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
    with backend.lock(SESSION, timeout_s=5):

        def take() -> None:
            with backend.lock(SESSION, timeout_s=0):
                pass

        error = refused(StoreUnavailableError, "a held lock must be refused at the timeout", take)
        expect(error.outcome == "not_written", "a lock not had means that nothing was written")
        with backend.lock(OTHER_SESSION, timeout_s=0), backend.run(SESSION, HOLDER):
            pass
    with backend.lock(SESSION, shared=True, timeout_s=0):
        pass
    take()


def locks_order_threads(backend: Backend) -> None:
    backend.write(NAME, [], replace=False)
    log = opened(backend, NAME, writable=True)
    numbers = itertools.count()

    def add() -> None:
        for _ in range(20):
            with backend.lock(SESSION, timeout_s=60):
                log.append(log.stamp().size, [b"%d\n" % next(numbers)])

    run_together([add] * 4)
    expected = b"".join(b"%d\n" % number for number in range(80))
    expect(log.read(0, 1 << 20) == expected, "appends under the lock must come one after the other")
    log.close()


def one_of_many_runs_a_session(backend: Backend) -> None:
    won: list[int] = []
    refusals: list[AlreadyRunningError] = []
    gate, ended = threading.Barrier(8), threading.Barrier(8)

    def run(number: int) -> None:
        gate.wait()
        try:
            with backend.run(SESSION, Holder(number, HOLDER.started_at)):
                won.append(number)
                ended.wait()
        except AlreadyRunningError as error:
            refusals.append(error)
            ended.wait()

    run_together([lambda number=number: run(number) for number in range(1, 9)])  # type: ignore[misc]
    expect(len(won) == 1, f"exactly one of eight must run a session, not {len(won)}")
    expect(len(refusals) == 7, "and the others must be told that it is running")
    expect({error.session_id for error in refusals} == {SESSION}, "and which one it is")
    expect({error.pid for error in refusals} <= {0, won[0]}, "the process that they are told is the one, or unknown")
    with backend.run(SESSION, HOLDER):
        pass


def what_runs_is_told_with_what_its_holder_said(backend: Backend) -> None:
    expect(backend.running() == {}, "in an empty backend nothing runs")
    with backend.run(SESSION, HOLDER):
        expect(backend.running() == {SESSION: HOLDER}, "a session that is run must be told, with its holder")
        with backend.run(OTHER_SESSION, Holder()):
            expect(backend.running() == {SESSION: HOLDER, OTHER_SESSION: Holder()}, "also beside another one")
        error = refused(
            AlreadyRunningError,
            "also the thread that runs a session must be refused",
            lambda: backend.run(SESSION, HOLDER).__enter__(),
        )
        told = (error.session_id, error.pid, error.started_at)
        expect(told == (SESSION, HOLDER.pid, HOLDER.started_at), "the refusal must tell the holder")
        with backend.lock(SESSION, timeout_s=0):
            pass
    expect(backend.running() == {}, "what has ended does not run")


def a_run_ends_with_its_block_however_that_ends(backend: Backend) -> None:
    class OurError(Exception):
        pass

    def fail() -> None:
        with backend.run(SESSION, HOLDER):
            raise OurError

    for _ in range(2):
        try:
            fail()
        except OurError:
            continue
    held = backend.run(SESSION, HOLDER)
    held.__enter__()
    run_together([lambda: expect(not held.__exit__(None, None, None), "no exception may be swallowed")])
    expect(backend.running() == {}, "a run that was left by another thread has ended")
    with backend.run(SESSION, HOLDER):
        pass


def a_session_at_rest_is_not_run_and_a_running_one_not_at_rest(backend: Backend) -> None:
    with backend.run(SESSION, HOLDER):
        for call in (backend.at_rest, lambda session_id: backend.run(session_id, HOLDER)):
            sentence = "a session that is run is not at rest"
            error = refused(AlreadyRunningError, sentence, lambda call=call: call(SESSION).__enter__())  # type: ignore[misc]
            expect(error.pid == HOLDER.pid, "and the refusal tells who runs it")
        with backend.at_rest(OTHER_SESSION):
            pass
    began = threading.Event()
    order: list[str] = []

    def run() -> None:
        began.set()
        with backend.run(SESSION, HOLDER):
            order.append("run")

    waiting = threading.Thread(target=run)
    with backend.at_rest(SESSION):
        with backend.at_rest(SESSION):
            expect(backend.running() == {}, "a session at rest does not run")
        waiting.start()
        began.wait()
        order.append("rested")
    waiting.join()
    expect(order == ["rested", "run"], "a run must wait a moment for who keeps the session at rest")
