"""Whether a text that a regular expression found is a secret: entropy, checksums, and what people write instead."""

from __future__ import annotations

import math
import re

from vantage_secrets.leaks.checksums import CHECKS
from vantage_secrets.leaks.patterns import compiled
from vantage_secrets.leaks.rule import Rule

_PLACEHOLDER = compiled(
    rb"(?i)example|placeholder|dummy|change.?me|redacted|your[-_]|(?-i:x{4}|X{4})|\*\*\*\*|\.\.\.|12345678|abcdefgh|<[a-z]|\$\{|\{\{"
    rb"|^(.)\1*$|(.)\2{7}"
)
"""What stands in documentation instead of a token. The last two: one character all along, or eight times in a row."""
_HOLE = compiled(rb"\{[A-Za-z0-9-]{1,24}:[0-9]{1,4}\}")
"""A hole of a template, ours (``leaks.examples``) or another's: what fills it is the secret."""


def value_of(match: re.Match[bytes]) -> tuple[int, int]:
    """Return begin and end of the value in what a rule's regular expression matched."""
    if "secret" in match.re.groupindex:
        return match.span("secret")
    return match.span(1) if match.re.groups else match.span()


def accepts(rule: Rule, match: re.Match[bytes]) -> bool:
    """Return whether ``match`` of the rule's regular expression is a secret, as far as its text can tell.

    Args:
        rule: The rule.
        match: What its regular expression matched; ``match.string`` is the whole text, for the context.
    """
    begin, end = value_of(match)
    value = match.string[begin:end]
    if not value:
        return False
    if rule.judge == "none":
        return True
    if rule.entropy and entropy(value) < rule.entropy:
        return False
    if rule.checksum and not CHECKS[rule.checksum](value.decode("ascii", "replace")):
        return False
    if _HOLE.search(value):
        return False
    if rule.judge == "password":
        from vantage_secrets.leaks.passwords import is_password

        return is_password(match, value)
    return not _PLACEHOLDER.search(value)


def entropy(value: bytes) -> float:
    """Return the Shannon entropy of ``value``'s own bytes, in bits a byte; 0.0 to 8.0."""
    length = len(value)
    if not length:
        return 0.0
    return -sum(count / length * math.log2(count / length) for count in map(value.count, set(value)))
