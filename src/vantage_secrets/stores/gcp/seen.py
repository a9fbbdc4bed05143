"""Which version of ours each of Google's numbers is: asked once for each number, so that a read is one call."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from vantage_secrets.secret import SecretName, SecretVersion, Stage
from vantage_secrets.stores.gcp.encoding import Shape

GUESS_SECONDS: Final = 60.0
"""How long a reader that was not told does without, before it asks again."""

_KEPT_COUNT = 4  # Numbers of one secret; the current one and the previous one are asked for.


class Known(NamedTuple):
    """What a number is.

    Attributes:
        version: As the contract tells it.
        shape: What its payload holds; ``None`` when nobody told.
    """

    version: SecretVersion
    shape: Shape | None


class _Entry(NamedTuple):
    known: Known
    content: int | None
    until: float


class Seen:
    """Remembers what numbers are. A number never changes its payload, so what it is stays true.

    Only a secret that was deleted and made again has the same numbers for other payloads: an entry counts only as
    long as the payload's hash stays the same, which is kept in memory alone.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: dict[SecretName, dict[tuple[Stage, int], _Entry]] = {}

    def find(self, name: SecretName, stage: Stage, number: int, data: bytes) -> Known | None:
        """Return what the number of a stage is, or ``None`` when that is to be asked."""
        entry = self._entries.get(name, {}).get((stage, number))
        if entry is None or self._clock() > entry.until:
            return None
        if entry.content is None:
            self.learn(name, number, entry.known, data)
        elif entry.content != hash(data):
            return None
        return entry.known

    def learn(self, name: SecretName, number: int, known: Known, data: bytes | None) -> None:
        """Remember what a number is; without ``data`` the next payload is taken for its own."""
        until = self._clock() + GUESS_SECONDS if known.shape is None else float("inf")
        entry = _Entry(known, None if data is None else hash(data), until)
        kept = {**self._entries.get(name, {}), (known.version.stage, number): entry}
        self._entries[name] = {key: kept[key] for key in [*kept][-_KEPT_COUNT:]}

    def knows(self, name: SecretName) -> bool:
        """Return whether any number of a secret was asked for before."""
        return name in self._entries

    def forget(self, name: SecretName) -> None:
        """Know nothing of a secret any more."""
        self._entries.pop(name, None)
