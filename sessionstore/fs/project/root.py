"""A project directory held open: what a resumed session works in, whatever happens to the name.

Rules:
- Files are opened and children are started from the descriptor. The text of the path is for people only; children do
  not get it in their environment.
- What leads out of the directory is refused by the kernel while it resolves; without openat2 no link is followed at
  all.
- A closed root does nothing any more, and says so with `InvalidValueError`: a mistake of the caller, which must not be
  counted as an attack on the directory.
- The descriptor is closed on exec and is never 0, 1 or 2, which a child's own input and output would overwrite.

Not promised: that closing is safe while another thread uses the root; that what children do stays in the directory.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from sessionstore.errors import InvalidValueError, ProjectPathError
from sessionstore.fs import resolve
from sessionstore.fs.project.beneath import open_beneath
from sessionstore.fs.project.judging import Identity, accepted_now, judge
from sessionstore.fs.syscalls import Kernel
from sessionstore.fs.verdicts import AnyPath, path_bytes, refusal, refused
from sessionstore.model.records import ProjectRecord
from sessionstore.model.session import LoadWarning

if TYPE_CHECKING:
    import subprocess

_FIRST_FREE = 3
_TELLS_THE_PATH = frozenset({b"PWD", b"OLDPWD"})
Command = str | bytes | os.PathLike[str] | os.PathLike[bytes]


class ProjectRoot:
    """See the module. Made by `pin`, never by its constructor.

    It may be used from several threads and in a forked child, which has a descriptor of its own. Closing is for one
    thread, when nobody uses it.

    Attributes:
        record: What was saved about the directory.
        warnings: What a person should know about it; see `pin`.
    """

    __slots__ = ("_fd", "_identity", "_kernel", "_strict", "record", "warnings")

    def __init__(
        self,
        kernel: Kernel,
        fd: int,
        record: ProjectRecord,
        identity: Identity,
        *,
        strict: bool,
        warnings: tuple[LoadWarning, ...],
    ) -> None:
        self._kernel = kernel
        self._fd = fd
        self._identity = identity
        self._strict = strict
        self.record = record
        self.warnings = warnings

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.display_path!r}, {'open' if self._fd >= 0 else 'closed'})"

    @property
    def display_path(self) -> str:
        """The path as text for people. Do not open it: what stands under the name may have changed."""
        return self.record.display_path

    @property
    def dir_fd(self) -> int:
        """The descriptor, for calls with `dir_fd` and for `os.fchdir`. It stays this object's; do not close it.

        On Linux it is an O_PATH descriptor: it cannot be listed or synced. `open(".")` gives one that can.

        Raises:
            InvalidValueError: The root is closed.
        """
        if self._fd < 0:
            raise InvalidValueError(what="project root", reason="it is closed")
        return self._fd

    @property
    def cwd(self) -> str:
        """A name of the held directory for whoever takes only text: `/proc/self/fd/N`.

        Good in this process and, as `cwd` of `subprocess.Popen`, in a child that it forks; not in any other, and not
        once the root is closed.

        Raises:
            ProjectPathError: `unsupported`: there is no /proc that leads to the descriptor.
            InvalidValueError: The root is closed.
        """
        fd = self.dir_fd
        name = b"%s/%d" % (self._kernel.proc_fds, fd)
        try:
            leads_here = os.path.samestat(os.stat(name), os.fstat(fd))
        except OSError:
            leads_here = False
        if not leads_here:
            hint = "start children with run() or start(), or use os.fchdir(dir_fd)"
            raise refused(self.record.path, "unsupported", "there is no /proc to name a descriptor with", hint)
        return os.fsdecode(name)

    def open(self, rel: AnyPath, flags: int = os.O_RDONLY, mode: int = 0o666) -> int:
        """A descriptor for something in the directory; the caller closes it.

        Takes what `os.open` takes, so `open(rel, "w", opener=root.open)` gives a file object of any kind. Links are
        followed as long as they stay in the directory; where openat2 is missing, none is, and `..` is refused. Nothing
        is waited for: a FIFO without a writer is at its end. The descriptor is closed on exec.

        Args:
            rel: Relative to the directory.
            flags: As for `os.open`.
            mode: Permission bits of a file that is made, less the umask.

        Raises:
            ProjectPathError: `invalid_path` (absolute, empty, NUL, too long), `outside_allowed_roots` (it leads out of
                the directory), `symlink` (a link that may not be followed), `missing`, `not_a_directory`,
                `inaccessible`. The `OSError` is its cause.
            InvalidValueError: The root is closed, or `rel` is not a path.
        """
        fd = self.dir_fd
        return open_beneath(self._kernel, fd, self.record.path, path_bytes("rel", rel), flags, mode)

    def run(self, argv: Sequence[Command] | Command, **options: Any) -> subprocess.CompletedProcess[Any]:
        """`subprocess.run` in the held directory; see `start`.

        Raises:
            As `start`, and what `subprocess.run` raises once the child runs: `TimeoutExpired`, `CalledProcessError`.
        """
        done: subprocess.CompletedProcess[Any] = self._launch("run", argv, options)
        return done

    def start(self, argv: Sequence[Command] | Command, **options: Any) -> subprocess.Popen[Any]:
        """`subprocess.Popen` in the held directory, which the child enters by descriptor, wherever its name leads.

        `PWD` and `OLDPWD` are left out of its environment, also if they are in `env`: they name the directory by text.
        Works without /proc too; then `preexec_fn` is used, with the limits that subprocess sets to it.

        Args:
            argv: The command.
            **options: As for `subprocess.Popen`, without `cwd`.

        Raises:
            InvalidValueError: `cwd` was given, the command cannot be started, or the root is closed.
            ProjectPathError: `inaccessible`: this user may not enter the directory.
        """
        started: subprocess.Popen[Any] = self._launch("Popen", argv, options)
        return started

    def check(self) -> None:
        """Refuse if the recorded name no longer leads to the held directory, or if that is no longer acceptable.

        Opens the recorded name again as `pin` does, judges what it finds and the held directory in the same way, and
        compares the two: inode, device, mount and file handle. May be called at any time and any number of times; it
        changes nothing.

        Raises:
            ProjectPathError: As `pin`; also `replaced` if the name leads to another mount.
            InvalidValueError: The root is closed.
        """
        held_fd, record = self.dir_fd, self.record
        named_fd = open_recorded(self._kernel, record)
        try:
            owners = accepted_now()
            named = judge(self._kernel, named_fd, record, owners, strict=self._strict).identity
            held = judge(self._kernel, held_fd, record, owners, strict=False, held=self._identity).identity
        except OSError as exc:
            raise refusal(record.path, exc) from exc
        finally:
            os.close(named_fd)
        if named != held:
            differing = " and ".join(
                name for name, one, other in zip(held._fields, named, held, strict=True) if one != other
            )
            detail = f"its name leads to another directory or mount than the one held open ({differing})"
            raise refused(record.path, "replaced", detail)

    def close(self) -> None:
        """Let go of the directory. A second time does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _launch(self, how: str, argv: Any, options: dict[str, Any]) -> Any:
        import subprocess  # dear, and most who load this module start nothing

        if "cwd" in options:
            raise InvalidValueError(what="cwd", reason="a child of a project root starts in the project, nowhere else")
        fd = self.dir_fd
        try:
            os.stat(b".", dir_fd=fd)
        except OSError as exc:
            raise refusal(self.record.path, exc) from exc
        given = options.pop("env", None)
        environ = os.environ if given is None else given
        environ = {name: value for name, value in environ.items() if os.fsencode(name) not in _TELLS_THE_PATH}
        try:
            options["cwd"] = self.cwd
        except ProjectPathError:
            options["preexec_fn"] = entering(fd, options.pop("preexec_fn", None))
        try:
            return getattr(subprocess, how)(argv, env=environ, **options)
        except OSError as exc:
            raise InvalidValueError(what="argv", reason=f"the command cannot be started: {exc.strerror}") from exc


