"""The hours of the week in which rotations may begin: rules only, no I/O."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY_MINUTES = 24 * 60
_WEEK_MINUTES = 7 * _DAY_MINUTES
_MINUTE = timedelta(minutes=1)


class Opening(NamedTuple):
    """One time in which rotations may begin: from ``begins_at`` until just before ``ends_at``, aware UTC."""

    begins_at: datetime
    ends_at: datetime


class Windows:
    """The windows of a manifest, week after week.

    A window is of wall time in its zone, so that 02:00 is 02:00 in summer too. Where the clock is put forward over
    a window's edge, the window is the shorter for it; where it is put back, the longer.

    Args:
        windows: As in ``Mon-Fri 09:00-16:00`` or ``22:00-02:00``; none at all means any time.
        timezone: IANA name of their zone.
    """

    def __init__(self, windows: Iterable[str], timezone: str = "UTC") -> None:
        """Merge the windows into spans of the week's minutes."""
        self._zone: tzinfo = UTC if timezone == "UTC" else ZoneInfo(timezone)  # UTC needs no time zone database
        self._spans = _merged(span for window in windows for span in _spans(window))

    @property
    def is_always_open(self) -> bool:
        """Whether rotations may begin at any time."""
        return not self._spans

    def contain(self, instant: datetime) -> bool:
        """Return whether a rotation may begin at ``instant``."""
        if self.is_always_open:
            return True
        minute = self._minute(instant)
        at = bisect_right(self._spans, (minute, _WEEK_MINUTES))
        return at > 0 and minute < self._spans[at - 1][1]

    def next_after(self, instant: datetime) -> Opening:
        """Return the first opening that begins after ``instant``; there must be windows."""
        minute = self._minute(instant)
        at = bisect_right(self._spans, (minute, _WEEK_MINUTES))
        week = 0 if at < len(self._spans) else 1
        return self._opening(instant, week, self._spans[at % len(self._spans)])

    def last_before(self, instant: datetime) -> Opening:
        """Return the last opening that ended before ``instant`` or at it; there must be windows."""
        minute = self._minute(instant)
        ended = [span for span in self._spans if span[1] <= minute]
        return self._opening(instant, 0 if ended else -1, (ended or self._spans)[-1])

    def _minute(self, instant: datetime) -> int:
        local = instant.astimezone(self._zone)
        return local.weekday() * _DAY_MINUTES + local.hour * 60 + local.minute

    def _opening(self, near: datetime, week: int, span: tuple[int, int]) -> Opening:
        local = near.astimezone(self._zone)
        monday = datetime(local.year, local.month, local.day) - timedelta(days=local.weekday() - 7 * week)
        begins_at, ends_at = ((monday + minute * _MINUTE).replace(tzinfo=self._zone) for minute in span)
        return Opening(begins_at.astimezone(UTC), ends_at.astimezone(UTC))


def _spans(window: str) -> Iterator[tuple[int, int]]:
    """Yield the minutes of the week that a window covers, each span within one week."""
    *days, hours = window.split()
    first, _, last = (days[0] if days else "Mon-Sun").partition("-")
    begin, end = (int(text[:2]) * 60 + int(text[3:]) for text in hours.split("-"))
    length = end - begin if end > begin else end - begin + _DAY_MINUTES
    day, count = _DAYS.index(first), (_DAYS.index(last or first) - _DAYS.index(first)) % 7 + 1
    for number in range(day, day + count):
        start = number % 7 * _DAY_MINUTES + begin
        yield start, min(start + length, _WEEK_MINUTES)
        if start + length > _WEEK_MINUTES:  # Sunday's goes on into Monday
            yield 0, start + length - _WEEK_MINUTES


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged
