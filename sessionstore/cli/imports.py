"""`sessionstore import`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from sessionstore.cli import exits, inputs, output
from sessionstore.cli.definition import command as command_of
from sessionstore.cli.failures import Failure, describe
from sessionstore.cli.invocation import Invocation
from sessionstore.cli.present import count_text
from sessionstore.cli.progress import progress
from sessionstore.cli.table import Column, table
from sessionstore.cli.transcripts import take_in

if TYPE_CHECKING:
    from sessionstore.importers import ImportReport
    from sessionstore.signing import OriginKey
    from sessionstore.store import SessionStore

# How every document begins that `export` writes. It decides only who reads the file, not whether it is believed.
_OWN_START = b'{"export":'

OWN_FORMAT = "sessionstore"
# How many kinds of preserved records are named for people; programs get all.
MAX_KINDS = 4

LEGACY_FORMAT = "legacy"
MAX_SECRET_BYTES = 65536

_LEGACY_REASON = "this is a session file of format version 1"
_LEGACY_HINT = f"import it with --format {LEGACY_FORMAT}"

FORMATS = ("auto", OWN_FORMAT, LEGACY_FORMAT, "claude-code", "codex", "gemini")


@command_of(
    "import",
    examples=[
        "sessionstore import ~/.claude/projects/*/*.jsonl",
        "sessionstore import parser.session.json --passphrase-file secret.txt",
    ],
    exit_codes=(exits.NOT_TRUSTED, exits.CONFLICT, exits.TOO_LARGE),
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@click.option(
    "--format",
    "format_name",
    type=click.Choice(FORMATS),
    default="auto",
    show_default=True,
    help="What the files are.",
)
@click.option(
    "--passphrase-file",
    metavar="FILE",
    type=click.Path(),
    help="The passphrase is the first line of FILE (- is stdin).",
)
@click.option(
    "--trust-unknown-key", is_flag=True, help="Take a document that cannot be checked here: you vouch for it."
)
@click.option("--keep-id", is_flag=True, help="Keep the id of an exported session, if it was never used here.")
@click.option("--salt", metavar="TEXT", help="legacy: the salt that is compiled into the tool that signed the files.")
@click.option("--secret-file", metavar="FILE", type=click.Path(), help="legacy: the secret file of its machine.")
@click.option("--host", metavar="NAME", help="legacy: the host name of its machine.")
@click.option("--trust-unsigned", is_flag=True, help="legacy: take unsigned files: you vouch for them.")
def command(
    invocation: Invocation,
    files: tuple[str, ...],
    format_name: str,
    passphrase_file: str | None,
    trust_unknown_key: bool,
    keep_id: bool,
    salt: str | None,
    secret_file: str | None,
    host: str | None,
    trust_unsigned: bool,
) -> int | None:
    """Bring in transcripts and exported documents.

    Reads transcripts of agent tools and documents that `export` wrote, and prints the new ids. Each FILE becomes one
    session, whole or not at all. If one of several cannot be imported, the others still are. What a transcript holds
    beside messages is kept word for word and counted.
    """
    if files.count(inputs.STDIN) + (passphrase_file, secret_file).count(inputs.STDIN) > 1:
        raise click.UsageError("stdin can be read once only: - was given more than once")
    signed = (salt, secret_file, host)
    if format_name != LEGACY_FORMAT and (trust_unsigned or signed != (None, None, None)):
        raise click.UsageError("--salt, --secret-file, --host and --trust-unsigned belong to --format legacy")
    passphrase = inputs.read_passphrase(passphrase_file)
    key = _origin_key(salt, secret_file, host)
    taken: list[dict[str, Any]] = []
    failed: dict[str, Failure] = {}
    with invocation.open_store() as store:
        trust = ("unknown_key",) * trust_unknown_key + ("unsigned",) * trust_unsigned
        importer = _Importer(store, format_name, passphrase, trust, keep_id, key)
        with progress("importing", len(files)) as bar:
            for name in files:
                try:
                    taken.append(importer.take(name))
                except Exception as exc:
                    if len(files) == 1:
                        raise
                    failed[name] = describe(exc, invocation.prog)
                    if failed[name].code == "internal":
                        raise
                bar.step()
    if invocation.json:
        output.value({"imported": taken, "failed": {name: failure.as_json() for name, failure in failed.items()}})
    else:
        _print(taken, failed)
    return exits.exit_code(next(iter(failed.values())).code) if failed else None


def _origin_key(salt: str | None, secret_file: str | None, host: str | None) -> OriginKey | None:
    """The key that checks signed files of the old format, None if nothing was said of it.

    The secret is every byte of its file, a line end too. It never comes from an argument, which other users see.
    """
    if salt is None and secret_file is None and host is None:
        return None
    if salt is None or secret_file is None or host is None:
        raise click.UsageError("--salt, --secret-file and --host are needed together")
    from sessionstore.signing import origin_key

    return origin_key(salt, inputs.read_up_to(secret_file, MAX_SECRET_BYTES, setting=""), host)


class _Importer:
    """Takes one file after the other into a store."""

    def __init__(
        self,
        store: SessionStore,
        format_name: str,
        passphrase: str | None,
        trust: tuple[str, ...],
        keep_id: bool,
        key: OriginKey | None,
    ) -> None:
        self._store = store
        self._format = format_name
        self._passphrase = passphrase
        self._trust = trust
        self._keep_id = keep_id
        self._key = key

    def take(self, name: str) -> dict[str, Any]:
        """Import the file of that name; the answer is what there is to say about it."""
        from sessionstore.errors import ImportFormatError
        from sessionstore.format.legacy import MAX_LEGACY_BYTES

        max_bytes = self._store.config.max_session_bytes
        with inputs.opened_to_seek(name, max_bytes) as file:
            if self._format == LEGACY_FORMAT:
                return {"file": name, **self._legacy(inputs.read_all(file, name, MAX_LEGACY_BYTES, setting=""))}
            start = file.read(len(_OWN_START))
            if self._format == OWN_FORMAT or (self._format == "auto" and start == _OWN_START):
                return {"file": name, **self._document(start + inputs.read_all(file, name, max_bytes))}
            try:
                return {"file": name, **self._transcript(file)}
            except ImportFormatError as error:
                if self._format == "auto" and _is_legacy(file):
                    raise ImportFormatError(
                        format=error.format, line=0, reason=_LEGACY_REASON, hint=_LEGACY_HINT
                    ) from None
                raise

    def _document(self, data: bytes) -> dict[str, Any]:
        session = self._store.import_document(
            data, trust=self._trust, passphrase=self._passphrase, keep_id=self._keep_id
        )
        told = {"id": session.id, "format": OWN_FORMAT, "name": session.name, "entries": len(session.entries)}
        warnings = [warning for warning in session.warnings if warning.code == "redacted"]
        return {**told, "warnings": warnings} if warnings else told

    def _legacy(self, data: bytes) -> dict[str, Any]:
        session = self._store.import_legacy(data, key=self._key, trust=self._trust)
        return {"id": session.id, "format": LEGACY_FORMAT, "name": session.name, "entries": len(session.entries)}

    def _transcript(self, file: BinaryIO) -> dict[str, Any]:
        from sessionstore.importers import open_transcript

        reader = open_transcript(file, format=self._format, max_bytes=self._store.config.max_session_bytes)
        head = reader.head
        session = take_in(self._store, head, reader.entries())
        return {
            "id": session.id,
            "format": head.format,
            "name": session.name,
            "entries": session.entries,
            "report": head.report,
        }


def _is_legacy(file: BinaryIO) -> bool:
    """Whether a file that can be read again is a session of format version 1, from before there were seals."""
    from sessionstore.errors import SessionStoreError
    from sessionstore.format.legacy import MAX_LEGACY_BYTES, parse_file

    file.seek(0)
    try:
        return "conversation" in parse_file(file.read(MAX_LEGACY_BYTES + 1), "")
    except SessionStoreError:
        return False


def _print(taken: list[dict[str, Any]], failed: dict[str, Failure]) -> None:
    if taken:
        columns = [Column("ID"), Column("FORMAT"), Column("ENTRIES", right=True), Column("NAME", flexible=True)]
        table(columns, [(one["id"], one["format"], f"{one['entries']:,}", one["name"]) for one in taken])
    for one in taken:
        for warning in one.get("warnings", ()):
            output.note(warning.text, label=one["file"])
        if "report" in one:
            first, *others = _report_lines(one["report"])
            output.note(first, label=one["file"])
            for text in others:
                output.say(f"  {text}")
    for name, failure in failed.items():
        output.note(f"error[{failure.code}]: {failure.message}", label=name)
        for text in failure.hint.splitlines():
            output.note(text, label="hint")


def _report_lines(report: ImportReport) -> Iterator[str]:
    """What became of a transcript, in words."""
    calls = f"{count_text(report.tool_calls, 'tool call')}, {count_text(report.tool_results, 'tool result')}"
    yield f"{count_text(report.records, 'record')}: {count_text(report.messages, 'message')} with {calls}"
    if report.preserved:
        kept = sum(report.preserved.values())
        most = sorted(report.preserved.items(), key=lambda kind: -kind[1])[:MAX_KINDS]
        named = ", ".join(f"{kind.partition('/')[2]} {number:,}" for kind, number in most)
        rest = len(report.preserved) - len(most)
        named += f" and {count_text(rest, 'other kind')}" if rest else ""
        yield f"preserved word for word, no part of the conversation: {kept:,} ({named})"
    for reason, number in report.not_represented.items():
        yield f"not represented: {number:,} ({reason})"
    if report.torn_last_line:
        yield "torn last line: its writer was stopped half way; it is kept as text"
    yield from report.warnings
