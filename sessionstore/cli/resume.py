"""`sessionstore resume`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from sessionstore.cli import exits, output
from sessionstore.cli.definition import Command
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.failures import Declined, NotStarted
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import entry_lines, local_time, project_text
from sessionstore.cli.resolve import complete_id, resolve, scope
from sessionstore.cli.show import print_session, session_value

if TYPE_CHECKING:
    from sessionstore.cli.picker import Row
    from sessionstore.errors import ProjectPathError
    from sessionstore.resume import Run
    from sessionstore.store import SessionStore

_PREVIEW_ENTRIES = 3
_MAY_HAVE_MOVED = ("missing", "not_a_directory", "replaced", "symlink")


class _Resume(Command):
    """What stands behind the first `--` is a command, and none of it is read as an option or an id of ours."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        argv: tuple[str, ...] | None = None
        if "--" in args:
            at = args.index("--")
            args, argv = args[:at], tuple(args[at + 1 :])
        rest = super().parse_args(ctx, args)
        ctx.params["argv"] = argv
        return rest

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- CMD ARGS...]"]


@command_of(
    "resume",
    examples=[
        "sessionstore resume",
        "sessionstore resume @last",
        "sessionstore resume 3f2a91c0 -- my-agent --continue",
    ],
    exit_codes=(
        exits.NOT_FOUND,
        exits.NOT_TRUSTED,
        exits.PROJECT,
        exits.RATE_LIMITED,
        exits.CONFLICT,
        exits.TOO_LARGE,
        exits.NOT_STARTED,
        exits.NO_COMMAND,
    ),
    meanings={
        exits.NOT_STARTED: "CMD could not be started",
        exits.NO_COMMAND: "there is no such CMD",
    },
    cls=_Resume,
)
@click.argument("sessions", metavar="[ID]", nargs=-1, shell_complete=complete_id)
@click.option(
    "--accept-project",
    is_flag=True,
    help="If nobody has bound the project directory yet, bind it as it is now. Without this, a terminal is asked.",
)
def command(
    invocation: Invocation, sessions: tuple[str, ...], accept_project: bool, argv: tuple[str, ...] | None
) -> int | None:
    """Give a session back where it was saved.

    Only if every byte of it, and the project directory, are what was saved. Prints the session. With CMD, starts CMD in
    that directory instead, with the session as JSON on the file descriptor SESSIONSTORE_SESSION_FD and its id in
    SESSIONSTORE_SESSION_ID, and ends as CMD does: with its exit code, or 128 and the signal that killed it. Without ID,
    a terminal shows the sessions to choose from.
    """
    if argv is not None and not any(argv[:1]):
        raise click.UsageError("a command is needed behind --")
    if len(sessions) > 1:
        raise click.UsageError("one ID only; a command to start goes behind --")
    session = sessions[0] if sessions else None
    if session is None and not (output.may_ask() and not output.is_dumb()):
        raise click.UsageError(
            "without a terminal to choose on, say which session: "
            f"`{invocation.prog} resume ID`, or @last for the newest one here"
        )
    from sessionstore.errors import ProjectPathError

    with invocation.open_store() as store:
        session_id = _pick(store, needs_project=argv is not None) if session is None else _resolve(store, session)
        try:
            return _resume(invocation, store, session_id, argv)
        except ProjectPathError as refusal:
            if refusal.verdict in _MAY_HAVE_MOVED:
                refusal.hint = (
                    "if you moved, restored or cloned it yourself, bind the session to it: "
                    f"`sessionstore rebind {session_id} DIR`"
                )
            if refusal.verdict != "no_identity":
                raise
            _bind(store, session_id, refusal, accept_project=accept_project)
        return _resume(invocation, store, session_id, argv)


def _resume(invocation: Invocation, store: SessionStore, session_id: str, argv: tuple[str, ...] | None) -> int | None:
    from sessionstore.errors import InvalidValueError

    with store.resume(session_id) as run:
        if argv is None:
            run.commit()
            rows = [("directory", "ok: the one that was saved")] if run.project is not None else []
            print_session(invocation, run.session, rows, project=_project(run))
            _tell_of_project(run)
            return None
        if run.project is None:
            reason = "the session has no project directory to run it in"
            raise InvalidValueError(
                what="command", reason=reason, hint=f"give it one with `sessionstore rebind {session_id} DIR`"
            )
        for warning in run.session.warnings:
            output.note(warning.text, label="warning")
        _tell_of_project(run)
        output.flush()
        from sessionstore.cli.launch import run_gated

        try:
            run.exit_status = run_gated(
                argv,
                directory_fd=run.project.dir_fd,
                session_json=output.encoded(session_value(run.session, project=_project(run))),
                session_id=session_id,
                commit=run.commit,
            )
        except NotStarted as exc:
            run.exit_status = exits.exit_code(exc.code)
            raise
        return run.exit_status


