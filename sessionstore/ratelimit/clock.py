"""The own time of the attempts: it goes on as real time does, whatever is done to the wall clock.

It lies in the ledger and is moved at each attempt by what passed since the one before:

* Within one start of the system, by how long the system has been running, suspended time included. No setting of the
  wall clock has a part in that.
* Between two starts, by the wall clock, which is all that is known of the time in between. Whoever sets it forward and
  restarts the system unlocks; that takes root.
* Never back: what seems to have passed backwards is nothing. So a clock that was set back costs at most the window.

A start is told by the kernel's boot id and by the time namespace: a namespace may shift the running time by years, and
needs no privilege to be made. Where there is no boot id, the smaller of both differences counts.

Clocks are read inside the ledger's transaction. A reading from before the wait for it would be older than the one that
was noted meanwhile, and the time between them would be counted twice.

Not promised: that time spent suspended counts on systems other than Linux. An attempt is locked for longer there, never
for shorter.
"""

from __future__ import annotations

import os
import time

from sessionstore.fs.boot import boot_id
from sessionstore.ledger import AttemptClock

TIME_NAMESPACE = "/proc/self/ns/time"

# The start of a process in which Python's clock is not the kernel's: freezegun was there.
REPLACED = "replaced"


def moved_on(last: AttemptClock | None) -> AttemptClock:
    """What time it is now.

    Args:
        last: What was noted at the attempt before, None at the first.
    """
    boot, running_us = _running()
    now = AttemptClock(0, boot, running_us, time.time_ns() // 1000)
    if last is None:
        return now
    return AttemptClock(last.now_us + max(0, _passed_us(last, now)), boot, now.running_us, now.wall_us)


def _passed_us(last: AttemptClock, now: AttemptClock) -> int:
    running_us = now.running_us - last.running_us
    wall_us = now.wall_us - last.wall_us
    if last.boot != now.boot:
        # Nothing can be said of the time between a frozen clock and a real one.
        return 0 if REPLACED in (last.boot, now.boot) else wall_us
    if now.boot:
        return running_us
    # No boot id. A system that runs for less long than before was restarted; else it may have been.
    return wall_us if running_us < 0 else min(running_us, wall_us)


def _running() -> tuple[str, int]:
    """Which start this is, and for how many microseconds the system has been running since."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return _boot(), time.monotonic_ns() // 1000
    before_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    given_ns = time.monotonic_ns()
    if before_ns <= given_ns <= time.clock_gettime_ns(time.CLOCK_MONOTONIC):
        return _boot(), time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
    return REPLACED, given_ns // 1000


def _boot() -> str:
    boot = boot_id()
    if not boot:
        return ""
    try:
        # Anew each time: after a fork it can be another namespace.
        return f"{boot} {os.readlink(TIME_NAMESPACE)}"
    except OSError:  # a kernel before Linux 5.6, which has none
        return boot
