"""What an event is: as it comes over HTTP, as it travels on the bus, and as it lies in the table."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

TOPIC = "events"
"""The bus's topic that carries events."""

GROUP = "worker"
"""The consumer group of the workers."""

KINDS = ("page-view", "click", "purchase", "error")
"""What the example's load sends; any short word is taken."""

INSERT = "INSERT INTO events (id, kind, received_at, bus_partition, bus_offset) VALUES"
COUNT = "SELECT count(DISTINCT id) FROM events WHERE received_at >= %(since)s AND kind = %(kind)s"
FENCE = "SELECT bus_partition, max(bus_offset) FROM events GROUP BY bus_partition"

_ID_LENGTH_MAX = 64
_KIND_LENGTH_MAX = 32


class Event(NamedTuple):
    """One thing that happened.

    Attributes:
        id: Chosen by who sends it, so that it is the same event when it is sent again.
        kind: Such as ``click``.
        received_at: When the collector took it, milliseconds since 1970.
    """

    id: str
    kind: str
    received_at: int

    def encoded(self) -> bytes:
        """Return the event as it travels on the bus."""
        return json.dumps(self).encode()

    @classmethod
    def decoded(cls, message: bytes) -> Event:
        """Return the event that :meth:`encoded` wrote."""
        return cls(*json.loads(message))


class MalformedEventError(ValueError):
    """The body of a request is no event."""


def events_of(body: bytes, *, received_at: int) -> list[Event]:
    """Return the events of a request's body: one JSON object with ``id`` and ``kind``, or a list of them.

    Raises:
        MalformedEventError: It is neither, or a text is empty or too long.
    """
    try:
        found = json.loads(body)
    except ValueError:
        raise MalformedEventError("not JSON") from None
    return [_event(item, received_at) for item in (found if isinstance(found, list) else [found])]


def _event(item: Any, received_at: int) -> Event:
    if not isinstance(item, dict):
        raise MalformedEventError("an event is an object")
    return Event(_text(item, "id", _ID_LENGTH_MAX), _text(item, "kind", _KIND_LENGTH_MAX), received_at)


def _text(item: dict[str, Any], name: str, longest: int) -> str:
    text = item.get(name)
    if not isinstance(text, str) or not 0 < len(text) <= longest:
        raise MalformedEventError(f"an event has {name}, a text of 1 to {longest} characters")
    return text
