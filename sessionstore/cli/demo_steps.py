"""What `sessionstore demo` does, one step after the other, in a store of its own.

Everything is real: the packaged transcripts are imported, turns are saved, files are changed on disk as an attacker
would change them, and the store is asked for the session again. A step is right if what happened is what the store
promises.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sessionstore.cli.present import count_text, size_text
from sessionstore.cli.transcripts import take_in

if TYPE_CHECKING:
    from sessionstore.resume import Run
    from sessionstore.store import SessionStore

_TURNS = (
    {"role": "user", "content": "One more thing: write down what we changed, so that I find it tomorrow."},
    {"role": "assistant", "content": "Done. The summary is the last entry of this session, sealed like all others."},
)
_MORE = ({"role": "user", "content": "Thank you. That was all."},)


class Step(NamedTuple):
    """One step and how it ended.

    Attributes:
        title: What was done, as a sentence.
        ok: Whether the store did what it promises.
        lines: What was seen.
        code: The error code of a refusal, or "".
    """

    title: str
    ok: bool
    lines: tuple[str, ...]
    code: str = ""


def play(store: SessionStore) -> Iterator[Step]:
    """Yield each step after it was done. The store is empty at the start and used for nothing else."""
    from sessionstore.importers import FORMATS

    ids = []
    for format_name in FORMATS:
        session_id, step = _import(store, format_name)
        ids.append(session_id)
        yield step
    session_id = ids[0]
    file = store.config.data_dir / "sessions" / f"{session_id}.jsonl"
    older = file.read_bytes()
    rev = store.append(session_id, _TURNS)
    store.append(session_id, _MORE)
    yield Step(
        "Save three more turns, in two appends",
        rev > 1,
        (f"the file grew from {size_text(len(older))} to {size_text(file.stat().st_size)}; nothing was rewritten",),
    )
    yield _list(store)
    yield _verify(store, "Verify every byte of all sessions")
    good = file.read_bytes()
    yield _tampered(store, session_id, file, "Change one byte of a saved message", _flipped(good), "invalid_signature")
    yield _tampered(store, session_id, file, "Take one line out", _shortened(good), "invalid_signature")
    yield _tampered(store, session_id, file, "Put an older, genuine copy of the file back", older, "rollback")
    other = (store.config.data_dir / "sessions" / f"{ids[1]}.jsonl").read_bytes()
    yield _tampered(store, session_id, file, "Put another session's file in its place", other, "wrong_session")
    _put(file, good)
    yield _verify(store, "Put the file back as it was saved")
    project = store.config.data_dir.parent / "atlas"
    yield _resumed(store, session_id, project)
    yield _redirected(store, session_id, project)
    store.delete(session_id)
    yield _tampered(store, session_id, file, "Delete the session, then put its file back", good, "resurrected")


def _import(store: SessionStore, format_name: str) -> tuple[str, Step]:
    from sessionstore.importers import read_transcript
    from sessionstore.importers.demo import demo_transcript

    data = demo_transcript(format_name)
    transcript = read_transcript(data, format="auto", max_bytes=len(data))
    session = take_in(store, transcript, transcript.entries)
    report = transcript.report
    kept = sum(report.preserved.values())
    lines = (
        f"{session.name}",
        f"{count_text(report.records, 'record')}: {count_text(report.messages, 'message')}, "
        f"{count_text(report.tool_calls, 'tool call')}, {kept:,} kept word for word",
    )
    ok = transcript.format == format_name and store.load(session.id).entries == transcript.entries
    return session.id, Step(f"Import a {format_name} transcript", ok, lines)


def _list(store: SessionStore) -> Step:
    page = store.list()
    lines = [
        f"{listed.id[:8]}  {count_text(listed.entries, 'entry', 'entries')}  {listed.name}" for listed in page.sessions
    ]
    return Step("List the sessions, newest first", len(page.sessions) == 3 and not page.unreadable, tuple(lines))


def _verify(store: SessionStore, title: str) -> Step:
    results = list(store.verify())
    refused = [result for result in results if not result.ok]
    line = f"{count_text(len(results) - len(refused), 'session')} verified, {len(refused)} refused"
    return Step(title, bool(results) and not refused, (line,))


def _tampered(store: SessionStore, session_id: str, file: Path, title: str, data: bytes, expected: str) -> Step:
    """Put `data` in the place of the session's file and ask for the session."""
    from sessionstore.errors import SessionStoreError

    _put(file, data)
    try:
        store.load(session_id)
    except SessionStoreError as exc:
        return Step(title, exc.code == expected, (f"refused: {exc}",), exc.code)
    return Step(title, False, ("the changed session was loaded: the store did not keep its promise",))


def _resumed(store: SessionStore, session_id: str, project: Path) -> Step:
    """Bind the session to a directory, and resume it there."""
    _make(project, "the plan for atlas")
    store.rebind(session_id, project, consent="the demo")
    with store.resume(session_id) as run:
        read = _read(run)
        run.commit()
    lines = (f"the tool got the directory itself, held open, and read in it: {read}",)
    return Step("Resume the session in its project directory", read == "the plan for atlas", lines)


def _redirected(store: SessionStore, session_id: str, project: Path) -> Step:
    """Exchange the directory under the hands of a tool that has started."""
    from sessionstore.errors import ProjectPathError

    title, read = "Resume it again, and put another directory in the project's place meanwhile", ""
    try:
        with store.resume(session_id) as run:
            project.rename(project.with_name("moved"))
            _make(project, "the plan of somebody else")
            read = _read(run)
            run.commit()
    except ProjectPathError as exc:
        lines = (f"the tool still read: {read}", f"refused: {exc.verdict}; the session is as it was")
        return Step(title, (exc.verdict, read) == ("replaced", "the plan for atlas"), lines, exc.code)
    return Step(title, False, ("the exchange was not noticed: the store did not keep its promise",))


def _make(project: Path, plan: str) -> None:
    project.mkdir(mode=0o755)
    (project / "PLAN").write_text(plan)


def _read(run: Run) -> str:
    """What a tool finds that opens a file through the directory it was given."""
    if run.project is None:
        return ""
    with open("PLAN", opener=run.project.open) as stream:
        return stream.read()


def _put(file: Path, data: bytes) -> None:
    """Another file under the same name, as a backup or an editor would leave it."""
    beside = file.with_name("changed")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
    beside.replace(file)


def _flipped(data: bytes) -> bytes:
    """The same with the first letter of the newest message changed; still valid JSON."""
    at = data.rindex(b'"content":"') + len(b'"content":"')
    return data[:at] + (b"x" if data[at : at + 1] != b"x" else b"y") + data[at + 1 :]


def _shortened(data: bytes) -> bytes:
    """The same without one entry from the middle."""
    lines = data.split(b"\n")
    entries = [number for number, line in enumerate(lines) if line.startswith(b'{"entry":')]
    del lines[entries[len(entries) // 2]]
    return b"\n".join(lines)
