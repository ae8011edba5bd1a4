"""Several processes and threads write one log: every line is there once, in one unbroken chain."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable

from sessionstore.audit import AuditLog


class TestProcesses:
    def test_two_write_two_hundred_lines_each(self, place, child_command: Callable[[str], list[str]]) -> None:
        script = "for number in range(200): log.record('resume_ended', status=number)"
        running = [subprocess.Popen(child_command(script), stderr=subprocess.PIPE, text=True) for _ in range(2)]
        for child in running:
            _, said = child.communicate(timeout=60)
            assert (child.returncode, said) == (0, "")
        records = place.records()
        assert len(records) == 400 and place.is_unbroken() and place.report().ok
        by_process: dict[int, list[object]] = {}
        for record in records:
            by_process.setdefault(record.pid, []).append(record.fields["status"])
        assert list(by_process.values()) == [list(range(200))] * 2
        assert len(place.names()) > 4  # they closed files under each other's hands

    def test_a_forked_child_goes_on(self, place, child_command: Callable[[str], list[str]]) -> None:
        script = """
log.record("resume_attempt")
child = os.fork()
for number in range(20):
    log.record("resume_ended", status=number)
if child:
    assert os.waitpid(child, 0)[1] == 0
"""
        done = subprocess.run(child_command(script), capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        assert len(place.records()) == 41 and place.is_unbroken() and place.report().ok
        assert len({record.pid for record in place.records()}) == 2


def test_threads_write_one_after_the_other(place) -> None:
    log = place.log(lock_timeout_s=30.0)

    def write() -> None:
        for number in range(40):
            log.record("resume_ended", status=number)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(place.records()) == 160 and place.is_unbroken()


def test_a_check_beside_writers_finds_nothing(place, child_command: Callable[[str], list[str]]) -> None:
    log = place.log(lock_timeout_s=30.0)
    log.record("resume_attempt")
    reader: AuditLog = place.log(read_only=True, lock_timeout_s=30.0)
    script = "for number in range(300): log.record('resume_ended', status=number)"
    with subprocess.Popen(child_command(script)) as child:
        checks = 0
        while child.poll() is None or not checks:
            assert reader.verify().ok
            numbers = [record.seq for record in reader.records()]
            assert numbers == list(range(1, len(numbers) + 1))
            checks += 1
    assert child.returncode == 0 and reader.verify().lines == 301
