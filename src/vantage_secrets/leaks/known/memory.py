"""Values are remembered as they come and go, so that a leak of one is recognised after it was retired."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from vantage_secrets.errors import VantageSecretsError
from vantage_secrets.leaks.fingerprint import FingerprintKey
from vantage_secrets.leaks.known.fingerprints import FingerprintBook
from vantage_secrets.secret import SecretName, SecretValue


class RotationMemory:
    """Keeps fingerprints of values that pass by. Safe to use from several threads.

    A rotation does not depend on it: what cannot be remembered is not, and a scan tells which retired versions
    nothing will recognise.

    Args:
        load_key: Returns the key of the fingerprints.
        open_book: Returns the book for a key.
    """

    def __init__(
        self, load_key: Callable[[], FingerprintKey], open_book: Callable[[FingerprintKey], FingerprintBook]
    ) -> None:
        """Open nothing yet."""
        self._load_key = load_key
        self._open_book = open_book
        self._book: FingerprintBook | None = None
        self._is_away = False
        self._remembered: set[tuple[SecretName, str]] = set()
        self._lock = threading.Lock()

    def remember(self, name: SecretName, version_id: str, value: SecretValue) -> None:
        """Keep what will tell this value later, once in this process. Raises nothing."""
        book = self._opened()
        if book is None or (name, version_id) in self._remembered:
            return
        with suppress(VantageSecretsError):
            book.remember(name, version_id, value)
            self._remembered.add((name, version_id))

    def retire(self, name: SecretName, version_id: str) -> None:
        """Keep that the version was retired now. Raises nothing."""
        book = self._opened()
        if book is not None:
            with suppress(VantageSecretsError):
                book.retire(name, version_id)

    def _opened(self) -> FingerprintBook | None:
        with self._lock:
            if self._is_away or self._book is not None:
                return self._book
            self._is_away = True  # asked once: without a key or a database now, there is none for this process
            with suppress(VantageSecretsError):
                key = self._load_key()
                if not key.note:  # a key that was not kept would tell nothing to anybody
                    self._book = self._open_book(key)
            return self._book
