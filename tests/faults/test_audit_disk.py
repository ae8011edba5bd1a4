"""The audit log on a disk that is full, fails or is read-only, and under processes that are killed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sessionstore import open_store
from sessionstore.errors import StoreUnavailableError

Child = Callable[..., list[Any]]

SESSION = "0f5c2a9e-3b61-4d7a-9c58-7e4f1a2b3c4d"


class TestFullDisk:
    def test_nothing_is_granted_and_refusals_go_their_way_until_there_is_room(
        self, home: Path, mount: Callable[[str], None]
    ) -> None:
        mount("size=1m,mode=0700")
        ballast = home / "ballast"
        ballast.write_bytes(b"x" * 100_000)
        with open_store(home / "store", environ={}) as store:
            session = store.create(name="atlas")
            store._ground.audit.record("resume_attempt", session_id=session.id)
            written = 0
            with (home / "filler").open("wb", buffering=0) as filler, suppress(OSError):
                while True:
                    filler.write(b"x" * 4096)
            # What is left of the last page of the log, and of SQLite's, can still be written.
            with pytest.raises(StoreUnavailableError) as refused:
                while True:
                    store._ground.audit.record("resume_attempt", session_id=session.id)
                    written += 1
            assert refused.value.outcome == "not_written" and written < 200
            store._ground.audit.record("resume_refused", session_id=session.id, code="missing")
            (home / "filler").unlink()
            store._ground.audit.record("resume_attempt", session_id=session.id)
            assert store.verify_audit().ok
            assert len(list(store.audit(events=["resume_attempt"]))) in (written + 2, written + 3)


class TestFileSizeLimit:
    def test_a_line_over_the_limit_is_taken_back(self, child: Child) -> None:
        told = child(
            "from sessionstore import open_store\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "store = open_store(home + '/store', environ={})\n"
            "log = store._ground.audit\n"
            "log.record('resume_attempt')\n"
            "size = os.stat(home + '/store/state/audit/000001.jsonl').st_size\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, resource.RLIM_INFINITY))\n"
            "tell(refusal(lambda: log.record('resume_attempt')))\n"
            "tell(os.stat(home + '/store/state/audit/000001.jsonl').st_size - size, store.verify_audit().ok)\n"
        )
        assert told[0][:2] == ["StoreUnavailableError", "not_written"] and "limit" in told[0][2]
        assert told[1:] == [0, True]

    def test_bytes_that_cannot_be_set_aside_stay_where_they_are(self, child: Child) -> None:
        told = child(
            "from sessionstore import open_store\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "store = open_store(home + '/store', environ={})\n"
            "log, name = store._ground.audit, home + '/store/state/audit/000001.jsonl'\n"
            "log.record('resume_attempt')\n"
            "good = os.stat(name).st_size\n"
            "with open(name, 'ab') as stream: stream.write(b'x' * 9000)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))\n"
            "tell(refusal(lambda: log.record('resume_attempt'))[0], os.stat(name).st_size - good)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
            "tell(refusal(lambda: log.record('resume_attempt')), [record.event for record in store.audit()])\n"
        )
        assert told == ["StoreUnavailableError", 9000, None, ["resume_attempt", "audit_set_aside", "resume_attempt"]]


class TestFailedSync:
    def test_what_could_not_be_synced_is_not_granted(self, faulty: Child) -> None:
        told = faulty(
            "from sessionstore import open_store\n"
            "store = open_store(home + '/store', environ={})\n"
            "log = store._ground.audit\n"
            "log.record('resume_attempt')\n"
            "fault('fdatasync', errno.EIO)\n"
            "tell(refusal(lambda: log.record('resume_committed')), refusal(lambda: log.record('tampering_found')))\n"
            "fault('fdatasync', '')\n"
            "tell(refusal(lambda: log.record('resume_committed')))\n"
            "report = store.verify_audit()\n"
            "tell(report.ok, [record.event for record in store.audit()])\n"
        )
        assert told[0][:2] == ["StoreUnavailableError", "unknown"] and told[1:4] == [None, None, True]
        # A line may tell of an act that was refused; the other way round there is none.
        assert told[4] == ["resume_attempt", "resume_committed", "tampering_found", "resume_committed"]

    def test_a_file_is_not_closed_before_it_is_synced(self, faulty: Child) -> None:
        told = faulty(
            "from sessionstore import open_store\n"
            "environ = {'SESSIONSTORE_AUDIT_MAX_FILE_BYTES': '16KiB', 'SESSIONSTORE_SYNC_INTERVAL_S': '60'}\n"
            "store = open_store(home + '/store', environ=environ)\n"
            "log, place = store._ground.audit, home + '/store/state/audit/'\n"
            "log.record('resume_attempt')\n"
            "while os.stat(place + '000001.jsonl').st_size <= 12288: log.record('resume_attempt')\n"
            "fault('fdatasync', errno.EIO); tell(refusal(lambda: log.record('resume_attempt'))[:2])\n"
            "tell(sorted(os.listdir(place)))\n"
            "fault('fdatasync', ''); tell(refusal(lambda: log.record('resume_attempt')), sorted(os.listdir(place)))\n"
            "tell(store.verify_audit().ok)\n"
        )
        assert told[0] == ["StoreUnavailableError", "unknown"] and "000002.jsonl" not in told[1]
        assert told[2] is None and "000002.jsonl" in told[3] and told[4] is True


class TestReadOnlyDisk:
    def test_the_log_can_be_read_and_checked(self, home: Path, mount: Callable[[str], None]) -> None:
        mount("size=4m,mode=0700")
        with open_store(home / "store", environ={}) as store:
            store._ground.audit.record("resume_committed", session_id=SESSION, rev=1)
        mount("remount,ro")
        with open_store(home / "store", environ={}, read_only=True) as store:
            assert [record.event for record in store.audit()] == ["resume_committed"]
            assert store.verify_audit().ok
            store._ground.audit.record("resume_attempt")


class TestKill:
    def test_writers_killed_at_any_moment_leave_an_unbroken_chain(self, child: Child) -> None:
        told = child(
            """
import random
from sessionstore import open_store
environ = {"SESSIONSTORE_AUDIT_MAX_FILE_BYTES": "16KiB"}
acknowledged = killed = 0
store = open_store(home + "/store", environ=environ)
store._ground.audit.record("resume_ended", status=0)
for run in range(20):
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        calls, moment = 0, random.Random(run).randrange(20, 2500)
        def hook(frame, event, arg):
            global calls
            calls += event in ("c_call", "c_return")
            if calls >= moment:
                os.kill(os.getpid(), signal.SIGKILL)
        sys.setprofile(hook)
        try:
            for number in range(12):
                store._ground.audit.record("resume_ended", status=number)
                os.write(write_end, b".")
        finally:
            os._exit(0)
    os.close(write_end)
    with open(read_end, "rb") as answers:
        acknowledged += len(answers.read())
    killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    report = store.verify_audit()
    assert report.ok, report
store._ground.audit.record("resume_ended", status=0)
numbers = [record.seq for record in store.audit()]
tell(acknowledged, killed, numbers == list(range(1, len(numbers) + 1)), len(numbers))
tell(sorted({record.event for record in store.audit()}), store.verify_audit().ok)
"""
        )
        acknowledged, killed, unbroken, lines, events, ok = told
        # Each killed run may have written one line that nobody was told of.
        assert unbroken and ok and acknowledged + 2 <= lines <= acknowledged + 2 + killed
        assert killed >= 5 and acknowledged > 20 and events == ["resume_ended"]
