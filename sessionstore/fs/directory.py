"""A directory held open: everything in it is reached through its descriptor, by one bare name.

Rules:

* After `open` no path text is used again: whoever exchanges the directory, or one above it, moves nothing of ours.
* A directory is used if it is no symbolic link, belongs to the effective user and nobody else may write to it;
  `strict` (state, keys) allows group and others nothing at all.
* What is made here is 0700 or 0600, whatever the umask. Directories we make hold a `.gitignore` with `*`; missing
  parents are made without one. A kill in between can leave a directory without it.
* A new file gets its name when all of it is on the disk: all or nothing, also over a power cut.
* Every failure is one of `sessionstore.errors`; an `OSError` never leaves.

Not promised: anything about another process that runs as the same user; the seals above are there for that.
Safe to use from several threads. A forked child may use it too, the descriptor has no position that matters.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from sessionstore.errors import AlreadyExistsError, StoreUnavailableError, TooLargeError, UnsafeFileError
from sessionstore.fs.file import File, Refuse, blocks, open_file, write_at
from sessionstore.fs.opening import make_directory, open_directory, open_parent, sync_directory
from sessionstore.fs.refusal import check_name, unavailable
from sessionstore.fs.rename import rename_new
from sessionstore.fs.temporary import is_temporary, make_temporary, remove_quietly, sweep_temporary

GITIGNORE = ".gitignore"


def is_hidden(name: str) -> bool:
    """Whether `name` is one that this room keeps for itself: `.gitignore` or a temporary file."""
    return name == GITIGNORE or is_temporary(name)


class Directory:
    """See the module. Made by `open`, `find` and `sub`, never by its constructor."""

    __slots__ = ("_fd", "_identity", "_path")

    def __init__(self, fd: int, path: str) -> None:
        self._fd = fd
        self._path = path
        status = os.fstat(fd)
        self._identity = (status.st_dev, status.st_ino)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, create: bool = False, strict: bool = False) -> Directory:
        """Open the directory of that absolute path; with `create` make it, and its parents, where they are missing.

        Raises:
            InvalidValueError: The path is relative or holds a NUL.
            UnsafeFileError: It is a symbolic link, no directory, another user's, or open to others (see the module).
            StoreUnavailableError: It is missing, or the kernel refused.
        """
        found = cls._open(path, create=create, strict=strict)
        if found is None:
            raise StoreUnavailableError(reason=f"{os.path.basename(path)}: no such directory", outcome="not_written")
        return found

    @classmethod
    def find(cls, path: str | os.PathLike[str], *, strict: bool = False) -> Directory | None:
        """The same, but None where it, or a directory above it, is missing. Makes nothing."""
        return cls._open(path, create=False, strict=strict)

    @classmethod
    def _open(cls, path: str | os.PathLike[str], *, create: bool, strict: bool) -> Directory | None:
        parent_fd, name = open_parent(path, create=create)
        if parent_fd is None:
            return None
        try:
            return cls._open_in(parent_fd, name, os.fspath(path), create=create, strict=strict)
        finally:
            os.close(parent_fd)

    @classmethod
    def _open_in(cls, parent_fd: int, name: str, path: str, *, create: bool, strict: bool) -> Directory | None:
        fd = open_directory(parent_fd, name, strict=strict)
        made = False
        if fd is None:
            if not create:
                return None
            made = make_directory(parent_fd, name)
            fd = open_directory(parent_fd, name, strict=strict)
            if fd is None:
                raise StoreUnavailableError(reason=f"{name}: removed while it was made", outcome="not_written")
        found = cls(fd, path)
        if made:
            try:
                found.create(GITIGNORE, b"*\n")
            except BaseException:
                found.close()
                raise
        return found

    def __enter__(self) -> Directory:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def fd(self) -> int:
        """The descriptor; it stays this directory's."""
        if self._fd < 0:
            raise StoreUnavailableError(reason=f"{os.path.basename(self._path)}: it is closed", outcome="not_written")
        return self._fd

    @property
    def path(self) -> str:
        """The path it was opened by: for people, and for libraries that open by path alone."""
        return self._path

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode number."""
        return self._identity

    def changed_ns(self) -> int:
        """When a name last came or went, in nanoseconds by the file system's clock; `utime` cannot set it back."""
        try:
            return os.fstat(self.fd).st_ctime_ns
        except OSError as exc:
            raise unavailable(exc, os.path.basename(self._path)) from exc

    def sub(self, name: str, *, create: bool = False, strict: bool = False) -> Directory:
        """The directory `name` in this one; see `open`."""
        path = os.path.join(self._path, check_name(name))
        found = self._open_in(self.fd, name, path, create=create, strict=strict)
        if found is None:
            raise StoreUnavailableError(reason=f"{name}: no such directory", outcome="not_written")
        return found

    def stat(self, name: str) -> os.stat_result | None:
        """What stands under `name`, itself and not what it links to; None if nothing does."""
        try:
            return os.stat(check_name(name), dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise unavailable(exc, name) from exc

    def open_file(
        self, name: str, *, writable: bool = False, strict: bool = False, refuse: Refuse | None = None
    ) -> File | None:
        """The ordinary file `name`, opened and judged; None if it is missing. See `sessionstore.fs.file.open_file`."""
        return open_file(self.fd, check_name(name), writable=writable, strict=strict, refuse=refuse)

    def read(self, name: str, max_bytes: int, *, strict: bool = False, refuse: Refuse | None = None) -> bytes | None:
        """All bytes of the file `name`, None if it is missing. The cap is held while reading, whatever its size says.

        Raises:
            TooLargeError: It has more than `max_bytes`; exactly as many are read.
        """
        opened = self.open_file(name, strict=strict, refuse=refuse)
        if opened is None:
            return None
        with opened:
            data = opened.read(0, max_bytes + 1)
            if len(data) > max_bytes:
                size_bytes = max(opened.stat().st_size, len(data))
                raise TooLargeError(what="file", size_bytes=size_bytes, limit_bytes=max_bytes, setting="")
            return data

    def create(self, name: str, data: bytes) -> None:
        """Make the file `name`, durably and whole; `write_atomic` without replacing.

        Raises:
            AlreadyExistsError: Something has that name.
        """
        self.write_atomic(name, (data,), replace=False)

    def write_atomic(self, name: str, chunks: Iterable[bytes], *, replace: bool) -> os.stat_result:
        """Give `name` these bytes, durably, as a new file of mode 0600; return its state.

        A reader, and whoever comes after a crash, finds the old bytes or the new ones. What stood there before, be
        it a symbolic link, is replaced itself and never followed.

        Raises:
            AlreadyExistsError: `replace` is false and something has that name.
            UnsafeFileError: `replace` is true and the name is a directory's.
            StoreUnavailableError: `not_written`: the old bytes stand (a failed sync of the new ones included).
                `unknown`: the new bytes have the name, but the directory could not be synced.

        Whatever iterating `chunks` raises passes through; the old bytes stand.
        """
        dir_fd = self.fd
        check_name(name)
        try:
            fd, temporary = make_temporary(dir_fd)
        except OSError as exc:
            raise unavailable(exc, name) from exc
        try:
            try:
                end = 0
                for block in blocks(chunks):
                    end = write_at(fd, end, block, name)
                self._publish(fd, temporary, name, replace)
            except BaseException:
                remove_quietly(dir_fd, temporary)
                raise
            self.sync(outcome_of=name)
            try:
                # Only now: publishing changes the time of the last status change.
                return os.fstat(fd)
            except OSError as exc:
                raise unavailable(exc, name, outcome="unknown") from exc
        finally:
            os.close(fd)

    def _publish(self, fd: int, temporary: str, name: str, replace: bool) -> None:
        try:
            os.fsync(fd)
            if replace:
                os.rename(temporary, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
            else:
                rename_new(self.fd, temporary, name)
        except FileExistsError as exc:
            raise AlreadyExistsError(what="id") from exc
        except IsADirectoryError as exc:
            raise UnsafeFileError(session_id="", name=name, reason="it is a directory") from exc
        except OSError as exc:
            raise unavailable(exc, name) from exc

    def unlink(self, name: str) -> None:
        """Remove the name durably; nothing happens if it is missing, but the directory is synced all the same.

        An unlink that a killed process did not live to sync is in memory only, and whoever repeats it relies on it.

        Raises:
            UnsafeFileError: It is a directory.
            StoreUnavailableError: `unknown` if the name was removed and the sync failed.
        """
        try:
            os.unlink(check_name(name), dir_fd=self.fd)
        except FileNotFoundError:
            pass
        except IsADirectoryError as exc:
            raise UnsafeFileError(session_id="", name=name, reason="it is a directory") from exc
        except OSError as exc:
            raise unavailable(exc, name) from exc
        self.sync(outcome_of=name)

    def sync(self, *, outcome_of: str = "") -> None:
        """Make names given and removed so far durable.

        Raises:
            StoreUnavailableError: `unknown`; about the file `outcome_of`, where a name is given.
        """
        try:
            sync_directory(self.fd)
        except OSError as exc:
            raise unavailable(exc, outcome_of or os.path.basename(self._path), outcome="unknown") from exc

    def entries(self) -> Iterator[os.DirEntry[str]]:
        """Every entry but our hidden ones, in no particular order; use an entry before asking for the next."""
        for entry in self._scan():
            if not (entry.name.startswith(".") and is_hidden(entry.name)):
                yield entry

    def _scan(self) -> Iterator[os.DirEntry[str]]:
        # Two users of one descriptor would share its position and miss entries: every scan opens it for itself.
        try:
            fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.fd)
        except OSError as exc:
            raise unavailable(exc, os.path.basename(self._path)) from exc
        try:
            with os.scandir(fd) as found:
                yield from found
        except OSError as exc:
            raise unavailable(exc, os.path.basename(self._path)) from exc
        finally:
            os.close(fd)

    def names(self) -> list[str]:
        """The names of `entries`."""
        return [entry.name for entry in self.entries()]

    def sweep(self) -> int:
        """Remove temporary files of dead writers; return how many. One that cannot be removed now stays for later."""
        return sum(sweep_temporary(self.fd, name) for name in [entry.name for entry in self._scan()])

    def close(self) -> None:
        """Release the descriptor. Calling it again does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
