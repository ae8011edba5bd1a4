"""Locks among threads and processes: one owner, freed by death, never by a fork."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessionstore.errors import StoreUnavailableError, UnsafeFileError
from sessionstore.fs import Directory, Locks

HOLDER = (
    "import sys; from sessionstore.fs import Directory, Locks\n"
    "locks = Locks(Directory.open(sys.argv[1]))\n"
    "with locks.hold('a', shared=sys.argv[2] == 'shared', timeout_s=30):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.readline()\n"
    "print('freed', flush=True)\n"
    "sys.stdin.readline()\n"
)


class Holder:
    """A process that holds the lock `a` until it is told to let go, or killed."""

    def __init__(self, home: Path, kind: str = "exclusive") -> None:
        command = [sys.executable, "-c", HOLDER, str(home), kind]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def let_go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=60)


@pytest.fixture
def holder(directory: Directory, home: Path) -> Iterator[Callable[..., Holder]]:
    started: list[Holder] = []

    def start(kind: str = "exclusive") -> Holder:
        started.append(Holder(home, kind))
        return started[-1]

    yield start
    for each in started:
        each.end()


@pytest.fixture
def locks(directory: Directory) -> Iterator[Locks]:
    made = Locks(directory)
    yield made
    made.close()


def is_free(directory: Directory, name: str = "a", *, shared: bool = False) -> bool:
    """Whether somebody who knows nothing of the other locks of this process can have it."""
    others = Locks(directory)
    try:
        with others.hold(name, shared=shared, timeout_s=0):
            return True
    except StoreUnavailableError as exc:
        assert exc.outcome == "not_written"
        return False
    finally:
        others.close()


def open_locks(home: Path) -> int:
    """How many descriptors of this process lead to lock files below `home`."""
    found = 0
    for fd in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{fd}").startswith(f"{home}/")
        except OSError:
            continue
    return found


class TestProcesses:
    def test_one_process_keeps_the_others_out_until_it_lets_go(
        self, directory: Directory, holder: Callable[..., Holder], locks: Locks
    ) -> None:
        first = holder()
        assert first.says() == "held"
        assert not is_free(directory) and not is_free(directory, shared=True)
        assert is_free(directory, "b")
        with pytest.raises(
            StoreUnavailableError, match=r"a: locked by another process for more than 0\.01 s"
        ) as caught:
            locks.hold("a", timeout_s=0.01).__enter__()
        assert caught.value.outcome == "not_written"
        first.let_go()
        with locks.hold("a", timeout_s=60):
            assert first.says() == "freed"

    def test_waiting_ends_when_the_other_lets_go(self, holder: Callable[..., Holder], locks: Locks) -> None:
        with locks.hold("a", timeout_s=60):
            waiting = holder()
        assert waiting.says() == "held"

    def test_readers_share_it_and_a_writer_waits_for_all_of_them(
        self, directory: Directory, holder: Callable[..., Holder]
    ) -> None:
        first, second = holder("shared"), holder("shared")
        assert (first.says(), second.says()) == ("held", "held")
        assert is_free(directory, shared=True) and not is_free(directory)
        first.let_go()
        assert first.says() == "freed"
        assert not is_free(directory)
        second.let_go()
        assert second.says() == "freed"
        assert is_free(directory)

    def test_it_is_free_when_its_owner_is_killed(self, directory: Directory, holder: Callable[..., Holder]) -> None:
        first = holder()
        assert first.says() == "held"
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(timeout=60)
        assert is_free(directory)

    def test_a_lock_file_removed_by_hand_does_not_give_two_owners(
        self, directory: Directory, home: Path, locks: Locks
    ) -> None:
        with locks.hold("a", timeout_s=0):
            pass
        (home / "a").unlink()
        with locks.hold("a", timeout_s=0):
            assert (home / "a").exists() and not is_free(directory)


class TestThreads:
    def test_threads_wait_for_each_other_no_longer_than_told(self, locks: Locks) -> None:
        refusals: list[str] = []

        def wait(timeout_s: float) -> None:
            try:
                with locks.hold("a", timeout_s=timeout_s):
                    pass
            except StoreUnavailableError as exc:
                refusals.append(exc.reason)

        for shared in (False, True):
            with locks.hold("a", shared=shared, timeout_s=0):
                impatient = [threading.Thread(target=wait, args=(timeout_s,)) for timeout_s in (-1, 0, 0.001)]
                for thread in impatient:
                    thread.start()
                for thread in impatient:
                    thread.join()
                patient = threading.Thread(target=wait, args=(float("inf"),))
                patient.start()
            patient.join()
        assert len(refusals) == 6
        assert all("a: locked by another thread of this process" in reason for reason in refusals)

    def test_it_may_be_given_back_by_another_thread(self, directory: Directory, locks: Locks) -> None:
        held = locks.hold("a", timeout_s=0)
        held.__enter__()
        thread = threading.Thread(target=held.__exit__, args=(None, None, None))
        thread.start()
        thread.join()
        assert is_free(directory)
        with locks.hold("a", timeout_s=0):
            pass

    def test_many_threads_and_names_with_few_descriptors_never_meet(self, directory: Directory) -> None:
        locks = Locks(directory, keep_open=2)
        inside: dict[str, int] = {}
        most: list[int] = []

        def work(number: int) -> None:
            for turn in range(60):
                name = f"{(number + turn) % 5}"
                with locks.hold(name, timeout_s=60):
                    inside[name] = inside.get(name, 0) + 1
                    most.append(inside[name])
                    inside[name] -= 1

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most == [1] * 240
        locks.close()


class TestDescriptors:
    def test_lock_files_are_private_ours_and_never_removed(self, directory: Directory, home: Path) -> None:
        old = os.umask(0)
        try:
            locks = Locks(directory)
            with locks.hold("a.write", timeout_s=0):
                pass
            locks.close()
        finally:
            os.umask(old)
        assert stat.S_IMODE((home / "a.write").stat().st_mode) == 0o600

    def test_a_bounded_number_stays_open_and_none_in_use_is_closed(self, directory: Directory, home: Path) -> None:
        locks = Locks(directory, keep_open=4)
        with locks.hold("held", timeout_s=0):
            for number in range(40):
                with locks.hold(f"{number}", timeout_s=0):
                    pass
            assert open_locks(home) == 4
            assert not is_free(directory, "held")
        locks.close()
        assert open_locks(home) == 0

    def test_a_lock_file_dropped_between_the_look_and_the_mutex_is_opened_again(
        self, directory: Directory, home: Path
    ) -> None:
        locks = Locks(directory, keep_open=1)
        with locks.hold("a", timeout_s=0):
            pass
        made: list[str] = []

        def hook(frame: object, event: str, arg: object) -> None:
            if event == "c_call" and getattr(arg, "__name__", "") == "acquire" and not made:
                made.append("b")
                with locks.hold("b", timeout_s=0):
                    pass

        sys.setprofile(hook)
        try:
            with locks.hold("a", timeout_s=0):
                sys.setprofile(None)
                assert made == ["b"]
                assert not is_free(directory)
        finally:
            sys.setprofile(None)
        assert open_locks(home) == 1
        locks.close()
        assert open_locks(home) == 0

    def test_a_warm_lock_opens_nothing(self, locks: Locks) -> None:
        used: list[str] = []

        def hook(frame: object, event: str, arg: object) -> None:
            if event == "c_call" and getattr(arg, "__module__", "") in ("posix", "fcntl"):
                used.append(getattr(arg, "__name__", ""))

        for expected in ("cold", "warm"):
            used.clear()
            sys.setprofile(hook)
            try:
                with locks.hold("a", timeout_s=0):
                    pass
            finally:
                sys.setprofile(None)
            assert (used == ["flock", "fstat", "flock"]) is (expected == "warm")

    def test_closing_frees_the_idle_and_leaves_the_held_to_their_blocks(
        self, directory: Directory, home: Path, locks: Locks
    ) -> None:
        with locks.hold("b", timeout_s=0):
            pass
        with locks.hold("a", timeout_s=0):
            locks.close()
            locks.close()
            assert open_locks(home) == 1
            assert not is_free(directory)
        assert open_locks(home) == 0
        with pytest.raises(StoreUnavailableError, match="a: the locks are closed"):
            locks.hold("a", timeout_s=0).__enter__()

    def test_what_is_no_lock_file_of_ours_is_refused(self, home: Path, locks: Locks, tmp_path: Path) -> None:
        (tmp_path / "target").touch()
        (home / "link").symlink_to(tmp_path / "target")
        os.mkfifo(home / "fifo")
        for name in ("link", "fifo"):
            for _ in range(2):
                with pytest.raises(UnsafeFileError):
                    locks.hold(name, timeout_s=0).__enter__()
