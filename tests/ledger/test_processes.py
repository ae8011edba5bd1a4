"""Several processes on one ledger: races, kills, forks, and locks that our own checks must not drop."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionstore.errors import StoreUnavailableError
from sessionstore.fs import Directory
from sessionstore.ledger import Head, Ledger
from sessionstore.ledger.files import judge_files

MakeHead = Callable[..., Head]
OpenLedger = Callable[..., Ledger]
Command = Callable[[str], list[str]]
RunChild = Callable[[str], str]

FIRST = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
def begun(ledger: Ledger, make_head: MakeHead) -> Ledger:
    ledger.commit(make_head(), old=None)
    return ledger


class TestRaces:
    def test_four_processes_lose_no_commit_and_double_none(self, begun: Ledger, child_command: Command) -> None:
        script = f"""
ledger = open_ledger(timeout_s=30)
for _ in range(50):
    print(bump(ledger, {FIRST!r}))
ledger.close()
"""
        running = [
            subprocess.Popen(child_command(script), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(4)
        ]
        acknowledged = []
        for process in running:
            out, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
            acknowledged += [int(line) for line in out.split()]
        assert sorted(acknowledged) == list(range(2, 202))
        assert begun.heads()[0].rev == 201
        begun.check()

    def test_one_of_many_begins_a_session_with_a_key(
        self, begun: Ledger, child_command: Command, make_head: MakeHead
    ) -> None:
        script = f"""
from sessionstore.model import new_id
ledger = open_ledger(timeout_s=30)
head = replace(ledger.head({FIRST!r}), session_id=new_id(), key="one")
try:
    ledger.commit(head, old=None, durable=True)
    print("won")
except AlreadyExistsError as error:
    print(error.what)
ledger.close()
"""
        running = [subprocess.Popen(child_command(script), stdout=subprocess.PIPE, text=True) for _ in range(4)]
        assert sorted(process.communicate(timeout=60)[0].strip() for process in running) == ["key"] * 3 + ["won"]
        assert begun.count() == 2
        begun.check()


class TestKills:
    def test_what_was_acknowledged_before_a_kill_is_there(
        self, begun: Ledger, open_ledger: OpenLedger, child_command: Command
    ) -> None:
        begun.close()
        script = f"""
import itertools
from sessionstore.model import new_id
ledger = open_ledger()
for turn in itertools.count():
    if turn % 3 == 2:
        ledger.commit(replace(ledger.head({FIRST!r}), session_id=new_id()), old=None, durable=turn % 2 == 0)
    print(bump(ledger, {FIRST!r}, durable=turn % 5 == 0), flush=True)
"""
        acknowledged = 1
        for lines in (1, 7, 40, 90):
            with subprocess.Popen(child_command(script), stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                for _ in range(lines):
                    acknowledged = int(process.stdout.readline())
                process.send_signal(signal.SIGKILL)
                # What it printed between the last line read and its death was acknowledged too.
                acknowledged = max([acknowledged, *(int(line) for line in process.stdout if line.endswith("\n"))])
            with open_ledger() as ledger:
                head = ledger.head(FIRST)
                assert head is not None
                # The one commit that it died in may have come through unacknowledged.
                assert acknowledged <= head.rev <= acknowledged + 1
                ledger.check()
                acknowledged = head.rev


class TestForks:
    def test_both_sides_go_on_and_lose_nothing(self, begun: Ledger, run_child: RunChild) -> None:
        # The parent closes while the child still writes: with an inherited connection beside the child's own, SQLite
        # would delete the log under the child.
        begun.close()
        printed = run_child(f"""
ledger = open_ledger()
bump(ledger, {FIRST!r})
to_child, from_child = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    bump(ledger, {FIRST!r})
    os.write(from_child[1], b"x")
    os.read(to_child[0], 1)
    bump(ledger, {FIRST!r})
    os._exit(0)
os.read(from_child[0], 1)
bump(ledger, {FIRST!r})
ledger.close()
os.write(to_child[1], b"x")
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
with open_ledger() as again:
    again.check()
    print(again.head({FIRST!r}).rev)
""")
        assert printed == "5"

    def test_a_childs_end_leaves_the_parents_locks_alone(self, begun: Ledger, run_child: RunChild) -> None:
        begun.close()
        printed = run_child(f"""
