"""Regular expressions that a person configures, and which of them are taken.

Rules:

* Who writes the configuration is trusted, the text that the patterns are run over is not: somebody may have made it to
  be slow. So what makes matching explode is refused: a repeated group that holds another repetition, an option or a
  choice, and references back to a group.
* A pattern that fits the empty text fits everywhere and is refused.

Not promised: that every pattern taken is quick. Several repetitions of the same characters in a row (`a*a*a*b`) can
still be slow; who uses a pattern bounds the text (see `sessionstore.redaction`).
"""

from __future__ import annotations

import json
import re

import msgspec

MAX_PATTERNS = 64
MAX_PATTERN_CHARS = 500

_UNTAKEN = re.compile(r"\(\?[aiLmsu]*x|\(\?P=|\(\?\(|\(\?#")
_NUMBERED = re.compile(r"(?<!\\)(?:\\\\)*\\[1-9]")
_REPEATS = re.compile(r"[*+]|\{[0-9]*,?[0-9]*\}")
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\((?:\?(?:P?<\w+>|<?[=!]|[>:]|[a-zA-Z-]*:))?|.", re.DOTALL)


def check_pattern(text: object) -> str:
    """The pattern itself, if it may be used.

    Raises:
        ValueError: It is no text, too long, no regular expression, fits the empty text, or can take for ever.
    """
    if not isinstance(text, str) or not 1 <= len(text) <= MAX_PATTERN_CHARS:
        raise ValueError(f"a pattern of 1 to {MAX_PATTERN_CHARS} characters is needed")
    try:
        compiled = re.compile(text)
    except (re.error, RecursionError, OverflowError):
        compiled = None
    # Outside the handler: the error of `re` holds the pattern, and would come along as the context of ours.
    if compiled is None:
        raise ValueError("it is not a regular expression")
    if compiled.search("") is not None:
        raise ValueError("it fits the empty text, and so every place")
    if _UNTAKEN.search(text) or _NUMBERED.search(text):
        raise ValueError("references to a group, conditions, comments and the flag x are not taken")
    if _explodes(text):
        raise ValueError("a repeated group holds a repetition, an option or a choice, which can take for ever")
    return text


def _explodes(text: str) -> bool:
    """Whether a group that is repeated holds something that can fit in several ways."""
    varied = [False]  # for each open group: whether something inside it can fit in several ways
    at = 0
    closed: bool | None = None  # what was just closed: a group, varied or not, or no group
    while at < len(text):
        repeats = _REPEATS.match(text, at)
        if repeats is not None or text[at] == "?":
            if closed and text[at] != "?":
                return True
            varied[-1] = True
            at = repeats.end() if repeats is not None else at + 1
            closed = None
            continue
        token = _TOKEN.match(text, at)
        at = token.end() if token is not None else at + 1
        part = token[0] if token is not None else ""
        closed = None
        if part.startswith("("):
            varied.append(False)
        elif part == ")":
            closed = varied.pop()
            varied[-1] = varied[-1] or closed
        elif part == "|":
            varied[-1] = True
    return False


class Patterns(msgspec.Struct, frozen=True):
    """A list of regular expressions: an array in TOML, the same as JSON text in the environment, a tuple in code."""

    unit: str = ""
    needed: str = (
        f"a list of at most {MAX_PATTERNS} regular expressions of 1 to {MAX_PATTERN_CHARS} characters is needed"
    )

    def read(self, raw: object) -> tuple[str, ...]:
        """See `Kind`."""
        if isinstance(raw, str):
            try:
                raw = json.loads(raw)
            except (ValueError, RecursionError):
                raw = None
        if not isinstance(raw, list):
            raise ValueError(self.needed)
        value = tuple(raw)
        self.check(value)
        return value

    def check(self, value: object) -> None:
        """See `Kind`."""
        if not isinstance(value, tuple) or len(value) > MAX_PATTERNS:
            raise ValueError(self.needed)
        for number, pattern in enumerate(value, 1):
            try:
                check_pattern(pattern)
            except ValueError as exc:
                raise ValueError(f"pattern {number}: {exc}") from None

    def show(self, value: object) -> str:
        """See `Kind`."""
        return json.dumps(list(value)) if isinstance(value, tuple) else str(value)
