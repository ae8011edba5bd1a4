"""The child of a launch: it waits at a gate in the project directory, and becomes the command only if the gate opens.

Everything here runs between `fork` and `exec`, in a copy of a process that holds a lock, a ledger and a terminal. So:

* It never returns and never runs what the parent left to be done at its end: every way out is `exec` or `os._exit`.
* What the parent held is closed before the gate is waited at: a child that waits keeps nothing alive but itself.
* The gate opens with one byte. Its end without that byte (the parent refused, or was killed) is the end of the child.
* On Linux the kernel ends the child, and later the command, when the parent dies: the lock of the run dies with it.

Not promised: that processes started by the command end with it; that a command which ignores SIGTERM, or gains
privileges when it is started, ends with the parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

# One digit, for shells that read no more than that in `<&3`.
SESSION_FD = 3
_STATUS_FD, _GATE_FD, _FIRST_OTHER_FD = 4, 5, 6

READY = b"."
OPEN = b"!"

_NEVER_BEGAN = 126
_PR_SET_PDEATHSIG = 1


class Endings:
    """What ends the child when its parent dies; made in the parent, because loading a library may take locks."""

    def __init__(self) -> None:
        self._parent = os.getpid()
        self._libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def follow(self) -> None:
        """In the child: from now on, die with the parent.

        Raises:
            OSError: The kernel refuses, or the parent is dead already.
        """
        if self._libc is not None and self._libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
        if os.getppid() != self._parent:  # It died before the request: no signal will come.
            raise OSError(errno.ESRCH, "the parent is gone")


def become(
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    directory_fd: int,
    session_fd: int,
    gate_fd: int,
    status_fd: int,
    endings: Endings,
    mask: set[int],
) -> NoReturn:
    """Wait at the gate, then be the command. What keeps it from being so is written to `status_fd` as a number.

    Args:
        argv: The command; its first part is looked up as `candidates` says.
        environ: Its environment.
        directory_fd: Its current directory.
        session_fd: Becomes its descriptor `SESSION_FD`.
        gate_fd: A pipe: `OPEN` lets the command start, the end of the pipe ends the child.
        status_fd: A pipe: `READY` when the child waits, an error number if it cannot go on, the end when it is exec'd.
        endings: What to follow.
        mask: The signals that are to be blocked in the command.
    """
    try:
        _give_signals_back(mask)
        endings.follow()
        os.fchdir(directory_fd)
        _arrange(session_fd, status_fd, gate_fd)
        status_fd = _STATUS_FD
        os.write(status_fd, READY)
        if os.read(_GATE_FD, 1) == OPEN:
            failed = _exec(argv, environ)
            os.write(status_fd, str(failed).encode())
    except OSError as exc:
        with contextlib.suppress(OSError):
            os.write(status_fd, str(exc.errno or 0).encode())
    except BaseException:
        with contextlib.suppress(OSError):
            os.write(status_fd, b"0")
    finally:
        os._exit(_NEVER_BEGAN)


def candidates(program: bytes, search_path: bytes) -> list[bytes]:
    """The files that `program` may be, in the order in which they are tried.

    A name with a slash is that file, from the project directory if it is relative. Any other name is looked for in the
    absolute directories of `search_path` only: an empty or relative entry means the current directory, which is now the
    project, and whoever wrote the project would choose the program.
    """
    if b"/" in program:
        return [program]
    entries = (entry for entry in search_path.split(b":") if entry.startswith(b"/"))
    return [os.path.join(entry, program) for entry in entries]


def _exec(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Returns only if nothing could be started: the number of the error to tell."""
    search_path = os.fsencode(environ.get("PATH", os.defpath))
    found = errno.ENOENT
    for file in candidates(os.fsencode(argv[0]), search_path):
        try:
            os.execve(file, list(argv), dict(environ))  # noqa: S606 - a shell is what must not be there
        except OSError as exc:
            if exc.errno == errno.EACCES:
                found = errno.EACCES  # A later directory may hold one that may be run; this is told otherwise.
            elif exc.errno not in (errno.ENOENT, errno.ENOTDIR):
                return exc.errno or 0
    return found


def _give_signals_back(mask: set[int]) -> None:
    """Handlers of Python go, and what Python ignores for itself; what our own caller ignores stays ignored."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    for name in ("SIGPIPE", "SIGXFSZ"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _arrange(session_fd: int, status_fd: int, gate_fd: int) -> None:
    """The session under its fixed number, the two pipes behind it, and nothing else but 0, 1 and 2."""
    wanted = {SESSION_FD: session_fd, _STATUS_FD: status_fd, _GATE_FD: gate_fd}
    # First out of the way: one of them may stand where another is to go.
    aside = {number: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_OTHER_FD) for number, fd in wanted.items()}
    for number, fd in aside.items():
        os.dup2(fd, number, inheritable=number == SESSION_FD)
    try:
        others = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        os.closerange(_FIRST_OTHER_FD, os.sysconf("SC_OPEN_MAX"))
        return
    for fd in others:
        if fd >= _FIRST_OTHER_FD:
            with contextlib.suppress(OSError):  # The one that the list was read from is closed already.
                os.close(fd)
