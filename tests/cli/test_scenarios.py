"""Whole conversations with the program, one file each: what is typed, what comes out, how it ends.

A scenario is a text file:

    # a comment
    $ sessionstore new --name "a b"      a command, with the shell's quoting; `sessionstore` is a real child process
    < {"a": 1}                           a line of its stdin (none: stdin is empty)
    > {ID:id}                            a line of its stdout, in order and complete
    ! hint: …                            a line of its stderr, likewise
    = 3                                  its exit code; left out: 0

In expected lines `{NAME:kind}` stands for a text of a kind and remembers it, `{:kind}` does not; `{NAME}` is what was
remembered, also in commands and input. Kinds: id, time (UTC in full), minute (local), size, any.
`@ write FILE` followed by `<` lines makes a file where the commands run (`../store` is the store); `@ tamper ID OLD
NEW` changes the file of a session, `@ tamper-audit OLD NEW` the first file of the audit log.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.scenario"))

KINDS = {
    "id": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z",
    "minute": r"\d{4}-\d\d-\d\d \d\d:\d\d",
    "size": r" *[\d.]+ (?:B|KiB|MiB)",
    "any": r".*?",
}
_HOLE = re.compile(r"\{([A-Z0-9]*)(?::([a-z]+))?\}")


class Scenario:
    """The state of one conversation."""

    def __init__(self, child, home: Path) -> None:
        self._child = child
        self._home = home
        self._known: dict[str, str] = {}

    def play(self, text: str) -> None:
        """Do what the text says, block by block; fail at the first line that is not as expected."""
        block: list[str] = []
        for line in [*text.splitlines(), "$"]:
            if line[:1] in ("$", "@") and block:
                self._do(block)
                block = []
            if line and not line.startswith("#") and line != "$":
                block.append(line)

    def _do(self, block: list[str]) -> None:
        first = shlex.split(self._filled(block[0][2:]))
        taken = {mark: [line[2:] for line in block[1:] if line[0] == mark] for mark in "<>!="}
        assert sum(map(len, taken.values())) == len(block) - 1, f"a line without a mark below {block[0]!r}"
        data = "".join(self._filled(line) + "\n" for line in taken["<"])
        if block[0][0] == "@":
            self._prepare(first, data)
            return
        assert first[0] == "sessionstore"
        ran = self._child(*first[1:], data=data.encode())
        where = f"{block[0]}\nstdout:\n{ran.out}\nstderr:\n{ran.err}\nexit: {ran.code}"
        self._match(taken[">"], ran.out, where)
        self._match(taken["!"], ran.err, where)
        assert str(ran.code) == (taken["="] or ["0"])[0].strip(), where

    def _prepare(self, words: list[str], data: str) -> None:
        if words[0] == "write":
            Path(words[1]).parent.mkdir(parents=True, exist_ok=True)
            Path(words[1]).write_text(data, encoding="utf-8")
            return
        assert words[0] in ("tamper", "tamper-audit")
        file = self._home / "state/audit/000001.jsonl"
        if words[0] == "tamper":
            file = self._home / "data/sessions" / f"{words.pop(1)}.jsonl"
        before = file.read_bytes()
        after = before.replace(words[1].encode(), words[2].encode())
        assert after != before
        file.write_bytes(after)

    def _match(self, expected: list[str], printed: str, where: str) -> None:
        lines = printed.splitlines()
        assert len(lines) == len(expected), where
        for pattern, line in zip(expected, lines, strict=True):
            match = re.fullmatch(self._pattern(pattern), line)
            assert match is not None, f"expected: {pattern}\nprinted:  {line}\n{where}"
            self._known.update(match.groupdict())

    def _pattern(self, expected: str) -> str:
        parts, at = [], 0
        for hole in _HOLE.finditer(expected):
            parts.append(re.escape(expected[at : hole.start()]))
            name, kind = hole.groups()
            if kind is None and not name:
                parts.append(re.escape(hole.group()))
            elif kind is None:
                parts.append(re.escape(self._known[name]))
            else:
                parts.append(f"(?P<{name}>{KINDS[kind]})" if name else f"(?:{KINDS[kind]})")
            at = hole.end()
        return "".join([*parts, re.escape(expected[at:])])

    def _filled(self, text: str) -> str:
        return _HOLE.sub(lambda hole: self._known.get(hole[1], hole.group()), text)


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.stem)
def test_the_conversation_goes_as_written(file: Path, child, home: Path) -> None:
    Scenario(child, home).play(file.read_text(encoding="utf-8"))


def test_there_are_scenarios() -> None:
    assert SCENARIOS