import subprocess
ledger = open_ledger()
for _ in range(3):
    child = os.fork()
    if child == 0:
        bump(ledger, {FIRST!r})
        ledger.close()
        os._exit(0)
    os.waitpid(child, 0)
with ledger._database.transaction(durable=False):
    probe = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    done = subprocess.run([sys.executable, "-c", probe, state.path + "/ledger.db"], capture_output=True, text=True)
    print("locked" in done.stderr)
print(bump(ledger, {FIRST!r}))
ledger.close()
""")
        assert printed.split() == ["True", "5"]

    def test_a_fork_beside_a_thread_that_commits_is_safe(self, begun: Ledger, run_child: RunChild) -> None:
        begun.close()
        printed = run_child(f"""
import threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
ledger = open_ledger(timeout_s=30)
thread = threading.Thread(target=lambda: [bump(ledger, {FIRST!r}) for _ in range(200)])
thread.start()
for _ in range(8):
    child = os.fork()
    if child == 0:
        bump(ledger, {FIRST!r})
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
thread.join()
ledger.check()
print(ledger.head({FIRST!r}).rev)
ledger.close()
""")
        assert printed == "209"

    def test_a_child_forked_behind_pythons_back_is_refused(self, begun: Ledger, run_child: RunChild) -> None:
        begun.close()
        printed = run_child(f"""
import ctypes
ledger = open_ledger()
bump(ledger, {FIRST!r})
child = ctypes.CDLL(None).fork()
if child == 0:
    refused = 0
    for use in (lambda: ledger.head({FIRST!r}), lambda: bump(ledger, {FIRST!r}), ledger.sync, open_ledger):
        try:
            use()
        except StoreUnavailableError as error:
            refused += "forked" in error.reason
    # Nor does the child's closing touch what is the parent's.
    ledger.close()
    os._exit(refused)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), bump(ledger, {FIRST!r}))
ledger.close()
""")
        assert printed == "4 3"


class TestOurOwnChecks:
    PROBE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1] + "/ledger.db", timeout=0, isolation_level=None)
for statement in ("BEGIN IMMEDIATE", "ROLLBACK", "PRAGMA journal_mode = DELETE"):
    try:
        connection.execute(statement)
        print("free", end=" ")
    except sqlite3.OperationalError:
        print("locked", end=" ")
"""

    def test_leave_sqlites_locks_in_place(
        self, begun: Ledger, state: Directory, open_ledger: OpenLedger, child_command: Command
    ) -> None:
        # Opening and closing a file drops every POSIX lock that the process holds on it, whoever took it.
        def probe() -> str:
            command = [*child_command("")[:2], self.PROBE, state.path]
            return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

        with begun._database.transaction(durable=False):
            assert Ledger.exists(state)
            judge_files(state, "ledger.db")
            open_ledger(read_only=True).close()
            open_ledger().close()
            assert probe() == "locked locked locked "
        begun.heads()
        assert probe() == "free free locked "

    def test_the_probe_sees_locks_that_are_dropped(
        self, begun: Ledger, state: Directory, child_command: Command
    ) -> None:
        # The attack on ourselves that the test above would have to show.
        command = [*child_command("")[:2], self.PROBE, state.path]
        with pytest.raises(StoreUnavailableError), begun._database.transaction(durable=False):
            for suffix in ("", "-wal", "-shm"):
                Path(f"{state.path}/ledger.db{suffix}").read_bytes()
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
            assert "free" in done.stdout
            raise StoreUnavailableError(reason="the locks are gone", outcome="unknown")


class TestReaders:
    def test_a_reader_beside_a_busy_writer_sees_whole_commits_only(self, begun: Ledger, child_command: Command) -> None:
        script = f"""
ledger = open_ledger()
for _ in range(300):
    head = ledger.head({FIRST!r})
    ledger.commit(replace(head, rev=head.rev + 1, end=head.rev + 1), old=head)
ledger.close()
"""
        with subprocess.Popen(child_command(script)) as process:
            while process.poll() is None:
                head = begun.head(FIRST)
                assert head is not None
                assert head.rev in (1, head.end)
        begun.check()
