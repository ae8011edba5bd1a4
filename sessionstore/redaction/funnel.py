"""The one funnel through which secrets are taken out of JSON values: for exports, for what is shown, and in place.

What goes: tokens, keys and passwords of known forms (`sessionstore.redaction.rules`), the values of members that are
called a password or the like, and what the caller's own patterns fit. In its place stands `[redacted:KIND]`, which
holds nothing of what was there.

Rules:

* What a session hangs on stays: members that hold ids, roles, types and times are only searched for tokens and keys.
  What a caller's pattern fits in them is counted in `kept`, not replaced.
* What was redacted before is left alone and not counted again: the exact marks that are made here, of any kind that
  there is. What only looks like a mark is text.

Not promised: that every secret is found. A password in a sentence has no form. Nor that all that is taken out was one.
One object for one piece of work: it counts, and is not for several threads at once.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from sessionstore.config.patterns import check_pattern
from sessionstore.errors import InvalidValueError
from sessionstore.model.ids import MAX_NAME_CHARS, MAX_TAG_CHARS
from sessionstore.redaction.rules import KINDS, OVERLAP_CHARS, Rule, Span, find, known_rules, private_keys

T = TypeVar("T", bound=msgspec.Struct)

_OWN_KINDS = KINDS | {"entry", "named_value", "pattern"}
# Kinds by name: whoever writes into a session could put what a pattern is to find between the brackets.
_MARK = re.compile(rf"\[redacted:(?:{'|'.join(sorted(_OWN_KINDS))})\]")

# Member names without case, underscores and hyphens.
_SECRET_NAMES = frozenset(
    {
        "accesskey",
        "accesstoken",
        "apikey",
        "authorization",
        "authtoken",
        "bearertoken",
        "clientsecret",
        "cookie",
        "idtoken",
        "passphrase",
        "passwd",
        "password",
        "privatekey",
        "refreshtoken",
        "secret",
        "secretaccesskey",
        "secretkey",
        "sessiontoken",
        "setcookie",
        "xapikey",
    }
)
_KEPT_NAMES = frozenset(
    {
        "callid",
        "created",
        "createdat",
        "date",
        "id",
        "itemid",
        "kind",
        "messageid",
        "parentid",
        "parentuuid",
        "responseid",
        "role",
        "sessionid",
        "status",
        "time",
        "timestamp",
        "toolcallid",
        "tooluseid",
        "type",
        "updatedat",
        "uuid",
    }
)
# Members of an entry that frame its content; everything beside them is content.
_FRAMES = frozenset({"message", "content", "parts", "output", "summary"})


class Redactor:
    """Takes secrets out of values, and counts them.

    Args:
        secrets: Look for tokens, keys and passwords.
        patterns: Regular expressions of what else is to go.

    Attributes:
        counts: How often something was taken out, by kind.
        kept: How many ids, roles, types and times a pattern fits, which stayed as they are.

    Raises:
        InvalidValueError: A pattern cannot be used, or the library that knows the tokens is not installed.
    """

    def __init__(self, *, secrets: bool = True, patterns: Iterable[str] = ()) -> None:
        self.counts: Counter[str] = Counter()
        self.kept = 0
        self._secrets = secrets
        self._known = known_rules() if secrets else ()
        self._given = tuple(Rule("pattern", _compiled(pattern), "given") for pattern in patterns)

    @property
    def found(self) -> int:
        """How often something was taken out."""
        return self.counts.total()

    def value(self, value: Any) -> Any:
        """A JSON value without its secrets; `value` itself where there is none. Nothing is changed in place."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, (list, tuple)):
            items = [self.value(item) for item in value]
            return value if all(new is old for new, old in zip(items, value, strict=True)) else items
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return self._number(value)
        return value

    def described(self, holder: T) -> T:
        """A session or a session's state without the secrets in name, tags, config and todos; its entries stay."""
        held: Any = holder
        todos = tuple(
            msgspec.structs.replace(todo, content=self.text(todo.content), active_form=self.text(todo.active_form))
            for todo in held.todos
        )
        return msgspec.structs.replace(
            holder,
            # What stands for a secret may be longer than it was.
            name=self.text(held.name)[:MAX_NAME_CHARS],
            tags=tuple(dict.fromkeys(self.text(tag)[:MAX_TAG_CHARS] for tag in held.tags)),
            config=self.value(held.config),
            todos=todos,
        )

    def text(self, text: str) -> str:
        """A text without its secrets."""
        return self._replaced(text, (*self._known, *self._given))

    def entry(self, entry: dict[str, Any]) -> dict[str, Any]:
        """An entry without any content: what frames it stays, every other member is replaced as a whole."""
        blank = self._blank(entry)
        if blank == entry:
            return entry
        self.counts["entry"] += 1
        return blank

    def _blank(self, value: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, member in value.items():
            if _plain(name) in _KEPT_NAMES and not isinstance(member, (dict, list)):
                found[name] = self._kept(member)
            elif name in _FRAMES and isinstance(member, dict):
                found[name] = self._blank(member)
            elif name in _FRAMES and isinstance(member, list):
                found[name] = [self._blank(item) if isinstance(item, dict) else _mark("entry") for item in member]
            else:
                found[name] = _mark("entry")
        return found

    def _object(self, value: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        numbers: Counter[str] = Counter()
        changed = False
        for name, member in value.items():
            new_name = self.text(name)
            if _plain(name) in _KEPT_NAMES and not isinstance(member, (dict, list, tuple)):
                new = self._kept(member)
            elif self._secrets and _plain(name) in _SECRET_NAMES:
                new = self._named(member)
            else:
                new = self.value(member)
            changed = changed or new is not member or new_name != name
            base = new_name
            while new_name in found or (new_name != name and new_name in value):
                numbers[base] += 1
                new_name = f"{base} {numbers[base] + 1}"
            found[new_name] = new
        return found if changed else value

    def _kept(self, member: Any) -> Any:
        if not isinstance(member, (str, int, float)) or isinstance(member, bool):
            return member
        text = str(member)
        self.kept += any(rule.expression.search(text[:OVERLAP_CHARS]) for rule in self._given)
        return self._replaced(member, self._known) if isinstance(member, str) else member

    def _named(self, member: Any) -> Any:
        """The value of a member that is called a password or the like."""
        if isinstance(member, (list, tuple)):
            return [self._named(item) for item in member]
        if isinstance(member, (str, int, float)) and not isinstance(member, bool) and member != "":
            if isinstance(member, str) and _MARK.fullmatch(member):
                return member
            self.counts["named_value"] += 1
            return _mark("named_value")
        return self.value(member)

    def _number(self, value: float) -> Any:
        if any(rule.expression.search(str(value)) for rule in self._given):
            self.counts["pattern"] += 1
            return _mark("pattern")
        return value

    def _replaced(self, text: str, rules: tuple[Rule, ...]) -> str:
        spans = sorted(span for rule in rules for span in find(text, rule))
        if self._secrets:
            spans = sorted([*spans, *private_keys(text)])
        if not spans:
            return text
        marks = [(mark.start(), mark.end()) for mark in _MARK.finditer(text)]
        parts: list[str] = []
        done = 0
        for start, end, kind in _merged(span for span in spans if not _inside(span, marks)):
            self.counts[kind] += 1
            parts += (text[done:start], _mark(kind))
            done = end
        return "".join(parts) + text[done:]


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(check_pattern(pattern))
    except ValueError as exc:
        raise InvalidValueError(what="redaction pattern", reason=str(exc)) from None


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    """Spans that touch none of the others; of several that overlap, the first gives the name."""
    last: Span | None = None
    for span in spans:
        if last is not None and span.start < last.end:
            last = last._replace(end=max(last.end, span.end))
            continue
        if last is not None:
            yield last
        last = span
    if last is not None:
        yield last


def _inside(span: Span, marks: list[tuple[int, int]]) -> bool:
    before = bisect_right(marks, (span.start, len(marks) and marks[-1][1])) - 1
    return before >= 0 and marks[before][0] <= span.start and span.end <= marks[before][1]


def _mark(kind: str) -> str:
    return f"[redacted:{kind}]"


BLANK = _mark("entry")
"""What stands for a member of an entry whose whole content was taken out."""


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
