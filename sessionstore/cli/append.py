"""`sessionstore append`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import click

from sessionstore.cli import exits, inputs, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import count_text
from sessionstore.cli.resolve import resolve, session_argument


@command_of(
    "append",
    examples=[
        "sessionstore append @last turns.jsonl",
        'sessionstore append @last --role user --text "Try again"',
    ],
    exit_codes=(exits.NOT_FOUND, exits.NOT_TRUSTED, exits.CONFLICT, exits.TOO_LARGE),
)
@session_argument
@click.argument("file", metavar="[FILE]", required=False, type=click.Path())
@click.option("--role", metavar="ROLE", help="Append one message of this role instead; needs --text.")
@click.option("--text", metavar="TEXT", help="The text of that message; - reads it from stdin. Needs --role.")
@click.option("--expected-rev", metavar="REV", type=click.IntRange(min=1), help="Refuse at another revision.")
@click.option("--idempotency-key", metavar="TEXT", help="The same key again appends nothing.")
def command(
    invocation: Invocation,
    session: str,
    file: str | None,
    role: str | None,
    text: str | None,
    expected_rev: int | None,
    idempotency_key: str | None,
) -> None:
    """Append entries to a session.

    Prints the new revision. Each line of FILE (default: -, which is stdin) is one JSON object. All lines are stored or
    none: the first wrong one is named and nothing is written.
    """
    if (role is None) != (text is None):
        raise click.UsageError("--role and --text belong together")
    if role is not None and file is not None:
        raise click.UsageError("give FILE or --role with --text, not both")
    with invocation.open_store() as store:
        session_id = resolve(store, session)
        source = _Source(session_id, store.config.max_entry_bytes, store.config.max_session_bytes)
        entries: Iterable[dict[str, Any]]
        if role is not None and text is not None:
            entries = [source.message(role, text)]
        elif file is None or file == inputs.STDIN:
            # Read to the end first: a slow program before the pipe must not make other writers wait for the session.
            entries = list(source.entries(inputs.STDIN))
        else:
            entries = source.entries(file)
        rev = store.append(session_id, entries, expected_rev=expected_rev, idempotency_key=idempotency_key)
    if invocation.json:
        output.value({"id": session_id, "rev": rev, "entries": source.count})
    else:
        output.line(f"{session_id}  revision {rev}  {count_text(source.count, 'entry', 'entries')}")


class _Source:
    """The entries of one call, read strictly and counted while they are taken.

    Args:
        session_id: For errors.
        max_entry_bytes: Cap on one line.
        max_session_bytes: Cap on all lines, so that an endless input ends.
    """

    def __init__(self, session_id: str, max_entry_bytes: int, max_session_bytes: int) -> None:
        self._session_id = session_id
        self._max_entry_bytes = max_entry_bytes
        self._max_session_bytes = max_session_bytes
        self.count = 0

    def message(self, role: str, text: str) -> dict[str, Any]:
        """The entry of `--role` and `--text`; one line end after a text from stdin is not part of it."""
        from sessionstore.errors import MalformedError

        self.count = 1
        if text == inputs.STDIN:
            try:
                text = (
                    inputs.read_up_to(inputs.STDIN, self._max_entry_bytes, setting="max_entry_bytes")
                    .decode("utf-8")
                    .removesuffix("\n")
                )
            except UnicodeDecodeError as exc:
                raise MalformedError(session_id=self._session_id, reason=f"not UTF-8 at byte {exc.start}") from exc
        return {"role": role, "content": text}

    def entries(self, name: str) -> Iterator[dict[str, Any]]:
        """The objects on the lines of a file or of stdin.

        Raises:
            MalformedError, TooDeepError: A line is not one JSON object that can be stored; its number is named.
            TooLargeError: A line, or all together, are over the limit.
        """
        total_bytes = 0
        with inputs.opened(name) as stream:
            while line := inputs.read_line(stream, name, self._max_entry_bytes + 2):
                self.count += 1
                total_bytes += len(line)
                self._check_size("entry", len(line.rstrip(b"\r\n")), self._max_entry_bytes)
                self._check_size("session", total_bytes, self._max_session_bytes)
                yield self._entry(line)

    def _entry(self, line: bytes) -> dict[str, Any]:
        from sessionstore.errors import MalformedError, TooDeepError
        from sessionstore.format.strict import parse_json

        try:
            value = parse_json(line)
        except MalformedError as exc:
            raise self._malformed(exc.reason) from exc
        except TooDeepError as exc:
            hint = f"line {self.count}; nothing was written; store the deep part as a string, or flatten it"
            raise TooDeepError(session_id=self._session_id, limit=exc.limit, hint=hint) from exc
        if not isinstance(value, dict):
            raise self._malformed("an entry is a JSON object, and this is another value")
        return value

    def _malformed(self, reason: str) -> Exception:
        from sessionstore.errors import MalformedError

        return MalformedError(
            session_id=self._session_id,
            reason=f"line {self.count}: {reason}",
            hint="nothing was written; mend that line and try again",
        )

    def _check_size(self, what: str, size_bytes: int, limit_bytes: int) -> None:
        from sessionstore.errors import TooLargeError

        if size_bytes > limit_bytes:
            raise TooLargeError(
                what=what,
                size_bytes=size_bytes,
                limit_bytes=limit_bytes,
                setting=f"max_{what}_bytes",
                hint=f"line {self.count}; nothing was written; shorten it, or raise the limit (max_{what}_bytes)",
            )
