"""What a list says beside the signed rows: which sessions are run right now, and whether projects are still there.

Neither is signed, and neither is true for longer than the moment: both are for people who look at the list.
"""

from __future__ import annotations

from collections.abc import Container

import msgspec

from sessionstore.format.log import MAX_PROJECT_CHARS
from sessionstore.fs.glance import glance
from sessionstore.ledger import Head
from sessionstore.model import ProjectState, SessionSummary
from sessionstore.sessions.ground import summary_of


class Marks:
    """The marks of one list.

    Args:
        running: Ids of the sessions that are run.
        check_projects: Look at the projects, each once; without it nothing is looked at.
    """

    def __init__(self, running: Container[str], *, check_projects: bool = False) -> None:
        self.running = running
        self._seen: dict[tuple[str, int], ProjectState] | None = {} if check_projects else None

    def line(self, head: Head) -> SessionSummary:
        """The line for a head, with its marks."""
        line = summary_of(head)
        if head.rev == 0:
            line = msgspec.structs.replace(line, integrity="legacy")
        if head.session_id in self.running:
            line = msgspec.structs.replace(line, state="running")
        if self._seen is not None:
            line = msgspec.structs.replace(line, project_state=self._project_state(head, self._seen))
        return line

    def _project_state(self, head: Head, seen: dict[tuple[str, int], ProjectState]) -> ProjectState:
        # A path that may have been cut for the seal names another directory.
        if head.project is None or head.place is None or len(head.project) >= MAX_PROJECT_CHARS:
            return "unknown"
        known = (head.project, head.place[1])
        if known not in seen:
            seen[known] = glance(*known)
        return seen[known]
