"""Suppressions: a comment in a finding's line says that it may stand there, why, and until when.

::

    token = "…"  # vantage-secrets: allow github-token reason="made up, for the tests" until=2027-01-31

It stands behind a comment sign (``#  //  --  /*  <!--  ;  %``) in the finding's own line, or alone in the line above.
It names the rules, with commas between them, or ``*`` for all. Only a whole one suppresses; what is wrong with another
is told with the finding, so that nobody wonders.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

MARK = b"vantage-secrets: allow"

_REACH_BYTES = 16_384
"""How far from the value a comment is looked for: a line may be a whole minified file, with many findings in it."""
_REASON_MAX = 200
_KNOWN_VALUE = "known-value"
# Compiled when a mark is found, which is rare: compiling them takes longer than looking for marks in many files.
_SIGN = rb"(?:#|//|--|\*|<!--|;|%)[ \t]*\Z"
_ALONE = rb"\A[ \t]*(?:#+|/{2,}|--+|/?\*+|<!--|;+|%+)[ \t]*\Z"
_RULES = rb"[ \t]+(\*|[a-z0-9-]+(?:,[a-z0-9-]+)*)(?=[ \t]|\Z)"
_FIELD = rb"[ \t]+([a-z]+)=(?:\"([^\"]*)\"|'([^']*)'|([^\s\"']+))"
_ENDING = rb"[ \t]*(?:\Z|#|//|--|/\*|\*/|<!--|-->|;|%)"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"


class Outcome(StrEnum):
    """What a comment comes to."""

    SUPPRESSED = "suppressed"
    EXPIRED = "expired"
    MALFORMED = "malformed"
    """It has a mistake, or it is about another rule."""


class Suppression(NamedTuple):
    """What a comment says about a finding.

    Attributes:
        outcome: What it comes to.
        reason: The comment's own reason, or why it does not suppress; one line, for ``Finding.reason``.
        until: The last day on which it holds, as in ``2027-01-31``; empty when it has no end.
    """

    outcome: Outcome
    reason: str
    until: str = ""

    @property
    def holds(self) -> bool:
        """Whether the finding is suppressed."""
        return self.outcome is Outcome.SUPPRESSED


def suppression_for(data: bytes, begin: int, end: int, rule: str, today: str) -> Suppression | None:
    """Return what a comment says about a value, ``None`` when there is no comment.

    Of several, one that holds counts; else the first.

    Args:
        data: The text that holds the value.
        begin: Where the value begins in it.
        end: Where it ends.
        rule: Id of the rule that found it.
        today: The present day, UTC, as in ``2027-01-31``.
    """
    line_begin = _line_begin(data, begin)
    found = data.find(b"\n", end, end + _REACH_BYTES)
    line_end = min(len(data), end + _REACH_BYTES) if found < 0 else found
    is_below = data[line_begin - 1 : line_begin] == b"\n"
    above_begin = _line_begin(data, line_begin - 1) if is_below else line_begin
    if data.find(MARK, above_begin, line_end) < 0:
        return None
    # SECURITY: not in the value itself; and a comment behind other code in the line above is about that line.
    pieces = ((line_begin, begin, _SIGN), (end, line_end, _SIGN), (above_begin, line_begin, _ALONE))
    results = [
        _judged(comment, data[begin:end], rule, today)
        for first, last, sign in pieces
        for comment in _comments(data[first:last], sign)
    ]
    return next((result for result in results if result.holds), results[0] if results else None)


def _line_begin(data: bytes, position: int) -> int:
    lowest = max(0, position - _REACH_BYTES)
    return data.rfind(b"\n", lowest, position) + 1 or lowest


def _comments(piece: bytes, sign: bytes) -> list[bytes]:
    """Return what follows the mark in each comment of ``piece``."""
    first, *others = piece.rstrip(b"\r\n").split(MARK)
    befores = [first, *others]
    return [after for before, after in zip(befores, others, strict=False) if re.search(sign, before)]


def _judged(comment: bytes, value: bytes, rule: str, today: str) -> Suppression:
    rules = re.match(_RULES, comment)
    if rules is None:
        return _refused("it names no rule")
    named = rules[1].decode().split(",")
    # SECURITY: our own values are certain, so a comment about everything does not cover them.
    if rule not in named and (named != ["*"] or rule == _KNOWN_VALUE):
        return _refused(f"it allows {', '.join(named)}, and this is {rule}")
    fields, rest = {}, comment[rules.end() :]
    while field := re.match(_FIELD, rest):
        fields[field[1].decode()] = next(part for part in field.groups()[1:] if part is not None)
        rest = rest[field.end() :]
    if not re.match(_ENDING, rest) or fields.keys() - {"reason", "until"}:
        return _refused('it has more in it than reason="…" and until=YYYY-MM-DD')
    return _dated(_readable(fields.get("reason", b""), value), fields.get("until", b"").decode("latin-1"), today)


def _dated(reason: str, until: str, today: str) -> Suppression:
    if not reason:
        return _refused("it gives no reason")
    if until and not _is_date(until):
        return _refused("its until is no date such as 2027-01-31")
    if until and until < today:
        return Suppression(Outcome.EXPIRED, f"The comment that allowed it ended on {until}: {reason}", until)
    return Suppression(Outcome.SUPPRESSED, reason, until)


def _refused(why: str) -> Suppression:
    return Suppression(Outcome.MALFORMED, f"The comment beside it does not suppress it: {why}.")


def _is_date(text: str) -> bool:
    from datetime import date

    try:
        return bool(re.fullmatch(_DATE, text) and date.fromisoformat(text))
    except ValueError:
        return False


def _readable(reason: bytes, value: bytes) -> str:
    # SECURITY: reports show the reason; neither the value nor an escape sequence for a terminal may go with it.
    text = reason.replace(value or b"\0", "•••".encode()).decode("utf-8", "replace").strip()
    return "".join(mark if mark.isprintable() else "\N{REPLACEMENT CHARACTER}" for mark in text)[:_REASON_MAX]
