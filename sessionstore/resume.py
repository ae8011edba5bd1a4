"""Resuming: give a session back only if it is what was saved, and its directory only if it is the one that was saved.

The order, each step refusing what does not fit:

1. the attempt is counted, before anything of the session is read;
2. the run lock: one run at a time, freed by the kernel when its process dies;
3. the session is loaded, verified to the last byte;
4. its project directory is opened once, following no link, and that descriptor is judged;
5. the block of the caller, which is the run: the tool starts in that descriptor, never in the text of a path;
6. `commit`: the recorded name is opened again, compared with the descriptor held all the time, and judged again.

Before `commit` nothing is written to the session, so whatever ends the block earlier (a refusal, an exception, simply
leaving) leaves its bytes as they were: hooks run, descriptors are closed, the lock is freed. A kill does the same, less
the hooks. Resuming again is therefore always safe: while a run lives it is `already_running`, before and after that it
is an ordinary resume, and each one counts as an attempt.

Not promised: that the contents of the directory are benign or unchanged; that the tool stays inside it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Literal

from msgspec import UNSET, UnsetType

from sessionstore.edits import Entries, StoreEdits
from sessionstore.errors import (
    InvalidIdError,
    InvalidValueError,
    ProjectPathError,
    RateLimitError,
    RunStateError,
    SessionStoreError,
)
from sessionstore.fs.project import ProjectRoot, pin
from sessionstore.model import LoadWarning, Session, Todo, check_id, format_time
from sessionstore.sessions import Ground
from sessionstore.sessions.policy import state
from sessionstore.storage import Holder

if TYPE_CHECKING:
    from sessionstore.ratelimit import RateLimiter

OPERATION = "resume"

State = Literal["uncommitted", "committed", "over", "other_process"]

_REASONS: dict[State, str] = {
    "uncommitted": "it is not committed yet",
    "committed": "it is committed already",
    "over": "its block has ended, or it was refused",
    "other_process": "it belongs to the process that resumed the session, not to one forked from it",
}


class Run:
    """One run of a resumed session, made by `store.resume`. Ends with its block.

    May be used from any thread; its calls wait for each other, the end of the block too.

    Attributes:
        session: The session as it was loaded; it does not follow what is saved later.
        project: The pinned directory, or None for a session without one.
        warnings: What is worth telling about session and directory although both are good.
    """

    def __init__(self, ground: Ground, edits: StoreEdits, session: Session, project: ProjectRoot | None) -> None:
        self.session = session
        self.project = project
        self._edits = edits
        self._ground = ground
        self._state: State = "uncommitted"
        self._exit_status: int | None = None
        self._pid = os.getpid()
        # A commit that is cancelled goes on in its thread: the block must not end, and free the session, before it.
        self._turn = threading.RLock()
        self._hooks = ExitStack()

    def __repr__(self) -> str:
        return f"Run({self.session.id}, {self.state})"

    @property
    def state(self) -> State:
        """`uncommitted` at first, `committed`, then `over`; `other_process` in a process forked from the one here."""
        return self._state if self._pid == os.getpid() else "other_process"

    @property
    def warnings(self) -> tuple[LoadWarning, ...]:
        """See the class."""
        return self.session.warnings + (() if self.project is None else self.project.warnings)

    @property
    def exit_status(self) -> int | None:
        """What the tool ended with, for the audit log; None until somebody sets it.

        A negative one, as `subprocess` has it for a tool that a signal killed, becomes 128 and the signal.

        Raises (on setting):
            InvalidValueError: It is no whole number from -127 to 255.
        """
        return self._exit_status

    @exit_status.setter
    def exit_status(self, status: int | None) -> None:
        if status is not None and (not isinstance(status, int) or not -127 <= status <= 255):
            raise InvalidValueError(what="exit status", reason="a whole number from -127 to 255 is needed, or None")
        self._exit_status = 128 - status if status is not None and status < 0 else status

    def on_rollback(self, hook: Callable[[], object]) -> None:
        """Call `hook` if the run ends before it is committed; the latest first, all of them even if one raises.

        What a hook raises leaves the block, unless something else does already: then it is noted on that.

        Raises:
            RunStateError: There is nothing left to roll back.
        """
        with self._held("uncommitted"):
            self._hooks.callback(hook)

    def commit(self) -> None:
        """Check the directory once more, now that the tool has started; from here on the run is on record.

        The recorded name is opened again without following links, compared with the descriptor that the tool was
        given, and judged. The ledger and the audit line are synced. A refusal rolls the run back at once: hooks run,
        the descriptor is closed, the run is over.

        Raises:
            ProjectPathError: The name leads elsewhere by now, or the directory was deleted, moved, or changed in
                owner or permissions.
            StoreUnavailableError: The audit log or the ledger cannot be written.
            RunStateError: It was committed already, or is over.
        """
        with self._held("uncommitted"):
            try:
                if self.project is not None:
                    self.project.check()
                self._ground.ledger.sync()
                self._ground.audit.record("resume_committed", session_id=self.session.id, rev=self.session.rev)
            except BaseException as error:
                self._roll_back(error)
                raise
            self._state = "committed"
            self._hooks.pop_all()

    def append(
        self,
        entries: Entries = (),
        *,
        todos: Iterable[Todo] | UnsetType = UNSET,
        config: dict[str, Any] | UnsetType = UNSET,
        name: str | UnsetType = UNSET,
        tags: Iterable[str] | UnsetType = UNSET,
        expected_rev: int | None = None,
        idempotency_key: str | None = None,
    ) -> int:
        """Save as `store.append` does; the new revision.

        Raises:
            RunStateError: The run is not committed: a resume that may still be refused changes nothing.
        """
        with self._held("committed"):
            return self._edits.append(
                self.session.id,
                entries,
                todos=todos,
                config=config,
                name=name,
                tags=tags,
                expected_rev=expected_rev,
                idempotency_key=idempotency_key,
            )

    @contextmanager
    def _held(self, state: State) -> Iterator[None]:
        """Keep the run in `state` for the block, or refuse."""
        # Before the mutex: whoever held it when this process was forked is not here to release it.
        if self._pid != os.getpid():
            raise self._refusal("other_process")
        with self._turn:
            if self._state != state:
                raise self._refusal(self._state)
            yield

    def _refusal(self, state: State) -> RunStateError:
        return RunStateError(session_id=self.session.id, state=state, reason=_REASONS[state])

    def _end(self, error: BaseException | None) -> None:
        """The end of the block, whatever the reason. A forked child ends nothing of its parent's."""
        if self._pid != os.getpid():
            return
        with self._turn:
            if self._state == "uncommitted":
                self._roll_back(error)
            elif self._state == "committed":
                self._state = "over"
                self._ground.audit.record("resume_ended", session_id=self.session.id, status=self._exit_status)

    def _roll_back(self, error: BaseException | None) -> None:
        self._state = "over"
        with ExitStack() as ending:
            ending.callback(_note_refusal, self._ground, "resume_rolled_back", self.session.id, error)
            if self.project is not None:
                ending.callback(self.project.close)
            # First of all: a hook is what stops the tool.
            try:
                self._hooks.close()
            except Exception as failed:
                if error is None:
                    raise
                error.add_note(f"beside that, a rollback hook failed: {failed!r}")