def _project(run: Run) -> dict[str, Any] | None:
    if run.project is None:
        return None
    return {"verdict": "ok", "path": run.project.display_path, "warnings": run.project.warnings}


def _tell_of_project(run: Run) -> None:
    for warning in run.project.warnings if run.project is not None else ():
        output.note(warning.text, label="warning")


def _resolve(store: SessionStore, text: str) -> str:
    """The id; what leads to none is an attempt too, or guessing would be free."""
    from sessionstore.errors import AmbiguousIdError, SessionNotFoundError

    try:
        return resolve(store, text)
    except (SessionNotFoundError, AmbiguousIdError) as error:
        store.refuse_resume(error.code)
        raise


def _bind(store: SessionStore, session_id: str, refusal: ProjectPathError, *, accept_project: bool) -> None:
    """Bind a directory that was only ever stated, if whoever runs this agrees to what stands there now."""
    from sessionstore.errors import ProjectPathError

    hint = ""
    if not refusal.path.startswith("/"):
        # From here it would be whatever the current directory has under that name.
        hint = f"the name says nothing here; say which directory it is: `sessionstore rebind {session_id} DIR`"
    elif not accept_project and not output.may_ask():
        hint = (
            "look at it, then agree with --accept-project, "
            f"or say which directory it is: `sessionstore rebind {session_id} DIR`"
        )
    if hint:
        known = {"verdict": refusal.verdict, "path": refusal.path, "detail": refusal.detail}
        raise ProjectPathError(hint=hint, **known) from refusal
    consent = "resume --accept-project" if accept_project else "resume, asked on a terminal"
    shown = store.rebind(session_id, consent=consent, dry_run=True)
    if shown.before is not None and shown.before.has_identity:
        return  # somebody bound it in this moment; what that is worth, the next resume finds out
    if not accept_project:
        output.say(f"nobody has bound the directory of this session yet: {refusal.path}")
        if shown.after.display_path != refusal.path:
            output.say(f"that leads to {shown.after.display_path}")
        if not output.ask("Is that the right directory?"):
            raise Declined("the session was not resumed")
    store.rebind(session_id, consent=consent, expected=shown)


def _pick(store: SessionStore, *, needs_project: bool) -> str:
    from sessionstore.cli.screen import pick

    rows = _rows(store, needs_project=needs_project)
    if not rows:
        raise Declined("there is no session to choose from")
    chosen = pick(rows, lambda row: _preview(store, row))
    if chosen is None:
        raise Declined("no session was chosen")
    return chosen


def _rows(store: SessionStore, *, needs_project: bool) -> list[Row]:
    from sessionstore.cli.picker import RUNNING, Row

    page = store.list(check_projects=True)
    inside = scope(store)
    here = {one.id for one in store.list(project=inside).sessions} if inside is not None else set()
    rows = []
    for one in page.sessions:
        mark, reason = "", ""
        if one.state == "running":
            mark, reason = RUNNING, "it is running already"
        elif needs_project and one.project is None:
            mark, reason = "no project", "it has no project directory to start a command in; `rebind` gives it one"
        rows.append(
            Row(
                id=one.id,
                name=one.name,
                when=local_time(one.updated_at),
                project=project_text(one),
                tags=" ".join(one.tags),
                here=one.id in here,
                mark=mark,
                reason=reason,
            )
        )
    return rows + [Row(id=one.name, name=one.text, mark=one.code, reason=one.text) for one in page.unreadable]


def _preview(store: SessionStore, row: Row) -> Sequence[str]:
    """The last entries, verified like any others; what refuses them is shown in their place."""
    from sessionstore.errors import SessionStoreError
    from sessionstore.model.ids import is_id

    if not is_id(row.id):
        return ()
    try:
        count = store.summary(row.id).entries
        entries = list(store.entries(row.id, start=-_PREVIEW_ENTRIES))
    except SessionStoreError as exc:
        return (f"{exc.code}: {exc}",)
    first = count - len(entries)
    return [line for number, entry in enumerate(entries, first) for line in entry_lines(number, entry)][:-1]
