"""Which version of ours each of Google's numbers is: asked once for each number, so that a read is one call."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from vantage_secrets.secret import SecretName
from vantage_secrets.stores.gcp.record import Row

GUESS_SECONDS: Final = 60.0
"""How long a reader that was not told does without, before it asks again."""

_KEPT_COUNT = 4  # Numbers of one secret; the current one and the previous one are asked for.


class _Entry(NamedTuple):
    row: Row | None
    checksum: int | None
    until: float


class Seen:
    """Remembers rows by name and number. A number never changes its payload, so what it is stays true.

    Only a secret that was deleted and made again has the same numbers for other payloads: an entry counts only as
    long as the payload's hash stays the same, which is kept in memory alone.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: dict[SecretName, dict[int, _Entry]] = {}

    def find(self, name: SecretName, number: int, data: bytes) -> tuple[bool, Row | None]:
        """Return whether it is known what the number is, and the row; none while nobody would tell."""
        entry = self._entries.get(name, {}).get(number)
        if entry is None or self._clock() > entry.until:
            return False, None
        if entry.checksum is None:
            self.learn(name, number, entry.row, data)
        elif entry.checksum != hash(data):
            return False, None
        return True, entry.row

    def learn(self, name: SecretName, number: int, row: Row | None, data: bytes | None) -> None:
        """Remember what a number is; without ``data`` the next payload is taken for its own."""
        until = float("inf") if row is not None else self._clock() + GUESS_SECONDS
        kept = {**self._entries.get(name, {}), number: _Entry(row, None if data is None else hash(data), until)}
        self._entries[name] = {key: kept[key] for key in [*kept][-_KEPT_COUNT:]}

    def knows(self, name: SecretName) -> bool:
        """Return whether any number of a secret was asked for before."""
        return name in self._entries

    def forget(self, name: SecretName) -> None:
        """Know nothing of a secret any more."""
        self._entries.pop(name, None)
