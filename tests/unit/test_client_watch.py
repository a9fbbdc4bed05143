"""A client listens to a store that tells of changes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest

from tests.canary import canary
from vantage_secrets.client import SecretClient
from vantage_secrets.errors import StoreAccessDeniedError
from vantage_secrets.secret import SecretName
from vantage_secrets.stores.contract import Capability
from vantage_secrets.testing import MemoryStore

NAME = SecretName("vantage/api-key")
OTHER = SecretName("vantage/other")


class _TellingStore(MemoryStore):
    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability)

    def __init__(self) -> None:
        super().__init__()
        self.listeners: list[Callable[[SecretName], None]] = []
        self.refuses_watch = False

    def watch(self, on_change: Callable[[SecretName], None]) -> Callable[[], None]:
        if self.refuses_watch:
            raise StoreAccessDeniedError("no")
        self.listeners.append(on_change)
        return lambda: self.listeners.remove(on_change)

    def tell(self, name: SecretName) -> None:
        for listener in self.listeners:
            listener(name)


@pytest.fixture
def store() -> _TellingStore:
    store = _TellingStore()
    store.put(NAME, canary())
    return store


@pytest.fixture
def client(store: _TellingStore) -> Iterator[SecretClient]:
    with SecretClient(store) as client:
        yield client


def test_a_new_version_is_there_as_soon_as_the_store_tells_of_it(store: _TellingStore, client: SecretClient) -> None:
    client.get(NAME)
    changed = threading.Event()
    client.on_change(NAME, lambda _reading: changed.set())
    value = canary()
    store.put(NAME, value)
    assert not client.get(str(NAME)).matches(value)
    store.tell(NAME)
    assert client.get(str(NAME)).matches(value)
    assert changed.is_set()


def test_what_nobody_reads_is_not_fetched(store: _TellingStore, client: SecretClient) -> None:
    client.get(NAME)
    store.put(OTHER, canary())
    before = store.read_count
    store.tell(OTHER)
    assert store.read_count == before


def test_nothing_is_watched_before_the_first_read_nor_after_the_end(store: _TellingStore, client: SecretClient) -> None:
    assert store.listeners == []
    client.get(NAME)
    client.read(NAME)
    assert len(store.listeners) == 1
    client.close()
    assert store.listeners == []


def test_a_store_that_refuses_to_be_watched_is_polled(store: _TellingStore, client: SecretClient) -> None:
    store.refuses_watch = True
    client.get(NAME)
    value = canary()
    store.put(NAME, value)
    client.refresh(NAME)
    assert client.get(NAME).matches(value)


def test_an_outage_while_it_is_told_keeps_the_last_good_value(store: _TellingStore, client: SecretClient) -> None:
    value = client.get(NAME)
    with store.outage():
        store.tell(NAME)
        assert client.get(NAME) == value
    assert client.stats().refresh_failures == 1


def test_a_client_that_nobody_holds_is_not_kept_alive_by_its_watch(store: _TellingStore) -> None:
    import gc
    import weakref

    client = SecretClient(store)
    client.get(NAME)
    gone = weakref.ref(client)
    del client
    gc.collect()
    store.tell(NAME)
    assert gone() is None
