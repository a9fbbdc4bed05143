"""Whether one value is what the field table says, and the words for it when it is not."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vantage_secrets.manifest.fields import (
    COUNT_MAX,
    ELEMENTS,
    LENGTHS,
    PATTERNS,
    SEGMENT_BYTES_MAX,
    SEGMENT_BYTES_MIN,
    Field,
    Shape,
)
from vantage_secrets.manifest.locator import KeyPath

_ECHO_LENGTH = 24
_ECHOED = (Shape.ACCOUNT, Shape.CHOICE, Shape.DURATION, Shape.NAME, Shape.WORD)
_BOUNDS = {Shape.BYTES: (SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX), Shape.COUNT: (1, COUNT_MAX)}
_VALUE_KEYS = frozenset({"value", "secret", "password", "token", "default", "key"})

FORMS = {
    Shape.TEXT: "one line of text in quotes, at most 200 characters",
    Shape.WORD: "lower-case letters, digits and single hyphens in quotes, at most 40 characters",
    Shape.NAME: 'lower-case letters, digits and single hyphens in parts joined by "/", as in "vantage/api-key"',
    Shape.URL: "a URL in quotes, without a password",
    Shape.PATH: "a path in quotes",
    Shape.DURATION: 'days, hours, minutes and seconds in quotes, as in "90d", "12h" or "1h30m"',
    Shape.BYTES: f"a whole number from {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX}",
    Shape.COUNT: f"a whole number from 1 to {COUNT_MAX}",
    Shape.ACCOUNT: "a user's name of letters, digits, underscores, dots and hyphens in quotes, at most 60 characters",
    Shape.WORDS: 'a list of different words, as in ["collector", "worker"]',
    Shape.TEXTS: "a list of texts in quotes",
    Shape.WINDOW: 'days and hours in quotes, as in "Mon-Fri 09:00-16:00"',
    Shape.WINDOWS: 'a list of windows, as in ["Mon-Fri 09:00-16:00"]',
    Shape.URLS: "a list of different URLs in quotes, without passwords",
    Shape.NAMES: 'a list of different names, as in ["vantage/api-key"]',
}


def matches(value: object, field: Field) -> bool:
    """Return whether ``value`` may stand where ``field`` does."""
    if field.shape is Shape.CHOICE:
        return isinstance(value, str) and value in field.allowed
    if field.shape in _BOUNDS:
        least, most = _BOUNDS[field.shape]
        return type(value) is int and least <= value <= most
    if field.shape in ELEMENTS:
        element = ELEMENTS[field.shape]
        return (
            isinstance(value, list) and all(is_text(each, element) for each in value) and _are_different(value, field)
        )
    return is_text(value, field.shape)


def _are_different(values: list[str], field: Field) -> bool:
    # A program's arguments may repeat, and stand in a list of texts; words, names and URLs are sets.
    return field.shape is Shape.TEXTS or len(set(values)) == len(values)


def is_text(value: object, shape: Shape) -> bool:
    """Return whether ``value`` is a text of that shape and not too long."""
    if not isinstance(value, str) or len(value) > LENGTHS[shape] or value.endswith("\n"):  # `$` allows a last newline.
        return False
    return re.search(PATTERNS[shape], value) is not None


def shown(value: object, field: Field) -> str:
    """Return what was found in words.

    SECURITY: a text is repeated only when it is short and stands where a word or a length belongs; anything
    else could be a value that somebody pasted.
    """
    if isinstance(value, str) and field.shape in _ECHOED and len(value) <= _ECHO_LENGTH and value.isprintable():
        return f"'{value}'"
    if type(value) is int and field.shape in _BOUNDS:
        return str(value)
    if isinstance(value, str):
        return "a text of another form" if value else "empty"
    return kind_of(value)


def kind_of(value: object) -> str:
    """Return which of TOML's types ``value`` has, in words and without the value."""
    kinds = ((bool, "true or false"), (int | float, "a number"), (str, "a text"), (list, "a list"), (dict, "a table"))
    return next((words for kind, words in kinds if isinstance(value, kind)), "a date or time")


def allowed(field: Field) -> str:
    """Return what may stand there, as the next action."""
    if field.shape is Shape.CHOICE:
        return f"Use one of: {', '.join(field.allowed)}."
    return f"Write {FORMS[field.shape]}."


def hint_for(key: str, known: Sequence[str]) -> str:
    """Return what to do about an unknown ``key``: the nearest known one, or all of them."""
    from difflib import get_close_matches

    if key.lower() in _VALUE_KEYS:
        return "A manifest holds no values; use 'vantage-secrets set NAME' or 'vantage-secrets migrate import'."
    near = get_close_matches(key.lower(), known, n=1)
    return f"Did you mean '{near[0]}'?" if near else f"Use one of: {', '.join(known)}."


def label(path: KeyPath) -> str:
    """Return the dotted path; a part that is long enough to be a pasted value is left out."""
    return ".".join(part if len(part) <= 40 and part.isprintable() else "…" for part in path)
