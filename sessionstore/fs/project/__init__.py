"""The project directory: taken down when a session is made, and held open, judged and handed over when it is resumed.

`capturing` makes the record, `pinning` opens the recorded name again, `judging` decides whether it is that directory,
`root` is the directory held open. Each module says what it promises.
"""

from __future__ import annotations

from sessionstore.fs.project.capabilities import Pinning, PinningReport, capability, pinning_report
from sessionstore.fs.project.capturing import ancestry, capture, capture_or_state, stated
from sessionstore.fs.project.judging import FOREIGN_OWNER, TRUST_WORDS, WORLD_WRITABLE, accepted_owners
from sessionstore.fs.project.pinning import pin
from sessionstore.fs.project.root import ProjectRoot

__all__ = [
    "FOREIGN_OWNER",
    "TRUST_WORDS",
    "WORLD_WRITABLE",
    "Pinning",
    "PinningReport",
    "ProjectRoot",
    "accepted_owners",
    "ancestry",
    "capability",
    "capture",
    "capture_or_state",
    "pin",
    "pinning_report",
    "stated",
]
