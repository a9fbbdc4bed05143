"""The time, and lengths of time as people write them: no I/O but the system clock."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from vantage_secrets.errors import InvalidInputError

Clock = Callable[[], datetime]
"""Anything that returns the present as an aware UTC ``datetime``; tests pass a ``FakeClock``."""

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)


def utc_now() -> datetime:
    """Return the present as an aware UTC ``datetime``."""
    return datetime.now(UTC)


def parse_duration(text: str) -> timedelta:
    """Return the length that ``text`` writes with the units d, h, m and s, as in ``90d`` or ``1h30m``.

    Raises:
        InvalidInputError: ``text`` is not of that form. ``0s`` is a length; an empty text is not.
    """
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        raise InvalidInputError(
            f"'{text[:20]}' is not a length of time.",
            hint="Write days, hours, minutes and seconds as in 90d, 12h or 1h30m.",
        )
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    try:
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        raise InvalidInputError(f"'{text[:20]}' is too long.", hint="Write at most 999999999d.") from None


def format_duration(length: timedelta, *, parts: int = 4) -> str:
    """Return ``length`` as :func:`parse_duration` reads it, in whole seconds.

    Args:
        length: Any length; a negative one gets a leading minus sign.
        parts: How many units at the most, the largest first: 2 makes ``3d4h`` of three days and four and a half hours.
    """
    seconds = int(length.total_seconds())
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    words: list[str] = []
    for unit, size in _UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            words.append(f"{count}{unit}")
    return sign + "".join(words[:parts]) if words else "0s"