class Resumer:
    """Resumes the sessions of one store. Safe for many threads and processes."""

    def __init__(self, ground: Ground, edits: StoreEdits) -> None:
        self._ground = ground
        self._edits = edits
        self._limiter: RateLimiter | None = None

    def refuse(self, code: str) -> None:
        """Count an attempt to resume what is no session here, and put the refusal on record.

        Args:
            code: Of the error that the caller is about to raise.

        Raises:
            RateLimitError: There were too many over all sessions.
            StoreUnavailableError: The count cannot be written.
        """
        self._count(None)
        self._ground.audit.record("resume_refused", code=code)

    @contextmanager
    def resume(self, session_id: str) -> Iterator[Run]:
        """The run of a session; see the module."""
        try:
            check_id(session_id)
        except InvalidIdError as error:
            self.refuse(error.code)
            raise
        known = self._ground.ledger.knows(session_id)
        self._count(session_id if known else None)
        self._ground.audit.record("resume_attempt", session_id=session_id)
        with ExitStack() as held:
            try:
                if not known:
                    self._edits.load(session_id)  # says why; what was made in this moment goes on
                run = self._open(session_id, held)
            except BaseException as error:
                _note_refusal(self._ground, "resume_refused", session_id, error)
                raise
            held.push(lambda kind, error, trace: run._end(error))
            yield run

    def _open(self, session_id: str, held: ExitStack) -> Run:
        holder = Holder(pid=os.getpid(), started_at=format_time(self._ground.now()))
        held.enter_context(self._ground.backend.run(session_id, holder))
        session = self._edits.load(session_id)
        strict = state(self._ground.ledger, self._ground.config).policy == "strict"
        project = None if session.project is None else held.enter_context(pin(session.project, strict=strict))
        return Run(self._ground, self._edits, session, project)

    def _count(self, session_id: str | None) -> None:
        """One attempt, before anything is read; without an id that is known here, over all sessions only."""
        self._ground.refuse_read_only()
        try:
            self._limits.hit(OPERATION, session_id)
        except RateLimitError as error:
            self._ground.audit.record(
                "rate_limited",
                session_id=session_id,
                operation=OPERATION,
                scope=error.scope,
                retry_after_s=error.retry_after_s,
            )
            raise

    @property
    def _limits(self) -> RateLimiter:
        if self._limiter is None:
            from sessionstore.ratelimit import RateLimiter  # brings `limits` along, which only resuming needs

            self._limiter = RateLimiter(self._ground.ledger, self._ground.config)
            for setting in ("resume_limit", "resume_global_limit"):
                if getattr(self._ground.config, setting) == 0:
                    self._ground.audit.record("limits_off", setting=setting)
        return self._limiter


def _note_refusal(ground: Ground, event: str, session_id: str, error: BaseException | None) -> None:
    code = error.code if isinstance(error, SessionStoreError) else "left" if error is None else "exception"
    verdict = error.verdict if isinstance(error, ProjectPathError) else None
    ground.audit.record(event, session_id=session_id, code=code, verdict=verdict)
