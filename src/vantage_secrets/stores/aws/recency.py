"""What this process has just written, because AWS Secrets Manager may answer with what was there before."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

_REMEMBERED_SECONDS: Final = 5.0
_PAUSES_SECONDS: Final = (0.05, 0.1, 0.2, 0.4, 0.8)
"""How long to wait before asking again, with jitter: 1.6 s in all, then the answer is taken as it is."""


class RecentWrites:
    """Which version each staging label was put on by this process a moment ago. Safe from several threads.

    All operations of AWS Secrets Manager are eventually consistent (API reference, ``ListSecrets``). What another
    process writes meanwhile is not known here; then the asking ends and the answer counts.

    Args:
        monotonic: Tells seconds that never run backwards.
        pause: Waits for that many seconds.
    """

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, pause: Callable[[float], object] = time.sleep
    ) -> None:
        self._monotonic = monotonic
        self._pause = pause
        self._lock = threading.Lock()
        self._written: dict[tuple[str, str], tuple[str, float]] = {}

    def remember(self, secret_id: str, label: str, version: str) -> None:
        """Note that ``label`` is on ``version`` now."""
        now = self._monotonic()
        with self._lock:
            self._written = {key: entry for key, entry in self._written.items() if entry[1] > now}
            self._written[secret_id, label] = (version, now + _REMEMBERED_SECONDS)

    def forget(self, secret_id: str, label: str | None = None) -> None:
        """Note that ``label``, or every label of the secret, is no longer where it was put."""
        with self._lock:
            for key in [key for key in self._written if key[0] == secret_id and label in (None, key[1])]:
                del self._written[key]

    def expected(self, secret_id: str) -> dict[str, str]:
        """Return which version has which label, as far as it was written here a moment ago."""
        if not self._written:
            return {}
        now = self._monotonic()
        with self._lock:
            written = [*self._written.items()]
        return {key[1]: version for key, (version, until) in written if key[0] == secret_id and until > now}

    def tries(self) -> Iterator[None]:
        """Yield for each time to ask, with growing pauses between."""
        yield
        for seconds in _PAUSES_SECONDS:
            self._pause(seconds * random.uniform(0.5, 1.5))  # noqa: S311  # jitter
            yield