def open_recorded(kernel: Kernel, record: ProjectRecord) -> int:
    """A descriptor for the directory under the recorded canonical path, no link followed, not judged yet.

    Raises:
        ProjectPathError: `invalid_path`, `missing`, `not_a_directory`, `symlink`, `inaccessible`; see `pin`.
    """
    try:
        fd = resolve.open_nofollow(kernel, record.path)
        if fd >= _FIRST_FREE:
            return fd
        try:
            return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
        finally:
            os.close(fd)
    except InvalidValueError as exc:
        raise refused(record.path, "invalid_path", "the recorded path is not canonical") from exc
    except OSError as exc:
        raise _in_the_way(kernel, record.path, exc) from exc


def _in_the_way(kernel: Kernel, path: bytes, exc: OSError) -> ProjectPathError:
    if exc.errno not in (errno.ELOOP, errno.ENOTDIR):
        return refusal(path, exc)
    try:
        found = resolve.obstacle(kernel, path)
    except OSError:
        found = None
    if found is None:
        # Somebody has put things right meanwhile. What was met is refused all the same.
        if exc.errno == errno.ELOOP:
            return refused(path, "symlink", "a symbolic link was on the way, and is gone by now")
        return refusal(path, exc)
    shown, mode = found[0].decode("utf-8", "backslashreplace"), found[1]
    if stat.S_ISLNK(mode):
        return refused(path, "symlink", f"{shown} is a symbolic link", "if you moved the project, rebind the session")
    return refused(path, "not_a_directory", f"{shown} is not a directory")


def entering(fd: int, then: Callable[[], object] | None) -> Callable[[], None]:
    """What a child does before exec where there is no /proc: enter the directory, then what its starter wants."""

    def enter() -> None:
        os.fchdir(fd)
        if then is not None:
            then()

    return enter
