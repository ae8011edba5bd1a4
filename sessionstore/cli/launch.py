"""Start a command in a directory that is held open, after a last check: `resume ID -- CMD`.

The order is the point:

1. A child is forked. It goes into the directory by descriptor, lets go of everything of ours, and waits at a gate.
2. `commit` judges the directory again, while the child is in it. A refusal closes the gate: the child ends without ever
   having been the command.
3. The gate opens, the child becomes the command, and this process waits for it.

While it waits, the session counts as running here, signals go on to the command, and the command's end becomes ours.

* The session is a descriptor that can be read from its beginning as often as one likes, of any size: sealed memory
  where the system has it, else a file without a name. `SESSIONSTORE_SESSION_FD` says its number.
* The command never gets the directory as text: `PWD` and `OLDPWD` are taken out of its environment.
* Nothing of the signing key is handed down: no variable that holds it or says where it was read.
* It gets 0, 1, 2 and the session, and no other descriptor, whoever opened it.
* Keys of the terminal (Ctrl-C, Ctrl-\\, Ctrl-Z, a resize) reach the command from the terminal itself, as it is in our
  process group; everything else that is sent to us is sent on, unless the command itself sent it.
* A command that is stopped by the terminal stops us too, so that the shell gets its prompt back; `fg` continues both.

Not promised: that a signal sent to the whole group by another process arrives only once. Forks: call it only where no
other thread runs.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from sessionstore.cli.failures import NotStarted
from sessionstore.cli.gate import OPEN, READY, SESSION_FD, Endings, become

FD_NAME = "SESSIONSTORE_SESSION_FD"
ID_NAME = "SESSIONSTORE_SESSION_ID"

_PATHS_AS_TEXT = ("PWD", "OLDPWD")
# The key, and where it was read from: the command is not to sign. Descriptors are closed in the child.
_KEYS = ("SESSIONSTORE_KEY", "SESSIONSTORE_KEY_FD")
_FORWARDED = {
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGTSTP,
    signal.SIGCONT,
}
_BY_KEY = {signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGWINCH}
_STOPPED_BY_TERMINAL = {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}


def run_gated(
    argv: Sequence[str],
    *,
    directory_fd: int,
    session_json: bytes,
    session_id: str,
    commit: Callable[[], None],
) -> int:
    """Run a command in a directory held open, once `commit` has agreed, and wait for its end.

    Must be called in the main thread, and while it is the only one. The signals it forwards are blocked meanwhile.

    Args:
        argv: The command, at least one part. Its first part is looked up in the absolute directories of `PATH`, or is
            a file if it has a slash: relative to the directory.
        directory_fd: The directory, as an open descriptor; `O_PATH` will do.
        session_json: What the command can read from the descriptor of the session.
        session_id: The id it finds in `SESSIONSTORE_SESSION_ID`.
        commit: Called when the child waits in the directory. Whatever it raises passes through, and nothing ran.

    Returns:
        The exit status of the command; 128 and the number of the signal that killed it.

    Raises:
        NotStarted: There is no such program, it may not be run, or the system refuses to start one.
    """
    with contextlib.ExitStack() as held:
        with _refusals(argv[0]):
            _refuse_threads()
            session_fd = held.enter_context(_session_file(session_json)).fileno()
            gate_end, gate = _pipe(held)
            status, status_end = _pipe(held)
            endings = Endings()
        held.enter_context(_children_are_told())
        before = held.enter_context(_blocked(signal.valid_signals()))
        with _refusals(argv[0]):
            child = os.fork()
        if child == 0:
            become(
                argv,
                environment(os.environ, session_id),
                directory_fd=directory_fd,
                session_fd=session_fd,
                gate_fd=gate_end.fileno(),
                status_fd=status_end.fileno(),
                endings=endings,
                mask=before,
            )
        try:
            # Until the gate opens, a signal means what it means elsewhere in this program, and ends the child with us.
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            gate_end.close()
            status_end.close()
            ready = status.read(1)
            if ready != READY:
                number = int((ready or b"") + status.read() or b"0")
                raise NotStarted(argv[0], f"the child cannot wait in the directory: {os.strerror(number)}")
            commit()
            waited = {int(number) for number in _FORWARDED if signal.getsignal(number) is not signal.SIG_IGN}
            waited.add(int(signal.SIGCHLD))
            signal.pthread_sigmask(signal.SIG_BLOCK, waited)
            with contextlib.suppress(BrokenPipeError):  # It was killed while it waited; how, is told below.
                gate.write(OPEN)
            ended = _attend(child, waited)
        except BaseException:
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            _end(child)
            raise
        told = status.read()
    if told:
        raise _not_started(argv[0], int(told))
    return ended if ended >= 0 else 128 - ended


def environment(environ: Mapping[str, str], session_id: str) -> dict[str, str]:
    """What the command gets of `environ`: the directory's text and the signing key are out, the session is in."""
    kept = {name: value for name, value in environ.items() if name not in (*_PATHS_AS_TEXT, *_KEYS)}
    return {**kept, FD_NAME: str(SESSION_FD), ID_NAME: session_id}


