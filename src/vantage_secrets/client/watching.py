"""A store that tells of changes is listened to: a new version is fetched at once, not at the next refresh."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Protocol

from vantage_secrets.errors import VantageSecretsError
from vantage_secrets.secret import SecretName
from vantage_secrets.stores.contract import Capability, Store


class Told(Protocol):
    """Who is told of changes."""

    def note_change(self, name: SecretName) -> None:
        """A secret has another current version."""


class Watching:
    """Listens to a store that declares ``WATCH``, from the first read on; does nothing with any other.

    Polling goes on beside it: a watch that was refused or lost costs freshness, and nothing else. It keeps no
    owner alive.
    """

    def __init__(self, store: Store, owner: Told) -> None:
        """Listen to nothing yet."""
        self._store = store
        self._owner = weakref.ref(owner)
        self._lock = threading.Lock()
        self._end: Callable[[], None] | None = None
        self._is_begun = Capability.WATCH not in store.capabilities

    def start(self) -> None:
        """Begin to listen; does nothing when that was done before, or was refused."""
        if self._is_begun:
            return
        with self._lock:
            if self._is_begun:
                return
            self._is_begun = True
            owner = self._owner

            def tell(name: SecretName) -> None:
                told = owner()
                if told is not None:
                    told.note_change(name)

            try:
                self._end = self._store.watch(tell)
            except VantageSecretsError:
                self._end = None  # such as a right to read without one to watch: the refresher goes on polling

    def stop(self) -> None:
        """Listen no more. Safe to repeat."""
        with self._lock:
            self._is_begun = True
            end, self._end = self._end, None
        if end is not None:
            end()
