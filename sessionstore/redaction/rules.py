"""What a secret looks like, and where in a text one stands.

The patterns of tokens and keys are those of the library `detect-secrets`, the extra `redact`. It is imported when a
redaction is asked for, and used for its tables only: the parts of it that read files, or ask the issuer of a token
over the network whether it is good, are never called. Beside it stand a few forms that its last release lacks.

Rules:

* Texts are searched in windows of 8,192 characters that overlap by 2,048, so that a text that was made to be slow
  costs in proportion to its length. A match that reaches the end of its window is followed beyond it, and the rest of
  its token with it; what lies inside of that is not followed again. What a pattern needs more than 2,048 characters
  for may be missed where two windows meet.
* Private keys go from their first line to their last; the library finds the first line only.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from functools import cache
from typing import Literal, NamedTuple

from sessionstore.errors import InvalidValueError

WINDOW_CHARS = 8_192
OVERLAP_CHARS = 2_048

# Modules of the library, and the class in each. Left out: what finds anything random, any word like "secret", or any
# address (too much of a conversation would go); private keys, of which the library finds the first line only;
# assignments to the names of one issuer, which cost as much as all others and which ours finds when they are quoted;
# and a pattern that takes time in the square of its text, in whose place stands one of ours.
_LIBRARY = {
    "artifactory": "ArtifactoryDetector",
    "aws": "AWSKeyDetector",
    "azure_storage_key": "AzureStorageKeyDetector",
    "basic_auth": "BasicAuthDetector",
    "discord": "DiscordBotTokenDetector",
    "github_token": "GitHubTokenDetector",
    "gitlab_token": "GitLabTokenDetector",
    "jwt": "JwtTokenDetector",
    "mailchimp": "MailchimpDetector",
    "npm": "NpmDetector",
    "pypi_token": "PypiTokenDetector",
    "sendgrid": "SendGridDetector",
    "slack": "SlackDetector",
    "square_oauth": "SquareOAuthDetector",
    "stripe": "StripeDetector",
    "telegram_token": "TelegramBotTokenDetector",
    "twilio": "TwilioKeyDetector",
}
_WORDS = r"passw(?:or)?d|passphrase|secret|api[_-]?key|access[_-]?key|private[_-]?key|(?:access|auth|refresh)[_-]?token"
# What the library of this release does not know. The group `s` is what goes; without one, all of it.
_OURS = {
    "anthropic": r"sk-ant-[A-Za-z0-9_-]{16,}",
    "openai": r"\bsk-(?!ant-)(?=[A-Za-z0-9_-]{0,200}[0-9])[A-Za-z0-9_-]{20,}",
    "github_token": r"github_pat_[A-Za-z0-9_]{22,}",
    "google_key": r"AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}",
    "huggingface": r"\bhf_[A-Za-z0-9]{30,}",
    "bearer": r"(?i)\b(?:bearer|basic)\s{1,4}(?=[A-Za-z0-9+/_.~-]{0,200}[0-9])(?P<s>[A-Za-z0-9+/_.~-]{16,}={0,2})",
    "assigned": rf"(?i)(?:{_WORDS})[\w-]{{0,20}}\\?[\"']?\s{{0,4}}(?:=>|:=|={{1,3}}|:)\s{{0,4}}\\?"
    r"(?P<q>[\"'])(?P<s>[^\"'\\\r\n]{4,512})\\?(?P=q)",
    "assigned_in_shell": r"(?m)(?:^|[\s;])[A-Z0-9_]{0,40}"
    r"(?:PASSWORD|PASSWD|SECRET|TOKEN|API_KEY|ACCESS_KEY|PRIVATE_KEY)[A-Z0-9_]{0,20}=[\"']?(?P<s>[^\s\"'$&;]{6,})",
}
_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_END = re.compile(r"-----END [A-Z0-9 ]{0,40}-----")
_TOKEN_CHARS = re.compile(r"[A-Za-z0-9_\-+/=.]*")
_TRIMMED = " \t\r\n\"'="
_PART = "s"

KINDS = frozenset({*_LIBRARY, *_OURS, "private_key"})


class Rule(NamedTuple):
    """A pattern and the kind of secret that it finds; `source` says who made it."""

    kind: str
    expression: re.Pattern[str]
    source: Literal["library", "ours", "given"]


class Span(NamedTuple):
    """A place in a text."""

    start: int
    end: int
    kind: str


@cache
def known_rules() -> tuple[Rule, ...]:
    """The patterns of the library and our own, compiled; loading the library takes a quarter of a second, once.

    Raises:
        InvalidValueError: The library is not installed.
    """
    rules = [Rule(kind, re.compile(expression), "ours") for kind, expression in _OURS.items()]
    try:
        for module, name in _LIBRARY.items():
            plugin = getattr(importlib.import_module(f"detect_secrets.plugins.{module}"), name)()
            rules += [Rule(module, expression, "library") for expression in plugin.denylist]
    except ImportError as exc:
        raise InvalidValueError(
            what="redaction",
            reason="the library that knows tokens and keys is not installed",
            hint="pip install 'sessionstore[redact]'",
        ) from exc
    return tuple(rules)


def find(text: str, rule: Rule) -> Iterator[Span]:
    """Yield where a rule fits, window after window; a place may come twice, what lies inside of another does not."""
    start = 0
    covered = Span(0, 0, rule.kind)
    while True:
        end = min(start + WINDOW_CHARS, len(text))
        for match in rule.expression.finditer(text, start, end):
            # The start counts too: the next window may show a match that begins before what is covered.
            if covered.start <= match.start() and match.end() <= covered.end:
                continue
            whole = _followed(rule.expression, text, match, end)
            if whole is not None and whole.end() > whole.start():
                span = _span(text, whole, rule)
                if span.end > covered.end:
                    covered = span
                yield span
        if end == len(text):
            return
        start = end - OVERLAP_CHARS


def _followed(expression: re.Pattern[str], text: str, match: re.Match[str], end: int) -> re.Match[str] | None:
    """The match as it is without the window's end, which it may have been cut by, or have fitted for it alone."""
    found: re.Match[str] | None = match
    while found is not None and found.end() == end < len(text):
        end = min(len(text), match.start() + 2 * (end - match.start()))
        found = expression.match(text, match.start(), end)
    return found


def _span(text: str, match: re.Match[str], rule: Rule) -> Span:
    start, end = match.span(_PART if rule.source == "ours" and _PART in rule.expression.groupindex else 0)
    if rule.source == "library":
        # Its patterns find the place and may leave the rest of a token standing, such as a signature; others take in
        # the quotes around it.
        while end > start and text[end - 1] in _TRIMMED:
            end -= 1
        while start < end and text[start] in _TRIMMED:
            start += 1
        if end > start and _TOKEN_CHARS.fullmatch(text, end - 1, end):
            more = _TOKEN_CHARS.match(text, end)
            end += len(more[0].rstrip(".")) if more is not None else 0
    return Span(start, end, rule.kind)


def private_keys(text: str) -> Iterator[Span]:
    """Private keys from the first line to the last; one that was cut off, to the end of the text."""
    at = 0
    while begin := _BEGIN.search(text, at):
        end = _END.search(text, begin.end())
        at = len(text) if end is None else end.end()
        yield Span(begin.start(), at, "private_key")