def _attend(child: int, waited: set[int]) -> int:
    """Wait for the child's end, with `waited` blocked: its exit code, or the signal that killed it as a negative."""
    while True:
        # Before the first signal is waited for: the child may have ended when nothing was blocked.
        while (changed := os.waitpid(child, os.WNOHANG | os.WUNTRACED)) != (0, 0):
            if not os.WIFSTOPPED(changed[1]):
                return os.waitstatus_to_exitcode(changed[1])
            if os.WSTOPSIG(changed[1]) in _STOPPED_BY_TERMINAL:
                os.kill(os.getpid(), signal.SIGSTOP)  # The SIGCONT that ends this is passed on like any other signal.
        number, by_kernel, sender = _next_signal(waited)
        if number == signal.SIGCHLD or sender == child:
            continue
        if by_kernel and number in _BY_KEY and os.getpgid(child) == os.getpgrp():
            continue  # The terminal sent it to the whole group.
        with contextlib.suppress(PermissionError):  # The command may have become another user.
            os.kill(child, number)


def _next_signal(waited: set[int]) -> tuple[int, bool, int]:
    """The next signal, whether the kernel itself sent it, and which process did if not."""
    if hasattr(signal, "sigwaitinfo"):
        info = signal.sigwaitinfo(waited)
        return info.si_signo, info.si_code > 0, info.si_pid if info.si_code <= 0 else 0
    return signal.sigwait(waited), True, 0


def _end(child: int) -> None:
    """Kill the child, which is not the command yet or cannot be waited for, and take its remains away."""
    with contextlib.suppress(OSError):
        os.kill(child, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, 0)


def _not_started(program: str, number: int) -> NotStarted:
    if number in (errno.ENOENT, errno.ENOTDIR):
        hint = "a name without a slash is looked for in the absolute directories of PATH, one with it from the project"
        return NotStarted(program, "there is no such program", code="command_not_found", hint=hint)
    if number == errno.ENOEXEC:
        return NotStarted(program, "it is no program; the first line of a script names its interpreter (#!)")
    return NotStarted(program, os.strerror(number) if number else "the child failed before it could")


def _refuse_threads() -> None:
    # A lock that another thread holds at the moment of the fork is never released in the child.
    try:
        threads = len(os.listdir("/proc/self/task"))
    except OSError:
        threads = threading.active_count()
    if threads != 1:
        raise OSError(errno.EDEADLK, "this process runs other threads")


@contextlib.contextmanager
def _refusals(program: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise NotStarted(program, exc.strerror or type(exc).__name__) from exc


@contextlib.contextmanager
def _blocked(signals: Iterable[int]) -> Iterator[set[int]]:
    """Block these in the block; gives what was blocked before, which is so again afterwards."""
    before = {int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, signals)}
    try:
        yield before
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _children_are_told() -> Iterator[None]:
    """Where our caller ignores SIGCHLD, an ended child would vanish together with its exit status."""
    before = signal.signal(signal.SIGCHLD, lambda number, frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL if before is None else before)


def _pipe(held: contextlib.ExitStack) -> tuple[io.FileIO, io.FileIO]:
    """The reading and the writing end of a pipe, closed with `held`; closing one earlier is no mistake."""
    reading, writing = os.pipe()
    return held.enter_context(io.FileIO(reading, "r")), held.enter_context(io.FileIO(writing, "w"))


def _session_file(content: bytes) -> io.FileIO:
    """A file that only descriptors lead to, open at its beginning."""
    with contextlib.suppress(OSError, AttributeError), contextlib.ExitStack() as undone:  # An older system, a sandbox.
        file = io.FileIO(os.memfd_create("session", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "r+")
        undone.callback(file.close)
        _fill(file, content)
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)
        undone.pop_all()
        return file
    with tempfile.TemporaryDirectory(prefix="sessionstore-") as place:
        name = os.path.join(place, "session")
        with open(name, "xb", buffering=0, opener=_private) as file:
            _fill(file, content)
        return io.FileIO(name, "r")


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _fill(file: io.FileIO, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) or 0 :]
    file.seek(0)
